/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "daemon/device.h"
#include "daemon/log.h"
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

static void mode_event(const struct event *e)
{
    const char *why = clock_verdict_str((enum clock_verdict)e->code);

    if (e->new == TRACKER_MODE_CLOCK && e->code == CLOCK_OK)
        log_notice("the page is a clock");
    else if (e->new == TRACKER_MODE_CLOCK)
        log_warning("the page is no clock now: %s; no samples until it is", why);
    else
        log_notice("marker-only: %s; watching the disruption marker", why);
}

static void status_event(const struct event *e)
{
    const bool good = e->new == VMCLOCK_STATUS_SYNCHRONISED;

    log_line(good ? LOG_PRIO_NOTICE : LOG_PRIO_WARNING, "the host's clock status: %s, was %s",
        page_clock_status_str((uint8_t)e->new), page_clock_status_str((uint8_t)e->old));
}

static void corrected_event(const struct event *e)
{
    if (fabs(e->c) > fmax(1e-6, fabs(e->b) / 2))
        log_warning("chronyd was told to correct the clock by %+.9f s and %+.4f ppm, but %+.9f s "
                    "are left",
            e->b, 0 - e->a, e->c);
    else
        log_notice("the clock is corrected by %+.9f s and %+.4f ppm, %.0f ns left, after %.3f ms",
            e->b + 0.0, 0 - e->a, rint(e->c * 1e9) + 0.0, e->d);
}

static void maintenance_event(const struct event *e)
{
    if (e->code == 2)
        log_warning("the host announces a disruption within about an hour");
    else if (e->code == 1)
        log_notice("the host announces a disruption within about a day");
    else
        log_notice("the host no longer announces a disruption");
}

static void generation_event(const struct event *e)
{
    if (e->code)
        log_notice("the VM generation counter changed from 0x%" PRIx64 " to 0x%" PRIx64
                   ": this guest was restored or cloned",
            e->old, e->new);
    else
        log_notice("the VM generation counter changed from 0x%" PRIx64 " to 0x%" PRIx64
                   " without a disruption: a fork on the same host; the clock is still good",
            e->old, e->new);
}

static void silent_event(const struct config *config, const struct event *e)
{
    log_warning("chronyd %s %s on %s; asking again until it does",
        e->new ? "does not read (is it stopped?) our" : "does not answer",
        chrony_command_str((enum chrony_command_id)e->code), config->command_socket);
}

static void away_event(const struct config *config, const struct event *e)
{
    log_warning("chronyd cannot be reached at %s: %s; trying until it can", config->command_socket,
        strerror(e->code));
}

static void sock_event(const struct config *config, const struct event *e)
{
    const char *hint = e->code == ENOENT   ? "; is there a \"refclock SOCK\" line in chrony.conf?"
                       : e->code == EAGAIN ? " (chronyd does not read)"
                                           : "";

    log_warning(
        "samples cannot be sent to %s: %s%s; trying on", config->sock, strerror(e->code), hint);
}

void journal_event(const struct config *config, const struct event *e)
{
    char refid[9];

    switch (e->id) {
    case EVENT_MODE: mode_event(e); break;
    case EVENT_PAGE_INVALID:
        log_err("%s: %s; waiting for a valid page", config->device,
            page_verdict_str((enum page_verdict)e->code));
        break;
    case EVENT_PAGE_BUSY:
        log_warning("%s: the host has been writing for 100 ms (seq_count %" PRIu64
                    "); no samples until it is done",
            config->device, e->new);
        break;
    case EVENT_PAGE_BACK: log_notice("%s: the page is valid again", config->device); break;
    case EVENT_PAGE_LOST:
        log_err("%s: the device is lost: %s; waiting for it", config->device,
            device_error_str(-e->code));
        break;
    case EVENT_DISRUPTION:
        log_warning("disruption marker changed from 0x%" PRIx64 " to 0x%" PRIx64
                    "%s: chronyd has to forget its measurements",
            e->old, e->new, e->code ? " while vmclockd was not running" : "");
        break;
    case EVENT_GENERATION: generation_event(e); break;
    case EVENT_CLOCK_STATUS: status_event(e); break;
    case EVENT_MAINTENANCE: maintenance_event(e); break;
    case EVENT_RECOVERY:
        if (e->code == RECOVERY_CAUSE_START)
            log_notice("chronyd has no reference yet: correcting the clock from the page");
        else if (e->code == RECOVERY_CAUSE_FORMULA)
            log_notice("the host's new formula came late: recovering once more");
        else
            log_notice("a recovery was requested: chronyd has to forget its measurements");
        break;
    case EVENT_WOULD_RESET: log_notice("dry run: chronyd would be sent RESET_SOURCES"); break;
    case EVENT_RESET_CONFIRMED:
        log_notice(
            "chronyd confirmed the reset for marker 0x%" PRIx64 " after %.3f ms", e->new, e->a);
        break;
    case EVENT_NOT_CONFIRMED:
        log_err("chronyd refuses RESET_SOURCES: %s (%d); trying on",
            chrony_status_str((uint16_t)e->code), e->code);
        break;
    case EVENT_AWAITING_HOST:
        if (e->code == CLOCK_OK)
            log_info("the page still continues the old host's formula: waiting for the new one");
        else
            log_info("waiting for the new host's page: %s",
                clock_verdict_str((enum clock_verdict)e->code));
        break;
    case EVENT_HOST_LATE:
        if (e->code == CLOCK_OK)
            log_warning("the formula was not rewritten for 5 s: going on with it as it is");
        else
            log_warning("no valid page for 5 s (%s): going on without",
                clock_verdict_str((enum clock_verdict)e->code));
        break;
    case EVENT_CORRECTED: corrected_event(e); break;
    case EVENT_CORRECTION_REFUSED:
        log_err("an error of %+.9f s and %+.4f ppm is more than a disruption explains (max-step, "
                "max-rate): left to chronyd",
            e->b, e->a);
        break;
    case EVENT_COMMAND_MISSING:
        log_warning("this chronyd has no DFREQ or DOFFSET2: recoveries take a second or more");
        break;
    case EVENT_CANNOT_STEP:
        log_warning("chronyd refuses MAKESTEP (does it run with -x?): waiting for its slew");
        break;
    case EVENT_SYNCHRONISED:
        journal_refid((uint32_t)e->new, refid, sizeof(refid));
        log_notice("chronyd is synchronised to %s again, after %.0f ms", refid, e->a);
        break;
    case EVENT_NOT_SYNCHRONISED:
        log_warning("chronyd has no reference a minute after the disruption");
        break;
    case EVENT_PUT_BACK: log_info("chronyd's settings are put back"); break;
    case EVENT_NOT_PUT_BACK:
        log_warning("chronyd did not answer: its settings will be put back at the next start");
        break;
    case EVENT_CHRONYD_SILENT: silent_event(config, e); break;
    case EVENT_CHRONYD_AWAY: away_event(config, e); break;
    case EVENT_CHRONYD_BACK: log_notice("chronyd answers again"); break;
    case EVENT_BAD_REPLY:
        log_warning("a reply of %" PRIu64 " bytes on %s is ignored: %s", e->new,
            config->command_socket, chrony_reply_verdict_str((enum chrony_reply_verdict)e->code));
        break;
    case EVENT_SOCK_FAILED: sock_event(config, e); break;
    case EVENT_SOCK_BACK: log_notice("samples reach %s again", config->sock); break;
    case EVENT_FIRST_SAMPLE:
        log_info("samples flow, the first one's offset is %+.9f s", e->b);
        break;
    case EVENT_CONTRADICTION:
        log_warning("the page contradicts the error bounds of those before it (%" PRIu64
                    " times so far): the host's bounds cannot be relied on",
            e->new);
        break;
    case EVENT_SAMPLES_WITHHELD:
        if (e->code == CLOCK_OK && e->new == UINT64_MAX)
            log_warning(
                "samples are withheld: the page states no error bound, max-error wants one");
        else if (e->code == CLOCK_OK)
            log_warning("samples are withheld: their error bound, %" PRIu64
                        " ns, is over max-error",
                e->new);
        else
            log_warning("samples are withheld: %s", clock_verdict_str((enum clock_verdict)e->code));
        break;
    }
}
