/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine in virtual time: a model of a host, of a clock and of a chronyd, and a tracker
 * between them. Nothing here waits, so that hours run in milliseconds. Times are model_clock.h's.
 */
#ifndef TESTS_VIRTUAL_H
#define TESTS_VIRTUAL_H

#include "refclock/tracker.h"
#include "tests/model_chronyd.h"
#include "tests/model_host.h"

#define VIRTUAL_LOG 512
#define VIRTUAL_MS  MODEL_MS
#define VIRTUAL_SEC MODEL_SEC

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
    struct model_clock clock;
    struct model_host host;
    struct model_chronyd chronyd;
    int64_t now_ns, next_tick_ns, tick_ns, stepped_ns;
    uint64_t random; /* the generator's state */

    bool leap_passed;
    bool other_clock_source; /* than the counter */
    double noise_sec;        /* of one reading, standard deviation */
    int64_t suspended_ns;    /* CLOCK_BOOTTIME by itself */

    /* When the host writes, and when it can be read. */
    struct vmclock_page shown; /* what the tracker last saw */
    bool shown_valid, page_stuck, device_lost;
    bool update_page; /* the host rewrites its formula at this interval */
    int64_t update_interval_ns, next_update_ns;
    int64_t formula_at_ns; /* when a late formula comes; INT64_MAX: none is late */

    /* A PTP clock; id 0: there is none. */
    uint64_t ptp_id;
    double ptp_error_sec;                     /* its time minus UTC */
    double ptp_noise_sec;                     /* of one reading, standard deviation */
    bool ptp_limited, ptp_stuck, ptp_refuses; /* every second reading */
    int64_t ptp_latency_ns;                   /* until a batch of readings is there */
    int64_t ptp_at_ns;                        /* when one is; INT64_MAX: none was asked for */
    uint32_t ptp_request;
    unsigned ptp_wanted, n_ptp_readings;

    /* When chronyd reads, and which replies arrive. */
    bool frozen; /* it reads nothing */
    bool mute;   /* it does what it is told, and no reply ever comes back */
    enum virtual_fate fates[VIRTUAL_LOG];
    int64_t stalled_until_ns; /* 0: not stalled */
    struct model_request stalled;
    unsigned n_replies;
    struct {
        uint8_t bytes[CHRONY_REPLY_MAX];
        size_t length;
        int64_t at_ns;
    } replies[MODEL_QUEUE];

    bool sample_sent; /* what came of the last one, for the next step */
    int sample_error;

    /* What happened. */
    uint64_t reset_id; /* whose reset was confirmed last: it needs no correction at its start */
    unsigned n_commands, n_read;
    struct virtual_command commands[VIRTUAL_LOG]; /* but TRACKING */
    unsigned n_samples, n_stray_samples, n_wrong_samples, n_events, n_steps;
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

void virtual_chronyd_start(struct virtual_machine *vm);
void virtual_chronyd_stop(struct virtual_machine *vm);

uint64_t virtual_counter(const struct virtual_machine *vm);
unsigned virtual_count_events(const struct virtual_machine *vm, enum event_id id);
unsigned virtual_count_commands(const struct virtual_machine *vm, enum chrony_command_id id);

/* Its reply to a command that it got, now. */
void virtual_answer(struct virtual_machine *vm, enum chrony_command_id id, uint32_t sequence);

/* Uniform in [0, 1). */
double virtual_random(struct virtual_machine *vm);

#endif
