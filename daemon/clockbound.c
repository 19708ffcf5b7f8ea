/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/clockbound.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "daemon/system_clock.h"

#define SECOND_NS    INT64_C(1000000000)
#define GOOD_NS      (5 * SECOND_NS)
#define GOOD_LONG_NS (1000 * SECOND_NS) /* as ClockBound has it: its readers watch the marker */
#define RECENT_NS    (10 * SECOND_NS)
#define WATCH_NS     (3 * SECOND_NS) /* a writer writes once a second */
#define VERSION_2    2

static const uint32_t magic[2] = {UINT32_C(0x414d5a4e), UINT32_C(0x43420200)};

struct segment {
    uint32_t magic[2], size;
    uint16_t version;
    uint16_t generation; /* 0: nothing was written yet; odd: it is being written */
    int64_t as_of_sec, as_of_nsec, void_after_sec, void_after_nsec;
    int64_t bound_ns;
    uint64_t disruption_marker;
    uint32_t growth_ppb;
    int32_t status;
    uint8_t marker_too, padding[7];
};

_Static_assert(sizeof(struct segment) == 80, "version 2 has 80 bytes");
_Static_assert(offsetof(struct segment, as_of_sec) == 16, "of these offsets");
_Static_assert(offsetof(struct segment, bound_ns) == 48, "of these offsets");
_Static_assert(offsetof(struct segment, marker_too) == 72, "of these offsets");

void clockbound_init(struct clockbound *c)
{
    *c = (struct clockbound){0};
    shared_file_init(&c->file, sizeof(struct segment));
}

static int64_t as_of_ns(const struct segment *s)
{
    return s->as_of_sec > 0 && s->as_of_sec < INT64_MAX / SECOND_NS ? s->as_of_sec * SECOND_NS : 0;
}

/* 0; 1: others may be at work, which takes some seconds to tell. */
static int open_segment(struct clockbound *c, const char *path, int64_t now_ns)
{
    struct segment *s;
    int r;

    if (strcmp(path, c->path) != 0) {
        clockbound_close(c);
        c->taken = false;
    }
    r = shared_file_open(&c->file, path, magic, sizeof(magic));
    if (r < 0)
        return r;
    s = c->file.map;
    if (r == 1) {
        snprintf(c->path, sizeof(c->path), "%s", path);
        c->generation = s->generation;
        c->watch_until_ns = s->version == VERSION_2 && now_ns - as_of_ns(s) < RECENT_NS &&
                                    as_of_ns(s) - now_ns < RECENT_NS
                                ? now_ns + WATCH_NS
                                : 0;
    }
    c->taken = c->taken || s->generation != c->generation;
    return c->taken ? -EBUSY : now_ns < c->watch_until_ns;
}

static void write_segment(struct clockbound *c, bool marker_too, const struct clock_report *report)
{
    struct segment *s = c->file.map;
    _Atomic uint16_t *generation = (_Atomic uint16_t *)&s->generation;
    const struct bound *b = report->bound;
    /* The coarse clock is behind the other by up to a tick: the bound is a little older by it. */
    const int64_t true_ns = report->coarse_ns - report->age_ns;
    const int64_t void_ns = true_ns + (marker_too ? GOOD_LONG_NS : GOOD_NS);
    const double ppb = b->value.known ? ceil(b->growth * 1e9) : 0;
    const uint16_t odd = (uint16_t)(c->generation | 1U);

    atomic_store_explicit(generation, odd, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    s->magic[0] = magic[0];
    s->magic[1] = magic[1];
    s->size = sizeof(*s);
    s->version = VERSION_2;
    s->as_of_sec = true_ns / SECOND_NS;
    s->as_of_nsec = true_ns % SECOND_NS;
    s->void_after_sec = void_ns / SECOND_NS;
    s->void_after_nsec = void_ns % SECOND_NS;
    s->bound_ns = b->value.known ? (int64_t)ceil(b->value.sec * 1e9) : 0;
    s->disruption_marker = report->marker;
    s->growth_ppb = (uint32_t)ppb;
    s->status = (int32_t)b->status; /* the two have the same numbers */
    s->marker_too = marker_too;
    memset(s->padding, 0, sizeof(s->padding));
    atomic_thread_fence(memory_order_seq_cst);
    c->generation = odd == UINT16_MAX ? 2 : (uint16_t)(odd + 1);
    atomic_store_explicit(generation, c->generation, memory_order_release);
}

int clockbound_write(
    struct clockbound *c, const char *path, bool marker_too, const struct clock_report *report)
{
    int r;

    if (!path[0]) {
        clockbound_close(c);
        c->taken = false;
        return 0;
    }
    if (c->taken && strcmp(path, c->path) == 0)
        return -EBUSY;
    r = open_segment(c, path, report->coarse_ns);
    if (r == 0)
        write_segment(c, marker_too, report);
    return r < 0 ? r : 0;
}

void clockbound_close(struct clockbound *c)
{
    static const struct bound nothing = {.status = BOUND_UNKNOWN, .reason = BOUND_STOPPING};
    const int64_t now_ns = system_clock_coarse_ns();
    const struct clock_report report = {.bound = &nothing, .coarse_ns = now_ns};
    const struct segment *s = c->file.map;

    if (shared_file_is_intact(&c->file) && !c->taken && s->generation == c->generation &&
        now_ns >= c->watch_until_ns)
        write_segment(c, s->marker_too, &report);
    shared_file_close(&c->file);
    c->path[0] = '\0';
}
