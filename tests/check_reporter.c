/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes again and again is reported a few times, then that it repeats, then how often. */
#include "refclock/reporter.h"

#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

static struct reporter reporter;

static void begin_at(int64_t now_ns)
{
    reporter_begin(&reporter, now_ns);
}

static void say(enum event_id id)
{
    reporter_say(&reporter, (struct event){.id = id});
}

static unsigned count(enum event_id id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < reporter.n_events; i++)
        n += reporter.events[i].id == id;
    return n;
}

/* So often, 10 ms apart, the first one at 100 s; how often it was reported. */
static unsigned repeat(enum event_id id, int n)
{
    unsigned reported = 0;

    for (int i = 0; i < n; i++) {
        begin_at(100 * SECOND + MS * 10 * i);
        say(id);
        reported += count(id);
    }
    return reported;
}

START_TEST(a_step_has_its_own_events_and_forgets_those_of_the_one_before)
{
    begin_at(SECOND);
    say(EVENT_PAGE_BACK);
    say(EVENT_CHRONYD_BACK);
    ck_assert_uint_eq(reporter.n_events, 2);
    ck_assert_int_eq(reporter.events[0].id, EVENT_PAGE_BACK);
    ck_assert_int_eq(reporter.events[1].id, EVENT_CHRONYD_BACK);
    begin_at(2 * SECOND);
    ck_assert_uint_eq(reporter.n_events, 0);
}
END_TEST

START_TEST(an_event_is_reported_seven_times_then_that_it_repeats_then_not_at_all)
{
    ck_assert_uint_eq(repeat(EVENT_DISRUPTION, REPORTER_REPEAT_MAX + 1), REPORTER_REPEAT_MAX);
    ck_assert_uint_eq(reporter.n_events, 1);
    ck_assert_int_eq(reporter.events[0].id, EVENT_REPEATS);
    ck_assert_int_eq(reporter.events[0].repetition.what, EVENT_DISRUPTION);
    say(EVENT_DISRUPTION);
    ck_assert_uint_eq(reporter.n_events, 1);
}
END_TEST

START_TEST(the_end_of_a_repetition_is_reported_with_its_number_and_its_time)
{
    ck_assert_int_eq(reporter_due_ns(&reporter), INT64_MAX);
    repeat(EVENT_DISRUPTION, 100);
    ck_assert_int_eq(reporter_due_ns(&reporter), reporter.now_ns + SECOND);
    begin_at(reporter.now_ns + SECOND);
    ck_assert_uint_eq(reporter.n_events, 0);
    begin_at(reporter.now_ns + 1);
    ck_assert_uint_eq(reporter.n_events, 1);
    ck_assert_int_eq(reporter.events[0].id, EVENT_REPEATED);
    ck_assert_int_eq(reporter.events[0].repetition.what, EVENT_DISRUPTION);
    ck_assert_uint_eq(reporter.events[0].repetition.n, 100);
    ck_assert_double_eq_tol(reporter.events[0].repetition.sec, 0.99, 1e-9);
    ck_assert_int_eq(reporter_due_ns(&reporter), INT64_MAX);
    say(EVENT_DISRUPTION); /* the next one is as good as the first */
    ck_assert_uint_eq(count(EVENT_DISRUPTION), 1);
}
END_TEST

START_TEST(events_more_than_a_second_apart_are_no_repetition)
{
    for (int i = 1; i <= 50; i++) {
        begin_at(i * (SECOND + 1));
        say(EVENT_CLOCK_STATUS);
        ck_assert_uint_eq(count(EVENT_CLOCK_STATUS), 1);
    }
}
END_TEST

START_TEST(a_kind_that_repeats_hides_no_other)
{
    repeat(EVENT_DISRUPTION, 20);
    say(EVENT_PAGE_LOST);
    ck_assert_uint_eq(count(EVENT_PAGE_LOST), 1);
}
END_TEST

START_TEST(the_commands_of_a_dry_run_are_reported_one_and_all)
{
    ck_assert_uint_eq(repeat(EVENT_WOULD_SEND, 100), 100);
    ck_assert_int_eq(reporter_due_ns(&reporter), INT64_MAX);
}
END_TEST

START_TEST(a_step_with_more_events_than_there_is_room_for_keeps_the_first)
{
    begin_at(SECOND);
    for (int id = 0; id < REPORTER_EVENTS_MAX + 5; id++)
        say((enum event_id)id);
    ck_assert_uint_eq(reporter.n_events, REPORTER_EVENTS_MAX);
    ck_assert_int_eq(reporter.events[REPORTER_EVENTS_MAX - 1].id, REPORTER_EVENTS_MAX - 1);
}
END_TEST

static void setup(void)
{
    reporter = (struct reporter){.n_events = 0};
}

RUN_LOOPS_AFTER(setup, "reporter",
    {a_step_has_its_own_events_and_forgets_those_of_the_one_before, 1},
    {an_event_is_reported_seven_times_then_that_it_repeats_then_not_at_all, 1},
    {the_end_of_a_repetition_is_reported_with_its_number_and_its_time, 1},
    {events_more_than_a_second_apart_are_no_repetition, 1}, {a_kind_that_repeats_hides_no_other, 1},
    {the_commands_of_a_dry_run_are_reported_one_and_all, 1},
    {a_step_with_more_events_than_there_is_room_for_keeps_the_first, 1})
