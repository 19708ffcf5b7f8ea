/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How wrong CLOCK_REALTIME can be, now, and why: what applications are told. Two sources know:
 *
 *     the page, where it is a clock with bounds:  |offset measured| + the page's bound, since then
 *     chronyd, by its answer to TRACKING:         half the root delay + the root dispersion
 *                                                 + |what it still slews|, as of the answer,
 *                                                 + its rate's doubt since its last update
 *
 * and from the moment that it was true the bound grows by what a counter may drift, by the page's
 * rate bound or chronyd's doubt, and, where a page is measured, by the rate at which the clock
 * moved away from it, or, where chronyd goes by another source, by what chronyd may slew. A step of
 * the clock by others that is too small to end the bound is added. Beside a page without bounds
 * chronyd's bound and what is measured count together, as free-running at best.
 *
 * | what is so                                    | status       | the bound                    |
 * |-----------------------------------------------|--------------|------------------------------|
 * | vmclockd stops, or no page was seen yet       | unknown      | none                         |
 * | the page cannot be seen: nor can the marker   | unknown      | none                         |
 * | a disruption, until the clock is right again  | disrupted    | none                         |
 * | chronyd did not confirm that it has forgotten | disrupted    | none, but by the page        |
 * | the guest was suspended, the clock stepped    | unknown      | none, until there is news    |
 * | a leap second, two seconds before and after   | unknown      | none: UTC is ambiguous       |
 * | ... that the kernel stepped, by chronyd       | unknown      | none, until there is news    |
 * | ... by chronyd, as long as the host smears     | unknown      | none: it may not be UTC      |
 * | the page is a clock, with bounds              | synchronised | the page's                   |
 * | ... and its host runs free                    | free-running | the page's                   |
 * | ... without bounds                            | free-running | chronyd's and the offset     |
 * | ... and was not measured for 5 s              | free-running | chronyd's, as below          |
 * | a disruption is announced                     | as without   | the same until it comes      |
 * | vmclockd is dead, for 5 s                     | unknown      | none: by what readers know   |
 * | the bound is three years, or grows as fast    | unknown      | none                         |
 * | chronyd never had a reference                 | unknown      | none                         |
 * | chronyd is synchronised                       | synchronised | chronyd's                    |
 * | ... and eight of its intervals have gone by   | free-running | chronyd's                    |
 * | ... has no reference any more, or is gone     | free-running | chronyd's last one, growing  |
 *
 * Where chronyd's servers smear a leap second and the page does not advise it, the bound is of the
 * smeared time. One that chronyd slews, by leapsecmode, is in the bound: it is slewed or measured.
 */
#ifndef REFCLOCK_BOUND_H
#define REFCLOCK_BOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "refclock/bound_reason.h"

/* What is known at this moment. */
struct bound_view {
    int64_t now_ns;           /* CLOCK_MONOTONIC */
    int64_t suspended_ns;     /* CLOCK_BOOTTIME minus that */
    int64_t realtime_less_ns; /* CLOCK_REALTIME minus it: what a step changes */
    double max_drift;         /* of the counter, relative */
    bool stopping, has_page, sees_page;
    bool disrupted;   /* a recovery has not put the clock right yet */
    bool unconfirmed; /* chronyd may not have forgotten */

    bool measured;       /* by this step: CLOCK_REALTIME against the page */
    bool is_clock;       /* the page is one now */
    bool goes_by_others; /* chronyd does: what it slews need not bring the clock to the page */
    double offset_sec;
    bool has_bound, host_is_free;
    uint64_t bound_ns; /* of the page at the reading, and its half width; UINT64_MAX: none */
    double rate_bound; /* of the page, relative */
    double rate_error; /* of CLOCK_REALTIME by the page at the first measurement; 0: not known */
    uint32_t page_sequence;

    bool told; /* by this step: chronyd answered TRACKING, with what follows */
    bool has_reference;
    double distance_sec;    /* half the root delay and the root dispersion; NAN: not told */
    double correction_sec;  /* what is still to be slewed */
    double rate_doubt;      /* by which its rate may be wrong, beside the drift, relative */
    int64_t reference_sec;  /* of its last update, UTC */
    double interval_sec;    /* between the last two; 0: there was one */
    bool leap_is_announced; /* for the end of the month */
    bool page_announces_leap;
    int64_t smears_sec; /* before and after a leap second, as the host advises; 0: it does not */
    bool answers;       /* it did when it was asked last */
};

/* What is known no better than to three years, or may double with time, is not known. */
#define BOUND_SEC_MAX    1e8
#define BOUND_GROWTH_MAX 0.999

/* A bound that was true at a moment. */
struct bound_value {
    bool known;
    int64_t as_of_ns;         /* CLOCK_MONOTONIC */
    int64_t realtime_less_ns; /* then; what it is now beyond that was stepped since */
    double sec;
};

struct bound {
    enum bound_status status;
    enum bound_reason reason;
    struct bound_value value; /* known: in SYNCHRONISED and FREE_RUNNING alone */
    double growth;            /* s per s from value.as_of_ns on */

    struct bound_value page, chronyd;
    double rate_bound; /* of the page's last measurement, */
    double page_offset_sec;
    double page_rate; /* and how fast the clock went away from it, s per s, SLEW_MAX at most */
    bool page_has_bound, host_is_free;
    uint32_t page_sequence; /* of the page that it was measured by */
    bool has_reference, leap_is_announced;
    int64_t leap_at_sec; /* the first second after it, UTC; 0: there is none near */
    int64_t reference_sec;
    double interval_sec, rate_doubt;
    int64_t suspended_ns, realtime_less_ns;
    bool started;
    bool lost; /* the clock was stepped, or the guest suspended: */
    enum bound_reason lost_by;
    bool awaits_baseline; /* chronyd's next answer may be of an update before that */
    int64_t unheard_sec;  /* chronyd's last update before that */
};

/* Nothing is known yet: no page was seen. */
void bound_init(struct bound *b);

/* True: the status is another one than it was. */
bool bound_step(struct bound *b, const struct bound_view *view);

#endif
