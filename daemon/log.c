/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINES_A_SECOND 40
#define LINE_MAX_BYTES 1024

static bool verbose, prefixed;
static time_t second;
static unsigned lines, dropped;

void log_init(bool be_verbose)
{
    verbose = be_verbose;
    prefixed = getenv("JOURNAL_STREAM") || getenv("NOTIFY_SOCKET");
}

static void write_line(enum log_priority priority, const char *format, va_list arguments)
{
    char line[LINE_MAX_BYTES];
    int at = prefixed ? snprintf(line, sizeof(line), "<%d>", (int)priority) : 0;
    int n = vsnprintf(line + at, sizeof(line) - (size_t)at - 1, format, arguments);

    if (n < 0)
        return;
    at += n;
    if (at > (int)sizeof(line) - 2)
        at = (int)sizeof(line) - 2;
    line[at++] = '\n';
    /* One write a line; where nobody reads stderr, there is nobody to tell. */
    if (write(STDERR_FILENO, line, (size_t)at) < 0)
        return;
}

static void write_format(enum log_priority priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line(priority, format, arguments);
    va_end(arguments);
}

void log_line(enum log_priority priority, const char *format, ...)
{
    struct timespec now;
    va_list arguments;

    if (priority == LOG_PRIO_DEBUG && !verbose)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != second) {
        second = now.tv_sec;
        lines = 0;
    }
    if (lines >= LINES_A_SECOND - (dropped > 0)) {
        dropped++;
        return;
    }
    if (dropped > 0) {
        write_format(LOG_PRIO_WARNING, "%u messages were left out", dropped);
        dropped = 0;
        lines++;
    }
    lines++;
    va_start(arguments, format);
    write_line(priority, format, arguments);
    va_end(arguments);
}
