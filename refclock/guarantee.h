/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the pages of one host guarantee together. Each page with bounds says that the true time is
 * within them; all are right as long as there is a time that all of them allow.
 */
#ifndef REFCLOCK_GUARANTEE_H
#define REFCLOCK_GUARANTEE_H

#include "refclock/clock_model.h"

/* The true time minus the model's is from low_sec to high_sec at the model's reference. */
struct guarantee {
    bool known;
    struct clock_model model;
    double low_sec, high_sec;
};

/* The next page is of another host. */
void guarantee_forget(struct guarantee *g);

/*
 * Take in a page's model, where it has bounds. False: no time is left that it and all before it
 * allow; it stands alone then.
 */
bool guarantee_add(struct guarantee *g, const struct clock_model *later);

#endif
