/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory that the host and the guest share: the vmclock page (the tests' own
 * description of it, so that an error in the daemon's cannot hide), a mailbox for
 * questions from the host, and room for a file sent by the guest.
 */
#ifndef TESTS_VM_SHARED_H
#define TESTS_VM_SHARED_H

#include <stddef.h>
#include <stdint.h>

enum {
/* where the guest finds it; also in vmclock.asl, lab.py, lab_arm64.py */
#ifdef __aarch64__
    SHARED_PHYS = 0x4c000000,
#else
    SHARED_PHYS = 0x8000000,
#endif
    SHARED_SIZE = 16 << 20,
    PAGE_OFFSET = 0,
    MAILBOX_OFFSET = 0x1000,
    TRUTH_OFFSET = 0x2000, /* the formula of a page that shows its marker only: another device's */
    FILE_OFFSET = 0x3000,
};

struct page {
    uint32_t magic;
    uint32_t size;
    uint16_t version;
    uint8_t counter_id;
    uint8_t time_type;
    uint32_t seq_count;
    uint64_t disruption_marker;
    uint64_t flags;
    uint8_t pad[2];
    uint8_t clock_status;
    uint8_t smearing_hint;
    int16_t tai_offset_sec;
    uint8_t leap_indicator;
    uint8_t period_shift;
    uint64_t counter_value;
    uint64_t period; /* this and the next two: 2^-(64 + period_shift) s */
    uint64_t period_esterror;
    uint64_t period_maxerror;
    uint64_t time_sec;
    uint64_t time_frac; /* 2^-64 s */
    uint64_t time_esterror_ns;
    uint64_t time_maxerror_ns;
    uint64_t generation;
};
_Static_assert(offsetof(struct page, generation) == 0x68, "layout of the vmclock page");

#define PAGE_MAGIC 0x4b4c4356u
enum {
    COUNTER_ARM = 0,
    COUNTER_TSC = 1,
    COUNTER_NONE = 0xff,
    TYPE_UTC = 0,
    TYPE_TAI = 1,
    STATUS_SYNCHRONISED = 2,
    STATUS_FREERUNNING = 3,
    STATUS_UNRELIABLE = 4,
    LEAP_NONE = 0,
    LEAP_PRE_POSITIVE = 1,
    LEAP_PRE_NEGATIVE = 2,
    LEAP_NOW = 3,
    LEAP_POST_POSITIVE = 4,
    LEAP_POST_NEGATIVE = 5,
    FLAG_TAI_OFFSET = 1 << 0,
    FLAG_PERIOD_ESTERROR = 1 << 3,
    FLAG_PERIOD_MAXERROR = 1 << 4,
    FLAG_TIME_ESTERROR = 1 << 5,
    FLAG_TIME_MAXERROR = 1 << 6,
    FLAG_GENERATION = 1 << 8,
    FLAG_NOTIFICATION = 1 << 9,
};

enum question { ASK_COUNTER = 1, ASK_REALTIME, ASK_PAGE_TIME, ASK_TO_END };

struct mailbox {
    volatile uint64_t asked;    /* number of the host's last question */
    volatile uint64_t answered; /* number of the last one that was answered */
    volatile uint64_t question;
    volatile uint64_t counter;
    volatile int64_t time_ns;
    volatile uint64_t error; /* an errno, 0 if the answer is good */
};

/* One reading of the probe: the counter in the middle of a bracket of this width. */
struct probe_record {
    uint64_t counter;
    int64_t realtime_ns;
    uint64_t width;
};

/* What libvmclock told, and the counter before and after. */
struct interval_record {
    uint64_t counter_before, counter_after;
    int64_t earliest_ns, latest_ns;
    uint64_t status;
};

/* The kernel's cross-timestamp of the page's PTP clock: both times are of one counter value. */
struct precise_record {
    uint64_t counter_before, counter_after; /* around the call */
    int64_t device_ns, realtime_ns;
};

/* The daemon's way to read the clock, and the kernel's right before and after it. */
enum { BRACKETS = 64 };
struct reading_record {
    struct precise_record precise[2];
    struct {
        uint64_t counter_before;
        int64_t realtime_ns;
        uint64_t counter_after;
    } brackets[BRACKETS];
};

#ifdef __aarch64__
enum { COUNTER_HERE = COUNTER_ARM };

static inline uint64_t read_counter(void)
{
    uint64_t value;
    __asm__ __volatile__("isb; mrs %0, cntvct_el0; isb" : "=r"(value) : : "memory");
    return value;
}
#else
enum { COUNTER_HERE = COUNTER_TSC };

static inline uint64_t read_counter(void)
{
    uint32_t low, high;
    __asm__ __volatile__("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
#endif

/* Loads and stores in the program's order; x86 keeps that, only the compiler must be held. */
static inline void barrier(void)
{
    __atomic_thread_fence(__ATOMIC_ACQ_REL);
}

struct page_time {
    uint64_t sec;
    uint64_t frac;
};

/* What the page's formula says at a counter value, on the page's own time scale. */
static inline struct page_time page_time_at(const struct page *p, uint64_t counter)
{
    int64_t delta = (int64_t)(counter - p->counter_value);
    __extension__ typedef unsigned __int128 u128;
    u128 time = (u128)p->time_sec << 64 | p->time_frac;
    u128 elapsed =
        ((u128)(delta < 0 ? -(uint64_t)delta : (uint64_t)delta) * p->period) >> p->period_shift;

    time = delta < 0 ? time - elapsed : time + elapsed;
    return (struct page_time){.sec = (uint64_t)(time >> 64), .frac = (uint64_t)time};
}

static inline int64_t page_time_ns(struct page_time t)
{
    __extension__ typedef unsigned __int128 u128;
    return (int64_t)t.sec * 1000000000 + (int64_t)(((u128)t.frac * 1000000000) >> 64);
}

#endif
