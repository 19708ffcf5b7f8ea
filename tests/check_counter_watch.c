/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/counter_watch.h"

#include <math.h>

#include "tests/clock_page.h"
#include "tests/suite.h"

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

static struct counter_watch watch;
static struct clock_model model; /* 1 ns a tick */

static void setup(void)
{
    counter_watch_init(&watch, 100 * SECOND);
    counter_watch_take_source(&watch, CLOCK_SOURCE_COUNTER, 100 * SECOND);
    ck_assert_int_eq(clock_model_init(&clock_page, &clock_page_reader, &model), CLOCK_OK);
}

/* CLOCK_MONOTONIC_RAW and the counter after `sec`, one ns a tick. */
static void take_raw(int64_t sec)
{
    const struct cross_timestamp raw = {
        (uint64_t)(sec * SECOND) + 1000, (uint64_t)(sec * SECOND) + 1040, sec, 20};

    counter_watch_take_raw(&watch, &raw, 1, (100 + sec) * SECOND);
}

static void take(uint64_t counter_before, uint64_t counter_after)
{
    const struct cross_timestamp reading = {counter_before, counter_after, 1, 0};

    counter_watch_take(&watch, &reading, 1);
}

START_TEST(a_counter_that_goes_back_is_not_good_again_until_a_disruption)
{
    take(1000, 1010);
    take(1005, 1020); /* the first of one is held against the first of the one before */
    ck_assert(!watch.back);
    take(1004, 1020);
    ck_assert(watch.back);
    take(2000, 2010);
    ck_assert(watch.back);
    counter_watch_disrupted(&watch, 100 * SECOND);
    take(5, 10); /* another host's counter may have any value */
    ck_assert(!watch.back);
    take(20, 19); /* within one reading */
    ck_assert(watch.back);
}
END_TEST

START_TEST(no_readings_say_nothing)
{
    take(1000, 1010);
    counter_watch_take(&watch, NULL, 0);
    ck_assert(!watch.back);
    ck_assert_uint_eq(watch.value, 1000);
}
END_TEST

START_TEST(the_raw_clock_is_due_each_second_and_after_a_disruption)
{
    ck_assert_int_eq(watch.due_ns, 100 * SECOND);
    take_raw(0);
    ck_assert_int_eq(watch.due_ns, 101 * SECOND);
    counter_watch_take_raw(&watch, NULL, 0, 101 * SECOND); /* the page moved: in a second again */
    ck_assert_int_eq(watch.due_ns, 102 * SECOND);
    counter_watch_disrupted(&watch, 101 * SECOND); /* the rate is not known yet: at once */
    ck_assert_int_eq(watch.due_ns, 101 * SECOND);
    take_raw(2);
    take_raw(3);
    counter_watch_disrupted(&watch, 103 * SECOND);
    ck_assert_int_eq(watch.due_ns, 103 * SECOND + 100 * MS);
}
END_TEST

START_TEST(the_rate_error_is_known_after_a_second_and_stays_so_through_a_disruption)
{
    double ppm, doubt;

    take_raw(0);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
    take_raw(1);
    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
    ck_assert_double_eq_tol(ppm, 0, 0.01);
    ck_assert(doubt == 0 && counter_watch_is_final(&watch));
    counter_watch_disrupted(&watch, 101 * SECOND);
    model.period_frac -= model.period_frac / 10000; /* 100 ppm less a tick */
    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
    ck_assert_double_eq_tol(ppm, 100, 0.02);
    ck_assert(
        counter_watch_rate_error(&watch, &model, 60, &ppm, &doubt)); /* chronyd keeps it slower */
    ck_assert_double_eq_tol(ppm, 40, 0.02);
}
END_TEST

START_TEST(a_rate_outlives_no_change_of_the_clock_source)
{
    double ppm, doubt;

    take_raw(0);
    take_raw(1);
    counter_watch_take_source(&watch, CLOCK_SOURCE_COUNTER, 100 * SECOND);
    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
    counter_watch_take_source(&watch, CLOCK_SOURCE_OTHER, 101 * SECOND);
    ck_assert_int_eq(watch.due_ns, 101 * SECOND);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
    counter_watch_take_source(&watch, CLOCK_SOURCE_COUNTER, 100 * SECOND);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
}
END_TEST

START_TEST(no_rate_is_learnt_from_a_counter_that_went_back)
{
    take(UINT64_C(1) << 40, (UINT64_C(1) << 40) + 10);
    take_raw(0);
    take_raw(1);
    ck_assert(watch.back && !watch.rate.known);
}
END_TEST

START_TEST(it_is_not_known_by_a_frequency_that_cannot_be_or_a_counter_that_went_back)
{
    static const double absurd[] = {NAN, INFINITY, 1.1e5, -1.1e5};
    double ppm = -1, doubt;

    take_raw(0);
    take_raw(1);
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++)
        ck_assert(!counter_watch_rate_error(&watch, &model, absurd[i], &ppm, &doubt));
    take(1, 2);
    ck_assert(!counter_watch_rate_error(&watch, &model, 0, &ppm, &doubt));
    ck_assert_double_eq(ppm, -1);
}
END_TEST

/* --- a clock source that is not the counter --------------------------------------------------- */

#define READINGS 32

/*
 * A batch of readings at `sec`, of a raw clock that advances by `ns_per_tick` in whole steps of
 * `step_ns`; a reading takes `width` ticks, of which the clock is read in the middle.
 */
static void take_batch(double sec, double ns_per_tick, double step_ns, uint64_t width)
{
    struct cross_timestamp readings[READINGS];
    const uint64_t start = UINT64_C(5000000000) + (uint64_t)(sec * 1e9);

    for (unsigned i = 0; i < READINGS; i++) {
        const uint64_t before = start + i * (width + 57);
        const double ns = ((double)before + (double)width / 2) * ns_per_tick;
        const double shown = floor(ns / step_ns) * step_ns;

        readings[i] = (struct cross_timestamp){
            before, before + width, (int64_t)(shown / 1e9), (uint32_t)fmod(shown, 1e9)};
    }
    counter_watch_take_raw(&watch, readings, READINGS, (int64_t)(100e9 + sec * 1e9));
}

static double error_ppm(double ns_per_tick, double *ret_doubt_ppm)
{
    double ppm;

    ck_assert(counter_watch_rate_error(&watch, &model, 0, &ppm, ret_doubt_ppm));
    return fabs(ppm - raw_rate_error_ppm(ns_per_tick, &model, 0));
}

START_TEST(the_rate_of_another_clock_source_is_better_known_the_longer_it_is_measured)
{
    static const struct {
        double step_ns; /* the kernel's tick: hpet in QEMU and elsewhere, acpi_pm */
        uint64_t width;
        double good_after_sec; /* to 1e-8 */
    } sources[] = {{10, 1500, 2}, {69.8413, 2500, 5}, {279.3651, 1400, 16}};
    static const double stages_sec[] = {0.003, 0.01, 0.05, 0.2, 1, 4, 10, 20};
    const double ns_per_tick = 1.0000372;

    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        double doubt = 0, last = INFINITY;

        counter_watch_init(&watch, 100 * SECOND);
        counter_watch_take_source(&watch, CLOCK_SOURCE_OTHER, 100 * SECOND);
        take_batch(0, ns_per_tick, sources[i].step_ns, sources[i].width);
        ck_assert(!counter_watch_rate_error(&watch, &model, 0, &(double){0}, &doubt));
        for (size_t k = 0; k < sizeof(stages_sec) / sizeof(stages_sec[0]); k++) {
            double error;

            take_batch(stages_sec[k], ns_per_tick, sources[i].step_ns, sources[i].width);
            error = error_ppm(ns_per_tick, &doubt);
            ck_assert_msg(error < 4 * doubt, "%g ns after %g s: %g ppm off, %g expected",
                sources[i].step_ns, stages_sec[k], error, doubt);
            ck_assert_double_lt(doubt, last);
            ck_assert(doubt <= 0.01 || stages_sec[k] < sources[i].good_after_sec);
            last = doubt;
        }
        ck_assert(!counter_watch_is_final(&watch));
    }
}
END_TEST

/* pvclock's arithmetic: a frequency in whole kHz becomes a multiplier of 32 bits and a shift. */
static double pvclock_ns_per_tick(double khz)
{
    int shift;
    const double mult = frexp(1e6 / khz, &shift); /* 0.5 to 1 */

    return ldexp(floor(ldexp(mult, 32)), shift - 32);
}

START_TEST(kvm_clock_is_known_by_its_whole_khz_sooner)
{
    static const double khz[] = {999999, 1000037, 1000120};

    for (size_t i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
        const double ns_per_tick = pvclock_ns_per_tick(khz[i]);
        double doubt;

        counter_watch_init(&watch, 100 * SECOND);
        counter_watch_take_source(&watch, CLOCK_SOURCE_KVM, 100 * SECOND);
        take_batch(0, ns_per_tick, 1, 40);
        take_batch(0.01, ns_per_tick, 1, 40);
        ck_assert_double_lt(error_ppm(ns_per_tick, &doubt), 0.5);
        ck_assert_double_gt(doubt, 0.05);
        take_batch(0.2, ns_per_tick, 1, 40);
        ck_assert_double_lt(error_ppm(ns_per_tick, &doubt), 0.001);
        ck_assert_double_le(doubt, 0.001);
        /* The next host's is another one. */
        counter_watch_disrupted(&watch, 101 * SECOND);
        ck_assert(!counter_watch_rate_error(&watch, &model, 0, &(double){0}, &doubt));
    }
}
END_TEST

START_TEST(a_kvm_clock_of_no_whole_khz_is_measured)
{
    const double ns_per_tick = 1e6 / 1000037.45;
    double doubt;

    counter_watch_take_source(&watch, CLOCK_SOURCE_KVM, 100 * SECOND);
    take_batch(0, ns_per_tick, 1, 40);
    for (int i = 1; i <= 20; i++) {
        take_batch(i * 0.1, ns_per_tick, 1, 40);
        ck_assert_double_lt(error_ppm(ns_per_tick, &doubt), 0.2);
    }
    ck_assert_double_lt(error_ppm(ns_per_tick, &doubt), 0.01);
}
END_TEST

RUN_LOOPS_AFTER(setup, "counter watch",
    {a_counter_that_goes_back_is_not_good_again_until_a_disruption, 1},
    {no_readings_say_nothing, 1}, {the_raw_clock_is_due_each_second_and_after_a_disruption, 1},
    {the_rate_error_is_known_after_a_second_and_stays_so_through_a_disruption, 1},
    {a_rate_outlives_no_change_of_the_clock_source, 1},
    {the_rate_of_another_clock_source_is_better_known_the_longer_it_is_measured, 1},
    {kvm_clock_is_known_by_its_whole_khz_sooner, 1}, {a_kvm_clock_of_no_whole_khz_is_measured, 1},
    {no_rate_is_learnt_from_a_counter_that_went_back, 1},
    {it_is_not_known_by_a_frequency_that_cannot_be_or_a_counter_that_went_back, 1})
