/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened between two states of vmclockd: a line each for people, or an object each. */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H

#include "daemon/state_reader.h"
#include "daemon/status_report.h"

/*
 * Print what is, then what happens until vmclockd ends, and is not started again within seconds, or
 * does not write its state any more, with JSON or without, there with `colour`. A marker that
 * changes again and again is told of once, and once more when it has stopped. Returns 0 where the
 * output cannot be written any more, else as state_reader_read(), and why in a sentence.
 */
int watch_run(const struct config *config, const struct status_mistakes *mistakes, bool json,
    bool colour, char ret_why[STATE_READER_TEXT_MAX]);

#endif
