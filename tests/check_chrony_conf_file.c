/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/chrony_conf_world.h"

#include <errno.h>
#include <string.h>

#include "daemon/chrony_conf.h"

static struct chrony_conf conf;

static void refused(int error, const char *file, unsigned line, const char *why)
{
    ck_assert_int_eq(chrony_conf_read("c", &conf), -error);
    ck_assert_str_eq(conf.fault.place.file, file);
    ck_assert_uint_eq(conf.fault.place.line, line);
    ck_assert_msg(strstr(conf.fault.what, why) != NULL, "%s", conf.fault.what);
}

START_TEST(what_is_included_is_read_in_its_place)
{
    begin();
    ck_assert_int_eq(mkdir("a", 0700) + mkdir("b", 0700) + mkdir("b/30.conf", 0700), 0);
    put("c", "makestep 1 1\ninclude inc*\nconfdir a b nowhere\ninclude nothing*\n"
             "server 192.0.2.9\n");
    put("inc2", "makestep 2 2\nserver 192.0.2.2\n");
    put("inc1", "makestep 3 3\nserver 192.0.2.1\n");
    put("a/20.conf", "server 192.0.2.4\n");
    put("a/.hidden.conf", "server 192.0.2.99\n");
    put("a/a.conf~", "server 192.0.2.99\n");
    put("b/20.conf", "server 192.0.2.99\n");
    put("b/10.conf", "server 192.0.2.3\n");
    put("b/10.sources", "server 192.0.2.99\n");
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_int_eq(conf.makestep_limit, 2);
    ck_assert_str_eq(conf.makestep.file, "inc2");
    ck_assert_uint_eq(conf.n_servers, 5);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(conf.servers[i].address.bytes[3], i + 1);
    ck_assert_uint_eq(conf.servers[4].address.bytes[3], 9);
    ck_assert_str_eq(conf.servers[4].place.file, "c");
    ck_assert_uint_eq(conf.servers[4].place.line, 5);
    ck_assert_str_eq(conf.last_confdir, "a");
    end();
}
END_TEST

START_TEST(what_chronyd_cannot_read_it_does_not_start_with)
{
    begin();
    put("c", "\ninclude missing\n");
    refused(EINVAL, "missing", 0, "No such file");
    ck_assert_int_eq(symlink("nowhere", "x.conf"), 0);
    put("c", "include *.conf\n");
    refused(EINVAL, "x.conf", 0, "No such file");
    put("c", "include\n");
    refused(EINVAL, "c", 1, "one path");
    put("c", "confdir 1 2 3 4 5 6 7 8 9 10 11\n");
    refused(EINVAL, "c", 1, "10 directories");
    put("c", "sourcedir 1 2 3 4 5 6 7 8 9 10 11\ninclude /dev/null\nconfdir c\n");
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    end();
}
END_TEST

START_TEST(what_we_cannot_read_is_named_and_not_passed_over)
{
    begin();
    ck_assert_int_eq(chrony_conf_read("none", &conf), -ENOENT);
    ck_assert_str_eq(conf.fault.place.file, "none");
    ck_assert_int_eq(mkfifo("p", 0600), 0);
    put("c", "include p\n");
    refused(ENOTSUP, "p", 0, "regular");
    ck_assert(!conf.directives_known);
    ck_assert_int_eq(mkdir("s", 0700) + mkfifo("s/p.sources", 0600), 0);
    put("c", "sourcedir s\nmakestep 1 -1\n");
    refused(ENOTSUP, "s/p.sources", 0, "regular");
    ck_assert(conf.directives_known);
    ck_assert_int_eq(conf.makestep_limit, -1);
    if (geteuid() != 0) {
        put("secret", "");
        ck_assert_int_eq(chmod("secret", 0), 0);
        put("c", "include secret\n");
        refused(EACCES, "secret", 0, "denied");
    }
    end();
}
END_TEST

START_TEST(files_include_each_other_to_chronyds_depth)
{
    begin();
    put("c", "include i1\n");
    for (int i = '1'; i < '9'; i++)
        put((char[]){'i', (char)i, 0},
            (char[]){'i', 'n', 'c', 'l', 'u', 'd', 'e', ' ', 'i', (char)(i + 1), '\n', 0});
    put("i9", "makestep 1 3\n");
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_str_eq(conf.makestep.file, "i9");
    put("i9", "include i\n");
    put("i", "");
    refused(EINVAL, "i", 0, "more than 10");
    put("c", "include c\n");
    refused(EINVAL, "c", 0, "more than 10");
    end();
}
END_TEST

START_TEST(a_configuration_that_never_ends_does)
{
    begin();
    put("c", "include i1\n");
    for (int i = '1'; i < '8'; i++) {
        FILE *file = fopen((char[]){'i', (char)i, 0}, "w");

        for (int j = 0; j < 100; j++)
            fprintf(file, "include i%c\n", i + 1);
        fclose(file);
    }
    put("i8", "");
    ck_assert_int_eq(chrony_conf_read("c", &conf), -E2BIG);
    end();
}
END_TEST

START_TEST(a_line_has_chronyds_length)
{
    static char line[3000];

    begin();
    memset(line, '#', 2047);
    strcpy(line + 2046, "\nmakestep 1 3\n");
    put("c", line);
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_uint_eq(conf.makestep.line, 2);
    strcpy(line + 2046, "#\nmakestep 1 3\n");
    put("c", line);
    refused(EINVAL, "c", 1, "2046 bytes");
    end();
}
END_TEST

RUN_SUITE("chrony.conf's files", what_is_included_is_read_in_its_place,
    what_chronyd_cannot_read_it_does_not_start_with,
    what_we_cannot_read_is_named_and_not_passed_over, files_include_each_other_to_chronyds_depth,
    a_configuration_that_never_ends_does, a_line_has_chronyds_length)
