/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reading of a PTP clock: its time, CLOCK_REALTIME and CLOCK_MONOTONIC_RAW of one moment.
 *
 * The kernel gives all three at once (PTP_SYS_OFFSET_PRECISE), or the clock between two readings of
 * CLOCK_REALTIME (PTP_SYS_OFFSET_EXTENDED, PTP_SYS_OFFSET). Then CLOCK_MONOTONIC_RAW is read beside
 * it, and brought to the same moment by CLOCK_REALTIME, which is not stepped within microseconds.
 *
 * Source: Linux include/uapi/linux/ptp_clock.h
 */
#ifndef REFCLOCK_PTP_READING_H
#define REFCLOCK_PTP_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PTP_READINGS_MAX 8 /* of one batch */

struct ptp_time {
    int64_t sec;
    uint32_t nsec; /* below 1e9 */
};

struct ptp_reading {
    struct ptp_time device, realtime, raw;
    int64_t half_width_ns; /* of the bracket around the device's reading */
};

/* from - to in ns; too far apart for a double's 53 bits it is rounded. */
double ptp_time_ns(const struct ptp_time *from, const struct ptp_time *to);

/* All three at one moment. False: a time is out of range. */
bool ptp_reading_of_precise(const struct ptp_time *device, const struct ptp_time *realtime,
    const struct ptp_time *raw, struct ptp_reading *ret_reading);

/*
 * The device between two readings of CLOCK_REALTIME; `raw` was read at `raw_realtime` of that
 * clock. False: a time is out of range, or the bracket is negative or over 5 ms wide.
 */
bool ptp_reading_of_bracket(const struct ptp_time *before, const struct ptp_time *device,
    const struct ptp_time *after, const struct ptp_time *raw, const struct ptp_time *raw_realtime,
    struct ptp_reading *ret_reading);

#endif
