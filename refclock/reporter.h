/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one step has to report. An event that comes again and again, each within a second of the one
 * before, is reported REPORTER_REPEAT_MAX times, then once that it repeats, then nothing until it
 * has stopped; then how often it came.
 */
#ifndef REFCLOCK_REPORTER_H
#define REFCLOCK_REPORTER_H

#include "refclock/event.h"

#define REPORTER_EVENTS_MAX 16 /* in one step */
#define REPORTER_REPEAT_MAX 7  /* two kinds that take turns fit into what the log takes at once */

struct reporter {
    int64_t now_ns; /* of this step, CLOCK_MONOTONIC */
    unsigned n_events;
    struct event events[REPORTER_EVENTS_MAX];
    unsigned n_repeating; /* kinds that come too often to be reported */
    struct {
        uint64_t n;
        int64_t first_ns, last_ns;
    } repetitions[EVENT_N];
};

/* A step begins: forget the events of the one before, report the repetitions that have ended. */
void reporter_begin(struct reporter *r, int64_t now_ns);

/* Tell of it, if it has not come too often by now: see above. */
void reporter_say(struct reporter *r, struct event event);

/* When a repetition may have ended; INT64_MAX: there is none. */
int64_t reporter_due_ns(const struct reporter *r);

#endif
