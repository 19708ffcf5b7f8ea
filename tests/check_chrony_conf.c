/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/chrony_conf_world.h"

#include <errno.h>
#include <string.h>

#include "daemon/chrony_conf.h"

static struct chrony_conf conf;

static int reads(const char *text)
{
    put("c", text);
    return chrony_conf_read("c", &conf);
}

static void refused(const char *text, unsigned line, const char *why)
{
    char fault[512];

    ck_assert_int_eq(reads(text), -EINVAL);
    chrony_conf_fault_str(&conf, fault, sizeof(fault));
    ck_assert_msg(strstr(fault, why) != NULL, "%s: %s", text, fault);
    ck_assert_uint_eq(conf.fault.place.line, line);
}

START_TEST(what_it_does_not_say_is_not_set)
{
    begin();
    ck_assert_int_eq(reads(""), 0);
    ck_assert_uint_eq(conf.n_refclocks + conf.n_servers + conf.n_unkept, 0);
    ck_assert_uint_eq(conf.makestep.line, 0);
    ck_assert_str_eq(conf.command_socket, "");
    ck_assert(!conf.command_socket_off && !conf.has_leap_seconds);
    ck_assert_uint_eq(conf.minsources.place.line + conf.maxchange.place.line, 0);
    end();
}
END_TEST

START_TEST(the_last_of_two_values_and_the_first_of_two_servers_count)
{
    begin();
    ck_assert_int_eq(reads("! a\n; b\n% c\n# d\n  #refclock SOCK /run/no.sock\n"
                           "RefClock  SOCK\t/run/b.sock refid VMCL Poll -2\r\n"
                           "refclock PHC /dev/ptp0:nocrossts poll 0 tai\nleapsectz right/UTC\n\n"
                           "server ntp.example.com minpoll 3\npool 192.0.2.9\n"
                           "server 192.0.2.2 minpoll -2 maxpoll 4\nPEER 192.0.2.2 minpoll 5\n"
                           "makestep 1 3\nmakestep 0.5 -7\nminsources 2\nmaxchange 1000 1 2\n"
                           "bindcmdaddress 127.0.0.1\nbindcmdaddress /run/other/chronyd.sock"),
        0);
    ck_assert_uint_eq(conf.n_refclocks, 2);
    ck_assert_str_eq(conf.refclocks[0].path, "/run/b.sock");
    ck_assert_uint_eq(conf.refclocks[0].place.line, 6);
    ck_assert_str_eq(conf.refclocks[1].driver, "PHC");
    ck_assert_str_eq(conf.refclocks[1].path, "/dev/ptp0");
    ck_assert(conf.refclocks[1].tai);
    ck_assert_uint_eq(conf.n_servers, 3);
    ck_assert_uint_eq(conf.servers[0].address.family, 0);
    ck_assert_int_eq(conf.servers[0].minpoll, 3);
    ck_assert_int_eq(conf.servers[1].kind, CHRONY_CONF_POOL);
    ck_assert_int_eq(conf.servers[2].minpoll, -2);
    ck_assert_int_eq(conf.servers[2].maxpoll, 4);
    ck_assert_double_eq(conf.makestep_threshold_sec, 0.5);
    ck_assert_int_eq(conf.makestep_limit, -1);
    ck_assert_uint_eq(conf.makestep.line, 15);
    ck_assert_int_eq(conf.minsources.value, 2);
    ck_assert_uint_eq(conf.maxchange.place.line, 17);
    ck_assert_str_eq(conf.command_socket, "/run/other/chronyd.sock");
    end();
}
END_TEST

START_TEST(a_slash_switches_the_command_socket_off)
{
    begin();
    ck_assert_int_eq(reads("bindcmdaddress /run/a.sock\nbindcmdaddress /\n"), 0);
    ck_assert(conf.command_socket_off);
    ck_assert_str_eq(conf.command_socket, "");
    ck_assert_int_eq(reads("bindcmdaddress /\nbindcmdaddress /run/a.sock\n"), 0);
    ck_assert(!conf.command_socket_off);
    ck_assert_str_eq(conf.command_socket, "/run/a.sock");
    end();
}
END_TEST

START_TEST(makestep_is_read_as_chronyd_does)
{
    static const struct {
        const char *text;
        double threshold_sec;
        int limit;
    } cases[] = {{"makestep 1 3", 1, 3}, {"makestep 1.0 -1", 1, -1}, {"makestep 1e-1\t+3", 0.1, 3},
        {"MakeStep 1 3x", 1, 3}, {"makestep 1 3.5", 1, 3}, {"makestep 1-2 4", 1, -1},
        {"makestep 0x1p-1 0", 0.5, 0}, {"makestep 1 -99", 1, -1}};

    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_int_eq(reads(cases[i].text), 0);
        ck_assert_double_eq(conf.makestep_threshold_sec, cases[i].threshold_sec);
        ck_assert_int_eq(conf.makestep_limit, cases[i].limit);
    }
    end();
}
END_TEST

START_TEST(what_chronyd_does_not_start_with_is_named)
{
    begin();
    refused("\ncolour blue\n", 2, "colour");
    refused("rtcsync\nrefclock SOCK /run/a.sock trust # ours\n", 2, "\"#\"");
    refused("refclock SOCK /run/a.sock tai\nrtcsync\n", 1, "leapsectz");
    refused("refclock sock /run/a.sock\n", 1, "\"sock\"");
    refused("server 192.0.2.1 minpoll x\n", 1, "minpoll");
    refused("makestep 1\n", 1, "makestep");
    refused("makestep 1 3 # as before\n", 1, "makestep");
    refused("makestep 1, 3\n", 1, "makestep");
    refused("maxchange 1 1\n", 1, "maxchange");
    refused("bindcmdaddress localhost\n", 1, "bindcmdaddress");
    refused("\xef\xbb\xbf# a byte order mark\n", 1, "directive");
    end();
}
END_TEST

START_TEST(after_a_word_that_a_newer_chronyd_may_know_the_rest_is_read)
{
    begin();
    refused("\nnewer 5\nmakestep 1 -1\n", 2, "newer");
    ck_assert(conf.fault.unknown);
    ck_assert_int_eq(conf.makestep_limit, -1);
    refused("server 192.0.2.1 newer 5 minpoll 4\nmakestep 1 -1\n", 1, "newer");
    ck_assert(conf.fault.unknown);
    ck_assert_int_eq(conf.servers[0].minpoll, 4);
    ck_assert_int_eq(conf.makestep_limit, -1);
    refused("newer 5\nmakestep 1\n", 2, "makestep");
    ck_assert(!conf.fault.unknown);
    end();
}
END_TEST

START_TEST(servers_of_sourcedir_come_last_and_nothing_else_does)
{
    begin();
    ck_assert_int_eq(mkdir("s", 0700) + mkdir("t", 0700), 0);
    put("s/a.sources", "server 192.0.2.1 minpoll 9\nrefclock SOCK /run/a.sock\nmakestep 9 9\n"
                       "nonsense\nserver 192.0.2.2 badword\npool 192.0.2.3\npeer 192.0.2.4\n"
                       "server 192.0.2.3 minpoll 4\nserver 192.0.2.5");
    put("s/b.conf", "server 192.0.2.6\n");
    put("t/a.sources", "server 192.0.2.7\n");
    ck_assert_int_eq(reads("sourcedir s t\nsourcedir t\nserver 192.0.2.1 minpoll 4\n"), 0);
    ck_assert_uint_eq(conf.n_refclocks, 0);
    ck_assert_uint_eq(conf.makestep.line, 0);
    ck_assert_uint_eq(conf.n_servers, 4);
    ck_assert_int_eq(conf.servers[0].minpoll, 4);
    ck_assert_uint_eq(conf.servers[1].address.bytes[3], 3);
    ck_assert(conf.servers[1].doubled);
    ck_assert_uint_eq(conf.servers[2].address.bytes[3], 4);
    ck_assert_uint_eq(conf.servers[3].address.bytes[3], 7);
    end();
}
END_TEST

START_TEST(there_may_be_more_of_everything_than_there_is_room_for)
{
    FILE *file;

    begin();
    file = fopen("c", "w");
    for (int i = 0; i < 300; i++)
        fprintf(file, "refclock SOCK /run/%d.sock\nserver 192.0.%d.%d\n", i, i / 200, i % 200);
    fclose(file);
    ck_assert_int_eq(chrony_conf_read("c", &conf), 0);
    ck_assert_uint_eq(conf.n_refclocks, CHRONY_CONF_REFCLOCKS_MAX);
    ck_assert_uint_eq(conf.n_servers, CHRONY_CONF_SERVERS_MAX);
    ck_assert_uint_eq(conf.n_unkept, 600 - CHRONY_CONF_REFCLOCKS_MAX - CHRONY_CONF_SERVERS_MAX);
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

RUN_SUITE("chrony.conf", what_it_does_not_say_is_not_set,
    the_last_of_two_values_and_the_first_of_two_servers_count,
    a_slash_switches_the_command_socket_off, makestep_is_read_as_chronyd_does,
    what_chronyd_does_not_start_with_is_named,
    after_a_word_that_a_newer_chronyd_may_know_the_rest_is_read,
    servers_of_sourcedir_come_last_and_nothing_else_does,
    there_may_be_more_of_everything_than_there_is_room_for, no_mixture_of_its_words_does_any_harm)
