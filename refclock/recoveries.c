/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/recoveries.h"

#include <assert.h>
#include <math.h>

#define PATIENCE 10                   /* recoveries in a row that are not let finish */
#define PAUSE_NS INT64_C(1000000000)  /* between resets, after that many */
#define LATE_NS  INT64_C(10000000000) /* a reset that is not confirmed is trouble */

void recoveries_init(struct recoveries *rs, uint64_t confirmed_marker, bool unconfirmed,
    uint64_t count, uint64_t failed)
{
    *rs = (struct recoveries){
        .recovery.remaining_sec = NAN,
        .confirmed_marker = confirmed_marker,
        .unconfirmed = unconfirmed,
        .count = count,
        .failed = failed,
    };
}

void recoveries_need_none(struct recoveries *rs, uint64_t marker)
{
    rs->confirmed_marker = marker;
}

void recoveries_begin(struct recoveries *rs, struct reporter *reporter, enum recovery_cause cause,
    int64_t watch_interval_ns, bool queued, bool stopping)
{
    const bool storm = rs->interrupted >= PATIENCE && watch_interval_ns < PAUSE_NS;
    const int64_t pause_ns = storm ? PAUSE_NS : watch_interval_ns;
    const int64_t earliest_ns = rs->reset_sent_ns ? rs->reset_sent_ns + pause_ns : 0;

    if (!rs->pending) {
        rs->pending_since_ns = reporter->now_ns;
        rs->late_reported = false;
    }
    rs->pending = rs->pending || cause != RECOVERY_CAUSE_START;
    if (stopping)
        return;
    rs->interrupted = recovery_holds_samples(&rs->recovery) ? rs->interrupted + 1 : 0;
    recovery_begin(&rs->recovery, cause, reporter->now_ns, earliest_ns, queued);
    rs->counted = rs->failed_counted = false;
    rs->awaiting_reported = rs->refusal_reported = false;
    if (cause != RECOVERY_CAUSE_MARKER)
        reporter_say(reporter, (struct event){.id = EVENT_RECOVERY, .cause = cause});
}

static double ms_since(const struct reporter *reporter, int64_t then_ns)
{
    return (double)(reporter->now_ns - then_ns) / 1e6;
}

static double ms_between(int64_t since_ns, int64_t at_ns)
{
    return at_ns ? (double)(at_ns - since_ns) / 1e6 : NAN;
}

static void report_end(const struct recoveries *rs, struct reporter *reporter, enum event_id id,
    const struct recoveries_view *view)
{
    const struct recovery *r = &rs->recovery;
    const enum recovery_corrector by = recovery_corrected_by(r);
    const bool by_us = by == RECOVERY_CORRECTOR_PAGE || by == RECOVERY_CORRECTOR_PTP;

    reporter_say(reporter,
        (struct event){.id = id,
            .end = {.cause = r->cause,
                .marker = view->marker,
                .refid = view->refid,
                .ms = r->ended_ns ? ms_between(r->started_ns, r->ended_ns)
                                  : ms_since(reporter, r->started_ns),
                .reset_ms = ms_between(r->started_ns, r->reset_ns),
                .corrected_ms = by_us ? ms_between(r->started_ns, r->corrected_ns) : NAN}});
}

void recoveries_abandon(
    struct recoveries *rs, struct reporter *reporter, const struct recoveries_view *view)
{
    if (rs->recovery.state != RECOVERY_IDLE && !view->dry_run)
        report_end(rs, reporter, EVENT_ABANDONED, view);
    recovery_abandon(&rs->recovery, reporter->now_ns);
}

static void report_reset(struct reporter *reporter, enum event_id id, int64_t since_ns,
    const struct recoveries_view *view, bool refused)
{
    reporter_say(reporter,
        (struct event){.id = id,
            .reset = {view->marker, ms_since(reporter, since_ns), refused, view->status}});
}

/* The reset has an end: confirmed, taken as done, or refused. */
static void end_reset(struct recoveries *rs, struct reporter *reporter, unsigned news,
    const struct recoveries_view *view)
{
    const bool confirmed = news & RECOVERY_NEWS_CONFIRMED, denied = news & RECOVERY_NEWS_DENIED;

    if (!confirmed && !denied && !(news & RECOVERY_NEWS_ASSUMED))
        return;
    rs->pending = false;
    if (view->dry_run)
        return;
    if (!denied)
        rs->confirmed_marker = view->marker;
    rs->unconfirmed = !confirmed;
    rs->count += confirmed && !rs->counted;
    rs->counted = rs->counted || confirmed;
    report_reset(reporter, confirmed ? EVENT_RESET_CONFIRMED : EVENT_UNCONFIRMED,
        rs->recovery.started_ns, view, denied);
}

static void report_trouble(struct recoveries *rs, struct reporter *reporter, unsigned news,
    const struct recoveries_view *view)
{
    if (rs->pending && !rs->late_reported && reporter->now_ns - rs->pending_since_ns >= LATE_NS) {
        rs->late_reported = true;
        report_reset(reporter, EVENT_RESET_LATE, rs->pending_since_ns, view, false);
    }
    if ((news & RECOVERY_NEWS_REFUSED) && !rs->refusal_reported) {
        rs->refusal_reported = true;
        report_reset(reporter, EVENT_NOT_CONFIRMED, rs->recovery.started_ns, view, true);
    }
    /* Not where the page is there with the confirmation: nothing was waited for. */
    if ((news & RECOVERY_NEWS_AWAITS_PAGE) && !(news & RECOVERY_NEWS_CONFIRMED) &&
        !rs->awaiting_reported) {
        rs->awaiting_reported = true;
        reporter_say(reporter, (struct event){.id = EVENT_AWAITING_HOST, .verdict = view->verdict});
    }
    if (news & RECOVERY_NEWS_HOST_LATE)
        reporter_say(reporter, (struct event){.id = EVENT_HOST_LATE, .verdict = view->verdict});
    if (news & RECOVERY_NEWS_NO_COMMAND)
        reporter_say(reporter, (struct event){.id = EVENT_COMMAND_MISSING});
    if (news & RECOVERY_NEWS_CANNOT_STEP)
        reporter_say(reporter, (struct event){.id = EVENT_CANNOT_STEP});
}

static void report_correction(const struct recoveries *rs, struct reporter *reporter,
    enum event_id id, double ppm, double offset_sec)
{
    const struct recovery *r = &rs->recovery;

    reporter_say(reporter, (struct event){.id = id,
                               .correction = {r->cause, r->source, ppm, offset_sec,
                                   r->remaining_sec, ms_since(reporter, r->started_ns)}});
}

static void report_corrections(
    const struct recoveries *rs, struct reporter *reporter, const struct recovery_order *order)
{
    if (order->news & RECOVERY_NEWS_TOO_LARGE)
        report_correction(rs, reporter, EVENT_CORRECTION_REFUSED, order->refused.rate_ppm,
            order->refused.offset_sec);
    if (order->news & RECOVERY_NEWS_LEFT)
        report_correction(rs, reporter, EVENT_LEFT_TO_CHRONYD, 0, rs->recovery.remaining_sec);
}

void recoveries_step(struct recoveries *rs, struct reporter *reporter,
    const struct recovery_config *config, enum recovery_event event,
    const struct recovery_view *recovery_view, const struct recoveries_view *view,
    struct recovery_order *ret_order)
{
    const struct recovery *r = &rs->recovery;
    bool failed;

    recovery_step(&rs->recovery, config, event, recovery_view, ret_order);
    if (ret_order->news == 0 && !rs->pending && !ret_order->send)
        return;
    end_reset(rs, reporter, ret_order->news, view);
    report_trouble(rs, reporter, ret_order->news, view);
    report_corrections(rs, reporter, ret_order);
    if (ret_order->send && ret_order->command.id == CHRONY_RESET_SOURCES)
        rs->reset_sent_ns = reporter->now_ns;
    if (view->dry_run)
        return;
    if (ret_order->news & RECOVERY_NEWS_CORRECTED)
        report_correction(rs, reporter, EVENT_CORRECTED, r->rate_ppm, r->offset_sec);
    if (ret_order->news & RECOVERY_NEWS_REFINED)
        report_correction(rs, reporter, EVENT_REFINED, ret_order->refined.rate_ppm,
            ret_order->refined.offset_sec);
    if (!(ret_order->news & RECOVERY_NEWS_ENDED))
        return;
    failed =
        r->outcome == RECOVERY_OUTCOME_UNSYNCHRONISED || r->outcome == RECOVERY_OUTCOME_UNCONFIRMED;
    rs->failed += failed && !rs->failed_counted;
    rs->failed_counted = rs->failed_counted || failed;
    if (r->outcome == RECOVERY_OUTCOME_SYNCHRONISED)
        report_end(rs, reporter, EVENT_SYNCHRONISED, view);
    else if (r->outcome == RECOVERY_OUTCOME_UNSYNCHRONISED)
        report_end(rs, reporter, EVENT_NOT_SYNCHRONISED, view);
}

void recoveries_meet_another(struct recoveries *rs)
{
    rs->unconfirmed = false;
}
