/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/calendar.h"

#include <stdbool.h>

#define CYCLE_DAYS  INT64_C(146097)
#define CYCLE_YEARS 400

struct calendar_month calendar_month_of(int64_t day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct calendar_month m = {
        .year = 1970 + day / CYCLE_DAYS * CYCLE_YEARS,
        .next_first_day = day / CYCLE_DAYS * CYCLE_DAYS,
    };

    for (;; m.year++) {
        const bool leap = (m.year % 4 == 0 && m.year % 100 != 0) || m.year % 400 == 0;

        for (m.month = 1; m.month <= 12; m.month++) {
            m.first_day = m.next_first_day;
            m.next_first_day += lengths[m.month - 1] + (m.month == 2 && leap);
            if (m.next_first_day > day)
                return m;
        }
    }
}
