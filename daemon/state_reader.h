/* SPDX-License-Identifier: BSD-2-Clause */
/* The state file from outside: is it of a vmclockd that runs, and when is there a new one? */
#ifndef DAEMON_STATE_READER_H
#define DAEMON_STATE_READER_H

#include "daemon/state_file.h"

/*
 * Read the state of a vmclockd that runs. 0; -errno or -EBADMSG: as state_file_read(); -ESTALE: of
 * an earlier boot; -ECANCELED: it was stopped; -ESRCH: it died; -ETIMEDOUT: it does not write any
 * more. *ret_state is written with the last four, too.
 */
int state_reader_read(const char *path, struct state_file *ret_state);

/* What such an error means, in words. */
const char *state_reader_error_str(int error);

struct state_reader {
    char directory[CONFIG_PATH_MAX];
    const char *name; /* in it */
    int fd, watch;    /* inotify's; -1: none */
};

/* `path` has to outlive it. 0 or -errno. */
int state_reader_open(struct state_reader *reader, const char *path);
void state_reader_close(struct state_reader *reader);

/* Until the file is replaced since the last call, for so many ms at most; -1: no limit. */
void state_reader_wait(struct state_reader *reader, int timeout_ms);

#endif
