/* SPDX-License-Identifier: BSD-2-Clause */
/* One command on its way to chronyd and back, and how long its reply is waited for. */
#ifndef REFCLOCK_EXCHANGE_H
#define REFCLOCK_EXCHANGE_H

#include "refclock/chrony_command.h"

enum exchange_owner {
    EXCHANGE_NONE,
    EXCHANGE_RECOVERY,
    EXCHANGE_RESTORE,
    EXCHANGE_BURST,
    EXCHANGE_RATE,
    EXCHANGE_POLL,
    EXCHANGE_OWN_SERVERS,
    EXCHANGE_N_OWNERS,
};

enum exchange_result {
    EXCHANGE_WAITING,
    EXCHANGE_REPLIED, /* exchange.reply is valid */
    EXCHANGE_SILENT,  /* chronyd took the command and did not answer in time */
    EXCHANGE_GARBAGE, /* the datagram was no reply of ours; still waiting */
    EXCHANGE_LATE,    /* it is the reply to a reset that was given up: exchange.reply is valid */
};

struct exchange {
    enum exchange_owner owner; /* EXCHANGE_NONE: nothing is under way */
    enum chrony_command_id id;
    uint32_t sequence;
    int64_t deadline_ns;                  /* CLOCK_MONOTONIC */
    unsigned silences[EXCHANGE_N_OWNERS]; /* in a row; each doubles the patience, up to 4 s */
    uint32_t resets[2];                   /* sequences of the last two RESET_SOURCES; 0: none */
    bool unread;                          /* past the deadline, and chronyd has not even read it */
    struct chrony_reply reply;
    enum chrony_reply_verdict verdict; /* of the last datagram */
};

/*
 * Begin an exchange and encode its request; whatever was under way is given up, and its reply, if
 * it still comes, is not believed. Returns the request's length.
 */
size_t exchange_begin(struct exchange *exchange, enum exchange_owner owner,
    const struct chrony_command *command, int64_t now_ns, uint8_t ret_request[CHRONY_REQUEST_MAX]);

/* A recovery begins: late replies to the resets of earlier ones, and silence then, do not count. */
void exchange_start_over(struct exchange *exchange);

/* What was under way is over, or given up. */
void exchange_end(struct exchange *exchange);

/* Another chronyd: how long the one before was silent says nothing. */
void exchange_meet_another(struct exchange *exchange);

/* In a dry run nothing is sent: chronyd is taken to have done it by now. */
void exchange_pretend(struct exchange *exchange, int64_t now_ns);

/* A datagram came from chronyd. */
enum exchange_result exchange_receive(
    struct exchange *exchange, const uint8_t *bytes, size_t length);

/*
 * Time passed. `queued`: the request still lies unread in chronyd's socket, so that it is not lost
 * but will be carried out, and repeating it would double it.
 */
enum exchange_result exchange_tick(struct exchange *exchange, int64_t now_ns, bool queued);

#endif
