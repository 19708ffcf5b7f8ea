/* SPDX-License-Identifier: BSD-2-Clause */
/* The recovery by a marker alone, or by a period: the tracker in virtual time. */
#include "tests/tracker_fixture.h"

#include <string.h>

#include "tests/suite.h"

START_TEST(a_marker_alone_brings_reset_rearm_boost_and_burst_and_all_is_put_back)
{
    start_marker_only();
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_MODIFY_MINPOLL,
        CHRONY_MODIFY_MAXPOLL, CHRONY_BURST);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    ck_assert_int_eq(vm.chronyd.servers[0].maxpoll, 0);
    ck_assert_int_ge(vm.chronyd.makestep_limit, 7); /* the server has been heard, maybe */
    ck_assert_double_eq_tol(vm.chronyd.makestep_threshold_sec, 1e-4, 1e-10);
    ck_assert(restore_is_pending(&vm.tracker.restore));
    virtual_run(&vm, 31 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    ck_assert_int_eq(vm.chronyd.servers[0].maxpoll, 10);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert_uint_eq(vm.n_samples, 0);
}
END_TEST

START_TEST(bursts_are_repeated_until_chronyd_knows_the_rate)
{
    config.recovery.n_servers = 0;
    start_marker_only();
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    for (int i = 0; i < 2; i++) {
        const unsigned bursts[] = {3, 5}; /* at 0, 8 and 24 s, or as often as it is allowed */

        vm.chronyd.ntp_skew_ppm = i ? 1e9 : 100;
        vm.n_commands = 0;
        virtual_migrate(&vm, 0.005, 60);
        virtual_run(&vm, 600 * VIRTUAL_SEC);
        ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_BURST), bursts[i]);
    }
}
END_TEST

/* It has measured the rate, and takes what it measured for noise. */
START_TEST(the_rate_that_chronyd_does_not_believe_is_sent_once_for_each_update)
{
    config.recovery.n_servers = 0;
    config.correct_frequency = _i != 1;
    start_marker_only();
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
    vm.chronyd.ntp_residual_ppm = 50;
    vm.chronyd.has_no_dfreq = _i == 2;
    virtual_migrate(&vm, 0.005, 50);
    virtual_run(&vm, 600 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), _i != 1);
    ck_assert_double_eq_tol((double)vm.clock.freq / 65536, _i == 0 ? -50 : 0, 0.1);
}
END_TEST

START_TEST(makestep_is_not_rearmed_where_steps_are_restricted)
{
    config.recovery.step = RECOVERY_STEP_FORWARD;
    start_marker_only();
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_MODIFY_MAKESTEP), 0);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
}
END_TEST

START_TEST(a_boost_polls_no_slower_than_the_servers_own)
{
    config.recovery.servers[0].minpoll = -4;
    config.recovery.servers[0].maxpoll = -2;
    virtual_init(&vm, 1);
    virtual_marker_only(&vm);
    model_chronyd_add_ntp(&vm.chronyd);
    vm.chronyd.servers[0].minpoll = -4;
    vm.chronyd.servers[0].maxpoll = -2;
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    virtual_disrupt_counter(&vm, 0.005, 0);
    virtual_write_marker(&vm);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_gt(vm.n_commands, 3);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, -4);
    ck_assert_int_eq(vm.chronyd.servers[0].maxpoll, -2);
}
END_TEST

static void take_servers(struct tracker_config *c, uint8_t net)
{
    c->recovery.n_servers = RECOVERY_SERVERS_MAX;
    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++)
        c->recovery.servers[i] =
            (struct recovery_server){{{192, 0, net, (uint8_t)(i + 1)}, 1}, 4, 6};
}

static unsigned count_boosted(uint8_t net)
{
    unsigned n = 0;

    for (unsigned i = 0; i < vm.n_commands; i++) {
        const struct chrony_command *command = &vm.commands[i].command;

        n += command->id == CHRONY_MODIFY_MINPOLL && command->poll.log2_sec == 0 &&
             command->poll.address.bytes[2] == net;
    }
    return n;
}

/* There is no room to remember two configurations' servers: those of the second wait. */
START_TEST(servers_that_could_not_be_boosted_in_one_recovery_are_in_the_next)
{
    struct tracker_config other;

    take_servers(&config, 2);
    virtual_init(&vm, 1);
    virtual_marker_only(&vm);
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    virtual_disrupt_counter(&vm, 0.005, 0);
    virtual_write_marker(&vm);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(count_boosted(2), RECOVERY_SERVERS_MAX);
    other = config;
    take_servers(&other, 3);
    tracker_reconfigure(&vm.tracker, &other);
    for (int i = 0; i < 2; i++) {
        virtual_disrupt_counter(&vm, 0.005, 0);
        virtual_write_marker(&vm);
        virtual_run(&vm, 20 * VIRTUAL_SEC);
        ck_assert_uint_eq(count_boosted(3), i ? RECOVERY_SERVERS_MAX : 0);
        virtual_run(&vm, 600 * VIRTUAL_SEC);
        ck_assert(!restore_is_pending(&vm.tracker.restore));
    }
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
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
    if (_i == 2)
        config.recovery.n_servers = 0; /* the server has left the configuration meanwhile */
    if (_i != 1) {                     /* a crash, then the next start */
        virtual_start(&vm, &config, saved);
    } else {
        stop.now_ns = vm.now_ns;
        tracker_step(&vm.tracker, &stop, &vm.orders);
        ck_assert(!vm.orders.stopped);
        ck_assert_uint_gt(vm.orders.command_length, 0);
        ck_assert_int_eq(model_chronyd_send(&vm.chronyd, vm.orders.command, vm.now_ns), MODEL_SENT);
    }
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    ck_assert_int_eq(vm.chronyd.servers[0].maxpoll, 10);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert(_i != 1 || vm.orders.stopped);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(a_server_that_a_reload_brings_into_a_recovery_is_put_back_too)
{
    struct tracker_saved saved;

    start_marker_only();
    model_chronyd_add_ntp(&vm.chronyd);
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
    vm.host.page.time_type = VMCLOCK_TIME_MONOTONIC;
    model_chronyd_add_ntp(&vm.chronyd);
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

START_TEST(a_rate_that_is_corrected_by_a_period_is_reported)
{
    start_converged(5);
    vm.host.page.time_type = VMCLOCK_TIME_MONOTONIC;
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    virtual_migrate(&vm, 0, 60);
    virtual_run(&vm, 10 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 1);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_CORRECTED), 1);
    ck_assert(isnan(vm.tracker.recoveries.recovery.remaining_sec));
}
END_TEST

START_TEST(a_period_that_chronyd_cannot_be_told_leaves_it_the_marker)
{
    start_converged(5);
    vm.host.page.time_type = VMCLOCK_TIME_MONOTONIC;
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    vm.chronyd.has_no_dfreq = true;
    virtual_migrate(&vm, 0.005, 40);
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_double_eq_tol(vm.chronyd.makestep_threshold_sec, 1e-4, 1e-10);
    ck_assert_int_ge(vm.chronyd.makestep_limit, 7);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 0);
}
END_TEST

START_TEST(a_period_that_is_not_good_to_1e_8_is_not_told_to_chronyd)
{
    start_converged(5);
    vm.host.page.flags |= VMCLOCK_FLAG_PERIOD_ESTERROR_VALID;
    vm.host.page.period_esterror = vm.host.page.period_frac_sec / 50000000;
    virtual_run(&vm, 200 * VIRTUAL_MS);
    virtual_migrate(&vm, 0.005, 60);
    virtual_run(&vm, VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_BURST);
    ck_assert_uint_gt(vm.n_samples, 10);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: less than a full page",
    {a_marker_alone_brings_reset_rearm_boost_and_burst_and_all_is_put_back, 1},
    {bursts_are_repeated_until_chronyd_knows_the_rate, 1},
    {the_rate_that_chronyd_does_not_believe_is_sent_once_for_each_update, 3},
    {makestep_is_not_rearmed_where_steps_are_restricted, 1},
    {a_boost_polls_no_slower_than_the_servers_own, 1},
    {servers_that_could_not_be_boosted_in_one_recovery_are_in_the_next, 1},
    {settings_are_put_back_at_the_end_and_after_a_crash, 3},
    {a_server_that_a_reload_brings_into_a_recovery_is_put_back_too, 1},
    {a_monotonic_page_gives_its_period_and_never_a_sample, 1},
    {a_period_that_chronyd_cannot_be_told_leaves_it_the_marker, 1},
    {a_period_that_is_not_good_to_1e_8_is_not_told_to_chronyd, 1},
    {a_rate_that_is_corrected_by_a_period_is_reported, 1})
