/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/aftercare.h"

#include <assert.h>
#include <math.h>

#define BURSTS_MORE    4                   /* beside the recovery's own */
#define BURST_FIRST_NS INT64_C(8000000000) /* after that; twice as long before each further one */
#define BURSTS_LEAST   3                   /* so many left: two have been sent, in half a minute */
#define RATES          3                   /* that bursts tell */
#define GOOD_PPM       1.0 /* makes 64 us until the next poll, at the default minpoll */

void aftercare_begin(struct aftercare *a, int64_t now_ns)
{
    *a = (struct aftercare){.bursts_left = BURSTS_MORE,
        .burst_due_ns = now_ns + BURST_FIRST_NS,
        .burst_interval_ns = BURST_FIRST_NS,
        .rates_left = RATES,
        .rate_time = a->rate_time};
}

void aftercare_end(struct aftercare *a)
{
    a->bursts_left = a->rates_left = 0;
}

void aftercare_referenced(
    struct aftercare *a, const struct known_chronyd *known, const struct aftercare_view *view)
{
    if (!view->needs_rate || view->polls_fast ||
        (a->bursts_left < BURSTS_LEAST && known->skew_ppm <= GOOD_PPM &&
            fabs(known->residual_ppm) <= GOOD_PPM))
        aftercare_end(a);
}

bool aftercare_may_burst(
    const struct aftercare *a, const struct known_chronyd *known, const struct aftercare_view *view)
{
    return a->bursts_left > 0 && view->may_burst && view->resting && known->reachable;
}

void aftercare_burst_sent(struct aftercare *a, int64_t now_ns)
{
    assert(a->bursts_left > 0);
    a->bursts_left--;
    a->burst_interval_ns *= 2;
    a->burst_due_ns = now_ns + a->burst_interval_ns;
}

static bool is_news(const struct aftercare *a, const struct known_chronyd *known)
{
    return known->reference_time.sec != a->rate_time.sec ||
           known->reference_time.nsec != a->rate_time.nsec;
}

bool aftercare_rate_is_due(
    const struct aftercare *a, const struct known_chronyd *known, const struct aftercare_view *view)
{
    const double since_sec = (double)(view->now_ns - view->disrupted_ns) * 1e-9;
    const double noise_ppm = 2e6 * known->dispersion_sec / fmax(since_sec, 1);
    const double residual_ppm = fabs(known->residual_ppm);

    return a->rates_left > 0 && view->may_rate && view->needs_rate && view->resting &&
           known->tracked && known->has_reference && is_news(a, known) &&
           residual_ppm <= view->rate_max_ppm && residual_ppm > fmax(GOOD_PPM, noise_ppm);
}

void aftercare_rate_sent(struct aftercare *a, const struct known_chronyd *known)
{
    assert(a->rates_left > 0);
    a->rates_left--;
    a->rate_time = known->reference_time;
}

void aftercare_rate_refused(struct aftercare *a)
{
    a->rates_left = 0;
}
