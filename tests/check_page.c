/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/page.h"

#include "tests/suite.h"

static struct vmclock_page page;

START_TEST(a_page_is_decoded_from_its_bytes)
{
    uint8_t raw[VMCLOCK_FIELDS_END] = {'V', 'C', 'L', 'K', 0, 0x10, 0, 0, 1, 0, 1, 1, 4, 0, 0, 0,
        0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0x41, 0x01};

    raw[VMCLOCK_AT_TAI_OFFSET_SEC] = 0xdb; /* -37 */
    raw[VMCLOCK_AT_TAI_OFFSET_SEC + 1] = 0xff;
    raw[VMCLOCK_AT_VM_GENERATION] = 9;
    ck_assert_int_eq(page_decode(raw, &page), PAGE_OK);
    ck_assert_uint_eq(page.disruption_marker, UINT64_C(0x0123456789abcdef));
    ck_assert_uint_eq(page.seq_count, 4);
    ck_assert_int_eq(page.tai_offset_sec, -37);
    ck_assert_uint_eq(page.vm_generation, 9);
    ck_assert(page_has(&page, VMCLOCK_FLAG_VM_GENERATION_PRESENT));
    ck_assert(page_has(&page, VMCLOCK_FLAG_TIME_MAXERROR_VALID));

    raw[4] = 0x60; /* a size that ends before time_maxerror and the generation */
    raw[5] = 0;
    ck_assert_int_eq(page_decode(raw, &page), PAGE_OK);
    ck_assert_uint_eq(page.vm_generation, 0);
    ck_assert(!page_has(&page, VMCLOCK_FLAG_VM_GENERATION_PRESENT));
    ck_assert(!page_has(&page, VMCLOCK_FLAG_TIME_MAXERROR_VALID));
    raw[4] = 0x17; /* not even the marker */
    ck_assert_int_eq(page_decode(raw, &page), PAGE_BAD_SIZE);
    raw[6] = 0xff;
    ck_assert_int_eq(page_decode(raw, &page), PAGE_BAD_SIZE);
    raw[8] = 2;
    ck_assert_int_eq(page_decode(raw, &page), PAGE_BAD_VERSION);
    raw[0] = 0;
    ck_assert_int_eq(page_decode(raw, &page), PAGE_BAD_MAGIC);
}
END_TEST

RUN_SUITE("page", a_page_is_decoded_from_its_bytes)
