/* SPDX-License-Identifier: BSD-2-Clause */
/* "vmclockctl history": the last recoveries of this boot, newest first. */
#ifndef DAEMON_HISTORY_REPORT_H
#define DAEMON_HISTORY_REPORT_H

#include "daemon/config.h"

/* Print it. 0; -errno where nothing was kept, and an empty list is printed. */
int history_report(const struct config *config, bool json);

#endif
