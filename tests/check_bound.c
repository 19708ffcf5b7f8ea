/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/bound.h"

#include <math.h>

#include "tests/suite.h"

#define SECOND INT64_C(1000000000)
#define UTC    INT64_C(1700000000)

static struct bound b;
static struct bound_view view;

/* A guest whose page shows the marker alone, and whose chronyd has just told of its reference. */
static void setup(void)
{
    bound_init(&b);
    view = (struct bound_view){
        .now_ns = 100 * SECOND,
        .realtime_less_ns = UTC * SECOND,
        .max_drift = 50e-6,
        .has_page = true,
        .sees_page = true,
        .answers = true,
        .told = true,
        .has_reference = true,
        .distance_sec = 1e-3,
        .correction_sec = -2e-3,
        .reference_sec = UTC + 99,
        .interval_sec = 64,
    };
}

static void step(double sec)
{
    view.now_ns += (int64_t)(sec * 1e9);
    bound_step(&b, &view);
    view.told = view.measured = false;
}

/* The page is a clock, and was measured. */
static void by_page(double offset_sec, uint64_t bound_ns)
{
    view.is_clock = view.measured = true;
    view.offset_sec = offset_sec;
    view.has_bound = bound_ns != 0;
    view.bound_ns = bound_ns;
    view.rate_bound = 1e-7;
}

static void assert_is(enum bound_status status, enum bound_reason reason)
{
    ck_assert_str_eq(bound_status_str(b.status), bound_status_str(status));
    ck_assert_str_eq(bound_reason_str(b.reason), bound_reason_str(reason));
    ck_assert_int_eq(b.value.known, status == BOUND_SYNCHRONISED || status == BOUND_FREE_RUNNING);
}

START_TEST(nothing_is_known_without_a_page)
{
    view.has_page = false;
    step(0);
    assert_is(BOUND_UNKNOWN, BOUND_NO_PAGE);
    view.has_page = true;
    view.sees_page = false;
    step(1);
    assert_is(BOUND_UNKNOWN, BOUND_PAGE_UNSEEN);
    view.stopping = true;
    step(1);
    assert_is(BOUND_UNKNOWN, BOUND_STOPPING);
}
END_TEST

START_TEST(a_marker_alone_leaves_it_to_chronyds_word)
{
    view.has_reference = false;
    step(0);
    assert_is(BOUND_UNKNOWN, BOUND_NO_REFERENCE);
    view.told = view.has_reference = true;
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    ck_assert_double_eq_tol(b.value.sec, 3e-3, 1e-12);
    ck_assert_int_eq(b.value.as_of_ns, view.now_ns);
    ck_assert_double_eq_tol(b.growth, 50e-6, 1e-12);
}
END_TEST

START_TEST(a_reference_that_is_not_updated_runs_free)
{
    step(0);
    view.told = true;
    step(8 * 64 - 2);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    view.told = true;
    step(3);
    assert_is(BOUND_FREE_RUNNING, BOUND_CHRONYD_LATE);
    view.told = true;
    view.reference_sec = UTC + 612; /* 8 * 64 s later */
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

START_TEST(a_chronyd_that_is_gone_or_lost_leaves_its_last_word_to_grow)
{
    int64_t as_of_ns;

    step(0);
    as_of_ns = b.value.as_of_ns;
    view.answers = _i;
    view.told = _i;
    view.has_reference = false;
    step(20);
    assert_is(BOUND_FREE_RUNNING, BOUND_CHRONYD_LOST);
    ck_assert_int_eq(b.value.as_of_ns, as_of_ns);
}
END_TEST

START_TEST(a_disruption_ends_it_until_the_bound_is_known_again)
{
    step(0);
    view.disrupted = true;
    ck_assert(bound_step(&b, &view));
    assert_is(BOUND_DISRUPTED, BOUND_RECOVERING);
    view.disrupted = false;
    step(1); /* right again, but nobody has said how far */
    assert_is(BOUND_DISRUPTED, BOUND_RECOVERING);
    view.told = true;
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

START_TEST(a_chronyd_that_may_not_have_forgotten_is_not_believed)
{
    step(0);
    view.unconfirmed = view.told = true;
    step(1);
    assert_is(BOUND_DISRUPTED, BOUND_UNCONFIRMED);
    by_page(1e-6, 100);
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
}
END_TEST

START_TEST(a_page_with_bounds_is_measured)
{
    by_page(-2e-6, 300);
    step(0);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
    ck_assert_double_eq_tol(b.value.sec, 2.3e-6, 1e-12);
    ck_assert_double_eq_tol(b.growth, 50.1e-6, 1e-12);
    view.host_is_free = true;
    by_page(0, 300);
    step(1);
    assert_is(BOUND_FREE_RUNNING, BOUND_HOST_FREE);
    step(4);
    assert_is(BOUND_FREE_RUNNING, BOUND_HOST_FREE);
    view.told = true;
    step(2); /* not measured for too long: chronyd may go by others */
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

START_TEST(a_page_without_bounds_adds_to_chronyds_word)
{
    by_page(2e-6, 0);
    step(0);
    assert_is(BOUND_FREE_RUNNING, BOUND_PAGE_UNBOUNDED);
    ck_assert_double_eq_tol(b.value.sec, 3.002e-3, 1e-12);
    by_page(2e-6, UINT64_MAX);
    step(1);
    assert_is(BOUND_FREE_RUNNING, BOUND_PAGE_UNBOUNDED);
}
END_TEST

/* chronyd slews the clock away from the page where it goes by others. */
START_TEST(beside_a_chronyd_that_goes_by_others_the_pages_bound_grows_by_its_slew)
{
    view.goes_by_others = true;
    by_page(-2e-6, 300);
    step(0);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
    ck_assert_double_eq_tol(b.growth, 50.1e-6 + 1 / 12.0, 1e-12);
    view.goes_by_others = false;
    view.told = true;
    step(0.01);
    ck_assert_double_eq_tol(b.growth, 50.1e-6, 1e-12);
}
END_TEST

/* What is too small to end it is in it, and does not add up unseen. */
START_TEST(small_steps_of_the_clock_are_in_the_bound)
{
    by_page(0, 300);
    step(0);
    for (int i = 1; i <= 5; i++) {
        view.realtime_less_ns -= 400000;
        step(0.1);
        assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
        ck_assert_double_eq_tol(b.value.sec, 300e-9 + i * 400e-6, 1e-12);
    }
    by_page(2e-3, 300);
    step(0.1);
    ck_assert_double_eq_tol(b.value.sec, 300e-9 + 2e-3, 1e-12);
}
END_TEST

/* An update between chronyd's last answer and the step is of before it as well. */
START_TEST(the_first_answer_after_a_step_may_be_of_before_it)
{
    step(0);
    view.realtime_less_ns += SECOND;
    view.told = true;
    view.reference_sec += 64;
    step(0.5);
    assert_is(BOUND_UNKNOWN, BOUND_STEPPED);
    view.told = true;
    view.reference_sec += 64;
    step(64);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

/* chronyd's own, by its first update, is followed by its first word. */
START_TEST(the_step_that_chronyd_begins_with_is_no_loss)
{
    view.has_reference = false;
    step(0);
    view.realtime_less_ns += SECOND;
    view.has_reference = view.told = true;
    step(0.5);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

/* _i: a suspend, or a step by somebody else. */
START_TEST(a_suspend_or_a_step_ends_it_until_there_is_news)
{
    step(0);
    *(_i ? &view.realtime_less_ns : &view.suspended_ns) += 3 * SECOND;
    view.told = true; /* of an update before that */
    step(1);
    assert_is(BOUND_UNKNOWN, _i ? BOUND_STEPPED : BOUND_SUSPENDED);
    view.told = true;
    step(1);
    assert_is(BOUND_UNKNOWN, _i ? BOUND_STEPPED : BOUND_SUSPENDED);
    view.told = true;
    view.reference_sec += 10;
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    *(_i ? &view.realtime_less_ns : &view.suspended_ns) += SECOND / 2;
    step(1);
    assert_is(BOUND_UNKNOWN, _i ? BOUND_STEPPED : BOUND_SUSPENDED);
    by_page(1e-3, 300);
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
}
END_TEST

/*
 * _i: a suspend, or a step by somebody else. The page measures the clock, which chronyd does not:
 * once there is no page, its word of before is none.
 */
START_TEST(what_the_page_measures_does_not_make_chronyds_old_word_good)
{
    by_page(0, 300);
    view.goes_by_others = true;
    step(0);
    view.realtime_less_ns += 5 * SECOND;
    view.suspended_ns += _i ? 0 : 5 * SECOND;
    by_page(-5, 300);
    step(0.05);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
    view.told = true; /* of an update before that */
    by_page(-5, 300);
    step(1);
    view.is_clock = false;
    view.told = true;
    step(1);
    assert_is(BOUND_UNKNOWN, _i ? BOUND_STEPPED : BOUND_SUSPENDED);
}
END_TEST

/* By chronyd, which knows of a step when it is updated next. */
START_TEST(small_steps_between_two_updates_add_up)
{
    step(0);
    for (int i = 1; i <= 60; i++) {
        view.realtime_less_ns += 900000;
        view.told = true;
        step(0.1);
    }
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    ck_assert_double_ge(b.value.sec, 3e-3 + 60 * 900e-6);
    view.told = true;
    view.reference_sec += 64;
    step(1);
    ck_assert_double_eq_tol(b.value.sec, 3e-3, 1e-9);
}
END_TEST

/* A rate that was not corrected, by 450 ppm: what the clock has moved by since the last
 * measurement. */
START_TEST(between_two_measurements_the_clock_goes_on_as_before)
{
    by_page(0, 300);
    view.rate_error = 450e-6; /* as the counter tells, at first */
    step(0);
    ck_assert_double_ge(b.growth, 500e-6);
    view.rate_error = 0;
    by_page(-450e-6, 300);
    step(1);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
    ck_assert_double_ge(b.growth, 500e-6);
    by_page(-450e-6, 300);
    step(1);
    ck_assert_double_eq_tol(b.growth, 50.1e-6, 1e-12);
    by_page(5, 300); /* chronyd slews no faster than it does */
    step(0.01);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_PAGE);
}
END_TEST

START_TEST(an_only_update_grows_old_as_well)
{
    view.interval_sec = 0;
    step(0);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    view.told = true;
    step(86400);
    assert_is(BOUND_FREE_RUNNING, BOUND_CHRONYD_LATE);
}
END_TEST

/* _i: chronyd's; the update's time is anything. */
START_TEST(no_time_of_chronyd_is_too_far_away)
{
    view.reference_sec = _i == 0 ? INT64_MIN : _i == 1 ? INT64_MAX : 0;
    view.rate_doubt = 1e-6;
    step(0);
    view.told = true;
    step(1);
    ck_assert(b.status == BOUND_UNKNOWN || b.value.sec >= 0);
}
END_TEST

START_TEST(around_a_leap_second_nothing_holds)
{
    const int64_t july_2027 = 1814400000;

    view.realtime_less_ns = (july_2027 - 110) * SECOND; /* at 110 s it is July */
    view.reference_sec = july_2027 - 11;
    view.leap_is_announced = true;
    step(0); /* 100 */
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    step(6.5); /* 106.5 */
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    for (int i = 0; i < 5; i++) {
        step(1); /* 107.5 to 111.5 */
        assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    }
    step(2);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

START_TEST(a_page_that_is_good_for_nothing_holds_nothing)
{
    by_page(_i == 0 ? 1e9 : 0, 300);
    view.bound_ns = _i == 1 ? UINT64_MAX - 1 : 300;
    view.rate_bound = _i == 2 ? 7 : 0;
    step(0);
    assert_is(BOUND_UNKNOWN, BOUND_TOO_LARGE);
}
END_TEST

/* chronyd or the page has its announcement for some time after it. */
START_TEST(a_leap_second_that_has_been_is_not_one_of_the_next_month)
{
    const int64_t july_2027 = 1814400000;

    view.realtime_less_ns = (july_2027 - 200) * SECOND;
    view.reference_sec = july_2027 - 101;
    view.smears_sec = 43200;
    view.page_announces_leap = _i;
    view.leap_is_announced = !_i;
    step(0);
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    step(111);
    view.told = true;
    view.reference_sec += 200;
    step(10); /* still announced */
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    view.page_announces_leap = view.leap_is_announced = false;
    view.told = true;
    step(3000);
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
}
END_TEST

/* It announced a leap second, and does not answer any more. */
START_TEST(the_announcement_of_a_chronyd_that_is_gone_ends_with_the_month)
{
    const int64_t july_2027 = 1814400000, august_2027 = july_2027 + INT64_C(31) * 86400;

    view.realtime_less_ns = (july_2027 - 200) * SECOND;
    view.reference_sec = july_2027 - 101;
    view.leap_is_announced = true;
    step(0);
    view.answers = false;
    step(100);
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    step(2 * 86400);
    assert_is(BOUND_FREE_RUNNING, BOUND_CHRONYD_LOST);
    step((double)(august_2027 - july_2027) - 2 * 86400);
    assert_is(BOUND_FREE_RUNNING, BOUND_CHRONYD_LOST);
}
END_TEST

/* From noon to noon, say: what servers of that host tell then is no UTC. */
START_TEST(where_the_host_advises_to_smear_nothing_holds_for_as_long)
{
    const int64_t july_2027 = 1814400000;

    view.realtime_less_ns = (july_2027 - 50000 - 100) * SECOND;
    view.reference_sec = july_2027 - 50001;
    view.smears_sec = 43200;
    view.interval_sec = 16384;
    view.page_announces_leap = _i;
    view.leap_is_announced = !_i;
    step(0); /* 50000 s before */
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    step(7000);
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    step(43001); /* it has come, and is announced no more */
    view.page_announces_leap = view.leap_is_announced = false;
    view.told = true;
    step(1);
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    step(43000);
    assert_is(BOUND_UNKNOWN, BOUND_LEAP);
    view.told = true;
    view.reference_sec += 100000;
    step(300);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
}
END_TEST

/* By "leapsecmode slew" the clock is a second off after it, and chronyd says how much is left. */
START_TEST(a_leap_second_that_is_slewed_is_in_the_bound)
{
    const int64_t july_2027 = 1814400000;

    view.realtime_less_ns = (july_2027 - 100 + 3) * SECOND;
    view.reference_sec = july_2027;
    view.correction_sec = 0.99;
    step(0);
    assert_is(BOUND_SYNCHRONISED, BOUND_BY_CHRONYD);
    ck_assert_double_gt(b.value.sec, 0.99);
}
END_TEST

START_TEST(what_chronyd_does_not_say_is_not_known)
{
    static const double distances[] = {NAN, INFINITY, 1e8, 1e-3};

    view.distance_sec = distances[_i];
    view.rate_doubt = _i == 3 ? 1 : 0;
    step(0);
    assert_is(BOUND_UNKNOWN, _i == 0 ? BOUND_NO_REFERENCE : BOUND_TOO_LARGE);
}
END_TEST

RUN_LOOPS_AFTER(setup, "bound", {nothing_is_known_without_a_page, 1},
    {a_marker_alone_leaves_it_to_chronyds_word, 1}, {a_reference_that_is_not_updated_runs_free, 1},
    {a_chronyd_that_is_gone_or_lost_leaves_its_last_word_to_grow, 2},
    {a_disruption_ends_it_until_the_bound_is_known_again, 1},
    {a_chronyd_that_may_not_have_forgotten_is_not_believed, 1}, {a_page_with_bounds_is_measured, 1},
    {a_page_without_bounds_adds_to_chronyds_word, 1},
    {beside_a_chronyd_that_goes_by_others_the_pages_bound_grows_by_its_slew, 1},
    {small_steps_of_the_clock_are_in_the_bound, 1},
    {the_first_answer_after_a_step_may_be_of_before_it, 1},
    {the_step_that_chronyd_begins_with_is_no_loss, 1},
    {a_suspend_or_a_step_ends_it_until_there_is_news, 2}, {around_a_leap_second_nothing_holds, 1},
    {where_the_host_advises_to_smear_nothing_holds_for_as_long, 2},
    {a_leap_second_that_is_slewed_is_in_the_bound, 1}, {what_chronyd_does_not_say_is_not_known, 4},
    {a_page_that_is_good_for_nothing_holds_nothing, 3},
    {what_the_page_measures_does_not_make_chronyds_old_word_good, 2},
    {small_steps_between_two_updates_add_up, 1},
    {between_two_measurements_the_clock_goes_on_as_before, 1},
    {an_only_update_grows_old_as_well, 1}, {no_time_of_chronyd_is_too_far_away, 3},
    {a_leap_second_that_has_been_is_not_one_of_the_next_month, 2},
    {the_announcement_of_a_chronyd_that_is_gone_ends_with_the_month, 1})
