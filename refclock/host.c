/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/host.h"

#include <assert.h>

#define BUSY_NS        INT64_C(100000000) /* what the kernel's own reader allows */
#define RATE_ERROR_MAX 1e-8

void host_init(struct host *h)
{
    *h = (struct host){.page_verdict = PAGE_BAD_MAGIC}; /* none seen yet */
}

void host_remember(
    struct host *h, uint64_t marker, bool unrecovered, uint64_t flags, uint64_t vm_generation)
{
    h->known = true; /* so that another marker on the first page is a disruption */
    h->marker = marker;
    h->unrecovered = unrecovered;
    h->page.flags = flags;
    h->page.vm_generation = vm_generation;
}

void host_remember_counts(
    struct host *h, uint64_t disruptions, uint64_t generation_changes, uint64_t contradictions)
{
    h->disruptions = disruptions;
    h->generation_changes = generation_changes;
    h->contradictions = contradictions;
}

void host_recovered(struct host *h, bool trusted)
{
    formula_recovered(&h->formula, trusted);
}

void host_is_late(struct host *h)
{
    formula_is_late(&h->formula);
}

bool host_in_trouble(const struct host *h)
{
    return h->lost || h->busy || h->page_verdict != PAGE_OK;
}

bool host_is_readable(const struct host *h)
{
    return h->known && !h->lost && h->busy_since_ns == 0;
}

const char *disruption_kind_str(enum disruption_kind kind)
{
    switch (kind) {
    case DISRUPTION_UNKNOWN: return "unknown";
    case DISRUPTION_MIGRATION: return "migration";
    case DISRUPTION_RESTORE: return "restore";
    }
    return "unknown";
}

/* --- what the page says beside the time ------------------------------------------------------- */

static enum disruption_kind kind_of(
    const struct vmclock_page *before, const struct vmclock_page *page)
{
    if (!page_has(before, VMCLOCK_FLAG_VM_GENERATION_PRESENT) ||
        !page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT))
        return DISRUPTION_UNKNOWN;
    return before->vm_generation == page->vm_generation ? DISRUPTION_MIGRATION : DISRUPTION_RESTORE;
}

/* By `page`; h->page is still the one before. */
static void disrupted(struct host *h, struct reporter *reporter, const struct vmclock_page *page,
    const struct host_view *view)
{
    reporter_say(reporter, (struct event){.id = EVENT_DISRUPTION,
                               .marker = {h->marker, page->disruption_marker, h->page.magic == 0}});
    h->disruptions++;
    h->disruption.at_ns = view->now_ns;
    h->disruption.marker_before = h->marker;
    h->disruption.kind = kind_of(&h->page, page);
    h->marker = page->disruption_marker;
}

static enum maintenance maintenance_of(const struct vmclock_page *page)
{
    return page_has(page, VMCLOCK_FLAG_DISRUPTION_IMMINENT) ? MAINTENANCE_IMMINENT
           : page_has(page, VMCLOCK_FLAG_DISRUPTION_SOON)   ? MAINTENANCE_SOON
                                                            : MAINTENANCE_NONE;
}

static void take_changes(
    struct host *h, struct reporter *reporter, const struct vmclock_page *page, bool marker_changed)
{
    const struct vmclock_page *before = &h->page;

    if (maintenance_of(page) != maintenance_of(before))
        reporter_say(
            reporter, (struct event){.id = EVENT_MAINTENANCE, .maintenance = maintenance_of(page)});
    if (page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT) &&
        page_has(before, VMCLOCK_FLAG_VM_GENERATION_PRESENT) &&
        page->vm_generation != before->vm_generation) {
        h->generation_changes++;
        reporter_say(reporter,
            (struct event){.id = EVENT_GENERATION,
                .generation = {before->vm_generation, page->vm_generation, marker_changed}});
    }
    if (before->magic != 0 && page->clock_status != before->clock_status)
        reporter_say(reporter, (struct event){.id = EVENT_CLOCK_STATUS,
                                   .clock_status = {before->clock_status, page->clock_status}});
}

/* --- the page as a clock ---------------------------------------------------------------------- */

/* Take over the page as a clock, or as none. */
static void judge_clock(
    struct host *h, struct reporter *reporter, const struct clock_reader *reader)
{
    struct clock_model model;
    const enum clock_verdict verdict = clock_model_init(&h->page, reader, &model);
    enum tracker_mode mode = h->mode;

    h->has_time = verdict == CLOCK_OK;
    h->has_period = clock_verdict_has_period(verdict);
    if (h->has_period)
        h->model = model;

    if (h->has_time)
        mode = TRACKER_MODE_CLOCK;
    else if (mode == TRACKER_MODE_UNKNOWN || clock_verdict_is_marker_only(verdict))
        mode = TRACKER_MODE_MARKER_ONLY;
    if (mode != h->mode || verdict != h->verdict)
        reporter_say(reporter, (struct event){.id = EVENT_MODE, .mode = {verdict, h->mode, mode}});
    h->mode = mode;
    h->verdict = verdict;
}

static void watch_guarantee(struct host *h, struct reporter *reporter)
{
    if (guarantee_add(&h->guarantee, &h->model))
        return;
    h->contradictions++;
    if ((h->contradictions & (h->contradictions - 1)) == 0) /* the 1st, 2nd, 4th, 8th... */
        reporter_say(
            reporter, (struct event){.id = EVENT_CONTRADICTION, .count = h->contradictions});
}

static void check(const struct host *h)
{
    assert(h->known && !host_in_trouble(h) && h->busy_since_ns == 0);
    assert(!h->has_time || (h->has_period && h->mode == TRACKER_MODE_CLOCK));
    assert(!h->formula.unproven || h->formula.has_believed);
}

static enum host_news take_page(struct host *h, struct reporter *reporter,
    const struct clock_reader *reader, const struct host_view *view)
{
    const bool first = !h->known;
    const bool marker_changed = !first && view->page->disruption_marker != h->marker;
    const bool recovers = marker_changed || h->unrecovered;
    const struct formula_before before = {
        .had = h->has_period,
        .model = h->model,
        .counter_value = h->page.counter_value,
        .marker_changed = recovers,
        .was_unproven = h->formula.unproven,
        .in_use = view->in_use,
    };
    bool recover = false;

    if (host_in_trouble(h) && h->page.magic != 0)
        reporter_say(reporter, (struct event){.id = EVENT_PAGE_BACK});
    h->lost = h->busy = false;
    h->page_verdict = PAGE_OK;
    h->busy_since_ns = 0;
    take_changes(h, reporter, view->page, marker_changed);
    if (marker_changed)
        disrupted(h, reporter, view->page, view);
    if (recovers) {
        guarantee_forget(&h->guarantee);
        formula_disrupted(&h->formula, view->counter);
    }
    if (first)
        h->marker = view->page->disruption_marker;
    h->known = true;
    h->unrecovered = false;
    h->page = *view->page;
    judge_clock(h, reporter, reader);
    if (h->has_period) {
        recover = formula_take(&h->formula, &h->model, &before, view->now_ns);
        if (!h->formula.unproven)
            watch_guarantee(h, reporter);
    }
    check(h);
    return marker_changed ? HOST_DISRUPTED
           : recovers     ? HOST_UNRECOVERED
           : first        ? HOST_FIRST_PAGE
           : recover      ? HOST_FORMULA_LATE
                          : HOST_QUIET;
}

enum host_news host_see(struct host *h, struct reporter *reporter,
    const struct clock_reader *reader, const struct host_view *view)
{
    if (view->look == HOST_LOOK_NONE && h->known && !host_in_trouble(h))
        h->good_ns = view->now_ns;
    switch (view->look) {
    case HOST_LOOK_NONE: h->busy_since_ns = 0; return HOST_QUIET;
    case HOST_LOOK_CHANGED:
        if (view->verdict == PAGE_OK)
            return take_page(h, reporter, reader, view);
        if (h->page_verdict != view->verdict)
            reporter_say(reporter, (struct event){.id = EVENT_PAGE_INVALID, .page = view->verdict});
        h->page_verdict = view->verdict;
        break;
    case HOST_LOOK_BUSY:
        if (h->busy_since_ns == 0)
            h->busy_since_ns = view->now_ns;
        if (h->busy || view->now_ns - h->busy_since_ns < BUSY_NS)
            return HOST_QUIET;
        h->busy = true;
        reporter_say(reporter, (struct event){.id = EVENT_PAGE_BUSY, .busy = {view->seq_count}});
        break;
    case HOST_LOOK_LOST:
        if (!h->lost)
            reporter_say(reporter, (struct event){.id = EVENT_PAGE_LOST, .failure = {view->error}});
        h->lost = true;
        break;
    }
    h->has_time = h->has_period = false;
    return HOST_QUIET;
}

enum clock_verdict host_offset(const struct host *h, const struct cross_timestamp *reading,
    int kernel_tai, int64_t now_ns, struct offset *ret_offset)
{
    const enum clock_verdict steady = formula_verdict(&h->formula, now_ns);
    enum clock_verdict verdict;

    if (steady == CLOCK_UNSTEADY)
        return steady;
    verdict = cross_timestamp_offset(reading, &h->model, ret_offset);
    if (verdict != CLOCK_OK)
        return verdict;
    /* Where nobody has set it, the kernel has 0 and the leap seconds since it was booted. */
    if (page_has(&h->page, VMCLOCK_FLAG_TAI_OFFSET_VALID) &&
        clock_tai_offset_is_plausible(kernel_tai) &&
        kernel_tai != h->page.tai_offset_sec + ret_offset->tai_step)
        return CLOCK_TAI_DISAGREES;
    return steady;
}

enum recovery_page host_grade(const struct host *h, bool correct_frequency)
{
    const bool rate_good =
        correct_frequency && h->has_period && h->model.rate_error <= RATE_ERROR_MAX;

    if (h->has_time)
        return rate_good ? RECOVERY_PAGE_FULL : RECOVERY_PAGE_TIME;
    if (rate_good)
        return RECOVERY_PAGE_PERIOD;
    if (!host_in_trouble(h) && (clock_verdict_is_marker_only(h->verdict) || h->has_period))
        return RECOVERY_PAGE_MARKER_ONLY;
    /* A clock that was never good is not waited for. */
    return h->mode == TRACKER_MODE_CLOCK ? RECOVERY_PAGE_NOT_YET : RECOVERY_PAGE_MARKER_ONLY;
}

bool host_is_unproven(const struct host *h, enum recovery_page grade)
{
    return h->formula.unproven && (h->has_time || grade == RECOVERY_PAGE_PERIOD);
}
