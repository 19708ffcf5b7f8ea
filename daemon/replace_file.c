/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A file that we make, in a directory of any owner: not through a link, and none that another user
 * has made and may still write to.
 */
static int open_fresh(const char *path)
{
    unlink(path); /* left behind by a process that was killed */
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
}

void make_public_directory(const char *path)
{
    if (mkdir(path, 0755) == 0)
        chmod(path, 0755); /* whatever the umask */
}

void make_directory_of(const char *path)
{
    char directory[PATH_MAX];
    char *slash;

    snprintf(directory, sizeof(directory), "%s", path);
    slash = strrchr(directory, '/');
    if (slash && slash != directory) {
        *slash = '\0';
        make_public_directory(directory);
    }
}

/* A socket or a device, /dev/null say, which is not ours to take away. */
static bool is_no_file(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode) &&
           !S_ISDIR(status.st_mode); /* which rename() refuses */
}

int replace_file_by(const char *fresh, const char *path, const void *bytes, size_t n)
{
    int fd, r = 0;

    if (is_no_file(path))
        return -EEXIST;
    fd = open_fresh(fresh);
    if (fd < 0 && errno == ENOENT) {
        make_directory_of(fresh);
        fd = open_fresh(fresh);
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

int open_replaced(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat status;

    if (fd < 0)
        return errno == ELOOP || errno == ENXIO ? -EEXIST : -errno;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    close(fd);
    return -EEXIST;
}

bool is_trusted_owner(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}
