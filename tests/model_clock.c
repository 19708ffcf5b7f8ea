/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model_clock.h"

#include <math.h>

#define SLEW_RATE      0.083333
#define RAW_SHIFT      24
#define HALF_WIDTH_SEC 20e-9 /* of a reading */

double model_random(uint64_t *state)
{
    *state ^= *state << 13; /* xorshift */
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) * 0x1p-53;
}

void model_clock_init(struct model_clock *clock, double hz, uint64_t counter, int64_t now_ns)
{
    *clock = (struct model_clock){
        .hz = hz,
        .counter_since_ns = now_ns,
        .counter_at_since = counter,
        .raw_ns_per_tick = ldexp(rint(ldexp(1e9 / hz, RAW_SHIFT)), -RAW_SHIFT),
        .slew_rate = SLEW_RATE,
        .moved_ns = now_ns,
    };
}

void model_clock_move(struct model_clock *clock, int64_t now_ns)
{
    const double adjustment = 1 + (double)clock->freq / 65536e6;
    const double rate = clock->raw_ns_per_tick * 1e-9 * clock->hz * adjustment;
    const double elapsed = (double)(now_ns - clock->moved_ns) * 1e-9;
    double slewed = fmin(elapsed * clock->slew_rate, fabs(clock->slew_left_sec));

    clock->moved_ns = now_ns;
    clock->raw_ticks += elapsed * clock->hz;
    slewed = copysign(slewed, clock->slew_left_sec);
    clock->error_sec += elapsed * (rate - 1) - slewed;
    clock->slew_left_sec -= slewed;
}

void model_clock_step(struct model_clock *clock, double by_sec)
{
    clock->error_sec += by_sec;
    clock->stepped_in_all_ns += llrint(by_sec * 1e9);
    if (-by_sec > clock->largest_backward_step_sec)
        clock->largest_backward_step_sec = -by_sec;
}

uint64_t model_clock_counter(const struct model_clock *clock, int64_t now_ns)
{
    const double elapsed = (double)(now_ns - clock->counter_since_ns) * 1e-9;

    return clock->counter_at_since + (uint64_t)(int64_t)floor(elapsed * clock->hz);
}

void model_clock_disrupt(struct model_clock *clock, int64_t now_ns, double jump_sec, double ppm)
{
    model_clock_move(clock, now_ns);
    clock->counter_at_since =
        model_clock_counter(clock, now_ns) + (uint64_t)(int64_t)rint(jump_sec * clock->hz);
    clock->counter_since_ns = now_ns;
    clock->error_sec += jump_sec; /* the kernel's clock takes the jump for time */
    clock->hz *= 1 + ppm * 1e-6;
}

struct cross_timestamp model_clock_read(struct model_clock *clock, int64_t now_ns, double ahead_sec)
{
    const double at = (double)now_ns + ahead_sec * 1e9;
    const double sec = floor(at / 1e9);
    const uint64_t counter = model_clock_counter(clock, now_ns) + (uint64_t)clock->counter_skew;
    const uint64_t half_width = (uint64_t)(clock->hz * HALF_WIDTH_SEC);

    clock->counter_skew = 0;
    return (struct cross_timestamp){counter - half_width, counter + half_width,
        MODEL_EPOCH + (int64_t)sec, (uint32_t)fmin(999999999, rint(at - sec * 1e9))};
}

double model_clock_raw_ahead_sec(const struct model_clock *clock, int64_t now_ns)
{
    return clock->raw_ticks * clock->raw_ns_per_tick * 1e-9 - (double)now_ns * 1e-9;
}
