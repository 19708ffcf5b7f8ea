/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmclock device as the daemon watches it: it can be lost, and comes back. */
#ifndef DAEMON_WATCHED_DEVICE_H
#define DAEMON_WATCHED_DEVICE_H

#include "daemon/device.h"
#include "daemon/notifications.h"
#include "refclock/tracker.h"

struct watched_device {
    const char *path;
    struct device *device; /* NULL: lost */
    int64_t opened_ns;     /* CLOCK_MONOTONIC, when this one was; 0: it is lost */
    int lost_error;        /* errno, by which it was */
    struct device_view view;
    bool busy; /* the host was writing at the last look */
    struct notifications notifications;
};

void watched_device_init(struct watched_device *watched, const char *path);
/* From now on there is a loop to wait in. */
void watched_device_join(struct watched_device *watched, struct event_loop *loop);

/* At the start: it has to be there, with a valid page. 0 or -errno, which has been logged. */
int watched_device_open(struct watched_device *watched);
void watched_device_close(struct watched_device *watched);

/* Look at the page, for the tracker. */
void watched_device_look(struct watched_device *watched, struct observation *seen);

/* The loop was woken for it: is that a notification? */
bool watched_device_is_notified(struct watched_device *watched);

/* The next look finds all new. */
void watched_device_forget(struct watched_device *watched);

/*
 * Is it still there, or there again? True: that has changed. With `notifies`, by which the page
 * promises notifications, see to them.
 */
bool watched_device_check(struct watched_device *watched, bool notifies);

#endif
