/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PTP clock that the hypervisor answers, as the truth where the page is no clock: is it to be
 * trusted, and what does it say of the system's clock?
 *
 * It has no error bound of its own, and one of an unsynchronised host looks healthy. What can be
 * known is how far it was from chronyd's time while chronyd was synchronised, before the
 * disruption. So it is compared with that once a minute, and is used for offsets that are well
 * above the largest difference.
 *
 * After a disruption the rate comes from a straight line through all readings since:
 * CLOCK_MONOTONIC_RAW over the clock's time. Neither is touched by chronyd's steps and slews, so
 * that one baseline serves for all of the recovery.
 *
 *     RAW - clock |                 . *     slope: how fast RAW runs by the clock
 *                 |        . *  .           scatter: the noise of a reading
 *                 |  *.*                    uncertainty: noise / sqrt(sum of x^2)
 *                 `-----------------------  the clock's time since the disruption
 */
#ifndef REFCLOCK_PTP_CLOCK_H
#define REFCLOCK_PTP_CLOCK_H

#include "refclock/ptp_reading.h"

#define PTP_CLOCK_PERIODS 7 /* of ten minutes: an hour, and the one that is not over */

enum ptp_scale {
    PTP_SCALE_SECONDS, /* UTC plus `ahead_sec` */
    PTP_SCALE_TAI,     /* TAI: by the kernel's offset to UTC */
};

struct ptp_clock_config {
    bool used; /* there is one that is to be */
    enum ptp_scale scale;
    double ahead_sec; /* of UTC, with PTP_SCALE_SECONDS */
};

enum ptp_clock_state {
    PTP_CLOCK_UNPROVEN, /* not compared with chronyd's time yet */
    PTP_CLOCK_TRUSTED,
    PTP_CLOCK_OTHER_SCALE, /* whole seconds off: TAI in place of UTC, or the reverse */
    PTP_CLOCK_TOO_FAR,     /* over 0.1 s from chronyd's time */
    PTP_CLOCK_BROKEN,      /* it stood still, or jumped, since the disruption */
};

struct ptp_clock {
    struct ptp_clock_config config;
    uint64_t id;    /* of the clock that is, or was, there, and its time scale; 0: none was */
    bool present;   /* it is there */
    bool limited;   /* it refuses to be read often */
    int kernel_tai; /* TAI - UTC in s; 0: the kernel was not told */

    /* Trust: of the clock with this id. */
    enum ptp_clock_state state;
    double difference_sec; /* of the last comparison */
    double worst_sec[PTP_CLOCK_PERIODS];
    unsigned period;
    int64_t period_ns; /* when it began */
    int64_t due_ns;    /* of the next comparison */
    bool was_synchronised;

    /* One request at a time. */
    uint32_t request; /* the last one's number */
    bool awaited;     /* its readings are still to come */
    bool compares;    /* they are to be compared with chronyd's time */
    int64_t asked_ns;

    /* The line, since the disruption. */
    struct ptp_reading first, last;
    unsigned n;                              /* 0: there is no line */
    double mean_x, mean_y, xx, xy, yy;       /* ns */
    int64_t since_ns;                        /* the disruption */
    unsigned read_first_second, read_in_all; /* to correct by: of a limited clock's budget */
    double offset_sec, offset_doubt_sec;     /* of the last batch: true minus system time */
};

/* What outlives the process. */
struct ptp_clock_saved {
    uint64_t id; /* 0: none was trusted */
    double good_for_sec;
};

/* With what the vmclockd before knew of it, in this boot. `now_ns`: CLOCK_MONOTONIC. */
void ptp_clock_init(struct ptp_clock *c, const struct ptp_clock_config *config,
    const struct ptp_clock_saved *saved, int64_t now_ns);
/* What the next vmclockd is to know. */
struct ptp_clock_saved ptp_clock_saved(const struct ptp_clock *c);
/* Another time scale, or none to be used: it has to agree with chronyd's time again. */
void ptp_clock_reconfigure(struct ptp_clock *c, const struct ptp_clock_config *config);

/* The clock that is there now, 0: none; another one has to be compared first. */
void ptp_clock_meet(struct ptp_clock *c, uint64_t device_id, bool limited, int kernel_tai);

/* A disruption: a line of its own. */
void ptp_clock_disrupted(struct ptp_clock *c, int64_t now_ns);

/* It is there, and may correct the clock. */
bool ptp_clock_is_trusted(const struct ptp_clock *c);

/* What it is good for: 0 where nothing is known. */
double ptp_clock_good_for_sec(const struct ptp_clock *c);

/*
 * Ask for a batch, to compare it with chronyd's time or to correct the clock by it: the number of
 * readings, 0: the budget of a limited clock, which comparisons have no part of, is used up. It is
 * awaited for 10 ms, or 0.2 s for a comparison.
 */
unsigned ptp_clock_ask(struct ptp_clock *c, bool to_compare, int64_t now_ns);
int64_t ptp_clock_deadline_ns(const struct ptp_clock *c);

/* The end of what is awaited, where the time for it is over. True: it has just come to nothing. */
bool ptp_clock_expire(struct ptp_clock *c, int64_t now_ns);

/*
 * The readings of request number `request`. False: they are of an older one. Without one that is
 * good the offset is NAN.
 */
bool ptp_clock_take(
    struct ptp_clock *c, uint32_t request, const struct ptp_reading *readings, size_t n);

/*
 * Compare the last batch with chronyd's time: `correction_sec` is what chronyd has still to slew,
 * positive where the clock is ahead. True: the state is another one now.
 */
bool ptp_clock_compare(struct ptp_clock *c, double correction_sec, int64_t now_ns);

/* Whether to compare now, where chronyd is synchronised or not. */
bool ptp_clock_take_due(struct ptp_clock *c, bool synchronised, int64_t now_ns);

/* By how many ppm the system's clock runs fast, and the standard deviation of that. */
bool ptp_clock_rate_error(
    const struct ptp_clock *c, double frequency_ppm, double *ret_ppm, double *ret_doubt_ppm);

/* In words, for status; never NULL. */
const char *ptp_clock_state_str(enum ptp_clock_state state);

#endif
