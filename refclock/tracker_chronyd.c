/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/tracker_step.h"

#include <math.h>
#include <string.h>

#define POLL_NS        INT64_C(1000000000)
#define RETRY_NS       INT64_C(1000000000)
#define BURSTS_MORE    4                    /* beside the recovery's own */
#define BURST_FIRST_NS INT64_C(8000000000)  /* after that; twice as long before each further one */
#define REFID_LOCAL    UINT32_C(0x7f7f0101) /* chronyd's own clock, by its "local" directive */

/* What TRACKING told, of a chronyd that may be another one by now. */
void step_forget_tracking(struct step *s)
{
    struct tracker_known_chronyd *c = &s->t->chronyd;

    c->reachable = c->has_reference = c->synchronised = c->tracked = c->start_done = false;
    c->frequency_ppm = c->correction_sec = NAN;
}

/* Which one is at the socket; another one knows nothing of what the one before was told. */
static void meet_chronyd(struct step *s)
{
    struct tracker *t = s->t;
    const uint64_t id = s->seen->chronyd_id;

    if (id == 0 || id == t->chronyd.id)
        return;
    restore_meet(&t->restore, id);
    memset(t->exchange.silences, 0, sizeof(t->exchange.silences));
    t->bursts.left = 0;
    t->chronyd = (struct tracker_known_chronyd){
        .id = id, .frequency_ppm = NAN, .correction_sec = NAN, .root_delay_sec = NAN};
}

static void chronyd_answered(struct step *s)
{
    struct tracker *t = s->t;

    if (t->trouble_reported)
        step_report(s, (struct event){.id = EVENT_CHRONYD_BACK});
    t->asked = t->chronyd.reachable = true;
    t->chronyd.silent = t->trouble_reported = t->bad_reply_reported = false;
}

static void chronyd_gone(struct step *s)
{
    struct tracker *t = s->t;

    if (!t->trouble_reported)
        step_report(s, (struct event){.id = EVENT_CHRONYD_AWAY, .code = s->seen->chronyd_error});
    t->trouble_reported = t->asked = true;
    t->chronyd.silent = false;
    step_forget_tracking(s);
    t->exchange.owner = EXCHANGE_NONE;
    exchange_start_over(&t->exchange);
    t->poll_due_ns = s->seen->now_ns + POLL_NS;
    if (restore_is_pending(&t->restore)) /* if it is the same one when it is back */
        restore_hurry(&t->restore, s->seen->now_ns + RETRY_NS);
}

static void chronyd_silent(struct step *s)
{
    struct tracker *t = s->t;

    if (!t->trouble_reported)
        step_report(s, (struct event){.id = EVENT_CHRONYD_SILENT,
                           .code = (int)t->exchange.id,
                           .new = t->exchange.unread});
    t->trouble_reported = true;
    t->chronyd.silent = !t->exchange.unread;
    t->chronyd.reachable = t->chronyd.tracked = t->chronyd.synchronised = false;
}

static void take_tracking(struct step *s, const struct chrony_tracking *tracking)
{
    struct tracker *t = s->t;
    struct tracker_known_chronyd *c = &t->chronyd;

    c->tracked = true;
    c->refid = tracking->refid;
    c->frequency_ppm = tracking->frequency_ppm;
    c->correction_sec = tracking->correction_sec;
    c->reference_time = tracking->reference_time;
    c->update_interval_sec = tracking->update_interval_sec;
    c->has_reference =
        tracking->leap != 3 && tracking->refid != 0 && tracking->refid != REFID_LOCAL;
    c->synchronised =
        c->has_reference && (t->mode != TRACKER_MODE_CLOCK || tracking->refid == t->config.refid);
    t->poll_due_ns = s->seen->now_ns + POLL_NS;
    if (!c->has_reference)
        return;
    c->had_reference = c->start_done = true;
    if (tracking->refid != t->config.refid)
        c->root_delay_sec = tracking->root_delay_sec;
    t->bursts.left = 0;
    restore_referenced(&t->restore, s->seen->now_ns);
}

/* What it said before is not known to be so any more. */
static void tracking_refused(struct tracker_known_chronyd *c)
{
    c->frequency_ppm = c->correction_sec = NAN;
    c->tracked = c->synchronised = false;
}

/* What came of the command under way; returns the event for the recovery, where it was its. */
enum recovery_event step_take_chronyd(struct step *s)
{
    struct tracker *t = s->t;
    const enum exchange_owner owner = t->exchange.owner;
    enum exchange_result result = EXCHANGE_WAITING;
    enum recovery_event event;

    meet_chronyd(s);
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
        !t->bad_reply_reported) {
        step_report(s, (struct event){.id = EVENT_BAD_REPLY,
                           .code = (int)t->exchange.verdict,
                           .new = s->seen->reply_length});
        t->bad_reply_reported = true;
    }
    if (s->seen->chronyd == TRACKER_CHRONYD_NONE) { /* after garbage, the reply may be the next */
        result = exchange_tick(&t->exchange, s->seen->now_ns, s->seen->command_queued);
        if (t->exchange.unread || result == EXCHANGE_SILENT)
            chronyd_silent(s);
    }
    if (result == EXCHANGE_LATE) {
        chronyd_answered(s);
        return t->exchange.reply.status == CHRONY_OK ? RECOVERY_LATE_RESET : RECOVERY_TICK;
    }
    if (result != EXCHANGE_REPLIED && result != EXCHANGE_SILENT)
        return RECOVERY_TICK;

    t->exchange.owner = EXCHANGE_NONE;
    if (result == EXCHANGE_REPLIED) {
        chronyd_answered(s);
        if (t->exchange.id == CHRONY_TRACKING && t->exchange.reply.status == CHRONY_OK)
            take_tracking(s, &t->exchange.reply.tracking);
        else if (t->exchange.id == CHRONY_TRACKING)
            tracking_refused(&t->chronyd);
        event = t->exchange.reply.status == CHRONY_OK        ? RECOVERY_REPLY_OK
                : t->exchange.reply.status == CHRONY_INVALID ? RECOVERY_REPLY_INVALID
                                                             : RECOVERY_REPLY_REFUSED;
    } else {
        event = RECOVERY_SILENCE;
    }

    switch (owner) {
    case EXCHANGE_RECOVERY: return event;
    case EXCHANGE_RESTORE:
        if (result == EXCHANGE_REPLIED)
            restore_answered(&t->restore);
        else
            restore_unanswered(&t->restore, s->seen->now_ns);
        break;
    case EXCHANGE_POLL:
        if (result == EXCHANGE_SILENT)
            t->poll_due_ns = s->seen->now_ns + POLL_NS;
        break;
    case EXCHANGE_BURST:
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

void step_expect_bursts(struct step *s)
{
    s->t->bursts.left = BURSTS_MORE;
    s->t->bursts.interval_ns = BURST_FIRST_NS;
    s->t->bursts.due_ns = s->seen->now_ns + BURST_FIRST_NS;
}

/*
 * Settings are not given back in the middle of a recovery, nor to a chronyd that has not answered:
 * it may be another one, and what is sent blindly would be sent again. At the end there is no other
 * time to do it.
 */
static bool may_restore(const struct tracker *t)
{
    return restore_is_pending(&t->restore) && !t->config.dry_run &&
           (t->stopping ? t->chronyd.reachable || t->chronyd.silent
                        : t->chronyd.reachable && recovery_is_resting(&t->recovery));
}

bool step_restore_is_over(const struct step *s)
{
    return !may_restore(s->t);
}

/* More measurements, while those that were asked for have not led to a reference. */
static bool may_burst(const struct tracker *t)
{
    return t->bursts.left > 0 && t->chronyd.reachable && recovery_is_resting(&t->recovery) &&
           !t->stopping && t->config.recovery.burst_total > 0;
}

int64_t step_when_chronyd_is_due(const struct step *s)
{
    const struct tracker *t = s->t;
    int64_t due_ns = t->stopping ? INT64_MAX : t->poll_due_ns;

    if (may_restore(t) && t->restore.due_ns < due_ns)
        due_ns = t->restore.due_ns;
    if (may_burst(t) && t->bursts.due_ns < due_ns)
        due_ns = t->bursts.due_ns;
    return due_ns;
}

static void restore_one(struct step *s)
{
    struct tracker *t = s->t;
    struct chrony_command command;

    if (restore_next(&t->restore, &command)) {
        step_send_command(s, EXCHANGE_RESTORE, &command);
        return;
    }
    t->restore = (struct restore){.makestep = false};
    s->orders->save = true;
    step_report(s, (struct event){.id = EVENT_PUT_BACK});
}

static void burst_again(struct step *s)
{
    struct tracker *t = s->t;
    const struct recovery_config *c = &t->config.recovery;

    step_send_command(s, EXCHANGE_BURST,
        &(struct chrony_command){.id = CHRONY_BURST, .burst = {c->burst_good, c->burst_total}});
    t->bursts.left--;
    t->bursts.interval_ns *= 2;
    t->bursts.due_ns = s->seen->now_ns + t->bursts.interval_ns;
}

void step_restore_and_poll(struct step *s)
{
    struct tracker *t = s->t;

    if (t->exchange.owner != EXCHANGE_NONE || t->config.dry_run)
        return;
    if (may_restore(t) && step_due(s, t->restore.due_ns)) {
        restore_one(s);
    } else if (may_burst(t) && step_due(s, t->bursts.due_ns)) {
        burst_again(s);
    } else if (step_due(s, t->poll_due_ns) && !t->stopping) {
        step_send_command(s, EXCHANGE_POLL, &(struct chrony_command){.id = CHRONY_TRACKING});
        t->poll_due_ns = s->seen->now_ns + POLL_NS;
    }
}
