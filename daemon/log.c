/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/system_clock.h"

/*
 * Half of what is allowed in a second at once, the other half as time goes by. The last of what is
 * allowed at once is for errors, one of which may be the last word of this process.
 */
#define BUCKET_LINES 20
#define ERROR_LINES  4
#define LINE_NS      (INT64_C(1000000000) / BUCKET_LINES)

static const struct sockaddr_un journal = {
    .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};

static bool verbose, prefixed;
static int journal_fd = -1; /* -1: stderr is not the journal */
static int64_t full_at_ns;  /* when the bucket is, or was, full again */
static unsigned dropped;

/* $JOURNAL_STREAM names what systemd has connected to the journal; it may not be stderr. */
static bool stderr_is_the_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char ours[64];

    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return false;
    snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, ours) == 0;
}

void log_init(bool be_verbose)
{
    verbose = be_verbose;
    prefixed = getenv("JOURNAL_STREAM") || getenv("NOTIFY_SOCKET");
    if (stderr_is_the_journal())
        journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void log_field(struct log_fields *fields, const char *name, const char *format, ...)
{
    const size_t room = sizeof(fields->lines) - fields->n;
    char value[256];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(value, sizeof(value), format, arguments);
    va_end(arguments);
    if (n < 0 || strchr(value, '\n'))
        return;
    n = snprintf(fields->lines + fields->n, room, "%s=%s\n", name, value);
    if (n > 0 && (size_t)n < room)
        fields->n += (size_t)n;
}

/*
 * As one datagram of the journal's native protocol: every field a line. Not by sd_journal_sendv(),
 * which waits for a journal that does not read, and forgets the entry where there is no journal.
 */
static bool send_to_journal(
    enum log_priority priority, const struct log_fields *fields, const char *text)
{
    char entry[LOG_TEXT_MAX + 64 + LOG_FIELDS_MAX];
    size_t n;

    if (journal_fd < 0)
        return false;
    n = (size_t)snprintf(entry, sizeof(entry),
        "PRIORITY=%d\nSYSLOG_IDENTIFIER=vmclockd\nMESSAGE=%s\n", (int)priority, text);
    if (fields) {
        memcpy(entry + n, fields->lines, fields->n);
        n += fields->n;
    }
    return sendto(journal_fd, entry, n, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&journal, sizeof(journal)) >= 0;
}

/* One write a line, if it can be taken at once. */
static bool write_line(enum log_priority priority, const char *text)
{
    struct pollfd reader = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[LOG_TEXT_MAX + 8];
    const int n = prefixed ? snprintf(line, sizeof(line), "<%d>%s\n", (int)priority, text)
                           : snprintf(line, sizeof(line), "%s\n", text);

    return poll(&reader, 1, 0) == 1 && (reader.revents & POLLOUT) &&
           write(STDERR_FILENO, line, (size_t)n) == n;
}

static void deliver(enum log_priority priority, const struct log_fields *fields, const char *text)
{
    if (!send_to_journal(priority, fields, text) && !write_line(priority, text))
        dropped++;
}

static bool take_token(enum log_priority priority)
{
    const int64_t now_ns = system_clock_monotonic_ns();
    const int lines = BUCKET_LINES - (priority <= LOG_PRIO_ERR ? 0 : ERROR_LINES);

    if (full_at_ns < now_ns)
        full_at_ns = now_ns;
    if (full_at_ns + LINE_NS > now_ns + lines * LINE_NS)
        return false;
    full_at_ns += LINE_NS;
    return true;
}

void log_entry(enum log_priority priority, const struct log_fields *fields, const char *text)
{
    char line[LOG_TEXT_MAX];

    if (priority == LOG_PRIO_DEBUG && !verbose)
        return;
    if (!take_token(priority)) {
        dropped++;
        return;
    }
    if (dropped > 0 && take_token(LOG_PRIO_WARNING)) {
        const unsigned n = dropped;

        dropped = 0;
        snprintf(line, sizeof(line), "%u messages were left out", n);
        deliver(LOG_PRIO_WARNING, NULL, line);
        if (dropped > 0) /* nor was this one taken */
            dropped = n;
    }
    snprintf(line, sizeof(line), "%s", text);
    for (char *c = line; *c; c++)
        if (*c == '\n')
            *c = ' ';
    deliver(priority, fields, line);
}

void log_line(enum log_priority priority, const char *format, ...)
{
    char text[LOG_TEXT_MAX];
    va_list arguments;

    if (priority == LOG_PRIO_DEBUG && !verbose)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_entry(priority, NULL, text);
}
