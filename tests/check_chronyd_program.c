/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/chronyd_program.h"

static char directory[] = "/tmp/check_chronyd_program.XXXXXX";
static char program[64], text[256];

/* A shell script in the place of chronyd. */
static void begin(const char *script)
{
    FILE *file;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(program, sizeof(program), "%s/chronyd", directory);
    file = fopen(program, "w");
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    ck_assert_int_eq(chmod(program, 0755), 0);
    text[0] = '\0';
}

static void end(void)
{
    ck_assert_int_eq(unlink(program) + rmdir(directory), 0);
}

static int refuses(void)
{
    return chronyd_program_refuses(program, "/etc/c", text, sizeof(text));
}

START_TEST(its_fatal_error_is_why)
{
    begin("[ \"$*\" = '-p -f /etc/c' ] || exit 0\n"
          "echo a line; echo '2026-11-26T01:00:00Z Fatal error : Invalid directive' >&2; exit 1");
    ck_assert_int_eq(refuses(), 1);
    ck_assert_str_eq(text, "Invalid directive");
    end();
}
END_TEST

START_TEST(what_it_reads_it_does_not_refuse)
{
    begin("exit 0");
    ck_assert_int_eq(refuses(), 0);
    end();
}
END_TEST

START_TEST(what_is_no_answer_is_none)
{
    static const char *const scripts[] = {"exit 1", "exit 2", "kill -9 $$",
        "echo 'Fatal error : Could not open /etc/c : Permission denied' >&2; exit 1"};

    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        strcpy(directory + strlen(directory) - 6, "XXXXXX");
        begin(scripts[i]);
        ck_assert_int_eq(refuses(), -1);
        end();
    }
    ck_assert_int_eq(chronyd_program_refuses("/nowhere/chronyd", "/etc/c", text, 1), -1);
}
END_TEST

START_TEST(a_program_that_others_may_write_is_not_run)
{
    begin("exit 0");
    ck_assert_int_eq(chmod(program, 0775), 0);
    ck_assert_int_eq(refuses(), -1);
    ck_assert_int_eq(chmod(program, 0757), 0);
    ck_assert_int_eq(refuses(), -1);
    end();
}
END_TEST

START_TEST(its_default_file_is_in_its_help)
{
    begin("echo 'Options:'; echo '  -f FILE\tSpecify configuration file (/usr/etc/chrony.conf)'");
    ck_assert_int_eq(chronyd_program_default(program, text, sizeof(text)), 0);
    ck_assert_str_eq(text, "/usr/etc/chrony.conf");
    ck_assert_int_eq(chronyd_program_default(program, text, 5), -1);
    end();
}
END_TEST

START_TEST(a_help_without_it_names_none)
{
    begin("echo '  -f FILE (none'");
    ck_assert_int_eq(chronyd_program_default(program, text, sizeof(text)), -1);
    end();
}
END_TEST

RUN_SUITE("chronyd's program", its_fatal_error_is_why, what_it_reads_it_does_not_refuse,
    what_is_no_answer_is_none, a_program_that_others_may_write_is_not_run,
    its_default_file_is_in_its_help, a_help_without_it_names_none)
