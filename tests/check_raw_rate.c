/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <math.h>

#include "refclock/raw_rate.h"

/* A kernel whose CLOCK_MONOTONIC_RAW advances by mult / 2^shift ns a tick. */
static struct cross_timestamp raw_at(double sec, double hz, double ns_per_tick, double error_ns)
{
    const double ticks = floor(sec * hz), ns = ticks * ns_per_tick + error_ns;
    const uint64_t counter = (uint64_t)ticks + 1000000;

    return (struct cross_timestamp){
        counter - 40, counter + 40, (int64_t)floor(ns / 1e9), (uint32_t)fmod(ns, 1e9)};
}

static struct clock_model model_of(double hz)
{
    return (struct clock_model){
        .period_frac = (uint64_t)ldexp(1 / hz, 64 + 29), .period_shift = 29};
}

START_TEST(a_second_gives_the_kernels_rate_exactly)
{
    /* With the mult and shift that Linux chooses. */
    static const struct {
        double hz;
        int shift;
    } machines[] = {{1e9, 23}, {2.6e9, 24}, {5e9, 24}};

    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        const double hz = machines[i].hz;
        const double ns_per_tick =
            ldexp(rint(ldexp(1e9 / hz, machines[i].shift)), -machines[i].shift);
        struct raw_rate rate = {0};
        struct cross_timestamp raw = raw_at(1, hz, ns_per_tick, 5);

        raw_rate_observe(&rate, &raw);
        ck_assert(!rate.known);
        raw = raw_at(2, hz, ns_per_tick, -5);
        raw_rate_observe(&rate, &raw);
        ck_assert_msg(rate.known, "%g Hz", hz);
        ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, ns_per_tick * 1e-12);
    }
}
END_TEST

START_TEST(a_slow_counter_needs_a_longer_baseline)
{
    static const double slow_hz[] = {25e6, 62.5e6};

    for (size_t i = 0; i < 2; i++) {
        const double hz = slow_hz[i], ns_per_tick = ldexp(rint(ldexp(1e9 / hz, 23)), -23);
        struct raw_rate rate = {0};

        for (int sec = 0; sec <= 16; sec++) {
            const struct cross_timestamp raw = raw_at(1 + sec, hz, ns_per_tick, sec % 2 ? 5 : -5);

            ck_assert_int_eq(rate.known, sec > (i == 0 ? 15 : 6));
            raw_rate_observe(&rate, &raw);
        }
        ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, ns_per_tick * 2e-9);
    }
}
END_TEST

START_TEST(the_rate_error_is_what_dfreq_takes)
{
    const double hz = 2.6e9, ns_per_tick = ldexp(rint(ldexp(1e9 / hz, 24)), -24);
    const struct clock_model model = model_of(hz * (1 + 60e-6));
    /* The system's seconds a tick over the true ones: fast by what DFREQ has to take off. */
    const double adjusted = ns_per_tick * 1e-9 * (1 + 90e-6);
    const double expected = (1 - 1 / (hz * (1 + 60e-6)) / adjusted) * 1e6;

    ck_assert_double_eq_tol(raw_rate_error_ppm(ns_per_tick, &model, -90), expected, 1e-5);
}
END_TEST

START_TEST(a_clock_source_that_is_not_the_counter_is_found_out)
{
    struct raw_rate rate = {0};

    for (int sec = 0; sec < 60; sec++) {
        /* Half a mult off: no whole one fits. */
        const struct cross_timestamp raw = raw_at(1 + sec, 2.6e9, ldexp(6452775.5, -24), 0);

        raw_rate_observe(&rate, &raw);
    }
    ck_assert(!rate.known);
}
END_TEST

START_TEST(a_clock_that_jumps_back_starts_a_new_baseline)
{
    const double ns_per_tick = ldexp(6452775, -24);
    struct raw_rate rate = {0};
    struct cross_timestamp raw = raw_at(100, 2.6e9, ns_per_tick, 0);

    raw_rate_observe(&rate, &raw);
    raw = raw_at(50, 2.6e9, ns_per_tick, 0);
    raw_rate_observe(&rate, &raw);
    ck_assert(!rate.known);
    raw = raw_at(51, 2.6e9, ns_per_tick, 0);
    raw_rate_observe(&rate, &raw);
    ck_assert(rate.known);
    ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, 1e-12);
}
END_TEST

START_TEST(noise_only_makes_the_baseline_longer)
{
    const double ns_per_tick = ldexp(8388608, -23); /* 1 GHz: a mult is 120 ns in a second */
    struct raw_rate rate = {0};
    struct cross_timestamp raw = raw_at(1, 1e9, ns_per_tick, 0);

    raw_rate_observe(&rate, &raw);
    raw = raw_at(2, 1e9, ns_per_tick, 30);
    raw_rate_observe(&rate, &raw);
    ck_assert(!rate.known);
    raw = raw_at(3, 1e9, ns_per_tick, 30);
    raw_rate_observe(&rate, &raw);
    ck_assert(rate.known);
    ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, 1e-12);
}
END_TEST

START_TEST(a_disturbed_reading_only_makes_the_baseline_longer)
{
    const double ns_per_tick = ldexp(6452775, -24);
    struct raw_rate rate = {0};
    struct cross_timestamp raw = raw_at(1, 2.6e9, ns_per_tick, 0);

    raw_rate_observe(&rate, &raw);
    raw = raw_at(2, 2.6e9, ns_per_tick, 2000);
    raw.counter_after += 10000; /* preempted in between */
    raw_rate_observe(&rate, &raw);
    ck_assert(!rate.known);
    raw = raw_at(3, 2.6e9, ns_per_tick, 0);
    raw_rate_observe(&rate, &raw);
    ck_assert(rate.known);
}
END_TEST

/* It is waited for up to a minute, then begun again. */
START_TEST(readings_of_unlike_width_make_no_baseline_of_a_slow_counter)
{
    static const double slow_hz[] = {25e6, 1e6};

    for (size_t i = 0; i < 2; i++) {
        const double hz = slow_hz[i], ns_per_tick = 1e9 / hz;
        struct raw_rate rate = {0};
        struct cross_timestamp raw = raw_at(1, hz, ns_per_tick, 0);

        raw.counter_after += 1000;
        raw_rate_observe(&rate, &raw);
        for (int sec = 2; sec <= 62; sec++) {
            raw = raw_at(sec, hz, ns_per_tick, 0);
            raw_rate_observe(&rate, &raw);
            ck_assert(!rate.known);
        }
        raw = raw_at(78, hz, ns_per_tick, 0);
        raw_rate_observe(&rate, &raw);
        ck_assert(rate.known); /* against the one that was taken after a minute */
    }
}
END_TEST

START_TEST(a_disturbed_first_reading_is_given_up_after_a_minute)
{
    const double ns_per_tick = ldexp(6452775, -24);
    struct raw_rate rate = {0};
    struct cross_timestamp raw = raw_at(1, 2.6e9, ns_per_tick, 0);

    raw.counter_after += 100000000; /* 40 ms wide */
    raw_rate_observe(&rate, &raw);
    raw = raw_at(2, 2.6e9, ns_per_tick, 0);
    raw_rate_observe(&rate, &raw);
    ck_assert(!rate.known);
    raw = raw_at(63, 2.6e9, ns_per_tick, 1000000); /* and here is the next, as bad */
    raw.counter_after += 1000;
    raw_rate_observe(&rate, &raw);
    raw = raw_at(64, 2.6e9, ns_per_tick, 1000000);
    raw.counter_after += 1000;
    raw_rate_observe(&rate, &raw);
    ck_assert(rate.known);
    ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, 1e-12);
}
END_TEST

START_TEST(a_raw_clock_that_stands_still_starts_a_new_baseline)
{
    const double ns_per_tick = ldexp(6452775, -24);
    struct raw_rate rate = {0};
    struct cross_timestamp raw = raw_at(10, 2.6e9, ns_per_tick, 0), later;

    raw_rate_observe(&rate, &raw);
    later = raw_at(12, 2.6e9, ns_per_tick, 0);
    later.sec = raw.sec;
    later.nsec = raw.nsec;
    raw_rate_observe(&rate, &later);
    ck_assert(!rate.known);
    ck_assert_uint_eq(rate.anchor.counter_before, later.counter_before);
    rate = (struct raw_rate){0};
    raw_rate_observe(&rate, &raw);
    later = raw_at(10.5, 2.6e9, ns_per_tick, 0);
    raw_rate_observe(&rate, &later); /* too early to tell */
    ck_assert(!rate.known);
    ck_assert_uint_eq(rate.anchor.counter_before, raw.counter_before);
}
END_TEST

/* The counter goes on in a suspended machine, CLOCK_MONOTONIC_RAW does not. */
START_TEST(a_suspended_machine_has_no_other_rate)
{
    static const double machines_hz[] = {2.6e9, 1e9, 25e6};

    for (size_t i = 0; i < 3; i++)
        for (int night = 1; night < 1600; night++) {
            const double asleep = 0.37 * night;
            const double hz = machines_hz[i], ns_per_tick = ldexp(rint(ldexp(1e9 / hz, 23)), -23);
            struct raw_rate rate = {0};

            for (int sec = 0; sec < 60; sec++) {
                const struct cross_timestamp awake = raw_at(1 + sec, hz, ns_per_tick, 0);
                struct cross_timestamp raw =
                    raw_at(1 + sec + (sec < 20 ? 0 : asleep), hz, ns_per_tick, 0);

                raw.sec = awake.sec;
                raw.nsec = awake.nsec;
                raw_rate_observe(&rate, &raw);
                ck_assert_int_eq(rate.known, sec >= (i < 2 ? 1 : 15));
                if (rate.known)
                    ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, ns_per_tick * 4e-9);
            }
        }
}
END_TEST

/* As if it had been suspended within its first second. */
START_TEST(a_rate_that_was_never_right_does_not_last)
{
    const double hz = 2.6e9, ns_per_tick = ldexp(rint(ldexp(1e9 / hz, 24)), -24);
    struct raw_rate rate = {.known = true, .ns_per_tick = ns_per_tick / 3};

    for (int sec = 0; sec < 5; sec++) {
        const struct cross_timestamp raw = raw_at(1 + sec, hz, ns_per_tick, 0);

        raw_rate_observe(&rate, &raw);
    }
    ck_assert(rate.known);
    ck_assert_double_eq_tol(rate.ns_per_tick, ns_per_tick, 1e-12);
}
END_TEST

RUN_SUITE("rate", a_second_gives_the_kernels_rate_exactly, a_slow_counter_needs_a_longer_baseline,
    the_rate_error_is_what_dfreq_takes, a_clock_source_that_is_not_the_counter_is_found_out,
    a_clock_that_jumps_back_starts_a_new_baseline, noise_only_makes_the_baseline_longer,
    a_disturbed_reading_only_makes_the_baseline_longer,
    readings_of_unlike_width_make_no_baseline_of_a_slow_counter,
    a_disturbed_first_reading_is_given_up_after_a_minute,
    a_raw_clock_that_stands_still_starts_a_new_baseline, a_suspended_machine_has_no_other_rate,
    a_rate_that_was_never_right_does_not_last)
