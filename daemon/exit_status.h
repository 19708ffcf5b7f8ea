/* SPDX-License-Identifier: BSD-2-Clause */
/* The status to exit with: a service manager starts again after 1, and not after 69 and 78. */
#ifndef DAEMON_EXIT_STATUS_H
#define DAEMON_EXIT_STATUS_H

#include <stdbool.h>

/* The system was short of something: this -errno is worth another start. */
bool exit_status_is_for_another_start(int error);

/* The status for an -errno: 1 if it is worth another start, else `otherwise`. */
int exit_status(int error, int otherwise);

#endif
