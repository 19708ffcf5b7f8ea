/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples to chronyd's SOCK reference clock. */
#ifndef DAEMON_SOCK_SENDER_H
#define DAEMON_SOCK_SENDER_H

#include "refclock/sock_sample.h"

/* The default path, and the first release's. */
#define SOCK_SENDER_PATH       "/run/chrony/vmclock.sock"
#define SOCK_SENDER_FIRST_PATH "/run/chrony.vmclock.sock"

/*
 * Where chronyd may have its socket instead of `path`; NULL: nowhere else. The line that the first
 * release installed for chronyd is kept, with its path, where it was changed.
 */
const char *sock_sender_other_path(const char *path);

/* A descriptor to send from, or -errno. */
int sock_sender_open(void);

/*
 * Send one datagram to `path`, or to the other one where nobody takes it. Both are looked up each
 * time: chronyd binds its socket again at its start. 0 or -errno of `path`, never waiting: -ENOENT
 * no chronyd yet, -ECONNREFUSED chronyd is dead, -EAGAIN it does not read, -ENOTSOCK the path is
 * something else.
 */
int sock_sender_send(int fd, const char *path, const struct sock_sample *sample);

#endif
