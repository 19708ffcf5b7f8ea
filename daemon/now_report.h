/* SPDX-License-Identifier: BSD-2-Clause */
/* "vmclockctl now": the time as libvmclock tells it to any program. */
#ifndef DAEMON_NOW_REPORT_H
#define DAEMON_NOW_REPORT_H

#include "daemon/config.h"

/*
 * Print it. 0: the interval holds; 1: it does not; -errno: there is no clock-file to read, or none
 * that is one.
 */
int now_report(const struct config *config, bool json);

#endif
