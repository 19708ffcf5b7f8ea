/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/edges.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/event_loop.h"
#include "daemon/message.h"
#include "daemon/ptp_reader.h"
#include "daemon/sock_sender.h"
#include "daemon/system_clock.h"

#define STEPS_AT_ONCE 64

/* --- their life ------------------------------------------------------------------------------- */

void edges_init(struct edges *e, const struct config *config, struct tracker *tracker,
    struct publisher *publisher)
{
    *e =
        (struct edges){.config = config, .tracker = tracker, .publisher = publisher, .sock_fd = -1};
    watched_device_init(&e->device, config->device);
    ptp_device_init(&e->ptp);
    chronyd_link_init(&e->link, config->command_socket);
}

int edges_open_sender(struct edges *e)
{
    e->sock_fd = sock_sender_open();
    return e->sock_fd < 0 ? e->sock_fd : 0;
}

void edges_join(struct edges *e, struct event_loop *loop)
{
    e->loop = loop;
    watched_device_join(&e->device, loop);
    chronyd_link_join(&e->link, loop);
}

void edges_close(struct edges *e)
{
    chronyd_link_close(&e->link);
    watched_device_close(&e->device);
    ptp_reader_destroy(e->ptp_reader);
    ptp_device_close(&e->ptp);
    if (e->sock_fd >= 0)
        close(e->sock_fd);
}

void edges_check_ptp(struct edges *e)
{
    const struct config *config = e->config;
    const bool is_used = config->tracker.ptp.used && !e->ptp_failed;

    if (is_used && !e->ptp_reader) {
        const int result = ptp_reader_create(&e->ptp_reader);

        if (result < 0) {
            message_log(LINE(PTP_UNREADABLE), strerror(-result));
            e->ptp_failed = true;
            return;
        }
        event_loop_watch_ptp(e->loop, ptp_reader_fd(e->ptp_reader));
    }
    if (e->ptp_reader && !ptp_reader_is_busy(e->ptp_reader))
        ptp_device_check(&e->ptp, is_used ? config->ptp_clock : "", config->ptp_auto);
}

void edges_reconfigured(struct edges *e)
{
    e->ptp_failed = false;
    watched_device_forget(&e->device);
}

/* --- what is seen ----------------------------------------------------------------------------- */

static void look_at_clocks(struct observation *seen)
{
    struct system_clocks clocks;

    system_clock_look(&clocks);
    seen->now_ns = clocks.monotonic_ns;
    seen->suspended_ns = clocks.suspended_ns;
    seen->realtime_less_ns = clocks.realtime_less_ns;
}

void edges_look(struct edges *e, struct observation *seen)
{
    watched_device_look(&e->device, seen);
    look_at_clocks(seen);
}

bool edges_receive(struct edges *e, struct observation *seen)
{
    const ssize_t n = chronyd_receive(&e->link.chronyd, e->reply, sizeof(e->reply));

    if (n < 0)
        return false;
    log_debug("a reply of %zd bytes from chronyd", n);
    seen->chronyd = CHRONY_REPLY;
    seen->reply = e->reply;
    seen->reply_length = (size_t)n;
    return true;
}

bool edges_take_ptp(struct edges *e, struct observation *seen)
{
    if (!ptp_reader_take(e->ptp_reader, e->ptp_readings, &seen->n_ptp, &seen->ptp_request))
        return false;
    seen->ptp_read = true;
    seen->ptp = e->ptp_readings;
    return true;
}

/* Bring what the last orders asked for; a page that changes meanwhile makes it worthless. */
static void gather(struct edges *e, struct observation *seen)
{
    const enum host_look before = seen->look;

    if (before == HOST_LOOK_BUSY || before == HOST_LOOK_LOST)
        return;
    seen->measured = e->orders.measure;
    seen->realtime = e->realtime;
    seen->raw = e->raw;
    if (seen->measured & TRACKER_MEASURE_RAW) {
        seen->n_raw = CROSS_TIMESTAMPS_MAX / 2;
        system_clock_read(CLOCK_MONOTONIC_RAW, seen->n_raw, e->raw);
    }
    if ((seen->measured & TRACKER_MEASURE_TAI) && !system_clock_tai_offset(&seen->kernel_tai))
        seen->measured &= ~(unsigned)TRACKER_MEASURE_TAI;
    if (seen->measured & TRACKER_MEASURE_REALTIME) {
        seen->n_realtime = e->config->readings;
        system_clock_read(CLOCK_REALTIME, seen->n_realtime, e->realtime);
        seen->look = HOST_LOOK_NONE;
        watched_device_look(&e->device, seen);
        if (seen->look != HOST_LOOK_NONE)
            seen->measured = 0;
        else
            seen->look = before;
    }
}

/* --- what is ordered -------------------------------------------------------------------------- */

/* `result` of sending a command; `ret` is told if chronyd is gone. */
static void take_sent(struct edges *e, int result, struct observation *ret)
{
    log_debug("to chronyd: %s", result < 0          ? strerror(-result)
                                : e->link.is_unsent ? "its queue is full"
                                                    : "sent");
    if (result < 0) {
        ret->chronyd = CHRONY_GONE;
        ret->chronyd_error = -result;
    }
}

/* Do what was ordered; what comes of it is for the next step. */
static void execute(struct edges *e, struct observation *ret_next)
{
    const struct tracker_orders *orders = &e->orders;

    memset(ret_next, 0, sizeof(*ret_next));
    publisher_tell_applications(e->publisher, e->device.opened_ns);
    publisher_keep(e->publisher, orders);
    if (orders->save_before_command)
        publisher_save(e->publisher, true);
    if (orders->command_length) {
        log_debug("%s is for chronyd", chrony_command_str(orders->command_id));
        take_sent(
            e, chronyd_link_send(&e->link, orders->command, orders->command_length), ret_next);
    }
    if (orders->send_sample) {
        ret_next->sample_sent = true;
        ret_next->sample_error = -sock_sender_send(e->sock_fd, e->config->sock, &orders->sample);
        log_debug("sample: offset %+.9f s", orders->sample.offset);
    }
    if (orders->ptp_readings && e->ptp_reader && e->ptp.fd >= 0)
        ptp_reader_ask(
            e->ptp_reader, e->ptp.fd, orders->ptp_readings, e->ptp.limited, orders->ptp_request);
}

/* What was lost, or came, while this process was kept from running. */
static void look_for_reply(struct edges *e, struct observation *seen)
{
    if (e->link.is_unsent)
        take_sent(e, chronyd_link_send_again(&e->link), seen);
    seen->command_queued = chronyd_link_has_unread(&e->link);
    /* Time is not up for a reply that has come. */
    if (seen->chronyd == CHRONY_NOTHING && seen->now_ns >= e->orders.reply_deadline_ns)
        edges_receive(e, seen);
}

void edges_step(struct edges *e, struct observation *seen)
{
    for (int i = 0; i < STEPS_AT_ONCE; i++) {
        look_at_clocks(seen);
        seen->clock_source = e->clock_source.kind;
        seen->chronyd_id = e->link.chronyd.id;
        seen->ptp_id = e->ptp.id;
        seen->ptp_limited = e->ptp.limited;
        if (i > 0)
            watched_device_look(&e->device, seen);
        if (e->orders.measure && tracker_is_due(&e->config->tracker, &e->orders, seen->now_ns))
            gather(e, seen);
        if (seen->ptp_read && system_clock_tai_offset(&seen->kernel_tai))
            seen->measured |= TRACKER_MEASURE_TAI;
        if (e->orders.awaits_reply)
            look_for_reply(e, seen);
        tracker_step(e->tracker, seen, &e->orders);
        execute(e, seen);
        if (!tracker_goes_on(&e->orders, seen, system_clock_monotonic_ns()))
            break;
    }
    e->last_results = *seen;
}
