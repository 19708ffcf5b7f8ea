/* SPDX-License-Identifier: BSD-2-Clause */
/* The lines of chrony.conf that name a source: refclock, server, pool and peer. */
#ifndef DAEMON_CHRONY_CONF_SOURCE_H
#define DAEMON_CHRONY_CONF_SOURCE_H

#include "daemon/chrony_conf_file.h"

/* How it may be selected. */
struct chrony_conf_selection {
    bool noselect, prefer, trust, require;
};

/* A line "refclock"; what it does not say is chronyd's default. */
struct chrony_conf_refclock {
    struct chrony_conf_place place;
    char driver[8];
    char path[CONFIG_PATH_MAX]; /* its parameter, without options */
    char refid[8];
    int poll, dpoll; /* log2 s */
    int filter;      /* samples */
    int stratum;
    double delay, offset; /* s */
    bool refid_is_set;    /* else it is chronyd's own name for it */
    bool pps, local, tai, optional;
    struct chrony_conf_selection select;
};

enum chrony_conf_server_kind { CHRONY_CONF_SERVER, CHRONY_CONF_POOL, CHRONY_CONF_PEER };

/* A line "server", "pool" or "peer". */
struct chrony_conf_server {
    struct chrony_conf_place place;
    enum chrony_conf_server_kind kind;
    char name[CONFIG_PATH_MAX];
    struct chrony_address address; /* family 0: `name` is no address */
    int minpoll, maxpoll;          /* log2 s, as chronyd takes them */
    bool ipv4, ipv6;               /* of this family only */
    bool of_sourcedir;
    bool doubled; /* another line, which chronyd may prefer, has its address */
    struct chrony_conf_selection select;
};

/*
 * Read what is behind the directive. False: chronyd does not start with it, or not with this
 * source, and `ret_why` says why. It is also written, and the rest read, where an option is not
 * known.
 */
bool chrony_conf_refclock_parse(const char *words, unsigned index,
    struct chrony_conf_refclock *ret_refclock, char ret_why[CHRONY_CONF_FAULT_MAX]);
bool chrony_conf_server_parse(
    const char *words, struct chrony_conf_server *ret_server, char ret_why[CHRONY_CONF_FAULT_MAX]);

#endif
