/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/chronyd_program.h"
#include "daemon/doctor_check.h"
#include "daemon/format.h"
#include "daemon/device_node.h"
#include "daemon/page_report.h"
#include "daemon/process.h"
#include "daemon/state_reader.h"
#include "daemon/status_report.h"

#define RESULT_COLUMNS 9
#define CHECK_COLUMNS  16
#define TEXT_BYTES     ((size_t)CONFIG_PATH_MAX * 4)

/* --- saying it ----------------------------------------------------------------------------- */

void doctor_found(
    struct doctor *d, enum doctor_result result, const char *check, const char *format, ...)
{
    static const char *const names[] = {"ok", "warning", "problem"};
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[1;31m"};
    char text[TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    format_make_plain(text);
    d->findings += result != DOCTOR_OK;
    if (d->checks) {
        json_array_append_new(d->checks,
            json_pack("{s:s,s:s,s:s}", "result", names[result], "check", check, "message", text));
        return;
    }
    printf("%s%-*s%s%-*s", d->colour ? colours[result] : "", RESULT_COLUMNS, names[result],
        d->colour ? "\033[0m" : "", CHECK_COLUMNS, check);
    format_fold(stdout, text, RESULT_COLUMNS + CHECK_COLUMNS, RESULT_COLUMNS + CHECK_COLUMNS);
}

void doctor_mend(struct doctor *d, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    format_make_plain(text);
    if (d->checks) {
        json_object_set_new(
            json_array_get(d->checks, json_array_size(d->checks) - 1), "mend", json_string(text));
        return;
    }
    printf("%*s-> ", RESULT_COLUMNS, "");
    format_fold(stdout, text, RESULT_COLUMNS + 3, RESULT_COLUMNS + 3);
}

/* --- our side ------------------------------------------------------------------------------ */

static void check_configuration(struct doctor *d, const struct status_mistakes *mistakes)
{
    const struct config *c = d->config;

    for (unsigned i = 0; i < mistakes->n && i < STATUS_MISTAKES_MAX; i++) {
        doctor_found(d, DOCTOR_PROBLEM, "configuration", "%s", mistakes->sentences[i]);
        doctor_mend(
            d, "correct it: a vmclockd that runs goes on with what it had, and none starts");
    }
    if (mistakes->n > 0)
        return;
    if (c->n_files == 0)
        doctor_found(d, DOCTOR_OK, "configuration", "there is no %s: all defaults", c->file);
    else if (c->n_files == 1)
        doctor_found(d, DOCTOR_OK, "configuration", "%s", c->files[0]);
    else
        doctor_found(
            d, DOCTOR_OK, "configuration", "%s and %u drop-in files", c->files[0], c->n_files - 1);
}

static void mend_device(struct doctor *d, int error)
{
    if (error == ENOENT || error == ENXIO || error == ENODEV)
        doctor_mend(d, "QEMU (10.0, -device vmclock), Firecracker (1.14) and EC2 have the device, "
                       "Linux 6.13 with CONFIG_PTP_1588_CLOCK_VMCLOCK its driver; set \"device\" "
                       "if it is elsewhere");
    else if (error == EIO)
        doctor_mend(d,
            "the host is in the middle of an update of the page: run \"vmclockctl page\" in a "
            "minute; if it still is, move the guest to another host");
    else if (error == EACCES || error == EPERM)
        doctor_mend(d, "something forbids it even to root: a container, SELinux or AppArmor");
    else
        doctor_mend(d, "set \"device\" to the device's path, or to the file of a simulated one");
}

static void check_device(struct doctor *d)
{
    const char *path = d->config->device;
    struct page_reading reading;
    struct utsname system;
    const int r = page_report_read(d->config, &reading);

    if ((r == -EACCES || r == -EPERM) && geteuid() != 0) {
        doctor_found(d, DOCTOR_WARNING, "device", "%s cannot be read by this user", path);
        doctor_mend(d, "run the doctor as root");
    } else if (r < 0) {
        doctor_found(d, DOCTOR_PROBLEM, "device", "%s cannot be used: %s", path, reading.means);
        mend_device(d, -r);
    } else {
        const bool valid = reading.view.verdict == PAGE_OK;

        d->has_page = valid;
        d->is_clock = valid && !clock_verdict_is_marker_only(reading.verdict);
        doctor_found(
            d, valid ? DOCTOR_OK : DOCTOR_PROBLEM, "device", "%s: %s", path, reading.means);
        if (!valid)
            doctor_mend(d, "look at it with \"vmclockctl page\"; the host fills it in");
    }
    if (device_node_is_forgeable(path, &system)) {
        doctor_found(d, DOCTOR_PROBLEM, "device's mode",
            "everybody may read %s, and forge the time by it if Linux %s is not fixed "
            "(CVE-2026-80724)",
            path, system.release);
        doctor_mend(d, "chmod o-r %s, and install 60-vmclock.rules for udev", path);
    }
}

struct complaints {
    struct doctor *doctor;
    unsigned n;
};

static void take_complaint(const char *text, void *context)
{
    struct complaints *complaints = context;

    complaints->n++;
    doctor_found(complaints->doctor, DOCTOR_WARNING, "vmclockd", "%s", text);
    doctor_mend(complaints->doctor,
        "the cause may be among the other findings; \"journalctl -u vmclockd\" says when it began");
}

static void check_daemon(struct doctor *d)
{
    const struct status_mistakes none = {0}; /* they have findings of their own */
    struct complaints complaints = {.doctor = d};
    struct state_file state;
    const int r = state_reader_read(d->config, &state);
    char why[STATE_READER_TEXT_MAX];

    if ((r == -EACCES || r == -EPERM) && geteuid() != 0) {
        doctor_found(
            d, DOCTOR_WARNING, "vmclockd", "%s cannot be read by this user", d->config->state_file);
        doctor_mend(d, "run the doctor as root");
    } else if (r == -EBUSY) {
        state_reader_explain(d->config, r, &state, why);
        doctor_found(d, DOCTOR_PROBLEM, "vmclockd", "%s", why);
        doctor_mend(d, "see what holds it up, or whether the state file can be written; else "
                       "systemctl restart vmclockd");
    } else if (r < 0) {
        doctor_found(d, DOCTOR_PROBLEM, "vmclockd", "does not run: %s: %s", d->config->state_file,
            state_reader_error_str(r));
        doctor_mend(d, "systemctl enable --now vmclockd; journalctl -u vmclockd says why it ended");
    } else if (!state_file_all_is_well(&state)) {
        status_warnings(&none, &state, NULL, take_complaint, &complaints);
        if (complaints.n == 0)
            take_complaint("runs, and not all is well", &complaints);
    } else {
        doctor_found(d, DOCTOR_OK, "vmclockd", "runs, and all is well");
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
        doctor_found(d, DOCTOR_OK, "service", "vmclockd.service is enabled");
        return;
    }
    doctor_found(
        d, DOCTOR_WARNING, "service", "vmclockd.service is not enabled: it is not started at boot");
    doctor_mend(d, "systemctl enable vmclockd");
}

unsigned doctor_run(const struct config *config, const struct status_mistakes *mistakes,
    const char *chrony_conf, bool json, bool colour)
{
    struct doctor *d = calloc(1, sizeof(*d));
    unsigned findings;
    int here;

    if (!d)
        return 1;
    d->config = config;
    d->colour = colour;
    d->checks = json ? json_array() : NULL;
    d->has_chronyd = chronyd_process_find(config->command_socket, !chrony_conf, &d->chronyd) == 0;
    if (!d->has_chronyd ||
        !process_read_link(d->chronyd.pid, "exe", d->program, sizeof(d->program)))
        snprintf(d->program, sizeof(d->program), "%s", CHRONYD_PROGRAM);
    check_configuration(d, mistakes);
    check_device(d);
    here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    doctor_check_chrony(d, chrony_conf);
    if (here >= 0 && fchdir(here) < 0) /* it looks at relative paths as chronyd does */
        doctor_found(d, DOCTOR_WARNING, "configuration", "%s", strerror(errno));
    if (here >= 0)
        close(here);
    doctor_check_system(d);
    doctor_check_chronyd(d);
    check_daemon(d);
    check_unit(d);
    findings = d->findings;
    if (d->checks) {
        json_t *root = json_pack("{s:i,s:o}", "findings", (int)findings, "checks", d->checks);

        doctor_expect(d, root);
        json_dumpf(root, stdout, JSON_INDENT(2));
        json_decref(root);
        putchar('\n');
    } else {
        doctor_expect(d, NULL);
    }
    free(d);
    return findings;
}
