/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_known.h"

#include <math.h>

#define FRESH_NS INT64_C(1000000000) /* for how long a reading may be late */

/* --- what the next start goes by -------------------------------------------------------------- */

bool state_known_saved(const struct state_source *source)
{
    return source->saved.valid;
}

bool state_known_owed(const struct state_source *source)
{
    return restore_is_pending(&source->saved.restore);
}

bool state_known_owed_server(const struct state_source *source)
{
    const struct restore *restore = &source->saved.restore;

    return state_known_owed(source) && restore->polls && source->index < restore->n_servers;
}

/* --- the host --------------------------------------------------------------------------------- */

bool state_known_host(const struct state_source *source)
{
    return source->tracker->host.known;
}

static bool has_generation(const struct state_source *source)
{
    return page_has(&source->tracker->host.page, VMCLOCK_FLAG_VM_GENERATION_PRESENT);
}

bool state_known_saved_generation(const struct state_source *source)
{
    return state_known_host(source) && has_generation(source);
}

bool state_known_mode(const struct state_source *source)
{
    return source->tracker->host.mode != TRACKER_MODE_UNKNOWN;
}

static bool was_seen(const struct state_source *source)
{
    return source->tracker->host.page.magic != 0;
}

bool state_known_page(const struct state_source *source)
{
    return was_seen(source) && !host_in_trouble(&source->tracker->host);
}

bool state_known_generation(const struct state_source *source)
{
    return state_known_page(source) && has_generation(source);
}

bool state_known_lost_page(const struct state_source *source)
{
    return was_seen(source) && host_in_trouble(&source->tracker->host);
}

const char *state_known_page_str(const struct tracker *tracker)
{
    const struct host *host = &tracker->host;

    return host->lost                                                     ? "the device is lost"
           : host->busy || (host->busy_since_ns && host->page.magic == 0) ? "the host is writing"
           : host->page_verdict == PAGE_OK ? clock_verdict_str(host->verdict)
                                           : page_verdict_str(host->page_verdict);
}

bool state_known_disruption(const struct state_source *source)
{
    return source->tracker->host.disruption.at_ns != 0;
}

/* --- the samples ------------------------------------------------------------------------------ */

bool state_known_offset(const struct state_source *source)
{
    const struct tracker *t = source->tracker;
    const int64_t fresh_ns = t->config.sample_interval_ns + FRESH_NS;

    return t->feeder.has_offset && source->now_ns - t->feeder.measured_ns <= fresh_ns;
}

bool state_known_error_bound(const struct state_source *source)
{
    const struct feeder *feeder = &source->tracker->feeder;

    return state_known_offset(source) && feeder->offset.has_bound &&
           feeder->offset.bound_ns < INT64_MAX; /* it has saturated */
}

bool state_known_lost_offset(const struct state_source *source)
{
    return !state_known_offset(source) && source->tracker->feeder.measured_ns;
}

const char *state_known_withheld_str(const struct state_source *source)
{
    const struct tracker *t = source->tracker;

    if (t->host.mode != TRACKER_MODE_CLOCK || t->stopping)
        return NULL;
    if (!t->host.has_time)
        return state_known_page_str(t);
    if (recovery_holds_samples(&t->recoveries.recovery))
        return "the clock is being corrected";
    if (t->feeder.withheld)
        return t->feeder.verdict == CLOCK_OK ? "their error bound is over max-error"
                                             : clock_verdict_str(t->feeder.verdict);
    return state_known_health_withheld(source) ? "the page changes during each reading" : NULL;
}

bool state_known_withheld(const struct state_source *source)
{
    return state_known_withheld_str(source) != NULL;
}

bool state_known_tried(const struct state_source *source)
{
    return source->tracker->host.mode == TRACKER_MODE_CLOCK && !state_known_withheld(source);
}

bool state_known_sock_error(const struct state_source *source)
{
    return state_known_tried(source) && source->tracker->feeder.error != 0;
}

bool state_known_health_withheld(const struct state_source *source)
{
    return health_withheld_ns(&source->tracker->health, source->now_ns) != 0;
}

bool state_known_health_offset(const struct state_source *source)
{
    return health_offset_ns(&source->tracker->health) != 0;
}

bool state_known_health_reference(const struct state_source *source)
{
    return health_reference_ns(&source->tracker->health, source->now_ns) != 0;
}

/* With a clock, what follows from it is measured. */
bool state_known_health_unconfirmed(const struct state_source *source)
{
    return source->tracker->recoveries.unconfirmed &&
           source->tracker->host.mode != TRACKER_MODE_CLOCK;
}

/* --- the last recovery, and chronyd
 * --------------------------------------------------------------- */

bool state_known_bound(const struct state_source *source)
{
    return source->tracker->bound.value.known && source->tracker->bound.value.sec < 1e9;
}

int state_known_tai_offset(const struct tracker *t)
{
    return t->host.known && page_has(&t->host.page, VMCLOCK_FLAG_TAI_OFFSET_VALID)
               ? t->host.page.tai_offset_sec
               : t->counter.kernel_tai;
}

bool state_known_tai(const struct state_source *source)
{
    return state_known_tai_offset(source->tracker) != 0;
}

bool state_known_boost(const struct state_source *source)
{
    return source->tracker->config.recovery.n_servers > 0;
}

bool state_known_ptp(const struct state_source *source)
{
    return source->tracker->config.ptp.used;
}

/* It may not be there now, and come back. */
bool state_known_trusted_ptp(const struct state_source *source)
{
    return state_known_ptp(source) && source->tracker->ptp.state == PTP_CLOCK_TRUSTED;
}

/* A dry run's is pretended. */
bool state_known_recovery(const struct state_source *source)
{
    const struct tracker *t = source->tracker;

    return t->recoveries.recovery.started_ns != 0 && !t->config.dry_run;
}

static enum recovery_corrector corrector(const struct state_source *source)
{
    return state_known_recovery(source)
               ? recovery_corrected_by(&source->tracker->recoveries.recovery)
               : RECOVERY_CORRECTOR_NONE;
}

bool state_known_corrector(const struct state_source *source)
{
    return corrector(source) != RECOVERY_CORRECTOR_NONE;
}

bool state_known_correction(const struct state_source *source)
{
    return state_known_corrector(source) && corrector(source) != RECOVERY_CORRECTOR_CHRONYD;
}

/* Else by the rate alone. */
bool state_known_step(const struct state_source *source)
{
    return state_known_correction(source) &&
           !isnan(source->tracker->recoveries.recovery.remaining_sec);
}

bool state_known_asked(const struct state_source *source)
{
    return !source->tracker->config.dry_run;
}

/* Of what it says nothing is known while it does not answer. */
bool state_known_tracking(const struct state_source *source)
{
    return state_known_asked(source) && source->tracker->client.known.reachable &&
           source->tracker->client.known.tracked;
}

bool state_known_reference(const struct state_source *source)
{
    return state_known_tracking(source) && source->tracker->client.known.refid != 0;
}
