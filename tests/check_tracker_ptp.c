/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PTP clock as the truth where the page is a marker alone: is the clock right by it at once, and
 * never worse than without it by more than it was known to be off?
 */
#include "tests/suite.h"

#include <math.h>

#include "tests/tracker_fixture.h"

static const double jumps_sec[] = {0.005, -0.005, 0.1, -2};
static const double rates_ppm[] = {40, -60, 100, -30};

/* A guest that chronyd keeps right by NTP, and a PTP clock that is compared with that. */
static void start(uint64_t seed, double ptp_error_sec)
{
    virtual_init(&vm, seed);
    virtual_marker_only(&vm);
    model_chronyd_add_ntp(&vm.chronyd);
    vm.ptp_id = 7;
    vm.ptp_error_sec = ptp_error_sec;
    config.ptp = (struct ptp_clock_config){.used = true};
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 200 * VIRTUAL_SEC);
    vm.clock.error_sec = 0;
    vm.n_commands = vm.n_events = vm.n_read = vm.n_ptp_readings = 0;
    vm.clock.largest_backward_step_sec = 0;
}

/* The counter jumps, and the host shows it by the marker alone. */
static void migrate(double jump_sec, double ppm)
{
    virtual_disrupt_counter(&vm, jump_sec, ppm);
    virtual_write_marker(&vm);
}

START_TEST(it_is_trusted_once_it_has_agreed_with_chronyds_time)
{
    start(1, 1e-6);
    ck_assert(ptp_clock_is_trusted(&vm.tracker.ptp));
    ck_assert_double_gt(ptp_clock_good_for_sec(&vm.tracker.ptp), 0.5e-6);
    ck_assert_double_lt(ptp_clock_good_for_sec(&vm.tracker.ptp), 1e-3);
}
END_TEST

/* Nobody waits for a comparison: a clock that is slow to answer may have one. */
START_TEST(a_comparison_that_comes_to_nothing_is_made_again)
{
    start(1, 0);
    vm.ptp_id = 8; /* another clock */
    vm.ptp_latency_ns = 500 * VIRTUAL_MS;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert(!ptp_clock_is_trusted(&vm.tracker.ptp));
    ck_assert_uint_le(vm.n_ptp_readings, UINTMAX_C(32));
    vm.ptp_latency_ns = 100 * VIRTUAL_MS;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert(ptp_clock_is_trusted(&vm.tracker.ptp));
}
END_TEST

START_TEST(it_corrects_offset_and_rate_within_milliseconds)
{
    start(1 + (uint64_t)_i, 0);
    migrate(jumps_sec[_i], rates_ppm[_i]);
    virtual_run(&vm, 15 * VIRTUAL_MS);
    assert_error_below(2e-6);
    virtual_run(&vm, 15 * VIRTUAL_MS);
    assert_error_below(100e-9);
    for (int i = 0; i < 100; i++) {
        virtual_run(&vm, 50 * VIRTUAL_MS);
        assert_error_below(200e-9);
    }
    ck_assert_int_eq(
        recovery_corrected_by(&vm.tracker.recoveries.recovery), RECOVERY_CORRECTOR_PTP);
    ck_assert_double_eq_tol(vm.tracker.recoveries.recovery.rate_ppm, rates_ppm[_i], 0.1);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

/* --- truths that are wrong: no worse than without, but by what it was known to be off --------- */

START_TEST(a_clock_that_never_agreed_is_not_used)
{
    static const double off_sec[] = {3600, 37, 0.3};

    start(1, off_sec[_i]);
    ck_assert(!ptp_clock_is_trusted(&vm.tracker.ptp));
    migrate(0.005, 40);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), 1);
    ck_assert_int_eq(
        recovery_corrected_by(&vm.tracker.recoveries.recovery), RECOVERY_CORRECTOR_CHRONYD);
    ck_assert_uint_le(virtual_count_events(&vm, EVENT_PTP_CLOCK), 1);
}
END_TEST

/* It is that of the host before: by it nothing has happened. */
START_TEST(a_clock_of_the_old_host_corrects_nothing)
{
    start(1, 0);
    migrate(jumps_sec[_i], 0);
    vm.ptp_error_sec = vm.clock.error_sec;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), 1);
    virtual_run(&vm, 60 * VIRTUAL_SEC); /* by NTP */
    assert_error_below(1e-3);
}
END_TEST

enum { STUCK, GONE, SLOW };

/* After the disruption: it stands still, is gone, or takes 50 ms. */
START_TEST(a_clock_that_fails_in_a_recovery_leaves_it_to_chronyd)
{
    start(1, 0);
    vm.ptp_stuck = _i == STUCK;
    vm.ptp_id = _i == GONE ? 0 : 7;
    vm.ptp_latency_ns = _i == SLOW ? 50 * VIRTUAL_MS : VIRTUAL_MS / 2;
    migrate(0.005, 40);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 1);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), 1);
    ck_assert_int_eq(
        recovery_corrected_by(&vm.tracker.recoveries.recovery), RECOVERY_CORRECTOR_CHRONYD);
}
END_TEST

START_TEST(a_clock_that_steps_back_in_a_recovery_is_not_followed)
{
    start(1, 0);
    migrate(0.005, 40);
    virtual_run(&vm, 40 * VIRTUAL_MS);
    assert_error_below(1e-6);
    vm.ptp_error_sec = -0.002;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    assert_error_below(20e-6);
    ck_assert_uint_ge(virtual_count_events(&vm, EVENT_PTP_CLOCK), 1);
    /* It may have been compared since. */
    ck_assert(
        !ptp_clock_is_trusted(&vm.tracker.ptp) || ptp_clock_good_for_sec(&vm.tracker.ptp) > 0.0019);
}
END_TEST

START_TEST(a_clock_that_refuses_every_second_reading_serves)
{
    start(1, 0);
    vm.ptp_refuses = true;
    migrate(0.005, 40);
    virtual_run(&vm, 40 * VIRTUAL_MS);
    assert_error_below(1e-6);
}
END_TEST

/* Where readings are few, there have to be some left for the longer baselines. */
START_TEST(a_limited_clock_corrects_the_rate_to_the_end)
{
    start(1 + (uint64_t)_i, 0);
    vm.ptp_limited = true;
    vm.ptp_noise_sec = 200e-9;
    migrate(0.005, rates_ppm[_i]);
    virtual_run(&vm, 900 * VIRTUAL_MS);
    ck_assert_uint_le(vm.n_ptp_readings, 50);
    assert_error_below(3e-6);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_ptp_readings, 100);
    ck_assert_double_eq_tol(vm.tracker.recoveries.recovery.rate_ppm, rates_ppm[_i], 0.4);
}
END_TEST

START_TEST(a_host_that_is_off_is_followed_for_offsets_well_above_that)
{
    start(1, 0.003);
    ck_assert(ptp_clock_is_trusted(&vm.tracker.ptp));
    migrate(_i ? 0.1 : 0.005, 0);
    virtual_run(&vm, 500 * VIRTUAL_MS);
    ck_assert_int_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2) > 0, _i);
    if (_i)
        assert_error_below(0.0031);
}
END_TEST

/* A noise of 0.2 us, as of a hypercall. */
START_TEST(noise_is_averaged_out)
{
    start(1 + (uint64_t)_i, 0);
    vm.ptp_noise_sec = 200e-9;
    migrate(0.005, rates_ppm[_i]);
    virtual_run(&vm, 60 * VIRTUAL_MS);
    assert_error_below(1e-6);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_double_eq_tol(vm.tracker.recoveries.recovery.rate_ppm, rates_ppm[_i], 0.2);
}
END_TEST

START_TEST(trust_is_saved_for_the_next_start)
{
    struct tracker_saved saved;

    start(1, 1e-6);
    saved = tracker_saved(&vm.tracker);
    ck_assert_uint_ne(saved.ptp.id, 0);
    virtual_start(&vm, &config, saved);
    migrate(0.005, 40); /* before anything could be compared */
    virtual_run(&vm, 60 * VIRTUAL_MS);
    assert_error_below(2e-6);
}
END_TEST

/* ENA's: a recovery may read it a hundred times, and a minute has a comparison of three. */
START_TEST(a_limited_clock_is_compared_for_as_long_as_it_is_there)
{
    start(1, 1e-6);
    vm.ptp_limited = true;
    virtual_run(&vm, 3600 * VIRTUAL_SEC);
    vm.ptp_error_sec = 0.05;
    virtual_run(&vm, 120 * VIRTUAL_SEC);
    ck_assert_double_gt(ptp_clock_good_for_sec(&vm.tracker.ptp), 0.04);
    vm.clock.error_sec = 0;
    migrate(0, 0);
    virtual_run(&vm, 300 * VIRTUAL_MS);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(a_limited_clock_that_gives_no_reading_holds_no_samples)
{
    start(1, 1e-6);
    vm.ptp_limited = true;
    vm.ptp_latency_ns = 500 * VIRTUAL_MS;
    migrate(0.005, 40);
    virtual_run(&vm, 250 * VIRTUAL_MS);
    ck_assert(!recovery_holds_samples(&vm.tracker.recoveries.recovery));
}
END_TEST

static struct event refused;

static void keep_refused(struct virtual_machine *m)
{
    for (unsigned i = 0; i < m->orders.n_events; i++)
        if (m->orders.events[i].id == EVENT_CORRECTION_REFUSED)
            refused = m->orders.events[i];
}

START_TEST(a_rate_beyond_max_rate_is_reported_as_a_rate)
{
    config.recovery.rate_max_ppm = 20;
    start(1, 0);
    vm.before_step = keep_refused;
    migrate(0.005, 60);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_int_eq(refused.id, EVENT_CORRECTION_REFUSED);
    ck_assert_double_eq_tol(fabs(refused.correction.ppm), 60, 3);
    ck_assert_double_eq(refused.correction.offset_sec, 0);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: a PTP clock",
    {it_is_trusted_once_it_has_agreed_with_chronyds_time, 1},
    {a_comparison_that_comes_to_nothing_is_made_again, 1},
    {it_corrects_offset_and_rate_within_milliseconds, 4},
    {a_clock_that_never_agreed_is_not_used, 3}, {a_clock_of_the_old_host_corrects_nothing, 4},
    {a_clock_that_fails_in_a_recovery_leaves_it_to_chronyd, 3},
    {a_clock_that_steps_back_in_a_recovery_is_not_followed, 1},
    {a_clock_that_refuses_every_second_reading_serves, 1},
    {a_limited_clock_corrects_the_rate_to_the_end, 4},
    {a_host_that_is_off_is_followed_for_offsets_well_above_that, 2}, {noise_is_averaged_out, 4},
    {trust_is_saved_for_the_next_start, 1},
    {a_limited_clock_is_compared_for_as_long_as_it_is_there, 1},
    {a_limited_clock_that_gives_no_reading_holds_no_samples, 1},
    {a_rate_beyond_max_rate_is_reported_as_a_rate, 1})
