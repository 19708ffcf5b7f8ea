/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known now: of the rest the state file has nothing, or what was known by another key. */
#ifndef DAEMON_STATE_KNOWN_H
#define DAEMON_STATE_KNOWN_H

#include "daemon/state_key.h"

/* What the next start goes by: the marker, and what chronyd is to be given back. */
bool state_known_saved(const struct state_source *source);
bool state_known_owed(const struct state_source *source);
bool state_known_owed_server(const struct state_source *source);

/* The host, once a page was seen; what is on the page now; and of one that was there before. */
bool state_known_host(const struct state_source *source);
bool state_known_saved_generation(const struct state_source *source);
bool state_known_mode(const struct state_source *source);
bool state_known_page(const struct state_source *source);
bool state_known_generation(const struct state_source *source);
bool state_known_lost_page(const struct state_source *source);
const char *state_known_page_str(const struct tracker *tracker);

/* The offset, measured of late; the last one, measured before. */
bool state_known_offset(const struct state_source *source);
bool state_known_error_bound(const struct state_source *source);
bool state_known_lost_offset(const struct state_source *source);

/* Samples: whether they are tried, why those are not sent that a clock should have given. */
bool state_known_tried(const struct state_source *source);
bool state_known_withheld(const struct state_source *source);
const char *state_known_withheld_str(const struct state_source *source);
bool state_known_sock_error(const struct state_source *source);
bool state_known_health_withheld(const struct state_source *source);
bool state_known_health_offset(const struct state_source *source);
bool state_known_health_reference(const struct state_source *source);
bool state_known_health_unconfirmed(const struct state_source *source);

/* The last disruption; the last recovery, who corrected the clock, if the page did, by a step. */
bool state_known_disruption(const struct state_source *source);
bool state_known_bound(const struct state_source *source);
/* TAI - UTC in s, by the page or by the kernel; 0: neither says. */
int state_known_tai_offset(const struct tracker *tracker);
bool state_known_tai(const struct state_source *source);
bool state_known_boost(const struct state_source *source);
bool state_known_ptp(const struct state_source *source);
bool state_known_trusted_ptp(const struct state_source *source);
bool state_known_recovery(const struct state_source *source);
bool state_known_corrector(const struct state_source *source);
bool state_known_correction(const struct state_source *source);
bool state_known_step(const struct state_source *source);

/* What chronyd says, and that it names a reference. */
bool state_known_asked(const struct state_source *source);
bool state_known_tracking(const struct state_source *source);
bool state_known_reference(const struct state_source *source);

#endif
