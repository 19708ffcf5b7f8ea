/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker.h"

#include <string.h>

#include "refclock/step.h"

#define SLACK_NS     INT64_C(5000000)
#define STEPPED_NS   INT64_C(20000)      /* a step that applications are told of at once */
#define FIRST_ASK_NS INT64_C(1000000000) /* what chronyd is given to answer at the start */
#define SAVED_FLAGS                                                                                \
    (VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT |                             \
        VMCLOCK_FLAG_VM_GENERATION_PRESENT)

/* --- what it is, in words and for the next start ---------------------------------------------- */

const char *tracker_state_str(enum tracker_state state)
{
    switch (state) {
    case TRACKER_STARTING: return "starting";
    case TRACKER_WATCHING: return "watching";
    case TRACKER_FEEDING: return "feeding";
    case TRACKER_RECOVERING: return "recovering";
    case TRACKER_HOLDOVER: return "holdover";
    }
    return "unknown";
}

const char *tracker_mode_str(enum tracker_mode mode)
{
    return mode == TRACKER_MODE_CLOCK ? "clock" : "marker-only";
}

enum tracker_state tracker_state(const struct tracker *t)
{
    if (!t->host.known)
        return TRACKER_STARTING;
    if (t->recoveries.recovery.state != RECOVERY_IDLE)
        return TRACKER_RECOVERING;
    if (host_in_trouble(&t->host))
        return TRACKER_HOLDOVER;
    if (t->host.mode != TRACKER_MODE_CLOCK)
        return TRACKER_WATCHING;
    return t->host.has_time ? TRACKER_FEEDING : TRACKER_HOLDOVER;
}

struct tracker_saved tracker_saved(const struct tracker *t)
{
    struct tracker_saved saved = {
        .valid = t->host.known,
        .marker = t->host.marker,
        .confirmed_marker = t->recoveries.confirmed_marker,
        .unconfirmed = t->recoveries.unconfirmed,
        .restore = t->restore,
        .chronyd_id = t->client.known.id,
        .chronyd_had_reference = t->client.known.had_reference,
        .flags = t->host.page.flags & SAVED_FLAGS,
        .vm_generation = t->host.page.vm_generation,
        .ptp = ptp_clock_saved(&t->ptp),
        .counts = {t->host.disruptions, t->recoveries.count, t->recoveries.failed, t->feeder.sent,
            t->host.contradictions, t->host.generation_changes},
    };

    return saved;
}

void tracker_init(struct tracker *t, const struct tracker_config *config,
    const struct tracker_saved *saved, uint32_t sequence_seed, int64_t now_ns)
{
    memset(t, 0, sizeof(*t));
    t->config = *config;
    t->slack_ns = tracker_slack_ns(config);
    t->started_ns = now_ns;
    host_init(&t->host);
    counter_watch_init(&t->counter, now_ns);
    chrony_client_init(
        &t->client, sequence_seed, saved->chronyd_id, saved->chronyd_had_reference, now_ns);
    ptp_clock_init(&t->ptp, &config->ptp, &saved->ptp, now_ns);
    own_servers_init(&t->own_servers, &config->own_servers, now_ns);
    recoveries_init(&t->recoveries, saved->valid ? saved->confirmed_marker : 0,
        saved->valid && saved->unconfirmed, saved->counts.recoveries,
        saved->counts.recoveries_failed);
    feeder_init(&t->feeder, now_ns, saved->counts.samples_sent);
    bound_init(&t->bound);
    if (saved->valid)
        host_remember(&t->host, saved->marker, saved->marker != saved->confirmed_marker,
            saved->flags & SAVED_FLAGS, saved->vm_generation);
    host_remember_counts(&t->host, saved->counts.disruptions, saved->counts.generation_changes,
        saved->counts.contradictions);
    restore_init(&t->restore, &saved->restore, &config->recovery, now_ns);
}

void tracker_reconfigure(struct tracker *t, const struct tracker_config *config)
{
    const bool same_servers =
        memcmp(&t->config.own_servers, &config->own_servers, sizeof(config->own_servers)) == 0;

    t->config = *config;
    t->slack_ns = tracker_slack_ns(config);
    if (!same_servers)
        own_servers_init(&t->own_servers, &config->own_servers, t->started_ns);
    own_servers_add(&t->own_servers, &t->config.recovery);
    feeder_hurry(&t->feeder, t->started_ns);
    restore_reconfigure(&t->restore, &t->config.recovery);
    ptp_clock_reconfigure(&t->ptp, &config->ptp);
    if (t->client.exchange.owner == EXCHANGE_RESTORE ||
        (t->client.exchange.owner == EXCHANGE_OWN_SERVERS && !same_servers))
        chrony_client_give_up(&t->client);
}

/* --- when ------------------------------------------------------------------------------------- */

int64_t tracker_slack_ns(const struct tracker_config *c)
{
    const int64_t interval =
        c->watch_interval_ns < c->sample_interval_ns ? c->watch_interval_ns : c->sample_interval_ns;

    return interval / 2 < SLACK_NS ? interval / 2 : SLACK_NS;
}

bool tracker_is_due(
    const struct tracker_config *config, const struct tracker_orders *orders, int64_t now_ns)
{
    return orders->wake_at_ns - tracker_slack_ns(config) <= now_ns;
}

bool tracker_goes_on(
    const struct tracker_orders *orders, const struct observation *next, int64_t now_ns)
{
    return next->chronyd != CHRONY_NOTHING || (orders->measure && orders->wake_at_ns <= now_ns);
}

/* The clock was stepped, or the guest suspended, since: applications are to be told at once. */
static bool clocks_have_moved(const struct tracker_orders *orders, const struct observation *seen)
{
    const int64_t step_ns = seen->realtime_less_ns - orders->realtime_less_ns;

    return step_ns > STEPPED_NS || step_ns < -STEPPED_NS ||
           seen->suspended_ns - orders->suspended_ns > STEPPED_NS;
}

bool tracker_must_step(const struct tracker_config *config, const struct tracker_orders *orders,
    const struct observation *seen, bool was_busy)
{
    return seen->look != HOST_LOOK_NONE || was_busy || seen->request || seen->stop ||
           seen->ptp_read || clocks_have_moved(orders, seen) ||
           tracker_is_due(config, orders, seen->now_ns);
}

/* --- what was observed ------------------------------------------------------------------------ */

static void take_look(struct step *s)
{
    struct tracker *t = s->t;
    const struct observation *seen = s->seen;
    const struct host_view view = {
        .look = seen->look,
        .now_ns = seen->now_ns,
        .counter = seen->counter,
        .page = seen->page,
        .verdict = seen->page_verdict,
        .seq_count = seen->seq_count,
        .error = seen->look_error,
        .in_use = recovery_uses_page(&t->recoveries.recovery),
    };

    switch (host_see(&t->host, &t->reporter, &t->config.reader, &view)) {
    case HOST_QUIET: return;
    case HOST_FIRST_PAGE:
        recoveries_need_none(&t->recoveries, t->host.marker);
        s->orders->save = true;
        return;
    case HOST_UNRECOVERED:
        reporter_say(
            &t->reporter, (struct event){.id = EVENT_RECOVERY, .cause = RECOVERY_CAUSE_MARKER});
        __attribute__((fallthrough));
    case HOST_DISRUPTED:
        counter_watch_disrupted(&t->counter, seen->now_ns);
        step_begin_recovery(s, RECOVERY_CAUSE_MARKER);
        s->orders->save = true;
        return;
    case HOST_FORMULA_LATE: step_begin_recovery(s, RECOVERY_CAUSE_FORMULA); return;
    }
}

static void take_readings(struct step *s)
{
    struct tracker *t = s->t;
    const struct observation *seen = s->seen;

    counter_watch_take_source(&t->counter, seen->clock_source, seen->now_ns);
    if (seen->measured & TRACKER_MEASURE_RAW)
        counter_watch_take_raw(&t->counter, seen->raw, seen->n_raw, seen->now_ns);
    if (seen->measured & TRACKER_MEASURE_REALTIME)
        counter_watch_take(&t->counter, seen->realtime, seen->n_realtime);
    if (seen->measured & TRACKER_MEASURE_TAI)
        counter_watch_take_tai(&t->counter, seen->kernel_tai);
    s->ptp_state_before = t->ptp.state;
    ptp_clock_meet(&t->ptp, seen->ptp_id, seen->ptp_limited, t->counter.kernel_tai);
    s->ptp_measured =
        (seen->ptp_read && ptp_clock_take(&t->ptp, seen->ptp_request, seen->ptp, seen->n_ptp)) ||
        ptp_clock_expire(&t->ptp, seen->now_ns);
}

static void stop(struct step *s)
{
    struct tracker *t = s->t;
    const struct recoveries_view beside = step_recoveries_view(t);

    t->stopping = true;
    restore_hurry(&t->restore, s->seen->now_ns);
    recoveries_abandon(&t->recoveries, &t->reporter, &beside);
    feeder_report_pretended(&t->feeder, &t->reporter);
    chrony_client_give_up(&t->client);
}

/* --- the samples ------------------------------------------------------------------------------ */

static bool is_clock(const struct tracker *t)
{
    return t->host.has_time && !recovery_holds_samples(&t->recoveries.recovery);
}

static bool may_feed(const struct tracker *t, int64_t now_ns)
{
    return is_clock(t) && t->host.busy_since_ns == 0 && !t->stopping &&
           (t->client.asked || t->config.dry_run || now_ns - t->started_ns > FIRST_ASK_NS);
}

/* makestep is still armed, and the configuration forbids steps: restore it before a sample. */
static bool disarms_makestep(const struct tracker *t, int64_t now_ns)
{
    return t->config.recovery.step != RECOVERY_STEP_ALWAYS && t->restore.makestep &&
           step_may_restore(t) && step_is_due(t, t->restore.due_ns, now_ns);
}

static void feed(struct step *s)
{
    struct tracker *t = s->t;
    const bool measured = s->seen->measured & TRACKER_MEASURE_REALTIME;
    struct offset offset;
    struct feeder_view view;

    s->is_clock = is_clock(t);
    s->may_feed = may_feed(t, s->seen->now_ns);
    s->pauses =
        recovery_pauses_samples(&t->recoveries.recovery) || disarms_makestep(t, s->seen->now_ns);
    view = (struct feeder_view){
        .now_ns = s->seen->now_ns,
        .slack_ns = t->slack_ns,
        .interval_ns = t->config.sample_interval_ns,
        .max_error_ns = t->config.max_error_ns,
        .dry_run = t->config.dry_run,
        .is_clock = s->is_clock,
        .may_feed = s->may_feed,
        .offset = &offset,
    };

    if (s->seen->sample_sent &&
        feeder_take_result(&t->feeder, &t->reporter, s->seen->sample_error, view.may_feed))
        chrony_client_doubt(&t->client, s->seen->now_ns); /* a new one, most likely */
    view.measured = measured && view.may_feed && !s->pauses &&
                    feeder_is_due(&t->feeder, view.now_ns, view.slack_ns);
    if (view.measured)
        view.verdict = step_read_offset(s, &offset);
    s->orders->send_sample = feeder_step(&t->feeder, &t->reporter, &view, &s->orders->sample);
}

/* --- one step --------------------------------------------------------------------------------- */

static void wake(struct step *s, int64_t when_ns)
{
    if (when_ns < s->orders->wake_at_ns)
        s->orders->wake_at_ns = when_ns;
}

/* When to step again at the latest, and what to bring then. */
static void schedule(struct step *s)
{
    const struct tracker *t = s->t;
    const bool needs_raw =
        host_is_readable(&t->host) && !clock_verdict_is_marker_only(t->host.verdict);
    int64_t then_ns;

    if (chrony_client_is_busy(&t->client)) {
        wake(s, t->client.exchange.deadline_ns);
    } else if (!t->config.dry_run) {
        if (!t->stopping)
            wake(s, t->client.poll_due_ns);
        if (step_may_restore(t))
            wake(s, t->restore.due_ns);
        if (step_may_burst(s))
            wake(s, t->aftercare.burst_due_ns);
        if (step_may_ask_for_servers(t))
            wake(s, t->own_servers.due_ns);
    }
    wake(s, reporter_due_ns(&t->reporter));
    wake(s, ptp_clock_deadline_ns(&t->ptp));
    if (t->ptp.present && step_ptp_is_comparable(t))
        wake(s, t->ptp.due_ns);
    if (needs_raw)
        wake(s, t->counter.due_ns);
    if (s->may_feed && !s->pauses)
        wake(s, t->feeder.due_ns);

    then_ns = s->orders->wake_at_ns;
    if (needs_raw && step_is_due(t, t->counter.due_ns, then_ns))
        s->orders->measure |= TRACKER_MEASURE_RAW | TRACKER_MEASURE_TAI;
    if (s->may_feed && !s->pauses && step_is_due(t, t->feeder.due_ns, then_ns)) {
        s->orders->measure |= TRACKER_MEASURE_REALTIME;
        if (t->feeder.verdict == CLOCK_LEAP_NOW) /* the kernel's TAI offset changes with it */
            s->orders->measure |= TRACKER_MEASURE_TAI;
    }
}

/* What the runner has to know beside what it is told to do. */
static void describe(struct step *s)
{
    const struct tracker *t = s->t;

    s->orders->suspended_ns = s->seen->suspended_ns;
    s->orders->realtime_less_ns = s->seen->realtime_less_ns;
    s->orders->stopped = t->stopping && !step_may_restore(t);
    s->orders->owes = restore_is_pending(&t->restore) && !t->config.dry_run;
    s->orders->awaits_reply = chrony_client_is_busy(&t->client);
    s->orders->reply_deadline_ns = t->client.exchange.deadline_ns;
    s->orders->is_urgent = t->client.exchange.owner == EXCHANGE_RECOVERY &&
                           (recovery_holds_samples(&t->recoveries.recovery) || s->pauses);
    s->orders->notifies =
        t->host.known && page_has(&t->host.page, VMCLOCK_FLAG_NOTIFICATION_PRESENT);
    s->orders->n_events = t->reporter.n_events;
    s->orders->events = t->reporter.events;
}

void tracker_step(
    struct tracker *t, const struct observation *seen, struct tracker_orders *ret_orders)
{
    struct step s = {.t = t, .seen = seen, .orders = ret_orders};
    enum recovery_event event;

    memset(ret_orders, 0, sizeof(*ret_orders));
    ret_orders->wake_at_ns = INT64_MAX;
    reporter_begin(&t->reporter, seen->now_ns);

    take_look(&s);
    if (seen->request)
        step_begin_recovery(
            &s, t->recoveries.pending ? t->recoveries.recovery.cause : RECOVERY_CAUSE_REQUEST);
    take_readings(&s);
    if (seen->stop && !t->stopping)
        stop(&s);
    event = step_take_chronyd(&s);
    if (step_start_is_due(t)) {
        step_begin_recovery(&s, RECOVERY_CAUSE_START);
        event = RECOVERY_TICK;
    }
    step_recover(&s, event);
    step_compare_ptp(&s);
    step_restore_or_poll(&s);
    feed(&s);
    step_watch_health(&s);
    step_tell_applications(&s);
    if (ret_orders->measure == 0)
        schedule(&s);
    describe(&s);
}
