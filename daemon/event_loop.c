/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/event_loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/message.h"

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

enum timer { TIMER_TICK, TIMER_HOUSEKEEPING, TIMER_WAKE, N_TIMERS };

struct event_loop {
    struct event_loop_handlers handlers;
    struct event_base *base;
    int timer_fds[N_TIMERS];
    struct event *timers[N_TIMERS], *device, *chronyd, *ptp, *signals[N_SIGNALS];
};

/* The timers are the kernel's own: ticks that were missed come as one. */
static bool has_expired(int fd)
{
    uint64_t expirations;

    return read(fd, &expirations, sizeof(expirations)) > 0; /* not set again since then */
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    const struct event_loop *loop = context;

    (void)what;
    if (has_expired(fd))
        loop->handlers.on_tick(loop->handlers.context);
}

static void on_housekeeping(evutil_socket_t fd, short what, void *context)
{
    const struct event_loop *loop = context;

    (void)what;
    if (has_expired(fd))
        loop->handlers.on_housekeeping(loop->handlers.context);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
    const struct event_loop *loop = context;

    (void)what;
    if (has_expired(fd))
        loop->handlers.on_wake(loop->handlers.context);
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

static void on_ptp(evutil_socket_t fd, short what, void *context)
{
    struct event_loop *loop = context;

    (void)fd;
    (void)what;
    loop->handlers.on_ptp(loop->handlers.context);
}

int event_loop_watch_ptp(struct event_loop *loop, int fd)
{
    return watch(loop, &loop->ptp, fd, EV_READ | EV_PERSIST, on_ptp);
}

int event_loop_watch_chronyd(struct event_loop *loop, int fd)
{
    return watch(loop, &loop->chronyd, fd, EV_READ | EV_PERSIST, on_chronyd);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

static int set_periodic(
    const struct event_loop *loop, enum timer timer, int64_t first_ns, int64_t interval_ns)
{
    const struct itimerspec setting = {
        .it_interval = timespec_of(interval_ns), .it_value = timespec_of(first_ns)};

    return timerfd_settime(loop->timer_fds[timer], 0, &setting, NULL) < 0 ? -errno : 0;
}

int event_loop_set_interval(struct event_loop *loop, int64_t interval_ns)
{
    return set_periodic(loop, TIMER_TICK, interval_ns, interval_ns);
}

int event_loop_set_housekeeping(struct event_loop *loop, int64_t first_ns, int64_t interval_ns)
{
    return set_periodic(loop, TIMER_HOUSEKEEPING, first_ns, interval_ns);
}

int event_loop_wake_at(struct event_loop *loop, int64_t when_ns)
{
    /* All 0 would disarm it. */
    const struct itimerspec setting = {.it_value = timespec_of(when_ns > 0 ? when_ns : 1)};

    return timerfd_settime(loop->timer_fds[TIMER_WAKE], TFD_TIMER_ABSTIME, &setting, NULL) < 0
               ? -errno
               : 0;
}

/* Who asked is told by the return value; but after an error libevent ends the process. */
static void on_complaint(int severity, const char *message)
{
    if (severity == EVENT_LOG_ERR)
        message_log(LINE(LIBEVENT_FAILED), message);
}

static int open_timer(struct event_loop *loop, enum timer timer)
{
    static void (*const callbacks[])(evutil_socket_t, short, void *) = {
        [TIMER_TICK] = on_tick,
        [TIMER_HOUSEKEEPING] = on_housekeeping,
        [TIMER_WAKE] = on_wake,
    };

    loop->timer_fds[timer] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_fds[timer] < 0)
        return -errno;
    return watch(
        loop, &loop->timers[timer], loop->timer_fds[timer], EV_READ | EV_PERSIST, callbacks[timer]);
}

static sigset_t held(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return set;
}

void event_loop_hold_signals(void)
{
    const sigset_t set = held();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int event_loop_create(const struct event_loop_handlers *handlers, struct event_loop **ret_loop)
{
    struct event_loop *loop = calloc(1, sizeof(*loop));
    struct event_config *config = event_config_new();
    const sigset_t set = held();
    int r = -ENOMEM;

    event_set_log_callback(on_complaint);
    for (size_t i = 0; loop && i < N_TIMERS; i++)
        loop->timer_fds[i] = -1;
    if (loop && config) {
        loop->handlers = *handlers;
        /* The device needs edge triggers; timeouts of libevent's own are not used. */
        event_config_require_features(config, EV_FEATURE_ET);
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        loop->base = event_base_new_with_config(config);
        r = loop->base ? 0 : -ENOMEM;
    }
    if (config)
        event_config_free(config);
    for (enum timer i = 0; r == 0 && i < N_TIMERS; i++)
        r = open_timer(loop, i);
    for (size_t i = 0; r == 0 && i < N_SIGNALS; i++)
        r = watch(loop, &loop->signals[i], signals[i], EV_SIGNAL | EV_PERSIST, on_signal);
    if (r < 0) {
        event_loop_destroy(loop);
        return r;
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    *ret_loop = loop;
    return 0;
}

void event_loop_destroy(struct event_loop *loop)
{
    if (!loop)
        return;
    for (size_t i = 0; i < N_TIMERS; i++)
        watch(loop, &loop->timers[i], -1, 0, NULL);
    watch(loop, &loop->device, -1, 0, NULL);
    watch(loop, &loop->chronyd, -1, 0, NULL);
    watch(loop, &loop->ptp, -1, 0, NULL);
    for (size_t i = 0; i < N_SIGNALS; i++)
        watch(loop, &loop->signals[i], -1, 0, NULL);
    if (loop->base)
        event_base_free(loop->base);
    for (size_t i = 0; i < N_TIMERS; i++)
        if (loop->timer_fds[i] >= 0)
            close(loop->timer_fds[i]);
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
