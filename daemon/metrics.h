/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state file as Prometheus reads it; what is a metric, and by which name and unit, stands in
 * the table of the keys.
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include <stdio.h>

#include "daemon/state_file.h"

/*
 * All of them in the text exposition format; errors are left in `to`, see ferror(). `state` NULL:
 * of a daemon that does not tell; it is not healthy, and nothing else is known.
 */
void metrics_print(const struct state_file *state, FILE *to);

/* The same into a file, for node-exporter's textfile collector. 0 or -errno. */
int metrics_write(const char *path, const struct state_file *state);

#endif
