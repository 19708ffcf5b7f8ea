/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/fixed.h"

#include <stddef.h>

#include "tests/suite.h"
#include "tests/wide.h"

/* What tests/make_vectors.py says; it explains them. */
static const struct {
    uint64_t ticks, period;
    unsigned shift;
    bool fits;
    uint64_t sec, frac;
} products[] = {
#define VECTOR(...)  /* check_clock_model.c has them */
#define PRODUCT(...) {__VA_ARGS__},
#include "tests/clock_vectors.h"
};

START_TEST(ticks_times_period_is_exact_for_every_shift)
{
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        struct fixed product = {0, 0};

        ck_assert_msg(
            fixed_from_ticks(products[i].ticks, products[i].period, products[i].shift, &product) ==
                    products[i].fits &&
                (uint64_t)product.sec == products[i].sec && product.frac == products[i].frac,
            "product %zu", i);
    }
}
END_TEST

START_TEST(fixed_point_carries_borrows_and_saturates)
{
    struct fixed sum;

    ck_assert(fixed_add((struct fixed){1, UINT64_MAX}, (struct fixed){0, 1}, &sum));
    ck_assert_int_eq(sum.sec, 2);
    ck_assert_uint_eq(sum.frac, 0);
    ck_assert(fixed_sub((struct fixed){0, 0}, (struct fixed){0, 1}, &sum));
    ck_assert_int_eq(sum.sec, -1);
    ck_assert_double_eq(fixed_to_double(sum), -0x1p-64);
    ck_assert_int_eq(fixed_to_ns((struct fixed){-1, 0}), -1000000000);
    ck_assert_int_eq(fixed_to_ns((struct fixed){INT64_MAX, 0}), INT64_MAX);
    ck_assert_int_eq(fixed_to_ns((struct fixed){INT64_MIN, 0}), INT64_MIN);
    ck_assert_int_eq(fixed_to_ns((struct fixed){INT64_MAX / 1000000000, UINT64_MAX}), INT64_MAX);
    ck_assert(!fixed_add((struct fixed){INT64_MAX, UINT64_MAX}, (struct fixed){0, 1}, &sum));
    ck_assert(
        !fixed_add((struct fixed){INT64_MAX, UINT64_MAX}, (struct fixed){INT64_MAX, 1}, &sum));
    ck_assert(!fixed_add((struct fixed){INT64_MAX, 0}, (struct fixed){INT64_MAX, 0}, &sum));
    ck_assert(!fixed_sub((struct fixed){INT64_MIN, 0}, (struct fixed){0, 1}, &sum));
    ck_assert(fixed_add((struct fixed){INT64_MIN, 1}, (struct fixed){INT64_MAX, UINT64_MAX}, &sum));
    ck_assert_int_eq(sum.sec, 0);
}
END_TEST

START_TEST(every_nanosecond_goes_there_and_back)
{
    for (uint32_t nsec = 0; nsec < 1000000000; nsec += nsec < 1000 ? 1 : 99991) {
        const struct fixed fixed = fixed_from_timespec(-7, nsec);

        ck_assert_uint_eq(fixed.frac, wide_fraction(nsec, 1000000000));
        ck_assert_int_eq(fixed_to_ns(fixed), (int64_t)nsec - INT64_C(7000000000));
    }
    ck_assert_uint_eq(fixed_from_timespec(0, 999999999).frac, wide_fraction(999999999, 1000000000));
}
END_TEST

RUN_SUITE("fixed", ticks_times_period_is_exact_for_every_shift,
    fixed_point_carries_borrows_and_saturates, every_nanosecond_goes_there_and_back)
