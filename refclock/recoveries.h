/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recovery that runs, or ran last, and what links one to the next: whose reset is still to be
 * confirmed, which marker chronyd was reset for, and how fast resets may follow each other.
 */
#ifndef REFCLOCK_RECOVERIES_H
#define REFCLOCK_RECOVERIES_H

#include "refclock/reporter.h"

struct recoveries {
    struct recovery recovery;     /* started_ns 0: there was none yet */
    uint64_t count;               /* whose reset was confirmed, by one chronyd or more */
    uint64_t failed;              /* that ended unconfirmed, or without a reference */
    bool counted, failed_counted; /* this one is: it may end twice, by a late reply */
    uint64_t confirmed_marker;    /* chronyd was reset for it, as far as can be known */

    bool pending; /* a disruption whose reset is not confirmed */
    int64_t pending_since_ns;
    bool unconfirmed; /* this chronyd did not confirm the last reset */
    bool late_reported, awaiting_reported, refusal_reported;

    int64_t reset_sent_ns; /* 0: none was */
    unsigned interrupted;  /* recoveries in a row that another one ended before it was done */
};

/* What is known beside the recovery's own view. */
struct recoveries_view {
    uint64_t marker;
    enum clock_verdict verdict; /* of the page */
    uint32_t refid;             /* chronyd's reference */
    uint16_t status;            /* of its last reply */
    bool dry_run;               /* nothing comes of what is ordered */
};

/*
 * There was no recovery yet; the marker, 0: none, whether its reset was taken as done without
 * chronyd's word, and the counts are of the vmclockd before.
 */
void recoveries_init(struct recoveries *rs, uint64_t confirmed_marker, bool unconfirmed,
    uint64_t count, uint64_t failed);

/* The first page that was ever seen: there was no disruption before it. */
void recoveries_need_none(struct recoveries *rs, uint64_t marker);

/*
 * Begin one. `queued`: chronyd has not read a reset of the one before, which serves this one as
 * well. `stopping`: the next start will find the marker unconfirmed.
 */
void recoveries_begin(struct recoveries *rs, struct reporter *reporter, enum recovery_cause cause,
    int64_t watch_interval_ns, bool queued, bool stopping);

/* vmclockd stops. */
void recoveries_abandon(
    struct recoveries *rs, struct reporter *reporter, const struct recoveries_view *view);

/* One step; what it brought is reported. *ret_order is what is to be done now. */
void recoveries_step(struct recoveries *rs, struct reporter *reporter,
    const struct recovery_config *config, enum recovery_event event,
    const struct recovery_view *recovery_view, const struct recoveries_view *view,
    struct recovery_order *ret_order);

/* Another chronyd, which knows nothing of the time before. */
void recoveries_meet_another(struct recoveries *rs);

#endif
