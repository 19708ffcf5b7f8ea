/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/doctor.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/apparmor.h"
#include "daemon/chrony_conf.h"
#include "daemon/chronyd.h"
#include "daemon/human.h"
#include "daemon/journal.h"
#include "daemon/node.h"
#include "daemon/page_report.h"
#include "daemon/selinux.h"
#include "daemon/state_reader.h"
#include "daemon/system_clock.h"

#define RESULT_COLUMNS   9
#define CHECK_COLUMNS    16
#define REPLY_MS         1000
#define SAMPLES_NEEDED   4 /* by chronyd up to 4.6.1, for each update */
#define APPARMOR_PROFILE "/etc/apparmor.d/usr.sbin.chronyd"

enum result { OK, WARNING, PROBLEM };

struct doctor {
    const struct config *config;
    const char *chrony_file;
    struct chrony_conf chrony;
    bool chrony_known; /* `chrony` was read */
    bool is_clock;     /* the page can be one */
    json_t *checks;    /* NULL: for people */
    unsigned findings;
};

/* --- saying it ----------------------------------------------------------------------------- */

static void found(struct doctor *d, enum result result, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void mend(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void found(struct doctor *d, enum result result, const char *check, const char *format, ...)
{
    static const char *const names[] = {"ok", "warning", "problem"};
    char text[CONFIG_PATH_MAX * 3];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    d->findings += result != OK;
    if (d->checks) {
        json_array_append_new(d->checks,
            json_pack("{s:s,s:s,s:s}", "result", names[result], "check", check, "message", text));
        return;
    }
    printf("%-*s%-*s", RESULT_COLUMNS, names[result], CHECK_COLUMNS, check);
    human_fold(stdout, text, RESULT_COLUMNS + CHECK_COLUMNS, RESULT_COLUMNS + CHECK_COLUMNS);
}

/* How to mend what was found last. */
static void mend(struct doctor *d, const char *format, ...)
{
    char text[CONFIG_PATH_MAX * 3];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (d->checks) {
        json_object_set_new(
            json_array_get(d->checks, json_array_size(d->checks) - 1), "mend", json_string(text));
        return;
    }
    printf("%*s-> ", RESULT_COLUMNS, "");
    human_fold(stdout, text, RESULT_COLUMNS + 3, RESULT_COLUMNS + 3);
}

/* --- our side ------------------------------------------------------------------------------ */

static void check_configuration(struct doctor *d)
{
    const struct config *c = d->config;

    if (c->n_files == 0)
        found(d, OK, "configuration", "there is no %s: all defaults", c->file);
    else if (c->n_files == 1)
        found(d, OK, "configuration", "%s", c->files[0]);
    else
        found(d, OK, "configuration", "%s and %u drop-in files", c->files[0], c->n_files - 1);
}

static void check_device(struct doctor *d)
{
    const char *path = d->config->device;
    struct page_reading reading;
    struct utsname system;
    const int r = page_report_read(d->config, &reading);

    if (r == -EACCES || r == -EPERM) {
        found(d, WARNING, "device", "%s cannot be read by this user", path);
        mend(d, "run the doctor as root");
    } else if (r < 0) {
        found(d, PROBLEM, "device", "%s cannot be used: %s", path, reading.means);
        mend(d, "QEMU (10.0, -device vmclock), Firecracker (1.14) and EC2 have the device, Linux "
                "6.13 with CONFIG_PTP_1588_CLOCK_VMCLOCK its driver; set \"device\" if it is "
                "elsewhere");
    } else {
        const bool valid = reading.view.verdict == PAGE_OK;

        d->is_clock = valid && !clock_verdict_is_marker_only(reading.verdict);
        found(d, valid ? OK : PROBLEM, "device", "%s: %s", path, reading.means);
        if (!valid)
            mend(d, "look at it with \"vmclockctl page\"; the host fills it in");
    }
    if (node_is_forgeable(path, &system)) {
        found(d, PROBLEM, "device's mode",
            "everybody may read %s, and forge the time by it if Linux %s is not mended "
            "(CVE-2026-80724)",
            path, system.release);
        mend(d, "chmod o-r %s, and install 60-vmclock.rules for udev", path);
    }
}

static void check_daemon(struct doctor *d)
{
    struct state_file state;
    const int r = state_reader_read(d->config->state_file, &state);

    if (r < 0) {
        found(d, PROBLEM, "vmclockd", "does not run: %s: %s", d->config->state_file,
            state_reader_error_str(r));
        mend(d, "systemctl enable --now vmclockd; journalctl -u vmclockd says why it ended");
    } else if (!state_file_all_is_well(&state)) {
        found(d, WARNING, "vmclockd", "runs, and not all is well");
        mend(d, "vmclockctl status says what is wrong");
    } else {
        found(d, OK, "vmclockd", "runs, and all is well");
    }
}

static void check_unit(struct doctor *d)
{
    glob_t wants;
    int r;

    if (access("/run/systemd/system", F_OK) < 0)
        return;
    r = glob("/etc/systemd/system/*.wants/vmclockd.service", 0, NULL, &wants);
    if (r == 0) {
        globfree(&wants);
        found(d, OK, "service", "vmclockd.service is enabled");
        return;
    }
    found(d, WARNING, "service", "vmclockd.service is not enabled: it is not started at boot");
    mend(d, "systemctl enable vmclockd");
}

/* --- chrony's configuration ---------------------------------------------------------------- */

static void find_chrony_conf(struct doctor *d)
{
    static const char *const usual[] = {"/etc/chrony/chrony.conf", "/etc/chrony.conf"};
    int r = -ENOENT;

    for (size_t i = 0; !d->chrony_file && i < sizeof(usual) / sizeof(usual[0]); i++)
        if (access(usual[i], F_OK) == 0)
            d->chrony_file = usual[i];
    if (d->chrony_file)
        r = chrony_conf_read(d->chrony_file, &d->chrony);
    d->chrony_known = r == 0;
    if (d->chrony_known) {
        found(d, OK, "chrony.conf", "%s", d->chrony_file);
    } else if (d->chrony_file) {
        found(d, PROBLEM, "chrony.conf", "%s cannot be read: %s", d->chrony_file, strerror(-r));
        mend(d, "chronyd needs it; try as root");
    } else {
        found(d, PROBLEM, "chrony.conf", "there is none at %s or %s", usual[0], usual[1]);
        mend(d, "install chrony; or name its file: vmclockctl doctor FILE");
    }
}

static void no_refclock(struct doctor *d)
{
    const struct config *c = d->config;

    if (!d->is_clock) {
        found(d, OK, "refclock",
            "no \"refclock SOCK %s\"; it is not needed while the host gives the marker only",
            c->sock);
        return;
    }
    found(
        d, PROBLEM, "refclock", "no line \"refclock SOCK %s\": chronyd takes no samples", c->sock);
    if (d->chrony.n_refclocks > 0)
        mend(d, "%s:%u has another path, %s: make it and \"sock\" in %s the same",
            d->chrony.refclocks[0].place.file, d->chrony.refclocks[0].place.line,
            d->chrony.refclocks[0].path, c->file);
    else
        mend(d,
            "add \"refclock SOCK %s refid %s poll -2 filter 16 trust prefer delay 1e-5 stratum 1\" "
            "and restart chronyd",
            c->sock, c->refid);
}

static void check_refclock(struct doctor *d)
{
    const struct config *c = d->config;
    const double interval_sec = (double)c->tracker.sample_interval_ns / 1e9;
    const struct chrony_conf_refclock *r = NULL;
    const struct chrony_conf_place *at;
    int needed;

    for (unsigned i = 0; i < d->chrony.n_refclocks; i++)
        if (strcmp(d->chrony.refclocks[i].path, c->sock) == 0)
            r = &d->chrony.refclocks[i];
    if (!r) {
        no_refclock(d);
        return;
    }
    at = &r->place;
    needed = r->filter < SAMPLES_NEEDED ? r->filter : SAMPLES_NEEDED;
    if (strcmp(r->refid, c->refid) != 0) {
        found(d, PROBLEM, "refclock", "%s:%u: its refid is %s, and vmclockd looks for %s", at->file,
            at->line, r->refid[0] ? r->refid : "not set", c->refid);
        mend(d, "write \"refid %s\" there, or \"refid = %s\" in %s", c->refid,
            r->refid[0] ? r->refid : "...", c->file);
    } else if (r->noselect) {
        found(d, PROBLEM, "refclock", "%s:%u: noselect: chronyd never follows it", at->file,
            at->line);
        mend(d, "remove the word");
    } else if (ldexp(1, r->poll) < needed * interval_sec) {
        found(d, PROBLEM, "refclock",
            "%s:%u: poll %d is too fast for a sample-interval of %g s: chronyd up to 4.6.1 needs "
            "%d samples for each update",
            at->file, at->line, r->poll, interval_sec, needed);
        mend(d, "set sample-interval to %g s or less in %s", ldexp(1, r->poll) / needed, c->file);
    } else if (r->poll > 0) {
        found(d, WARNING, "refclock", "%s:%u: poll %d keeps the clock less exact than poll -2",
            at->file, at->line, r->poll);
        mend(d, "write \"poll -2 filter 16\" there");
    } else if (!r->trust || !r->prefer) {
        found(d, WARNING, "refclock", "%s:%u: without trust and prefer NTP servers may outvote it",
            at->file, at->line);
        mend(d, "write \"trust prefer\" there");
    } else {
        found(d, OK, "refclock", "%s:%u", at->file, at->line);
    }
}

static void check_makestep(struct doctor *d)
{
    const struct recovery_config *ours = &d->config->tracker.recovery;
    const struct chrony_conf *theirs = &d->chrony;
    const bool set = theirs->has_makestep && theirs->makestep_limit != 0;

    if (set == (ours->makestep_limit != 0) &&
        (!set || (theirs->makestep_limit == ours->makestep_limit &&
                     theirs->makestep_threshold_sec == ours->makestep_threshold_sec))) {
        found(d, OK, "makestep", "the same there and in vmclockd's configuration");
        return;
    }
    if (theirs->has_makestep)
        found(d, WARNING, "makestep", "%s:%u says %g %ld; vmclockd would put back another",
            theirs->makestep.file, theirs->makestep.line, theirs->makestep_threshold_sec,
            theirs->makestep_limit);
    else
        found(d, WARNING, "makestep", "%s has none; vmclockd would put one back", d->chrony_file);
    if (set)
        mend(d, "write \"makestep = %g %ld\" in %s", theirs->makestep_threshold_sec,
            theirs->makestep_limit, d->config->file);
    else
        mend(d, "write \"makestep = none\" in %s", d->config->file);
}

static void check_boost(struct doctor *d)
{
    const struct recovery_config *ours = &d->config->tracker.recovery;

    for (unsigned i = 0; i < ours->n_servers; i++) {
        const struct recovery_server *server = &ours->servers[i];
        const struct chrony_conf_server *theirs = NULL;
        char text[128] = "";
        FILE *to = fmemopen(text, sizeof(text), "w");

        if (!to)
            return;
        config_print_server(d->config, i, to);
        fclose(to);
        for (unsigned j = 0; j < d->chrony.n_servers; j++)
            if (chrony_address_equal(&server->address, &d->chrony.servers[j].address))
                theirs = &d->chrony.servers[j];
        if (!theirs) {
            found(d, WARNING, "boost", "%s: no server or peer of this address in %s", text,
                d->chrony_file);
            mend(d, "a server that is named there is not found by its address; else remove the "
                    "line");
        } else if (theirs->minpoll != server->minpoll || theirs->maxpoll != server->maxpoll) {
            found(d, WARNING, "boost", "%s: %s:%u has minpoll %d and maxpoll %d", text,
                theirs->place.file, theirs->place.line, theirs->minpoll, theirs->maxpoll);
            mend(d, "the line in %s has to end in \"%d %d\", which is put back after a recovery",
                d->config->file, theirs->minpoll, theirs->maxpoll);
        } else {
            found(d, OK, "boost", "%s, as in %s:%u", text, theirs->place.file, theirs->place.line);
        }
    }
}

/* --- chronyd ------------------------------------------------------------------------------- */

static bool says(const char *file, char expected)
{
    FILE *stream = fopen(file, "re");
    const int c = stream ? fgetc(stream) : EOF;

    if (stream)
        fclose(stream);
    return c == expected;
}

/* chronyd's context: by its pid file, which is where its command socket is; else what the policy
 * calls its domain. */
static int find_chronyd_context(
    const struct doctor *d, const char *ours, char ret_context[SELINUX_CONTEXT_MAX])
{
    const char *path = d->config->command_socket, *slash = strrchr(path, '/');
    char file[CONFIG_PATH_MAX + 16];
    FILE *stream;
    long pid = 0;

    snprintf(file, sizeof(file), "%.*schronyd.pid", slash ? (int)(slash + 1 - path) : 0, path);
    stream = fopen(file, "re");
    if (stream) {
        if (fscanf(stream, "%9ld", &pid) != 1)
            pid = 0;
        fclose(stream);
    }
    if (pid > 0 && selinux_context_of((pid_t)pid, ret_context) == 0)
        return 0;
    return selinux_with_type(ours, "chronyd_t", ret_context);
}

/* May the daemon be answered? Its domain counts, not this one; and what it sees, if the policy
 * cannot be asked. */
static void check_selinux(struct doctor *d)
{
    const char *sock = d->config->sock, *pid;
    char ours[SELINUX_CONTEXT_MAX], theirs[SELINUX_CONTEXT_MAX];
    char domain[SELINUX_CONTEXT_MAX], chronyd[SELINUX_CONTEXT_MAX] = "chronyd_t";
    struct state_file state;
    int r;

    if (strncmp(sock, "/run/", 5) != 0 && strncmp(sock, "/var/run/", 9) != 0) {
        found(
            d, WARNING, "SELinux", "its policy knows chronyd's sockets in /run only, not %s", sock);
        mend(d, "use a path in /run/chrony; ausearch -m avc -c chronyd shows what was forbidden");
    }
    r = state_reader_read(d->config->state_file, &state);
    pid = r == 0 ? state_file_value(&state, "pid") : NULL;
    if (!pid) {
        found(d, OK, "SELinux", "is enforcing; vmclockd does not run, and has no domain");
        return;
    }
    r = selinux_context_of((pid_t)strtol(pid, NULL, 10), ours);
    if (r < 0) {
        found(d, WARNING, "SELinux", "is enforcing; vmclockd's domain cannot be read: %s",
            strerror(-r));
        mend(d, "run the doctor as root");
        return;
    }
    selinux_type(ours, domain, sizeof(domain));
    r = find_chronyd_context(d, ours, theirs);
    if (r == 0) {
        selinux_type(theirs, chronyd, sizeof(chronyd));
        r = selinux_allows_sendto(theirs, ours);
    }
    if (r > 0) {
        found(d, OK, "SELinux", "is enforcing; chronyd (%s) may answer vmclockd (%s)", chronyd,
            domain);
        return;
    }
    if (r == 0)
        found(d, PROBLEM, "SELinux",
            "forbids chronyd (%s) to answer vmclockd, which runs as %s: no reset is ever confirmed",
            chronyd, domain);
    else if (state_file_value_is(&state, "chronyd.silent", "yes") ||
             !state_file_value_is(&state, "chronyd.reachable", "yes"))
        found(d, PROBLEM, "SELinux",
            "is enforcing, and no reply of chronyd reaches vmclockd, which runs as %s: it is the "
            "likely cause",
            domain);
    else {
        found(d, OK, "SELinux", "is enforcing; vmclockd (%s) is answered", domain);
        return;
    }
    mend(d, "install vmclockd-selinux (or \"make install-selinux\"), and restart vmclockd; "
            "ausearch -m avc -c chronyd shows what was forbidden");
}

static void check_confinement(struct doctor *d)
{
    const char *sock = d->config->sock;

    if (says("/sys/module/apparmor/parameters/enabled", 'Y')) {
        const int r = apparmor_allows_write(APPARMOR_PROFILE, sock);

        if (r == 0) {
            found(
                d, PROBLEM, "AppArmor", "%s does not let chronyd make %s", APPARMOR_PROFILE, sock);
            mend(d,
                "use a path as /run/chrony.NAME.sock; or write \"%s rw,\" into "
                "/etc/apparmor.d/local/usr.sbin.chronyd and reload the profile",
                sock);
        } else {
            found(d, OK, "AppArmor",
                r < 0 ? "chronyd has no profile at %s" : "%s allows the path of sock",
                APPARMOR_PROFILE);
        }
    }
    if (selinux_is_enforcing())
        check_selinux(d);
}

static void check_sock(struct doctor *d)
{
    const char *path = d->config->sock;
    struct stat status;

    if (stat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
        found(d, OK, "sock", "%s is there", path);
    } else if (d->is_clock) {
        found(d, PROBLEM, "sock", "%s is %s", path,
            errno == EACCES ? "not to be seen by this user" : "no socket: chronyd did not make it");
        mend(d, "restart chronyd once its configuration has the refclock line");
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

static void check_command_socket(struct doctor *d)
{
    const char *path = d->config->command_socket;
    const char *theirs = d->chrony.command_socket;
    struct chrony_reply reply;
    char refid[9];
    double ms;
    const int r = ask_tracking(path, &reply, &ms);

    if (r == 0) {
        journal_refid(reply.tracking.refid, refid, sizeof(refid));
        found(d, OK, "command socket", "chronyd answers in %.1f ms; %s%s", ms,
            reply.tracking.refid ? "its reference is " : "it has no reference",
            reply.tracking.refid ? refid : "");
        return;
    }
    if (r == -EACCES || r == -EPERM) {
        found(d, WARNING, "command socket", "%s is not open to this user", path);
        mend(d, "run the doctor as root");
        return;
    }
    found(d, PROBLEM, "command socket", "%s: %s", path,
        r == -ETIMEDOUT      ? "chronyd does not answer"
        : r == -EBADMSG      ? "the answer is none of chronyd's protocol"
        : r == -ECONNREFUSED ? "chronyd does not run any more"
                             : strerror(-r));
    if (theirs[0] && strcmp(theirs, path) != 0)
        mend(d, "chronyd has it at %s: write \"command-socket = %s\" in %s", theirs, theirs,
            d->config->file);
    else
        mend(d, "is chronyd running (systemctl status chrony, or chronyd), and does "
                "\"bindcmdaddress\" in chrony.conf say this path?");
}

unsigned doctor_run(const struct config *config, const char *chrony_conf, bool json)
{
    struct doctor *d = calloc(1, sizeof(*d));
    unsigned findings;

    if (!d)
        return 1;
    d->config = config;
    d->chrony_file = chrony_conf;
    d->checks = json ? json_array() : NULL;
    check_configuration(d);
    check_device(d);
    find_chrony_conf(d);
    if (d->chrony_known) {
        check_refclock(d);
        check_makestep(d);
        check_boost(d);
    }
    check_confinement(d);
    check_sock(d);
    check_command_socket(d);
    check_daemon(d);
    check_unit(d);
    findings = d->findings;
    if (d->checks) {
        json_t *root = json_pack("{s:i,s:o}", "findings", (int)findings, "checks", d->checks);

        json_dumpf(root, stdout, JSON_INDENT(2));
        json_decref(root);
        putchar('\n');
    }
    free(d);
    return findings;
}
