/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/calendar.h"

#include <time.h>

#include "tests/suite.h"

START_TEST(every_day_of_400_years_is_in_the_month_that_the_c_library_has_it_in)
{
    for (int64_t day = 0; day < 146097; day++) {
        const struct calendar_month m = calendar_month_of(day);
        const time_t sec = (time_t)(day * CALENDAR_DAY_SEC);
        struct tm tm;

        if (sizeof(time_t) == 4 && day * CALENDAR_DAY_SEC > INT32_MAX)
            return;
        gmtime_r(&sec, &tm);
        ck_assert_msg(m.year == tm.tm_year + 1900 && m.month == tm.tm_mon + 1 &&
                          m.first_day == day - tm.tm_mday + 1 && m.next_first_day > day &&
                          m.next_first_day - m.first_day <= 31 &&
                          calendar_month_of(m.next_first_day).first_day == m.next_first_day,
            "day %jd", (intmax_t)day);
    }
}
END_TEST

START_TEST(the_last_day_of_all_has_a_month)
{
    const struct calendar_month m = calendar_month_of(INT64_MAX / CALENDAR_DAY_SEC);

    ck_assert(m.first_day <= INT64_MAX / CALENDAR_DAY_SEC);
    ck_assert(m.next_first_day > INT64_MAX / CALENDAR_DAY_SEC);
    ck_assert(m.month >= 1 && m.month <= 12);
}
END_TEST

RUN_SUITE("calendar", every_day_of_400_years_is_in_the_month_that_the_c_library_has_it_in,
    the_last_day_of_all_has_a_month)
