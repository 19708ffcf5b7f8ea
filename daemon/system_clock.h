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

/* CLOCK_REALTIME minus CLOCK_MONOTONIC. */
int64_t system_clock_realtime_less_ns(void);

/* n cross-timestamps of a clock. */
void system_clock_read(clockid_t clock, size_t n, struct cross_timestamp *ret_readings);

/* The kernel's TAI - UTC in s, 0 where it was not told; false: its clock was set meanwhile. */
bool system_clock_tai_offset(int *ret_sec);

/* The counter's period in seconds, to about 1e-3; sleeps for 2 ms. 0: there is no counter. */
double system_clock_counter_period(void);

/* What the kernel's clock source is to the counter that counter_read() reads. 0 or -errno. */
int system_clock_source(enum clock_source_kind *ret_source);

#endif
