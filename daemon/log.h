/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: entries with fields where stderr is the journal, lines with a priority under another
 * service manager, plain ones on a terminal. Nothing here waits for a reader.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_priority {
    LOG_PRIO_ERR = 3,
    LOG_PRIO_WARNING = 4,
    LOG_PRIO_NOTICE = 5,
    LOG_PRIO_INFO = 6,
    LOG_PRIO_DEBUG = 7
};

#define LOG_TEXT_MAX   1024
#define LOG_FIELDS_MAX 1024

/* What an entry has besides its text: "NAME=value" lines. Begin with {.n = 0}. */
struct log_fields {
    size_t n;
    char lines[LOG_FIELDS_MAX];
};

/* Before the first line; `verbose` lets debug lines through. */
void log_init(bool verbose);

/*
 * Add a field; `name` as systemd.journal-fields(7) allows. A value is cut to 255 bytes; a field
 * that does not fit is left out.
 */
void log_field(struct log_fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * One entry: `text` without a newline, and fields or NULL. At most 40 a second are written, and at
 * most 200 of debug besides; those over, and those that nobody takes, are counted, and the count is
 * logged when there is room again.
 */
void log_entry(enum log_priority priority, const struct log_fields *fields, const char *text);

/* For developers; all else that vmclockd logs is in messages.def. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
