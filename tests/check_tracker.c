/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracker in virtual time: when it is stepped, what a dry run leaves out, and what the page and
 * chronyd say beside the time. check_tracker_*.c have the rest of it, each by what it is about.
 */
#include "tests/tracker_fixture.h"

#include <math.h>

#include "tests/suite.h"

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
    vm.chronyd.refid = config.refid;
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

START_TEST(what_the_host_announces_is_said_as_it_changes)
{
    static const uint64_t flags[] = {VMCLOCK_FLAG_DISRUPTION_SOON,
        VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT, 0};

    start_converged(5);
    for (unsigned i = 0; i < 3; i++) {
        vm.host.page.flags = VMCLOCK_FLAG_TAI_OFFSET_VALID | flags[i];
        virtual_run(&vm, VIRTUAL_SEC);
        ck_assert_uint_eq(virtual_count_events(&vm, EVENT_MAINTENANCE), i + 1);
    }
    ck_assert_uint_eq(vm.chronyd.n_resets, 0);
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
    vm.host.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_UNKNOWN);
    virtual_migrate(&vm, 0.001, 1);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_MIGRATION);
    virtual_migrate(&vm, 0.001, 1);
    vm.host.page.vm_generation++;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_RESTORE);
    virtual_migrate(&vm, 0.001, 1);
    vm.host.page.flags &= ~(uint64_t)VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.host.disruption.kind, DISRUPTION_UNKNOWN);
    ck_assert_uint_eq(vm.chronyd.n_resets, 5);
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
    vm.chronyd.refid = 0x7f7f0101;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert(!vm.tracker.client.known.has_reference && !vm.tracker.client.known.synchronised);
    vm.chronyd.refid = 0xc0000201;
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert(vm.tracker.client.known.has_reference && !vm.tracker.client.known.synchronised);
    vm.chronyd.refid = config.refid;
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
    vm.chronyd.refid = 0xc0000201;
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

START_TEST(a_reload_without_own_servers_ends_the_questions)
{
    config.own_servers = (struct own_servers_config){.n = 1,
        .addresses = {{.bytes = {169, 254, 169, 123}, .family = 1}},
        .n_names = 1,
        .names = {{MODEL_OWN_NAME, 6, 10}}};
    virtual_init(&vm, 5);
    vm.chronyd.n_named = 1;
    virtual_start(&vm, &config, nothing_saved);
    while (vm.orders.command_id != CHRONY_SOURCE_DATA || !vm.orders.awaits_reply)
        virtual_run(&vm, 1000);
    config.own_servers = (struct own_servers_config){.n = 0};
    tracker_reconfigure(&vm.tracker, &config);
    virtual_run(&vm, VIRTUAL_SEC);
    vm.n_commands = 0;
    virtual_run(&vm, 30 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_N_SOURCES), 0);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker", {an_idle_tracker_is_stepped_only_when_something_is_due, 1},
    {at_long_intervals_chronyd_is_asked_once_a_second_and_samples_are_sent_when_due, 1},
    {a_reload_with_a_shorter_interval_does_not_wait_for_the_longer_one, 1},
    {a_dry_run_sends_nothing, 1}, {what_the_host_announces_is_said_as_it_changes, 1},
    {the_generation_tells_a_restore_from_a_migration, 1},
    {a_request_during_a_disruption_does_not_hide_it, 1},
    {another_reference_than_ours_is_a_reference_and_chronyds_own_clock_is_none, 1},
    {any_reference_will_do_for_a_marker_alone_and_none_is_said_after_a_minute, 1},
    {samples_flow_though_chronyd_does_not_answer_at_the_start, 1},
    {foreign_datagrams_are_said_once, 1}, {a_reload_without_own_servers_ends_the_questions, 1})
