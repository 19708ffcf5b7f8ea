/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What follows a recovery that left the rate to chronyd, with NTP servers alone. A few measurements
 * give chronyd a good offset and a bad rate, and the next ones come a minute later: more of them
 * help. It also weighs what it measures against its own skew, which is of before the disruption,
 * and takes the new rate for noise: TRACKING's residual frequency has it, and DFREQ makes chronyd
 * take it.
 *
 *     the recovery's BURST -> 8 s -> BURST -> 16 s -> BURST -> 32 s -> BURST -> 64 s -> BURST
 *                                 `-- DFREQ, three times at most --'
 *
 * It ends once chronyd's own estimates say that the rate is good, half a minute later at the
 * earliest.
 */
#ifndef REFCLOCK_AFTERCARE_H
#define REFCLOCK_AFTERCARE_H

#include "refclock/chrony_client.h"

struct aftercare {
    unsigned bursts_left; /* BURST is sent so often */
    int64_t burst_due_ns, burst_interval_ns;
    unsigned rates_left;          /* and a rate that these tell so often */
    struct chrony_time rate_time; /* of the update that told the last one */
};

/* What is so at this moment. */
struct aftercare_view {
    int64_t now_ns, disrupted_ns; /* CLOCK_MONOTONIC */
    bool resting;                 /* no recovery is under way, and vmclockd does not stop */
    bool needs_rate;              /* neither the page nor a PTP clock tells it */
    bool polls_fast;              /* its servers are boosted, which tells it as soon */
    bool may_burst, may_rate;     /* by the configuration */
    double rate_max_ppm;
};

/* The recovery's own BURST is sent. */
void aftercare_begin(struct aftercare *a, int64_t now_ns);

/* No more of it: the next recovery, or another chronyd. */
void aftercare_end(struct aftercare *a);

/* chronyd has told that it has a reference: is that good enough to end it? */
void aftercare_referenced(
    struct aftercare *a, const struct known_chronyd *known, const struct aftercare_view *view);

/* BURST may be sent, at burst_due_ns; and that it is. */
bool aftercare_may_burst(const struct aftercare *a, const struct known_chronyd *known,
    const struct aftercare_view *view);
void aftercare_burst_sent(struct aftercare *a, int64_t now_ns);

/*
 * DFREQ of chronyd's residual frequency is due now: it is of another update than the last one, and
 * beyond what the noise of measurements over this time explains. And that it is sent; that chronyd
 * does not take it.
 */
bool aftercare_rate_is_due(const struct aftercare *a, const struct known_chronyd *known,
    const struct aftercare_view *view);
void aftercare_rate_sent(struct aftercare *a, const struct known_chronyd *known);
void aftercare_rate_refused(struct aftercare *a);

#endif
