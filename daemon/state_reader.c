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

#include "daemon/process.h"
#include "daemon/system_clock.h"

/* Letters of proc(5). */
#define STOPPED   'T'
#define IN_KERNEL 'D'

/* There is nothing to watch before the directory exists. */
#define NO_DIRECTORY_MS 100

/* A number of another namespace says nothing here, as in a container that shows the file. */
static pid_t own_process(const struct state_file *state)
{
    const char *pid = state_file_value(state, "pid");
    const char *namespace = state_file_value(state, "pid_namespace");
    char own[STATE_NAMESPACE_MAX];

    state_file_pid_namespace(own);
    if (!pid || (namespace && strcmp(namespace, own) != 0))
        return 0;
    return (pid_t)strtol(pid, NULL, 10);
}

static bool is_alive(pid_t pid, char letter)
{
    return letter != 'Z' && letter != 'X' && (kill(pid, 0) == 0 || errno == EPERM);
}

/* 0, or why this is not the state of a vmclockd that runs. */
static int judge(struct state_file *state)
{
    const char *updated = state_file_value(state, "updated_boottime_ns");
    char boot_id[STATE_BOOT_ID_MAX], letter = '\0';
    bool stale;

    if (!updated || !state_file_value(state, "pid"))
        return -EBADMSG;
    state_file_boot_id(boot_id);
    if (!state_file_value_is(state, "boot_id", boot_id))
        return -ESTALE;
    if (!state_file_value_is(state, "running", "yes"))
        return -ECANCELED;
    stale = system_clock_boottime_ns() - strtoll(updated, NULL, 10) >= STATE_STALE_NS;
    state->process = own_process(state);
    if (state->process <= 0)
        return stale ? -ETIMEDOUT : 0;
    letter = process_state(state->process);
    if (!is_alive(state->process, letter))
        return -ESRCH;
    if (!stale && letter != STOPPED)
        return 0;
    /* Another's number by now? One that cannot be seen is believed. */
    if (letter != '\0' && !process_is_vmclockd(state->process))
        return stale ? -ESRCH : 0;
    return -EBUSY;
}

int state_reader_read(const struct config *config, struct state_file *ret_state)
{
    int r = state_file_read(config->state_file, ret_state);

    ret_state->process = ret_state->error = 0;
    if (r == 0)
        r = judge(ret_state);
    else
        ret_state->n = 0;
    if (r == 0 || r == -EBUSY)
        return r;
    /*
     * One that has never been able to write, or whose file was removed or replaced; not the one
     * that is just ending.
     */
    ret_state->process = process_find_vmclockd(
        config->file, (double)STATE_STALE_NS / 1e9, r == -ECANCELED ? own_process(ret_state) : 0);
    ret_state->error = r;
    return ret_state->process ? -EBUSY : r;
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

void state_reader_explain(const struct config *config, int error, const struct state_file *state,
    char ret_text[STATE_READER_TEXT_MAX])
{
    const char *const file = config->state_file;
    const long pid = state->process;
    const char *does;

    if (error != -EBUSY) {
        snprintf(ret_text, STATE_READER_TEXT_MAX, "no vmclockd runs: %s: %s", file,
            state_reader_error_str(error));
        return;
    }
    if (process_state(state->process) == STOPPED) {
        snprintf(ret_text, STATE_READER_TEXT_MAX,
            "vmclockd, process %ld, is stopped; \"kill -CONT %ld\" lets it go on", pid, pid);
        return;
    }
    does = process_state(state->process) == IN_KERNEL ? "waits in the kernel" : "is alive";
    switch (-state->error) {
    case 0: /* of one that hangs, or that has ended */
    case ECANCELED:
    case ESRCH:
    case ETIMEDOUT:
        snprintf(ret_text, STATE_READER_TEXT_MAX,
            "vmclockd, process %ld, %s, and has not written %s for over 5 s", pid, does, file);
        break;
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EBADMSG:
    case ESTALE:
        snprintf(ret_text, STATE_READER_TEXT_MAX,
            "vmclockd, process %ld, %s, and %s is not its state: %s; has \"state-file\" changed "
            "since its start?",
            pid, does, file, state_reader_error_str(state->error));
        break;
    default:
        snprintf(ret_text, STATE_READER_TEXT_MAX,
            "vmclockd, process %ld, %s, and %s cannot be read: %s", pid, does, file,
            state_reader_error_str(state->error));
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
