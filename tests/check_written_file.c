/* SPDX-License-Identifier: BSD-2-Clause */
/* When a write that fails is news, and what may be removed. */
#include "daemon/written_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/suite.h"

static struct written_file file;
static char directory[32], path[64], other[64];

static void setup(void)
{
    file = (struct written_file){.error = 0};
    snprintf(directory, sizeof(directory), "/tmp/check_written.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/file", directory);
    snprintf(other, sizeof(other), "%s/other", directory);
}

static void make(const char *name)
{
    FILE *stream = fopen(name, "we");

    ck_assert_ptr_nonnull(stream);
    fclose(stream);
}

static void clean(void)
{
    unlink(path);
    unlink(other);
    rmdir(directory);
}

START_TEST(a_failure_is_news_once_for_each_reason_and_so_is_its_end)
{
    ck_assert_int_eq(written_file_take(&file, path, 0), WRITTEN_AS_BEFORE);
    ck_assert_int_eq(written_file_take(&file, path, -ENOSPC), WRITTEN_NOT);
    ck_assert_int_eq(written_file_take(&file, path, -ENOSPC), WRITTEN_AS_BEFORE);
    ck_assert_int_eq(written_file_take(&file, path, -EROFS), WRITTEN_NOT);
    ck_assert_int_eq(written_file_take(&file, path, 0), WRITTEN_AGAIN);
    ck_assert_int_eq(written_file_take(&file, path, 0), WRITTEN_AS_BEFORE);
}
END_TEST

START_TEST(what_was_of_another_path_is_forgotten)
{
    ck_assert_int_eq(written_file_take(&file, path, -ENOSPC), WRITTEN_NOT);
    ck_assert_int_eq(written_file_take(&file, other, 0), WRITTEN_AS_BEFORE);
    ck_assert_int_eq(written_file_take(&file, other, -ENOSPC), WRITTEN_NOT);
    ck_assert_int_eq(written_file_take(&file, "", 0), WRITTEN_AS_BEFORE);
    ck_assert_int_eq(written_file_take(&file, other, 0), WRITTEN_AS_BEFORE);
}
END_TEST

START_TEST(what_is_ours_is_removed_and_nothing_else)
{
    make(path);
    written_file_remove(&file);
    written_file_take(&file, path, -EEXIST);
    written_file_own(&file); /* it was not written */
    written_file_remove(&file);
    ck_assert_int_eq(access(path, F_OK), 0);
    written_file_take(&file, path, 0);
    written_file_own(&file);
    make(other);
    ck_assert_int_eq(rename(other, path), 0); /* somebody else's */
    written_file_remove(&file);
    ck_assert_int_eq(access(path, F_OK), 0);
    written_file_own(&file);
    written_file_remove(&file);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_uint_eq(file.inode, 0); /* the next file may be given its number */
}
END_TEST

RUN_LOOPS_BETWEEN(setup, clean, "written file",
    {a_failure_is_news_once_for_each_reason_and_so_is_its_end, 1},
    {what_was_of_another_path_is_forgotten, 1}, {what_is_ours_is_removed_and_nothing_else, 1})
