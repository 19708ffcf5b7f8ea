/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page as a host might write it, all the way to the sample. Input: 1 byte of options (1
 * free-running is accepted, 2 the counter is ARM's, 4 its period is known to be 1 ns), the page's
 * VMCLOCK_FIELDS_END bytes, then a reading: counter 8, bracket 4, seconds 8, nanoseconds 4.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "refclock/guarantee.h"
#include "refclock/sock_sample.h"
#include "tests/fuzz/fuzz.h"
#include "tests/wide.h"

/* The specification's formula once more, in other arithmetic; false where it does not fit. */
static bool formula(const struct clock_model *model, uint64_t counter, struct fixed *ret)
{
    const int64_t ticks = counter_difference(counter, model->counter_value);
    const uint64_t distance = ticks < 0 ? 0 - (uint64_t)ticks : (uint64_t)ticks;
    const struct wide product = wide_multiply(distance, model->period_frac);
    const struct wide elapsed = wide_shift_right(product, model->period_shift);
    const struct wide reference = {(uint64_t)model->reference.sec, model->reference.frac};
    const struct wide sum =
        ticks < 0 ? wide_subtract(reference, elapsed) : wide_add(reference, elapsed);

    if (ticks < 0 ? wide_compare(elapsed, reference) > 0 : sum.high >> 63 != 0)
        return false;
    *ret = (struct fixed){(int64_t)sum.high, sum.low};
    return true;
}

static bool leap_is_ahead(const struct clock_model *model)
{
    return model->leap == VMCLOCK_LEAP_PRE_POSITIVE || model->leap == VMCLOCK_LEAP_PRE_NEGATIVE;
}

static void check_model(const struct vmclock_page *page, const struct clock_reader *reader,
    const struct clock_model *model)
{
    must(page->clock_status == VMCLOCK_STATUS_SYNCHRONISED ||
         (reader->accept_freerunning && page->clock_status == VMCLOCK_STATUS_FREERUNNING));
    must(page->time_type == VMCLOCK_TIME_UTC || page->time_type == VMCLOCK_TIME_TAI);
    must(page->time_type == VMCLOCK_TIME_UTC || page_has(page, VMCLOCK_FLAG_TAI_OFFSET_VALID));
    must(page->leap_indicator <= VMCLOCK_LEAP_POST_NEGATIVE &&
         page->leap_indicator != VMCLOCK_LEAP_NOW);
    must(page->size >= VMCLOCK_AT_TIME_FRAC_SEC + 8);
    must(model->reference.sec >= 0);
    must(model->has_bound == (page_has(page, VMCLOCK_FLAG_TIME_MAXERROR_VALID) &&
                                 page_has(page, VMCLOCK_FLAG_PERIOD_MAXERROR_VALID)));
    must(clock_model_period(model) >= 0.99e-11 && clock_model_period(model) <= 1);
    must(reader->period_sec == 0 || fabs(clock_model_period(model) - 1.25e-9) <= 0.75e-9);
    must(model->rate_error >= 0);
    must(model->leap == page->leap_indicator);
    if (model->leap != VMCLOCK_LEAP_NONE) {
        must(leap_is_ahead(model) == (model->leap_at_sec > model->reference.sec));
        must(llabs(model->leap_at_sec - model->reference.sec) <= INT64_C(31) * 86400);
        must(model->leap_at_sec % 86400 == 0);
    }
    must(clock_model_bound_ns(model, model->counter_value) >= model->time_maxerror_ns);
    must(clock_model_bound_ns(model, model->counter_value) <=
         clock_model_bound_ns(model, model->counter_value + 1000000));
}

static void check_time(const struct clock_model *model, uint64_t counter)
{
    const bool positive =
        model->leap == VMCLOCK_LEAP_PRE_POSITIVE || model->leap == VMCLOCK_LEAP_POST_POSITIVE;
    struct clock_time time;
    struct fixed expected = {0, 0};
    const bool fits = formula(model, counter, &expected);
    const enum clock_verdict verdict = clock_model_time(model, counter, &time);

    if (verdict != CLOCK_OK) {
        must(verdict == CLOCK_LEAP_NOW || verdict == CLOCK_REFERENCE_IN_FUTURE ||
             verdict == CLOCK_OUT_OF_RANGE);
        must(verdict != CLOCK_OUT_OF_RANGE || !fits ||
             (model->leap != VMCLOCK_LEAP_NONE && expected.sec == INT64_MAX));
        must(verdict != CLOCK_LEAP_NOW || model->leap != VMCLOCK_LEAP_NONE);
        return;
    }
    must(fits);
    must(time.utc.frac == expected.frac);
    must(time.utc.sec == expected.sec - time.tai_step);
    if (model->leap == VMCLOCK_LEAP_NONE) {
        must(time.tai_step == 0 && time.leap == 0);
    } else if (time.leap) { /* the leap is still to come */
        must(time.leap == (positive ? 1 : 2));
        must(time.tai_step == (leap_is_ahead(model) ? 0 : positive ? -1 : 1));
        must(time.utc.sec < model->leap_at_sec);
    } else {
        must(time.tai_step == (!leap_is_ahead(model) ? 0 : positive ? 1 : -1));
        must(time.utc.sec >= model->leap_at_sec);
    }
}

static void check_sample(
    const struct clock_model *model, const struct cross_timestamp *reading, bool fits)
{
    struct sock_sample sample;
    struct offset offset;

    if (cross_timestamp_offset(reading, model, &offset) != CLOCK_OK)
        return;
    must(fits);
    must(isfinite(offset.sec));
    must(offset.leap >= 0 && offset.leap <= 2);
    must(offset.has_bound == model->has_bound);
    must(offset.ns == INT64_MAX || offset.ns == INT64_MIN ||
         fabs((double)offset.ns * 1e-9 - offset.sec) <= 1e-9 + fabs(offset.sec) * 1e-15);
    if (offset.has_bound) {
        must(offset.bound_ns >= model->time_maxerror_ns);
        must(offset.bound_ns >= offset.width_ns / 2);
    }
    sock_sample_init(&sample, &offset);
    must(sample.tv.tv_sec == (time_t)reading->sec &&
         sample.tv.tv_usec == (suseconds_t)(reading->nsec / 1000));
    must(sample.magic == SOCK_SAMPLE_MAGIC && sample.pulse == 0 && sample.pad == 0);
    must(sample.leap == offset.leap && sample.offset == offset.sec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    const uint8_t options = take_u8(&in);
    const struct clock_reader reader = {
        .counter = options & 2 ? VMCLOCK_COUNTER_ARM_VIRTUAL : VMCLOCK_COUNTER_X86_TSC,
        .period_sec = options & 4 ? 1e-9 : 0,
        .accept_freerunning = options & 1,
    };
    uint8_t raw[VMCLOCK_FIELDS_END];
    struct vmclock_page page;
    struct guarantee guarantee = {.known = false};
    struct clock_model model;
    struct cross_timestamp reading;
    struct clock_time time;
    enum page_verdict page_verdict;
    enum clock_verdict verdict;

    take(&in, raw, sizeof(raw));
    reading.counter_before = take_u64(&in);
    reading.counter_after = reading.counter_before + take_u32(&in);
    reading.sec = (int64_t)take_u64(&in);
    reading.nsec = take_u32(&in);

    page_verdict = page_decode(raw, &page);
    must(page_verdict_str(page_verdict)[0]);
    must(page_counter_id_str(page.counter_id)[0] && page_time_type_str(page.time_type)[0] &&
         page_clock_status_str(page.clock_status)[0] &&
         page_smearing_hint_str(page.smearing_hint)[0] &&
         page_leap_indicator_str(page.leap_indicator)[0]);
    if (page_verdict != PAGE_OK)
        return 0;
    must(page.magic == VMCLOCK_MAGIC && page.version == VMCLOCK_VERSION);
    must(page.size >= VMCLOCK_AT_FLAGS);
    must(page.size >= VMCLOCK_FIELDS_END || !page_has(&page, VMCLOCK_FLAG_VM_GENERATION_PRESENT));

    verdict = clock_model_init(&page, &reader, &model);
    must(strcmp(clock_verdict_str(verdict), "unknown") != 0);
    must((page.counter_id == reader.counter && page.size >= VMCLOCK_AT_TIME_FRAC_SEC + 8) ||
         clock_verdict_is_marker_only(verdict));
    if (verdict != CLOCK_OK) {
        must(!clock_verdict_has_period(verdict) || model.period_frac == page.period_frac_sec);
        return 0;
    }
    check_model(&page, &reader, &model);
    check_time(&model, model.counter_value);
    check_time(&model, reading.counter_before);
    must(guarantee_add(&guarantee, &model) && guarantee_add(&guarantee, &model));
    must(clock_model_continues(&model, &model) ==
         (clock_model_time(&model, model.counter_value, &time) != CLOCK_OUT_OF_RANGE));
    if (cross_timestamp_narrowest(&reading, 1) == &reading)
        check_sample(&model, &reading,
            clock_model_time(&model, cross_timestamp_counter(&reading), &time) == CLOCK_OK);
    else
        must(reading.nsec > 999999999);
    return 0;
}
