/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "daemon/apparmor.h"
#include "daemon/doctor_check.h"
#include "daemon/selinux.h"
#include "daemon/process.h"

#define APPARMOR_PROFILE "/etc/apparmor.d/usr.sbin.chronyd"

static bool says(const char *file, char expected)
{
    FILE *stream = fopen(file, "re");
    const int c = stream ? fgetc(stream) : EOF;

    if (stream)
        fclose(stream);
    return c == expected;
}

/* --- AppArmor ------------------------------------------------------------------------------ */

/*
 * The profile that confines chronyd: of the process, or of its program. 1: and it is enforced; 0:
 * none is; -1: that is not to be seen.
 */
static int enforced_profile(const struct doctor *d, char ret_label[APPARMOR_LABEL_MAX])
{
    if (!d->has_chronyd)
        return apparmor_loaded("/usr/sbin/chronyd", ret_label);
    if (!process_read(d->chronyd.pid, "attr/current", ret_label, APPARMOR_LABEL_MAX))
        return -1;
    return apparmor_is_enforced(ret_label);
}

static void check_apparmor(struct doctor *d)
{
    const char *sock = d->config->sock;
    char label[APPARMOR_LABEL_MAX];
    const int enforced = enforced_profile(d, label);
    const int loaded = enforced == 1 ? apparmor_kernel_allows_write(label, sock) : -1;
    const int on_disk = apparmor_allows_write(APPARMOR_PROFILE, sock);

    if (enforced == 0) {
        doctor_found(d, DOCTOR_OK, "AppArmor", "does not confine chronyd");
    } else if (loaded == 1 || (loaded < 0 && on_disk != 0)) {
        doctor_found(d, DOCTOR_OK, "AppArmor",
            loaded < 0 && on_disk < 0 ? "chronyd has no profile at %s"
                                      : "%s allows the path of sock",
            APPARMOR_PROFILE);
    } else if (loaded == 0 && on_disk == 1) {
        doctor_found(d, DOCTOR_PROBLEM, "AppArmor",
            "%s allows the path of sock, and what of it is loaded does not", APPARMOR_PROFILE);
        doctor_mend(d, "apparmor_parser -r %s; then restart chronyd", APPARMOR_PROFILE);
    } else {
        doctor_found(d, DOCTOR_PROBLEM, "AppArmor", "%s does not let chronyd make %s",
            APPARMOR_PROFILE, sock);
        doctor_mend(d,
            "use a path as /run/chrony/NAME.sock; or write \"%s rw,\" into "
            "/etc/apparmor.d/local/usr.sbin.chronyd and reload the profile",
            sock);
    }
}

/* --- others that set the clock ------------------------------------------------------------- */

/* What is told not to, by a word on its command line or in its configuration, is none of them. */
static const struct setter {
    const char *process, *unless, *file, *unless_in_file, *mend;
} setters[] = {
    {"systemd-timesyn", NULL, NULL, NULL, "systemctl disable --now systemd-timesyncd"},
    {"ntpd", NULL, NULL, NULL, "disable its service (ntp, ntpsec, ntpd or openntpd), and stop it"},
    {"phc2sys", NULL, NULL, NULL, "disable its service: chronyd can read the PTP clock itself"},
    {"vmtoolsd", NULL, "/etc/vmware-tools/tools.conf", "disable-all=true",
        "write \"disable-all=true\" below \"[timeSync]\" in /etc/vmware-tools/tools.conf, and "
        "restart it"},
    {"VBoxService", "--disable-timesync", NULL, NULL, "start it with --disable-timesync"},
    {"qemu-ga", "guest-set-time", "/etc/qemu/qemu-ga.conf", "guest-set-time",
        "write \"block-rpcs=guest-set-time\" (before QEMU 8.1: blacklist=) below \"[general]\" in "
        "/etc/qemu/qemu-ga.conf, and restart it: on the host's request it sets the clock"},
    {"google_guest_ag", NULL, "/etc/default/instance_configs.cfg", "clock_skew_daemon = false",
        "write \"clock_skew_daemon = false\" below \"[Daemons]\" in "
        "/etc/default/instance_configs.cfg, and restart it: at a migration it sets the clock"},
};

#define N_SETTERS (sizeof(setters) / sizeof(setters[0]))

static bool file_has_line(const char *path, const char *text)
{
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[512];
    bool has = false;

    while (file && !has && fgets(line, sizeof(line), file)) {
        const char *start = line + strspn(line, " \t");

        has = *start != '#' && *start != ';' && strstr(start, text);
    }
    if (file)
        fclose(file);
    return has;
}

static bool command_line_has(pid_t pid, const char *text)
{
    char words[4096];
    const size_t n = text ? process_read(pid, "cmdline", words, sizeof(words)) : 0;

    for (size_t i = 0; i + 1 < n; i++)
        if (words[i] == '\0')
            words[i] = ' ';
    return n > 0 && strstr(words, text);
}

static void check_setters(struct doctor *d)
{
    bool seen[N_SETTERS] = {false};
    DIR *proc = opendir("/proc");
    pid_t pid;

    while ((pid = process_next(proc)) > 0) {
        char name[PROCESS_NAME_MAX];
        size_t i = 0;

        process_name(pid, name);
        while (i < N_SETTERS && strcmp(name, setters[i].process) != 0)
            i++;
        if (i == N_SETTERS || seen[i] || command_line_has(pid, setters[i].unless) ||
            file_has_line(setters[i].file, setters[i].unless_in_file))
            continue;
        seen[i] = true;
        doctor_found(d, DOCTOR_WARNING, "other clocks",
            "%s, process %ld, may set the clock as well as chronyd", name, (long)pid);
        doctor_mend(d, "%s", setters[i].mend);
    }
    if (proc)
        closedir(proc);
}

void doctor_check_system(struct doctor *d)
{
    if (says("/sys/module/apparmor/parameters/enabled", 'Y'))
        check_apparmor(d);
    if (selinux_is_enforcing())
        doctor_check_selinux(d);
    check_setters(d);
}
