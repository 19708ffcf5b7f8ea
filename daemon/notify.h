/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the service manager is told, by the protocol of sd_notify(3). Not by sd_notify() itself,
 * which waits for a service manager that does not read.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* False: it is not taken now; tell it again later. True as well without a service manager. */
bool notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Within what time it wants to hear of us; 0: it does not watch. */
int64_t notify_watchdog_ns(void);

#endif
