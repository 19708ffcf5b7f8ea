/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole Check program from a list of tests, each of which is named once:
 *
 *     RUN_SUITE("page", a_test, another_test)
 *     RUN_SUITE_WITHIN(300, ...)                            a test may take so many seconds
 *     RUN_LOOPS("page", {a_test, 3}, {another_test, 1})     so many times, each with another _i
 *     RUN_LOOPS_AFTER(setup, ...)                           setup() before each
 *     RUN_LOOPS_BETWEEN(setup, teardown, ...)               and teardown() after it
 *
 * run_suite() is for a program that has to say more.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

#define SUITE_LIMIT_SEC 60

struct suite {
    const char *name;
    double limit_sec;       /* of a test */
    void (*setup)(void);    /* before each; NULL: none */
    void (*teardown)(void); /* after each that has not failed; NULL: none */
    int first;              /* the first _i */
};

struct suite_test {
    const TTest *test;
    int times;
};

static inline int run_suite(const struct suite *suite, const struct suite_test *tests, size_t n)
{
    Suite *whole = suite_create(suite->name);
    TCase *tcase = tcase_create(suite->name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, suite->limit_sec);
    if (suite->setup)
        tcase_add_checked_fixture(tcase, suite->setup, suite->teardown);
    for (size_t i = 0; i < n; i++)
        tcase_add_loop_test(tcase, tests[i].test, suite->first, suite->first + tests[i].times);
    suite_add_tcase(whole, tcase);
    runner = srunner_create(whole);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RUN_SUITE_WITHIN(limit, suite_name, ...)                                                   \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const once[] = {__VA_ARGS__};                                                 \
        struct suite_test tests[sizeof(once) / sizeof(once[0])];                                   \
                                                                                                   \
        for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)                                \
            tests[i] = (struct suite_test){once[i], 1};                                            \
        return run_suite(&(const struct suite){.name = suite_name, .limit_sec = limit}, tests,     \
            sizeof(tests) / sizeof(tests[0]));                                                     \
    }

#define RUN_SUITE(name, ...) RUN_SUITE_WITHIN(SUITE_LIMIT_SEC, name, __VA_ARGS__)

#define RUN_LOOPS_BETWEEN(before_each, after_each, suite_name, ...)                                \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct suite_test tests[] = {__VA_ARGS__};                                           \
                                                                                                   \
        return run_suite(&(const struct suite){.name = suite_name,                                 \
                             .limit_sec = SUITE_LIMIT_SEC,                                         \
                             .setup = before_each,                                                 \
                             .teardown = after_each},                                              \
            tests, sizeof(tests) / sizeof(tests[0]));                                              \
    }

#define RUN_LOOPS_AFTER(before_each, name, ...)                                                    \
    RUN_LOOPS_BETWEEN(before_each, NULL, name, __VA_ARGS__)

#define RUN_LOOPS(name, ...) RUN_LOOPS_AFTER(NULL, name, __VA_ARGS__)

#endif
