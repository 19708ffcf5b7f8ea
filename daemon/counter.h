/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPU's counter that vmclock pages count by: the x86 TSC or the ARM virtual counter. */
#ifndef DAEMON_COUNTER_H
#define DAEMON_COUNTER_H

#include <stdint.h>

#include "refclock/page.h"

#if defined(__x86_64__) || defined(__i386__)
#define COUNTER_NATIVE       VMCLOCK_COUNTER_X86_TSC
#define COUNTER_CLOCK_SOURCE "tsc"
#elif defined(__aarch64__)
#define COUNTER_NATIVE       VMCLOCK_COUNTER_ARM_VIRTUAL
#define COUNTER_CLOCK_SOURCE "arch_sys_counter"
#else
#define COUNTER_NATIVE       VMCLOCK_COUNTER_NONE /* every page is marker-only here */
#define COUNTER_CLOCK_SOURCE ""
#endif

/*
 * Read after all that comes before in the program, and before all that comes after. The kernel's
 * clocks have a barrier of their own before they read the counter; with the one behind this
 * reading the middle of the narrowest of 4 brackets or more is 3 to 4 ns from what the kernel's
 * exact cross-timestamps say (tests/bench/bench_reading.py, in emulation), without it up to 30 ns.
 */
static inline uint64_t counter_read(void)
{
#if defined(__x86_64__) || defined(__i386__)
    uint32_t low, high;

    /* Not the compiler's intrinsics: 32-bit builds do not assume the SSE2 that lfence came with. */
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
    uint64_t value;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(value)::"memory");
    return value;
#else
    return 0;
#endif
}

/*
 * The counter's frequency in Hz as the hardware states it; 0: it does not. The ARM register is what
 * firmware wrote there, and need not be what the counter runs at.
 */
static inline uint64_t counter_stated_hz(void)
{
#if defined(__aarch64__)
    uint64_t value;

    __asm__("mrs %0, cntfrq_el0" : "=r"(value));
    return value & 0xffffffff;
#else
    return 0;
#endif
}

#endif
