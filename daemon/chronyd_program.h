/* SPDX-License-Identifier: BSD-2-Clause */
/* What chronyd's own program says, run for that alone: it starts no daemon and changes nothing. */
#ifndef DAEMON_CHRONYD_PROGRAM_H
#define DAEMON_CHRONYD_PROGRAM_H

#include <stddef.h>

#define CHRONYD_PROGRAM "/usr/sbin/chronyd"

/*
 * Does it, by -p, refuse to start with `file`? 1: it does, and `ret_why` says why; 0: it does not;
 * -1: it could not be asked. A program that others than root and us may write is not run.
 */
int chronyd_program_refuses(const char *program, const char *file, char *ret_why, size_t size);

/* The file that it reads where its command line names none; -1: it could not be asked. */
int chronyd_program_default(const char *program, char *ret_file, size_t size);

#endif
