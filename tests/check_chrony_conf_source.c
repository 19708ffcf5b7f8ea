/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <string.h>

#include "daemon/chrony_conf_source.h"

static struct chrony_conf_refclock refclock;
static struct chrony_conf_server server;
static char why[CHRONY_CONF_FAULT_MAX];

static bool is_refclock(const char *words)
{
    why[0] = '\0';
    return chrony_conf_refclock_parse(words, 12, &refclock, why) && !why[0];
}

static bool is_server(const char *words)
{
    why[0] = '\0';
    return chrony_conf_server_parse(words, &server, why) && !why[0];
}

START_TEST(what_a_refclock_does_not_say_is_chronyds_default)
{
    ck_assert(is_refclock("SOCK /run/a.sock"));
    ck_assert_str_eq(refclock.path, "/run/a.sock");
    ck_assert_str_eq(refclock.refid, "SO12");
    ck_assert_int_eq(refclock.poll, 4);
    ck_assert_int_eq(refclock.filter, 64);
    ck_assert_int_eq(refclock.stratum, 0);
    ck_assert_double_eq(refclock.offset, 0);
    ck_assert(!refclock.select.trust && !refclock.select.prefer && !refclock.pps);
    ck_assert(chrony_conf_refclock_parse("SOCK /run/a.sock", 3, &refclock, why));
    ck_assert_str_eq(refclock.refid, "SOC3");
}
END_TEST

START_TEST(all_that_a_refclock_says_is_read)
{
    ck_assert(
        is_refclock("SOCK /run/a.sock refid VMCL poll -2 filter 16 trust PREFER noselect "
                    "require delay 1e-5 offset -0.5 stratum 1 pps local tai dpoll -4 optional"));
    ck_assert_str_eq(refclock.refid, "VMCL");
    ck_assert_int_eq(refclock.poll, -2);
    ck_assert_int_eq(refclock.dpoll, -4);
    ck_assert_int_eq(refclock.filter, 16);
    ck_assert_int_eq(refclock.stratum, 1);
    ck_assert_double_eq(refclock.delay, 1e-5);
    ck_assert_double_eq(refclock.offset, -0.5);
    ck_assert(refclock.select.trust && refclock.select.prefer && refclock.select.noselect &&
              refclock.select.require);
    ck_assert(refclock.pps && refclock.local && refclock.tai && refclock.optional);
    ck_assert(is_refclock("SOCK /a poll 1 Poll 2"));
    ck_assert_int_eq(refclock.poll, 2);
}
END_TEST

START_TEST(a_number_ends_where_it_can_no_longer_be_one)
{
    ck_assert(is_refclock("SOCK /a poll 3trust"));
    ck_assert_int_eq(refclock.poll, 3);
    ck_assert(refclock.select.trust);
    ck_assert(!is_refclock("SOCK /a poll 2.5"));
    ck_assert(!is_refclock("SOCK /a poll 3x"));
    ck_assert(!is_refclock("SOCK /a poll x"));
    ck_assert(!is_refclock("SOCK /a poll"));
}
END_TEST

START_TEST(a_refclock_that_is_none_is_refused)
{
    ck_assert(!is_refclock(""));
    ck_assert(!is_refclock("SOCK"));
    ck_assert(!is_refclock("NEW /a"));
    ck_assert(!is_refclock("SOCK /a:perm=0666"));
    ck_assert(!is_refclock("SOCK /a refid TOOLONG"));
    ck_assert(!is_refclock("SOCK /a stratum 16"));
    ck_assert(!is_refclock("SOCK /a unknown"));
    ck_assert_ptr_nonnull(strstr(why, "unknown"));
}
END_TEST

START_TEST(polls_are_as_chronyd_takes_them)
{
    static const struct {
        const char *options;
        int minpoll, maxpoll;
    } cases[] = {{"", 6, 10}, {"minpoll 4", 4, 10}, {"maxpoll 3", 6, 6}, {"minpoll 12", 12, 12},
        {"minpoll 3 maxpoll 2", 3, 3}, {"minpoll -7 maxpoll 24", -7, 24}, {"minpoll -8", 6, 10},
        {"minpoll 25", 24, 24}, {"maxpoll -8", 6, 10}, {"minpoll 4 minpoll 5", 5, 10}};
    char text[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "192.0.2.1 %s", cases[i].options);
        ck_assert(is_server(text));
        ck_assert_int_eq(server.minpoll, cases[i].minpoll);
        ck_assert_int_eq(server.maxpoll, cases[i].maxpoll);
    }
}
END_TEST

START_TEST(a_name_is_kept_as_one)
{
    ck_assert(is_server("ntp.example.com iburst trust"));
    ck_assert_uint_eq(server.address.family, 0);
    ck_assert_str_eq(server.name, "ntp.example.com");
    ck_assert(server.select.trust);
    ck_assert(is_server("2001:db8::1"));
    ck_assert_uint_eq(server.address.family, 2);
    ck_assert(!is_server("192.0.2.1 key 0"));
    ck_assert(!is_server("192.0.2.1 extfield F320"));
    ck_assert(!is_server(""));
}
END_TEST

RUN_SUITE("chrony.conf's sources", what_a_refclock_does_not_say_is_chronyds_default,
    all_that_a_refclock_says_is_read, a_number_ends_where_it_can_no_longer_be_one,
    a_refclock_that_is_none_is_refused, polls_are_as_chronyd_takes_them, a_name_is_kept_as_one)
