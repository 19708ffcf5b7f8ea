/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/fixed.h"

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
