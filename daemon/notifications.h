/* SPDX-License-Identifier: BSD-2-Clause */
/* The device watched by notification as well, where the page promises it and the kernel can. */
#ifndef DAEMON_NOTIFICATIONS_H
#define DAEMON_NOTIFICATIONS_H

#include <stdbool.h>

struct device;
struct event_loop;

struct notifications {
    struct event_loop *loop;
    const char *path; /* of the device, for the log */
    bool tried;       /* once for each device */
};

/* The page promises them: have the loop watch this device. */
void notifications_start(struct notifications *notifications, const struct device *device);

/* The device goes: before it is closed. */
void notifications_stop(struct notifications *notifications);

/* The loop was woken for this device; false: not by a notification, nor will it ever be. */
bool notifications_take(struct notifications *notifications, const struct device *device);

#endif
