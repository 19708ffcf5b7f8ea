/* SPDX-License-Identifier: BSD-2-Clause */
/* What the state file says: one screen for people, one object for programs. */
#ifndef DAEMON_STATUS_REPORT_H
#define DAEMON_STATUS_REPORT_H

#include <jansson.h>

#include "daemon/format.h"
#include "daemon/status_warnings.h"

/*
 * A new object with every key of the interface; what is not known is null. `error` says why nothing
 * of the state is known, NULL: it is.
 */
json_t *status_report_json(
    const struct status_mistakes *mistakes, const struct state_file *state, const char *error);

/*
 * Parts of it, as half a sentence: what the last disruption was; "after 2.312 ms", or `otherwise`
 * where the state has no such time; what was corrected, or who was left to; how chronyd is; how the
 * recovery ended.
 */
const char *status_report_kind(const struct state_file *state);
const char *status_report_after(const struct state_file *state, const char *key,
    const char *otherwise, char ret_text[FORMAT_MAX]);
const char *status_report_corrected(const struct state_file *state, char *ret_text, size_t size);
const char *status_report_chronyd(const struct state_file *state, char *ret_text, size_t size);

const char *status_report_outcome(const struct state_file *state);

/* For how long all this has been so, s. */
double status_report_age(const struct state_file *state);

/* Warnings first, as wide as the terminal; `colour` for a terminal; of an `error`, that alone. */
void status_report_print(const struct status_mistakes *mistakes, const struct state_file *state,
    const char *error, bool colour);

#endif
