/* SPDX-License-Identifier: BSD-2-Clause */
/* The recovery by a page that gives the time: the tracker in virtual time. */
#include "tests/tracker_fixture.h"

#include "tests/suite.h"

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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
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
    ck_assert_double_le(vm.clock.largest_backward_step_sec, 0.0041);
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
    ck_assert_uint_le(vm.chronyd.n_resets, 4);
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
    ck_assert_double_eq(vm.clock.largest_backward_step_sec, 0);
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
    ck_assert_double_eq(vm.clock.largest_backward_step_sec, 0);
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
    vm.chronyd.has_no_dfreq = true;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_DFREQ, CHRONY_MODIFY_MAKESTEP, CHRONY_BURST,
        CHRONY_MODIFY_MAKESTEP);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_COMMAND_MISSING), 1);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
    virtual_migrate(&vm, 0.005, 40); /* it is not tried a second time, nor said */
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_COMMAND_MISSING), 1);
}
END_TEST

START_TEST(a_chronyd_that_does_not_say_its_frequency_gets_the_next_best)
{
    start_converged(5);
    vm.chronyd.refuses_tracking = _i == 0;
    vm.chronyd.frequency_lie_ppm = _i == 0 ? 0 : -2e5; /* more than can be */
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
    ck_assert_uint_ge(virtual_count_commands(&vm, CHRONY_DOFFSET2), 1);
    assert_error_below(1e-4);
}
END_TEST

/* As right after the start, or the end of a suspend. */
START_TEST(the_offset_does_not_wait_for_a_rate_that_is_not_known_yet)
{
    start_converged(5);
    vm.tracker.counter.rate.known = false;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, 15 * VIRTUAL_MS);
    assert_error_below(1e-6);
    ck_assert_int_eq((int)vm.commands[1].command.id, CHRONY_DOFFSET2);
    virtual_run(&vm, 85 * VIRTUAL_MS);
    assert_error_below(100e-9);
    virtual_run(&vm, 4 * VIRTUAL_SEC);
    assert_error_below(50e-9);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_DFREQ), 5);
    ck_assert_double_eq_tol(vm.tracker.recoveries.recovery.rate_ppm, 40, 0.02);
    ck_assert_double_eq_tol(vm.tracker.recoveries.recovery.offset_sec, -0.005, 5e-6);
}
END_TEST

/* Its other sources are heard meanwhile, and after it was last asked. */
START_TEST(the_frequency_is_asked_for_again_before_each_refinement)
{
    start_converged(5);
    vm.tracker.counter.rate.known = false;
    virtual_migrate(&vm, 0.005, 40);
    for (int n = 0; n < 30; n++) {
        virtual_run(&vm, 10 * VIRTUAL_MS);
        vm.clock.freq += 65536 / 2; /* half a ppm */
    }
    virtual_run(&vm, 900 * VIRTUAL_MS);
    assert_error_below(100e-9);
    ck_assert_double_eq_tol(
        vm.clock.raw_ns_per_tick * 1e-9 * vm.clock.hz * (1 + (double)vm.clock.freq / 65536e6), 1,
        2e-8);
}
END_TEST

START_TEST(a_chronyd_that_cannot_step_is_not_asked_for_ever)
{
    start_converged(5);
    vm.chronyd.cannot_step = true;
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

START_TEST(a_rate_whose_command_was_lost_is_counted_once)
{
    start_converged(5);
    vm.fates[0] = VIRTUAL_ANSWERED; /* the reset */
    vm.fates[1] = VIRTUAL_COMMAND_LOST;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 2);
    ck_assert_double_eq_tol(fabs(vm.tracker.recoveries.recovery.rate_ppm), 60, 1);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: full recovery",
    {a_disruption_is_corrected_by_the_exact_sequence, 1},
    {hours_of_offset_are_corrected_as_well, 1},
    {a_lost_reply_is_followed_by_a_measurement_never_by_a_repetition, 36},
    {an_offset_that_is_lost_twice_is_sent_a_third_time, 3},
    {a_chronyd_that_is_always_late_is_understood_in_the_end, 1},
    {no_step_goes_back_where_only_forward_is_allowed, 20},
    {a_lost_step_forward_is_not_followed_by_another, 20},
    {nothing_is_stepped_where_no_step_is_allowed, 1},
    {a_chronyd_without_the_commands_gets_the_next_best, 1},
    {a_chronyd_that_does_not_say_its_frequency_gets_the_next_best, 2},
    {the_offset_does_not_wait_for_a_rate_that_is_not_known_yet, 1},
    {the_frequency_is_asked_for_again_before_each_refinement, 1},
    {a_chronyd_that_cannot_step_is_not_asked_for_ever, 1},
    {an_offset_beyond_max_step_is_left_to_chronyd, 1},
    {a_rate_beyond_max_rate_is_left_to_chronyd, 1}, {a_request_recovers_and_is_no_disruption, 1},
    {a_second_disruption_in_the_middle_starts_over, 100},
    {a_chronyd_that_restarts_in_the_middle_is_recovered, 200},
    {a_rate_whose_command_was_lost_is_counted_once, 1})
