/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status_warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/format.h"

struct warnings {
    const struct state_file *state;
    void (*take)(const char *text, void *context);
    void *context;
};

static void warn(const struct warnings *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void warn(const struct warnings *w, const char *format, ...)
{
    char text[STATUS_MISTAKE_BYTES + 128];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    w->take(text, w->context);
}

const char *status_recovery_stage(const struct state_file *state)
{
    static const struct {
        const char *states, *means;
    } stages[] = {
        {"reset confirm", "telling chronyd to forget its measurements"},
        {"host", "waiting for the new host's page"},
        {"ask rate offset step flush slew probe", "correcting the clock"},
        {"rearm minpoll maxpoll burst", "having chronyd measure its servers again"},
        {"sync refine", "waiting for chronyd to select a source"},
    };
    const char *stage = state_file_text(state, "last_recovery.state");
    const size_t n = strlen(stage);

    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
        for (const char *at = stages[i].states; *at; at += strcspn(at, " "), at += *at == ' ')
            if (strcspn(at, " ") == n && strncmp(at, stage, n) == 0)
                return stages[i].means;
    return "until chronyd is synchronised again";
}

static bool in_clock_mode(const struct state_file *state)
{
    return state_file_value_is(state, "mode", "clock");
}

static void warn_of_chronyd(const struct warnings *w)
{
    const struct state_file *state = w->state;
    const char *reference = state_file_value(state, "reference");
    const char *stale = state_file_value(state, "health.reference_s");
    char span[FORMAT_MAX];

    if (state_file_value_is(state, "dry_run", "yes"))
        warn(w, "this is a dry run: chronyd is asked nothing and sent nothing");
    else if (state_file_value_is(state, "chronyd.silent", "yes"))
        warn(w, "chronyd reads commands and its replies do not come back");
    else if (!state_file_value_is(state, "chronyd.reachable", "yes"))
        warn(w, "chronyd does not answer at %s: is it running?",
            state_file_text(state, "command_socket"));
    else if (!state_file_value(state, "chronyd.synchronised"))
        warn(w, "chronyd does not tell whether it is synchronised");
    else if (!state_file_value_is(state, "chronyd.synchronised", "yes") && reference &&
             in_clock_mode(state))
        warn(w, "chronyd follows %s, not %s", reference, state_file_text(state, "refid"));
    else if (!state_file_value_is(state, "chronyd.synchronised", "yes"))
        warn(w, "chronyd is not synchronised");
    if (stale)
        warn(w, "chronyd has not updated its reference for %s",
            format_span(state_file_number(state, "health.reference_s"), span));
    if (state_file_value(state, "health.unconfirmed"))
        warn(w, "chronyd did not confirm its reset: it may go by the time before the disruption; "
                "vmclockctl recover tells it again");
}

static void warn_of_page(const struct warnings *w)
{
    const struct state_file *state = w->state;
    const char *page = state_file_text(state, "page");

    if (state_file_value_is(state, "state", "starting"))
        warn(w, "no valid page was seen yet: %s", page);
    else if (state_file_is_blind(state) && in_clock_mode(state))
        warn(w, "the host gives no time now, and no disruption is seen: %s", page);
    else if (state_file_is_blind(state))
        warn(w, "no disruption is seen: %s", page);
    else if (state_file_value_is(state, "state", "holdover"))
        warn(w, "the host gives no time now: %s", page);
}

static void warn_of_samples(const struct warnings *w)
{
    const struct state_file *state = w->state;
    const char *sock_error = state_file_value(state, "sock_error");
    const char *withheld = state_file_value(state, "samples_withheld");
    char text[FORMAT_MAX], span[FORMAT_MAX];

    if (sock_error)
        warn(w, "samples cannot be sent to %s: %s", state_file_text(state, "sock"), sock_error);
    if (withheld && state_file_value(state, "health.withheld_s"))
        warn(w, "samples are withheld: %s, for %s", withheld,
            format_span(state_file_number(state, "health.withheld_s"), span));
    else if (withheld && !state_file_value_is(state, "state", "holdover"))
        warn(w, "samples are withheld: %s", withheld);
    if (state_file_value(state, "health.offset_s") && state_file_value(state, "offset_ns"))
        warn(w, "the clock is off by %s, and has been off for %s",
            format_ns(state_file_number(state, "offset_ns"), text),
            format_span(state_file_number(state, "health.offset_s"), span));
    else if (state_file_value(state, "health.offset_s"))
        warn(w, "the clock was off when it was measured last");
}

static void warn_of_mistakes(
    const struct warnings *w, const struct status_mistakes *mistakes, bool runs_on)
{
    const unsigned n = mistakes->n < STATUS_MISTAKES_MAX ? mistakes->n : STATUS_MISTAKES_MAX;

    for (unsigned i = 0; i < n; i++)
        warn(w, "%s%s", mistakes->sentences[i],
            runs_on ? "; vmclockd goes on with what it had" : "");
    if (mistakes->n > n)
        warn(w, "the configuration has %u more mistakes", mistakes->n - n);
}

void status_warnings(const struct status_mistakes *mistakes, const struct state_file *state,
    const char *error, void (*take)(const char *text, void *context), void *context)
{
    const struct warnings *const w = &(struct warnings){state, take, context};
    const char *version = state_file_value(state, "version");

    if (error)
        warn(w, "%s", error);
    warn_of_mistakes(w, mistakes, !error);
    if (error)
        return;
    if (state_file_value_is(state, "state", "recovering"))
        warn(w, "a recovery is under way: %s", status_recovery_stage(state));
    if (version && strcmp(version, VERSION) != 0)
        warn(w,
            "vmclockd is of version %s, and vmclockctl of version " VERSION ": restart vmclockd",
            version);
    warn_of_page(w);
    warn_of_chronyd(w);
    warn_of_samples(w);
    if (state_file_value_is(state, "clockbound_taken", "yes"))
        warn(w,
            "another program writes %s, perhaps ClockBound's daemon: vmclockd leaves the file to "
            "it",
            state_file_text(state, "clockbound"));
    if (state_file_value_is(state, "maintenance", "imminent"))
        warn(w, "the host announces a disruption within about an hour");
    if (state_file_value_is(state, "maintenance", "soon"))
        warn(w, "the host announces a disruption within about a day");
    if (in_clock_mode(state) && state_file_value_is(state, "clock_status", "free-running"))
        warn(w, "the host's clock runs free: it is not synchronised, its error grows");
    if (state_file_number(state, "contradictions") > 0)
        warn(w, "the host's error bounds were wrong %s times: they cannot be relied on",
            state_file_text(state, "contradictions"));
}
