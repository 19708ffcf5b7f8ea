/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/chrony_command.h"

#include <math.h>
#include <string.h>

enum {
    PROTOCOL_VERSION = 6,
    PACKET_REQUEST = 1,
    PACKET_REPLY = 2,
    REQUEST_DATA_AT = 20,
    REPLY_DATA_AT = 28,
    FLOAT_EXPONENT_BITS = 7,
    FLOAT_COEFFICIENT_BITS = 25,
};

/* How long a request is on the wire: chronyd refuses one that is shorter than its reply. */
static size_t request_length(enum chrony_command_id id)
{
    switch (id) {
    case CHRONY_BURST: return 68;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL: return 44;
    case CHRONY_N_SOURCES: return 32;
    case CHRONY_SOURCE_DATA: return 76;
    case CHRONY_SOURCE_NAME: return 284;
    case CHRONY_TRACKING: return 104;
    case CHRONY_DFREQ:
    case CHRONY_MAKESTEP:
    case CHRONY_MODIFY_MAKESTEP:
    case CHRONY_RESET_SOURCES:
    case CHRONY_DOFFSET2: break;
    }
    return 28;
}

const char *chrony_command_str(enum chrony_command_id id)
{
    switch (id) {
    case CHRONY_BURST: return "BURST";
    case CHRONY_MODIFY_MINPOLL: return "MODIFY_MINPOLL";
    case CHRONY_MODIFY_MAXPOLL: return "MODIFY_MAXPOLL";
    case CHRONY_N_SOURCES: return "N_SOURCES";
    case CHRONY_SOURCE_DATA: return "SOURCE_DATA";
    case CHRONY_SOURCE_NAME: return "SOURCE_NAME";
    case CHRONY_DFREQ: return "DFREQ";
    case CHRONY_TRACKING: return "TRACKING";
    case CHRONY_MAKESTEP: return "MAKESTEP";
    case CHRONY_MODIFY_MAKESTEP: return "MODIFY_MAKESTEP";
    case CHRONY_RESET_SOURCES: return "RESET_SOURCES";
    case CHRONY_DOFFSET2: return "DOFFSET2";
    }
    return "unknown";
}

const char *chrony_status_str(uint16_t status)
{
    switch (status) {
    case CHRONY_OK: return "ok";
    case CHRONY_FAILED: return "failed";
    case CHRONY_UNAUTHORISED: return "unauthorised";
    case CHRONY_INVALID: return "invalid command";
    case CHRONY_NO_SUCH_SOURCE: return "no such source";
    case CHRONY_BAD_VERSION: return "bad protocol version";
    case CHRONY_BAD_LENGTH: return "bad length";
    default: return "unknown status";
    }
}

const char *chrony_reply_verdict_str(enum chrony_reply_verdict verdict)
{
    switch (verdict) {
    case CHRONY_REPLY_OK: return "valid";
    case CHRONY_REPLY_SHORT: return "too short";
    case CHRONY_REPLY_LONG: return "too long";
    case CHRONY_REPLY_FOREIGN: return "not a reply of chronyd's protocol version 6";
    case CHRONY_REPLY_UNASKED: return "of another command or sequence";
    }
    return "unknown";
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

uint32_t chrony_float_encode(double value)
{
    const int exponent_min = -(1 << (FLOAT_EXPONENT_BITS - 1));
    const int exponent_max = -exponent_min - 1;
    const int32_t coefficient_max = (1 << (FLOAT_COEFFICIENT_BITS - 1)) - 1;
    const int32_t coefficient_min = -coefficient_max - 1;
    int exponent;
    double fraction;
    int32_t coefficient;

    if (isnan(value))
        value = 0;
    if (isinf(value))
        value = copysign(1e30, value);
    fraction = frexp(value, &exponent);
    /*
     * value = coefficient * 2^(exponent - 25). frexp's fraction, 0.5 to 1, is scaled to one bit
     * less than the coefficient has, the sign taking one.
     */
    exponent += 1;
    coefficient = (int32_t)lrint(ldexp(fraction, FLOAT_COEFFICIENT_BITS - 1));
    if (coefficient > coefficient_max) { /* rounded up to a power of two */
        coefficient /= 2;
        exponent++;
    }
    if (exponent < exponent_min) {
        coefficient = exponent_min - exponent > FLOAT_COEFFICIENT_BITS
                          ? 0
                          : (int32_t)lrint(ldexp(coefficient, exponent - exponent_min));
        exponent = exponent_min;
    } else if (exponent > exponent_max) {
        coefficient = value < 0 ? coefficient_min : coefficient_max;
        exponent = exponent_max;
    }
    if (coefficient == 0)
        exponent = 0;
    return ((uint32_t)exponent & ((1u << FLOAT_EXPONENT_BITS) - 1)) << FLOAT_COEFFICIENT_BITS |
           ((uint32_t)coefficient & ((1u << FLOAT_COEFFICIENT_BITS) - 1));
}

double chrony_float_decode(uint32_t bits)
{
    int exponent = (int)(bits >> FLOAT_COEFFICIENT_BITS);
    int32_t coefficient = (int32_t)(bits & ((1u << FLOAT_COEFFICIENT_BITS) - 1));

    if (exponent >= 1 << (FLOAT_EXPONENT_BITS - 1))
        exponent -= 1 << FLOAT_EXPONENT_BITS;
    if (coefficient >= 1 << (FLOAT_COEFFICIENT_BITS - 1))
        coefficient -= 1 << FLOAT_COEFFICIENT_BITS;
    return ldexp(coefficient, exponent - FLOAT_COEFFICIENT_BITS);
}

size_t chrony_command_encode(const struct chrony_command *command, uint32_t sequence,
    uint8_t ret_request[CHRONY_REQUEST_MAX])
{
    uint8_t *data = ret_request + REQUEST_DATA_AT;

    memset(ret_request, 0, CHRONY_REQUEST_MAX);
    ret_request[0] = PROTOCOL_VERSION;
    ret_request[1] = PACKET_REQUEST;
    put16(ret_request + 4, (uint16_t)command->id);
    put32(ret_request + 8, sequence);

    switch (command->id) {
    case CHRONY_DFREQ: put32(data, chrony_float_encode(command->ppm)); break;
    case CHRONY_DOFFSET2: put32(data, chrony_float_encode(command->offset_sec)); break;
    case CHRONY_MODIFY_MAKESTEP:
        put32(data, (uint32_t)command->makestep.limit);
        put32(data + 4, chrony_float_encode(command->makestep.threshold_sec));
        break;
    case CHRONY_BURST: /* mask and address all zero: every source */
        put32(data + 40, (uint32_t)command->burst.good);
        put32(data + 44, (uint32_t)command->burst.total);
        break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        memcpy(data, command->poll.address.bytes, sizeof(command->poll.address.bytes));
        put16(data + 16, command->poll.address.family);
        put32(data + 20, (uint32_t)command->poll.log2_sec);
        break;
    case CHRONY_SOURCE_DATA: put32(data, command->index); break;
    case CHRONY_SOURCE_NAME:
        memcpy(data, command->address.bytes, sizeof(command->address.bytes));
        put16(data + 16, command->address.family);
        break;
    case CHRONY_N_SOURCES:
    case CHRONY_TRACKING:
    case CHRONY_MAKESTEP:
    case CHRONY_RESET_SOURCES: break;
    }
    return request_length(command->id);
}

static struct chrony_address get_address(const uint8_t *at)
{
    struct chrony_address address = {.family = get16(at + 16)};

    memcpy(address.bytes, at, address.family == 1 ? 4 : sizeof(address.bytes));
    return address;
}

static void decode_tracking(const uint8_t *data, struct chrony_tracking *ret)
{
    const uint8_t *floats = data + 40; /* behind refid, address, stratum, leap and time */

    *ret = (struct chrony_tracking){
        .refid = get32(data),
        .address = get_address(data + 4),
        .leap = get16(data + 26),
        .reference_time = {(uint64_t)get32(data + 28) << 32 | get32(data + 32), get32(data + 36)},
        .correction_sec = chrony_float_decode(get32(floats)),
        .frequency_ppm = chrony_float_decode(get32(floats + 12)),
        .residual_ppm = chrony_float_decode(get32(floats + 16)),
        .skew_ppm = chrony_float_decode(get32(floats + 20)),
        .root_delay_sec = chrony_float_decode(get32(floats + 24)),
        .root_dispersion_sec = chrony_float_decode(get32(floats + 28)),
        .update_interval_sec = chrony_float_decode(get32(floats + 32)),
    };
}

/* The poll is behind the address, then come stratum, state and mode. */
static void decode_source(const uint8_t *data, struct chrony_source *ret)
{
    *ret = (struct chrony_source){
        .address = get_address(data),
        .poll = (int16_t)get16(data + 20),
        .is_server = get16(data + 26) == 0,
    };
}

/* Empty where it is none: too long, or not printable. */
static void decode_name(const uint8_t *data, char ret_name[CHRONY_NAME_MAX])
{
    size_t n = 0;

    while (n < CHRONY_NAME_MAX && data[n] > ' ' && data[n] <= '~')
        n++;
    memset(ret_name, 0, CHRONY_NAME_MAX);
    if (n < CHRONY_NAME_MAX && data[n] == 0)
        memcpy(ret_name, data, n);
}

static void decode_data(
    const uint8_t *data, enum chrony_command_id id, struct chrony_reply *ret_reply)
{
    if (id == CHRONY_TRACKING)
        decode_tracking(data, &ret_reply->tracking);
    else if (id == CHRONY_N_SOURCES)
        ret_reply->n_sources = get32(data);
    else if (id == CHRONY_SOURCE_DATA)
        decode_source(data, &ret_reply->source);
    else
        decode_name(data, ret_reply->name);
}

/* How long a reply with CHRONY_OK is: with data, as long as its request. */
static size_t reply_length(enum chrony_command_id id)
{
    return id == CHRONY_TRACKING || id == CHRONY_N_SOURCES || id == CHRONY_SOURCE_DATA ||
                   id == CHRONY_SOURCE_NAME
               ? request_length(id)
               : REPLY_DATA_AT;
}

enum chrony_reply_verdict chrony_reply_decode(const uint8_t *bytes, size_t length,
    enum chrony_command_id id, uint32_t sequence, struct chrony_reply *ret_reply)
{
    struct chrony_reply reply = {0};
    size_t expected = REPLY_DATA_AT;

    if (length < REPLY_DATA_AT)
        return CHRONY_REPLY_SHORT;
    if (bytes[0] != PROTOCOL_VERSION || bytes[1] != PACKET_REPLY)
        return CHRONY_REPLY_FOREIGN;
    if (get16(bytes + 4) != id || get32(bytes + 16) != sequence)
        return CHRONY_REPLY_UNASKED;
    reply.status = get16(bytes + 8);
    if (reply.status == CHRONY_OK)
        expected = reply_length(id);
    if (length != expected)
        return length < expected ? CHRONY_REPLY_SHORT : CHRONY_REPLY_LONG;
    if (expected > REPLY_DATA_AT)
        decode_data(bytes + REPLY_DATA_AT, id, &reply);
    *ret_reply = reply;
    return CHRONY_REPLY_OK;
}

bool chrony_address_equal(const struct chrony_address *a, const struct chrony_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool chrony_refid_parse(const char *text, uint32_t *ret_refid)
{
    const size_t n = strlen(text);
    uint32_t refid = 0;

    if (n < 1 || n > 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        if (i < n && (text[i] <= ' ' || text[i] > '~'))
            return false;
        refid = refid << 8 | (i < n ? (uint8_t)text[i] : 0);
    }
    *ret_refid = refid;
    return true;
}
