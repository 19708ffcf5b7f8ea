/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated host's vmclock device: a page in a file that readers map as they would /dev/vmclock0,
 * written under the sequence lock as a host writes it, from this machine's own counter and clock.
 *
 * The simulated clock is exactly linear in the counter between two calls that change it. A
 * duration or an offset is in ns, a rate in ppm; a positive rate makes the simulated clock gain
 * on what it was before. Functions return 0 or -errno; those that change the clock return
 * -ENOTSUP on a page that has none (marker only).
 */
#ifndef TESTS_SIM_PAGE_H
#define TESTS_SIM_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "refclock/page.h"

#define SIM_PAGE_BYTES 4096u
#define SIM_NEVER      INT64_MAX

/* A clock: `sec` and `frac` (2^-64 s) at `counter`, advancing `period` * 2^-(64 + shift) s a tick.
 */
struct sim_clock {
    uint64_t counter;
    uint64_t sec;
    uint64_t frac;
    uint64_t period;
    uint8_t shift; /* below 64 */
};

struct sim_options {
    bool marker_only;           /* as QEMU, Firecracker and EC2 today: no counter, no clock */
    bool utc;                   /* the page's time is UTC, not TAI */
    int64_t offset_ns;          /* simulated time minus CLOCK_REALTIME at the start */
    double ppm;                 /* simulated rate against CLOCK_REALTIME's */
    int64_t update_interval_ns; /* how often the host rewrites its reference; 0: never by itself */
    int64_t baseline_ns;        /* the counter is measured for so long; 0: 1 s */

    /*
     * For virtual time: where the counter comes from, and the clock to start with, in the page's
     * own time scale (nothing is measured then). NULL: this machine's counter and CLOCK_REALTIME.
     */
    uint64_t (*counter)(void *context);
    void *context;
    const struct sim_clock *clock;
};

struct sim_field {
    const char *name;
    enum vmclock_offset at;
    uint8_t bytes;
};

struct sim_page;

/* This machine's counter, as a guest's reader reads it; 0 where it has none that we know. */
uint64_t sim_counter(void);

/* Measure the counter against CLOCK_REALTIME for `baseline_ns`, which is how long it blocks. */
int sim_clock_measure(int64_t baseline_ns, struct sim_clock *ret_clock);

/* The same clock with its reference moved along to `counter`: rounded down to 2^-64 s, once. */
struct sim_clock sim_clock_at(const struct sim_clock *clock, uint64_t counter);

/*
 * Create `path`, or take over the page that is there; -EEXIST when what is there is not a page.
 * Times are CLOCK_MONOTONIC in ns, or whatever virtual time the caller goes by.
 */
int sim_page_create(
    const char *path, const struct sim_options *options, int64_t now_ns, struct sim_page **ret_sim);
/* Unmaps and closes; the file stays. */
void sim_page_destroy(struct sim_page *sim);
bool sim_page_created(const struct sim_page *sim); /* the file was not there before */
bool sim_page_has_clock(const struct sim_page *sim);

/* Do everything that is due at `now_ns`; returns when to call again, SIM_NEVER if never. */
int64_t sim_page_run(struct sim_page *sim, int64_t now_ns);

/* Fields as they are in the page; all of them in the order of the page, ended by a NULL name. */
extern const struct sim_field sim_fields[];
const struct sim_field *sim_field_find(const char *name);
uint64_t sim_page_get(const struct sim_page *sim, enum vmclock_offset at);
/*
 * One raw field, any value. Setting a field of the formula stops the host's updates until the
 * next call that writes a formula. -EINVAL for an offset that is no field's, -ERANGE for a value
 * that does not fit.
 */
int sim_page_set(struct sim_page *sim, enum vmclock_offset at, uint64_t value);
void sim_page_set_flags(struct sim_page *sim, uint64_t set, uint64_t clear);

/* The simulated truth at `counter`, whether or not the page already says so. */
struct sim_clock sim_page_clock(const struct sim_page *sim, uint64_t counter);

/* What hosts do. */
int sim_page_update(struct sim_page *sim); /* rewrite the formula with a reference at the present */
void sim_page_marker(struct sim_page *sim);     /* marker + 1, nothing else */
void sim_page_generation(struct sim_page *sim); /* vm_generation_counter + 1 */
/* The host's own correction: the formula changes, the marker does not. */
int sim_page_adjust(struct sim_page *sim, int64_t offset_ns, double ppm);
/* Marker and formula in one write. On a marker-only page the marker alone. */
void sim_page_migrate(struct sim_page *sim, int64_t offset_ns, double ppm);
/* Between UTC and TAI the page's time is moved by its tai_offset_sec, so that UTC stays. */
void sim_page_time_type(struct sim_page *sim, uint8_t time_type);
/* Error bounds: esterror is half of maxerror. A negative bound: none. */
void sim_page_bounds(struct sim_page *sim, int64_t time_ns, double period_ppm);
/* From now on the reference is written so far ahead of (or behind) the present counter. */
int sim_page_lead(struct sim_page *sim, int64_t lead_ns);

/* What hosts should not do. */
/* Die within an update: the sequence count stays odd; `for_ns` < 0: until `mend`. */
void sim_page_torn(struct sim_page *sim, int64_t now_ns, int64_t for_ns);
/* Undo torn and truncate. */
int sim_page_mend(struct sim_page *sim);
/* Migrate, but the new formula is written `delay_ns` after the marker; meanwhile no updates. */
int sim_page_late(
    struct sim_page *sim, int64_t now_ns, int64_t delay_ns, int64_t offset_ns, double ppm);
/* Migrate, but the marker is changed `delay_ns` after the formula. */
int sim_page_early(
    struct sim_page *sim, int64_t now_ns, int64_t delay_ns, int64_t offset_ns, double ppm);
/* The marker changes every `period_ns` for `duration_ns`. */
void sim_page_flap(struct sim_page *sim, int64_t now_ns, int64_t period_ns, int64_t duration_ns);
/* Cut the file; at 0 bytes a process that has it mapped gets SIGBUS. No writes until `mend`. */
int sim_page_truncate(struct sim_page *sim, size_t bytes);

#endif
