/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last recoveries of this boot, in a file beside the state file, which the next vmclockd goes
 * on with: a line each, oldest first, of key=value; what is not known is "-".
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "daemon/config.h"
#include "daemon/state_file.h"

#define HISTORY_MAX      32
#define HISTORY_LINE_MAX 384
#define HISTORY_SUFFIX   ".history" /* behind the state file's path */

struct history {
    uid_t owner; /* of the file that was read */
    unsigned n;
    char lines[HISTORY_MAX][HISTORY_LINE_MAX];
    /* Of the last line, as it was described. */
    int64_t started_ns, reset_ns, corrected_ns, synchronised_ns, ended_ns;
    enum recovery_outcome outcome;
    bool is_ours; /* it is of this process, and may still change */
    bool dirty;   /* there is something to write */
};

/* A column of a line: its name, and whether it is a number. */
struct history_column {
    const char *name;
    bool is_number;
};
extern const struct history_column history_columns[];
extern const size_t history_n_columns;

/* What was kept of this boot; an empty one where there is nothing. 0 or -errno. */
int history_read(const char *state_file, const char *boot_id, struct history *ret_history);

/* Of a vmclockd that was killed: what ran then was left. */
void history_take_over(struct history *h);

/* After each step: the recovery that runs, or ran last, as it is now, and when it began. */
void history_take(
    struct history *h, const struct tracker *tracker, const struct clock_moment *began);

/* Write it, where it has changed. 0 or -errno. */
int history_write(struct history *h, const char *state_file, const char *boot_id);

/* The value of a column in a line; false: it is not known. */
bool history_value(const char *line, const char *column, char *ret_value, size_t size);

#endif
