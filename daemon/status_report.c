/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/status_report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/format.h"
#include "daemon/system_clock.h"

#define LABEL_COLUMNS 18

double status_report_age(const struct state_file *state)
{
    const double age_ns =
        (double)(system_clock_boottime_ns() -
                 strtoll(state_file_text(state, "updated_boottime_ns"), NULL, 10));

    return age_ns > 0 ? floor(age_ns / 1e6) / 1e3 : 0;
}

const char *status_report_kind(const struct state_file *state)
{
    if (state_file_value_is(state, "last_disruption.kind", "migration"))
        return "live migration";
    if (state_file_value_is(state, "last_disruption.kind", "restore"))
        return "restored from a snapshot";
    return "migration or restore";
}

const char *status_report_after(const struct state_file *state, const char *key,
    const char *otherwise, char ret_text[FORMAT_MAX])
{
    char span[FORMAT_MAX];

    if (!state_file_value(state, key))
        return otherwise;
    snprintf(
        ret_text, FORMAT_MAX, "after %.32s", format_ns(state_file_number(state, key) * 1e6, span));
    return ret_text;
}

const char *status_report_corrected(const struct state_file *state, char *ret_text, size_t size)
{
    const double ns = state_file_number(state, "last_recovery.corrected_ns");
    const double ppm = state_file_number(state, "last_recovery.corrected_ppm");
    const bool by_ptp = state_file_value_is(state, "last_recovery.corrected_by", "ptp");
    const char *by = by_ptp ? ", by the PTP clock" : "";
    char offset[FORMAT_MAX], left[FORMAT_MAX];

    if (state_file_value_is(state, "last_recovery.corrected_by", "chronyd"))
        return "left to chronyd";
    if (state_file_value(state, "last_recovery.corrected_ns"))
        snprintf(ret_text, size, "%s%s and %+.4f ppm, %s left%s", ns > 0 ? "+" : "",
            format_ns(ns, offset), ppm,
            format_ns(state_file_number(state, "last_recovery.remaining_ns"), left), by);
    else
        snprintf(ret_text, size, "%+.4f ppm, the offset is left to chronyd%s", ppm, by);
    return ret_text;
}

const char *status_report_outcome(const struct state_file *state)
{
    static const struct {
        const char *outcome, *means;
    } outcomes[] = {
        {"unsynchronised", "chronyd had no reference within a minute"},
        {"abandoned", "left unfinished"},
        {"replaced", "another one ended it"},
        {"unconfirmed", "chronyd was told to reset, and did not confirm it"},
    };

    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (state_file_value_is(state, "last_recovery.outcome", outcomes[i].outcome))
            return outcomes[i].means;
    return state_file_text(state, "last_recovery.outcome");
}

const char *status_report_chronyd(const struct state_file *state, char *ret_text, size_t size)
{
    const char *reference = state_file_value(state, "reference");

    snprintf(ret_text, size, "%s%s%s",
        state_file_value_is(state, "dry_run", "yes")                ? "not asked"
        : !state_file_value_is(state, "chronyd.reachable", "yes")   ? "does not answer"
        : state_file_value_is(state, "chronyd.synchronised", "yes") ? "synchronised"
        : state_file_value(state, "chronyd.synchronised")           ? "not synchronised"
                                                                    : "answers, and tells no more",
        reference ? ", its reference is " : "", reference ? reference : "");
    return ret_text;
}

static void line(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *label, const char *format, ...)
{
    char text[CONFIG_PATH_MAX * 2];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    printf("%-*s", LABEL_COLUMNS, label);
    format_fold(stdout, text, LABEL_COLUMNS, LABEL_COLUMNS);
}

static void print_headline(bool well, bool colour)
{
    if (colour)
        fputs(well ? "\033[1;32m" : "\033[1;33m", stdout);
    fputs(well ? "good" : "degraded", stdout);
    if (colour)
        fputs("\033[0m", stdout);
    puts(well ? "" : "; \"vmclockctl doctor\" looks for the cause");
}

static void print_warning(const char *text, void *context)
{
    const bool *colour = context;

    fputs(*colour ? "\033[33m!\033[0m " : "! ", stdout);
    format_fold(stdout, text, 2, 2);
}

static const char *feeding_means(const struct state_file *state)
{
    if (state_file_value_is(state, "dry_run", "yes"))
        return "chronyd would get the host's time";
    if (state_file_value(state, "sock_error"))
        return "the host's time does not reach chronyd";
    if (state_file_value(state, "samples_withheld"))
        return "the host's time is kept from chronyd";
    return state_file_value_is(state, "samples_flow", "yes") ? "chronyd gets the host's time"
                                                             : "the first sample is due";
}

static void print_state(const struct state_file *state)
{
    static const struct {
        const char *state, *means;
    } states[] = {
        {"starting", "no page was seen yet"},
        {"watching", "for disruptions; the time is left to chronyd"},
        {"holdover", "chronyd is left alone"},
    };

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (state_file_value_is(state, "state", states[i].state))
            line("State", "%s: %s", states[i].state, states[i].means);
    if (state_file_value_is(state, "state", "feeding"))
        line("State", "feeding: %s", feeding_means(state));
    if (state_file_value_is(state, "state", "recovering"))
        line("State", "recovering: %s", status_recovery_stage(state));
    line("Mode", "%s: %s", state_file_text(state, "mode"),
        state_file_value_is(state, "page", "a clock") ? "the page is a clock"
                                                      : state_file_text(state, "page"));
}

/* What was known before it ceased to be. */
static void print_last_known(
    const struct state_file *state, const char *label, const char *value, const char *age_key)
{
    char ago[FORMAT_MAX];

    line(label, "not known%s%s%s%s%s", value ? "; last known " : "", value ? value : "",
        value ? ", " : "", value ? format_span(state_file_number(state, age_key), ago) : "",
        value ? " ago" : "");
}

/* As chronyc has it: which of the two is behind. */
static const char *direction(double ns, char ret_text[FORMAT_MAX])
{
    char size[FORMAT_MAX];

    snprintf(ret_text, FORMAT_MAX, "%.16s %s of the host's time", format_ns(fabs(ns), size),
        ns < 0 ? "fast" : "slow");
    return ret_text;
}

static void print_clock(const struct state_file *state)
{
    char offset[FORMAT_MAX], bound[FORMAT_MAX];
    const char *maintenance = state_file_text(state, "maintenance");

    if (state_file_value(state, "offset_ns") && state_file_value(state, "error_bound_ns"))
        line("Offset", "%s, which is known to %s",
            direction(state_file_number(state, "offset_ns"), offset),
            format_ns(state_file_number(state, "error_bound_ns"), bound));
    else if (state_file_value(state, "offset_ns"))
        line("Offset", "%s, which has no bound",
            direction(state_file_number(state, "offset_ns"), offset));
    else if (state_file_value(state, "last_known.offset_ns"))
        print_last_known(state, "Offset",
            direction(state_file_number(state, "last_known.offset_ns"), offset),
            "last_known.offset_age_s");
    if (state_file_value(state, "clock_status"))
        line("Host's clock", "%s%s%s", state_file_text(state, "clock_status"),
            strcmp(maintenance, "none") == 0 ? "" : ", maintenance is ",
            strcmp(maintenance, "none") == 0 ? "" : maintenance);
    else
        print_last_known(state, "Host's clock", state_file_value(state, "last_known.clock_status"),
            "last_known.page_age_s");
}

static void print_time_scale(const struct state_file *state)
{
    const char *tai = state_file_value(state, "tai_offset_s");
    const bool leaps = state_file_value_is(state, "leap_pending", "yes");

    if (tai || leaps)
        line("Time scale", "%s%s%s%s", tai ? "TAI is ahead of UTC by " : "", tai ? tai : "",
            tai ? " s" : "",
            !leaps ? ""
            : tai  ? "; a leap second at the end of the month"
                   : "a leap second at the end of the month");
}

static void print_ptp(const struct state_file *state)
{
    const char *path = state_file_value(state, "ptp.clock");
    char good_for[FORMAT_MAX];

    if (!path)
        return;
    if (state_file_value(state, "ptp.good_for_ns"))
        line("PTP clock", "%s: within %s of chronyd's time", path,
            format_ns(state_file_number(state, "ptp.good_for_ns"), good_for));
    else
        line("PTP clock", "%s: %s", path, state_file_text(state, "ptp.state"));
}

static void print_marker(const struct state_file *state)
{
    const char *generation = state_file_value(state, "vm_generation");

    if (state_file_is_blind(state) && state_file_value(state, "last_known.disruption_marker"))
        print_last_known(state, "Marker", state_file_value(state, "last_known.disruption_marker"),
            "last_known.page_age_s");
    else if (!state_file_value(state, "disruption_marker"))
        line("Marker", "not seen yet");
    else
        line("Marker", "%s%s%s", state_file_text(state, "disruption_marker"),
            generation ? ", generation " : "", generation ? generation : "");
}

static void print_disruption(const struct state_file *state)
{
    const double at = state_file_number(state, "last_disruption.at");
    char date[FORMAT_MAX], ago[FORMAT_MAX];

    if (at <= 0) {
        line("Last disruption", "none since vmclockd started");
        return;
    }
    line("Last disruption", "%s, %s ago", format_date(at, date),
        format_span((double)time(NULL) - at, ago));
    line("", "%s, marker %s -> %s", status_report_kind(state),
        state_file_text(state, "last_disruption.marker_before"),
        state_file_text(state, "last_disruption.marker"));
}

static void print_recovery(const struct state_file *state)
{
    static const struct {
        const char *cause, *means;
    } causes[] = {
        {"marker", "from that disruption"},
        {"request", "by request"},
        {"formula", "as the host's new time came late"},
        {"start", "at chronyd's start"},
    };
    const char *never =
        state_file_value_is(state, "last_recovery.outcome", "running") ? "not yet" : "no";
    const char *means = state_file_text(state, "last_recovery.cause");
    char when[FORMAT_MAX], what[128];

    if (!state_file_value(state, "last_recovery.cause"))
        return;
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
        if (strcmp(means, causes[i].cause) == 0)
            means = causes[i].means;
    line("Last recovery", "%s, %s: %s",
        format_date(state_file_number(state, "last_recovery.at"), when), means,
        status_report_outcome(state));
    if (!state_file_value_is(state, "last_recovery.cause", "start"))
        line("  chronyd reset", "%s",
            status_report_after(state, "last_recovery.reset_ms", never, when));
    if (state_file_value(state, "last_recovery.corrected_ms"))
        line("  corrected", "%s: %s",
            status_report_after(state, "last_recovery.corrected_ms", "", when),
            status_report_corrected(state, what, sizeof(what)));
    else
        line("  corrected", "%s",
            state_file_value(state, "last_recovery.corrected_by")
                ? status_report_corrected(state, what, sizeof(what))
                : never);
    line("  synchronised", "%s",
        status_report_after(state, "last_recovery.synchronised_ms", never, when));
}

void status_report_print(const struct status_mistakes *mistakes, const struct state_file *state,
    const char *error, bool colour)
{
    char chronyd[128], age[FORMAT_MAX];

    print_headline(!error && state_file_all_is_well(state), colour);
    status_warnings(mistakes, state, error, print_warning, &colour);
    if (error)
        return;
    putchar('\n');
    print_state(state);
    print_clock(state);
    print_time_scale(state);
    line("chronyd", "%s", status_report_chronyd(state, chronyd, sizeof(chronyd)));
    print_ptp(state);
    print_disruption(state);
    print_recovery(state);
    print_marker(state);
    line("Counted", "disruptions %s, recoveries %s, samples %s",
        state_file_text(state, "disruptions"), state_file_text(state, "recoveries"),
        state_file_text(state, "samples_sent"));
    for (size_t i = 0; i < state_n_keys; i++)
        if (state_keys[i].label)
            line(state_keys[i].label, "%s", state_file_text(state, state_keys[i].name));
    line("Process", "%s, vmclockd %s, reported %s ago", state_file_text(state, "pid"),
        state_file_text(state, "version"), format_ns(status_report_age(state) * 1e9, age));
}
