/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's node in /dev: who else may read it, and what is there beside it. */
#ifndef DAEMON_DEVICE_NODE_H
#define DAEMON_DEVICE_NODE_H

#include <stdbool.h>
#include <sys/utsname.h>

/*
 * Does CVE-2026-80724 let every reader of the node forge the host's time under this release of
 * the kernel, as uname() gives it: 6.13 to 6.18.46, 6.19 to 7.1.10, 7.2.0? A distribution may have
 * fixed it without another number. False for what is no release.
 */
bool node_release_is_forgeable(const char *release);

/* May everybody read the device, under such a kernel? Then *ret_system is what uname() gives. */
bool device_node_is_forgeable(const char *device, struct utsname *ret_system);

/* Warn, in the log, of a device that others may read under such a kernel, and of more devices. */
void device_node_warn(const char *device);

#endif
