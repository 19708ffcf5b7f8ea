/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/cross_timestamp.h"

static uint64_t width(const struct cross_timestamp *reading)
{
    return reading->counter_after - reading->counter_before;
}

bool cross_timestamp_watch_back(const struct cross_timestamp *readings, size_t n, uint64_t *last)
{
    bool back = false;

    for (size_t i = 0; i < n; i++) {
        const struct cross_timestamp *r = &readings[i];

        back = back || counter_difference(r->counter_before, *last) < 0 ||
               counter_difference(r->counter_after, r->counter_before) < 0;
        *last = r->counter_before;
    }
    return back;
}

const struct cross_timestamp *cross_timestamp_narrowest(
    const struct cross_timestamp *readings, size_t n)
{
    const struct cross_timestamp *best = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct cross_timestamp *r = &readings[i];

        if (counter_difference(r->counter_after, r->counter_before) < 0 || r->nsec > 999999999)
            continue;
        if (!best || width(r) < width(best))
            best = r;
    }
    return best;
}

uint64_t cross_timestamp_counter(const struct cross_timestamp *reading)
{
    return reading->counter_before + width(reading) / 2;
}

enum clock_verdict cross_timestamp_offset(const struct cross_timestamp *reading,
    const struct clock_model *model, struct offset *ret_offset)
{
    const uint64_t counter = cross_timestamp_counter(reading);
    struct fixed difference, bracket, doubt;
    struct clock_time time;
    enum clock_verdict verdict = clock_model_time(model, counter, &time);
    uint64_t half, bound = UINT64_MAX;
    int64_t ns;

    if (verdict != CLOCK_OK)
        return verdict;
    if (!fixed_sub(time.utc, fixed_from_timespec(reading->sec, reading->nsec), &difference) ||
        !fixed_from_ticks(width(reading), model->period_frac, model->period_shift, &bracket) ||
        !fixed_from_ticks(width(reading) + 2, model->period_frac, model->period_shift, &doubt))
        return CLOCK_OUT_OF_RANGE;
    ns = fixed_to_ns(difference);
    if (ns == INT64_MAX || ns == INT64_MIN) /* no system clock can be set to that */
        return CLOCK_OUT_OF_RANGE;
    /* The counter is read in whole ticks, which on ARM may have 50 ns: either end is later by up
     * to one, and the middle was rounded down. */
    half = (uint64_t)fixed_to_ns(doubt) / 2 + 1;
    if (model->has_bound &&
        __builtin_add_overflow(clock_model_bound_ns(model, counter), half, &bound))
        bound = UINT64_MAX;
    *ret_offset = (struct offset){
        .sec = fixed_to_double(difference),
        .ns = ns,
        .has_bound = model->has_bound,
        .bound_ns = bound,
        .width_ns = (uint64_t)fixed_to_ns(bracket),
        .leap = time.leap,
        .tai_step = time.tai_step,
        .system_sec = reading->sec,
        .system_nsec = reading->nsec,
    };
    return CLOCK_OK;
}
