/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines on stderr: with a journal priority under a service manager, plain on a terminal. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_priority {
    LOG_PRIO_ERR = 3,
    LOG_PRIO_WARNING = 4,
    LOG_PRIO_NOTICE = 5,
    LOG_PRIO_INFO = 6,
    LOG_PRIO_DEBUG = 7
};

/* Before the first line; `verbose` lets debug lines through. */
void log_init(bool verbose);

/*
 * One line, without a newline. At most 40 a second are written, those over are counted and the
 * count is said when lines can be written again.
 */
void log_line(enum log_priority priority, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_err(...)     log_line(LOG_PRIO_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_PRIO_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_PRIO_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_PRIO_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_PRIO_DEBUG, __VA_ARGS__)

#endif
