/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/standard_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int standard_streams_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", O_RDONLY) != fd) /* the lowest that is free */
            return errno ? -errno : -EBADF;
    return 0;
}
