/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/written_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum written_news written_file_take(struct written_file *f, const char *path, int result)
{
    int before;

    if (strcmp(f->path, path) != 0) {
        *f = (struct written_file){.error = 0};
        snprintf(f->path, sizeof(f->path), "%s", path);
    }
    if (!path[0])
        return WRITTEN_AS_BEFORE;
    before = f->error;
    f->error = result;
    if (result < 0)
        return result != before ? WRITTEN_NOT : WRITTEN_AS_BEFORE;
    return before < 0 ? WRITTEN_AGAIN : WRITTEN_AS_BEFORE;
}

void written_file_own(struct written_file *f)
{
    struct stat status;

    if (f->error == 0 && lstat(f->path, &status) == 0) {
        f->device = status.st_dev;
        f->inode = status.st_ino;
    }
}

void written_file_remove(struct written_file *f)
{
    struct stat status;

    if (f->inode != 0 && lstat(f->path, &status) == 0 && status.st_dev == f->device &&
        status.st_ino == f->inode)
        unlink(f->path);
    f->inode = 0;
}

const char *written_file_why(int error)
{
    return error == -EEXIST ? "something else is there" : strerror(-error);
}
