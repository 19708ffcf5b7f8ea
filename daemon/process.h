/* SPDX-License-Identifier: BSD-2-Clause */
/* A process by its number, as /proc shows it. */
#ifndef DAEMON_PROCESS_H
#define DAEMON_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

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
