/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the doctor: what they share, and what each of them looks at. */
#ifndef DAEMON_DOCTOR_CHECK_H
#define DAEMON_DOCTOR_CHECK_H

#include <jansson.h>

#include "daemon/chrony_conf.h"
#include "daemon/chronyd_process.h"

enum doctor_result { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct doctor {
    const struct config *config;
    bool colour;
    bool has_page;     /* it can be read, and is valid */
    bool is_clock;     /* and can be a clock */
    bool has_chronyd;  /* `chronyd` was found */
    bool chrony_known; /* `chrony` was read */
    struct chronyd_process chronyd;
    char program[CONFIG_PATH_MAX];     /* chronyd's */
    char chrony_file[CONFIG_PATH_MAX]; /* empty: none was found */
    struct chrony_conf chrony;
    const struct chrony_conf_refclock *refclock; /* ours; NULL: there is none */
    json_t *checks;                              /* NULL: for people */
    unsigned findings;
};

/* A line of the report; what was found is made fit for a terminal and for JSON. */
void doctor_found(struct doctor *d, enum doctor_result result, const char *check,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* How to fix what was found last. */
void doctor_mend(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Do two paths of sockets, which may not be there yet, lead to the same place? */
bool doctor_same_path(const char *a, const char *b);

/* chrony's configuration: where it is, can it be read, does it agree with ours? NULL: look for it.
 */
void doctor_check_chrony(struct doctor *d, const char *chrony_conf);

/* Our line in it, and what may keep chronyd from following it. */
void doctor_check_refclock(struct doctor *d);

/* The chronyd that runs: does it answer, has it made our socket, may it correct the clock? */
void doctor_check_chronyd(struct doctor *d);

/* SELinux, where it is enforcing: may chronyd answer vmclockd? */
void doctor_check_selinux(struct doctor *d);

/* What else has a say: AppArmor, SELinux, others that set the clock. */
void doctor_check_system(struct doctor *d);

/*
 * How soon the clock is right after a disruption, and what to write for it to be so sooner: the
 * report's last sentence, or the member `disruption` of the JSON object `report` if not NULL.
 */
void doctor_expect(struct doctor *d, json_t *report);

#endif
