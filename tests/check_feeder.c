/* SPDX-License-Identifier: BSD-2-Clause */
/* When a sample is sent, when it is withheld, and what is reported of it. */
#include "refclock/feeder.h"

#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

static struct feeder feeder;
static struct reporter reporter;
static struct feeder_view view;
static struct offset offset;
static struct sock_sample sample;

static void setup(void)
{
    reporter = (struct reporter){.n_events = 0};
    offset = (struct offset){.sec = 1e-6, .ns = 1000, .has_bound = true, .bound_ns = 500};
    view = (struct feeder_view){
        .now_ns = 100 * SECOND,
        .slack_ns = 5 * MS,
        .interval_ns = 50 * MS,
        .is_clock = true,
        .may_feed = true,
        .measured = true,
        .offset = &offset,
    };
    feeder_init(&feeder, view.now_ns, 0);
}

static bool step_after(int64_t ns)
{
    view.now_ns += ns;
    reporter_begin(&reporter, view.now_ns);
    return feeder_step(&feeder, &reporter, &view, &sample);
}

static bool is_reported(enum event_id id)
{
    for (unsigned i = 0; i < reporter.n_events; i++)
        if (reporter.events[i].id == id)
            return true;
    return false;
}

START_TEST(a_sample_is_sent_each_interval_or_a_little_before)
{
    ck_assert(step_after(0));
    ck_assert_double_eq(sample.offset, 1e-6);
    ck_assert(!step_after(44 * MS));
    ck_assert(step_after(MS)); /* by the slack */
    ck_assert(!step_after(49 * MS));
    ck_assert(step_after(MS));
}
END_TEST

START_TEST(intervals_that_were_missed_are_not_made_up_for)
{
    ck_assert(step_after(0));
    ck_assert(step_after(1010 * MS));
    ck_assert(!step_after(30 * MS));
    ck_assert(step_after(10 * MS)); /* the times are what they were */
}
END_TEST

START_TEST(none_is_sent_where_none_may_be_or_nothing_was_measured)
{
    view.measured = false;
    ck_assert(!step_after(0));
    view.measured = true;
    view.may_feed = false;
    ck_assert(!step_after(0));
    view.may_feed = true;
    ck_assert(step_after(0));
}
END_TEST

START_TEST(a_bound_over_the_limit_and_no_bound_at_all_are_reported_once_each)
{
    static const uint64_t bounds[] = {1001, UINT64_MAX};

    view.max_error_ns = 1000;
    offset.bound_ns = bounds[_i];
    for (int i = 0; i < 5; i++) {
        ck_assert(!step_after(50 * MS));
        ck_assert_int_eq(is_reported(EVENT_SAMPLES_WITHHELD), i == 0);
    }
    ck_assert(feeder.withheld && feeder.has_offset); /* which is known all the same */
    offset.bound_ns = 1000;
    ck_assert(step_after(50 * MS));
    ck_assert(!feeder.withheld);
}
END_TEST

START_TEST(each_reason_to_withhold_is_reported_as_it_changes)
{
    static const enum clock_verdict verdicts[] = {
        CLOCK_LEAP_NOW, CLOCK_LEAP_NOW, CLOCK_TAI_DISAGREES, CLOCK_OK, CLOCK_TAI_DISAGREES};
    static const bool reported[] = {true, false, true, false, true};

    for (int i = 0; i < 5; i++) {
        view.verdict = verdicts[i];
        ck_assert_int_eq(step_after(50 * MS), verdicts[i] == CLOCK_OK);
        ck_assert_int_eq(is_reported(EVENT_SAMPLES_WITHHELD), reported[i]);
        ck_assert_int_eq(feeder.has_offset, verdicts[i] == CLOCK_OK);
    }
}
END_TEST

START_TEST(samples_flow_from_the_first_that_arrives_until_they_are_held_back)
{
    ck_assert(step_after(0));
    reporter_begin(&reporter, view.now_ns);
    ck_assert(!feeder_take_result(&feeder, &reporter, 111, true));
    ck_assert(is_reported(EVENT_SOCK_FAILED) && !feeder.flowing);
    reporter_begin(&reporter, view.now_ns);
    ck_assert(!feeder_take_result(&feeder, &reporter, 111, true));
    ck_assert_uint_eq(reporter.n_events, 0);
    ck_assert(feeder_take_result(&feeder, &reporter, 0, true));
    ck_assert(is_reported(EVENT_SOCK_BACK) && is_reported(EVENT_FIRST_SAMPLE));
    ck_assert(feeder.flowing);
    ck_assert_uint_eq(feeder.sent, 1);
    reporter_begin(&reporter, view.now_ns);
    ck_assert(!feeder_take_result(&feeder, &reporter, 0, true));
    ck_assert_uint_eq(reporter.n_events, 0);
    feeder_hold(&feeder);
    ck_assert(!feeder.flowing && !feeder.has_offset);
    feeder_take_result(&feeder, &reporter, 0, false); /* of one that was sent before that */
    ck_assert(!feeder.flowing);
}
END_TEST

START_TEST(a_page_that_is_no_clock_has_no_offset)
{
    ck_assert(step_after(0));
    view.may_feed = false;
    step_after(50 * MS);
    ck_assert(feeder.has_offset);
    view.is_clock = false;
    step_after(50 * MS);
    ck_assert(!feeder.has_offset);
}
END_TEST

START_TEST(a_dry_run_sends_none_and_tells_how_many_and_within_what)
{
    static const double offsets[] = {1e-6, -3e-6, 2e-6};

    view.dry_run = true;
    for (int i = 0; i < 3; i++) {
        offset.sec = offsets[i];
        ck_assert(!step_after(50 * MS));
        ck_assert_int_eq(is_reported(EVENT_WOULD_FEED), i == 0);
    }
    reporter_begin(&reporter, view.now_ns);
    feeder_report_pretended(&feeder, &reporter);
    ck_assert_int_eq(reporter.events[0].id, EVENT_WOULD_HAVE_FED);
    ck_assert_uint_eq(reporter.events[0].samples.n, 3);
    ck_assert_double_eq(reporter.events[0].samples.least_sec, -3e-6);
    ck_assert_double_eq(reporter.events[0].samples.most_sec, 2e-6);
}
END_TEST

START_TEST(each_reason_for_withholding_is_reported)
{
    view.max_error_ns = 1000;
    view.verdict = CLOCK_TAI_DISAGREES;
    ck_assert(!step_after(SECOND));
    ck_assert(is_reported(EVENT_SAMPLES_WITHHELD));
    ck_assert(!step_after(SECOND));
    ck_assert(!is_reported(EVENT_SAMPLES_WITHHELD));
    view.verdict = CLOCK_OK;
    offset.bound_ns = 2000;
    ck_assert(!step_after(SECOND));
    ck_assert(is_reported(EVENT_SAMPLES_WITHHELD));
    ck_assert(!step_after(SECOND));
    ck_assert(!is_reported(EVENT_SAMPLES_WITHHELD));
}
END_TEST

START_TEST(after_a_recovery_the_same_reason_is_reported_again)
{
    view.verdict = CLOCK_TAI_DISAGREES;
    ck_assert(!step_after(SECOND));
    feeder_hold(&feeder);
    view.is_clock = view.may_feed = view.measured = false;
    ck_assert(!step_after(SECOND));
    view.is_clock = view.may_feed = view.measured = true;
    ck_assert(!step_after(SECOND));
    ck_assert(is_reported(EVENT_SAMPLES_WITHHELD));
}
END_TEST

RUN_LOOPS_AFTER(setup, "feeder", {a_sample_is_sent_each_interval_or_a_little_before, 1},
    {intervals_that_were_missed_are_not_made_up_for, 1},
    {none_is_sent_where_none_may_be_or_nothing_was_measured, 1},
    {a_bound_over_the_limit_and_no_bound_at_all_are_reported_once_each, 2},
    {each_reason_to_withhold_is_reported_as_it_changes, 1},
    {samples_flow_from_the_first_that_arrives_until_they_are_held_back, 1},
    {a_page_that_is_no_clock_has_no_offset, 1},
    {a_dry_run_sends_none_and_tells_how_many_and_within_what, 1},
    {each_reason_for_withholding_is_reported, 1},
    {after_a_recovery_the_same_reason_is_reported_again, 1})
