/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/chronyd.h"
#include "daemon/doctor_check.h"
#include "daemon/journal.h"
#include "daemon/process.h"
#include "daemon/system_clock.h"

#define REPLY_MS 1000

/* --- the process --------------------------------------------------------------------------- */

/* Where `path` is, without the slash; false: it is nowhere else. */
static bool directory_of(const char *path, char *ret_directory, size_t size)
{
    const char *slash = strrchr(path, '/');

    snprintf(ret_directory, size, "%.*s", slash ? (int)(slash - path) : 0, path);
    return ret_directory[0] != '\0';
}

/* As by SIGSTOP. */
static bool is_stopped(const struct doctor *d)
{
    return d->has_chronyd && process_state(d->chronyd.pid) == 'T';
}

static void mend_stopped(struct doctor *d)
{
    doctor_mend(d, "\"kill -CONT %ld\" lets it go on", (long)d->chronyd.pid);
}

static void check_process(struct doctor *d)
{
    char ours[CONFIG_PATH_MAX], theirs[CONFIG_PATH_MAX];

    if (!d->has_chronyd)
        return;
    if (is_stopped(d)) {
        doctor_found(d, DOCTOR_PROBLEM, "chronyd", "process %ld is stopped", (long)d->chronyd.pid);
        mend_stopped(d);
        return;
    }
    if (d->chronyd.leaves_clock) {
        doctor_found(d, DOCTOR_PROBLEM, "chronyd",
            "process %ld runs with -x: it leaves the clock alone, and cannot correct it",
            (long)d->chronyd.pid);
        doctor_mend(d, "take -x from its options, in /etc/default/chrony or "
                       "/etc/sysconfig/chronyd, and restart it; in a container it is for the host "
                       "to keep the clock");
        return;
    }
    directory_of(d->config->sock, ours, sizeof(ours));
    directory_of(d->config->command_socket, theirs, sizeof(theirs));
    if (d->chronyd.without_root && d->is_clock && strcmp(ours, theirs) != 0) {
        doctor_found(d, DOCTOR_PROBLEM, "chronyd",
            "process %ld runs without root (-U): it cannot make %s", (long)d->chronyd.pid,
            d->config->sock);
        doctor_mend(d, "use %s/vmclock.sock, in its refclock line and as \"sock\" in %s", theirs,
            d->config->file);
        return;
    }
    doctor_found(d, DOCTOR_OK, "chronyd", "process %ld", (long)d->chronyd.pid);
}

/* --- its sockets --------------------------------------------------------------------------- */

static void check_sock(struct doctor *d)
{
    const char *path = d->refclock ? d->refclock->path : d->config->sock;
    const bool is_there_to_see = d->refclock || !d->chrony_known;
    struct stat status;
    const int error = stat(path, &status) == 0 ? 0 : errno;

    if (error == 0 && S_ISSOCK(status.st_mode)) {
        doctor_found(d, DOCTOR_OK, "sock", "%s is there", path);
    } else if (!d->is_clock) {
        return;
    } else if (error == EACCES) {
        doctor_found(d, DOCTOR_WARNING, "sock", "%s is not to be seen by this user", path);
        doctor_mend(d, "run the doctor as root");
    } else if (error == 0) {
        doctor_found(d, DOCTOR_PROBLEM, "sock", "%s is no socket", path);
        doctor_mend(d, "remove it and restart chronyd, which makes it");
    } else {
        doctor_found(
            d, DOCTOR_PROBLEM, "sock", "%s: %s: chronyd did not make it", path, strerror(error));
        doctor_mend(d, is_there_to_see
                           ? "restart chronyd: it makes it at its start, from the refclock line"
                           : "add the refclock line, then restart chronyd");
    }
}

/* Ask for chronyd's tracking; 0 or -errno, -EBADMSG: no good reply. */
static int ask_tracking(const char *path, struct chrony_reply *ret_reply, double *ret_ms)
{
    const struct chrony_command command = {.id = CHRONY_TRACKING};
    const int64_t began_ns = system_clock_monotonic_ns();
    uint8_t request[CHRONY_REQUEST_MAX], bytes[CHRONY_REPLY_MAX];
    const uint32_t sequence = (uint32_t)began_ns;
    const size_t length = chrony_command_encode(&command, sequence, request);
    struct chronyd chronyd;
    struct pollfd fd = {.events = POLLIN};
    ssize_t n = -ETIMEDOUT;
    int r;

    chronyd_init(&chronyd, path);
    r = chronyd_open(&chronyd);
    if (r == 0)
        r = chronyd_send(&chronyd, request, length);
    if (r < 0)
        return r;
    fd.fd = chronyd.fd;
    if (poll(&fd, 1, REPLY_MS) == 1)
        n = chronyd_receive(&chronyd, bytes, sizeof(bytes));
    chronyd_close(&chronyd);
    *ret_ms = (double)(system_clock_monotonic_ns() - began_ns) / 1e6;
    if (n < 0)
        return (int)n;
    if (chrony_reply_decode(bytes, (size_t)n, command.id, sequence, ret_reply) != CHRONY_REPLY_OK ||
        ret_reply->status != CHRONY_OK)
        return -EBADMSG;
    return 0;
}

/* Is the directory one in which chronyd does not make its socket? Says so. */
static bool directory_is_wrong(struct doctor *d)
{
    char directory[CONFIG_PATH_MAX], proc[32];
    struct stat status, process;

    if (!directory_of(d->config->command_socket, directory, sizeof(directory)) ||
        stat(directory, &status) < 0)
        return false;
    if (status.st_mode & S_IRWXO) {
        doctor_found(d, DOCTOR_PROBLEM, "command socket",
            "%s, its directory, is open to all users (mode %03o): chronyd makes no socket there",
            directory, status.st_mode & 0777);
        doctor_mend(d, "chmod 750 %s, and restart chronyd", directory);
        return true;
    }
    snprintf(proc, sizeof(proc), "/proc/%ld", (long)d->chronyd.pid);
    if (!d->has_chronyd || stat(proc, &process) < 0 ||
        (process.st_uid == status.st_uid && process.st_gid == status.st_gid))
        return false;
    doctor_found(d, DOCTOR_PROBLEM, "command socket",
        "%s, its directory, belongs to user %u and group %u, and chronyd runs as %u and %u: it "
        "makes no socket there",
        directory, status.st_uid, status.st_gid, process.st_uid, process.st_gid);
    doctor_mend(
        d, "chown %u:%u %s, and restart chronyd", process.st_uid, process.st_gid, directory);
    return true;
}

static void no_answer(struct doctor *d, int error)
{
    const char *path = d->config->command_socket, *theirs = d->chrony.command_socket;

    if (d->chrony.command_socket_off) {
        doctor_found(d, DOCTOR_PROBLEM, "command socket",
            "%s:%u switches it off: chronyd can be told nothing",
            d->chrony.command_socket_place.file, d->chrony.command_socket_place.line);
        doctor_mend(d, "write \"bindcmdaddress %s\" there and restart chronyd", path);
        return;
    }
    if (theirs[0] && !doctor_same_path(theirs, path)) {
        doctor_found(d, DOCTOR_PROBLEM, "command socket", "%s: %s", path, strerror(error));
        doctor_mend(d, "chronyd has it at %s: write \"command-socket = %s\" in %s", theirs, theirs,
            d->config->file);
        return;
    }
    if (error != ETIMEDOUT && error != EBADMSG && directory_is_wrong(d))
        return;
    doctor_found(d, DOCTOR_PROBLEM, "command socket", "%s: %s", path,
        error == ETIMEDOUT      ? "chronyd does not answer"
        : error == EBADMSG      ? "the answer is none of chronyd's protocol"
        : error == ECONNREFUSED ? "chronyd does not run any more"
                                : strerror(error));
    if (is_stopped(d))
        mend_stopped(d);
    else if (d->has_chronyd)
        doctor_mend(d,
            "chronyd runs, as process %ld: restart it (systemctl restart chrony, or "
            "chronyd), and see what it says by \"journalctl -u chrony -u chronyd\"",
            (long)d->chronyd.pid);
    else
        doctor_mend(d, "is chronyd running (systemctl status chrony, or chronyd), and does "
                       "\"bindcmdaddress\" in chrony.conf say this path?");
}

static void check_command_socket(struct doctor *d)
{
    struct chrony_reply reply;
    char refid[9];
    double ms;
    const int r = ask_tracking(d->config->command_socket, &reply, &ms);

    if (r == 0) {
        journal_refid(reply.tracking.refid, refid, sizeof(refid));
        doctor_found(d, DOCTOR_OK, "command socket", "chronyd answers in %.1f ms; %s%s", ms,
            reply.tracking.refid ? "its reference is " : "it has no reference",
            reply.tracking.refid ? refid : "");
    } else if ((r == -EACCES || r == -EPERM) && geteuid() != 0) {
        doctor_found(d, DOCTOR_WARNING, "command socket", "%s is not open to this user",
            d->config->command_socket);
        doctor_mend(d, "run the doctor as root");
    } else {
        no_answer(d, -r);
    }
}

void doctor_check_chronyd(struct doctor *d)
{
    check_sock(d);
    check_command_socket(d);
    check_process(d);
}
