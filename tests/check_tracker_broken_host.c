/* SPDX-License-Identifier: BSD-2-Clause */
/* A broken host: the tracker in virtual time. vmclockd(8) has the policy. */
#include "tests/tracker_fixture.h"

#include "tests/suite.h"

static void run_flapping(int64_t duration_ns, int64_t interval_ns, void (*flap)(int i))
{
    const int64_t end_ns = vm.now_ns + duration_ns;

    for (int i = 0; vm.now_ns < end_ns; i++) {
        flap(i);
        virtual_run(&vm, interval_ns);
    }
}

static void assert_said_once(enum event_id id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < vm.n_events; i++)
        n += vm.events[i] == id;
    ck_assert_uint_le(n, 10);
    ck_assert_uint_lt(vm.n_events, 100);
    ck_assert_uint_ge(virtual_count_events(&vm, EVENT_REPEATS), 1);
    ck_assert_uint_eq(
        virtual_count_events(&vm, EVENT_REPEATS), virtual_count_events(&vm, EVENT_REPEATED));
}

static void flap_marker(int i)
{
    (void)i;
    virtual_write_marker(&vm);
}

START_TEST(a_marker_that_flaps_for_an_hour_is_said_once_and_slows_the_resets)
{
    const int64_t flapping_ns = 3600 * VIRTUAL_SEC;

    start_converged(5);
    virtual_migrate(&vm, 0.005, 40); /* the clock is right then, and wrong by what is not known */
    run_flapping(flapping_ns, VIRTUAL_MS, flap_marker);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_ge(vm.chronyd.n_resets, 3500);
    ck_assert_uint_le(vm.chronyd.n_resets, 3600 + 20);
    ck_assert_uint_ge(vm.tracker.host.disruptions, 350000); /* one a look */
    virtual_run(&vm, 1500 * VIRTUAL_MS);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.host.page.disruption_marker);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_FEEDING);
    ck_assert(vm.tracker.client.known.synchronised);
    assert_said_once(EVENT_DISRUPTION);
    for (int i = 0; i < 3; i++) { /* the next ones are as quick as any */
        virtual_migrate(&vm, 0.005, 40);
        virtual_run(&vm, 50 * VIRTUAL_MS);
        assert_error_below(100e-9);
    }
}
END_TEST

START_TEST(markers_in_a_row_that_leave_time_for_a_recovery_get_one_each)
{
    start_converged(5);
    for (int i = 0; i < 100; i++) {
        virtual_migrate(&vm, i % 2 ? 0.003 : -0.004, i % 2 ? 30 : -30);
        virtual_run(&vm, 50 * VIRTUAL_MS);
        assert_error_below(100e-9);
    }
    ck_assert_uint_eq(vm.chronyd.n_resets, 100);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 100);
}
END_TEST

static void move_formula_back_and_forth(int i)
{
    vm.host.error_sec = i % 2 ? 0.001 : 0;
}

START_TEST(a_formula_that_jumps_back_and_forth_is_not_followed_for_long)
{
    start_converged(5);
    run_flapping(600 * VIRTUAL_SEC, 100 * VIRTUAL_MS, move_formula_back_and_forth);
    ck_assert_uint_le(vm.n_samples, 25);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    ck_assert_int_eq(vm.tracker.feeder.verdict, CLOCK_UNSTEADY);
    ck_assert_uint_lt(vm.n_events, 20);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    vm.host.error_sec = 0;
    vm.n_samples = 0;
    virtual_run(&vm, 15 * VIRTUAL_SEC); /* it has to be steady for ten seconds */
    ck_assert_uint_ge(vm.n_samples, 80);
    ck_assert_uint_le(vm.n_samples, 101);
    assert_error_below(200e-9);
}
END_TEST

static void move_formula_back(int i)
{
    (void)i;
    vm.host.error_sec -= 0.15;
}

START_TEST(time_that_runs_backwards_is_not_followed_for_long)
{
    start_converged(5);
    run_flapping(60 * VIRTUAL_SEC, 100 * VIRTUAL_MS, move_formula_back);
    ck_assert_uint_le(vm.n_samples, 25);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_int_eq(vm.tracker.feeder.verdict, CLOCK_UNSTEADY);
}
END_TEST

START_TEST(time_that_is_set_back_once_is_followed)
{
    start_converged(5);
    vm.host.error_sec = -0.002;
    virtual_run(&vm, 170 * VIRTUAL_MS);
    ck_assert_double_eq_tol(vm.last_sample_sec, -0.002, 1e-4);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
}
END_TEST

static double wander;

/* The time is right, the period is not, and another one each time. */
static void wander_period(int i)
{
    (void)i;
    virtual_write_formula(&vm);
    vm.host.page.period_frac_sec += (uint64_t)(int64_t)((double)vm.host.page.period_frac_sec *
                                                        wander * (2 * virtual_random(&vm) - 1));
}

START_TEST(a_period_that_wanders_is_followed_by_a_ten_millionth_at_a_time)
{
    start_converged(5);
    vm.update_page = false;
    wander = 4e-8;
    run_flapping(600 * VIRTUAL_SEC, 100 * VIRTUAL_MS, wander_period);
    ck_assert_uint_ge(vm.n_samples, 11900);
    assert_error_below(1e-6);
    ck_assert_uint_eq(vm.n_commands, 0);
    wander = 1e-5; /* no oscillator does that */
    vm.n_samples = 0;
    run_flapping(60 * VIRTUAL_SEC, 100 * VIRTUAL_MS, wander_period);
    ck_assert_uint_le(vm.n_samples, 25);
    assert_error_below(1e-4);
}
END_TEST

static void violate_bounds(int i)
{
    vm.host.error_sec = i % 2 ? 300e-9 : 0;
}

START_TEST(bounds_that_are_violated_all_the_time_are_counted_and_said_now_and_then)
{
    start_converged(5);
    vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.time_maxerror_ns = 50;
    run_flapping(600 * VIRTUAL_SEC, 100 * VIRTUAL_MS, violate_bounds);
    ck_assert_uint_ge(vm.tracker.host.contradictions, 2900);
    ck_assert_uint_le(virtual_count_events(&vm, EVENT_CONTRADICTION), 14);
    ck_assert_uint_ge(vm.n_samples, 11900); /* the clock is good to what it says it is not */
    assert_error_below(1e-6);
}
END_TEST

static void flap_status(int i)
{
    vm.host.page.clock_status = i % 2 ? VMCLOCK_STATUS_UNRELIABLE : VMCLOCK_STATUS_SYNCHRONISED;
}

START_TEST(a_clock_status_that_flaps_is_said_once)
{
    start_converged(5);
    run_flapping(600 * VIRTUAL_SEC, 30 * VIRTUAL_MS, flap_status);
    vm.host.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    assert_said_once(EVENT_CLOCK_STATUS);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_FEEDING);
    assert_error_below(200e-9);
}
END_TEST

START_TEST(a_formula_that_jumps_during_a_recovery_is_no_storm_of_resets)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 12 * VIRTUAL_MS);
    vm.update_page = false;
    for (int i = 0; i < 600; i++) {
        vm.host.error_sec = i % 2 ? 0.001 : 0;
        virtual_write_formula(&vm);
        virtual_run(&vm, 100 * VIRTUAL_MS);
    }
    ck_assert_uint_le(vm.chronyd.n_resets, 12);
    vm.host.error_sec = 0;
    vm.update_page = true;
    virtual_run(&vm, 70 * VIRTUAL_SEC);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_FEEDING);
    assert_error_below(200e-9);
}
END_TEST

START_TEST(a_marker_that_flaps_is_no_hurry_for_a_slow_watch)
{
    config.watch_interval_ns = 2 * VIRTUAL_SEC;
    virtual_init(&vm, 5);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    run_flapping(60 * VIRTUAL_SEC, VIRTUAL_MS, flap_marker);
    ck_assert_uint_le(vm.chronyd.n_resets, 31);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.host.page.disruption_marker);
    assert_error_below(100e-9);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: a broken host",
    {a_marker_that_flaps_for_an_hour_is_said_once_and_slows_the_resets, 1},
    {markers_in_a_row_that_leave_time_for_a_recovery_get_one_each, 1},
    {a_formula_that_jumps_back_and_forth_is_not_followed_for_long, 1},
    {time_that_runs_backwards_is_not_followed_for_long, 1},
    {time_that_is_set_back_once_is_followed, 1},
    {a_period_that_wanders_is_followed_by_a_ten_millionth_at_a_time, 1},
    {bounds_that_are_violated_all_the_time_are_counted_and_said_now_and_then, 1},
    {a_clock_status_that_flaps_is_said_once, 1},
    {a_formula_that_jumps_during_a_recovery_is_no_storm_of_resets, 1},
    {a_marker_that_flaps_is_no_hurry_for_a_slow_watch, 1})
