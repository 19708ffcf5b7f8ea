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
    virtual_add_ntp(&vm);
    vm.ptp_id = 7;
    vm.ptp_error_sec = ptp_error_sec;
    config.ptp = (struct ptp_clock_config){.used = true};
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 200 * VIRTUAL_SEC);
    vm.error_sec = 0;
    vm.n_commands = vm.n_events = vm.n_read = vm.n_ptp_readings = 0;
    vm.largest_backward_step_sec = 0;
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
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: a PTP clock",
    {it_is_trusted_once_it_has_agreed_with_chronyds_time, 1},
    {it_corrects_offset_and_rate_within_milliseconds, 4})
