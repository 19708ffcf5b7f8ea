/* SPDX-License-Identifier: BSD-2-Clause */
/* What an AppArmor profile says of a path, as far as can be told from its own rules. */
#ifndef DAEMON_APPARMOR_H
#define DAEMON_APPARMOR_H

/*
 * Do the rules of `profile`, and of the file of its name in local/ beside it, let its program
 * write at `path`? 1: yes; 0: none of them does; -errno: the profile cannot be read.
 */
int apparmor_allows_write(const char *profile, const char *path);

#endif
