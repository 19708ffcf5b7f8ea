/* SPDX-License-Identifier: BSD-2-Clause */
/* libevent, all of it that is used, in one place. */
#ifndef DAEMON_EVENT_LOOP_H
#define DAEMON_EVENT_LOOP_H

#include <stdint.h>

struct event_loop;

/* Short adapters; none may block. */
struct event_loop_handlers {
    void (*on_tick)(void *context);
    void (*on_device)(void *context);  /* notified: the page changed, or the kernel hung up */
    void (*on_chronyd)(void *context); /* a reply can be read */
    void (*on_signal)(int number, void *context); /* SIGTERM, SIGINT, SIGHUP, SIGUSR1 */
    void *context;
};

/* 0 or -errno. */
int event_loop_create(
    const struct event_loop_handlers *handlers, int64_t interval_ns, struct event_loop **ret_loop);
void event_loop_destroy(struct event_loop *loop);

/* How often on_tick() comes, from now on. 0 or -errno. */
int event_loop_set_interval(struct event_loop *loop, int64_t interval_ns);

/* Watch a descriptor; -1: no more. The device's may be one that cannot be watched: -EPERM. */
int event_loop_watch_device(struct event_loop *loop, int fd);
int event_loop_watch_chronyd(struct event_loop *loop, int fd);

/* Until event_loop_stop(). 0 or -errno. */
int event_loop_run(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop);

#endif
