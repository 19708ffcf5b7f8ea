/* SPDX-License-Identifier: BSD-2-Clause */
/* The recovery's turn: what it is shown, and what becomes of what it orders. */
#include "refclock/step.h"

#include <math.h>

#define SLEWS_SEC       1e-3 /* a slew that TRACKING tells well enough */
#define PTP_DIFFERENCES 3.0  /* of a PTP clock from chronyd's time: an offset worth correcting */
#define PTP_AGAIN_NS    INT64_C(10000000)
#define WIDTH_SIGMAS    6.0 /* of a reading's bracket: its half is the most that it is off */
#define RESTORE_NS      INT64_C(300000000000) /* after the disruption at the latest */

struct recoveries_view step_recoveries_view(const struct tracker *t)
{
    return (struct recoveries_view){
        .marker = t->host.marker,
        .verdict = t->host.verdict,
        .refid = t->client.known.refid,
        .status = t->client.exchange.reply.status,
        .dry_run = t->config.dry_run,
    };
}

void step_begin_recovery(struct step *s, enum recovery_cause cause)
{
    struct tracker *t = s->t;
    /* A reset that chronyd has not read yet serves this disruption as well. */
    const bool queued = t->client.exchange.owner == EXCHANGE_RECOVERY &&
                        t->client.exchange.id == CHRONY_RESET_SOURCES && s->seen->command_queued;

    recoveries_begin(
        &t->recoveries, &t->reporter, cause, t->config.watch_interval_ns, queued, t->stopping);
    if (!queued)
        chrony_client_start_over(&t->client);
    ptp_clock_disrupted(&t->ptp, s->seen->now_ns);
    if (cause != RECOVERY_CAUSE_MARKER)
        host_recovered(&t->host, cause != RECOVERY_CAUSE_START);
    if (cause == RECOVERY_CAUSE_START)
        chrony_client_start_done(&t->client);
    if (t->stopping)
        return;
    aftercare_end(&t->aftercare);
    feeder_hold(&t->feeder);
}

static enum recovery_page page_for_recovery(const struct tracker *t)
{
    return t->counter.back ? RECOVERY_PAGE_MARKER_ONLY
                           : host_grade(&t->host, t->config.correct_frequency);
}

/* The page wins where it is a clock. */
static bool uses_ptp(const struct tracker *t)
{
    const enum recovery_page page = page_for_recovery(t);

    return (page == RECOVERY_PAGE_MARKER_ONLY || page == RECOVERY_PAGE_PERIOD) &&
           ptp_clock_is_trusted(&t->ptp);
}

/* What the narrowest of the readings says, or why it says nothing. */
enum clock_verdict step_read_offset(const struct step *s, struct offset *ret_offset)
{
    const struct tracker *t = s->t;
    const struct cross_timestamp *reading =
        cross_timestamp_narrowest(s->seen->realtime, s->seen->n_realtime);

    if (t->counter.back || !reading)
        return CLOCK_COUNTER_BACK;
    return host_offset(&t->host, reading, t->counter.kernel_tai, s->seen->now_ns, ret_offset);
}

static void measure(const struct step *s, struct recovery_view *view)
{
    const struct tracker *t = s->t;
    const unsigned needed = TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_TAI;
    /* A dry run may not ask: its DFREQ is the frequency that chronyd would have in the end. */
    const double frequency_ppm = t->config.dry_run ? 0 : t->client.known.frequency_ppm;
    const bool pretends = t->config.dry_run && t->recoveries.recovery.refinement.runs;
    struct offset offset;

    view->source = RECOVERY_CORRECTOR_PAGE;
    view->rate_known = t->host.has_period && !pretends &&
                       counter_watch_rate_error(&t->counter, &t->host.model, frequency_ppm,
                           &view->rate_ppm, &view->rate_doubt_ppm);
    if ((s->seen->measured & needed) != needed)
        return;
    view->measured = true;
    view->offset_sec = NAN;
    if (t->host.has_time && step_read_offset(s, &offset) == CLOCK_OK) {
        view->offset_sec = offset.sec;
        view->offset_doubt_sec = (double)offset.width_ns * 1e-9 / WIDTH_SIGMAS;
    }
    if (pretends || (t->config.dry_run && t->recoveries.recovery.round > 0))
        view->offset_sec = 0; /* as if it had been corrected */
}

/* The same, by the PTP clock. */
static void measure_by_ptp(const struct step *s, struct recovery_view *view)
{
    const struct tracker *t = s->t;
    const bool pretends = t->config.dry_run && t->recoveries.recovery.refinement.runs;

    view->page = t->config.correct_frequency ? RECOVERY_PAGE_FULL : RECOVERY_PAGE_TIME;
    view->source = RECOVERY_CORRECTOR_PTP;
    view->awaits_measurement = t->ptp.awaited;
    view->least_offset_sec = PTP_DIFFERENCES * ptp_clock_good_for_sec(&t->ptp);
    view->rate_known = !pretends && ptp_clock_rate_error(&t->ptp,
                                        t->config.dry_run ? 0 : t->client.known.frequency_ppm,
                                        &view->rate_ppm, &view->rate_doubt_ppm);
    view->measured = s->ptp_measured;
    view->offset_sec = t->ptp.offset_sec;
    view->offset_doubt_sec = t->ptp.offset_doubt_sec;
    if (pretends || (t->config.dry_run && t->recoveries.recovery.round > 0))
        view->offset_sec = 0;
}

/* Have the PTP clock read; where it may not be, look again soon. */
static void ask_ptp(struct step *s, bool to_compare)
{
    s->orders->ptp_readings = ptp_clock_ask(&s->t->ptp, to_compare, s->seen->now_ns);
    s->orders->ptp_request = s->t->ptp.request;
    if (s->orders->ptp_readings == 0)
        s->orders->wake_at_ns = s->seen->now_ns + PTP_AGAIN_NS;
}

/* What has to be remembered before a command is sent. */
static void remember(struct step *s, enum chrony_command_id id)
{
    struct tracker *t = s->t;
    const struct known_chronyd *known = &t->client.known;

    if (t->config.dry_run || (id != CHRONY_MODIFY_MAKESTEP && id != CHRONY_MODIFY_MINPOLL &&
                                 id != CHRONY_MODIFY_MAXPOLL))
        return;
    s->orders->save_before_command = restore_remember(&t->restore, &t->config.recovery, id,
        known->had_reference, known->id, t->recoveries.recovery.started_ns + RESTORE_NS);
}

void step_recover(struct step *s, enum recovery_event event)
{
    struct tracker *t = s->t;
    const struct recoveries_view beside = step_recoveries_view(t);
    const unsigned done = RECOVERY_NEWS_CONFIRMED | RECOVERY_NEWS_ASSUMED;
    const enum exchange_owner owner = t->client.exchange.owner;
    const struct recovery_config *config = &t->config.recovery;
    struct recovery_config limited;
    struct recovery_order order;
    struct recovery_view view = {
        .now_ns = s->seen->now_ns,
        .page = page_for_recovery(t),
        .busy = owner == EXCHANGE_RESTORE || owner == EXCHANGE_BURST || owner == EXCHANGE_RATE,
        .has_reference = t->client.known.has_reference,
        .synchronised = t->client.known.synchronised || t->config.dry_run,
        .correction_sec = t->client.known.correction_sec,
        .root_delay_sec = t->client.known.root_delay_sec,
    };

    if (uses_ptp(t)) {
        measure_by_ptp(s, &view);
    } else {
        view.unproven = host_is_unproven(&t->host, view.page);
        measure(s, &view);
    }
    if (t->restore.polls) {
        limited = *config;
        restore_limit(&t->restore, &limited);
        config = &limited;
    }
    recoveries_step(&t->recoveries, &t->reporter, config, event, &view, &beside, &order);
    if (order.news & RECOVERY_NEWS_HOST_LATE)
        host_is_late(&t->host);
    if ((order.news & done) && !t->config.dry_run)
        chrony_client_was_reset(&t->client);
    if ((order.news & (done | RECOVERY_NEWS_DENIED | RECOVERY_NEWS_ENDED)) && !t->config.dry_run)
        s->orders->save = true;
    if (order.send && order.command.id == CHRONY_BURST)
        aftercare_begin(&t->aftercare, s->seen->now_ns);
    if (order.send) {
        remember(s, order.command.id);
        step_send(s, EXCHANGE_RECOVERY, &order.command);
    }
    if (order.measure && uses_ptp(t)) {
        ask_ptp(s, false);
    } else if (order.measure) {
        s->orders->measure |= TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_TAI;
        if (!counter_watch_is_final(&t->counter))
            s->orders->measure |= TRACKER_MEASURE_RAW;
        s->orders->wake_at_ns = s->seen->now_ns;
    }
    if (order.wake_at_ns < s->orders->wake_at_ns)
        s->orders->wake_at_ns = order.wake_at_ns;
}

/* Whether chronyd's time is one to compare with: not in a large slew, of which its report is old.
 */
bool step_ptp_is_comparable(const struct tracker *t)
{
    const struct known_chronyd *known = &t->client.known;

    return known->reachable && known->tracked && known->has_reference && !t->stopping &&
           fabs(known->correction_sec) <= SLEWS_SEC && /* nor NAN */
           t->recoveries.recovery.state == RECOVERY_IDLE && !t->recoveries.pending;
}

void step_compare_ptp(struct step *s)
{
    struct tracker *t = s->t;

    if (s->ptp_measured && t->ptp.compares && step_ptp_is_comparable(t))
        ptp_clock_compare(&t->ptp, t->client.known.correction_sec, s->seen->now_ns);
    if (t->ptp.state != s->ptp_state_before) {
        s->orders->save = true;
        reporter_say(&t->reporter,
            (struct event){.id = EVENT_PTP_CLOCK, .ptp = {t->ptp.state, t->ptp.difference_sec}});
    }
    if (ptp_clock_take_due(&t->ptp, step_ptp_is_comparable(t), s->seen->now_ns))
        ask_ptp(s, true);
}

/* Give a chronyd that has just started rate and phase, rather than let it measure them. */
bool step_start_is_due(const struct tracker *t)
{
    return t->config.correct_at_start && chrony_client_has_just_started(&t->client) &&
           t->host.has_time && page_for_recovery(t) == RECOVERY_PAGE_FULL &&
           !t->host.formula.unproven && !t->stopping &&
           recovery_is_resting(&t->recoveries.recovery);
}
