/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/system_clock.h"

/* Half of what is allowed in a second at once, the other half as time goes by. */
#define BUCKET_LINES   20
#define LINE_NS        (INT64_C(1000000000) / BUCKET_LINES)
#define LINE_MAX_BYTES 1024

static bool verbose, prefixed;
static int64_t full_at_ns; /* when the bucket is, or was, full again */
static unsigned dropped;

void log_init(bool be_verbose)
{
    verbose = be_verbose;
    prefixed = getenv("JOURNAL_STREAM") || getenv("NOTIFY_SOCKET");
}

static void write_line(enum log_priority priority, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

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
    __attribute__((format(printf, 2, 3)));

static void write_format(enum log_priority priority, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    write_line(priority, format, arguments);
    va_end(arguments);
}

static bool take_token(void)
{
    const int64_t now_ns = system_clock_monotonic_ns();

    if (full_at_ns < now_ns)
        full_at_ns = now_ns;
    if (full_at_ns + LINE_NS > now_ns + BUCKET_LINES * LINE_NS)
        return false;
    full_at_ns += LINE_NS;
    return true;
}

void log_line(enum log_priority priority, const char *format, ...)
{
    va_list arguments;

    if (priority == LOG_PRIO_DEBUG && !verbose)
        return;
    if (!take_token()) {
        dropped++;
        return;
    }
    if (dropped > 0 && take_token()) {
        write_format(LOG_PRIO_WARNING, "%u messages were left out", dropped);
        dropped = 0;
    }
    va_start(arguments, format);
    write_line(priority, format, arguments);
    va_end(arguments);
}
