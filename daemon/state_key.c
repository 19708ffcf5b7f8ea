/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_key.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "daemon/state_known.h"
#include "daemon/system_clock.h"

/* --- fields as they are --------------------------------------------------------------------- */

static void print(char *ret_value, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(char *ret_value, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret_value, STATE_VALUE_MAX, format, arguments);
    va_end(arguments);
}

static void print_yes_no(char *ret_value, bool yes)
{
    print(ret_value, "%s", yes ? "yes" : "no");
}

static void print_seconds(char *ret_value, int64_t ns)
{
    print(ret_value, "%.3f", (double)ns / 1e9);
}

static void setting(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", (const char *)source->config + source->offset);
}

static const void *field(const struct state_source *source)
{
    return (const char *)source->tracker + source->offset;
}

static void flag(const struct state_source *source, char *ret_value)
{
    print_yes_no(ret_value, *(const bool *)field(source));
}

static void hex(const struct state_source *source, char *ret_value)
{
    print(ret_value, "0x%" PRIx64, *(const uint64_t *)field(source));
}

static void count(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%" PRIu64, *(const uint64_t *)field(source));
}

static void integer(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%" PRId64, *(const int64_t *)field(source));
}

/* A moment of CLOCK_MONOTONIC as a time that has passed since. */
static void age(const struct state_source *source, char *ret_value)
{
    print_seconds(ret_value, source->now_ns - *(const int64_t *)field(source));
}

static void print_date(char *ret_value, const struct clock_moment *moment)
{
    struct system_clocks now;
    int64_t ms;

    system_clock_look(&now);
    /* To the nearest: it is the same each time, as long as nobody steps the clock. */
    ms = (clock_moment_realtime_ns(moment, &now) + 500000) / 1000000;
    print(ret_value, "%" PRId64 ".%03" PRId64, ms / 1000, ms % 1000);
}

static void disrupted_at(const struct state_source *source, char *ret_value)
{
    print_date(ret_value, &source->marks.disrupted);
}

static void recovered_at(const struct state_source *source, char *ret_value)
{
    print_date(ret_value, &source->marks.recovered);
}

/* Since the recovery began; empty: it has not come. */
static void recovery_ms(const struct state_source *source, char *ret_value)
{
    const int64_t at_ns = *(const int64_t *)field(source);

    if (at_ns)
        print(ret_value, "%.3f",
            (double)(at_ns - source->tracker->recoveries.recovery.started_ns) / 1e6);
    else
        ret_value[0] = '\0';
}

/* --- the process ---------------------------------------------------------------------------- */

static void version(const struct state_source *source, char *ret_value)
{
    (void)source;
    print(ret_value, "%s", VERSION);
}

static void boot_id(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", source->boot_id);
}

static void pid(const struct state_source *source, char *ret_value)
{
    (void)source;
    print(ret_value, "%ld", (long)getpid());
}

static void pid_namespace(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", source->pid_namespace);
}

static void running(const struct state_source *source, char *ret_value)
{
    print_yes_no(ret_value, source->marks.running);
}

static void updated(const struct state_source *source, char *ret_value)
{
    struct timespec now;

    (void)source;
    clock_gettime(CLOCK_REALTIME, &now);
    print(ret_value, "%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
}

static void updated_boottime(const struct state_source *source, char *ret_value)
{
    (void)source;
    print(ret_value, "%" PRId64, system_clock_boottime_ns());
}

static void end(const struct state_source *source, char *ret_value)
{
    (void)source;
    print_yes_no(ret_value, true);
}

static void state(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", tracker_state_str(tracker_state(source->tracker)));
}

/* --- what the next start needs ---------------------------------------------------------------- */

static void confirmed_marker(const struct state_source *source, char *ret_value)
{
    print(ret_value, "0x%" PRIx64, source->saved.confirmed_marker);
}

static void is_owed(const struct state_source *source, char *ret_value)
{
    print_yes_no(ret_value, state_known_owed(source));
}

static void owed_to(const struct state_source *source, char *ret_value)
{
    print(ret_value, "0x%" PRIx64, source->saved.restore.chronyd_id);
}

static void owed_makestep(const struct state_source *source, char *ret_value)
{
    const struct restore *restore = &source->saved.restore;

    if (restore->makestep)
        print(ret_value, "%.9g %" PRId32, restore->makestep_threshold_sec, restore->makestep_limit);
    else
        print(ret_value, "none");
}

static void owed_makestep_used(const struct state_source *source, char *ret_value)
{
    print_yes_no(ret_value, source->saved.restore.makestep_used);
}

static void owed_server(const struct state_source *source, char *ret_value)
{
    config_server_str(&source->saved.restore.servers[source->index], ret_value, STATE_VALUE_MAX);
}

/* The addresses of the servers that a recovery may poll fast: configured, or found by chronyd. */
static void boost(const struct state_source *source, char *ret_value)
{
    const struct recovery_config *recovery = &source->tracker->config.recovery;
    char server[CONFIG_SERVER_MAX];
    size_t n = 0;

    _Static_assert(
        STATE_VALUE_MAX >= RECOVERY_SERVERS_MAX * (INET6_ADDRSTRLEN + 2), "room for all");
    for (unsigned i = 0; i < recovery->n_servers; i++) {
        config_server_str(&recovery->servers[i], server, sizeof(server));
        n += (size_t)snprintf(ret_value + n, STATE_VALUE_MAX - n, "%s%.*s", i ? ", " : "",
            (int)strcspn(server, " "), server);
    }
}

/* --- the host and its samples ----------------------------------------------------------------- */

static void mode(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", tracker_mode_str(source->tracker->host.mode));
}

static void page(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", state_known_page_str(source->tracker));
}

static void clock_status(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", page_clock_status_str(source->tracker->host.page.clock_status));
}

static void maintenance(const struct state_source *source, char *ret_value)
{
    const struct vmclock_page *shown = &source->tracker->host.page;

    print(ret_value, "%s",
        page_has(shown, VMCLOCK_FLAG_DISRUPTION_IMMINENT) ? "imminent"
        : page_has(shown, VMCLOCK_FLAG_DISRUPTION_SOON)   ? "soon"
                                                          : "none");
}

static void disruption_kind(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", disruption_kind_str(source->tracker->host.disruption.kind));
}

static void samples_flow(const struct state_source *source, char *ret_value)
{
    const struct tracker *t = source->tracker;

    print_yes_no(ret_value,
        t->feeder.flowing && state_known_tried(source) && !t->feeder.error && !t->config.dry_run);
}

static void withheld(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", state_known_withheld_str(source));
}

static void sock_error(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", strerror(source->tracker->feeder.error));
}

static void health_withheld(const struct state_source *source, char *ret_value)
{
    print_seconds(ret_value, health_withheld_ns(&source->tracker->health, source->now_ns));
}

static void health_offset(const struct state_source *source, char *ret_value)
{
    print_seconds(ret_value, health_offset_ns(&source->tracker->health));
}

static void health_reference(const struct state_source *source, char *ret_value)
{
    print_seconds(ret_value, health_reference_ns(&source->tracker->health, source->now_ns));
}

/* --- the last recovery, and chronyd ----------------------------------------------------------- */

static const struct recovery *last_recovery(const struct state_source *source)
{
    return &source->tracker->recoveries.recovery;
}

static void recovery_cause(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", recovery_cause_str(last_recovery(source)->cause));
}

static void recovery_state(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", recovery_state_str(last_recovery(source)->state));
}

static void recovery_outcome(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", recovery_outcome_str(last_recovery(source)->outcome));
}

static void recovery_corrector(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", recovery_corrector_str(recovery_corrected_by(last_recovery(source))));
}

static void ptp_state(const struct state_source *source, char *ret_value)
{
    const struct ptp_clock *ptp = &source->tracker->ptp;

    print(ret_value, "%s", ptp->present ? ptp_clock_state_str(ptp->state) : "absent");
}

static void ptp_good_for_ns(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%.0f", ptp_clock_good_for_sec(&source->tracker->ptp) * 1e9);
}

static void recovery_synchronised_ms(const struct state_source *source, char *ret_value)
{
    if (last_recovery(source)->outcome == RECOVERY_OUTCOME_SYNCHRONISED)
        recovery_ms(source, ret_value);
    else
        ret_value[0] = '\0';
}

/* By how much the clock's rate was changed: the other way round than chronyd's frequency. */
static void recovery_ppm(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%.6f", 0 - last_recovery(source)->rate_ppm);
}

/* Without a minus before a nought. */
static void rounded_ns(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%.0f", rint(*(const double *)field(source) * 1e9) + 0.0);
}

static void bound_status(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", bound_status_str(source->tracker->bound.status));
}

static void bound_reason(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%s", bound_reason_str(source->tracker->bound.reason));
}

/* As of now. */
static void bound_ns(const struct state_source *source, char *ret_value)
{
    const struct bound *b = &source->tracker->bound;
    const double age_sec = (double)(source->now_ns - b->value.as_of_ns) * 1e-9;

    print(ret_value, "%.0f", ceil((b->value.sec + age_sec * b->growth) * 1e9));
}

static void config_rejected(const struct state_source *source, char *ret_value)
{
    print_yes_no(ret_value, source->marks.config_rejected);
}

static void leap_pending(const struct state_source *source, char *ret_value)
{
    const int leap = source->tracker->client.known.leap;

    print_yes_no(ret_value, leap == 1 || leap == 2);
}

static void clockbound_taken(const struct state_source *source, char *ret_value)
{
    print_yes_no(ret_value, source->marks.clockbound_taken);
}

static void chronyd_refid(const struct state_source *source, char *ret_value)
{
    journal_refid(source->tracker->client.known.refid, ret_value, STATE_VALUE_MAX);
}

/* As chronyc has it: a server's address, or a reference clock's name. */
static void chronyd_reference(const struct state_source *source, char *ret_value)
{
    const struct known_chronyd *known = &source->tracker->client.known;
    const int family = known->reference.family == 1   ? AF_INET
                       : known->reference.family == 2 ? AF_INET6
                                                      : AF_UNSPEC;

    if (family == AF_UNSPEC ||
        !inet_ntop(family, known->reference.bytes, ret_value, STATE_VALUE_MAX))
        chronyd_refid(source, ret_value);
}

static void tai_offset(const struct state_source *source, char *ret_value)
{
    print(ret_value, "%d", state_known_tai_offset(source->tracker));
}

/* --- the keys ------------------------------------------------------------------------------ */

/* Parts of an initialiser, and strings that are joined, cannot stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */

/* A field of struct tracker, of the type that the function takes. */
#define FIELD(take_, type, member)                                                                 \
    take_, .offset = offsetof(struct tracker, member) +                                            \
                     0 * sizeof((const type *)NULL == &((const struct tracker *)NULL)->member)
#define FLAG(member)       FIELD(flag, bool, member)
#define HEX(member)        FIELD(hex, uint64_t, member)
#define COUNT(member)      FIELD(count, uint64_t, member)
#define INTEGER(member)    FIELD(integer, int64_t, member)
#define AGE(member)        FIELD(age, int64_t, member)
#define MS(take, member)   FIELD(take, int64_t, recoveries.recovery.member)
#define ROUNDED_NS(member) FIELD(rounded_ns, double, recoveries.recovery.member)
#define SETTING(member)    setting, .offset = offsetof(struct config, member)
#define JSON               .in_json = true
#define WHEN(known)        .is_known = state_known_##known

#define LABEL .metric = {.type = STATE_METRIC_LABEL}
#define PRESENCE(name_, help_)                                                                     \
    .metric = {.type = STATE_METRIC_PRESENCE, .name = "vmclockd_" name_, .help = help_}
#define COUNTER(name_, help_)                                                                      \
    .metric = {.type = STATE_METRIC_COUNTER, .name = "vmclockd_" name_, .help = help_, .scale = 1}
#define GAUGE(name_, help_, scale_)                                                                \
    .metric = {                                                                                    \
        .type = STATE_METRIC_GAUGE, .name = "vmclockd_" name_, .help = help_, .scale = scale_}
#define CHOICE(name_, help_, label_, ...)                                                          \
    .metric = {.type = STATE_METRIC_CHOICE,                                                        \
        .name = "vmclockd_" name_,                                                                 \
        .help = help_,                                                                             \
        .label = label_,                                                                           \
        .values = {__VA_ARGS__}}
#define NEWS(when, event_) .news = STATE_NEWS_##when, .event = event_
/* NOLINTEND(bugprone-macro-parentheses) */

/* In the order of the JSON; `end`, by which a file is known to be whole, comes last. */
const struct state_key state_keys[] = {
    {"version", STATE_TEXT, version, JSON, LABEL},
    {"boot_id", STATE_TEXT, .take = boot_id},
    {"saved.marker", STATE_TEXT, HEX(host.marker), WHEN(saved)},
    {"confirmed_marker", STATE_TEXT, confirmed_marker, WHEN(saved)},
    {"saved.unconfirmed", STATE_YES_NO, FLAG(recoveries.unconfirmed), WHEN(saved)},
    {"put_back", STATE_YES_NO, .take = is_owed},
    {"put_back.chronyd", STATE_TEXT, owed_to, WHEN(owed)},
    {"put_back.makestep", STATE_TEXT, owed_makestep, WHEN(owed)},
    {"put_back.makestep_used", STATE_YES_NO, owed_makestep_used, WHEN(owed)},
    {"put_back.server", STATE_TEXT, owed_server, WHEN(owed_server), .repeats = true},
    {"pid_namespace", STATE_TEXT, .take = pid_namespace},
    {"running", STATE_YES_NO, .take = running},
    {"updated_boottime_ns", STATE_INTEGER, .take = updated_boottime},
    {"sock", STATE_TEXT, SETTING(sock)},
    {"clockbound", STATE_TEXT, SETTING(clockbound)},
    {"command_socket", STATE_TEXT, SETTING(command_socket)},
    {"refid", STATE_TEXT, SETTING(refid)},

    {"state", STATE_TEXT, state, JSON,
        CHOICE("state", "What the daemon does.", "state", "starting", "watching", "feeding",
            "recovering", "holdover"),
        NEWS(DAEMON, "state")},
    {"mode", STATE_TEXT, mode, WHEN(mode), JSON,
        CHOICE("mode", "What the page is good for.", "mode", "marker-only", "clock"),
        NEWS(HOST, "mode")},
    {"page", STATE_TEXT, page, JSON, NEWS(HOST, "page"), .is_news_alone = true},
    {"device", STATE_TEXT, SETTING(device), JSON, .label = "Device", LABEL},
    {"dry_run", STATE_YES_NO, FLAG(config.dry_run), JSON,
        GAUGE("dry_run", "Whether chronyd is sent nothing.", 1)},
    {"config_rejected", STATE_YES_NO, config_rejected, JSON,
        GAUGE("config_rejected", "Whether the configuration was refused at the last reload.", 1)},
    {"saved.maintenance", STATE_TEXT, maintenance, WHEN(host)},
    {"saved.vm_generation", STATE_TEXT, HEX(host.page.vm_generation), WHEN(saved_generation)},
    {"disruption_marker", STATE_TEXT, HEX(host.marker), WHEN(page), JSON},
    {"vm_generation", STATE_TEXT, HEX(host.page.vm_generation), WHEN(generation), JSON,
        NEWS(DISRUPTION, "generation")},
    {"clock_status", STATE_TEXT, clock_status, WHEN(page), JSON,
        CHOICE("host_clock_status", "What the host says of its clock.", "status", "unknown",
            "initialising", "synchronised", "free-running", "unreliable", "invalid"),
        NEWS(HOST, "clock_status")},
    {"leap_pending", STATE_YES_NO, leap_pending, WHEN(tracking), JSON,
        GAUGE("leap_pending", "Whether a leap second is announced for the end of the month.", 1)},
    {"tai_offset_s", STATE_INTEGER, tai_offset, WHEN(tai), JSON},
    {"maintenance", STATE_TEXT, maintenance, WHEN(page), JSON,
        CHOICE("maintenance", "Whether the host announces a disruption.", "stage", "none", "soon",
            "imminent"),
        NEWS(HOST, "maintenance")},
    {"last_known.disruption_marker", STATE_TEXT, HEX(host.marker), WHEN(lost_page)},
    {"last_known.clock_status", STATE_TEXT, clock_status, WHEN(lost_page)},
    {"last_known.page_age_s", STATE_REAL, AGE(host.good_ns), WHEN(lost_page)},

    {"offset_ns", STATE_INTEGER, INTEGER(feeder.offset.ns), WHEN(offset), JSON,
        GAUGE("offset_seconds", "The page's time minus the system's.", 1e-9)},
    {"error_bound_ns", STATE_INTEGER, COUNT(feeder.offset.bound_ns), WHEN(error_bound), JSON,
        GAUGE("error_bound_seconds", "The host's bound of that, and the reading's.", 1e-9)},
    {"last_known.offset_ns", STATE_INTEGER, INTEGER(feeder.offset.ns), WHEN(lost_offset)},
    {"last_known.offset_age_s", STATE_REAL, AGE(feeder.measured_ns), WHEN(lost_offset)},
    {"disruptions", STATE_INTEGER, COUNT(host.disruptions), JSON,
        COUNTER("disruptions_total", "Changes of the disruption marker.")},
    {"recoveries", STATE_INTEGER, COUNT(recoveries.count), JSON,
        COUNTER("recoveries_total", "Recoveries whose reset chronyd confirmed.")},
    {"samples_sent", STATE_INTEGER, COUNT(feeder.sent), JSON,
        COUNTER("samples_sent_total", "Samples sent to chronyd.")},
    {"recoveries_failed", STATE_INTEGER, COUNT(recoveries.failed), JSON,
        COUNTER("recoveries_failed_total", "Recoveries that ended unconfirmed or unsynchronised.")},
    {"generation_changes", STATE_INTEGER, COUNT(host.generation_changes), JSON,
        COUNTER("generation_changes_total", "Changes of the VM generation.")},
    {"samples_flow", STATE_YES_NO, .take = samples_flow},
    {"samples_withheld", STATE_TEXT, withheld, WHEN(withheld), JSON,
        PRESENCE("samples_withheld", "Whether samples are held back.")},
    {"contradictions", STATE_INTEGER, COUNT(host.contradictions), JSON,
        COUNTER("contradictions_total", "Pages that denied the bounds of those before.")},
    {"sock_error", STATE_TEXT, sock_error, WHEN(sock_error), JSON,
        PRESENCE("samples_failing", "Whether samples cannot be sent.")},
    {"health.withheld_s", STATE_REAL, health_withheld, WHEN(health_withheld)},
    {"health.offset_s", STATE_REAL, health_offset, WHEN(health_offset)},
    {"health.reference_s", STATE_REAL, health_reference, WHEN(health_reference)},
    {"health.unconfirmed", STATE_YES_NO, FLAG(recoveries.unconfirmed), WHEN(health_unconfirmed)},

    {"last_disruption.at", STATE_REAL, disrupted_at, WHEN(disruption), JSON, .is_vital = true,
        GAUGE("last_disruption_timestamp_seconds", "When the last disruption was seen.", 1)},
    {"last_disruption.kind", STATE_TEXT, disruption_kind, WHEN(disruption), JSON},
    {"last_disruption.marker_before", STATE_TEXT, HEX(host.disruption.marker_before),
        WHEN(disruption), JSON},
    {"last_disruption.marker", STATE_TEXT, HEX(host.marker), WHEN(disruption), JSON},

    {"last_recovery.at", STATE_REAL, recovered_at, WHEN(recovery), JSON,
        GAUGE("last_recovery_timestamp_seconds", "When the last recovery began.", 1)},
    {"last_recovery.started_ns", STATE_INTEGER, INTEGER(recoveries.recovery.started_ns),
        WHEN(recovery)},
    {"last_recovery.cause", STATE_TEXT, recovery_cause, WHEN(recovery), JSON, .is_vital = true,
        CHOICE("last_recovery_cause", "What the last recovery was from.", "cause", "marker",
            "request", "formula", "start")},
    {"last_recovery.marker", STATE_TEXT, HEX(host.marker), WHEN(recovery), JSON},
    {"last_recovery.state", STATE_TEXT, recovery_state, WHEN(recovery), JSON},
    {"last_recovery.outcome", STATE_TEXT, recovery_outcome, WHEN(recovery), JSON,
        CHOICE("last_recovery_outcome", "How the last recovery ended.", "outcome", "running",
            "synchronised", "unsynchronised", "abandoned", "unconfirmed")},
    {"last_recovery.reset_ms", STATE_REAL, MS(recovery_ms, reset_ns), WHEN(recovery), JSON,
        GAUGE("last_recovery_reset_seconds", "From the disruption to the reset.", 1e-3)},
    {"last_recovery.corrected_by", STATE_TEXT, recovery_corrector, WHEN(corrector), JSON},
    {"last_recovery.corrected_ms", STATE_REAL, MS(recovery_ms, corrected_ns), WHEN(correction),
        JSON,
        GAUGE("last_recovery_corrected_seconds", "From the disruption to the corrected clock.",
            1e-3)},
    {"last_recovery.synchronised_ms", STATE_REAL, MS(recovery_synchronised_ms, ended_ns),
        WHEN(recovery), JSON,
        GAUGE("last_recovery_synchronised_seconds",
            "From the disruption to chronyd's new reference.", 1e-3)},
    {"last_recovery.corrected_ppm", STATE_REAL, recovery_ppm, WHEN(correction), JSON,
        GAUGE("last_recovery_frequency_ratio", "By how much the clock's rate was changed.", 1e-6)},
    {"last_recovery.corrected_ns", STATE_INTEGER, ROUNDED_NS(offset_sec), WHEN(step), JSON,
        GAUGE("last_recovery_offset_seconds", "By how much the clock was moved.", 1e-9)},
    {"last_recovery.remaining_ns", STATE_INTEGER, ROUNDED_NS(remaining_sec), WHEN(step), JSON},

    {"ptp.clock", STATE_TEXT, SETTING(ptp_clock), WHEN(ptp), JSON, .is_vital = true},
    {"ptp.state", STATE_TEXT, ptp_state, WHEN(ptp), JSON},
    {"ptp.good_for_ns", STATE_INTEGER, ptp_good_for_ns, WHEN(trusted_ptp), JSON},
    {"ptp.id", STATE_TEXT, HEX(ptp.id), WHEN(trusted_ptp)},

    {"boost", STATE_TEXT, boost, WHEN(boost), JSON},

    {"applications.status", STATE_TEXT, bound_status, JSON},
    {"applications.reason", STATE_TEXT, bound_reason, JSON},
    {"applications.bound_ns", STATE_INTEGER, bound_ns, WHEN(bound), JSON,
        GAUGE("clock_bound_seconds",
            "How wrong the system's clock can be: what applications are "
            "told.",
            1e-9)},
    {"clockbound_taken", STATE_YES_NO, .take = clockbound_taken},

    {"chronyd.id", STATE_TEXT, HEX(client.known.id)},
    {"chronyd.had_reference", STATE_YES_NO, FLAG(client.known.had_reference)},
    {"chronyd.silent", STATE_YES_NO, FLAG(client.known.silent), WHEN(asked)},
    {"chronyd.reachable", STATE_YES_NO, FLAG(client.known.reachable), WHEN(asked), JSON,
        GAUGE("chronyd_reachable", "Whether chronyd answers.", 1)},
    {"chronyd.synchronised", STATE_YES_NO, FLAG(client.known.synchronised), WHEN(tracking), JSON,
        GAUGE("chronyd_synchronised", "Whether chronyd has a reference: in clock mode, ours.", 1)},
    {"chronyd.refid", STATE_TEXT, chronyd_refid, WHEN(reference), JSON},
    {"reference", STATE_TEXT, chronyd_reference, WHEN(reference), JSON},

    {"pid", STATE_INTEGER, pid, JSON},
    {"updated", STATE_REAL, updated, JSON,
        GAUGE("updated_timestamp_seconds", "When all this was so, by the system's clock.", 1)},
    {"end", STATE_YES_NO, .take = end},
};

const size_t state_n_keys = sizeof(state_keys) / sizeof(state_keys[0]);
