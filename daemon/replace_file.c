/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS (O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)

/* The directory that systemd makes is missing where somebody starts the daemon by hand. */
static void make_directory(const char *path)
{
    char directory[PATH_MAX];
    char *slash;

    snprintf(directory, sizeof(directory), "%s", path);
    slash = strrchr(directory, '/');
    if (slash && slash != directory) {
        *slash = '\0';
        mkdir(directory, 0755);
    }
}

int replace_file_by(const char *fresh, const char *path, const void *bytes, size_t n)
{
    int fd, r = 0;

    fd = open(fresh, FLAGS, 0644);
    if (fd < 0 && errno == ENOENT) {
        make_directory(fresh);
        fd = open(fresh, FLAGS, 0644);
    }
    if (fd < 0)
        return -errno;
    if (fchmod(fd, 0644) < 0) /* whatever the umask */
        r = -errno;
    errno = 0;
    if (r == 0 && write(fd, bytes, n) != (ssize_t)n)
        r = errno ? -errno : -EIO;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(fresh);
    return r;
}

int replace_file(const char *path, const void *bytes, size_t n)
{
    char fresh[PATH_MAX];

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return -ENAMETOOLONG;
    return replace_file_by(fresh, path, bytes, n);
}
