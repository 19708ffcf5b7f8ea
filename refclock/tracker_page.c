/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker_step.h"

#define BUSY_NS      INT64_C(100000000) /* what the kernel's own reader allows */
#define RAW_PAUSE_NS INT64_C(100000000) /* till the clock is right for the new baseline */
#define JUMPS_MAX    10                 /* in a row, each within */
#define JUMP_NS      INT64_C(1000000000)
#define STEADY_NS    INT64_C(10000000000)

bool tracker_page_in_trouble(const struct tracker *t)
{
    return t->page_lost || t->page_busy || t->page_verdict != PAGE_OK;
}

static enum tracker_disruption disruption_kind(
    const struct vmclock_page *before, const struct vmclock_page *page)
{
    if (!page_has(before, VMCLOCK_FLAG_VM_GENERATION_PRESENT) ||
        !page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT))
        return TRACKER_DISRUPTION_UNKNOWN;
    return before->vm_generation == page->vm_generation ? TRACKER_DISRUPTION_MIGRATION
                                                        : TRACKER_DISRUPTION_RESTORE;
}

/* By `page`; t->page is still the one before. */
static void disrupted(struct step *s, const struct vmclock_page *page)
{
    struct tracker *t = s->t;
    const bool while_away = t->page.magic == 0;
    const uint64_t marker = page->disruption_marker;

    step_report(
        s, (struct event){
               .id = EVENT_DISRUPTION, .code = while_away, .old = t->marker, .new = marker});
    t->disruptions++;
    t->disruption.at_ns = s->seen->now_ns;
    t->disruption.marker_before = t->marker;
    t->disruption.kind = disruption_kind(&t->page, page);
    t->marker = marker;
    t->unproven = t->has_old;
    t->host = (struct tracker_host){.late = false};
    t->counter = (struct tracker_counter){.read = false};
    t->detected_counter = s->seen->counter;
    raw_rate_disrupted(&t->rate);
    t->raw_due_ns = s->seen->now_ns + RAW_PAUSE_NS;
    step_begin_recovery(s, RECOVERY_CAUSE_MARKER);
}

/* As EVENT_MAINTENANCE has it. */
static int maintenance(const struct vmclock_page *page)
{
    return page_has(page, VMCLOCK_FLAG_DISRUPTION_IMMINENT) ? 2
           : page_has(page, VMCLOCK_FLAG_DISRUPTION_SOON)   ? 1
                                                            : 0;
}

static void report_flags(struct step *s, const struct vmclock_page *page, bool marker_changed)
{
    const struct vmclock_page *before = &s->t->page;

    if (maintenance(page) != maintenance(before))
        step_report(s, (struct event){.id = EVENT_MAINTENANCE, .code = maintenance(page)});
    if (page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT) &&
        page_has(before, VMCLOCK_FLAG_VM_GENERATION_PRESENT) &&
        page->vm_generation != before->vm_generation)
        step_report(s, (struct event){.id = EVENT_GENERATION,
                           .code = marker_changed,
                           .old = before->vm_generation,
                           .new = page->vm_generation});
    if (before->magic != 0 && page->clock_status != before->clock_status)
        step_report(s,
            (struct event){
                .id = EVENT_CLOCK_STATUS, .old = before->clock_status, .new = page->clock_status});
}

/* Take over the page as a clock, or as none. */
static void judge_clock(struct step *s, const struct vmclock_page *page)
{
    struct tracker *t = s->t;
    struct clock_model model;
    const enum clock_verdict verdict = clock_model_init(page, &t->config.reader, &model);
    enum tracker_mode mode = t->mode;

    t->has_model = verdict == CLOCK_OK;
    t->has_period = clock_verdict_has_period(verdict);
    if (t->has_period)
        t->model = model;

    if (t->has_model)
        mode = TRACKER_MODE_CLOCK;
    else if (mode == TRACKER_MODE_UNKNOWN || clock_verdict_is_marker_only(verdict))
        mode = TRACKER_MODE_MARKER_ONLY;
    if (mode != t->mode || verdict != t->verdict)
        step_report(s, (struct event){.id = EVENT_MODE,
                           .code = (int)verdict,
                           .old = (uint64_t)t->mode,
                           .new = (uint64_t)mode});
    t->mode = mode;
    t->verdict = verdict;
}

/* Rewritten since the marker was seen, from a later reference. */
static bool formula_is_later(const struct tracker *t, const struct vmclock_page *before)
{
    return before->counter_value != t->model.counter_value &&
           counter_difference(t->model.counter_value, t->detected_counter) > 0;
}

/*
 * Whose formula is it? A host may change the marker before the formula, and the old host may have
 * rewritten its own just before: a formula that continues the last one from before the marker is
 * believed only once it was rewritten, after the marker was seen, from a later reference.
 */
static bool formula_is_the_new_hosts(
    const struct tracker *t, const struct vmclock_page *before, bool marker_changed)
{
    if (!clock_model_continues(&t->old, &t->model))
        return true;
    return !marker_changed && formula_is_later(t, before);
}

static void watch_guarantee(struct step *s)
{
    struct tracker *t = s->t;

    if (guarantee_add(&t->host.guarantee, &t->model))
        return;
    t->contradictions++;
    if ((t->contradictions & (t->contradictions - 1)) == 0) /* the 1st, 2nd, 4th, 8th... */
        step_report(s, (struct event){.id = EVENT_CONTRADICTION, .new = t->contradictions});
}

static void watch_whole_seconds(struct step *s, const struct clock_model *before)
{
    struct tracker *t = s->t;

    if (t->host.moved_ns != 0) {
        if (!clock_model_is_seconds_away(&t->host.moved_from, &t->model))
            t->host.moved_ns = 0;
    } else if (clock_model_is_seconds_away(before, &t->model)) {
        t->host.moved_from = *before;
        t->host.moved_ns = s->seen->now_ns;
    }
}

bool tracker_is_unsteady(const struct tracker *t, int64_t now_ns)
{
    return t->host.jumps >= JUMPS_MAX && now_ns - t->host.jumped_ns <= STEADY_NS;
}

/* A host corrects its formula now and then; one that does so all the time has lost it. */
static void count_jump(struct step *s)
{
    struct tracker *t = s->t;
    const int64_t now_ns = s->seen->now_ns;

    if (now_ns - t->host.jumped_ns > JUMP_NS && !tracker_is_unsteady(t, now_ns))
        t->host.jumps = 0;
    t->host.jumps++;
    t->host.jumped_ns = now_ns;
}

static void take_page(struct step *s, const struct vmclock_page *page)
{
    struct tracker *t = s->t;
    const struct vmclock_page before = t->page;
    const struct clock_model model_before = t->model, old_before = t->old;
    const bool had_formula = t->has_period, had_old = t->has_old;
    const bool marker_changed = t->page_known && page->disruption_marker != t->marker;
    const bool in_doubt = marker_changed && t->unproven;
    bool jumped, proven = false;

    if (tracker_page_in_trouble(t) && before.magic != 0)
        step_report(s, (struct event){.id = EVENT_PAGE_BACK});
    t->page_lost = t->page_busy = false;
    t->page_verdict = PAGE_OK;
    t->page_good_ns = s->seen->now_ns;
    t->busy_since_ns = 0;
    report_flags(s, page, marker_changed);
    if (marker_changed)
        disrupted(s, page);
    else if (!t->page_known)
        t->marker = t->confirmed_marker = page->disruption_marker;
    if (!t->page_known || marker_changed)
        s->orders->save = true;
    t->page_known = true;
    t->page = *page;
    judge_clock(s, page);

    if (t->unproven && t->has_period) {
        proven = formula_is_the_new_hosts(t, &before, marker_changed);
        t->unproven = !proven;
    }
    if (t->has_period && !t->unproven) {
        t->old = t->model;
        t->has_old = true;
        watch_guarantee(s);
    }
    /* It may be that of a host in between, which was never seen by itself. */
    if (in_doubt && t->has_period && !t->unproven)
        t->host.late = true;
    if (marker_changed || !t->has_period)
        return;
    if (had_old && !t->unproven && !proven)
        watch_whole_seconds(s, &old_before);
    /*
     * A formula that jumps while chronyd is being corrected, or after the recovery had to go on
     * without knowing whose it was, is the new host's, late: what chronyd was told and fed
     * meanwhile was wrong. At any other time it is the host's own correction: samples follow it.
     */
    jumped = had_formula ? !clock_model_continues(&model_before, &t->model) : t->host.late;
    if (jumped)
        count_jump(s);
    if (jumped && !tracker_is_unsteady(t, s->seen->now_ns) &&
        (t->host.late || recovery_uses_page(&t->recovery)))
        step_begin_recovery(s, RECOVERY_CAUSE_FORMULA);
    if (proven || (!jumped && !t->unproven && formula_is_later(t, &before)))
        t->host.late = false;
}

void step_take_look(struct step *s)
{
    const struct observation *seen = s->seen;
    struct tracker *t = s->t;

    if (seen->look == TRACKER_LOOK_NONE && t->page_known && !tracker_page_in_trouble(t))
        t->page_good_ns = seen->now_ns;
    switch (seen->look) {
    case TRACKER_LOOK_NONE: t->busy_since_ns = 0; return;
    case TRACKER_LOOK_CHANGED:
        if (seen->page_verdict == PAGE_OK) {
            take_page(s, seen->page);
            return;
        }
        if (t->page_verdict != seen->page_verdict)
            step_report(
                s, (struct event){.id = EVENT_PAGE_INVALID, .code = (int)seen->page_verdict});
        t->page_verdict = seen->page_verdict;
        break;
    case TRACKER_LOOK_BUSY:
        if (t->busy_since_ns == 0)
            t->busy_since_ns = seen->now_ns;
        if (t->page_busy || seen->now_ns - t->busy_since_ns < BUSY_NS)
            return;
        t->page_busy = true;
        step_report(s, (struct event){.id = EVENT_PAGE_BUSY, .new = seen->seq_count});
        break;
    case TRACKER_LOOK_LOST:
        if (!t->page_lost)
            step_report(s, (struct event){.id = EVENT_PAGE_LOST, .code = seen->look_error});
        t->page_lost = true;
        break;
    }
    t->has_model = t->has_period = false;
}
