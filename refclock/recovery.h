/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What chronyd is told after a disruption, one command at a time, each awaited before the next:
 * a table of states and events. It decides from what it is shown and never looks for itself.
 *
 * There are three ways: by a clock, the page or a PTP clock, with steps; the same by slewing; and
 * without a clock:
 *
 *     RESET -> AWAIT_PAGE -> ASK -> RATE -> OFFSET -> STEP -> STEP_RESIDUE -> OFFSET ... -> BURST
 *       |          |                                   `--> SLEW -----------> OFFSET ... -> BURST
 *       |          `--> REARM -> MINPOLL, MAXPOLL ----------------------------------------> BURST
 *       `-> CONFIRM: read and not answered; RESET once more, or AWAIT_PAGE: taken as done. Where
 *           nothing is answered, AWAIT_PAGE leads to the end, unconfirmed.
 *     BURST -> AWAIT_SYNC <-> REFINE -> RATE -> OFFSET -> STEP ...
 *
 * The offset does not wait for the rate. Where the rate is not known to the end when the offset is
 * corrected, it gets better with the time that it is measured over: REFINE corrects it about 3, 10,
 * 25, 50, 100, 200 and 500 ms, 1 and 4 s after the page is there, with what the offset has grown
 * to, each where it is more than its own uncertainty.
 *
 * After four unanswered commands beside RESET, any state leads to AWAIT_SYNC. So does the end,
 * unconfirmed, when a reply to RESET comes late.
 *
 * A command that chronyd has read and not answered may have been carried out. So none is simply
 * repeated: PROBE asks TRACKING, whose answer comes after chronyd has dealt with all before it,
 * the clock is measured again, and only what remains is sent. Each command has a limit, whatever
 * is answered: without replies the recovery ends, samples flow, and no more is sent.
 */
#ifndef REFCLOCK_RECOVERY_H
#define REFCLOCK_RECOVERY_H

#include "refclock/chrony_command.h"

#define RECOVERY_SERVERS_MAX 16

enum recovery_state {
    RECOVERY_IDLE,
    RECOVERY_RESET,   /* RESET_SOURCES */
    RECOVERY_CONFIRM, /* TRACKING, after a reset without a reply: is chronyd still synchronised? */
    RECOVERY_AWAIT_PAGE,   /* until the page is valid and the new host's */
    RECOVERY_ASK,          /* TRACKING: the frequency that DFREQ adds to */
    RECOVERY_RATE,         /* DFREQ */
    RECOVERY_OFFSET,       /* measure; DOFFSET2 */
    RECOVERY_STEP,         /* MAKESTEP */
    RECOVERY_STEP_RESIDUE, /* MAKESTEP once more: empties chronyd's register of what it knows is
                              left */
    RECOVERY_SLEW,         /* TRACKING until chronyd has slewed the offset away */
    RECOVERY_PROBE,        /* TRACKING, after a lost reply */
    RECOVERY_REARM,        /* MODIFY_MAKESTEP */
    RECOVERY_MINPOLL, /* MODIFY_MINPOLL and MODIFY_MAXPOLL of each server that may be boosted */
    RECOVERY_MAXPOLL,
    RECOVERY_BURST,      /* BURST */
    RECOVERY_AWAIT_SYNC, /* TRACKING until chronyd is synchronised again */
    RECOVERY_REFINE,     /* TRACKING, then measure: is the rate known better? */
    /* What a reply decides, on the way to one of the above: never rested in. */
    RECOVERY_CONFIRMED,   /* the reset was answered */
    RECOVERY_JUDGE_RESET, /* TRACKING was answered: was the reset done? */
    RECOVERY_MUTE,        /* TRACKING was not answered either */
    RECOVERY_UNCONFIRMED, /* the end without a confirmed reset */
    RECOVERY_JUDGE_LOST,  /* TRACKING was answered: go on from what is true */
    RECOVERY_JUDGE_SLEW,  /* how much is left of it? */
    RECOVERY_JUDGE_SYNC,  /* is chronyd synchronised? */
    RECOVERY_NO_COMMAND,  /* this chronyd has no DFREQ or DOFFSET2 */
    RECOVERY_SETTLE,      /* go on without rate and offset */
    RECOVERY_CANNOT_STEP, /* chronyd refuses MAKESTEP: it slews */
    RECOVERY_NEXT_SERVER,
    RECOVERY_N_STATES,
};

enum recovery_cause {
    RECOVERY_CAUSE_MARKER,  /* the disruption marker changed */
    RECOVERY_CAUSE_REQUEST, /* somebody asked for it */
    RECOVERY_CAUSE_FORMULA, /* the host's formula came after the recovery from its marker */
    RECOVERY_CAUSE_START,   /* chronyd started and knows nothing yet: no reset, just the clock */
};

enum recovery_event {
    RECOVERY_TICK, /* time passed, the page changed, or a measurement is there */
    RECOVERY_REPLY_OK,
    RECOVERY_REPLY_INVALID, /* this chronyd does not have the command */
    RECOVERY_REPLY_REFUSED, /* any other status */
    RECOVERY_SILENCE,       /* chronyd has read the command and not answered in time */
    RECOVERY_LATE_RESET,    /* the reset is confirmed after it was given up */
    RECOVERY_GONE,          /* nobody is at the command socket */
};

/* What the source of time, page or PTP clock, is good for in a recovery. */
enum recovery_page {
    RECOVERY_PAGE_MARKER_ONLY,
    RECOVERY_PAGE_NOT_YET, /* a clock that cannot be relied on now */
    RECOVERY_PAGE_PERIOD,  /* the period alone */
    RECOVERY_PAGE_TIME,    /* time, and no period that may be used */
    RECOVERY_PAGE_FULL,
};

enum recovery_step_policy { RECOVERY_STEP_ALWAYS, RECOVERY_STEP_FORWARD, RECOVERY_STEP_NEVER };

/* How it ended, or why the clock was not corrected. */
enum recovery_outcome {
    RECOVERY_OUTCOME_RUNNING,
    RECOVERY_OUTCOME_SYNCHRONISED,
    RECOVERY_OUTCOME_UNSYNCHRONISED, /* chronyd selected no reference within a minute */
    RECOVERY_OUTCOME_ABANDONED,   /* vmclockd stopped; at a start, chronyd or the page's clock was
                                     gone */
    RECOVERY_OUTCOME_UNCONFIRMED, /* chronyd never confirmed the reset */
};

/* Whose time the clock was corrected by. */
enum recovery_corrector {
    RECOVERY_CORRECTOR_NONE,    /* not yet */
    RECOVERY_CORRECTOR_PAGE,    /* the rate or the offset, or both */
    RECOVERY_CORRECTOR_PTP,     /* the same, by a PTP clock */
    RECOVERY_CORRECTOR_CHRONYD, /* it was left to find out */
};

struct recovery_config {
    enum recovery_step_policy step;
    int32_t makestep_limit; /* of chrony.conf, to be restored */
    bool makestep_assumed;  /* both are the default: chrony.conf could not be read */
    double makestep_threshold_sec;
    int32_t burst_good, burst_total; /* burst_total 0: none */
    int64_t step_max_ns;             /* larger offsets are left to chronyd */
    double rate_max_ppm;             /* larger rate errors are left to chronyd */
    unsigned n_servers;
    struct recovery_server {
        struct chrony_address address;
        int32_t minpoll, maxpoll; /* of chrony.conf, to be restored */
    } servers[RECOVERY_SERVERS_MAX];
};

/* What is known at this moment. */
struct recovery_view {
    int64_t now_ns; /* CLOCK_MONOTONIC */
    enum recovery_page page;
    bool unproven;                  /* it may still be what the old host wrote */
    bool busy;                      /* a command that is not the recovery's awaits its reply */
    enum recovery_corrector source; /* whose time and rate the next ones are: page or PTP clock */
    bool awaits_measurement;        /* one that was ordered is still to come */
    bool measured;           /* the offset was, for this step, and the rate as far as it can be */
    double offset_sec;       /* true time minus system time; NAN: could not be measured */
    double offset_doubt_sec; /* its standard deviation */
    double least_offset_sec; /* what the source is good for: less is left to chronyd at first */
    bool rate_known;         /* as of chronyd's last answer to TRACKING */
    double rate_ppm;         /* by which the system's clock runs fast */
    double rate_doubt_ppm;   /* its standard deviation */
    bool has_reference;      /* chronyd has one, by its last answer to TRACKING */
    bool synchronised;     /* with RECOVERY_REPLY_OK to TRACKING: it is the one that we wait for */
    double correction_sec; /* what chronyd still has to slew, by that answer; NAN: not told */
    double root_delay_sec; /* of the servers that it followed before; NAN: not known */
};

/* What a step has brought, as bits. */
enum recovery_news {
    RECOVERY_NEWS_CONFIRMED = 1 << 0,   /* the reset */
    RECOVERY_NEWS_ASSUMED = 1 << 1,     /* the reset: it was read, and no more can be known */
    RECOVERY_NEWS_REFUSED = 1 << 2,     /* the reset, which is tried again */
    RECOVERY_NEWS_DENIED = 1 << 3,      /* the reset, to the end */
    RECOVERY_NEWS_AWAITS_PAGE = 1 << 4, /* the new host's */
    RECOVERY_NEWS_HOST_LATE = 1 << 5,   /* it goes on without knowing whose page it is */
    RECOVERY_NEWS_NO_COMMAND = 1 << 6,  /* chronyd has no DFREQ or DOFFSET2 */
    RECOVERY_NEWS_CANNOT_STEP = 1 << 7, /* chronyd refuses MAKESTEP */
    RECOVERY_NEWS_TOO_LARGE = 1 << 8,   /* beyond max-step or max-rate */
    RECOVERY_NEWS_LEFT = 1 << 9,        /* may not be stepped, and is too large to slew */
    RECOVERY_NEWS_CORRECTED = 1 << 10,
    RECOVERY_NEWS_REFINED = 1 << 11, /* after that, by `refined` */
    RECOVERY_NEWS_ENDED = 1 << 12,
};

struct recovery_order {
    unsigned news; /* enum recovery_news */
    struct {
        double rate_ppm, offset_sec;
    } refined, refused; /* with RECOVERY_NEWS_REFINED, RECOVERY_NEWS_TOO_LARGE */
    bool measure;       /* measure and step again, at once */
    bool send;
    struct chrony_command command;
    int64_t wake_at_ns; /* step again then at the latest; INT64_MAX: when something happens */
};

struct recovery {
    enum recovery_state state;
    enum recovery_cause cause;
    enum recovery_state probe_for;  /* in PROBE: the state whose reply was lost */
    enum recovery_page page_grade;  /* what the page was good for when it was last decided */
    enum recovery_corrector source; /* and whose time that is */
    enum recovery_outcome outcome;
    bool sent;              /* this state's command is under way */
    bool measuring;         /* a measurement was ordered in the step before */
    bool away;              /* in RESET: nobody has been at the command socket for long */
    bool exact_unavailable; /* this chronyd has no DFREQ or DOFFSET2 */
    bool cannot_step;       /* chronyd does not, as under its -x: it slews */
    bool left_to_chronyd;   /* its offset, for it is too large, or long to slew */
    bool had_reference;     /* chronyd, when the reset was sent */
    bool reset_confirmed;   /* by its reply, or by TRACKING: the reference was lost with it */
    bool reset_assumed;     /* chronyd has read it, and nothing more can be known */
    bool mute;              /* no reply to that came back, nor to TRACKING: it is sent no more */
    bool synchronised;      /* chronyd was, at the end */
    bool last_offset_slews; /* what was sent last is to be slewed, not stepped */
    bool offset_sent;       /* one was, since the beginning */
    unsigned round, server;
    unsigned failures;          /* in this state, in a row */
    unsigned unanswered_resets; /* that chronyd has read */
    unsigned unanswered;        /* other commands that it has read */
    int64_t wait_until_ns;      /* nothing is sent before */
    int64_t slew_since_ns;
    int64_t first_slew_ns; /* since when slews hold the samples; 0: none has yet */
    int64_t released_ns;   /* when samples were allowed again; 0: not yet */
    int64_t started_ns, reset_ns, corrected_ns, synchronised_ns, ended_ns; /* 0: has not been */
    /* What was corrected, for the report. */
    double rate_ppm, offset_sec;
    double remaining_sec; /* NAN: not measured */
    /* What comes after the first correction, by a rate that is known better. */
    struct {
        bool runs;
        int64_t since_ns, due_ns;    /* due 0: not any more, or not at all */
        double rate_ppm, offset_sec; /* sent in this one; or in the first correction */
    } refinement;
};

/* Their names in the state file and in JSON; "unknown" for any other number. */
const char *recovery_state_str(enum recovery_state state);
const char *recovery_cause_str(enum recovery_cause cause);
const char *recovery_outcome_str(enum recovery_outcome outcome);

/* Who corrected the clock; the figures mean nothing where it was chronyd. */
enum recovery_corrector recovery_corrected_by(const struct recovery *r);
const char *recovery_corrector_str(enum recovery_corrector corrector); /* NULL: none yet */

/*
 * Begin, or begin again, whatever is under way. The reset is not sent before `not_before_ns`;
 * `reset_queued`: one that chronyd has not read yet is under way and serves this recovery as well.
 */
void recovery_begin(struct recovery *r, enum recovery_cause cause, int64_t now_ns,
    int64_t not_before_ns, bool reset_queued);

/* End the one that runs, if one does: vmclockd stops. */
void recovery_abandon(struct recovery *r, int64_t now_ns);

/*
 * Samples are held back until the clock has been corrected or cannot be. While nobody is at the
 * command socket, for ten seconds only; again when chronyd is back.
 */
bool recovery_holds_samples(const struct recovery *r);

/* No sample is taken while a correction is refined. */
bool recovery_pauses_samples(const struct recovery *r);

/* It corrects the clock by the page: if the page jumps now, it was the old host's. */
bool recovery_uses_page(const struct recovery *r);

/* It has told chronyd all that it has to: settings may be given back. */
bool recovery_is_resting(const struct recovery *r);

/* One event; *ret_order is what is to be done now. */
void recovery_step(struct recovery *r, const struct recovery_config *config,
    enum recovery_event event, const struct recovery_view *view, struct recovery_order *ret_order);

#endif
