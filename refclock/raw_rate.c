/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/raw_rate.h"

#include <assert.h>
#include <math.h>

#define BASELINE_MIN_NS 950e6 /* an observation is ordered each second */
#define BASELINE_MAX_NS 60e9
#define BASELINE_ANY_NS 15e9 /* tells the rate to 1 ppb without being rounded */
#define READING_NS      20.0 /* what two readings of one clock differ by without a cause */
#define NEAR_INTEGER    0.2
#define FAR_OFF         1e-3 /* more than the rate ever changes by */
#define CONTRADICTIONS  3    /* in a row: what was known is given up */
#define WIDTH_MAX       0.5  /* of a mult, by which brackets of unlike width may differ */

/* The kernel's choice: the most precise shift that still allows ten minutes between updates. */
static int clocksource_shift(double ns_per_tick)
{
    const double ticks_in_600_s = 600e9 / ns_per_tick;
    int exponent, bits = 32, shift;

    frexp(floor(ldexp(ticks_in_600_s, -32)), &exponent); /* its number of bits */
    bits -= exponent;
    for (shift = 32; shift > 0 && ldexp(ns_per_tick, shift) >= ldexp(1, bits); shift--)
        ;
    return shift;
}

void raw_rate_forget(struct raw_rate *rate)
{
    *rate = (struct raw_rate){.known = false};
}

void raw_rate_disrupted(struct raw_rate *rate)
{
    rate->anchored = false;
}

static void anchor(struct raw_rate *rate, const struct cross_timestamp *raw)
{
    rate->anchored = true;
    rate->anchor = *raw;
}

static double width(const struct cross_timestamp *raw)
{
    return (double)(raw->counter_after - raw->counter_before);
}

static void learn(struct raw_rate *rate, double ns_per_tick)
{
    assert(ns_per_tick > 0);
    rate->known = true;
    rate->contradictions = 0;
    rate->ns_per_tick = ns_per_tick;
}

/*
 * What a baseline of `ticks` and `ns` tells, whose ends' brackets differ by twice `unlike` ticks.
 * True: it has told all that it can.
 */
static bool judge(struct raw_rate *rate, double ticks, double ns, double unlike)
{
    const int shift = clocksource_shift(ns / ticks);
    const double mult = ldexp(ns / ticks, shift), whole = rint(mult);

    if (READING_NS / ns * mult >= WIDTH_MAX) {
        /* A slow counter: neighbouring mults are too near to be told apart. */
        if (ns >= BASELINE_ANY_NS && unlike / ticks * ns <= READING_NS)
            learn(rate, ns / ticks);
        return false;
    }
    /* Narrow brackets of one width are off by one and the same amount, which cancels. */
    if (unlike / ticks * mult > WIDTH_MAX)
        return false;
    if (fabs(mult - whole) <= NEAR_INTEGER) {
        learn(rate, ldexp(whole, -shift));
        return true;
    }
    if (++rate->contradictions < CONTRADICTIONS)
        return false;    /* noise, or a disturbed reading: a longer baseline will tell */
    rate->known = false; /* the clock source is not the counter, or no longer this one */
    rate->contradictions = 0;
    return true;
}

void raw_rate_observe(struct raw_rate *rate, const struct cross_timestamp *raw)
{
    double ticks, ns;

    if (!rate->anchored) {
        anchor(rate, raw);
        return;
    }
    ticks = (double)counter_difference(
        cross_timestamp_counter(raw), cross_timestamp_counter(&rate->anchor));
    ns = (double)(raw->sec - rate->anchor.sec) * 1e9 + (double)raw->nsec - rate->anchor.nsec;
    if (ticks <= 0 || ns <= 0) { /* one of them was set back */
        anchor(rate, raw);
        return;
    }
    if (ns < BASELINE_MIN_NS)
        return;
    if (rate->known && fabs(ns / ticks / rate->ns_per_tick - 1) > FAR_OFF) {
        /* The machine was suspended: the counter went on, the clock did not. */
        rate->known = ++rate->contradictions < CONTRADICTIONS;
        anchor(rate, raw);
        return;
    }
    if (judge(rate, ticks, ns, fabs(width(raw) - width(&rate->anchor)) / 2) || ns > BASELINE_MAX_NS)
        anchor(rate, raw);
}

double raw_rate_error_ppm(double ns_per_tick, const struct clock_model *model, double frequency_ppm)
{
    const double system_sec_per_tick = ns_per_tick * 1e-9 * (1 - frequency_ppm * 1e-6);

    return (1 - clock_model_period(model) / system_sec_per_tick) * 1e6;
}
