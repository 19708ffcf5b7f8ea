/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counter as it is read, and the kernel's clocks beside it: does it go backwards, how fast does
 * CLOCK_MONOTONIC_RAW run by it, which TAI offset has the kernel?
 */
#ifndef REFCLOCK_COUNTER_WATCH_H
#define REFCLOCK_COUNTER_WATCH_H

#include "refclock/raw_rate.h"

struct counter_watch {
    bool read; /* `value` is the last one that was read since the last disruption */
    bool back; /* it went backwards: only a disruption makes it good again */
    uint64_t value;
    bool is_source;       /* of the kernel's clocks: what follows is known of no other one */
    struct raw_rate rate; /* kept through disruptions: the kernel's rate does not change */
    int64_t due_ns;       /* when CLOCK_MONOTONIC_RAW is to be read next */
    int kernel_tai;       /* TAI - UTC in s, as last observed; 0: the kernel was not told */
};

void counter_watch_init(struct counter_watch *w, int64_t now_ns);

/* Another counter, or another value of it: the next baseline begins a moment later. */
void counter_watch_disrupted(struct counter_watch *w, int64_t now_ns);

/* Whether it is the kernel's clock source; a rate that was known outlives no change of that. */
void counter_watch_take_source(struct counter_watch *w, bool is_source);

/* Readings of any clock, in the order in which they were taken. */
void counter_watch_take(struct counter_watch *w, const struct cross_timestamp *readings, size_t n);

/* The same, of CLOCK_MONOTONIC_RAW. */
void counter_watch_take_raw(
    struct counter_watch *w, const struct cross_timestamp *readings, size_t n, int64_t now_ns);

/* The kernel's TAI offset in s, as it was just read. */
void counter_watch_take_tai(struct counter_watch *w, int tai_offset_sec);

/*
 * By how many ppm the system's clock runs fast by `model`, where chronyd has set `frequency_ppm`;
 * false: it is not known to 1e-8, or the clock runs by another counter.
 */
bool counter_watch_rate_error(const struct counter_watch *w, const struct clock_model *model,
    double frequency_ppm, double *ret_ppm);

#endif
