/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/clock_source.h"

#include <string.h>
#include <time.h>

#include "daemon/counter.h"
#include "daemon/message.h"
#include "daemon/system_clock.h"

#define READINGS 16

void clock_source_measure(struct clock_source *source)
{
    const double stated_hz = (double)counter_stated_hz();
    double ratio;

    source->period_sec = system_clock_counter_period();
    ratio = stated_hz * source->period_sec;
    if (ratio != 0 && (ratio < 0.99 || ratio > 1.01))
        message_log(LINE(COUNTER_FREQUENCY), 1 / source->period_sec, stated_hz);
}

void clock_source_start(struct clock_source *source)
{
    const int result = system_clock_source(&source->kind);

    if (source->kind == CLOCK_SOURCE_COUNTER || COUNTER_NATIVE == VMCLOCK_COUNTER_NONE)
        return;
    if (result < 0)
        message_log(LINE(CLOCK_SOURCE_UNKNOWN), strerror(-result));
    else
        message_log(LINE(CLOCK_SOURCE_OTHER), COUNTER_CLOCK_SOURCE);
}

/* What one reading of CLOCK_REALTIME takes, at best, and so by how much it is uncertain. */
static double reading_ns(const struct clock_source *source)
{
    struct cross_timestamp readings[READINGS];
    const struct cross_timestamp *best;

    system_clock_read(CLOCK_REALTIME, READINGS, readings);
    best = cross_timestamp_narrowest(readings, READINGS);
    return best ? (double)(best->counter_after - best->counter_before) * source->period_sec * 1e9
                : 0;
}

void clock_source_watch(struct clock_source *source)
{
    const bool was_counter = source->kind == CLOCK_SOURCE_COUNTER;
    bool is_counter;

    /* Where it cannot be read, it is what it was. */
    (void)system_clock_source(&source->kind);
    is_counter = source->kind == CLOCK_SOURCE_COUNTER;
    if (is_counter == was_counter || COUNTER_NATIVE == VMCLOCK_COUNTER_NONE)
        return;
    if (is_counter)
        message_log(LINE(CLOCK_SOURCE_BACK), COUNTER_CLOCK_SOURCE, reading_ns(source));
    else
        message_log(LINE(CLOCK_SOURCE_LEFT), COUNTER_CLOCK_SOURCE, reading_ns(source));
}
