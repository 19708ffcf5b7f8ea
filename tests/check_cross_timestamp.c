/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/cross_timestamp.h"

#include "refclock/sock_sample.h"
#include "tests/clock_page.h"
#include "tests/suite.h"

START_TEST(the_narrowest_reading_is_taken_and_a_backward_one_never)
{
    const struct cross_timestamp readings[] = {
        {1000, 1500, (int64_t)CLOCK_PAGE_SEC, 500000000},
        {2000, 1990, (int64_t)CLOCK_PAGE_SEC, 500000000}, /* the counter went backwards */
        {3000, 3100, (int64_t)CLOCK_PAGE_SEC, 500001000},
        {4000, 4010, (int64_t)CLOCK_PAGE_SEC, 1000000000}, /* not a timespec */
    };
    const struct cross_timestamp *best = cross_timestamp_narrowest(readings, 4);
    struct vmclock_page page = clock_page;
    struct clock_model model;
    struct sock_sample sample;
    struct offset offset;

    ck_assert_ptr_eq(best, &readings[2]);
    ck_assert_ptr_null(cross_timestamp_narrowest(readings + 1, 1));
    page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    ck_assert_int_eq(clock_model_init(&page, &clock_page_reader, &model), CLOCK_OK);
    ck_assert_int_eq(cross_timestamp_offset(best, &model, &offset), CLOCK_OK);
    ck_assert_double_eq_tol(offset.sec, 1050e-9, 1e-12); /* 3050 - 1000 ns, less 1000 */
    ck_assert_int_eq(offset.ns, 1050);
    ck_assert_uint_eq(offset.width_ns, 100);
    /* half of it, one tick of the counter, and 1 ns for what is rounded */
    ck_assert_uint_eq(offset.bound_ns, clock_model_bound_ns(&model, 3050) + 50 + 1 + 1);

    sock_sample_init(&sample, &offset);
    ck_assert_int_eq(sample.tv.tv_sec, (time_t)CLOCK_PAGE_SEC);
    ck_assert_int_eq(sample.tv.tv_usec, 500001);
    ck_assert_int_eq(sample.magic, 0x534f434b);
    ck_assert_int_eq(sample.pulse, 0);
}
END_TEST

RUN_SUITE("cross timestamp", the_narrowest_reading_is_taken_and_a_backward_one_never)
