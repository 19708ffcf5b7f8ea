/* SPDX-License-Identifier: BSD-2-Clause */
/* The state file from outside: is it of a vmclockd that runs, and when is there a new one? */
#ifndef DAEMON_STATE_READER_H
#define DAEMON_STATE_READER_H

#include "daemon/state_file.h"

#define STATE_READER_TEXT_MAX (CONFIG_PATH_MAX + 192)

/*
 * Read the state of the vmclockd with this configuration. 0: it runs. -EBUSY: it is alive, as the
 * process ret_state->process, and does not write its state. Else none runs: -errno or -EBADMSG, as
 * state_file_read(); -ESTALE: of an earlier boot; -ECANCELED: it was stopped; -ESRCH: it died;
 * -ETIMEDOUT: nothing was written for long, and whose it is cannot be seen from here. What
 * *ret_state says is to be believed with 0 alone.
 */
int state_reader_read(const struct config *config, struct state_file *ret_state);

/* Why none runs, in a few words, and any of it in a sentence. */
const char *state_reader_error_str(int error);
void state_reader_explain(const struct config *config, int error, const struct state_file *state,
    char ret_text[STATE_READER_TEXT_MAX]);

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
