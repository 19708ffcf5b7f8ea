/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine in virtual time: a host with a page, a counter, a kernel's clock, a chronyd,
 * and a tracker between them. Nothing here waits, so that hours run in milliseconds.
 *
 * Times are ns since the machine's start, which is also its CLOCK_MONOTONIC; true UTC is EPOCH
 * later, until there is a leap second. The clock's error is kept as such, so that it is exact where
 * it is small.
 */
#ifndef TESTS_VIRTUAL_H
#define TESTS_VIRTUAL_H

#include "refclock/tracker.h"

#define VIRTUAL_EPOCH INT64_C(1700000000) /* UTC of time 0 */
#define VIRTUAL_QUEUE 10                  /* datagrams in a Unix socket */
#define VIRTUAL_LOG   512
#define VIRTUAL_MS    INT64_C(1000000)
#define VIRTUAL_SEC   INT64_C(1000000000)
#define VIRTUAL_NTP   UINT32_C(0xc0000201) /* the server's reference id */

/* What the model of chronyd does with a command, by the order in which it reads them. */
enum virtual_fate {
    VIRTUAL_ANSWERED,
    VIRTUAL_REPLY_LOST,   /* carried out, not answered */
    VIRTUAL_COMMAND_LOST, /* neither */
    VIRTUAL_LATE,         /* carried out at once, answered 400 ms later */
    VIRTUAL_STALLED,      /* read, and then nothing for 400 ms */
    VIRTUAL_N_FATES,
};

struct virtual_command {
    struct chrony_command command; /* id and, where it has them, its numbers and its server */
    uint32_t sequence;
    int64_t sent_ns, executed_ns; /* executed 0: not yet */
};

struct virtual_machine {
    struct tracker tracker;
    struct tracker_orders orders;
    int64_t now_ns, next_tick_ns, tick_ns, stepped_ns;
    uint64_t random; /* the generator's state */

    /* A leap second: what it adds to TAI - UTC, and when it begins or when one is left out. */
    int leap_step; /* 1, -1; 0: there is none */
    int64_t leap_ns;
    bool leap_passed;

    /* The counter. */
    double hz;
    int64_t counter_since_ns;
    double counter_at_since;

    /* The kernel's clock. */
    double error_sec; /* CLOCK_REALTIME minus true time without leap seconds */
    double raw_ns_per_tick;
    double raw_ticks; /* since the start, without jumps: CLOCK_MONOTONIC_RAW */
    long freq;        /* the kernel's, 2^-16 ppm; chronyd's is the negative of it */
    int kernel_tai;
    bool kernel_leaps;       /* chronyd told it to */
    bool other_clock_source; /* than the counter */
    int64_t counter_skew;    /* of another CPU, which the reader is on for a moment */
    double slew_left_sec;    /* positive: the clock is slewed back by that much */
    int64_t moved_ns;        /* up to when the three above are advanced */
    double noise_sec;        /* of one reading, standard deviation */
    double largest_backward_step_sec;

    /* The host. */
    struct vmclock_page page;
    struct vmclock_page shown; /* what the tracker last saw */
    bool shown_valid, page_stuck, device_lost;
    bool update_page; /* the host rewrites its formula at this interval */
    int64_t update_interval_ns, next_update_ns;
    int64_t formula_at_ns; /* when a late formula comes; INT64_MAX: none is late */
    double host_error_sec; /* of the host's formula */

    /* A PTP clock; id 0: there is none. */
    uint64_t ptp_id;
    double ptp_error_sec;                     /* its time minus UTC */
    double ptp_noise_sec;                     /* of one reading, standard deviation */
    bool ptp_limited, ptp_stuck, ptp_refuses; /* every second reading */
    int64_t ptp_latency_ns;                   /* until a batch of readings is there */
    int64_t ptp_at_ns;                        /* when one is; INT64_MAX: none was asked for */
    uint32_t ptp_request;
    unsigned ptp_wanted, n_ptp_readings;

    /* chronyd. */
    bool alive, frozen, has_no_dfreq, cannot_step, refuses_tracking, refuses_resets;
    uint64_t chronyd_id, connected_id; /* each start makes another socket */
    double slew_rate;                  /* maxslewrate */
    bool mute;                         /* does what it is told, and no reply ever comes back */
    double frequency_lie_ppm;          /* TRACKING says that much more */
    bool connection_dead; /* the tracker's socket is connected to a chronyd that was stopped */
    enum virtual_fate fates[VIRTUAL_LOG];
    int64_t stalled_until_ns; /* 0: not stalled */
    uint8_t stalled[CHRONY_REQUEST_MAX];
    unsigned n_queued;
    struct {
        uint8_t bytes[CHRONY_REQUEST_MAX];
        size_t length;
        int64_t at_ns; /* not read before */
    } queue[VIRTUAL_QUEUE];
    unsigned n_replies;
    struct {
        uint8_t bytes[CHRONY_REQUEST_MAX];
        int64_t at_ns;
    } replies[VIRTUAL_QUEUE];
    uint32_t refid;                          /* 0: not synchronised */
    bool not_selected;                       /* it prefers the NTP server to us */
    bool has_ntp, ntp_unreachable;           /* an NTP server beside us */
    int64_t suspended_ns, stepped_in_all_ns; /* CLOCK_BOOTTIME and CLOCK_REALTIME by themselves */
    double ntp_delay_sec, ntp_skew_ppm, ntp_residual_ppm; /* a BURST makes a fifth of the skew */
    int64_t ntp_due_ns; /* when chronyd has measured it often enough to select it */
    int64_t updated_ns; /* when the reference was, and how long after the time before */
    double update_interval_sec;
    unsigned samples_since_reset;
    int32_t makestep_limit;
    double makestep_threshold;
    int32_t minpoll, maxpoll; /* of the only server */
    int64_t resume_ns;        /* the moment when samples are allowed, for the invariants */

    bool sample_sent; /* what came of the last one, for the next step */
    int sample_error;

    /* What happened. */
    uint64_t reset_id; /* whose reset was confirmed last: it needs no correction at its start */
    unsigned n_commands, n_read;
    struct virtual_command commands[VIRTUAL_LOG]; /* but TRACKING */
    unsigned n_resets, n_samples, n_stray_samples, n_wrong_samples, n_events, n_steps;
    enum event_id events[VIRTUAL_LOG];

    void (*before_step)(struct virtual_machine *vm); /* of the tracker's; NULL: nothing */

    double last_sample_sec;
    int64_t last_sample_ns;
    double worst_sample_sec;      /* the furthest that a sample was from the truth */
    unsigned n_ambiguous_samples; /* within a quarter of a second of a leap second */
};

/* Defaults as installed, one boosted server, and a page that is a clock. */
void virtual_init(struct virtual_machine *vm, uint64_t seed);
void virtual_config(struct tracker_config *c);

/* Before the start: it is `before_ns` before a leap second that is to come at a year's end. */
void virtual_set_leap(struct virtual_machine *vm, int step, int64_t before_ns);

/* CLOCK_REALTIME minus UTC. */
double virtual_utc_error(const struct virtual_machine *vm);

/* Start, or restart, the tracker with what it saved; it is woken up at the watch interval. */
void virtual_start(
    struct virtual_machine *vm, const struct tracker_config *config, struct tracker_saved saved);

void virtual_run(struct virtual_machine *vm, int64_t duration_ns);

/* The counter's value and rate jump; the page still is what it was. */
void virtual_disrupt_counter(struct virtual_machine *vm, double jump_sec, double ppm);

/* The host writes: its present formula, and the marker. */
void virtual_write_formula(struct virtual_machine *vm);
void virtual_write_marker(struct virtual_machine *vm);
void virtual_marker_only(struct virtual_machine *vm);

/* All three at once, as a good host does. */
void virtual_migrate(struct virtual_machine *vm, double jump_sec, double ppm);

/* chronyd follows an NTP server, which it polls every 64 s, or faster if it is told to. */
void virtual_add_ntp(struct virtual_machine *vm);

void virtual_chronyd_start(struct virtual_machine *vm);
void virtual_chronyd_stop(struct virtual_machine *vm);

uint64_t virtual_counter(const struct virtual_machine *vm);
unsigned virtual_count_events(const struct virtual_machine *vm, enum event_id id);
unsigned virtual_count_commands(const struct virtual_machine *vm, enum chrony_command_id id);

/* Uniform in [0, 1). */
double virtual_random(struct virtual_machine *vm);

#endif
