/* SPDX-License-Identifier: BSD-2-Clause */
/* The state file's numbers as Prometheus reads them: the one home of their names and units. */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include <stdio.h>

#include "daemon/state_file.h"

/* All of them in the text exposition format; errors are left in `to`, see ferror(). */
void metrics_print(const struct state_file *state, FILE *to);

#endif
