/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chrony_conf_source.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#define POLL_MIN     (-7)
#define POLL_MAX     24
#define MINPOLL      6 /* unless the line says another */
#define MAXPOLL      10
#define SOCKET_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

enum kind { FLAG, INTEGER, STRATUM, KEY, REAL, REFID, EXTFIELD };

struct option {
    const char *name;
    enum kind kind;
    size_t at; /* of the field; NOWHERE: it does not matter here */
};

#define NOWHERE      0 /* there is the place, in both */
#define REFCLOCK(f)  offsetof(struct chrony_conf_refclock, f)
#define SERVER(f)    offsetof(struct chrony_conf_server, f)
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* What any chronyd from 4.3 to 4.9 takes. */
static const struct option refclock_options[] = {
    {"delay", REAL, REFCLOCK(delay)},
    {"dpoll", INTEGER, REFCLOCK(dpoll)},
    {"filter", INTEGER, REFCLOCK(filter)},
    {"local", FLAG, REFCLOCK(local)},
    {"lock", REFID, NOWHERE},
    {"maxdispersion", REAL, NOWHERE},
    {"maxlockage", INTEGER, NOWHERE},
    {"maxsamples", INTEGER, NOWHERE},
    {"maxunreach", INTEGER, NOWHERE},
    {"minsamples", INTEGER, NOWHERE},
    {"noselect", FLAG, REFCLOCK(select.noselect)},
    {"offset", REAL, REFCLOCK(offset)},
    {"optional", FLAG, REFCLOCK(optional)},
    {"poll", INTEGER, REFCLOCK(poll)},
    {"pps", FLAG, REFCLOCK(pps)},
    {"precision", REAL, NOWHERE},
    {"prefer", FLAG, REFCLOCK(select.prefer)},
    {"rate", INTEGER, NOWHERE},
    {"refid", REFID, REFCLOCK(refid)},
    {"require", FLAG, REFCLOCK(select.require)},
    {"stratum", STRATUM, REFCLOCK(stratum)},
    {"tai", FLAG, REFCLOCK(tai)},
    {"trust", FLAG, REFCLOCK(select.trust)},
    {"width", REAL, NOWHERE},
};

static const struct option server_options[] = {
    {"asymmetry", REAL, NOWHERE},
    {"auto_offline", FLAG, NOWHERE},
    {"burst", FLAG, NOWHERE},
    {"certset", INTEGER, NOWHERE},
    {"copy", FLAG, NOWHERE},
    {"extfield", EXTFIELD, NOWHERE},
    {"filter", INTEGER, NOWHERE},
    {"iburst", FLAG, NOWHERE},
    {"ipv4", FLAG, SERVER(ipv4)},
    {"ipv6", FLAG, SERVER(ipv6)},
    {"key", KEY, NOWHERE},
    {"maxdelay", REAL, NOWHERE},
    {"maxdelaydevratio", REAL, NOWHERE},
    {"maxdelayquant", REAL, NOWHERE},
    {"maxdelayratio", REAL, NOWHERE},
    {"maxpoll", INTEGER, SERVER(maxpoll)},
    {"maxsamples", INTEGER, NOWHERE},
    {"maxsources", INTEGER, NOWHERE},
    {"maxunreach", INTEGER, NOWHERE},
    {"mindelay", REAL, NOWHERE},
    {"minpoll", INTEGER, SERVER(minpoll)},
    {"minsamples", INTEGER, NOWHERE},
    {"minstratum", INTEGER, NOWHERE},
    {"noselect", FLAG, SERVER(select.noselect)},
    {"nts", FLAG, NOWHERE},
    {"ntsport", INTEGER, NOWHERE},
    {"offline", FLAG, NOWHERE},
    {"offset", REAL, NOWHERE},
    {"polltarget", INTEGER, NOWHERE},
    {"port", INTEGER, NOWHERE},
    {"prefer", FLAG, SERVER(select.prefer)},
    {"presend", INTEGER, NOWHERE},
    {"require", FLAG, SERVER(select.require)},
    {"trust", FLAG, SERVER(select.trust)},
    {"version", INTEGER, NOWHERE},
    {"xleave", FLAG, NOWHERE},
};

/* --- words and values ---------------------------------------------------------------------- */

/* The next word of *at, cut to what fits; false: there is none. */
static bool take_word(const char **at, char *ret_word, size_t size)
{
    const char *begin = *at;
    size_t n = 0;

    while (isspace((unsigned char)*begin))
        begin++;
    while (begin[n] && !isspace((unsigned char)begin[n]))
        n++;
    *at = begin + n;
    snprintf(ret_word, size, "%.*s", (int)n, begin);
    return n > 0;
}

/*
 * The value of an option. As for chronyd, a number ends where it can no longer be one, and what is
 * left is the next word.
 */
static bool take_value(const char **at, const struct option *option, void *into)
{
    void *field = option->at == NOWHERE ? NULL : (char *)into + option->at;
    char word[CONFIG_PATH_MAX], *end = NULL;
    double real = 0;
    long number = 1;

    switch (option->kind) {
    case FLAG:
        if (field)
            *(bool *)field = true;
        return true;
    case INTEGER:
    case STRATUM:
    case KEY:
        number = strtol(*at, &end, 10);
        if (end == *at || (option->kind == KEY && (int)number == 0) ||
            (option->kind == STRATUM && ((int)number < 0 || (int)number > 15)))
            return false;
        if (field)
            *(int *)field = (int)number;
        *at = end;
        return true;
    case REAL:
        real = strtod(*at, &end);
        if (end == *at)
            return false;
        if (field)
            *(double *)field = real;
        *at = end;
        return true;
    case REFID:
        if (!take_word(at, word, sizeof(word)) || strlen(word) > 4)
            return false;
        if (field)
            snprintf(field, sizeof(((struct chrony_conf_refclock *)0)->refid), "%.4s", word);
        return true;
    case EXTFIELD:
        number = strtol(*at, &end, 16);
        *at = end;
        return number == 0xF323 || number == 0xF324;
    }
    return false;
}

static bool take_options(const char *at, const struct option *options, size_t n, void *into,
    char ret_why[CHRONY_CONF_FAULT_MAX])
{
    char word[64];

    while (take_word(&at, word, sizeof(word))) {
        size_t i = 0;

        while (i < n && strcasecmp(options[i].name, word) != 0)
            i++;
        if (i == n && !ret_why[0])
            snprintf(ret_why, CHRONY_CONF_FAULT_MAX, "there is no option \"%s\"", word);
        if (i < n && !take_value(&at, &options[i], into)) {
            snprintf(ret_why, CHRONY_CONF_FAULT_MAX, "the value of \"%s\"", word);
            return false;
        }
    }
    return true;
}

/* --- refclock ------------------------------------------------------------------------------ */

static bool driver_is_known(const char *driver)
{
    static const char *const drivers[] = {"PHC", "PPS", "RTC", "SHM", "SOCK"};

    for (size_t i = 0; i < COUNT(drivers); i++)
        if (strcmp(driver, drivers[i]) == 0)
            return true;
    return false;
}

/* Three letters of the driver and the source's number, fewer where that has more digits. */
static void name_refclock(struct chrony_conf_refclock *refclock, unsigned index)
{
    const int letters = index < 10 ? 3 : index < 100 ? 2 : 1;

    snprintf(refclock->refid, 5, "%.*s%u", letters, refclock->driver, index % 1000);
}

bool chrony_conf_refclock_parse(const char *words, unsigned index,
    struct chrony_conf_refclock *ret_refclock, char ret_why[CHRONY_CONF_FAULT_MAX])
{
    struct chrony_conf_refclock refclock = {
        .place = ret_refclock->place, .poll = 4, .filter = 64, .delay = 1e-9};
    char parameter[CHRONY_CONF_LINE_MAX];
    const char *at = words, *colon;

    if (!take_word(&at, refclock.driver, sizeof(refclock.driver)) ||
        !take_word(&at, parameter, sizeof(parameter))) {
        snprintf(ret_why, CHRONY_CONF_FAULT_MAX, "refclock takes a driver and its parameter");
        return false;
    }
    if (!take_options(at, refclock_options, COUNT(refclock_options), &refclock, ret_why))
        return false;
    if (!driver_is_known(refclock.driver)) {
        snprintf(ret_why, CHRONY_CONF_FAULT_MAX, "there is no driver \"%s\"", refclock.driver);
        return false;
    }
    colon = strchr(parameter, ':');
    if (strcmp(refclock.driver, "SOCK") == 0 && (colon || strlen(parameter) >= SOCKET_BYTES)) {
        snprintf(ret_why, CHRONY_CONF_FAULT_MAX,
            colon ? "SOCK has no driver options" : "the path of SOCK has over 107 bytes");
        return false;
    }
    snprintf(refclock.path, sizeof(refclock.path), "%.*s",
        colon ? (int)(colon - parameter) : (int)strlen(parameter), parameter);
    refclock.refid_is_set = refclock.refid[0] != '\0';
    if (!refclock.refid_is_set)
        name_refclock(&refclock, index);
    *ret_refclock = refclock;
    return true;
}

/* --- server, pool, peer -------------------------------------------------------------------- */

/* What is below the least is as if it were not said. */
static int poll_or(int poll, int otherwise)
{
    return poll < POLL_MIN ? otherwise : poll > POLL_MAX ? POLL_MAX : poll;
}

bool chrony_conf_server_parse(
    const char *words, struct chrony_conf_server *ret_server, char ret_why[CHRONY_CONF_FAULT_MAX])
{
    struct chrony_conf_server server = {.place = ret_server->place,
        .kind = ret_server->kind,
        .of_sourcedir = ret_server->of_sourcedir,
        .minpoll = MINPOLL,
        .maxpoll = MAXPOLL};
    const char *at = words;

    if (!take_word(&at, server.name, sizeof(server.name))) {
        snprintf(ret_why, CHRONY_CONF_FAULT_MAX, "it names no server");
        return false;
    }
    if (!take_options(at, server_options, COUNT(server_options), &server, ret_why))
        return false;
    if (inet_pton(AF_INET, server.name, server.address.bytes) == 1)
        server.address.family = 1;
    else if (inet_pton(AF_INET6, server.name, server.address.bytes) == 1)
        server.address.family = 2;
    server.minpoll = poll_or(server.minpoll, MINPOLL);
    server.maxpoll = poll_or(server.maxpoll, MAXPOLL);
    if (server.maxpoll < server.minpoll)
        server.maxpoll = server.minpoll;
    *ret_server = server;
    return true;
}
