/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/bound.h"

#include <assert.h>
#include <math.h>

#include "refclock/calendar.h"

#define PAGE_GOOD_NS    INT64_C(5000000000) /* from then on chronyd may go by others */
#define LATE_INTERVALS  8.0
#define LATE_LEAST_SEC  5.0  /* chronyd is asked once a second */
#define INTERVAL_SEC    64.0 /* where there was one update, and no interval yet */
#define LEAP_AROUND_SEC 2
#define STEP_NS         INT64_C(1000000)
#define SLEW_MAX        (1 / 12.0) /* chronyd slews no faster, if maxslewrate is not raised */

void bound_init(struct bound *b)
{
    *b = (struct bound){.status = BOUND_UNKNOWN, .reason = BOUND_NO_PAGE};
}

/* --- what is known ---------------------------------------------------------------------------- */

static void forget(struct bound *b)
{
    b->page.known = b->chronyd.known = false;
}

/*
 * After a suspend CLOCK_MONOTONIC does not show how old the figures are. After a step by others
 * they are of another clock, until the page or chronyd has measured it.
 */
static void watch_clocks(struct bound *b, const struct bound_view *view)
{
    const bool suspended = view->suspended_ns - b->suspended_ns > STEP_NS;
    const int64_t step_ns = view->realtime_less_ns - b->realtime_less_ns;

    if (b->started && (suspended || step_ns > STEP_NS || step_ns < -STEP_NS)) {
        forget(b);
        b->lost = true;
        b->lost_by = suspended ? BOUND_SUSPENDED : BOUND_STEPPED;
        b->awaits_baseline = b->has_reference;
        b->unheard_sec = b->reference_sec;
    }
    if (!b->started || suspended)
        b->suspended_ns = view->suspended_ns;
    b->realtime_less_ns = view->realtime_less_ns;
    b->started = true;
}

static int64_t realtime_sec(const struct bound_view *view)
{
    return (view->now_ns + view->realtime_less_ns) / INT64_C(1000000000);
}

/* chronyd may state anything. */
static double since_sec(const struct bound_view *view, int64_t then_sec)
{
    return (double)realtime_sec(view) - (double)then_sec;
}

static struct bound_value value_of(const struct bound_view *view, double sec)
{
    return (struct bound_value){
        .known = sec >= 0, /* NAN is not */
        .as_of_ns = view->now_ns,
        .realtime_less_ns = view->realtime_less_ns,
        .sec = sec,
    };
}

static void take_measurement(struct bound *b, const struct bound_view *view)
{
    const bool has_bound = view->has_bound && view->bound_ns != UINT64_MAX;
    const double host_sec = has_bound ? (double)view->bound_ns * 1e-9 : 0;
    const double elapsed_sec = (double)(view->now_ns - b->page.as_of_ns) * 1e-9;

    b->page_rate = view->rate_error;
    if (b->page.known && elapsed_sec > 0)
        b->page_rate =
            fmax(b->page_rate, fabs(view->offset_sec - b->page_offset_sec) / elapsed_sec);
    b->page_rate = fmin(b->page_rate, SLEW_MAX);
    b->page_offset_sec = view->offset_sec;
    b->page = value_of(view, fabs(view->offset_sec) + host_sec);
    b->page_has_bound = has_bound;
    b->host_is_free = view->host_is_free;
    b->rate_bound = view->rate_bound;
    b->page_sequence = view->page_sequence;
}

static void take_tracking(struct bound *b, const struct bound_view *view)
{
    const struct bound_value before = b->chronyd;
    const bool is_same_update = view->reference_sec == b->reference_sec;

    b->has_reference = view->has_reference;
    b->leap_is_announced = view->leap_is_announced;
    if (!view->has_reference)
        return;
    b->reference_sec = view->reference_sec;
    b->interval_sec = view->interval_sec;
    if (b->lost && (b->awaits_baseline || view->reference_sec == b->unheard_sec)) {
        b->awaits_baseline = false;
        b->unheard_sec = view->reference_sec;
        return;
    }
    b->rate_doubt = view->rate_doubt;
    b->chronyd =
        value_of(view, view->distance_sec + fabs(view->correction_sec) +
                           view->rate_doubt * fmax(0, 1 + since_sec(view, view->reference_sec)));
    if (before.known && is_same_update) /* which knows of no step since */
        b->chronyd.realtime_less_ns = before.realtime_less_ns;
}

/* --- what follows ----------------------------------------------------------------------------- */

/* chronyd and the page announce a leap second until it occurs; it matters for some time after. */
static void watch_leap(struct bound *b, const struct bound_view *view)
{
    const int64_t sec = realtime_sec(view);
    /* By a chronyd that is gone none but the one that it announced. */
    const bool by_chronyd = b->leap_is_announced && (view->answers || sec < b->leap_at_sec);

    if (b->leap_at_sec != 0 && sec >= b->leap_at_sec && sec <= b->leap_at_sec + CALENDAR_DAY_SEC)
        return; /* whatever is still announced */
    if (sec > LEAP_AROUND_SEC && (by_chronyd || view->page_announces_leap))
        b->leap_at_sec =
            calendar_month_of((sec - LEAP_AROUND_SEC) / CALENDAR_DAY_SEC).next_first_day *
            CALENDAR_DAY_SEC;
    else if (sec <= LEAP_AROUND_SEC || sec < b->leap_at_sec - 1 ||
             sec > b->leap_at_sec + CALENDAR_DAY_SEC)
        b->leap_at_sec = 0;
}

static bool is_leap(const struct bound *b, const struct bound_view *view, int64_t around_sec)
{
    const int64_t sec = realtime_sec(view);

    return b->leap_at_sec != 0 && sec >= b->leap_at_sec - around_sec - 1 &&
           sec <= b->leap_at_sec + around_sec;
}

static void say(struct bound *b, enum bound_status status, enum bound_reason reason)
{
    b->status = status;
    b->reason = reason;
    b->value.known = false;
}

static void say_value(struct bound *b, enum bound_status status, enum bound_reason reason,
    const struct bound_value *value, double growth)
{
    const double stepped_sec = fabs((double)(b->realtime_less_ns - value->realtime_less_ns)) * 1e-9;

    if (!(value->sec < BOUND_SEC_MAX && growth < BOUND_GROWTH_MAX)) {
        say(b, BOUND_UNKNOWN, BOUND_TOO_LARGE);
        return;
    }
    b->status = status;
    b->reason = reason;
    b->value = *value;
    b->value.sec += stepped_sec;
    b->growth = growth;
}

/* Chronyd's word, and what was measured beside it where the page has no bounds. */
static void judge_chronyd(struct bound *b, const struct bound_view *view, bool beside_page)
{
    struct bound_value value = b->chronyd;
    const double growth = view->max_drift + b->rate_doubt;
    const double interval_sec = b->interval_sec > 0 ? b->interval_sec : INTERVAL_SEC;
    const double late_sec = fmax(LATE_INTERVALS * interval_sec, LATE_LEAST_SEC);

    if (is_leap(b, view, LEAP_AROUND_SEC + view->smears_sec)) { /* its servers may smear it */
        say(b, BOUND_UNKNOWN, BOUND_LEAP);
        return;
    }
    if (!value.known && b->status == BOUND_DISRUPTED) {
        say(b, BOUND_DISRUPTED, b->reason); /* right again, maybe, but who knows how far */
        return;
    }
    if (!value.known) {
        say(b, BOUND_UNKNOWN, b->lost ? b->lost_by : BOUND_NO_REFERENCE);
        return;
    }
    b->lost = false;
    if (beside_page)
        value.sec += b->page.sec;
    if (!view->answers || !b->has_reference)
        say_value(b, BOUND_FREE_RUNNING, BOUND_CHRONYD_LOST, &value, growth);
    else if (since_sec(view, b->reference_sec) > late_sec)
        say_value(b, BOUND_FREE_RUNNING, BOUND_CHRONYD_LATE, &value, growth);
    else if (beside_page)
        say_value(b, BOUND_FREE_RUNNING, BOUND_PAGE_UNBOUNDED, &value, growth);
    else
        say_value(b, BOUND_SYNCHRONISED, BOUND_BY_CHRONYD, &value, growth);
}

static void judge(struct bound *b, const struct bound_view *view)
{
    const bool by_page =
        b->page.known && view->is_clock && view->now_ns - b->page.as_of_ns <= PAGE_GOOD_NS;

    if (view->stopping) {
        say(b, BOUND_UNKNOWN, BOUND_STOPPING);
    } else if (!view->has_page) {
        say(b, BOUND_UNKNOWN, BOUND_NO_PAGE);
    } else if (!view->sees_page) {
        say(b, BOUND_UNKNOWN, BOUND_PAGE_UNSEEN);
    } else if (is_leap(b, view, LEAP_AROUND_SEC)) {
        say(b, BOUND_UNKNOWN, BOUND_LEAP);
    } else if (by_page && b->page_has_bound) {
        say_value(b, b->host_is_free ? BOUND_FREE_RUNNING : BOUND_SYNCHRONISED,
            b->host_is_free ? BOUND_HOST_FREE : BOUND_BY_PAGE, &b->page,
            view->max_drift + b->rate_bound + (view->goes_by_others ? SLEW_MAX : b->page_rate));
    } else if (view->unconfirmed) {
        say(b, BOUND_DISRUPTED, BOUND_UNCONFIRMED);
    } else {
        judge_chronyd(b, view, by_page);
    }
}

bool bound_step(struct bound *b, const struct bound_view *view)
{
    const enum bound_status before = b->status;

    watch_clocks(b, view);
    if (view->disrupted) {
        forget(b);
        b->lost = false; /* it is worse */
        say(b, BOUND_DISRUPTED, BOUND_RECOVERING);
    } else {
        if (view->measured)
            take_measurement(b, view);
        if (view->told)
            take_tracking(b, view);
        watch_leap(b, view);
        judge(b, view);
    }
    assert(b->value.known == (b->status == BOUND_SYNCHRONISED || b->status == BOUND_FREE_RUNNING));
    assert(!b->value.known || (b->value.sec >= 0 && b->value.as_of_ns <= view->now_ns));
    return b->status != before;
}
