/* SPDX-License-Identifier: BSD-2-Clause */
/* A page that is a clock, and a reader for it. */
#ifndef TESTS_CLOCK_PAGE_H
#define TESTS_CLOCK_PAGE_H

#include "refclock/clock_model.h"

#define CLOCK_PAGE_PERIOD  UINT64_C(0x89705F4136B4A597) /* 1 ns, by a shift of 29 */
#define CLOCK_PAGE_COUNTER UINT64_C(1000)               /* at the reference time: */
#define CLOCK_PAGE_SEC     UINT64_C(1717200000)         /* 2024-06-01, and a half, UTC */

static const struct vmclock_page clock_page = {
    .magic = VMCLOCK_MAGIC,
    .size = 4096,
    .version = 1,
    .counter_id = VMCLOCK_COUNTER_X86_TSC,
    .time_type = VMCLOCK_TIME_TAI,
    .disruption_marker = 1,
    .flags = VMCLOCK_FLAG_TAI_OFFSET_VALID,
    .clock_status = VMCLOCK_STATUS_SYNCHRONISED,
    .tai_offset_sec = 37,
    .period_shift = 29,
    .period_frac_sec = CLOCK_PAGE_PERIOD,
    .counter_value = CLOCK_PAGE_COUNTER,
    .time_sec = CLOCK_PAGE_SEC + 37,
    .time_frac_sec = UINT64_C(1) << 63,
};

static const struct clock_reader clock_page_reader = {VMCLOCK_COUNTER_X86_TSC, 0, true};

#endif
