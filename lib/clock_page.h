/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page that vmclockd shares with applications, in its clock-file: what libvmclock reads. Both
 * include this; nobody else should, for it changes with `version`.
 *
 * There are two slots. `sequence` grows by one before each is written, first slot 0, then slot 1:
 * while it is odd slot 1 is whole and at rest, while it is even slot 0 is. So a reader never waits,
 * and a writer that dies in the middle leaves a slot that is whole.
 *
 *     writer:  sequence++ (odd)   write slot 0   sequence++ (even)   write slot 1
 *     reader:  slot 1             slot 1         slot 0              slot 0; again if it moved
 *
 * All numbers are the machine's own. The offsets are the same for 32 and 64 bits.
 */
#ifndef LIB_CLOCK_PAGE_H
#define LIB_CLOCK_PAGE_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_PAGE_MAGIC   UINT32_C(0x434d5654) /* "TVMC" */
#define CLOCK_PAGE_VERSION UINT32_C(1)
#define CLOCK_PAGE_DEVICE  256

enum clock_page_flag {
    CLOCK_PAGE_HAS_GENERATION = 1 << 0,
    /* The device's page is a clock with bounds, no leap second in sight: it may be read itself. */
    CLOCK_PAGE_IS_CLOCK = 1 << 1,
};

struct clock_page_slot {
    uint32_t status; /* enum bound_status */
    uint32_t reason; /* enum bound_reason */
    uint32_t flags;
    uint32_t growth_ppb; /* of the bound, from as_of on */
    int64_t as_of_ns;    /* CLOCK_REALTIME when the bound was true, if it was not stepped since */
    int64_t written_ns;  /* and when this was written */
    int64_t bound_ns;    /* of CLOCK_REALTIME's error */
    int64_t realtime_less_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC: it changes by steps alone */
    uint64_t disruption_marker, vm_generation;
    uint32_t page_sequence; /* with CLOCK_PAGE_IS_CLOCK: of the page that this is true of */
    int32_t page_ahead_sec; /* by which that page's time is ahead of UTC */
    /* CLOCK_MONOTONIC when vmclockd opened the device that it watches: another one, another device.
     * 0: it has none open. */
    int64_t device_opened_ns;
};

struct clock_page {
    uint32_t magic, version, size, sequence;
    uint64_t boot_id[2]; /* of the boot that the clocks are of */
    struct clock_page_slot slots[2];
    char device[CLOCK_PAGE_DEVICE]; /* path of the vmclock device */
};

/* The kernel's boot_id, as text, for `boot_id`: any number of hexadecimal digits and hyphens. */
static inline void clock_page_boot_id(const char *text, uint64_t ret_id[2])
{
    ret_id[0] = ret_id[1] = 0;
    for (; *text; text++) {
        const unsigned digit = *text >= '0' && *text <= '9'   ? (unsigned)(*text - '0')
                               : *text >= 'a' && *text <= 'f' ? (unsigned)(*text - 'a') + 10
                                                              : 16;

        if (digit == 16)
            continue;
        ret_id[0] = ret_id[0] << 4 | ret_id[1] >> 60;
        ret_id[1] = ret_id[1] << 4 | digit;
    }
}

#ifndef __cplusplus
_Static_assert(sizeof(struct clock_page_slot) == 80, "one layout for all");
_Static_assert(offsetof(struct clock_page, slots) == 32, "one layout for all");
_Static_assert(offsetof(struct clock_page, device) == 192, "one layout for all");
_Static_assert(sizeof(struct clock_page) == 448, "one layout for all");
#endif

#endif
