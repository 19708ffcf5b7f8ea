/* SPDX-License-Identifier: BSD-2-Clause */
/* What follows for health, and for what applications are told. */
#include "refclock/step.h"

#include <math.h>

void step_watch_health(const struct step *s)
{
    struct tracker *t = s->t;
    const struct feeder *f = &t->feeder;
    const struct known_chronyd *known = &t->client.known;
    const int64_t now_ns = s->seen->now_ns;

    health_take(&t->health,
        &(struct health_view){
            .now_ns = now_ns,
            .feeding = s->is_clock,
            /* Or the page changes during each reading, so that there is none at all. */
            .withheld = f->withheld || now_ns - f->due_ns > t->config.sample_interval_ns,
            .measured = f->has_offset && f->measured_ns == now_ns,
            .offset_ns = f->offset.ns,
            .bound_ns = f->offset.has_bound ? f->offset.bound_ns : UINT64_MAX,
            .asked = t->client.asked && (known->tracked || !known->reachable),
            .answers = known->reachable,
            .recovering = t->recoveries.recovery.state != RECOVERY_IDLE,
            .has_reference = known->has_reference,
            .reference_time = known->reference_time,
            .update_interval_sec = known->update_interval_sec,
            .has_bursts = t->host.mode != TRACKER_MODE_CLOCK,
            .boosted = t->restore.polls,
        });
}

/* From a disruption until the clock is right again, by the page or by chronyd's word. */
static bool is_disrupted(const struct tracker *t)
{
    const struct recovery *r = &t->recoveries.recovery;

    if (t->recoveries.pending)
        return true;
    if (r->started_ns == 0 || r->cause == RECOVERY_CAUSE_START)
        return false;
    if (t->host.has_time)
        return recovery_holds_samples(r);
    return r->synchronised_ns == 0 && (r->state != RECOVERY_IDLE || !t->client.known.tracked ||
                                          !t->client.known.has_reference);
}

static double page_rate_bound(const struct clock_model *model)
{
    return model->has_bound ? (double)model->period_maxerror / (double)model->period_frac : 0;
}

/* By the host's advice: from noon to noon; or the last 1000 s, UTC-SLS. */
static int64_t smears_sec(const struct vmclock_page *page)
{
    return page->smearing_hint == VMCLOCK_SMEARING_NOON_LINEAR ? 43200
           : page->smearing_hint == VMCLOCK_SMEARING_UTC_SLS   ? 1000
                                                               : 0;
}

/*
 * What chronyd's own estimates leave out, for they date from before the disruption at first: how
 * far the rate is from what it has measured since, and how well it can have measured that.
 */
static double chronyd_rate_doubt(const struct tracker *t, int64_t now_ns)
{
    const struct known_chronyd *known = &t->client.known;
    const struct recovery *r = &t->recoveries.recovery;
    const double since_sec = r->started_ns ? (double)(now_ns - r->started_ns) * 1e-9 : HUGE_VAL;
    const double residual = fabs(known->residual_ppm) * 1e-6;

    return (isnan(residual) ? 0 : residual) + 2 * known->dispersion_sec / fmax(since_sec, 1);
}

/* Where nothing has corrected it; known from the first measurement on. */
static double system_rate_error(const struct tracker *t)
{
    double ppm, doubt_ppm;

    if (!t->host.has_period || !counter_watch_rate_error(&t->counter, &t->host.model,
                                   t->client.known.frequency_ppm, &ppm, &doubt_ppm))
        return 0;
    return (fabs(ppm) + doubt_ppm) * 1e-6;
}

void step_tell_applications(const struct step *s)
{
    struct tracker *t = s->t;
    const struct feeder *f = &t->feeder;
    const struct known_chronyd *known = &t->client.known;
    const bool measured = f->has_offset && f->measured_ns == s->seen->now_ns;

    bound_step(&t->bound,
        &(struct bound_view){
            .now_ns = s->seen->now_ns,
            .suspended_ns = s->seen->suspended_ns,
            .realtime_less_ns = s->seen->realtime_less_ns,
            .max_drift = t->config.max_drift_ppm * 1e-6,
            .stopping = t->stopping,
            .has_page = t->host.known && t->host.page.magic != 0,
            .sees_page = !host_in_trouble(&t->host),
            .disrupted = is_disrupted(t),
            .unconfirmed = t->recoveries.unconfirmed,
            .measured = measured,
            .is_clock = s->is_clock,
            .goes_by_others = known->has_reference && known->refid != t->config.refid,
            .offset_sec = f->offset.sec,
            .has_bound = f->offset.has_bound,
            .host_is_free = t->host.page.clock_status == VMCLOCK_STATUS_FREERUNNING,
            .bound_ns = f->offset.bound_ns,
            .rate_bound = page_rate_bound(&t->host.model),
            .rate_error = measured && !t->bound.page.known ? system_rate_error(t) : 0,
            .page_sequence = t->host.page.seq_count,
            .told = s->told,
            .has_reference = known->has_reference,
            .distance_sec = known->distance_sec,
            .correction_sec = known->correction_sec,
            .rate_doubt = chronyd_rate_doubt(t, s->seen->now_ns),
            .reference_sec = (int64_t)known->reference_time.sec,
            .interval_sec = known->update_interval_sec,
            .leap_is_announced = known->leap == 1 || known->leap == 2,
            .page_announces_leap =
                t->host.known && (t->host.page.leap_indicator == VMCLOCK_LEAP_PRE_POSITIVE ||
                                     t->host.page.leap_indicator == VMCLOCK_LEAP_PRE_NEGATIVE),
            .smears_sec = t->host.known ? smears_sec(&t->host.page) : 0,
            .answers = known->reachable,
        });
}
