/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heart: what was observed goes in, what is to be done comes out. It makes no system call, so
 * that a month of leap seconds or ten thousand migrations run in virtual time.
 *
 *     page ----> host ----------- disruption, late formula ---------.
 *     readings -> counter_watch --- rate, offset ------------.      |
 *     readings -> ptp_clock, where the page is none ---------|      |
 *     reply ----> chrony_client --- news --> restore         v      v
 *                      ^                        |       .-> recoveries
 *                      `------ one command -----+-------'      | holds
 *                                                              v
 *     readings ------------------ offset ----------------> feeder --> sample
 *     offset, reply, recoveries -------------------------> bound ---> applications
 *
 * Each of them has a state that nobody else writes, and returns what others have to know.
 */
#ifndef REFCLOCK_TRACKER_H
#define REFCLOCK_TRACKER_H

#include "refclock/aftercare.h"
#include "refclock/bound.h"
#include "refclock/chrony_client.h"
#include "refclock/counter_watch.h"
#include "refclock/feeder.h"
#include "refclock/health.h"
#include "refclock/host.h"
#include "refclock/own_servers.h"
#include "refclock/ptp_clock.h"
#include "refclock/recoveries.h"
#include "refclock/restore.h"

struct tracker_config {
    struct clock_reader reader;
    int64_t watch_interval_ns, sample_interval_ns;
    bool correct_frequency;
    bool correct_at_start;
    bool dry_run;
    uint64_t max_error_ns; /* 0: no limit */
    uint32_t refid;
    double max_drift_ppm; /* of the counter by itself */
    struct ptp_clock_config ptp;
    struct own_servers_config own_servers;
    struct recovery_config recovery;
};

/* What outlives the process, from the state file. */
struct tracker_saved {
    bool valid;                /* written since this boot */
    uint64_t marker;           /* that was seen last, */
    uint64_t confirmed_marker; /* and that chronyd was reset for */
    bool unconfirmed;          /* as far as it can be known: it did not confirm that */
    struct restore restore;    /* what is still to be given back to chronyd */
    uint64_t chronyd_id;       /* the one that was there, and whether it had a reference */
    bool chronyd_had_reference;
    uint64_t flags; /* of the last page: maintenance, generation present */
    uint64_t vm_generation;
    struct ptp_clock_saved ptp;
    struct {
        uint64_t disruptions, recoveries, recoveries_failed, samples_sent, contradictions,
            generation_changes;
    } counts; /* since this boot */
};

enum tracker_measure {
    TRACKER_MEASURE_REALTIME = 1 << 0, /* cross-timestamps of CLOCK_REALTIME */
    TRACKER_MEASURE_RAW = 1 << 1,      /* of CLOCK_MONOTONIC_RAW */
    TRACKER_MEASURE_TAI = 1 << 2,      /* the kernel's TAI offset */
};

struct observation {
    int64_t now_ns;           /* CLOCK_MONOTONIC */
    int64_t suspended_ns;     /* CLOCK_BOOTTIME minus that */
    int64_t realtime_less_ns; /* CLOCK_REALTIME minus that */
    uint64_t counter;         /* with HOST_LOOK_CHANGED: at the look */
    enum host_look look;
    const struct vmclock_page *page;
    enum page_verdict page_verdict;
    uint32_t seq_count; /* with HOST_LOOK_BUSY */
    int look_error;     /* errno, with HOST_LOOK_LOST */

    unsigned measured; /* enum tracker_measure, of which the rest is valid */
    const struct cross_timestamp *realtime, *raw; /* taken while the page did not change */
    size_t n_realtime, n_raw;
    int kernel_tai; /* TAI - UTC in s; 0 or absurd: the kernel was not told */

    enum clock_source_kind clock_source; /* of the kernel's clocks */

    uint64_t ptp_id;  /* of the PTP clock that is there, whatever its number; 0: none */
    bool ptp_limited; /* it refuses to be read often */
    bool ptp_read;    /* `ptp` is what came of the request with that number */
    uint32_t ptp_request;
    const struct ptp_reading *ptp;
    size_t n_ptp; /* 0: it could not be read */

    uint64_t chronyd_id; /* of the command socket that is connected: another one, another chronyd;
                            0: not known */
    enum chrony_arrival chronyd;
    int chronyd_error; /* errno, with CHRONY_GONE */
    const uint8_t *reply;
    size_t reply_length;
    bool command_queued; /* chronyd has not read all that it was sent */

    bool sample_sent; /* a sample was, since the last step */
    int sample_error; /* errno of that, 0 good */
    bool request;     /* SIGUSR1 */
    bool stop;        /* restore what was changed, then end */
};

struct tracker_orders {
    bool send_sample;
    struct sock_sample sample;
    bool save_before_command; /* write the state file before the command is sent */
    bool save;                /* write the state file, when there is time */
    size_t command_length;    /* 0: none */
    uint8_t command[CHRONY_REQUEST_MAX];
    enum chrony_command_id command_id;
    unsigned measure;      /* enum tracker_measure: bring these at wake_at_ns */
    unsigned ptp_readings; /* read the PTP clock so often, and step when that is done; 0: not */
    uint32_t ptp_request;  /* its number */
    int64_t wake_at_ns;    /* step again then at the latest, CLOCK_MONOTONIC; may be now */
    bool stopped;          /* after `stop`: all is restored, or cannot be */
    bool owes;             /* settings are still to be given back to chronyd */
    bool awaits_reply;     /* of chronyd, until `reply_deadline_ns` */
    int64_t reply_deadline_ns;
    int64_t suspended_ns, realtime_less_ns; /* as they were seen */
    bool is_urgent; /* the clock is being corrected: nothing else has to be done meanwhile */
    bool notifies;  /* the page promises notifications */
    unsigned n_events;
    const struct event *events; /* valid until the next step */
};

enum tracker_state {
    TRACKER_STARTING, /* no valid page seen yet, in this boot */
    TRACKER_WATCHING, /* marker only, or a clock that was never good yet */
    TRACKER_FEEDING,
    TRACKER_RECOVERING,
    TRACKER_HOLDOVER, /* the page was a clock and is none now, or the device is lost */
};

struct tracker {
    struct tracker_config config; /* and of own_servers, what it has found */
    int64_t slack_ns;             /* by which a step may come early: of the configuration */
    int64_t started_ns;
    bool stopping;
    struct reporter reporter;
    struct host host;
    struct counter_watch counter;
    struct ptp_clock ptp;
    struct chrony_client client;
    struct recoveries recoveries;
    struct aftercare aftercare;
    struct restore restore;
    struct own_servers own_servers;
    struct feeder feeder;
    struct health health;
    struct bound bound;
};

/* With what the vmclockd before left of this boot. `sequence_seed`: of the requests to chronyd. */
void tracker_init(struct tracker *t, const struct tracker_config *config,
    const struct tracker_saved *saved, uint32_t sequence_seed, int64_t now_ns);

/* Take over a new configuration while running; the page is to be shown once more after it. */
void tracker_reconfigure(struct tracker *t, const struct tracker_config *config);

/* By how much a step may come early, half an interval at most, so that one of the ticks will do. */
int64_t tracker_slack_ns(const struct tracker_config *config);

/* Whether it is time for what was ordered. */
bool tracker_is_due(
    const struct tracker_config *config, const struct tracker_orders *orders, int64_t now_ns);

/* Whether to step again at once; `next` has the results of the last orders. */
bool tracker_goes_on(
    const struct tracker_orders *orders, const struct observation *next, int64_t now_ns);

/*
 * After a look at the page and the clocks: whether to step now. `was_busy`: the host was writing
 * when it was looked at before.
 */
bool tracker_must_step(const struct tracker_config *config, const struct tracker_orders *orders,
    const struct observation *seen, bool was_busy);

/* One observation, one set of orders. */
void tracker_step(
    struct tracker *t, const struct observation *seen, struct tracker_orders *ret_orders);

/* What it does, and its name; the name of the page's mode. */
enum tracker_state tracker_state(const struct tracker *t);
const char *tracker_state_str(enum tracker_state state);
const char *tracker_mode_str(enum tracker_mode mode);

/* What has to be saved for the next start. */
struct tracker_saved tracker_saved(const struct tracker *t);

#endif
