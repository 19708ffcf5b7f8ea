/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened, as the tracker reports it; daemon/messages.def has the words, event_str() short
 * ones. */
#ifndef REFCLOCK_EVENT_H
#define REFCLOCK_EVENT_H

#include "refclock/clock_model.h"
#include "refclock/ptp_clock.h"
#include "refclock/recovery.h"

enum event_id {                  /* the member of struct event that is valid */
    EVENT_MODE,                  /* mode */
    EVENT_PAGE_INVALID,          /* page */
    EVENT_PAGE_BUSY,             /* busy: seq_count is odd, or moves at every look, for 100 ms */
    EVENT_PAGE_BACK,             /* after one of the two above, or after a loss */
    EVENT_PAGE_LOST,             /* failure: of the device */
    EVENT_DISRUPTION,            /* marker */
    EVENT_GENERATION,            /* generation */
    EVENT_CLOCK_STATUS,          /* clock_status */
    EVENT_MAINTENANCE,           /* maintenance */
    EVENT_RECOVERY,              /* cause: one that begins, other than by a marker */
    EVENT_WOULD_SEND,            /* command: dry run, it would be sent */
    EVENT_WOULD_FEED,            /* offset_sec: dry run, of the first sample that would be sent */
    EVENT_WOULD_HAVE_FED,        /* samples: dry run, at the end */
    EVENT_RESET_CONFIRMED,       /* reset */
    EVENT_UNCONFIRMED,           /* reset: it was read and never answered, or refused to the end */
    EVENT_RESET_LATE,            /* reset: it is still not confirmed */
    EVENT_NOT_CONFIRMED,         /* reset: it was refused, and is tried again */
    EVENT_AWAITING_HOST,         /* verdict; CLOCK_OK: still the old formula */
    EVENT_HOST_LATE,             /* verdict: the recovery goes on without the host */
    EVENT_CORRECTED,             /* correction */
    EVENT_REFINED,               /* correction: after that, by a rate that is known better */
    EVENT_CORRECTION_REFUSED,    /* correction: it is beyond max-step or max-rate */
    EVENT_LEFT_TO_CHRONYD,       /* correction: not to be stepped, and long to slew */
    EVENT_COMMAND_MISSING,       /* chronyd has no DFREQ or DOFFSET2 */
    EVENT_CANNOT_STEP,           /* chronyd refuses MAKESTEP */
    EVENT_SYNCHRONISED,          /* end: of a recovery */
    EVENT_NOT_SYNCHRONISED,      /* end: chronyd has selected no reference within a minute */
    EVENT_ABANDONED,             /* end: vmclockd stops */
    EVENT_SETTINGS_RESTORED,     /* chronyd's settings */
    EVENT_PASSED_OVER,           /* count: of those that were sent back, without an answer */
    EVENT_SETTINGS_NOT_RESTORED, /* at the end, chronyd did not answer */
    EVENT_CHRONYD_SILENT,        /* silence */
    EVENT_CHRONYD_AWAY,          /* failure: of the command socket */
    EVENT_CHRONYD_BACK,          /* it answers again */
    EVENT_BAD_REPLY,             /* reply */
    EVENT_SOCK_FAILED,           /* failure: of the SOCK path */
    EVENT_SOCK_BACK,
    EVENT_FIRST_SAMPLE,     /* offset_sec: since samples were held back */
    EVENT_CONTRADICTION,    /* count: pages so far that deny the bounds of those before */
    EVENT_SAMPLES_WITHHELD, /* withheld */
    EVENT_PTP_CLOCK,        /* ptp: whether it is trusted */
    EVENT_REPEATS,          /* repetition: not reported again until it stops */
    EVENT_REPEATED,         /* repetition: it has stopped */
    EVENT_N,
};

enum tracker_mode { TRACKER_MODE_UNKNOWN, TRACKER_MODE_MARKER_ONLY, TRACKER_MODE_CLOCK };

/* What the host announces. */
enum maintenance {
    MAINTENANCE_NONE,
    MAINTENANCE_SOON,     /* within about a day */
    MAINTENANCE_IMMINENT, /* within about an hour */
};

struct event {
    enum event_id id;
    union {
        struct {
            enum clock_verdict verdict;
            enum tracker_mode before, now;
        } mode;
        enum page_verdict page;
        struct {
            uint32_t seq_count;
        } busy;
        struct {
            int error; /* errno */
        } failure;
        struct {
            uint64_t before, now;
            bool while_away; /* it changed while vmclockd was not running */
        } marker;
        struct {
            uint64_t before, now;
            bool disrupted; /* the marker changed as well */
        } generation;
        struct {
            uint8_t before, now; /* enum vmclock_clock_status, or anything */
        } clock_status;
        enum maintenance maintenance;
        enum recovery_cause cause;
        struct {
            struct chrony_command what;
            unsigned server; /* of a poll: its place in the configuration */
        } command;
        double offset_sec;
        struct {
            uint64_t n;
            double least_sec, most_sec; /* their offsets */
        } samples;
        struct {
            uint64_t marker;
            double ms; /* since the disruption was seen */
            bool refused;
            uint16_t status; /* chronyd's, where it was refused */
        } reset;
        enum clock_verdict verdict;
        struct {
            enum recovery_cause cause;
            enum recovery_corrector by;
            double ppm, offset_sec; /* positive ppm: the clock runs fast; 0: not in question */
            double remaining_sec;
            double ms; /* since the disruption was seen */
        } correction;
        struct {
            enum recovery_cause cause;
            uint64_t marker;
            uint32_t refid;
            double ms, reset_ms, corrected_ms; /* since it was seen; NAN: it has not been */
        } end;
        struct {
            enum chrony_command_id command;
            bool unread; /* chronyd does not even read it */
        } silence;
        struct {
            enum chrony_reply_verdict verdict;
            size_t length; /* bytes */
        } reply;
        uint64_t count;
        struct {
            enum clock_verdict verdict; /* CLOCK_OK: the bound is over max-error */
            uint64_t bound_ns;          /* UINT64_MAX: there is none */
        } withheld;
        struct {
            enum ptp_clock_state state;
            double difference_sec; /* of chronyd's time: positive, the PTP clock is ahead */
        } ptp;
        struct {
            enum event_id what;
            uint64_t n;
            double sec;
        } repetition;
    };
};

/* What happened, in a few words. */
const char *event_str(enum event_id id);

#endif
