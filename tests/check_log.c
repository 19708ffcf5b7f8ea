/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"

static int lines[2]; /* a pipe: what is written to stderr */
static char last[256];

/* How many lines with this text were written since the last call; the last one is kept. */
static unsigned count(const char *text)
{
    static char all[1 << 17];
    const ssize_t n = read(lines[0], all, sizeof(all) - 1);
    unsigned found = 0;

    all[n > 0 ? n : 0] = '\0';
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, text)) {
            found++;
            snprintf(last, sizeof(last), "%s", line);
        }
    }
    return found;
}

static void setup(void)
{
    const char *fork_mode = getenv("CK_FORK");

    ck_assert_int_eq(pipe2(lines, O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(lines[1], STDERR_FILENO), 0);
    unsetenv("JOURNAL_STREAM");
    unsetenv("NOTIFY_SOCKET");
    log_init(true);
    if (fork_mode && strcmp(fork_mode, "no") == 0) { /* the test before was in this process */
        sleep(1);
        log_entry(LOG_PRIO_INFO, NULL, "over");
        sleep(1);
        count("");
    }
}

START_TEST(debug_messages_crowd_out_no_others)
{
    setup();
    for (int i = 0; i < 1000; i++)
        log_debug("detail %d", i);
    log_entry(LOG_PRIO_WARNING, NULL, "the clock is corrected");
    ck_assert_uint_eq(count("the clock is corrected"), 1);
}
END_TEST

START_TEST(others_crowd_out_no_debug_messages)
{
    setup();
    for (int i = 0; i < 1000; i++)
        log_entry(LOG_PRIO_INFO, NULL, "news");
    log_debug("detail");
    ck_assert_uint_eq(count("detail"), 1);
}
END_TEST

START_TEST(messages_have_a_limit_with_and_without_debug_messages)
{
    setup();
    for (int i = 0; i < 1000; i++) {
        log_debug("detail %d", i);
        log_entry(LOG_PRIO_INFO, NULL, "news");
    }
    ck_assert_uint_le(count("news"), 20);
}
END_TEST

START_TEST(debug_messages_have_a_limit)
{
    setup();
    for (int i = 0; i < 1000; i++)
        log_debug("detail %d", i);
    ck_assert_uint_le(count("detail"), 101);
}
END_TEST

START_TEST(what_was_left_out_is_said_of_each_kind)
{
    setup();
    for (int i = 0; i < 50; i++)
        log_entry(LOG_PRIO_INFO, NULL, "news");
    usleep(200000);
    ck_assert_uint_eq(count("left out"), 0);
    log_entry(LOG_PRIO_INFO, NULL, "more");
    ck_assert_uint_eq(count("left out"), 1);
    ck_assert_str_eq(last, "34 messages were left out");

    for (int i = 0; i < 150; i++)
        log_debug("detail %d", i);
    usleep(200000);
    count("");
    log_debug("more");
    ck_assert_uint_eq(count("left out"), 1);
    ck_assert_msg(strstr(last, " debug messages were left out"), "%s", last);
}
END_TEST

START_TEST(the_last_of_what_is_allowed_is_for_errors)
{
    setup();
    for (int i = 0; i < 1000; i++)
        log_entry(LOG_PRIO_INFO, NULL, "news");
    log_entry(LOG_PRIO_ERR, NULL, "the last word");
    ck_assert_uint_eq(count("the last word"), 1);
}
END_TEST

RUN_SUITE("log", debug_messages_crowd_out_no_others, others_crowd_out_no_debug_messages,
    messages_have_a_limit_with_and_without_debug_messages, debug_messages_have_a_limit,
    what_was_left_out_is_said_of_each_kind, the_last_of_what_is_allowed_is_for_errors)
