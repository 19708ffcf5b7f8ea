/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The turns of one step of the tracker, in their order, as tracker_step() takes them. Each is shown
 * what those before it have found, by way of the tracker's nouns; this is for those files alone.
 */
#ifndef REFCLOCK_STEP_H
#define REFCLOCK_STEP_H

#include "refclock/tracker.h"

/* What one step works on. */
struct step {
    struct tracker *t;
    const struct observation *seen;
    struct tracker_orders *orders;
    bool is_clock, may_feed, pauses; /* once the recovery has had its turn */
    enum ptp_clock_state ptp_state_before;
    bool told;         /* chronyd has answered TRACKING */
    bool ptp_measured; /* what the PTP clock was asked for has come, or will not */
};

/* What is due at `when_ns` may be done now: within the slack, one step serves both. */
static inline bool step_is_due(const struct tracker *t, int64_t when_ns, int64_t now_ns)
{
    return when_ns - t->slack_ns <= now_ns;
}

/* --- the recovery ----------------------------------------------------------------------------- */

/* What the recoveries are shown of the other nouns. */
struct recoveries_view step_recoveries_view(const struct tracker *t);
/* Begin a recovery; PTP clock, formula and feeder learn of it. */
void step_begin_recovery(struct step *s, enum recovery_cause cause);

/* Whether to give a chronyd that has just started rate and phase, rather than let it measure. */
bool step_start_is_due(const struct tracker *t);

/* The recovery's turn, with what has come of its last command. */
void step_recover(struct step *s, enum recovery_event event);

/* What the narrowest of the readings says, or why it says nothing. */
enum clock_verdict step_read_offset(const struct step *s, struct offset *ret_offset);

/* Compare the PTP clock with chronyd's time, while that is one to compare with. */
void step_compare_ptp(struct step *s);
bool step_ptp_is_comparable(const struct tracker *t);

/* --- chronyd ---------------------------------------------------------------------------------- */

/* What has come from it; the event for the recovery. */
enum recovery_event step_take_chronyd(struct step *s);

/* Beside the recovery: what is due, one at a time. */
void step_restore_or_poll(struct step *s);
bool step_may_restore(const struct tracker *t);
bool step_may_burst(const struct step *s);
bool step_may_ask_for_servers(const struct tracker *t);

/* Order the command; in a dry run, report it in its place. */
void step_send(struct step *s, enum exchange_owner owner, const struct chrony_command *command);

/* --- what follows ----------------------------------------------------------------------------- */

/* By all that the turns before have found. */
void step_watch_health(const struct step *s);
void step_tell_applications(const struct step *s);

#endif
