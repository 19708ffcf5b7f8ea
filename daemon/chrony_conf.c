/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chrony_conf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

struct reading {
    struct chrony_conf *conf;
    struct chrony_conf_files *files;
    const struct chrony_conf_place *at; /* of the present line */
    unsigned n_refclocks;               /* in all */
    struct chrony_conf_place tai;       /* line 0: no refclock needs to know of leap seconds */
};

/* --- sources ------------------------------------------------------------------------------- */

static void take_refclock(struct reading *r, const char *words)
{
    struct chrony_conf *conf = r->conf;
    struct chrony_conf_refclock refclock = {.place = *r->at};
    char why[CHRONY_CONF_FAULT_MAX] = "";
    const bool is_one = chrony_conf_refclock_parse(words, r->n_refclocks++, &refclock, why);

    if (why[0])
        chrony_conf_files_refuse(r->files, is_one, "refclock: %s", why);
    if (!is_one)
        return;
    if (refclock.tai && r->tai.line == 0)
        r->tai = refclock.place;
    if (conf->n_refclocks == CHRONY_CONF_REFCLOCKS_MAX)
        conf->n_unkept++;
    else
        conf->refclocks[conf->n_refclocks++] = refclock;
}

/*
 * chronyd keeps the first of several lines for one address, and none of the other family. Those of
 * sourcedir it sorts before, by what they say.
 */
static bool is_taken(struct reading *r, const struct chrony_conf_server *server)
{
    struct chrony_conf *conf = r->conf;

    if (server->address.family == 0)
        return true;
    if ((server->ipv4 && server->address.family != 1) ||
        (server->ipv6 && server->address.family != 2))
        return false;
    for (unsigned i = 0; i < conf->n_servers; i++) {
        struct chrony_conf_server *earlier = &conf->servers[i];

        if (!chrony_address_equal(&earlier->address, &server->address))
            continue;
        earlier->doubled = earlier->doubled || earlier->of_sourcedir;
        return false;
    }
    return true;
}

static void take_server(struct reading *r, enum chrony_conf_server_kind kind, const char *words)
{
    struct chrony_conf *conf = r->conf;
    struct chrony_conf_server server = {
        .place = *r->at, .kind = kind, .of_sourcedir = r->files->in_sources};
    char why[CHRONY_CONF_FAULT_MAX] = "";
    const bool is_one = chrony_conf_server_parse(words, &server, why);

    if (why[0])
        chrony_conf_files_refuse(r->files, is_one, "server: %s", why);
    if (!is_one || (why[0] && server.of_sourcedir) || !is_taken(r, &server))
        return;
    if (conf->n_servers == CHRONY_CONF_SERVERS_MAX)
        conf->n_unkept++;
    else
        conf->servers[conf->n_servers++] = server;
}

static void take_ntp_server(struct reading *r, const char *words)
{
    take_server(r, CHRONY_CONF_SERVER, words);
}

static void take_pool(struct reading *r, const char *words)
{
    take_server(r, CHRONY_CONF_POOL, words);
}

static void take_peer(struct reading *r, const char *words)
{
    take_server(r, CHRONY_CONF_PEER, words);
}

/* --- values -------------------------------------------------------------------------------- */

static unsigned count_words(const char *words)
{
    unsigned n = 0;
    bool within = false;

    for (; *words; words++) {
        const bool blank = isspace((unsigned char)*words);

        n += !blank && !within;
        within = !blank;
    }
    return n;
}

static bool needs_words(struct reading *r, const char *name, const char *words, unsigned n)
{
    if (count_words(words) == n)
        return true;
    chrony_conf_files_refuse(r->files, false, "%s takes %u words", name, n);
    return false;
}

/* A number ends where it can no longer be one, even within a word. */
static void take_makestep(struct reading *r, const char *words)
{
    char *rest, *end;
    double threshold;
    long limit;

    if (!needs_words(r, "makestep", words, 2))
        return;
    threshold = strtod(words, &rest);
    limit = strtol(rest, &end, 10);
    if (rest == words || end == rest) {
        chrony_conf_files_refuse(r->files, false, "makestep takes a threshold and a limit");
        return;
    }
    r->conf->makestep = *r->at;
    r->conf->makestep_threshold_sec = threshold;
    r->conf->makestep_limit = (int)limit < 0 ? -1 : (int)limit;
}

static void take_bindcmdaddress(struct reading *r, const char *words)
{
    struct chrony_conf *conf = r->conf;
    uint8_t address[16];

    if (!needs_words(r, "bindcmdaddress", words, 1))
        return;
    if (words[0] != '/') {
        if (inet_pton(AF_INET, words, address) != 1 && inet_pton(AF_INET6, words, address) != 1)
            chrony_conf_files_refuse(r->files, false, "bindcmdaddress takes an address or a path");
        return;
    }
    conf->command_socket_place = *r->at;
    conf->command_socket_off = strcmp(words, "/") == 0;
    snprintf(conf->command_socket, sizeof(conf->command_socket), "%s",
        conf->command_socket_off ? "" : words);
}

static void take_leap_seconds(struct reading *r, const char *words)
{
    if (needs_words(r, "leapsectz", words, 1))
        r->conf->has_leap_seconds = true;
}

static void take_number(
    struct reading *r, const char *name, const char *words, struct chrony_conf_number *ret_number)
{
    char *end;
    long value;

    if (!needs_words(r, name, words, 1))
        return;
    value = strtol(words, &end, 10);
    if (end == words)
        chrony_conf_files_refuse(r->files, false, "%s takes a number", name);
    else
        *ret_number = (struct chrony_conf_number){*r->at, value};
}

static void take_minsources(struct reading *r, const char *words)
{
    take_number(r, "minsources", words, &r->conf->minsources);
}

static void take_minstratum(struct reading *r, const char *words)
{
    take_number(r, "minstratum", words, &r->conf->minstratum);
}

static void take_maxchange(struct reading *r, const char *words)
{
    char *at, *end;

    if (!needs_words(r, "maxchange", words, 3))
        return;
    (void)strtod(words, &at);
    (void)strtol(at, &end, 10);
    if (at == words || end == at) {
        chrony_conf_files_refuse(r->files, false, "maxchange takes an offset and two numbers");
        return;
    }
    r->conf->maxchange.place = *r->at;
    r->conf->maxchange.value = 1;
}

/* --- files --------------------------------------------------------------------------------- */

static void take_include(struct reading *r, const char *words)
{
    chrony_conf_files_include(r->files, words);
}

static void take_confdir(struct reading *r, const char *words)
{
    snprintf(r->conf->last_confdir, sizeof(r->conf->last_confdir), "%.*s",
        (int)strcspn(words, " \t\r\n\v\f"), words);
    chrony_conf_files_confdir(r->files, words);
}

static void take_sourcedir(struct reading *r, const char *words)
{
    chrony_conf_files_sourcedir(r->files, words);
}

/* --- directives ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*take)(struct reading *r, const char *words); /* NULL: it does not matter here */
    bool in_sources;                                    /* as in a file of sourcedir */
} directives[] = {
    {"bindcmdaddress", take_bindcmdaddress, false},
    {"confdir", take_confdir, false},
    {"include", take_include, false},
    {"leapseclist", take_leap_seconds, false},
    {"leapsectz", take_leap_seconds, false},
    {"makestep", take_makestep, false},
    {"maxchange", take_maxchange, false},
    {"minsources", take_minsources, false},
    {"minstratum", take_minstratum, false},
    {"peer", take_peer, true},
    {"pool", take_pool, true},
    {"refclock", take_refclock, false},
    {"server", take_ntp_server, true},
    {"sourcedir", take_sourcedir, false},
};

/* The others that some chronyd from 4.3 to 4.9 has. */
static const char others[] =
    " acquisitionport allow authselectmode bindacqaddress bindacqdevice bindaddress bindcmddevice "
    "binddevice broadcast clientloglimit clockprecision cmdallow cmddeny cmdport cmdratelimit "
    "combinelimit commandkey corrtimeratio deny driftfile dscp dumpdir dumponexit fallbackdrift "
    "generatecommandkey hwclockfile hwtimestamp hwtstimeout initstepslew keyfile leapsecmode "
    "linux_freq_scale linux_hz local lock_all log logbanner logchange logdir mailonchange manual "
    "maxclockerror maxdistance maxdrift maxjitter maxntsconnections maxsamples maxslewrate "
    "maxstratum maxtxbuffers maxupdateskew minsamples nocerttimecheck noclientlog nosystemcert "
    "ntpsigndsocket ntsaeads ntsdumpdir ntsntpserver ntsport ntsprocesses ntsratelimit ntsrefresh "
    "ntsrotate ntsservercert ntsserverkey ntstrustedcerts opencommands pidfile port ptpdomain "
    "ptpport ratelimit refresh reselectdist rtcautotrim rtcdevice rtcfile rtconutc rtcsync "
    "sched_priority smoothtime stratumweight tempcomp user ";

static bool is_other(const char *name)
{
    char word[32];

    if (snprintf(word, sizeof(word), " %s ", name) >= (int)sizeof(word))
        return false;
    return strcasestr(others, word) != NULL;
}

static void take_line(struct reading *r, char *line)
{
    const size_t n = strcspn(line, " \t\r\n\v\f");
    char *words = line + n;

    if (*words)
        *words++ = '\0';
    while (isspace((unsigned char)*words))
        words++;
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (strcasecmp(line, directives[i].name) != 0)
            continue;
        if (directives[i].in_sources || !r->files->in_sources)
            directives[i].take(r, words);
        return;
    }
    /* What is no word may be of a file that is no configuration, and not for the log. */
    if (line[strspn(line, WORD)])
        chrony_conf_files_refuse(r->files, true, "it has no directive");
    else if (!is_other(line))
        chrony_conf_files_refuse(r->files, true, "there is no directive \"%.40s\"", line);
}

int chrony_conf_read(const char *path, struct chrony_conf *ret_conf)
{
    struct chrony_conf_files *files = malloc(sizeof(*files));
    struct reading r = {.conf = ret_conf, .files = files};
    struct chrony_conf_fault *fault = &ret_conf->fault;
    char *line;

    memset(ret_conf, 0, sizeof(*ret_conf));
    if (!files)
        return -ENOMEM;
    chrony_conf_files_begin(files, path, fault);
    while ((line = chrony_conf_files_next(files, &r.at)))
        take_line(&r, line);
    if (!fault->what[0] && r.tai.line && !ret_conf->has_leap_seconds) {
        fault->place = r.tai;
        snprintf(fault->what, sizeof(fault->what), "refclock: tai needs leapsectz or leapseclist");
    }
    ret_conf->directives_known = files->in_sources;
    chrony_conf_files_end(files);
    free(files);
    return !fault->what[0] ? 0 : fault->error ? -fault->error : -EINVAL;
}

void chrony_conf_fault_str(const struct chrony_conf *conf, char *ret_text, size_t size)
{
    const struct chrony_conf_fault *fault = &conf->fault;

    if (fault->place.line)
        snprintf(ret_text, size, "%s:%u: %s", fault->place.file, fault->place.line, fault->what);
    else
        snprintf(ret_text, size, "%s: %s", fault->place.file, fault->what);
}
