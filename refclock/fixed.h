/* SPDX-License-Identifier: BSD-2-Clause */
/* Time in fixed point: seconds and 2^-64 seconds, exact where a double is not. */
#ifndef REFCLOCK_FIXED_H
#define REFCLOCK_FIXED_H

#include <stdbool.h>
#include <stdint.h>

/* The value sec + frac * 2^-64 s; frac counts upwards also where sec is negative. */
struct fixed {
    int64_t sec;
    uint64_t frac;
};

/* a + b and a - b; false where the seconds do not fit. */
bool fixed_add(struct fixed a, struct fixed b, struct fixed *ret_sum);
bool fixed_sub(struct fixed a, struct fixed b, struct fixed *ret_difference);

/*
 * ticks * period * 2^-(64 + shift) s, rounded down to 2^-64 s, for any shift; false where the
 * seconds do not fit.
 */
bool fixed_from_ticks(uint64_t ticks, uint64_t period, unsigned shift, struct fixed *ret);

/* sec + nsec * 1e-9 s to within 2^-64 s; nsec 0 to 999999999. */
struct fixed fixed_from_timespec(int64_t sec, uint32_t nsec);

/* In seconds, and in ns rounded to nearest (saturating at INT64_MIN and INT64_MAX). */
double fixed_to_double(struct fixed value);
int64_t fixed_to_ns(struct fixed value);

#endif
