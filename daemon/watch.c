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
#define IN_A_ROW   5    /* disruptions, each within a second of the one before: more are counted */
#define ROW_NS     INT64_C(1500000000)

struct watch {
    const struct status_mistakes *mistakes;
    bool json, colour;
    struct state_file states[3]; /* those below */
    const struct state_file *before, *now;
    const char *why;      /* of the last event: nothing of the state is known any more */
    char day[FORMAT_MAX]; /* of the last event */
    unsigned long long in_a_row;
    int64_t disrupted_ns; /* CLOCK_BOOTTIME, when the last one was read of */
    bool flaps;           /* `before` is what was so when that began */
};

static void event(struct watch *w, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* An event with its time; the date in a line of its own where the day is another one. */
static void print_event(struct watch *w, const char *name, const char *text)
{
    char when[FORMAT_MAX], date[FORMAT_MAX];
    struct timespec now;
    double sec;

    clock_gettime(CLOCK_REALTIME, &now);
    sec = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    format_date(sec, date);
    date[strcspn(date, " ")] = '\0';
    if (w->day[0] && strcmp(w->day, date) != 0)
        printf("%s\n", date);
    memcpy(w->day, date, sizeof(w->day));
    printf("%s %s%s%s: %s\n", format_time(sec, when), w->colour ? "\033[1m" : "", name,
        w->colour ? "\033[0m" : "", text);
}

static void event(struct watch *w, const char *name, const char *format, ...)
{
    char text[CONFIG_PATH_MAX * 2];
    va_list arguments;
    json_t *object;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!w->json) {
        print_event(w, name, text);
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

static void events_of_keys(struct watch *w, enum state_news news)
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

static unsigned long long disruptions_between(
    const struct state_file *before, const struct state_file *now)
{
    return strtoull(value_of(now, "disruptions"), NULL, 10) -
           strtoull(value_of(before, "disruptions"), NULL, 10);
}

static void events_of_host(struct watch *w)
{
    const unsigned long long n = disruptions_between(w->before, w->now);

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

static void events_of_recovery(struct watch *w)
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

static void events_of_samples(struct watch *w)
{
    const char *why = withheld(w->now);

    if (changed(w, "sock_error"))
        event(w, "samples", "%s",
            state_file_value(w->now, "sock_error") ? state_file_value(w->now, "sock_error")
                                                   : "can be sent again");
    if (strcmp(withheld(w->before), why) != 0)
        event(w, "samples", "%s%s", *why ? "withheld: " : "no longer withheld", why);
}

static void events_of_health(struct watch *w)
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

static void events_of_chronyd(struct watch *w)
{
    char text[128];

    if (changed(w, "chronyd.reachable") || changed(w, "chronyd.synchronised") ||
        changed(w, "chronyd.refid"))
        event(w, "chronyd", "%s", status_report_chronyd(w->now, text, sizeof(text)));
    events_of_samples(w);
    events_of_keys(w, STATE_NEWS_DAEMON);
}

static void event_now(struct watch *w)
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

/*
 * Whether the marker flaps: then what is so now is kept from being told, and `before` stays, until
 * it has stopped. `last` was read before this.
 */
static bool flaps(struct watch *w, const struct state_file *last)
{
    const unsigned long long n = disruptions_between(last, w->now);
    const int64_t now_ns = system_clock_boottime_ns();
    const bool goes_on = now_ns - w->disrupted_ns < ROW_NS;

    if (n > 0) {
        w->in_a_row = goes_on ? w->in_a_row + n : n;
        w->disrupted_ns = now_ns;
    }
    if (w->in_a_row > IN_A_ROW && n > 0 && !w->flaps) {
        event(w, "disruption",
            "the marker changes again and again: more is told when it has stopped");
        w->flaps = true;
    } else if (w->flaps && n == 0 && !goes_on) {
        w->flaps = false;
    }
    return w->flaps;
}

static struct state_file *spare(struct watch *w)
{
    for (size_t i = 0;; i++)
        if (&w->states[i] != w->before && &w->states[i] != w->now)
            return &w->states[i];
}

static void tell(struct watch *w, const struct state_file *last)
{
    if (!w->before || changed(w, "pid")) {
        w->flaps = false;
        w->in_a_row = 0;
        event_now(w);
    } else if (flaps(w, last)) {
        return;
    } else {
        events_of_host(w);
        events_of_recovery(w);
        events_of_chronyd(w);
        events_of_health(w);
    }
    w->before = w->now;
}

static int watch(struct watch *w, const struct config *config, struct state_reader *reader,
    char ret_why[STATE_READER_TEXT_MAX])
{
    struct state_file *next = &w->states[0];
    const struct state_file *last;
    int r = state_reader_read(config, next);

    while (r == 0) {
        last = w->now;
        w->now = next;
        tell(w, last);
        if (fflush(stdout) != 0)
            return 0;
        state_reader_wait(reader, STILL_MS);
        next = spare(w);
        r = state_reader_read(config, next);
        if (r < 0 && r != -EBUSY) {
            state_reader_explain(config, r, w->now, ret_why);
            w->why = ret_why;
            event(w, "ended", "%s", state_reader_error_str(r));
            fflush(stdout);
            w->before = NULL;
            w->why = NULL;
            if (comes_back(config, reader, next))
                r = 0;
        }
    }
    w->now = next;
    state_reader_explain(config, r, w->now, ret_why);
    w->why = ret_why;
    if (w->before)
        event(w, "ended", "%s", r == -EBUSY ? ret_why : state_reader_error_str(r));
    fflush(stdout);
    return r;
}

int watch_run(const struct config *config, const struct status_mistakes *mistakes, bool json,
    bool colour, char ret_why[STATE_READER_TEXT_MAX])
{
    struct watch *w = calloc(1, sizeof(*w));
    struct state_reader reader = {.fd = -1};
    int r = w ? state_reader_open(&reader, config->state_file) : -ENOMEM;

    if (r < 0) {
        snprintf(ret_why, STATE_READER_TEXT_MAX, "%s cannot be watched: %s", config->state_file,
            strerror(-r));
        free(w);
        return r;
    }
    w->mistakes = mistakes;
    w->json = json;
    w->colour = colour && !json;
    r = watch(w, config, &reader, ret_why);
    state_reader_close(&reader);
    free(w);
    return r;
}
