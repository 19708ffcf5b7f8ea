/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/notifications.h"

#include <string.h>

#include "daemon/device.h"
#include "daemon/event_loop.h"
#include "daemon/log.h"

void notifications_start(struct notifications *notifications, const struct device *device)
{
    int result;

    if (notifications->tried)
        return;
    notifications->tried = true;
    result = event_loop_watch_device(notifications->loop, device_fd(device));
    if (result < 0)
        log_info("%s: the kernel has no notifications (%s): watched by timer alone",
            notifications->path, strerror(-result));
    else
        log_info("%s: watched by notification and by timer", notifications->path);
}

void notifications_stop(struct notifications *notifications)
{
    event_loop_watch_device(notifications->loop, -1);
    notifications->tried = false;
}

bool notifications_take(struct notifications *notifications, const struct device *device)
{
    if (!device_hung_up(device))
        return true;
    event_loop_watch_device(notifications->loop, -1);
    log_info("%s: the kernel gives no notifications: watched by timer alone", notifications->path);
    return false;
}
