/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/feeder.h"

#include <assert.h>
#include <math.h>

void feeder_init(struct feeder *f, int64_t now_ns, uint64_t sent)
{
    *f = (struct feeder){.due_ns = now_ns, .sent = sent};
}

void feeder_hurry(struct feeder *f, int64_t now_ns)
{
    f->due_ns = now_ns;
}

void feeder_hold(struct feeder *f)
{
    f->has_offset = f->flowing = f->withheld = false;
    f->verdict = CLOCK_OK; /* a reason that lasts is told once more after the recovery */
}

bool feeder_is_due(const struct feeder *f, int64_t now_ns, int64_t slack_ns)
{
    return f->due_ns - slack_ns <= now_ns;
}

bool feeder_take_result(struct feeder *f, struct reporter *reporter, int error, bool may_feed)
{
    const bool back = !error && f->error;

    if (error && !f->error)
        reporter_say(reporter, (struct event){.id = EVENT_SOCK_FAILED, .failure = {error}});
    if (back)
        reporter_say(reporter, (struct event){.id = EVENT_SOCK_BACK});
    if (!error && !f->flowing && may_feed) {
        reporter_say(
            reporter, (struct event){.id = EVENT_FIRST_SAMPLE, .offset_sec = f->offset.sec});
        f->flowing = true;
    }
    f->sent += !error;
    f->error = error;
    return back;
}

static void pretend(struct feeder *f, struct reporter *reporter)
{
    const double sec = f->offset.sec;

    if (!f->flowing)
        reporter_say(reporter, (struct event){.id = EVENT_WOULD_FEED, .offset_sec = sec});
    f->flowing = true;
    if (f->pretended.samples++ == 0)
        f->pretended.least_sec = f->pretended.most_sec = sec;
    f->pretended.least_sec = fmin(f->pretended.least_sec, sec);
    f->pretended.most_sec = fmax(f->pretended.most_sec, sec);
}

void feeder_report_pretended(const struct feeder *f, struct reporter *reporter)
{
    if (f->pretended.samples > 0)
        reporter_say(reporter,
            (struct event){.id = EVENT_WOULD_HAVE_FED,
                .samples = {f->pretended.samples, f->pretended.least_sec, f->pretended.most_sec}});
}

static void take_measurement(
    struct feeder *f, struct reporter *reporter, const struct feeder_view *view)
{
    /* Without a bound the error may be anything: its bound_ns is UINT64_MAX. */
    const bool over = view->verdict == CLOCK_OK && view->max_error_ns &&
                      view->offset->bound_ns > view->max_error_ns;

    const bool withheld = over || view->verdict != CLOCK_OK;
    const bool another = view->verdict != f->verdict || (over && !f->withheld); /* reason */

    if (withheld && another)
        reporter_say(reporter, (struct event){.id = EVENT_SAMPLES_WITHHELD,
                                   .withheld = {view->verdict, over ? view->offset->bound_ns : 0}});
    f->withheld = withheld;
    f->verdict = view->verdict;
    f->has_offset = view->verdict == CLOCK_OK;
    if (f->has_offset) {
        f->offset = *view->offset;
        f->measured_ns = view->now_ns;
    }
}

bool feeder_step(struct feeder *f, struct reporter *reporter, const struct feeder_view *view,
    struct sock_sample *ret_sample)
{
    if (!view->may_feed) {
        f->flowing = false;
        if (!view->is_clock)
            f->has_offset = f->withheld = false;
        return false;
    }
    if (!view->measured || !feeder_is_due(f, view->now_ns, view->slack_ns))
        return false;
    f->due_ns += ((view->now_ns - f->due_ns) / view->interval_ns + 1) * view->interval_ns;
    if (feeder_is_due(f, view->now_ns, view->slack_ns))
        f->due_ns += view->interval_ns;
    take_measurement(f, reporter, view);
    assert(f->withheld || f->has_offset);
    assert(f->due_ns - view->slack_ns > view->now_ns);
    if (f->withheld) {
        f->flowing = false;
        return false;
    }
    if (view->dry_run) {
        pretend(f, reporter);
        return false;
    }
    sock_sample_init(ret_sample, &f->offset);
    return true;
}
