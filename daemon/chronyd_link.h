/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection to the chronyd of a command socket, of which no other vmclockd has one. */
#ifndef DAEMON_CHRONYD_LINK_H
#define DAEMON_CHRONYD_LINK_H

#include "daemon/chronyd.h"
#include "daemon/lock.h"
#include "refclock/chrony_command.h"

struct event_loop;

struct chronyd_link {
    const char *command_socket;
    struct event_loop *loop; /* which waits for replies */
    struct chronyd chronyd;
    struct lock lock;
    bool was_connected; /* to a chronyd, once */
    bool is_another;    /* connected since: it may read another chrony.conf than the one before */
    uint8_t request[CHRONY_REQUEST_MAX]; /* the last one */
    size_t length;
    bool is_unsent;     /* the last request: chronyd's queue has no room for it */
    bool is_locked_out; /* by another vmclockd, which has been logged */
};

void chronyd_link_init(struct chronyd_link *link, const char *command_socket);
/* From now on there is a loop to wait in. */
void chronyd_link_join(struct chronyd_link *link, struct event_loop *loop);
void chronyd_link_close(struct chronyd_link *link);

/*
 * Send a request, connecting first where that is needed. 0 or -errno; then it is disconnected. What
 * was meant for one chronyd is not sent to another, which may need none of it: -ECONNREFUSED. A
 * request that finds no room in chronyd's queue, as when chronyd is stopped and the queue full of
 * other clients' requests, is kept: `is_unsent`.
 */
int chronyd_link_send(struct chronyd_link *link, const uint8_t *request, size_t length);

/* Send again what is unsent. 0 or -errno, as above. */
int chronyd_link_send_again(struct chronyd_link *link);

/* Has chronyd not read yet all that it was, or is to be, sent? */
bool chronyd_link_has_unread(const struct chronyd_link *link);

/* True once for each chronyd that came after another one. */
bool chronyd_link_take_another(struct chronyd_link *link);

#endif
