/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast the system's clock runs against the counter.
 *
 * CLOCK_MONOTONIC_RAW advances by exactly mult / 2^shift ns a tick where the kernel's clock source
 * is the counter, so that a second's observation, rounded to the next whole mult, gives the rate
 * with no error at all. CLOCK_REALTIME runs by chronyd's frequency faster or slower, and by nothing
 * else once a reset has ended what chronyd was slewing. Both stay true through a disruption, in
 * which only the counter's own rate changes.
 *
 * Source: Linux kernel/time/clocksource.c for the choice of shift; measured to 0.35 ppb.
 */
#ifndef REFCLOCK_RAW_RATE_H
#define REFCLOCK_RAW_RATE_H

#include "refclock/cross_timestamp.h"

struct raw_rate {
    bool anchored, known;
    struct cross_timestamp anchor; /* the baseline's start; CLOCK_MONOTONIC_RAW */
    double ns_per_tick;            /* with `known` */
    unsigned contradictions;       /* observations in a row that deny it */
};

/*
 * Take one observation of CLOCK_MONOTONIC_RAW; the first known rate is there after a second, or
 * after 15 s for a counter so slow (ARM's at 25 or 62.5 MHz) that its mults lie too close together.
 */
void raw_rate_observe(struct raw_rate *rate, const struct cross_timestamp *raw);

/* Another clock source: nothing is known. */
void raw_rate_forget(struct raw_rate *rate);

/* The counter was disrupted: start a new baseline, keep what is known. */
void raw_rate_disrupted(struct raw_rate *rate);

/*
 * By how many ppm the system's clock runs fast, seen from a model of the true time: what DFREQ
 * takes. CLOCK_MONOTONIC_RAW advances by `ns_per_tick`; `frequency_ppm` is chronyd's: by how much
 * the clock is kept slower than that.
 */
double raw_rate_error_ppm(
    double ns_per_tick, const struct clock_model *model, double frequency_ppm);

#endif
