/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/counter_watch.h"

#include <assert.h>
#include <math.h>

#define RAW_NS        INT64_C(1000000000)
#define PAUSE_NS      INT64_C(100000000) /* until the clock is right for the new baseline */
#define FREQUENCY_MAX 1e5                /* ppm; beyond what any kernel can be told */
#define KHZ_APART     0.4                /* of a kHz: another whole one is out of the question */
#define KHZ_MULT      0.01 /* by which a multiplier of 32 bits is off, and some more */
#define KVM_DOUBT     1e-9 /* the same, of the rate */

void counter_watch_init(struct counter_watch *w, int64_t now_ns)
{
    *w = (struct counter_watch){.due_ns = now_ns};
}

void counter_watch_disrupted(struct counter_watch *w, int64_t now_ns)
{
    w->read = w->back = false;
    raw_rate_disrupted(&w->rate);
    baseline_forget(&w->baseline);
    w->due_ns = counter_watch_is_final(w) ? now_ns + PAUSE_NS : now_ns;
}

void counter_watch_take_source(
    struct counter_watch *w, enum clock_source_kind source, int64_t now_ns)
{
    if (w->source == source)
        return;
    w->source = source;
    raw_rate_forget(&w->rate);
    baseline_forget(&w->baseline);
    w->due_ns = now_ns;
}

void counter_watch_take(struct counter_watch *w, const struct cross_timestamp *readings, size_t n)
{
    if (n == 0)
        return;
    if (!w->read)
        w->value = readings[0].counter_before;
    w->read = true;
    w->back = cross_timestamp_watch_back(readings, n, &w->value) || w->back;
}

void counter_watch_take_raw(
    struct counter_watch *w, const struct cross_timestamp *readings, size_t n, int64_t now_ns)
{
    const struct cross_timestamp *raw;

    counter_watch_take(w, readings, n);
    raw = cross_timestamp_narrowest(readings, n);
    if (raw && !w->back && w->source == CLOCK_SOURCE_COUNTER)
        raw_rate_observe(&w->rate, raw);
    if (raw && !w->back && !counter_watch_is_final(w))
        baseline_take(&w->baseline, readings, n);
    w->due_ns = now_ns + RAW_NS;
}

void counter_watch_take_tai(struct counter_watch *w, int tai_offset_sec)
{
    w->kernel_tai = tai_offset_sec;
}

bool counter_watch_is_final(const struct counter_watch *w)
{
    assert(w->source == CLOCK_SOURCE_COUNTER || !w->rate.known);
    return w->rate.known;
}

/* kvm-clock's rate comes from a frequency in whole kHz, where only one is likely. */
static void round_to_khz(double *ns_per_tick, double *doubt)
{
    const double khz = 1e6 / *ns_per_tick, doubt_khz = khz * *doubt;

    if (3 * doubt_khz < KHZ_APART && fabs(khz - rint(khz)) <= 3 * doubt_khz + KHZ_MULT) {
        *ns_per_tick = 1e6 / rint(khz);
        *doubt = KVM_DOUBT;
    }
}

/* ns a tick of CLOCK_MONOTONIC_RAW, and its relative standard deviation. */
static bool raw_rate(const struct counter_watch *w, double *ret_ns_per_tick, double *ret_doubt)
{
    if (counter_watch_is_final(w)) {
        *ret_ns_per_tick = w->rate.ns_per_tick;
        *ret_doubt = 0;
        return true;
    }
    if (!baseline_rate(&w->baseline, ret_ns_per_tick, ret_doubt))
        return false;
    if (w->source == CLOCK_SOURCE_KVM)
        round_to_khz(ret_ns_per_tick, ret_doubt);
    return true;
}

bool counter_watch_rate_error(const struct counter_watch *w, const struct clock_model *model,
    double frequency_ppm, double *ret_ppm, double *ret_doubt_ppm)
{
    double ns_per_tick, doubt;

    if (w->back || !(fabs(frequency_ppm) <= FREQUENCY_MAX)) /* it may be NAN */
        return false;
    if (!raw_rate(w, &ns_per_tick, &doubt))
        return false;
    *ret_ppm = raw_rate_error_ppm(ns_per_tick, model, frequency_ppm);
    *ret_doubt_ppm = doubt * 1e6;
    return true;
}
