/* SPDX-License-Identifier: BSD-2-Clause */
/* What chrony's own configuration says of what we have to agree on; it is only read. */
#ifndef DAEMON_CHRONY_CONF_H
#define DAEMON_CHRONY_CONF_H

#include "daemon/config.h"

#define CHRONY_CONF_REFCLOCKS_MAX 8
#define CHRONY_CONF_SERVERS_MAX   64

struct chrony_conf_place {
    char file[CONFIG_PATH_MAX];
    unsigned line;
};

/* A line "refclock SOCK"; what it does not say is chronyd's default. */
struct chrony_conf_refclock {
    struct chrony_conf_place place;
    char path[CONFIG_PATH_MAX];
    char refid[8]; /* empty: none */
    int poll;      /* log2 s */
    int filter;    /* samples */
    bool trust, prefer, noselect;
};

/* A line "server" or "peer" with an address rather than a name. */
struct chrony_conf_server {
    struct chrony_conf_place place;
    struct chrony_address address;
    int minpoll, maxpoll; /* log2 s */
};

struct chrony_conf {
    unsigned n_refclocks, n_servers;
    struct chrony_conf_refclock refclocks[CHRONY_CONF_REFCLOCKS_MAX];
    struct chrony_conf_server servers[CHRONY_CONF_SERVERS_MAX];
    bool has_makestep;
    struct chrony_conf_place makestep; /* of the last one, which counts */
    double makestep_threshold_sec;
    long makestep_limit;
    char command_socket[CONFIG_PATH_MAX]; /* bindcmdaddress; empty: the default */
};

/*
 * Read `path` and what it names by include, confdir and sourcedir. 0 or -errno of `path`; -ELOOP:
 * more files than there can be.
 */
int chrony_conf_read(const char *path, struct chrony_conf *ret_conf);

#endif
