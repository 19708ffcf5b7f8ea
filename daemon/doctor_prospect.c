/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/chrony_settings.h"
#include "daemon/doctor_check.h"
#include "daemon/format.h"
#include "daemon/ptp_device.h"
#include "daemon/state_reader.h"

#define TEXT_MAX ((size_t)CONFIG_PATH_MAX * 3)

/*
 * After a disruption the clock is right: how far and when, as things are, and with what is to be
 * written for it; empty: nothing is known.
 */
struct prospect {
    char now[TEXT_MAX], better[TEXT_MAX];
};

static void put(char *ret_text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(char *ret_text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret_text, TEXT_MAX, format, arguments);
    va_end(arguments);
}

static void pass_over(const char *sentence)
{
    (void)sentence;
}

/* --- by a PTP clock ------------------------------------------------------------------------ */

/* What vmclockd says under that key; empty: nothing, or no vmclockd runs. */
static void ask_daemon(const struct doctor *d, const char *key, char *ret_value, size_t size)
{
    struct state_file state;
    const char *said = NULL;

    ret_value[0] = '\0';
    if (state_reader_read(d->config, &state) == 0)
        said = state_file_value(&state, key);
    if (said)
        snprintf(ret_value, size, "%s", said);
}

static bool now_by_ptp(const struct doctor *d, const struct config *ours, struct prospect *p)
{
    char name[PTP_NAME_MAX], state[64];

    if (!ours->ptp_clock[0] || ptp_device_name(ours->ptp_clock, name) < 0 ||
        (ours->ptp_auto && !ptp_device_follows_host(name)))
        return false;
    ask_daemon(d, "ptp.state", state, sizeof(state));
    if (state[0] && strcmp(state, "trusted") != 0 && strcmp(state, "not compared yet") != 0)
        return false;
    put(p->now, "to 1 us in about 20 ms, by the PTP clock %s%s", ours->ptp_clock,
        strcmp(state, "trusted") == 0 ? "" : ", once it has agreed with chronyd's time");
    return true;
}

/* One that answers for the host and of which chrony.conf says nothing. */
static bool better_by_ptp(const struct doctor *d, struct prospect *p)
{
    char path[PTP_PATH_MAX], ahead[32] = "";
    int sec;

    if (!ptp_device_find_host(path) || ptp_device_ahead(path, &sec) < 0)
        return false;
    if (sec != 0)
        snprintf(ahead, sizeof(ahead), " offset %d", -sec);
    put(p->better,
        "to 1 us in about 20 ms, by the PTP clock %s: add \"refclock PHC %s%s poll 2\" to %s and "
        "restart chronyd",
        path, path, ahead, d->chrony_file[0] ? d->chrony_file : "chrony.conf");
    return true;
}

/* --- by NTP -------------------------------------------------------------------------------- */

/* Of the guest's own network, most likely: its address is link-local or private. */
static bool is_near(const struct chrony_address *address)
{
    const uint8_t *b = address->bytes;

    if (address->family == 2)
        return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
    return address->family == 1 &&
           (b[0] == 10 || b[0] == 127 || (b[0] == 172 && (b[1] & 0xf0) == 16) ||
               (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254));
}

static void now_by_ntp(const struct doctor *d, const struct config *ours, struct prospect *p)
{
    const struct recovery_config *recovery = &ours->tracker.recovery;
    char server[CONFIG_SERVER_MAX] = "";

    if (recovery->n_servers > 0)
        config_server_str(&recovery->servers[0], server, sizeof(server));
    else if (ours->tracker.own_servers.n > 0)
        ask_daemon(d, "boost", server, sizeof(server));
    server[strcspn(server, ", ")] = '\0';
    if (server[0]) {
        put(p->now, "to 100 us in about a second, by boosting %s", server);
    } else if (d->chrony.n_servers == 0) {
        put(p->now, "when chronyd has measured the sources of %s again", d->chrony_file);
    } else if (recovery->burst_total > 0) {
        put(p->now, "to 100 us in 5 to 25 s, by NTP bursts, where the servers are near");
    } else {
        put(p->now, "to 100 us in minutes, by the servers' polls");
    }
}

static void better_by_ntp(const struct doctor *d, const struct config *ours, struct prospect *p)
{
    if (ours->tracker.recovery.n_servers > 0)
        return;
    for (unsigned i = 0; i < d->chrony.n_servers; i++) {
        const struct chrony_conf_server *server = &d->chrony.servers[i];

        if (!is_near(&server->address) || server->doubled)
            continue;
        put(p->better,
            "to 100 us in about a second, where %s answers within a millisecond: write \"boost = "
            "%s %d %d\" in %s and reload vmclockd",
            server->name, server->name, server->minpoll, server->maxpoll, ours->file);
        return;
    }
    if (d->chrony.n_servers > 0 && ours->tracker.recovery.burst_total == 0)
        put(p->better, "to 100 us in 5 to 25 s: remove \"burst\" from %s and reload vmclockd",
            ours->file);
}

/* --- all of it ----------------------------------------------------------------------------- */

static void expect(const struct doctor *d, const struct config *ours, struct prospect *p)
{
    if (!d->has_page) {
        put(p->now, "when chronyd has found out by itself: without the device nobody tells it");
    } else if (d->is_clock) {
        put(p->now, "to 1 us in about 20 ms, by the host's page");
    } else if (d->chrony_known && !now_by_ptp(d, ours, p)) {
        now_by_ntp(d, ours, p);
        if (!ours->ptp_clock[0] && ours->ptp_auto)
            better_by_ptp(d, p);
        if (!p->better[0])
            better_by_ntp(d, ours, p);
    }
}

void doctor_expect(struct doctor *d, json_t *report)
{
    struct config *ours = malloc(sizeof(*ours));
    struct prospect *p = calloc(1, sizeof(*p));
    char text[2 * TEXT_MAX + 80];

    if (ours && p) {
        *ours = *d->config;
        if (d->chrony_file[0])
            memcpy(ours->chrony_conf, d->chrony_file, sizeof(ours->chrony_conf));
        chrony_settings_take(ours, pass_over);
        expect(d, ours, p);
        snprintf(text, sizeof(text), "after a disruption the clock is right %s%s%s", p->now,
            p->better[0] ? "; and " : "", p->better);
        format_make_plain(text);
    }
    if (ours && p && p->now[0] && report)
        json_object_set_new(report, "disruption",
            json_pack("{s:s,s:s?}", "now", p->now, "better", p->better[0] ? p->better : NULL));
    else if (ours && p && p->now[0])
        format_fold(stdout, text, 0, 0);
    free(ours);
    free(p);
}
