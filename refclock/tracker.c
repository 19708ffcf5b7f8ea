/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker.h"

#include <math.h>
#include <string.h>

#include "refclock/tracker_step.h"

#define REPEAT_NS  INT64_C(1000000000)
#define REPEAT_MAX 7 /* two kinds that take turns fit into what the log takes at once */
#define RAW_NS     INT64_C(1000000000)
#define SAVED_FLAGS                                                                                \
    (VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT |                             \
        VMCLOCK_FLAG_VM_GENERATION_PRESENT)
#define FIRST_ASK_NS INT64_C(1000000000)
#define SLACK_NS     INT64_C(5000000)

static void report(struct step *s, struct event event)
{
    if (s->orders->n_events < TRACKER_EVENTS_MAX)
        s->orders->events[s->orders->n_events++] = event;
}

/* What comes over and over is said to do so, and not said again until it has stopped. */
void step_report(struct step *s, struct event event)
{
    struct tracker_repetition *r = &s->t->repetitions[event.id];
    const int64_t now_ns = s->seen->now_ns;

    if (event.id == EVENT_WOULD_SEND) { /* each is another command */
        report(s, event);
        return;
    }
    if (now_ns - r->last_ns > REPEAT_NS) /* where that is news, report_ends() has told it */
        r->n = 0;
    if (r->n++ == 0)
        r->first_ns = now_ns;
    r->last_ns = now_ns;
    if (r->n <= REPEAT_MAX) {
        report(s, event);
    } else if (r->n == REPEAT_MAX + 1) {
        s->t->n_repeating++;
        report(s, (struct event){.id = EVENT_REPEATS, .code = (int)event.id});
    }
}

static void report_ends(struct step *s)
{
    struct tracker *t = s->t;

    for (int id = 0; t->n_repeating > 0 && id < EVENT_N; id++) {
        struct tracker_repetition *r = &t->repetitions[id];

        if (r->n <= REPEAT_MAX || s->seen->now_ns - r->last_ns <= REPEAT_NS)
            continue;
        report(s, (struct event){.id = EVENT_REPEATED,
                      .code = id,
                      .new = r->n,
                      .a = (double)(r->last_ns - r->first_ns) / 1e9});
        r->n = 0;
        t->n_repeating--;
    }
}

double step_ms_since(const struct step *s, int64_t then_ns)
{
    return (double)(s->seen->now_ns - then_ns) / 1e6;
}

int64_t tracker_slack_ns(const struct tracker_config *c)
{
    const int64_t interval =
        c->watch_interval_ns < c->sample_interval_ns ? c->watch_interval_ns : c->sample_interval_ns;

    return interval / 2 < SLACK_NS ? interval / 2 : SLACK_NS;
}

bool step_due(const struct step *s, int64_t when_ns)
{
    return when_ns - tracker_slack_ns(&s->t->config) <= s->seen->now_ns;
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

enum tracker_state tracker_state(const struct tracker *t)
{
    if (!t->page_known)
        return TRACKER_STARTING;
    if (t->recovery.state != RECOVERY_IDLE)
        return TRACKER_RECOVERING;
    if (tracker_page_in_trouble(t))
        return TRACKER_HOLDOVER;
    if (t->mode != TRACKER_MODE_CLOCK)
        return TRACKER_WATCHING;
    return t->has_model ? TRACKER_FEEDING : TRACKER_HOLDOVER;
}

const char *tracker_disruption_str(enum tracker_disruption kind)
{
    switch (kind) {
    case TRACKER_DISRUPTION_UNKNOWN: return "unknown";
    case TRACKER_DISRUPTION_MIGRATION: return "migration";
    case TRACKER_DISRUPTION_RESTORE: return "restore";
    }
    return "unknown";
}

struct tracker_saved tracker_saved(const struct tracker *t)
{
    struct tracker_saved saved = {
        .valid = t->page_known,
        .confirmed_marker = t->confirmed_marker,
        .restore = t->restore,
        .chronyd_id = t->chronyd.id,
        .chronyd_had_reference = t->chronyd.had_reference,
        .flags = t->page.flags & SAVED_FLAGS,
        .vm_generation = t->page.vm_generation,
    };

    return saved;
}

void tracker_init(struct tracker *t, const struct tracker_config *config,
    const struct tracker_saved *saved, uint32_t sequence_seed, int64_t now_ns)
{
    memset(t, 0, sizeof(*t));
    t->config = *config;
    t->exchange.sequence = sequence_seed;
    t->recovery.remaining_sec = NAN;
    t->started_ns = t->poll_due_ns = t->sample_due_ns = t->raw_due_ns = now_ns;
    if (saved->valid) {
        t->marker = t->confirmed_marker = saved->confirmed_marker;
        t->page_known = true; /* so that another marker on the first page is a disruption */
        t->page.flags = saved->flags & SAVED_FLAGS;
        t->page.vm_generation = saved->vm_generation;
    }
    t->chronyd.frequency_ppm = t->chronyd.correction_sec = t->chronyd.root_delay_sec = NAN;
    t->chronyd.id = saved->chronyd_id;
    t->chronyd.had_reference = saved->chronyd_had_reference;
    t->restore = saved->restore;
    restore_reconfigure(&t->restore, &config->recovery);
    restore_hurry(&t->restore, now_ns);
    t->page_verdict = PAGE_BAD_MAGIC; /* none seen yet */
}

void tracker_reconfigure(struct tracker *t, const struct tracker_config *config)
{
    t->config = *config;
    t->sample_due_ns = t->started_ns; /* the present one's is as far off as the interval was long */
    restore_reconfigure(&t->restore, &config->recovery);
    if (t->exchange.owner == EXCHANGE_RESTORE)
        t->exchange.owner = EXCHANGE_NONE;
}

static bool may_feed(const struct step *s)
{
    const struct tracker *t = s->t;

    return t->has_model && !recovery_holds_samples(&t->recovery) && t->busy_since_ns == 0 &&
           !t->stopping &&
           (t->asked || t->config.dry_run || s->seen->now_ns - t->started_ns > FIRST_ASK_NS);
}

static void watch_counter(struct step *s, const struct cross_timestamp *readings, size_t n)
{
    struct tracker *t = s->t;

    if (n == 0)
        return;
    if (!t->counter.read)
        t->counter.value = readings[0].counter_before;
    t->counter.read = true;
    t->counter.back = cross_timestamp_goes_back(readings, n, &t->counter.value) || t->counter.back;
}

static void take_sample_result(struct step *s)
{
    struct tracker *t = s->t;
    const int error = s->seen->sample_error;

    if (!s->seen->sample_sent)
        return;
    if (error && !t->sample_error)
        step_report(s, (struct event){.id = EVENT_SOCK_FAILED, .code = error});
    if (!error && t->sample_error) {
        step_report(s, (struct event){.id = EVENT_SOCK_BACK});
        /* A new chronyd, most likely: ask it at once what it knows. */
        step_forget_tracking(s);
        t->poll_due_ns = s->seen->now_ns;
    }
    if (!error && !t->fed && may_feed(s)) {
        step_report(s, (struct event){.id = EVENT_FIRST_SAMPLE, .b = t->offset.sec});
        t->fed = true;
    }
    t->samples_sent += !error;
    t->sample_error = error;
}

static bool may_be_fed(const struct tracker *t)
{
    return t->has_model && !recovery_holds_samples(&t->recovery);
}

static void feed(struct step *s)
{
    struct tracker *t = s->t;
    const int64_t interval_ns = t->config.sample_interval_ns;
    enum clock_verdict verdict;
    struct offset offset;
    bool over;

    if (!may_feed(s)) {
        t->fed = false;
        if (!may_be_fed(t))
            t->has_offset = t->withheld = false;
        return;
    }
    if (!(s->seen->measured & TRACKER_MEASURE_REALTIME) || !step_due(s, t->sample_due_ns))
        return;
    t->sample_due_ns += ((s->seen->now_ns - t->sample_due_ns) / interval_ns + 1) * interval_ns;
    if (step_due(s, t->sample_due_ns))
        t->sample_due_ns += interval_ns;
    verdict = step_read_offset(s, &offset);
    /* Without a bound the error may be anything: its bound_ns is UINT64_MAX. */
    over =
        verdict == CLOCK_OK && t->config.max_error_ns && offset.bound_ns > t->config.max_error_ns;
    if ((over && !t->withheld) || (verdict != CLOCK_OK && verdict != t->sample_verdict))
        step_report(s, (struct event){.id = EVENT_SAMPLES_WITHHELD,
                           .code = (int)verdict,
                           .new = over ? offset.bound_ns : 0});
    t->withheld = over || verdict != CLOCK_OK;
    t->sample_verdict = verdict;
    t->has_offset = verdict == CLOCK_OK;
    if (t->has_offset) {
        t->offset = offset;
        t->offset_ns = s->seen->now_ns;
    }
    if (t->withheld) {
        t->fed = false;
        return;
    }
    if (t->config.dry_run) {
        if (!t->fed)
            step_report(s, (struct event){.id = EVENT_WOULD_FEED, .b = offset.sec});
        t->fed = true;
        if (t->pretended.samples++ == 0)
            t->pretended.least_sec = t->pretended.most_sec = offset.sec;
        t->pretended.least_sec = fmin(t->pretended.least_sec, offset.sec);
        t->pretended.most_sec = fmax(t->pretended.most_sec, offset.sec);
        return;
    }
    s->orders->send_sample = true;
    sock_sample_init(&s->orders->sample, &offset);
}

static void watch_health(const struct step *s)
{
    const struct tracker *t = s->t;
    const int64_t now_ns = s->seen->now_ns;

    health_take(&s->t->health,
        &(struct health_view){
            .now_ns = now_ns,
            .feeding = may_be_fed(t),
            /* Or the page changes during each reading, so that there is none at all. */
            .withheld = t->withheld || now_ns - t->sample_due_ns > t->config.sample_interval_ns,
            .measured = t->has_offset && t->offset_ns == now_ns,
            .offset_ns = t->offset.ns,
            .bound_ns = t->offset.has_bound ? t->offset.bound_ns : UINT64_MAX,
            .asked = t->asked && (t->chronyd.tracked || !t->chronyd.reachable),
            .answers = t->chronyd.reachable,
            .recovering = t->recovery.state != RECOVERY_IDLE,
            .has_reference = t->chronyd.has_reference,
            .reference_time = t->chronyd.reference_time,
            .update_interval_sec = t->chronyd.update_interval_sec,
            .has_bursts = t->mode != TRACKER_MODE_CLOCK,
            .boosted = t->restore.polls,
        });
}

static void wake(struct step *s, int64_t when_ns)
{
    if (when_ns < s->orders->wake_at_ns)
        s->orders->wake_at_ns = when_ns;
}

/* When to step again at the latest, and what to bring then. */
static void schedule(struct step *s)
{
    const struct tracker *t = s->t;
    const bool needs_raw = t->page_known && !clock_verdict_is_marker_only(t->verdict) &&
                           !t->page_lost && t->busy_since_ns == 0;
    struct observation then = *s->seen;
    const struct step later = {s->t, &then, s->orders};

    if (t->exchange.owner != EXCHANGE_NONE) {
        wake(s, t->exchange.deadline_ns);
    } else if (!t->config.dry_run) {
        wake(s, step_when_chronyd_is_due(s));
    }
    if (t->n_repeating > 0)
        wake(s, s->seen->now_ns + REPEAT_NS);
    if (needs_raw)
        wake(s, t->raw_due_ns);
    if (may_feed(s))
        wake(s, t->sample_due_ns);

    then.now_ns = s->orders->wake_at_ns;
    if (needs_raw && step_due(&later, t->raw_due_ns))
        s->orders->measure |= TRACKER_MEASURE_RAW | TRACKER_MEASURE_TAI;
    if (may_feed(s) && step_due(&later, t->sample_due_ns)) {
        s->orders->measure |= TRACKER_MEASURE_REALTIME;
        if (t->sample_verdict == CLOCK_LEAP_NOW) /* the kernel's TAI offset changes with it */
            s->orders->measure |= TRACKER_MEASURE_TAI;
    }
}

void tracker_step(
    struct tracker *t, const struct observation *seen, struct tracker_orders *ret_orders)
{
    struct step s = {t, seen, ret_orders};
    const struct cross_timestamp *raw;
    enum recovery_event event;

    memset(ret_orders, 0, sizeof(*ret_orders));
    ret_orders->wake_at_ns = INT64_MAX;

    report_ends(&s);
    step_take_look(&s);
    if (seen->request)
        step_begin_recovery(&s, t->reset_pending ? t->recovery.cause : RECOVERY_CAUSE_REQUEST);
    if (seen->measured & TRACKER_MEASURE_RAW) {
        watch_counter(&s, seen->raw, seen->n_raw);
        raw = cross_timestamp_narrowest(seen->raw, seen->n_raw);
        if (raw && !t->counter.back)
            raw_rate_observe(&t->rate, raw);
        t->raw_due_ns = seen->now_ns + RAW_NS;
    }
    if (seen->measured & TRACKER_MEASURE_REALTIME)
        watch_counter(&s, seen->realtime, seen->n_realtime);
    if (seen->measured & TRACKER_MEASURE_TAI)
        t->kernel_tai = seen->kernel_tai;
    if (seen->stop && !t->stopping) {
        t->stopping = true;
        restore_hurry(&t->restore, seen->now_ns);
        if (t->recovery.state != RECOVERY_IDLE && !t->config.dry_run)
            step_report_end(&s, EVENT_ABANDONED);
        recovery_abandon(&t->recovery, seen->now_ns);
        if (t->pretended.samples > 0)
            step_report(&s, (struct event){.id = EVENT_WOULD_HAVE_FED,
                                .new = t->pretended.samples,
                                .a = t->pretended.least_sec,
                                .b = t->pretended.most_sec});
        t->exchange.owner = EXCHANGE_NONE;
    }
    event = step_take_chronyd(&s);
    if (step_start_is_due(&s)) {
        t->chronyd.start_done = true;
        step_begin_recovery(&s, RECOVERY_CAUSE_START);
        event = RECOVERY_TICK;
    }
    step_run_recovery(&s, event);
    step_restore_and_poll(&s);
    take_sample_result(&s);
    feed(&s);
    watch_health(&s);
    if (ret_orders->measure == 0)
        schedule(&s);
    ret_orders->stopped = t->stopping && step_restore_is_over(&s);
}
