/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * That there is one vmclockd for a state file, and one for a chronyd: a lock on a file of ours
 * beside each, which the kernel ends with the process that has it.
 */
#ifndef DAEMON_LOCK_H
#define DAEMON_LOCK_H

#include <limits.h>
#include <stdbool.h>

struct lock {
    int fd; /* -1: not held */
    char path[PATH_MAX];
    bool failure_reported;
};

void lock_init(struct lock *lock);

/*
 * Take the lock of a state file, or that of the chronyd behind a command socket, by whatever path;
 * or see to it that what is held still is the file that others would find. 0; -EBUSY: another
 * process has it, which has been logged; -ENOENT: there is no such chronyd; -errno: there can be no
 * lock, which has been logged as well, once: to go on without it is no worse.
 */
int lock_state_file(struct lock *lock, const char *state_file);
int lock_chronyd(struct lock *lock, const char *command_socket);

/* Is it, and is its file the one that others would find? */
bool lock_is_held(const struct lock *lock);

void lock_release(struct lock *lock);

#endif
