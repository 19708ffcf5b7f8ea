/* SPDX-License-Identifier: BSD-2-Clause */
/* What is given back to chronyd, when, and to which one. */
#include "refclock/restore.h"

#include "tests/suite.h"

#define SECOND INT64_C(1000000000)
#define LATEST (300 * SECOND)

static const struct recovery_config config = {
    .makestep_limit = 3,
    .makestep_threshold_sec = 1,
    .n_servers = 2,
    .servers = {{{{192, 0, 2, 1}, 1}, 4, 6}, {{{192, 0, 2, 2}, 1}, 6, 10}},
};

static bool remember(struct restore *r, enum chrony_command_id changes, bool used, uint64_t chronyd)
{
    return restore_remember(r, &config, changes, used, chronyd, LATEST);
}

static void assert_next(struct restore *r, enum chrony_command_id id, int32_t value)
{
    struct chrony_command command;

    ck_assert(restore_next(r, &command));
    ck_assert_int_eq(command.id, id);
    ck_assert_int_eq(
        id == CHRONY_MODIFY_MAKESTEP ? command.makestep.limit : command.poll.log2_sec, value);
    restore_answered(r);
}

static void assert_end(const struct restore *r)
{
    struct chrony_command command;

    ck_assert(!restore_next(r, &command));
}

START_TEST(nothing_is_pending_before_a_change)
{
    const struct restore r = {.makestep = false};

    ck_assert(!restore_is_pending(&r));
}
END_TEST

START_TEST(what_was_changed_is_given_back_in_order_and_nothing_else)
{
    struct restore r = {.makestep = false};

    ck_assert(remember(&r, CHRONY_MODIFY_MINPOLL, false, 1));
    ck_assert(!remember(&r, CHRONY_MODIFY_MAXPOLL, false, 1)); /* the same servers */
    assert_next(&r, CHRONY_MODIFY_MINPOLL, 4);
    assert_next(&r, CHRONY_MODIFY_MAXPOLL, 6);
    assert_next(&r, CHRONY_MODIFY_MINPOLL, 6);
    assert_next(&r, CHRONY_MODIFY_MAXPOLL, 10);
    assert_end(&r);

    ck_assert(remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1));
    assert_next(&r, CHRONY_MODIFY_MAKESTEP, 3);
    assert_next(&r, CHRONY_MODIFY_MINPOLL, 4);
}
END_TEST

START_TEST(a_limit_that_was_used_up_is_given_back_as_0_also_after_a_second_change)
{
    struct restore r = {.makestep = false};

    remember(&r, CHRONY_MODIFY_MAKESTEP, true, 1);
    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1); /* not synchronised since */
    assert_next(&r, CHRONY_MODIFY_MAKESTEP, 0);
    assert_end(&r);
}
END_TEST

START_TEST(it_is_due_half_a_minute_after_the_first_reference_and_not_after_the_second)
{
    struct restore r = {.makestep = false};

    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1);
    ck_assert_int_eq(r.due_ns, LATEST);
    restore_referenced(&r, 45 * SECOND);
    restore_referenced(&r, 46 * SECOND);
    ck_assert_int_eq(r.due_ns, 75 * SECOND);
    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1); /* the next recovery */
    restore_referenced(&r, 290 * SECOND);
    ck_assert_int_eq(r.due_ns, LATEST);
}
END_TEST

START_TEST(another_chronyd_is_owed_nothing_and_one_that_is_not_known_may_be_the_same)
{
    struct restore r = {.makestep = false};

    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1);
    restore_meet(&r, 0);
    restore_meet(&r, 1);
    ck_assert(restore_is_pending(&r));
    restore_meet(&r, 2);
    ck_assert(!restore_is_pending(&r));
    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 0);
    restore_meet(&r, 2);
    ck_assert(restore_is_pending(&r));
}
END_TEST

START_TEST(a_setting_whose_reply_is_lost_three_times_is_passed_over)
{
    struct restore r = {.makestep = false};
    struct chrony_command command;

    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1);
    for (int i = 0; i < 3; i++) {
        ck_assert(restore_next(&r, &command));
        restore_unanswered(&r, i * SECOND);
        ck_assert_int_eq(r.due_ns, (i + 1) * SECOND);
        ck_assert_uint_eq(r.passed_over, i == 2);
    }
    assert_end(&r);
    restore_reconfigure(&r, &config); /* all of it is given back once more */
    ck_assert_uint_eq(r.passed_over, 0);
    assert_next(&r, CHRONY_MODIFY_MAKESTEP, 3);
}
END_TEST

START_TEST(a_new_configuration_is_what_is_given_back_at_once_where_it_forbids_steps)
{
    struct recovery_config other = config;
    struct restore r = {.makestep = false};

    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1);
    other.makestep_limit = -1;
    restore_reconfigure(&r, &other);
    ck_assert_int_eq(r.due_ns, LATEST);
    other.step = RECOVERY_STEP_FORWARD;
    restore_reconfigure(&r, &other);
    ck_assert_int_eq(r.due_ns, 0);
    assert_next(&r, CHRONY_MODIFY_MAKESTEP, -1);
}
END_TEST

START_TEST(servers_beyond_the_room_for_them_do_not_take_that_of_others)
{
    struct recovery_config full = {.n_servers = RECOVERY_SERVERS_MAX}, other;
    struct restore r = {.makestep = false};

    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++)
        full.servers[i] = (struct recovery_server){{{192, 0, 2, (uint8_t)i}, 1}, 4, 6};
    ck_assert(restore_remember(&r, &full, CHRONY_MODIFY_MINPOLL, false, 1, LATEST));
    other = full;
    other.servers[0].address.bytes[0] = 10; /* a reload, and then another recovery */
    other.servers[1].minpoll = 5;
    restore_remember(&r, &other, CHRONY_MODIFY_MINPOLL, false, 1, LATEST);
    ck_assert_uint_eq(r.n_servers, RECOVERY_SERVERS_MAX);
    ck_assert_mem_eq(&r.servers[0], &full.servers[0], sizeof(r.servers[0]));
    ck_assert_int_eq(r.servers[1].minpoll, 5);
}
END_TEST

START_TEST(a_server_that_cannot_be_remembered_is_not_changed)
{
    struct recovery_config full = {.n_servers = RECOVERY_SERVERS_MAX};
    struct restore r = {.makestep = false};

    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++)
        full.servers[i] = (struct recovery_server){{{10, 0, 0, (uint8_t)i}, 1}, 6, 10};
    restore_limit(&r, &full);
    ck_assert_uint_eq(full.n_servers, RECOVERY_SERVERS_MAX);
    restore_remember(&r, &full, CHRONY_MODIFY_MINPOLL, false, 1, LATEST);
    full.servers[3].address.bytes[3] = 99; /* a reload has another one */
    restore_reconfigure(&r, &full);
    restore_limit(&r, &full);
    ck_assert_uint_eq(full.n_servers, RECOVERY_SERVERS_MAX - 1);
    ck_assert_uint_eq(full.servers[3].address.bytes[3], 4);
}
END_TEST

START_TEST(a_makestep_that_is_remembered_is_better_than_a_guess)
{
    struct recovery_config guess = config;
    struct restore r = {.makestep = false}, saved;

    remember(&r, CHRONY_MODIFY_MAKESTEP, false, 1);
    saved = r;
    guess.makestep_limit = 7;
    guess.makestep_assumed = true;
    restore_reconfigure(&r, &guess);
    ck_assert_int_eq(r.makestep_limit, 3);
    restore_init(&r, &saved, &guess, 0);
    ck_assert_int_eq(r.makestep_limit, 3);
    restore_remember(&r, &guess, CHRONY_MODIFY_MAKESTEP, true, 1, LATEST);
    ck_assert_int_eq(r.makestep_limit, 0); /* used up */
    restore_done(&r);
    restore_remember(&r, &guess, CHRONY_MODIFY_MAKESTEP, false, 1, LATEST);
    ck_assert_int_eq(r.makestep_limit, 7);
}
END_TEST

RUN_SUITE("restore", nothing_is_pending_before_a_change,
    what_was_changed_is_given_back_in_order_and_nothing_else,
    a_limit_that_was_used_up_is_given_back_as_0_also_after_a_second_change,
    it_is_due_half_a_minute_after_the_first_reference_and_not_after_the_second,
    another_chronyd_is_owed_nothing_and_one_that_is_not_known_may_be_the_same,
    a_setting_whose_reply_is_lost_three_times_is_passed_over,
    a_new_configuration_is_what_is_given_back_at_once_where_it_forbids_steps,
    servers_beyond_the_room_for_them_do_not_take_that_of_others,
    a_server_that_cannot_be_remembered_is_not_changed,
    a_makestep_that_is_remembered_is_better_than_a_guess)
