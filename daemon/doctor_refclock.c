/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/doctor_check.h"
#include "daemon/sock_sender.h"

#define SAMPLES_NEEDED 4    /* by chronyd up to 4.6.1, for each update */
#define DELAY_MAX_SEC  1e-3 /* from here on NTP servers nearby look better */

/* --- our line ------------------------------------------------------------------------------ */

bool doctor_same_path(const char *a, const char *b)
{
    char directories[2][CONFIG_PATH_MAX], resolved[2][PATH_MAX];
    const char *const paths[] = {a, b};
    const char *names[2];

    if (strcmp(a, b) == 0)
        return true;
    for (int i = 0; i < 2; i++) {
        const char *slash = strrchr(paths[i], '/');

        if (!slash)
            return false;
        names[i] = slash + 1;
        snprintf(
            directories[i], sizeof(directories[i]), "%.*s", (int)(slash - paths[i]) + 1, paths[i]);
        if (!realpath(directories[i], resolved[i]))
            snprintf(resolved[i], sizeof(resolved[i]), "%s", directories[i]);
    }
    return strcmp(names[0], names[1]) == 0 && strcmp(resolved[0], resolved[1]) == 0;
}

/* Is our drop-in where nothing reads it? *ret_path and *ret_line: it, and what would read it. */
static bool has_stray_dropin(const struct doctor *d, const char **ret_path, const char **ret_line)
{
    static const struct {
        const char *path, *line;
    } places[] = {
        {"/etc/chrony/conf.d/vmclockd.conf", "confdir /etc/chrony/conf.d"},
        {"/etc/chrony.d/vmclockd.conf", "confdir /etc/chrony.d"},
        {"/usr/etc/chrony.d/vmclockd.conf", "confdir /usr/etc/chrony.d"},
    };
    struct chrony_conf *found = malloc(sizeof(*found));
    bool is_stray = false;

    for (size_t i = 0; found && !is_stray && i < sizeof(places) / sizeof(places[0]); i++) {
        if (chrony_conf_read(places[i].path, found) < 0)
            continue;
        for (unsigned j = 0; j < found->n_refclocks; j++)
            is_stray = is_stray || doctor_same_path(found->refclocks[j].path, d->config->sock);
        *ret_path = places[i].path;
        *ret_line = places[i].line;
    }
    free(found);
    return is_stray;
}

static void no_refclock(struct doctor *d)
{
    const struct config *c = d->config;
    const struct chrony_conf_refclock *other = NULL;
    const char *path, *line;

    if (!d->is_clock) {
        doctor_found(d, DOCTOR_OK, "refclock",
            "no \"refclock SOCK %s\"; it is not needed while the host gives the marker only",
            c->sock);
        return;
    }
    for (unsigned i = 0; i < d->chrony.n_refclocks; i++)
        if (strcmp(d->chrony.refclocks[i].driver, "SOCK") == 0)
            other = &d->chrony.refclocks[i];
    doctor_found(d, DOCTOR_PROBLEM, "refclock",
        "no line \"refclock SOCK %s\": chronyd takes no samples", c->sock);
    if (has_stray_dropin(d, &path, &line))
        doctor_mend(d, "%s has it, and nothing reads that: add \"%s\" to %s and restart chronyd",
            path, line, d->chrony_file);
    else if (other)
        doctor_mend(d, "%s:%u has another path, %s: make it and \"sock\" in %s the same",
            other->place.file, other->place.line, other->path, c->file);
    else
        doctor_mend(d,
            "add \"refclock SOCK %s refid %s poll -2 filter 16 trust prefer delay 1e-5 stratum 1\" "
            "to %s and restart chronyd",
            c->sock, c->refid, d->chrony_file);
}

/* What makes the line useless or wrong. */
static bool has_bad_option(struct doctor *d)
{
    const struct chrony_conf_refclock *r = d->refclock;
    const char *word = r->select.noselect ? "noselect"
                       : r->pps           ? "pps"
                       : r->local         ? "local"
                       : r->tai           ? "tai"
                       : r->offset != 0   ? "offset"
                                          : NULL;
    const char *why = r->select.noselect ? "chronyd never follows it"
                      : r->pps           ? "chronyd takes the samples for pulses, without seconds"
                      : r->local         ? "chronyd takes its rate and not its time"
                      : r->tai           ? "chronyd takes the samples, which are UTC, for TAI"
                                         : "chronyd is led away from the host's time by so much";

    if (!word)
        return false;
    doctor_found(
        d, DOCTOR_PROBLEM, "refclock", "%s:%u: %s: %s", r->place.file, r->place.line, word, why);
    doctor_mend(d, "remove \"%s\" there and restart chronyd", word);
    return true;
}

static void check_options(struct doctor *d)
{
    const struct config *c = d->config;
    const struct chrony_conf_refclock *r = d->refclock;
    const struct chrony_conf_place *at = &r->place;
    const double interval_sec = (double)c->tracker.sample_interval_ns / 1e9;
    const int filter = r->filter > 0 ? r->filter : 1;
    const int needed = filter < SAMPLES_NEEDED ? filter : SAMPLES_NEEDED;
    const double most_ms = floor(ldexp(1e3, r->poll) / needed);

    if (strcmp(r->refid, c->refid) != 0) {
        doctor_found(d, DOCTOR_PROBLEM, "refclock",
            "%s:%u: its refid is %s, and vmclockd looks for %s", at->file, at->line,
            r->refid_is_set ? r->refid : "not set", c->refid);
        doctor_mend(d, "write \"refid %s\" there and restart chronyd, or \"refid = %s\" in %s",
            c->refid, r->refid, c->file);
    } else if (has_bad_option(d)) {
        return;
    } else if (ldexp(1, r->poll) < needed * interval_sec) {
        doctor_found(d, DOCTOR_PROBLEM, "refclock",
            "%s:%u: poll %d is too fast for a sample-interval of %g s: chronyd up to 4.6.1 needs "
            "%d samples for each update",
            at->file, at->line, r->poll, interval_sec, needed);
        if (most_ms >= 1)
            doctor_mend(d, "write \"sample-interval = %gms\", or less, in %s", most_ms, c->file);
        else
            doctor_mend(d, "write \"poll -2 filter 16\" there and restart chronyd");
    } else if (r->poll > 0) {
        doctor_found(d, DOCTOR_WARNING, "refclock",
            "%s:%u: poll %d keeps the clock less exact than poll -2", at->file, at->line, r->poll);
        doctor_mend(d, "write \"poll -2 filter 16\" there and restart chronyd");
    } else if (!r->select.trust || !r->select.prefer) {
        doctor_found(d, DOCTOR_WARNING, "refclock",
            "%s:%u: without trust and prefer NTP servers may outvote it", at->file, at->line);
        doctor_mend(d, "write \"trust prefer\" there and restart chronyd");
    } else if (r->delay > DELAY_MAX_SEC) {
        doctor_found(d, DOCTOR_WARNING, "refclock",
            "%s:%u: with a delay of %g s it looks worse than a server nearby", at->file, at->line,
            r->delay);
        doctor_mend(d, "write \"delay 1e-5\" there and restart chronyd");
    } else if (!doctor_same_path(r->path, c->sock)) {
        doctor_found(d, DOCTOR_WARNING, "refclock",
            "%s:%u: %s, the first release's path: chronyd without root does not start with it",
            at->file, at->line, r->path);
        doctor_mend(d, "write %s there, and restart chronyd", c->sock);
    } else {
        doctor_found(d, DOCTOR_OK, "refclock", "%s:%u", at->file, at->line);
    }
}

/* Of two lines with one path the second one takes it from the first, *ret_earlier. */
static const struct chrony_conf_refclock *find_line(
    const struct doctor *d, const char *path, const struct chrony_conf_refclock **ret_earlier)
{
    const struct chrony_conf_refclock *found = NULL;

    for (unsigned i = 0; path && i < d->chrony.n_refclocks; i++) {
        if (strcmp(d->chrony.refclocks[i].driver, "SOCK") != 0 ||
            !doctor_same_path(d->chrony.refclocks[i].path, path))
            continue;
        *ret_earlier = found;
        found = &d->chrony.refclocks[i];
    }
    return found;
}

static void check_line(struct doctor *d)
{
    const struct chrony_conf_refclock *earlier = NULL;
    const char *other = sock_sender_other_path(d->config->sock);

    d->refclock = find_line(d, d->config->sock, &earlier);
    if (!d->refclock)
        d->refclock = find_line(d, other, &earlier);
    if (!d->refclock) {
        no_refclock(d);
        return;
    }
    check_options(d);
    if (earlier) {
        doctor_found(d, DOCTOR_WARNING, "refclock",
            "%s:%u has the path of %s:%u as well, and never gets a sample", earlier->place.file,
            earlier->place.line, d->refclock->place.file, d->refclock->place.line);
        doctor_mend(d, "remove one of the two lines and restart chronyd");
    }
}

/* --- what is selected ---------------------------------------------------------------------- */

static const struct chrony_conf_place *rival(const struct doctor *d, bool by_require)
{
    for (unsigned i = 0; i < d->chrony.n_refclocks; i++) {
        const struct chrony_conf_refclock *r = &d->chrony.refclocks[i];

        if (!doctor_same_path(r->path, d->refclock->path) && !r->select.noselect &&
            (by_require ? r->select.require : r->select.trust && r->select.prefer))
            return &r->place;
    }
    for (unsigned i = 0; i < d->chrony.n_servers; i++) {
        const struct chrony_conf_selection *select = &d->chrony.servers[i].select;

        if (!select->noselect && (by_require ? select->require : select->trust && select->prefer))
            return &d->chrony.servers[i].place;
    }
    return NULL;
}

/* What keeps chronyd from following our clock although its line is right. */
static void check_selection(struct doctor *d)
{
    const struct chrony_conf *c = &d->chrony;
    const struct chrony_conf_place *trusted = rival(d, false), *required = rival(d, true);

    if (trusted) {
        doctor_found(d, DOCTOR_WARNING, "selection",
            "%s:%u is trusted and preferred as well: chronyd chooses between the two",
            trusted->file, trusted->line);
        doctor_mend(d, "remove \"prefer\" there and restart chronyd");
    }
    if (required && !d->refclock->select.require) {
        doctor_found(d, DOCTOR_WARNING, "selection",
            "%s:%u is required: without it chronyd follows no other", required->file,
            required->line);
        doctor_mend(d, "write \"require\" at %s:%u as well and restart chronyd",
            d->refclock->place.file, d->refclock->place.line);
    }
    if (c->minsources.value > 1) {
        doctor_found(d, DOCTOR_WARNING, "selection",
            "%s:%u: with minsources %ld chronyd does not follow it alone", c->minsources.place.file,
            c->minsources.place.line, c->minsources.value);
        doctor_mend(d, "write \"minsources 1\" there and restart chronyd");
    }
    if (c->minstratum.value > d->refclock->stratum) {
        doctor_found(d, DOCTOR_PROBLEM, "selection",
            "%s:%u: with minstratum %ld chronyd rejects it, whose stratum is %d",
            c->minstratum.place.file, c->minstratum.place.line, c->minstratum.value,
            d->refclock->stratum);
        doctor_mend(d, "write \"stratum %ld\" at %s:%u and restart chronyd", c->minstratum.value,
            d->refclock->place.file, d->refclock->place.line);
    }
}

void doctor_check_refclock(struct doctor *d)
{
    check_line(d);
    if (d->refclock)
        check_selection(d);
}
