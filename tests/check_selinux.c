/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <errno.h>
#include <string.h>

#include "daemon/selinux.h"

START_TEST(the_domain_is_the_third_part_of_a_context)
{
    char type[SELINUX_CONTEXT_MAX];

    selinux_type("system_u:system_r:vmclockd_t:s0", type, sizeof(type));
    ck_assert_str_eq(type, "vmclockd_t");
    selinux_type("unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", type, sizeof(type));
    ck_assert_str_eq(type, "unconfined_t");
    selinux_type("system_u:system_r:vmclockd_t", type, sizeof(type));
    ck_assert_str_eq(type, "vmclockd_t");
    selinux_type("system_u:system_r:vmclockd_t:s0", type, 4);
    ck_assert_str_eq(type, "vmc");
}
END_TEST

START_TEST(what_is_no_context_is_shown_whole)
{
    char type[SELINUX_CONTEXT_MAX];

    selinux_type("kernel", type, sizeof(type));
    ck_assert_str_eq(type, "kernel");
    selinux_type("vmclockd (enforce)", type, sizeof(type));
    ck_assert_str_eq(type, "vmclockd (enforce)");
    selinux_type("", type, sizeof(type));
    ck_assert_str_eq(type, "");
}
END_TEST

START_TEST(another_type_leaves_the_rest_as_it_is)
{
    char context[SELINUX_CONTEXT_MAX], type[SELINUX_CONTEXT_MAX];

    ck_assert_int_eq(selinux_with_type("u:r:a_t:s0-s0:c0.c3", "chronyd_t", context), 0);
    ck_assert_str_eq(context, "u:r:chronyd_t:s0-s0:c0.c3");
    ck_assert_int_eq(selinux_with_type("u:r:a_t", "chronyd_t", context), 0);
    ck_assert_str_eq(context, "u:r:chronyd_t");
    ck_assert_int_eq(selinux_with_type("kernel", "chronyd_t", context), -EINVAL);
    memset(type, 'x', sizeof(type));
    type[sizeof(type) - 1] = '\0';
    ck_assert_int_eq(selinux_with_type("u:r:a_t:s0", type, context), -EINVAL);
}
END_TEST

START_TEST(an_answer_has_a_bit_for_each_permission)
{
    ck_assert_int_eq(selinux_answer_allows("200 ffffffff 0 ffffffff 7 0", 10), 1);
    ck_assert_int_eq(selinux_answer_allows("200 ffffffff 0 ffffffff 7 0", 9), 0);
    ck_assert_int_eq(selinux_answer_allows("0 ffffffff 0 ffffffff 7 0", 10), 0);
    ck_assert_int_eq(selinux_answer_allows("ffffffff ffffffff 0 ffffffff 7 1", 32), 1);
}
END_TEST

START_TEST(what_is_no_answer_is_neither_yes_nor_no)
{
    ck_assert_int_eq(selinux_answer_allows("", 10), -EBADMSG);
    ck_assert_int_eq(selinux_answer_allows("x", 10), -EBADMSG);
    ck_assert_int_eq(selinux_answer_allows("200", 10), -EBADMSG);
    ck_assert_int_eq(selinux_answer_allows("200 ffffffff 0 ffffffff 7 0", 0), -EBADMSG);
    ck_assert_int_eq(selinux_answer_allows("200 ffffffff 0 ffffffff 7 0", 33), -EBADMSG);
}
END_TEST

START_TEST(a_process_that_is_not_there_has_no_context)
{
    char context[SELINUX_CONTEXT_MAX];

    ck_assert_int_eq(selinux_context_of(0x7fffffff, context), -ENOENT);
}
END_TEST

RUN_SUITE("selinux", the_domain_is_the_third_part_of_a_context, what_is_no_context_is_shown_whole,
    another_type_leaves_the_rest_as_it_is, an_answer_has_a_bit_for_each_permission,
    what_is_no_answer_is_neither_yes_nor_no, a_process_that_is_not_there_has_no_context)
