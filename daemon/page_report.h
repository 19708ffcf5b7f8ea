/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's page, field by field, for people or as JSON. */
#ifndef DAEMON_PAGE_REPORT_H
#define DAEMON_PAGE_REPORT_H

#include "daemon/config.h"
#include "daemon/device.h"

struct page_reading {
    struct device_view view;
    enum clock_verdict verdict; /* of a valid page as a clock */
    struct clock_model model;   /* where the verdict is CLOCK_OK, as the time */
    struct clock_time time;     /* with CLOCK_OK */
    const char *means;          /* what it is good for, or why it cannot be read, in words */
};

/* Read the device once; 0 or -errno, as of device_open(), -EIO: it never holds still. */
int page_report_read(const struct config *config, struct page_reading *ret_reading);

/* Print it; returns vmclockctl's exit status: 0, or 69 where the device or its page is no good. */
int page_report(const struct config *config, bool json);

#endif
