/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <math.h>

#include "refclock/baseline.h"

#define READINGS 8

static struct baseline b;

/* A reading at a counter, of a clock that runs by `ns_per_tick` of it and is `ahead_ns`. */
static struct cross_timestamp reading(
    uint64_t counter, double ns_per_tick, double ahead_ns, uint64_t half_width)
{
    const double ns = (double)counter * ns_per_tick + ahead_ns, sec = floor(ns / 1e9);

    return (struct cross_timestamp){
        counter - half_width, counter + half_width, (int64_t)sec, (uint32_t)(ns - sec * 1e9)};
}

/* READINGS of them in 100 ticks, off by `noise_ns` either way in turn. */
static void take(uint64_t counter, double ns_per_tick, double ahead_ns, double noise_ns)
{
    struct cross_timestamp readings[READINGS];

    for (unsigned i = 0; i < READINGS; i++)
        readings[i] = reading(counter + UINT64_C(100) * i, ns_per_tick,
            ahead_ns + (i % 2 ? noise_ns : -noise_ns), 50);
    baseline_take(&b, readings, READINGS);
}

static double rate(double *ret_doubt)
{
    double ns_per_tick = NAN;

    ck_assert(baseline_rate(&b, &ns_per_tick, ret_doubt));
    return ns_per_tick;
}

static void setup(void)
{
    baseline_forget(&b);
}

START_TEST(one_batch_gives_no_rate)
{
    double ns_per_tick, doubt;

    ck_assert(!baseline_rate(&b, &ns_per_tick, &doubt));
    take(1000000000, 1, 0, 0);
    ck_assert(!baseline_rate(&b, &ns_per_tick, &doubt));
}
END_TEST

START_TEST(two_batches_give_the_rate_within_its_doubt)
{
    double doubt;

    take(1000000000, 1 + 50e-6, 0, 10);
    take(1100000000, 1 + 50e-6, 0, 10); /* 100 ms later */
    ck_assert_double_eq_tol(rate(&doubt), 1 + 50e-6, 1e-8);
    ck_assert_double_gt(doubt, 1e-8);
    ck_assert_double_lt(doubt, 1e-6);
}
END_TEST

START_TEST(the_longer_it_is_the_better_it_is_known)
{
    double before = 1, doubt;

    for (uint64_t sec = 1; sec <= 1024; sec *= 2) {
        take(sec * 1000000000, 1, 0, 10);
        if (sec == 1)
            continue;
        (void)rate(&doubt);
        if (sec <= 32)
            ck_assert_double_lt(doubt, before);
        before = doubt;
    }
}
END_TEST

START_TEST(it_moves_on_with_a_rate_that_wanders)
{
    double doubt;

    for (uint64_t sec = 0; sec < 300; sec += 10) /* from one rate to the other, without a jump */
        take((sec + 1) * 1000000000, sec < 150 ? 1 : 1 + 1e-6, sec < 150 ? 0 : -1e-6 * 151e9, 0);
    ck_assert_double_eq_tol(rate(&doubt), 1 + 1e-6, 1e-9);
}
END_TEST

START_TEST(what_goes_back_or_apart_starts_a_new_one)
{
    static const struct {
        uint64_t counter;
        double ahead_ns;
    } breaks[] = {
        {1000000, 0},         /* the counter goes back */
        {3000000000, -2.5e9}, /* the clock does */
        {3000000000, 1e9},    /* the clock jumps, or one of the two stood still */
        {3000000000, -2e6},   /* by more than a thousandth of the time between */
    };
    double ns_per_tick, doubt;

    for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
        setup();
        take(1000000000, 1, 0, 0);
        take(2000000000, 1, 0, 0);
        ck_assert_double_eq_tol(rate(&doubt), 1, 1e-9);
        take(breaks[i].counter, 1, breaks[i].ahead_ns, 0);
        ck_assert_msg(!baseline_rate(&b, &ns_per_tick, &doubt), "%zu", i);
    }
}
END_TEST

START_TEST(a_disturbed_reading_does_not_count)
{
    struct cross_timestamp readings[READINGS];
    double doubt;

    take(1000000000, 1, 0, 0);
    for (unsigned i = 0; i < READINGS; i++)
        readings[i] = reading(2000000000 + i * 100, 1, i == 3 ? 50000 : 0, i == 3 ? 90000 : 50);
    baseline_take(&b, readings, READINGS);
    ck_assert_double_eq_tol(rate(&doubt), 1, 1e-9);
    ck_assert_double_lt(doubt, 1e-8);
}
END_TEST

START_TEST(readings_of_unlike_width_are_doubted)
{
    struct cross_timestamp readings[READINGS];
    double doubt;

    take(1000000000, 1, 0, 0);
    for (unsigned i = 0; i < READINGS; i++)
        readings[i] = reading(2000000000 + i * 100, 1, 0, 5000);
    baseline_take(&b, readings, READINGS);
    (void)rate(&doubt);
    ck_assert_double_gt(doubt, 4e-6); /* half of 9.9 us in a second */
}
END_TEST

START_TEST(readings_of_no_use_change_nothing)
{
    const struct cross_timestamp backwards = {.counter_before = 5, .counter_after = 4};
    double before, doubt;

    take(1000000000, 1, 0, 0);
    take(2000000000, 1, 0, 0);
    before = rate(&doubt);
    baseline_take(&b, &backwards, 1);
    baseline_take(&b, NULL, 0);
    ck_assert_double_eq(rate(&doubt), before);
}
END_TEST

RUN_LOOPS_AFTER(setup, "baseline", {one_batch_gives_no_rate, 1},
    {two_batches_give_the_rate_within_its_doubt, 1}, {the_longer_it_is_the_better_it_is_known, 1},
    {it_moves_on_with_a_rate_that_wanders, 1}, {what_goes_back_or_apart_starts_a_new_one, 1},
    {a_disturbed_reading_does_not_count, 1}, {readings_of_unlike_width_are_doubted, 1},
    {readings_of_no_use_change_nothing, 1})
