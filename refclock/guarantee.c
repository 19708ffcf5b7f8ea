/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/guarantee.h"

#include <assert.h>
#include <math.h>

#define ROUNDED_SEC 1e-9 /* what a host may lose when it writes a time down */

/* By how much the model's time may be wrong at `counter` by the error of its period. */
static double drift_sec(const struct clock_model *model, uint64_t counter)
{
    const double ticks = (double)counter_difference(counter, model->counter_value);

    return ldexp(fabs(ticks) * (double)model->period_maxerror, -64 - model->period_shift);
}

void guarantee_forget(struct guarantee *g)
{
    g->known = false;
}

bool guarantee_add(struct guarantee *g, const struct clock_model *later)
{
    const double own_sec = (double)later->time_maxerror_ns * 1e-9;
    struct guarantee sum = {true, *later, -own_sec, own_sec};
    double difference, drift;
    bool agrees = true;

    if (!later->has_bound)
        return true;
    if (g->known && clock_model_difference(&g->model, later, &difference)) {
        drift = drift_sec(&g->model, later->counter_value) + ROUNDED_SEC;
        sum.low_sec = fmax(-own_sec, g->low_sec - difference - drift);
        sum.high_sec = fmin(own_sec, g->high_sec - difference + drift);
        agrees = sum.low_sec <= sum.high_sec;
    }
    if (!agrees)
        sum = (struct guarantee){true, *later, -own_sec, own_sec};
    assert(sum.low_sec <= sum.high_sec);
    *g = sum;
    return agrees;
}
