/* SPDX-License-Identifier: BSD-2-Clause */
/* What links one recovery to the next; walk_recovery.c has the recovery itself. */
#include "refclock/recoveries.h"

#include <math.h>

#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
#define WATCH  (10 * MS)

static struct recoveries recoveries;
static struct reporter reporter;
static struct recoveries_view view;
static struct recovery_order order;
static int64_t now_ns;

static void setup(void)
{
    reporter = (struct reporter){.n_events = 0};
    now_ns = 100 * SECOND;
    view = (struct recoveries_view){.marker = 2};
    order = (struct recovery_order){.send = false};
    recoveries_init(&recoveries, 1, false, 0, 0);
    reporter_begin(&reporter, now_ns);
}

static void begin(enum recovery_cause cause)
{
    reporter_begin(&reporter, now_ns);
    recoveries_begin(&recoveries, &reporter, cause, WATCH, false, false);
}

/* By a page that is no clock. */
static void step(enum recovery_event event)
{
    static const struct recovery_config config = {.burst_total = 0};
    const struct recovery_view seen = {.now_ns = now_ns,
        .page = RECOVERY_PAGE_MARKER_ONLY,
        .offset_sec = NAN,
        .correction_sec = NAN,
        .root_delay_sec = NAN};

    reporter_begin(&reporter, now_ns);
    recoveries_step(&recoveries, &reporter, &config, event, &seen, &view, &order);
}

static bool is_sent(enum chrony_command_id id)
{
    return order.send && order.command.id == id;
}

static bool is_reported(enum event_id id)
{
    for (unsigned i = 0; i < reporter.n_events; i++)
        if (reporter.events[i].id == id)
            return true;
    return false;
}

START_TEST(a_disruption_is_pending_until_its_reset_is_confirmed)
{
    begin(RECOVERY_CAUSE_MARKER);
    ck_assert(recoveries.pending);
    ck_assert(!is_reported(EVENT_RECOVERY)); /* the disruption is */
    step(RECOVERY_TICK);
    ck_assert(is_sent(CHRONY_RESET_SOURCES));
    ck_assert_uint_eq(recoveries.confirmed_marker, 1);
    now_ns += MS;
    step(RECOVERY_REPLY_OK);
    ck_assert(is_reported(EVENT_RESET_CONFIRMED));
    ck_assert(!recoveries.pending);
    ck_assert_uint_eq(recoveries.confirmed_marker, 2);
    ck_assert_uint_eq(recoveries.count, 1);
}
END_TEST

START_TEST(a_reset_that_is_refused_to_the_end_confirms_no_marker)
{
    unsigned reported = 0;

    begin(RECOVERY_CAUSE_MARKER);
    for (int i = 0; i < 10000 && recoveries.pending; i++, now_ns += 100 * MS) {
        step(order.send ? RECOVERY_REPLY_REFUSED : RECOVERY_TICK);
        reported += is_reported(EVENT_NOT_CONFIRMED);
    }
    ck_assert(is_reported(EVENT_UNCONFIRMED));
    ck_assert_uint_eq(reported, 1);
    ck_assert(!recoveries.pending);
    ck_assert_uint_eq(recoveries.confirmed_marker, 1); /* the next start resets for it */
    ck_assert_uint_eq(recoveries.count, 0);
}
END_TEST

START_TEST(the_start_of_chronyd_is_no_disruption)
{
    begin(RECOVERY_CAUSE_START);
    ck_assert(!recoveries.pending);
    ck_assert(is_reported(EVENT_RECOVERY));
    step(RECOVERY_TICK);
    ck_assert(!is_sent(CHRONY_RESET_SOURCES));
}
END_TEST

START_TEST(a_dry_run_confirms_no_marker_and_counts_no_recovery)
{
    view.dry_run = true;
    begin(RECOVERY_CAUSE_MARKER);
    step(RECOVERY_TICK);
    step(RECOVERY_REPLY_OK);
    ck_assert(!recoveries.pending && !is_reported(EVENT_RESET_CONFIRMED));
    ck_assert_uint_eq(recoveries.confirmed_marker, 1);
    ck_assert_uint_eq(recoveries.count, 0);
}
END_TEST

START_TEST(resets_follow_each_other_by_a_watch_interval_and_in_a_storm_by_a_second)
{
    begin(RECOVERY_CAUSE_MARKER);
    step(RECOVERY_TICK);
    for (int i = 1; i < 15; i++) {
        const int64_t pause_ns = i <= 10 ? WATCH : SECOND;

        now_ns += MS;
        begin(RECOVERY_CAUSE_MARKER);
        now_ns += pause_ns - MS - 1;
        step(RECOVERY_TICK);
        ck_assert_msg(!order.send, "%d is early", i);
        now_ns += 1;
        step(RECOVERY_TICK);
        ck_assert_msg(is_sent(CHRONY_RESET_SOURCES), "%d is late", i);
    }
}
END_TEST

START_TEST(a_reset_that_is_late_is_reported_once_whatever_begins_meanwhile)
{
    unsigned reported = 0;

    begin(RECOVERY_CAUSE_MARKER);
    for (int i = 0; i < 30; i++) {
        step(RECOVERY_GONE);
        reported += is_reported(EVENT_RESET_LATE);
        ck_assert_uint_eq(reported, i >= 10);
        now_ns += SECOND;
        if (i % 4 == 0)
            begin(RECOVERY_CAUSE_MARKER);
    }
}
END_TEST

START_TEST(a_disruption_while_vmclockd_stops_is_left_to_the_next_start)
{
    recoveries_begin(&recoveries, &reporter, RECOVERY_CAUSE_MARKER, WATCH, false, true);
    ck_assert(recoveries.pending);
    ck_assert_int_eq(recoveries.recovery.state, RECOVERY_IDLE);
    ck_assert_uint_eq(recoveries.confirmed_marker, 1);
}
END_TEST

START_TEST(one_that_is_abandoned_is_reported_where_one_ran)
{
    recoveries_abandon(&recoveries, &reporter, &view);
    ck_assert_uint_eq(reporter.n_events, 0);
    begin(RECOVERY_CAUSE_MARKER);
    recoveries_abandon(&recoveries, &reporter, &view);
    ck_assert(is_reported(EVENT_ABANDONED));
    ck_assert_int_eq(recoveries.recovery.outcome, RECOVERY_OUTCOME_ABANDONED);
    view.dry_run = true; /* which has told chronyd nothing */
    begin(RECOVERY_CAUSE_MARKER);
    recoveries_abandon(&recoveries, &reporter, &view);
    ck_assert(!is_reported(EVENT_ABANDONED));
}
END_TEST

/* It is opened again by a reply that comes late, and ends a second time. */
START_TEST(a_recovery_fails_once)
{
    enum recovery_event event = RECOVERY_TICK;

    begin(RECOVERY_CAUSE_MARKER);
    do {
        step(event);
        event = recoveries.recovery.sent ? RECOVERY_SILENCE : RECOVERY_TICK;
        now_ns += 100 * MS;
    } while (recoveries.recovery.state != RECOVERY_IDLE);
    ck_assert_int_eq(recoveries.recovery.outcome, RECOVERY_OUTCOME_UNCONFIRMED);
    ck_assert_uint_eq(recoveries.failed, 1);
    now_ns += 5 * SECOND;
    step(RECOVERY_LATE_RESET);
    while (recoveries.recovery.state != RECOVERY_IDLE) {
        event = recoveries.recovery.sent ? RECOVERY_REPLY_OK : RECOVERY_TICK;
        now_ns += 100 * MS;
        step(event);
    }
    ck_assert_int_eq(recoveries.recovery.outcome, RECOVERY_OUTCOME_UNSYNCHRONISED);
    ck_assert_uint_eq(recoveries.count, 1);
    ck_assert_uint_eq(recoveries.failed, 1);
}
END_TEST

RUN_LOOPS_AFTER(setup, "recoveries", {a_disruption_is_pending_until_its_reset_is_confirmed, 1},
    {a_reset_that_is_refused_to_the_end_confirms_no_marker, 1},
    {the_start_of_chronyd_is_no_disruption, 1},
    {a_dry_run_confirms_no_marker_and_counts_no_recovery, 1},
    {resets_follow_each_other_by_a_watch_interval_and_in_a_storm_by_a_second, 1},
    {a_reset_that_is_late_is_reported_once_whatever_begins_meanwhile, 1},
    {a_disruption_while_vmclockd_stops_is_left_to_the_next_start, 1},
    {one_that_is_abandoned_is_reported_where_one_ran, 1}, {a_recovery_fails_once, 1})
