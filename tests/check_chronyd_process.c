/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <errno.h>
#include <string.h>

#include "daemon/chronyd_process.h"

static struct chronyd_process process;

/* Words separated by blanks, as a command line. */
static void parse(const char *text)
{
    char words[256];
    const size_t n = strlen(text) + 1;

    memcpy(words, text, n);
    for (size_t i = 0; i < n; i++)
        if (words[i] == ' ')
            words[i] = '\0';
    memset(&process, 0, sizeof(process));
    chronyd_process_parse(words, n, &process);
}

START_TEST(the_options_that_matter_are_found)
{
    parse("/usr/sbin/chronyd -n -F 1");
    ck_assert_str_eq(process.conf, "");
    ck_assert(!process.leaves_clock && !process.without_root && !process.directives);
    parse("/usr/sbin/chronyd -n -U -f /run/timemaster/chrony.conf -x");
    ck_assert_str_eq(process.conf, "/run/timemaster/chrony.conf");
    ck_assert(process.leaves_clock && process.without_root);
    parse("chronyd -nxf/etc/c");
    ck_assert_str_eq(process.conf, "/etc/c");
    ck_assert(process.leaves_clock);
}
END_TEST

START_TEST(the_word_of_an_option_is_not_taken_for_another)
{
    parse("chronyd -u -x -l -f");
    ck_assert_str_eq(process.conf, "");
    ck_assert(!process.leaves_clock && !process.directives);
    parse("chronyd -f a -f b");
    ck_assert_str_eq(process.conf, "b");
}
END_TEST

START_TEST(directives_stand_for_a_file)
{
    parse("chronyd -n server_192.0.2.1");
    ck_assert(process.directives);
    parse("chronyd -- makestep");
    ck_assert(process.directives);
}
END_TEST

START_TEST(a_command_line_may_end_anywhere)
{
    const char text[] = "chronyd\0-x\0-f\0/etc/chrony.conf";

    for (size_t n = 0; n <= sizeof(text); n++) {
        char *words = malloc(n ? n : 1);

        memcpy(words, text, n);
        memset(&process, 0, sizeof(process));
        if (n == 0 || words[n - 1] == '\0')
            chronyd_process_parse(words, n, &process);
        free(words);
    }
    parse("chronyd -f");
    ck_assert_str_eq(process.conf, "");
    chronyd_process_parse("", 0, &process);
}
END_TEST

START_TEST(nobody_has_bound_what_is_not_there)
{
    const int r = chronyd_process_find("/nowhere/chronyd.sock", false, &process);

    ck_assert(r == -ESRCH || r == -EACCES);
}
END_TEST

RUN_SUITE("chronyd's process", the_options_that_matter_are_found,
    the_word_of_an_option_is_not_taken_for_another, directives_stand_for_a_file,
    a_command_line_may_end_anywhere, nobody_has_bound_what_is_not_there)
