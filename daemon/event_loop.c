/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/event_loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

struct event_loop {
    struct event_loop_handlers handlers;
    struct event_base *base;
    int timer_fd;
    struct event *tick, *device, *chronyd, *signals[N_SIGNALS];
};

/* The timer is the kernel's own periodic one: ticks that were missed come as one. */
static void on_tick(evutil_socket_t fd, short what, void *context)
{
    const struct event_loop *loop = context;
    uint64_t expirations;

    (void)what;
    if (read(fd, &expirations, sizeof(expirations)) < 0) /* set anew since it expired */
        return;
    loop->handlers.on_tick(loop->handlers.context);
}

static void on_device(evutil_socket_t fd, short what, void *context)
{
    const struct event_loop *loop = context;

    (void)fd;
    (void)what;
    loop->handlers.on_device(loop->handlers.context);
}

static void on_chronyd(evutil_socket_t fd, short what, void *context)
{
    const struct event_loop *loop = context;

    (void)fd;
    (void)what;
    loop->handlers.on_chronyd(loop->handlers.context);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
    const struct event_loop *loop = context;

    (void)what;
    loop->handlers.on_signal((int)number, loop->handlers.context);
}

/* Replace *event by one for `fd`, or by none for -1. */
static int watch(struct event_loop *loop, struct event **event, int fd, short what,
    void (*callback)(evutil_socket_t, short, void *))
{
    if (*event)
        event_free(*event);
    *event = NULL;
    if (fd < 0)
        return 0;
    *event = event_new(loop->base, fd, what, callback, loop);
    if (!*event)
        return -ENOMEM;
    errno = 0;
    if (event_add(*event, NULL) < 0) {
        const int error = errno;

        event_free(*event);
        *event = NULL;
        return error ? -error : -EIO;
    }
    return 0;
}

int event_loop_watch_device(struct event_loop *loop, int fd)
{
    return watch(loop, &loop->device, fd, EV_READ | EV_PERSIST | EV_ET, on_device);
}

int event_loop_watch_chronyd(struct event_loop *loop, int fd)
{
    return watch(loop, &loop->chronyd, fd, EV_READ | EV_PERSIST, on_chronyd);
}

int event_loop_set_interval(struct event_loop *loop, int64_t interval_ns)
{
    const struct timespec interval = {
        (time_t)(interval_ns / 1000000000), (long)(interval_ns % 1000000000)};
    const struct itimerspec timer = {.it_interval = interval, .it_value = interval};

    return timerfd_settime(loop->timer_fd, 0, &timer, NULL) < 0 ? -errno : 0;
}

/* Who asked is told by the return value; but after an error libevent ends the process. */
static void on_complaint(int severity, const char *message)
{
    if (severity == EVENT_LOG_ERR)
        log_err("libevent cannot go on: %s", message);
}

int event_loop_create(
    const struct event_loop_handlers *handlers, int64_t interval_ns, struct event_loop **ret_loop)
{
    struct event_loop *loop = calloc(1, sizeof(*loop));
    struct event_config *config = event_config_new();
    int r = -ENOMEM;

    event_set_log_callback(on_complaint);
    if (loop)
        loop->timer_fd = -1;
    if (loop && config) {
        loop->handlers = *handlers;
        /* The device needs edge triggers; timeouts of libevent's own are not used. */
        event_config_require_features(config, EV_FEATURE_ET);
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        loop->base = event_base_new_with_config(config);
        r = loop->timer_fd < 0 ? -errno : loop->base ? 0 : -ENOMEM;
    }
    if (config)
        event_config_free(config);
    if (r == 0)
        r = event_loop_set_interval(loop, interval_ns);
    if (r == 0)
        r = watch(loop, &loop->tick, loop->timer_fd, EV_READ | EV_PERSIST, on_tick);
    for (size_t i = 0; r == 0 && i < N_SIGNALS; i++)
        r = watch(loop, &loop->signals[i], signals[i], EV_SIGNAL | EV_PERSIST, on_signal);
    if (r < 0)
        event_loop_destroy(loop);
    else
        *ret_loop = loop;
    return r;
}

void event_loop_destroy(struct event_loop *loop)
{
    if (!loop)
        return;
    watch(loop, &loop->tick, -1, 0, NULL);
    watch(loop, &loop->device, -1, 0, NULL);
    watch(loop, &loop->chronyd, -1, 0, NULL);
    for (size_t i = 0; i < N_SIGNALS; i++)
        watch(loop, &loop->signals[i], -1, 0, NULL);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    free(loop);
    libevent_global_shutdown();
}

int event_loop_run(struct event_loop *loop)
{
    errno = 0;
    if (event_base_dispatch(loop->base) >= 0)
        return 0;
    return errno ? -errno : -EIO;
}

void event_loop_stop(struct event_loop *loop)
{
    event_base_loopbreak(loop->base);
}
