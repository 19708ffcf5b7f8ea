/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What recoveries changed in chronyd and have to give back: makestep, and the polls of servers.
 * chronyd cannot be asked for them, so they are what chrony.conf says.
 *
 *     changed ... first reference since then ... given back 30 s later
 *        `---------------- 5 minutes at the latest ----------------'
 *
 * It belongs to one chronyd: another one has read its own chrony.conf, and is told nothing.
 */
#ifndef REFCLOCK_RESTORE_H
#define REFCLOCK_RESTORE_H

#include "refclock/recovery.h"

struct restore {
    bool makestep, polls; /* what was changed; neither: nothing is to be given back */
    int64_t due_ns;       /* CLOCK_MONOTONIC */
    bool makestep_used;   /* chronyd had used up its limit: restore 0 */
    uint64_t chronyd_id;  /* whose settings they are; 0: not known */
    unsigned next;        /* the setting that is next: makestep, then minpoll and maxpoll of each */
    unsigned tries;       /* of that one, without a reply */
    unsigned passed_over; /* settings that were given up after so many */
    int32_t makestep_limit;
    double makestep_threshold_sec;
    unsigned n_servers;
    struct recovery_server servers[RECOVERY_SERVERS_MAX];
};

/* With what the vmclockd before left of it: that is due at once. */
void restore_init(struct restore *r, const struct restore *saved,
    const struct recovery_config *config, int64_t now_ns);

/* Something is to be given back. */
bool restore_is_pending(const struct restore *r);

/*
 * A command is about to change a setting of `chronyd_id`: keep what `config` has, to be given back
 * at `latest_ns`. `makestep_used`: its limit is used up, and not to be had a second time. Returns
 * whether that has to be saved before the command is sent.
 */
bool restore_remember(struct restore *r, const struct recovery_config *config,
    enum chrony_command_id changes, bool makestep_used, uint64_t chronyd_id, int64_t latest_ns);

/*
 * The configuration is another one: what is pending is given back as it says, all of it, and at
 * once where it forbids the steps that chronyd was allowed.
 */
void restore_reconfigure(struct restore *r, const struct recovery_config *config);

/* chronyd has a reference: its first one since the change makes this due in half a minute. */
void restore_referenced(struct restore *r, int64_t now_ns);

/* It is due now: vmclockd stops, or has just started. */
void restore_hurry(struct restore *r, int64_t now_ns);

/* `chronyd_id` is there (0: not known which one): forget what was another's. */
void restore_meet(struct restore *r, uint64_t chronyd_id);

/* All of it has been given back. */
void restore_done(struct restore *r);

/* The next command; false: that was all. */
bool restore_next(const struct restore *r, struct chrony_command *ret_command);

/* That command was answered, by whatever: a source that is gone has no settings. */
void restore_answered(struct restore *r);

/* It was not: it is sent again once chronyd answers, and given up after a few times. */
void restore_unanswered(struct restore *r, int64_t now_ns);

/*
 * Leave out of *config each server whose polls there is no room to remember: what cannot be
 * restored is not changed.
 */
void restore_limit(const struct restore *r, struct recovery_config *config);

#endif
