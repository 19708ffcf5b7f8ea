/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/counter_watch.h"

#include <math.h>

#include "tests/clock_page.h"
#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

static struct counter_watch watch;
static struct clock_model model; /* 1 ns a tick */

static void setup(void)
{
    counter_watch_init(&watch, 100 * SECOND);
    counter_watch_take_source(&watch, true);
    ck_assert_int_eq(clock_model_init(&clock_page, &clock_page_reader, &model), CLOCK_OK);
}

/* CLOCK_MONOTONIC_RAW and the counter after `sec`, one ns a tick. */
static void take_raw(int64_t sec)
{
    const struct cross_timestamp raw = {
        (uint64_t)(sec * SECOND) + 1000, (uint64_t)(sec * SECOND) + 1040, sec, 20};

    counter_watch_take_raw(&watch, &raw, 1, (100 + sec) * SECOND);
}

static void take(uint64_t counter_before, uint64_t counter_after)
{
    const struct cross_timestamp reading = {counter_before, counter_after, 1, 0};

    counter_watch_take(&watch, &reading, 1);
}

START_TEST(a_counter_that_goes_back_is_not_good_again_until_a_disruption)
{
    take(1000, 1010);
    take(1005, 1020); /* the first of one is held against the first of the one before */
    ck_assert(!watch.back);
    take(1004, 1020);
    ck_assert(watch.back);
    take(2000, 2010);
    ck_assert(watch.back);
    counter_watch_disrupted(&watch, 100 * SECOND);
    take(5, 10); /* another host's counter may have any value */
    ck_assert(!watch.back);
    take(20, 19); /* within one reading */
    ck_assert(watch.back);
}
END_TEST

START_TEST(no_readings_say_nothing)
{
    take(1000, 1010);
    counter_watch_take(&watch, NULL, 0);
    ck_assert(!watch.back);
    ck_assert_uint_eq(watch.value, 1000);
}
END_TEST

START_TEST(the_raw_clock_is_due_each_second_and_a_moment_after_a_disruption)
{
    ck_assert_int_eq(watch.due_ns, 100 * SECOND);
    take_raw(0);
    ck_assert_int_eq(watch.due_ns, 101 * SECOND);
    counter_watch_take_raw(&watch, NULL, 0, 101 * SECOND); /* the page moved: in a second again */
    ck_assert_int_eq(watch.due_ns, 102 * SECOND);
    counter_watch_disrupted(&watch, 101 * SECOND);
    ck_assert_int_eq(watch.due_ns, 101 * SECOND + 100 * MS);
}
END_TEST

START_TEST(the_rate_error_is_known_after_a_second_and_stays_so_through_a_disruption)
{
    double ppm;

    take_raw(0);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm));
    take_raw(1);
    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm));
    ck_assert_double_eq_tol(ppm, 0, 0.01);
    counter_watch_disrupted(&watch, 101 * SECOND);
    model.period_frac -= model.period_frac / 10000; /* 100 ppm less a tick */
    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm));
    ck_assert_double_eq_tol(ppm, 100, 0.02);
    ck_assert(counter_watch_rate_error(&watch, &model, 60, &ppm)); /* chronyd keeps it slower */
    ck_assert_double_eq_tol(ppm, 40, 0.02);
}
END_TEST

START_TEST(a_rate_outlives_no_change_of_the_clock_source)
{
    double ppm;

    take_raw(0);
    take_raw(1);
    counter_watch_take_source(&watch, true);
    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm));
    counter_watch_take_source(&watch, false);
    take_raw(2);
    take_raw(3);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm));
    counter_watch_take_source(&watch, true);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm));
}
END_TEST

START_TEST(no_rate_is_learnt_from_a_counter_that_went_back)
{
    take(UINT64_C(1) << 40, (UINT64_C(1) << 40) + 10);
    take_raw(0);
    take_raw(1);
    ck_assert(watch.back && !watch.rate.known);
}
END_TEST

START_TEST(it_is_not_known_by_a_frequency_that_cannot_be_or_a_counter_that_went_back)
{
    static const double absurd[] = {NAN, INFINITY, 1.1e5, -1.1e5};
    double ppm = -1;

    take_raw(0);
    take_raw(1);
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++)
        ck_assert(!counter_watch_rate_error(&watch, &model, absurd[i], &ppm));
    take(1, 2);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm));
    ck_assert_double_eq(ppm, -1);
}
END_TEST

RUN_LOOPS_AFTER(setup, "counter watch",
    {a_counter_that_goes_back_is_not_good_again_until_a_disruption, 1},
    {no_readings_say_nothing, 1},
    {the_raw_clock_is_due_each_second_and_a_moment_after_a_disruption, 1},
    {the_rate_error_is_known_after_a_second_and_stays_so_through_a_disruption, 1},
    {a_rate_outlives_no_change_of_the_clock_source, 1},
    {no_rate_is_learnt_from_a_counter_that_went_back, 1},
    {it_is_not_known_by_a_frequency_that_cannot_be_or_a_counter_that_went_back, 1})
