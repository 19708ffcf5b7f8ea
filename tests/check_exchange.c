/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/exchange.h"

#include "tests/chrony_reply.h"
#include "tests/suite.h"

#define MS INT64_C(1000000)

static uint8_t request[CHRONY_REQUEST_MAX];
static struct exchange exchange;

static void begin(enum chrony_command_id id)
{
    const struct chrony_command command = {.id = id};

    exchange_begin(&exchange, EXCHANGE_POLL, &command, 0, request);
}

START_TEST(a_reply_must_be_of_this_command_and_sequence)
{
    uint8_t reply[CHRONY_REQUEST_MAX];

    begin(CHRONY_RESET_SOURCES);
    chrony_reply_make(request, 2, reply);
    ck_assert_int_eq(exchange_receive(&exchange, reply, 28), EXCHANGE_REPLIED);
    ck_assert_uint_eq(exchange.reply.status, CHRONY_UNAUTHORISED);

    for (size_t length = 0; length < 28; length++) {
        ck_assert_int_eq(exchange_receive(&exchange, reply, length), EXCHANGE_GARBAGE);
        ck_assert_int_eq(exchange.verdict, CHRONY_REPLY_SHORT);
    }
    for (size_t at = 0; at < 20; at++) {
        static const bool matters[20] = {
            [0] = 1, [1] = 1, [4] = 1, [5] = 1, [16] = 1, [17] = 1, [18] = 1, [19] = 1};

        chrony_reply_make(request, 0, reply);
        reply[at] ^= 0x55;
        ck_assert_int_eq(exchange_receive(&exchange, reply, 28),
            matters[at] ? EXCHANGE_GARBAGE : EXCHANGE_REPLIED);
    }
}
END_TEST

START_TEST(a_reply_to_an_exchange_that_is_over_is_not_believed)
{
    uint8_t reply[CHRONY_REQUEST_MAX];

    begin(CHRONY_DFREQ);
    chrony_reply_make(request, 0, reply);
    begin(CHRONY_DFREQ);
    ck_assert_int_eq(exchange_receive(&exchange, reply, 28), EXCHANGE_GARBAGE);
    chrony_reply_make(request, 0, reply);
    exchange.owner = EXCHANGE_NONE;
    ck_assert_int_eq(exchange_receive(&exchange, reply, 28), EXCHANGE_GARBAGE);
}
END_TEST

START_TEST(a_reply_to_a_reset_that_was_given_up_is_late_and_counts_once)
{
    uint8_t first[CHRONY_REQUEST_MAX], second[CHRONY_REQUEST_MAX];

    begin(CHRONY_RESET_SOURCES);
    chrony_reply_make(request, 0, first);
    begin(CHRONY_TRACKING);
    begin(CHRONY_RESET_SOURCES);
    chrony_reply_make(request, 0, second);
    begin(CHRONY_TRACKING);
    ck_assert_int_eq(exchange_receive(&exchange, first, 28), EXCHANGE_LATE);
    ck_assert_int_eq(exchange_receive(&exchange, second, 28), EXCHANGE_GARBAGE);

    begin(CHRONY_RESET_SOURCES);
    chrony_reply_make(request, 0, first);
    exchange_start_over(&exchange); /* another recovery's */
    begin(CHRONY_RESET_SOURCES);
    ck_assert_int_eq(exchange_receive(&exchange, first, 28), EXCHANGE_GARBAGE);
    chrony_reply_make(request, 0, second);
    ck_assert_int_eq(exchange_receive(&exchange, second, 28), EXCHANGE_REPLIED);
    ck_assert_int_eq(exchange_receive(&exchange, second, 28), EXCHANGE_REPLIED);
    exchange.owner = EXCHANGE_NONE;
    ck_assert_int_eq(exchange_receive(&exchange, second, 28), EXCHANGE_GARBAGE);
}
END_TEST

START_TEST(silence_is_told_apart_from_a_chronyd_that_does_not_read)
{
    begin(CHRONY_RESET_SOURCES);
    ck_assert_int_eq(exchange_tick(&exchange, 200 * MS, false), EXCHANGE_WAITING);
    ck_assert_int_eq(exchange_tick(&exchange, 260 * MS, true), EXCHANGE_WAITING);
    ck_assert(exchange.unread);
    ck_assert_int_eq(exchange_tick(&exchange, 400 * MS, false), EXCHANGE_WAITING);
    /* It has read the request since, perhaps just now: it gets the time to answer. */
    ck_assert_int_eq(exchange_tick(&exchange, 520 * MS, false), EXCHANGE_WAITING);
    ck_assert(!exchange.unread);
    ck_assert_int_eq(exchange_tick(&exchange, 760 * MS, false), EXCHANGE_WAITING);
    ck_assert_int_eq(exchange_tick(&exchange, 780 * MS, false), EXCHANGE_SILENT);
    begin(CHRONY_RESET_SOURCES); /* and the patience doubles */
    ck_assert_int_eq(exchange_tick(&exchange, 490 * MS, false), EXCHANGE_WAITING);
    ck_assert_int_eq(exchange_tick(&exchange, 510 * MS, false), EXCHANGE_SILENT);
}
END_TEST

RUN_SUITE("exchange", a_reply_must_be_of_this_command_and_sequence,
    a_reply_to_an_exchange_that_is_over_is_not_believed,
    a_reply_to_a_reset_that_was_given_up_is_late_and_counts_once,
    silence_is_told_apart_from_a_chronyd_that_does_not_read)
