/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/fixed.h"

bool fixed_add(struct fixed a, struct fixed b, struct fixed *ret_sum)
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

bool fixed_sub(struct fixed a, struct fixed b, struct fixed *ret_difference)
{
    const int64_t borrow = a.frac < b.frac;
    int64_t sec;

    if (__builtin_sub_overflow(a.sec, b.sec, &sec) || __builtin_sub_overflow(sec, borrow, &sec))
        return false;
    *ret_difference = (struct fixed){sec, a.frac - b.frac};
    return true;
}

/* The 128-bit product; by halves, since 32-bit userlands have no wider integer. */
static void multiply(uint64_t a, uint64_t b, uint64_t *ret_high, uint64_t *ret_low)
{
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t low = al * bl;
    const uint64_t middle = ah * bl + (low >> 32);
    const uint64_t other = al * bh + (uint32_t)middle;

    *ret_high = ah * bh + (middle >> 32) + (other >> 32);
    *ret_low = other << 32 | (uint32_t)low;
}

bool fixed_from_ticks(uint64_t ticks, uint64_t period, unsigned shift, struct fixed *ret)
{
    uint64_t high, low;

    multiply(ticks, period, &high, &low);
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

struct fixed fixed_from_timespec(int64_t sec, uint32_t nsec)
{
    /* 2^64 / 1e9 = 18446744073 + 709551616 / 1e9 */
    const uint64_t frac =
        nsec * UINT64_C(18446744073) + nsec * UINT64_C(709551616) / UINT64_C(1000000000);

    return (struct fixed){sec, frac};
}

double fixed_to_double(struct fixed value)
{
    /* Near zero from below, sec + frac would lose what frac alone keeps. */
    if (value.sec < 0)
        return (double)(value.sec + 1) - (double)(UINT64_MAX - value.frac) * 0x1p-64 - 0x1p-64;
    return (double)value.sec + (double)value.frac * 0x1p-64;
}

int64_t fixed_to_ns(struct fixed value)
{
    uint64_t whole, rest;
    int64_t ns;

    multiply(value.frac, UINT64_C(1000000000), &whole, &rest);
    whole += rest >> 63;
    if (__builtin_mul_overflow(value.sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)whole, &ns))
        return value.sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}
