/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/chrony_conf.h"

static char directory[] = "/tmp/check_chrony_conf.XXXXXX";
static struct chrony_conf conf;

static void begin(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
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
    ck_assert_int_eq(nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(what_it_does_not_say_is_chronyds_default)
{
    begin();
    put("c", "refclock SOCK /run/a.sock\nserver 192.0.2.1 iburst\n");
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_uint_eq(conf.n_refclocks, 1);
    ck_assert_str_eq(conf.refclocks[0].path, "/run/a.sock");
    ck_assert_str_eq(conf.refclocks[0].refid, "");
    ck_assert_int_eq(conf.refclocks[0].poll, 4);
    ck_assert_int_eq(conf.refclocks[0].filter, 64);
    ck_assert(!conf.refclocks[0].trust && !conf.refclocks[0].prefer);
    ck_assert_uint_eq(conf.n_servers, 1);
    ck_assert_int_eq(conf.servers[0].minpoll, 6);
    ck_assert_int_eq(conf.servers[0].maxpoll, 10);
    ck_assert(!conf.has_makestep);
    ck_assert_str_eq(conf.command_socket, "");
    end();
}
END_TEST

START_TEST(directives_options_and_comments_are_read)
{
    begin();
    put("c", "! a\n; b\n% c\n# d\n  #refclock SOCK /run/no.sock\n"
             "RefClock  sock\t/run/b.sock refid VMCL Poll -2 filter 16 trust prefer noselect\r\n"
             "refclock PHC /dev/ptp0 poll 0\nrefclock SOCK\n\n"
             "server ntp.example.com minpoll 3\npool 192.0.2.9\n"
             "peer 2001:db8::1 minpoll 12\nserver 192.0.2.2 minpoll -2 maxpoll 4\n"
             "makestep 1 3\nmakestep 0.5 -1\nmakestep\n"
             "bindcmdaddress 127.0.0.1\nbindcmdaddress /run/other/chronyd.sock");
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_uint_eq(conf.n_refclocks, 1);
    ck_assert_str_eq(conf.refclocks[0].path, "/run/b.sock");
    ck_assert_str_eq(conf.refclocks[0].refid, "VMCL");
    ck_assert_int_eq(conf.refclocks[0].poll, -2);
    ck_assert_int_eq(conf.refclocks[0].filter, 16);
    ck_assert(conf.refclocks[0].trust && conf.refclocks[0].prefer && conf.refclocks[0].noselect);
    ck_assert_uint_eq(conf.refclocks[0].place.line, 6);
    ck_assert_uint_eq(conf.n_servers, 2);
    ck_assert_uint_eq(conf.servers[0].address.family, 2);
    ck_assert_int_eq(conf.servers[0].maxpoll, 12);
    ck_assert_int_eq(conf.servers[1].minpoll, -2);
    ck_assert_int_eq(conf.servers[1].maxpoll, 4);
    ck_assert(conf.has_makestep);
    ck_assert_double_eq(conf.makestep_threshold_sec, 0.5);
    ck_assert_int_eq(conf.makestep_limit, -1);
    ck_assert_uint_eq(conf.makestep.line, 15);
    ck_assert_str_eq(conf.command_socket, "/run/other/chronyd.sock");
    end();
}
END_TEST

START_TEST(what_is_included_is_read_in_its_place)
{
    begin();
    ck_assert_int_eq(mkdir("a", 0700) + mkdir("b", 0700) + mkdir("s", 0700), 0);
    put("c", "makestep 1 1\ninclude inc*\nconfdir a b nowhere\nsourcedir s\ninclude nothing*\n"
             "server 192.0.2.9\n");
    put("inc2", "makestep 2 2\nserver 192.0.2.2\n");
    put("inc1", "makestep 3 3\nserver 192.0.2.1\n");
    put("a/20.conf", "server 192.0.2.4\n");
    put("b/20.conf", "server 192.0.2.99\n");
    put("b/10.conf", "server 192.0.2.3\n");
    put("b/10.sources", "server 192.0.2.99\n");
    put("s/x.sources", "server 192.0.2.5\n");
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_int_eq(conf.makestep_limit, 2);
    ck_assert_str_eq(conf.makestep.file, "inc2");
    ck_assert_uint_eq(conf.n_servers, 6);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(conf.servers[i].address.bytes[3], i + 1);
    ck_assert_uint_eq(conf.servers[5].address.bytes[3], 9);
    ck_assert_str_eq(conf.servers[5].place.file, "c");
    ck_assert_uint_eq(conf.servers[5].place.line, 6);
    end();
}
END_TEST

START_TEST(what_cannot_be_read_or_never_ends_is_an_error)
{
    begin();
    ck_assert_int_eq(chrony_conf_read("none", &conf), -ENOENT);
    put("c", "include c\n");
    ck_assert_int_eq(chrony_conf_read("c", &conf), -ELOOP);
    end();
}
END_TEST

START_TEST(there_may_be_more_of_everything_than_there_is_room_for)
{
    FILE *file;

    begin();
    file = fopen("c", "w");
    for (int i = 0; i < 300; i++)
        fprintf(file, "refclock SOCK /run/%d.sock\nserver 192.0.2.%d\n", i, i % 250);
    for (int i = 0; i < 3000; i++)
        fputs("word ", file);
    fclose(file);
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_uint_eq(conf.n_refclocks, CHRONY_CONF_REFCLOCKS_MAX);
    ck_assert_uint_eq(conf.n_servers, CHRONY_CONF_SERVERS_MAX);
    end();
}
END_TEST

START_TEST(no_mixture_of_its_words_does_any_harm)
{
    static const char *const words[] = {"refclock", "SOCK", "/run/a.sock", "refid", "VMCL", "poll",
        "filter", "-99999999999999999999", "server", "192.0.2.1", "::1", "minpoll", "maxpoll",
        "makestep", "1e999", "bindcmdaddress", "/", "include", "confdir", "sourcedir", "c*", ".",
        "#", "!", "\n", "\n", "\n", "\xff", "\r"};
    unsigned short random[3] = {1};

    begin();
    for (int i = 0; i < 300; i++) {
        FILE *file = fopen("c.conf", "w");

        for (long n = nrand48(random) % 200; n > 0; n--)
            fprintf(
                file, "%s ", words[(size_t)nrand48(random) % (sizeof(words) / sizeof(words[0]))]);
        fclose(file);
        chrony_conf_read("c.conf", &conf);
        ck_assert_uint_le(conf.n_refclocks, CHRONY_CONF_REFCLOCKS_MAX);
        ck_assert_uint_le(conf.n_servers, CHRONY_CONF_SERVERS_MAX);
    }
    end();
}
END_TEST

RUN_SUITE("chrony.conf", what_it_does_not_say_is_chronyds_default,
    directives_options_and_comments_are_read, what_is_included_is_read_in_its_place,
    what_cannot_be_read_or_never_ends_is_an_error,
    there_may_be_more_of_everything_than_there_is_room_for, no_mixture_of_its_words_does_any_harm)
