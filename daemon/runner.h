/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon: the steps of its start, its loop's handlers, housekeeping once a second, its end.
 * What lies between the core and the world is in edges.h.
 */
#ifndef DAEMON_RUNNER_H
#define DAEMON_RUNNER_H

#include "daemon/config.h"

struct runner;

/*
 * Open the device and make all ready, with what the state file remembers. 0 or the status to exit
 * with; what is wrong has been logged. `config` is copied.
 */
int runner_create(const struct config *config, bool dry_run, struct runner **ret_runner);
void runner_destroy(struct runner *runner);

/* Until SIGTERM or SIGINT. The status to exit with; why it could not go on has been logged. */
int runner_run(struct runner *runner);

#endif
