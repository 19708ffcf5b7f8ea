/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's clocks, read between two readings of the CPU's counter. */
#ifndef DAEMON_SYSTEM_CLOCK_H
#define DAEMON_SYSTEM_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "refclock/counter_watch.h"
#include "refclock/cross_timestamp.h"

/* CLOCK_MONOTONIC and CLOCK_BOOTTIME, in ns. */
int64_t system_clock_monotonic_ns(void);
int64_t system_clock_boottime_ns(void);

/* CLOCK_MONOTONIC_COARSE, which is behind CLOCK_MONOTONIC by up to a tick. */
int64_t system_clock_coarse_ns(void);

/* CLOCK_MONOTONIC, and by how much others are ahead of it: what a suspend and a step change. */
struct system_clocks {
    int64_t monotonic_ns;
    int64_t suspended_ns;     /* CLOCK_BOOTTIME, */
    int64_t realtime_less_ns; /* CLOCK_REALTIME; both to a few us where the machine is not busy */
};

/* The closest together of some readings: to be kept from running in between is no suspend. */
void system_clock_look(struct system_clocks *ret_clocks);

/* A moment, so that its date is known after the machine was suspended, too. */
struct clock_moment {
    int64_t monotonic_ns; /* CLOCK_MONOTONIC; 0: it has not come */
    int64_t suspended_ns; /* CLOCK_BOOTTIME minus that, then */
};

/* Take one that has just been; nothing is done where it was taken before. */
void clock_moment_take(struct clock_moment *moment, int64_t monotonic_ns);

/* CLOCK_REALTIME then, by the clock as it is now: corrected since, maybe. */
int64_t clock_moment_realtime_ns(
    const struct clock_moment *moment, const struct system_clocks *now);

/* n cross-timestamps of a clock. */
void system_clock_read(clockid_t clock, size_t n, struct cross_timestamp *ret_readings);

/* The kernel's TAI - UTC in s, 0 where it was not told; false: its clock was set meanwhile. */
bool system_clock_tai_offset(int *ret_sec);

/* The counter's period in seconds, to about 1e-3; sleeps for 2 ms. 0: there is no counter. */
double system_clock_counter_period(void);

/* What the kernel's clock source is to the counter that counter_read() reads. 0 or -errno. */
int system_clock_source(enum clock_source_kind *ret_source);

#endif
