/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What chrony's own configuration says of what we have to agree on; it is only read, as chronyd 4.3
 * to 4.9 read it. Taken from what chronyd does: tests/chrony_conf/compare asks it.
 */
#ifndef DAEMON_CHRONY_CONF_H
#define DAEMON_CHRONY_CONF_H

#include "daemon/chrony_conf_source.h"

#define CHRONY_CONF_REFCLOCKS_MAX 16
#define CHRONY_CONF_SERVERS_MAX   64
#define CHRONY_CONF_DIRS_MAX      16

/* A whole number that is set somewhere; place.line 0: it is not. */
struct chrony_conf_number {
    struct chrony_conf_place place;
    long value;
};

struct chrony_conf {
    struct chrony_conf_fault fault; /* what[0] '\0': there is none */
    bool directives_known;          /* but for servers of sourcedir, all of it was read */
    unsigned n_refclocks, n_servers;
    unsigned n_unkept; /* sources beyond those there is room for */
    struct chrony_conf_refclock refclocks[CHRONY_CONF_REFCLOCKS_MAX];
    struct chrony_conf_server servers[CHRONY_CONF_SERVERS_MAX]; /* that chronyd takes */
    /* Of each directive the last line counts. */
    struct chrony_conf_place makestep; /* line 0: there is none */
    double makestep_threshold_sec;
    int makestep_limit; /* -1: none; 0: never */
    struct chrony_conf_place command_socket_place;
    char command_socket[CONFIG_PATH_MAX]; /* bindcmdaddress; empty: the default */
    bool command_socket_off;              /* "bindcmdaddress /" */
    bool has_leap_seconds;                /* leapsectz or leapseclist */
    struct chrony_conf_number minsources, minstratum, maxchange;
    char last_confdir[CONFIG_PATH_MAX]; /* the first directory of the last confdir; empty: none */
};

/*
 * Read `path` and what it names by include, confdir and sourcedir. 0; -errno: one of the files
 * cannot be read; -EINVAL: chronyd does not start with it. Then conf->fault says where and why, and
 * the rest is what was read before.
 */
int chrony_conf_read(const char *path, struct chrony_conf *ret_conf);

/* "FILE:LINE: WHY" of its fault. */
void chrony_conf_fault_str(const struct chrony_conf *conf, char *ret_text, size_t size);

#endif
