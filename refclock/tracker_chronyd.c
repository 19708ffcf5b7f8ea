/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker_step.h"

#include <math.h>

#define POLL_NS           INT64_C(1000000000)
#define PUT_BACK_RETRY_NS INT64_C(1000000000)
#define REFID_LOCAL       UINT32_C(0x7f7f0101) /* chronyd's own clock, by its "local" directive */

static void chronyd_answered(struct step *s)
{
    struct tracker *t = s->t;

    if (t->chronyd.trouble_reported)
        step_report(s, (struct event){.id = EVENT_CHRONYD_BACK});
    t->chronyd.asked = t->chronyd.reachable = true;
    t->chronyd.trouble_reported = t->chronyd.bad_reply_reported = false;
}

static void chronyd_gone(struct step *s)
{
    struct tracker *t = s->t;

    if (!t->chronyd.trouble_reported)
        step_report(s, (struct event){.id = EVENT_CHRONYD_AWAY, .code = s->seen->chronyd_error});
    t->chronyd.trouble_reported = t->chronyd.asked = true;
    t->chronyd.reachable = t->chronyd.synchronised = t->chronyd.has_reference = false;
    t->chronyd.tracked = t->chronyd.start_done = false;
    t->exchange.owner = EXCHANGE_NONE;
    t->poll_due_ns = s->seen->now_ns + POLL_NS;
    if (t->put_back_at_ns != INT64_MAX) /* the next chronyd reads its own configuration */
        t->put_back_at_ns = s->seen->now_ns + PUT_BACK_RETRY_NS;
}

static void chronyd_silent(struct step *s)
{
    struct tracker *t = s->t;

    if (!t->chronyd.trouble_reported)
        step_report(s, (struct event){.id = EVENT_CHRONYD_SILENT,
                           .code = (int)t->exchange.id,
                           .new = t->exchange.unread});
    t->chronyd.trouble_reported = true;
    t->chronyd.reachable = t->chronyd.synchronised = false;
}

static void take_tracking(struct step *s, const struct chrony_tracking *tracking)
{
    struct tracker *t = s->t;

    t->chronyd.tracked = true;
    t->chronyd.refid = tracking->refid;
    t->chronyd.frequency_ppm = tracking->frequency_ppm;
    t->chronyd.has_reference =
        tracking->leap != 3 && tracking->refid != 0 && tracking->refid != REFID_LOCAL;
    t->chronyd.synchronised = t->chronyd.has_reference &&
                              (t->mode != TRACKER_MODE_CLOCK || tracking->refid == t->config.refid);
    t->poll_due_ns = s->seen->now_ns + POLL_NS;
}

/* The settings that a recovery changed, in order, as chrony.conf has them; false: no more. */
static bool put_back_command(const struct tracker *t, unsigned i, struct chrony_command *ret)
{
    const struct recovery_config *c = &t->put_back;
    const struct recovery_server *server;

    if (i == 0) {
        *ret = (struct chrony_command){.id = CHRONY_MODIFY_MAKESTEP,
            .makestep = {c->makestep_limit, c->makestep_threshold_sec}};
        return true;
    }
    if (!t->put_back_polls || (i - 1) / 2 >= c->n_servers)
        return false;
    server = &c->servers[(i - 1) / 2];
    *ret = (struct chrony_command){
        .id = i % 2 ? CHRONY_MODIFY_MINPOLL : CHRONY_MODIFY_MAXPOLL,
        .poll = {server->address, i % 2 ? server->minpoll : server->maxpoll},
    };
    return true;
}

static void put_back_done(struct step *s)
{
    struct tracker *t = s->t;

    t->put_back_at_ns = INT64_MAX;
    t->put_back_makestep = t->put_back_polls = false;
    t->recovery.makestep_changed = t->recovery.polls_changed = false;
    s->orders->save = true;
    step_report(s, (struct event){.id = EVENT_PUT_BACK});
}

/* What came of the command under way; returns the event for the recovery, where it was its. */
enum recovery_event step_take_chronyd(struct step *s)
{
    struct tracker *t = s->t;
    const enum exchange_owner owner = t->exchange.owner;
    enum exchange_result result = EXCHANGE_WAITING;
    enum recovery_event event;

    if (t->config.dry_run) {
        t->exchange.owner = EXCHANGE_NONE;
        return owner == EXCHANGE_RECOVERY ? RECOVERY_REPLY_OK : RECOVERY_TICK;
    }
    if (s->seen->chronyd == TRACKER_CHRONYD_GONE) {
        chronyd_gone(s);
        return RECOVERY_GONE;
    }
    if (s->seen->chronyd == TRACKER_CHRONYD_REPLY)
        result = exchange_receive(&t->exchange, s->seen->reply, s->seen->reply_length);
    if (result == EXCHANGE_GARBAGE && t->exchange.verdict != CHRONY_REPLY_UNASKED &&
        !t->chronyd.bad_reply_reported) {
        step_report(s, (struct event){.id = EVENT_BAD_REPLY,
                           .code = (int)t->exchange.verdict,
                           .new = s->seen->reply_length});
        t->chronyd.bad_reply_reported = true;
    }
    if (s->seen->chronyd == TRACKER_CHRONYD_NONE) { /* after garbage, the reply may be the next */
        result = exchange_tick(&t->exchange, s->seen->now_ns, s->seen->command_queued);
        if (t->exchange.unread || result == EXCHANGE_SILENT)
            chronyd_silent(s);
    }
    if (result != EXCHANGE_REPLIED && result != EXCHANGE_SILENT)
        return RECOVERY_TICK;

    t->exchange.owner = EXCHANGE_NONE;
    if (result == EXCHANGE_REPLIED) {
        chronyd_answered(s);
        if (t->exchange.id == CHRONY_TRACKING && t->exchange.reply.status == CHRONY_OK)
            take_tracking(s, &t->exchange.reply.tracking);
        else if (t->exchange.id == CHRONY_TRACKING)
            t->chronyd.frequency_ppm = NAN;
        event = t->exchange.reply.status == CHRONY_OK        ? RECOVERY_REPLY_OK
                : t->exchange.reply.status == CHRONY_INVALID ? RECOVERY_REPLY_INVALID
                                                             : RECOVERY_REPLY_REFUSED;
    } else {
        event = RECOVERY_SILENCE;
    }

    switch (owner) {
    case EXCHANGE_RECOVERY: return event;
    case EXCHANGE_PUT_BACK:
        /* Refused is as good as done: the source is gone, or chronyd has no such setting. */
        if (result == EXCHANGE_REPLIED)
            t->put_back_step++;
        else
            t->put_back_at_ns = s->seen->now_ns + PUT_BACK_RETRY_NS;
        break;
    case EXCHANGE_POLL:
        if (result == EXCHANGE_SILENT)
            t->poll_due_ns = s->seen->now_ns + POLL_NS;
        break;
    case EXCHANGE_NONE:
    case EXCHANGE_N_OWNERS: break;
    }
    return RECOVERY_TICK;
}

/* A dry run's recovery meets a chronyd that does what it is told, at once. */
static void pretend_to_send(
    struct step *s, enum exchange_owner owner, const struct chrony_command *command)
{
    struct event event = {.id = EVENT_WOULD_SEND, .code = (int)command->id};
    uint8_t request[CHRONY_REQUEST_MAX];

    exchange_begin(&s->t->exchange, owner, command, s->seen->now_ns, request);
    s->t->exchange.deadline_ns = s->seen->now_ns;
    switch (command->id) {
    case CHRONY_TRACKING: return; /* a question, which changes nothing */
    case CHRONY_DFREQ: event.a = command->ppm; break;
    case CHRONY_DOFFSET2: event.a = command->offset_sec; break;
    case CHRONY_MODIFY_MAKESTEP:
        event.a = command->makestep.threshold_sec;
        event.new = (uint64_t)command->makestep.limit;
        break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        event.a = command->poll.log2_sec;
        event.new = s->t->recovery.server;
        break;
    case CHRONY_BURST:
        event.old = (uint64_t)command->burst.good;
        event.new = (uint64_t)command->burst.total;
        break;
    case CHRONY_MAKESTEP:
    case CHRONY_RESET_SOURCES: break;
    }
    step_report(s, event);
}

void step_send_command(
    struct step *s, enum exchange_owner owner, const struct chrony_command *command)
{
    if (s->t->config.dry_run) {
        pretend_to_send(s, owner, command);
        return;
    }
    s->orders->command_length =
        exchange_begin(&s->t->exchange, owner, command, s->seen->now_ns, s->orders->command);
    s->orders->command_id = command->id;
}

void step_put_back_and_poll(struct step *s)
{
    struct tracker *t = s->t;
    struct chrony_command command = {.id = CHRONY_TRACKING};

    if (t->exchange.owner != EXCHANGE_NONE || t->config.dry_run)
        return;
    if (t->put_back_at_ns != INT64_MAX && step_due(s, t->put_back_at_ns) &&
        (t->recovery.state == RECOVERY_IDLE || t->recovery.state == RECOVERY_SYNC || t->stopping)) {
        if (t->put_back_step == 0 && !t->put_back_makestep)
            t->put_back_step = 1;
        if (put_back_command(t, t->put_back_step, &command))
            step_send_command(s, EXCHANGE_PUT_BACK, &command);
        else
            put_back_done(s);
    } else if (step_due(s, t->poll_due_ns) && !t->stopping) {
        step_send_command(s, EXCHANGE_POLL, &command);
        t->poll_due_ns = s->seen->now_ns + POLL_NS;
    }
}
