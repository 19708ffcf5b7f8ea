/* SPDX-License-Identifier: BSD-2-Clause */
/* The tracker and its recovery in virtual time, against a model of chronyd, kernel and host. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/tracker_fixture.h"

/* --- feeding -------------------------------------------------------------------------------- */

START_TEST(a_clock_page_is_fed_at_the_sample_interval)
{
    start_converged(1);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 199);
    ck_assert_uint_le(vm.n_samples, 201);
    ck_assert_double_eq_tol(vm.last_sample_sec, -vm.error_sec, 20e-9);
    ck_assert_uint_eq(vm.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

START_TEST(an_idle_tracker_is_stepped_only_when_something_is_due)
{
    unsigned before;

    start_marker_only();
    before = vm.n_steps;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_steps - before, 22); /* a TRACKING and its reply each second */
}
END_TEST

START_TEST(at_long_intervals_chronyd_is_asked_once_a_second_and_samples_are_sent_when_due)
{
    setup();
    config.watch_interval_ns = 10 * VIRTUAL_SEC;
    config.sample_interval_ns = 3 * VIRTUAL_SEC;
    config.correct_at_start = false;
    virtual_init(&vm, 1);
    virtual_start(&vm, &config, nothing_saved);
    vm.refid = config.refid;
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    vm.n_steps = vm.n_samples = 0;
    virtual_run(&vm, 60 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 19);
    ck_assert_uint_le(vm.n_samples, 21);
    ck_assert_uint_ge(vm.n_steps, 120); /* a question and its reply each second */
    ck_assert_uint_le(vm.n_steps, 320);
}
END_TEST

START_TEST(a_reload_with_a_shorter_interval_does_not_wait_for_the_longer_one)
{
    setup();
    config.watch_interval_ns = 10 * VIRTUAL_MS;
    config.sample_interval_ns = 60 * VIRTUAL_SEC;
    virtual_init(&vm, 1);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 63 * VIRTUAL_SEC);
    vm.n_samples = 0;
    config.sample_interval_ns = 50 * VIRTUAL_MS;
    tracker_reconfigure(&vm.tracker, &config);
    vm.orders.wake_at_ns = 0;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 18);
}
END_TEST

START_TEST(a_starting_chronyd_is_put_right_within_two_seconds)
{
    virtual_init(&vm, 1);
    vm.error_sec = 0.005;
    vm.freq = 50L * 65536;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 1100 * VIRTUAL_MS);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.n_resets, 0);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 0);
}
END_TEST

START_TEST(a_starting_chronyd_is_put_right_in_phase_where_the_rate_is_not_known)
{
    virtual_init(&vm, 1);
    vm.error_sec = 0.3;
    vm.other_clock_source = true;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 1600 * VIRTUAL_MS);
    assert_error_below(1e-4);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
}
END_TEST

START_TEST(a_starting_chronyds_servers_are_not_boosted_where_the_offset_is_not_known)
{
    virtual_init(&vm, 1);
    vm.kernel_tai = 36;
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
    vm.host_error_sec = 0.002;
    virtual_run(&vm, 170 * VIRTUAL_MS);
    ck_assert_double_eq_tol(vm.last_sample_sec, 0.002, 1e-4);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

START_TEST(the_hosts_own_correction_is_followed_also_soon_after_a_recovery)
{
    start_converged(1);
    virtual_migrate(&vm, 0.005, 20);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    vm.host_error_sec = 0.002;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(samples_whose_bound_is_over_max_error_are_withheld)
{
    start_converged(1);
    config.max_error_ns = 1000;
    tracker_reconfigure(&vm.tracker, &config);
    vm.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.page.time_maxerror_ns = 2000;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_samples, 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    vm.page.time_maxerror_ns = 100;
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
    vm.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID; /* one of the two is none */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    vm.page.flags |= VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 98);
}
END_TEST

START_TEST(the_bound_of_a_free_running_clock_grows_until_max_error)
{
    config.max_error_ns = 10000;
    virtual_init(&vm, 1);
    vm.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.page.time_maxerror_ns = 1000;
    vm.page.period_maxerror = vm.page.period_frac_sec / 10000000; /* 0.1 ppm */
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_lt(vm.tracker.feeder.offset.bound_ns, 1200);
    vm.page.clock_status = VMCLOCK_STATUS_FREERUNNING;
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
    vm.counter_skew = 5000; /* the first reading is on a CPU that is ahead */
    virtual_run(&vm, 200 * VIRTUAL_MS);
    vm.n_samples = 0;
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    ck_assert_uint_eq(vm.n_resets, 0);

    virtual_migrate(&vm, 0.005, 20); /* the marker is watched all the same */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
    ck_assert_uint_ge(vm.n_samples, 80);
    assert_error_below(100e-9);
}
END_TEST

START_TEST(a_kernel_that_knows_another_tai_offset_stops_the_samples)
{
    start_converged(1);
    vm.kernel_tai = 36;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_samples, 21);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    vm.kernel_tai = 37;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 38);
}
END_TEST

START_TEST(a_page_that_denies_the_bounds_of_the_one_before_is_counted)
{
    start_converged(1);
    vm.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.page.time_maxerror_ns = 500;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.host.contradictions, 0);
    vm.host_error_sec = 2e-6;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.host.contradictions, 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CONTRADICTION), 1);

    /* Steps that are too small for two neighbours to tell; the log is told now and then. */
    for (int i = 0; i < 50; i++) {
        vm.host_error_sec += 300e-9;
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
    vm.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.page.time_maxerror_ns = 500;
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

/* --- the full recovery ---------------------------------------------------------------------- */

START_TEST(a_disruption_is_corrected_by_the_exact_sequence)
{
    start_converged(1);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 15 * VIRTUAL_MS);
    assert_error_below(50e-9);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    assert_error_below(100e-9);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_DFREQ, CHRONY_DOFFSET2, CHRONY_MAKESTEP,
        CHRONY_MAKESTEP, CHRONY_DOFFSET2, CHRONY_MAKESTEP, CHRONY_BURST);
    ck_assert_double_eq_tol(vm.commands[1].command.ppm, 60, 0.01);
    ck_assert_uint_eq(vm.n_resets, 1);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_SYNCHRONISED);
}
END_TEST

START_TEST(hours_of_offset_are_corrected_as_well)
{
    start_converged(7);
    virtual_migrate(&vm, -30 * 3600.0, -80);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    assert_error_below(1e-6); /* chronyd's numbers have 25 bits */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    assert_error_below(200e-9);
}
END_TEST

/* Each command's reply lost, the command itself lost, its reply late. */
START_TEST(a_lost_reply_is_followed_by_a_measurement_never_by_a_repetition)
{
    const unsigned position = (unsigned)_i / (VIRTUAL_N_FATES - 1);
    double told = 0;

    start_converged(3);
    vm.fates[position] = (enum virtual_fate)(1 + _i % (VIRTUAL_N_FATES - 1));
    virtual_migrate(&vm, _i % 2 ? -0.004 : 0.004, 50);
    virtual_run(&vm, 12 * VIRTUAL_SEC);
    assert_error_below(1e-6);
    for (unsigned i = 0; i < vm.n_commands; i++)
        if (vm.commands[i].command.id == CHRONY_DFREQ && vm.commands[i].executed_ns)
            told += vm.commands[i].command.ppm;
    ck_assert_double_eq_tol(told, 50, 0.01);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_SYNCHRONISED);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
    ck_assert_double_le(vm.largest_backward_step_sec, 0.0041);
}
END_TEST

START_TEST(an_offset_that_is_lost_twice_is_sent_a_third_time)
{
    config.recovery.step = (enum recovery_step_policy)_i;
    start_converged(3);
    vm.fates[2] = VIRTUAL_COMMAND_LOST;
    vm.fates[_i == RECOVERY_STEP_NEVER ? 3 : 4] = VIRTUAL_COMMAND_LOST;
    virtual_migrate(&vm, -0.3, 50);
    virtual_run(&vm, 30 * VIRTUAL_SEC);
    ck_assert_uint_ge(virtual_count_commands(&vm, CHRONY_DOFFSET2), 3);
    assert_error_below(1e-6);
    ck_assert_double_eq_tol(vm.tracker.recoveries.recovery.offset_sec, 0.3, 1e-3);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
}
END_TEST

START_TEST(a_chronyd_that_is_always_late_is_understood_in_the_end)
{
    start_converged(3);
    for (unsigned i = 0; i < VIRTUAL_LOG; i++)
        vm.fates[i] = VIRTUAL_LATE;
    virtual_migrate(&vm, 0.004, 50);
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    assert_error_below(1e-6);
    ck_assert_uint_le(vm.n_resets, 4);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
}
END_TEST

START_TEST(no_step_goes_back_where_only_forward_is_allowed)
{
    config.recovery.step = RECOVERY_STEP_FORWARD;
    start_converged((uint64_t)_i + 1);
    virtual_migrate(&vm, _i % 2 ? 0.003 : -0.003, 40);
    virtual_run(&vm, 8 * VIRTUAL_SEC);
    assert_error_below(1e-6);
    ck_assert_double_eq(vm.largest_backward_step_sec, 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 0);
    if (_i % 2)
        ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MAKESTEP), 0);
}
END_TEST

/* The step may have been made: what chronyd then knows to be left may go either way. */
START_TEST(a_lost_step_forward_is_not_followed_by_another)
{
    config.recovery.step = RECOVERY_STEP_FORWARD;
    start_converged((uint64_t)_i + 1);
    vm.fates[3] = _i % 2 ? VIRTUAL_REPLY_LOST : VIRTUAL_COMMAND_LOST;
    virtual_migrate(&vm, -0.2, 40);
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.commands[3].command.id, CHRONY_MAKESTEP);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MAKESTEP), 1);
    ck_assert_double_eq(vm.largest_backward_step_sec, 0);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(nothing_is_stepped_where_no_step_is_allowed)
{
    config.recovery.step = RECOVERY_STEP_NEVER;
    start_converged(5);
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    assert_error_below(1e-6);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MAKESTEP), 0);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
}
END_TEST

START_TEST(a_chronyd_without_the_commands_gets_the_next_best)
{
    start_converged(5);
    vm.has_no_dfreq = true;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_DFREQ, CHRONY_MODIFY_MAKESTEP, CHRONY_BURST,
        CHRONY_MODIFY_MAKESTEP);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_COMMAND_MISSING), 1);
    ck_assert_double_eq(vm.makestep_threshold, 1);
    virtual_migrate(&vm, 0.005, 40); /* it is not tried a second time, nor said */
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_COMMAND_MISSING), 1);
}
END_TEST

START_TEST(a_chronyd_that_does_not_say_its_frequency_gets_the_next_best)
{
    start_converged(5);
    vm.refuses_tracking = _i == 0;
    vm.frequency_lie_ppm = _i == 0 ? 0 : -2e5; /* more than can be */
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_BURST);
    ck_assert_double_eq_tol(vm.makestep_threshold, 1e-6, 1e-12);
}
END_TEST

START_TEST(the_frequency_is_asked_for_again_once_the_rate_is_known)
{
    int n;

    start_converged(5);
    vm.tracker.counter.rate.known = false;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 500 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    /* Its other sources are heard meanwhile, and after it was last asked. */
    for (n = 0; vm.n_commands == 1 && n < 200; n++) {
        vm.freq += 65536 / 2; /* half a ppm */
        virtual_run(&vm, 10 * VIRTUAL_MS);
    }
    ck_assert_double_eq_tol(vm.commands[1].command.ppm, 40 + 0.5 * n, 0.01);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(a_chronyd_that_cannot_step_is_not_asked_for_ever)
{
    start_converged(5);
    vm.cannot_step = true;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MAKESTEP), 1);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 1);
    ck_assert_uint_gt(vm.n_samples, 20);
}
END_TEST

START_TEST(an_offset_beyond_max_step_is_left_to_chronyd)
{
    config.recovery.step_max_ns = VIRTUAL_SEC;
    start_converged(5);
    virtual_migrate(&vm, 2, 40);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CORRECTION_REFUSED), 1);
    ck_assert_uint_gt(vm.n_samples, 10);
}
END_TEST

START_TEST(a_rate_beyond_max_rate_is_left_to_chronyd)
{
    config.recovery.rate_max_ppm = 20;
    start_converged(5);
    virtual_migrate(&vm, 0.001, 40);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CORRECTION_REFUSED), 1);
}
END_TEST

START_TEST(a_request_recovers_and_is_no_disruption)
{
    struct observation seen = {.request = true};

    start_converged(5);
    seen.now_ns = vm.now_ns;
    tracker_step(&vm.tracker, &seen, &vm.orders);
    ck_assert_int_eq(vm.orders.command_id, CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 0);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_REQUEST);
}
END_TEST

START_TEST(a_second_disruption_in_the_middle_starts_over)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 5 * VIRTUAL_MS + _i * INT64_C(100000));
    virtual_migrate(&vm, -0.003, -70);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 3);
}
END_TEST

START_TEST(a_chronyd_that_restarts_in_the_middle_is_recovered)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 5 * VIRTUAL_MS + _i * INT64_C(40000));
    virtual_chronyd_stop(&vm);
    virtual_run(&vm, 700 * VIRTUAL_MS);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 8 * VIRTUAL_SEC);
    assert_error_below(1e-6);
    ck_assert(vm.tracker.client.known.synchronised);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 2);
}
END_TEST

/* --- whose formula is it? ------------------------------------------------------------------- */

START_TEST(a_formula_that_comes_after_its_marker_is_waited_for)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 500 * VIRTUAL_MS;
    virtual_run(&vm, 400 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_run(&vm, 120 * VIRTUAL_MS);
    assert_error_below(50e-9);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(the_old_hosts_formula_rewritten_before_the_marker_is_not_believed)
{
    start_converged(5);
    vm.update_page = false;
    virtual_write_formula(&vm);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 700 * VIRTUAL_MS;
    virtual_run(&vm, 650 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_run(&vm, 70 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(the_old_hosts_formula_is_not_believed_for_a_reference_in_the_near_future)
{
    start_converged(5);
    vm.update_page = false;
    vm.now_ns += 200 * VIRTUAL_MS; /* written for then, by the clock of now */
    virtual_write_formula(&vm);
    vm.now_ns -= 200 * VIRTUAL_MS;
    virtual_run(&vm, 20 * VIRTUAL_MS);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 700 * VIRTUAL_MS;
    virtual_run(&vm, 650 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    virtual_run(&vm, 70 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

/* The old host's last rewrite, shown only after the marker. */
START_TEST(a_formula_from_before_the_marker_is_not_believed_for_being_shown_after_it)
{
    struct vmclock_page last;

    start_converged(5);
    vm.update_page = false;
    last = vm.page;
    virtual_run(&vm, 50 * VIRTUAL_MS);
    virtual_write_formula(&vm);
    last.counter_value = vm.page.counter_value;
    last.time_sec = vm.page.time_sec;
    last.time_frac_sec = vm.page.time_frac_sec;
    vm.page.counter_value -= 1000000; /* nobody has seen it */
    vm.page.time_frac_sec -= (uint64_t)ldexp(1000000 / vm.hz, 64);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 30 * VIRTUAL_MS);
    vm.page.counter_value = last.counter_value;
    vm.page.time_sec = last.time_sec;
    vm.page.time_frac_sec = last.time_frac_sec;
    vm.page.seq_count += 2;
    vm.formula_at_ns = vm.now_ns + 300 * VIRTUAL_MS;
    virtual_run(&vm, 290 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 1); /* before the marker */
    virtual_run(&vm, 30 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(a_formula_that_comes_before_its_marker_is_used_once_rewritten)
{
    start_converged(5);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_formula(&vm);
    virtual_run(&vm, 30 * VIRTUAL_MS);
    virtual_write_marker(&vm);
    virtual_run(&vm, 200 * VIRTUAL_MS);
    assert_error_below(50e-9);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(an_unreliable_page_is_waited_for)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 60);
    vm.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    virtual_run(&vm, VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_write_formula(&vm);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(a_page_that_turns_unreliable_before_the_marker_changes_nothing_of_that)
{
    start_converged(5);
    vm.update_page = false;
    vm.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    vm.page.seq_count += 2;
    virtual_run(&vm, 50 * VIRTUAL_MS);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED; /* the old host's formula once more */
    virtual_run(&vm, 100 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    vm.formula_at_ns = vm.now_ns;
    virtual_run(&vm, 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(a_page_that_never_comes_back_leaves_chronyd_to_its_servers)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 60);
    vm.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    virtual_run(&vm, 6 * VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_MODIFY_MINPOLL,
        CHRONY_MODIFY_MAXPOLL, CHRONY_BURST);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_RECOVERING);
    virtual_write_formula(&vm); /* late, but then it is used as if it had been in time */
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    assert_error_below(100e-9);
    ck_assert_int_eq(vm.minpoll, 6);
    ck_assert_int_eq(vm.maxpoll, 10);
    ck_assert_double_eq(vm.makestep_threshold, 1);
}
END_TEST

START_TEST(a_formula_that_is_never_rewritten_is_used_in_the_end)
{
    start_converged(5);
    vm.update_page = false;
    virtual_write_marker(&vm); /* the counter did not change: nothing differs */
    virtual_run(&vm, 8 * VIRTUAL_SEC);
    ck_assert_uint_gt(vm.n_samples, 20);
    assert_error_below(200e-9);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(a_formula_that_is_never_rewritten_is_used_by_the_rules_for_its_rate)
{
    config.correct_frequency = false;
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 8 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
}
END_TEST

START_TEST(a_formula_that_comes_later_than_that_recovers_once_more)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 8 * VIRTUAL_SEC;
    virtual_run(&vm, 8 * VIRTUAL_SEC + 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 2);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
}
END_TEST

START_TEST(a_counter_that_starts_again_from_zero_is_a_disruption_as_any_other)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    vm.counter_at_since = 1000;
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 300 * VIRTUAL_MS;
    virtual_run(&vm, 250 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    virtual_run(&vm, 70 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

/* Seen together with the next marker, the formula of the host in between passes for the new one. */
START_TEST(a_formula_of_a_host_in_between_is_corrected_when_the_new_one_comes)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 305 * VIRTUAL_MS);
    virtual_write_formula(&vm); /* late, and moved on before anybody looked */
    virtual_disrupt_counter(&vm, -0.003, -30);
    virtual_write_marker(&vm);
    virtual_run(&vm, 3 * VIRTUAL_SEC); /* it is over by then */
    vm.formula_at_ns = vm.now_ns;
    virtual_run(&vm, 30 * VIRTUAL_MS);
    assert_error_below(50e-9);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_FORMULA);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    vm.host_error_sec = 0.002; /* the new host's own correction is one again */
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 3);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 2);
}
END_TEST

/* --- less than a full page ------------------------------------------------------------------ */

START_TEST(a_marker_alone_brings_reset_rearm_boost_and_burst_and_all_is_put_back)
{
    start_marker_only();
    virtual_add_ntp(&vm);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_MODIFY_MINPOLL,
        CHRONY_MODIFY_MAXPOLL, CHRONY_BURST);
    ck_assert_int_eq(vm.minpoll, 0);
    ck_assert_int_eq(vm.maxpoll, 0);
    ck_assert_int_ge(vm.makestep_limit, 7); /* the server has been heard, maybe */
    ck_assert_double_eq_tol(vm.makestep_threshold, 1e-4, 1e-10);
    ck_assert(restore_is_pending(&vm.tracker.restore));
    virtual_run(&vm, 31 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.minpoll, 6);
    ck_assert_int_eq(vm.maxpoll, 10);
    ck_assert_double_eq(vm.makestep_threshold, 1);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert_uint_eq(vm.n_samples, 0);
}
END_TEST

START_TEST(makestep_is_not_rearmed_where_steps_are_restricted)
{
    config.recovery.step = RECOVERY_STEP_FORWARD;
    start_marker_only();
    virtual_add_ntp(&vm);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 0);
    ck_assert_int_eq(vm.minpoll, 6);
}
END_TEST

START_TEST(settings_are_put_back_at_the_end_and_after_a_crash)
{
    struct observation stop = {.stop = true};
    struct tracker_saved saved;

    start_marker_only();
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    saved = tracker_saved(&vm.tracker);
    ck_assert_int_eq(vm.minpoll, 0);
    if (_i == 2)
        config.recovery.n_servers = 0; /* the server has left the configuration meanwhile */
    if (_i != 1) {                     /* a crash, then the next start */
        virtual_start(&vm, &config, saved);
    } else {
        stop.now_ns = vm.now_ns;
        tracker_step(&vm.tracker, &stop, &vm.orders);
        ck_assert(!vm.orders.stopped);
        ck_assert_uint_gt(vm.orders.command_length, 0);
        memcpy(vm.queue[0].bytes, vm.orders.command, CHRONY_REQUEST_MAX);
        vm.queue[0].at_ns = vm.now_ns;
        vm.n_queued = 1;
    }
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.minpoll, 6);
    ck_assert_int_eq(vm.maxpoll, 10);
    ck_assert_double_eq(vm.makestep_threshold, 1);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert(_i != 1 || vm.orders.stopped);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(a_server_that_a_reload_brings_into_a_recovery_is_put_back_too)
{
    struct tracker_saved saved;

    start_marker_only();
    virtual_add_ntp(&vm);
    virtual_migrate(&vm, 0.005, 60);
    while (virtual_count_commands(&vm, CHRONY_MODIFY_MINPOLL) == 0)
        virtual_run(&vm, 1000);
    /* The reload comes between the server's two polls, and nothing before the reply. */
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAXPOLL), 0);
    config.recovery.servers[0].address.bytes[3] ^= 1;
    tracker_reconfigure(&vm.tracker, &config);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAXPOLL), 1);
    saved = tracker_saved(&vm.tracker);
    ck_assert(restore_is_pending(&saved.restore));
    ck_assert_uint_eq(saved.restore.n_servers, 2);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAXPOLL), 3);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
}
END_TEST

START_TEST(a_monotonic_page_gives_its_period_and_never_a_sample)
{
    start_converged(5);
    vm.page.time_type = VMCLOCK_TIME_MONOTONIC;
    virtual_add_ntp(&vm);
    virtual_run(&vm, 200 * VIRTUAL_MS);
    vm.n_samples = 0;
    virtual_migrate(&vm, 0, 60);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_DFREQ, CHRONY_MODIFY_MAKESTEP,
        CHRONY_MODIFY_MINPOLL, CHRONY_MODIFY_MAXPOLL, CHRONY_BURST, CHRONY_MODIFY_MAKESTEP,
        CHRONY_MODIFY_MINPOLL, CHRONY_MODIFY_MAXPOLL);
    ck_assert_uint_eq(vm.n_samples, 0);
}
END_TEST

START_TEST(a_period_that_chronyd_cannot_be_told_leaves_it_the_marker)
{
    start_converged(5);
    vm.page.time_type = VMCLOCK_TIME_MONOTONIC;
    virtual_add_ntp(&vm);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    vm.has_no_dfreq = true;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_double_eq_tol(vm.makestep_threshold, 1e-4, 1e-10);
    ck_assert_int_ge(vm.makestep_limit, 7);
    ck_assert_int_eq(vm.minpoll, 0);
}
END_TEST

START_TEST(a_period_that_is_not_good_to_1e_8_is_not_told_to_chronyd)
{
    start_converged(5);
    vm.page.flags |= VMCLOCK_FLAG_PERIOD_ESTERROR_VALID;
    vm.page.period_esterror = vm.page.period_frac_sec / 50000000;
    virtual_run(&vm, 200 * VIRTUAL_MS);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_BURST);
    ck_assert_uint_gt(vm.n_samples, 10);
}
END_TEST

/* --- never miss, never invent --------------------------------------------------------------- */

START_TEST(a_chronyd_that_is_away_gets_one_reset_for_the_newest_marker)
{
    start_converged(5);
    virtual_chronyd_stop(&vm);
    for (int i = 0; i < 5; i++) {
        virtual_migrate(&vm, 0.001, 10);
        virtual_run(&vm, 300 * VIRTUAL_MS);
    }
    ck_assert(vm.tracker.recoveries.pending);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 5);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 6);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(a_chronyd_that_was_away_for_minutes_has_its_minute_to_be_synchronised)
{
    start_converged(5);
    virtual_chronyd_stop(&vm);
    virtual_migrate(&vm, 0.001, 10);
    virtual_run(&vm, 150 * VIRTUAL_SEC);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_SYNCHRONISED);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_NOT_SYNCHRONISED), 0);
}
END_TEST

START_TEST(a_chronyd_that_is_frozen_gets_one_reset_when_it_wakes_up)
{
    start_converged(5);
    vm.frozen = true;
    for (int i = 0; i < 4; i++) {
        virtual_migrate(&vm, 0.001, 10);
        virtual_run(&vm, 2 * VIRTUAL_SEC);
    }
    vm.frozen = false;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 5);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CHRONYD_SILENT), 1);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(a_reset_that_stays_unconfirmed_is_said_once_and_its_end)
{
    start_converged(3);
    virtual_chronyd_stop(&vm);
    for (int i = 0; i < 12; i++) { /* another disruption is the same trouble */
        if (i % 3 == 0)
            virtual_migrate(&vm, 0.001, 1);
        virtual_run(&vm, VIRTUAL_SEC);
        ck_assert_uint_le(virtual_count_events(&vm, EVENT_RESET_LATE), i >= 9);
    }
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_LATE), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CHRONYD_AWAY), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_CONFIRMED), 0);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_CONFIRMED), 1);
    virtual_chronyd_stop(&vm);
    virtual_migrate(&vm, 0.001, 1);
    virtual_run(&vm, 13 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_LATE), 2); /* new trouble */
}
END_TEST

START_TEST(a_restart_without_a_disruption_resets_nothing)
{
    start_converged(5);
    virtual_start(&vm, &config, tracker_saved(&vm.tracker));
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

START_TEST(a_disruption_while_the_daemon_was_down_is_reset_at_its_start)
{
    struct tracker_saved saved;

    start_converged(5);
    saved = tracker_saved(&vm.tracker);
    virtual_migrate(&vm, 0.005, 60);
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_MARKER);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(a_crash_before_the_confirmation_resets_at_the_next_start)
{
    struct tracker_saved saved;

    start_converged(5);
    virtual_chronyd_stop(&vm);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    saved = tracker_saved(&vm.tracker);
    virtual_start(&vm, &config, saved);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
}
END_TEST

START_TEST(a_flapping_marker_brings_at_most_one_reset_a_watch_interval)
{
    start_converged(5);
    for (int i = 0; i < 3000; i++) {
        virtual_write_marker(&vm);
        virtual_run(&vm, VIRTUAL_MS);
    }
    ck_assert_uint_le(vm.n_resets, 301);
    ck_assert_uint_ge(vm.n_resets, 1);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_FEEDING);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.page.disruption_marker);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(a_page_that_the_host_never_finishes_yields_no_sample)
{
    start_converged(5);
    vm.page_stuck = true;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_le(vm.n_samples, 1);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_HOLDOVER);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_PAGE_BUSY), 1);
    vm.page_stuck = false;
    vm.page.seq_count += 2;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_gt(vm.n_samples, 15);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_PAGE_BACK), 1);
    ck_assert_uint_eq(vm.n_resets, 0);
}
END_TEST

START_TEST(a_device_that_goes_away_and_comes_back_with_another_marker_is_a_disruption)
{
    start_converged(5);
    vm.device_lost = true;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_PAGE_LOST), 1);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_HOLDOVER);
    virtual_migrate(&vm, 0.001, 10);
    vm.device_lost = false;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_resets, 1);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(what_the_flags_said_before_a_restart_is_no_news_after_it)
{
    struct tracker_saved saved;

    start_converged(5);
    vm.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT | VMCLOCK_FLAG_DISRUPTION_SOON |
                     VMCLOCK_FLAG_DISRUPTION_IMMINENT;
    vm.page.vm_generation = 7;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), 1);
    saved = tracker_saved(&vm.tracker);
    vm.n_events = 0;
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_GENERATION), 0);
    vm.page.flags &= ~(uint64_t)(VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT);
    vm.page.vm_generation++;
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_GENERATION), 1);
    ck_assert_uint_eq(vm.n_resets, 0);
}
END_TEST

START_TEST(a_new_generation_alone_is_no_disruption)
{
    start_converged(5);
    vm.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    virtual_run(&vm, VIRTUAL_SEC);
    vm.page.vm_generation++;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_GENERATION), 1);
    ck_assert_uint_eq(vm.n_resets, 0);
}
END_TEST

START_TEST(a_dry_run_sends_nothing)
{
    struct observation stop = {.stop = true};
    unsigned said = 0;

    config.dry_run = true;
    virtual_init(&vm, 1);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_WOULD_FEED), 1);
    virtual_run(&vm, VIRTUAL_SEC);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
    /* RESET_SOURCES, DFREQ, DOFFSET2, MAKESTEP twice, BURST; and nothing is said to come of it. */
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_WOULD_SEND), 6);
    ck_assert_double_eq_tol(fabs(vm.tracker.recoveries.recovery.offset_sec), 0.005, 1e-4);
    ck_assert_double_eq_tol(fabs(vm.tracker.recoveries.recovery.rate_ppm), 60, 0.1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.state, RECOVERY_IDLE);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_CONFIRMED), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CORRECTED), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SYNCHRONISED), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_WOULD_FEED), 2);
    ck_assert_uint_eq(tracker_saved(&vm.tracker).confirmed_marker, 1);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert_uint_gt(vm.tracker.feeder.pretended.samples, 20);

    stop.now_ns = vm.now_ns;
    tracker_step(&vm.tracker, &stop, &vm.orders);
    ck_assert(vm.orders.stopped);
    for (unsigned i = 0; i < vm.orders.n_events; i++)
        said += vm.orders.events[i].id == EVENT_WOULD_HAVE_FED;
    ck_assert_uint_eq(said, 1);
}
END_TEST

/* --- a broken host: vmclockd(8) has the policy ------------------------------------------------ */

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
    ck_assert_uint_ge(vm.n_resets, 3500);
    ck_assert_uint_le(vm.n_resets, 3600 + 20);
    ck_assert_uint_ge(vm.tracker.host.disruptions, 350000); /* one a look */
    virtual_run(&vm, 1500 * VIRTUAL_MS);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.page.disruption_marker);
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
    ck_assert_uint_eq(vm.n_resets, 100);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 100);
}
END_TEST

static void move_formula_back_and_forth(int i)
{
    vm.host_error_sec = i % 2 ? 0.001 : 0;
}

START_TEST(a_formula_that_jumps_back_and_forth_is_not_followed_for_long)
{
    start_converged(5);
    run_flapping(600 * VIRTUAL_SEC, 100 * VIRTUAL_MS, move_formula_back_and_forth);
    ck_assert_uint_le(vm.n_samples, 25);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SAMPLES_WITHHELD), 1);
    ck_assert_int_eq(vm.tracker.feeder.verdict, CLOCK_UNSTEADY);
    ck_assert_uint_lt(vm.n_events, 20);
    ck_assert_uint_eq(vm.n_resets, 0);
    vm.host_error_sec = 0;
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
    vm.host_error_sec -= 0.15;
}

START_TEST(time_that_runs_backwards_is_not_followed_for_long)
{
    start_converged(5);
    run_flapping(60 * VIRTUAL_SEC, 100 * VIRTUAL_MS, move_formula_back);
    ck_assert_uint_le(vm.n_samples, 25);
    ck_assert_uint_eq(vm.n_resets, 0);
    ck_assert_int_eq(vm.tracker.feeder.verdict, CLOCK_UNSTEADY);
}
END_TEST

START_TEST(time_that_is_set_back_once_is_followed)
{
    start_converged(5);
    vm.host_error_sec = -0.002;
    virtual_run(&vm, 170 * VIRTUAL_MS);
    ck_assert_double_eq_tol(vm.last_sample_sec, -0.002, 1e-4);
    ck_assert_uint_eq(vm.n_resets, 0);
}
END_TEST

static double wander;

/* The time is right, the period is not, and another one each time. */
static void wander_period(int i)
{
    (void)i;
    virtual_write_formula(&vm);
    vm.page.period_frac_sec += (uint64_t)(int64_t)((double)vm.page.period_frac_sec * wander *
                                                   (2 * virtual_random(&vm) - 1));
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
    vm.host_error_sec = i % 2 ? 300e-9 : 0;
}

START_TEST(bounds_that_are_violated_all_the_time_are_counted_and_said_now_and_then)
{
    start_converged(5);
    vm.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.page.time_maxerror_ns = 50;
    run_flapping(600 * VIRTUAL_SEC, 100 * VIRTUAL_MS, violate_bounds);
    ck_assert_uint_ge(vm.tracker.host.contradictions, 2900);
    ck_assert_uint_le(virtual_count_events(&vm, EVENT_CONTRADICTION), 14);
    ck_assert_uint_ge(vm.n_samples, 11900); /* the clock is good to what it says it is not */
    assert_error_below(1e-6);
}
END_TEST

static void flap_status(int i)
{
    vm.page.clock_status = i % 2 ? VMCLOCK_STATUS_UNRELIABLE : VMCLOCK_STATUS_SYNCHRONISED;
}

START_TEST(a_clock_status_that_flaps_is_said_once)
{
    start_converged(5);
    run_flapping(600 * VIRTUAL_SEC, 30 * VIRTUAL_MS, flap_status);
    vm.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    assert_said_once(EVENT_CLOCK_STATUS);
    ck_assert_uint_eq(vm.n_resets, 0);
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
        vm.host_error_sec = i % 2 ? 0.001 : 0;
        virtual_write_formula(&vm);
        virtual_run(&vm, 100 * VIRTUAL_MS);
    }
    ck_assert_uint_le(vm.n_resets, 12);
    vm.host_error_sec = 0;
    vm.update_page = true;
    virtual_run(&vm, 70 * VIRTUAL_SEC);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_FEEDING);
    assert_error_below(200e-9);
}
END_TEST

/* --- what the page and chronyd say beside ------------------------------------------------------
 */

START_TEST(what_the_host_announces_is_said_as_it_changes)
{
    static const uint64_t flags[] = {VMCLOCK_FLAG_DISRUPTION_SOON,
        VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT, 0};

    start_converged(5);
    for (unsigned i = 0; i < 3; i++) {
        vm.page.flags = VMCLOCK_FLAG_TAI_OFFSET_VALID | flags[i];
        virtual_run(&vm, VIRTUAL_SEC);
        ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), i + 1);
    }
    ck_assert_uint_eq(vm.n_resets, 0);
}
END_TEST

START_TEST(the_generation_tells_a_restore_from_a_migration)
{
    start_converged(5);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_UNKNOWN);
    virtual_migrate(&vm, 0.001, 1);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_UNKNOWN);
    virtual_migrate(&vm, 0.001, 1); /* the first that has one */
    vm.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_UNKNOWN);
    virtual_migrate(&vm, 0.001, 1);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_MIGRATION);
    virtual_migrate(&vm, 0.001, 1);
    vm.page.vm_generation++;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_RESTORE);
    virtual_migrate(&vm, 0.001, 1);
    vm.page.flags &= ~(uint64_t)VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_UNKNOWN);
    ck_assert_uint_eq(vm.n_resets, 5);
}
END_TEST

START_TEST(a_request_during_a_disruption_does_not_hide_it)
{
    struct observation seen = {.request = true};

    start_converged(5);
    virtual_chronyd_stop(&vm);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    seen.now_ns = vm.now_ns;
    tracker_step(&vm.tracker, &seen, &vm.orders);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_MARKER);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 2);
    assert_error_below(100e-9);
}
END_TEST

START_TEST(another_reference_than_ours_is_a_reference_and_chronyds_own_clock_is_none)
{
    start_converged(5);
    vm.page_stuck = true; /* so that no sample makes it ours */
    vm.refid = 0x7f7f0101;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert(!vm.tracker.client.known.has_reference && !vm.tracker.client.known.synchronised);
    vm.refid = 0xc0000201;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert(vm.tracker.client.known.has_reference && !vm.tracker.client.known.synchronised);
    vm.refid = config.refid;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert(vm.tracker.client.known.synchronised);
}
END_TEST

START_TEST(any_reference_will_do_for_a_marker_alone_and_none_is_said_after_a_minute)
{
    start_marker_only();
    virtual_migrate(&vm, 0, 0);
    virtual_run(&vm, 70 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_NOT_SYNCHRONISED), 1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_UNSYNCHRONISED);
    virtual_migrate(&vm, 0, 0);
    virtual_run(&vm, VIRTUAL_SEC);
    vm.refid = 0xc0000201;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_SYNCHRONISED);
}
END_TEST

START_TEST(samples_flow_though_chronyd_does_not_answer_at_the_start)
{
    virtual_init(&vm, 1);
    vm.frozen = true;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 900 * VIRTUAL_MS);
    ck_assert_uint_eq(vm.n_samples, 0); /* it might have to be corrected first */
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 15);
}
END_TEST

START_TEST(foreign_datagrams_are_said_once)
{
    static const uint8_t garbage[40] = {1, 2, 3};
    struct observation seen = {
        .chronyd = CHRONY_REPLY, .reply = garbage, .reply_length = sizeof(garbage)};
    unsigned said = 0;

    start_converged(5);
    for (int i = 0; i < 3; i++) {
        seen.now_ns = ++vm.now_ns;
        tracker_step(&vm.tracker, &seen, &vm.orders);
        for (unsigned k = 0; k < vm.orders.n_events; k++)
            said += vm.orders.events[k].id == EVENT_BAD_REPLY;
    }
    ck_assert_uint_eq(said, 1);
}
END_TEST

START_TEST(a_marker_that_flaps_is_no_hurry_for_a_slow_watch)
{
    config.watch_interval_ns = 2 * VIRTUAL_SEC;
    virtual_init(&vm, 5);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    run_flapping(60 * VIRTUAL_SEC, VIRTUAL_MS, flap_marker);
    ck_assert_uint_le(vm.n_resets, 31);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.page.disruption_marker);
    assert_error_below(100e-9);
}
END_TEST

static unsigned long n_disruptions; /* of the random tests, where they are not forked */

/* --- at random ------------------------------------------------------------------------------ */

/* A disruption of every kind, with losses, under every policy: it always ends well. */
START_TEST(random_disruptions_end_with_a_confirmed_reset_and_a_right_clock)
{
    const uint64_t seed = (uint64_t)_i + 1;
    unsigned migrations = 1;
    double jump, ppm;
    int host;

    virtual_init(&vm, seed);
    config.recovery.step = (enum recovery_step_policy)(virtual_random(&vm) * 3);
    start_converged(seed);
    virtual_random(&vm);
    for (unsigned i = 0; i < 12; i++)
        if (virtual_random(&vm) < 0.15)
            vm.fates[i] = (enum virtual_fate)(1 + virtual_random(&vm) * (VIRTUAL_N_FATES - 1));
    host = (int)(virtual_random(&vm) * 5);
    jump = (virtual_random(&vm) - 0.5) * (virtual_random(&vm) < 0.3 ? 4 : 0.02);
    ppm = (virtual_random(&vm) - 0.5) * 200;
    virtual_run(&vm, (int64_t)(virtual_random(&vm) * 100) * VIRTUAL_MS);
    vm.n_resets = 0;

    virtual_migrate(&vm, jump, ppm);
    if (host == 1) { /* marker first, formula later */
        vm.update_page = false;
        vm.page.counter_value -=
            (uint64_t)(jump * vm.hz); /* not the new one's: agrees with the old */
        vm.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
        vm.formula_at_ns = vm.now_ns + (int64_t)(virtual_random(&vm) * 3e9);
    } else if (host == 2) { /* one more in the middle */
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 20e6));
        virtual_migrate(&vm, -jump / 2, -ppm);
        migrations++;
    } else if (host == 3) { /* chronyd restarts in the middle */
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 20e6));
        virtual_chronyd_stop(&vm);
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 1e9));
        virtual_chronyd_start(&vm);
    } else if (host == 4) { /* chronyd is frozen for a while */
        vm.frozen = true;
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 3e9));
        vm.frozen = false;
    }
    virtual_run(&vm, 90 * VIRTUAL_SEC);

    /* Two that were read and lost: it goes on as if they had been done. */
    ck_assert(vm.n_resets >= 1 || vm.tracker.recoveries.recovery.reset_assumed);
    ck_assert_uint_ge(vm.tracker.host.disruptions, 1); /* two between two looks are one */
    ck_assert_uint_le(vm.tracker.host.disruptions, migrations);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 1 + migrations);
    n_disruptions += migrations;
    ck_assert(!vm.tracker.recoveries.pending);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert_double_eq(vm.makestep_threshold, 1);
    ck_assert_int_eq(vm.minpoll, 6);
    if (config.recovery.step != RECOVERY_STEP_ALWAYS)
        ck_assert_double_le(vm.largest_backward_step_sec, 1e-9);
    assert_error_below(1e-6);
    ck_assert(vm.tracker.client.known.synchronised);
}
END_TEST

/* One migration, with marker and formula in any order. */
static void migrate_by_a_host_of_any_kind(void)
{
    const double jump = (virtual_random(&vm) - 0.5) * 0.02;
    const double ppm = (virtual_random(&vm) - 0.5) * 100;
    const int64_t late_ns = (int64_t)(virtual_random(&vm) * 600e6);
    const int kind = (int)(virtual_random(&vm) * 6);

    vm.formula_at_ns = INT64_MAX; /* the host before will not write it any more */
    vm.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
    if (kind == 0) {
        virtual_migrate(&vm, jump, ppm);
        vm.update_page = true;
        return;
    }
    vm.update_page = false;
    if (kind == 1) /* formula, then marker */ {
        virtual_disrupt_counter(&vm, jump, ppm);
        virtual_write_formula(&vm);
        vm.update_page = true;
        virtual_run(&vm, late_ns / 10);
        virtual_write_marker(&vm);
        return;
    }
    if (kind == 2) /* the old host's last rewrite */
        virtual_write_formula(&vm);
    virtual_disrupt_counter(&vm, jump, ppm);
    if (kind == 3)
        vm.counter_at_since = 1000 * virtual_random(&vm);
    if (kind == 4)
        vm.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    if (kind == 5 && virtual_random(&vm) < 0.5) { /* unreliable, and then the old formula again */
        vm.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
        virtual_write_marker(&vm);
        virtual_run(&vm, late_ns / 2);
        vm.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
        vm.page.seq_count += 2;
    } else {
        virtual_write_marker(&vm);
    }
    vm.formula_at_ns = vm.now_ns + late_ns;
}

/* Several within a second; in the end the clock is right, whoever wrote what when. */
START_TEST(migrations_in_a_row_to_hosts_of_any_kind_end_with_a_right_clock)
{
    const unsigned n = 1 + (unsigned)_i % 5;

    start_converged((uint64_t)_i + 1);
    virtual_random(&vm);
    vm.n_resets = vm.n_wrong_samples = 0;
    for (unsigned i = 0; i < n; i++) {
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * (_i % 2 ? 30e6 : 400e6)));
        migrate_by_a_host_of_any_kind();
    }
    virtual_run(&vm, 15 * VIRTUAL_SEC);
    assert_error_below(200e-9);
    ck_assert_uint_ge(vm.n_resets, 1);
    ck_assert(!vm.tracker.recoveries.pending);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 1 + n);
    n_disruptions += n;
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    ck_assert(vm.tracker.client.known.synchronised);
    ck_assert(!vm.tracker.host.formula.late && !vm.tracker.host.formula.unproven);
    if (n == 1) /* with more, that of a host in between may pass for a while */
        ck_assert_uint_eq(vm.n_wrong_samples, 0);
}
END_TEST

int main(void)
{
    const char *first = getenv("RANDOM_FIRST");
    const int start = first ? (int)strtol(first, NULL, 10) : 0;
    const char *runs = getenv("RANDOM_RUNS");
    const int n_runs = runs ? (int)strtol(runs, NULL, 10) : 3000;
    Suite *suite = suite_create("tracker");
    TCase *feeding = tcase_create("feeding"), *full = tcase_create("full recovery"),
          *formula = tcase_create("whose formula"), *less = tcase_create("less than a full page"),
          *never = tcase_create("never miss, never invent"),
          *broken = tcase_create("a broken host"), *beside = tcase_create("what is said beside"),
          *random = tcase_create("random");
    TCase *cases[] = {feeding, full, formula, less, never, broken, beside, random};
    SRunner *runner = srunner_create(suite);
    int failed;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tcase_add_checked_fixture(cases[i], setup, NULL);
        tcase_set_timeout(cases[i], 60);
        suite_add_tcase(suite, cases[i]);
    }
    tcase_add_test(feeding, a_clock_page_is_fed_at_the_sample_interval);
    tcase_add_test(feeding, an_idle_tracker_is_stepped_only_when_something_is_due);
    tcase_add_test(
        feeding, at_long_intervals_chronyd_is_asked_once_a_second_and_samples_are_sent_when_due);
    tcase_add_test(feeding, a_reload_with_a_shorter_interval_does_not_wait_for_the_longer_one);
    tcase_add_test(feeding, a_starting_chronyd_is_put_right_within_two_seconds);
    tcase_add_test(feeding, a_starting_chronyd_is_put_right_in_phase_where_the_rate_is_not_known);
    tcase_add_test(
        feeding, a_starting_chronyds_servers_are_not_boosted_where_the_offset_is_not_known);
    tcase_add_test(feeding, a_starting_chronyd_is_left_alone_where_that_is_configured);
    tcase_add_test(feeding, the_hosts_own_correction_is_followed_without_a_reset);
    tcase_add_test(feeding, the_hosts_own_correction_is_followed_also_soon_after_a_recovery);
    tcase_add_test(feeding, samples_whose_bound_is_over_max_error_are_withheld);
    tcase_add_test(
        feeding, a_counter_that_goes_backwards_between_cpus_is_not_used_until_a_disruption);
    tcase_add_test(feeding, without_a_bound_max_error_lets_no_sample_through);
    tcase_add_test(feeding, the_bound_of_a_free_running_clock_grows_until_max_error);
    tcase_add_test(feeding, a_kernel_that_knows_another_tai_offset_stops_the_samples);
    tcase_add_test(feeding, a_page_that_denies_the_bounds_of_the_one_before_is_counted);
    tcase_add_test(feeding, a_new_host_need_not_agree_with_the_old_ones_bounds);

    tcase_add_test(full, a_disruption_is_corrected_by_the_exact_sequence);
    tcase_add_test(full, hours_of_offset_are_corrected_as_well);
    tcase_add_loop_test(
        full, a_lost_reply_is_followed_by_a_measurement_never_by_a_repetition, 0, 36);
    tcase_add_loop_test(full, an_offset_that_is_lost_twice_is_sent_a_third_time, 0, 3);
    tcase_add_test(full, a_chronyd_that_is_always_late_is_understood_in_the_end);
    tcase_add_loop_test(full, no_step_goes_back_where_only_forward_is_allowed, 0, 20);
    tcase_add_loop_test(full, a_lost_step_forward_is_not_followed_by_another, 0, 20);
    tcase_add_test(full, nothing_is_stepped_where_no_step_is_allowed);
    tcase_add_test(full, a_chronyd_without_the_commands_gets_the_next_best);
    tcase_add_loop_test(full, a_chronyd_that_does_not_say_its_frequency_gets_the_next_best, 0, 2);
    tcase_add_test(full, the_frequency_is_asked_for_again_once_the_rate_is_known);
    tcase_add_test(full, a_chronyd_that_cannot_step_is_not_asked_for_ever);
    tcase_add_test(full, an_offset_beyond_max_step_is_left_to_chronyd);
    tcase_add_test(full, a_rate_beyond_max_rate_is_left_to_chronyd);
    tcase_add_test(full, a_request_recovers_and_is_no_disruption);
    tcase_add_loop_test(full, a_second_disruption_in_the_middle_starts_over, 0, 100);
    tcase_add_loop_test(full, a_chronyd_that_restarts_in_the_middle_is_recovered, 0, 200);

    tcase_add_test(formula, a_formula_that_comes_after_its_marker_is_waited_for);
    tcase_add_test(formula, the_old_hosts_formula_rewritten_before_the_marker_is_not_believed);
    tcase_add_test(
        formula, the_old_hosts_formula_is_not_believed_for_a_reference_in_the_near_future);
    tcase_add_test(
        formula, a_formula_from_before_the_marker_is_not_believed_for_being_shown_after_it);
    tcase_add_test(formula, a_formula_that_comes_before_its_marker_is_used_once_rewritten);
    tcase_add_test(formula, an_unreliable_page_is_waited_for);
    tcase_add_test(formula, a_page_that_turns_unreliable_before_the_marker_changes_nothing_of_that);
    tcase_add_test(formula, a_page_that_never_comes_back_leaves_chronyd_to_its_servers);
    tcase_add_test(formula, a_formula_that_is_never_rewritten_is_used_in_the_end);
    tcase_add_test(formula, a_formula_that_is_never_rewritten_is_used_by_the_rules_for_its_rate);
    tcase_add_test(formula, a_formula_that_comes_later_than_that_recovers_once_more);
    tcase_add_test(formula, a_formula_of_a_host_in_between_is_corrected_when_the_new_one_comes);
    tcase_add_test(formula, a_counter_that_starts_again_from_zero_is_a_disruption_as_any_other);

    tcase_add_test(less, a_marker_alone_brings_reset_rearm_boost_and_burst_and_all_is_put_back);
    tcase_add_test(less, makestep_is_not_rearmed_where_steps_are_restricted);
    tcase_add_loop_test(less, settings_are_put_back_at_the_end_and_after_a_crash, 0, 3);
    tcase_add_test(less, a_server_that_a_reload_brings_into_a_recovery_is_put_back_too);
    tcase_add_test(less, a_monotonic_page_gives_its_period_and_never_a_sample);
    tcase_add_test(less, a_period_that_chronyd_cannot_be_told_leaves_it_the_marker);
    tcase_add_test(less, a_period_that_is_not_good_to_1e_8_is_not_told_to_chronyd);

    tcase_add_test(never, a_chronyd_that_is_away_gets_one_reset_for_the_newest_marker);
    tcase_add_test(never, a_chronyd_that_was_away_for_minutes_has_its_minute_to_be_synchronised);
    tcase_add_test(never, a_chronyd_that_is_frozen_gets_one_reset_when_it_wakes_up);
    tcase_add_test(never, a_reset_that_stays_unconfirmed_is_said_once_and_its_end);
    tcase_add_test(never, a_restart_without_a_disruption_resets_nothing);
    tcase_add_test(never, a_disruption_while_the_daemon_was_down_is_reset_at_its_start);
    tcase_add_test(never, a_crash_before_the_confirmation_resets_at_the_next_start);
    tcase_add_test(never, a_flapping_marker_brings_at_most_one_reset_a_watch_interval);
    tcase_add_test(never, a_page_that_the_host_never_finishes_yields_no_sample);
    tcase_add_test(
        never, a_device_that_goes_away_and_comes_back_with_another_marker_is_a_disruption);
    tcase_add_test(never, what_the_flags_said_before_a_restart_is_no_news_after_it);
    tcase_add_test(never, a_new_generation_alone_is_no_disruption);
    tcase_add_test(never, a_dry_run_sends_nothing);

    tcase_add_test(broken, a_marker_that_flaps_for_an_hour_is_said_once_and_slows_the_resets);
    tcase_add_test(broken, markers_in_a_row_that_leave_time_for_a_recovery_get_one_each);
    tcase_add_test(broken, a_formula_that_jumps_back_and_forth_is_not_followed_for_long);
    tcase_add_test(broken, time_that_runs_backwards_is_not_followed_for_long);
    tcase_add_test(broken, time_that_is_set_back_once_is_followed);
    tcase_add_test(broken, a_period_that_wanders_is_followed_by_a_ten_millionth_at_a_time);
    tcase_add_test(broken, bounds_that_are_violated_all_the_time_are_counted_and_said_now_and_then);
    tcase_add_test(broken, a_clock_status_that_flaps_is_said_once);
    tcase_add_test(broken, a_formula_that_jumps_during_a_recovery_is_no_storm_of_resets);

    tcase_add_test(broken, a_marker_that_flaps_is_no_hurry_for_a_slow_watch);

    tcase_add_test(beside, what_the_host_announces_is_said_as_it_changes);
    tcase_add_test(beside, the_generation_tells_a_restore_from_a_migration);
    tcase_add_test(beside, a_request_during_a_disruption_does_not_hide_it);
    tcase_add_test(
        beside, another_reference_than_ours_is_a_reference_and_chronyds_own_clock_is_none);
    tcase_add_test(
        beside, any_reference_will_do_for_a_marker_alone_and_none_is_said_after_a_minute);
    tcase_add_test(beside, samples_flow_though_chronyd_does_not_answer_at_the_start);
    tcase_add_test(beside, foreign_datagrams_are_said_once);

    tcase_add_loop_test(random, migrations_in_a_row_to_hosts_of_any_kind_end_with_a_right_clock,
        start, start + n_runs);
    tcase_add_loop_test(random, random_disruptions_end_with_a_confirmed_reset_and_a_right_clock,
        start, start + n_runs);

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (n_disruptions > 0)
        printf("%lu disruptions at random\n", n_disruptions);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
