/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole Check program from a list of tests: RUN_SUITE("page", a_test, another_test);
 * RUN_SUITE_WITHIN(300, ...) where a test may take so many seconds; RUN_LOOPS("page", {a_test, 3},
 * {another_test, 1}) where tests run so many times, with another _i each time.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

struct suite_test {
    const TTest *test;
    int times;
};

static inline int run_suite(
    double limit_sec, const char *name, const struct suite_test *tests, size_t n)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, limit_sec);
    for (size_t i = 0; i < n; i++)
        tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].times);
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
        const TTest *const once[] = {__VA_ARGS__};                                                 \
        struct suite_test tests[sizeof(once) / sizeof(once[0])];                                   \
                                                                                                   \
        for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)                                \
            tests[i] = (struct suite_test){once[i], 1};                                            \
        return run_suite(limit_sec, name, tests, sizeof(tests) / sizeof(tests[0]));                \
    }

#define RUN_SUITE(name, ...) RUN_SUITE_WITHIN(60, name, __VA_ARGS__)

#define RUN_LOOPS(name, ...)                                                                       \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct suite_test tests[] = {__VA_ARGS__};                                           \
                                                                                                   \
        return run_suite(60, name, tests, sizeof(tests) / sizeof(tests[0]));                       \
    }

#endif
