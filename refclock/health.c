/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/health.h"

#define SECOND_NS        INT64_C(1000000000)
#define WITHHELD_NS      (5 * SECOND_NS)
#define OFFSET_NS        (10 * SECOND_NS)
#define OFFSET_LEAST_NS  10000  /* with a bound */
#define OFFSET_BLIND_NS  100000 /* without one */
#define BOUNDS           10
#define INTERVALS        8
#define INTERVAL_MAX_SEC 16777216.0 /* chronyd's longest poll */
#define INTERVAL_SEC     64.0       /* chronyd's default minpoll, where it tells no better */
#define PACE             4          /* more updates than iburst makes */

static bool is_over(int64_t offset_ns, uint64_t bound_ns)
{
    const uint64_t size_ns = offset_ns < 0 ? 0 - (uint64_t)offset_ns : (uint64_t)offset_ns;

    if (bound_ns == UINT64_MAX)
        return size_ns > OFFSET_BLIND_NS;
    return size_ns > OFFSET_LEAST_NS &&
           (bound_ns <= UINT64_MAX / BOUNDS && size_ns > BOUNDS * bound_ns);
}

static void take_samples(struct health *h, const struct health_view *view)
{
    if (!view->feeding || !view->withheld)
        h->withheld_since_ns = 0;
    else if (h->withheld_since_ns == 0)
        h->withheld_since_ns = view->now_ns;

    if (!view->feeding || (view->measured && !is_over(view->offset_ns, view->bound_ns))) {
        h->offset_first_ns = h->offset_last_ns = 0;
    } else if (view->measured) {
        if (h->offset_first_ns == 0)
            h->offset_first_ns = view->now_ns;
        h->offset_last_ns = view->now_ns;
    }
}

/*
 * Only that the time of the reference has changed counts, not its value: the clock may have been
 * stepped since. A chronyd that is silent keeps its reference; one that is gone has none.
 */
static void take_reference(struct health *h, const struct health_view *view)
{
    const struct chrony_time *time = &view->reference_time;

    if (!view->asked)
        return;
    h->reference.answers = view->answers;
    if (view->recovering || !view->has_reference) {
        h->reference.known = false;
        h->reference.gained = true;
        h->reference.interval_sec = 0;
        return;
    }
    if (!h->reference.known) {
        h->reference.known = true;
        h->reference.changed_ns = view->now_ns;
        h->reference.pace = h->reference.gained ? PACE : 0;
        h->reference.gained = false;
    } else if (time->sec != h->reference.time.sec || time->nsec != h->reference.time.nsec) {
        h->reference.changed_ns = view->now_ns;
        h->reference.pace -= h->reference.pace > 0;
    }
    if (view->boosted || view->update_interval_sec < h->reference.interval_sec / 4)
        h->reference.pace = PACE; /* a burst: somebody asked for one */
    if (!view->has_bursts)
        h->reference.pace = 0;
    h->reference.time = *time;
    h->reference.interval_sec = view->update_interval_sec;
}

void health_take(struct health *h, const struct health_view *view)
{
    take_samples(h, view);
    take_reference(h, view);
}

int64_t health_withheld_ns(const struct health *h, int64_t now_ns)
{
    const int64_t ns = now_ns - h->withheld_since_ns;

    return h->withheld_since_ns != 0 && ns > WITHHELD_NS ? ns : 0;
}

int64_t health_offset_ns(const struct health *h)
{
    const int64_t ns = h->offset_last_ns - h->offset_first_ns;

    return ns >= OFFSET_NS ? ns : 0;
}

int64_t health_reference_ns(const struct health *h, int64_t now_ns)
{
    const int64_t ns = now_ns - h->reference.changed_ns;
    double interval_sec = h->reference.interval_sec;
    int64_t limit_ns;

    if (!h->reference.known || !h->reference.answers)
        return 0;
    if (!(interval_sec > 0 && interval_sec <= INTERVAL_MAX_SEC) ||
        (h->reference.pace > 0 && interval_sec < INTERVAL_SEC))
        interval_sec = INTERVAL_SEC;
    limit_ns = (int64_t)(INTERVALS * interval_sec * (double)SECOND_NS);
    if (limit_ns < WITHHELD_NS) /* judge the samples first: the reference goes by them */
        limit_ns = WITHHELD_NS;
    return ns > limit_ns ? ns : 0;
}
