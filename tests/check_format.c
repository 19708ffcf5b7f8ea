/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/format.h"

static char text[FORMAT_MAX];

START_TEST(a_number_of_nanoseconds_gets_the_unit_that_fits)
{
    ck_assert_str_eq(format_ns(0, text), "0 ns");
    ck_assert_str_eq(format_ns(-44, text), "-44 ns");
    ck_assert_str_eq(format_ns(999, text), "999 ns");
    ck_assert_str_eq(format_ns(12345, text), "12.3 us");
    ck_assert_str_eq(format_ns(-4999784, text), "-5.00 ms");
    ck_assert_str_eq(format_ns(850e6, text), "850 ms");
    ck_assert_str_eq(format_ns(12.5e9, text), "12.5 s");
    ck_assert_str_eq(format_ns(999.6, text), "1.00 us");
    ck_assert_str_eq(format_ns(999600, text), "1.00 ms");
    ck_assert_str_eq(format_ns(99960, text), "100 us");
    ck_assert_str_eq(format_ns(1e18, text), "1000000000 s");
}
END_TEST

START_TEST(a_span_is_never_negative_and_gets_coarser)
{
    ck_assert_str_eq(format_span(-5, text), "0 s");
    ck_assert_str_eq(format_span(119.9, text), "119 s");
    ck_assert_str_eq(format_span(120, text), "2 min");
    ck_assert_str_eq(format_span(7200, text), "2 h");
    ck_assert_str_eq(format_span(172800, text), "2 days");
}
END_TEST

START_TEST(a_date_is_in_the_local_zone)
{
    setenv("TZ", "CET-1", 1);
    ck_assert_str_eq(format_date(1795518025.5, text), "2026-11-24 12:00:25 CET");
    ck_assert_str_eq(format_time(1795518025.1234, text), "12:00:25.123");
    ck_assert_str_eq(format_time(1795518025.9999, text), "12:00:26.000");
}
END_TEST

START_TEST(a_date_for_programs_is_rfc_3339)
{
    ck_assert_str_eq(format_rfc3339(1795518025.25, text), "2026-11-24T11:00:25.250000000Z");
    ck_assert_str_eq(format_rfc3339(1795518025.9999999, text), "2026-11-24T11:00:26.000000000Z");
}
END_TEST

START_TEST(text_is_as_wide_as_columns_says)
{
    static const struct {
        const char *columns;
        size_t wide;
    } cases[] = {{"50", 50}, {"20", 20}, {"1000", 1000}, {"19", 80}, {"1001", 80}, {"", 80},
        {"wide", 80}, {"-50", 80}};

    if (isatty(STDOUT_FILENO))
        return; /* which says for itself */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("COLUMNS", cases[i].columns, 1);
        ck_assert_uint_eq(format_columns(), cases[i].wide);
    }
    unsetenv("COLUMNS");
}
END_TEST

static void assert_folded(const char *words, size_t column, const char *expected)
{
    char folded[512] = "";
    FILE *to = fmemopen(folded, sizeof(folded), "w");

    format_fold(to, words, column, 4);
    fclose(to);
    ck_assert_str_eq(folded, expected);
}

START_TEST(text_is_folded_at_eighty_columns_and_words_are_never_cut)
{
    const char *word = "123456789012345678901234567890123456789";
    char line[256], expected[272];

    assert_folded("one two", 0, "one two\n");
    snprintf(line, sizeof(line), "%s %s", word, word);
    snprintf(expected, sizeof(expected), "%s\n", line);
    assert_folded(line, 1, expected); /* 80 exactly */
    snprintf(expected, sizeof(expected), "%s\n    %s\n", word, word);
    assert_folded(line, 2, expected);
    snprintf(line, sizeof(line), "%s%s%s", word, word, word);
    snprintf(expected, sizeof(expected), "%s\n", line);
    assert_folded(line, 0, expected);
}
END_TEST

START_TEST(text_is_made_plain)
{
    static const struct {
        const char *text, *plain;
    } cases[] = {{"/etc/chrony.conf", "/etc/chrony.conf"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
            "a?b"},
        {"\xc0\xaf", "??"}, {"\xed\xa0\x80", "???"}, {"\xe2\x82", "??"},
        {"\xf4\x90\x80\x80", "????"}, {"a\033[2J\n\177", "a?[2J??"}, {"\xc2\x9b", "??"}};
    char made[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(made, sizeof(made), "%s", cases[i].text);
        format_make_plain(made);
        ck_assert_str_eq(made, cases[i].plain);
    }
}
END_TEST

RUN_SUITE("human", text_is_made_plain, a_number_of_nanoseconds_gets_the_unit_that_fits,
    a_span_is_never_negative_and_gets_coarser, a_date_is_in_the_local_zone,
    a_date_for_programs_is_rfc_3339, text_is_as_wide_as_columns_says,
    text_is_folded_at_eighty_columns_and_words_are_never_cut)
