/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All between the tracker and the world: gather what is seen, make one call into the core, do what
 * it orders. Between the steps of a recovery nothing is printed and no file is written, but the
 * state file before a command that has to be remembered.
 */
#ifndef DAEMON_EDGES_H
#define DAEMON_EDGES_H

#include "daemon/chronyd_link.h"
#include "daemon/clock_source.h"
#include "daemon/config.h"
#include "daemon/ptp_device.h"
#include "daemon/publisher.h"
#include "daemon/watched_device.h"
#include "refclock/tracker.h"

struct event_loop;
struct ptp_reader;

struct edges {
    const struct config *config; /* as it is now */
    struct tracker *tracker;
    struct publisher *publisher;
    struct event_loop *loop; /* NULL: there is none yet */
    struct watched_device device;
    struct clock_source clock_source;
    struct ptp_device ptp;
    struct ptp_reader *ptp_reader; /* NULL: there is no PTP clock to read */
    bool ptp_failed;               /* it cannot be read, which has been logged */
    struct chronyd_link link;
    int sock_fd;
    struct tracker_orders orders;    /* of the last step */
    struct observation last_results; /* what came of them: an observation begins with it */
    struct cross_timestamp realtime[CROSS_TIMESTAMPS_MAX], raw[CROSS_TIMESTAMPS_MAX];
    struct ptp_reading ptp_readings[PTP_READINGS_MAX];
    uint8_t reply[CHRONY_REPLY_MAX];
};

void edges_init(struct edges *e, const struct config *config, struct tracker *tracker,
    struct publisher *publisher);
/* The socket for samples. 0 or -errno. */
int edges_open_sender(struct edges *e);
/* From now on there is a loop to wait in. */
void edges_join(struct edges *e, struct event_loop *loop);
void edges_close(struct edges *e);

/* Add to an observation: the page and the clocks as they are now. */
void edges_look(struct edges *e, struct observation *seen);
/* The same, one datagram from chronyd, or a batch of the PTP clock's readings; false: there is
 * none. */
bool edges_receive(struct edges *e, struct observation *seen);
bool edges_take_ptp(struct edges *e, struct observation *seen);

/* Steps, beginning with what was seen, until something has to be waited for. */
void edges_step(struct edges *e, struct observation *seen);

/* The configuration is another one: the page is shown once more. */
void edges_reconfigured(struct edges *e);

/* The PTP clock comes and goes; what is being read stays open. */
void edges_check_ptp(struct edges *e);

#endif
