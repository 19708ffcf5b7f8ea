/* SPDX-License-Identifier: BSD-2-Clause */
/* What SELinux lets processes do, asked of the kernel: it has the policy that is in force. */
#ifndef DAEMON_SELINUX_H
#define DAEMON_SELINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SELINUX_CONTEXT_MAX 256

bool selinux_is_enforcing(void);

/* The context that a process runs in; 0 or -errno. */
int selinux_context_of(pid_t pid, char ret_context[SELINUX_CONTEXT_MAX]);

/* The type of a context, which of a process is its domain; the whole of what has none. */
void selinux_type(const char *context, char *ret_type, size_t size);

/* The same context with another type; 0 or -EINVAL: it has none, or there is no room. */
int selinux_with_type(const char *context, const char *type, char ret_context[SELINUX_CONTEXT_MAX]);

/* May a process of the context `source` send datagrams to a socket of `target`? 1, 0, or -errno. */
int selinux_allows_sendto(const char *source, const char *target);

/* The same of an answer of /sys/fs/selinux/access and the permission's number from 1 on. */
int selinux_answer_allows(const char *answer, unsigned permission);

#endif
