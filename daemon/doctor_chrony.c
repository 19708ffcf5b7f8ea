/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/chrony_settings.h"
#include "daemon/chronyd_program.h"
#include "daemon/doctor_check.h"

/* --- the file ------------------------------------------------------------------------------ */

static void no_chrony_conf(struct doctor *d)
{
    doctor_found(d, DOCTOR_PROBLEM, "chrony.conf", "there is none at " CHRONY_SETTINGS_USUAL);
    if (d->has_chronyd)
        doctor_mend(d,
            "chronyd runs, as process %ld: name the file that it reads, by "
            "\"chrony-conf = FILE\" in %s",
            (long)d->chronyd.pid, d->config->file);
    else
        doctor_mend(d, "install chrony; or name its file, by \"chrony-conf = FILE\" in %s",
            d->config->file);
}

static void find_chrony_conf(struct doctor *d, const char *named)
{
    const struct config *c = d->config;

    char resolved[PATH_MAX];

    /* What it includes by a relative path, chronyd takes from its own directory. */
    if (named && realpath(named, resolved) && strlen(resolved) < sizeof(d->chrony_file))
        memcpy(d->chrony_file, resolved, strlen(resolved) + 1);
    else if (named)
        snprintf(d->chrony_file, sizeof(d->chrony_file), "%s", named);
    else if (d->has_chronyd && d->chronyd.conf[0])
        memcpy(d->chrony_file, d->chronyd.conf, sizeof(d->chrony_file));
    else if (c->chrony_conf[0] ||
             chronyd_program_default(d->program, d->chrony_file, sizeof(d->chrony_file)) < 0 ||
             access(d->chrony_file, F_OK) < 0)
        chrony_settings_find(c, d->chrony_file);
}

static void check_file(struct doctor *d)
{
    char fault[CONFIG_PATH_MAX + CHRONY_CONF_FAULT_MAX], says[256];
    struct stat status;
    int r, refuses;

    if (stat(d->chrony_file, &status) == 0 && S_ISDIR(status.st_mode)) {
        doctor_found(d, DOCTOR_WARNING, "chrony.conf",
            "%s is a directory, of which chronyd reads nothing", d->chrony_file);
        doctor_mend(d, "name a file");
        return;
    }
    r = chrony_conf_read(d->chrony_file, &d->chrony);
    refuses = chronyd_program_refuses(d->program, d->chrony_file, says, sizeof(says));
    chrony_conf_fault_str(&d->chrony, fault, sizeof(fault));
    d->chrony_known = r == 0 || d->chrony.fault.unknown;
    if ((r == -EACCES || r == -EPERM) && geteuid() != 0) {
        doctor_found(d, DOCTOR_WARNING, "chrony.conf", "%s", fault);
        doctor_mend(d, "run the doctor as root");
    } else if (r < 0 && r != -EINVAL) {
        doctor_found(d, DOCTOR_PROBLEM, "chrony.conf", "cannot be read: %s", fault);
        doctor_mend(d, "let that be a file that can be read");
    } else if (refuses == 1) {
        doctor_found(d, DOCTOR_PROBLEM, "chrony.conf", "chronyd does not start with it: %s", says);
        doctor_mend(d, "correct or remove what it names, then restart chronyd");
    } else if (r < 0 && !(d->chrony.fault.unknown && refuses == 0)) {
        doctor_found(d, DOCTOR_PROBLEM, "chrony.conf", "chronyd does not start with it: %s", fault);
        doctor_mend(d, "correct or remove that line, then restart chronyd");
    } else {
        doctor_found(d, DOCTOR_OK, "chrony.conf", "%s", d->chrony_file);
    }
}

/* --- what is restored ---------------------------------------------------------------------- */

/* As the key makestep takes it: without an exponent. */
static void plain_number(double number, char *ret_text, size_t size)
{
    int n = snprintf(ret_text, size, "%.9f", number);

    while (n > 0 && (size_t)n < size && ret_text[n - 1] == '0')
        ret_text[--n] = '\0';
    if (n > 0 && (size_t)n < size && ret_text[n - 1] == '.')
        ret_text[n - 1] = '\0';
}

static void pass_over(const char *sentence)
{
    (void)sentence;
}

static void check_makestep(struct doctor *d)
{
    struct config *daemons = malloc(sizeof(*daemons));
    const struct recovery_config *ours;
    const struct chrony_conf *theirs = &d->chrony;
    const int limit = theirs->makestep.line ? theirs->makestep_limit : 0;
    char number[64];

    if (!daemons)
        return;
    *daemons = *d->config;
    chrony_settings_take(daemons, pass_over);
    ours = &daemons->tracker.recovery;
    if (limit == ours->makestep_limit &&
        (limit == 0 || theirs->makestep_threshold_sec == ours->makestep_threshold_sec)) {
        doctor_found(d, DOCTOR_OK, "makestep", "vmclockd restores what chrony.conf says");
        free(daemons);
        return;
    }
    if (theirs->makestep.line)
        doctor_found(d, DOCTOR_WARNING, "makestep",
            "%s:%u says %g %d; vmclockd would restore another", theirs->makestep.file,
            theirs->makestep.line, theirs->makestep_threshold_sec, theirs->makestep_limit);
    else
        doctor_found(d, DOCTOR_WARNING, "makestep", "%s has none; vmclockd would put one back",
            d->chrony_file);
    plain_number(theirs->makestep_threshold_sec, number, sizeof(number));
    if (!config_is_set(d->config, "makestep"))
        doctor_mend(d, "write \"chrony-conf = %s\" in %s", d->chrony_file, d->config->file);
    else if (limit != 0)
        doctor_mend(d,
            "write \"makestep = %s %d\" in %s, or remove the key there: chrony.conf is read",
            number, limit, d->config->file);
    else
        doctor_mend(d,
            "write \"makestep = none\" in %s, or remove the key there: chrony.conf is read",
            d->config->file);
    free(daemons);
}

static void check_boosted(struct doctor *d, const struct recovery_server *server, const char *text)
{
    const struct chrony_conf_server *theirs = NULL, *named = NULL;

    for (unsigned i = 0; i < d->chrony.n_servers; i++) {
        if (chrony_address_equal(&server->address, &d->chrony.servers[i].address))
            theirs = &d->chrony.servers[i];
        if (d->chrony.servers[i].address.family == 0)
            named = &d->chrony.servers[i];
    }
    if (!theirs) {
        doctor_found(d, DOCTOR_WARNING, "boost",
            "%s: no server, pool or peer of this address in %s", text, d->chrony_file);
        if (named)
            doctor_mend(d,
                "if it is %s, of %s:%u, write the address there, which chronyd's polls "
                "can be compared by; else remove the line in %s",
                named->name, named->place.file, named->place.line, d->config->file);
        else
            doctor_mend(d, "remove the line in %s, or name the server in %s", d->config->file,
                d->chrony_file);
    } else if (theirs->doubled) {
        doctor_found(d, DOCTOR_WARNING, "boost",
            "%s: %s:%u is not the only line for it, and chronyd chooses by what they say", text,
            theirs->place.file, theirs->place.line);
        doctor_mend(d, "remove all but one of its lines and restart chronyd");
    } else if (theirs->minpoll != server->minpoll || theirs->maxpoll != server->maxpoll) {
        doctor_found(d, DOCTOR_WARNING, "boost", "%s: %s:%u has minpoll %d and maxpoll %d", text,
            theirs->place.file, theirs->place.line, theirs->minpoll, theirs->maxpoll);
        doctor_mend(d, "the line in %s has to end in \"%d %d\", which is restored after a recovery",
            d->config->file, theirs->minpoll, theirs->maxpoll);
    } else {
        doctor_found(
            d, DOCTOR_OK, "boost", "%s, as in %s:%u", text, theirs->place.file, theirs->place.line);
    }
}

static void check_boost(struct doctor *d)
{
    const struct recovery_config *ours = &d->config->tracker.recovery;

    for (unsigned i = 0; i < ours->n_servers; i++) {
        char text[CONFIG_SERVER_MAX];

        config_server_str(&ours->servers[i], text, sizeof(text));
        check_boosted(d, &ours->servers[i], text);
    }
}

static void check_maxchange(struct doctor *d)
{
    const struct chrony_conf_place *at = &d->chrony.maxchange.place;

    if (at->line == 0)
        return;
    doctor_found(d, DOCTOR_WARNING, "maxchange",
        "%s:%u: chronyd ends where the clock has to be corrected by more", at->file, at->line);
    doctor_mend(d, "remove the line and restart chronyd: a restored snapshot may be days old");
}

void doctor_check_chrony(struct doctor *d, const char *chrony_conf)
{
    if (!chrony_conf && d->has_chronyd && d->chronyd.directives) {
        doctor_found(d, DOCTOR_WARNING, "chrony.conf",
            "chronyd, process %ld, has its configuration on its command line and reads no file",
            (long)d->chronyd.pid);
        doctor_mend(d, "put it into a file, and start chronyd with \"-f FILE\"");
        return;
    }
    find_chrony_conf(d, chrony_conf);
    if (chdir("/") < 0)
        return;
    if (!d->chrony_file[0]) {
        no_chrony_conf(d);
        return;
    }
    check_file(d);
    if (!d->chrony_known)
        return;
    doctor_check_refclock(d);
    check_makestep(d);
    check_boost(d);
    check_maxchange(d);
}
