/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The service manager and its watchdog. What it does not take at once it is told again, by
 * service_manager_tell(), which is to be called at service_manager_interval_ns() at the latest.
 */
#ifndef DAEMON_SERVICE_MANAGER_H
#define DAEMON_SERVICE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

struct service_manager {
    bool ready;             /* it knows that we are */
    int64_t watchdog_ns;    /* it is told that often that we live; 0: it does not watch */
    int64_t watchdog_at_ns; /* not before */
};

void service_manager_init(struct service_manager *m);
int64_t service_manager_interval_ns(const struct service_manager *m);

void service_manager_tell(struct service_manager *m, int64_t now_ns);
void service_manager_begin_reload(struct service_manager *m, int64_t now_ns);
void service_manager_end_reload(struct service_manager *m);
void service_manager_stop(void);

#endif
