/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/page.h"

#include <stddef.h>

#define SIZE_MAX_BYTES (1u << 20)

const char *page_verdict_str(enum page_verdict verdict)
{
    switch (verdict) {
    case PAGE_OK: return "valid";
    case PAGE_BAD_MAGIC: return "not a vmclock page (magic is not \"VCLK\")";
    case PAGE_BAD_VERSION: return "a version of the page that is not known (not 1)";
    case PAGE_BAD_SIZE: return "its size field is out of range (24 bytes to 1 MiB)";
    }
    return "unknown";
}

static uint64_t little_endian(const uint8_t *bytes, size_t n)
{
    uint64_t value = 0;

    for (size_t i = n; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* The field of `n` bytes at `at`, or 0 where the page's size does not cover it. */
static uint64_t field(const uint8_t *raw, uint32_t size, enum vmclock_offset at, size_t n)
{
    return at + n <= size ? little_endian(raw + at, n) : 0;
}

enum page_verdict page_decode(const uint8_t *raw, struct vmclock_page *ret_page)
{
    const uint32_t size = (uint32_t)little_endian(raw + VMCLOCK_AT_SIZE, 4);
    struct vmclock_page page = {
        .magic = (uint32_t)little_endian(raw + VMCLOCK_AT_MAGIC, 4),
        .size = size,
        .version = (uint16_t)little_endian(raw + VMCLOCK_AT_VERSION, 2),
        .counter_id = raw[VMCLOCK_AT_COUNTER_ID],
        .time_type = raw[VMCLOCK_AT_TIME_TYPE],
        .seq_count = (uint32_t)little_endian(raw + VMCLOCK_AT_SEQ_COUNT, 4),
        .disruption_marker = field(raw, size, VMCLOCK_AT_DISRUPTION_MARKER, 8),
        .flags = field(raw, size, VMCLOCK_AT_FLAGS, 8),
        .clock_status = (uint8_t)field(raw, size, VMCLOCK_AT_CLOCK_STATUS, 1),
        .smearing_hint = (uint8_t)field(raw, size, VMCLOCK_AT_SMEARING_HINT, 1),
        .tai_offset_sec = (int16_t)field(raw, size, VMCLOCK_AT_TAI_OFFSET_SEC, 2),
        .leap_indicator = (uint8_t)field(raw, size, VMCLOCK_AT_LEAP_INDICATOR, 1),
        .period_shift = (uint8_t)field(raw, size, VMCLOCK_AT_PERIOD_SHIFT, 1),
        .counter_value = field(raw, size, VMCLOCK_AT_COUNTER_VALUE, 8),
        .period_frac_sec = field(raw, size, VMCLOCK_AT_PERIOD_FRAC_SEC, 8),
        .period_esterror = field(raw, size, VMCLOCK_AT_PERIOD_ESTERROR, 8),
        .period_maxerror = field(raw, size, VMCLOCK_AT_PERIOD_MAXERROR, 8),
        .time_sec = field(raw, size, VMCLOCK_AT_TIME_SEC, 8),
        .time_frac_sec = field(raw, size, VMCLOCK_AT_TIME_FRAC_SEC, 8),
        .time_esterror_ns = field(raw, size, VMCLOCK_AT_TIME_ESTERROR_NANOSEC, 8),
        .time_maxerror_ns = field(raw, size, VMCLOCK_AT_TIME_MAXERROR_NANOSEC, 8),
        .vm_generation = field(raw, size, VMCLOCK_AT_VM_GENERATION, 8),
    };

    if (size < VMCLOCK_AT_PERIOD_ESTERROR + 8)
        page.flags &= ~(uint64_t)VMCLOCK_FLAG_PERIOD_ESTERROR_VALID;
    if (size < VMCLOCK_AT_PERIOD_MAXERROR + 8)
        page.flags &= ~(uint64_t)VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    if (size < VMCLOCK_AT_TIME_ESTERROR_NANOSEC + 8)
        page.flags &= ~(uint64_t)VMCLOCK_FLAG_TIME_ESTERROR_VALID;
    if (size < VMCLOCK_AT_TIME_MAXERROR_NANOSEC + 8)
        page.flags &= ~(uint64_t)VMCLOCK_FLAG_TIME_MAXERROR_VALID;
    if (size < VMCLOCK_FIELDS_END)
        page.flags &= ~(uint64_t)VMCLOCK_FLAG_VM_GENERATION_PRESENT;
    *ret_page = page;

    if (page.magic != VMCLOCK_MAGIC)
        return PAGE_BAD_MAGIC;
    if (page.version != VMCLOCK_VERSION)
        return PAGE_BAD_VERSION;
    if (size < VMCLOCK_AT_FLAGS || size > SIZE_MAX_BYTES)
        return PAGE_BAD_SIZE;
    return PAGE_OK;
}

const char *page_counter_id_str(uint8_t counter_id)
{
    switch (counter_id) {
    case VMCLOCK_COUNTER_ARM_VIRTUAL: return "ARM virtual counter";
    case VMCLOCK_COUNTER_X86_TSC: return "x86 TSC";
    case VMCLOCK_COUNTER_NONE: return "none";
    default: return "invalid";
    }
}

const char *page_time_type_str(uint8_t time_type)
{
    switch (time_type) {
    case VMCLOCK_TIME_UTC: return "UTC";
    case VMCLOCK_TIME_TAI: return "TAI";
    case VMCLOCK_TIME_MONOTONIC: return "monotonic";
    case VMCLOCK_TIME_SMEARED: return "smeared";
    case VMCLOCK_TIME_MAYBE_SMEARED: return "maybe smeared";
    default: return "invalid";
    }
}

const char *page_clock_status_str(uint8_t clock_status)
{
    switch (clock_status) {
    case VMCLOCK_STATUS_UNKNOWN: return "unknown";
    case VMCLOCK_STATUS_INITIALISING: return "initialising";
    case VMCLOCK_STATUS_SYNCHRONISED: return "synchronised";
    case VMCLOCK_STATUS_FREERUNNING: return "free-running";
    case VMCLOCK_STATUS_UNRELIABLE: return "unreliable";
    default: return "invalid";
    }
}

const char *page_leap_indicator_str(uint8_t leap_indicator)
{
    switch (leap_indicator) {
    case VMCLOCK_LEAP_NONE: return "none";
    case VMCLOCK_LEAP_PRE_POSITIVE: return "positive at the month's end";
    case VMCLOCK_LEAP_PRE_NEGATIVE: return "negative at the month's end";
    case VMCLOCK_LEAP_NOW: return "now";
    case VMCLOCK_LEAP_POST_POSITIVE: return "positive has been";
    case VMCLOCK_LEAP_POST_NEGATIVE: return "negative has been";
    default: return "invalid";
    }
}

const char *page_smearing_hint_str(uint8_t smearing_hint)
{
    switch (smearing_hint) {
    case VMCLOCK_SMEARING_STRICT: return "strict";
    case VMCLOCK_SMEARING_NOON_LINEAR: return "noon linear";
    case VMCLOCK_SMEARING_UTC_SLS: return "UTC-SLS";
    default: return "invalid";
    }
}
