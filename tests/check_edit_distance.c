/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <limits.h>

#include "daemon/edit_distance.h"

static const struct {
    const char *a, *b;
    unsigned distance;
} pairs[] = {
    {"", "", 0},
    {"", "abc", 3},
    {"readings", "readings", 0},
    {"readings", "READINGS", 0},
    {"readings", "reading", 1},
    {"readings", "readinggs", 1},
    {"readings", "raedings", 1},
    {"readings", "readimgs", 1},
    {"kitten", "sitting", 3},
    {"abcd", "dcba", 3},
    {"sock", "command-socket", 10},
};

START_TEST(it_is_the_least_number_of_changes_either_way)
{
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        ck_assert_uint_eq(edit_distance(pairs[i].a, pairs[i].b), pairs[i].distance);
        ck_assert_uint_eq(edit_distance(pairs[i].b, pairs[i].a), pairs[i].distance);
    }
}
END_TEST

START_TEST(a_word_that_is_too_long_is_near_to_none)
{
    const char *word = "0123456789012345678901234567890123456789"; /* 40 */
    const char *longer = "01234567890123456789012345678901234567890";

    ck_assert_uint_eq(edit_distance(word, word), 0);
    ck_assert_uint_eq(edit_distance(word, longer), UINT_MAX);
    ck_assert_uint_eq(edit_distance(longer, longer), UINT_MAX);
    ck_assert_uint_eq(edit_distance(longer, ""), UINT_MAX);
}
END_TEST

RUN_SUITE("edit distance", it_is_the_least_number_of_changes_either_way,
    a_word_that_is_too_long_is_near_to_none)
