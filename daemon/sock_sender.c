/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/sock_sender.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int sock_sender_open(void)
{
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

const char *sock_sender_other_path(const char *path)
{
    return strcmp(path, SOCK_SENDER_PATH) == 0 ? SOCK_SENDER_FIRST_PATH : NULL;
}

static int send_to(int fd, const char *path, const struct sock_sample *sample)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t n = strlen(path);
    struct stat status;

    if (n >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, n + 1);
    if (sendto(fd, sample, sizeof(*sample), MSG_DONTWAIT | MSG_NOSIGNAL,
            (const struct sockaddr *)&address, sizeof(address)) >= 0)
        return 0;
    /* The kernel says "connection refused" for a regular file as it does for a dead socket. */
    if (errno == ECONNREFUSED && stat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        return -ENOTSOCK;
    return -errno;
}

int sock_sender_send(int fd, const char *path, const struct sock_sample *sample)
{
    const char *other = sock_sender_other_path(path);
    const int r = send_to(fd, path, sample);

    if ((r == -ENOENT || r == -ECONNREFUSED) && other && send_to(fd, other, sample) == 0)
        return 0;
    return r;
}
