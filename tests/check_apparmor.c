/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/apparmor.h"

static char directory[] = "/tmp/check_apparmor.XXXXXX";
static char profile[64], local[64];

static void begin(void)
{
    char path[64];

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(profile, sizeof(profile), "%s/a", directory);
    snprintf(path, sizeof(path), "%s/local", directory);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(local, sizeof(local), "%s/local/a", directory);
}

static void end(void)
{
    unlink(profile);
    unlink(local);
    *strrchr(local, '/') = '\0';
    rmdir(local);
    ck_assert_int_eq(rmdir(directory), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static int allows(const char *rules, const char *path)
{
    char text[1024];

    snprintf(text, sizeof(text), "profile a {\n  #include <local/a>\n  capability chown,\n%s\n}\n",
        rules);
    write_file(profile, text);
    return apparmor_allows_write(profile, path);
}

START_TEST(a_rule_allows_what_its_path_matches)
{
    begin();
    ck_assert_int_eq(allows("  @{run}/chrony.*.sock rw,", "/run/chrony.vmclock.sock"), 1);
    ck_assert_int_eq(allows("  @{run}/chrony.*.sock rw,", "/var/run/chrony.vmclock.sock"), 1);
    ck_assert_int_eq(allows("  @{run}/chrony.*.sock rw,", "/run/chrony/chrony.a.sock"), 0);
    ck_assert_int_eq(allows("  @{run}/chrony.*.sock rw,", "/run/chronyXaYsock"), 0);
    ck_assert_int_eq(allows("  @{run}/chrony/{,*} rw,", "/run/chrony/vmclock.sock"), 1);
    ck_assert_int_eq(allows("  @{run}/chrony/{,*} rw,", "/run/chrony/deep/vmclock.sock"), 0);
    ck_assert_int_eq(allows("  @{run}/chrony/{,**} rw,", "/run/chrony/vmclock.sock"), 1);
    ck_assert_int_eq(allows("  @{run}/chrony/** rw,", "/run/chrony/deep/vmclock.sock"), 1);
    ck_assert_int_eq(allows("  rw /run/a?.[xy],", "/run/ab.x"), 1);
    ck_assert_int_eq(allows("  owner /run/a{b,c}.sock rwk,", "/run/ac.sock"), 1);
    end();
}
END_TEST

START_TEST(what_is_no_such_rule_allows_nothing)
{
    begin();
    ck_assert_int_eq(allows("  /run/a r,", "/run/a"), 0);
    ck_assert_int_eq(allows("  # /run/a rw,", "/run/a"), 0);
    ck_assert_int_eq(allows("  deny /run/a rw,", "/run/a"), 0);
    ck_assert_int_eq(allows("  @{unknown}/a rw,", "/run/a"), 0);
    ck_assert_int_eq(allows("  /run/a[ rw,", "/run/a"), 0);
    ck_assert_int_eq(allows("", "/run/a"), 0);
    end();
}
END_TEST

START_TEST(the_local_file_adds_to_it)
{
    begin();
    write_file(local, "/opt/vmclock.sock rw,\n");
    ck_assert_int_eq(allows("", "/opt/vmclock.sock"), 1);
    ck_assert_int_eq(allows("", "/opt/other.sock"), 0);
    end();
}
END_TEST

START_TEST(a_quoted_path_is_one)
{
    begin();
    ck_assert_int_eq(allows("  \"/run/a*.sock\" rw,", "/run/ab.sock"), 1);
    ck_assert_int_eq(allows("  \"/run/a*.sock\" r,", "/run/ab.sock"), 0);
    end();
}
END_TEST

START_TEST(only_an_enforced_label_confines)
{
    char enforced[] = "/usr/sbin/chronyd (enforce)\n", complains[] = "chronyd (complain)",
         none[] = "unconfined\n", empty[] = "", odd[] = "(enforce)";

    ck_assert_int_eq(apparmor_is_enforced(enforced), 1);
    ck_assert_str_eq(enforced, "/usr/sbin/chronyd");
    ck_assert_int_eq(apparmor_is_enforced(complains), 0);
    ck_assert_int_eq(apparmor_is_enforced(none), 0);
    ck_assert_int_eq(apparmor_is_enforced(empty), 0);
    ck_assert_int_eq(apparmor_is_enforced(odd), 0);
}
END_TEST

START_TEST(a_profile_that_is_not_there_says_so)
{
    ck_assert_int_eq(apparmor_allows_write("/nowhere/profile", "/run/a"), -ENOENT);
}
END_TEST

RUN_SUITE("apparmor", a_rule_allows_what_its_path_matches, what_is_no_such_rule_allows_nothing,
    the_local_file_adds_to_it, a_quoted_path_is_one, only_an_enforced_label_confines,
    a_profile_that_is_not_there_says_so)
