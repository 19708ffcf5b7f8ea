/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"

static char path[] = "/tmp/check_config.XXXXXX";
static char said[4096];
#define DIGITS "0123456789"
#define SIXTY  DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
#define LONG   SIXTY SIXTY SIXTY

static unsigned mistakes;
static struct config config;

static void complain(const char *sentence)
{
    mistakes++;
    strncat(said, sentence, sizeof(said) - strlen(said) - 1);
    strncat(said, "\n", sizeof(said) - strlen(said) - 1);
}

static int read_bytes(const char *bytes, size_t n)
{
    const int fd = mkstemp(strcpy(path, "/tmp/check_config.XXXXXX"));
    int r;

    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    close(fd);
    said[0] = '\0';
    mistakes = 0;
    r = config_read(path, complain, &config);
    unlink(path);
    return r;
}

static int read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

static void assert_mistake(const char *text, unsigned line, const char *key)
{
    char expected[128];

    ck_assert_int_eq(read_text(text), -EINVAL);
    snprintf(expected, sizeof(expected), "%s:%u: %s", path, line, key);
    ck_assert_msg(strstr(said, expected), "\"%s\" says: %s", text, said);
}

START_TEST(an_empty_file_gives_the_defaults)
{
    ck_assert_int_eq(read_text(""), 0);
    ck_assert_str_eq(config.device, "/dev/vmclock0");
    ck_assert_str_eq(config.sock, "/run/chrony/vmclock.sock");
    ck_assert_str_eq(config.command_socket, "/run/chrony/chronyd.sock");
    ck_assert_str_eq(config.state_file, "/run/vmclockd/state");
    ck_assert_int_eq(config.tracker.watch_interval_ns, 10000000);
    ck_assert_int_eq(config.tracker.sample_interval_ns, 50000000);
    ck_assert_uint_eq(config.readings, 16);
    ck_assert_int_eq(config.tracker.recovery.step, RECOVERY_STEP_ALWAYS);
    ck_assert(config.tracker.correct_frequency);
    ck_assert_double_eq(config.tracker.recovery.makestep_threshold_sec, 1);
    ck_assert_int_eq(config.tracker.recovery.makestep_limit, 3);
    ck_assert_int_eq(config.tracker.recovery.burst_good, 4);
    ck_assert_int_eq(config.tracker.recovery.burst_total, 8);
    ck_assert_uint_eq(config.tracker.recovery.n_servers, 0);
    ck_assert(config.tracker.reader.accept_freerunning);
    ck_assert_uint_eq(config.tracker.max_error_ns, 0);
    ck_assert_uint_eq(config.tracker.refid, 0x564d434c);
}
END_TEST

START_TEST(values_comments_and_blanks_are_read)
{
    ck_assert_int_eq(read_text("# a comment\n\n  watch-interval =  5ms # fast\r\n"
                               "sample-interval=1.5s\nmax-error = 10us\nstep = forward\n"
                               "makestep = 0.1 -1\nburst = 2/3\nrefid = PHC0\n"
                               "boost = 192.0.2.1 4 6\nboost = 2001:db8::1 -2 10"),
        0);
    ck_assert_int_eq(config.tracker.watch_interval_ns, 5000000);
    ck_assert_int_eq(config.tracker.sample_interval_ns, 1500000000);
    ck_assert_uint_eq(config.tracker.max_error_ns, 10000);
    ck_assert_int_eq(config.tracker.recovery.step, RECOVERY_STEP_FORWARD);
    ck_assert_double_eq(config.tracker.recovery.makestep_threshold_sec, 0.1);
    ck_assert_int_eq(config.tracker.recovery.makestep_limit, -1);
    ck_assert_uint_eq(config.tracker.recovery.n_servers, 2);
    ck_assert_uint_eq(config.tracker.recovery.servers[0].address.family, 1);
    ck_assert_uint_eq(config.tracker.recovery.servers[1].address.family, 2);
    ck_assert_int_eq(config.tracker.recovery.servers[1].minpoll, -2);
}
END_TEST

START_TEST(every_mistake_names_file_line_and_key)
{
    static const char *const bad[] = {"watch-interval = 10", "watch-interval = 0ms",
        "watch-interval = -1ms", "watch-interval = 1e3ms", "watch-interval = 11s",
        "watch-interval = 10 ms", "watch-interval = nan",
        "watch-interval =", "sample-interval = 61s", "readings = 0", "readings = 65",
        "readings = 1.5", "readings = 0x10", "step = sometimes", "correct-frequency = maybe",
        "makestep = 1", "makestep = 1 3 5", "makestep = -1 3", "burst = 8", "burst = 8/4",
        "burst = 0/4", "boost = example.com 4 6", "boost = 192.0.2.1", "boost = 192.0.2.1 6 4",
        "boost = 192.0.2.1 4 25", "max-error = 1", "max-error = 2d", "refid = VMCLK",
        "refid =", "refid =;a",
        "command-socket = /run/" DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
        "/s",
        "device = vmclock0", "device =", "max-step = 0s", "max-rate = 0", "max-rate = inf",
        "sock = /run/" DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS
            DIGITS};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[256], key[32];

        snprintf(text, sizeof(text), "# line one\n%s\n", bad[i]);
        snprintf(key, sizeof(key), "%.*s:", (int)strcspn(bad[i], " ="), bad[i]);
        assert_mistake(text, 2, key);
    }
}
END_TEST

START_TEST(what_is_no_configuration_is_refused)
{
    char line[400];

    assert_mistake("frobnicate = 1\n", 1, "frobnicate: unknown key");
    assert_mistake("step = never\n\nstep = never\n", 3, "step: set twice, before in line 1");
    assert_mistake("[section]\n", 1, "there are no sections here");
    assert_mistake("= 3\n", 1, "not a \"key = value\" line: \"= 3\"");
    assert_mistake("  =\n", 1, "not a \"key = value\" line");
    assert_mistake("step\n", 1, "not a \"key = value\" line");
    assert_mistake("step = never\n  forward\n", 2, "not a \"key = value\" line");
    assert_mistake("boost = 192.0.2.1 4 6\nboost = 192.0.2.1 4 6\n", 2, "boost:");
    memset(line, 'x', sizeof(line) - 1);
    memcpy(line, "device = /", 10);
    line[sizeof(line) - 1] = '\0';
    assert_mistake(line, 1, "device: the line has over 198 bytes");
    ck_assert_int_eq(read_bytes("step = ne\0ver\n", 14), -EINVAL);
    ck_assert_ptr_nonnull(strstr(said, "NUL"));
}
END_TEST

START_TEST(all_mistakes_are_said_at_once)
{
    ck_assert_int_eq(read_text("readings = 0\nstep = x\nnothing = 1\n"), -EINVAL);
    ck_assert_uint_eq(mistakes, 3);
}
END_TEST

START_TEST(a_named_file_must_be_there_and_be_a_file)
{
    said[0] = '\0';
    ck_assert_int_eq(config_read("/nowhere/vmclockd.conf", complain, &config), -ENOENT);
    ck_assert_ptr_nonnull(strstr(said, "/nowhere/vmclockd.conf"));
    ck_assert_int_eq(config_read("/tmp", complain, &config), -EISDIR);
}
END_TEST

START_TEST(what_is_printed_is_read_back_as_the_same)
{
    char printed[4096] = "", again[4096] = "";
    FILE *to = fmemopen(printed, sizeof(printed), "w");

    ck_assert_int_eq(read_text("watch-interval = 1500us\nmax-rate = 250\nburst = none\n"
                               "makestep = none\nboost = 2001:db8::1 -2 10\n"
                               "boost = 192.0.2.1 4 6\n"
                               "device = /" LONG "\n"), /* nearly all that a line may have */
        0);
    config_print(&config, to);
    fclose(to);
    ck_assert_int_eq(read_text(printed), 0);
    ck_assert_str_eq(config.device, "/" LONG);
    ck_assert_int_eq(config.tracker.watch_interval_ns, 1500000);
    ck_assert_int_eq(config.tracker.recovery.burst_total, 0);
    ck_assert_uint_eq(config.tracker.recovery.n_servers, 2);
    to = fmemopen(again, sizeof(again), "w");
    config_print(&config, to);
    fclose(to);
    ck_assert_ptr_nonnull(strstr(again, "watch-interval = 1500us"));
}
END_TEST

START_TEST(numbers_are_printed_as_they_are_taken)
{
    static const char *const thresholds[] = {
        "0", "1", "0.1", "0.00001", "0.000000000125", "44446400"};
    char line[64], printed[4096];
    FILE *to;

    for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
        snprintf(line, sizeof(line), "makestep = %s -1", thresholds[i]);
        ck_assert_int_eq(read_text(line), 0);
        to = fmemopen(printed, sizeof(printed), "w");
        config_print(&config, to);
        fclose(to);
        strcat(line, "  #");
        ck_assert_msg(strstr(printed, line), "\"%s\" in: %s", line, printed);
    }
}
END_TEST

RUN_SUITE("configuration", an_empty_file_gives_the_defaults, values_comments_and_blanks_are_read,
    every_mistake_names_file_line_and_key, what_is_no_configuration_is_refused,
    all_mistakes_are_said_at_once, a_named_file_must_be_there_and_be_a_file,
    what_is_printed_is_read_back_as_the_same, numbers_are_printed_as_they_are_taken)
