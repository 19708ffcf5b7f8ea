/* SPDX-License-Identifier: BSD-2-Clause */
/* What keeps all from being well, and what deserves attention besides; a sentence each. */
#ifndef DAEMON_STATUS_WARNINGS_H
#define DAEMON_STATUS_WARNINGS_H

#include "daemon/state_file.h"

#define STATUS_MISTAKES_MAX  8
#define STATUS_MISTAKE_BYTES ((size_t)CONFIG_PATH_MAX * 3)

/* What is wrong in the configuration of a vmclockd that runs on with the one it had. */
struct status_mistakes {
    unsigned n; /* more than STATUS_MISTAKES_MAX are counted and not kept */
    char sentences[STATUS_MISTAKES_MAX][STATUS_MISTAKE_BYTES];
};

/* `error` says why nothing of the state is known, NULL: it is. */
void status_warnings(const struct status_mistakes *mistakes, const struct state_file *state,
    const char *error, void (*take)(const char *text, void *context), void *context);

/* What the recovery that runs is at: "waiting for chronyd to select a source" and the like. */
const char *status_recovery_stage(const struct state_file *state);

#endif
