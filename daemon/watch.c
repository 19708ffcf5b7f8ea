/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/watch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/format.h"
#include "daemon/state_reader.h"
#include "daemon/status_report.h"
#include "daemon/system_clock.h"

#define RESTART_NS INT64_C(5000000000) /* for how long one that ended may be away */
#define RETRY_MS   200
#define STILL_MS   1000 /* to see that it no longer writes */

struct watch {
    const struct status_mistakes *mistakes;
    bool json;
    const struct state_file *before, *now;
    const char *why; /* of the last event: nothing of the state is known any more */
};

static void event(const struct watch *w, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void event(const struct watch *w, const char *name, const char *format, ...)
{
    char text[CONFIG_PATH_MAX * 2], when[FORMAT_MAX];
    struct timespec now;
    va_list arguments;
    json_t *object;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!w->json) {
        clock_gettime(CLOCK_REALTIME, &now);
        printf("%s %s: %s\n", format_time((double)now.tv_sec + (double)now.tv_nsec / 1e9, when),
            name, text);
        return;
    }
    object = status_report_json(w->mistakes, w->now, w->why);
    json_object_set_new(object, "event", json_string(name));
    json_object_set_new(object, "message", json_string(text));
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(object);
}

static const char *value_of(const struct state_file *state, const char *key)
{
    const char *value = state_file_value(state, key);

    return value ? value : "not known";
}

static bool changed(const struct watch *w, const char *key)
{
    return strcmp(value_of(w->before, key), value_of(w->now, key)) != 0;
}

static void events_of_keys(const struct watch *w, enum state_news news)
{
    for (size_t i = 0; i < state_n_keys; i++) {
        const struct state_key *key = &state_keys[i];

        if (key->news != news || !changed(w, key->name))
            continue;
        if (key->is_news_alone)
            event(w, key->event, "%s", value_of(w->now, key->name));
        else
            event(w, key->event, "%s -> %s", value_of(w->before, key->name),
                value_of(w->now, key->name));
    }
}

static void events_of_host(const struct watch *w)
{
    const unsigned long long n = strtoull(value_of(w->now, "disruptions"), NULL, 10) -
                                 strtoull(value_of(w->before, "disruptions"), NULL, 10);

    if (n > 0) {
        event(w, "disruption", "marker %s -> %s, %s",
            state_file_value(w->before, "disruption_marker")
                ? state_file_value(w->before, "disruption_marker")
                : value_of(w->now, "last_disruption.marker_before"),
            value_of(w->now, "last_disruption.marker"), status_report_kind(w->now));
        if (n > 1)
            event(w, "disruption", "%llu of them at once", n);
    }
    events_of_keys(w, STATE_NEWS_DISRUPTION);
    events_of_keys(w, STATE_NEWS_HOST);
}

static void events_of_recovery(const struct watch *w)
{
    const bool another = changed(w, "last_recovery.started_ns");
    const char *outcome = value_of(w->now, "last_recovery.outcome");
    char after[FORMAT_MAX], what[128];

    if (another)
        event(w, "recovery", "begins, its cause is %s", value_of(w->now, "last_recovery.cause"));
    if (state_file_value(w->now, "last_recovery.reset_ms") &&
        (another || changed(w, "last_recovery.reset_ms")))
        event(w, "reset", "chronyd confirmed it %s",
            status_report_after(w->now, "last_recovery.reset_ms", "", after));
    if (state_file_value(w->now, "last_recovery.corrected_by") &&
        (another || changed(w, "last_recovery.corrected_by") ||
            changed(w, "last_recovery.corrected_ms")))
        event(w, "corrected", "%s%s%s", status_report_corrected(w->now, what, sizeof(what)),
            state_file_value(w->now, "last_recovery.corrected_ms") ? " " : "",
            status_report_after(w->now, "last_recovery.corrected_ms", "", after));
    if (strcmp(outcome, "running") != 0 && (another || changed(w, "last_recovery.outcome")))
        event(w, strcmp(outcome, "synchronised") == 0 ? "recovered" : "not_recovered", "%s%s%s",
            status_report_outcome(w->now),
            state_file_value(w->now, "last_recovery.synchronised_ms") ? " " : "",
            status_report_after(w->now, "last_recovery.synchronised_ms", "", after));
}

/* A recovery and a page that is no clock have events of their own. */
static const char *withheld(const struct state_file *state)
{
    const char *why = state_file_value(state, "samples_withheld");

    return why && state_file_value_is(state, "state", "feeding") ? why : "";
}

static void events_of_samples(const struct watch *w)
{
    const char *why = withheld(w->now);

    if (changed(w, "sock_error"))
        event(w, "samples", "%s",
            state_file_value(w->now, "sock_error") ? state_file_value(w->now, "sock_error")
                                                   : "can be sent again");
    if (strcmp(withheld(w->before), why) != 0)
        event(w, "samples", "%s%s", *why ? "withheld: " : "no longer withheld", why);
}

static void events_of_health(const struct watch *w)
{
    static const struct {
        const char *key, *begins, *ends;
    } reasons[] = {
        {"health.offset_s", "the clock is off, and is not put right", "the clock is right again"},
        {"health.reference_s", "chronyd does not update its reference",
            "chronyd updates its reference again"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        const bool is = state_file_value(w->now, reasons[i].key);

        if (is != (state_file_value(w->before, reasons[i].key) != NULL))
            event(w, "health", "%s", is ? reasons[i].begins : reasons[i].ends);
    }
}

static void events_of_chronyd(const struct watch *w)
{
    char text[128];

    if (changed(w, "chronyd.reachable") || changed(w, "chronyd.synchronised") ||
        changed(w, "chronyd.refid"))
        event(w, "chronyd", "%s", status_report_chronyd(w->now, text, sizeof(text)));
    events_of_samples(w);
    events_of_keys(w, STATE_NEWS_DAEMON);
}

static void event_now(const struct watch *w)
{
    char text[128];

    event(w, "now", "%s, %s, marker %s; chronyd %s", value_of(w->now, "state"),
        value_of(w->now, "mode"), value_of(w->now, "disruption_marker"),
        status_report_chronyd(w->now, text, sizeof(text)));
}

/* A vmclockd that ended comes back soon where it is restarted. True: it has. */
static bool comes_back(
    const struct config *config, struct state_reader *reader, struct state_file *ret_state)
{
    const int64_t end_ns = system_clock_boottime_ns() + RESTART_NS;

    do {
        state_reader_wait(reader, RETRY_MS);
        if (state_reader_read(config, ret_state) == 0)
            return true;
    } while (system_clock_boottime_ns() < end_ns);
    return false;
}

int watch_run(const struct config *config, const struct status_mistakes *mistakes, bool json,
    char ret_why[STATE_READER_TEXT_MAX])
{
    struct state_file states[2] = {{.n = 0}, {.n = 0}};
    struct watch w = {mistakes, json, NULL, &states[0], NULL};
    struct state_reader reader = {.fd = -1};
    int r = state_reader_open(&reader, config->state_file);
    int i = 0;

    if (r < 0) {
        snprintf(ret_why, STATE_READER_TEXT_MAX, "%s cannot be watched: %s", config->state_file,
            strerror(-r));
        return r;
    }
    r = state_reader_read(config, &states[0]);
    for (; r == 0; i = !i) {
        w.now = &states[i];
        if (!w.before || changed(&w, "pid")) {
            event_now(&w);
        } else {
            events_of_host(&w);
            events_of_recovery(&w);
            events_of_chronyd(&w);
            events_of_health(&w);
        }
        if (fflush(stdout) != 0)
            break;
        w.before = w.now;
        state_reader_wait(&reader, STILL_MS);
        r = state_reader_read(config, &states[!i]);
        if (r < 0 && r != -EBUSY) {
            state_reader_explain(config, r, w.now, ret_why);
            w.why = ret_why;
            event(&w, "ended", "%s", state_reader_error_str(r));
            fflush(stdout);
            w.before = NULL;
            w.why = NULL;
            if (comes_back(config, &reader, &states[!i]))
                r = 0;
        }
    }
    if (r < 0) {
        w.now = &states[i];
        state_reader_explain(config, r, w.now, ret_why);
        w.why = ret_why;
    }
    if (r < 0 && w.before)
        event(&w, "ended", "%s", r == -EBUSY ? ret_why : state_reader_error_str(r));
    fflush(stdout);
    state_reader_close(&reader);
    return r;
}
