/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/sim_page.h"

#include <endian.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/wide.h"

#define NS_PER_S      1000000000
#define TAI_MINUS_UTC 37
#define BRACKETS      2000
#define TWO_POW_63    9223372036854775808.0L
#define TWO_POW_64    18446744073709551616.0L

struct sim_page {
    struct sim_options options;
    int fd;
    uint8_t *map;
    bool created;
    bool torn;      /* the sequence count is odd and stays so */
    bool truncated; /* `saved` is what was there; the mapping must not be touched */
    bool held;      /* the page does not follow `clock` for now */
    struct sim_clock clock;
    int64_t lead_ticks;
    int64_t update_at;
    int64_t mend_at;
    int64_t publish_at;
    int64_t marker_at;
    int64_t flap_at;
    int64_t flap_until;
    int64_t flap_period_ns;
    uint8_t saved[SIM_PAGE_BYTES];
};

const struct sim_field sim_fields[] = {
    {"magic", VMCLOCK_AT_MAGIC, 4},
    {"size", VMCLOCK_AT_SIZE, 4},
    {"version", VMCLOCK_AT_VERSION, 2},
    {"counter_id", VMCLOCK_AT_COUNTER_ID, 1},
    {"time_type", VMCLOCK_AT_TIME_TYPE, 1},
    {"seq_count", VMCLOCK_AT_SEQ_COUNT, 4},
    {"disruption_marker", VMCLOCK_AT_DISRUPTION_MARKER, 8},
    {"flags", VMCLOCK_AT_FLAGS, 8},
    {"clock_status", VMCLOCK_AT_CLOCK_STATUS, 1},
    {"leap_second_smearing_hint", VMCLOCK_AT_SMEARING_HINT, 1},
    {"tai_offset_sec", VMCLOCK_AT_TAI_OFFSET_SEC, 2},
    {"leap_indicator", VMCLOCK_AT_LEAP_INDICATOR, 1},
    {"counter_period_shift", VMCLOCK_AT_PERIOD_SHIFT, 1},
    {"counter_value", VMCLOCK_AT_COUNTER_VALUE, 8},
    {"counter_period_frac_sec", VMCLOCK_AT_PERIOD_FRAC_SEC, 8},
    {"counter_period_esterror_rate_frac_sec", VMCLOCK_AT_PERIOD_ESTERROR, 8},
    {"counter_period_maxerror_rate_frac_sec", VMCLOCK_AT_PERIOD_MAXERROR, 8},
    {"time_sec", VMCLOCK_AT_TIME_SEC, 8},
    {"time_frac_sec", VMCLOCK_AT_TIME_FRAC_SEC, 8},
    {"time_esterror_nanosec", VMCLOCK_AT_TIME_ESTERROR_NANOSEC, 8},
    {"time_maxerror_nanosec", VMCLOCK_AT_TIME_MAXERROR_NANOSEC, 8},
    {"vm_generation_counter", VMCLOCK_AT_VM_GENERATION, 8},
    {NULL, 0, 0},
};

/* The counter and the clock */

uint64_t sim_counter(void)
{
    uint64_t ticks = 0;

#if defined(__x86_64__) || defined(__i386__)
    uint32_t low, high;

    /* Fenced on both sides: a bracket must not let the reading inside it slip out. */
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
    ticks = (uint64_t)high << 32 | low;
#elif defined(__aarch64__)
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks) : : "memory");
#endif
    return ticks;
}

static uint8_t machine_counter_id(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return VMCLOCK_COUNTER_X86_TSC;
#elif defined(__aarch64__)
    return VMCLOCK_COUNTER_ARM_VIRTUAL;
#else
    return VMCLOCK_COUNTER_NONE;
#endif
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* A pair of readings; the fractions are what averaging many brackets adds to the whole numbers. */
struct pair {
    uint64_t counter;
    long double counter_more;
    int64_t time_ns;
    long double time_more_ns;
};

/*
 * The mean of those brackets that are nearly as narrow as the narrowest: what is asymmetric in
 * them is so at both ends of a baseline and cancels out, the rounding to whole ns is averaged.
 */
static struct pair read_pair(void)
{
    struct bracket {
        uint64_t before, after;
        int64_t time_ns;
    } brackets[BRACKETS];
    uint64_t narrowest = UINT64_MAX;
    long double counters = 0, times_ns = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < BRACKETS; i++) {
        struct bracket *b = &brackets[i];

        b->before = sim_counter();
        b->time_ns = clock_ns(CLOCK_REALTIME);
        b->after = sim_counter();
        if (b->after - b->before < narrowest)
            narrowest = b->after - b->before;
    }
    for (unsigned i = 0; i < BRACKETS; i++) {
        const struct bracket *b = &brackets[i];
        const uint64_t width = b->after - b->before;

        if (width > narrowest + narrowest / 8)
            continue;
        counters += (long double)(b->before - brackets[0].before) + (long double)width / 2;
        times_ns += (long double)(b->time_ns - brackets[0].time_ns);
        n++;
    }
    return (struct pair){
        .counter = brackets[0].before,
        .counter_more = counters / n,
        .time_ns = brackets[0].time_ns,
        .time_more_ns = times_ns / n,
    };
}

int sim_clock_measure(int64_t baseline_ns, struct sim_clock *ret_clock)
{
    const struct timespec sleep_for = {
        (time_t)(baseline_ns / NS_PER_S), (long)(baseline_ns % NS_PER_S)};
    struct pair from, to;
    long double ticks, ns, period, past_ns;
    struct sim_clock clock = {0};
    int64_t at_ns;

    if (machine_counter_id() == VMCLOCK_COUNTER_NONE)
        return -ENOTSUP;
    from = read_pair();
    if (clock_nanosleep(CLOCK_MONOTONIC, 0, &sleep_for, NULL) != 0)
        return -EINTR;
    to = read_pair();

    ticks = (long double)(to.counter - from.counter) + to.counter_more - from.counter_more;
    ns = (long double)(to.time_ns - from.time_ns) + to.time_more_ns - from.time_more_ns;
    if (ticks <= 0 || ns <= 0) /* the clock was stepped back meanwhile */
        return -EAGAIN;

    period = ns / ticks / NS_PER_S * TWO_POW_64;
    while (period < TWO_POW_63) {
        period *= 2;
        clock.shift++;
    }
    clock.period = (uint64_t)period;

    clock.counter = to.counter + (uint64_t)to.counter_more;
    past_ns =
        to.time_more_ns - (to.counter_more - (long double)(uint64_t)to.counter_more) * ns / ticks;
    at_ns = to.time_ns + (int64_t)past_ns;
    past_ns -= (long double)(int64_t)past_ns;
    if (past_ns < 0) {
        past_ns += 1;
        at_ns--;
    }
    clock.sec = (uint64_t)(at_ns / NS_PER_S);
    clock.frac = (uint64_t)(((long double)(at_ns % NS_PER_S) + past_ns) / NS_PER_S * TWO_POW_64);
    *ret_clock = clock;
    return 0;
}

struct sim_clock sim_clock_at(const struct sim_clock *clock, uint64_t counter)
{
    const struct wide origin = {clock->sec, clock->frac};
    const int64_t ticks = (int64_t)(counter - clock->counter);
    const uint64_t distance = ticks < 0 ? 0 - (uint64_t)ticks : (uint64_t)ticks;
    const struct wide product = wide_multiply(distance, clock->period);
    struct wide span = wide_shift_right(product, clock->shift), at;
    struct sim_clock moved = *clock;

    /* down in both directions */
    if (ticks < 0 && wide_compare(wide_shift_left(span, clock->shift), product) != 0)
        span = wide_add(span, (struct wide){0, 1});
    at = ticks < 0 ? wide_subtract(origin, span) : wide_add(origin, span);

    moved.counter = counter;
    moved.sec = at.high;
    moved.frac = at.low;
    return moved;
}

static void clock_step(struct sim_clock *clock, int64_t offset_ns)
{
    const struct wide at = {clock->sec, clock->frac};
    const uint64_t distance = offset_ns < 0 ? 0 - (uint64_t)offset_ns : (uint64_t)offset_ns;
    const struct wide span = {distance / NS_PER_S, wide_fraction(distance % NS_PER_S, NS_PER_S)};
    const struct wide moved = offset_ns < 0 ? wide_subtract(at, span) : wide_add(at, span);

    clock->sec = moved.high;
    clock->frac = moved.low;
}

static void clock_speed(struct sim_clock *clock, double ppm)
{
    long double period = (long double)clock->period * (1 + (long double)ppm / 1e6L);

    while (period >= TWO_POW_64) {
        period /= 2;
        clock->shift--;
    }
    clock->period = (uint64_t)period;
}

static uint64_t ns_to_ticks(const struct sim_clock *clock, uint64_t ns)
{
    const long double tick_ns =
        (long double)clock->period / TWO_POW_64 / ldexpl(1, clock->shift) * 1e9L;

    return (uint64_t)((long double)ns / tick_ns);
}

/* Writing as a host does */

static const struct sim_field *field_at(enum vmclock_offset at)
{
    for (const struct sim_field *field = sim_fields; field->name != NULL; field++)
        if (field->at == at)
            return field;
    return NULL;
}

const struct sim_field *sim_field_find(const char *name)
{
    for (const struct sim_field *field = sim_fields; field->name != NULL; field++)
        if (strcmp(field->name, name) == 0)
            return field;
    return NULL;
}

/* While the file is cut, all goes to the copy that comes back with it. */
#define BASE(sim) ((sim)->truncated ? (sim)->saved : (sim)->map)

/* Whole aligned fields at a time: a reader polls some of them without the lock. */
static void put(struct sim_page *sim, enum vmclock_offset at, uint64_t value)
{
    const struct sim_field *field = field_at(at);
    void *p = BASE(sim) + at;

    assert(field != NULL);
    switch (field->bytes) {
    case 1: __atomic_store_n((uint8_t *)p, (uint8_t)value, __ATOMIC_RELAXED); break;
    case 2: __atomic_store_n((uint16_t *)p, htole16((uint16_t)value), __ATOMIC_RELAXED); break;
    case 4: __atomic_store_n((uint32_t *)p, htole32((uint32_t)value), __ATOMIC_RELAXED); break;
    default: __atomic_store_n((uint64_t *)p, htole64(value), __ATOMIC_RELAXED); break;
    }
}

uint64_t sim_page_get(const struct sim_page *sim, enum vmclock_offset at)
{
    const struct sim_field *field = field_at(at);
    uint64_t value = 0;

    for (size_t i = field == NULL ? 0 : field->bytes; i-- > 0;)
        value = value << 8 | BASE(sim)[at + i];
    return value;
}

/* Within torn the lock is taken already and is given back by mend alone. */
static void write_begin(struct sim_page *sim)
{
    if (sim->torn)
        return;
    put(sim, VMCLOCK_AT_SEQ_COUNT, sim_page_get(sim, VMCLOCK_AT_SEQ_COUNT) + 1);
    /* No field may become visible before the odd count. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct sim_page *sim)
{
    if (sim->torn)
        return;
    /* Nor the even count before any field. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    put(sim, VMCLOCK_AT_SEQ_COUNT, sim_page_get(sim, VMCLOCK_AT_SEQ_COUNT) + 1);
}

static uint64_t read_counter(const struct sim_page *sim)
{
    return sim->options.counter != NULL ? sim->options.counter(sim->options.context)
                                        : sim_counter();
}

static void put_formula(struct sim_page *sim)
{
    const struct sim_clock at =
        sim_clock_at(&sim->clock, read_counter(sim) + (uint64_t)sim->lead_ticks);

    put(sim, VMCLOCK_AT_COUNTER_VALUE, at.counter);
    put(sim, VMCLOCK_AT_TIME_SEC, at.sec);
    put(sim, VMCLOCK_AT_TIME_FRAC_SEC, at.frac);
    put(sim, VMCLOCK_AT_PERIOD_FRAC_SEC, at.period);
    put(sim, VMCLOCK_AT_PERIOD_SHIFT, at.shift);
    sim->held = false;
    sim->publish_at = SIM_NEVER;
}

static void put_next(struct sim_page *sim, enum vmclock_offset at)
{
    put(sim, at, sim_page_get(sim, at) + 1);
}

/* The truth changes now, whatever the page says. */
static void change_clock(struct sim_page *sim, int64_t offset_ns, double ppm)
{
    sim->clock = sim_clock_at(&sim->clock, read_counter(sim));
    clock_step(&sim->clock, offset_ns);
    clock_speed(&sim->clock, ppm);
}

bool sim_page_created(const struct sim_page *sim)
{
    return sim->created;
}

bool sim_page_has_clock(const struct sim_page *sim)
{
    return !sim->options.marker_only;
}

struct sim_clock sim_page_clock(const struct sim_page *sim, uint64_t counter)
{
    return sim_clock_at(&sim->clock, counter);
}

int sim_page_set(struct sim_page *sim, enum vmclock_offset at, uint64_t value)
{
    const struct sim_field *field = field_at(at);

    if (field == NULL)
        return -EINVAL;
    if (field->bytes < 8 && value >> 8 * field->bytes != 0)
        return -ERANGE;
    if (at == VMCLOCK_AT_SEQ_COUNT) { /* the lock itself is written without it */
        put(sim, at, value);
        sim->torn = (value & 1) != 0;
        return 0;
    }
    write_begin(sim);
    put(sim, at, value);
    write_end(sim);
    switch ((int)at) {
    case VMCLOCK_AT_COUNTER_VALUE:
    case VMCLOCK_AT_TIME_SEC:
    case VMCLOCK_AT_TIME_FRAC_SEC:
    case VMCLOCK_AT_PERIOD_FRAC_SEC:
    case VMCLOCK_AT_PERIOD_SHIFT: sim->held = true; break;
    default: break;
    }
    return 0;
}

void sim_page_set_flags(struct sim_page *sim, uint64_t set, uint64_t clear)
{
    sim_page_set(sim, VMCLOCK_AT_FLAGS, (sim_page_get(sim, VMCLOCK_AT_FLAGS) & ~clear) | set);
}

int sim_page_update(struct sim_page *sim)
{
    if (sim->options.marker_only)
        return -ENOTSUP;
    write_begin(sim);
    put_formula(sim);
    write_end(sim);
    return 0;
}

void sim_page_marker(struct sim_page *sim)
{
    write_begin(sim);
    put_next(sim, VMCLOCK_AT_DISRUPTION_MARKER);
    write_end(sim);
}

void sim_page_generation(struct sim_page *sim)
{
    write_begin(sim);
    put_next(sim, VMCLOCK_AT_VM_GENERATION);
    put(sim, VMCLOCK_AT_FLAGS,
        sim_page_get(sim, VMCLOCK_AT_FLAGS) | VMCLOCK_FLAG_VM_GENERATION_PRESENT);
    write_end(sim);
}

int sim_page_adjust(struct sim_page *sim, int64_t offset_ns, double ppm)
{
    if (sim->options.marker_only)
        return -ENOTSUP;
    change_clock(sim, offset_ns, ppm);
    return sim_page_update(sim);
}

void sim_page_migrate(struct sim_page *sim, int64_t offset_ns, double ppm)
{
    write_begin(sim);
    put_next(sim, VMCLOCK_AT_DISRUPTION_MARKER);
    if (!sim->options.marker_only) {
        change_clock(sim, offset_ns, ppm);
        put_formula(sim);
    }
    write_end(sim);
}

void sim_page_time_type(struct sim_page *sim, uint8_t time_type)
{
    const uint64_t before = sim_page_get(sim, VMCLOCK_AT_TIME_TYPE);
    const int64_t tai_sec = (int16_t)sim_page_get(sim, VMCLOCK_AT_TAI_OFFSET_SEC);
    int64_t moved_sec = 0;

    if (before == VMCLOCK_TIME_UTC && time_type == VMCLOCK_TIME_TAI)
        moved_sec = tai_sec;
    if (before == VMCLOCK_TIME_TAI && time_type == VMCLOCK_TIME_UTC)
        moved_sec = -tai_sec;
    write_begin(sim);
    put(sim, VMCLOCK_AT_TIME_TYPE, time_type);
    if (!sim->options.marker_only) {
        sim->clock.sec += (uint64_t)moved_sec;
        put_formula(sim);
    }
    write_end(sim);
}

void sim_page_bounds(struct sim_page *sim, int64_t time_ns, double period_ppm)
{
    const uint64_t time_flags = VMCLOCK_FLAG_TIME_ESTERROR_VALID | VMCLOCK_FLAG_TIME_MAXERROR_VALID;
    const uint64_t period_flags =
        VMCLOCK_FLAG_PERIOD_ESTERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    const uint64_t time = time_ns < 0 ? 0 : (uint64_t)time_ns;
    const uint64_t period =
        period_ppm < 0 ? 0 : (uint64_t)((long double)sim->clock.period * period_ppm / 1e6L);
    uint64_t flags = sim_page_get(sim, VMCLOCK_AT_FLAGS) & ~(time_flags | period_flags);

    if (time_ns >= 0)
        flags |= time_flags;
    if (period_ppm >= 0)
        flags |= period_flags;
    write_begin(sim);
    put(sim, VMCLOCK_AT_TIME_ESTERROR_NANOSEC, time / 2);
    put(sim, VMCLOCK_AT_TIME_MAXERROR_NANOSEC, time);
    put(sim, VMCLOCK_AT_PERIOD_ESTERROR, period / 2);
    put(sim, VMCLOCK_AT_PERIOD_MAXERROR, period);
    put(sim, VMCLOCK_AT_FLAGS, flags);
    write_end(sim);
}

int sim_page_lead(struct sim_page *sim, int64_t lead_ns)
{
    if (sim->options.marker_only)
        return -ENOTSUP;
    sim->lead_ticks = lead_ns < 0 ? -(int64_t)ns_to_ticks(&sim->clock, 0 - (uint64_t)lead_ns)
                                  : (int64_t)ns_to_ticks(&sim->clock, (uint64_t)lead_ns);
    return sim_page_update(sim);
}

/* Faults and what is due later */

void sim_page_torn(struct sim_page *sim, int64_t now_ns, int64_t for_ns)
{
    write_begin(sim);
    sim->torn = true;
    /* Half of an update: believing it anyway yields a wrong time. */
    if (!sim->options.marker_only)
        put(sim, VMCLOCK_AT_COUNTER_VALUE, read_counter(sim));
    sim->mend_at = for_ns < 0 ? SIM_NEVER : now_ns + for_ns;
}

int sim_page_mend(struct sim_page *sim)
{
    if (sim->truncated) {
        if (ftruncate(sim->fd, SIM_PAGE_BYTES) < 0)
            return -errno;
        /* The magic and the count last: until then it is no page to a reader. */
        memcpy(sim->map + VMCLOCK_AT_DISRUPTION_MARKER, sim->saved + VMCLOCK_AT_DISRUPTION_MARKER,
            SIM_PAGE_BYTES - VMCLOCK_AT_DISRUPTION_MARKER);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        memcpy(sim->map, sim->saved, VMCLOCK_AT_DISRUPTION_MARKER);
        sim->truncated = false;
    }
    sim->mend_at = SIM_NEVER;
    if (sim->torn) {
        if (!sim->options.marker_only && !sim->held)
            put_formula(sim);
        sim->torn = false;
        write_end(sim);
    }
    return 0;
}

int sim_page_late(
    struct sim_page *sim, int64_t now_ns, int64_t delay_ns, int64_t offset_ns, double ppm)
{
    if (sim->options.marker_only)
        return -ENOTSUP;
    sim_page_marker(sim);
    change_clock(sim, offset_ns, ppm);
    sim->held = true;
    sim->publish_at = now_ns + delay_ns;
    return 0;
}

int sim_page_early(
    struct sim_page *sim, int64_t now_ns, int64_t delay_ns, int64_t offset_ns, double ppm)
{
    const int r = sim_page_adjust(sim, offset_ns, ppm);

    if (r < 0)
        return r;
    sim->marker_at = now_ns + delay_ns;
    return 0;
}

void sim_page_flap(struct sim_page *sim, int64_t now_ns, int64_t period_ns, int64_t duration_ns)
{
    sim->flap_at = now_ns;
    sim->flap_until = now_ns + duration_ns;
    sim->flap_period_ns = period_ns;
}

int sim_page_truncate(struct sim_page *sim, size_t bytes)
{
    if (!sim->truncated)
        memcpy(sim->saved, sim->map, SIM_PAGE_BYTES);
    if (ftruncate(sim->fd, (off_t)bytes) < 0)
        return -errno;
    sim->truncated = true;
    return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t sim_page_run(struct sim_page *sim, int64_t now_ns)
{
    if (now_ns >= sim->mend_at)
        sim_page_mend(sim);
    if (now_ns >= sim->marker_at) {
        sim_page_marker(sim);
        sim->marker_at = SIM_NEVER;
    }
    if (now_ns >= sim->publish_at)
        sim_page_update(sim);
    if (now_ns >= sim->flap_at) {
        sim_page_marker(sim);
        /* From what is due, not from now, or being woken late would make it slower. */
        sim->flap_at += sim->flap_period_ns;
        if (sim->flap_at <= now_ns)
            sim->flap_at = now_ns + sim->flap_period_ns;
        if (sim->flap_at >= sim->flap_until)
            sim->flap_at = SIM_NEVER;
    }
    if (now_ns >= sim->update_at) {
        if (!sim->held && !sim->torn)
            sim_page_update(sim);
        sim->update_at = now_ns + sim->options.update_interval_ns;
    }
    return earlier(earlier(sim->mend_at, sim->marker_at),
        earlier(earlier(sim->publish_at, sim->flap_at), sim->update_at));
}

/* Coming and going */

static int open_file(struct sim_page *sim, const char *path)
{
    struct stat st;

    sim->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    sim->created = sim->fd >= 0;
    if (sim->fd < 0 && errno == EEXIST)
        sim->fd = open(path, O_RDWR | O_CLOEXEC);
    if (sim->fd < 0)
        return -errno;
    if (fstat(sim->fd, &st) < 0)
        return -errno;
    /* Whatever else is there, a device above all, is not ours to write into. */
    if (!S_ISREG(st.st_mode) || (st.st_size != 0 && st.st_size != SIM_PAGE_BYTES))
        return -EEXIST;
    if (ftruncate(sim->fd, SIM_PAGE_BYTES) < 0)
        return -errno;
    sim->map = mmap(NULL, SIM_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, sim->fd, 0);
    if (sim->map == MAP_FAILED) {
        sim->map = NULL;
        return -errno;
    }
    if (st.st_size != 0 && sim_page_get(sim, VMCLOCK_AT_MAGIC) != VMCLOCK_MAGIC)
        return -EEXIST;
    return 0;
}

static int first_clock(struct sim_page *sim)
{
    const struct sim_options *options = &sim->options;
    int r;

    if (options->clock != NULL) {
        sim->clock = *options->clock;
    } else {
        r = sim_clock_measure(
            options->baseline_ns > 0 ? options->baseline_ns : NS_PER_S, &sim->clock);
        if (r < 0)
            return r;
        if (!options->utc)
            sim->clock.sec += TAI_MINUS_UTC;
    }
    change_clock(sim, options->offset_ns, options->ppm);
    return 0;
}

/* The count and the marker of a page that is taken over go on: a reader may have it mapped. */
static void write_first_page(struct sim_page *sim)
{
    const bool clock = !sim->options.marker_only;

    assert(sim->map);
    if ((sim_page_get(sim, VMCLOCK_AT_SEQ_COUNT) & 1) != 0)
        put_next(sim, VMCLOCK_AT_SEQ_COUNT);
    write_begin(sim);
    memset(sim->map + VMCLOCK_AT_FLAGS, 0, SIM_PAGE_BYTES - VMCLOCK_AT_FLAGS);
    put(sim, VMCLOCK_AT_SIZE, SIM_PAGE_BYTES);
    put(sim, VMCLOCK_AT_VERSION, VMCLOCK_VERSION);
    put(sim, VMCLOCK_AT_COUNTER_ID, clock ? machine_counter_id() : VMCLOCK_COUNTER_NONE);
    put(sim, VMCLOCK_AT_TIME_TYPE,
        clock && !sim->options.utc ? VMCLOCK_TIME_TAI : VMCLOCK_TIME_UTC);
    if (sim->created)
        put(sim, VMCLOCK_AT_DISRUPTION_MARKER, 1);
    if (clock) {
        put(sim, VMCLOCK_AT_FLAGS,
            VMCLOCK_FLAG_TAI_OFFSET_VALID | VMCLOCK_FLAG_VM_GENERATION_PRESENT);
        put(sim, VMCLOCK_AT_CLOCK_STATUS, VMCLOCK_STATUS_SYNCHRONISED);
        put(sim, VMCLOCK_AT_TAI_OFFSET_SEC, TAI_MINUS_UTC);
        put(sim, VMCLOCK_AT_VM_GENERATION, 1);
        put_formula(sim);
    }
    put(sim, VMCLOCK_AT_MAGIC, VMCLOCK_MAGIC);
    write_end(sim);
    if (clock)
        sim_page_bounds(sim, 100, 0.001);
}

int sim_page_create(
    const char *path, const struct sim_options *options, int64_t now_ns, struct sim_page **ret_sim)
{
    struct sim_page *sim = calloc(1, sizeof(*sim));
    int r;

    if (sim == NULL)
        return -ENOMEM;
    sim->options = *options;
    sim->mend_at = sim->publish_at = sim->marker_at = sim->flap_at = SIM_NEVER;
    sim->update_at = options->marker_only || options->update_interval_ns <= 0
                         ? SIM_NEVER
                         : now_ns + options->update_interval_ns;
    r = open_file(sim, path);
    if (r == 0 && !options->marker_only)
        r = first_clock(sim);
    if (r < 0) {
        if (sim->created)
            unlink(path);
        sim_page_destroy(sim);
        return r;
    }
    write_first_page(sim);
    *ret_sim = sim;
    return 0;
}

void sim_page_destroy(struct sim_page *sim)
{
    if (sim == NULL)
        return;
    if (sim->map != NULL)
        munmap(sim->map, SIM_PAGE_BYTES);
    if (sim->fd >= 0)
        close(sim->fd);
    free(sim);
}
