/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/bound_reason.h"

const char *bound_status_str(enum bound_status status)
{
    switch (status) {
    case BOUND_UNKNOWN: return "unknown";
    case BOUND_SYNCHRONISED: return "synchronised";
    case BOUND_FREE_RUNNING: return "free-running";
    case BOUND_DISRUPTED: return "disrupted";
    }
    return "unknown";
}

const char *bound_reason_str(unsigned reason)
{
    static const char *const words[BOUND_N_REASONS] = {
        [BOUND_NO_PAGE] = "vmclockd has seen no page yet",
        [BOUND_STOPPING] = "vmclockd has stopped",
        [BOUND_PAGE_UNSEEN] = "the page cannot be seen, nor a disruption",
        [BOUND_RECOVERING] = "the clock is being put right after a disruption",
        [BOUND_UNCONFIRMED] = "chronyd did not confirm that it has forgotten its measurements",
        [BOUND_SUSPENDED] = "the guest was suspended",
        [BOUND_LEAP] = "around a leap second UTC is ambiguous",
        [BOUND_BY_PAGE] = "by the host's page",
        [BOUND_HOST_FREE] = "by the page of a host that runs free",
        [BOUND_PAGE_UNBOUNDED] = "by chronyd, for the host's page has no bounds",
        [BOUND_NO_REFERENCE] = "chronyd has had no reference yet",
        [BOUND_BY_CHRONYD] = "by chronyd",
        [BOUND_CHRONYD_LATE] = "chronyd's reference is not updated",
        [BOUND_TOO_LARGE] = "the clock may be years off, by what is known",
        [BOUND_STEPPED] = "the clock was stepped",
        [BOUND_CHRONYD_LOST] = "chronyd has no reference any more, or does not answer",
    };

    return reason < BOUND_N_REASONS ? words[reason] : "for a reason that is not known here";
}
