/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/watched_device.h"

#include <errno.h>

#include "daemon/device_node.h"
#include "daemon/message.h"
#include "daemon/system_clock.h"

void watched_device_init(struct watched_device *watched, const char *path)
{
    *watched = (struct watched_device){.path = path, .notifications = {.path = path}};
}

void watched_device_join(struct watched_device *watched, struct event_loop *loop)
{
    watched->notifications.loop = loop;
}

static int open_it(struct watched_device *watched)
{
    const int result = device_open(watched->path, &watched->device);

    if (result < 0)
        watched->device = NULL;
    watched->opened_ns = watched->device ? system_clock_monotonic_ns() : 0;
    return result;
}

int watched_device_open(struct watched_device *watched)
{
    struct observation seen = {0};
    const int result = open_it(watched);

    if (result < 0) {
        message_log(LINE(DEVICE_UNUSABLE), watched->path, device_error_str(result),
            result != -ENOENT ? ""
                              : "; QEMU 10.0 (-device vmclock), Firecracker 1.14 and EC2 have the "
                                "device, Linux 6.13 with CONFIG_PTP_1588_CLOCK_VMCLOCK has its "
                                "driver");
        return result;
    }
    device_node_warn(watched->path);
    watched_device_look(watched, &seen);
    if (seen.look == HOST_LOOK_CHANGED && seen.page_verdict != PAGE_OK) {
        message_log(LINE(DEVICE_UNUSABLE), watched->path, page_verdict_str(seen.page_verdict), "");
        return -ENODEV;
    }
    device_forget(watched->device);
    return 0;
}

void watched_device_close(struct watched_device *watched)
{
    device_close(watched->device);
    watched->device = NULL;
    watched->opened_ns = 0;
}

void watched_device_look(struct watched_device *watched, struct observation *seen)
{
    const enum device_look result =
        watched->device ? device_look(watched->device, &watched->view) : DEVICE_LOST;

    seen->page = &watched->view.page;
    seen->page_verdict = watched->view.verdict;
    seen->counter = watched->view.counter;
    seen->seq_count = watched->view.seq_count;
    watched->busy = result == DEVICE_BUSY;
    switch (result) {
    case DEVICE_UNCHANGED: break;
    case DEVICE_CHANGED: seen->look = HOST_LOOK_CHANGED; break;
    case DEVICE_BUSY: seen->look = HOST_LOOK_BUSY; break;
    case DEVICE_LOST:
        seen->look = HOST_LOOK_LOST;
        seen->look_error = watched->device ? ENXIO : watched->lost_error;
        break;
    }
}

bool watched_device_is_notified(struct watched_device *watched)
{
    return watched->device && notifications_take(&watched->notifications, watched->device);
}

void watched_device_forget(struct watched_device *watched)
{
    if (watched->device)
        device_forget(watched->device);
}

bool watched_device_check(struct watched_device *watched, bool notifies)
{
    const struct device *before = watched->device;

    if (watched->device) {
        const int result = device_check(watched->device);

        if (result < 0) {
            notifications_stop(&watched->notifications);
            watched_device_close(watched);
            watched->lost_error = -result;
        }
    } else {
        open_it(watched);
    }
    if (watched->device && notifies)
        notifications_start(&watched->notifications, watched->device);
    return watched->device != before;
}
