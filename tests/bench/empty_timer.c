/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a daemon costs that wakes up as often as vmclockd and does nothing: a timerfd read in an
 * epoll loop. The argument is the interval in ns.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const long long interval_ns = argc > 1 ? strtoll(argv[1], NULL, 10) : 10000000;
    const struct timespec interval = {interval_ns / 1000000000, interval_ns % 1000000000};
    const struct itimerspec timer = {interval, interval};
    const int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = timer_fd};
    uint64_t expirations;

    if (timer_fd < 0 || epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) < 0 ||
        timerfd_settime(timer_fd, 0, &timer, NULL) < 0) {
        perror("empty_timer");
        return EXIT_FAILURE;
    }
    while (epoll_wait(epoll_fd, &event, 1, -1) == 1)
        if (read(timer_fd, &expirations, sizeof(expirations)) < 0)
            return EXIT_FAILURE;
    return EXIT_FAILURE;
}
