/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files beside the state file by which applications are told: events/KIND has the last event of
 * its kind, and each directory in events/KIND.d is given a copy, to be taken away by the service
 * that made it. Kinds: disruption, recovery (its end), restore, maintenance.
 */
#ifndef DAEMON_ANNOUNCEMENT_H
#define DAEMON_ANNOUNCEMENT_H

#include "daemon/journal.h"

#define ANNOUNCEMENT_SUBSCRIBERS_MAX 64

/* The kind that the event is of; NULL: it is not announced. */
const char *announcement_kind(const struct event *event);

/*
 * Announce an event of this kind. One that says what the last one said is not announced again: the
 * daemon was killed before it could save that it had. 0, or the last -errno; then it went on with
 * the other files.
 */
int announcement_write(const char *state_file, const char *boot_id, const char *kind,
    const struct journal_record *record);

#endif
