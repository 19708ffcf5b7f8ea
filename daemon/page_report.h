/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's page, field by field, for people or as JSON. */
#ifndef DAEMON_PAGE_REPORT_H
#define DAEMON_PAGE_REPORT_H

#include "daemon/config.h"

/* Print it; returns vmclockctl's exit status: 0, or 69 where the device or its page is no good. */
int page_report(const struct config *config, bool json);

#endif
