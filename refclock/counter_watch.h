/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counter as it is read, and the kernel's clocks beside it: does it go backwards, how fast does
 * CLOCK_MONOTONIC_RAW run by it, which TAI offset has the kernel?
 *
 * Where the counter is the kernel's clock source, that rate is one of the kernel's own numbers:
 * known to 1 ppb after a second, or 15 s for a slow counter, and the same through every disruption.
 * Another clock source has another rate on each host, which is measured after each disruption; so
 * is the kernel's number until it is known.
 */
#ifndef REFCLOCK_COUNTER_WATCH_H
#define REFCLOCK_COUNTER_WATCH_H

#include "refclock/baseline.h"
#include "refclock/raw_rate.h"

/* What the kernel's clocks go by. */
enum clock_source_kind {
    CLOCK_SOURCE_OTHER,
    CLOCK_SOURCE_COUNTER, /* the counter */
    CLOCK_SOURCE_KVM,     /* kvm-clock: the counter, by a frequency in whole kHz */
};

struct counter_watch {
    bool read; /* `value` is the last one that was read since the last disruption */
    bool back; /* it went backwards: only a disruption makes it good again */
    uint64_t value;
    enum clock_source_kind source; /* what follows is known of no other one */
    struct raw_rate rate;          /* of the counter as the source: kept through disruptions */
    struct baseline baseline;      /* since the disruption */
    int64_t due_ns;                /* when CLOCK_MONOTONIC_RAW is to be read next */
    int kernel_tai; /* TAI - UTC in s, as last observed; 0: the kernel was not told */
};

/* Nothing was measured; the first readings are due at once. `now_ns`: CLOCK_MONOTONIC. */
void counter_watch_init(struct counter_watch *w, int64_t now_ns);

/* Another counter, or another value of it. */
void counter_watch_disrupted(struct counter_watch *w, int64_t now_ns);

/* A rate that was known outlives no change of the kernel's clock source. */
void counter_watch_take_source(
    struct counter_watch *w, enum clock_source_kind source, int64_t now_ns);

/* Readings of any clock, in the order in which they were taken. */
void counter_watch_take(struct counter_watch *w, const struct cross_timestamp *readings, size_t n);

/* The same, of CLOCK_MONOTONIC_RAW. */
void counter_watch_take_raw(
    struct counter_watch *w, const struct cross_timestamp *readings, size_t n, int64_t now_ns);

/* The kernel's TAI offset in s, as it was just read. */
void counter_watch_take_tai(struct counter_watch *w, int tai_offset_sec);

/* How fast CLOCK_MONOTONIC_RAW runs is known as well as it can be: no reading makes it better. */
bool counter_watch_is_final(const struct counter_watch *w);

/*
 * By how many ppm the system's clock runs fast by `model`, where chronyd has set `frequency_ppm`,
 * and the standard deviation of that; false: nothing is known of it.
 */
bool counter_watch_rate_error(const struct counter_watch *w, const struct clock_model *model,
    double frequency_ppm, double *ret_ppm, double *ret_doubt_ppm);

#endif
