/* SPDX-License-Identifier: BSD-2-Clause */
/* The way to chronyd's command socket and back: datagrams only, what they say is the core's. */
#ifndef DAEMON_CHRONYD_H
#define DAEMON_CHRONYD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

struct chronyd {
    int fd;      /* -1: not connected */
    uint64_t id; /* of the socket that was connected last: each chronyd makes its own */
    struct sockaddr_un server; /* chronyd's */
    struct sockaddr_un own;    /* ours, in the same directory: where replies are sent to */
    dev_t own_device;          /* what was bound there */
    ino_t own_inode;
};

/* Nothing is opened yet; `path` fits, the configuration saw to it. */
void chronyd_init(struct chronyd *chronyd, const char *path);

/*
 * Remove the socket that a process of this number left beside chronyd's when it was killed, if it
 * no longer runs. `pid` NULL or no number: nothing to do.
 */
void chronyd_remove_stale(const char *path, const char *pid);

/*
 * Bind a socket beside chronyd's and connect it, so that the kernel lets datagrams of nobody else
 * through. 0 or -errno: -ENOENT chronyd or its directory is not there, -ECONNREFUSED it is dead,
 * -EACCES not permitted.
 */
int chronyd_open(struct chronyd *chronyd);
void chronyd_close(struct chronyd *chronyd);

/*
 * Send a request, never waiting. -EAGAIN: there is no room for it in chronyd's queue, or in the
 * kernel's memory. Any other -errno: the connection is closed, this chronyd is gone, and the next
 * one is another.
 */
int chronyd_send(struct chronyd *chronyd, const uint8_t *request, size_t length);

/* One datagram's length, or -errno: -EAGAIN no more is there. */
ssize_t chronyd_receive(struct chronyd *chronyd, uint8_t *ret_reply, size_t size);

/* Is our socket still where replies are sent to? Its directory may have been made again. */
bool chronyd_has_way_back(const struct chronyd *chronyd);

/* Does anything that was sent still lie in chronyd's queue, unread? */
bool chronyd_has_queued(const struct chronyd *chronyd);

#endif
