/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples, and a chronyd that has just started: the tracker in virtual time. */
#include "tests/tracker_fixture.h"

#include "tests/suite.h"

START_TEST(a_clock_page_is_fed_at_the_sample_interval)
{
    start_converged(1);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 199);
    ck_assert_uint_le(vm.n_samples, 201);
    ck_assert_double_eq_tol(vm.last_sample_sec, -vm.clock.error_sec, 20e-9);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

START_TEST(a_starting_chronyd_is_put_right_within_two_seconds)
{
    virtual_init(&vm, 1);
    vm.clock.error_sec = 0.005;
    vm.clock.freq = 50L * 65536;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 1100 * VIRTUAL_MS);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 0);
}
END_TEST

START_TEST(a_starting_chronyd_is_put_right_under_another_clock_source)
{
    virtual_init(&vm, 1);
    vm.clock.error_sec = 0.3;
    vm.other_clock_source = true;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 1600 * VIRTUAL_MS);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
}
END_TEST

START_TEST(a_starting_chronyds_servers_are_not_boosted_where_the_offset_is_not_known)
{
    virtual_init(&vm, 1);
    vm.clock.tai = 36;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RECOVERY), 1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.state, RECOVERY_AWAIT_SYNC);
    ASSERT_COMMANDS(CHRONY_DFREQ);
}
END_TEST

START_TEST(a_starting_chronyd_is_left_alone_where_that_is_configured)
{
    config.correct_at_start = false;
    virtual_init(&vm, 1);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

START_TEST(the_hosts_own_correction_is_followed_without_a_reset)
{
    start_converged(1);
    virtual_run(&vm, 60 * VIRTUAL_SEC);
    vm.host.error_sec = 0.002;
    virtual_run(&vm, 170 * VIRTUAL_MS);
    ck_assert_double_eq_tol(vm.last_sample_sec, 0.002, 1e-4);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

START_TEST(the_hosts_own_correction_is_followed_also_soon_after_a_recovery)
{
    start_converged(1);
    virtual_migrate(&vm, 0.005, 20);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    vm.host.error_sec = 0.002;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(samples_whose_bound_is_over_max_error_are_withheld)
{
    start_converged(1);
    config.max_error_ns = 1000;
    tracker_reconfigure(&vm.tracker, &config);
    vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.time_maxerror_ns = 2000;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_samples, 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    vm.host.page.time_maxerror_ns = 100;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 18);
}
END_TEST

START_TEST(without_a_bound_max_error_lets_no_sample_through)
{
    config.max_error_ns = 3600 * VIRTUAL_SEC;
    virtual_init(&vm, 1);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID; /* one of the two is none */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    vm.host.page.flags |= VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 98);
}
END_TEST

START_TEST(the_bound_of_a_free_running_clock_grows_until_max_error)
{
    config.max_error_ns = 10000;
    virtual_init(&vm, 1);
    vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.time_maxerror_ns = 1000;
    vm.host.page.period_maxerror = vm.host.page.period_frac_sec / 10000000; /* 0.1 ppm */
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_lt(vm.tracker.feeder.offset.bound_ns, 1200);
    vm.host.page.clock_status = VMCLOCK_STATUS_FREERUNNING;
    virtual_run(&vm, 80 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 0);
    ck_assert_double_eq_tol((double)vm.tracker.feeder.offset.bound_ns, 9000, 200);
    virtual_run(&vm, 20 * VIRTUAL_SEC); /* 1 us and 90 s of 0.1 ppm are the limit */
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    ck_assert_double_eq_tol((double)vm.last_sample_ns, 95e9, 0.5e9);
    ck_assert_uint_gt(vm.tracker.feeder.offset.bound_ns, 10000);
}
END_TEST

START_TEST(a_counter_that_goes_backwards_between_cpus_is_not_used_until_a_disruption)
{
    start_converged(1);
    vm.clock.counter_skew = 5000; /* the first reading is on a CPU that is ahead */
    virtual_run(&vm, 200 * VIRTUAL_MS);
    vm.n_samples = 0;
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);

    virtual_migrate(&vm, 0.005, 20); /* the marker is watched all the same */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    ck_assert_uint_ge(vm.n_samples, 80);
    assert_error_below(100e-9);
}
END_TEST

START_TEST(a_kernel_that_knows_another_tai_offset_stops_the_samples)
{
    start_converged(1);
    vm.clock.tai = 36;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_samples, 21);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    vm.clock.tai = 37;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 38);
}
END_TEST

START_TEST(a_page_that_denies_the_bounds_of_the_one_before_is_counted)
{
    start_converged(1);
    vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.time_maxerror_ns = 500;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.host.contradictions, 0);
    vm.host.error_sec = 2e-6;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.host.contradictions, 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CONTRADICTION), 1);

    /* Steps that are too small for two neighbours to tell; the log is told now and then. */
    for (int i = 0; i < 50; i++) {
        vm.host.error_sec += 300e-9;
        virtual_run(&vm, 100 * VIRTUAL_MS);
    }
    ck_assert_uint_ge(vm.tracker.host.contradictions, 8);
    ck_assert_uint_lt(vm.tracker.host.contradictions, 16);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CONTRADICTION), 4); /* 1, 2, 4, 8 */
}
END_TEST

START_TEST(a_new_host_need_not_agree_with_the_old_ones_bounds)
{
    start_converged(1);
    vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.time_maxerror_ns = 500;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    virtual_migrate(&vm, 0.005, 20);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    virtual_disrupt_counter(&vm, 0.005, 20); /* and one whose formula comes late */
    virtual_write_marker(&vm);
    vm.update_page = false;
    vm.formula_at_ns = vm.now_ns + 500 * VIRTUAL_MS;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 2);
    ck_assert_uint_eq(vm.tracker.host.contradictions, 0);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: feeding", {a_clock_page_is_fed_at_the_sample_interval, 1},
    {a_starting_chronyd_is_put_right_within_two_seconds, 1},
    {a_starting_chronyd_is_put_right_under_another_clock_source, 1},
    {a_starting_chronyds_servers_are_not_boosted_where_the_offset_is_not_known, 1},
    {a_starting_chronyd_is_left_alone_where_that_is_configured, 1},
    {the_hosts_own_correction_is_followed_without_a_reset, 1},
    {the_hosts_own_correction_is_followed_also_soon_after_a_recovery, 1},
    {samples_whose_bound_is_over_max_error_are_withheld, 1},
    {a_counter_that_goes_backwards_between_cpus_is_not_used_until_a_disruption, 1},
    {without_a_bound_max_error_lets_no_sample_through, 1},
    {the_bound_of_a_free_running_clock_grows_until_max_error, 1},
    {a_kernel_that_knows_another_tai_offset_stops_the_samples, 1},
    {a_page_that_denies_the_bounds_of_the_one_before_is_counted, 1},
    {a_new_host_need_not_agree_with_the_old_ones_bounds, 1})
