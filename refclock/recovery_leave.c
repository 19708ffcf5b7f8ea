/* SPDX-License-Identifier: BSD-2-Clause */
/* What chronyd is told where it has to measure by itself. */
#include "refclock/recovery_turn.h"

#include <math.h>

#define STEP_LEAST_SEC   1e-4 /* the threshold of makestep by NTP */
#define STEP_MOST_SEC    1.0
#define STEP_UNKNOWN_SEC 1e-2 /* where chronyd's servers are not known */

/*
 * chronyd may step once on its own measurements, and slews what is left: a measurement by NTP errs
 * by at most half its delay, and a step on less than that may be wrong. In simulations of servers
 * with 0.05 to 20 ms of jitter a threshold of the whole delay left one step, where 0.1 ms made up
 * to eight, back and forth. On the shortest of paths a late jump is worth more updates.
 */
static void rearm_for_ntp(const struct recovery_view *view, struct chrony_command *command)
{
    const double delay_sec = isnan(view->root_delay_sec) ? STEP_UNKNOWN_SEC : view->root_delay_sec;

    command->makestep.threshold_sec = fmin(fmax(delay_sec, STEP_LEAST_SEC), STEP_MOST_SEC);
    command->makestep.limit = delay_sec > STEP_LEAST_SEC ? 3 : 8;
}

void recovery_act_rearm(struct recovery *r, const struct turn *turn)
{
    struct chrony_command command = {.id = CHRONY_MODIFY_MAKESTEP};

    if (r->corrected_ns == 0)
        r->corrected_ns = turn->view->now_ns;
    if (r->cause == RECOVERY_CAUSE_START) { /* its own rules suit a start best */
        recovery_enter(r, RECOVERY_AWAIT_SYNC);
        return;
    }
    /* makestep cannot be limited to forward steps. */
    if (turn->config->step != RECOVERY_STEP_ALWAYS) {
        recovery_enter(r, RECOVERY_MINPOLL);
        return;
    }
    if (r->page_grade == RECOVERY_PAGE_TIME && r->source == RECOVERY_CORRECTOR_PAGE) {
        command.makestep.threshold_sec = 1e-6;
        command.makestep.limit = 5;
    } else {
        rearm_for_ntp(turn->view, &command);
    }
    recovery_send(r, turn->order, command);
}

void recovery_act_poll(struct recovery *r, const struct turn *turn)
{
    struct chrony_command command = {
        .id = r->state == RECOVERY_MINPOLL ? CHRONY_MODIFY_MINPOLL : CHRONY_MODIFY_MAXPOLL,
    };
    const struct recovery_server *server;
    int own;

    /* With time from the page, NTP need not hurry. */
    if (r->server >= turn->config->n_servers || r->page_grade == RECOVERY_PAGE_TIME) {
        recovery_enter(r, RECOVERY_BURST);
        return;
    }
    server = &turn->config->servers[r->server];
    own = command.id == CHRONY_MODIFY_MINPOLL ? server->minpoll : server->maxpoll;
    command.poll.address = server->address;
    command.poll.log2_sec = own < 0 ? own : 0; /* no slower than its own */
    recovery_send(r, turn->order, command);
}

void recovery_next_server(struct recovery *r, const struct turn *turn)
{
    (void)turn;
    r->server++;
    recovery_enter(r, RECOVERY_MINPOLL);
}

void recovery_act_burst(struct recovery *r, const struct turn *turn)
{
    if (turn->config->burst_total == 0 || r->cause == RECOVERY_CAUSE_START)
        recovery_enter(r, RECOVERY_AWAIT_SYNC);
    else
        recovery_send(r, turn->order,
            (struct chrony_command){.id = CHRONY_BURST,
                .burst = {turn->config->burst_good, turn->config->burst_total}});
}
