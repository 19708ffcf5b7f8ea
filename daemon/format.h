/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers and dates as people read them, and text as wide as the terminal. */
#ifndef DAEMON_FORMAT_H
#define DAEMON_FORMAT_H

#include <stddef.h>
#include <stdio.h>

#define FORMAT_MAX 48

/* Three digits: "124 ns", "-12.3 us", "2.31 ms", "850 ms", "12.5 s"; more before the point. */
const char *format_ns(double ns, char ret_text[FORMAT_MAX]);

/* A span of at least a second: "12 s", "34 min", "5 h", "12 days". */
const char *format_span(double sec, char ret_text[FORMAT_MAX]);

/* Seconds since 1970 in local time: "2026-11-24 12:03:04 UTC", and "12:03:04.123". */
const char *format_date(double sec, char ret_text[FORMAT_MAX]);
const char *format_time(double sec, char ret_text[FORMAT_MAX]);

/* RFC 3339, UTC, nine digits: "2026-11-24T12:03:04.250000000Z", of whole microseconds. */
const char *format_rfc3339(double sec, char ret_text[FORMAT_MAX]);

/* How wide text may be: by COLUMNS, or the terminal at the standard output, or 80. */
size_t format_columns(void);

/* Replace each byte that is no UTF-8, or controls a terminal, by '?'. */
void format_make_plain(char *text);

/*
 * Print `text`, folded at blanks to format_columns(), of which `column` are taken in the first
 * line; the others are indented by `indent`. Ends with a newline.
 */
void format_fold(FILE *to, const char *text, size_t column, size_t indent);

#endif
