/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened between two states of vmclockd: a line each for people, or an object each. */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "daemon/state_file.h"

/*
 * Print what is, then what happens until vmclockd ends, with JSON or without. Returns 0 where the
 * output cannot be written any more, else as state_reader_read().
 */
int watch_run(const struct config *config, bool json);

#endif
