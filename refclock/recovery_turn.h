/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recovery's own: what the files that it consists of share. recovery.c has the table of its
 * states; recovery_reset.c the way to the reset and the end, recovery_correct.c the correction of
 * rate and offset, recovery_leave.c what is told to a chronyd that is left to itself.
 */
#ifndef REFCLOCK_RECOVERY_TURN_H
#define REFCLOCK_RECOVERY_TURN_H

#include "refclock/recovery.h"

#define MS             INT64_C(1000000)
#define HOST_WAIT_NS   (5000 * MS) /* a destination host needs about one second */
#define RETRY_FIRST_NS (100 * MS)
#define RESETS_MAX     2 /* for one disruption, without a reply */

/* What a state sees in its turn, and what it orders. */
struct turn {
    const struct recovery_config *config;
    const struct recovery_view *view;
    struct recovery_order *order;
};

typedef void recovery_action(struct recovery *r, const struct turn *turn);

/* recovery.c */
void recovery_enter(struct recovery *r, enum recovery_state state);
void recovery_end(struct recovery *r, enum recovery_outcome outcome, int64_t now_ns);
void recovery_end_released(struct recovery *r, bool synchronised, int64_t now_ns);
void recovery_send(struct recovery *r, struct recovery_order *order, struct chrony_command command);

/* recovery_reset.c */
void recovery_confirm(struct recovery *r, int64_t now_ns, struct recovery_order *order);
recovery_action recovery_act_reset, recovery_act_ask, recovery_act_await_page,
    recovery_act_await_sync, recovery_act_refine, recovery_confirmed, recovery_judge_reset,
    recovery_mute, recovery_unconfirmed, recovery_judge_sync;

/* recovery_correct.c */
recovery_action recovery_act_rate, recovery_act_offset, recovery_act_step,
    recovery_act_step_residue, recovery_judge_lost, recovery_judge_slew, recovery_no_command,
    recovery_settle, recovery_cannot_step;

/* recovery_leave.c */
recovery_action recovery_act_rearm, recovery_act_poll, recovery_next_server, recovery_act_burst;

/* Since the reset, or since the beginning where it is not confirmed: what page or PTP clock have
 * had. */
static inline int64_t waited_ns(const struct recovery *r, const struct recovery_view *view)
{
    return view->now_ns - (r->reset_ns ? r->reset_ns : r->started_ns);
}

#endif
