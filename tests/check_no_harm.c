/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nothing that vmclockd does leaves chronyd worse off than without it: replies that never come,
 * slews that others end, help that takes longer, and what is known of a host or a chronyd that is
 * no longer there.
 */
#include <math.h>
#include <string.h>

#include "tests/suite.h"
#include "tests/tracker_fixture.h"

static void setup_marker_only(void)
{
    setup();
    start_marker_only();
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert(vm.tracker.client.known.synchronised);
}

/* --- replies that do not come ----------------------------------------------------------------- */

START_TEST(without_any_reply_there_are_two_resets_and_chronyd_synchronises_by_itself)
{
    setup_marker_only();
    vm.mute = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 2);
    ck_assert_uint_eq(vm.n_commands, 2);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_UNCONFIRMED);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_WATCHING);
    virtual_run(&vm, 3600 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.n_commands, 2);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_UNCONFIRMED), 1);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 0);
    ck_assert_uint_eq(vm.chronyd.refid, MODEL_NTP);
    ck_assert(vm.tracker.client.known.silent);
}
END_TEST

START_TEST(without_any_reply_samples_flow_within_four_seconds)
{
    setup();
    start_converged(5);
    vm.mute = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 4 * VIRTUAL_SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 190);
    ck_assert_uint_eq(vm.chronyd.n_resets, 2);
    ck_assert_uint_eq(vm.n_commands, 2);
    ck_assert_uint_eq(vm.chronyd.refid, config.refid);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
}
END_TEST

START_TEST(each_disruption_is_told_to_a_chronyd_that_does_not_reply)
{
    setup_marker_only();
    vm.mute = true;
    for (int i = 0; i < 5; i++) {
        virtual_migrate(&vm, 0.001, 1);
        virtual_run(&vm, 20 * VIRTUAL_SEC);
    }
    ck_assert_uint_eq(vm.chronyd.n_resets, 10);
    vm.mute = false; /* a reply is seen: all is as usual again */
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 10);
    virtual_migrate(&vm, 0.001, 1);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 11);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_SYNCHRONISED);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
}
END_TEST

/* TRACKING is answered, and says that the reference is gone. */
START_TEST(a_reset_without_a_reply_is_confirmed_by_what_it_did)
{
    setup();
    start_converged(5);
    vm.fates[0] = VIRTUAL_REPLY_LOST;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    ck_assert(vm.tracker.recoveries.recovery.reset_confirmed);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_SYNCHRONISED);
    assert_error_below(100e-9);
}
END_TEST

/* Its reply comes after it was given up. */
START_TEST(a_reset_whose_reply_is_late_is_confirmed_by_it)
{
    setup();
    start_converged(5);
    vm.fates[0] = VIRTUAL_LATE;
    vm.chronyd.refuses_tracking = true; /* nothing else can tell */
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_le(vm.chronyd.n_resets, 2);
    ck_assert(vm.tracker.recoveries.recovery.reset_confirmed);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
}
END_TEST

/* Of every command all replies are lost, while TRACKING is answered. */
START_TEST(no_command_is_repeated_for_want_of_a_reply)
{
    const bool marker_only = _i & 1;

    setup();
    config.recovery.step = (enum recovery_step_policy)(_i / 4);
    if (marker_only) {
        start_marker_only();
        model_chronyd_add_ntp(&vm.chronyd);
        virtual_run(&vm, 2 * VIRTUAL_SEC);
    } else {
        start_converged(5);
    }
    for (unsigned i = 0; i < VIRTUAL_LOG; i++)
        vm.fates[i] = _i & 2 ? VIRTUAL_COMMAND_LOST : VIRTUAL_REPLY_LOST;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 3600 * VIRTUAL_SEC);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_RESET_SOURCES), 2);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_DFREQ), 6);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_DOFFSET2), 6);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_MAKESTEP), 6);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 5);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_MODIFY_MINPOLL), 5);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_MODIFY_MAXPOLL), 5);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_BURST), 5);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.state, RECOVERY_IDLE);
    ck_assert(marker_only || vm.chronyd.refid == config.refid);
    ck_assert(!marker_only || vm.chronyd.refid == MODEL_NTP);
}
END_TEST

START_TEST(a_refused_reset_is_not_tried_for_more_than_ten_seconds)
{
    setup();
    start_converged(5);
    vm.chronyd.refuses_resets = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 600 * VIRTUAL_SEC);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_RESET_SOURCES), 8);
    ck_assert_uint_ge(vm.n_samples, 11900);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_UNCONFIRMED);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 1); /* the next start tries again */
}
END_TEST

/* --- slews ------------------------------------------------------------------------------------ */

/* However large it is; the least of these it slews by itself. */
START_TEST(a_start_that_may_not_step_leaves_chronyd_its_own_makestep)
{
    static const double errors[] = {60, 2, 1e-3};

    setup();
    config.recovery.step = (enum recovery_step_policy)(RECOVERY_STEP_FORWARD + _i % 2);
    virtual_init(&vm, 1);
    vm.clock.error_sec = errors[_i / 2];
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    assert_error_below(1e-3);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_LEFT_TO_CHRONYD), 1);
}
END_TEST

START_TEST(an_offset_that_would_take_hours_to_slew_is_left_to_chronyd)
{
    static const double offsets[] = {-3600, 3600, 5, -800e6};

    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    config.recovery.step_max_ns = INT64_C(36500) * 86400 * VIRTUAL_SEC;
    start_converged(5);
    virtual_migrate(&vm, 0.005, 10);
    vm.clock.error_sec = offsets[_i];
    virtual_run(&vm, VIRTUAL_SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 190);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_LEFT_TO_CHRONYD), 1);
}
END_TEST

START_TEST(a_slew_that_somebody_else_ends_is_not_waited_for)
{
    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    start_converged(5);
    virtual_migrate(&vm, -2, 10); /* half a minute of slewing */
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert(recovery_holds_samples(&vm.tracker.recoveries.recovery));
    vm.clock.slew_left_sec = vm.clock.error_sec = 0; /* chronyc makestep */
    virtual_run(&vm, 500 * VIRTUAL_MS);
    vm.n_samples = 0;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 18);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(a_slower_slew_is_not_measured_in_its_middle)
{
    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    start_converged(5);
    vm.clock.slew_rate = 1e-3; /* maxslewrate 1000 */
    virtual_migrate(&vm, 0.02, 10);
    virtual_run(&vm, 15 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 1);
    ck_assert(recovery_holds_samples(&vm.tracker.recoveries.recovery));
    virtual_run(&vm, 15 * VIRTUAL_SEC);
    assert_error_below(1e-6);
    ck_assert(!recovery_holds_samples(&vm.tracker.recoveries.recovery));
}
END_TEST

START_TEST(a_slew_that_does_not_end_holds_the_samples_for_a_minute)
{
    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    start_converged(5);
    vm.clock.slew_rate = 1e-6;
    virtual_migrate(&vm, 0.02, 10);
    virtual_run(&vm, 62 * VIRTUAL_SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_ge(vm.n_samples, 190);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 1);
}
END_TEST

/* --- help that takes longer ------------------------------------------------------------------- */

START_TEST(settings_are_kept_until_half_a_minute_after_the_first_reference)
{
    setup_marker_only();
    vm.chronyd.ntp_unreachable = true;
    virtual_migrate(&vm, 0.5, 60);
    virtual_run(&vm, 45 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.makestep_limit, 8);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    vm.chronyd.ntp_unreachable = false; /* the network is back */
    virtual_run(&vm, 15 * VIRTUAL_SEC);
    assert_error_below(1e-3); /* stepped, not slewed */
    ck_assert_uint_eq(vm.chronyd.refid, MODEL_NTP);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
}
END_TEST

START_TEST(settings_are_given_back_after_five_minutes_without_a_reference)
{
    setup_marker_only();
    vm.chronyd.ntp_unreachable = true;
    virtual_migrate(&vm, 0.5, 60);
    virtual_run(&vm, 298 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
}
END_TEST

START_TEST(measurements_are_asked_for_a_few_times_while_there_is_no_reference)
{
    config.recovery.n_servers = 0;
    setup_marker_only();
    config.recovery.n_servers = 0;
    tracker_reconfigure(&vm.tracker, &config);
    vm.chronyd.ntp_unreachable = true;
    virtual_migrate(&vm, 0.001, 10);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    vm.chronyd.ntp_unreachable = false; /* offline for 5 s */
    virtual_run(&vm, 6 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.refid, MODEL_NTP);
    virtual_run(&vm, 600 * VIRTUAL_SEC);
    /* At 0 and 8 s, and once more for the rate. */
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), 3);
    vm.chronyd.ntp_unreachable = true;
    virtual_migrate(&vm, 0.001, 10);
    virtual_run(&vm, 3600 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), 3 + 5);
}
END_TEST

START_TEST(a_step_by_the_servers_has_to_be_larger_than_their_delay)
{
    static const struct {
        double delay_sec, threshold_sec;
        int limit;
    } cases[] = {{1e-5, 1e-4, 8}, {1e-4, 1e-4, 8}, {0.04, 0.04, 3}, {5, 1, 3}, {-1, 1e-4, 8}};

    setup();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_marker_only();
        model_chronyd_add_ntp(&vm.chronyd);
        vm.chronyd.ntp_delay_sec = cases[i].delay_sec;
        virtual_run(&vm, 2 * VIRTUAL_SEC);
        vm.chronyd.ntp_unreachable = true;
        virtual_migrate(&vm, 0.005, 60);
        virtual_run(&vm, VIRTUAL_SEC);
        ck_assert_double_eq_tol(vm.chronyd.makestep_threshold_sec, cases[i].threshold_sec, 1e-8);
        ck_assert_int_eq(vm.chronyd.makestep_limit, cases[i].limit);
    }
    /* Another disruption, before there is a reference: what was known of the servers stays. */
    vm.tracker.client.known.root_delay_sec = 0.04;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_double_eq_tol(vm.chronyd.makestep_threshold_sec, 0.04, 1e-8);
    start_marker_only(); /* chronyd has followed none yet */
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_double_eq_tol(vm.chronyd.makestep_threshold_sec, 0.01, 1e-8);
}
END_TEST

START_TEST(a_makestep_that_chronyd_had_used_up_is_given_back_as_none)
{
    setup_marker_only();
    vm.chronyd.makestep_limit = 0;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 60 * VIRTUAL_SEC);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
    ck_assert_int_eq(vm.chronyd.makestep_limit, 0);
}
END_TEST

START_TEST(a_makestep_without_a_limit_is_given_back_without_one)
{
    setup_marker_only();
    config.recovery.makestep_limit = -1;
    tracker_reconfigure(&vm.tracker, &config);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 60 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.makestep_limit, -1);
}
END_TEST

/* --- what outlives what it was known of ------------------------------------------------------- */

START_TEST(the_old_hosts_jumps_do_not_delay_the_recovery_on_the_new_one)
{
    setup();
    start_converged(5);
    for (int i = 0; i < 30; i++) {
        vm.host.error_sec = i % 2 ? 0.002 : 0;
        virtual_write_formula(&vm);
        virtual_run(&vm, 100 * VIRTUAL_MS);
    }
    vm.host.error_sec = 0;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 50 * VIRTUAL_MS);
    assert_error_below(100e-9);
}
END_TEST

START_TEST(a_makestep_that_was_not_changed_is_not_given_back_after_a_crash)
{
    struct tracker_saved saved;

    setup();
    config.recovery.step = RECOVERY_STEP_NEVER;
    start_marker_only();
    vm.chronyd.makestep_limit = 0;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    saved = tracker_saved(&vm.tracker);
    ck_assert(saved.restore.polls && !saved.restore.makestep);
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 0);
    ck_assert_int_eq(vm.chronyd.makestep_limit, 0);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
}
END_TEST

START_TEST(another_chronyd_is_not_given_the_settings_of_the_one_before)
{
    struct tracker_saved saved;

    setup_marker_only();
    vm.chronyd.ntp_unreachable = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert(restore_is_pending(&vm.tracker.restore));
    saved = tracker_saved(&vm.tracker);
    virtual_chronyd_stop(&vm);
    if (_i == 1) /* vmclockd as well */
        virtual_start(&vm, &config, saved);
    virtual_chronyd_start(&vm);
    vm.n_commands = 0;
    vm.chronyd.makestep_limit = 2; /* one of its three updates has been */
    virtual_run(&vm, 400 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MINPOLL), 0);
    ck_assert_int_eq(vm.chronyd.makestep_limit, 2);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
}
END_TEST

/* Its socket is full now and then, and it has no reference. */
static void fail_a_sample(struct virtual_machine *v)
{
    v->chronyd.refid = 0;
    if (v->sample_sent && v->n_samples % 40 == 0)
        v->sample_error = 11;
}

START_TEST(samples_that_fail_are_not_the_start_of_a_chronyd)
{
    setup();
    start_converged(5);
    vm.noise_sec = 100e-9;
    vm.before_step = fail_a_sample;
    virtual_run(&vm, 600 * VIRTUAL_SEC);
    ck_assert_uint_ge(virtual_count_events(&vm, EVENT_SOCK_BACK), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RECOVERY), 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

static void fail_while_away(struct virtual_machine *v)
{
    if (v->sample_sent && (v->frozen || !v->chronyd.alive))
        v->sample_error = 11;
}

/* Stopped, or away and started: its samples fail until then. */
START_TEST(a_chronyd_that_was_reset_is_not_corrected_once_more_as_if_it_had_started)
{
    setup();
    start_converged(5);
    if (_i == 0)
        vm.frozen = true;
    else
        virtual_chronyd_stop(&vm);
    vm.before_step = fail_while_away;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    if (_i == 0)
        vm.frozen = false;
    else
        virtual_chronyd_start(&vm);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SOCK_BACK), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RECOVERY), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SYNCHRONISED), 1);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_MARKER);
    ck_assert_int_ne(vm.tracker.recoveries.recovery.reset_ns, 0);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
    assert_error_below(100e-9);
}
END_TEST

/* The directory of its socket was away. */
START_TEST(the_same_chronyd_is_given_its_settings_back_when_they_are_due)
{
    setup_marker_only();
    vm.chronyd.ntp_unreachable = true;
    virtual_migrate(&vm, 0.5, 60);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    vm.chronyd.connection_dead = true;
    vm.chronyd.alive = _i == 0; /* for a moment, or longer */
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    vm.chronyd.alive = true;
    virtual_run(&vm, 15 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    ck_assert_int_eq(vm.chronyd.makestep_limit, 8);
    vm.chronyd.ntp_unreachable = false;
    for (int sec = 0; vm.chronyd.refid == 0 && sec < 100; sec++)
        virtual_run(&vm, VIRTUAL_SEC);
    assert_error_below(1e-3); /* stepped, not slewed */
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
}
END_TEST

/* While a recovery still awaits chronyd's choice: it prefers a server. */
START_TEST(settings_are_given_back_a_few_times_to_a_chronyd_whose_replies_do_not_come)
{
    static const enum virtual_fate fates[] = {
        VIRTUAL_ANSWERED, VIRTUAL_LATE, VIRTUAL_REPLY_LOST, VIRTUAL_COMMAND_LOST};

    setup();
    config.correct_frequency = false;
    start_converged(5);
    vm.chronyd.prefers_ntp = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.state, RECOVERY_AWAIT_SYNC);
    for (unsigned i = 0; i < VIRTUAL_LOG; i++)
        vm.fates[i] = fates[_i];
    vm.n_commands = 0;
    virtual_run(&vm, 100 * VIRTUAL_SEC);
    ck_assert_uint_le(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), _i == 0 ? 1 : 3);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SETTINGS_RESTORED), _i < 2);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_PASSED_OVER), _i >= 2);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.outcome, RECOVERY_OUTCOME_UNSYNCHRONISED);
}
END_TEST

START_TEST(a_period_whose_formula_comes_late_is_waited_for)
{
    setup();
    start_converged(5);
    vm.host.page.time_type = VMCLOCK_TIME_MONOTONIC;
    virtual_run(&vm, 200 * VIRTUAL_MS);
    vm.n_commands = 0;
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 500 * VIRTUAL_MS;
    virtual_run(&vm, 490 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    virtual_run(&vm, 100 * VIRTUAL_MS);
    ck_assert_double_eq_tol((double)vm.clock.freq / 65536, -60, 0.1);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 1);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(a_period_whose_formula_comes_too_late_is_corrected_once_more)
{
    setup();
    start_converged(5);
    vm.host.page.time_type = VMCLOCK_TIME_MONOTONIC;
    virtual_run(&vm, 200 * VIRTUAL_MS);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 8 * VIRTUAL_SEC;
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_double_eq_tol((double)vm.clock.freq / 65536, -60, 0.1);
}
END_TEST

/* chronyd prefers a server, so that each recovery awaits its choice for a minute. */
START_TEST(a_host_that_corrects_itself_all_the_time_is_recovered_from_a_few_times)
{
    static const int64_t intervals_ns[] = {1100 * VIRTUAL_MS, 2 * VIRTUAL_SEC, 50 * VIRTUAL_SEC};

    setup();
    start_converged(5);
    vm.chronyd.prefers_ntp = true;
    for (int disruption = 0; disruption < 2; disruption++) {
        virtual_migrate(&vm, 0.005, 60);
        virtual_run(&vm, VIRTUAL_SEC / 2);
        vm.chronyd.n_resets = vm.n_commands = 0;
        for (int64_t ns = 0; ns < 600 * VIRTUAL_SEC; ns += intervals_ns[_i]) {
            vm.host.error_sec = vm.host.error_sec != 0 ? 0 : 1e-4;
            virtual_write_formula(&vm);
            virtual_run(&vm, intervals_ns[_i]);
        }
        ck_assert_uint_eq(vm.chronyd.n_resets, 3);
        ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), 3);
    }
}
END_TEST

/* Its CLOCK_MONOTONIC_RAW runs by another rate. */
START_TEST(the_rate_of_another_clock_source_is_not_taken_for_the_counters)
{
    double raw_ns_per_tick;

    setup();
    start_converged(5);
    raw_ns_per_tick = vm.clock.raw_ns_per_tick;
    vm.other_clock_source = true;
    virtual_run(&vm, 0);
    vm.clock.raw_ns_per_tick = (rint(ldexp(raw_ns_per_tick, 24)) + 130) / ldexp(1, 24);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    vm.clock.raw_ns_per_tick = raw_ns_per_tick;
    vm.other_clock_source = false;
    virtual_run(&vm, 20 * VIRTUAL_MS);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert_uint_ge(virtual_count_commands(&vm, CHRONY_DFREQ), 1);
    ck_assert_double_eq_tol(
        raw_ns_per_tick * 1e-9 * vm.clock.hz * (1 + (double)vm.clock.freq / 65536e6), 1, 1e-8);
    assert_error_below(100e-9);
}
END_TEST

START_TEST(a_chronyd_that_restarts_is_not_the_end_of_the_hosts_time)
{
    setup();
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 300 * VIRTUAL_MS);
    virtual_chronyd_stop(&vm);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 1200 * VIRTUAL_MS);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_HOST_LATE), 0);
    virtual_write_formula(&vm);
    vm.update_page = true;
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_MARKER);
    assert_error_below(100e-9);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1); /* though two were reset for it */
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 2);
}
END_TEST

/* Assumed to be done at first, which says nothing for sure. */
START_TEST(a_reset_that_is_confirmed_after_it_was_given_up_counts)
{
    setup();
    start_converged(5);
    vm.mute = true;
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_UNCONFIRMED), 1);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 0);
    vm.mute = false;
    virtual_answer(&vm, CHRONY_RESET_SOURCES, vm.commands[1].sequence);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_CONFIRMED), 1);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 1);
}
END_TEST

START_TEST(a_dry_run_stops_though_there_are_settings_to_give_back_and_keeps_them)
{
    struct tracker_saved saved = {.valid = true,
        .marker = 1,
        .confirmed_marker = 1,
        .restore = {.makestep = true, .makestep_limit = 3, .makestep_threshold_sec = 1}};
    struct observation stop = {.stop = true};

    setup();
    config.dry_run = true;
    virtual_init(&vm, 1);
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    stop.now_ns = vm.now_ns;
    tracker_step(&vm.tracker, &stop, &vm.orders);
    ck_assert(vm.orders.stopped);
    saved = tracker_saved(&vm.tracker);
    ck_assert(restore_is_pending(&saved.restore));
}
END_TEST

RUN_LOOPS("no harm", {without_any_reply_there_are_two_resets_and_chronyd_synchronises_by_itself, 1},
    {without_any_reply_samples_flow_within_four_seconds, 1},
    {each_disruption_is_told_to_a_chronyd_that_does_not_reply, 1},
    {a_reset_without_a_reply_is_confirmed_by_what_it_did, 1},
    {a_reset_whose_reply_is_late_is_confirmed_by_it, 1},
    {no_command_is_repeated_for_want_of_a_reply, 12},
    {a_refused_reset_is_not_tried_for_more_than_ten_seconds, 1},
    {a_start_that_may_not_step_leaves_chronyd_its_own_makestep, 6},
    {an_offset_that_would_take_hours_to_slew_is_left_to_chronyd, 4},
    {a_slew_that_somebody_else_ends_is_not_waited_for, 1},
    {a_slower_slew_is_not_measured_in_its_middle, 1},
    {a_slew_that_does_not_end_holds_the_samples_for_a_minute, 1},
    {settings_are_kept_until_half_a_minute_after_the_first_reference, 1},
    {settings_are_given_back_after_five_minutes_without_a_reference, 1},
    {measurements_are_asked_for_a_few_times_while_there_is_no_reference, 1},
    {a_step_by_the_servers_has_to_be_larger_than_their_delay, 1},
    {a_makestep_that_chronyd_had_used_up_is_given_back_as_none, 1},
    {a_makestep_without_a_limit_is_given_back_without_one, 1},
    {the_old_hosts_jumps_do_not_delay_the_recovery_on_the_new_one, 1},
    {a_makestep_that_was_not_changed_is_not_given_back_after_a_crash, 1},
    {another_chronyd_is_not_given_the_settings_of_the_one_before, 2},
    {samples_that_fail_are_not_the_start_of_a_chronyd, 1},
    {a_chronyd_that_was_reset_is_not_corrected_once_more_as_if_it_had_started, 2},
    {the_same_chronyd_is_given_its_settings_back_when_they_are_due, 2},
    {settings_are_given_back_a_few_times_to_a_chronyd_whose_replies_do_not_come, 4},
    {a_period_whose_formula_comes_late_is_waited_for, 1},
    {a_period_whose_formula_comes_too_late_is_corrected_once_more, 1},
    {a_host_that_corrects_itself_all_the_time_is_recovered_from_a_few_times, 3},
    {the_rate_of_another_clock_source_is_not_taken_for_the_counters, 1},
    {a_chronyd_that_restarts_is_not_the_end_of_the_hosts_time, 1},
    {a_reset_that_is_confirmed_after_it_was_given_up_counts, 1},
    {a_dry_run_stops_though_there_are_settings_to_give_back_and_keeps_them, 1})
