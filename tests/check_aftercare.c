/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/aftercare.h"

#include <math.h>

#include "tests/suite.h"

#define SECOND INT64_C(1000000000)

static struct aftercare a;
static struct known_chronyd known;
static struct aftercare_view view;

/* 10 s after a disruption, and chronyd has measured that its rate is 30 ppm off. */
static void setup(void)
{
    a = (struct aftercare){.bursts_left = 0};
    known = (struct known_chronyd){.reachable = true,
        .tracked = true,
        .has_reference = true,
        .skew_ppm = 0.1,
        .residual_ppm = -30,
        .dispersion_sec = 10e-6,
        .reference_time = {1000, 5}};
    view = (struct aftercare_view){.now_ns = 110 * SECOND,
        .disrupted_ns = 100 * SECOND,
        .resting = true,
        .needs_rate = true,
        .may_burst = true,
        .may_rate = true,
        .rate_max_ppm = 500};
    aftercare_begin(&a, 101 * SECOND);
}

START_TEST(bursts_follow_four_times_each_after_twice_as_long)
{
    static const int64_t intervals_sec[] = {8, 16, 32, 64};
    int64_t now_ns = 101 * SECOND;

    for (unsigned i = 0; i < 4; i++) {
        ck_assert(aftercare_may_burst(&a, &known, &view));
        ck_assert_int_eq(a.burst_due_ns, now_ns + intervals_sec[i] * SECOND);
        now_ns = a.burst_due_ns;
        aftercare_burst_sent(&a, now_ns);
    }
    ck_assert(!aftercare_may_burst(&a, &known, &view));
}
END_TEST

START_TEST(no_burst_where_it_is_not_the_time_for_one)
{
    bool *const off[] = {&known.reachable, &view.resting, &view.may_burst};

    *off[_i] = false;
    ck_assert(!aftercare_may_burst(&a, &known, &view));
}
END_TEST

START_TEST(it_ends_when_the_rate_is_good_half_a_minute_later_at_the_earliest)
{
    known.residual_ppm = 0.5;
    aftercare_referenced(&a, &known, &view);
    aftercare_burst_sent(&a, 109 * SECOND);
    aftercare_referenced(&a, &known, &view);
    ck_assert_uint_eq(a.bursts_left, 3);
    aftercare_burst_sent(&a, 125 * SECOND);
    known.residual_ppm = NAN;
    aftercare_referenced(&a, &known, &view);
    known.residual_ppm = 1.1;
    aftercare_referenced(&a, &known, &view);
    known.residual_ppm = -0.9;
    known.skew_ppm = 1.1;
    aftercare_referenced(&a, &known, &view);
    ck_assert_uint_eq(a.bursts_left, 2);
    known.skew_ppm = 0.9;
    aftercare_referenced(&a, &known, &view);
    ck_assert_uint_eq(a.bursts_left, 0);
    ck_assert_uint_eq(a.rates_left, 0);
}
END_TEST

START_TEST(it_ends_at_once_where_the_rate_is_told_otherwise)
{
    view.needs_rate = _i;
    view.polls_fast = _i;
    aftercare_referenced(&a, &known, &view);
    ck_assert_uint_eq(a.bursts_left, 0);
}
END_TEST

START_TEST(a_rate_is_sent_for_each_update_three_times_at_most)
{
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(aftercare_rate_is_due(&a, &known, &view));
        aftercare_rate_sent(&a, &known);
        ck_assert(!aftercare_rate_is_due(&a, &known, &view));
        known.reference_time.nsec++;
    }
    ck_assert(!aftercare_rate_is_due(&a, &known, &view));
}
END_TEST

/* Noise of 20 us explains 4 ppm after 10 s. */
START_TEST(a_rate_that_noise_explains_or_that_is_absurd_is_not_sent)
{
    static const double rates_ppm[] = {3.9, -3.9, 501, -501, NAN}, due_ppm[] = {4.1, -4.1, 499};

    known.dispersion_sec = 20e-6;
    for (size_t i = 0; i < sizeof(rates_ppm) / sizeof(rates_ppm[0]); i++) {
        known.residual_ppm = rates_ppm[i];
        ck_assert(!aftercare_rate_is_due(&a, &known, &view));
    }
    for (size_t i = 0; i < sizeof(due_ppm) / sizeof(due_ppm[0]); i++) {
        known.residual_ppm = due_ppm[i];
        ck_assert(aftercare_rate_is_due(&a, &known, &view));
    }
    known.dispersion_sec = 0;
    known.residual_ppm = 0.9;
    ck_assert(!aftercare_rate_is_due(&a, &known, &view));
}
END_TEST

START_TEST(no_rate_where_it_is_not_the_time_for_one)
{
    bool *const off[] = {
        &view.resting, &view.needs_rate, &view.may_rate, &known.tracked, &known.has_reference};

    *off[_i] = false;
    ck_assert(!aftercare_rate_is_due(&a, &known, &view));
}
END_TEST

START_TEST(after_the_end_or_a_refusal_none_is_sent)
{
    if (_i)
        aftercare_end(&a);
    else
        aftercare_rate_refused(&a);
    ck_assert(!aftercare_rate_is_due(&a, &known, &view));
    ck_assert_int_eq(aftercare_may_burst(&a, &known, &view), !_i);
}
END_TEST

RUN_LOOPS_AFTER(setup, "aftercare", {bursts_follow_four_times_each_after_twice_as_long, 1},
    {no_burst_where_it_is_not_the_time_for_one, 3},
    {it_ends_when_the_rate_is_good_half_a_minute_later_at_the_earliest, 1},
    {it_ends_at_once_where_the_rate_is_told_otherwise, 2},
    {a_rate_is_sent_for_each_update_three_times_at_most, 1},
    {a_rate_that_noise_explains_or_that_is_absurd_is_not_sent, 1},
    {no_rate_where_it_is_not_the_time_for_one, 5}, {after_the_end_or_a_refusal_none_is_sent, 2})
