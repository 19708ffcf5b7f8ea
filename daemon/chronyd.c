/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chronyd.h"

#include <errno.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the process `pid` has its socket. */
static void own_path(const char *path, long pid, char *ret_path, size_t size)
{
    const char *slash = strrchr(path, '/');

    snprintf(ret_path, size, "%.*s/vmclockd.%ld.sock", slash ? (int)(slash - path) : 0, path, pid);
}

void chronyd_remove_stale(const char *path, const char *pid)
{
    const long number = pid ? strtol(pid, NULL, 10) : 0;
    char stale[sizeof(((struct sockaddr_un *)0)->sun_path)];

    if (number <= 0 || number == getpid() || kill((pid_t)number, 0) == 0 || errno != ESRCH)
        return;
    own_path(path, number, stale, sizeof(stale));
    unlink(stale);
}

void chronyd_init(struct chronyd *chronyd, const char *path)
{
    *chronyd = (struct chronyd){.fd = -1};
    chronyd->server.sun_family = chronyd->own.sun_family = AF_UNIX;
    snprintf(chronyd->server.sun_path, sizeof(chronyd->server.sun_path), "%s", path);
    own_path(path, getpid(), chronyd->own.sun_path, sizeof(chronyd->own.sun_path));
}

int chronyd_open(struct chronyd *chronyd)
{
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat bound = {0}, status;
    mode_t mask;
    char earlier;
    int r = 0;

    if (fd < 0)
        return -errno;
    unlink(chronyd->own.sun_path); /* left behind by a process that had our number */
    /*
     * Anybody may write there, chronyd among them, which is not root. By umask, not by chmod: the
     * directory is another user's, who could have put a link where the socket was.
     */
    mask = umask(0111);
    if (bind(fd, (const struct sockaddr *)&chronyd->own, sizeof(chronyd->own)) < 0)
        r = -errno;
    umask(mask);
    if (r == 0 &&
        (lstat(chronyd->own.sun_path, &bound) < 0 ||
            connect(fd, (const struct sockaddr *)&chronyd->server, sizeof(chronyd->server)) < 0)) {
        r = -errno;
        unlink(chronyd->own.sun_path);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    /* Its number alone may have been another's before. */
    if (stat(chronyd->server.sun_path, &status) == 0)
        chronyd->id = (uint64_t)status.st_ino ^ (uint64_t)status.st_mtim.tv_sec << 32 ^
                      (uint64_t)status.st_mtim.tv_nsec;
    while (recv(fd, &earlier, sizeof(earlier), MSG_DONTWAIT) >= 0)
        continue; /* it came before we were connected: from an unknown sender */
    chronyd->own_device = bound.st_dev;
    chronyd->own_inode = bound.st_ino;
    chronyd->fd = fd;
    return 0;
}

void chronyd_close(struct chronyd *chronyd)
{
    if (chronyd->fd < 0)
        return;
    close(chronyd->fd);
    unlink(chronyd->own.sun_path);
    chronyd->fd = -1;
}

int chronyd_send(struct chronyd *chronyd, const uint8_t *request, size_t length)
{
    const int r = send(chronyd->fd, request, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;

    /* After these chronyd is none the worse. */
    if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM || r == -EINTR)
        return -EAGAIN;
    if (r < 0)
        chronyd_close(chronyd);
    return r;
}

ssize_t chronyd_receive(struct chronyd *chronyd, uint8_t *ret_reply, size_t size)
{
    const ssize_t n = recv(chronyd->fd, ret_reply, size, MSG_DONTWAIT);

    return n < 0 ? -errno : n;
}

bool chronyd_has_way_back(const struct chronyd *chronyd)
{
    struct stat there;

    if (lstat(chronyd->own.sun_path, &there) < 0)
        return errno != ENOENT && errno != ENOTDIR; /* else it is not known */
    return there.st_dev == chronyd->own_device && there.st_ino == chronyd->own_inode;
}

bool chronyd_has_queued(const struct chronyd *chronyd)
{
    int bytes = 0;

    return chronyd->fd >= 0 && ioctl(chronyd->fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}
