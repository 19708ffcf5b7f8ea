/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration read once more while vmclockd runs. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "daemon/config.h"

/*
 * Read the file that `present` is of. 0; or -errno, and *ret_fresh is not to be used. What is wrong
 * has been logged, as has each path that changes with the next start alone: it is as it was.
 */
int reload_config(const struct config *present, struct config *ret_fresh);

#endif
