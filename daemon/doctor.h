/* SPDX-License-Identifier: BSD-2-Clause */
/* All that has to fit together for vmclockd to be of use: a line for each, and how to fix it. */
#ifndef DAEMON_DOCTOR_H
#define DAEMON_DOCTOR_H

#include "daemon/status_report.h"

/*
 * Check and print, changing nothing; chronyd is asked for its tracking. `mistakes` are those of the
 * configuration. `chrony_conf` NULL: where distributions have it. `colour`, for a terminal, where
 * it is not JSON. Returns how many findings there are.
 */
unsigned doctor_run(const struct config *config, const struct status_mistakes *mistakes,
    const char *chrony_conf, bool json, bool colour);

#endif
