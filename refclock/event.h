/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened, as the tracker reports it; daemon/journal.c has the words. */
#ifndef REFCLOCK_EVENT_H
#define REFCLOCK_EVENT_H

#include <stdint.h>

enum event_id {
    EVENT_MODE,         /* code: enum clock_verdict; old, new: enum tracker_mode */
    EVENT_PAGE_INVALID, /* code: enum page_verdict */
    EVENT_PAGE_BUSY,    /* seq_count is odd, or moves at every look, for 100 ms; new: seq_count */
    EVENT_PAGE_BACK,    /* after one of the two above, or after a loss */
    EVENT_PAGE_LOST,    /* code: errno */
    EVENT_DISRUPTION,   /* old, new: disruption marker; code: 1 while we were not running */
    EVENT_GENERATION,   /* old, new: vm_generation_counter; code: 1 with a disruption */
    EVENT_CLOCK_STATUS, /* old, new: enum vmclock_status */
    EVENT_MAINTENANCE,  /* code: 0 called off, 1 soon (a day), 2 imminent (an hour) */
    EVENT_RECOVERY,     /* code: enum recovery_cause, other than a marker */
    /*
     * Dry run: a command that would be sent. code: enum chrony_command_id; a: ppm, s, threshold in
     * s or log2 of s; old: good; new: total, limit, or the server's place in the configuration.
     */
    EVENT_WOULD_SEND,
    EVENT_WOULD_FEED,      /* dry run: samples would be sent; b: the first one's offset in s */
    EVENT_WOULD_HAVE_FED,  /* dry run, at the end; new: samples; a, b: smallest, largest offset in s
                            */
    EVENT_RESET_CONFIRMED, /* new: disruption marker; a: ms since it was seen */
    EVENT_UNCONFIRMED, /* the reset was read and never answered, code 1: refused; new: marker; a: ms
                        */
    EVENT_RESET_LATE,  /* still not confirmed; new: disruption marker; a: ms */
    EVENT_NOT_CONFIRMED,      /* RESET_SOURCES refused; code: chronyd's status; new: marker */
    EVENT_AWAITING_HOST,      /* code: enum clock_verdict; CLOCK_OK: still the old formula */
    EVENT_HOST_LATE,          /* went on without; code: enum clock_verdict */
    EVENT_CORRECTED,          /* a: ppm, b: s, c: s left or NAN, d: ms since it was seen */
    EVENT_CORRECTION_REFUSED, /* beyond what is accepted; a: ppm, b: s */
    EVENT_LEFT_TO_CHRONYD, /* b: s, not to be stepped and long to slew; code: enum recovery_cause */
    EVENT_COMMAND_MISSING, /* chronyd has no DFREQ or DOFFSET2 */
    EVENT_CANNOT_STEP,     /* chronyd refuses MAKESTEP */
    /*
     * The end of a recovery. code: enum recovery_cause; old: disruption marker; new: reference id;
     * a, b, c: ms from when it was seen to now, to the reset, to the correction, NAN: was none.
     */
    EVENT_SYNCHRONISED,
    EVENT_NOT_SYNCHRONISED, /* after a minute */
    EVENT_ABANDONED,        /* vmclockd ends */
    EVENT_PUT_BACK,         /* chronyd's settings */
    EVENT_NOT_PUT_BACK,     /* at the end, chronyd did not answer */
    EVENT_CHRONYD_SILENT,   /* code: enum chrony_command_id; new: 1 it does not even read */
    EVENT_CHRONYD_AWAY,     /* code: errno of the command socket */
    EVENT_CHRONYD_BACK,     /* answers again */
    EVENT_BAD_REPLY,        /* code: enum chrony_reply_verdict; new: length in bytes */
    EVENT_SOCK_FAILED,      /* code: errno of the SOCK path */
    EVENT_SOCK_BACK,
    EVENT_FIRST_SAMPLE,     /* since samples were held back; b: offset in s */
    EVENT_CONTRADICTION,    /* a page denies the bounds of those before; new: how often so far */
    EVENT_SAMPLES_WITHHELD, /* code: enum clock_verdict; CLOCK_OK: over max-error; new: bound in ns,
                               UINT64_MAX: there is none */
    EVENT_REPEATS,  /* code: enum event_id, which comes all the time: not reported again for now */
    EVENT_REPEATED, /* that is over; code: enum event_id; new: how often, a: in how many s */
    EVENT_N,
};

struct event {
    enum event_id id;
    int code;
    uint64_t old, new;
    double a, b, c, d;
};

/* What happened, in a few words. */
const char *event_str(enum event_id id);

#endif
