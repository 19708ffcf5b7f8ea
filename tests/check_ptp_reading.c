/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include "refclock/ptp_reading.h"

static const struct ptp_time device = {1790000037, 500000000}, realtime = {1790000000, 500000100},
                             raw = {1000, 999999900};

static struct ptp_time plus(struct ptp_time t, int64_t ns)
{
    const int64_t nsec = t.nsec + ns;
    const int64_t carry = nsec < 0 ? -1 : nsec / 1000000000;

    return (struct ptp_time){t.sec + carry, (uint32_t)(nsec - carry * 1000000000)};
}

START_TEST(times_are_subtracted_to_the_nanosecond)
{
    const struct ptp_time before = {999, 999999999}, after = {1000, 1};

    ck_assert_double_eq(ptp_time_ns(&after, &before), 2);
    ck_assert_double_eq(ptp_time_ns(&before, &after), -2);
}
END_TEST

START_TEST(the_kernels_three_are_of_one_moment)
{
    struct ptp_reading r;

    ck_assert(ptp_reading_of_precise(&device, &realtime, &raw, &r));
    ck_assert_int_eq(r.half_width_ns, 0);
    ck_assert_double_eq(ptp_time_ns(&r.device, &device), 0);
    ck_assert_double_eq(ptp_time_ns(&r.realtime, &realtime), 0);
    ck_assert_double_eq(ptp_time_ns(&r.raw, &raw), 0);
}
END_TEST

START_TEST(a_bracket_is_taken_for_its_middle_and_raw_is_moved_there)
{
    const struct ptp_time before = realtime, after = plus(realtime, 2000);

    for (int64_t apart = -3000; apart <= 3000; apart += 1500) {
        const struct ptp_time raw_realtime = plus(realtime, 1000 - apart);
        struct ptp_reading r;

        ck_assert(ptp_reading_of_bracket(&before, &device, &after, &raw, &raw_realtime, &r));
        ck_assert_int_eq(r.half_width_ns, 1000);
        ck_assert_double_eq(ptp_time_ns(&r.realtime, &realtime), 1000);
        ck_assert_double_eq(ptp_time_ns(&r.raw, &raw), (double)apart);
        ck_assert_uint_lt(r.raw.nsec, 1000000000);
    }
}
END_TEST

START_TEST(a_time_that_is_none_gives_no_reading)
{
    static const struct ptp_time bad[] = {{-1, 0}, {INT64_C(1) << 40, 0}, {1790000000, 1000000000}};
    const struct ptp_time after = plus(realtime, 2000);
    struct ptp_reading r;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert(!ptp_reading_of_precise(&bad[i], &realtime, &raw, &r));
        ck_assert(!ptp_reading_of_precise(&device, &bad[i], &raw, &r));
        ck_assert(!ptp_reading_of_precise(&device, &realtime, &bad[i], &r));
        ck_assert(!ptp_reading_of_bracket(&bad[i], &device, &after, &raw, &realtime, &r));
        ck_assert(!ptp_reading_of_bracket(&realtime, &bad[i], &after, &raw, &realtime, &r));
        ck_assert(!ptp_reading_of_bracket(&realtime, &device, &bad[i], &raw, &realtime, &r));
        ck_assert(!ptp_reading_of_bracket(&realtime, &device, &after, &bad[i], &realtime, &r));
        ck_assert(!ptp_reading_of_bracket(&realtime, &device, &after, &raw, &bad[i], &r));
    }
}
END_TEST

START_TEST(a_bracket_that_is_negative_or_over_5_ms_wide_is_refused)
{
    const struct ptp_time narrow = plus(realtime, 5000000), wide = plus(realtime, 5000001);
    const struct ptp_time before = plus(realtime, -1);
    struct ptp_reading r;

    ck_assert(ptp_reading_of_bracket(&realtime, &device, &narrow, &raw, &realtime, &r));
    ck_assert(!ptp_reading_of_bracket(&realtime, &device, &wide, &raw, &realtime, &r));
    ck_assert(!ptp_reading_of_bracket(&realtime, &device, &before, &raw, &realtime, &r));
}
END_TEST

START_TEST(a_clock_that_was_set_between_the_bracket_and_raw_is_refused)
{
    const struct ptp_time after = plus(realtime, 2000);
    const struct ptp_time set = {realtime.sec + 5, realtime.nsec};
    struct ptp_reading r;

    ck_assert(!ptp_reading_of_bracket(&realtime, &device, &after, &raw, &set, &r));
}
END_TEST

RUN_SUITE("ptp reading", times_are_subtracted_to_the_nanosecond,
    the_kernels_three_are_of_one_moment, a_bracket_is_taken_for_its_middle_and_raw_is_moved_there,
    a_time_that_is_none_gives_no_reading, a_bracket_that_is_negative_or_over_5_ms_wide_is_refused,
    a_clock_that_was_set_between_the_bracket_and_raw_is_refused)
