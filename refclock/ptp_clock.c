/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/ptp_clock.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SECOND_NS       INT64_C(1000000000)
#define COMPARE_NS      (60 * SECOND_NS)
#define AGAIN_NS        (4 * SECOND_NS) /* where a comparison came to nothing */
#define PERIOD_NS       (600 * SECOND_NS)
#define AWAIT_NS        INT64_C(10000000)
#define COMPARE_WAIT_NS INT64_C(200000000) /* nothing waits for a comparison */
#define BATCH           8
#define BATCH_LIMITED   3
#define FIRST_SECOND    50 /* readings of a limited clock, which chronyd reads as well */
#define IN_ALL          100
#define DIFFERENCE_MAX  0.1
#define SCALE_LEAST_SEC 30 /* TAI - UTC is 37 s, and was 32 in 2005 */
#define SCALE_MOST_SEC  45
#define RATE_OFF        1e-3 /* more than RAW's rate by the true time ever is */
#define BATCH_RATE_OFF  0.1  /* the same, within a batch of 0.1 ms */
#define BATCH_JUMP_NS   5e3
#define JUMP_NS         1e4 /* between two batches */
#define LONG_AGO_NS     5e9 /* the machine may have been suspended since */
#define LEAST_NOISE_NS  3.0 /* of one reading */
#define FREQUENCY_MAX   1e5 /* ppm; beyond what any kernel can be told */

const char *ptp_clock_state_str(enum ptp_clock_state state)
{
    switch (state) {
    case PTP_CLOCK_UNPROVEN: return "not compared yet";
    case PTP_CLOCK_TRUSTED: return "trusted";
    case PTP_CLOCK_OTHER_SCALE: return "another time scale";
    case PTP_CLOCK_TOO_FAR: return "too far from chronyd's time";
    case PTP_CLOCK_BROKEN: return "stands still or jumps";
    }
    return "unknown";
}

/* --- trust ------------------------------------------------------------------------------------ */

static void distrust(struct ptp_clock *c, enum ptp_clock_state state)
{
    c->state = state;
    memset(c->worst_sec, 0, sizeof(c->worst_sec));
}

void ptp_clock_init(struct ptp_clock *c, const struct ptp_clock_config *config,
    const struct ptp_clock_saved *saved, int64_t now_ns)
{
    *c = (struct ptp_clock){
        .config = *config, .offset_sec = NAN, .period_ns = now_ns, .due_ns = now_ns};
    if (saved->id == 0 || !config->used)
        return;
    c->id = saved->id;
    c->worst_sec[0] = saved->good_for_sec;
    c->state = PTP_CLOCK_TRUSTED;
}

struct ptp_clock_saved ptp_clock_saved(const struct ptp_clock *c)
{
    if (c->state != PTP_CLOCK_TRUSTED)
        return (struct ptp_clock_saved){0};
    return (struct ptp_clock_saved){c->id, ptp_clock_good_for_sec(c)};
}

void ptp_clock_reconfigure(struct ptp_clock *c, const struct ptp_clock_config *config)
{
    const bool same = c->config.used == config->used && c->config.scale == config->scale &&
                      c->config.ahead_sec == config->ahead_sec;

    c->config = *config;
    if (!same)
        distrust(c, PTP_CLOCK_UNPROVEN);
}

/* Trust is of a clock by a time scale. */
static uint64_t id_of(uint64_t id, const struct ptp_clock_config *config)
{
    uint64_t ahead, mixed;

    memcpy(&ahead, &config->ahead_sec, sizeof(ahead));
    mixed = (id ^ ahead) * UINT64_C(0x100000001b3) + (uint64_t)config->scale;
    return mixed ? mixed : 1;
}

void ptp_clock_meet(struct ptp_clock *c, uint64_t device_id, bool limited, int kernel_tai)
{
    const uint64_t id = id_of(device_id, &c->config);

    c->present = device_id != 0 && c->config.used;
    c->limited = limited;
    c->kernel_tai = kernel_tai;
    if (!c->present) {
        c->n = 0;
    } else if (id != c->id) {
        c->id = id;
        c->n = 0;
        c->due_ns = 0; /* at once */
        distrust(c, PTP_CLOCK_UNPROVEN);
    }
}

bool ptp_clock_is_trusted(const struct ptp_clock *c)
{
    return c->present && c->state == PTP_CLOCK_TRUSTED;
}

double ptp_clock_good_for_sec(const struct ptp_clock *c)
{
    double worst = 0;

    for (unsigned i = 0; i < PTP_CLOCK_PERIODS; i++)
        worst = fmax(worst, c->worst_sec[i]);
    return worst;
}

static void take_difference(struct ptp_clock *c, double difference_sec, int64_t now_ns)
{
    if (now_ns - c->period_ns >= PERIOD_NS) {
        c->period = (c->period + 1) % PTP_CLOCK_PERIODS;
        c->worst_sec[c->period] = 0;
        c->period_ns = now_ns;
    }
    c->worst_sec[c->period] = fmax(c->worst_sec[c->period], difference_sec);
}

bool ptp_clock_compare(struct ptp_clock *c, double correction_sec, int64_t now_ns)
{
    const enum ptp_clock_state before = c->state;
    const double difference = fabs(c->offset_sec + (isnan(correction_sec) ? 0 : correction_sec));
    const double whole = rint(difference);

    if (isnan(difference)) { /* it could not be read */
        c->due_ns = now_ns + AGAIN_NS;
        return false;
    }
    c->difference_sec = c->offset_sec;
    if (difference <= DIFFERENCE_MAX) {
        take_difference(c, difference, now_ns);
        c->state = PTP_CLOCK_TRUSTED;
    } else {
        distrust(c, fabs(difference - whole) <= DIFFERENCE_MAX && whole >= SCALE_LEAST_SEC &&
                            whole <= SCALE_MOST_SEC
                        ? PTP_CLOCK_OTHER_SCALE
                        : PTP_CLOCK_TOO_FAR);
    }
    return c->state != before;
}

bool ptp_clock_take_due(struct ptp_clock *c, bool synchronised, int64_t now_ns)
{
    const bool now_is = synchronised && !c->was_synchronised;

    c->was_synchronised = synchronised;
    if (now_is)
        c->due_ns = now_ns;
    if (!synchronised || !c->present || c->awaited || now_ns < c->due_ns)
        return false;
    c->due_ns = now_ns + COMPARE_NS;
    return true;
}

/* --- readings --------------------------------------------------------------------------------- */

void ptp_clock_disrupted(struct ptp_clock *c, int64_t now_ns)
{
    c->n = 0;
    c->awaited = false; /* what was read before says nothing */
    c->since_ns = now_ns;
    c->read_first_second = c->read_in_all = 0;
    c->offset_sec = NAN;
    if (c->state == PTP_CLOCK_BROKEN) /* the next host's may be right: chronyd's time will tell */
        c->state = PTP_CLOCK_UNPROVEN;
}

unsigned ptp_clock_ask(struct ptp_clock *c, bool to_compare, int64_t now_ns)
{
    unsigned n = BATCH;

    assert(!c->awaited);
    if (c->limited)
        n = BATCH_LIMITED;
    if (c->limited && !to_compare) {
        const bool first = now_ns - c->since_ns < SECOND_NS;

        if (c->read_in_all + n > IN_ALL || (first && c->read_first_second + n > FIRST_SECOND))
            return 0;
        c->read_first_second += first ? n : 0;
        c->read_in_all += n;
    }
    c->request++;
    c->awaited = true;
    c->compares = to_compare;
    c->asked_ns = now_ns;
    return n;
}

int64_t ptp_clock_deadline_ns(const struct ptp_clock *c)
{
    if (!c->awaited)
        return INT64_MAX;
    return c->asked_ns + (c->compares ? COMPARE_WAIT_NS : AWAIT_NS);
}

bool ptp_clock_expire(struct ptp_clock *c, int64_t now_ns)
{
    if (!c->awaited || now_ns < ptp_clock_deadline_ns(c))
        return false;
    c->awaited = false;
    c->offset_sec = NAN;
    return true;
}

/* Whether device and RAW went on together, from one reading to a later one. */
static bool moves_along(
    const struct ptp_reading *from, const struct ptp_reading *to, double off, double least_ns)
{
    const double raw = ptp_time_ns(&to->raw, &from->raw);
    const double device = ptp_time_ns(&to->device, &from->device);

    return raw >= 0 && fabs(device - raw) <=
                           off * raw + least_ns + (double)(from->half_width_ns + to->half_width_ns);
}

static void add_to_line(struct ptp_clock *c, const struct ptp_reading *reading)
{
    const double x = ptp_time_ns(&reading->device, &c->first.device);
    const double y = ptp_time_ns(&reading->raw, &c->first.raw) - x;
    const double dx = x - c->mean_x, dy = y - c->mean_y;

    c->n++;
    c->mean_x += dx / c->n;
    c->mean_y += dy / c->n;
    c->xx += dx * (x - c->mean_x);
    c->xy += dx * (y - c->mean_y);
    c->yy += dy * (y - c->mean_y);
}

/* The scatter of one reading around the line. */
static double noise_ns(const struct ptp_clock *c)
{
    const double rest = c->xx > 0 ? c->yy - c->xy * c->xy / c->xx : 0;

    return fmax(LEAST_NOISE_NS, c->n > 2 && rest > 0 ? sqrt(rest / (c->n - 2)) : 0);
}

/* By how much the clock is ahead of UTC; NAN: it is not known. */
static double ahead_sec(const struct ptp_clock *c)
{
    if (c->config.scale == PTP_SCALE_TAI)
        return c->kernel_tai > 0 ? (double)c->kernel_tai : (double)NAN;
    return c->config.ahead_sec;
}

static void take_offset(struct ptp_clock *c, const struct ptp_reading *readings, size_t n)
{
    const double ahead = ahead_sec(c);
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += ptp_time_ns(&readings[i].device, &readings[i].realtime) * 1e-9 - ahead;
    c->offset_sec = sum / (double)n;
    c->offset_doubt_sec = noise_ns(c) * 1e-9 / sqrt((double)n);
}

bool ptp_clock_take(
    struct ptp_clock *c, uint32_t request, const struct ptp_reading *readings, size_t n)
{
    bool moves;

    if (!c->awaited || request != c->request)
        return false;
    c->awaited = false;
    c->offset_sec = NAN;
    if (n == 0)
        return true;
    if (c->n > 0 && ptp_time_ns(&readings[0].raw, &c->last.raw) > LONG_AGO_NS)
        c->n = 0;
    moves = moves_along(&readings[0], &readings[n - 1], BATCH_RATE_OFF, BATCH_JUMP_NS) &&
            (c->n == 0 || moves_along(&c->last, &readings[0], RATE_OFF, JUMP_NS));
    if (!moves) {
        c->n = 0;
        distrust(c, PTP_CLOCK_BROKEN);
        return true;
    }
    if (c->n == 0) {
        c->first = readings[0];
        c->mean_x = c->mean_y = c->xx = c->xy = c->yy = 0;
    }
    for (size_t i = 0; i < n; i++)
        add_to_line(c, &readings[i]);
    c->last = readings[n - 1];
    take_offset(c, readings, n);
    return true;
}

bool ptp_clock_rate_error(
    const struct ptp_clock *c, double frequency_ppm, double *ret_ppm, double *ret_doubt_ppm)
{
    if (c->n < 3 || !(c->xx > 0) || !(fabs(frequency_ppm) <= FREQUENCY_MAX))
        return false;
    *ret_ppm = ((1 + c->xy / c->xx) * (1 - frequency_ppm * 1e-6) - 1) * 1e6;
    *ret_doubt_ppm = noise_ns(c) / sqrt(c->xx) * 1e6;
    return true;
}
