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

enum announcement {
    ANNOUNCEMENT_NONE,
    ANNOUNCEMENT_DISRUPTION,
    ANNOUNCEMENT_RECOVERY,
    ANNOUNCEMENT_RESTORE,
    ANNOUNCEMENT_MAINTENANCE,
    ANNOUNCEMENTS,
};

/* The kind that the event is of; ANNOUNCEMENT_NONE: it is not announced. */
enum announcement announcement_of(const struct event *event);

/* The name of the file, and of its copies. */
const char *announcement_str(enum announcement kind);

/*
 * Announce an event of this kind. What a vmclockd announced that was killed before it could save
 * that it had is not announced again: but for a recovery's end, an event that says what the last
 * one of its kind said is the same one. 0, or the last -errno; then it went on with the other
 * files.
 */
int announcement_write(const char *state_file, const char *boot_id, enum announcement kind,
    const struct journal_record *record);

#endif
