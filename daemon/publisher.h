/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the world is told, when there is time for it: events in the journal and in the files for
 * applications, the state file, the metrics, the service manager's status line. A file that cannot
 * be written is logged once, and once more when it can be again.
 */
#ifndef DAEMON_PUBLISHER_H
#define DAEMON_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/announcement.h"
#include "daemon/clock_file.h"
#include "daemon/clockbound.h"
#include "daemon/config.h"
#include "daemon/history.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"
#include "daemon/written_file.h"
#include "refclock/tracker.h"

#define PUBLISHER_EVENTS_MAX 64

enum publisher_file {
    PUBLISHER_STATE,
    PUBLISHER_HISTORY,
    PUBLISHER_METRICS,
    PUBLISHER_CLOCK,
    PUBLISHER_CLOCKBOUND,
    PUBLISHER_ANNOUNCEMENT, /* and the kind of it */
    PUBLISHER_FILES = PUBLISHER_ANNOUNCEMENT + ANNOUNCEMENTS,
};

struct publisher {
    const struct config *config;   /* as it is now */
    const struct tracker *tracker; /* what is told of; nothing before tracker_init() */
    char boot_id[STATE_BOOT_ID_MAX];
    struct state_file state; /* as last read or written */
    bool config_rejected;    /* at the last reload */
    bool save;               /* it is to be written, when there is time */
    struct {
        struct event event;
        enum recovery_cause cause; /* the recovery's, when it happened */
    } events[PUBLISHER_EVENTS_MAX];
    unsigned n_events, events_left_out;
    int64_t metrics_at_ns; /* CLOCK_MONOTONIC; not before */
    struct written_file files[PUBLISHER_FILES];
    struct clock_moment disrupted, recovered; /* when the last ones began */
    struct history history;
    struct clock_file clock_file;
    struct clockbound clockbound;
    char status[160];
};

void publisher_init(
    struct publisher *p, const struct config *config, const struct tracker *tracker);

/*
 * After each step, before anything else: what is so of the clock, by the device that was opened
 * then (CLOCK_MONOTONIC; 0: none is open). And at the end: nothing.
 */
void publisher_tell_applications(struct publisher *p, int64_t device_opened_ns);
void publisher_leave_applications(struct publisher *p);

/* What the vmclockd before left of this boot: once the boot is known. */
void publisher_take_history(struct publisher *p);

/* The configuration was read again, and is `taken`, which is returned, or rejected. */
bool publisher_take_reload(struct publisher *p, bool taken);

/* Keep what these orders say until there is time; events that are too many are counted. */
void publisher_keep(struct publisher *p, const struct tracker_orders *orders);
bool publisher_has_news(const struct publisher *p);

/* Tell of the events that were kept. */
void publisher_flush(struct publisher *p);

/* One event at once. */
void publisher_tell(struct publisher *p, const struct event *event);

/* Write the state file; `running` false: the last one of this process. */
void publisher_save(struct publisher *p, bool running);

/* Write the metrics of the last state file: every 15 s, and after news. Take them away. */
void publisher_write_metrics(struct publisher *p, int64_t now_ns);
void publisher_remove_metrics(struct publisher *p);

/* Tell the service manager, where there is something else to tell. */
void publisher_tell_service_manager(struct publisher *p);

#endif
