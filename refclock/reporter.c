/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/reporter.h"

#include <assert.h>

#define REPEAT_NS INT64_C(1000000000)

static void append(struct reporter *r, struct event event)
{
    assert(event.id < EVENT_N && r->n_repeating <= EVENT_N);
    if (r->n_events < REPORTER_EVENTS_MAX)
        r->events[r->n_events++] = event;
}

void reporter_say(struct reporter *r, struct event event)
{
    if (event.id == EVENT_WOULD_SEND) { /* each is another command */
        append(r, event);
        return;
    }
    /* The end of the last repetition, if it was announced, is reported already. */
    if (r->now_ns - r->repetitions[event.id].last_ns > REPEAT_NS)
        r->repetitions[event.id].n = 0;
    if (r->repetitions[event.id].n++ == 0)
        r->repetitions[event.id].first_ns = r->now_ns;
    r->repetitions[event.id].last_ns = r->now_ns;
    if (r->repetitions[event.id].n <= REPORTER_REPEAT_MAX) {
        append(r, event);
    } else if (r->repetitions[event.id].n == REPORTER_REPEAT_MAX + 1) {
        r->n_repeating++;
        append(r, (struct event){.id = EVENT_REPEATS, .repetition = {.what = event.id}});
    }
}

void reporter_begin(struct reporter *r, int64_t now_ns)
{
    r->now_ns = now_ns;
    r->n_events = 0;
    for (int id = 0; r->n_repeating > 0 && id < EVENT_N; id++) {
        if (r->repetitions[id].n <= REPORTER_REPEAT_MAX ||
            now_ns - r->repetitions[id].last_ns <= REPEAT_NS)
            continue;
        append(
            r, (struct event){.id = EVENT_REPEATED,
                   .repetition = {(enum event_id)id, r->repetitions[id].n,
                       (double)(r->repetitions[id].last_ns - r->repetitions[id].first_ns) / 1e9}});
        r->repetitions[id].n = 0;
        r->n_repeating--;
    }
}

int64_t reporter_due_ns(const struct reporter *r)
{
    return r->n_repeating > 0 ? r->now_ns + REPEAT_NS : INT64_MAX;
}
