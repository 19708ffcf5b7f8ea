/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules at the head of refclock/formula.h, one by one. */
#include "refclock/formula.h"

#include "tests/clock_page.h"
#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)
#define MARKER (CLOCK_PAGE_COUNTER + 100 * SECOND) /* the counter when its change is seen */

static struct formula formula;
static struct formula_before before;

/* Written `ns` after the first one, by a clock that is ahead of that by `ahead_ns`. */
static struct clock_model written_at(int64_t ns, int64_t ahead_ns)
{
    struct vmclock_page page = clock_page;
    struct clock_model model;
    struct fixed time;

    page.counter_value += (uint64_t)ns;
    ck_assert_int_eq(clock_model_init(&page, &clock_page_reader, &model), CLOCK_OK);
    ck_assert(fixed_add(model.reference,
        fixed_from_timespec((ns + ahead_ns) / SECOND, (uint32_t)((ns + ahead_ns) % SECOND)),
        &time));
    model.reference = time;
    return model;
}

static bool take(struct clock_model model, int64_t now_ns)
{
    const bool recover = formula_take(&formula, &model, &before, now_ns);

    before = (struct formula_before){.had = true,
        .model = model,
        .counter_value = model.counter_value,
        .was_unproven = formula.unproven,
        .in_use = before.in_use};
    return recover;
}

/* A formula is believed since long ago; now the marker changes, with this formula beside it. */
static void change_marker(struct clock_model model)
{
    formula_disrupted(&formula, MARKER);
    before.marker_changed = true;
    ck_assert(!take(model, 100 * SECOND));
}

static void setup(void)
{
    formula = (struct formula){.unproven = false};
    before = (struct formula_before){.had = false};
    ck_assert(!take(written_at(0, 0), SECOND));
    ck_assert(!formula.unproven && formula.has_believed);
}

START_TEST(after_a_marker_the_formula_that_was_there_before_is_unproven)
{
    change_marker(written_at(0, 0));
    ck_assert(formula.unproven);
    ck_assert_uint_eq(formula.believed.counter_value, CLOCK_PAGE_COUNTER);
}
END_TEST

START_TEST(one_that_differs_is_the_new_hosts_with_the_marker_and_after_it)
{
    change_marker(written_at(99 * SECOND, 5 * MS));
    ck_assert(!formula.unproven);
    change_marker(written_at(99 * SECOND, 5 * MS));
    ck_assert(formula.unproven);
    take(written_at(99 * SECOND, 5 * MS + 2000), 101 * SECOND); /* 2 us */
    ck_assert(!formula.unproven);
}
END_TEST

START_TEST(one_that_goes_on_is_the_new_hosts_once_written_after_the_marker)
{
    change_marker(written_at(0, 0));
    take(written_at(100 * SECOND, 0), 101 * SECOND); /* not after, but just then */
    ck_assert(formula.unproven);
    take(written_at(100 * SECOND + 1, 0), 101 * SECOND);
    ck_assert(!formula.unproven);
}
END_TEST

START_TEST(a_reference_after_the_marker_proves_nothing_together_with_it)
{
    change_marker(written_at(101 * SECOND, 0)); /* the old host may have written it for then */
    ck_assert(formula.unproven);
    take(written_at(101 * SECOND, 0), 101 * SECOND); /* the same one again */
    ck_assert(formula.unproven);
}
END_TEST

START_TEST(where_none_was_ever_believed_the_first_needs_no_proof)
{
    formula = (struct formula){.unproven = false};
    change_marker(written_at(0, 0));
    ck_assert(!formula.unproven);
}
END_TEST

START_TEST(a_jump_is_recovered_from_where_the_clock_is_corrected_by_it_or_it_came_late)
{
    ck_assert(!take(written_at(SECOND, MS), SECOND)); /* the host's own correction */
    before.in_use = true;
    ck_assert(take(written_at(2 * SECOND, 2 * MS), 20 * SECOND));
    before.in_use = false;
    formula_is_late(&formula);
    ck_assert(take(written_at(3 * SECOND, 3 * MS), 40 * SECOND));
    formula_recovered(&formula, false);
    ck_assert(!take(written_at(4 * SECOND, 4 * MS), 60 * SECOND));
}
END_TEST

START_TEST(one_that_jumps_all_the_time_is_unsteady_until_ten_seconds_after_the_last)
{
    int64_t now_ns = 100 * SECOND;

    before.in_use = true;
    for (int i = 1; i < 10; i++, now_ns += SECOND)
        ck_assert(take(written_at(i * SECOND, i * MS), now_ns) == (i <= 3)); /* no storm */
    ck_assert_int_eq(formula_verdict(&formula, now_ns), CLOCK_OK);
    ck_assert(!take(written_at(10 * SECOND, 10 * MS), now_ns));
    ck_assert_int_eq(formula_verdict(&formula, now_ns + 10 * SECOND), CLOCK_UNSTEADY);
    ck_assert_int_eq(formula_verdict(&formula, now_ns + 10 * SECOND + 1), CLOCK_OK);
    now_ns += 5 * SECOND; /* it rests for seconds, and jumps again */
    ck_assert(!take(written_at(11 * SECOND, 11 * MS), now_ns));
    ck_assert_int_eq(formula_verdict(&formula, now_ns + 10 * SECOND), CLOCK_UNSTEADY);
}
END_TEST

START_TEST(one_that_moves_by_whole_seconds_is_followed_after_a_minute_or_a_recovery)
{
    take(written_at(SECOND, SECOND), 100 * SECOND);
    ck_assert_int_eq(formula_verdict(&formula, 160 * SECOND - 1), CLOCK_SECONDS_MOVED);
    ck_assert_int_eq(formula_verdict(&formula, 160 * SECOND), CLOCK_OK);
    formula_recovered(&formula, false);
    ck_assert_int_eq(formula_verdict(&formula, 101 * SECOND), CLOCK_SECONDS_MOVED);
    formula_recovered(&formula, true);
    ck_assert_int_eq(formula_verdict(&formula, 101 * SECOND), CLOCK_OK);
    take(written_at(2 * SECOND, 0), 110 * SECOND);
    ck_assert_int_eq(formula_verdict(&formula, 111 * SECOND), CLOCK_SECONDS_MOVED);
    take(written_at(3 * SECOND, SECOND), 112 * SECOND); /* back where it was */
    ck_assert_int_eq(formula_verdict(&formula, 112 * SECOND), CLOCK_OK);
}
END_TEST

RUN_LOOPS_AFTER(setup, "formula", {after_a_marker_the_formula_that_was_there_before_is_unproven, 1},
    {one_that_differs_is_the_new_hosts_with_the_marker_and_after_it, 1},
    {one_that_goes_on_is_the_new_hosts_once_written_after_the_marker, 1},
    {a_reference_after_the_marker_proves_nothing_together_with_it, 1},
    {where_none_was_ever_believed_the_first_needs_no_proof, 1},
    {a_jump_is_recovered_from_where_the_clock_is_corrected_by_it_or_it_came_late, 1},
    {one_that_jumps_all_the_time_is_unsteady_until_ten_seconds_after_the_last, 1},
    {one_that_moves_by_whole_seconds_is_followed_after_a_minute_or_a_recovery, 1})
