/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker.h"

#include <math.h>
#include <string.h>

#define MS             INT64_C(1000000)
#define BUSY_NS        (100 * MS) /* what the kernel's own reader allows */
#define RAW_NS         (1000 * MS)
#define POLL_NS        (1000 * MS)
#define FIRST_ASK_NS   (1000 * MS)
#define BOOST_NS       (30000 * MS)
#define PUT_BACK_RETRY (1000 * MS)
#define RATE_ERROR_MAX 1e-8
#define REFID_LOCAL    UINT32_C(0x7f7f0101) /* chronyd's own clock, by its "local" directive */

/* What one step works on. */
struct step {
    struct tracker *t;
    const struct observation *seen;
    struct tracker_orders *orders;
};

static void report(struct step *s, struct event event)
{
    if (s->orders->n_events < TRACKER_EVENTS_MAX)
        s->orders->events[s->orders->n_events++] = event;
}

static double ms_since(const struct step *s, int64_t then_ns)
{
    return (double)(s->seen->now_ns - then_ns) / 1e6;
}

/* Whether something is due; wake-ups come up to half an interval early or late. */
static bool due(const struct step *s, int64_t when_ns)
{
    const struct tracker_config *c = &s->t->config;
    const int64_t interval =
        c->watch_interval_ns < c->sample_interval_ns ? c->watch_interval_ns : c->sample_interval_ns;

    return when_ns - interval / 2 <= s->seen->now_ns;
}

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

static bool page_in_trouble(const struct tracker *t)
{
    return t->page_lost || t->page_busy || t->page_verdict != PAGE_OK;
}

enum tracker_state tracker_state(const struct tracker *t)
{
    if (!t->page_known)
        return TRACKER_STARTING;
    if (t->recovery.state != RECOVERY_IDLE)
        return TRACKER_RECOVERING;
    if (page_in_trouble(t))
        return TRACKER_HOLDOVER;
    if (t->mode != TRACKER_MODE_CLOCK)
        return TRACKER_WATCHING;
    return t->has_model ? TRACKER_FEEDING : TRACKER_HOLDOVER;
}

struct tracker_saved tracker_saved(const struct tracker *t)
{
    return (struct tracker_saved){
        .valid = t->page_known,
        .confirmed_marker = t->confirmed_marker,
        .put_back = t->put_back_at_ns != INT64_MAX,
    };
}

void tracker_init(struct tracker *t, const struct tracker_config *config,
    const struct tracker_saved *saved, uint32_t sequence_seed, int64_t now_ns)
{
    memset(t, 0, sizeof(*t));
    t->config = *config;
    t->exchange.sequence = sequence_seed;
    t->recovery.remaining_sec = NAN;
    t->started_ns = t->poll_due_ns = t->sample_due_ns = t->raw_due_ns = now_ns;
    t->put_back_at_ns = INT64_MAX;
    if (saved->valid) {
        t->marker = t->confirmed_marker = saved->confirmed_marker;
        t->page_known = true; /* so that another marker on the first page is a disruption */
        if (saved->put_back) {
            t->put_back_makestep = t->put_back_polls = true;
            t->put_back_at_ns = now_ns;
        }
    }
    t->page_verdict = PAGE_BAD_MAGIC; /* none seen yet */
}

void tracker_reconfigure(struct tracker *t, const struct tracker_config *config)
{
    t->config = *config;
}

/* --- the recovery's beginning ----------------------------------------------------------- */

static void begin_recovery(struct step *s, enum recovery_cause cause)
{
    struct tracker *t = s->t;
    const int64_t earliest = t->reset_sent_ns ? t->reset_sent_ns + t->config.watch_interval_ns : 0;
    /* A reset that chronyd has not even read yet will do for this disruption as well. */
    const bool reset_queued = t->exchange.owner == EXCHANGE_RECOVERY &&
                              t->exchange.id == CHRONY_RESET_SOURCES && s->seen->command_queued;

    t->reset_pending = t->reset_pending || cause != RECOVERY_CAUSE_START;
    if (t->config.dry_run) {
        if (cause != RECOVERY_CAUSE_START)
            report(s, (struct event){.id = EVENT_WOULD_RESET});
        t->reset_pending = false;
        return;
    }
    recovery_begin(&t->recovery, cause, s->seen->now_ns);
    if (reset_queued)
        t->recovery.sent = true;
    else if (cause != RECOVERY_CAUSE_START)
        t->recovery.wait_until_ns = earliest;
    t->awaiting_reported = t->refusal_reported = t->host_late = false;
    t->has_offset = false;
    t->fed = false;
    if (cause != RECOVERY_CAUSE_MARKER)
        report(s, (struct event){.id = EVENT_RECOVERY, .code = (int)cause});
}

static void disrupted(struct step *s, uint64_t marker, bool while_away)
{
    struct tracker *t = s->t;

    report(s, (struct event){
                  .id = EVENT_DISRUPTION, .code = while_away, .old = t->marker, .new = marker});
    t->disruptions++;
    t->marker = marker;
    t->unproven = t->has_old;
    t->detected_counter = s->seen->counter;
    raw_rate_disrupted(&t->rate);
    t->raw_due_ns = s->seen->now_ns;
    begin_recovery(s, RECOVERY_CAUSE_MARKER);
}

/* --- the page ---------------------------------------------------------------------------- */

static void report_flags(struct step *s, const struct vmclock_page *page, bool marker_changed)
{
    const struct vmclock_page *before = &s->t->page;
    const uint64_t both = VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT;

    if ((page->flags & both) != (before->flags & both))
        report(s, (struct event){.id = EVENT_MAINTENANCE,
                      .code = page_has(page, VMCLOCK_FLAG_DISRUPTION_IMMINENT) ? 2
                              : page_has(page, VMCLOCK_FLAG_DISRUPTION_SOON)   ? 1
                                                                               : 0});
    if (before->magic == 0) /* the first page */
        return;
    if (page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT) &&
        page_has(before, VMCLOCK_FLAG_VM_GENERATION_PRESENT) &&
        page->vm_generation != before->vm_generation)
        report(s, (struct event){.id = EVENT_GENERATION,
                      .code = marker_changed,
                      .old = before->vm_generation,
                      .new = page->vm_generation});
    if (page->clock_status != before->clock_status)
        report(s,
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
        report(s, (struct event){.id = EVENT_MODE,
                      .code = (int)verdict,
                      .old = (uint64_t)t->mode,
                      .new = (uint64_t)mode});
    t->mode = mode;
    t->verdict = verdict;
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
    return !marker_changed && before->counter_value != t->model.counter_value &&
           counter_difference(t->model.counter_value, t->detected_counter) > 0;
}

static bool recovery_acts_on_formula(const struct recovery *r)
{
    return r->state != RECOVERY_IDLE && r->state != RECOVERY_RESET && r->state != RECOVERY_HOST &&
           r->cause != RECOVERY_CAUSE_START;
}

static void take_page(struct step *s, const struct vmclock_page *page)
{
    struct tracker *t = s->t;
    const struct vmclock_page before = t->page;
    const struct clock_model model_before = t->model;
    const bool had_model = t->has_model;
    const bool marker_changed = t->page_known && page->disruption_marker != t->marker;
    bool jumped, proven = false;

    if (page_in_trouble(t) && before.magic != 0)
        report(s, (struct event){.id = EVENT_PAGE_BACK});
    t->page_lost = t->page_busy = false;
    t->page_verdict = PAGE_OK;
    t->busy_since_ns = 0;
    report_flags(s, page, marker_changed);
    if (marker_changed)
        disrupted(s, page->disruption_marker, before.magic == 0);
    else if (!t->page_known)
        t->marker = t->confirmed_marker = page->disruption_marker;
    if (!t->page_known || marker_changed)
        s->orders->save = true;
    t->page_known = true;
    t->page = *page;
    judge_clock(s, page);

    if (t->unproven && t->has_model) {
        proven = formula_is_the_new_hosts(t, &before, marker_changed);
        t->unproven = !proven;
    }
    if (t->has_model && !t->unproven) {
        t->old = t->model;
        t->has_old = true;
    }
    if (marker_changed || !t->has_model)
        return;
    /*
     * A formula that jumps while chronyd is being corrected, or after the recovery had to go on
     * without knowing whose it was, is the new host's, late: what chronyd was told and fed
     * meanwhile was wrong. At any other time it is the host's own correction: samples follow it.
     */
    if (had_model && clock_model_contradicts(&model_before, &t->model))
        report(s, (struct event){.id = EVENT_CONTRADICTION, .new = ++t->contradictions});
    jumped = had_model ? !clock_model_continues(&model_before, &t->model) : t->host_late;
    if (jumped && (t->host_late || recovery_acts_on_formula(&t->recovery)))
        begin_recovery(s, RECOVERY_CAUSE_FORMULA);
    if (proven)
        t->host_late = false;
}

static void take_look(struct step *s)
{
    const struct observation *seen = s->seen;
    struct tracker *t = s->t;

    switch (seen->look) {
    case TRACKER_LOOK_NONE: t->busy_since_ns = 0; return;
    case TRACKER_LOOK_CHANGED:
        if (seen->page_verdict == PAGE_OK) {
            take_page(s, seen->page);
            return;
        }
        if (t->page_verdict != seen->page_verdict)
            report(s, (struct event){.id = EVENT_PAGE_INVALID, .code = (int)seen->page_verdict});
        t->page_verdict = seen->page_verdict;
        break;
    case TRACKER_LOOK_BUSY:
        if (t->busy_since_ns == 0)
            t->busy_since_ns = seen->now_ns;
        if (t->page_busy || seen->now_ns - t->busy_since_ns < BUSY_NS)
            return;
        t->page_busy = true;
        report(s, (struct event){.id = EVENT_PAGE_BUSY, .new = seen->seq_count});
        break;
    case TRACKER_LOOK_LOST:
        if (!t->page_lost)
            report(s, (struct event){.id = EVENT_PAGE_LOST, .code = seen->look_error});
        t->page_lost = true;
        break;
    }
    t->has_model = t->has_period = false;
}

/* --- chronyd ------------------------------------------------------------------------------ */

static void chronyd_answered(struct step *s)
{
    struct tracker *t = s->t;

    if (t->chronyd.trouble_reported)
        report(s, (struct event){.id = EVENT_CHRONYD_BACK});
    t->chronyd.asked = t->chronyd.reachable = true;
    t->chronyd.trouble_reported = t->chronyd.bad_reply_reported = false;
}

static void chronyd_gone(struct step *s)
{
    struct tracker *t = s->t;

    if (!t->chronyd.trouble_reported)
        report(s, (struct event){.id = EVENT_CHRONYD_AWAY, .code = s->seen->chronyd_error});
    t->chronyd.trouble_reported = t->chronyd.asked = true;
    t->chronyd.reachable = t->chronyd.synchronised = t->chronyd.has_reference = false;
    t->chronyd.start_done = false;
    t->exchange.owner = EXCHANGE_NONE;
    t->poll_due_ns = s->seen->now_ns + POLL_NS;
    if (t->put_back_at_ns != INT64_MAX) /* the next chronyd reads its own configuration */
        t->put_back_at_ns = s->seen->now_ns + PUT_BACK_RETRY;
}

static void chronyd_silent(struct step *s)
{
    struct tracker *t = s->t;

    if (!t->chronyd.trouble_reported)
        report(s, (struct event){.id = EVENT_CHRONYD_SILENT,
                      .code = (int)t->exchange.id,
                      .new = t->exchange.unread});
    t->chronyd.trouble_reported = true;
    t->chronyd.reachable = t->chronyd.synchronised = false;
}

static void take_tracking(struct step *s, const struct chrony_tracking *tracking)
{
    struct tracker *t = s->t;

    t->chronyd.refid = tracking->refid;
    t->chronyd.has_reference =
        tracking->leap != 3 && tracking->refid != 0 && tracking->refid != REFID_LOCAL;
    t->chronyd.synchronised = t->chronyd.has_reference &&
                              (t->mode != TRACKER_MODE_CLOCK || tracking->refid == t->config.refid);
    t->poll_due_ns = s->seen->now_ns + POLL_NS;
}

/* The settings that a recovery changed, in order, as chrony.conf has them; false: no more. */
static bool put_back_command(const struct tracker *t, unsigned i, struct chrony_command *ret)
{
    const struct recovery_config *c = &t->config.recovery;
    const struct recovery_server *server;

    if (i == 0) {
        *ret = (struct chrony_command){.id = CHRONY_MODIFY_MAKESTEP,
            .makestep = {c->makestep_limit, c->makestep_threshold_sec}};
        return true;
    }
    if (!t->put_back_polls || (i - 1) / 2 >= c->n_servers)
        return false;
    server = &c->servers[(i - 1) / 2];
    *ret = (struct chrony_command){
        .id = i % 2 ? CHRONY_MODIFY_MINPOLL : CHRONY_MODIFY_MAXPOLL,
        .poll = {server->address, i % 2 ? server->minpoll : server->maxpoll},
    };
    return true;
}

static void put_back_done(struct step *s)
{
    struct tracker *t = s->t;

    t->put_back_at_ns = INT64_MAX;
    t->put_back_makestep = t->put_back_polls = false;
    t->recovery.makestep_changed = t->recovery.polls_changed = false;
    s->orders->save = true;
    report(s, (struct event){.id = EVENT_PUT_BACK});
}

/* What came of the command under way; returns the event for the recovery, where it was its. */
static enum recovery_event take_chronyd(struct step *s)
{
    struct tracker *t = s->t;
    const enum exchange_owner owner = t->exchange.owner;
    enum exchange_result result = EXCHANGE_WAITING;
    enum recovery_event event;

    if (s->seen->chronyd == TRACKER_CHRONYD_GONE) {
        chronyd_gone(s);
        return RECOVERY_GONE;
    }
    if (s->seen->chronyd == TRACKER_CHRONYD_REPLY)
        result = exchange_receive(&t->exchange, s->seen->reply, s->seen->reply_length);
    if (result == EXCHANGE_GARBAGE && t->exchange.verdict != CHRONY_REPLY_UNASKED &&
        !t->chronyd.bad_reply_reported) {
        report(s, (struct event){.id = EVENT_BAD_REPLY,
                      .code = (int)t->exchange.verdict,
                      .new = s->seen->reply_length});
        t->chronyd.bad_reply_reported = true;
    }
    if (result != EXCHANGE_REPLIED) {
        result = exchange_tick(&t->exchange, s->seen->now_ns, s->seen->command_queued);
        if (t->exchange.unread || result == EXCHANGE_SILENT)
            chronyd_silent(s);
    }
    if (result != EXCHANGE_REPLIED && result != EXCHANGE_SILENT)
        return RECOVERY_TICK;

    t->exchange.owner = EXCHANGE_NONE;
    if (result == EXCHANGE_REPLIED) {
        chronyd_answered(s);
        if (t->exchange.id == CHRONY_TRACKING && t->exchange.reply.status == CHRONY_OK)
            take_tracking(s, &t->exchange.reply.tracking);
        event = t->exchange.reply.status == CHRONY_OK        ? RECOVERY_REPLY_OK
                : t->exchange.reply.status == CHRONY_INVALID ? RECOVERY_REPLY_INVALID
                                                             : RECOVERY_REPLY_REFUSED;
    } else {
        event = RECOVERY_SILENCE;
    }

    switch (owner) {
    case EXCHANGE_RECOVERY: return event;
    case EXCHANGE_PUT_BACK:
        /* Refused is as good as done: the source is gone, or chronyd has no such setting. */
        if (result == EXCHANGE_REPLIED)
            t->put_back_step++;
        else
            t->put_back_at_ns = s->seen->now_ns + PUT_BACK_RETRY;
        break;
    case EXCHANGE_POLL:
        if (result == EXCHANGE_SILENT)
            t->poll_due_ns = s->seen->now_ns + POLL_NS;
        break;
    case EXCHANGE_NONE:
    case EXCHANGE_N_OWNERS: break;
    }
    return RECOVERY_TICK;
}

static void send_command(
    struct step *s, enum exchange_owner owner, const struct chrony_command *command)
{
    s->orders->command_length =
        exchange_begin(&s->t->exchange, owner, command, s->seen->now_ns, s->orders->command);
    s->orders->command_id = command->id;
}

/* --- the recovery ------------------------------------------------------------------------- */

static enum recovery_page page_for_recovery(const struct tracker *t)
{
    const bool rate_good =
        t->config.correct_frequency && t->has_period && t->model.rate_error <= RATE_ERROR_MAX;

    if (t->has_model)
        return rate_good ? RECOVERY_PAGE_FULL : RECOVERY_PAGE_TIME;
    if (rate_good)
        return RECOVERY_PAGE_PERIOD;
    if (!page_in_trouble(t) && (clock_verdict_is_marker_only(t->verdict) || t->has_period))
        return RECOVERY_PAGE_MARKER_ONLY;
    /* A clock that was never good is not waited for. */
    return t->mode == TRACKER_MODE_CLOCK ? RECOVERY_PAGE_NOT_YET : RECOVERY_PAGE_MARKER_ONLY;
}

/* The page's TAI offset now, a leap second since its reference included. */
static int tai_offset(const struct tracker *t, const struct offset *offset)
{
    if (t->model.leap == VMCLOCK_LEAP_NONE || offset->leap != 0)
        return t->page.tai_offset_sec;
    return t->page.tai_offset_sec + (t->model.leap == VMCLOCK_LEAP_PRE_POSITIVE ? 1 : -1);
}

/* What the narrowest of the readings says, or why it says nothing. */
static enum clock_verdict read_offset(const struct step *s, struct offset *ret_offset)
{
    const struct tracker *t = s->t;
    const struct cross_timestamp *reading =
        cross_timestamp_narrowest(s->seen->realtime, s->seen->n_realtime);
    enum clock_verdict verdict;

    if (!reading)
        return CLOCK_NO_READING;
    verdict = cross_timestamp_offset(reading, &t->model, ret_offset);
    if (verdict == CLOCK_OK && t->page.time_type == VMCLOCK_TIME_TAI && t->kernel_tai != 0 &&
        t->kernel_tai != tai_offset(t, ret_offset))
        return CLOCK_TAI_DISAGREES;
    return verdict;
}

static void measure(const struct step *s, struct recovery_view *view)
{
    const struct tracker *t = s->t;
    const unsigned needed = TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_KERNEL;
    struct offset offset;

    if ((s->seen->measured & needed) != needed)
        return;
    view->measured = true;
    view->offset_sec = NAN;
    if (t->has_model && read_offset(s, &offset) == CLOCK_OK)
        view->offset_sec = offset.sec;
    view->rate_known = t->has_period && t->rate.known && s->seen->clock_source_is_counter;
    if (view->rate_known)
        view->rate_ppm =
            raw_rate_error_ppm(&t->rate, &t->model, s->seen->kernel_tick, s->seen->kernel_freq);
}

/* Say what the recovery has just done, and keep the books. */
static void account(struct step *s, const struct recovery *before)
{
    struct tracker *t = s->t;
    const struct recovery *r = &t->recovery;

    if (r->reset_confirmed && !before->reset_confirmed) {
        t->reset_pending = false;
        t->confirmed_marker = t->marker;
        t->recoveries++;
        t->chronyd.start_done = true; /* it has no reference because it was told to forget */
        s->orders->save = true;
        report(
            s, (struct event){
                   .id = EVENT_RESET_CONFIRMED, .new = t->marker, .a = ms_since(s, r->started_ns)});
    }
    if (r->state == RECOVERY_RESET && !r->sent && before->sent && !t->refusal_reported &&
        s->seen->chronyd == TRACKER_CHRONYD_REPLY) {
        t->refusal_reported = true;
        report(s, (struct event){.id = EVENT_NOT_CONFIRMED, .code = t->exchange.reply.status});
    }
    if (r->state == RECOVERY_HOST && before->state == RECOVERY_HOST && !t->awaiting_reported) {
        t->awaiting_reported = true;
        report(s, (struct event){.id = EVENT_AWAITING_HOST, .code = (int)t->verdict});
    }
    if (before->state == RECOVERY_HOST && r->state != RECOVERY_HOST &&
        (t->unproven || (!t->has_model && t->mode == TRACKER_MODE_CLOCK && !t->has_period))) {
        t->host_late = true;
        report(s, (struct event){.id = EVENT_HOST_LATE, .code = (int)t->verdict});
    }
    if (r->exact_unavailable && !before->exact_unavailable)
        report(s, (struct event){.id = EVENT_COMMAND_MISSING});
    if (r->cannot_step && !before->cannot_step)
        report(s, (struct event){.id = EVENT_CANNOT_STEP});
    if (r->refused_correction && !before->refused_correction)
        report(s,
            (struct event){.id = EVENT_CORRECTION_REFUSED, .a = r->rate_ppm, .b = r->offset_sec});
    if (r->corrected_ns && !before->corrected_ns && !isnan(r->remaining_sec))
        report(s, (struct event){.id = EVENT_CORRECTED,
                      .a = r->rate_ppm,
                      .b = r->offset_sec,
                      .c = r->remaining_sec,
                      .d = ms_since(s, r->started_ns)});
    if ((r->makestep_changed && !before->makestep_changed) ||
        (r->polls_changed && !before->polls_changed))
        s->orders->save_first = true;
    if (r->state == RECOVERY_REARM || r->state == RECOVERY_MINPOLL) {
        t->put_back_makestep = t->put_back_makestep || r->makestep_changed;
        t->put_back_polls = t->put_back_polls || r->polls_changed;
        if (t->put_back_makestep || t->put_back_polls) {
            t->put_back_at_ns = s->seen->now_ns + BOOST_NS;
            t->put_back_step = 0;
        }
    }
    if (before->state != RECOVERY_IDLE && r->state == RECOVERY_IDLE) {
        s->orders->save = true;
        if (r->outcome == RECOVERY_OUTCOME_SYNCHRONISED)
            report(s, (struct event){.id = EVENT_SYNCHRONISED,
                          .new = t->chronyd.refid,
                          .a = ms_since(s, r->started_ns)});
        else if (r->outcome == RECOVERY_OUTCOME_UNSYNCHRONISED)
            report(s, (struct event){.id = EVENT_NOT_SYNCHRONISED});
    }
}

static void run_recovery(struct step *s, enum recovery_event event)
{
    struct tracker *t = s->t;
    const struct recovery before = t->recovery;
    struct recovery_order order;
    struct recovery_view view = {
        .now_ns = s->seen->now_ns,
        .page = page_for_recovery(t),
        .unproven = t->has_model && t->unproven,
        .synchronised = t->chronyd.synchronised,
    };

    measure(s, &view);
    recovery_step(&t->recovery, &t->config.recovery, event, &view, &order);
    account(s, &before);
    if (order.send) {
        send_command(s, EXCHANGE_RECOVERY, &order.command);
        if (order.command.id == CHRONY_RESET_SOURCES)
            t->reset_sent_ns = s->seen->now_ns;
    }
    if (order.measure) {
        s->orders->measure |= TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_KERNEL;
        s->orders->wake_at_ns = s->seen->now_ns;
    } else if (order.wake_at_ns < s->orders->wake_at_ns) {
        s->orders->wake_at_ns = order.wake_at_ns;
    }
}

/* A chronyd that has just started knows neither rate nor phase: it need not find them out. */
static bool start_is_due(const struct tracker *t)
{
    return t->config.correct_at_start && t->chronyd.reachable && !t->chronyd.has_reference &&
           !t->chronyd.start_done && t->has_model && page_for_recovery(t) == RECOVERY_PAGE_FULL &&
           !t->unproven && !t->stopping &&
           (t->recovery.state == RECOVERY_IDLE || t->recovery.state == RECOVERY_SYNC);
}

/* --- what is asked of chronyd otherwise --------------------------------------------------- */

static void put_back_and_poll(struct step *s)
{
    struct tracker *t = s->t;
    struct chrony_command command = {.id = CHRONY_TRACKING};

    if (t->exchange.owner != EXCHANGE_NONE || t->config.dry_run)
        return;
    if (t->put_back_at_ns != INT64_MAX && (due(s, t->put_back_at_ns) || t->stopping) &&
        (t->recovery.state == RECOVERY_IDLE || t->recovery.state == RECOVERY_SYNC || t->stopping)) {
        if (t->put_back_step == 0 && !t->put_back_makestep)
            t->put_back_step = 1;
        if (put_back_command(t, t->put_back_step, &command))
            send_command(s, EXCHANGE_PUT_BACK, &command);
        else
            put_back_done(s);
    } else if (due(s, t->poll_due_ns) && !t->stopping) {
        send_command(s, EXCHANGE_POLL, &command);
        t->poll_due_ns = s->seen->now_ns + POLL_NS;
    }
}

/* --- the samples -------------------------------------------------------------------------- */

static bool may_feed(const struct step *s)
{
    const struct tracker *t = s->t;

    return t->has_model && !t->reset_pending && !recovery_holds_samples(&t->recovery) &&
           t->busy_since_ns == 0 && !t->stopping &&
           (t->chronyd.asked || t->config.dry_run ||
               s->seen->now_ns - t->started_ns > FIRST_ASK_NS);
}

static void take_sample_result(struct step *s)
{
    struct tracker *t = s->t;
    const int error = s->seen->sample_error;

    if (!s->seen->sample_sent)
        return;
    if (error && !t->sample_error)
        report(s, (struct event){.id = EVENT_SOCK_FAILED, .code = error});
    if (!error && t->sample_error) {
        report(s, (struct event){.id = EVENT_SOCK_BACK});
        /* A new chronyd, most likely: ask it at once what it knows. */
        t->chronyd.reachable = t->chronyd.has_reference = t->chronyd.synchronised = false;
        t->chronyd.start_done = false;
        t->poll_due_ns = s->seen->now_ns;
    }
    t->samples_sent += !error;
    t->sample_error = error;
}

static void feed(struct step *s)
{
    struct tracker *t = s->t;
    enum clock_verdict verdict;
    struct offset offset;
    bool over;

    if (!may_feed(s)) {
        t->fed = false;
        return;
    }
    if (!(s->seen->measured & TRACKER_MEASURE_REALTIME) || !due(s, t->sample_due_ns))
        return;
    do
        t->sample_due_ns += t->config.sample_interval_ns;
    while (due(s, t->sample_due_ns));
    verdict = read_offset(s, &offset);
    over = verdict == CLOCK_OK && t->config.max_error_ns && offset.has_bound &&
           offset.bound_ns > t->config.max_error_ns;
    if ((over && !t->withheld) || (verdict != CLOCK_OK && verdict != t->sample_verdict))
        report(s, (struct event){.id = EVENT_SAMPLES_WITHHELD,
                      .code = (int)verdict,
                      .new = over ? offset.bound_ns : 0});
    t->withheld = over || verdict != CLOCK_OK;
    t->sample_verdict = verdict;
    t->has_offset = verdict == CLOCK_OK;
    if (t->has_offset)
        t->offset = offset;
    if (t->withheld)
        t->fed = false;
    if (t->withheld || t->config.dry_run)
        return;
    if (!t->fed)
        report(s, (struct event){.id = EVENT_FIRST_SAMPLE, .b = offset.sec});
    t->fed = true;
    s->orders->send_sample = true;
    sock_sample_init(&s->orders->sample, &offset);
}

/* --- one step ----------------------------------------------------------------------------- */

static void wake(struct step *s, int64_t when_ns)
{
    if (when_ns < s->orders->wake_at_ns)
        s->orders->wake_at_ns = when_ns;
}

/* When to step again at the latest, and what to bring then. */
static void schedule(struct step *s)
{
    const struct tracker *t = s->t;
    const bool needs_raw = t->page_known && !clock_verdict_is_marker_only(t->verdict);
    struct observation then = *s->seen;
    const struct step later = {s->t, &then, s->orders};

    if (t->exchange.owner != EXCHANGE_NONE) {
        wake(s, t->exchange.deadline_ns);
    } else if (!t->config.dry_run) {
        wake(s, t->put_back_at_ns);
        if (!t->stopping)
            wake(s, t->poll_due_ns);
    }
    if (needs_raw)
        wake(s, t->raw_due_ns);
    if (may_feed(s))
        wake(s, t->sample_due_ns);

    then.now_ns = s->orders->wake_at_ns;
    if (needs_raw && due(&later, t->raw_due_ns))
        s->orders->measure |= TRACKER_MEASURE_RAW | TRACKER_MEASURE_KERNEL;
    if (may_feed(s) && due(&later, t->sample_due_ns))
        s->orders->measure |= TRACKER_MEASURE_REALTIME;
}

void tracker_step(
    struct tracker *t, const struct observation *seen, struct tracker_orders *ret_orders)
{
    struct step s = {t, seen, ret_orders};
    const struct cross_timestamp *raw;
    enum recovery_event event;

    memset(ret_orders, 0, sizeof(*ret_orders));
    ret_orders->wake_at_ns = INT64_MAX;

    take_look(&s);
    if (seen->request)
        begin_recovery(&s, t->reset_pending ? t->recovery.cause : RECOVERY_CAUSE_REQUEST);
    if (seen->measured & TRACKER_MEASURE_RAW) {
        raw = cross_timestamp_narrowest(seen->raw, seen->n_raw);
        if (raw)
            raw_rate_observe(&t->rate, raw);
        t->raw_due_ns = seen->now_ns + RAW_NS;
    }
    if (seen->measured & TRACKER_MEASURE_KERNEL)
        t->kernel_tai = seen->kernel_tai;
    if (seen->stop && !t->stopping) {
        t->stopping = true;
        if (t->recovery.state != RECOVERY_IDLE)
            t->recovery.outcome = RECOVERY_OUTCOME_ABANDONED;
        t->recovery.state = RECOVERY_IDLE;
        t->exchange.owner = EXCHANGE_NONE;
    }
    event = take_chronyd(&s);
    if (t->chronyd.has_reference)
        t->chronyd.start_done = true;
    if (start_is_due(t)) {
        t->chronyd.start_done = true;
        begin_recovery(&s, RECOVERY_CAUSE_START);
        event = RECOVERY_TICK;
    }
    run_recovery(&s, event);
    put_back_and_poll(&s);
    take_sample_result(&s);
    feed(&s);
    if (ret_orders->measure == 0)
        schedule(&s);
    ret_orders->stopped = t->stopping && t->put_back_at_ns == INT64_MAX;
}
