/* SPDX-License-Identifier: BSD-2-Clause */
/* The Gregorian calendar, counted in days since 1970-01-01. */
#ifndef REFCLOCK_CALENDAR_H
#define REFCLOCK_CALENDAR_H

#include <stdint.h>

#define CALENDAR_DAY_SEC INT64_C(86400)

struct calendar_month {
    int64_t year;
    int month; /* 1 to 12 */
    int64_t first_day, next_first_day;
};

/* The month that a day is in; any day from 0 to INT64_MAX / 86400. */
struct calendar_month calendar_month_of(int64_t day);

#endif
