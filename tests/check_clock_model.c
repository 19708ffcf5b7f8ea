/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/clock_model.h"

#include <inttypes.h>

#include "tests/clock_page.h"
#include "tests/suite.h"

static struct vmclock_page page;
static struct clock_model model;

/* What tests/make_vectors.py says; it explains them. */
static const struct {
    uint64_t counter_value, counter, period, shift, sec, frac, maxerror_ns, period_maxerror;
    enum clock_verdict verdict;
    uint64_t expected_sec, expected_frac, bound_ns;
} vectors[] = {
#define VECTOR(...)  {__VA_ARGS__},
#define PRODUCT(...) /* check_fixed.c has them */
#include "tests/clock_vectors.h"
};

#define MONTH_END_SEC INT64_C(1719792000) /* 2024-07-01 */

static struct clock_reader reader;

static void good_page(void)
{
    page = clock_page;
    reader = clock_page_reader;
}

static enum clock_verdict verdict_of_page(void)
{
    return clock_model_init(&page, &reader, &model);
}

static enum clock_verdict time_at(int64_t sec, struct clock_time *ret_time)
{
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    return clock_model_time(
        &model, (uint64_t)(1000 + (sec - (int64_t)CLOCK_PAGE_SEC) * 1000000000), ret_time);
}

START_TEST(time_and_bound_are_what_rational_arithmetic_says)
{
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct clock_time time = {.leap = 0};
        enum clock_verdict verdict;
        uint64_t bound;

        good_page();
        page.time_type = VMCLOCK_TIME_UTC;
        page.flags = VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
        page.counter_value = vectors[i].counter_value;
        page.period_frac_sec = vectors[i].period;
        page.period_shift = (uint8_t)vectors[i].shift;
        page.time_sec = vectors[i].sec;
        page.time_frac_sec = vectors[i].frac;
        page.time_maxerror_ns = vectors[i].maxerror_ns;
        page.period_maxerror = vectors[i].period_maxerror;
        verdict = verdict_of_page();
        if (verdict == CLOCK_OK)
            verdict = clock_model_time(&model, vectors[i].counter, &time);
        ck_assert_msg(verdict == vectors[i].verdict, "vector %zu: %s, not %s", i,
            clock_verdict_str(verdict), clock_verdict_str(vectors[i].verdict));
        if (verdict != CLOCK_OK)
            continue;
        ck_assert_msg((uint64_t)time.utc.sec == vectors[i].expected_sec &&
                          time.utc.frac == vectors[i].expected_frac,
            "vector %zu is not exact", i);
        bound = clock_model_bound_ns(&model, vectors[i].counter);
        ck_assert_msg(bound >= vectors[i].bound_ns && bound - vectors[i].bound_ns <= 1,
            "vector %zu: the bound is %" PRIu64 ", not %" PRIu64, i, bound, vectors[i].bound_ns);
    }
}
END_TEST

START_TEST(a_page_in_tai_gives_utc)
{
    struct clock_time time;

    good_page();
    ck_assert_int_eq(time_at((int64_t)CLOCK_PAGE_SEC + 10, &time), CLOCK_OK);
    ck_assert_int_eq(time.utc.sec, (int64_t)CLOCK_PAGE_SEC + 10);
    ck_assert_double_eq_tol((double)time.utc.frac, 0x1p63, 1e7);
}
END_TEST

START_TEST(a_page_in_utc_needs_no_tai_offset)
{
    struct clock_time time;

    good_page();
    page.time_type = VMCLOCK_TIME_UTC;
    page.time_sec = CLOCK_PAGE_SEC;
    page.flags = 0;
    ck_assert_int_eq(time_at((int64_t)CLOCK_PAGE_SEC, &time), CLOCK_OK);
    ck_assert_int_eq(time.utc.sec, (int64_t)CLOCK_PAGE_SEC);
}
END_TEST

START_TEST(a_counter_before_the_reference_gives_the_time_before_it)
{
    struct clock_time time;

    good_page();
    ck_assert_int_eq(time_at((int64_t)CLOCK_PAGE_SEC - 60, &time), CLOCK_OK);
    ck_assert_int_eq(time.utc.sec, (int64_t)CLOCK_PAGE_SEC - 60);
    ck_assert_int_eq(time_at((int64_t)CLOCK_PAGE_SEC - 3700, &time), CLOCK_REFERENCE_IN_FUTURE);
}
END_TEST

START_TEST(only_synchronised_and_free_running_clocks_are_relied_on)
{
    for (int status = 0; status < 256; status++) {
        good_page();
        page.clock_status = (uint8_t)status;
        ck_assert_int_eq(verdict_of_page() == CLOCK_OK, status == 2 || status == 3);
    }
    page.clock_status = VMCLOCK_STATUS_FREERUNNING;
    reader.accept_freerunning = false;
    ck_assert_int_eq(verdict_of_page(), CLOCK_FREERUNNING_REFUSED);
}
END_TEST

START_TEST(only_utc_and_tai_give_time_and_the_others_a_period)
{
    for (int type = 0; type < 256; type++) {
        enum clock_verdict verdict;

        good_page();
        page.time_type = (uint8_t)type;
        verdict = verdict_of_page();
        ck_assert_int_eq(verdict == CLOCK_OK, type < 2);
        ck_assert(clock_verdict_has_period(verdict));
        ck_assert_double_eq_tol(clock_model_period(&model), 1e-9, 1e-24);
    }
}
END_TEST

START_TEST(the_smearing_hint_changes_nothing)
{
    for (int hint = 0; hint < 256; hint++) {
        struct clock_time time;

        good_page();
        page.smearing_hint = (uint8_t)hint;
        ck_assert_int_eq(time_at(MONTH_END_SEC - 10, &time), CLOCK_OK);
        ck_assert_int_eq(time.utc.sec, MONTH_END_SEC - 10);
    }
}
END_TEST

START_TEST(a_counter_of_another_kind_is_marker_only)
{
    for (int id = 0; id < 256; id++) {
        enum clock_verdict verdict;

        good_page();
        page.counter_id = (uint8_t)id;
        verdict = verdict_of_page();
        ck_assert_int_eq(verdict == CLOCK_OK, id == VMCLOCK_COUNTER_X86_TSC);
        ck_assert_int_eq(clock_verdict_is_marker_only(verdict), id != VMCLOCK_COUNTER_X86_TSC);
    }
}
END_TEST

START_TEST(an_implausible_tai_offset_is_refused)
{
    static const int16_t bad[] = {-37, -1, 0, 29, 51, 100, INT16_MAX, INT16_MIN};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        good_page();
        page.tai_offset_sec = bad[i];
        ck_assert_int_eq(verdict_of_page(), CLOCK_BAD_TAI_OFFSET);
    }
    good_page();
    page.flags = 0;
    ck_assert_int_eq(verdict_of_page(), CLOCK_NO_TAI_OFFSET);
}
END_TEST

START_TEST(a_period_of_nothing_or_too_little_is_refused)
{
    good_page();
    page.period_frac_sec = 0;
    ck_assert_int_eq(verdict_of_page(), CLOCK_BAD_PERIOD);
    page.period_frac_sec = 1000;
    ck_assert_int_eq(verdict_of_page(), CLOCK_BAD_PERIOD);
    page.period_frac_sec = UINT64_MAX;
    reader.period_sec = 1e-9;
    page.period_frac_sec = CLOCK_PAGE_PERIOD;
    for (int shift = 0; shift < 64; shift++) {
        page.period_shift = (uint8_t)shift;
        ck_assert_int_eq(verdict_of_page() == CLOCK_OK, shift == 29);
    }
    page.period_frac_sec = UINT64_MAX;
    for (int shift = 64; shift < 256; shift++) {
        page.period_shift = (uint8_t)shift;
        ck_assert_int_eq(verdict_of_page(), CLOCK_BAD_PERIOD);
    }
}
END_TEST

START_TEST(a_time_that_does_not_fit_is_refused)
{
    struct clock_time time;

    good_page();
    page.time_sec = UINT64_MAX;
    ck_assert_int_eq(verdict_of_page(), CLOCK_OUT_OF_RANGE);
    page.time_sec = INT64_MAX;
    page.leap_indicator = VMCLOCK_LEAP_PRE_POSITIVE;
    ck_assert_int_eq(verdict_of_page(), CLOCK_OUT_OF_RANGE);
    page.time_sec = 10; /* before 1970, in UTC */
    ck_assert_int_eq(verdict_of_page(), CLOCK_OUT_OF_RANGE);

    /* A leap second, ahead or behind, that would take the last second of all beyond the range. */
    page.time_type = VMCLOCK_TIME_UTC;
    page.time_sec = INT64_MAX - INT64_C(32) * 86400;
    for (int leap = VMCLOCK_LEAP_PRE_POSITIVE; leap <= VMCLOCK_LEAP_POST_NEGATIVE; leap++) {
        if (leap == VMCLOCK_LEAP_NOW)
            continue;
        page.leap_indicator = (uint8_t)leap;
        ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
        ck_assert_int_eq(clock_model_time(&model, 1000 + UINT64_C(32) * 86400000000000, &time),
            leap == VMCLOCK_LEAP_PRE_POSITIVE || leap == VMCLOCK_LEAP_POST_NEGATIVE
                ? CLOCK_OK
                : CLOCK_OUT_OF_RANGE);
    }
}
END_TEST

START_TEST(a_page_too_short_for_a_clock_is_marker_only)
{
    good_page();
    page.size = VMCLOCK_AT_TIME_FRAC_SEC;
    ck_assert_int_eq(verdict_of_page(), CLOCK_TOO_SHORT);
}
END_TEST

START_TEST(a_positive_leap_second_is_announced_withheld_and_applied)
{
    struct clock_time time;

    good_page();
    page.leap_indicator = VMCLOCK_LEAP_PRE_POSITIVE;
    ck_assert_int_eq(time_at(MONTH_END_SEC - 1, &time), CLOCK_OK);
    ck_assert_int_eq(time.leap, 1);
    ck_assert_int_eq(time_at(MONTH_END_SEC, &time), CLOCK_LEAP_NOW); /* 23:59:60 */
    ck_assert_int_eq(time_at(MONTH_END_SEC + 1, &time), CLOCK_OK);
    ck_assert_int_eq(time.utc.sec, MONTH_END_SEC);
    ck_assert_int_eq(time.leap, 0);
}
END_TEST

START_TEST(a_negative_leap_second_is_announced_and_applied)
{
    struct clock_time time;

    good_page();
    page.leap_indicator = VMCLOCK_LEAP_PRE_NEGATIVE;
    ck_assert_int_eq(time_at(MONTH_END_SEC - 2, &time), CLOCK_OK);
    ck_assert_int_eq(time.leap, 2);
    ck_assert_int_eq(time_at(MONTH_END_SEC - 1, &time), CLOCK_OK); /* it is not there */
    ck_assert_int_eq(time.utc.sec, MONTH_END_SEC);
    ck_assert_int_eq(time.leap, 0);
}
END_TEST

START_TEST(the_leap_second_itself_gives_no_time_and_one_that_has_been_changes_nothing)
{
    struct clock_time time;

    good_page();
    page.leap_indicator = VMCLOCK_LEAP_NOW;
    ck_assert_int_eq(verdict_of_page(), CLOCK_LEAP_NOW);
    for (int leap = VMCLOCK_LEAP_POST_POSITIVE; leap <= VMCLOCK_LEAP_POST_NEGATIVE; leap++) {
        page.leap_indicator = (uint8_t)leap;
        ck_assert_int_eq(time_at(MONTH_END_SEC + 5, &time), CLOCK_OK);
        ck_assert_int_eq(time.utc.sec, MONTH_END_SEC + 5);
        ck_assert_int_eq(time.leap, 0);
    }
    for (int leap = 6; leap < 256; leap++) {
        page.leap_indicator = (uint8_t)leap;
        ck_assert_int_eq(verdict_of_page(), CLOCK_LEAP_INVALID);
    }
}
END_TEST

/*
 * Quarters of seconds from the moment that a leap second begins, or that one is left out; all that
 * is written and read is a microsecond later, so that no rounding decides on which side it is.
 */
static void write_reference_near_leap(int64_t at, int step, enum vmclock_time_type type)
{
    const int64_t end_tai = MONTH_END_SEC + 37 + (step < 0 ? -1 : 0);
    const bool during = step > 0 && at >= 0 && at < 4, after = !during && at >= 0;

    good_page();
    page.time_type = (uint8_t)type;
    page.tai_offset_sec = (int16_t)(37 + (after ? step : 0));
    page.counter_value = (uint64_t)(1000000 + at * 250000000);
    page.time_sec = (uint64_t)(4 * end_tai + at) / 4;
    page.time_frac_sec = ((uint64_t)(at & 3) << 62) + fixed_from_timespec(0, 1000).frac;
    if (type == VMCLOCK_TIME_UTC)
        page.time_sec -= (uint64_t)page.tai_offset_sec;
    if (during)
        page.leap_indicator = VMCLOCK_LEAP_NOW;
    else if (step > 0)
        page.leap_indicator = after ? VMCLOCK_LEAP_POST_POSITIVE : VMCLOCK_LEAP_PRE_POSITIVE;
    else
        page.leap_indicator = after ? VMCLOCK_LEAP_POST_NEGATIVE : VMCLOCK_LEAP_PRE_NEGATIVE;
}

static void assert_time_near_leap(int64_t reference, int64_t now, int step)
{
    /* A quarter before, the leap second where it is one, and a quarter after. */
    const bool ambiguous = now >= -1 && now < (step > 0 ? 5 : 1), after = now >= 0;
    const int64_t quarters =
        4 * (MONTH_END_SEC + (step < 0 ? -1 : 0)) + now - (after ? 4 * step : 0);
    struct clock_time time;
    enum clock_verdict verdict = verdict_of_page();

    if (verdict == CLOCK_OK)
        verdict = clock_model_time(&model, (uint64_t)(1000000 + now * 250000000), &time);
    ck_assert_msg(verdict == (ambiguous || page.leap_indicator == VMCLOCK_LEAP_NOW ? CLOCK_LEAP_NOW
                                                                                   : CLOCK_OK),
        "%d, reference %" PRId64 ", now %" PRId64 ": %s", step, reference, now,
        clock_verdict_str(verdict));
    if (verdict != CLOCK_OK)
        return;
    ck_assert_msg(llabs(fixed_to_ns(time.utc) - quarters * 250000000 - 1000) <= 1,
        "%d, reference %" PRId64 ", now %" PRId64 ": off by %g s", step, reference, now,
        fixed_to_double(time.utc) - (double)quarters / 4);
    ck_assert_int_eq(time.leap, after ? 0 : step > 0 ? 1 : 2);
    ck_assert_int_eq(page.tai_offset_sec + time.tai_step, after ? 37 + step : 37);
}

START_TEST(a_leap_second_is_applied_wherever_reference_and_now_are)
{
    for (int step = -1; step <= 1; step += 2)
        for (int type = VMCLOCK_TIME_UTC; type <= VMCLOCK_TIME_TAI; type++)
            for (int64_t reference = -30; reference <= 30; reference++)
                for (int64_t now = -30; now <= 30; now++) {
                    write_reference_near_leap(reference, step, (enum vmclock_time_type)type);
                    assert_time_near_leap(reference, now, step);
                }
}
END_TEST

START_TEST(a_clock_continues_itself_over_a_leap_second)
{
    for (int step = -1; step <= 1; step += 2)
        for (int64_t reference = -6; reference <= 6; reference++) {
            struct clock_model earlier;

            write_reference_near_leap(-30, step, VMCLOCK_TIME_TAI);
            ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
            earlier = model;
            write_reference_near_leap(reference, step, VMCLOCK_TIME_UTC);
            if (page.leap_indicator == VMCLOCK_LEAP_NOW)
                continue;
            ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
            ck_assert_msg(clock_model_continues(&earlier, &model), "%d, %" PRId64, step, reference);
        }
}
END_TEST

START_TEST(the_months_end_is_found_in_every_month)
{
    /* Firsts of months around leap years, century years and the turn of a 400-year cycle. */
    static const int64_t firsts[] = {951868800, 1078099200, 1483228800, 4107542400, 13574649600};

    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        good_page();
        page.leap_indicator = VMCLOCK_LEAP_PRE_POSITIVE;
        page.time_sec = (uint64_t)firsts[i] + 37 - 5;
        ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
        ck_assert_int_eq(model.leap_at_sec, firsts[i]);
    }
}
END_TEST

START_TEST(the_bound_needs_both_terms_and_grows_with_the_distance)
{
    good_page();
    page.time_maxerror_ns = 100;
    page.period_maxerror = CLOCK_PAGE_PERIOD / 1000000; /* 1 ppm */
    page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID;
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    ck_assert(!model.has_bound);
    page.flags |= VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    ck_assert(model.has_bound);
    ck_assert_uint_eq(clock_model_bound_ns(&model, 1000), 101);
    ck_assert_uint_eq(clock_model_bound_ns(&model, 1000 + 1000000000), 1101);
    page.time_maxerror_ns = UINT64_MAX;
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    ck_assert_uint_eq(clock_model_bound_ns(&model, 2000), UINT64_MAX);
}
END_TEST

START_TEST(one_clock_continues_itself_and_no_other)
{
    struct clock_model earlier;

    good_page();
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    earlier = model;
    page.counter_value += 5000000000;
    page.time_sec += 5;
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    ck_assert(clock_model_continues(&earlier, &model));
    page.time_frac_sec += UINT64_C(1) << 45; /* 1.9 us */
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    ck_assert(!clock_model_continues(&earlier, &model));
    page.time_frac_sec = UINT64_C(1) << 63;
    page.period_frac_sec += CLOCK_PAGE_PERIOD / 5000000; /* 0.2 ppm */
    ck_assert_int_eq(verdict_of_page(), CLOCK_OK);
    ck_assert(!clock_model_continues(&earlier, &model));
}
END_TEST

RUN_SUITE("clock model", time_and_bound_are_what_rational_arithmetic_says, a_page_in_tai_gives_utc,
    a_page_in_utc_needs_no_tai_offset, a_counter_before_the_reference_gives_the_time_before_it,
    only_synchronised_and_free_running_clocks_are_relied_on,
    only_utc_and_tai_give_time_and_the_others_a_period, the_smearing_hint_changes_nothing,
    a_counter_of_another_kind_is_marker_only, an_implausible_tai_offset_is_refused,
    a_period_of_nothing_or_too_little_is_refused, a_time_that_does_not_fit_is_refused,
    a_page_too_short_for_a_clock_is_marker_only,
    a_positive_leap_second_is_announced_withheld_and_applied,
    a_negative_leap_second_is_announced_and_applied,
    the_leap_second_itself_gives_no_time_and_one_that_has_been_changes_nothing,
    a_leap_second_is_applied_wherever_reference_and_now_are,
    a_clock_continues_itself_over_a_leap_second, the_months_end_is_found_in_every_month,
    the_bound_needs_both_terms_and_grows_with_the_distance, one_clock_continues_itself_and_no_other)
