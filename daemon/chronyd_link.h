/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection to the chronyd of a command socket, of which no other vmclockd has one. */
#ifndef DAEMON_CHRONYD_LINK_H
#define DAEMON_CHRONYD_LINK_H

#include "daemon/chronyd.h"
#include "daemon/lock.h"

struct event_loop;

struct chronyd_link {
    const char *command_socket;
    struct event_loop *loop; /* which waits for replies */
    struct chronyd chronyd;
    struct lock lock;
    bool was_connected; /* to a chronyd, once */
    bool is_another;    /* connected since: it may read another chrony.conf than the one before */
    bool is_locked_out; /* by another vmclockd, which has been logged */
};

void chronyd_link_init(struct chronyd_link *link, const char *command_socket);
void chronyd_link_close(struct chronyd_link *link);

/* Send a request, connecting first where that is needed. 0 or -errno; then it is disconnected. */
int chronyd_link_send(struct chronyd_link *link, const uint8_t *request, size_t length);

/* True once for each chronyd that came after another one. */
bool chronyd_link_take_another(struct chronyd_link *link);

#endif
