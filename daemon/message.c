/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/message.h"

#include <stdarg.h>
#include <stdio.h>

#undef LINE
#define SECTION(title, text)
#define EXPLAIN(text)
#define EXPLAINED_BY(message)

static const struct {
    const char *id, *event;
} messages[MESSAGES] = {
#define MESSAGE(name, id, event, subject, what, action) [MESSAGE_##name] = {id, event},
#define LINE(name, priority, message, words, arguments)
#include "daemon/messages.def"
};

static const struct {
    enum log_priority priority;
    enum message message;
} lines[MESSAGE_LINES] = {
#undef MESSAGE
#undef LINE
#define MESSAGE(name, id, event, subject, what, action)
#define LINE(name, priority, message, words, arguments)                                            \
    [LINE_##name] = {LOG_PRIO_##priority, MESSAGE_##message},
#include "daemon/messages.def"
};

enum log_priority message_priority(enum message_line line)
{
    return lines[line].priority;
}

void message_add_fields(enum message_line line, struct log_fields *fields)
{
    const enum message message = lines[line].message;

    if (message == MESSAGE_NONE)
        return;
    log_field(fields, "MESSAGE_ID", "%s", messages[message].id);
    log_field(fields, "VMCLOCK_EVENT", "%s", messages[message].event);
}

void message_log(enum message_line line, const char *words, ...)
{
    struct log_fields fields = {.n = 0};
    char text[LOG_TEXT_MAX];
    va_list arguments;

    va_start(arguments, words);
    vsnprintf(text, sizeof(text), words, arguments);
    va_end(arguments);
    message_add_fields(line, &fields);
    log_entry(message_priority(line), &fields, text);
}

void message_log_mistake(const char *sentence)
{
    message_log(LINE_CONFIG_MISTAKE, "%s", sentence);
}

void message_log_fault(const char *sentence)
{
    message_log(LINE_MAKESTEP_UNKNOWN, "%s", sentence);
}
