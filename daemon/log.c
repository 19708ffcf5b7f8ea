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

#include "daemon/message.h"
#include "daemon/system_clock.h"

/*
 * Half of what is allowed in a second at once, the other half as time goes by. The last of what is
 * allowed at once is for errors, one of which may be the last word of this process. Debug messages
 * have a bucket of their own, so that they take nothing from the others.
 */
static struct bucket {
    int64_t lines, error_lines;
    int64_t full_at_ns; /* when it is, or was, full again */
    unsigned dropped;
} messages = {20, 4, 0, 0}, debug_messages = {100, 0, 0, 0};

static const struct sockaddr_un journal = {
    .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};

static bool verbose, prefixed;
static int journal_fd = -1; /* -1: stderr is not the journal */

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

static bool deliver(enum log_priority priority, const struct log_fields *fields, const char *text)
{
    return send_to_journal(priority, fields, text) || write_line(priority, text);
}

static bool take_token(struct bucket *bucket, enum log_priority priority)
{
    const int64_t now_ns = system_clock_monotonic_ns(), line_ns = 1000000000 / bucket->lines;
    const int64_t lines = bucket->lines - (priority <= LOG_PRIO_ERR ? 0 : bucket->error_lines);

    if (bucket->full_at_ns < now_ns)
        bucket->full_at_ns = now_ns;
    if (bucket->full_at_ns + line_ns > now_ns + lines * line_ns)
        return false;
    bucket->full_at_ns += line_ns;
    return true;
}

/* As soon as there is room for it. */
static void tell_of_dropped(struct bucket *bucket)
{
    const bool debug = bucket == &debug_messages;
    const enum log_priority priority =
        message_priority(debug ? LINE_DEBUG_LEFT_OUT : LINE_MESSAGES_LEFT_OUT);
    char line[64];

    if (bucket->dropped == 0 || !take_token(bucket, priority))
        return;
    if (debug)
        snprintf(line, sizeof(line), WORDS_DEBUG_LEFT_OUT, bucket->dropped);
    else
        snprintf(line, sizeof(line), WORDS_MESSAGES_LEFT_OUT, bucket->dropped);
    if (deliver(priority, NULL, line))
        bucket->dropped = 0;
}

void log_entry(enum log_priority priority, const struct log_fields *fields, const char *text)
{
    struct bucket *bucket = priority == LOG_PRIO_DEBUG ? &debug_messages : &messages;
    char line[LOG_TEXT_MAX];

    if (priority == LOG_PRIO_DEBUG && !verbose)
        return;
    if (!take_token(bucket, priority)) {
        bucket->dropped++;
        return;
    }
    tell_of_dropped(&messages);
    tell_of_dropped(&debug_messages);
    snprintf(line, sizeof(line), "%s", text);
    for (char *c = line; *c; c++)
        if (*c == '\n')
            *c = ' ';
    if (!deliver(priority, fields, line))
        bucket->dropped++;
}

void log_debug(const char *format, ...)
{
    char text[LOG_TEXT_MAX];
    va_list arguments;

    if (!verbose)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_entry(LOG_PRIO_DEBUG, NULL, text);
}
