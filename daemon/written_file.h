/* SPDX-License-Identifier: BSD-2-Clause */
/* A file that is written again and again: when a failure is news, and whether it is ours. */
#ifndef DAEMON_WRITTEN_FILE_H
#define DAEMON_WRITTEN_FILE_H

#include <sys/types.h>

struct written_file {
    char path[256]; /* that the rest is of */
    int error;      /* of the last write: 0 or -errno */
    dev_t device;   /* what is ours, by its inode; 0: nothing is */
    ino_t inode;
};

enum written_news {
    WRITTEN_AS_BEFORE,
    WRITTEN_NOT, /* it cannot be written, for another reason than the last time or for the first */
    WRITTEN_AGAIN,
};

/*
 * A write to `path` ended with `result`, 0 or -errno. Empty: there is no such file; as with another
 * path, nothing of the one before is remembered.
 */
enum written_news written_file_take(struct written_file *f, const char *path, int result);

/* The last write has made what is there ours, to be removed. */
void written_file_own(struct written_file *f);

/* Remove what is ours, unless something else has taken its place. */
void written_file_remove(struct written_file *f);

/* As strerror() does; of -EEXIST, that something else is there. */
const char *written_file_why(int error);

#endif
