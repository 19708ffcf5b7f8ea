/* SPDX-License-Identifier: BSD-2-Clause */
/* A directory with configuration files, for the tests of what reads them. */
#ifndef TESTS_CHRONY_CONF_WORLD_H
#define TESTS_CHRONY_CONF_WORLD_H

#include "tests/suite.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char world_directory[64];

static void begin(void)
{
    snprintf(world_directory, sizeof(world_directory), "/tmp/check_chrony_conf.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(world_directory));
    ck_assert_int_eq(chdir(world_directory), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void end(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(nftw(world_directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

#endif
