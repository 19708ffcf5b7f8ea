/* SPDX-License-Identifier: BSD-2-Clause */
/* What applications are told of the clock: the page of lib/clock_page.h, in clock-file. */
#ifndef DAEMON_CLOCK_FILE_H
#define DAEMON_CLOCK_FILE_H

#include "daemon/shared_file.h"
#include "refclock/tracker.h"

struct clock_file {
    struct shared_file file;
    char path[256]; /* of what is open */
};

/* What both files tell, as of now. */
struct clock_report {
    const struct bound *bound;
    int64_t device_opened_ns; /* as in struct clock_page_slot */
    int64_t coarse_ns;        /* CLOCK_MONOTONIC_COARSE now */
    int64_t age_ns;           /* since the bound was true */
    int64_t realtime_ns;      /* CLOCK_REALTIME now */
    int64_t realtime_less_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC */
    uint64_t marker, vm_generation;
    unsigned flags; /* enum clock_page_flag */
    uint32_t page_sequence;
    int page_ahead_sec;
};

void clock_report_make(
    const struct tracker *tracker, int64_t device_opened_ns, struct clock_report *ret_report);

void clock_file_init(struct clock_file *c);

/* Ends what is told: what a vmclockd left behind says nothing of the time after it. */
void clock_file_close(struct clock_file *c);

/* `path` empty: none, and what is open is closed. 0 or -errno; -EEXIST: something else is there. */
int clock_file_write(struct clock_file *c, const char *path, const char *device,
    const char *boot_id, const struct clock_report *report);

#endif
