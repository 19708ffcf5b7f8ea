/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracker's events as lines of messages.def, with the fields of those that people alert on.
 */
#ifndef DAEMON_JOURNAL_H
#define DAEMON_JOURNAL_H

#include "daemon/config.h"
#include "daemon/log.h"
#include "refclock/event.h"

struct journal_record {
    enum log_priority priority;
    char text[LOG_TEXT_MAX];
    struct log_fields fields; /* with MESSAGE_ID and VMCLOCK_EVENT where the event has them */
};

/* One event in words and fields; `cause` is that of the recovery that it is of. */
void journal_describe(const struct config *config, const struct event *event,
    enum recovery_cause cause, struct journal_record *ret_record);

/* A reference id as text: its characters, or 8 hexadecimal digits; `size` at least 9. */
void journal_refid(uint32_t refid, char *ret_text, size_t size);

#endif
