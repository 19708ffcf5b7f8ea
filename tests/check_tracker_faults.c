/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chronyd, the device or vmclockd is away, or the host does not finish its page: the tracker in
 * virtual time. No disruption is missed, and none is invented.
 */
#include "tests/tracker_fixture.h"

#include "tests/suite.h"

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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
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
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
    ck_assert_uint_eq(vm.n_commands, 0);
}
END_TEST

/* Its recovery is made again, until it has an end. */
START_TEST(a_restart_before_a_reset_is_confirmed_counts_the_disruption_once)
{
    start_converged(5);
    virtual_chronyd_stop(&vm);
    virtual_migrate(&vm, 0.005, 10);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    for (int i = 0; i < 3; i++) {
        virtual_start(&vm, &config, tracker_saved(&vm.tracker));
        virtual_run(&vm, 2 * VIRTUAL_SEC);
        ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
        ck_assert_int_eq(vm.tracker.bound.status, BOUND_DISRUPTED);
    }
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_DISRUPTION), 1);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_RESET_CONFIRMED), 1);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.host.page.disruption_marker);
    assert_error_below(1e-6);
}
END_TEST

/* The replies are lost: chronyd may not have forgotten, and a restart does not change that. */
START_TEST(a_restart_does_not_make_an_unconfirmed_reset_a_confirmed_one)
{
    virtual_init(&vm, 1);
    virtual_marker_only(&vm);
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 200 * VIRTUAL_SEC + VIRTUAL_SEC / 2);
    vm.fates[vm.n_read] = vm.fates[vm.n_read + 1] = VIRTUAL_COMMAND_LOST;
    virtual_disrupt_counter(&vm, 0.2, 0);
    virtual_write_marker(&vm);
    virtual_run(&vm, 4 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.reason, BOUND_UNCONFIRMED);
    virtual_start(&vm, &config, tracker_saved(&vm.tracker));
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_DISRUPTED);
    ck_assert_int_eq(vm.tracker.bound.reason, BOUND_UNCONFIRMED);
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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(a_flapping_marker_brings_at_most_one_reset_a_watch_interval)
{
    start_converged(5);
    for (int i = 0; i < 3000; i++) {
        virtual_write_marker(&vm);
        virtual_run(&vm, VIRTUAL_MS);
    }
    ck_assert_uint_le(vm.chronyd.n_resets, 301);
    ck_assert_uint_ge(vm.chronyd.n_resets, 1);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_FEEDING);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, vm.host.page.disruption_marker);
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
    vm.host.page.seq_count += 2;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_gt(vm.n_samples, 15);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_PAGE_BACK), 1);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
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
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
    assert_error_below(1e-6);
}
END_TEST

START_TEST(what_the_flags_said_before_a_restart_is_no_news_after_it)
{
    struct tracker_saved saved;

    start_converged(5);
    vm.host.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT | VMCLOCK_FLAG_DISRUPTION_SOON |
                          VMCLOCK_FLAG_DISRUPTION_IMMINENT;
    vm.host.page.vm_generation = 7;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), 1);
    saved = tracker_saved(&vm.tracker);
    vm.n_events = 0;
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_GENERATION), 0);
    vm.host.page.flags &=
        ~(uint64_t)(VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT);
    vm.host.page.vm_generation++;
    virtual_start(&vm, &config, saved);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_GENERATION), 1);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
}
END_TEST

START_TEST(a_new_generation_alone_is_no_disruption)
{
    start_converged(5);
    vm.host.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    virtual_run(&vm, VIRTUAL_SEC);
    vm.host.page.vm_generation++;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_GENERATION), 1);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
}
END_TEST

/* At any phase of its polls. */
START_TEST(a_chronyd_that_was_stopped_is_reported_once)
{
    start_converged(5);
    virtual_run(&vm, 5 * VIRTUAL_SEC + 100 * VIRTUAL_MS * _i);
    vm.frozen = true;
    virtual_run(&vm, 1500 * VIRTUAL_MS);
    vm.frozen = false;
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CHRONYD_SILENT), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CHRONYD_BACK), 1);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: never miss, never invent",
    {a_chronyd_that_is_away_gets_one_reset_for_the_newest_marker, 1},
    {a_chronyd_that_was_away_for_minutes_has_its_minute_to_be_synchronised, 1},
    {a_chronyd_that_is_frozen_gets_one_reset_when_it_wakes_up, 1},
    {a_reset_that_stays_unconfirmed_is_said_once_and_its_end, 1},
    {a_restart_without_a_disruption_resets_nothing, 1},
    {a_restart_before_a_reset_is_confirmed_counts_the_disruption_once, 1},
    {a_restart_does_not_make_an_unconfirmed_reset_a_confirmed_one, 1},
    {a_disruption_while_the_daemon_was_down_is_reset_at_its_start, 1},
    {a_crash_before_the_confirmation_resets_at_the_next_start, 1},
    {a_flapping_marker_brings_at_most_one_reset_a_watch_interval, 1},
    {a_page_that_the_host_never_finishes_yields_no_sample, 1},
    {a_device_that_goes_away_and_comes_back_with_another_marker_is_a_disruption, 1},
    {what_the_flags_said_before_a_restart_is_no_news_after_it, 1},
    {a_new_generation_alone_is_no_disruption, 1}, {a_chronyd_that_was_stopped_is_reported_once, 10})
