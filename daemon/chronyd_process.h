/* SPDX-License-Identifier: BSD-2-Clause */
/* The chronyd that runs, and what its command line says. */
#ifndef DAEMON_CHRONYD_PROCESS_H
#define DAEMON_CHRONYD_PROCESS_H

#include <sys/types.h>

#include "daemon/config.h"

struct chronyd_process {
    pid_t pid;
    char conf[CONFIG_PATH_MAX]; /* of its -f; empty: it names none */
    bool directives;            /* its command line has directives: it reads no file */
    bool leaves_clock;          /* -x: it does not correct the clock */
    bool without_root;          /* -U */
};

/* Read a command line as /proc/PID/cmdline has it: words that each end in a NUL. */
void chronyd_process_parse(const char *words, size_t size, struct chronyd_process *ret_process);

/*
 * The chronyd whose pid file is beside `command_socket`, which is where it is by default. Reads a
 * few small files. 0 or -ESRCH.
 */
int chronyd_process_of(const char *command_socket, struct chronyd_process *ret_process);

/*
 * The same; else, of all processes, the one that has bound `command_socket`, or, if `any` is set,
 * the only chronyd there is. 0; -ESRCH: there is none, or not one.
 */
int chronyd_process_find(const char *command_socket, bool any, struct chronyd_process *ret_process);

#endif
