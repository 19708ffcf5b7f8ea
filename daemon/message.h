/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What vmclockd logs. messages.def has the words of each line, its priority, and what it means to
 * who reads it; here each gets a name.
 */
#ifndef DAEMON_MESSAGE_H
#define DAEMON_MESSAGE_H

#include <inttypes.h>

#include "daemon/log.h"

/* What people alert on. */
enum message {
    MESSAGE_NONE,
#define MESSAGE(name, id, event, subject, what, action) MESSAGE_##name,
#define SECTION(title, text)
#define LINE(name, priority, message, words, arguments)
#define EXPLAIN(text)
#define EXPLAINED_BY(message)
#include "daemon/messages.def"
    MESSAGES
};

enum message_line {
#undef MESSAGE
#undef LINE
#define MESSAGE(name, id, event, subject, what, action)
#define LINE(name, priority, message, words, arguments) LINE_##name,
#include "daemon/messages.def"
    MESSAGE_LINES
};

/* The words by themselves, so that the compiler sees to their arguments. */
#undef LINE
#define LINE(name, priority, message, words, arguments) static const char WORDS_##name[] = words;
#include "daemon/messages.def"

#undef MESSAGE
#undef SECTION
#undef LINE
#undef EXPLAIN
#undef EXPLAINED_BY

/* A line and its words, as the functions take them that say it: message_log(LINE(STOPPING), ...) */
#define LINE(name) LINE_##name, WORDS_##name

enum log_priority message_priority(enum message_line line);

/* MESSAGE_ID and VMCLOCK_EVENT, where people alert on the line. */
void message_add_fields(enum message_line line, struct log_fields *fields);

void message_log(enum message_line line, const char *words, ...)
    __attribute__((format(printf, 2, 3)));

/* For those that hand out whole sentences: of a mistake in our configuration, of a fault in
 * chrony's. */
void message_log_mistake(const char *sentence);
void message_log_fault(const char *sentence);

#endif
