/* SPDX-License-Identifier: BSD-2-Clause */
/* Leap seconds in virtual time: whole days, with hosts that have them right and wrong. */
#include "tests/suite.h"

#include <math.h>

#include "tests/virtual.h"

static struct virtual_machine vm;
static struct tracker_config config;

#define DAY_NS (86400 * VIRTUAL_SEC)

/* A sample each second is enough for a day; 20 a second for a minute around the leap second. */
static void set_interval(int64_t sample_interval_ns)
{
    config.sample_interval_ns = sample_interval_ns;
    config.watch_interval_ns = vm.tick_ns =
        sample_interval_ns < 100 * VIRTUAL_MS ? 10 * VIRTUAL_MS : sample_interval_ns;
    tracker_reconfigure(&vm.tracker, &config);
    vm.next_tick_ns = vm.now_ns;
    vm.orders.wake_at_ns = 0; /* it is stepped after a reload */
}

static void start(int step, enum vmclock_time_type type, int kernel_tai, int64_t before_ns)
{
    virtual_config(&config);
    virtual_init(&vm, 1);
    vm.host.page.time_type = (uint8_t)type;
    vm.clock.tai = kernel_tai;
    virtual_set_leap(&vm, step, before_ns);
    virtual_start(&vm, &config, (struct tracker_saved){.valid = false});
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.refid, config.refid);
    vm.worst_sample_sec = 0;
    vm.n_events = vm.n_commands = 0;
}

static void assert_all_is_well(void)
{
    ck_assert_msg(vm.worst_sample_sec < 1e-6, "a sample was off by %g s", vm.worst_sample_sec);
    ck_assert_uint_eq(vm.n_ambiguous_samples, 0);
    ck_assert_msg(
        fabs(virtual_utc_error(&vm)) < 1e-6, "the clock is off by %g s", virtual_utc_error(&vm));
    ck_assert_uint_eq(vm.chronyd.refid, config.refid);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}

/* From a day before it until an hour after it. */
static void run_leap_day(
    int step, enum vmclock_time_type type, int kernel_tai, int64_t update_interval_ns)
{
    start(step, type, kernel_tai, DAY_NS);
    vm.update_interval_ns = update_interval_ns;
    vm.update_page = update_interval_ns != 0;
    set_interval(VIRTUAL_SEC);
    virtual_run(&vm, vm.host.leap_ns - 30 * VIRTUAL_SEC - vm.now_ns);
    assert_all_is_well();
    ck_assert_int_eq(vm.orders.sample.leap | vm.tracker.feeder.offset.leap, step > 0 ? 1 : 2);
    ck_assert(vm.clock.leaps);

    set_interval(50 * VIRTUAL_MS);
    vm.n_samples = 0;
    while (vm.now_ns < vm.host.leap_ns + 30 * VIRTUAL_SEC) {
        virtual_run(&vm, VIRTUAL_SEC / 4);
        assert_all_is_well();
    }
    /* None for the leap second and a quarter of a second before and after. */
    ck_assert_uint_ge(vm.n_samples, 20 * 60 - 30 - 4);
    ck_assert_uint_le(vm.n_samples, 20 * 60 - (step > 0 ? 30 : 10) + 1);
    ck_assert_int_eq(vm.tracker.feeder.offset.leap, 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_FIRST_SAMPLE), 1);

    set_interval(VIRTUAL_SEC);
    virtual_run(&vm, 3600 * VIRTUAL_SEC);
    assert_all_is_well();
    ck_assert_int_eq(vm.clock.tai, kernel_tai + step);
    ck_assert_uint_eq(vm.tracker.host.contradictions, 0);
}

START_TEST(a_leap_day_passes_without_a_wrong_sample)
{
    /* The host writes ten times a second, each 16 seconds, or never again since the eve. */
    const int64_t intervals[] = {100 * VIRTUAL_MS, 16 * VIRTUAL_SEC, 0};

    for (int step = -1; step <= 1; step += 2)
        for (int type = VMCLOCK_TIME_UTC; type <= VMCLOCK_TIME_TAI; type++)
            for (int i = 0; i < 3; i++)
                run_leap_day(step, (enum vmclock_time_type)type, 37, intervals[i]);
}
END_TEST

START_TEST(a_kernel_that_does_not_know_tai_counts_the_leap_second_all_the_same)
{
    run_leap_day(1, VMCLOCK_TIME_TAI, 0, 16 * VIRTUAL_SEC);
    run_leap_day(-1, VMCLOCK_TIME_UTC, 0, 16 * VIRTUAL_SEC);
}
END_TEST

START_TEST(a_kernel_that_knows_tai_is_asked_again_before_the_first_sample_after_it)
{
    for (int step = -1; step <= 1; step += 2)
        for (int64_t phase = 0; phase < 10; phase++) {
            start(step, VMCLOCK_TIME_TAI, 37, 20 * VIRTUAL_SEC + phase * 100 * VIRTUAL_MS);
            virtual_run(&vm, 30 * VIRTUAL_SEC);
            assert_all_is_well();
            ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
        }
}
END_TEST

START_TEST(a_reference_ahead_of_now_crosses_a_leap_second_as_well)
{
    for (int step = -1; step <= 1; step += 2) {
        struct vmclock_page ahead;

        start(step, VMCLOCK_TIME_TAI, 37, 60 * VIRTUAL_SEC);
        vm.update_page = false;
        /* What the host will write in two minutes. */
        vm.now_ns += 120 * VIRTUAL_SEC;
        virtual_write_formula(&vm);
        ahead = vm.host.page;
        ck_assert_int_eq(ahead.leap_indicator,
            step > 0 ? VMCLOCK_LEAP_POST_POSITIVE : VMCLOCK_LEAP_POST_NEGATIVE);
        vm.now_ns -= 120 * VIRTUAL_SEC;
        for (int i = 0; i < 240; i++) {
            virtual_run(&vm, VIRTUAL_SEC / 2);
            assert_all_is_well();
        }
        ck_assert_int_eq(vm.tracker.feeder.offset.leap, 0);
        ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    }
}
END_TEST

/* A page that has TAI - UTC too early, too late, or back and forth for some seconds. */
START_TEST(a_host_that_writes_its_leap_second_in_pieces_is_not_followed)
{
    for (int at_sec = -10; at_sec <= 5; at_sec += 5) {
        start(1, VMCLOCK_TIME_TAI, 0, 30 * VIRTUAL_SEC);
        virtual_run(&vm, vm.host.leap_ns + at_sec * VIRTUAL_SEC - vm.now_ns);
        vm.update_page = false;
        virtual_write_formula(&vm);
        vm.host.page.leap_indicator = VMCLOCK_LEAP_NONE;
        vm.host.page.tai_offset_sec = at_sec < 0 ? 38 : 37;
        virtual_run(&vm, 4 * VIRTUAL_SEC);
        vm.update_page = true;
        vm.host.page.seq_count += 2;
        virtual_run(&vm, 60 * VIRTUAL_SEC);
        assert_all_is_well();
        ck_assert_uint_ge(vm.n_samples, 1400);
    }
}
END_TEST

START_TEST(a_host_that_has_moved_by_a_second_is_followed_after_a_minute)
{
    start(1, VMCLOCK_TIME_UTC, 0, 3600 * VIRTUAL_SEC);
    vm.host.leap_step = 0; /* it was announced in error */
    vm.host.page.leap_indicator = VMCLOCK_LEAP_NONE;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    assert_all_is_well();
    vm.host.error_sec = -1;
    virtual_run(&vm, 59 * VIRTUAL_SEC);
    assert_all_is_well();
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert_double_eq_tol(vm.worst_sample_sec, 1, 1e-3);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
}
END_TEST

START_TEST(seconds_that_a_disruption_explains_are_corrected_at_once)
{
    start(1, VMCLOCK_TIME_UTC, 0, 3600 * VIRTUAL_SEC);
    virtual_migrate(&vm, 1, 20);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    ck_assert_double_lt(fabs(virtual_utc_error(&vm)), 1e-6);
}
END_TEST

START_TEST(a_kernel_that_knows_another_tai_offset_stops_the_samples_of_utc_as_well)
{
    start(1, VMCLOCK_TIME_UTC, 37, 3600 * VIRTUAL_SEC);
    vm.clock.tai = 36;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    vm.clock.tai = 1; /* it was not told */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 60);
}
END_TEST

RUN_SUITE("leap seconds", a_leap_day_passes_without_a_wrong_sample,
    a_kernel_that_does_not_know_tai_counts_the_leap_second_all_the_same,
    a_kernel_that_knows_tai_is_asked_again_before_the_first_sample_after_it,
    a_reference_ahead_of_now_crosses_a_leap_second_as_well,
    a_host_that_writes_its_leap_second_in_pieces_is_not_followed,
    a_host_that_has_moved_by_a_second_is_followed_after_a_minute,
    seconds_that_a_disruption_explains_are_corrected_at_once,
    a_kernel_that_knows_another_tai_offset_stops_the_samples_of_utc_as_well)
