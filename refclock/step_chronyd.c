/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes from chronyd, and what it is sent beside the recovery. */
#include "refclock/step.h"

void step_send(struct step *s, enum exchange_owner owner, const struct chrony_command *command)
{
    struct tracker *t = s->t;

    if (!t->config.dry_run) {
        s->orders->command_length =
            chrony_client_send(&t->client, owner, command, s->seen->now_ns, s->orders->command);
        s->orders->command_id = command->id;
        return;
    }
    chrony_client_pretend(&t->client, owner, command, s->seen->now_ns);
    if (command->id != CHRONY_TRACKING) /* a question, which changes nothing */
        reporter_say(&t->reporter, (struct event){.id = EVENT_WOULD_SEND,
                                       .command = {*command, t->recoveries.recovery.server}});
}

/*
 * Restore nothing in the middle of a recovery, nor in a chronyd that has not answered: it may be
 * another one, and commands without a reply would be sent again. When vmclockd stops there is no
 * later.
 */
bool step_may_restore(const struct tracker *t)
{
    return restore_is_pending(&t->restore) && !t->config.dry_run &&
           (t->stopping
                   ? chrony_client_reads(&t->client)
                   : t->client.known.reachable && recovery_is_resting(&t->recoveries.recovery));
}

static struct aftercare_view aftercare_view(const struct tracker *t, int64_t now_ns)
{
    const struct recovery *r = &t->recoveries.recovery;

    return (struct aftercare_view){
        .now_ns = now_ns,
        .disrupted_ns = r->started_ns,
        .resting = recovery_is_resting(r) && !t->stopping,
        .needs_rate = recovery_corrected_by(r) == RECOVERY_CORRECTOR_CHRONYD &&
                      t->host.mode != TRACKER_MODE_CLOCK,
        .polls_fast = t->restore.polls,
        .may_burst = t->config.recovery.burst_total > 0,
        .may_rate = t->config.correct_frequency,
        .rate_max_ppm = t->config.recovery.rate_max_ppm,
    };
}

bool step_may_burst(const struct step *s)
{
    const struct tracker *t = s->t;
    const struct aftercare_view view = aftercare_view(t, s->seen->now_ns);

    return aftercare_may_burst(&t->aftercare, &t->client.known, &view);
}

static bool rate_is_due(const struct step *s)
{
    const struct tracker *t = s->t;
    const struct aftercare_view view = aftercare_view(t, s->seen->now_ns);

    return aftercare_rate_is_due(&t->aftercare, &t->client.known, &view);
}

/* Not in the middle of anything: there is time. */
bool step_may_ask_for_servers(const struct tracker *t)
{
    return t->client.known.has_reference && t->client.known.reachable && !t->restore.polls &&
           recovery_is_resting(&t->recoveries.recovery) && !t->recoveries.pending && !t->stopping;
}

static void take_servers(struct step *s, enum recovery_event event)
{
    struct tracker *t = s->t;
    const struct exchange *exchange = &t->client.exchange;
    const struct own_servers before = t->own_servers;

    if (own_servers_take(&t->own_servers, &t->config.own_servers, exchange->id,
            event == RECOVERY_SILENCE ? NULL : &exchange->reply, s->seen->now_ns)) {
        own_servers_remove(&before, &t->config.recovery);
        own_servers_add(&t->own_servers, &t->config.recovery);
        s->orders->save = true;
    }
}

static void restore_one(struct step *s)
{
    struct tracker *t = s->t;
    struct chrony_command command;

    if (restore_next(&t->restore, &command)) {
        step_send(s, EXCHANGE_RESTORE, &command);
        return;
    }
    reporter_say(
        &t->reporter, t->restore.passed_over > 0
                          ? (struct event){.id = EVENT_PASSED_OVER, .count = t->restore.passed_over}
                          : (struct event){.id = EVENT_SETTINGS_RESTORED});
    restore_done(&t->restore);
    s->orders->save = true;
}

static void burst_again(struct step *s)
{
    const struct recovery_config *c = &s->t->config.recovery;

    step_send(s, EXCHANGE_BURST,
        &(struct chrony_command){.id = CHRONY_BURST, .burst = {c->burst_good, c->burst_total}});
    aftercare_burst_sent(&s->t->aftercare, s->seen->now_ns);
}

static void send_rate(struct step *s)
{
    const struct known_chronyd *known = &s->t->client.known;

    aftercare_rate_sent(&s->t->aftercare, known);
    step_send(
        s, EXCHANGE_RATE, &(struct chrony_command){.id = CHRONY_DFREQ, .ppm = known->residual_ppm});
}

static void ask_for_servers(struct step *s)
{
    const struct chrony_command command = own_servers_next(&s->t->own_servers);

    step_send(s, EXCHANGE_OWN_SERVERS, &command);
}

void step_restore_or_poll(struct step *s)
{
    struct tracker *t = s->t;
    const int64_t now_ns = s->seen->now_ns;

    if (chrony_client_is_busy(&t->client) || t->config.dry_run)
        return;
    if (step_may_restore(t) && step_is_due(t, t->restore.due_ns, now_ns))
        restore_one(s);
    else if (rate_is_due(s))
        send_rate(s);
    else if (step_may_burst(s) && step_is_due(t, t->aftercare.burst_due_ns, now_ns))
        burst_again(s);
    else if (step_is_due(t, t->client.poll_due_ns, now_ns) && !t->stopping)
        step_send(s, EXCHANGE_POLL, &(struct chrony_command){.id = CHRONY_TRACKING});
    else if (step_may_ask_for_servers(t) && step_is_due(t, t->own_servers.due_ns, now_ns))
        ask_for_servers(s);
}

static void meet_another_chronyd(struct step *s)
{
    struct tracker *t = s->t;

    recoveries_meet_another(&t->recoveries);
    aftercare_end(&t->aftercare);
    own_servers_remove(&t->own_servers, &t->config.recovery);
    own_servers_init(&t->own_servers, &t->config.own_servers, s->seen->now_ns);
}

/* Returns the event for the recovery. */
enum recovery_event step_take_chronyd(struct step *s)
{
    struct tracker *t = s->t;
    const struct observation *seen = s->seen;
    const int64_t now_ns = seen->now_ns;
    const struct chrony_client_view view = {
        .now_ns = now_ns,
        .id = seen->chronyd_id,
        .arrival = seen->chronyd,
        .error = seen->chronyd_error,
        .reply = seen->reply,
        .reply_length = seen->reply_length,
        .queued = seen->command_queued,
        .dry_run = t->config.dry_run,
        .refid = t->config.refid,
        .any_reference = t->host.mode != TRACKER_MODE_CLOCK,
    };
    const uint64_t id_before = t->client.known.id;
    const struct chrony_news news = chrony_client_receive(&t->client, &t->reporter, &view);

    s->told = news.told;
    restore_meet(&t->restore, seen->chronyd_id);
    if (t->client.known.id != id_before)
        meet_another_chronyd(s);
    if (news.referenced) {
        const struct aftercare_view after = aftercare_view(t, now_ns);

        aftercare_referenced(&t->aftercare, &t->client.known, &after);
        restore_referenced(&t->restore, now_ns);
    }
    if (news.owner == EXCHANGE_RATE && news.event != RECOVERY_REPLY_OK)
        aftercare_rate_refused(&t->aftercare);
    if (news.owner == EXCHANGE_OWN_SERVERS)
        take_servers(s, news.event);
    if (news.owner == EXCHANGE_RESTORE && news.event == RECOVERY_SILENCE)
        restore_unanswered(&t->restore, now_ns);
    else if (news.owner == EXCHANGE_RESTORE)
        restore_answered(&t->restore);
    return news.owner == EXCHANGE_RECOVERY || news.owner == EXCHANGE_NONE ? news.event
                                                                          : RECOVERY_TICK;
}
