/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chronyd_link.h"

#include <errno.h>
#include <string.h>

#include "daemon/event_loop.h"
#include "daemon/log.h"

void chronyd_link_init(struct chronyd_link *link, const char *command_socket)
{
    *link = (struct chronyd_link){.command_socket = command_socket};
    lock_init(&link->lock);
    chronyd_init(&link->chronyd, command_socket);
}

void chronyd_link_join(struct chronyd_link *link, struct event_loop *loop)
{
    link->loop = loop;
}

void chronyd_link_close(struct chronyd_link *link)
{
    chronyd_close(&link->chronyd);
    lock_release(&link->lock);
}

static void disconnect(struct chronyd_link *link)
{
    event_loop_watch_chronyd(link->loop, -1);
    chronyd_close(&link->chronyd);
}

static int connect_chronyd(struct chronyd_link *link)
{
    int result = lock_chronyd(&link->lock, link->command_socket);

    if (result == -EBUSY) {
        link->is_locked_out = true;
        return result;
    }
    result = chronyd_open(&link->chronyd);
    if (result < 0)
        return result;
    link->is_another = link->is_another || link->was_connected;
    link->was_connected = true;
    return event_loop_watch_chronyd(link->loop, link->chronyd.fd);
}

int chronyd_link_send_again(struct chronyd_link *link)
{
    const uint64_t id = link->chronyd.fd >= 0 ? link->chronyd.id : 0;
    int result = 0;

    if (link->chronyd.fd >= 0 && !chronyd_has_way_back(&link->chronyd)) {
        log_debug("%s is not ours any more: binding it again", link->chronyd.own.sun_path);
        disconnect(link);
    }
    if (link->chronyd.fd < 0)
        result = connect_chronyd(link);
    if (result == 0 && id != 0 && link->chronyd.id != id)
        result = -ECONNREFUSED;
    if (result == 0)
        result = chronyd_send(&link->chronyd, link->request, link->length);
    link->is_unsent = result == -EAGAIN;
    if (link->is_unsent)
        return 0;
    if (result < 0)
        disconnect(link);
    return result;
}

int chronyd_link_send(struct chronyd_link *link, const uint8_t *request, size_t length)
{
    memcpy(link->request, request, length);
    link->length = length;
    return chronyd_link_send_again(link);
}

bool chronyd_link_has_unread(const struct chronyd_link *link)
{
    return link->is_unsent || chronyd_has_queued(&link->chronyd);
}

bool chronyd_link_take_another(struct chronyd_link *link)
{
    const bool is_another = link->is_another;

    link->is_another = false;
    return is_another;
}
