/* SPDX-License-Identifier: BSD-2-Clause */
/* libevent, all of it that is used, in one place. */
#ifndef DAEMON_EVENT_LOOP_H
#define DAEMON_EVENT_LOOP_H

#include <stdint.h>

struct event_loop;

/* Short adapters; none may block. */
struct event_loop_handlers {
    void (*on_tick)(void *context);         /* at the interval, for the page */
    void (*on_housekeeping)(void *context); /* at an interval of its own */
    void (*on_wake)(void *context);         /* once, at the time of event_loop_wake_at() */
    void (*on_device)(void *context);       /* notified: the page changed, or the kernel hung up */
    void (*on_chronyd)(void *context);      /* a reply can be read */
    void (*on_ptp)(void *context);          /* the PTP clock has been read */
    void (*on_signal)(int number, void *context); /* SIGTERM, SIGINT, SIGHUP, SIGUSR1 */
    void *context;
};

/*
 * SIGHUP and SIGUSR1 that come before there is a loop are kept for it, rather than end the process:
 * once, at the start of main().
 */
void event_loop_hold_signals(void);

/* Nothing ticks yet; from now on signals are taken. 0 or -errno. */
int event_loop_create(const struct event_loop_handlers *handlers, struct event_loop **ret_loop);
void event_loop_destroy(struct event_loop *loop);

/* How often on_tick() and on_housekeeping() come, from now on, the latter the first time after
 * `first_ns`. 0 or -errno. */
int event_loop_set_interval(struct event_loop *loop, int64_t interval_ns);
int event_loop_set_housekeeping(struct event_loop *loop, int64_t first_ns, int64_t interval_ns);

/* When on_wake() comes, CLOCK_MONOTONIC; the past: at once. It replaces an earlier one. */
int event_loop_wake_at(struct event_loop *loop, int64_t when_ns);

/* Watch a descriptor; -1: no more. The device's may be one that cannot be watched: -EPERM. */
int event_loop_watch_device(struct event_loop *loop, int fd);
int event_loop_watch_chronyd(struct event_loop *loop, int fd);
int event_loop_watch_ptp(struct event_loop *loop, int fd);

/* Until event_loop_stop(). 0 or -errno. */
int event_loop_run(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop);

#endif
