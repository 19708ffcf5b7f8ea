/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to chronyd's command socket and its replies: bytes in, bytes out, no socket.
 * The same in chrony 4.3 to 4.9; protocol version 6, big-endian.
 */
#ifndef REFCLOCK_CHRONY_COMMAND_H
#define REFCLOCK_CHRONY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHRONY_REQUEST_MAX 284 /* bytes */
#define CHRONY_REPLY_MAX   512 /* more than any reply that is asked for */
#define CHRONY_NAME_MAX    256 /* bytes of a source's name, with the last, 0 */

enum chrony_command_id {
    CHRONY_BURST = 3,
    CHRONY_MODIFY_MINPOLL = 4,
    CHRONY_MODIFY_MAXPOLL = 5,
    CHRONY_N_SOURCES = 14,
    CHRONY_SOURCE_DATA = 15,
    CHRONY_DFREQ = 31,
    CHRONY_TRACKING = 33,
    CHRONY_MAKESTEP = 43,
    CHRONY_MODIFY_MAKESTEP = 50,
    CHRONY_SOURCE_NAME = 65,
    CHRONY_RESET_SOURCES = 66,
    CHRONY_DOFFSET2 = 71,
};

/* An address as chronyd takes it: IPv4 in the first four bytes. */
struct chrony_address {
    uint8_t bytes[16];
    uint16_t family; /* 0 unspecified, 1 IPv4, 2 IPv6 */
};

struct chrony_command {
    enum chrony_command_id id;
    union {
        double ppm;        /* DFREQ: positive where the clock runs fast */
        double offset_sec; /* DOFFSET2: positive where the clock is ahead */
        struct {
            int32_t limit; /* updates; -1 no limit, 0 never */
            double threshold_sec;
        } makestep;
        struct {
            int32_t good, total;
        } burst; /* of every NTP source */
        struct {
            struct chrony_address address;
            int32_t log2_sec;
        } poll;                        /* MODIFY_MINPOLL and MODIFY_MAXPOLL */
        uint32_t index;                /* SOURCE_DATA: from 0 on, in no order that lasts */
        struct chrony_address address; /* SOURCE_NAME: of an NTP source */
    };
};

enum chrony_status {
    CHRONY_OK = 0,
    CHRONY_FAILED = 1,
    CHRONY_UNAUTHORISED = 2,
    CHRONY_INVALID = 3, /* this chronyd does not know the command */
    CHRONY_NO_SUCH_SOURCE = 4,
    CHRONY_BAD_VERSION = 18,
    CHRONY_BAD_LENGTH = 19,
};

/* A time of the system's clock at that moment, which may have been stepped since. */
struct chrony_time {
    uint64_t sec;
    uint32_t nsec;
};

struct chrony_tracking {
    uint32_t refid;
    struct chrony_address address;     /* of the reference; family 0: it is no server */
    uint16_t leap;                     /* 3: not synchronised */
    struct chrony_time reference_time; /* of the last update */
    double correction_sec;             /* still to be slewed; positive: the clock is ahead */
    double frequency_ppm;
    double residual_ppm; /* the measured frequency less that */
    double skew_ppm;
    double root_delay_sec, root_dispersion_sec;
    double update_interval_sec; /* between the last two; 0: there was one */
};

struct chrony_source {
    struct chrony_address address;
    int16_t poll;   /* log2 s, now */
    bool is_server; /* of NTP; not a peer, nor a reference clock */
};

enum chrony_reply_verdict {
    CHRONY_REPLY_OK,
    CHRONY_REPLY_SHORT, /* than its header, or than the data its status promises */
    CHRONY_REPLY_LONG,
    CHRONY_REPLY_FOREIGN, /* not a reply of protocol version 6 */
    CHRONY_REPLY_UNASKED, /* of another command or sequence: late, doubled or forged */
};

struct chrony_reply {
    uint16_t status; /* enum chrony_status, or another of chronyd's */
    /* With CHRONY_OK, of CHRONY_TRACKING, N_SOURCES, SOURCE_DATA, SOURCE_NAME: */
    struct chrony_tracking tracking;
    uint32_t n_sources;
    struct chrony_source source;
    char name[CHRONY_NAME_MAX]; /* as chrony.conf has it: printable, or empty */
};

/* Names for the log, as chrony has them; never NULL. */
const char *chrony_command_str(enum chrony_command_id id);
const char *chrony_status_str(uint16_t status);
const char *chrony_reply_verdict_str(enum chrony_reply_verdict verdict);

/* Encode a request; returns its length in bytes, at most CHRONY_REQUEST_MAX. */
size_t chrony_command_encode(const struct chrony_command *command, uint32_t sequence,
    uint8_t ret_request[CHRONY_REQUEST_MAX]);

/* Decode the reply of `length` bytes to the request `id` with `sequence`. */
enum chrony_reply_verdict chrony_reply_decode(const uint8_t *bytes, size_t length,
    enum chrony_command_id id, uint32_t sequence, struct chrony_reply *ret_reply);

/* chronyd's 32-bit floating point: 7-bit exponent, 25-bit coefficient, relative error 3e-8. */
uint32_t chrony_float_encode(double value);
double chrony_float_decode(uint32_t bits);

/* The settings of a recovery are compared by value. */
bool chrony_address_equal(const struct chrony_address *a, const struct chrony_address *b);

/* "VMCL" and the like, 1 to 4 printable characters, as chronyd's 32-bit reference id. */
bool chrony_refid_parse(const char *text, uint32_t *ret_refid);

#endif
