/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heart: what was observed goes in, what is to be done comes out. It composes the page, the
 * clock model, the rate and the recovery, and makes no system call, so that a month of leap
 * seconds or ten thousand migrations run in virtual time.
 */
#ifndef REFCLOCK_TRACKER_H
#define REFCLOCK_TRACKER_H

#include "refclock/event.h"
#include "refclock/exchange.h"
#include "refclock/guarantee.h"
#include "refclock/health.h"
#include "refclock/rate.h"
#include "refclock/recovery.h"
#include "refclock/restore.h"
#include "refclock/sock_sample.h"

#define TRACKER_EVENTS_MAX 16

struct tracker_config {
    struct clock_reader reader;
    int64_t watch_interval_ns, sample_interval_ns;
    bool correct_frequency;
    bool correct_at_start;
    bool dry_run;
    uint64_t max_error_ns; /* 0: no limit */
    uint32_t refid;
    struct recovery_config recovery;
};

/* What outlives the process, from the state file. */
struct tracker_saved {
    bool valid; /* written since this boot */
    uint64_t confirmed_marker;
    struct restore restore; /* what is still to be given back to chronyd */
    uint64_t chronyd_id;    /* the one that was there, and whether it had a reference */
    bool chronyd_had_reference;
    uint64_t flags; /* of the last page: maintenance, and whether it had what follows */
    uint64_t vm_generation;
};

/* How the page looked. */
enum tracker_look {
    TRACKER_LOOK_NONE,    /* not looked at, or as before */
    TRACKER_LOOK_CHANGED, /* `page` and `page_verdict` are new */
    TRACKER_LOOK_BUSY,    /* the host is writing */
    TRACKER_LOOK_LOST,    /* the device is gone */
};

enum tracker_chronyd { TRACKER_CHRONYD_NONE, TRACKER_CHRONYD_REPLY, TRACKER_CHRONYD_GONE };

enum tracker_measure {
    TRACKER_MEASURE_REALTIME = 1 << 0, /* cross-timestamps of CLOCK_REALTIME */
    TRACKER_MEASURE_RAW = 1 << 1,      /* of CLOCK_MONOTONIC_RAW */
    TRACKER_MEASURE_TAI = 1 << 2,      /* the kernel's TAI offset */
};

struct observation {
    int64_t now_ns;   /* CLOCK_MONOTONIC */
    uint64_t counter; /* with TRACKER_LOOK_CHANGED: at the look */
    enum tracker_look look;
    const struct vmclock_page *page;
    enum page_verdict page_verdict;
    uint32_t seq_count; /* with TRACKER_LOOK_BUSY */
    int look_error;     /* errno, with TRACKER_LOOK_LOST */

    unsigned measured; /* enum tracker_measure, of which the rest is valid */
    const struct cross_timestamp *realtime, *raw; /* taken while the page did not change */
    size_t n_realtime, n_raw;
    int kernel_tai; /* TAI - UTC in s; 0 or absurd: the kernel was not told */

    bool clock_source_is_counter; /* the kernel's clock source is the page's counter */
    uint64_t chronyd_id; /* of the command socket that is connected: another one, another chronyd;
                            0: not known */
    enum tracker_chronyd chronyd;
    int chronyd_error; /* errno, with TRACKER_CHRONYD_GONE */
    const uint8_t *reply;
    size_t reply_length;
    bool command_queued; /* chronyd has not read all that it was sent */

    bool sample_sent; /* a sample was, since the last step */
    int sample_error; /* errno of that, 0 good */
    bool request;     /* SIGUSR1 */
    bool stop;        /* put back what was changed, then end */
};

struct tracker_orders {
    bool send_sample;
    struct sock_sample sample;
    bool save_first;       /* write the state file before the command is sent */
    bool save;             /* write the state file, when there is time */
    size_t command_length; /* 0: none */
    uint8_t command[CHRONY_REQUEST_MAX];
    enum chrony_command_id command_id;
    unsigned measure;   /* enum tracker_measure: bring these at wake_at_ns */
    int64_t wake_at_ns; /* step again then at the latest, CLOCK_MONOTONIC; may be now */
    bool stopped;       /* after `stop`: all is put back */
    unsigned n_events;
    struct event events[TRACKER_EVENTS_MAX];
};

enum tracker_mode { TRACKER_MODE_UNKNOWN, TRACKER_MODE_MARKER_ONLY, TRACKER_MODE_CLOCK };

enum tracker_state {
    TRACKER_STARTING, /* no valid page seen yet */
    TRACKER_WATCHING, /* marker only, or a clock that was never good yet */
    TRACKER_FEEDING,
    TRACKER_RECOVERING,
    TRACKER_HOLDOVER, /* the page was a clock and is none now */
};

/* What a change of the marker was, by the VM generation, which a migration leaves alone. */
enum tracker_disruption {
    TRACKER_DISRUPTION_UNKNOWN, /* the host gives no generation, or it was not seen before */
    TRACKER_DISRUPTION_MIGRATION,
    TRACKER_DISRUPTION_RESTORE,
};

/* One kind of event, each within a second of the one before. */
struct tracker_repetition {
    uint64_t n;
    int64_t first_ns, last_ns;
};

struct tracker {
    struct tracker_config config;
    struct tracker_repetition repetitions[EVENT_N];
    unsigned n_repeating; /* kinds that come too often to be reported */

    /* The page. */
    struct vmclock_page page;
    bool page_known;           /* `page` was valid once */
    bool page_lost, page_busy; /* the device is gone; the host has been writing for 100 ms */
    int64_t page_good_ns;      /* CLOCK_MONOTONIC, when it was last seen without such trouble */
    enum page_verdict page_verdict;
    int64_t busy_since_ns; /* 0: not busy */
    uint64_t marker;
    struct {
        int64_t at_ns; /* CLOCK_MONOTONIC, when it was seen; 0: there was none */
        uint64_t marker_before;
        enum tracker_disruption kind;
    } disruption; /* the last one */
    enum tracker_mode mode;
    enum clock_verdict verdict; /* of the page as a clock */
    bool has_model, has_period; /* what of `model` can be relied on now */
    struct clock_model model;

    /* Whose formula is it? The last one before the marker changed, and where that was seen. */
    bool unproven;
    bool has_old;
    struct clock_model old;
    uint64_t detected_counter;

    /* What is known of this host: a disruption forgets all of it. */
    struct tracker_host {
        bool late;      /* the recovery went on without knowing whose formula it is */
        unsigned jumps; /* of the formula without a disruption, in a row */
        int64_t jumped_ns;
        /* The page has moved by whole seconds, away from `moved_from`: too much like a leap second
         * that the host has wrong, or has not written out yet, to be followed at once. */
        struct clock_model moved_from;
        int64_t moved_ns; /* when; 0: it has not */
        struct guarantee guarantee;
    } host;

    /* The counter, as last read; once it went backwards, only a disruption makes it good again. */
    struct tracker_counter {
        bool read, back;
        uint64_t value;
    } counter;

    /* The recovery. */
    struct recovery recovery; /* the present one, or the last; started_ns 0: none yet */
    uint64_t confirmed_marker;
    bool reset_pending; /* a disruption whose reset is not confirmed */
    int64_t pending_since_ns;
    bool late_reported;
    int64_t reset_sent_ns;
    unsigned interrupted; /* recoveries in a row that another one ended before it was done */
    bool awaiting_reported, refusal_reported;
    struct raw_rate rate;

    /* chronyd. */
    struct exchange exchange;
    struct restore restore;
    struct {
        unsigned left; /* BURST is sent again as long as there is no reference */
        int64_t due_ns, interval_ns;
    } bursts;
    int64_t started_ns, poll_due_ns;
    bool stopping;
    bool asked; /* chronyd has answered, or is known to be away */
    bool trouble_reported, bad_reply_reported;
    /* What is known of this chronyd: another one at its socket forgets all of it. */
    struct tracker_known_chronyd {
        uint64_t id;        /* of its command socket; 0: not known */
        bool reachable;     /* the last command was answered */
        bool silent;        /* the last command was read, and not answered */
        bool tracked;       /* it has answered TRACKING: what follows is known */
        bool has_reference; /* any, other than its own clock */
        bool had_reference; /* at any time */
        bool synchronised;  /* the reference is the one that we wait for */
        bool start_done;    /* it needs no start treatment, or no more */
        uint32_t refid;
        double frequency_ppm, correction_sec; /* NAN: it did not say */
        double root_delay_sec; /* of its last reference but ours; NAN: there was none */
        struct chrony_time reference_time;
        double update_interval_sec;
    } chronyd;

    /* The samples. */
    int64_t sample_due_ns, raw_due_ns;
    int sample_error; /* errno of the last one */
    bool fed;         /* a sample has reached chronyd since they were held back */
    bool withheld;
    enum clock_verdict sample_verdict;
    bool has_offset;      /* `offset` is as it is now */
    struct offset offset; /* of the last sample */
    int64_t offset_ns;    /* CLOCK_MONOTONIC, when that was measured; 0: it was not */
    struct health health;
    int kernel_tai;          /* as last observed */
    uint64_t contradictions; /* of the bounds that the pages guarantee together */
    uint64_t disruptions, recoveries, samples_sent;
    struct {
        uint64_t samples;
        double least_sec, most_sec; /* their offsets */
    } pretended;                    /* dry run: what would have been sent */
};

void tracker_init(struct tracker *t, const struct tracker_config *config,
    const struct tracker_saved *saved, uint32_t sequence_seed, int64_t now_ns);

/* Take over a new configuration while running; the page is to be shown once more after it. */
void tracker_reconfigure(struct tracker *t, const struct tracker_config *config);

/* By how much a step may come early, half an interval at most, so that one of the ticks will do. */
int64_t tracker_slack_ns(const struct tracker_config *config);

/* One observation, one set of orders. */
void tracker_step(
    struct tracker *t, const struct observation *seen, struct tracker_orders *ret_orders);

enum tracker_state tracker_state(const struct tracker *t);
/* The page cannot be seen: what is known of it is what it was. */
bool tracker_page_in_trouble(const struct tracker *t);
const char *tracker_state_str(enum tracker_state state);
const char *tracker_mode_str(enum tracker_mode mode);
const char *tracker_disruption_str(enum tracker_disruption kind);

/* What has to be saved for the next start. */
struct tracker_saved tracker_saved(const struct tracker *t);

#endif
