/* SPDX-License-Identifier: BSD-2-Clause */
/* Does SELinux let chronyd answer the daemon? Its domain counts, not this shell's. */
#include <stdlib.h>
#include <string.h>

#include "daemon/doctor_check.h"
#include "daemon/selinux.h"
#include "daemon/state_reader.h"

/* The context of the chronyd that runs, or what the policy calls its domain. */
static int chronyd_context(
    const struct doctor *d, const char *ours, char ret_context[SELINUX_CONTEXT_MAX])
{
    if (d->has_chronyd && selinux_context_of(d->chronyd.pid, ret_context) == 0)
        return 0;
    return selinux_with_type(ours, "chronyd_t", ret_context);
}

static void check_path(struct doctor *d)
{
    const char *sock = d->config->sock;

    if (strncmp(sock, "/run/", 5) == 0 || strncmp(sock, "/var/run/", 9) == 0)
        return;
    doctor_found(d, DOCTOR_WARNING, "SELinux",
        "its policy knows chronyd's sockets in /run only, not %s", sock);
    doctor_mend(
        d, "use a path in /run/chrony; ausearch -m avc -c chronyd shows what was forbidden");
}

static void install_policy(struct doctor *d)
{
    doctor_mend(d, "install vmclockd-selinux (or \"make install-selinux\"), and restart vmclockd; "
                   "ausearch -m avc -c chronyd shows what was forbidden");
}

/* Where the policy cannot be asked, by what the daemon sees. */
static void judge_by_replies(struct doctor *d, const struct state_file *state, const char *domain)
{
    if (!state_file_value_is(state, "chronyd.silent", "yes") &&
        state_file_value_is(state, "chronyd.reachable", "yes")) {
        doctor_found(d, DOCTOR_OK, "SELinux", "is enforcing; vmclockd (%s) is answered", domain);
        return;
    }
    doctor_found(d, DOCTOR_PROBLEM, "SELinux",
        "is enforcing, and no reply of chronyd reaches vmclockd, which runs as %s: it is the "
        "likely cause",
        domain);
    install_policy(d);
}

static void judge(struct doctor *d, const struct state_file *state, const char *ours)
{
    char theirs[SELINUX_CONTEXT_MAX], domain[SELINUX_CONTEXT_MAX];
    char chronyd[SELINUX_CONTEXT_MAX] = "chronyd_t";
    int r = chronyd_context(d, ours, theirs);

    selinux_type(ours, domain, sizeof(domain));
    if (r == 0) {
        selinux_type(theirs, chronyd, sizeof(chronyd));
        r = selinux_allows_sendto(theirs, ours);
    }
    if (r < 0) {
        judge_by_replies(d, state, domain);
    } else if (r > 0) {
        doctor_found(d, DOCTOR_OK, "SELinux", "is enforcing; chronyd (%s) may answer vmclockd (%s)",
            chronyd, domain);
    } else {
        doctor_found(d, DOCTOR_PROBLEM, "SELinux",
            "forbids chronyd (%s) to answer vmclockd, which runs as %s: no reset is ever confirmed",
            chronyd, domain);
        install_policy(d);
    }
}

void doctor_check_selinux(struct doctor *d)
{
    char ours[SELINUX_CONTEXT_MAX];
    struct state_file state;
    const char *pid;
    int r;

    check_path(d);
    r = state_reader_read(d->config, &state);
    pid = r == 0 ? state_file_value(&state, "pid") : NULL;
    if (!pid) {
        doctor_found(
            d, DOCTOR_OK, "SELinux", "is enforcing; vmclockd does not run, and has no domain");
        return;
    }
    r = selinux_context_of((pid_t)strtol(pid, NULL, 10), ours);
    if (r < 0) {
        doctor_found(d, DOCTOR_WARNING, "SELinux",
            "is enforcing; vmclockd's domain cannot be read: %s", strerror(-r));
        doctor_mend(d, "run the doctor as root");
        return;
    }
    judge(d, &state, ours);
}
