/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/system_clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/counter.h"

#define CLOSE_NS  2000 /* readings of this width are close enough together */
#define LOOKS_MAX 5

#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t system_clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t system_clock_boottime_ns(void)
{
    return read_ns(CLOCK_BOOTTIME);
}

int64_t system_clock_coarse_ns(void)
{
    return read_ns(CLOCK_MONOTONIC_COARSE);
}

void system_clock_look(struct system_clocks *ret_clocks)
{
    int64_t least_ns = INT64_MAX;

    for (int i = 0; i < LOOKS_MAX && least_ns > CLOSE_NS; i++) {
        const int64_t before_ns = read_ns(CLOCK_MONOTONIC);
        const int64_t boottime_ns = read_ns(CLOCK_BOOTTIME);
        const int64_t realtime_ns = read_ns(CLOCK_REALTIME);
        const int64_t after_ns = read_ns(CLOCK_MONOTONIC);
        const int64_t middle_ns = before_ns + (after_ns - before_ns) / 2;

        if (after_ns - before_ns >= least_ns)
            continue;
        least_ns = after_ns - before_ns;
        *ret_clocks =
            (struct system_clocks){after_ns, boottime_ns - middle_ns, realtime_ns - middle_ns};
    }
}

void clock_moment_take(struct clock_moment *moment, int64_t monotonic_ns)
{
    struct system_clocks now;

    if (moment->monotonic_ns == monotonic_ns)
        return;
    system_clock_look(&now);
    *moment = (struct clock_moment){monotonic_ns, now.suspended_ns};
}

int64_t clock_moment_realtime_ns(const struct clock_moment *moment, const struct system_clocks *now)
{
    return moment->monotonic_ns + now->realtime_less_ns -
           (now->suspended_ns - moment->suspended_ns);
}

void system_clock_read(clockid_t clock, size_t n, struct cross_timestamp *ret_readings)
{
    for (size_t i = 0; i < n; i++) {
        struct timespec now;
        const uint64_t before = counter_read();

        clock_gettime(clock, &now);
        ret_readings[i] = (struct cross_timestamp){
            .counter_before = before,
            .counter_after = counter_read(),
            .sec = now.tv_sec,
            .nsec = (uint32_t)now.tv_nsec,
        };
    }
}

bool system_clock_tai_offset(int *ret_sec)
{
    const int64_t before_ns = read_ns(CLOCK_REALTIME);
    const int64_t tai_ns = read_ns(CLOCK_TAI);
    const int64_t took_ns = read_ns(CLOCK_REALTIME) - before_ns;

    *ret_sec = (int)((tai_ns - before_ns + INT64_C(500000000)) / INT64_C(1000000000));
    return took_ns > -INT64_C(250000000) && took_ns < INT64_C(250000000);
}

double system_clock_counter_period(void)
{
    struct cross_timestamp first[8], last[8];
    const struct cross_timestamp *from, *to;
    struct timespec pause = {0, 2000000};
    double ticks;

    system_clock_read(CLOCK_MONOTONIC_RAW, 8, first);
    while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
        continue;
    system_clock_read(CLOCK_MONOTONIC_RAW, 8, last);
    from = cross_timestamp_narrowest(first, 8);
    to = cross_timestamp_narrowest(last, 8);
    if (!from || !to)
        return 0;
    ticks = (double)counter_difference(cross_timestamp_counter(to), cross_timestamp_counter(from));
    return ticks > 0
               ? ((double)(to->sec - from->sec) + ((double)to->nsec - from->nsec) * 1e-9) / ticks
               : 0;
}

int system_clock_source(enum clock_source_kind *ret_source)
{
    char name[32];
    ssize_t n;
    int error, fd = open(CLOCK_SOURCE, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    n = read(fd, name, sizeof(name) - 1);
    error = errno;
    close(fd);
    if (n < 0)
        return -error;
    name[n] = '\0';
    name[strcspn(name, "\n")] = '\0';
    *ret_source = strcmp(name, COUNTER_CLOCK_SOURCE) == 0 ? CLOCK_SOURCE_COUNTER
                  : strcmp(name, "kvm-clock") == 0        ? CLOCK_SOURCE_KVM
                                                          : CLOCK_SOURCE_OTHER;
    return 0;
}
