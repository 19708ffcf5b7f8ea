/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/model_host.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define PERIOD_SHIFT 29

/* The page's fields: in memory, and in struct vmclock_page. The tests' own, beside page_decode().
 */
static const struct {
    size_t at, member, n;
} fields[] = {
#define FIELD(at, member)                                                                          \
    {                                                                                              \
        at, offsetof(struct vmclock_page, member), sizeof(((struct vmclock_page *)0)->member)      \
    }
    FIELD(VMCLOCK_AT_MAGIC, magic),
    FIELD(VMCLOCK_AT_SIZE, size),
    FIELD(VMCLOCK_AT_VERSION, version),
    FIELD(VMCLOCK_AT_COUNTER_ID, counter_id),
    FIELD(VMCLOCK_AT_TIME_TYPE, time_type),
    FIELD(VMCLOCK_AT_SEQ_COUNT, seq_count),
    FIELD(VMCLOCK_AT_DISRUPTION_MARKER, disruption_marker),
    FIELD(VMCLOCK_AT_FLAGS, flags),
    FIELD(VMCLOCK_AT_CLOCK_STATUS, clock_status),
    FIELD(VMCLOCK_AT_SMEARING_HINT, smearing_hint),
    FIELD(VMCLOCK_AT_TAI_OFFSET_SEC, tai_offset_sec),
    FIELD(VMCLOCK_AT_LEAP_INDICATOR, leap_indicator),
    FIELD(VMCLOCK_AT_PERIOD_SHIFT, period_shift),
    FIELD(VMCLOCK_AT_COUNTER_VALUE, counter_value),
    FIELD(VMCLOCK_AT_PERIOD_FRAC_SEC, period_frac_sec),
    FIELD(VMCLOCK_AT_PERIOD_ESTERROR, period_esterror),
    FIELD(VMCLOCK_AT_PERIOD_MAXERROR, period_maxerror),
    FIELD(VMCLOCK_AT_TIME_SEC, time_sec),
    FIELD(VMCLOCK_AT_TIME_FRAC_SEC, time_frac_sec),
    FIELD(VMCLOCK_AT_TIME_ESTERROR_NANOSEC, time_esterror_ns),
    FIELD(VMCLOCK_AT_TIME_MAXERROR_NANOSEC, time_maxerror_ns),
    FIELD(VMCLOCK_AT_VM_GENERATION, vm_generation),
#undef FIELD
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "members are copied byte by byte");

void model_host_init(struct model_host *host, const struct model_clock *clock, int64_t now_ns)
{
    *host = (struct model_host){.page = {
                                    .magic = VMCLOCK_MAGIC,
                                    .size = 4096,
                                    .version = VMCLOCK_VERSION,
                                    .counter_id = VMCLOCK_COUNTER_X86_TSC,
                                    .time_type = VMCLOCK_TIME_TAI,
                                    .disruption_marker = 1,
                                    .flags = VMCLOCK_FLAG_TAI_OFFSET_VALID,
                                    .tai_offset_sec = 37,
                                    .period_shift = PERIOD_SHIFT,
                                }};
    model_host_write_formula(host, clock, now_ns);
}

void model_host_write_formula(
    struct model_host *host, const struct model_clock *clock, int64_t now_ns)
{
    const double since = (double)now_ns * 1e-9 + host->error_sec;
    const double whole = floor(since);
    const bool passed = host->leap_step != 0 && now_ns >= host->leap_ns;
    const bool now = passed && host->leap_step > 0 && now_ns < host->leap_ns + MODEL_SEC;
    const bool positive = host->leap_step > 0;
    struct vmclock_page *page = &host->page;

    page->seq_count += 2;
    page->counter_value = model_clock_counter(clock, now_ns);
    page->period_frac_sec =
        (uint64_t)ldexp((1 + host->rate_ppb * 1e-9) / clock->hz, 64 + PERIOD_SHIFT);
    page->time_sec = (uint64_t)(MODEL_EPOCH + 37 + (int64_t)whole);
    page->time_frac_sec = (uint64_t)ldexp(since - whole, 64);
    page->clock_status = VMCLOCK_STATUS_SYNCHRONISED;
    page->tai_offset_sec = (int16_t)(37 + (passed ? host->leap_step : 0));
    if (page->time_type == VMCLOCK_TIME_UTC)
        page->time_sec -= (uint64_t)page->tai_offset_sec;
    if (now)
        page->leap_indicator = VMCLOCK_LEAP_NOW;
    else if (passed)
        page->leap_indicator = positive ? VMCLOCK_LEAP_POST_POSITIVE : VMCLOCK_LEAP_POST_NEGATIVE;
    else if (host->leap_step != 0)
        page->leap_indicator = positive ? VMCLOCK_LEAP_PRE_POSITIVE : VMCLOCK_LEAP_PRE_NEGATIVE;
}

void model_host_write_marker(struct model_host *host)
{
    host->page.seq_count += 2;
    host->page.disruption_marker++;
}

void model_host_marker_only(struct model_host *host)
{
    host->page.counter_id = VMCLOCK_COUNTER_NONE;
    host->page.clock_status = VMCLOCK_STATUS_UNKNOWN;
    host->page.flags = 0;
}

void model_host_encode(const struct model_host *host, uint8_t ret_raw[VMCLOCK_FIELDS_END])
{
    memset(ret_raw, 0, VMCLOCK_FIELDS_END);
    for (size_t i = 0; i < N_FIELDS; i++)
        memcpy(
            ret_raw + fields[i].at, (const uint8_t *)&host->page + fields[i].member, fields[i].n);
}

void model_host_poke(struct model_host *host, unsigned at, uint8_t value)
{
    assert(at < VMCLOCK_FIELDS_END);
    for (size_t i = 0; i < N_FIELDS; i++)
        if (at >= fields[i].at && at < fields[i].at + fields[i].n)
            ((uint8_t *)&host->page)[fields[i].member + at - fields[i].at] = value;
}
