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

/* Inline, for libvmclock computes a time in a few ns. */

/* a + b and a - b; false where the seconds do not fit. */
static inline bool fixed_add(struct fixed a, struct fixed b, struct fixed *ret_sum)
{
    const uint64_t frac = a.frac + b.frac;
    const int64_t carry = frac < a.frac;
    int64_t sec;

    /* The carry joins the smaller addend, so that it cannot overflow where the sum does not. */
    if (a.sec < b.sec)
        a.sec += carry;
    else if (b.sec < INT64_MAX)
        b.sec += carry;
    else if (carry)
        return false;
    if (__builtin_add_overflow(a.sec, b.sec, &sec))
        return false;
    *ret_sum = (struct fixed){sec, frac};
    return true;
}

static inline bool fixed_sub(struct fixed a, struct fixed b, struct fixed *ret_difference)
{
    const int64_t borrow = a.frac < b.frac;
    int64_t sec;

    if (__builtin_sub_overflow(a.sec, b.sec, &sec) || __builtin_sub_overflow(sec, borrow, &sec))
        return false;
    *ret_difference = (struct fixed){sec, a.frac - b.frac};
    return true;
}

/* The 128-bit product. */
static inline void fixed_multiply(uint64_t a, uint64_t b, uint64_t *ret_high, uint64_t *ret_low)
{
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 uint128;
    const uint128 product = (uint128)a * b;

    *ret_high = (uint64_t)(product >> 64);
    *ret_low = (uint64_t)product;
#else
    /* 32-bit userlands have no wider integer. */
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t low = al * bl;
    const uint64_t middle = ah * bl + (low >> 32);
    const uint64_t other = al * bh + (uint32_t)middle;

    *ret_high = ah * bh + (middle >> 32) + (other >> 32);
    *ret_low = other << 32 | (uint32_t)low;
#endif
}

/*
 * ticks * period * 2^-(64 + shift) s, rounded down to 2^-64 s, for any shift; false where the
 * seconds do not fit.
 */
static inline bool fixed_from_ticks(
    uint64_t ticks, uint64_t period, unsigned shift, struct fixed *ret)
{
    uint64_t high, low;

    fixed_multiply(ticks, period, &high, &low);
    if (shift >= 128) {
        high = low = 0;
    } else if (shift >= 64) {
        low = high >> (shift - 64);
        high = 0;
    } else if (shift > 0) {
        low = low >> shift | high << (64 - shift);
        high >>= shift;
    }
    if (high > INT64_MAX)
        return false;
    *ret = (struct fixed){(int64_t)high, low};
    return true;
}

/* In ns, rounded to nearest, saturating at INT64_MIN and INT64_MAX. */
static inline int64_t fixed_to_ns(struct fixed value)
{
    uint64_t whole, rest;
    int64_t ns;

    fixed_multiply(value.frac, UINT64_C(1000000000), &whole, &rest);
    whole += rest >> 63;
    if (__builtin_mul_overflow(value.sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)whole, &ns))
        return value.sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

/* Of its fraction, rounded down: 0 to 999999999. */
static inline uint32_t fixed_nsec(struct fixed value)
{
    uint64_t whole, rest;

    fixed_multiply(value.frac, UINT64_C(1000000000), &whole, &rest);
    return (uint32_t)whole;
}

/* sec + nsec * 1e-9 s to within 2^-64 s; nsec 0 to 999999999. */
struct fixed fixed_from_timespec(int64_t sec, uint32_t nsec);

/* In seconds. */
double fixed_to_double(struct fixed value);

#endif
