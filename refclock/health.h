/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the clock right? This is what neither the state nor chronyd's own word tells: samples that
 * stay away, a reference that chronyd no longer updates, an offset that nobody corrects.
 */
#ifndef REFCLOCK_HEALTH_H
#define REFCLOCK_HEALTH_H

#include "refclock/chrony_command.h"

/* What is known at this moment. */
struct health_view {
    int64_t now_ns; /* CLOCK_MONOTONIC */

    bool feeding;  /* the page is a clock, and no recovery holds samples back */
    bool withheld; /* a sample was due and was not sent */
    bool measured; /* by this step; the offset follows */
    int64_t offset_ns;
    uint64_t bound_ns; /* UINT64_MAX: there is none */

    bool asked;         /* chronyd; what follows is known */
    bool answers;       /* when it was asked last */
    bool recovering;    /* it was told to forget its reference, or will be */
    bool has_reference; /* of which it says: */
    struct chrony_time reference_time;
    double update_interval_sec; /* anything; chronyd has 0 before the second update */
    bool has_bursts; /* the page is no clock, so that chronyd's servers may be polled fast */
    bool boosted;    /* it is now, by our doing */
};

struct health {
    int64_t withheld_since_ns; /* 0: they are not */

    /* The offset is over its limit at each measurement from the first to the last; 0: it is not. */
    int64_t offset_first_ns, offset_last_ns;

    struct {
        bool known, answers;
        bool gained; /* seen to be selected, not there from our start */
        struct chrony_time time;
        int64_t changed_ns; /* when `time` changed last */
        double interval_sec;
        unsigned pace; /* updates until the interval is that of normal polls */
    } reference;
};

/* After each step: note what is wrong, and since when. */
void health_take(struct health *h, const struct health_view *view);

/*
 * For how long something has been wrong, in ns; 0: it is well, or not wrong for long enough to
 * tell. Samples are withheld: 5 s. The offset is over ten times its bound and over 10 us, over 100
 * us where there is no bound: 10 s. chronyd's reference was not updated: eight of its update
 * intervals, and 5 s.
 */
int64_t health_withheld_ns(const struct health *h, int64_t now_ns);
int64_t health_offset_ns(const struct health *h);
int64_t health_reference_ns(const struct health *h, int64_t now_ns);

#endif
