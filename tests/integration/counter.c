/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Python cannot do: read the counter that the page's formula is about, together with the
 * system clock, and change a page faster than any reader looks. Built by page.py at test time,
 * on purpose without a line of the daemon, so that a mistake is not made twice.
 */
#include <stdint.h>
#include <time.h>

/* The page's counter_id for this machine, 0xff if we cannot read its counter. */
int counter_id(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return 1;
#elif defined(__aarch64__)
    return 0;
#else
    return 0xff;
#endif
}

uint64_t counter_read(void)
{
#if defined(__x86_64__) || defined(__i386__)
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(value) : : "memory");
    return value;
#else
    return 0;
#endif
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The narrowest of `readings` readings of CLOCK_REALTIME between two of the counter. */
void counter_pair(int readings, uint64_t *ret_counter, int64_t *ret_real_ns)
{
    uint64_t narrowest = UINT64_MAX;

    for (int i = 0; i < readings; i++) {
        uint64_t before = counter_read();
        int64_t real_ns = clock_ns(CLOCK_REALTIME);
        uint64_t after = counter_read();

        if (after - before < narrowest) {
            narrowest = after - before;
            *ret_counter = before + (after - before) / 2;
            *ret_real_ns = real_ns;
        }
    }
}

/* A host that never stops writing: `*seq_count` moves on between any two looks at it. */
void scribble(volatile uint32_t *seq_count, double seconds)
{
    int64_t end_ns = clock_ns(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e9);

    while (clock_ns(CLOCK_MONOTONIC) < end_ns) {
        for (int i = 0; i < 100; i++)
            *seq_count += 2;
    }
}
