/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/replace_file.h"

void shared_file_init(struct shared_file *f, size_t size)
{
    *f = (struct shared_file){.fd = -1, .size = size};
}

void shared_file_close(struct shared_file *f)
{
    if (f->map)
        munmap(f->map, f->size);
    if (f->fd >= 0)
        close(f->fd);
    shared_file_init(f, f->size);
}

/* A write to what is missing would end the process. */
bool shared_file_is_intact(const struct shared_file *f)
{
    struct stat status;

    return f->map && fstat(f->fd, &status) == 0 && status.st_nlink > 0 &&
           status.st_size >= (off_t)f->size;
}

static int open_or_make(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

    if (fd < 0 && errno == ENOENT) {
        make_directory_of(path);
        fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    }
    return fd < 0 ? (errno == ELOOP ? -EEXIST : -errno) : fd;
}

/* What is there is ours, or empty: a path that was mistyped costs nobody a file. */
static int check(int fd, const void *magic, size_t n)
{
    struct stat status;
    char found[16];

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EEXIST;
    /* Who made it may still write to it. */
    if (status.st_uid != geteuid())
        return -EPERM;
    if (status.st_size == 0)
        return 0;
    if (n > sizeof(found) || pread(fd, found, n, 0) != (ssize_t)n || memcmp(found, magic, n) != 0)
        return -EEXIST;
    return 0;
}

static int map(struct shared_file *f)
{
    void *p;
    int r = posix_fallocate(f->fd, 0, (off_t)f->size); /* no room: now, and not in a write */

    if (r != 0)
        return -r;
    if (fchmod(f->fd, 0644) < 0) /* whatever the umask */
        return -errno;
    p = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    f->map = p;
    return 0;
}

int shared_file_open(struct shared_file *f, const char *path, const void *magic, size_t n)
{
    int r;

    if (shared_file_is_intact(f))
        return 0;
    shared_file_close(f);
    r = open_or_make(path);
    if (r < 0)
        return r;
    f->fd = r;
    r = check(f->fd, magic, n);
    if (r == 0)
        r = map(f);
    if (r < 0)
        shared_file_close(f);
    return r < 0 ? r : 1;
}
