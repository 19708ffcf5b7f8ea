/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/ptp_reading.h"

#define SECOND_NS    INT64_C(1000000000)
#define WIDTH_MAX_NS 5000000
#define SEC_MAX      (INT64_C(1) << 40)

double ptp_time_ns(const struct ptp_time *from, const struct ptp_time *to)
{
    return (double)(from->sec - to->sec) * 1e9 + (double)from->nsec - to->nsec;
}

static bool is_time(const struct ptp_time *t)
{
    return t->sec >= 0 && t->sec < SEC_MAX && t->nsec < SECOND_NS;
}

static struct ptp_time later(const struct ptp_time *t, int64_t ns)
{
    int64_t nsec = t->nsec + ns % SECOND_NS, sec = t->sec + ns / SECOND_NS;

    if (nsec < 0) {
        nsec += SECOND_NS;
        sec--;
    } else if (nsec >= SECOND_NS) {
        nsec -= SECOND_NS;
        sec++;
    }
    return (struct ptp_time){sec, (uint32_t)nsec};
}

bool ptp_reading_of_precise(const struct ptp_time *device, const struct ptp_time *realtime,
    const struct ptp_time *raw, struct ptp_reading *ret_reading)
{
    if (!is_time(device) || !is_time(realtime) || !is_time(raw))
        return false;
    *ret_reading = (struct ptp_reading){*device, *realtime, *raw, 0};
    return true;
}

bool ptp_reading_of_bracket(const struct ptp_time *before, const struct ptp_time *device,
    const struct ptp_time *after, const struct ptp_time *raw, const struct ptp_time *raw_realtime,
    struct ptp_reading *ret_reading)
{
    double width_ns, apart_ns;
    struct ptp_time middle;

    if (!is_time(before) || !is_time(device) || !is_time(after) || !is_time(raw) ||
        !is_time(raw_realtime))
        return false;
    width_ns = ptp_time_ns(after, before);
    if (!(width_ns >= 0 && width_ns <= WIDTH_MAX_NS))
        return false;
    middle = later(before, (int64_t)width_ns / 2);
    apart_ns = ptp_time_ns(&middle, raw_realtime);
    if (!(apart_ns >= -1e9 && apart_ns <= 1e9)) /* CLOCK_REALTIME was set in between */
        return false;
    *ret_reading = (struct ptp_reading){
        *device, middle, later(raw, (int64_t)apart_ns), (int64_t)(width_ns / 2)};
    return true;
}
