/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's counter, and whether the kernel's clock goes by it. */
#ifndef DAEMON_CLOCK_SOURCE_H
#define DAEMON_CLOCK_SOURCE_H

#include "refclock/counter_watch.h"

struct clock_source {
    enum clock_source_kind kind; /* of the kernel's clocks */
    double period_sec;           /* of the counter, as measured; 0: there is none */
};

/* Measure the counter, for 2 ms; what is unusual about it is logged. */
void clock_source_measure(struct clock_source *source);

/* Look for the first time, and again: the kernel drops a counter that it finds unstable, at any
 * time. Each change is logged. */
void clock_source_start(struct clock_source *source);
void clock_source_watch(struct clock_source *source);

#endif
