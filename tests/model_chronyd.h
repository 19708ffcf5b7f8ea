/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chronyd at its command socket, crude but bytes in and bytes out: it queues requests, carries
 * them out on a model_clock, and words the replies. When it reads, and whether its replies arrive,
 * is for the world around it to say. Every fifth sample corrects the clock, at first by a step if
 * it may.
 */
#ifndef TESTS_MODEL_CHRONYD_H
#define TESTS_MODEL_CHRONYD_H

#include "refclock/recovery.h"
#include "refclock/sock_sample.h"
#include "tests/model_clock.h"

#define MODEL_QUEUE       10                   /* datagrams in a Unix socket */
#define MODEL_NTP         UINT32_C(0xc0000201) /* the server's reference id */
#define MODEL_SERVERS_MAX 18
#define MODEL_OWN_NAME    "time.example"

struct model_request {
    uint8_t bytes[CHRONY_REQUEST_MAX];
    int64_t at_ns; /* not read before */
    bool carried_out;
    uint16_t status; /* what came of it */
};

struct model_chronyd {
    bool alive;
    uint64_t id; /* of its command socket: each start makes another one */

    /* The peer's socket. */
    bool is_connected, connection_dead; /* to a chronyd that was stopped */
    uint64_t connected_id;              /* the last one that it was connected to */

    unsigned n_queued;
    struct model_request queue[MODEL_QUEUE];

    /* What it does with commands. */
    bool has_no_dfreq, cannot_step, refuses_tracking, refuses_resets;
    uint16_t refuses_all; /* enum chrony_status; a setting that it refuses to change is
                             chrony.conf's, as that of a server which is gone and comes back */

    /* Its settings. */
    int32_t makestep_limit, configured_limit;
    double makestep_threshold_sec, configured_threshold_sec;
    unsigned n_servers; /* as many of the following it has */
    struct recovery_server servers[MODEL_SERVERS_MAX], configured[MODEL_SERVERS_MAX];
    unsigned n_named, first_named; /* of those, the ones that chrony.conf gives by a name */

    /* Its reference. */
    uint32_t refid;        /* 0: not synchronised */
    uint32_t sample_refid; /* of the reference clock that samples come from */
    int64_t updated_ns;    /* when the reference was, and how long after the time before */
    double update_interval_sec;
    double frequency_lie_ppm; /* TRACKING says that much more */
    unsigned samples_since_reset;

    /* An NTP server beside the reference clock. */
    bool has_ntp, ntp_unreachable;
    bool prefers_ntp;
    double ntp_delay_sec, ntp_skew_ppm, ntp_residual_ppm; /* a BURST makes a fifth of the skew */
    int64_t ntp_due_ns; /* when it has been measured often enough to be selected */

    uint64_t random; /* the generator of what it does not know exactly */
    unsigned n_resets;
};

/* One that was never started, with chrony.conf's default of makestep and `n` servers. */
void model_chronyd_init(struct model_chronyd *c, const struct recovery_server *servers, unsigned n);
void model_chronyd_start(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns);
void model_chronyd_stop(struct model_chronyd *c);

/* It follows an NTP server, which it polls every 64 s, or faster if it is told to. */
void model_chronyd_add_ntp(struct model_chronyd *c);
/* What is to be done at ntp_due_ns. */
void model_chronyd_poll_ntp(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns);

enum model_sent { MODEL_SENT, MODEL_FULL, MODEL_GONE };

/* A request arrives in its queue, to be read at `at_ns`. */
enum model_sent model_chronyd_send(
    struct model_chronyd *c, const uint8_t request[CHRONY_REQUEST_MAX], int64_t at_ns);
/* Take the oldest out of the queue. */
struct model_request model_chronyd_take(struct model_chronyd *c);

/* Do what it says, once. */
void model_chronyd_carry_out(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns,
    struct model_request *request);
/* The reply to one that is carried out; returns its length in bytes. */
size_t model_chronyd_reply(const struct model_chronyd *c, const struct model_clock *clock,
    const struct model_request *request, uint8_t ret_reply[CHRONY_REPLY_MAX]);

void model_chronyd_take_sample(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns,
    const struct sock_sample *sample);

/* Of a request: the command, and the 32 bits at a place. */
enum chrony_command_id model_request_id(const uint8_t *request);
uint32_t model_request_get32(const uint8_t *request, size_t at);

#endif
