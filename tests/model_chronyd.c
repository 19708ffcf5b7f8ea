/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model_chronyd.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "tests/chrony_reply.h"

/* In a request, and after the reply's header: see refclock/chrony_command.c for the protocol. */
#define AT_NUMBER    20
#define AT_THRESHOLD 24
#define AT_POLL      40
#define DATA         CHRONY_REPLY_DATA_AT

#define UTC_MAX 4e9 /* chronyd believes no time beyond this century */

uint32_t model_request_get32(const uint8_t *request, size_t at)
{
    request += at;
    return (uint32_t)request[0] << 24 | (uint32_t)request[1] << 16 | (uint32_t)request[2] << 8 |
           request[3];
}

enum chrony_command_id model_request_id(const uint8_t *request)
{
    return (enum chrony_command_id)(request[4] << 8 | request[5]);
}

/* --- its life --------------------------------------------------------------------------------- */

void model_chronyd_init(struct model_chronyd *c, const struct recovery_server *servers, unsigned n)
{
    assert(n <= MODEL_SERVERS_MAX);
    *c = (struct model_chronyd){
        .n_servers = n,
        .configured_limit = 3,
        .configured_threshold_sec = 1,
        .ntp_due_ns = INT64_MAX,
        .random = 1,
    };
    memcpy(c->configured, servers, n * sizeof(servers[0]));
}

void model_chronyd_stop(struct model_chronyd *c)
{
    c->connection_dead = c->connection_dead || c->is_connected;
    c->alive = false;
    c->n_queued = 0;
    c->refid = 0;
}

void model_chronyd_start(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns)
{
    model_chronyd_stop(c);
    model_clock_move(clock, now_ns);
    clock->slew_left_sec = 0;
    c->alive = true;
    c->id++;
    c->samples_since_reset = 0;
    c->makestep_limit = c->configured_limit;
    c->makestep_threshold_sec = c->configured_threshold_sec;
    memcpy(c->servers, c->configured, sizeof(c->servers));
}

/* --- its reference ---------------------------------------------------------------------------- */

void model_chronyd_add_ntp(struct model_chronyd *c)
{
    c->has_ntp = true;
    c->ntp_delay_sec = 1e-4;
    c->refid = MODEL_NTP;
    c->ntp_due_ns = INT64_MAX;
}

static void hurry_ntp(struct model_chronyd *c, int64_t at_ns)
{
    if (c->has_ntp && !c->ntp_unreachable && c->refid == 0 && c->ntp_due_ns > at_ns)
        c->ntp_due_ns = at_ns;
}

/* As makestep allows, or else by a slew; positive: the clock is ahead. */
static void correct(struct model_chronyd *c, struct model_clock *clock, double ahead_sec)
{
    if (c->makestep_limit != 0 && fabs(ahead_sec) > c->makestep_threshold_sec) {
        model_clock_step(clock, -ahead_sec);
        clock->slew_left_sec = 0;
    } else {
        clock->slew_left_sec = ahead_sec;
    }
    if (c->makestep_limit > 0)
        c->makestep_limit--;
}

void model_chronyd_poll_ntp(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns)
{
    c->ntp_due_ns = now_ns + 64 * MODEL_SEC;
    if (c->ntp_unreachable || !c->alive)
        return;
    model_clock_move(clock, now_ns);
    correct(c, clock, clock->error_sec);
    c->refid = MODEL_NTP;
    c->ntp_due_ns = INT64_MAX;
}

void model_chronyd_take_sample(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns,
    const struct sock_sample *sample)
{
    const double utc =
        (double)MODEL_EPOCH + (double)now_ns * 1e-9 + clock->error_sec + sample->offset;

    if (utc < 0 || utc > UTC_MAX)
        return;
    clock->leaps = sample->leap != 0;
    if (++c->samples_since_reset % 5 != 0)
        return;
    model_clock_move(clock, now_ns);
    c->update_interval_sec = (double)(now_ns - c->updated_ns) / 1e9;
    c->updated_ns = now_ns;
    correct(c, clock, -sample->offset);
    if (c->samples_since_reset >= 15)
        c->refid = c->prefers_ntp ? MODEL_NTP : c->sample_refid;
}

/* --- its commands ----------------------------------------------------------------------------- */

enum model_sent model_chronyd_send(
    struct model_chronyd *c, const uint8_t request[CHRONY_REQUEST_MAX], int64_t at_ns)
{
    struct model_request *queued = &c->queue[c->n_queued];

    if (!c->alive || c->connection_dead) {
        c->is_connected = c->connection_dead = false;
        return MODEL_GONE;
    }
    c->is_connected = true;
    c->connected_id = c->id;
    if (c->n_queued == MODEL_QUEUE)
        return MODEL_FULL;
    *queued = (struct model_request){.at_ns = at_ns};
    memcpy(queued->bytes, request, CHRONY_REQUEST_MAX);
    c->n_queued++;
    return MODEL_SENT;
}

struct model_request model_chronyd_take(struct model_chronyd *c)
{
    const struct model_request oldest = c->queue[0];

    assert(c->n_queued > 0);
    c->n_queued--;
    memmove(&c->queue[0], &c->queue[1], c->n_queued * sizeof(c->queue[0]));
    return oldest;
}

/* The server that a MODIFY_* is of; NULL: it has none with that address. */
static struct recovery_server *server_of(struct model_chronyd *c, const uint8_t *request)
{
    struct chrony_address address = {.family = (uint16_t)(request[36] << 8 | request[37])};

    memcpy(address.bytes, request + 20, sizeof(address.bytes));
    for (unsigned i = 0; i < c->n_servers; i++)
        if (chrony_address_equal(&c->servers[i].address, &address))
            return &c->servers[i];
    return NULL;
}

static uint16_t modify_poll(
    struct model_chronyd *c, int64_t now_ns, const uint8_t *request, enum chrony_command_id id)
{
    struct recovery_server *server = server_of(c, request);
    const struct recovery_server *configured;
    const int32_t log2_sec = (int32_t)model_request_get32(request, AT_POLL);

    if (!server)
        return CHRONY_NO_SUCH_SOURCE;
    configured = &c->configured[server - c->servers];
    if (id == CHRONY_MODIFY_MINPOLL)
        server->minpoll = c->refuses_all ? configured->minpoll : log2_sec;
    else
        server->maxpoll = c->refuses_all ? configured->maxpoll : log2_sec;
    if (!c->refuses_all && id == CHRONY_MODIFY_MINPOLL && log2_sec <= 0)
        hurry_ntp(c, now_ns + 3 * MODEL_SEC);
    return c->refuses_all;
}

/*
 * It does not know exactly how far its slew has got: a ten-thousandth stays. What it knows to be
 * left, a millionth either way, stays in its register.
 */
static uint16_t make_step(struct model_chronyd *c, struct model_clock *clock)
{
    double left;

    if (c->cannot_step)
        return CHRONY_FAILED;
    left = clock->slew_left_sec * 2e-6 * (model_random(&c->random) - 0.5);
    model_clock_step(clock, -(clock->slew_left_sec - left) * (1 - 1e-4 * model_random(&c->random)));
    clock->slew_left_sec = left;
    return CHRONY_OK;
}

static uint16_t modify_makestep(struct model_chronyd *c, const uint8_t *request)
{
    const double threshold = chrony_float_decode(model_request_get32(request, AT_THRESHOLD));

    c->makestep_limit =
        c->refuses_all ? c->configured_limit : (int32_t)model_request_get32(request, AT_NUMBER);
    c->makestep_threshold_sec = c->refuses_all ? c->configured_threshold_sec : threshold;
    return c->refuses_all;
}

static uint16_t carry_out(
    struct model_chronyd *c, struct model_clock *clock, int64_t now_ns, const uint8_t *request)
{
    const enum chrony_command_id id = model_request_id(request);
    const double number = chrony_float_decode(model_request_get32(request, AT_NUMBER));

    if (id == CHRONY_MODIFY_MINPOLL || id == CHRONY_MODIFY_MAXPOLL)
        return modify_poll(c, now_ns, request, id);
    if (id == CHRONY_MODIFY_MAKESTEP)
        return modify_makestep(c, request);
    if (c->refuses_all)
        return c->refuses_all;
    switch (id) {
    case CHRONY_RESET_SOURCES:
        if (c->refuses_resets)
            return CHRONY_UNAUTHORISED;
        clock->slew_left_sec = 0;
        c->refid = 0;
        c->samples_since_reset = 0;
        c->ntp_due_ns = now_ns + 137 * MODEL_SEC;
        c->n_resets++;
        return CHRONY_OK;
    case CHRONY_DFREQ:
        if (c->has_no_dfreq)
            return CHRONY_INVALID;
        clock->freq += lrint((1 + (double)clock->freq / 65536e6) * -number * 65536);
        return CHRONY_OK;
    case CHRONY_DOFFSET2:
        if (c->has_no_dfreq)
            return CHRONY_INVALID;
        clock->slew_left_sec += number;
        return CHRONY_OK;
    case CHRONY_MAKESTEP: return make_step(c, clock);
    case CHRONY_BURST:
        c->ntp_skew_ppm /= 5;
        hurry_ntp(c, now_ns + 700 * MODEL_MS);
        return c->has_ntp ? CHRONY_OK : CHRONY_NO_SUCH_SOURCE;
    case CHRONY_TRACKING: return c->refuses_tracking ? CHRONY_UNAUTHORISED : CHRONY_OK;
    case CHRONY_N_SOURCES: return CHRONY_OK;
    case CHRONY_SOURCE_DATA:
        return model_request_get32(request, AT_NUMBER) < c->n_named ? CHRONY_OK
                                                                    : CHRONY_NO_SUCH_SOURCE;
    case CHRONY_SOURCE_NAME: return server_of(c, request) ? CHRONY_OK : CHRONY_NO_SUCH_SOURCE;
    default: break;
    }
    return CHRONY_INVALID;
}

void model_chronyd_carry_out(struct model_chronyd *c, struct model_clock *clock, int64_t now_ns,
    struct model_request *request)
{
    if (request->carried_out)
        return;
    model_clock_move(clock, now_ns);
    request->carried_out = true;
    request->status = carry_out(c, clock, now_ns, request->bytes);
}

static size_t put_tracking(
    const struct model_chronyd *c, const struct model_clock *clock, uint8_t *data)
{
    const uint32_t sec = (uint32_t)(MODEL_EPOCH + c->updated_ns / MODEL_SEC);
    const double delay_sec = c->refid == MODEL_NTP ? c->ntp_delay_sec : 1e-5;

    chrony_reply_put32(data, c->refid);
    data[27] = c->refid ? 0 : 3;
    chrony_reply_put32(data + 32, sec);
    chrony_reply_put32(data + 36, (uint32_t)(c->updated_ns % MODEL_SEC));
    chrony_reply_put32(data + 40, chrony_float_encode(clock->slew_left_sec));
    chrony_reply_put32(
        data + 52, chrony_float_encode(c->frequency_lie_ppm - (double)clock->freq / 65536));
    chrony_reply_put32(data + 56, chrony_float_encode(c->ntp_residual_ppm));
    chrony_reply_put32(data + 60, chrony_float_encode(c->ntp_skew_ppm));
    chrony_reply_put32(data + 64, chrony_float_encode(delay_sec));
    chrony_reply_put32(data + 72, chrony_float_encode(c->update_interval_sec));
    return DATA + 76;
}

/* Of one that chrony.conf gives by its name. */
static size_t put_source(const struct recovery_server *server, uint8_t *data)
{
    memcpy(data, server->address.bytes, sizeof(server->address.bytes));
    data[17] = (uint8_t)server->address.family;
    data[21] = (uint8_t)server->minpoll; /* its poll now */
    return DATA + 48;
}

size_t model_chronyd_reply(const struct model_chronyd *c, const struct model_clock *clock,
    const struct model_request *request, uint8_t ret_reply[CHRONY_REPLY_MAX])
{
    uint8_t *data = ret_reply + DATA;

    memset(ret_reply, 0, CHRONY_REPLY_MAX);
    chrony_reply_make(request->bytes, request->status, ret_reply);
    if (request->status != CHRONY_OK)
        return DATA;
    switch (model_request_id(request->bytes)) {
    case CHRONY_TRACKING: return put_tracking(c, clock, data);
    case CHRONY_N_SOURCES: chrony_reply_put32(data, c->n_named); return DATA + 4;
    case CHRONY_SOURCE_DATA:
        return put_source(
            &c->servers[c->first_named + model_request_get32(request->bytes, AT_NUMBER)], data);
    case CHRONY_SOURCE_NAME:
        memcpy(data, MODEL_OWN_NAME, sizeof(MODEL_OWN_NAME));
        return DATA + CHRONY_NAME_MAX;
    default: return DATA;
    }
}
