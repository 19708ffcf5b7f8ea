/* SPDX-License-Identifier: BSD-2-Clause */
#include <time.h>

#include "daemon/counter.h"
#include "daemon/system_clock.h"
#include "tests/suite.h"

static double raw_sec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

START_TEST(the_counters_period_is_what_the_kernels_raw_clock_says)
{
    const double period = system_clock_counter_period();
    const double start = raw_sec();
    const uint64_t counter = counter_read();
    double seconds;

    if (COUNTER_NATIVE == VMCLOCK_COUNTER_NONE) {
        ck_assert_double_eq(period, 0);
        return;
    }
    while ((seconds = raw_sec() - start) < 0.1)
        ;
    ck_assert_double_eq_tol((double)(counter_read() - counter) * period / seconds, 1, 0.05);
}
END_TEST

START_TEST(an_arm_counter_runs_at_the_frequency_of_its_register)
{
    const double stated_hz = (double)counter_stated_hz();

    if (COUNTER_NATIVE != VMCLOCK_COUNTER_ARM_VIRTUAL)
        ck_assert_double_eq(stated_hz, 0);
    else if (stated_hz != 0) /* as under user-mode emulation */
        ck_assert_double_eq_tol(stated_hz * system_clock_counter_period(), 1, 0.05);
}
END_TEST

START_TEST(a_counter_read_twice_does_not_go_backwards)
{
    for (int i = 0; i < 1000; i++) {
        const uint64_t before = counter_read();

        ck_assert_int_ge(counter_difference(counter_read(), before), 0);
    }
}
END_TEST

/* A clock of CLOCK_REALTIME 1000 s at boot; suspended for 50 s before the moment, 300 s after it.
 */
START_TEST(a_moment_keeps_its_date_over_a_suspend)
{
    const int64_t sec = INT64_C(1000000000);
    const struct clock_moment moment = {20 * sec, 50 * sec};
    const struct system_clocks then = {20 * sec, 50 * sec, 1050 * sec};
    const struct system_clocks after = {30 * sec, 350 * sec, 1350 * sec};
    const struct system_clocks stepped = {40 * sec, 350 * sec, 1352 * sec};

    ck_assert_int_eq(clock_moment_realtime_ns(&moment, &then), 1070 * sec);
    ck_assert_int_eq(clock_moment_realtime_ns(&moment, &after), 1070 * sec);
    ck_assert_int_eq(clock_moment_realtime_ns(&moment, &stepped), 1072 * sec);
}
END_TEST

RUN_SUITE("system clock", the_counters_period_is_what_the_kernels_raw_clock_says,
    an_arm_counter_runs_at_the_frequency_of_its_register,
    a_counter_read_twice_does_not_go_backwards, a_moment_keeps_its_date_over_a_suspend)
