/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/counter_watch.h"

#include <assert.h>
#include <math.h>

#define RAW_NS        INT64_C(1000000000)
#define PAUSE_NS      INT64_C(100000000) /* until the clock is right for the new baseline */
#define FREQUENCY_MAX 1e5                /* ppm; beyond what any kernel can be told */

void counter_watch_init(struct counter_watch *w, int64_t now_ns)
{
    *w = (struct counter_watch){.due_ns = now_ns};
}

void counter_watch_disrupted(struct counter_watch *w, int64_t now_ns)
{
    w->read = w->back = false;
    raw_rate_disrupted(&w->rate);
    w->due_ns = now_ns + PAUSE_NS;
}

void counter_watch_take_source(struct counter_watch *w, bool is_source)
{
    if (w->is_source != is_source)
        w->rate = (struct raw_rate){.known = false};
    w->is_source = is_source;
}

void counter_watch_take(struct counter_watch *w, const struct cross_timestamp *readings, size_t n)
{
    if (n == 0)
        return;
    if (!w->read)
        w->value = readings[0].counter_before;
    w->read = true;
    w->back = cross_timestamp_goes_back(readings, n, &w->value) || w->back;
}

void counter_watch_take_raw(
    struct counter_watch *w, const struct cross_timestamp *readings, size_t n, int64_t now_ns)
{
    const struct cross_timestamp *raw;

    counter_watch_take(w, readings, n);
    raw = cross_timestamp_narrowest(readings, n);
    if (raw && !w->back && w->is_source)
        raw_rate_observe(&w->rate, raw);
    w->due_ns = now_ns + RAW_NS;
}

void counter_watch_take_tai(struct counter_watch *w, int tai_offset_sec)
{
    w->kernel_tai = tai_offset_sec;
}

bool counter_watch_rate_error(const struct counter_watch *w, const struct clock_model *model,
    double frequency_ppm, double *ret_ppm)
{
    assert(w->is_source || !w->rate.known);
    if (!w->rate.known || w->back || !(fabs(frequency_ppm) <= FREQUENCY_MAX)) /* it may be NAN */
        return false;
    *ret_ppm = raw_rate_error_ppm(&w->rate, model, frequency_ppm);
    return true;
}
