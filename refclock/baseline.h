/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast one clock runs by another, from batches of readings of both, and how well that is known:
 * the middle of the latest batch against that of the first one. It needs no knowledge of either
 * clock's ticks, and gets better with the time between.
 *
 *     first batch  *..*.*                                     *.*..*  latest batch
 *                    `----------- what one clock says ----------'
 *                      over what the other one says: the rate
 */
#ifndef REFCLOCK_BASELINE_H
#define REFCLOCK_BASELINE_H

#include "refclock/cross_timestamp.h"

/* The middle of a batch. */
struct baseline_end {
    struct cross_timestamp narrowest; /* of the batch's readings; the next two are beyond it */
    double ticks, ns;
    unsigned n; /* readings; 0: there is no batch */
};

struct baseline {
    struct baseline_end first, next, latest; /* `next` follows `first`, which gets old */
    double spread_ns; /* of one reading, standard deviation, as in the latest batch */
};

/* Begin again with the next batch: a rate that was known is so no more. */
void baseline_forget(struct baseline *b);

/*
 * Take a batch of n readings. Those with a bracket over twice the narrowest were disturbed, and do
 * not count. A clock that went back, or two that moved apart by more than 0.1 ms and a thousandth
 * of the time between, as in a suspended machine, start a new baseline. It grows to a minute, and
 * moves on.
 */
void baseline_take(struct baseline *b, const struct cross_timestamp *readings, size_t n);

/*
 * Nanoseconds a tick, and the relative standard deviation of that; false: it is not known yet.
 */
bool baseline_rate(const struct baseline *b, double *ret_ns_per_tick, double *ret_doubt);

#endif
