/* SPDX-License-Identifier: BSD-2-Clause */
/* What the vmclockd before this one has left: its state file, and its sockets if it was killed. */
#ifndef DAEMON_LAST_PROCESS_H
#define DAEMON_LAST_PROCESS_H

#include "daemon/state_file.h"

/*
 * Read what it saved, and remove its sockets; nothing, if there was none since this boot, or if it
 * is not to be believed, which has been logged. 0, or -errno where another start may be able to
 * read what this one could not, and so miss nothing. `state` is the file, as far as it was read.
 */
int last_process_take(const struct config *config, const char *boot_id, struct state_file *state,
    struct tracker_saved *ret_saved);

/* The same of this boot's id. */
int last_process_boot_id(char ret_id[STATE_BOOT_ID_MAX]);

#endif
