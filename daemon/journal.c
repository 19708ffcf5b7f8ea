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

/* What people alert on; systemd/vmclockd.catalog explains each of them, as does vmclockd(8). */
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
    const char *why = clock_verdict_str((enum clock_verdict)e->code);

    if (e->new == TRACKER_MODE_CLOCK && e->code == CLOCK_OK)
        say_notice(r, "the page is a clock");
    else if (e->new == TRACKER_MODE_CLOCK)
        say_warning(r, "the page is no clock now: %s; no samples until it is", why);
    else
        say_notice(r, "marker-only: %s; watching the disruption marker", why);
}

static void page_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *reason = e->id == EVENT_PAGE_INVALID ? page_verdict_str((enum page_verdict)e->code)
                                                     : device_error_str(-e->code);

    switch (e->id) {
    case EVENT_PAGE_INVALID:
        say(r, LOG_PRIO_ERR, MESSAGE_PAGE_LOST, "%s: %s; waiting for a valid page", config->device,
            reason);
        field_text(r, "VMCLOCK_REASON", reason);
        break;
    case EVENT_PAGE_BUSY:
        say(r, LOG_PRIO_WARNING, MESSAGE_PAGE_LOST,
            "%s: the host has been writing for 100 ms (seq_count %" PRIu64
            "); no samples until it is done",
            config->device, e->new);
        field_text(r, "VMCLOCK_REASON", "the host is writing");
        break;
    case EVENT_PAGE_LOST:
        say(r, LOG_PRIO_ERR, MESSAGE_PAGE_LOST, "%s: the device is lost: %s; waiting for it",
            config->device, reason);
        field_text(r, "VMCLOCK_REASON", reason);
        field_errno(r, e->code);
        break;
    default:
        say(r, LOG_PRIO_NOTICE, MESSAGE_PAGE_BACK, "%s: the page is valid again", config->device);
        break;
    }
    field_text(r, "VMCLOCK_DEVICE", config->device);
}

static void status_event(const struct event *e, struct journal_record *r)
{
    const char *old = page_clock_status_str((uint8_t)e->old);
    const char *new = page_clock_status_str((uint8_t)e->new);
    const bool good = e->new == VMCLOCK_STATUS_SYNCHRONISED;

    say(r, good ? LOG_PRIO_NOTICE : LOG_PRIO_WARNING,
        good                                   ? MESSAGE_HOST_CLOCK_BACK
        : e->new == VMCLOCK_STATUS_FREERUNNING ? MESSAGE_HOST_CLOCK_FREERUNNING
                                               : MESSAGE_HOST_CLOCK_UNRELIABLE,
        "the host's clock status: %s, was %s", new, old);
    field_text(r, "VMCLOCK_CLOCK_STATUS_OLD", old);
    field_text(r, "VMCLOCK_CLOCK_STATUS_NEW", new);
}

static void maintenance_event(const struct event *e, struct journal_record *r)
{
    if (e->code == 2)
        say(r, LOG_PRIO_WARNING, MESSAGE_MAINTENANCE_IMMINENT,
            "the host announces a disruption within about an hour");
    else if (e->code == 1)
        say(r, LOG_PRIO_NOTICE, MESSAGE_MAINTENANCE_SOON,
            "the host announces a disruption within about a day");
    else
        say(r, LOG_PRIO_NOTICE, MESSAGE_MAINTENANCE_OVER,
            "the host no longer announces a disruption");
    field_text(r, "VMCLOCK_MAINTENANCE",
        e->code == 2   ? "imminent"
        : e->code == 1 ? "soon"
                       : "none");
}

static void generation_event(const struct event *e, struct journal_record *r)
{
    say(r, LOG_PRIO_NOTICE, MESSAGE_RESTORED,
        "the VM generation counter changed from 0x%" PRIx64 " to 0x%" PRIx64 "%s", e->old, e->new,
        e->code ? ": this guest was restored or cloned"
                : " without a disruption: a fork on the same host; the clock is still good");
    field_hex(r, "VMCLOCK_GENERATION_OLD", e->old);
    field_hex(r, "VMCLOCK_GENERATION_NEW", e->new);
}

/* --- the recovery ---------------------------------------------------------------------------- */

static void disruption_event(const struct event *e, struct journal_record *r)
{
    say(r, LOG_PRIO_WARNING, MESSAGE_DISRUPTION,
        "disruption marker changed from 0x%" PRIx64 " to 0x%" PRIx64
        "%s: chronyd has to forget its measurements",
        e->old, e->new, e->code ? " while vmclockd was not running" : "");
    field_hex(r, "VMCLOCK_MARKER_OLD", e->old);
    field_hex(r, "VMCLOCK_MARKER_NEW", e->new);
}

static void begin_event(const struct event *e, struct journal_record *r)
{
    if (e->code == RECOVERY_CAUSE_START)
        say_notice(r, "chronyd has no reference yet: correcting the clock from the page");
    else if (e->code == RECOVERY_CAUSE_FORMULA)
        say_notice(r, "the host's new formula came late: recovering once more");
    else
        say_notice(r, "a recovery was requested: chronyd has to forget its measurements");
}

static void host_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str((enum clock_verdict)e->code);

    if (e->id == EVENT_AWAITING_HOST && e->code == CLOCK_OK)
        say_info(r, "the page still continues the old host's formula: waiting for the new one");
    else if (e->id == EVENT_AWAITING_HOST)
        say_info(r, "waiting for the new host's page: %s", why);
    else if (e->code == CLOCK_OK)
        say_warning(r, "the formula was not rewritten for 5 s: going on with it as it is");
    else
        say_warning(r, "no valid page for 5 s (%s): going on without", why);
}

static void reset_event(const struct event *e, struct journal_record *r)
{
    if (e->id == EVENT_RESET_CONFIRMED) {
        say(r, LOG_PRIO_NOTICE, MESSAGE_RESET,
            "chronyd confirmed the reset for marker 0x%" PRIx64 " after %.3f ms", e->new, e->a);
        field_usec(r, "VMCLOCK_RESET_USEC", e->a);
    } else if (e->id == EVENT_UNCONFIRMED) {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            e->code ? "chronyd refuses the reset for marker 0x%" PRIx64
                      ": chronyd is left to itself, after %.3f ms"
                    : "chronyd has read the reset for marker 0x%" PRIx64
                      " and its replies do not come: taken as done after %.3f ms",
            e->new, e->a);
        field_text(r, "VMCLOCK_REASON", e->code ? "refused" : "no reply");
        field_text(r, "VMCLOCK_OUTCOME", "unconfirmed");
    } else if (e->id == EVENT_RESET_LATE) {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            "chronyd has not confirmed the reset for marker 0x%" PRIx64
            " for %.0f s: still trying; until then the clock may be wrong",
            e->new, e->a / 1e3);
        field_text(r, "VMCLOCK_REASON", "no confirmation");
    } else {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            "chronyd refuses RESET_SOURCES: %s (%d); trying on",
            chrony_status_str((uint16_t)e->code), e->code);
        field_text(r, "VMCLOCK_REASON", chrony_status_str((uint16_t)e->code));
    }
    field_hex(r, "VMCLOCK_MARKER_NEW", e->new);
}

static void corrected_event(const struct event *e, struct journal_record *r)
{
    if (e->id == EVENT_CORRECTION_REFUSED) {
        say(r, LOG_PRIO_ERR, MESSAGE_RECOVERY_FAILING,
            "an error of %+.9f s and %+.4f ppm is more than a disruption explains (max-step, "
            "max-rate): left to chronyd",
            e->b, e->a);
        field_text(r, "VMCLOCK_REASON", "more than max-step or max-rate");
    } else if (fabs(e->c) > fmax(1e-6, fabs(e->b) / 2)) {
        say(r, LOG_PRIO_WARNING, MESSAGE_RECOVERY_FAILING,
            "chronyd was told to correct the clock by %+.9f s and %+.4f ppm, but %+.9f s are left",
            e->b, 0 - e->a, e->c);
        field_text(r, "VMCLOCK_REASON", "the clock does not follow");
    } else {
        say(r, LOG_PRIO_NOTICE, MESSAGE_CORRECTED,
            "the clock is corrected by %+.9f s and %+.4f ppm, %.0f ns left, after %.3f ms",
            e->b + 0.0, 0 - e->a, rint(e->c * 1e9) + 0.0, e->d);
    }
    field_nsec(r, "VMCLOCK_OFFSET_NSEC", e->b);
    log_field(&r->fields, "VMCLOCK_FREQUENCY_PPM", "%.6f", 0 - e->a);
    if (e->id == EVENT_CORRECTED) {
        field_nsec(r, "VMCLOCK_REMAINING_NSEC", e->c);
        field_usec(r, "VMCLOCK_CORRECTED_USEC", e->d);
    }
}

static void end_event(const struct event *e, struct journal_record *r)
{
    char refid[9];

    journal_refid((uint32_t)e->new, refid, sizeof(refid));
    switch (e->id) {
    case EVENT_SYNCHRONISED:
        say(r, LOG_PRIO_NOTICE, MESSAGE_RECOVERED,
            "chronyd is synchronised to %s again, after %.0f ms", refid, e->a);
        field_usec(r, "VMCLOCK_SYNCHRONISED_USEC", e->a);
        field_text(r, "VMCLOCK_REFID", refid);
        field_text(r, "VMCLOCK_OUTCOME", "synchronised");
        break;
    case EVENT_NOT_SYNCHRONISED:
        say(r, LOG_PRIO_WARNING, MESSAGE_RECOVERY_FAILING,
            "chronyd has no reference a minute after it could have had one");
        field_text(r, "VMCLOCK_REASON", "no reference after a minute");
        field_text(r, "VMCLOCK_OUTCOME", "unsynchronised");
        break;
    default:
        say_notice(r, "the recovery is left unfinished");
        field_text(r, "VMCLOCK_OUTCOME", "abandoned");
        break;
    }
    field_text(r, "VMCLOCK_CAUSE", recovery_cause_str((enum recovery_cause)e->code));
    field_hex(r, "VMCLOCK_MARKER_NEW", e->old);
    field_usec(r, "VMCLOCK_RESET_USEC", e->b);
    field_usec(r, "VMCLOCK_CORRECTED_USEC", e->c);
}

/* --- a dry run ------------------------------------------------------------------------------- */

static void server_address(const struct config *config, uint64_t place, char *ret_text)
{
    const struct chrony_address *address = &config->tracker.recovery.servers[place].address;

    inet_ntop(
        address->family == 1 ? AF_INET : AF_INET6, address->bytes, ret_text, INET6_ADDRSTRLEN);
}

static void dry_run_event(
    const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *name = chrony_command_str((enum chrony_command_id)e->code);
    char arguments[INET6_ADDRSTRLEN + 64] = "", address[INET6_ADDRSTRLEN];

    if (e->id == EVENT_WOULD_FEED) {
        say_notice(r,
            "dry run: a sample would be sent to %s every %g ms, the first one's offset is %+.9f s",
            config->sock, (double)config->tracker.sample_interval_ns / 1e6, e->b);
        return;
    }
    if (e->id == EVENT_WOULD_HAVE_FED) {
        say_notice(r,
            "dry run: %" PRIu64 " samples would have been sent, with offsets of %+.9f to %+.9f s",
            e->new, e->a, e->b);
        return;
    }
    switch (e->code) {
    case CHRONY_DFREQ: /* what chronyd's is now was not asked */
        snprintf(arguments, sizeof(arguments), " to make its frequency %+.6f ppm", e->a);
        break;
    case CHRONY_DOFFSET2: snprintf(arguments, sizeof(arguments), " %+.9f s", e->a); break;
    case CHRONY_MODIFY_MAKESTEP:
        snprintf(arguments, sizeof(arguments), " %g s %" PRId64 ", to be put back after 30 s", e->a,
            (int64_t)e->new);
        break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        server_address(config, e->new, address);
        snprintf(arguments, sizeof(arguments), " %s %g, to be put back after 30 s", address, e->a);
        break;
    case CHRONY_BURST:
        snprintf(arguments, sizeof(arguments), " %" PRIu64 "/%" PRIu64, e->old, e->new);
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
            e->new ? "chronyd does not read %s on %s: is it stopped? Waiting until it does"
                   : "chronyd has read %s on %s and does not answer: see \"vmclockctl doctor\"",
            chrony_command_str((enum chrony_command_id)e->code), config->command_socket);
        field_text(r, "VMCLOCK_REASON", e->new ? "it does not read" : "it does not answer");
        break;
    case EVENT_CHRONYD_AWAY:
        say(r, LOG_PRIO_WARNING, MESSAGE_CHRONYD_UNREACHABLE,
            "chronyd cannot be reached at %s: %s; trying until it can", config->command_socket,
            strerror(e->code));
        field_text(r, "VMCLOCK_REASON", strerror(e->code));
        field_errno(r, e->code);
        break;
    case EVENT_BAD_REPLY:
        say_warning(r, "a reply of %" PRIu64 " bytes on %s is ignored: %s", e->new,
            config->command_socket, chrony_reply_verdict_str((enum chrony_reply_verdict)e->code));
        break;
    default: say(r, LOG_PRIO_NOTICE, MESSAGE_CHRONYD_BACK, "chronyd answers again"); break;
    }
}

static void sock_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *hint = e->code == ENOENT   ? "; is there a \"refclock SOCK\" line in chrony.conf?"
                       : e->code == EAGAIN ? " (chronyd does not read)"
                                           : "";

    say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_FAILING,
        "samples cannot be sent to %s: %s%s; trying on", config->sock, strerror(e->code), hint);
    field_text(r, "VMCLOCK_REASON", strerror(e->code));
    field_errno(r, e->code);
}

static void withheld_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str((enum clock_verdict)e->code);

    if (e->code == CLOCK_OK && e->new == UINT64_MAX)
        say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_WITHHELD,
            "samples are withheld: the page states no error bound, max-error wants one");
    else if (e->code == CLOCK_OK)
        say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_WITHHELD,
            "samples are withheld: their error bound, %" PRIu64 " ns, is over max-error", e->new);
    else
        say(r, LOG_PRIO_WARNING, MESSAGE_SAMPLES_WITHHELD, "samples are withheld: %s", why);
    field_text(r, "VMCLOCK_REASON", e->code == CLOCK_OK ? "over max-error" : why);
}

static void first_sample_event(const struct event *e, struct journal_record *r)
{
    say(r, LOG_PRIO_INFO, MESSAGE_SAMPLES_FLOW, "samples flow, the first one's offset is %+.9f s",
        e->b);
    field_nsec(r, "VMCLOCK_OFFSET_NSEC", e->b);
}

void journal_describe(const struct config *config, const struct event *e, struct journal_record *r)
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
    case EVENT_NOT_CONFIRMED: reset_event(e, r); break;
    case EVENT_AWAITING_HOST:
    case EVENT_HOST_LATE: host_event(e, r); break;
    case EVENT_CORRECTED:
    case EVENT_CORRECTION_REFUSED: corrected_event(e, r); break;
    case EVENT_LEFT_TO_CHRONYD:
        say_warning(r,
            e->code == RECOVERY_CAUSE_START
                ? "the clock is off by %+.9f s at chronyd's start, not to be stepped (step): left "
                  "to "
                  "chronyd, which may step by its own makestep"
                : "the clock is off by %+.9f s, not to be stepped (step) and long to slew: left to "
                  "chronyd",
            e->b);
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
    case EVENT_PUT_BACK: say_info(r, "chronyd's settings are put back"); break;
    case EVENT_NOT_PUT_BACK:
        say_warning(r, "chronyd did not answer: its settings will be put back at the next start");
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
            e->new);
        break;
    case EVENT_REPEATS:
        say_warning(r, "this keeps happening and is not said again until it has stopped: %s",
            event_str((enum event_id)e->code));
        break;
    case EVENT_REPEATED:
        say_notice(r, "this has stopped, after %" PRIu64 " times in %.1f s: %s", e->new, e->a,
            event_str((enum event_id)e->code));
        break;
    case EVENT_N: break;
    case EVENT_SAMPLES_WITHHELD: withheld_event(e, r); break;
    }
}
