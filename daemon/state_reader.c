/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_reader.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "daemon/system_clock.h"

/* There is nothing to watch before the directory exists. */
#define NO_DIRECTORY_MS 100

/* A number of another namespace says nothing here, as in a container that shows the file. */
static bool is_gone(const struct state_file *state)
{
    const char *pid = state_file_value(state, "pid");
    const char *namespace = state_file_value(state, "pid_namespace");
    const long number = pid ? strtol(pid, NULL, 10) : 0;
    char own[STATE_NAMESPACE_MAX];

    if (number <= 0)
        return true;
    state_file_pid_namespace(own);
    if (namespace && strcmp(namespace, own) != 0)
        return false;
    return kill((pid_t)number, 0) < 0 && errno != EPERM;
}

int state_reader_read(const char *path, struct state_file *ret_state)
{
    const int r = state_file_read(path, ret_state);
    char boot_id[STATE_BOOT_ID_MAX];
    const char *updated;

    if (r < 0)
        return r;
    state_file_boot_id(boot_id);
    updated = state_file_value(ret_state, "updated_boottime_ns");
    if (!updated)
        return -EBADMSG;
    if (!state_file_value_is(ret_state, "boot_id", boot_id))
        return -ESTALE;
    if (!state_file_value_is(ret_state, "running", "yes"))
        return -ECANCELED;
    if (is_gone(ret_state))
        return -ESRCH;
    if (system_clock_boottime_ns() - strtoll(updated, NULL, 10) >= STATE_STALE_NS)
        return -ETIMEDOUT;
    return 0;
}

const char *state_reader_error_str(int error)
{
    switch (-error) {
    case EBADMSG: return "not a state file";
    case ESTALE: return "of an earlier boot";
    case ECANCELED: return "vmclockd was stopped";
    case ESRCH: return "vmclockd has died";
    case ETIMEDOUT: return "vmclockd has not written it for over 5 s";
    default: return strerror(-error);
    }
}

static void watch_directory(struct state_reader *reader)
{
    if (reader->watch < 0)
        reader->watch = inotify_add_watch(reader->fd, reader->directory,
            IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

int state_reader_open(struct state_reader *reader, const char *path)
{
    const char *slash = strrchr(path, '/');

    snprintf(reader->directory, sizeof(reader->directory), "%.*s", (int)(slash - path) + 1, path);
    reader->name = slash + 1;
    reader->watch = -1;
    reader->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (reader->fd < 0)
        return -errno;
    watch_directory(reader);
    return 0;
}

void state_reader_close(struct state_reader *reader)
{
    close(reader->fd);
}

/* Take all that has happened; true: the file was replaced. */
static bool take_events(struct state_reader *reader)
{
    _Alignas(struct inotify_event) char bytes[4096];
    bool replaced = false;
    ssize_t n;

    while ((n = read(reader->fd, bytes, sizeof(bytes))) > 0) {
        for (const char *at = bytes; at < bytes + n;) {
            const struct inotify_event *event = (const void *)at;

            if ((event->mask & IN_MOVED_TO) && event->len && strcmp(event->name, reader->name) == 0)
                replaced = true;
            if (event->mask & IN_Q_OVERFLOW)
                replaced = true;
            if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
                inotify_rm_watch(reader->fd, reader->watch);
                reader->watch = -1;
            }
            at += sizeof(*event) + event->len;
        }
    }
    return replaced;
}

void state_reader_wait(struct state_reader *reader, int timeout_ms)
{
    struct pollfd fd = {.fd = reader->fd, .events = POLLIN};
    const int64_t end_ns = system_clock_boottime_ns() + timeout_ms * INT64_C(1000000);

    for (;;) {
        const int64_t left_ns = end_ns - system_clock_boottime_ns();
        int left_ms = timeout_ms < 0 ? -1 : left_ns > 0 ? (int)(left_ns / 1000000) + 1 : 0;

        if (reader->watch < 0) {
            watch_directory(reader);
            if (reader->watch >= 0)
                return; /* the file may be in it already */
            if (left_ms < 0 || left_ms > NO_DIRECTORY_MS)
                left_ms = NO_DIRECTORY_MS;
        }
        poll(&fd, 1, left_ms);
        if (take_events(reader) || (timeout_ms >= 0 && system_clock_boottime_ns() >= end_ns))
            return;
    }
}
