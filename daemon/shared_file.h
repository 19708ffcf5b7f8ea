/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file that readers keep mapped for life: it is written in place, never replaced and never made
 * shorter. One that was removed, or made shorter by others, is made again.
 */
#ifndef DAEMON_SHARED_FILE_H
#define DAEMON_SHARED_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct shared_file {
    int fd; /* -1: it is not open */
    void *map;
    size_t size;
};

void shared_file_init(struct shared_file *f, size_t size);
void shared_file_close(struct shared_file *f);

/* The one that is open is there, whole: it may be written. */
bool shared_file_is_intact(const struct shared_file *f);

/*
 * Open it where it is not, or no longer is what it was: made with mode 0644, with its directory.
 * 0: as it was; 1: it has just been opened; or -errno; -EEXIST: there is something else at `path`,
 * to be left alone: not a file, or one that does not begin with the `n` bytes of `magic`.
 */
int shared_file_open(struct shared_file *f, const char *path, const void *magic, size_t n);

#endif
