/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state file: what outlives the daemon, and what vmclockctl shows. Flat "key = value" lines,
 * replaced as a whole by rename.
 */
#ifndef DAEMON_STATE_FILE_H
#define DAEMON_STATE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/state_key.h"

#define STATE_ENTRIES_MAX   112
#define STATE_BOOT_ID_MAX   40
#define STATE_NAMESPACE_MAX 40

/* Not written for that long: the process that wrote it hangs or is dead. */
#define STATE_STALE_NS INT64_C(5000000000)

struct state_file {
    uid_t owner;   /* of the file that was read */
    pid_t process; /* state_reader_read(): whose it is, and alive; 0: it cannot be told */
    int error;     /* and why the file is no state of that process, or 0 */
    unsigned n;
    struct {
        char key[STATE_KEY_MAX];
        char value[STATE_VALUE_MAX];
    } entries[STATE_ENTRIES_MAX];
};

/* Read it whole; 0 or -errno, -EBADMSG: not a state file. */
int state_file_read(const char *path, struct state_file *ret_state);

/* A value; NULL: there is none, or it is empty. */
const char *state_file_value(const struct state_file *state, const char *key);
bool state_file_value_is(const struct state_file *state, const char *key, const char *expected);

/* For people, "unknown" without a value; as a number, 0 without one. */
const char *state_file_text(const struct state_file *state, const char *key);
double state_file_number(const struct state_file *state, const char *key);

/* Whether the page, and so the marker, is not seen. */
bool state_file_is_blind(const struct state_file *state);

/* Is the daemon at work, chronyd in sync, do samples reach it, and is the clock right by them? */
bool state_file_all_is_well(const struct state_file *state);

/*
 * What tracker_init() needs of it: valid only if it was written since this boot. `config` has what
 * a file of an earlier version does not say.
 */
struct tracker_saved state_file_saved(
    const struct state_file *state, const char *boot_id, const struct recovery_config *config);

/* What is to be seen of the daemon now; `running` false: the last one of this process. */
void state_file_describe(const struct config *config, const struct tracker *tracker,
    const char *boot_id, const struct state_marks *marks, struct state_file *ret_state);

/* Replace the file at `path`. 0 or -errno, -E2BIG: there is too much of it. */
int state_file_write(const char *path, const struct state_file *state);

/* This boot's id; 0 or -errno, and an empty one, if the kernel does not tell. */
int state_file_boot_id(char ret_id[STATE_BOOT_ID_MAX]);

/* The namespace that this process' number is of; empty if the kernel does not tell. */
void state_file_pid_namespace(char ret_namespace[STATE_NAMESPACE_MAX]);

#endif
