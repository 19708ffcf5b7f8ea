/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/clock_file.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "daemon/system_clock.h"
#include "lib/clock_page.h"

static const uint32_t magic = CLOCK_PAGE_MAGIC;

void clock_report_make(
    const struct tracker *t, int64_t device_opened_ns, struct clock_report *ret_report)
{
    const struct vmclock_page *page = &t->host.page;
    const bool has_generation = page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT);
    const int64_t now_ns = system_clock_monotonic_ns();
    const struct bound *b = &t->bound;
    const bool is_clock = (b->reason == BOUND_BY_PAGE || b->reason == BOUND_HOST_FREE) &&
                          page->leap_indicator == VMCLOCK_LEAP_NONE &&
                          page->seq_count == b->page_sequence && /* the one that was measured */
                          t->feeder.verdict == CLOCK_OK;

    *ret_report = (struct clock_report){
        .bound = b,
        .device_opened_ns = device_opened_ns,
        .coarse_ns = system_clock_coarse_ns(),
        .age_ns = b->value.known ? now_ns - b->value.as_of_ns : 0,
        .realtime_ns = now_ns + t->bound.realtime_less_ns,
        .realtime_less_ns = t->bound.realtime_less_ns,
        .marker = t->host.marker,
        .vm_generation = has_generation ? page->vm_generation : 0,
        .flags = (has_generation ? CLOCK_PAGE_HAS_GENERATION : 0U) |
                 (is_clock ? CLOCK_PAGE_IS_CLOCK : 0U),
        .page_sequence = page->seq_count,
        .page_ahead_sec = page->time_type == VMCLOCK_TIME_TAI ? page->tai_offset_sec : 0,
    };
}

void clock_file_init(struct clock_file *c)
{
    shared_file_init(&c->file, sizeof(struct clock_page));
    c->path[0] = '\0';
}

static void describe(const struct clock_report *report, struct clock_page_slot *ret_slot)
{
    const struct bound *b = report->bound;
    const double ppb = b->value.known ? ceil(b->growth * 1e9) : 0;

    *ret_slot = (struct clock_page_slot){
        .status = b->status,
        .reason = b->reason,
        .flags = report->flags,
        .growth_ppb = (uint32_t)ppb,
        .as_of_ns = report->realtime_ns - report->age_ns,
        .written_ns = report->realtime_ns,
        .bound_ns = b->value.known ? (int64_t)ceil(b->value.sec * 1e9) : INT64_MAX,
        .realtime_less_ns = report->realtime_less_ns,
        .disruption_marker = report->marker,
        .vm_generation = report->vm_generation,
        .page_sequence = report->page_sequence,
        .page_ahead_sec = report->page_ahead_sec,
        .device_opened_ns = report->device_opened_ns,
    };
}

static void write_slots(struct clock_page *page, const struct clock_page_slot *slot)
{
    _Atomic uint32_t *sequence = (_Atomic uint32_t *)&page->sequence;
    uint32_t next = (atomic_load_explicit(sequence, memory_order_relaxed) | 1U) + 1U;

    for (int i = 0; i < 2; i++) {
        atomic_store_explicit(sequence, next - 1 + (uint32_t)i, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst);
        page->slots[i] = *slot;
        atomic_thread_fence(memory_order_seq_cst);
    }
}

/* A vmclockd that died in the middle left one slot whole, from which the other is restored. */
static void adopt(struct clock_page *page)
{
    page->slots[~page->sequence & 1] = page->slots[page->sequence & 1];
    atomic_thread_fence(memory_order_seq_cst);
}

static int open_page(
    struct clock_file *c, const char *path, const char *device, const char *boot_id)
{
    uint64_t boot[2];
    struct clock_page *page;
    int r;

    clock_page_boot_id(boot_id, boot);
    if (strcmp(path, c->path) != 0)
        clock_file_close(c);
    r = shared_file_open(&c->file, path, &magic, sizeof(magic));
    if (r < 0)
        return r;
    snprintf(c->path, sizeof(c->path), "%s", path);
    page = c->file.map;
    if (r == 1 && page->version == CLOCK_PAGE_VERSION)
        adopt(page);
    if (page->magic == magic && page->version == CLOCK_PAGE_VERSION && c->file.size == page->size &&
        memcmp(page->boot_id, boot, sizeof(page->boot_id)) == 0 &&
        strcmp(page->device, device) == 0)
        return 0;
    /* Without a version it is no page yet: readers wait for it, which is written last. */
    page->version = 0;
    atomic_thread_fence(memory_order_seq_cst);
    page->magic = magic;
    page->size = sizeof(*page);
    memcpy(page->boot_id, boot, sizeof(page->boot_id));
    memset(page->device, 0, sizeof(page->device));
    snprintf(page->device, sizeof(page->device), "%s", device);
    return 1;
}

int clock_file_write(struct clock_file *c, const char *path, const char *device,
    const char *boot_id, const struct clock_report *report)
{
    struct clock_page_slot slot;
    struct clock_page *page;
    int r;

    if (!path[0]) {
        clock_file_close(c);
        return 0;
    }
    r = open_page(c, path, device, boot_id);
    if (r < 0)
        return r;
    page = c->file.map;
    describe(report, &slot);
    write_slots(page, &slot);
    if (r == 1)
        page->version = CLOCK_PAGE_VERSION;
    return 0;
}

void clock_file_close(struct clock_file *c)
{
    static const struct bound nothing = {.status = BOUND_UNKNOWN, .reason = BOUND_STOPPING};
    const struct clock_report report = {.bound = &nothing, .coarse_ns = system_clock_coarse_ns()};
    struct clock_page_slot slot;

    if (shared_file_is_intact(&c->file)) {
        describe(&report, &slot);
        write_slots(c->file.map, &slot);
    }
    shared_file_close(&c->file);
    c->path[0] = '\0';
}
