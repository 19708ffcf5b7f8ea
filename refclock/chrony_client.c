/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/chrony_client.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define POLL_NS     INT64_C(1000000000)
#define REFID_LOCAL UINT32_C(0x7f7f0101) /* chronyd's own clock, by its "local" directive */

static const struct known_chronyd stranger = {.frequency_ppm = NAN,
    .correction_sec = NAN,
    .skew_ppm = NAN,
    .residual_ppm = NAN,
    .distance_sec = NAN,
    .dispersion_sec = NAN,
    .root_delay_sec = NAN};

void chrony_client_init(struct chrony_client *c, uint32_t sequence_seed, uint64_t id,
    bool had_reference, int64_t now_ns)
{
    *c = (struct chrony_client){
        .exchange = {.sequence = sequence_seed}, .poll_due_ns = now_ns, .known = stranger};
    c->known.id = id;
    c->known.had_reference = had_reference;
}

/* What it reported before may be so no more. */
static void forget_figures(struct known_chronyd *known)
{
    known->tracked = false;
    known->frequency_ppm = known->correction_sec = known->skew_ppm = known->residual_ppm = NAN;
    known->distance_sec = known->dispersion_sec = NAN;
}

/*
 * Forget what TRACKING told: by now it may be another chronyd. Whether it is, its id will show;
 * until then a start that was dealt with stays so.
 */
static void forget_tracking(struct known_chronyd *known)
{
    forget_figures(known);
    known->reachable = known->has_reference = known->synchronised = false;
    known->start_done = known->start_done && known->id != 0;
}

/* Another one knows nothing of what the one before was told. */
static void meet(struct chrony_client *c, uint64_t id)
{
    if (id == 0 || id == c->known.id)
        return;
    exchange_meet_another(&c->exchange);
    c->known = stranger;
    c->known.id = id;
}

static void answered(struct chrony_client *c, struct reporter *reporter)
{
    if (c->trouble_reported)
        reporter_say(reporter, (struct event){.id = EVENT_CHRONYD_BACK});
    c->asked = c->known.reachable = true;
    c->known.silent = c->trouble_reported = c->bad_reply_reported = false;
}

static void gone(struct chrony_client *c, struct reporter *reporter, int error, int64_t now_ns)
{
    if (!c->trouble_reported)
        reporter_say(reporter, (struct event){.id = EVENT_CHRONYD_AWAY, .failure = {error}});
    c->trouble_reported = c->asked = true;
    c->known.silent = false;
    forget_tracking(&c->known);
    exchange_end(&c->exchange);
    exchange_start_over(&c->exchange);
    c->poll_due_ns = now_ns + POLL_NS;
}

static void silent(struct chrony_client *c, struct reporter *reporter)
{
    if (!c->trouble_reported)
        reporter_say(reporter, (struct event){.id = EVENT_CHRONYD_SILENT,
                                   .silence = {c->exchange.id, c->exchange.unread}});
    c->trouble_reported = true;
    c->known.silent = !c->exchange.unread;
    c->known.reachable = c->known.tracked = c->known.synchronised = false;
}

/* Returns whether chronyd has a reference. */
static bool take_tracking(struct chrony_client *c, const struct chrony_client_view *view)
{
    const struct chrony_reply *reply = &c->exchange.reply;
    const struct chrony_tracking *tracking = &reply->tracking;
    struct known_chronyd *known = &c->known;

    if (reply->status != CHRONY_OK) { /* that it has lost its reference would be too much to say */
        forget_figures(known);
        known->synchronised = false;
        return false;
    }
    known->tracked = true;
    known->refid = tracking->refid;
    known->reference = tracking->address;
    known->frequency_ppm = tracking->frequency_ppm;
    known->correction_sec = tracking->correction_sec;
    known->skew_ppm = tracking->skew_ppm;
    known->residual_ppm = tracking->residual_ppm;
    known->dispersion_sec = tracking->root_dispersion_sec;
    known->distance_sec = tracking->root_delay_sec / 2 + tracking->root_dispersion_sec;
    known->leap = tracking->leap;
    known->reference_time = tracking->reference_time;
    known->update_interval_sec = tracking->update_interval_sec;
    known->has_reference =
        tracking->leap != 3 && tracking->refid != 0 && tracking->refid != REFID_LOCAL;
    known->synchronised =
        known->has_reference && (view->any_reference || tracking->refid == view->refid);
    c->poll_due_ns = view->now_ns + POLL_NS;
    if (!known->has_reference)
        return false;
    known->had_reference = known->start_done = true;
    if (tracking->refid != view->refid)
        known->root_delay_sec = tracking->root_delay_sec;
    return true;
}

static enum exchange_result receive(
    struct chrony_client *c, struct reporter *reporter, const struct chrony_client_view *view)
{
    enum exchange_result result;

    if (view->arrival == CHRONY_REPLY) {
        result = exchange_receive(&c->exchange, view->reply, view->reply_length);
        if (result == EXCHANGE_GARBAGE && c->exchange.verdict != CHRONY_REPLY_UNASKED &&
            !c->bad_reply_reported) {
            reporter_say(reporter, (struct event){.id = EVENT_BAD_REPLY,
                                       .reply = {c->exchange.verdict, view->reply_length}});
            c->bad_reply_reported = true;
        }
        return result; /* after garbage, the reply may be the next */
    }
    result = exchange_tick(&c->exchange, view->now_ns, view->queued);
    if (c->exchange.unread || result == EXCHANGE_SILENT)
        silent(c, reporter);
    return result;
}

static enum recovery_event event_of(uint16_t status)
{
    return status == CHRONY_OK        ? RECOVERY_REPLY_OK
           : status == CHRONY_INVALID ? RECOVERY_REPLY_INVALID
                                      : RECOVERY_REPLY_REFUSED;
}

static void check(const struct chrony_client *c)
{
    const struct known_chronyd *known = &c->known;

    assert(!known->synchronised || (known->tracked && known->has_reference));
    assert(!known->has_reference || known->had_reference);
    assert(!(known->silent && known->reachable));
    assert(c->exchange.owner < EXCHANGE_N_OWNERS);
}

struct chrony_news chrony_client_receive(
    struct chrony_client *c, struct reporter *reporter, const struct chrony_client_view *view)
{
    struct chrony_news news = {EXCHANGE_NONE, RECOVERY_TICK, false, false};
    const enum exchange_owner owner = c->exchange.owner;
    enum exchange_result result;

    meet(c, view->id);
    if (view->dry_run) {
        exchange_end(&c->exchange);
        return (struct chrony_news){
            owner, owner == EXCHANGE_NONE ? RECOVERY_TICK : RECOVERY_REPLY_OK, false, false};
    }
    if (view->arrival == CHRONY_GONE) {
        gone(c, reporter, view->error, view->now_ns);
        news.event = RECOVERY_GONE;
        return news;
    }
    result = receive(c, reporter, view);
    switch (result) {
    case EXCHANGE_WAITING:
    case EXCHANGE_GARBAGE: return news;
    case EXCHANGE_LATE:
        answered(c, reporter);
        if (c->exchange.reply.status == CHRONY_OK)
            news.event = RECOVERY_LATE_RESET;
        return news;
    case EXCHANGE_SILENT:
        if (owner == EXCHANGE_POLL)
            c->poll_due_ns = view->now_ns + POLL_NS;
        news.event = RECOVERY_SILENCE;
        break;
    case EXCHANGE_REPLIED:
        answered(c, reporter);
        if (c->exchange.id == CHRONY_TRACKING)
            news.referenced = take_tracking(c, view);
        news.told = c->exchange.id == CHRONY_TRACKING && c->exchange.reply.status == CHRONY_OK;
        news.event = event_of(c->exchange.reply.status);
        break;
    }
    news.owner = owner;
    exchange_end(&c->exchange);
    check(c);
    return news;
}

size_t chrony_client_send(struct chrony_client *c, enum exchange_owner owner,
    const struct chrony_command *command, int64_t now_ns, uint8_t ret_request[CHRONY_REQUEST_MAX])
{
    if (owner == EXCHANGE_POLL)
        c->poll_due_ns = now_ns + POLL_NS;
    return exchange_begin(&c->exchange, owner, command, now_ns, ret_request);
}

void chrony_client_pretend(struct chrony_client *c, enum exchange_owner owner,
    const struct chrony_command *command, int64_t now_ns)
{
    uint8_t request[CHRONY_REQUEST_MAX];

    exchange_begin(&c->exchange, owner, command, now_ns, request);
    exchange_pretend(&c->exchange, now_ns);
}

void chrony_client_start_over(struct chrony_client *c)
{
    exchange_start_over(&c->exchange);
}

void chrony_client_give_up(struct chrony_client *c)
{
    exchange_end(&c->exchange);
}

bool chrony_client_is_busy(const struct chrony_client *c)
{
    return c->exchange.owner != EXCHANGE_NONE;
}

void chrony_client_was_reset(struct chrony_client *c)
{
    c->known.start_done = true;
    c->known.has_reference = c->known.synchronised = false;
}

void chrony_client_start_done(struct chrony_client *c)
{
    c->known.start_done = true;
}

void chrony_client_doubt(struct chrony_client *c, int64_t now_ns)
{
    forget_tracking(&c->known);
    c->poll_due_ns = now_ns;
}

bool chrony_client_has_just_started(const struct chrony_client *c)
{
    return c->known.reachable && c->known.tracked && !c->known.has_reference &&
           !c->known.start_done;
}

bool chrony_client_reads(const struct chrony_client *c)
{
    return c->known.reachable || c->known.silent;
}
