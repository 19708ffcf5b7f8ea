/* SPDX-License-Identifier: BSD-2-Clause */
/* Samples to chronyd's SOCK reference clock. */
#ifndef DAEMON_SOCK_SENDER_H
#define DAEMON_SOCK_SENDER_H

#include "refclock/sock_sample.h"

/* A descriptor to send from, or -errno. */
int sock_sender_open(void);

/*
 * Send one datagram to `path`, which is looked up each time: chronyd binds it anew at its start.
 * 0 or -errno, never waiting: -ENOENT no chronyd yet, -ECONNREFUSED chronyd is dead, -EAGAIN it
 * does not read, -ENOTSOCK the path is something else.
 */
int sock_sender_send(int fd, const char *path, const struct sock_sample *sample);

#endif
