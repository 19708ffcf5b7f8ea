/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The samples: when one is due, whether it may be sent, what the last one was, and whether they
 * reach chronyd.
 */
#ifndef REFCLOCK_FEEDER_H
#define REFCLOCK_FEEDER_H

#include "refclock/cross_timestamp.h"
#include "refclock/reporter.h"
#include "refclock/sock_sample.h"

struct feeder {
    int64_t due_ns;
    bool flowing;               /* a sample has reached chronyd since they were held back */
    bool withheld;              /* the last one was, for this: */
    enum clock_verdict verdict; /* CLOCK_OK: its bound is over max-error */
    bool has_offset;            /* `offset` is as it is now */
    struct offset offset;       /* as last measured */
    int64_t measured_ns;        /* CLOCK_MONOTONIC, when that was; 0: it was not */
    int error;                  /* errno of the last one that was sent */
    uint64_t sent;
    struct {
        uint64_t samples;
        double least_sec, most_sec; /* their offsets */
    } pretended;                    /* dry run: what would have been sent */
};

struct feeder_view {
    int64_t now_ns, slack_ns;
    int64_t interval_ns;
    uint64_t max_error_ns; /* 0: no limit */
    bool dry_run;
    bool is_clock; /* the page is one, and no recovery holds samples back */
    bool may_feed; /* and vmclockd neither starts nor stops, and the host does not write */
    bool measured; /* in this step; the two that follow are valid */
    enum clock_verdict verdict;
    const struct offset *offset;
};

/* The first sample is due at once, CLOCK_MONOTONIC; `sent`: by the vmclockd before. */
void feeder_init(struct feeder *f, int64_t now_ns, uint64_t sent);

/* The present interval is as long as an earlier configuration said: begin a new one. */
void feeder_hurry(struct feeder *f, int64_t now_ns);

/* A recovery begins: samples stop. */
void feeder_hold(struct feeder *f);

/* What came of the last sample, errno or 0. True: it is the first to arrive after a failure. */
bool feeder_take_result(struct feeder *f, struct reporter *reporter, int error, bool may_feed);

/* Whether to send *ret_sample. */
bool feeder_step(struct feeder *f, struct reporter *reporter, const struct feeder_view *view,
    struct sock_sample *ret_sample);

/* A sample is due, or will be within `slack_ns`. */
bool feeder_is_due(const struct feeder *f, int64_t now_ns, int64_t slack_ns);

/* vmclockd stops: report what a dry run has left out. */
void feeder_report_pretended(const struct feeder *f, struct reporter *reporter);

#endif
