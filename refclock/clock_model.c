/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/clock_model.h"

#include <math.h>

#include "refclock/calendar.h"

#define PERIOD_MIN_FRAC    UINT64_C(184467440) /* 10 ps in 2^-64 s */
#define TAI_OFFSET_MIN_SEC 30
#define TAI_OFFSET_MAX_SEC 50
#define FUTURE_MAX_SEC     3600
#define MONTH_MAX_SEC      (32 * CALENDAR_DAY_SEC)
/* 0.25 s. At its poll of 0.25 s chronyd takes a source for unreachable after 2 s of silence, and
 * would select another one in the middle of a leap second. */
#define LEAP_MARGIN_FRAC (UINT64_C(1) << 62)
#define AGREE_SEC        1e-6
#define AGREE_RATE       1e-7
#define WHOLE_SEC        1e-3
#define SECONDS_MAX      100

const char *clock_verdict_str(enum clock_verdict verdict)
{
    switch (verdict) {
    case CLOCK_OK: return "a clock";
    case CLOCK_NO_COUNTER: return "the host gives the disruption marker only, no clock";
    case CLOCK_FOREIGN_COUNTER: return "the page counts by a counter that this CPU does not have";
    case CLOCK_TOO_SHORT: return "the page's size does not cover the clock";
    case CLOCK_STATUS_UNKNOWN: return "the host's clock status is unknown";
    case CLOCK_STATUS_INITIALISING: return "the host's clock is initialising";
    case CLOCK_STATUS_UNRELIABLE: return "the host says that its clock is unreliable";
    case CLOCK_STATUS_INVALID: return "the clock status is invalid";
    case CLOCK_FREERUNNING_REFUSED: return "the host's clock is free-running";
    case CLOCK_BAD_PERIOD: return "the counter's period is 0 or absurd";
    case CLOCK_TIME_MONOTONIC: return "the page's time is monotonic, not UTC or TAI";
    case CLOCK_TIME_SMEARED: return "the page's time is, or may be, smeared";
    case CLOCK_TIME_TYPE_INVALID: return "the time type is invalid";
    case CLOCK_NO_TAI_OFFSET: return "the page's time is TAI and its offset to UTC is not valid";
    case CLOCK_BAD_TAI_OFFSET: return "the TAI offset is implausible (not 30 to 50 s)";
    case CLOCK_LEAP_INVALID: return "the leap indicator is invalid";
    case CLOCK_LEAP_NOW: return "UTC is ambiguous around the leap second";
    case CLOCK_REFERENCE_IN_FUTURE: return "the reference is over an hour in the future";
    case CLOCK_COUNTER_BACK:
        return "the counter went backwards: the CPUs' counters are not synchronised";
    case CLOCK_TAI_DISAGREES: return "the kernel's TAI offset is not the page's";
    case CLOCK_SECONDS_MOVED:
        return "the page moved by whole seconds without a disruption: not believed for a minute";
    case CLOCK_UNSTEADY: return "the page's time jumps all the time, without a disruption";
    case CLOCK_OUT_OF_RANGE: return "the time is out of range";
    }
    return "unknown";
}

bool clock_verdict_is_marker_only(enum clock_verdict verdict)
{
    return verdict == CLOCK_NO_COUNTER || verdict == CLOCK_FOREIGN_COUNTER ||
           verdict == CLOCK_TOO_SHORT;
}

bool clock_verdict_has_period(enum clock_verdict verdict)
{
    switch (verdict) {
    case CLOCK_OK:
    case CLOCK_TIME_MONOTONIC:
    case CLOCK_TIME_SMEARED:
    case CLOCK_TIME_TYPE_INVALID:
    case CLOCK_NO_TAI_OFFSET:
    case CLOCK_BAD_TAI_OFFSET:
    case CLOCK_LEAP_INVALID:
    case CLOCK_LEAP_NOW: return true;
    default: return false;
    }
}

static enum clock_verdict check_status(const struct vmclock_page *page, bool accept_freerunning)
{
    switch (page->clock_status) {
    case VMCLOCK_STATUS_SYNCHRONISED: return CLOCK_OK;
    case VMCLOCK_STATUS_FREERUNNING:
        return accept_freerunning ? CLOCK_OK : CLOCK_FREERUNNING_REFUSED;
    case VMCLOCK_STATUS_UNKNOWN: return CLOCK_STATUS_UNKNOWN;
    case VMCLOCK_STATUS_INITIALISING: return CLOCK_STATUS_INITIALISING;
    case VMCLOCK_STATUS_UNRELIABLE: return CLOCK_STATUS_UNRELIABLE;
    default: return CLOCK_STATUS_INVALID;
    }
}

static bool period_is_sane(const struct clock_model *model, double expected_sec)
{
    const double ratio = clock_model_period(model) / expected_sec;

    /* A shift of 64 and more leaves less than any period that is accepted. */
    if (model->period_shift >= 64 || model->period_frac >> model->period_shift < PERIOD_MIN_FRAC)
        return false;
    /* Hosts that differ by more than that cannot exchange a guest that counts by this counter. */
    return expected_sec == 0 || (ratio > 0.5 && ratio < 2);
}

static double host_rate_error(const struct vmclock_page *page)
{
    if (page_has(page, VMCLOCK_FLAG_PERIOD_ESTERROR_VALID))
        return (double)page->period_esterror / (double)page->period_frac_sec;
    if (page_has(page, VMCLOCK_FLAG_PERIOD_MAXERROR_VALID))
        return (double)page->period_maxerror / (double)page->period_frac_sec;
    return 0;
}

bool clock_tai_offset_is_plausible(int tai_offset_sec)
{
    return tai_offset_sec >= TAI_OFFSET_MIN_SEC && tai_offset_sec <= TAI_OFFSET_MAX_SEC;
}

static enum clock_verdict check_time_type(const struct vmclock_page *page)
{
    switch (page->time_type) {
    case VMCLOCK_TIME_UTC: return CLOCK_OK;
    case VMCLOCK_TIME_TAI:
        if (!page_has(page, VMCLOCK_FLAG_TAI_OFFSET_VALID))
            return CLOCK_NO_TAI_OFFSET;
        return clock_tai_offset_is_plausible(page->tai_offset_sec) ? CLOCK_OK
                                                                   : CLOCK_BAD_TAI_OFFSET;
    case VMCLOCK_TIME_MONOTONIC: return CLOCK_TIME_MONOTONIC;
    case VMCLOCK_TIME_SMEARED:
    case VMCLOCK_TIME_MAYBE_SMEARED: return CLOCK_TIME_SMEARED;
    default: return CLOCK_TIME_TYPE_INVALID;
    }
}

static bool leap_is_ahead(const struct clock_model *model)
{
    return model->leap == VMCLOCK_LEAP_PRE_POSITIVE || model->leap == VMCLOCK_LEAP_PRE_NEGATIVE;
}

static enum clock_verdict init_reference(const struct vmclock_page *page, struct clock_model *model)
{
    const struct fixed offset = {page->time_type == VMCLOCK_TIME_TAI ? page->tai_offset_sec : 0, 0};
    struct calendar_month month;

    if (page->time_sec > INT64_MAX)
        return CLOCK_OUT_OF_RANGE;
    model->reference = (struct fixed){(int64_t)page->time_sec, page->time_frac_sec};
    if (!fixed_sub(model->reference, offset, &model->reference) || model->reference.sec < 0)
        return CLOCK_OUT_OF_RANGE;

    switch (page->leap_indicator) {
    case VMCLOCK_LEAP_NONE: return CLOCK_OK;
    case VMCLOCK_LEAP_PRE_POSITIVE:
    case VMCLOCK_LEAP_PRE_NEGATIVE:
    case VMCLOCK_LEAP_POST_POSITIVE:
    case VMCLOCK_LEAP_POST_NEGATIVE:
        if (model->reference.sec > INT64_MAX - MONTH_MAX_SEC)
            return CLOCK_OUT_OF_RANGE;
        month = calendar_month_of(model->reference.sec / CALENDAR_DAY_SEC);
        model->leap = page->leap_indicator;
        model->leap_at_sec =
            CALENDAR_DAY_SEC * (leap_is_ahead(model) ? month.next_first_day : month.first_day);
        return CLOCK_OK;
    case VMCLOCK_LEAP_NOW: return CLOCK_LEAP_NOW;
    default: return CLOCK_LEAP_INVALID;
    }
}

enum clock_verdict clock_model_init(const struct vmclock_page *page,
    const struct clock_reader *reader, struct clock_model *ret_model)
{
    enum clock_verdict verdict;
    struct clock_model model = {
        .counter_value = page->counter_value,
        .period_frac = page->period_frac_sec,
        .period_shift = page->period_shift,
        .leap = VMCLOCK_LEAP_NONE,
        .has_bound = page_has(page, VMCLOCK_FLAG_TIME_MAXERROR_VALID) &&
                     page_has(page, VMCLOCK_FLAG_PERIOD_MAXERROR_VALID),
        .time_maxerror_ns = page->time_maxerror_ns,
        .period_maxerror = page->period_maxerror,
    };

    if (page->counter_id == VMCLOCK_COUNTER_NONE)
        return CLOCK_NO_COUNTER;
    if (page->counter_id != reader->counter)
        return CLOCK_FOREIGN_COUNTER;
    if (page->size < VMCLOCK_AT_TIME_FRAC_SEC + 8)
        return CLOCK_TOO_SHORT;
    verdict = check_status(page, reader->accept_freerunning);
    if (verdict != CLOCK_OK)
        return verdict;
    if (!period_is_sane(&model, reader->period_sec))
        return CLOCK_BAD_PERIOD;
    model.rate_error = host_rate_error(page);
    verdict = check_time_type(page);
    if (verdict == CLOCK_OK)
        verdict = init_reference(page, &model);
    model.has_time = verdict == CLOCK_OK;
    if (clock_verdict_has_period(verdict))
        *ret_model = model;
    return verdict;
}

static bool is_near(int64_t from_sec, int64_t until_sec, int64_t sec, uint64_t frac)
{
    return (sec == from_sec - 1 && frac >= 0 - LEAP_MARGIN_FRAC) ||
           (sec >= from_sec && sec < until_sec) || (sec == until_sec && frac < LEAP_MARGIN_FRAC);
}

/*
 * Correct `time`, which counts on from the reference without a leap second, by one between the two.
 * It may be ahead of the reference; or behind it, where the counter is from before both.
 */
static enum clock_verdict apply_leap(
    const struct clock_model *model, struct clock_time *time, bool *ret_ambiguous)
{
    const bool positive =
        model->leap == VMCLOCK_LEAP_PRE_POSITIVE || model->leap == VMCLOCK_LEAP_POST_POSITIVE;
    const bool ahead = leap_is_ahead(model);
    const int step = positive ? 1 : -1; /* of TAI - UTC */
    /* In UTC as it was counted before: a negative one removes the month's last second. */
    const int64_t acts_at = positive ? model->leap_at_sec : model->leap_at_sec - 1;
    int64_t before = time->utc.sec;

    if (!ahead && __builtin_add_overflow(before, step, &before))
        return CLOCK_OUT_OF_RANGE;
    if (before < acts_at) {
        time->utc.sec = before;
        time->leap = positive ? 1 : 2;
        time->tai_step = ahead ? 0 : -step;
    } else {
        if (__builtin_sub_overflow(before, step, &time->utc.sec))
            return CLOCK_OUT_OF_RANGE;
        time->tai_step = ahead ? step : 0;
    }
    *ret_ambiguous = is_near(acts_at, acts_at + positive, before, time->utc.frac);
    return CLOCK_OK;
}

/* UTC, with 23:59:60 counted as another 23:59:59; *ret_ambiguous: it is too near to a leap second.
 */
static enum clock_verdict time_at(const struct clock_model *model, uint64_t counter,
    struct clock_time *ret_time, bool *ret_ambiguous)
{
    const int64_t ticks = counter_difference(counter, model->counter_value);
    const uint64_t distance = ticks < 0 ? 0 - (uint64_t)ticks : (uint64_t)ticks;
    struct fixed elapsed;

    *ret_time = (struct clock_time){.leap = 0};
    *ret_ambiguous = false;
    if (!fixed_from_ticks(distance, model->period_frac, model->period_shift, &elapsed))
        return CLOCK_OUT_OF_RANGE;
    if (ticks < 0 && elapsed.sec >= FUTURE_MAX_SEC)
        return CLOCK_REFERENCE_IN_FUTURE;
    if (!(ticks < 0 ? fixed_sub(model->reference, elapsed, &ret_time->utc)
                    : fixed_add(model->reference, elapsed, &ret_time->utc)) ||
        ret_time->utc.sec < 0)
        return CLOCK_OUT_OF_RANGE;
    return model->leap == VMCLOCK_LEAP_NONE ? CLOCK_OK : apply_leap(model, ret_time, ret_ambiguous);
}

enum clock_verdict clock_model_time(
    const struct clock_model *model, uint64_t counter, struct clock_time *ret_time)
{
    bool ambiguous;
    struct clock_time time;
    const enum clock_verdict verdict = time_at(model, counter, &time, &ambiguous);

    /* UTC has two names for one of the seconds, and the kernel steps its clock a moment early or
     * late. What chronyd does there by slewing or smearing it takes care of itself. */
    if (verdict == CLOCK_OK && ambiguous)
        return CLOCK_LEAP_NOW;
    if (verdict == CLOCK_OK)
        *ret_time = time;
    return verdict;
}

uint64_t clock_model_bound_ns(const struct clock_model *model, uint64_t counter)
{
    const int64_t ticks = counter_difference(counter, model->counter_value);
    const uint64_t distance = ticks < 0 ? 0 - (uint64_t)ticks : (uint64_t)ticks;
    struct fixed drift;
    int64_t drift_ns;
    uint64_t bound;

    if (!fixed_from_ticks(distance, model->period_maxerror, model->period_shift, &drift))
        return UINT64_MAX;
    drift_ns = fixed_to_ns(drift);
    /* Rounded up: it is a bound. */
    if (drift_ns == INT64_MAX ||
        __builtin_add_overflow(model->time_maxerror_ns, (uint64_t)drift_ns + 1, &bound))
        return UINT64_MAX;
    return bound;
}

double clock_model_period(const struct clock_model *model)
{
    return ldexp((double)model->period_frac, -64 - model->period_shift);
}

bool clock_model_difference(
    const struct clock_model *earlier, const struct clock_model *later, double *ret_sec)
{
    struct clock_time expected, stated;
    struct fixed difference;
    bool ambiguous; /* in the same way for both */

    if (!earlier->has_time || !later->has_time ||
        time_at(earlier, later->counter_value, &expected, &ambiguous) != CLOCK_OK ||
        time_at(later, later->counter_value, &stated, &ambiguous) != CLOCK_OK ||
        !fixed_sub(stated.utc, expected.utc, &difference))
        return false;
    *ret_sec = fixed_to_double(difference);
    return true;
}

bool clock_model_continues(const struct clock_model *earlier, const struct clock_model *later)
{
    const bool timeless = !earlier->has_time || !later->has_time;
    double difference = 0;

    return (timeless || clock_model_difference(earlier, later, &difference)) &&
           fabs(difference) <= AGREE_SEC &&
           fabs(clock_model_period(later) / clock_model_period(earlier) - 1) <= AGREE_RATE;
}

bool clock_model_is_seconds_away(const struct clock_model *earlier, const struct clock_model *later)
{
    double difference;

    return clock_model_difference(earlier, later, &difference) && fabs(difference) > 0.5 &&
           fabs(difference) < SECONDS_MAX && fabs(difference - rint(difference)) <= WHOLE_SEC;
}
