/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole Check program from a list of tests: RUN_SUITE("page", a_test, another_test);
 * RUN_SUITE_WITHIN(300, ...) where a test may take so many seconds.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

static inline int run_suite(double limit_sec, const char *name, const TTest *const *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, limit_sec);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RUN_SUITE_WITHIN(limit_sec, name, ...)                                                     \
    int main(void)                                                                                 \
    {                                                                                              \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        return run_suite(limit_sec, name, tests, sizeof(tests) / sizeof(tests[0]));                \
    }

#define RUN_SUITE(name, ...) RUN_SUITE_WITHIN(60, name, __VA_ARGS__)

#endif
