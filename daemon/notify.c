/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef WITHOUT_SYSTEMD
#include <systemd/sd-daemon.h>

int64_t notify_watchdog_ns(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 && us < INT64_MAX / 1000 ? (int64_t)us * 1000 : 0;
}
#else
int64_t notify_watchdog_ns(void)
{
    return 0;
}
#endif

bool notify(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const size_t n = path ? strlen(path) : 0;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char text[256];
    va_list arguments;
    bool taken;
    int fd, length;

    if (n == 0 || n > sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return true;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') /* a name without a file */
        to.sun_path[0] = '\0';
    va_start(arguments, format);
    length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(text))
        return true;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    taken =
        sendto(fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to,
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) >= 0 ||
        (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM);
    close(fd);
    return taken;
}
