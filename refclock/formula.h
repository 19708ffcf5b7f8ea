/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose formula is on the page, and does it hold still?
 *
 * At a disruption a host may change the marker before the formula, and the old host may rewrite its
 * own just before the marker. So a formula that continues the last one that was believed proves
 * nothing: it may be the old host's.
 *
 *     marker       differs from what the believed one      it is the new host's: believed
 *     changed --+--predicts (1 us, 1e-7), or was written-->
 *               |  after the marker was seen
 *               |
 *               `--continues it------------------------->  unproven: wait until it is rewritten
 *                                                          with a reference after the marker
 *
 * A recovery waits for five seconds at most. A formula that jumps after that ("late") or while the
 * clock is being corrected was not the new host's before: what chronyd was told is wrong, and the
 * recovery has to be made again, a few times at most. At any other time a jump is the host's own
 * correction, which samples follow, unless it jumps all the time, or by whole seconds, as a wrong
 * leap second does.
 */
#ifndef REFCLOCK_FORMULA_H
#define REFCLOCK_FORMULA_H

#include "refclock/clock_model.h"

struct formula {
    bool unproven; /* it may be the old host's */
    bool has_believed;
    struct clock_model believed; /* the last one that is known to be this host's */
    uint64_t detected_counter;   /* where the marker was seen to have changed */
    bool late;                   /* the recovery went on without knowing whose it is */
    unsigned recoveries;         /* that were made again because of it, since the disruption */
    unsigned jumps;              /* without a disruption, in a row */
    int64_t jumped_ns;
    /* It has moved by whole seconds, away from `moved_from`, and is not followed at once. */
    struct clock_model moved_from;
    int64_t moved_ns; /* when; 0: it has not */
};

/* What a page's formula was, before it is taken. */
struct formula_before {
    bool had; /* one that could be used */
    struct clock_model model;
    uint64_t counter_value; /* its page's, also where it could not be used */
    bool marker_changed;    /* with it */
    bool was_unproven;      /* before that */
    bool in_use;            /* a recovery corrects the clock by it */
};

/* The marker has changed, seen at `counter`. All that was known of the host is forgotten. */
void formula_disrupted(struct formula *f, uint64_t counter);

/* A page's formula that can be used; true: a recovery has to be made again because of it. */
bool formula_take(struct formula *f, const struct clock_model *model,
    const struct formula_before *before, int64_t now_ns);

/* A recovery begins by this formula. `trusted`: what has moved is followed. */
void formula_recovered(struct formula *f, bool trusted);

/* A recovery goes on without knowing whose formula it is. */
void formula_is_late(struct formula *f);

/* Whether it may be followed: CLOCK_OK, CLOCK_UNSTEADY, CLOCK_SECONDS_MOVED. */
enum clock_verdict formula_verdict(const struct formula *f, int64_t now_ns);

#endif
