/* SPDX-License-Identifier: BSD-2-Clause */
/* The recovery's states against a chronyd that is away, another one, late or mute. */
#include <math.h>
#include <string.h>

#include "tests/suite.h"
#include "tests/tracker_fixture.h"

static const struct recovery *recovery(void)
{
    return &vm.tracker.recoveries.recovery;
}

/* --- the page of the new host ----------------------------------------------------------------- */

/* The host writes while the clock is measured for the first time. */
static void write_while_measuring(struct virtual_machine *v)
{
    static int64_t until_ns;

    if (v->tracker.recoveries.recovery.state < RECOVERY_OFFSET)
        until_ns = v->now_ns + 20 * VIRTUAL_MS;
    v->page_stuck = v->tracker.recoveries.recovery.state >= RECOVERY_OFFSET && v->now_ns < until_ns;
}

START_TEST(the_host_is_waited_for_since_chronyd_was_reset)
{
    setup();
    start_converged(5);
    vm.before_step = write_while_measuring;
    virtual_chronyd_stop(&vm);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 6 * VIRTUAL_SEC);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 200 * VIRTUAL_MS);
    ck_assert_uint_ge(virtual_count_commands(&vm, CHRONY_DOFFSET2), 1);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 0);
    assert_error_below(100e-9);
}
END_TEST

START_TEST(a_formula_that_comes_after_a_chronyd_that_was_away_is_waited_for)
{
    setup();
    start_converged(5);
    vm.update_page = false;
    virtual_chronyd_stop(&vm);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 6 * VIRTUAL_SEC;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 3200 * VIRTUAL_MS);
    ck_assert_int_eq(recovery()->cause, RECOVERY_CAUSE_MARKER);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_HOST_LATE), 0);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    assert_error_below(100e-9);
}
END_TEST

/* All that the old formula says is wrong by then. */
START_TEST(without_any_reply_the_new_hosts_formula_is_waited_for)
{
    setup();
    start_converged(5);
    vm.mute = true;
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 4900 * VIRTUAL_MS;
    vm.n_samples = vm.n_wrong_samples = 0;
    virtual_run(&vm, 4850 * VIRTUAL_MS);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_uint_eq(vm.chronyd.refid, 0);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 190);
    ck_assert_uint_eq(vm.n_wrong_samples, 0);
    ck_assert_uint_eq(vm.chronyd.n_resets, 2);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_UNCONFIRMED);
}
END_TEST

START_TEST(without_any_reply_a_formula_that_never_comes_is_not_waited_for)
{
    setup();
    start_converged(5);
    vm.mute = true;
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 5100 * VIRTUAL_MS);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_HOST_LATE), 1);
    vm.n_samples = 0;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 19);
    ck_assert_uint_eq(vm.chronyd.n_resets, 2);
    virtual_write_formula(&vm); /* what chronyd was told was of the old host */
    vm.update_page = true;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 4);
    ck_assert_uint_eq(vm.chronyd.refid, config.refid);
}
END_TEST

/* --- the reset -------------------------------------------------------------------------------- */

START_TEST(a_queued_reset_is_confirmed_by_what_it_did_for_the_second_disruption)
{
    setup();
    start_converged(5);
    vm.frozen = true;
    vm.fates[0] = VIRTUAL_REPLY_LOST;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 100 * VIRTUAL_MS);
    virtual_write_marker(&vm);
    virtual_run(&vm, 100 * VIRTUAL_MS);
    vm.frozen = false;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_SYNCHRONISED);
}
END_TEST

START_TEST(the_next_chronyd_has_all_the_tries)
{
    setup();
    start_converged(5);
    vm.chronyd.refuses_resets = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 4200 * VIRTUAL_MS);
    ck_assert_uint_ge(recovery()->failures, 5);
    ck_assert_int_eq(recovery()->state, RECOVERY_RESET);
    virtual_chronyd_stop(&vm);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_int_eq(recovery()->state, RECOVERY_RESET);
    virtual_chronyd_start(&vm);
    vm.n_commands = 0;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_RESET_SOURCES), 8);
}
END_TEST

/* The one before has read a reset and not answered it. */
START_TEST(the_next_chronyd_is_reset_twice_before_a_reset_is_taken_as_done)
{
    setup();
    start_converged(5);
    vm.fates[0] = VIRTUAL_COMMAND_LOST;
    virtual_migrate(&vm, 0.005, 60);
    while (recovery()->state != RECOVERY_CONFIRM || vm.n_replies == 0)
        virtual_run(&vm, VIRTUAL_MS / 100);
    ck_assert_uint_eq(recovery()->unanswered_resets, 1);
    vm.chronyd.connection_dead = true;
    virtual_run(&vm, VIRTUAL_MS);
    ck_assert_int_eq(recovery()->state, RECOVERY_RESET);
    vm.n_commands = vm.n_read = 0;
    vm.fates[0] = vm.fates[1] = VIRTUAL_COMMAND_LOST;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_RESET_SOURCES), 2);
}
END_TEST

/* The SOCK works, and the command socket is not to be had: in another place, or not allowed. */
static void lose_commands(struct virtual_machine *v)
{
    v->chronyd.connection_dead = true;
}

START_TEST(samples_flow_again_where_only_the_command_socket_cannot_be_reached)
{
    setup();
    start_converged(5);
    vm.before_step = lose_commands;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 95);
    vm.n_samples = 0;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 9 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 600 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 11900);
    ck_assert_uint_eq(vm.n_wrong_samples, 0);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_uint_eq(vm.chronyd.refid, config.refid);
    ck_assert_int_eq(recovery()->state, RECOVERY_RESET);
    assert_error_below(20e-6);
}
END_TEST

/* Nothing that chronyd measured before the reset is believed after it. */
START_TEST(a_command_socket_that_comes_back_gets_the_whole_recovery)
{
    setup();
    start_converged(5);
    vm.before_step = lose_commands;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 60 * VIRTUAL_SEC);
    ck_assert(!recovery_holds_samples(recovery()));
    vm.before_step = NULL;
    vm.chronyd.connection_dead = false;
    virtual_disrupt_counter(&vm, 0.005, 0);
    virtual_write_formula(&vm);
    vm.n_commands = vm.n_stray_samples = 0;
    virtual_run(&vm, 110 * VIRTUAL_MS);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_SYNCHRONISED);
    ck_assert_int_ge(recovery()->released_ns, recovery()->reset_ns);
    assert_error_below(100e-9);
}
END_TEST

/* --- a reply that is late --------------------------------------------------------------------- */

/* The reply to the last reset, now. */
static void reply_to_reset(void)
{
    unsigned i = vm.n_commands;

    while (vm.commands[--i].command.id != CHRONY_RESET_SOURCES)
        ;
    virtual_answer(&vm, CHRONY_RESET_SOURCES, vm.commands[i].sequence);
}

START_TEST(after_a_late_reply_a_mute_chronyd_is_asked_whether_it_is_synchronised)
{
    setup();
    start_converged(5);
    vm.mute = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 6 * VIRTUAL_SEC);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_UNCONFIRMED);
    ck_assert_uint_eq(vm.chronyd.refid, config.refid);
    vm.mute = false;
    reply_to_reset();
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_int_eq(recovery()->state, RECOVERY_IDLE);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_SYNCHRONISED);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SYNCHRONISED), 1);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
    ck_assert_uint_eq(vm.n_commands, 2);
}
END_TEST

START_TEST(a_late_reply_after_the_end_confirms_how_it_ended)
{
    setup();
    start_converged(5);
    vm.fates[0] = vm.fates[1] = VIRTUAL_REPLY_LOST;
    vm.chronyd.refuses_tracking = true; /* nothing else can tell */
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    vm.chronyd.refuses_tracking = false;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_UNCONFIRMED);
    ck_assert(recovery()->synchronised);
    reply_to_reset();
    virtual_run(&vm, 100 * VIRTUAL_MS);
    ck_assert_int_eq(recovery()->state, RECOVERY_IDLE);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_SYNCHRONISED);
}
END_TEST

START_TEST(a_late_reply_does_not_change_how_an_abandoned_recovery_ended)
{
    struct observation stop = {.stop = true};

    setup();
    start_converged(5);
    vm.fates[0] = vm.fates[1] = VIRTUAL_REPLY_LOST;
    vm.chronyd.refuses_tracking = true;
    virtual_migrate(&vm, 0.005, 60);
    while (recovery()->state != RECOVERY_AWAIT_SYNC)
        virtual_run(&vm, 10 * VIRTUAL_MS);
    stop.now_ns = vm.now_ns;
    tracker_step(&vm.tracker, &stop, &vm.orders);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_ABANDONED);
    reply_to_reset();
    virtual_run(&vm, 10 * VIRTUAL_MS);
    ck_assert(recovery()->reset_confirmed);
    ck_assert_int_eq(recovery()->outcome, RECOVERY_OUTCOME_ABANDONED);
}
END_TEST

/* --- slews ------------------------------------------------------------------------------------ */

/* Somebody puts the clock back whenever a slew is nearly over. */
static void put_back(struct virtual_machine *v)
{
    static bool slewing;

    slewing = slewing || fabs(v->clock.slew_left_sec) > 1;
    if (!slewing || v->clock.slew_left_sec == 0 || fabs(v->clock.slew_left_sec) > 2e-2)
        return;
    slewing = false;
    v->clock.error_sec += 3.9;
}

START_TEST(all_slews_of_a_recovery_hold_the_samples_for_a_minute)
{
    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    start_converged(5);
    virtual_migrate(&vm, 3.9, 10);
    vm.before_step = put_back;
    virtual_run(&vm, 58 * VIRTUAL_SEC);
    ck_assert_uint_ge(virtual_count_commands(&vm, CHRONY_DOFFSET2), 2);
    ck_assert(recovery_holds_samples(recovery()));
    virtual_run(&vm, 4 * VIRTUAL_SEC);
    ck_assert(!recovery_holds_samples(recovery()));
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_LEFT_TO_CHRONYD), 1);
}
END_TEST

START_TEST(a_start_that_may_not_step_says_nothing_of_what_a_sample_corrects)
{
    static const double errors[] = {100e-9, -900e-9};

    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    virtual_init(&vm, 1);
    vm.clock.error_sec = errors[_i];
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RECOVERY), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_LEFT_TO_CHRONYD), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    assert_error_below(100e-9);
}
END_TEST

RUN_LOOPS("recovery", {the_host_is_waited_for_since_chronyd_was_reset, 1},
    {a_formula_that_comes_after_a_chronyd_that_was_away_is_waited_for, 1},
    {without_any_reply_the_new_hosts_formula_is_waited_for, 1},
    {without_any_reply_a_formula_that_never_comes_is_not_waited_for, 1},
    {a_queued_reset_is_confirmed_by_what_it_did_for_the_second_disruption, 1},
    {the_next_chronyd_has_all_the_tries, 1},
    {the_next_chronyd_is_reset_twice_before_a_reset_is_taken_as_done, 1},
    {samples_flow_again_where_only_the_command_socket_cannot_be_reached, 1},
    {a_command_socket_that_comes_back_gets_the_whole_recovery, 1},
    {after_a_late_reply_a_mute_chronyd_is_asked_whether_it_is_synchronised, 1},
    {a_late_reply_after_the_end_confirms_how_it_ended, 1},
    {a_late_reply_does_not_change_how_an_abandoned_recovery_ended, 1},
    {all_slews_of_a_recovery_hold_the_samples_for_a_minute, 1},
    {a_start_that_may_not_step_says_nothing_of_what_a_sample_corrects, 2})
