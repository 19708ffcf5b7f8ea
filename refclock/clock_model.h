/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock that a vmclock page describes: UTC as a function of the counter.
 *
 *     time(counter) = reference + (counter - counter_value) * period
 *
 * Source: UAPI.13 "VMClock" 1.0; Linux drivers/ptp/ptp_vmclock.c for the arithmetic.
 */
#ifndef REFCLOCK_CLOCK_MODEL_H
#define REFCLOCK_CLOCK_MODEL_H

#include "refclock/fixed.h"
#include "refclock/page.h"

/* Why a page gives no time, in the order in which it is asked. */
enum clock_verdict {
    CLOCK_OK,
    CLOCK_NO_COUNTER,      /* a host that fills in the marker only */
    CLOCK_FOREIGN_COUNTER, /* another architecture's, or one that is not known */
    CLOCK_TOO_SHORT,       /* the page's size does not cover the clock */
    CLOCK_STATUS_UNKNOWN,
    CLOCK_STATUS_INITIALISING,
    CLOCK_STATUS_UNRELIABLE,
    CLOCK_STATUS_INVALID,
    CLOCK_FREERUNNING_REFUSED,
    CLOCK_BAD_PERIOD, /* 0, under 10 ps, or not within a factor of two of the counter's */
    CLOCK_TIME_MONOTONIC,
    CLOCK_TIME_SMEARED,
    CLOCK_TIME_TYPE_INVALID,
    CLOCK_NO_TAI_OFFSET,
    CLOCK_BAD_TAI_OFFSET, /* outside of 30 to 50 s */
    CLOCK_LEAP_INVALID,
    CLOCK_LEAP_NOW,            /* UTC is ambiguous around the leap second */
    CLOCK_REFERENCE_IN_FUTURE, /* the reference is over an hour ahead of the counter */
    CLOCK_COUNTER_BACK,        /* the counter went backwards without a disruption */
    CLOCK_TAI_DISAGREES,       /* the kernel has another TAI offset than the page */
    CLOCK_SECONDS_MOVED,       /* by whole seconds, a moment ago and without a disruption */
    CLOCK_UNSTEADY,            /* the formula jumps all the time */
    CLOCK_OUT_OF_RANGE,        /* before 1970, or beyond what a system's clock can be set to */
};

struct clock_model {
    bool has_time; /* else the period alone */
    uint64_t counter_value;
    uint64_t period_frac; /* 2^-(64 + period_shift) s */
    uint8_t period_shift;
    uint8_t leap;           /* enum vmclock_leap, but not NOW */
    struct fixed reference; /* UTC at counter_value */
    int64_t leap_at_sec;    /* UTC: the first second of the month after the leap; NONE: 0 */
    bool has_bound;         /* the host guarantees the two that follow */
    uint64_t time_maxerror_ns;
    uint64_t period_maxerror;
    double rate_error; /* of the period, relative; the host's estimate, or its bound, or 0 */
};

/* Who reads the page. */
struct clock_reader {
    enum vmclock_counter_id counter; /* that this CPU has */
    double period_sec; /* of that counter, roughly: to tell an absurd one; 0 unknown */
    bool accept_freerunning;
};

struct clock_time {
    struct fixed utc;
    int leap;     /* as in the SOCK datagram: 0 none, 1 insert, 2 delete at the month's end */
    int tai_step; /* TAI - UTC then, minus what it is at the model's reference */
};

/* For people, to stand behind "the page is no clock now: "; never NULL. */
const char *clock_verdict_str(enum clock_verdict verdict);

/*
 * True where the verdict is about the page's kind, not about its present state: the device is
 * used for its disruption marker alone.
 */
bool clock_verdict_is_marker_only(enum clock_verdict verdict);

/*
 * True where the counter's period can be relied on, though the page may have no time (monotonic,
 * smeared or of another type, without a good TAI offset or leap indicator, or in a leap second):
 * *ret_model of clock_model_init() then has the period.
 */
bool clock_verdict_has_period(enum clock_verdict verdict);

/*
 * Make the model of a decoded, PAGE_OK page. *ret_model is complete with CLOCK_OK; with
 * clock_verdict_has_period() its period fields are.
 */
enum clock_verdict clock_model_init(const struct vmclock_page *page,
    const struct clock_reader *reader, struct clock_model *ret_model);

/* UTC at `counter`: CLOCK_OK, CLOCK_LEAP_NOW, CLOCK_REFERENCE_IN_FUTURE or CLOCK_OUT_OF_RANGE. */
enum clock_verdict clock_model_time(
    const struct clock_model *model, uint64_t counter, struct clock_time *ret_time);

/* The host's guaranteed bound of the error at `counter`, in ns, saturating; needs has_bound. */
uint64_t clock_model_bound_ns(const struct clock_model *model, uint64_t counter);

/* Seconds a tick. */
double clock_model_period(const struct clock_model *model);

/*
 * The later's time minus what the earlier one says there, at the later's reference, in s; false
 * where one of the two has no time there.
 */
bool clock_model_difference(
    const struct clock_model *earlier, const struct clock_model *later, double *ret_sec);

/*
 * Whether `later` continues `earlier`: at its own reference it differs by at most 1 us in time, if
 * both have one, and by at most 1e-7 in period. Two times that cannot be compared there do not.
 */
bool clock_model_continues(const struct clock_model *earlier, const struct clock_model *later);

/*
 * Whether at its own reference the later's time is whole seconds away from what the earlier one
 * says, to 1 ms: what a leap second, or a TAI offset, looks like that one of the two has wrong.
 */
bool clock_model_is_seconds_away(
    const struct clock_model *earlier, const struct clock_model *later);

/* Whether that many seconds can be TAI - UTC: it is 37 since 2017, and leap seconds are rare. */
bool clock_tai_offset_is_plausible(int tai_offset_sec);

/* Signed counter difference a - b: counters wrap. */
static inline int64_t counter_difference(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b);
}

#endif
