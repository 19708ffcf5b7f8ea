/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker_step.h"

#include <math.h>

#define RESTORE_NS     INT64_C(300000000000) /* after the disruption at the latest */
#define RATE_ERROR_MAX 1e-8
#define FREQUENCY_MAX  1e5                 /* ppm; beyond what any kernel can be told */
#define PATIENCE       10                  /* recoveries in a row that are not let finish */
#define PAUSE_NS       INT64_C(1000000000) /* between resets, after that many */
#define MOVED_NS       INT64_C(60000000000)
#define LATE_NS        INT64_C(10000000000) /* a reset that is not confirmed is trouble */

void step_begin_recovery(struct step *s, enum recovery_cause cause)
{
    struct tracker *t = s->t;
    const bool storm = t->interrupted >= PATIENCE && t->config.watch_interval_ns < PAUSE_NS;
    const int64_t pause_ns = storm ? PAUSE_NS : t->config.watch_interval_ns;
    const int64_t earliest = t->reset_sent_ns ? t->reset_sent_ns + pause_ns : 0;
    /* A reset that chronyd has not even read yet will do for this disruption as well. */
    const bool reset_queued = t->exchange.owner == EXCHANGE_RECOVERY &&
                              t->exchange.id == CHRONY_RESET_SOURCES && s->seen->command_queued;

    if (!t->reset_pending) {
        t->pending_since_ns = s->seen->now_ns;
        t->late_reported = false;
    }
    t->reset_pending = t->reset_pending || cause != RECOVERY_CAUSE_START;
    if (cause != RECOVERY_CAUSE_START)
        t->host.moved_ns = 0; /* what has moved is to be believed */
    if (!reset_queued)
        exchange_start_over(&t->exchange);
    if (t->stopping)          /* the next start finds the marker unconfirmed */
        return;
    t->interrupted = recovery_holds_samples(&t->recovery) ? t->interrupted + 1 : 0;
    recovery_begin(&t->recovery, cause, s->seen->now_ns, earliest, reset_queued);
    t->bursts.left = 0;
    t->awaiting_reported = t->refusal_reported = t->host.late = false;
    t->has_offset = false;
    t->fed = false;
    if (cause != RECOVERY_CAUSE_MARKER)
        step_report(s, (struct event){.id = EVENT_RECOVERY, .code = (int)cause});
}

static enum recovery_page page_for_recovery(const struct tracker *t)
{
    const bool rate_good =
        t->config.correct_frequency && t->has_period && t->model.rate_error <= RATE_ERROR_MAX;

    if (t->counter.back)
        return RECOVERY_PAGE_MARKER_ONLY;
    if (t->has_model)
        return rate_good ? RECOVERY_PAGE_FULL : RECOVERY_PAGE_TIME;
    if (rate_good)
        return RECOVERY_PAGE_PERIOD;
    if (!tracker_page_in_trouble(t) && (clock_verdict_is_marker_only(t->verdict) || t->has_period))
        return RECOVERY_PAGE_MARKER_ONLY;
    /* A clock that was never good is not waited for. */
    return t->mode == TRACKER_MODE_CLOCK ? RECOVERY_PAGE_NOT_YET : RECOVERY_PAGE_MARKER_ONLY;
}

enum clock_verdict step_read_offset(const struct step *s, struct offset *ret_offset)
{
    const struct tracker *t = s->t;
    const struct cross_timestamp *reading =
        cross_timestamp_narrowest(s->seen->realtime, s->seen->n_realtime);
    enum clock_verdict verdict;

    if (t->counter.back || !reading)
        return CLOCK_COUNTER_BACK;
    if (tracker_is_unsteady(t, s->seen->now_ns))
        return CLOCK_UNSTEADY;
    verdict = cross_timestamp_offset(reading, &t->model, ret_offset);
    if (verdict != CLOCK_OK)
        return verdict;
    /* A kernel that was not told has 0, or what the leap seconds since it was booted made of it. */
    if (page_has(&t->page, VMCLOCK_FLAG_TAI_OFFSET_VALID) &&
        clock_tai_offset_is_plausible(t->kernel_tai) &&
        t->kernel_tai != t->page.tai_offset_sec + ret_offset->tai_step)
        return CLOCK_TAI_DISAGREES;
    if (t->host.moved_ns != 0 && s->seen->now_ns - t->host.moved_ns < MOVED_NS)
        return CLOCK_SECONDS_MOVED;
    return CLOCK_OK;
}

static void measure(const struct step *s, struct recovery_view *view)
{
    const struct tracker *t = s->t;
    const unsigned needed = TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_TAI;
    /* A dry run may not ask: its DFREQ is the frequency that chronyd would have in the end. */
    const double frequency_ppm = t->config.dry_run ? 0 : t->chronyd.frequency_ppm;
    struct offset offset;

    view->rate_known = t->has_period && t->rate.known && s->seen->clock_source_is_counter &&
                       !t->counter.back && fabs(frequency_ppm) <= FREQUENCY_MAX;
    if (view->rate_known)
        view->rate_ppm = raw_rate_error_ppm(&t->rate, &t->model, frequency_ppm);
    if ((s->seen->measured & needed) != needed)
        return;
    view->measured = true;
    view->offset_sec = NAN;
    if (t->has_model && step_read_offset(s, &offset) == CLOCK_OK)
        view->offset_sec = offset.sec;
    if (t->config.dry_run && t->recovery.round > 0)
        view->offset_sec = 0; /* as if it had been corrected */
}

void step_report_end(struct step *s, enum event_id id)
{
    const struct recovery *r = &s->t->recovery;

    step_report(s, (struct event){.id = id,
                       .code = (int)r->cause,
                       .old = s->t->marker,
                       .new = s->t->chronyd.refid,
                       .a = step_ms_since(s, r->started_ns),
                       .b = r->reset_ns ? (double)(r->reset_ns - r->started_ns) / 1e6 : NAN,
                       .c = recovery_corrected_by(r) == RECOVERY_CORRECTOR_PAGE
                                ? (double)(r->corrected_ns - r->started_ns) / 1e6
                                : NAN});
}

/* Whatever came of the reset, chronyd has done with what it knew, or will not. */
static void account_reset(struct step *s, const struct recovery *before)
{
    struct tracker *t = s->t;
    const struct recovery *r = &t->recovery;
    const bool confirmed = r->reset_confirmed && !before->reset_confirmed;
    const bool assumed = r->reset_assumed && !before->reset_assumed;
    const bool refused = r->outcome == RECOVERY_OUTCOME_UNCONFIRMED && r->state == RECOVERY_IDLE &&
                         before->state != RECOVERY_IDLE && !r->reset_assumed;

    if (!confirmed && !assumed && !refused)
        return;
    t->reset_pending = false;
    if (t->config.dry_run)
        return;
    if (!refused) {
        t->confirmed_marker = t->marker;
        t->chronyd.start_done = true; /* it has no reference because it was told to forget */
        t->chronyd.has_reference = t->chronyd.synchronised = false;
    }
    s->orders->save = true;
    t->recoveries += confirmed;
    step_report(s, (struct event){.id = confirmed ? EVENT_RESET_CONFIRMED : EVENT_UNCONFIRMED,
                       .code = refused,
                       .new = t->marker,
                       .a = step_ms_since(s, r->started_ns)});
}

static void account_trouble(
    struct step *s, const struct recovery *before, const struct recovery_view *view)
{
    struct tracker *t = s->t;
    const struct recovery *r = &t->recovery;

    if (t->reset_pending && !t->late_reported && s->seen->now_ns - t->pending_since_ns >= LATE_NS) {
        t->late_reported = true;
        step_report(s, (struct event){.id = EVENT_RESET_LATE,
                           .new = t->marker,
                           .a = step_ms_since(s, t->pending_since_ns)});
    }
    if (r->state == RECOVERY_RESET && !r->sent && before->sent && !t->refusal_reported &&
        s->seen->chronyd == TRACKER_CHRONYD_REPLY) {
        t->refusal_reported = true;
        step_report(
            s, (struct event){
                   .id = EVENT_NOT_CONFIRMED, .code = t->exchange.reply.status, .new = t->marker});
    }
    if (r->state == RECOVERY_HOST && before->state == RECOVERY_HOST && !t->awaiting_reported) {
        t->awaiting_reported = true;
        step_report(s, (struct event){.id = EVENT_AWAITING_HOST, .code = (int)t->verdict});
    }
    if (r->host_late && !before->host_late) {
        t->host.late = true;
        step_report(s, (struct event){.id = EVENT_HOST_LATE, .code = (int)t->verdict});
    }
    if (r->exact_unavailable && !before->exact_unavailable)
        step_report(s, (struct event){.id = EVENT_COMMAND_MISSING});
    if (r->cannot_step && !before->cannot_step)
        step_report(s, (struct event){.id = EVENT_CANNOT_STEP});
    if (r->refused_correction && !before->refused_correction)
        step_report(s, (struct event){.id = EVENT_CORRECTION_REFUSED,
                           .a = isnan(r->remaining_sec) ? view->rate_ppm : 0,
                           .b = isnan(r->remaining_sec) ? 0 : r->remaining_sec});
    if (r->left_to_chronyd && !before->left_to_chronyd)
        step_report(
            s, (struct event){
                   .id = EVENT_LEFT_TO_CHRONYD, .code = (int)r->cause, .b = r->remaining_sec});
}

/* Report what the recovery has just done, and keep the books. */
static void account(struct step *s, const struct recovery *before, const struct recovery_view *view)
{
    struct tracker *t = s->t;
    const struct recovery *r = &t->recovery;

    account_reset(s, before);
    account_trouble(s, before, view);
    if (t->config.dry_run) /* then nothing has come of it */
        return;
    if (r->corrected_ns && !before->corrected_ns && !isnan(r->remaining_sec))
        step_report(s, (struct event){.id = EVENT_CORRECTED,
                           .a = r->rate_ppm,
                           .b = r->offset_sec,
                           .c = r->remaining_sec,
                           .d = step_ms_since(s, r->started_ns)});
    if (before->state == RECOVERY_IDLE || r->state != RECOVERY_IDLE)
        return;
    s->orders->save = true;
    if (r->outcome == RECOVERY_OUTCOME_SYNCHRONISED)
        step_report_end(s, EVENT_SYNCHRONISED);
    else if (r->outcome == RECOVERY_OUTCOME_UNSYNCHRONISED)
        step_report_end(s, EVENT_NOT_SYNCHRONISED);
}

/* What a command of the recovery makes necessary beside it. */
static void prepare(struct step *s, const struct chrony_command *command)
{
    struct tracker *t = s->t;

    switch (command->id) {
    case CHRONY_RESET_SOURCES: t->reset_sent_ns = s->seen->now_ns; break;
    case CHRONY_MODIFY_MAKESTEP:
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        if (!t->config.dry_run)
            s->orders->save_first = restore_remember(&t->restore, &t->config.recovery, command->id,
                t->chronyd.had_reference, t->chronyd.id, t->recovery.started_ns + RESTORE_NS);
        break;
    case CHRONY_BURST: step_expect_bursts(s); break;
    default: break;
    }
}

void step_run_recovery(struct step *s, enum recovery_event event)
{
    struct tracker *t = s->t;
    const struct recovery before = t->recovery;
    const enum recovery_page page = page_for_recovery(t);
    struct recovery_order order;
    struct recovery_view view = {
        .now_ns = s->seen->now_ns,
        .page = page,
        .unproven = t->unproven && (t->has_model || page == RECOVERY_PAGE_PERIOD),
        .has_reference = t->chronyd.has_reference,
        .synchronised = t->chronyd.synchronised || t->config.dry_run,
        .correction_sec = t->chronyd.correction_sec,
        .root_delay_sec = t->chronyd.root_delay_sec,
    };

    measure(s, &view);
    recovery_step(&t->recovery, &t->config.recovery, event, &view, &order);
    account(s, &before, &view);
    if (order.send) {
        prepare(s, &order.command);
        step_send_command(s, EXCHANGE_RECOVERY, &order.command);
    }
    if (order.measure) {
        s->orders->measure |= TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_TAI;
        s->orders->wake_at_ns = s->seen->now_ns;
    } else if (order.wake_at_ns < s->orders->wake_at_ns) {
        s->orders->wake_at_ns = order.wake_at_ns;
    }
}

/* Give a chronyd that has just started rate and phase, rather than let it find them out. */
bool step_start_is_due(const struct step *s)
{
    const struct tracker *t = s->t;

    return t->config.correct_at_start && t->chronyd.reachable && t->chronyd.tracked &&
           !t->chronyd.has_reference && !t->chronyd.start_done && t->has_model &&
           page_for_recovery(t) == RECOVERY_PAGE_FULL && !t->unproven && !t->stopping &&
           recovery_is_resting(&t->recovery);
}
