/* SPDX-License-Identifier: BSD-2-Clause */
/* What AppArmor lets a program do: by the kernel, and by a profile's own rules. */
#ifndef DAEMON_APPARMOR_H
#define DAEMON_APPARMOR_H

#define APPARMOR_LABEL_MAX 256

/* Take the mode, " (enforce)" and the like, off what a process or the kernel's list has for a
 * label. 1: it is enforced; 0: it is not, or nothing confines. */
int apparmor_is_enforced(char *label);

/* The loaded profile of `program`, of its path or its name; as above, -1: the list cannot be read.
 */
int apparmor_loaded(const char *program, char ret_label[APPARMOR_LABEL_MAX]);

/* Ask the kernel whether what is loaded as `label` may write at `path`: 1, 0; -errno: it is mute.
 */
int apparmor_kernel_allows_write(const char *label, const char *path);

/*
 * Do the rules of `profile`, and of the file of its name in local/ beside it, let its program
 * write at `path`? 1: yes; 0: none of them does; -errno: the profile cannot be read.
 */
int apparmor_allows_write(const char *profile, const char *path);

#endif
