/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration file: flat "key = value" lines, '#' comments, durations with a unit. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdio.h>
#include <sys/stat.h>

#include "refclock/tracker.h"

#define CONFIG_DEFAULT_FILE "/etc/vmclockd.conf"
#define CONFIG_PATH_MAX     256
#define CONFIG_KEYS_MAX     40
#define CONFIG_DROPINS_MAX  32
#define CONFIG_FILES_MAX    (1 + CONFIG_DROPINS_MAX)
#define CONFIG_SERVER_MAX   64 /* of a server's line */

struct config {
    char device[CONFIG_PATH_MAX];
    char sock[CONFIG_PATH_MAX]; /* the two socket paths fit a sockaddr_un */
    char command_socket[CONFIG_PATH_MAX];
    char state_file[CONFIG_PATH_MAX];
    char metrics_file[CONFIG_PATH_MAX]; /* empty: none */
    char clock_file[CONFIG_PATH_MAX];   /* empty: none */
    char clockbound[CONFIG_PATH_MAX];   /* empty: none */
    bool clockbound_marker;             /* its readers compare the marker themselves */
    char chrony_conf[CONFIG_PATH_MAX];  /* as the key says; empty: auto */
    /* The PTP clock; empty: none. auto: what chrony.conf names, if it is of a kind for that. */
    char ptp_clock[CONFIG_PATH_MAX];
    bool ptp_auto;
    bool boost_own;    /* the servers are those of chrony.conf that are the guest's own */
    unsigned readings; /* 1 to CROSS_TIMESTAMPS_MAX */
    char refid[8];
    struct tracker_config tracker; /* but for dry_run and most of reader */
    char file[CONFIG_PATH_MAX];
    bool file_named; /* not the default one, which may be missing */
    bool file_read;  /* it was, or is the default one and missing */
    /* Where it comes from. */
    unsigned n_files;
    char files[CONFIG_FILES_MAX][CONFIG_PATH_MAX]; /* as they were read */
    struct {
        unsigned file, line; /* line 0: the default */
        bool mistaken;
    } set[CONFIG_KEYS_MAX];
    unsigned server_lines[RECOVERY_SERVERS_MAX];
    char chrony_file[CONFIG_PATH_MAX];   /* chrony's; empty: there is none */
    char makestep_file[CONFIG_PATH_MAX]; /* of chrony's, that says it; empty: none does */
    unsigned makestep_line;              /* 0: the file has none */
};

/*
 * Read a configuration. `file` NULL stands for CONFIG_DEFAULT_FILE, which may be missing; a file
 * that was named may not. Then, by name, the files in the directory of its name with ".d" behind,
 * if there is one, each over what was read before. Every mistake is given to `complain` as one
 * sentence with file, line and key. Returns 0, -EINVAL for mistakes, or -errno where the file
 * cannot be read.
 */
int config_read(
    const char *file, void (*complain)(const char *sentence), struct config *ret_config);

/* The same, but *ret_config always is what there is without the mistakes. */
int config_salvage(
    const char *file, void (*complain)(const char *sentence), struct config *ret_config);

/* Is it /dev/null, a configuration of no lines? */
bool config_is_null(const struct stat *status);

/* Does each path have a place of its own? 0 or -EINVAL; each that has none is complained of. */
int config_check_paths(const struct config *config, void (*complain)(const char *sentence));

/* Is the value of this key a mistake, or one of two? */
bool config_is_mistaken(const struct config *config, const char *key);

/* Is this key set, by a file? */
bool config_is_set(const struct config *config, const char *name);

/* Give a key its default. */
void config_set_default(struct config *config, const char *name);

/*
 * A plain decimal number at the start of `value`: no sign, no exponent, no hex, no inf. *ret_end
 * is what is behind it.
 */
bool config_parse_number(const char *value, const char **ret_end, double *ret_number);

/* "ADDRESS MINPOLL MAXPOLL"; false: it is not. */
bool config_parse_server(const char *value, struct recovery_server *ret_server);
void config_server_str(const struct recovery_server *server, char *ret_text, size_t size);

/* The n-th server of boost, as it would be written. */
void config_print_server(const struct config *config, unsigned n, FILE *to);

/* Print what is in force, in the file's own syntax, and where each value comes from. */
void config_print(const struct config *config, FILE *to);

#endif
