/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/ptp_clock.h"

#include <math.h>
#include <string.h>

#include "tests/suite.h"

#define SECOND INT64_C(1000000000)
#define UTC    INT64_C(1700000000)

static struct ptp_clock ptp;

static void setup(void)
{
    const struct ptp_clock_config config = {.used = true};

    ptp_clock_init(&ptp, &config, &(struct ptp_clock_saved){0}, 0);
    ptp_clock_meet(&ptp, 5, false, 37);
}

static struct ptp_time at(double sec)
{
    return (struct ptp_time){UTC + (int64_t)floor(sec), (uint32_t)((sec - floor(sec)) * 1e9)};
}

/* A batch at `sec` of a clock that is `ahead_sec` of CLOCK_REALTIME; RAW runs fast by `ppm`. */
static void read_at(double sec, double ahead_sec, double ppm)
{
    struct ptp_reading readings[PTP_READINGS_MAX];
    const unsigned n = ptp_clock_ask(&ptp, false, (int64_t)(sec * 1e9));

    for (unsigned i = 0; i < n; i++) {
        const double then = sec + i * 15e-6;

        readings[i] =
            (struct ptp_reading){at(then + ahead_sec), at(then), at(then * (1 + ppm * 1e-6)), 0};
    }
    ck_assert(ptp_clock_take(&ptp, ptp.request, readings, n));
}

START_TEST(one_comparison_that_agrees_is_enough)
{
    ck_assert(!ptp_clock_is_trusted(&ptp));
    read_at(1, 2e-6, 0);
    ck_assert(ptp_clock_compare(&ptp, 0, SECOND));
    ck_assert(ptp_clock_is_trusted(&ptp));
    ck_assert_double_eq_tol(ptp_clock_good_for_sec(&ptp), 2e-6, 1e-8);
}
END_TEST

/* chronyd's correction is positive where the clock is ahead, and the truth behind it. */
START_TEST(what_chronyd_still_slews_counts)
{
    read_at(1, -0.0005, 0);
    ptp_clock_compare(&ptp, 0.0005, SECOND);
    ck_assert_double_lt(ptp_clock_good_for_sec(&ptp), 1e-7);
}
END_TEST

START_TEST(the_largest_difference_of_an_hour_is_what_it_is_good_for)
{
    read_at(1, 1e-3, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    for (int minute = 1; minute <= 55; minute++) {
        read_at(60.0 * minute, 1e-6, 0);
        ptp_clock_compare(&ptp, 0, 60 * SECOND * minute);
        ck_assert_double_eq_tol(ptp_clock_good_for_sec(&ptp), 1e-3, 1e-7);
    }
    for (int minute = 56; minute <= 75; minute++) {
        read_at(60.0 * minute, 1e-6, 0);
        ptp_clock_compare(&ptp, 0, 60 * SECOND * minute);
    }
    ck_assert_double_eq_tol(ptp_clock_good_for_sec(&ptp), 1e-6, 1e-7);
}
END_TEST

static const struct {
    double ahead_sec;
    enum ptp_clock_state state;
} wrong[] = {{37, PTP_CLOCK_OTHER_SCALE}, {-37, PTP_CLOCK_OTHER_SCALE}, {3600, PTP_CLOCK_TOO_FAR},
    {0.3, PTP_CLOCK_TOO_FAR}, {-0.11, PTP_CLOCK_TOO_FAR}, {37.3, PTP_CLOCK_TOO_FAR}};

START_TEST(a_clock_that_does_not_agree_is_not_used)
{
    read_at(1, 0, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    read_at(61, wrong[_i].ahead_sec, 0);
    ck_assert(ptp_clock_compare(&ptp, 0, 61 * SECOND));
    ck_assert_int_eq(ptp.state, wrong[_i].state);
    ck_assert(!ptp_clock_is_trusted(&ptp));
    read_at(121, wrong[_i].ahead_sec, 0); /* which is news once */
    ck_assert(!ptp_clock_compare(&ptp, 0, 121 * SECOND));
}
END_TEST

START_TEST(a_clock_of_another_time_scale_is_used_as_it_is_configured)
{
    const struct ptp_clock_config tai = {.used = true, .scale = PTP_SCALE_TAI},
                                  seconds = {.used = true, .ahead_sec = 36.5};

    ptp_clock_reconfigure(&ptp, &tai);
    read_at(1, 37, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    ck_assert(ptp_clock_is_trusted(&ptp));
    ptp_clock_reconfigure(&ptp, &seconds);
    ck_assert(!ptp_clock_is_trusted(&ptp)); /* compared once more */
    read_at(61, 36.5, 0);
    ptp_clock_compare(&ptp, 0, 61 * SECOND);
    ck_assert(ptp_clock_is_trusted(&ptp));
    /* The kernel was not told of TAI: nothing is known. */
    ptp_clock_reconfigure(&ptp, &tai);
    ptp_clock_meet(&ptp, 5, false, 0);
    read_at(121, 37, 0);
    ptp_clock_compare(&ptp, 0, 121 * SECOND);
    ck_assert(!ptp_clock_is_trusted(&ptp));
}
END_TEST

START_TEST(trust_survives_a_restart_and_is_of_one_clock)
{
    const struct ptp_clock_config config = {.used = true};
    struct ptp_clock_saved saved;

    read_at(1, 2e-6, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    saved = ptp_clock_saved(&ptp);
    ptp_clock_init(&ptp, &config, &saved, 0);
    ck_assert(!ptp_clock_is_trusted(&ptp)); /* it is not there yet */
    ptp_clock_meet(&ptp, 5, false, 37);
    ck_assert(ptp_clock_is_trusted(&ptp));
    ck_assert_double_eq_tol(ptp_clock_good_for_sec(&ptp), 2e-6, 1e-8);
    ptp_clock_meet(&ptp, 0, false, 37);
    ck_assert(!ptp_clock_is_trusted(&ptp));
    ptp_clock_meet(&ptp, 6, false, 37); /* another one */
    ck_assert(!ptp_clock_is_trusted(&ptp));
}
END_TEST

/* _i: the other configuration has another offset, or scale. */
START_TEST(trust_does_not_survive_a_restart_by_another_time_scale)
{
    struct ptp_clock_config config = {.used = true};
    struct ptp_clock_saved saved;

    read_at(1, 2e-6, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    saved = ptp_clock_saved(&ptp);
    if (_i)
        config.scale = PTP_SCALE_TAI;
    else
        config.ahead_sec = 37;
    ptp_clock_init(&ptp, &config, &saved, 0);
    ptp_clock_meet(&ptp, 5, false, 37);
    ck_assert(!ptp_clock_is_trusted(&ptp));
}
END_TEST

START_TEST(a_clock_that_stands_still_or_jumps_is_found_out)
{
    struct ptp_reading readings[3];

    read_at(1, 0, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    ptp_clock_disrupted(&ptp, 2 * SECOND);
    ptp_clock_ask(&ptp, false, 2 * SECOND);
    for (int i = 0; i < 3; i++)
        readings[i] = (struct ptp_reading){at(2), at(2 + i * 5e-5), at(2 + i * 5e-5), 0};
    ptp_clock_take(&ptp, ptp.request, readings, 3);
    ck_assert_int_eq(ptp.state, PTP_CLOCK_BROKEN);
    ck_assert(isnan(ptp.offset_sec));

    setup();
    read_at(1, 0, 0);
    ptp_clock_compare(&ptp, 0, SECOND);
    read_at(1.1, -0.005, 0);
    ck_assert_int_eq(ptp.state, PTP_CLOCK_BROKEN);
    ck_assert(!ptp_clock_is_trusted(&ptp));
}
END_TEST

START_TEST(the_rate_is_better_known_the_longer_it_is_measured)
{
    double ppm, doubt, last = INFINITY;

    ck_assert(!ptp_clock_rate_error(&ptp, 0, &ppm, &doubt));
    for (int ms = 0; ms < 50; ms += 10) {
        read_at(1 + ms * 1e-3, 0, 42);
        ck_assert(ptp_clock_rate_error(&ptp, 0, &ppm, &doubt));
        ck_assert_double_lt(fabs(ppm - 42), 4 * doubt);
        ck_assert_double_lt(doubt, last);
        last = doubt;
    }
    ck_assert_double_eq_tol(ppm, 42, 0.1);
    ck_assert(ptp_clock_rate_error(&ptp, 42, &ppm, &doubt)); /* chronyd has it already */
    ck_assert_double_eq_tol(ppm, 0, 0.1);
    ck_assert(!ptp_clock_rate_error(&ptp, NAN, &ppm, &doubt));
    ptp_clock_disrupted(&ptp, 2 * SECOND);
    ck_assert(!ptp_clock_rate_error(&ptp, 0, &ppm, &doubt));
}
END_TEST

START_TEST(a_limited_clock_is_not_read_more_often_than_it_bears)
{
    unsigned first = 0, all = 0;

    ptp_clock_meet(&ptp, 5, true, 37);
    ptp_clock_disrupted(&ptp, 0);
    for (int ms = 0; ms < 10000; ms++) {
        const unsigned n = ptp_clock_ask(&ptp, false, ms * SECOND / 1000);

        all += n;
        first += ms < 1000 ? n : 0;
        if (n > 0)
            ptp_clock_take(&ptp, ptp.request, NULL, 0);
    }
    ck_assert_uint_le(first, 50);
    ck_assert_uint_le(all, 100);
    ck_assert_uint_gt(first, 40);
}
END_TEST

START_TEST(what_does_not_come_in_time_has_not_come)
{
    ptp_clock_ask(&ptp, false, SECOND);
    ck_assert(!ptp_clock_expire(&ptp, SECOND + 9000000));
    ck_assert(ptp_clock_expire(&ptp, SECOND + 10000000));
    ck_assert(!ptp_clock_expire(&ptp, SECOND + 20000000));
    ck_assert(isnan(ptp.offset_sec));
    ck_assert(!ptp_clock_take(&ptp, ptp.request, NULL, 0)); /* too late */
}
END_TEST

RUN_LOOPS_AFTER(setup, "PTP clock", {one_comparison_that_agrees_is_enough, 1},
    {what_chronyd_still_slews_counts, 1},
    {the_largest_difference_of_an_hour_is_what_it_is_good_for, 1},
    {a_clock_that_does_not_agree_is_not_used, 6},
    {a_clock_of_another_time_scale_is_used_as_it_is_configured, 1},
    {trust_survives_a_restart_and_is_of_one_clock, 1},
    {trust_does_not_survive_a_restart_by_another_time_scale, 2},
    {a_clock_that_stands_still_or_jumps_is_found_out, 1},
    {the_rate_is_better_known_the_longer_it_is_measured, 1},
    {a_limited_clock_is_not_read_more_often_than_it_bears, 1},
    {what_does_not_come_in_time_has_not_come, 1})
