/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/notifications.h"

#include <string.h>

#include "daemon/device.h"
#include "daemon/event_loop.h"
#include "daemon/message.h"

void notifications_start(struct notifications *notifications, const struct device *device)
{
    int result;

    if (notifications->tried)
        return;
    notifications->tried = true;
    result = event_loop_watch_device(notifications->loop, device_fd(device));
    if (result < 0)
        message_log(LINE(NO_NOTIFICATIONS_WHY), notifications->path, strerror(-result));
    else
        message_log(LINE(NOTIFICATIONS), notifications->path);
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
    message_log(LINE(NO_NOTIFICATIONS), notifications->path);
    return false;
}
