/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a timestamp costs: clock_gettime(CLOCK_REALTIME), vmclock_now(), and a segment of
 * ClockBound's read as its clients do. Each in turns, the medians of many rounds, from one thread
 * and from eight; and p99.9 of single calls.
 *
 *     bench_now CLOCK-FILE SEGMENT
 *
 * tests/bench/bench_now.py runs it beside a vmclockd.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/vmclock.h"

#define ROUNDS  41
#define CALLS   200000
#define SINGLES 400000
#define THREADS 8

static struct vmclock *vmclock;
static const uint8_t *segment;
static _Thread_local volatile int64_t sink;

static int64_t ns_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void by_gettime(void)
{
    sink = ns_of(CLOCK_REALTIME);
}

static void by_vmclock(void)
{
    struct vmclock_interval now;

    vmclock_now(vmclock, &now);
    sink = now.earliest.tv_nsec;
}

/* The generation, a copy, the generation; then both clocks, and the bound as it has grown. */
static void by_segment(void)
{
    const volatile uint16_t *generation = (const volatile uint16_t *)(segment + 14);
    int64_t copy[10], realtime_ns, coarse_ns, bound_ns;
    uint32_t growth;
    uint16_t before;

    do {
        before = *generation;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        memcpy(copy, segment, sizeof(copy));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (before % 2 || before != *generation);
    realtime_ns = ns_of(CLOCK_REALTIME);
    coarse_ns = ns_of(CLOCK_MONOTONIC_COARSE);
    memcpy(&growth, &copy[8], sizeof(growth));
    bound_ns = copy[6] + (int64_t)((double)(coarse_ns - copy[2] * INT64_C(1000000000) - copy[3]) *
                                   1e-9 * growth);
    sink = realtime_ns - bound_ns;
}

static const struct way {
    const char *name;
    void (*call)(void);
} ways[] = {{"clock_gettime", by_gettime}, {"vmclock_now", by_vmclock},
    {"ClockBound's segment", by_segment}};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

/* By the thread's own time: threads wait for processors. */
static double round_ns(void (*call)(void))
{
    const int64_t began_ns = ns_of(CLOCK_THREAD_CPUTIME_ID);

    for (int i = 0; i < CALLS; i++)
        call();
    return (double)(ns_of(CLOCK_THREAD_CPUTIME_ID) - began_ns) / CALLS;
}

/* ns a call, for each way. */
struct result {
    double ns[WAYS];
};

static void *measure(void *argument)
{
    static _Thread_local double rounds[WAYS][ROUNDS];
    struct result *result = argument;

    for (int i = 0; i < ROUNDS; i++)
        for (size_t w = 0; w < WAYS; w++)
            rounds[w][i] = round_ns(ways[w].call);
    for (size_t w = 0; w < WAYS; w++)
        result->ns[w] = median(rounds[w], ROUNDS);
    return NULL;
}

static void print(const char *what, const double *ns)
{
    printf("%s:", what);
    for (size_t w = 0; w < WAYS; w++)
        printf("  %s %.1f ns (%.2f)", ways[w].name, ns[w], ns[w] / ns[0]);
    putchar('\n');
}

static void measure_threads(void)
{
    static struct result results[THREADS];
    pthread_t threads[THREADS];
    double ns[WAYS], of_way[THREADS];

    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, measure, &results[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t w = 0; w < WAYS; w++) {
        for (int i = 0; i < THREADS; i++)
            of_way[i] = results[i].ns[w];
        ns[w] = median(of_way, THREADS);
    }
    print("8 threads, median", ns);
}

/* Of single calls, the two readings around each included, which are the same for all. */
static void measure_singles(void)
{
    static double singles[SINGLES];
    double ns[WAYS];

    for (size_t w = 0; w < WAYS; w++) {
        for (int i = 0; i < SINGLES; i++) {
            const int64_t before_ns = ns_of(CLOCK_MONOTONIC);

            ways[w].call();
            singles[i] = (double)(ns_of(CLOCK_MONOTONIC) - before_ns);
        }
        qsort(singles, SINGLES, sizeof(*singles), compare);
        ns[w] = singles[(size_t)SINGLES / 1000 * 999];
    }
    print("1 thread, p99.9 of single calls", ns);
}

int main(int argc, char **argv)
{
    struct result one;
    struct vmclock_interval now;
    int fd;

    if (argc != 3 || vmclock_open(argv[1], &vmclock) < 0 || vmclock_now(vmclock, &now) < 0 ||
        (fd = open(argv[2], O_RDONLY | O_CLOEXEC)) < 0)
        return EXIT_FAILURE;
    segment = mmap(NULL, 80, PROT_READ, MAP_SHARED, fd, 0);
    if (segment == MAP_FAILED)
        return EXIT_FAILURE;
    printf("%s: %s\n", vmclock_status_str(now.status), vmclock_why(vmclock));
    measure(&one);
    print("1 thread, median", one.ns);
    measure_threads();
    measure_singles();
    vmclock_close(vmclock);
    return EXIT_SUCCESS;
}
