/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For programs of a 32-bit userland whose time_t has 32 bits. The library itself has 64 there, and
 * programs that were built with _TIME_BITS=64 are led to its own function by vmclock.h.
 */
#pragma GCC visibility push(default)
#include "lib/vmclock.h"
#pragma GCC visibility pop

#if defined(__TIMESIZE) && __TIMESIZE == 32

#include <errno.h>

/* As the C library has it where time_t has 64 bits and long has 32. */
struct timespec64 {
    int64_t sec;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    int32_t padding;
#endif
    int32_t nsec;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    int32_t padding;
#endif
};

struct interval64 {
    struct timespec64 earliest, latest;
    enum vmclock_status status;
    uint64_t disruption_marker, vm_generation;
};

int vmclock_now_time64(struct vmclock *clock, struct interval64 *ret);

int vmclock_now(struct vmclock *clock, struct vmclock_interval *ret)
{
    struct interval64 now;
    const int r = vmclock_now_time64(clock, &now);

    if (r < 0)
        return r;
    if ((time_t)now.latest.sec != now.latest.sec)
        return -EOVERFLOW;
    *ret = (struct vmclock_interval){
        .earliest = {.tv_sec = (time_t)now.earliest.sec, .tv_nsec = now.earliest.nsec},
        .latest = {.tv_sec = (time_t)now.latest.sec, .tv_nsec = now.latest.nsec},
        .status = now.status,
        .disruption_marker = now.disruption_marker,
        .vm_generation = now.vm_generation,
    };
    return 0;
}

#else

/* There is one time_t. */
typedef int vmclock_time32_is_not_needed;

#endif
