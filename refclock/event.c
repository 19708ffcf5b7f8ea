/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/event.h"

const char *event_str(enum event_id id)
{
    switch (id) {
    case EVENT_MODE: return "the page turned into another kind of clock";
    case EVENT_PAGE_INVALID: return "an invalid page";
    case EVENT_PAGE_BUSY: return "a page that is being written";
    case EVENT_PAGE_BACK: return "the page is valid again";
    case EVENT_PAGE_LOST: return "the device is lost";
    case EVENT_DISRUPTION: return "a disruption";
    case EVENT_GENERATION: return "another VM generation";
    case EVENT_CLOCK_STATUS: return "another clock status";
    case EVENT_MAINTENANCE: return "an announcement";
    case EVENT_RECOVERY: return "a recovery without a disruption";
    case EVENT_WOULD_SEND: return "a command that a dry run leaves out";
    case EVENT_WOULD_FEED: return "samples that a dry run leaves out";
    case EVENT_WOULD_HAVE_FED: return "the sum of what a dry run left out";
    case EVENT_RESET_CONFIRMED: return "a confirmed reset";
    case EVENT_UNCONFIRMED: return "a reset without a reply";
    case EVENT_RESET_LATE: return "an unconfirmed reset";
    case EVENT_NOT_CONFIRMED: return "a refused reset";
    case EVENT_AWAITING_HOST: return "waiting for the host";
    case EVENT_HOST_LATE: return "a late host";
    case EVENT_CORRECTED: return "a corrected clock";
    case EVENT_REFINED: return "a refined correction";
    case EVENT_CORRECTION_REFUSED: return "too large a correction";
    case EVENT_LEFT_TO_CHRONYD: return "a correction that is left to chronyd";
    case EVENT_COMMAND_MISSING: return "a missing command";
    case EVENT_CANNOT_STEP: return "a refused step";
    case EVENT_SYNCHRONISED: return "chronyd is synchronised";
    case EVENT_NOT_SYNCHRONISED: return "chronyd is not synchronised";
    case EVENT_ABANDONED: return "an unfinished recovery";
    case EVENT_SETTINGS_RESTORED: return "settings restored";
    case EVENT_PASSED_OVER: return "settings sent to be restored, not answered";
    case EVENT_SETTINGS_NOT_RESTORED: return "settings not restored";
    case EVENT_CHRONYD_SILENT: return "chronyd is silent";
    case EVENT_CHRONYD_AWAY: return "chronyd is away";
    case EVENT_CHRONYD_BACK: return "chronyd is back";
    case EVENT_BAD_REPLY: return "a bad reply";
    case EVENT_SOCK_FAILED: return "samples fail";
    case EVENT_SOCK_BACK: return "samples arrive again";
    case EVENT_FIRST_SAMPLE: return "samples flow";
    case EVENT_CONTRADICTION: return "a contradiction";
    case EVENT_SAMPLES_WITHHELD: return "samples are withheld";
    case EVENT_PTP_CLOCK: return "a change of the PTP clock";
    case EVENT_REPEATS:
    case EVENT_REPEATED:
    case EVENT_N: break;
    }
    return "something";
}
