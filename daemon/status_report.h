/* SPDX-License-Identifier: BSD-2-Clause */
/* What the state file says: one screen for people, one object for programs. */
#ifndef DAEMON_STATUS_REPORT_H
#define DAEMON_STATUS_REPORT_H

#include <jansson.h>

#include "daemon/human.h"
#include "daemon/state_file.h"

/* A new object with every key of the interface; what is not known is null. */
json_t *status_report_json(const struct config *config, const struct state_file *state);

/*
 * Parts of it, as half a sentence: what the last disruption was; "after 2.312 ms", or `otherwise`
 * where the state has no such time; what was corrected; how chronyd is.
 */
const char *status_report_kind(const struct state_file *state);
const char *status_report_after(const struct state_file *state, const char *key,
    const char *otherwise, char ret_text[HUMAN_MAX]);
const char *status_report_corrected(const struct state_file *state, char *ret_text, size_t size);
const char *status_report_chronyd(const struct state_file *state, char *ret_text, size_t size);

/* Each warning, as a sentence. */
void status_report_warn(const struct config *config, const struct state_file *state,
    void (*take)(const char *text, void *context), void *context);

/* Warnings first, at most 80 columns; `colour` for a terminal. */
void status_report_print(const struct config *config, const struct state_file *state, bool colour);

#endif
