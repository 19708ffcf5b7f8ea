/* SPDX-License-Identifier: BSD-2-Clause */
/* What a look at the page is news of, and what the page is good for after it. */
#include "refclock/host.h"

#include "tests/clock_page.h"
#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

static struct host host;
static struct reporter reporter;
static struct vmclock_page page;
static int64_t now_ns;

static void setup(void)
{
    reporter = (struct reporter){.n_events = 0};
    page = clock_page;
    now_ns = 100 * SECOND;
    host_init(&host);
}

static enum host_news see(struct host_view view)
{
    now_ns += 2 * SECOND; /* so that nothing repeats */
    view.now_ns = now_ns;
    view.counter = CLOCK_PAGE_COUNTER + (uint64_t)(now_ns - 100 * SECOND);
    view.page = &page;
    reporter_begin(&reporter, now_ns);
    return host_see(&host, &reporter, &clock_page_reader, &view);
}

static enum host_news see_page(void)
{
    return see((struct host_view){.look = HOST_LOOK_CHANGED});
}

static bool is_reported(enum event_id id)
{
    for (unsigned i = 0; i < reporter.n_events; i++)
        if (reporter.events[i].id == id)
            return true;
    return false;
}

START_TEST(the_first_page_is_no_disruption_and_another_marker_is_one)
{
    ck_assert(!host_is_readable(&host));
    ck_assert_int_eq(see_page(), HOST_FIRST_PAGE);
    ck_assert(host_is_readable(&host) && !host_in_trouble(&host));
    ck_assert_int_eq(see_page(), HOST_QUIET);
    page.disruption_marker = 0; /* it need not grow */
    ck_assert_int_eq(see_page(), HOST_DISRUPTED);
    ck_assert(is_reported(EVENT_DISRUPTION));
    ck_assert_uint_eq(host.disruptions, 1);
    ck_assert_uint_eq(host.marker, 0);
    ck_assert_uint_eq(host.disruption.marker_before, 1);
    ck_assert_int_eq(host.disruption.at_ns, now_ns);
    ck_assert_int_eq(see_page(), HOST_QUIET);
}
END_TEST

/* _i: the marker that was seen. */
START_TEST(a_disruption_that_was_seen_and_not_recovered_from_is_no_second_one)
{
    host_remember(&host, (uint64_t)_i, true, 0, 0);
    ck_assert_int_eq(see_page(), _i == 1 ? HOST_UNRECOVERED : HOST_DISRUPTED);
    ck_assert_uint_eq(host.disruptions, _i != 1);
    ck_assert_int_eq(is_reported(EVENT_DISRUPTION), _i != 1);
    page.disruption_marker++;
    ck_assert_int_eq(see_page(), HOST_DISRUPTED);
}
END_TEST

START_TEST(after_a_restart_only_another_marker_than_the_last_one_is_a_disruption)
{
    host_remember(&host, (uint64_t)_i, false, 0, 0);
    ck_assert_int_eq(see_page(), _i == 1 ? HOST_QUIET : HOST_DISRUPTED);
    ck_assert_uint_eq(host.disruptions, _i != 1);
}
END_TEST

START_TEST(a_disruption_is_a_restore_where_the_generation_changes_with_it)
{
    static const struct {
        bool had, has, changes;
        enum disruption_kind kind;
    } cases[] = {
        {true, true, false, DISRUPTION_MIGRATION},
        {true, true, true, DISRUPTION_RESTORE},
        {false, true, true, DISRUPTION_UNKNOWN},
        {true, false, true, DISRUPTION_UNKNOWN},
    };

    page.flags |= cases[_i].had ? VMCLOCK_FLAG_VM_GENERATION_PRESENT : 0;
    see_page();
    page.flags = clock_page.flags | (cases[_i].has ? VMCLOCK_FLAG_VM_GENERATION_PRESENT : 0);
    page.vm_generation += cases[_i].changes;
    page.disruption_marker++;
    ck_assert_int_eq(see_page(), HOST_DISRUPTED);
    ck_assert_int_eq(host.disruption.kind, cases[_i].kind);
}
END_TEST

static const struct {
    struct host_view view;
    enum event_id event;
} troubles[] = {
    {{.look = HOST_LOOK_LOST, .error = 6}, EVENT_PAGE_LOST},
    {{.look = HOST_LOOK_CHANGED, .verdict = PAGE_BAD_MAGIC}, EVENT_PAGE_INVALID},
    {{.look = HOST_LOOK_BUSY, .seq_count = 3}, EVENT_PAGE_BUSY},
};

#define N_TROUBLES (int)(sizeof(troubles) / sizeof(troubles[0]))

START_TEST(a_page_that_cannot_be_seen_gives_no_time_and_is_reported_once_and_its_return)
{
    see_page();
    if (troubles[_i].view.look == HOST_LOOK_BUSY)
        see(troubles[_i].view); /* that is no trouble yet */
    ck_assert(host.has_time && !host_in_trouble(&host));
    see(troubles[_i].view);
    ck_assert(is_reported(troubles[_i].event));
    see(troubles[_i].view);
    ck_assert_uint_eq(reporter.n_events, 0);
    ck_assert(host_in_trouble(&host) && !host.has_time && !host.has_period);
    ck_assert_int_eq(host_grade(&host, true), RECOVERY_PAGE_NOT_YET);
    ck_assert_int_eq(see_page(), HOST_QUIET);
    ck_assert(is_reported(EVENT_PAGE_BACK));
    ck_assert(host.has_time && !host_in_trouble(&host));
}
END_TEST

START_TEST(a_page_is_busy_after_100_ms_without_a_break)
{
    static const struct host_view busy = {.look = HOST_LOOK_BUSY};
    struct host_view view = busy;

    see_page();
    view.now_ns = now_ns;
    host_see(&host, &reporter, &clock_page_reader, &view);
    ck_assert(!host_is_readable(&host));
    view.now_ns += 100 * MS - 1;
    host_see(&host, &reporter, &clock_page_reader, &view);
    ck_assert(!host.busy);
    view.look = HOST_LOOK_NONE; /* it is as before */
    host_see(&host, &reporter, &clock_page_reader, &view);
    ck_assert(host_is_readable(&host));
    view.look = HOST_LOOK_BUSY;
    host_see(&host, &reporter, &clock_page_reader, &view);
    view.now_ns += 100 * MS;
    ck_assert(!host.busy);
    host_see(&host, &reporter, &clock_page_reader, &view);
    ck_assert(host.busy);
}
END_TEST

static void leave_as_it_is(void)
{
}

static void estimate_roughly(void)
{
    page.flags |= VMCLOCK_FLAG_PERIOD_ESTERROR_VALID;
    page.period_esterror = page.period_frac_sec / 50000000;
}

static void make_monotonic(void)
{
    page.time_type = VMCLOCK_TIME_MONOTONIC;
}

static void leave_the_marker(void)
{
    page.counter_id = VMCLOCK_COUNTER_NONE;
}

static void make_unreliable(void)
{
    page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
}

static const struct {
    void (*change)(void);
    bool was_clock, correct_frequency;
    enum recovery_page grade;
} grades[] = {
    {leave_as_it_is, false, true, RECOVERY_PAGE_FULL},
    {leave_as_it_is, false, false, RECOVERY_PAGE_TIME},
    {estimate_roughly, false, true, RECOVERY_PAGE_TIME},
    {make_monotonic, false, true, RECOVERY_PAGE_PERIOD},
    {make_monotonic, false, false, RECOVERY_PAGE_MARKER_ONLY},
    {leave_the_marker, true, true, RECOVERY_PAGE_MARKER_ONLY},
    {make_unreliable, true, true, RECOVERY_PAGE_NOT_YET},
    {make_unreliable, false, true, RECOVERY_PAGE_MARKER_ONLY}, /* it is not waited for */
};

#define N_GRADES (int)(sizeof(grades) / sizeof(grades[0]))

START_TEST(a_page_is_good_for_what_it_gives_now)
{
    if (grades[_i].was_clock)
        see_page();
    grades[_i].change();
    see_page();
    ck_assert_int_eq(host_grade(&host, grades[_i].correct_frequency), grades[_i].grade);
}
END_TEST

START_TEST(a_formula_that_moves_while_the_clock_is_corrected_by_it_is_late)
{
    see_page();
    page.disruption_marker++;
    see_page();
    ck_assert(host_is_unproven(&host, host_grade(&host, true)));
    page.time_frac_sec += UINT64_C(1) << 57; /* 8 ms: the new host's */
    ck_assert_int_eq(
        see((struct host_view){.look = HOST_LOOK_CHANGED, .in_use = true}), HOST_FORMULA_LATE);
    ck_assert(!host_is_unproven(&host, host_grade(&host, true)));
    page.time_frac_sec += UINT64_C(1) << 57;
    ck_assert_int_eq(see_page(), HOST_QUIET); /* its own correction */
}
END_TEST

START_TEST(an_offset_needs_a_kernel_that_knows_the_same_tai_offset_or_none)
{
    const struct cross_timestamp reading = {
        CLOCK_PAGE_COUNTER, CLOCK_PAGE_COUNTER + 100, (int64_t)CLOCK_PAGE_SEC, 500000000};
    struct offset offset;

    see_page();
    ck_assert_int_eq(host_offset(&host, &reading, 37, now_ns, &offset), CLOCK_OK);
    ck_assert_double_eq_tol(offset.sec, 50e-9, 1e-12);
    ck_assert_int_eq(host_offset(&host, &reading, 36, now_ns, &offset), CLOCK_TAI_DISAGREES);
    ck_assert_int_eq(host_offset(&host, &reading, 0, now_ns, &offset), CLOCK_OK);
    ck_assert_int_eq(host_offset(&host, &reading, 1, now_ns, &offset), CLOCK_OK);
}
END_TEST

RUN_LOOPS_AFTER(setup, "host", {the_first_page_is_no_disruption_and_another_marker_is_one, 1},
    {a_disruption_that_was_seen_and_not_recovered_from_is_no_second_one, 3},
    {after_a_restart_only_another_marker_than_the_last_one_is_a_disruption, 3},
    {a_disruption_is_a_restore_where_the_generation_changes_with_it, 4},
    {a_page_that_cannot_be_seen_gives_no_time_and_is_reported_once_and_its_return, N_TROUBLES},
    {a_page_is_busy_after_100_ms_without_a_break, 1},
    {a_page_is_good_for_what_it_gives_now, N_GRADES},
    {a_formula_that_moves_while_the_clock_is_corrected_by_it_is_late, 1},
    {an_offset_needs_a_kernel_that_knows_the_same_tai_offset_or_none, 1})
