/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine's counter, and the kernel's clock that goes by it and that chronyd disciplines.
 *
 * Times are ns since the machine's start, which is also its CLOCK_MONOTONIC; true UTC is
 * MODEL_EPOCH later, until there is a leap second. The clock's error is kept as such, so that it is
 * exact where it is small.
 */
#ifndef TESTS_MODEL_CLOCK_H
#define TESTS_MODEL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "refclock/cross_timestamp.h"

#define MODEL_EPOCH INT64_C(1700000000) /* UTC of time 0 */
#define MODEL_MS    INT64_C(1000000)
#define MODEL_SEC   INT64_C(1000000000)

struct model_clock {
    /* The counter. */
    double hz;
    int64_t counter_since_ns;
    uint64_t counter_at_since;
    int64_t counter_skew; /* of another CPU, which the next reading is on */

    /* CLOCK_REALTIME and CLOCK_MONOTONIC_RAW. */
    double error_sec; /* CLOCK_REALTIME minus true time without leap seconds */
    double raw_ns_per_tick;
    double raw_ticks;     /* since the start, without jumps: CLOCK_MONOTONIC_RAW */
    long freq;            /* the kernel's, 2^-16 ppm; chronyd's is the negative of it */
    double slew_left_sec; /* positive: the clock is slewed back by that much */
    double slew_rate;     /* chronyd's maxslewrate */
    int64_t moved_ns;     /* up to when the above are advanced */
    int tai;              /* the kernel's TAI offset */
    bool leaps;           /* chronyd has told the kernel of a leap second */

    double largest_backward_step_sec;
    int64_t stepped_in_all_ns;
};

/* Uniform in [0, 1); `state` is the generator's, not 0. */
double model_random(uint64_t *state);

/* At `now_ns` the counter is at `counter`, the clock is right, and the rate is the counter's. */
void model_clock_init(struct model_clock *clock, double hz, uint64_t counter, int64_t now_ns);

/* Advance the clock to now. */
void model_clock_move(struct model_clock *clock, int64_t now_ns);
void model_clock_step(struct model_clock *clock, double by_sec);

uint64_t model_clock_counter(const struct model_clock *clock, int64_t now_ns);

/* The counter's value and rate jump, and take the clock along. */
void model_clock_disrupt(struct model_clock *clock, int64_t now_ns, double jump_sec, double ppm);

/* A reading of a clock that is `ahead_sec` of true time, within 40 ns. */
struct cross_timestamp model_clock_read(
    struct model_clock *clock, int64_t now_ns, double ahead_sec);

/* By how much CLOCK_MONOTONIC_RAW is ahead of the time since the start. */
double model_clock_raw_ahead_sec(const struct model_clock *clock, int64_t now_ns);

#endif
