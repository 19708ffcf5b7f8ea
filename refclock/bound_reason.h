/* SPDX-License-Identifier: BSD-2-Clause */
/* What applications are told of the clock's bound, as numbers and in words. */
#ifndef REFCLOCK_BOUND_REASON_H
#define REFCLOCK_BOUND_REASON_H

/* As enum vmclock_clock_status in lib/vmclock.h has them, and ClockBound. */
enum bound_status { BOUND_UNKNOWN, BOUND_SYNCHRONISED, BOUND_FREE_RUNNING, BOUND_DISRUPTED };

/* Applications get these numbers: a new one goes to the end. */
enum bound_reason {
    BOUND_NO_PAGE,
    BOUND_STOPPING,
    BOUND_PAGE_UNSEEN,
    BOUND_RECOVERING,
    BOUND_UNCONFIRMED,
    BOUND_SUSPENDED,
    BOUND_LEAP,
    BOUND_BY_PAGE,
    BOUND_HOST_FREE,
    BOUND_PAGE_UNBOUNDED,
    BOUND_NO_REFERENCE,
    BOUND_BY_CHRONYD,
    BOUND_CHRONYD_LATE,
    BOUND_CHRONYD_LOST,
    BOUND_STEPPED,
    BOUND_TOO_LARGE,
    BOUND_N_REASONS,
};

/* "synchronised" and the like, as libvmclock and vmclockctl show it; "unknown" for any other
 * number. */
const char *bound_status_str(enum bound_status status);

/* In words; any number will do. */
const char *bound_reason_str(unsigned reason);

#endif
