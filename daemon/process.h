/* SPDX-License-Identifier: BSD-2-Clause */
/* The processes beside us, by what /proc shows of them. */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROCESS_NAME_MAX 16

/*
 * The next process of an open /proc that is not of another namespace, as in a container; 0: there
 * are no more.
 */
pid_t process_next(DIR *proc);

/* Is this number a process', and not of another namespace? */
bool process_is_ours(pid_t pid);

/* Its name, as the kernel cuts it. */
void process_name(pid_t pid, char ret_name[PROCESS_NAME_MAX]);

/* The start of a file of the process, with a NUL behind; its length, 0: it cannot be read. */
size_t process_read(pid_t pid, const char *name, char *ret_text, size_t size);

/* Where a link of the process leads; false: that is not to be seen, and *ret_text is empty. */
bool process_read_link(pid_t pid, const char *name, char *ret_text, size_t size);

/* Is it a vmclockd? By its name; false where it cannot be seen. */
bool process_is_vmclockd(pid_t pid);

/* The letter of its state in proc(5), as T where it is stopped; '\0': there is no such process. */
char process_state(pid_t pid);

/*
 * A vmclockd of this pid namespace with the configuration `file`, NULL for the default one, that
 * has run for `seconds` at least, other than `but`; 0: there is none, or it cannot be seen.
 */
pid_t process_find_vmclockd(const char *file, double seconds, pid_t but);

#endif
