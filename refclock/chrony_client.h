/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chronyd at the other end of its command socket: one command at a time is sent and its reply
 * awaited, TRACKING is asked once a second, and what is known of chronyd is kept for as long as it
 * is the same one.
 */
#ifndef REFCLOCK_CHRONY_CLIENT_H
#define REFCLOCK_CHRONY_CLIENT_H

#include "refclock/exchange.h"
#include "refclock/reporter.h"

/* What is known of one chronyd: another one at the socket forgets all of it. */
struct known_chronyd {
    uint64_t id;        /* of its command socket; 0: not known */
    bool reachable;     /* the last command was answered */
    bool silent;        /* the last command was read, and not answered */
    bool tracked;       /* it has answered TRACKING: what follows is known */
    bool has_reference; /* any, other than its own clock */
    bool had_reference; /* at any time */
    bool synchronised;  /* the reference is the one that we wait for */
    bool start_done;    /* it needs no correction at its start */
    uint32_t refid;
    struct chrony_address reference;      /* its address; family 0: it is no server */
    double frequency_ppm, correction_sec; /* NAN: it did not say */
    /* How far its frequency may be off by its own estimate, and is by the reference's measurements.
     */
    double skew_ppm, residual_ppm;       /* NAN: as above */
    double distance_sec, dispersion_sec; /* root delay / 2 + root dispersion; root dispersion */
    int leap;              /* as in its protocol: 1 insert, 2 delete at the end of the month */
    double root_delay_sec; /* of its last reference but ours; NAN: there was none */
    struct chrony_time reference_time;
    double update_interval_sec;
};

struct chrony_client {
    struct exchange exchange;
    int64_t poll_due_ns;
    bool asked; /* chronyd has answered, or is known to be away */
    bool trouble_reported, bad_reply_reported;
    struct known_chronyd known;
};

enum chrony_arrival { CHRONY_NOTHING, CHRONY_REPLY, CHRONY_GONE };

struct chrony_client_view {
    int64_t now_ns;
    uint64_t id; /* of the command socket that is connected; 0: not known */
    enum chrony_arrival arrival;
    int error; /* errno, with CHRONY_GONE */
    const uint8_t *reply;
    size_t reply_length;
    bool queued;        /* chronyd has not read all that it was sent */
    bool dry_run;       /* nothing was sent: what was ordered counts as done */
    uint32_t refid;     /* our reference's */
    bool any_reference; /* whether another one will do */
};

/* What came of the command under way. */
struct chrony_news {
    enum exchange_owner owner; /* whose it was; EXCHANGE_NONE: nothing of it has ended */
    enum recovery_event event; /* for its owner; RECOVERY_GONE and RECOVERY_LATE_RESET for all */
    bool told;                 /* chronyd has answered TRACKING */
    bool referenced;           /* and says that it has a reference */
};

/* `id` and `had_reference` are from the state file, 0 where nothing is known. */
void chrony_client_init(struct chrony_client *c, uint32_t sequence_seed, uint64_t id,
    bool had_reference, int64_t now_ns);

/* What has come from chronyd since the last step, or that nothing has in time; trouble is reported.
 */
struct chrony_news chrony_client_receive(
    struct chrony_client *c, struct reporter *reporter, const struct chrony_client_view *view);

/* Encode a command and await its reply; returns the request's length. */
size_t chrony_client_send(struct chrony_client *c, enum exchange_owner owner,
    const struct chrony_command *command, int64_t now_ns, uint8_t ret_request[CHRONY_REQUEST_MAX]);

/* In a dry run: nothing is sent, and chronyd does it at once. */
void chrony_client_pretend(struct chrony_client *c, enum exchange_owner owner,
    const struct chrony_command *command, int64_t now_ns);

/* A recovery begins: late replies to the resets of earlier ones, and silence then, do not count. */
void chrony_client_start_over(struct chrony_client *c);

/* Whatever is under way is given up. */
void chrony_client_give_up(struct chrony_client *c);
bool chrony_client_is_busy(const struct chrony_client *c);

/* It was told to forget, and has no reference for that reason. */
void chrony_client_was_reset(struct chrony_client *c);

/* It has been corrected at its start, or is being. */
void chrony_client_start_done(struct chrony_client *c);

/* It may be another one by now: ask at once. */
void chrony_client_doubt(struct chrony_client *c, int64_t now_ns);

/* It answers, has no reference yet, and was not corrected since its start. */
bool chrony_client_has_just_started(const struct chrony_client *c);

/* It answers, or reads without answering: what it was told to change may be given back to it. */
bool chrony_client_reads(const struct chrony_client *c);

#endif
