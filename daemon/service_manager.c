/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/service_manager.h"

#include <inttypes.h>

#include "daemon/notify.h"

#define INTERVAL_NS INT64_C(1000000000)

void service_manager_init(struct service_manager *m)
{
    *m = (struct service_manager){.watchdog_ns = notify_watchdog_ns() / 3};
}

int64_t service_manager_interval_ns(const struct service_manager *m)
{
    return m->watchdog_ns > 0 && m->watchdog_ns < INTERVAL_NS ? m->watchdog_ns : INTERVAL_NS;
}

void service_manager_tell(struct service_manager *m, int64_t now_ns)
{
    if (m->watchdog_ns > 0 && now_ns >= m->watchdog_at_ns && notify("WATCHDOG=1"))
        m->watchdog_at_ns = now_ns + m->watchdog_ns * 3 / 4; /* or a call too early would not do */
    if (!m->ready)
        m->ready = notify("READY=1");
}

void service_manager_begin_reload(struct service_manager *m, int64_t now_ns)
{
    m->ready = false;
    notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_ns / 1000);
}

void service_manager_end_reload(struct service_manager *m)
{
    m->ready = notify("READY=1");
}

void service_manager_stop(void)
{
    notify("STOPPING=1");
}
