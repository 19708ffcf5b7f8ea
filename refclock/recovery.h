/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What chronyd is told after a disruption, one command at a time, each awaited before the next:
 * a table of states and events. It decides from what it is shown and never looks for itself.
 *
 * With a full page, where no steps are allowed, and with less than a full page:
 *
 *     RESET -> HOST -> PROBE -> RATE -> OFFSET -> STEP -> FLUSH -> OFFSET ... -> BURST -> SYNC
 *                                           `---> SLEW
 *                 `-----------------------------> REARM -----------------------> BURST -> SYNC
 *                                                     `--> MINPOLL, MAXPOLL
 *
 * A command whose reply was lost may have been carried out, so that it is never simply repeated:
 * PROBE finds out that chronyd has done with what was sent before, then the clock is measured anew
 * and only what remains is sent. PROBE's answer also says what chronyd's frequency is.
 */
#ifndef REFCLOCK_RECOVERY_H
#define REFCLOCK_RECOVERY_H

#include "refclock/chrony_command.h"

#define RECOVERY_SERVERS_MAX 16

enum recovery_state {
    RECOVERY_IDLE,
    RECOVERY_RESET,   /* RESET_SOURCES */
    RECOVERY_HOST,    /* until the page is valid and the new host's */
    RECOVERY_RATE,    /* DFREQ, by the frequency that chronyd has just told */
    RECOVERY_OFFSET,  /* measure; DOFFSET2 */
    RECOVERY_STEP,    /* MAKESTEP */
    RECOVERY_FLUSH,   /* MAKESTEP once more: empties chronyd's register of what it knows is left */
    RECOVERY_SLEW,    /* until chronyd has slewed the offset away */
    RECOVERY_PROBE,   /* TRACKING, before RATE and after a lost reply */
    RECOVERY_REARM,   /* MODIFY_MAKESTEP */
    RECOVERY_MINPOLL, /* MODIFY_MINPOLL and MODIFY_MAXPOLL of each server that may be boosted */
    RECOVERY_MAXPOLL,
    RECOVERY_BURST, /* BURST */
    RECOVERY_SYNC,  /* TRACKING until chronyd is synchronised again */
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
    RECOVERY_GONE,          /* nobody is at the command socket */
};

/* What the page is good for, as far as the recovery is concerned. */
enum recovery_page {
    RECOVERY_PAGE_MARKER_ONLY,
    RECOVERY_PAGE_NOT_YET, /* a clock that cannot be relied on now */
    RECOVERY_PAGE_PERIOD,  /* the period alone */
    RECOVERY_PAGE_TIME,    /* time, but no period good to 1e-8 */
    RECOVERY_PAGE_FULL,
};

enum recovery_step_policy { RECOVERY_STEP_ALWAYS, RECOVERY_STEP_FORWARD, RECOVERY_STEP_NEVER };

/* How it ended, or why the clock was not corrected. */
enum recovery_outcome {
    RECOVERY_OUTCOME_RUNNING,
    RECOVERY_OUTCOME_SYNCHRONISED,
    RECOVERY_OUTCOME_UNSYNCHRONISED, /* chronyd had not chosen a reference within a minute */
    RECOVERY_OUTCOME_ABANDONED,      /* vmclockd ended, or chronyd did at its own start */
};

struct recovery_config {
    enum recovery_step_policy step;
    int32_t makestep_limit; /* what chrony.conf says, to be put back */
    double makestep_threshold_sec;
    int32_t burst_good, burst_total; /* burst_total 0: none */
    int64_t step_max_ns;             /* larger offsets are left to chronyd */
    double rate_max_ppm;             /* larger rate errors are left to chronyd */
    unsigned n_servers;
    struct recovery_server {
        struct chrony_address address;
        int32_t minpoll, maxpoll; /* what chrony.conf says, to be put back */
    } servers[RECOVERY_SERVERS_MAX];
};

/* What is known at this moment. */
struct recovery_view {
    int64_t now_ns; /* CLOCK_MONOTONIC */
    enum recovery_page page;
    bool unproven;     /* it may still be what the old host wrote */
    bool measured;     /* the offset was, for this step */
    double offset_sec; /* true time minus system time; NAN: could not be measured */
    bool rate_known;   /* to 1e-8 or better, as of chronyd's last answer to TRACKING */
    double rate_ppm;   /* by which the system's clock runs fast */
    bool
        synchronised; /* with RECOVERY_REPLY_OK to TRACKING: the reference is the one we wait for */
};

struct recovery_order {
    bool measure; /* measure and step again, at once */
    bool send;
    struct chrony_command command;
    int64_t wake_at_ns; /* step again then at the latest; INT64_MAX: when something happens */
};

struct recovery {
    enum recovery_state state;
    enum recovery_cause cause;
    enum recovery_state lost; /* in PROBE: the state whose reply was lost, or RATE before it */
    enum recovery_page plan;  /* what the page was good for when it was last decided */
    enum recovery_outcome outcome;
    bool sent;               /* this state's command is under way */
    bool measuring;          /* a measurement was ordered in the step before */
    bool exact_unavailable;  /* this chronyd has no DFREQ or DOFFSET2 */
    bool cannot_step;        /* chronyd does not, as under its -x: it slews */
    bool refused_correction; /* the rate or the offset is beyond what is accepted */
    bool makestep_changed;   /* and to be put back */
    bool polls_changed;
    bool reset_confirmed;
    bool slews; /* what was sent last is to be slewed, not stepped */
    unsigned round, losses, server, failures;
    int64_t wait_until_ns;                                /* nothing is sent before */
    int64_t started_ns, reset_ns, corrected_ns, ended_ns; /* 0: has not been */
    /* What was corrected, for the report. */
    double rate_ppm, offset_sec;
    double remaining_sec; /* NAN: not measured */
};

const char *recovery_state_str(enum recovery_state state);
const char *recovery_cause_str(enum recovery_cause cause);
const char *recovery_outcome_str(enum recovery_outcome outcome);

/* Begin, or begin again, whatever is under way. */
void recovery_begin(struct recovery *r, enum recovery_cause cause, int64_t now_ns);

/* Samples are held back until the clock has been corrected or cannot be. */
bool recovery_holds_samples(const struct recovery *r);

/* One event; *ret_order is what is to be done now. */
void recovery_step(struct recovery *r, const struct recovery_config *config,
    enum recovery_event event, const struct recovery_view *view, struct recovery_order *ret_order);

#endif
