/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include "refclock/guarantee.h"

#define PERIOD_1_NS UINT64_C(0x89705F4136B4A597) /* shift 29 */
#define SEC         UINT64_C(1000000000)

/* UTC at a counter of ns, off by error_ns, guaranteed to maxerror_ns and rate_ppb. */
static struct clock_model page_at(
    uint64_t ns, int error_ns, uint64_t maxerror_ns, unsigned rate_ppb)
{
    const uint64_t shown = 1700000000 * SEC + ns + (uint64_t)error_ns;

    return (struct clock_model){
        .has_time = true,
        .counter_value = ns,
        .period_frac = PERIOD_1_NS,
        .period_shift = 29,
        .reference = fixed_from_timespec((int64_t)(shown / SEC), (uint32_t)(shown % SEC)),
        .has_bound = true,
        .time_maxerror_ns = maxerror_ns,
        .period_maxerror = PERIOD_1_NS / SEC * rate_ppb,
    };
}

static bool add(struct guarantee *g, struct clock_model page)
{
    return guarantee_add(g, &page);
}

START_TEST(pages_within_their_bounds_agree)
{
    struct guarantee g = {.known = false};

    ck_assert(add(&g, page_at(0, 0, 200, 1)));
    ck_assert(add(&g, page_at(SEC, 390, 200, 1)));
    ck_assert(add(&g, page_at(2 * SEC, 195, 5, 1)));
    ck_assert(add(&g, page_at(1, 0, 200, 1))); /* an earlier reference, written later */
}
END_TEST

START_TEST(a_page_beyond_the_bounds_of_the_one_before_contradicts_it_once)
{
    struct guarantee g = {.known = false};

    ck_assert(add(&g, page_at(0, 0, 200, 1)));
    ck_assert(!add(&g, page_at(SEC, 410, 200, 1)));
    ck_assert(add(&g, page_at(2 * SEC, 410, 200, 1)));
}
END_TEST

/* Each step is within the bounds of two neighbours, but there is no time that three allow. */
START_TEST(a_page_is_held_against_all_that_were_before_it)
{
    struct guarantee g = {.known = false};

    ck_assert(add(&g, page_at(0, 0, 200, 1)));
    ck_assert(add(&g, page_at(SEC, 300, 200, 1)));
    ck_assert(!add(&g, page_at(2 * SEC, 600, 200, 1)));

    /* Nor does a page with wide bounds make a narrow one forgotten. */
    g.known = false;
    ck_assert(add(&g, page_at(0, 0, 200, 1)));
    ck_assert(add(&g, page_at(SEC, 0, 100000, 1)));
    ck_assert(!add(&g, page_at(2 * SEC, 1000, 200, 1)));
}
END_TEST

START_TEST(what_was_guaranteed_is_worth_less_with_time)
{
    struct guarantee g = {.known = false};

    ck_assert(add(&g, page_at(0, 0, 200, 100)));
    ck_assert(add(&g, page_at(10 * SEC, 1300, 200, 100)));
    ck_assert(!add(&g, page_at(10 * SEC, -1, 200, 100)));
}
END_TEST

START_TEST(a_page_without_bounds_guarantees_nothing_and_denies_nothing)
{
    struct clock_model silent = page_at(SEC, 5000, 0, 0);
    struct guarantee g = {.known = false};

    silent.has_bound = false;
    ck_assert(add(&g, silent));
    ck_assert(!g.known);
    ck_assert(add(&g, page_at(0, 0, 200, 1)));
    ck_assert(add(&g, silent));
    ck_assert(!add(&g, page_at(2 * SEC, 1000, 200, 1)));
}
END_TEST

RUN_SUITE("guarantee", pages_within_their_bounds_agree,
    a_page_beyond_the_bounds_of_the_one_before_contradicts_it_once,
    a_page_is_held_against_all_that_were_before_it, what_was_guaranteed_is_worth_less_with_time,
    a_page_without_bounds_guarantees_nothing_and_denies_nothing)
