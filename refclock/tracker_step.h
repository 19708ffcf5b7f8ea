/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tracker's files share: one step, and what each file does in it. */
#ifndef REFCLOCK_TRACKER_STEP_H
#define REFCLOCK_TRACKER_STEP_H

#include "refclock/tracker.h"

/* What one step works on. */
struct step {
    struct tracker *t;
    const struct observation *seen;
    struct tracker_orders *orders;
};

void step_report(struct step *s, struct event event);
double step_ms_since(const struct step *s, int64_t then_ns);

/* Whether something is due; a tick up to tracker_slack_ns() before serves for it. */
bool step_due(const struct step *s, int64_t when_ns);

/* tracker_page.c: the page, and whose formula is on it. */
void step_take_look(struct step *s);
bool tracker_is_unsteady(const struct tracker *t, int64_t now_ns);

/* tracker_recovery.c: the recovery, and what it is shown. */
void step_begin_recovery(struct step *s, enum recovery_cause cause);
void step_run_recovery(struct step *s, enum recovery_event event);
bool step_start_is_due(const struct step *s);
void step_report_end(struct step *s, enum event_id id);

/* What the narrowest of the readings says, or why it says nothing. */
enum clock_verdict step_read_offset(const struct step *s, struct offset *ret_offset);

/* tracker_chronyd.c: commands and replies; the event is the recovery's, where it was its command.
 */
enum recovery_event step_take_chronyd(struct step *s);
void step_send_command(
    struct step *s, enum exchange_owner owner, const struct chrony_command *command);
void step_forget_tracking(struct step *s);
/* A BURST is sent: more follow if it leads to no reference. */
void step_expect_bursts(struct step *s);
void step_restore_and_poll(struct step *s);
bool step_restore_is_over(const struct step *s);
/* When that has something to do, CLOCK_MONOTONIC. */
int64_t step_when_chronyd_is_due(const struct step *s);

#endif
