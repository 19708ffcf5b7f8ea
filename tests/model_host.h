/* SPDX-License-Identifier: BSD-2-Clause */
/* A host, as far as a guest sees it: its vmclock page, and what it writes there. */
#ifndef TESTS_MODEL_HOST_H
#define TESTS_MODEL_HOST_H

#include "refclock/page.h"
#include "tests/model_clock.h"

struct model_host {
    struct vmclock_page page;
    double error_sec; /* of the formula, when it is written */
    double rate_ppb;  /* by which the formula's clock runs fast */

    /* A leap second: what it adds to TAI - UTC, and when it begins or when one is left out. */
    int leap_step; /* 1, -1; 0: there is none */
    int64_t leap_ns;
};

/* A page that is a clock, in TAI, by the counter of an x86. */
void model_host_init(struct model_host *host, const struct model_clock *clock, int64_t now_ns);

/* The present formula. A page that is no clock gets one of which the guest is not told. */
void model_host_write_formula(
    struct model_host *host, const struct model_clock *clock, int64_t now_ns);
void model_host_write_marker(struct model_host *host);
void model_host_marker_only(struct model_host *host);

/* The page as it is in memory, and a byte of it, as a host that is broken might write it. */
void model_host_encode(const struct model_host *host, uint8_t ret_raw[VMCLOCK_FIELDS_END]);
void model_host_poke(struct model_host *host, unsigned at, uint8_t value);

#endif
