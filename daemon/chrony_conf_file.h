/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lines of chrony.conf and of what it names by include, confdir and sourcedir, in the order in
 * which chronyd takes them. Of local files, bounded in number and size: nothing here waits.
 */
#ifndef DAEMON_CHRONY_CONF_FILE_H
#define DAEMON_CHRONY_CONF_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "daemon/config.h"

#define CHRONY_CONF_FILES_MAX   256 /* that wait at one time */
#define CHRONY_CONF_SOURCES_MAX 32  /* lines "sourcedir" */
#define CHRONY_CONF_LINE_MAX    2048
#define CHRONY_CONF_FAULT_MAX   160

struct chrony_conf_place {
    char file[CONFIG_PATH_MAX];
    unsigned line; /* 0: the file as a whole */
};

/* Why the configuration cannot be known. */
struct chrony_conf_fault {
    struct chrony_conf_place place;
    int error;    /* errno of what kept us from reading it; 0: chronyd does not start with it */
    bool unknown; /* it is a word that chronyd up to 4.9 does not know: the rest was read */
    char what[CHRONY_CONF_FAULT_MAX];
};

struct chrony_conf_files {
    struct chrony_conf_fault *fault;
    bool in_sources; /* the files of sourcedir have begun */
    unsigned n_waiting, n_read, n_lines, n_sourcedirs;
    struct chrony_conf_file {
        FILE *stream; /* NULL: not begun */
        unsigned level;
        struct chrony_conf_place place;
    } waiting[CHRONY_CONF_FILES_MAX]; /* the last one is read */
    char sourcedirs[CHRONY_CONF_SOURCES_MAX][CHRONY_CONF_LINE_MAX];
    char line[CHRONY_CONF_LINE_MAX + 1];
};

/* Begin with `path`. Whatever fails from now on is written to *fault; the first one counts. */
void chrony_conf_files_begin(
    struct chrony_conf_files *files, const char *path, struct chrony_conf_fault *fault);

/*
 * The next line, without the blanks around it; none of them is empty or a comment. NULL: there are
 * no more, or there is a fault. *ret_place is valid until the next call.
 */
char *chrony_conf_files_next(
    struct chrony_conf_files *files, const struct chrony_conf_place **ret_place);
void chrony_conf_files_end(struct chrony_conf_files *files);

/* What the present line names; `words` are what is behind the directive. */
void chrony_conf_files_include(struct chrony_conf_files *files, const char *words);
void chrony_conf_files_confdir(struct chrony_conf_files *files, const char *words);
void chrony_conf_files_sourcedir(struct chrony_conf_files *files, const char *words);

/*
 * Say what is wrong with the present line, unless chronyd passes over it; `unknown`: a word that a
 * chronyd to come may know, so that the rest is read.
 */
void chrony_conf_files_refuse(struct chrony_conf_files *files, bool unknown, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

#endif
