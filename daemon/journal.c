/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/journal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/device.h"
#include "refclock/tracker.h"

/* What people alert on; systemd/vmclockd.catalog explains each of them. */
enum message {
    MESSAGE_NONE,
    MESSAGE_DISRUPTION,
    MESSAGE_RESET,
    MESSAGE_CORRECTED,
    MESSAGE_RECOVERED,
    MESSAGE_RECOVERY_FAILING,
    MESSAGE_HOST_CLOCK_UNRELIABLE,
    MESSAGE_HOST_CLOCK_FREERUNNING,
    MESSAGE_HOST_CLOCK_BACK,
    MESSAGE_MAINTENANCE_SOON,
    MESSAGE_MAINTENANCE_IMMINENT,
    MESSAGE_MAINTENANCE_OVER,
    MESSAGE_RESTORED,
    MESSAGE_CHRONYD_UNREACHABLE,
    MESSAGE_CHRONYD_BACK,
    MESSAGE_PAGE_LOST,
    MESSAGE_PAGE_BACK,
    MESSAGE_SAMPLES_WITHHELD,
    MESSAGE_SAMPLES_FAILING,
    MESSAGE_SAMPLES_FLOW
};

static const struct {
    const char *id, *name;
} messages[] = {
    [MESSAGE_DISRUPTION] = {"34af3a430c8b45be98405d7dca19b1e5", "disruption"},
    [MESSAGE_RESET] = {"5dc2b3ca5cfe4e4887844a29ff9053b0", "reset"},
    [MESSAGE_CORRECTED] = {"957284aef8b94cc4904f6c9cbf3aeb25", "corrected"},
    [MESSAGE_RECOVERED] = {"a4f1739d50e44d4c9b9525af75c0a236", "recovered"},
    [MESSAGE_RECOVERY_FAILING] = {"63d269cf232648189e6244d3f72a72ea", "recovery-failing"},
    [MESSAGE_HOST_CLOCK_UNRELIABLE] = {"b11a8251bd984715bab3de14c81fcf7d", "host-clock-unreliable"},
    [MESSAGE_HOST_CLOCK_FREERUNNING] = {"c935c6349d364590a929ad740496c6bf",
        "host-clock-freerunning"},
    [MESSAGE_HOST_CLOCK_BACK] = {"7ed07f4c43fc47b18181dbac4986c696", "host-clock-back"},
    [MESSAGE_MAINTENANCE_SOON] = {"8c90be82a63e472d8f46a692853b8cc6", "maintenance-soon"},
    [MESSAGE_MAINTENANCE_IMMINENT] = {"1da6d1cf5801409d9b6e697f73c42c20", "maintenance-imminent"},
    [MESSAGE_MAINTENANCE_OVER] = {"b4d80e8321ce429ea14b51375091e526", "maintenance-over"},
    [MESSAGE_RESTORED] = {"e652e057c7154bb1b79c165aebc13f23", "restored"},
    [MESSAGE_CHRONYD_UNREACHABLE] = {"2b426e8f9ee44bc2bbc2101b9c1e8a0f", "chronyd-unreachable"},
    [MESSAGE_CHRONYD_BACK] = {"2966d6584cdd4edfb9e3010f85ae5df2", "chronyd-back"},
    [MESSAGE_PAGE_LOST] = {"fe218343b8184c63bd2cf4fd3c3f642b", "page-lost"},
    [MESSAGE_PAGE_BACK] = {"299ebbf9c1ad4fb4a87c4d20350f92ec", "page-back"},
    [MESSAGE_SAMPLES_WITHHELD] = {"4353aa608134450d8ae596cf9037ea25", "samples-withheld"},
    [MESSAGE_SAMPLES_FAILING] = {"cb95b92cf6434efbb2275a216a2139d5", "samples-failing"},
    [MESSAGE_SAMPLES_FLOW] = {"e6a89b7f11ec4fd3aee71f9e245571c9", "samples-flow"},
};

void journal_refid(uint32_t refid, char *ret_text, size_t size)
{
    char text[5] = {(char)(refid >> 24), (char)(refid >> 16), (char)(refid >> 8), (char)refid};
    uint32_t back;

    if (chrony_refid_parse(text, &back) && back == refid)
        snprintf(ret_text, size, "%s", text);
    else
        snprintf(ret_text, size, "%08" PRIX32, refid);
}

/* --- parts of a record ------------------------------------------------------------------------ */

static void say(struct journal_record *record, enum log_priority priority, enum message message,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The words; a message begins the fields. */
static void say(struct journal_record *record, enum log_priority priority, enum message message,
    const char *format, ...)
{
    va_list arguments;

    record->priority = priority;
    va_start(arguments, format);
    vsnprintf(record->text, sizeof(record->text), format, arguments);
    va_end(arguments);
    if (message == MESSAGE_NONE)
        return;
    log_field(&record->fields, "MESSAGE_ID", "%s", messages[message].id);
    log_field(&record->fields, "VMCLOCK_EVENT", "%s", messages[message].name);
}

#define say_warning(record, ...) say(record, LOG_PRIO_WARNING, MESSAGE_NONE, __VA_ARGS__)
#define say_notice(record, ...)  say(record, LOG_PRIO_NOTICE, MESSAGE_NONE, __VA_ARGS__)
#define say_info(record, ...)    say(record, LOG_PRIO_INFO, MESSAGE_NONE, __VA_ARGS__)

static void field_hex(struct journal_record *record, const char *name, uint64_t value)
{
    log_field(&record->fields, name, "0x%" PRIx64, value);
}

/* A duration; NAN: there is none. */
static void field_usec(struct journal_record *record, const char *name, double ms)
{
    if (!isnan(ms))
        log_field(&record->fields, name, "%.0f", ms * 1e3);
}

static void field_nsec(struct journal_record *record, const char *name, double sec)
{
    if (!isnan(sec))
        log_field(&record->fields, name, "%.0f", rint(sec * 1e9) + 0.0);
}

static void field_text(struct journal_record *record, const char *name, const char *value)
{
    log_field(&record->fields, name, "%s", value);
}

static void field_errno(struct journal_record *record, int error)
{
    log_field(&record->fields, "ERRNO", "%d", error);
}

/* --- the page -------------------------------------------------------------------------------- */

static void mode_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str(e->mode.verdict);

    if (e->mode.now == TRACKER_MODE_CLOCK && e->mode.verdict == CLOCK_OK)
        say_notice(r, "the page is a clock");
    else if (e->mode.now == TRACKER_MODE_CLOCK)
        say_warning(r, "the page is no clock now: %s; no samples until it is", why);
    else
        say_notice(r, "marker-only: %s; watching the disruption marker", why);
}

static void page_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *reason = e->id == EVENT_PAGE_INVALID ? page_verdict_str(e->page)
                                                     : device_error_str(-e->failure.error);

    switch (e->id) {
    case EVENT_PAGE_INVALID:
        say(r, LOG_PRIO_ERR, MESSAGE_PAGE_LOST, "%s: %s; waiting for a valid page", config->device,
            reason);
        field_text(r, "VMCLOCK_REASON", reason);
        break;
    case EVENT_PAGE_BUSY:
        say(r, LOG_PRIO_WARNING, MESSAGE_PAGE_LOST,
            "%s: the host has been writing for 100 ms (seq_count %" PRIu32
            "); no samples until it is done",
            config->device, e->busy.seq_count);
        field_text(r, "VMCLOCK_REASON", "the host is writing");
        break;
    case EVENT_PAGE_LOST:
        say(r, LOG_PRIO_ERR, MESSAGE_PAGE_LOST, "%s: the device is lost: %s; waiting for it",
            config->device, reason);
        field_text(r, "VMCLOCK_REASON", reason);
        field_errno(r, e->failure.error);
        break;
    default:
        say(r, LOG_PRIO_NOTICE, MESSAGE_PAGE_BACK, "%s: the page is valid again", config->device);
        break;
    }
    field_text(r, "VMCLOCK_DEVICE", config->device);
}

static void status_event(const struct event *e, struct journal_record *r)
{
    const char *old = page_clock_status_str(e->clock_status.before);
    const char *new = page_clock_status_str(e->clock_status.now);
    const bool good = e->clock_status.now == VMCLOCK_STATUS_SYNCHRONISED;

    say(r, good ? LOG_PRIO_NOTICE : LOG_PRIO_WARNING,
        good                                                ? MESSAGE_HOST_CLOCK_BACK
        : e->clock_status.now == VMCLOCK_STATUS_FREERUNNING ? MESSAGE_HOST_CLOCK_FREERUNNING
                                                            : MESSAGE_HOST_CLOCK_UNRELIABLE,
        "the host's clock status: %s, was %s", new, old);
    field_text(r, "VMCLOCK_CLOCK_STATUS_OLD", old);
    field_text(r, "VMCLOCK_CLOCK_STATUS_NEW", new);
}

static void maintenance_event(const struct event *e, struct journal_record *r)
{
    if (e->maintenance == MAINTENANCE_IMMINENT)
        say(r, LOG_PRIO_WARNING, MESSAGE_MAINTENANCE_IMMINENT,
            "the host announces a disruption within about an hour");
    else if (e->maintenance == MAINTENANCE_SOON)
        say(r, LOG_PRIO_NOTICE, MESSAGE_MAINTENANCE_SOON,
            "the host announces a disruption within about a day");
    else
        say(r, LOG_PRIO_NOTICE, MESSAGE_MAINTENANCE_OVER,
            "the host no longer announces a disruption");
    field_text(r, "VMCLOCK_MAINTENANCE",
        e->maintenance == MAINTENANCE_IMMINENT ? "imminent"
        : e->maintenance == MAINTENANCE_SOON   ? "soon"
                                               : "none");
}

static void generation_event(const struct event *e, struct journal_record *r)
{
    say(r, LOG_PRIO_NOTICE, MESSAGE_RESTORED,
        "the VM generation counter changed from 0x%" PRIx64 " to 0x%" PRIx64 "%s",
        e->generation.before, e->generation.now,
        e->generation.disrupted ? ": this guest was restored or cloned"
                                : " without a change of the disruption marker so far: taken for a "
                                  "fork on the same host");
    field_hex(r, "VMCLOCK_GENERATION_OLD", e->generation.before);
    field_hex(r, "VMCLOCK_GENERATION_NEW", e->generation.now);
}

/* --- the recovery ---------------------------------------------------------------------------- */

static void disruption_event(const struct event *e, struct journal_record *r)
{
    say(r, LOG_PRIO_WARNING, MESSAGE_DISRUPTION,
        "disruption marker changed from 0x%" PRIx64 " to 0x%" PRIx64
        "%s: chronyd has to forget its measurements",
        e->marker.before, e->marker.now,
        e->marker.while_away ? " while vmclockd was not running" : "");
    field_hex(r, "VMCLOCK_MARKER_OLD", e->marker.before);
    field_hex(r, "VMCLOCK_MARKER_NEW", e->marker.now);
}

static void begin_event(const struct event *e, struct journal_record *r)
{
    if (e->cause == RECOVERY_CAUSE_START)
        say_notice(r, "chronyd has no reference yet: correcting the clock from the page");
    else if (e->cause == RECOVERY_CAUSE_FORMULA)
        say_notice(r, "the host's new formula came late: recovering once more");
    else
        say_notice(r, "a recovery was requested: chronyd has to forget its measurements");
}

static void host_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str(e->verdict);

    if (e->id == EVENT_AWAITING_HOST && e->verdict == CLOCK_OK)
        say_info(r, "the page still continues the old host's formula: waiting for the new one");
    else if (e->id == EVENT_AWAITING_HOST)
        say_info(r, "waiting for the new host's page: %s", why);
    else if (e->verdict == CLOCK_OK)
        say_warning(r, "the host did not rewrite the formula within 5 s: using it as it is");
    else
        say_warning(r, "no valid page for 5 s (%s): continuing without it", why);
}

static void reset_event(const struct event *e, enum recovery_cause cause, struct journal_record *r)
{
    if (e->id == EVENT_RESET_CONFIRMED) {
        say(r, LOG_PRIO_NOTICE, MESSAGE_RESET,
            "chronyd confirmed the reset for marker 0x%" PRIx64 " after %.3f ms", e->reset.marker,
            e->reset.ms);
        field_usec(r, "VMCLOCK_RESET_USEC", e->reset.ms);
    } else if (e->id == EVENT_UNCONFIRMED) {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            e->reset.refused ? "chronyd refuses the reset for marker 0x%" PRIx64
                               ": chronyd is left alone, after %.3f ms"
                             : "chronyd has read the reset for marker 0x%" PRIx64
                               " and its replies do not come: taken as done after %.3f ms",
            e->reset.marker, e->reset.ms);
        field_text(r, "VMCLOCK_REASON", e->reset.refused ? "refused" : "no reply");
        field_text(r, "VMCLOCK_OUTCOME", "unconfirmed");
        field_text(r, "VMCLOCK_CAUSE", recovery_cause_str(cause));
        if (!e->reset.refused)
            field_usec(r, "VMCLOCK_RESET_USEC", e->reset.ms);
    } else if (e->id == EVENT_RESET_LATE) {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            "chronyd has not confirmed the reset for marker 0x%" PRIx64
            " for %.0f s: still trying; until then the clock may be wrong",
            e->reset.marker, e->reset.ms / 1e3);
        field_text(r, "VMCLOCK_REASON", "no confirmation");
    } else {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            "chronyd refuses RESET_SOURCES: %s (%d); still trying",
            chrony_status_str(e->reset.status), e->reset.status);
        field_text(r, "VMCLOCK_REASON", chrony_status_str(e->reset.status));
    }
    field_hex(r, "VMCLOCK_MARKER_NEW", e->reset.marker);
}

static void corrected_event(const struct event *e, struct journal_record *r)
{
    if (e->id == EVENT_CORRECTION_REFUSED) {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            "an error of %+.9f s and %+.4f ppm is more than a disruption explains (max-step, "
            "max-rate): left to chronyd",
            e->correction.offset_sec, e->correction.ppm);
        field_text(r, "VMCLOCK_REASON", "more than max-step or max-rate");
    } else if (e->id == EVENT_REFINED) {
        say_info(r, "the correction is refined by %+.9f s and %+.4f ppm after %.3f ms",
            e->correction.offset_sec + 0.0, 0 - e->correction.ppm, e->correction.ms);
    } else if (e->correction.offset_sec != 0 &&
               fabs(e->correction.remaining_sec) > fmax(1e-6, fabs(e->correction.offset_sec) / 2)) {
        say(r, LOG_PRIO_WARNING, MESSAGE_RECOVERY_FAILING,
            "chronyd was told to correct the clock by %+.9f s and %+.4f ppm, but %+.9f s are left",
            e->correction.offset_sec, 0 - e->correction.ppm, e->correction.remaining_sec);
        field_text(r, "VMCLOCK_REASON", "the clock does not follow");
    } else {
        say(r, LOG_PRIO_NOTICE, MESSAGE_CORRECTED,
            "the clock is corrected by %+.9f s and %+.4f ppm, %.0f ns left, after %.3f ms",
            e->correction.offset_sec + 0.0, 0 - e->correction.ppm,
            rint(e->correction.remaining_sec * 1e9) + 0.0, e->correction.ms);
    }
    field_text(r, "VMCLOCK_CORRECTED_BY", recovery_corrector_str(e->correction.by));
    field_nsec(r, "VMCLOCK_OFFSET_NSEC", e->correction.offset_sec);
    log_field(&r->fields, "VMCLOCK_FREQUENCY_PPM", "%.6f", 0 - e->correction.ppm);
    if (e->id != EVENT_CORRECTION_REFUSED) {
        field_nsec(r, "VMCLOCK_REMAINING_NSEC", e->correction.remaining_sec);
        field_usec(r, "VMCLOCK_CORRECTED_USEC", e->correction.ms);
    }
}

static void end_event(const struct event *e, struct journal_record *r)
{
    char refid[9];

    journal_refid(e->end.refid, refid, sizeof(refid));
    switch (e->id) {
    case EVENT_SYNCHRONISED:
        say(r, LOG_PRIO_NOTICE, MESSAGE_RECOVERED,
            "chronyd is synchronised to %s again, after %.0f ms", refid, e->end.ms);
        field_usec(r, "VMCLOCK_SYNCHRONISED_USEC", e->end.ms);
        field_text(r, "VMCLOCK_REFID", refid);
        field_text(r, "VMCLOCK_OUTCOME", "synchronised");
        break;
    case EVENT_NOT_SYNCHRONISED:
        say(r, LOG_PRIO_WARNING, MESSAGE_RECOVERY_FAILING,
            "chronyd selected no reference within a minute");
        field_text(r, "VMCLOCK_REASON", "no reference after a minute");
        field_text(r, "VMCLOCK_OUTCOME", "unsynchronised");
        break;
    default:
        say_notice(r, "the recovery is left unfinished");
        field_text(r, "VMCLOCK_OUTCOME", "abandoned");
        break;
    }
    field_text(r, "VMCLOCK_CAUSE", recovery_cause_str(e->end.cause));
    field_hex(r, "VMCLOCK_MARKER_NEW", e->end.marker);
    field_usec(r, "VMCLOCK_RESET_USEC", e->end.reset_ms);
    field_usec(r, "VMCLOCK_CORRECTED_USEC", e->end.corrected_ms);
}

/* --- a dry run ------------------------------------------------------------------------------- */

static void server_address(const struct config *config, unsigned place, char *ret_text)
{
    const struct chrony_address *address = &config->tracker.recovery.servers[place].address;

    inet_ntop(
        address->family == 1 ? AF_INET : AF_INET6, address->bytes, ret_text, INET6_ADDRSTRLEN);
}

static void dry_run_event(
    const struct config *config, const struct event *e, struct journal_record *r)
{
    const struct chrony_command *command = &e->command.what;
    const char *name = chrony_command_str(command->id);
    char arguments[INET6_ADDRSTRLEN + 64] = "", address[INET6_ADDRSTRLEN];

    if (e->id == EVENT_WOULD_FEED) {
        say_notice(r,
            "dry run: a sample would be sent to %s every %g ms, the first one's offset is %+.9f s",
            config->sock, (double)config->tracker.sample_interval_ns / 1e6, e->offset_sec);
        return;
    }
    if (e->id == EVENT_WOULD_HAVE_FED) {
        say_notice(r,
            "dry run: %" PRIu64 " samples would have been sent, with offsets of %+.9f to %+.9f s",
            e->samples.n, e->samples.least_sec, e->samples.most_sec);
        return;
    }
    switch (command->id) {
    case CHRONY_DFREQ: /* chronyd's present frequency was not asked for */
        snprintf(arguments, sizeof(arguments), " to make its frequency %+.6f ppm", command->ppm);
        break;
    case CHRONY_DOFFSET2:
        snprintf(arguments, sizeof(arguments), " %+.9f s", command->offset_sec);
        break;
    case CHRONY_MODIFY_MAKESTEP:
        snprintf(arguments, sizeof(arguments), " %g s %" PRId32 ", to be restored later",
            command->makestep.threshold_sec, command->makestep.limit);
        break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        server_address(config, e->command.server, address);
        snprintf(arguments, sizeof(arguments), " %s %" PRId32 ", to be restored later", address,
            command->poll.log2_sec);
        break;
    case CHRONY_BURST:
        snprintf(arguments, sizeof(arguments), " %" PRId32 "/%" PRId32, command->burst.good,
            command->burst.total);
        break;
    default: break;
    }
    say_notice(r, "dry run: chronyd would be sent %s%s", name, arguments);
}

/* --- chronyd and the samples --------------------------------------------------------------------
 */

static void chronyd_event(
    const struct config *config, const struct event *e, struct journal_record *r)
{
    switch (e->id) {
    case EVENT_CHRONYD_SILENT:
        say(r, LOG_PRIO_WARNING, MESSAGE_CHRONYD_UNREACHABLE,
            e->silence.unread
                ? "chronyd does not read %s on %s: is it stopped? Waiting until it does"
                : "chronyd has read %s on %s and does not answer: see \"vmclockctl doctor\"",
            chrony_command_str(e->silence.command), config->command_socket);
        field_text(
            r, "VMCLOCK_REASON", e->silence.unread ? "it does not read" : "it does not answer");
        break;
    case EVENT_CHRONYD_AWAY:
        say(r, LOG_PRIO_WARNING, MESSAGE_CHRONYD_UNREACHABLE,
            "chronyd cannot be reached at %s: %s; still trying", config->command_socket,
            strerror(e->failure.error));
        field_text(r, "VMCLOCK_REASON", strerror(e->failure.error));
        field_errno(r, e->failure.error);
        break;
    case EVENT_BAD_REPLY:
        say_warning(r, "a reply of %zu bytes on %s is ignored: %s", e->reply.length,
            config->command_socket, chrony_reply_verdict_str(e->reply.verdict));
        break;
    default: say(r, LOG_PRIO_NOTICE, MESSAGE_CHRONYD_BACK, "chronyd answers again"); break;
    }
}

static void ptp_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *path = config->ptp_clock;
    const double ahead = e->ptp.difference_sec;

    switch (e->ptp.state) {
    case PTP_CLOCK_TRUSTED:
        say_info(r, "%s agrees with chronyd's time: recoveries go by it", path);
        break;
    case PTP_CLOCK_OTHER_SCALE:
        say_warning(r,
            "%s is %.3f s %s chronyd's time, as another time scale is: not used; with "
            "\"ptp-clock = %s %s\" it is",
            path, fabs(ahead), ahead > 0 ? "ahead of" : "behind", path, ahead > 0 ? "tai" : "utc");
        break;
    case PTP_CLOCK_TOO_FAR:
        say_warning(r, "%s is %.3f s %s chronyd's time: not used", path, fabs(ahead),
            ahead > 0 ? "ahead of" : "behind");
        break;
    case PTP_CLOCK_BROKEN:
        say_warning(
            r, "%s stands still or jumps: not used until it agrees with chronyd's time", path);
        break;
    case PTP_CLOCK_UNPROVEN:
        say_info(r, "%s is to be compared with chronyd's time before it is used", path);
        break;
    }
}

static void sock_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *hint = e->failure.error == ENOENT
                           ? "; is there a \"refclock SOCK\" line in chrony.conf?"
                       : e->failure.error == EAGAIN ? " (chronyd does not read)"
                                                    : "";

    say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_FAILING,
        "samples cannot be sent to %s: %s%s; still trying", config->sock,
        strerror(e->failure.error), hint);
    field_text(r, "VMCLOCK_REASON", strerror(e->failure.error));
    field_errno(r, e->failure.error);
}

static void withheld_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str(e->withheld.verdict);

    if (e->withheld.verdict == CLOCK_OK && e->withheld.bound_ns == UINT64_MAX)
        say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_WITHHELD,
            "samples are withheld: the page states no error bound, max-error wants one");
    else if (e->withheld.verdict == CLOCK_OK)
        say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_WITHHELD,
            "samples are withheld: their error bound, %" PRIu64 " ns, is over max-error",
            e->withheld.bound_ns);
    else
        say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_WITHHELD, "samples are withheld: %s", why);
    field_text(r, "VMCLOCK_REASON", e->withheld.verdict == CLOCK_OK ? "over max-error" : why);
}

static void first_sample_event(const struct event *e, struct journal_record *r)
{
    say(r, LOG_PRIO_INFO, MESSAGE_SAMPLES_FLOW, "samples flow, the first one's offset is %+.9f s",
        e->offset_sec);
    field_nsec(r, "VMCLOCK_OFFSET_NSEC", e->offset_sec);
}

void journal_describe(const struct config *config, const struct event *e, enum recovery_cause cause,
    struct journal_record *r)
{
    r->fields.n = 0;
    switch (e->id) {
    case EVENT_MODE: mode_event(e, r); break;
    case EVENT_PAGE_INVALID:
    case EVENT_PAGE_BUSY:
    case EVENT_PAGE_BACK:
    case EVENT_PAGE_LOST: page_event(config, e, r); break;
    case EVENT_DISRUPTION: disruption_event(e, r); break;
    case EVENT_GENERATION: generation_event(e, r); break;
    case EVENT_CLOCK_STATUS: status_event(e, r); break;
    case EVENT_MAINTENANCE: maintenance_event(e, r); break;
    case EVENT_RECOVERY: begin_event(e, r); break;
    case EVENT_WOULD_SEND:
    case EVENT_WOULD_FEED:
    case EVENT_WOULD_HAVE_FED: dry_run_event(config, e, r); break;
    case EVENT_RESET_CONFIRMED:
    case EVENT_UNCONFIRMED:
    case EVENT_RESET_LATE:
    case EVENT_NOT_CONFIRMED: reset_event(e, cause, r); break;
    case EVENT_AWAITING_HOST:
    case EVENT_HOST_LATE: host_event(e, r); break;
    case EVENT_CORRECTED:
    case EVENT_REFINED:
    case EVENT_CORRECTION_REFUSED: corrected_event(e, r); break;
    case EVENT_LEFT_TO_CHRONYD:
        say_warning(r,
            e->correction.cause == RECOVERY_CAUSE_START
                ? "the clock is off by %+.9f s at chronyd's start and may not be stepped (step): "
                  "left to chronyd, which may step by its own makestep"
                : "the clock is off by %+.9f s, may not be stepped (step) and would take long to "
                  "slew: left to chronyd",
            e->correction.offset_sec);
        break;
    case EVENT_COMMAND_MISSING:
        say_warning(r, "this chronyd has no DFREQ or DOFFSET2: recoveries take a second or more");
        break;
    case EVENT_CANNOT_STEP:
        say_warning(r, "chronyd refuses MAKESTEP (does it run with -x?): waiting for its slew");
        break;
    case EVENT_SYNCHRONISED:
    case EVENT_NOT_SYNCHRONISED:
    case EVENT_ABANDONED: end_event(e, r); break;
    case EVENT_PUT_BACK: say_info(r, "chronyd's settings are restored"); break;
    case EVENT_PASSED_OVER:
        say_warning(r,
            "chronyd's settings were sent to be restored, and it did not answer to %" PRIu64
            " of them: it may not have them",
            e->count);
        break;
    case EVENT_NOT_PUT_BACK:
        say_warning(r, "chronyd did not answer: its settings will be restored at the next start");
        break;
    case EVENT_CHRONYD_SILENT:
    case EVENT_CHRONYD_AWAY:
    case EVENT_CHRONYD_BACK:
    case EVENT_BAD_REPLY: chronyd_event(config, e, r); break;
    case EVENT_SOCK_FAILED: sock_event(config, e, r); break;
    case EVENT_SOCK_BACK:
        say(r, LOG_PRIO_NOTICE, MESSAGE_SAMPLES_FLOW, "samples reach chronyd again");
        break;
    case EVENT_FIRST_SAMPLE: first_sample_event(e, r); break;
    case EVENT_CONTRADICTION:
        say_warning(r,
            "the page contradicts the error bounds of those before it (%" PRIu64
            " times so far): the host's bounds cannot be relied on",
            e->count);
        break;
    case EVENT_PTP_CLOCK: ptp_event(config, e, r); break;
    case EVENT_REPEATS:
        say_warning(r, "this keeps happening and is not logged again until it has stopped: %s",
            event_str(e->repetition.what));
        break;
    case EVENT_REPEATED:
        say_notice(r, "this has stopped, after %" PRIu64 " times in %.1f s: %s", e->repetition.n,
            e->repetition.sec, event_str(e->repetition.what));
        break;
    case EVENT_N: break;
    case EVENT_SAMPLES_WITHHELD: withheld_event(e, r); break;
    }
}
