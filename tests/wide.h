/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 128-bit integers, modulo 2^128: the tests' own arithmetic, which 32-bit userlands have as
 * well. Bit by bit, slow and plain, so that an error in the daemon's cannot hide in it.
 */
#ifndef TESTS_WIDE_H
#define TESTS_WIDE_H

#include <stdint.h>

struct wide {
    uint64_t high, low;
};

static inline struct wide wide_add(struct wide a, struct wide b)
{
    const uint64_t low = a.low + b.low;

    return (struct wide){a.high + b.high + (low < a.low), low};
}

static inline struct wide wide_subtract(struct wide a, struct wide b)
{
    return (struct wide){a.high - b.high - (a.low < b.low), a.low - b.low};
}

static inline struct wide wide_shift_right(struct wide a, unsigned n)
{
    if (n >= 128)
        return (struct wide){0, 0};
    if (n >= 64)
        return (struct wide){0, a.high >> (n - 64)};
    return n == 0 ? a : (struct wide){a.high >> n, a.low >> n | a.high << (64 - n)};
}

static inline struct wide wide_shift_left(struct wide a, unsigned n)
{
    if (n >= 128)
        return (struct wide){0, 0};
    if (n >= 64)
        return (struct wide){a.low << (n - 64), 0};
    return n == 0 ? a : (struct wide){a.high << n | a.low >> (64 - n), a.low << n};
}

static inline struct wide wide_multiply(uint64_t a, uint64_t b)
{
    struct wide product = {0, 0}, shifted = {0, a};

    for (; b != 0; b >>= 1) {
        if (b & 1)
            product = wide_add(product, shifted);
        shifted = wide_add(shifted, shifted);
    }
    return product;
}

/* part / whole in 2^-64, rounded down; part < whole < 2^63. */
static inline uint64_t wide_fraction(uint64_t part, uint64_t whole)
{
    uint64_t fraction = 0;

    for (int bit = 0; bit < 64; bit++) {
        part *= 2;
        fraction = fraction * 2 + (part >= whole);
        part -= part >= whole ? whole : 0;
    }
    return fraction;
}

static inline int wide_compare(struct wide a, struct wide b)
{
    return a.high != b.high ? (a.high > b.high) - (a.high < b.high)
                            : (a.low > b.low) - (a.low < b.low);
}

#endif
