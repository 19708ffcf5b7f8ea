/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/baseline.h"

#include <math.h>

#define WIDTH_MAX 2.0  /* brackets, over the narrowest one's */
#define FLOOR_NS  2.0  /* what two batches differ by at the least without a cause */
#define LEAST_NS  1e6  /* a baseline that is worth looking at */
#define MOST_NS   60e9 /* the clocks' rates wander */
#define FAR_OFF   1e-3 /* more than a rate ever changes by */
#define APART_NS  1e5  /* what a suspended machine's clocks are apart by is more */
#define GOOD      1e-8 /* a rate that is worth keeping a poor first batch for */

void baseline_forget(struct baseline *b)
{
    *b = (struct baseline){.first.n = 0};
}

static double width(const struct cross_timestamp *reading)
{
    return (double)(reading->counter_after - reading->counter_before);
}

static double ticks_from(const struct cross_timestamp *from, const struct cross_timestamp *to)
{
    return (double)counter_difference(cross_timestamp_counter(to), cross_timestamp_counter(from));
}

static double ns_from(const struct cross_timestamp *from, const struct cross_timestamp *to)
{
    return (double)(to->sec - from->sec) * 1e9 + (double)to->nsec - from->nsec;
}

static bool counts(const struct cross_timestamp *reading, const struct cross_timestamp *narrowest)
{
    return reading->counter_after >= reading->counter_before && reading->nsec < 1000000000 &&
           width(reading) <= WIDTH_MAX * width(narrowest);
}

static struct baseline_end middle(
    const struct cross_timestamp *readings, size_t n, const struct cross_timestamp *narrowest)
{
    struct baseline_end end = {.narrowest = *narrowest};

    for (size_t i = 0; i < n; i++)
        if (counts(&readings[i], narrowest)) {
            end.ticks += ticks_from(narrowest, &readings[i]);
            end.ns += ns_from(narrowest, &readings[i]);
            end.n++;
        }
    end.ticks /= end.n;
    end.ns /= end.n;
    return end;
}

static double ticks_between(const struct baseline_end *from, const struct baseline_end *to)
{
    return ticks_from(&from->narrowest, &to->narrowest) + to->ticks - from->ticks;
}

static double ns_between(const struct baseline_end *from, const struct baseline_end *to)
{
    return ns_from(&from->narrowest, &to->narrowest) + to->ns - from->ns;
}

static double spread(const struct baseline_end *end, const struct cross_timestamp *readings,
    size_t n, double ns_per_tick)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        if (counts(&readings[i], &end->narrowest)) {
            const double ns = ns_from(&end->narrowest, &readings[i]) - end->ns;
            const double ticks = ticks_from(&end->narrowest, &readings[i]) - end->ticks;

            sum += (ns - ticks * ns_per_tick) * (ns - ticks * ns_per_tick);
        }
    return end->n > 1 ? sqrt(sum / (end->n - 1)) : 0;
}

/* Whether `end` is of the same clocks, undisturbed, and the first batch still worth its place. */
static bool continues(const struct baseline *b, const struct baseline_end *end)
{
    const double ns = ns_between(&b->latest, end), ticks = ticks_between(&b->latest, end);
    double rate, doubt = 1;

    if (b->first.n == 0 || !(ns > 0) || !(ticks > 0))
        return false;
    if (baseline_rate(b, &rate, &doubt) && fabs(ns - ticks * rate) > APART_NS + FAR_OFF * ns)
        return false;
    return doubt <= GOOD || width(&b->first.narrowest) <= WIDTH_MAX * width(&end->narrowest);
}

/* How long it is. */
static double baseline_ns(const struct baseline *b)
{
    return ns_between(&b->first, &b->latest);
}

void baseline_take(struct baseline *b, const struct cross_timestamp *readings, size_t n)
{
    const struct cross_timestamp *narrowest = cross_timestamp_narrowest(readings, n);
    struct baseline_end end;

    if (!narrowest)
        return;
    end = middle(readings, n, narrowest);
    if (!continues(b, &end)) {
        *b = (struct baseline){.first = end, .latest = end};
        return;
    }
    b->latest = end;
    b->spread_ns =
        spread(&end, readings, n, ns_between(&b->first, &end) / ticks_between(&b->first, &end));
    if (b->next.n == 0 && baseline_ns(b) > MOST_NS / 2)
        b->next = end;
    if (baseline_ns(b) > MOST_NS) {
        b->first = b->next;
        b->next = end;
    }
}

bool baseline_rate(const struct baseline *b, double *ret_ns_per_tick, double *ret_doubt)
{
    const double ns = baseline_ns(b), ticks = ticks_between(&b->first, &b->latest);
    double unlike_ticks, noise_ns;

    if (b->first.n == 0 || ns < LEAST_NS || !(ticks > 0))
        return false;
    /* Brackets of unlike width are off by unlike amounts: by half the difference at most. */
    unlike_ticks = fabs(width(&b->latest.narrowest) - width(&b->first.narrowest)) / 2;
    noise_ns = b->spread_ns * sqrt(1.0 / b->first.n + 1.0 / b->latest.n);
    *ret_ns_per_tick = ns / ticks;
    *ret_doubt = (FLOOR_NS + noise_ns) / ns + unlike_ticks / ticks;
    return true;
}
