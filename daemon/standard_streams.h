/* SPDX-License-Identifier: BSD-2-Clause */
/* stdin, stdout and stderr, of which each can be closed. */
#ifndef DAEMON_STANDARD_STREAMS_H
#define DAEMON_STANDARD_STREAMS_H

/*
 * Before anything else is opened: it would get the number of one that is closed, and what is
 * printed would go into a lock, or to chronyd. A write to it still fails. 0 or -errno.
 */
int standard_streams_open(void);

#endif
