/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmclock page: its layout in memory and its decoded form.
 *
 * Source: Linux include/uapi/linux/vmclock-abi.h and UAPI.13 "VMClock" 1.0; where the two
 * disagree (the generation counter's offset and flag) every implementation follows the header.
 */
#ifndef REFCLOCK_PAGE_H
#define REFCLOCK_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define VMCLOCK_MAGIC   0x4b4c4356u /* "VCLK" */
#define VMCLOCK_VERSION 1u

/* Offsets in bytes from the start of the page; all fields are little-endian. */
enum vmclock_offset {
    VMCLOCK_AT_MAGIC = 0x00,
    VMCLOCK_AT_SIZE = 0x04,
    VMCLOCK_AT_VERSION = 0x08,
    VMCLOCK_AT_COUNTER_ID = 0x0a,
    VMCLOCK_AT_TIME_TYPE = 0x0b,
    VMCLOCK_AT_SEQ_COUNT = 0x0c,
    VMCLOCK_AT_DISRUPTION_MARKER = 0x10,
    VMCLOCK_AT_FLAGS = 0x18,
    VMCLOCK_AT_CLOCK_STATUS = 0x22,
    VMCLOCK_AT_SMEARING_HINT = 0x23,
    VMCLOCK_AT_TAI_OFFSET_SEC = 0x24,
    VMCLOCK_AT_LEAP_INDICATOR = 0x26,
    VMCLOCK_AT_PERIOD_SHIFT = 0x27,
    VMCLOCK_AT_COUNTER_VALUE = 0x28,
    VMCLOCK_AT_PERIOD_FRAC_SEC = 0x30,
    VMCLOCK_AT_PERIOD_ESTERROR = 0x38,
    VMCLOCK_AT_PERIOD_MAXERROR = 0x40,
    VMCLOCK_AT_TIME_SEC = 0x48,
    VMCLOCK_AT_TIME_FRAC_SEC = 0x50,
    VMCLOCK_AT_TIME_ESTERROR_NANOSEC = 0x58,
    VMCLOCK_AT_TIME_MAXERROR_NANOSEC = 0x60,
    VMCLOCK_AT_VM_GENERATION = 0x68,
    VMCLOCK_FIELDS_END = 0x70,
};

enum vmclock_counter_id {
    VMCLOCK_COUNTER_ARM_VIRTUAL = 0,
    VMCLOCK_COUNTER_X86_TSC = 1,
    VMCLOCK_COUNTER_NONE = 0xff,
};

enum vmclock_time_type {
    VMCLOCK_TIME_UTC = 0,
    VMCLOCK_TIME_TAI = 1,
    VMCLOCK_TIME_MONOTONIC = 2,
    VMCLOCK_TIME_SMEARED = 3,
    VMCLOCK_TIME_MAYBE_SMEARED = 4,
};

enum vmclock_flag {
    VMCLOCK_FLAG_TAI_OFFSET_VALID = 1 << 0,
    VMCLOCK_FLAG_DISRUPTION_SOON = 1 << 1,
    VMCLOCK_FLAG_DISRUPTION_IMMINENT = 1 << 2,
    VMCLOCK_FLAG_PERIOD_ESTERROR_VALID = 1 << 3,
    VMCLOCK_FLAG_PERIOD_MAXERROR_VALID = 1 << 4,
    VMCLOCK_FLAG_TIME_ESTERROR_VALID = 1 << 5,
    VMCLOCK_FLAG_TIME_MAXERROR_VALID = 1 << 6,
    VMCLOCK_FLAG_TIME_MONOTONIC = 1 << 7,
    VMCLOCK_FLAG_VM_GENERATION_PRESENT = 1 << 8,
    VMCLOCK_FLAG_NOTIFICATION_PRESENT = 1 << 9,
};

enum vmclock_clock_status {
    VMCLOCK_STATUS_UNKNOWN = 0,
    VMCLOCK_STATUS_INITIALISING = 1,
    VMCLOCK_STATUS_SYNCHRONISED = 2,
    VMCLOCK_STATUS_FREERUNNING = 3,
    VMCLOCK_STATUS_UNRELIABLE = 4,
};

enum vmclock_leap {
    VMCLOCK_LEAP_NONE = 0,
    VMCLOCK_LEAP_PRE_POSITIVE = 1, /* at the end of the reference time's month */
    VMCLOCK_LEAP_PRE_NEGATIVE = 2,
    VMCLOCK_LEAP_NOW = 3, /* the reference time is within 23:59:60 */
    VMCLOCK_LEAP_POST_POSITIVE = 4,
    VMCLOCK_LEAP_POST_NEGATIVE = 5,
};

/* How the host would have guests smear a leap second. */
enum vmclock_smearing {
    VMCLOCK_SMEARING_STRICT = 0,
    VMCLOCK_SMEARING_NOON_LINEAR = 1, /* from noon before it to noon after it */
    VMCLOCK_SMEARING_UTC_SLS = 2,     /* over the 1000 s before it ends */
};

/*
 * One consistent copy of the page, in host order. A field that the page's size does not cover is
 * 0, a flag whose field is not covered is cleared.
 */
struct vmclock_page {
    uint32_t magic;
    uint32_t size; /* bytes */
    uint16_t version;
    uint8_t counter_id;
    uint8_t time_type;
    uint32_t seq_count;
    uint64_t disruption_marker;
    uint64_t flags;
    uint8_t clock_status;
    uint8_t smearing_hint;
    int16_t tai_offset_sec; /* TAI - UTC */
    uint8_t leap_indicator;
    uint8_t period_shift;
    uint64_t counter_value;
    uint64_t period_frac_sec; /* 2^-(64 + period_shift) s, as the two errors */
    uint64_t period_esterror;
    uint64_t period_maxerror;
    uint64_t time_sec;
    uint64_t time_frac_sec; /* 2^-64 s */
    uint64_t time_esterror_ns;
    uint64_t time_maxerror_ns;
    uint64_t vm_generation;
};

enum page_verdict {
    PAGE_OK,
    PAGE_BAD_MAGIC,
    PAGE_BAD_VERSION,
    PAGE_BAD_SIZE, /* does not cover the disruption marker, or over 1 MiB */
};

/* Why a page is refused, in words; never NULL. */
const char *page_verdict_str(enum page_verdict verdict);

/*
 * Decode the VMCLOCK_FIELDS_END bytes at `raw` and check the constant fields. *ret_page is written
 * whatever the verdict, so that a broken page can be shown; only PAGE_OK may be acted on.
 */
enum page_verdict page_decode(const uint8_t *raw, struct vmclock_page *ret_page);

/* Names for people; "invalid" for a value the specification does not have. */
const char *page_counter_id_str(uint8_t counter_id);
const char *page_time_type_str(uint8_t time_type);
const char *page_clock_status_str(uint8_t clock_status);
const char *page_leap_indicator_str(uint8_t leap_indicator);
const char *page_smearing_hint_str(uint8_t smearing_hint);

/* The flag is set, and its field is covered by the page's size. */
static inline bool page_has(const struct vmclock_page *page, enum vmclock_flag flag)
{
    return (page->flags & (uint64_t)flag) != 0;
}

#endif
