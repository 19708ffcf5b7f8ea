/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/message.h"
#include "daemon/replace_file.h"

#define ATTEMPTS 4 /* a file that goes away while it is locked is made again */

void lock_init(struct lock *lock)
{
    *lock = (struct lock){.fd = -1};
}

/* Of a process, not of a descriptor: for these the kernel tells who has one. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

static bool is_at_path(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/*
 * A regular file that nobody else may open and lock. chronyd's directory belongs to chrony's user,
 * who may have put something else there.
 */
static int open_file(const char *path)
{
    struct stat status;
    int fd;

    for (int i = 0; i < ATTEMPTS; i++) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        if (fd < 0 && errno != ELOOP && errno != ENXIO)
            return -errno;
        if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
            status.st_uid == geteuid() && (status.st_mode & 077) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
    }
    return -ELOOP;
}

/* 0, -EBUSY with the number of the process that has it or 0, or -errno. */
static int take(struct lock *lock, int *ret_holder)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        struct flock ours = whole_file(), theirs = whole_file();
        const int fd = open_file(lock->path);
        int error = 0;

        if (fd < 0)
            return fd;
        if (fcntl(fd, F_SETLK, &ours) < 0)
            error = errno == EACCES ? EAGAIN : errno;
        if (error == 0 && is_at_path(fd, lock->path)) {
            lock->fd = fd;
            return 0;
        }
        if (error == EAGAIN && fcntl(fd, F_GETLK, &theirs) < 0)
            error = errno;
        close(fd);
        if (error == EAGAIN && theirs.l_type != F_UNLCK) {
            *ret_holder = theirs.l_pid > 0 ? (int)theirs.l_pid : 0;
            return -EBUSY;
        }
        if (error != 0 && error != EAGAIN)
            return -error;
    }
    return -EAGAIN;
}

static void give_up(struct lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

static int take_for(struct lock *lock, const char *path, const char *what, const char *name)
{
    char process[64] = "a process of another PID namespace";
    int holder = 0, r;

    if (lock->fd >= 0 && strcmp(lock->path, path) == 0 && is_at_path(lock->fd, path))
        return 0;
    give_up(lock);
    snprintf(lock->path, sizeof(lock->path), "%s", path);
    r = take(lock, &holder);
    if (r == -EBUSY) {
        if (holder > 0)
            snprintf(process, sizeof(process), "process %d", holder);
        message_log(LINE(ANOTHER_VMCLOCKD), process, what, name);
    } else if (r < 0 && !lock->failure_reported) {
        message_log(LINE(NOT_LOCKED), path, strerror(-r), what, name);
    }
    lock->failure_reported = r < 0;
    return r;
}

int lock_state_file(struct lock *lock, const char *state_file)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s.lock", state_file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    if (lock->fd < 0)
        make_directory_of(path);
    return take_for(lock, path, "state file", state_file);
}

int lock_chronyd(struct lock *lock, const char *command_socket)
{
    char resolved[PATH_MAX], path[PATH_MAX];
    const char *slash;

    /* Its socket's own directory is where all who use it meet, wherever that is mounted. */
    if (!realpath(command_socket, resolved))
        return -errno;
    slash = strrchr(resolved, '/');
    if (snprintf(path, sizeof(path), "%.*s/vmclockd.%s.lock", (int)(slash - resolved), resolved,
            slash + 1) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return take_for(lock, path, "chronyd of", command_socket);
}

bool lock_is_held(const struct lock *lock)
{
    return lock->fd >= 0 && is_at_path(lock->fd, lock->path);
}

void lock_release(struct lock *lock)
{
    if (lock_is_held(lock))
        unlink(lock->path);
    give_up(lock);
}
