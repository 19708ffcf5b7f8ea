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
#include "daemon/message.h"
#include "refclock/tracker.h"

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

static void say(struct journal_record *record, enum message_line line, const char *words, ...)
    __attribute__((format(printf, 3, 4)));

/* The line; a message begins the fields. */
static void say(struct journal_record *record, enum message_line line, const char *words, ...)
{
    va_list arguments;

    record->priority = message_priority(line);
    va_start(arguments, words);
    vsnprintf(record->text, sizeof(record->text), words, arguments);
    va_end(arguments);
    message_add_fields(line, &record->fields);
}

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
        say(r, LINE(CLOCK_MODE));
    else if (e->mode.now == TRACKER_MODE_CLOCK)
        say(r, LINE(NO_CLOCK_NOW), why);
    else
        say(r, LINE(MARKER_ONLY), why);
}

static void page_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *reason = e->id == EVENT_PAGE_INVALID ? page_verdict_str(e->page)
                                                     : device_error_str(-e->failure.error);

    switch (e->id) {
    case EVENT_PAGE_INVALID:
        say(r, LINE(PAGE_INVALID), config->device, reason);
        field_text(r, "VMCLOCK_REASON", reason);
        break;
    case EVENT_PAGE_BUSY:
        say(r, LINE(PAGE_BUSY), config->device, e->busy.seq_count);
        field_text(r, "VMCLOCK_REASON", "the host is writing");
        break;
    case EVENT_PAGE_LOST:
        say(r, LINE(PAGE_LOST), config->device, reason);
        field_text(r, "VMCLOCK_REASON", reason);
        field_errno(r, e->failure.error);
        break;
    default: say(r, LINE(PAGE_BACK), config->device); break;
    }
    field_text(r, "VMCLOCK_DEVICE", config->device);
}

static void status_event(const struct event *e, struct journal_record *r)
{
    const char *old = page_clock_status_str(e->clock_status.before);
    const char *new = page_clock_status_str(e->clock_status.now);

    if (e->clock_status.now == VMCLOCK_STATUS_SYNCHRONISED)
        say(r, LINE(HOST_CLOCK_BACK), old);
    else if (e->clock_status.now == VMCLOCK_STATUS_FREERUNNING)
        say(r, LINE(HOST_CLOCK_FREERUNNING), old);
    else
        say(r, LINE(HOST_CLOCK_UNRELIABLE), new, old);
    field_text(r, "VMCLOCK_CLOCK_STATUS_OLD", old);
    field_text(r, "VMCLOCK_CLOCK_STATUS_NEW", new);
}

static void maintenance_event(const struct event *e, struct journal_record *r)
{
    if (e->maintenance == MAINTENANCE_IMMINENT)
        say(r, LINE(MAINTENANCE_IMMINENT));
    else if (e->maintenance == MAINTENANCE_SOON)
        say(r, LINE(MAINTENANCE_SOON));
    else
        say(r, LINE(MAINTENANCE_OVER));
    field_text(r, "VMCLOCK_MAINTENANCE",
        e->maintenance == MAINTENANCE_IMMINENT ? "imminent"
        : e->maintenance == MAINTENANCE_SOON   ? "soon"
                                               : "none");
}

static void generation_event(const struct event *e, struct journal_record *r)
{
    if (e->generation.disrupted)
        say(r, LINE(RESTORED), e->generation.before, e->generation.now);
    else
        say(r, LINE(FORKED), e->generation.before, e->generation.now);
    field_hex(r, "VMCLOCK_GENERATION_OLD", e->generation.before);
    field_hex(r, "VMCLOCK_GENERATION_NEW", e->generation.now);
}

/* --- the recovery ---------------------------------------------------------------------------- */

static void disruption_event(const struct event *e, struct journal_record *r)
{
    if (e->marker.while_away)
        say(r, LINE(DISRUPTION_MISSED), e->marker.before, e->marker.now);
    else
        say(r, LINE(DISRUPTION), e->marker.before, e->marker.now);
    field_hex(r, "VMCLOCK_MARKER_OLD", e->marker.before);
    field_hex(r, "VMCLOCK_MARKER_NEW", e->marker.now);
}

static void begin_event(const struct event *e, struct journal_record *r)
{
    if (e->cause == RECOVERY_CAUSE_START)
        say(r, LINE(RECOVERY_AT_START));
    else if (e->cause == RECOVERY_CAUSE_FORMULA)
        say(r, LINE(RECOVERY_ONCE_MORE));
    else if (e->cause == RECOVERY_CAUSE_MARKER)
        say(r, LINE(RECOVERY_RESUMED));
    else
        say(r, LINE(RECOVERY_ON_REQUEST));
}

static void host_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str(e->verdict);

    if (e->id == EVENT_AWAITING_HOST && e->verdict == CLOCK_OK)
        say(r, LINE(AWAITING_FORMULA));
    else if (e->id == EVENT_AWAITING_HOST)
        say(r, LINE(AWAITING_PAGE), why);
    else if (e->verdict == CLOCK_OK)
        say(r, LINE(HOST_LATE));
    else
        say(r, LINE(NO_PAGE), why);
}

static void reset_event(const struct event *e, enum recovery_cause cause, struct journal_record *r)
{
    if (e->id == EVENT_RESET_CONFIRMED) {
        say(r, LINE(RESET_CONFIRMED), e->reset.marker, e->reset.ms);
        field_usec(r, "VMCLOCK_RESET_USEC", e->reset.ms);
    } else if (e->id == EVENT_UNCONFIRMED) {
        if (e->reset.refused)
            say(r, LINE(RESET_DENIED), e->reset.marker, e->reset.ms);
        else
            say(r, LINE(RESET_ASSUMED), e->reset.marker, e->reset.ms);
        field_text(r, "VMCLOCK_REASON", e->reset.refused ? "refused" : "no reply");
        field_text(r, "VMCLOCK_OUTCOME", "unconfirmed");
        field_text(r, "VMCLOCK_CAUSE", recovery_cause_str(cause));
        if (!e->reset.refused)
            field_usec(r, "VMCLOCK_RESET_USEC", e->reset.ms);
    } else if (e->id == EVENT_RESET_LATE) {
        say(r, LINE(RESET_LATE), e->reset.marker, e->reset.ms / 1e3);
        field_text(r, "VMCLOCK_REASON", "no confirmation");
    } else {
        say(r, LINE(RESET_REFUSED), chrony_status_str(e->reset.status), e->reset.status);
        field_text(r, "VMCLOCK_REASON", chrony_status_str(e->reset.status));
    }
    field_hex(r, "VMCLOCK_MARKER_NEW", e->reset.marker);
}

static void corrected_event(const struct event *e, struct journal_record *r)
{
    const bool is_rate_alone =
        e->id == EVENT_CORRECTED && isnan(e->correction.remaining_sec); /* nothing was measured */

    if (e->id == EVENT_CORRECTION_REFUSED) {
        say(r, LINE(TOO_LARGE), e->correction.offset_sec + 0.0, 0 - e->correction.ppm);
        field_text(r, "VMCLOCK_REASON", "more than max-step or max-rate");
    } else if (e->id == EVENT_REFINED) {
        say(r, LINE(REFINED), e->correction.offset_sec + 0.0, 0 - e->correction.ppm,
            e->correction.ms);
    } else if (is_rate_alone) {
        say(r, LINE(RATE_CORRECTED), 0 - e->correction.ppm, e->correction.ms);
    } else if (e->correction.offset_sec != 0 &&
               fabs(e->correction.remaining_sec) > fmax(1e-6, fabs(e->correction.offset_sec) / 2)) {
        say(r, LINE(DOES_NOT_FOLLOW), e->correction.offset_sec, 0 - e->correction.ppm,
            e->correction.remaining_sec);
        field_text(r, "VMCLOCK_REASON", "the clock does not follow");
    } else {
        say(r, LINE(CORRECTED), e->correction.offset_sec + 0.0, 0 - e->correction.ppm,
            rint(e->correction.remaining_sec * 1e9) + 0.0, e->correction.ms);
    }
    field_text(r, "VMCLOCK_CORRECTED_BY", recovery_corrector_str(e->correction.by));
    field_nsec(r, "VMCLOCK_OFFSET_NSEC", is_rate_alone ? (double)NAN : e->correction.offset_sec);
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
        say(r, LINE(SYNCHRONISED), refid, e->end.ms);
        field_usec(r, "VMCLOCK_SYNCHRONISED_USEC", e->end.ms);
        field_text(r, "VMCLOCK_REFID", refid);
        field_text(r, "VMCLOCK_OUTCOME", "synchronised");
        break;
    case EVENT_NOT_SYNCHRONISED:
        say(r, LINE(NOT_SYNCHRONISED));
        field_text(r, "VMCLOCK_REASON", "no reference after a minute");
        field_text(r, "VMCLOCK_OUTCOME", "unsynchronised");
        break;
    default:
        say(r, LINE(ABANDONED));
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
        say(r, LINE(WOULD_FEED), config->sock, (double)config->tracker.sample_interval_ns / 1e6,
            e->offset_sec);
        return;
    }
    if (e->id == EVENT_WOULD_HAVE_FED) {
        say(r, LINE(WOULD_HAVE_FED), e->samples.n, e->samples.least_sec, e->samples.most_sec);
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
    say(r, LINE(WOULD_SEND), name, arguments);
}

/* --- chronyd and the samples ------------------------------------------------------------------ */

static void chronyd_event(
    const struct config *config, const struct event *e, struct journal_record *r)
{
    switch (e->id) {
    case EVENT_CHRONYD_SILENT:
        if (e->silence.unread)
            say(r, LINE(CHRONYD_DEAF), chrony_command_str(e->silence.command),
                config->command_socket);
        else
            say(r, LINE(CHRONYD_MUTE), chrony_command_str(e->silence.command),
                config->command_socket);
        field_text(
            r, "VMCLOCK_REASON", e->silence.unread ? "it does not read" : "it does not answer");
        break;
    case EVENT_CHRONYD_AWAY:
        say(r, LINE(CHRONYD_AWAY), config->command_socket, strerror(e->failure.error));
        field_text(r, "VMCLOCK_REASON", strerror(e->failure.error));
        field_errno(r, e->failure.error);
        break;
    case EVENT_BAD_REPLY:
        say(r, LINE(BAD_REPLY), e->reply.length, config->command_socket,
            chrony_reply_verdict_str(e->reply.verdict));
        break;
    default: say(r, LINE(CHRONYD_BACK)); break;
    }
}

static void ptp_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *path = config->ptp_clock;
    const double ahead = e->ptp.difference_sec;

    switch (e->ptp.state) {
    case PTP_CLOCK_TRUSTED: say(r, LINE(PTP_TRUSTED), path); break;
    case PTP_CLOCK_OTHER_SCALE:
        say(r, LINE(PTP_OTHER_SCALE), path, fabs(ahead), ahead > 0 ? "ahead of" : "behind", path,
            ahead > 0 ? "tai" : "utc");
        break;
    case PTP_CLOCK_TOO_FAR:
        say(r, LINE(PTP_TOO_FAR), path, fabs(ahead), ahead > 0 ? "ahead of" : "behind");
        break;
    case PTP_CLOCK_BROKEN: say(r, LINE(PTP_BROKEN), path); break;
    case PTP_CLOCK_UNPROVEN: say(r, LINE(PTP_UNPROVEN), path); break;
    }
}

static void sock_event(const struct config *config, const struct event *e, struct journal_record *r)
{
    const char *hint = e->failure.error == ENOENT
                           ? "; is there a \"refclock SOCK\" line in chrony.conf?"
                       : e->failure.error == EAGAIN ? " (chronyd does not read)"
                                                    : "";

    say(r, LINE(SAMPLES_FAILING), config->sock, strerror(e->failure.error), hint);
    field_text(r, "VMCLOCK_REASON", strerror(e->failure.error));
    field_errno(r, e->failure.error);
}

static void withheld_event(const struct event *e, struct journal_record *r)
{
    const char *why = clock_verdict_str(e->withheld.verdict);

    if (e->withheld.verdict == CLOCK_OK && e->withheld.bound_ns == UINT64_MAX)
        say(r, LINE(WITHHELD_NO_BOUND));
    else if (e->withheld.verdict == CLOCK_OK)
        say(r, LINE(WITHHELD_OVER_BOUND), e->withheld.bound_ns);
    else
        say(r, LINE(WITHHELD), why);
    field_text(r, "VMCLOCK_REASON", e->withheld.verdict == CLOCK_OK ? "over max-error" : why);
}

static void first_sample_event(const struct event *e, struct journal_record *r)
{
    say(r, LINE(FIRST_SAMPLE), e->offset_sec);
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
        if (e->correction.cause == RECOVERY_CAUSE_START)
            say(r, LINE(LEFT_AT_START), e->correction.offset_sec);
        else
            say(r, LINE(LEFT_TO_CHRONYD), e->correction.offset_sec);
        break;
    case EVENT_COMMAND_MISSING: say(r, LINE(COMMAND_MISSING)); break;
    case EVENT_CANNOT_STEP: say(r, LINE(CANNOT_STEP)); break;
    case EVENT_SYNCHRONISED:
    case EVENT_NOT_SYNCHRONISED:
    case EVENT_ABANDONED: end_event(e, r); break;
    case EVENT_SETTINGS_RESTORED: say(r, LINE(SETTINGS_RESTORED)); break;
    case EVENT_PASSED_OVER: say(r, LINE(PASSED_OVER), e->count); break;
    case EVENT_SETTINGS_NOT_RESTORED: say(r, LINE(SETTINGS_NOT_RESTORED)); break;
    case EVENT_CHRONYD_SILENT:
    case EVENT_CHRONYD_AWAY:
    case EVENT_CHRONYD_BACK:
    case EVENT_BAD_REPLY: chronyd_event(config, e, r); break;
    case EVENT_SOCK_FAILED: sock_event(config, e, r); break;
    case EVENT_SOCK_BACK: say(r, LINE(SAMPLES_FLOW)); break;
    case EVENT_FIRST_SAMPLE: first_sample_event(e, r); break;
    case EVENT_CONTRADICTION: say(r, LINE(CONTRADICTION), e->count); break;
    case EVENT_PTP_CLOCK: ptp_event(config, e, r); break;
    case EVENT_REPEATS: say(r, LINE(REPEATS), event_str(e->repetition.what)); break;
    case EVENT_REPEATED:
        say(r, LINE(REPEATED), e->repetition.n, e->repetition.sec, event_str(e->repetition.what));
        break;
    case EVENT_N: break;
    case EVENT_SAMPLES_WITHHELD: withheld_event(e, r); break;
    }
}
