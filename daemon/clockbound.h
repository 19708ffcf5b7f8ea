/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The segment that ClockBound's clients read: version 2, 80 bytes. Its layout and what its readers
 * do with it were seen in ClockBound 2.0.2.
 */
#ifndef DAEMON_CLOCKBOUND_H
#define DAEMON_CLOCKBOUND_H

#include "daemon/clock_file.h"

struct clockbound {
    struct shared_file file;
    char path[256];
    uint16_t generation;    /* of what we wrote last, or found */
    int64_t watch_until_ns; /* CLOCK_MONOTONIC_COARSE: until then we see whether others write */
    bool taken;             /* they do: we do not */
};

void clockbound_init(struct clockbound *c);

/* Ends what is told. */
void clockbound_close(struct clockbound *c);

/*
 * `path` empty: none, and what is open is closed. `marker_too`: the readers are to compare the
 * marker with /dev/vmclock0 themselves. 0 or -errno; -EEXIST: something else is there; -EBUSY:
 * another program writes it, ClockBound's own say, and is left to it until the path is another one.
 */
int clockbound_write(
    struct clockbound *c, const char *path, bool marker_too, const struct clock_report *report);

#endif
