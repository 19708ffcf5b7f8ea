/* SPDX-License-Identifier: BSD-2-Clause */
/* A small file replaced as a whole: a reader finds the old one or the new one. */
#ifndef DAEMON_REPLACE_FILE_H
#define DAEMON_REPLACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Write PATH.new and rename it to `path`; it can be read by everybody. A missing directory is made,
 * one level. 0 or -errno; then the old file is still there. -EEXIST: what is there is no file.
 */
int replace_file(const char *path, const void *bytes, size_t n);

/* The same by another name than PATH.new, of the same file system, whose directory is made. */
int replace_file_by(const char *fresh, const char *path, const void *bytes, size_t n);

/* Open it to read, without waiting. A descriptor or -errno, -EEXIST: what is there is no file. */
int open_replaced(const char *path);

/* Is it this user's, or root's? What others have made is not to be believed. */
bool is_trusted_owner(uid_t owner);

/*
 * The directory that `path` is in: the one that systemd makes is missing where somebody starts the
 * daemon by hand.
 */
void make_directory_of(const char *path);

/* One level, that everybody may list and enter; it may be there already. */
void make_public_directory(const char *path);

#endif
