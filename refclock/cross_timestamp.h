/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cross-timestamps: a system clock read between two readings of the counter. Of several, the one
 * with the narrowest bracket was disturbed least.
 */
#ifndef REFCLOCK_CROSS_TIMESTAMP_H
#define REFCLOCK_CROSS_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "refclock/clock_model.h"

#define CROSS_TIMESTAMPS_MAX 64

struct cross_timestamp {
    uint64_t counter_before, counter_after;
    int64_t sec; /* the system clock in between */
    uint32_t nsec;
};

/*
 * Whether the counter went backwards while n readings were taken, one after the other, or since
 * *last, which is brought up to date. CPUs whose counters are not synchronised look like that, to
 * a reader that was moved between them; the number of the CPU would say less.
 */
bool cross_timestamp_watch_back(const struct cross_timestamp *readings, size_t n, uint64_t *last);

/*
 * The narrowest of n, or NULL where none can be used: the counter went backwards in it, or the
 * nanoseconds are out of range. A reader that was preempted or moved in the middle took longer.
 */
const struct cross_timestamp *cross_timestamp_narrowest(
    const struct cross_timestamp *readings, size_t n);

/* The counter in the middle of the bracket. */
uint64_t cross_timestamp_counter(const struct cross_timestamp *reading);

/* What the model says of the system clock at one reading. */
struct offset {
    double sec;         /* true time minus system time; positive: the system is behind */
    int64_t ns;         /* the same, rounded */
    bool has_bound;     /* the host guarantees one */
    uint64_t bound_ns;  /* of the error, the bracket's half width included; or UINT64_MAX */
    uint64_t width_ns;  /* of the bracket */
    int leap, tai_step; /* as in struct clock_time */
    int64_t system_sec; /* the system clock at the reading */
    uint32_t system_nsec;
};

/* CLOCK_OK, or why the model gives no time there. */
enum clock_verdict cross_timestamp_offset(const struct cross_timestamp *reading,
    const struct clock_model *model, struct offset *ret_offset);

#endif
