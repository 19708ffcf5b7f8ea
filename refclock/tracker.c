/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker.h"

#include <math.h>
#include <string.h>

#define SLACK_NS  INT64_C(5000000)
#define SLEWS_SEC 1e-3 /* what chronyd slews away at once */
#define PTP_DIFFERENCES                                                                            \
    3.0                  /* of a PTP clock from chronyd's time: an offset is worth correcting      \
                          */
#define WIDTH_SIGMAS 6.0 /* of a reading's bracket: its half is the most that it is off */
#define GOOD_PPM     1.0 /* 64 us until the next poll, by the default of minpoll */
#define BURSTS_LEAST                                                                               \
    3 /* left after two more than the recovery's own: half a minute tells the rate */
#define FIRST_ASK_NS INT64_C(1000000000)   /* what chronyd is given to answer at the start */
#define RESTORE_NS   INT64_C(300000000000) /* after the disruption at the latest */
#define SAVED_FLAGS                                                                                \
    (VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT |                             \
        VMCLOCK_FLAG_VM_GENERATION_PRESENT)

/* What one step works on. */
struct step {
    struct tracker *t;
    const struct observation *seen;
    struct tracker_orders *orders;
    bool is_clock, may_feed, pauses; /* once the recovery has had its turn */
    enum ptp_clock_state ptp_state_before;
    bool told;         /* chronyd has answered TRACKING */
    bool ptp_measured; /* what the PTP clock was asked for has come, or will not */
};

/* --- what it is, in words and for the next start ------------------------------------------------
 */

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
        .confirmed_marker = t->recoveries.confirmed_marker,
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
    recoveries_init(&t->recoveries, saved->valid ? saved->confirmed_marker : 0);
    feeder_init(&t->feeder, now_ns);
    bound_init(&t->bound);
    if (saved->valid)
        host_remember(
            &t->host, saved->confirmed_marker, saved->flags & SAVED_FLAGS, saved->vm_generation);
    t->host.disruptions = saved->counts.disruptions;
    t->host.contradictions = saved->counts.contradictions;
    t->host.generation_changes = saved->counts.generation_changes;
    t->recoveries.count = saved->counts.recoveries;
    t->recoveries.failed = saved->counts.recoveries_failed;
    t->feeder.sent = saved->counts.samples_sent;
    t->restore = saved->restore;
    restore_reconfigure(&t->restore, &config->recovery);
    restore_hurry(&t->restore, now_ns);
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
    if (t->client.exchange.owner == EXCHANGE_RESTORE)
        chrony_client_give_up(&t->client);
}

/* --- when ------------------------------------------------------------------------------------- */

int64_t tracker_slack_ns(const struct tracker_config *c)
{
    const int64_t interval =
        c->watch_interval_ns < c->sample_interval_ns ? c->watch_interval_ns : c->sample_interval_ns;

    return interval / 2 < SLACK_NS ? interval / 2 : SLACK_NS;
}

static bool is_due(const struct tracker *t, int64_t when_ns, int64_t now_ns)
{
    return when_ns - t->slack_ns <= now_ns;
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

bool tracker_must_step(const struct tracker_config *config, const struct tracker_orders *orders,
    const struct observation *seen, bool was_busy, int64_t now_ns)
{
    return seen->look != HOST_LOOK_NONE || was_busy || seen->request || seen->stop ||
           seen->ptp_read || tracker_is_due(config, orders, now_ns);
}

/* --- the recovery -------------------------------------------------------------------------------
 */

static struct recoveries_view recoveries_view(const struct tracker *t)
{
    return (struct recoveries_view){
        .marker = t->host.marker,
        .verdict = t->host.verdict,
        .refid = t->client.known.refid,
        .status = t->client.exchange.reply.status,
        .dry_run = t->config.dry_run,
    };
}

static void begin_recovery(struct step *s, enum recovery_cause cause)
{
    struct tracker *t = s->t;
    /* A reset that chronyd has not read yet serves this disruption as well. */
    const bool queued = t->client.exchange.owner == EXCHANGE_RECOVERY &&
                        t->client.exchange.id == CHRONY_RESET_SOURCES && s->seen->command_queued;

    recoveries_begin(
        &t->recoveries, &t->reporter, cause, t->config.watch_interval_ns, queued, t->stopping);
    if (!queued)
        exchange_start_over(&t->client.exchange);
    ptp_clock_disrupted(&t->ptp, s->seen->now_ns);
    if (cause != RECOVERY_CAUSE_MARKER)
        formula_recovered(&t->host.formula, cause != RECOVERY_CAUSE_START);
    if (cause == RECOVERY_CAUSE_START)
        chrony_client_start_done(&t->client);
    if (!t->stopping)
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
static enum clock_verdict read_offset(const struct step *s, struct offset *ret_offset)
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
    const bool pretends = t->config.dry_run && t->recoveries.recovery.refining;
    struct offset offset;

    view->source = RECOVERY_CORRECTOR_PAGE;
    view->rate_known = t->host.has_period && !pretends &&
                       counter_watch_rate_error(&t->counter, &t->host.model, frequency_ppm,
                           &view->rate_ppm, &view->rate_doubt_ppm);
    if ((s->seen->measured & needed) != needed)
        return;
    view->measured = true;
    view->offset_sec = NAN;
    if (t->host.has_time && read_offset(s, &offset) == CLOCK_OK) {
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
    const bool pretends = t->config.dry_run && t->recoveries.recovery.refining;

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

/* Have the PTP clock read. */
static void ask_ptp(struct step *s, bool to_compare)
{
    s->orders->ptp_readings = ptp_clock_ask(&s->t->ptp, to_compare, s->seen->now_ns);
    s->orders->ptp_request = s->t->ptp.request;
}

static void send_command(
    struct step *s, enum exchange_owner owner, const struct chrony_command *command)
{
    struct tracker *t = s->t;

    if (!t->config.dry_run) {
        s->orders->command_length =
            chrony_client_send(&t->client, owner, command, s->seen->now_ns, s->orders->command);
        s->orders->command_id = command->id;
        return;
    }
    chrony_client_pretend(&t->client, owner, command, s->seen->now_ns);
    if (command->id != CHRONY_TRACKING) /* a question, which changes nothing */
        reporter_say(&t->reporter, (struct event){.id = EVENT_WOULD_SEND,
                                       .command = {*command, t->recoveries.recovery.server}});
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

static void run_recovery(struct step *s, enum recovery_event event)
{
    struct tracker *t = s->t;
    const struct recoveries_view beside = recoveries_view(t);
    const unsigned done = RECOVERY_NEWS_CONFIRMED | RECOVERY_NEWS_ASSUMED;
    const enum exchange_owner owner = t->client.exchange.owner;
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
    recoveries_step(
        &t->recoveries, &t->reporter, &t->config.recovery, event, &view, &beside, &order);
    if (order.news & RECOVERY_NEWS_HOST_LATE)
        formula_is_late(&t->host.formula);
    if ((order.news & done) && !t->config.dry_run)
        chrony_client_was_reset(&t->client);
    if ((order.news & (done | RECOVERY_NEWS_DENIED | RECOVERY_NEWS_ENDED)) && !t->config.dry_run)
        s->orders->save = true;
    if (order.send) {
        remember(s, order.command.id);
        send_command(s, EXCHANGE_RECOVERY, &order.command);
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

/* Whether chronyd's time is one to compare with: not while it slews much, for its report is old. */
static bool is_comparable(const struct tracker *t)
{
    const struct known_chronyd *known = &t->client.known;

    return known->reachable && known->tracked && known->has_reference && !t->stopping &&
           fabs(known->correction_sec) <= SLEWS_SEC && /* nor NAN */
           t->recoveries.recovery.state == RECOVERY_IDLE && !t->recoveries.pending;
}

static void compare_ptp(struct step *s)
{
    struct tracker *t = s->t;

    if (s->ptp_measured && t->ptp.compares && is_comparable(t))
        ptp_clock_compare(&t->ptp, t->client.known.correction_sec, s->seen->now_ns);
    if (t->ptp.state != s->ptp_state_before) {
        s->orders->save = true;
        reporter_say(&t->reporter,
            (struct event){.id = EVENT_PTP_CLOCK, .ptp = {t->ptp.state, t->ptp.difference_sec}});
    }
    if (ptp_clock_is_due(&t->ptp, is_comparable(t), s->seen->now_ns))
        ask_ptp(s, true);
}

/* Give a chronyd that has just started rate and phase, rather than let it measure them. */
static bool start_is_due(const struct tracker *t)
{
    return t->config.correct_at_start && chrony_client_has_just_started(&t->client) &&
           t->host.has_time && page_for_recovery(t) == RECOVERY_PAGE_FULL &&
           !t->host.formula.unproven && !t->stopping &&
           recovery_is_resting(&t->recoveries.recovery);
}

/* --- what chronyd is sent beside the recovery ----------------------------------------------------
 */

/*
 * Restore nothing in the middle of a recovery, nor in a chronyd that has not answered: it may be
 * another one, and commands without a reply would be sent again. When vmclockd stops there is no
 * later.
 */
static bool may_restore(const struct tracker *t)
{
    return restore_is_pending(&t->restore) && !t->config.dry_run &&
           (t->stopping
                   ? chrony_client_reads(&t->client)
                   : t->client.known.reachable && recovery_is_resting(&t->recoveries.recovery));
}

/*
 * A few measurements give chronyd a good offset and a bad rate, and the next ones come a minute
 * later: more of them help, until the rate is good. Its own estimate of that alone is not enough,
 * for it is of before the disruption, and makes chronyd take measurements of the new rate for
 * noise.
 */
static bool rate_is_good(const struct tracker *t)
{
    const struct known_chronyd *known = &t->client.known;

    return recovery_corrected_by(&t->recoveries.recovery) != RECOVERY_CORRECTOR_CHRONYD ||
           t->host.mode == TRACKER_MODE_CLOCK || t->restore.polls ||
           (t->recoveries.bursts_left < BURSTS_LEAST && known->skew_ppm <= GOOD_PPM &&
               fabs(known->residual_ppm) <= GOOD_PPM);
}

/*
 * The rate that chronyd has measured and does not believe, where it is beyond what the noise of
 * measurements over this time explains.
 */
static bool rate_is_due(const struct tracker *t, int64_t now_ns)
{
    const struct recoveries *rs = &t->recoveries;
    const struct known_chronyd *known = &t->client.known;
    const double since_sec = (double)(now_ns - rs->recovery.started_ns) * 1e-9;

    return rs->rates_left > 0 && t->config.correct_frequency && known->tracked &&
           known->has_reference && recovery_is_resting(&rs->recovery) && !t->stopping &&
           recovery_corrected_by(&rs->recovery) == RECOVERY_CORRECTOR_CHRONYD &&
           t->host.mode != TRACKER_MODE_CLOCK &&
           (known->reference_time.sec != rs->rate_time.sec ||
               known->reference_time.nsec != rs->rate_time.nsec) &&
           fabs(known->residual_ppm) <= t->config.recovery.rate_max_ppm &&
           fabs(known->residual_ppm) >
               fmax(GOOD_PPM, 2e6 * known->dispersion_sec / fmax(since_sec, 1));
}

/* More measurements, while those that were asked for have not led to a good reference. */
static bool may_burst(const struct tracker *t)
{
    return t->recoveries.bursts_left > 0 && t->client.known.reachable &&
           recovery_is_resting(&t->recoveries.recovery) && !t->stopping &&
           t->config.recovery.burst_total > 0;
}

/* Not in the middle of anything: there is time. */
static bool may_ask_for_servers(const struct tracker *t)
{
    return t->client.known.has_reference && t->client.known.reachable && !t->restore.polls &&
           recovery_is_resting(&t->recoveries.recovery) && !t->recoveries.pending && !t->stopping;
}

static void take_servers(struct step *s, enum recovery_event event)
{
    struct tracker *t = s->t;
    const struct exchange *exchange = &t->client.exchange;
    const unsigned n_before = t->own_servers.n_found;

    if (own_servers_take(&t->own_servers, &t->config.own_servers, exchange->id,
            event == RECOVERY_SILENCE ? NULL : &exchange->reply, s->seen->now_ns)) {
        t->config.recovery.n_servers -= n_before;
        own_servers_add(&t->own_servers, &t->config.recovery);
        s->orders->save = true;
    }
}

static void restore_one(struct step *s)
{
    struct tracker *t = s->t;
    struct chrony_command command;

    if (restore_next(&t->restore, &command)) {
        send_command(s, EXCHANGE_RESTORE, &command);
        return;
    }
    reporter_say(&t->reporter, t->restore.passed_over > 0 ? (struct event){.id = EVENT_PASSED_OVER,
                                                                .count = t->restore.passed_over}
                                                          : (struct event){.id = EVENT_PUT_BACK});
    restore_done(&t->restore);
    s->orders->save = true;
}

static void burst_again(struct step *s)
{
    const struct recovery_config *c = &s->t->config.recovery;

    send_command(s, EXCHANGE_BURST,
        &(struct chrony_command){.id = CHRONY_BURST, .burst = {c->burst_good, c->burst_total}});
    recoveries_burst_sent(&s->t->recoveries, false, s->seen->now_ns);
}

static void send_rate(struct step *s)
{
    const struct known_chronyd *known = &s->t->client.known;

    recoveries_rate_sent(&s->t->recoveries, &known->reference_time);
    send_command(
        s, EXCHANGE_RATE, &(struct chrony_command){.id = CHRONY_DFREQ, .ppm = known->residual_ppm});
}

static void ask_for_servers(struct step *s)
{
    const struct chrony_command command = own_servers_next(&s->t->own_servers);

    send_command(s, EXCHANGE_OWN_SERVERS, &command);
}

static void restore_or_poll(struct step *s)
{
    struct tracker *t = s->t;
    const int64_t now_ns = s->seen->now_ns;

    if (chrony_client_is_busy(&t->client) || t->config.dry_run)
        return;
    if (may_restore(t) && is_due(t, t->restore.due_ns, now_ns))
        restore_one(s);
    else if (rate_is_due(t, now_ns))
        send_rate(s);
    else if (may_burst(t) && is_due(t, t->recoveries.burst_due_ns, now_ns))
        burst_again(s);
    else if (is_due(t, t->client.poll_due_ns, now_ns) && !t->stopping)
        send_command(s, EXCHANGE_POLL, &(struct chrony_command){.id = CHRONY_TRACKING});
    else if (may_ask_for_servers(t) && is_due(t, t->own_servers.due_ns, now_ns))
        ask_for_servers(s);
}

/* --- what was observed --------------------------------------------------------------------------
 */

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
    case HOST_DISRUPTED:
        counter_watch_disrupted(&t->counter, seen->now_ns);
        begin_recovery(s, RECOVERY_CAUSE_MARKER);
        s->orders->save = true;
        return;
    case HOST_FORMULA_LATE: begin_recovery(s, RECOVERY_CAUSE_FORMULA); return;
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
        ptp_clock_is_late(&t->ptp, seen->now_ns);
}

static void stop(struct step *s)
{
    struct tracker *t = s->t;
    const struct recoveries_view beside = recoveries_view(t);

    t->stopping = true;
    restore_hurry(&t->restore, s->seen->now_ns);
    recoveries_abandon(&t->recoveries, &t->reporter, &beside);
    feeder_report_pretended(&t->feeder, &t->reporter);
    chrony_client_give_up(&t->client);
}

static void meet_another_chronyd(struct step *s)
{
    struct tracker *t = s->t;

    recoveries_meet_another(&t->recoveries);
    t->config.recovery.n_servers -= t->own_servers.n_found;
    own_servers_init(&t->own_servers, &t->config.own_servers, s->seen->now_ns);
}

/* Returns the event for the recovery. */
static enum recovery_event take_chronyd(struct step *s)
{
    struct tracker *t = s->t;
    const struct observation *seen = s->seen;
    const int64_t now_ns = seen->now_ns;
    const struct chrony_client_view view = {
        .now_ns = now_ns,
        .id = seen->chronyd_id,
        .arrival = seen->chronyd,
        .error = seen->chronyd_error,
        .reply = seen->reply,
        .reply_length = seen->reply_length,
        .queued = seen->command_queued,
        .dry_run = t->config.dry_run,
        .refid = t->config.refid,
        .any_reference = t->host.mode != TRACKER_MODE_CLOCK,
    };
    const uint64_t id_before = t->client.known.id;
    const struct chrony_news news = chrony_client_receive(&t->client, &t->reporter, &view);

    s->told = news.told;
    restore_meet(&t->restore, seen->chronyd_id);
    if (t->client.known.id != id_before)
        meet_another_chronyd(s);
    if (news.referenced && rate_is_good(t))
        recoveries_need_no_burst(&t->recoveries);
    if (news.referenced)
        restore_referenced(&t->restore, now_ns);
    if (news.owner == EXCHANGE_RATE && news.event != RECOVERY_REPLY_OK)
        recoveries_need_no_rate(&t->recoveries);
    if (news.owner == EXCHANGE_OWN_SERVERS)
        take_servers(s, news.event);
    if (news.owner == EXCHANGE_RESTORE && news.event == RECOVERY_SILENCE)
        restore_unanswered(&t->restore, now_ns);
    else if (news.owner == EXCHANGE_RESTORE)
        restore_answered(&t->restore);
    return news.owner == EXCHANGE_RECOVERY || news.owner == EXCHANGE_NONE ? news.event
                                                                          : RECOVERY_TICK;
}

/* --- the samples --------------------------------------------------------------------------------
 */

static bool is_clock(const struct tracker *t)
{
    return t->host.has_time && !recovery_holds_samples(&t->recoveries.recovery);
}

static bool may_feed(const struct tracker *t, int64_t now_ns)
{
    return is_clock(t) && t->host.busy_since_ns == 0 && !t->stopping &&
           (t->client.asked || t->config.dry_run || now_ns - t->started_ns > FIRST_ASK_NS);
}

/* A sample might lead to a step that the configuration does not allow any more. */
static bool disarms_makestep(const struct tracker *t, int64_t now_ns)
{
    return t->config.recovery.step != RECOVERY_STEP_ALWAYS && t->restore.makestep &&
           may_restore(t) && is_due(t, t->restore.due_ns, now_ns);
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
        view.verdict = read_offset(s, &offset);
    s->orders->send_sample = feeder_step(&t->feeder, &t->reporter, &view, &s->orders->sample);
}

static void watch_health(const struct step *s)
{
    struct tracker *t = s->t;
    const struct feeder *f = &t->feeder;
    const struct known_chronyd *known = &t->client.known;
    const int64_t now_ns = s->seen->now_ns;

    health_take(&t->health,
        &(struct health_view){
            .now_ns = now_ns,
            .feeding = s->is_clock,
            /* Or the page changes during each reading, so that there is none at all. */
            .withheld = f->withheld || now_ns - f->due_ns > t->config.sample_interval_ns,
            .measured = f->has_offset && f->offset_ns == now_ns,
            .offset_ns = f->offset.ns,
            .bound_ns = f->offset.has_bound ? f->offset.bound_ns : UINT64_MAX,
            .asked = t->client.asked && (known->tracked || !known->reachable),
            .answers = known->reachable,
            .recovering = t->recoveries.recovery.state != RECOVERY_IDLE,
            .has_reference = known->has_reference,
            .reference_time = known->reference_time,
            .update_interval_sec = known->update_interval_sec,
            .has_bursts = t->host.mode != TRACKER_MODE_CLOCK,
            .boosted = t->restore.polls,
        });
}

/* --- the applications ---------------------------------------------------------------------------
 */

/* Until a disrupted clock is right again: by the page, which tells how far, or by chronyd's word.
 */
static bool is_disrupted(const struct tracker *t)
{
    const struct recovery *r = &t->recoveries.recovery;

    if (t->recoveries.pending)
        return true;
    if (r->started_ns == 0 || r->cause == RECOVERY_CAUSE_START)
        return false;
    if (t->host.has_time)
        return recovery_holds_samples(r);
    return r->synchronised_ns == 0 && (r->state != RECOVERY_IDLE || !t->client.known.tracked ||
                                          !t->client.known.has_reference);
}

static double page_rate_bound(const struct clock_model *model)
{
    return model->has_bound ? (double)model->period_maxerror / (double)model->period_frac : 0;
}

/*
 * What chronyd's own estimates leave out, which are of before the disruption at first: how far the
 * rate is from what it has measured since, and how well it can have measured that.
 */
static double chronyd_rate_doubt(const struct tracker *t, int64_t now_ns)
{
    const struct known_chronyd *known = &t->client.known;
    const struct recovery *r = &t->recoveries.recovery;
    const double since_sec = r->started_ns ? (double)(now_ns - r->started_ns) * 1e-9 : HUGE_VAL;
    const double residual = fabs(known->residual_ppm) * 1e-6;

    return (isnan(residual) ? 0 : residual) + 2 * known->dispersion_sec / fmax(since_sec, 1);
}

static void tell_applications(const struct step *s)
{
    struct tracker *t = s->t;
    const struct feeder *f = &t->feeder;
    const struct known_chronyd *known = &t->client.known;

    bound_step(
        &t->bound, &(struct bound_view){
                       .now_ns = s->seen->now_ns,
                       .suspended_ns = s->seen->suspended_ns,
                       .realtime_less_ns = s->seen->realtime_less_ns,
                       .max_drift = t->config.max_drift_ppm * 1e-6,
                       .stopping = t->stopping,
                       .has_page = t->host.known && t->host.page.magic != 0,
                       .sees_page = !host_in_trouble(&t->host),
                       .disrupted = is_disrupted(t),
                       .unconfirmed = t->recoveries.unconfirmed,
                       .measured = f->has_offset && f->offset_ns == s->seen->now_ns,
                       .is_clock = s->is_clock,
                       .goes_by_others = known->has_reference && known->refid != t->config.refid,
                       .offset_sec = f->offset.sec,
                       .has_bound = f->offset.has_bound,
                       .host_is_free = t->host.page.clock_status == VMCLOCK_STATUS_FREERUNNING,
                       .bound_ns = f->offset.bound_ns,
                       .rate_bound = page_rate_bound(&t->host.model),
                       .page_sequence = t->host.page.seq_count,
                       .told = s->told,
                       .has_reference = known->has_reference,
                       .distance_sec = known->distance_sec,
                       .correction_sec = known->correction_sec,
                       .rate_doubt = chronyd_rate_doubt(t, s->seen->now_ns),
                       .reference_sec = (int64_t)known->reference_time.sec,
                       .interval_sec = known->update_interval_sec,
                       .leap_is_announced = known->leap == 1 || known->leap == 2,
                       .answers = known->reachable,
                   });
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
        if (may_restore(t))
            wake(s, t->restore.due_ns);
        if (may_burst(t))
            wake(s, t->recoveries.burst_due_ns);
        if (may_ask_for_servers(t))
            wake(s, t->own_servers.due_ns);
    }
    wake(s, reporter_due_ns(&t->reporter));
    wake(s, ptp_clock_deadline_ns(&t->ptp));
    if (t->ptp.present && is_comparable(t))
        wake(s, t->ptp.due_ns);
    if (needs_raw)
        wake(s, t->counter.due_ns);
    if (s->may_feed && !s->pauses)
        wake(s, t->feeder.due_ns);

    then_ns = s->orders->wake_at_ns;
    if (needs_raw && is_due(t, t->counter.due_ns, then_ns))
        s->orders->measure |= TRACKER_MEASURE_RAW | TRACKER_MEASURE_TAI;
    if (s->may_feed && !s->pauses && is_due(t, t->feeder.due_ns, then_ns)) {
        s->orders->measure |= TRACKER_MEASURE_REALTIME;
        if (t->feeder.verdict == CLOCK_LEAP_NOW) /* the kernel's TAI offset changes with it */
            s->orders->measure |= TRACKER_MEASURE_TAI;
    }
}

/* What the runner has to know beside what it is told to do. */
static void describe(struct step *s)
{
    const struct tracker *t = s->t;

    s->orders->stopped = t->stopping && !may_restore(t);
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
        begin_recovery(
            &s, t->recoveries.pending ? t->recoveries.recovery.cause : RECOVERY_CAUSE_REQUEST);
    take_readings(&s);
    if (seen->stop && !t->stopping)
        stop(&s);
    event = take_chronyd(&s);
    if (start_is_due(t)) {
        begin_recovery(&s, RECOVERY_CAUSE_START);
        event = RECOVERY_TICK;
    }
    run_recovery(&s, event);
    compare_ptp(&s);
    restore_or_poll(&s);
    feed(&s);
    watch_health(&s);
    tell_applications(&s);
    if (ret_orders->measure == 0)
        schedule(&s);
    describe(&s);
}
