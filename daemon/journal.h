/* SPDX-License-Identifier: BSD-2-Clause */
/* The tracker's events in words: what happened to what, and what is done about it. */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include "daemon/config.h"
#include "refclock/event.h"

/* Log one event. */
void journal_event(const struct config *config, const struct event *event);

/* A reference id as text: its characters, or 8 hexadecimal digits; `size` at least 9. */
void journal_refid(uint32_t refid, char *ret_text, size_t size);

#endif
