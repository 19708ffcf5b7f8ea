/* SPDX-License-Identifier: BSD-2-Clause */
#pragma GCC visibility push(default) /* what it declares, and nothing else, is seen outside */
#include "lib/vmclock.h"
#pragma GCC visibility pop

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock_page.h"
#include "refclock/bound_reason.h"
#include "refclock/fixed.h"

#define DEFAULT_PATH "/run/vmclockd/clock"
#define BOOT_ID      "/proc/sys/kernel/random/boot_id"

#define SECOND_NS    INT64_C(1000000000)
#define GOOD_NS      (5 * SECOND_NS) /* without a word of vmclockd, where nobody sees the marker */
#define GOOD_LONG_NS (1000 * SECOND_NS)  /* and where we do */
#define OPEN_NS      SECOND_NS           /* at the earliest after the last attempt */
#define FRESH_NS     (3 * SECOND_NS / 2) /* vmclockd has a word each second */
#define AHEAD_NS     (SECOND_NS / 10)    /* by which CLOCK_REALTIME may be ahead of the page */
#define TRIES        16
#define TRIES_LONG   2000 /* some microseconds: a host writes for less than one */
#define BOUND_MAX_NS INT64_C(1000000000000000000)
#define STEP_NS      (20 * INT64_C(1000000)) /* more than the coarse clock's tick, of 10 ms at most */
#define BACK_NS      (2 * INT64_C(1000000))

#define PAGE_BYTES 4096u /* of what is mapped: of the file, and of the device */

/* The vmclock device's page: what of it is read here. Linux's vmclock-abi.h has the whole. */
struct device_page {
    uint32_t magic, size;
    uint16_t version;
    uint8_t counter_id, time_type;
    uint32_t seq_count;
    uint64_t disruption_marker;
    uint64_t flags;
    uint8_t reserved[7], period_shift;
    uint64_t counter_value;
    uint64_t period_frac_sec, period_esterror, period_maxerror; /* 2^-(64 + period_shift) s */
    uint64_t time_sec, time_frac_sec;                           /* and 2^-64 s */
    uint64_t time_esterror_ns, time_maxerror_ns;
};

_Static_assert(offsetof(struct device_page, time_maxerror_ns) == 0x60, "as the device has it");

#define DEVICE_MAGIC UINT32_C(0x4b4c4356) /* "VCLK" */

struct vmclock {
    struct clock_page *page;    /* a page of memory, for reading, which is never unmapped */
    struct device_page *device; /* the same; it may have nothing to say */
    _Atomic bool is_ours;       /* what is mapped at `page` was written since this boot */
    _Atomic int64_t device_of;  /* device_opened_ns of what is mapped at `device`; 0: nothing is */
    _Atomic int64_t device_tried; /* of what could be mapped there, or can never be */
    _Atomic int64_t opened_ns;    /* CLOCK_MONOTONIC_COARSE, at the last attempt */
    uint64_t boot_id[2];          /* of this boot; 0: it cannot be known */
    char path[];
};

/* --- clocks --------------------------------------------------------------------------------- */

static inline int64_t ns_of(const struct timespec *t)
{
    return t->tv_sec * SECOND_NS + t->tv_nsec;
}

static inline void move(const struct timespec *from, int64_t by_ns, struct timespec *ret)
{
    int64_t nsec = from->tv_nsec + by_ns, sec = 0;

    if (nsec < 0 || nsec >= SECOND_NS) {
        sec = nsec / SECOND_NS - (nsec % SECOND_NS < 0);
        nsec -= sec * SECOND_NS;
    }
    ret->tv_sec = from->tv_sec + (time_t)sec;
    ret->tv_nsec = (long)nsec;
}

/* --- files ---------------------------------------------------------------------------------- */

static void read_boot_id(uint64_t ret_id[2])
{
    const int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    char text[64];
    ssize_t n = 0;

    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    clock_page_boot_id(text, ret_id);
}

/* A file has to have what is read of it: to read beyond its end is the end. */
static int check_file(int fd, size_t needed)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISREG(status.st_mode) && status.st_size == 0)
        return -ENOENT; /* vmclockd is just making it */
    return (S_ISREG(status.st_mode) ? status.st_size >= (off_t)needed : S_ISCHR(status.st_mode))
               ? 0
               : -EBADMSG;
}

/*
 * Map `bytes` of a file, or device, over `at`: a reader there sees the old or the new one. It is
 * mapped elsewhere first, for where a device refuses that there must not be a hole.
 */
static int map_over(void *at, const char *path, size_t bytes, size_t needed)
{
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    void *map;
    int r;

    if (fd < 0)
        return -errno;
    r = check_file(fd, needed);
    if (r == 0) {
        map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
            r = -errno;
        else if (mremap(map, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
            r = -errno;
            munmap(map, bytes);
        }
    }
    close(fd);
    return r;
}

/* Nothing, for as long as there is no file. */
static void *reserve(size_t bytes)
{
    return mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int check(struct vmclock *c)
{
    const struct clock_page *page = c->page;

    c->is_ours = page->magic == CLOCK_PAGE_MAGIC &&
                 ((page->boot_id[0] == c->boot_id[0] && page->boot_id[1] == c->boot_id[1]) ||
                     (c->boot_id[0] | c->boot_id[1]) == 0);
    if (page->magic != CLOCK_PAGE_MAGIC)
        return page->magic == 0 ? -ENOENT : -EBADMSG; /* vmclockd is just making it */
    /* 0: vmclockd has not written it yet. */
    return page->version == CLOCK_PAGE_VERSION || page->version == 0 ? 0 : -EPROTONOSUPPORT;
}

/* --- reading -------------------------------------------------------------------------------- */

/* What was published, and CLOCK_REALTIME while it was so. */
struct sight {
    struct timespec realtime;
    int64_t realtime_ns, as_of_ns, written_ns, bound_ns, realtime_less_ns;
    uint32_t status, reason, growth_ppb, flags, page_sequence;
    int32_t page_ahead_sec;
    uint64_t marker, vm_generation;
    int64_t device_opened_ns;
};

/*
 * The sequence, then the clock, then the slot, then the sequence again: a reading of the disrupted
 * clock never meets the status of after its recovery. 0; 1: there is nothing to see; -errno.
 */
__attribute__((always_inline)) static inline int see(
    const struct vmclock *c, bool with_clock, struct sight *ret)
{
    const struct clock_page *page = c->page;
    const _Atomic uint32_t *sequence = (const _Atomic uint32_t *)&page->sequence;

    for (int i = 0; i < TRIES; i++) {
        const uint32_t before = atomic_load_explicit(sequence, memory_order_acquire);
        const struct clock_page_slot *slot = &page->slots[before & 1];

        if (with_clock && clock_gettime(CLOCK_REALTIME, &ret->realtime) < 0)
            return -errno;
        atomic_thread_fence(memory_order_acquire);
        ret->status = slot->status;
        ret->reason = slot->reason;
        ret->growth_ppb = slot->growth_ppb;
        ret->as_of_ns = slot->as_of_ns;
        ret->written_ns = slot->written_ns;
        ret->bound_ns = slot->bound_ns;
        ret->realtime_less_ns = slot->realtime_less_ns;
        ret->marker = slot->disruption_marker;
        ret->vm_generation = slot->vm_generation;
        ret->flags = slot->flags;
        ret->page_sequence = slot->page_sequence;
        ret->page_ahead_sec = slot->page_ahead_sec;
        ret->device_opened_ns = slot->device_opened_ns;
        atomic_thread_fence(memory_order_acquire);
        if (with_clock)
            ret->realtime_ns = ns_of(&ret->realtime);
        if (before == atomic_load_explicit(sequence, memory_order_relaxed))
            return page->version == CLOCK_PAGE_VERSION && c->is_ours ? 0 : 1;
    }
    return 1;
}

/* What is mapped at `device` is what vmclockd went by when it told `s`. */
static inline bool has_device(const struct vmclock *c, const struct sight *s)
{
    return s->device_opened_ns != 0 &&
           atomic_load_explicit(&c->device_of, memory_order_acquire) == s->device_opened_ns;
}

/* ... or it can never be mapped here. */
static inline bool has_tried_device(const struct vmclock *c, const struct sight *s)
{
    return atomic_load_explicit(&c->device_tried, memory_order_acquire) == s->device_opened_ns;
}

enum marker {
    MARKER_ELSEWHERE,  /* this program may not read the device: vmclockd watches it */
    MARKER_SAME,       /* as vmclockd has published it */
    MARKER_CHANGED,    /* and vmclockd has not seen it yet */
    MARKER_UNREADABLE, /* the host is writing, or there is a device no more */
};

/* By the device itself. */
static inline enum marker read_marker(
    const struct vmclock *c, const struct sight *s, int tries, uint64_t *ret_marker)
{
    const struct device_page *d = c->device;
    const _Atomic uint32_t *sequence = (const _Atomic uint32_t *)&d->seq_count;

    *ret_marker = s->marker;
    if (!has_device(c, s))
        return MARKER_ELSEWHERE;
    for (int i = 0; i < tries; i++) {
        const uint32_t before = atomic_load_explicit(sequence, memory_order_acquire);
        const uint32_t magic = *(const volatile uint32_t *)&d->magic;
        const uint64_t marker = *(const volatile uint64_t *)&d->disruption_marker;

        atomic_thread_fence(memory_order_acquire);
        if ((before & 1) || magic != DEVICE_MAGIC || !has_device(c, s) ||
            before != atomic_load_explicit(sequence, memory_order_relaxed))
            continue;
        *ret_marker = marker;
        return marker == s->marker ? MARKER_SAME : MARKER_CHANGED;
    }
    return has_device(c, s) ? MARKER_UNREADABLE : MARKER_ELSEWHERE;
}

static inline bool is_good(uint32_t status)
{
    return status == BOUND_SYNCHRONISED || status == BOUND_FREE_RUNNING;
}

/*
 * The published bound as it is now, rounded up: 2^10 ns are at most 1e9 / 976562 ns. Of 36 minutes
 * and more by whole milliseconds, which fit.
 */
static inline int64_t bound_now_ns(const struct sight *s)
{
    const int64_t age_ns = s->realtime_ns - s->as_of_ns;
    const uint64_t units = age_ns > 0 ? (uint64_t)age_ns / 1024 + 1 : 1;
    const uint64_t grown = units < UINT64_C(1) << 31
                               ? units * s->growth_ppb / 976562 + 1
                               : ((uint64_t)age_ns / 1000000 + 1) * s->growth_ppb / 1000 + 1;

    return s->bound_ns < BOUND_MAX_NS && grown < BOUND_MAX_NS ? s->bound_ns + (int64_t)grown
                                                              : BOUND_MAX_NS;
}

static inline void tell(const struct sight *s, uint64_t marker, struct vmclock_interval *ret)
{
    const int64_t bound_ns = bound_now_ns(s);

    ret->disruption_marker = marker;
    ret->vm_generation = s->vm_generation;
    if (is_good(s->status) && bound_ns < BOUND_MAX_NS) {
        ret->status = (enum vmclock_status)s->status; /* the two have the same numbers */
        move(&s->realtime, -bound_ns, &ret->earliest);
        move(&s->realtime, bound_ns, &ret->latest);
    } else {
        ret->status = s->status == BOUND_DISRUPTED ? VMCLOCK_DISRUPTED : VMCLOCK_UNKNOWN;
        ret->earliest = ret->latest = (struct timespec){0};
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

/* What this program may not do it never may; what fails for want of something may be had later. */
static bool is_final(int r)
{
    return r == 0 || r == -EACCES || r == -EPERM || r == -ENOENT || r == -ENOTDIR || r == -ENODEV ||
           r == -ENXIO || r == -EBADMSG;
}

/*
 * The device that vmclockd watches, where this program may read it: then it sees the marker for
 * itself. A vmclockd that opens another one says so in the page.
 */
static void open_device(struct vmclock *c)
{
    struct sight before, after;
    char path[CLOCK_PAGE_DEVICE];
    int r;

    if (see(c, false, &before) != 0 || has_device(c, &before) || has_tried_device(c, &before))
        return;
    memcpy(path, c->page->device, sizeof(path));
    path[sizeof(path) - 1] = '\0';
    atomic_store_explicit(&c->device_of, 0, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    r = path[0] ? map_over(c->device, path, PAGE_BYTES, sizeof(*c->device)) : -ENOENT;
    if (see(c, false, &after) != 0 || after.device_opened_ns != before.device_opened_ns)
        return; /* it may be the one of before, or of after */
    if (r == 0)
        atomic_store_explicit(&c->device_of, before.device_opened_ns, memory_order_release);
    if (is_final(r))
        atomic_store_explicit(&c->device_tried, before.device_opened_ns, memory_order_release);
}

int vmclock_open(const char *path, struct vmclock **ret)
{
    const char *name = path ? path : DEFAULT_PATH;
    struct vmclock *c = calloc(1, sizeof(*c) + strlen(name) + 1);
    void *page, *device;
    int r = 0;

    if (!c)
        return -ENOMEM;
    strcpy(c->path, name);
    read_boot_id(c->boot_id);
    page = reserve(PAGE_BYTES);
    device = reserve(PAGE_BYTES);
    if (page == MAP_FAILED || device == MAP_FAILED)
        r = -ENOMEM;
    c->page = page == MAP_FAILED ? NULL : page;
    c->device = device == MAP_FAILED ? NULL : device;
    if (r == 0)
        r = map_over(page, name, PAGE_BYTES, sizeof(*c->page));
    if (r == 0)
        r = check(c);
    if (r < 0) {
        vmclock_close(c);
        return r;
    }
    open_device(c);
    *ret = c;
    return 0;
}

void vmclock_close(struct vmclock *c)
{
    if (!c)
        return;
    if (c->page)
        munmap(c->page, PAGE_BYTES);
    if (c->device)
        munmap(c->device, PAGE_BYTES);
    free(c);
}

/* What is mapped says nothing any more: another file may be at its path by now. Once a second. */
static void open_again(struct vmclock *c, int64_t coarse_ns)
{
    int64_t last_ns = atomic_load_explicit(&c->opened_ns, memory_order_relaxed);
    const int error = errno;

    if (coarse_ns - last_ns < OPEN_NS ||
        !atomic_compare_exchange_strong(&c->opened_ns, &last_ns, coarse_ns))
        return;
    if (map_over(c->page, c->path, PAGE_BYTES, sizeof(*c->page)) == 0)
        check(c);
    open_device(c);
    errno = error;
}

/* What has become of it without a word of vmclockd, by a clock that no step moves. */
static void age(struct sight *s, bool sees_marker, int64_t age_ns)
{
    if (age_ns >= GOOD_NS && (age_ns > GOOD_LONG_NS || !sees_marker)) {
        s->status = BOUND_UNKNOWN;
        s->reason = BOUND_STOPPING;
    } else if (is_good(s->status) && age_ns >= GOOD_NS) {
        s->status = BOUND_FREE_RUNNING;
    }
}

/* By how much CLOCK_REALTIME was stepped since: the coarse clock is behind by up to a tick. */
static inline bool was_stepped(const struct sight *s, int64_t coarse_ns)
{
    const int64_t moved_ns = s->realtime_ns - s->realtime_less_ns - coarse_ns;

    return moved_ns > STEP_NS || moved_ns < -BACK_NS;
}

/* As see(), and CLOCK_MONOTONIC_COARSE. To be kept from running between the two is no step. */
static int see_clocks(const struct vmclock *c, struct sight *ret, int64_t *ret_coarse_ns)
{
    for (int i = 0;; i++) {
        struct timespec coarse = {0};
        const int r = see(c, true, ret);

        if (r < 0 || clock_gettime(CLOCK_MONOTONIC_COARSE, &coarse) < 0)
            return r < 0 ? r : -errno;
        *ret_coarse_ns = ns_of(&coarse);
        if (r == 1 || i == TRIES || !was_stepped(ret, *ret_coarse_ns))
            return r;
    }
}

/* Whatever is so. */
__attribute__((noinline)) static int look(
    struct vmclock *c, struct vmclock_interval *ret, uint32_t *ret_reason)
{
    struct sight s = {0};
    int64_t coarse_ns = 0, age_ns;
    uint64_t marker;
    enum marker seen;
    int r = see_clocks(c, &s, &coarse_ns);

    if (r < 0)
        return r;
    age_ns = coarse_ns + s.realtime_less_ns - s.written_ns;
    if (r == 1 || age_ns >= GOOD_NS || !(has_device(c, &s) || has_tried_device(c, &s))) {
        open_again(c, coarse_ns);
        r = see_clocks(c, &s, &coarse_ns);
        if (r < 0)
            return r;
        age_ns = coarse_ns + s.realtime_less_ns - s.written_ns;
    }
    if (r == 1) {
        *ret = (struct vmclock_interval){.status = VMCLOCK_UNKNOWN};
        *ret_reason = BOUND_STOPPING;
        return 0;
    }
    seen = read_marker(c, &s, TRIES_LONG, &marker);
    age(&s, seen == MARKER_SAME || seen == MARKER_CHANGED, age_ns);
    if (is_good(s.status) && was_stepped(&s, coarse_ns)) {
        s.status = BOUND_UNKNOWN;
        s.reason = BOUND_STEPPED;
    }
    if (seen == MARKER_CHANGED && s.status != BOUND_UNKNOWN) {
        s.status = BOUND_DISRUPTED;
        s.reason = BOUND_RECOVERING;
    } else if (seen == MARKER_UNREADABLE) {
        s.status = BOUND_UNKNOWN;
        s.reason = BOUND_PAGE_UNSEEN;
    }
    *ret_reason = s.reason;
    tell(&s, marker, ret);
    return 0;
}

/* --- by the page itself ----------------------------------------------------------------------- */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && (defined(__x86_64__) || defined(__aarch64__))

/* After all that comes before. */
static inline uint64_t read_counter(void)
{
#if defined(__x86_64__)
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
#else
    uint64_t value;

    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
#endif
}

/*
 * The time by the counter and the page's formula, where vmclockd has found this very page to be
 * good. False: go by CLOCK_REALTIME.
 */
static inline bool look_at_page(
    const struct vmclock *c, const struct sight *s, struct vmclock_interval *ret)
{
    const struct device_page *d = c->device;
    const _Atomic uint32_t *sequence = (const _Atomic uint32_t *)&d->seq_count;
    uint64_t since, period, maxerror, marker, error_ns, age_ns, bound_ns;
    struct fixed utc, elapsed, drift;
    unsigned shift;
    bool back;

    if (!(s->flags & CLOCK_PAGE_IS_CLOCK) || !is_good(s->status) || !has_device(c, s) ||
        *(const volatile uint32_t *)&d->magic != DEVICE_MAGIC ||
        atomic_load_explicit(sequence, memory_order_acquire) != s->page_sequence)
        return false;
    since = read_counter() - d->counter_value;
    period = d->period_frac_sec;
    shift = d->period_shift;
    maxerror = d->period_maxerror;
    utc = (struct fixed){(int64_t)d->time_sec - s->page_ahead_sec, d->time_frac_sec};
    error_ns = d->time_maxerror_ns;
    marker = d->disruption_marker;
    atomic_thread_fence(memory_order_acquire);
    if (s->page_sequence & 1 ||
        atomic_load_explicit(sequence, memory_order_relaxed) != s->page_sequence ||
        marker != s->marker || !has_device(c, s))
        return false;
    back = (int64_t)since < 0; /* of a reference in the near future */
    since = back ? 0 - since : since;
    if (!fixed_from_ticks(since, period, shift, &elapsed) ||
        !fixed_from_ticks(since, maxerror, shift, &drift) ||
        !(back ? fixed_sub(utc, elapsed, &utc) : fixed_add(utc, elapsed, &utc)))
        return false;
    bound_ns = error_ns + (uint64_t)fixed_to_ns(drift) + 1;
    ret->earliest.tv_sec = (time_t)utc.sec;
    ret->earliest.tv_nsec = (long)fixed_nsec(utc);
    age_ns = (uint64_t)utc.sec * SECOND_NS + fixed_nsec(utc) - (uint64_t)s->written_ns + AHEAD_NS;
    if (age_ns >= FRESH_NS + AHEAD_NS || error_ns > BOUND_MAX_NS || bound_ns > BOUND_MAX_NS)
        return false;
    move(&ret->earliest, (int64_t)bound_ns + 1, &ret->latest);
    move(&ret->earliest, -(int64_t)bound_ns, &ret->earliest);
    ret->status = (enum vmclock_status)s->status;
    ret->disruption_marker = marker;
    ret->vm_generation = s->vm_generation;
    return true;
}

#else

static inline bool look_at_page(
    const struct vmclock *c, const struct sight *s, struct vmclock_interval *ret)
{
    (void)c, (void)s, (void)ret;
    return false;
}

#endif

/* --- all of it -------------------------------------------------------------------------------- */

__attribute__((always_inline)) static inline int read_clock(
    struct vmclock *c, struct vmclock_interval *ret, uint32_t *ret_reason)
{
    struct sight s;
    uint64_t marker;
    enum marker seen;

    if (atomic_load_explicit(&c->device_of, memory_order_relaxed) && see(c, false, &s) == 0 &&
        look_at_page(c, &s, ret)) {
        *ret_reason = s.reason;
        return 0;
    }
    /* As it is nearly always: published a moment ago, and good. */
    if (see(c, true, &s) == 0 && (uint64_t)s.realtime_ns - (uint64_t)s.written_ns < FRESH_NS &&
        is_good(s.status) && has_tried_device(c, &s)) {
        /* After the clock: a disruption that is not seen now was not before the reading, either. */
        seen = read_marker(c, &s, TRIES, &marker);
        if (seen == MARKER_SAME || seen == MARKER_ELSEWHERE) {
            *ret_reason = s.reason;
            tell(&s, marker, ret);
            return 0;
        }
    }
    return look(c, ret, ret_reason);
}

int vmclock_now(struct vmclock *c, struct vmclock_interval *ret)
{
    uint32_t reason;

    return read_clock(c, ret, &reason);
}

const char *vmclock_status_str(enum vmclock_status status)
{
    return bound_status_str((enum bound_status)status);
}

const char *vmclock_why(struct vmclock *c)
{
    struct vmclock_interval interval;
    uint32_t reason = BOUND_STOPPING;
    const int r = read_clock(c, &interval, &reason);

    return r < 0 ? "the system's clocks cannot be read" : bound_reason_str(reason);
}
