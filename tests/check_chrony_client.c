/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of chronyd, and whose command a reply ends. */
#include "refclock/chrony_client.h"

#include <math.h>

#include "tests/chrony_reply.h"
#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
#define OURS   UINT32_C(0x564d434c)
#define NTP    UINT32_C(0xc0000201)
#define LOCAL  UINT32_C(0x7f7f0101)

static struct chrony_client client;
static struct reporter reporter;
static struct chrony_client_view view;
static uint8_t request[CHRONY_REQUEST_MAX], reply[CHRONY_REQUEST_MAX];

static void setup(void)
{
    reporter = (struct reporter){.n_events = 0};
    view = (struct chrony_client_view){.now_ns = 100 * SECOND, .id = 1, .refid = OURS};
    chrony_client_init(&client, 7, 0, false, view.now_ns);
}

static void send(enum exchange_owner owner, enum chrony_command_id id)
{
    const struct chrony_command command = {.id = id};

    chrony_client_send(&client, owner, &command, view.now_ns, request);
}

static struct chrony_news receive(enum chrony_arrival arrival)
{
    struct chrony_news news;

    view.arrival = arrival;
    view.reply = reply;
    reporter_begin(&reporter, view.now_ns);
    news = chrony_client_receive(&client, &reporter, &view);
    view.arrival = CHRONY_NOTHING;
    return news;
}

/* The reply to what was sent last. */
static struct chrony_news answer(uint16_t status)
{
    chrony_reply_make(request, status, reply);
    view.reply_length = 28;
    return receive(CHRONY_REPLY);
}

static struct chrony_news answer_tracking(uint32_t refid, uint8_t leap)
{
    send(EXCHANGE_POLL, CHRONY_TRACKING);
    chrony_reply_make(request, CHRONY_OK, reply);
    chrony_reply_put32(reply + CHRONY_REPLY_DATA_AT, refid);
    reply[CHRONY_REPLY_DATA_AT + 27] = leap;
    chrony_reply_put32(reply + CHRONY_REPLY_DATA_AT + 52, chrony_float_encode(12.5));
    chrony_reply_put32(reply + CHRONY_REPLY_DATA_AT + 64, chrony_float_encode(0.25));
    view.reply_length = 104;
    return receive(CHRONY_REPLY);
}

static bool is_reported(enum event_id id)
{
    for (unsigned i = 0; i < reporter.n_events; i++)
        if (reporter.events[i].id == id)
            return true;
    return false;
}

START_TEST(a_reply_ends_the_command_of_its_owner)
{
    static const struct {
        uint16_t status;
        enum recovery_event event;
    } replies[] = {{CHRONY_OK, RECOVERY_REPLY_OK}, {CHRONY_INVALID, RECOVERY_REPLY_INVALID},
        {CHRONY_UNAUTHORISED, RECOVERY_REPLY_REFUSED}, {1000, RECOVERY_REPLY_REFUSED}};

    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        for (int owner = EXCHANGE_RECOVERY; owner < EXCHANGE_N_OWNERS; owner++) {
            struct chrony_news news;

            send((enum exchange_owner)owner, CHRONY_DFREQ);
            ck_assert(chrony_client_is_busy(&client));
            news = answer(replies[i].status);
            ck_assert_int_eq(news.owner, owner);
            ck_assert_int_eq(news.event, replies[i].event);
            ck_assert(!chrony_client_is_busy(&client) && chrony_client_reads(&client));
            ck_assert_int_eq(receive(CHRONY_REPLY).owner, EXCHANGE_NONE); /* the same once more */
        }
}
END_TEST

static const struct {
    uint32_t refid;
    uint8_t leap;
    bool any, has_reference, synchronised;
} references[] = {
    {OURS, 0, false, true, true},
    {NTP, 0, false, true, false},
    {NTP, 0, true, true, true},
    {OURS, 3, true, false, false},
    {LOCAL, 0, true, false, false},
    {0, 0, true, false, false},
};

#define N_REFERENCES (int)(sizeof(references) / sizeof(references[0]))

START_TEST(tracking_tells_whether_the_reference_is_the_one_that_is_waited_for)
{
    const bool has_reference = references[_i].has_reference;
    const bool is_servers = has_reference && references[_i].refid == NTP;
    struct chrony_news news;

    view.any_reference = references[_i].any;
    news = answer_tracking(references[_i].refid, references[_i].leap);
    ck_assert_int_eq(news.referenced, has_reference);
    ck_assert_int_eq(client.known.has_reference, has_reference);
    ck_assert_int_eq(client.known.synchronised, references[_i].synchronised);
    ck_assert_int_eq(chrony_client_has_just_started(&client), !has_reference);
    ck_assert_double_eq_tol(client.known.frequency_ppm, 12.5, 1e-5);
    ck_assert_int_eq(!isnan(client.known.root_delay_sec), is_servers); /* of a server's, not ours */
    ck_assert_int_eq(client.poll_due_ns, view.now_ns + SECOND);
}
END_TEST

START_TEST(one_that_does_not_tell_its_tracking_any_more_is_not_known_to_be_synchronised)
{
    answer_tracking(OURS, 0);
    ck_assert(client.known.synchronised);
    send(EXCHANGE_POLL, CHRONY_TRACKING);
    answer(CHRONY_UNAUTHORISED);
    ck_assert(client.known.reachable && !client.known.synchronised && !client.known.tracked);
    ck_assert(isnan(client.known.frequency_ppm) && isnan(client.known.correction_sec));
}
END_TEST

START_TEST(another_chronyd_at_the_socket_is_a_stranger)
{
    answer_tracking(OURS, 0);
    view.id = 0; /* not known: it may be the same one */
    receive(CHRONY_NOTHING);
    ck_assert(client.known.had_reference && client.known.synchronised);
    view.id = 2;
    receive(CHRONY_NOTHING);
    ck_assert_uint_eq(client.known.id, 2);
    ck_assert(!client.known.had_reference && !client.known.synchronised);
    ck_assert(!chrony_client_reads(&client) && isnan(client.known.frequency_ppm));
}
END_TEST

START_TEST(silence_is_reported_once_and_that_it_has_ended)
{
    struct chrony_news news;

    for (int i = 0; i < 3; i++) {
        send(EXCHANGE_RECOVERY, CHRONY_DFREQ);
        ck_assert_int_eq(receive(CHRONY_NOTHING).owner, EXCHANGE_NONE);
        view.now_ns += 5 * SECOND;
        news = receive(CHRONY_NOTHING);
        ck_assert_int_eq(news.owner, EXCHANGE_RECOVERY);
        ck_assert_int_eq(news.event, RECOVERY_SILENCE);
        ck_assert_int_eq(is_reported(EVENT_CHRONYD_SILENT), i == 0);
        ck_assert(client.known.silent && chrony_client_reads(&client));
    }
    send(EXCHANGE_RECOVERY, CHRONY_DFREQ);
    answer(CHRONY_OK);
    ck_assert(is_reported(EVENT_CHRONYD_BACK) && client.known.reachable);
}
END_TEST

START_TEST(what_it_has_not_even_read_is_waited_for)
{
    view.queued = true;
    send(EXCHANGE_RECOVERY, CHRONY_DFREQ);
    for (int i = 0; i < 5; i++) {
        view.now_ns += SECOND;
        ck_assert_int_eq(receive(CHRONY_NOTHING).owner, EXCHANGE_NONE);
        ck_assert_int_eq(is_reported(EVENT_CHRONYD_SILENT), i == 0);
    }
    ck_assert(chrony_client_is_busy(&client) && !chrony_client_reads(&client));
    ck_assert_int_eq(answer(CHRONY_OK).owner, EXCHANGE_RECOVERY);
}
END_TEST

START_TEST(a_late_reply_confirms_a_reset_where_it_was_not_refused)
{
    struct chrony_news news;

    send(EXCHANGE_RECOVERY, CHRONY_RESET_SOURCES);
    chrony_reply_make(request, _i ? CHRONY_UNAUTHORISED : CHRONY_OK, reply);
    view.now_ns += SECOND;
    ck_assert_int_eq(receive(CHRONY_NOTHING).event, RECOVERY_SILENCE);
    view.reply_length = 28;
    news = receive(CHRONY_REPLY);
    ck_assert_int_eq(news.owner, EXCHANGE_NONE);
    ck_assert_int_eq(news.event, _i ? RECOVERY_TICK : RECOVERY_LATE_RESET);
    ck_assert(client.known.reachable && is_reported(EVENT_CHRONYD_BACK));
}
END_TEST

START_TEST(one_that_goes_away_is_forgotten_but_for_that_it_had_a_reference)
{
    answer_tracking(OURS, 0);
    send(EXCHANGE_RECOVERY, CHRONY_DFREQ);
    view.error = 111;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(receive(CHRONY_GONE).event, RECOVERY_GONE);
        ck_assert_int_eq(is_reported(EVENT_CHRONYD_AWAY), i == 0);
    }
    ck_assert(!chrony_client_is_busy(&client) && !chrony_client_reads(&client));
    ck_assert(!client.known.synchronised && !client.known.has_reference);
    ck_assert(client.known.had_reference);
}
END_TEST

START_TEST(one_that_was_reset_or_corrected_has_not_just_started)
{
    answer_tracking(0, 3);
    ck_assert(chrony_client_has_just_started(&client));
    chrony_client_start_done(&client);
    ck_assert(!chrony_client_has_just_started(&client));

    setup();
    answer_tracking(OURS, 0);
    chrony_client_was_reset(&client);
    ck_assert(!client.known.synchronised && !client.known.has_reference);
    answer_tracking(0, 3);
    ck_assert(!chrony_client_has_just_started(&client));
    chrony_client_doubt(&client, view.now_ns); /* it may be another one */
    ck_assert_int_eq(client.poll_due_ns, view.now_ns);
    answer_tracking(0, 3);
    ck_assert(!chrony_client_has_just_started(&client)); /* it is still the same */
    view.id++;
    answer_tracking(0, 3);
    ck_assert(chrony_client_has_just_started(&client));
}
END_TEST

START_TEST(a_datagram_that_is_no_reply_is_reported_once_until_it_answers)
{
    for (int round = 0; round < 2; round++) {
        view.now_ns += 5 * SECOND; /* so that nothing repeats */
        send(EXCHANGE_POLL, CHRONY_DFREQ);
        for (int i = 0; i < 3; i++) {
            memset(reply, 0x55, sizeof(reply));
            view.reply_length = 28;
            ck_assert_int_eq(receive(CHRONY_REPLY).owner, EXCHANGE_NONE);
            ck_assert_int_eq(is_reported(EVENT_BAD_REPLY), i == 0);
        }
        ck_assert_int_eq(answer(CHRONY_OK).owner, EXCHANGE_POLL);
    }
}
END_TEST

START_TEST(in_a_dry_run_chronyd_does_at_once_what_it_is_not_told)
{
    const struct chrony_command command = {.id = CHRONY_RESET_SOURCES};
    struct chrony_news news;

    view.dry_run = true;
    ck_assert_int_eq(receive(CHRONY_NOTHING).event, RECOVERY_TICK);
    chrony_client_pretend(&client, EXCHANGE_RECOVERY, &command, view.now_ns);
    news = receive(CHRONY_NOTHING);
    ck_assert_int_eq(news.owner, EXCHANGE_RECOVERY);
    ck_assert_int_eq(news.event, RECOVERY_REPLY_OK);
    ck_assert(!chrony_client_is_busy(&client));
}
END_TEST

RUN_LOOPS_AFTER(setup, "chrony client", {a_reply_ends_the_command_of_its_owner, 1},
    {tracking_tells_whether_the_reference_is_the_one_that_is_waited_for, N_REFERENCES},
    {one_that_does_not_tell_its_tracking_any_more_is_not_known_to_be_synchronised, 1},
    {another_chronyd_at_the_socket_is_a_stranger, 1},
    {silence_is_reported_once_and_that_it_has_ended, 1},
    {what_it_has_not_even_read_is_waited_for, 1},
    {a_late_reply_confirms_a_reset_where_it_was_not_refused, 2},
    {one_that_goes_away_is_forgotten_but_for_that_it_had_a_reference, 1},
    {one_that_was_reset_or_corrected_has_not_just_started, 1},
    {a_datagram_that_is_no_reply_is_reported_once_until_it_answers, 1},
    {in_a_dry_run_chronyd_does_at_once_what_it_is_not_told, 1})
