/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Servers that may be polled fast because they are the guest's own, and that chrony.conf gives by
 * name: chronyd alone knows which addresses it has found for it. It is asked when it has a
 * reference, and again, for a name may be resolved late, or get another address:
 *
 *     N_SOURCES -> SOURCE_DATA of the first -> ... -> of the last -> 2, 4, 8 ... 1024 s later
 *                    `-- an own address --> SOURCE_NAME --'
 *
 * What a server's polls are to be again after a recovery, chronyd does not tell. They are those of
 * the line that has the source's name, where the server's present poll is among them: one that was
 * added otherwise is left alone.
 */
#ifndef REFCLOCK_OWN_SERVERS_H
#define REFCLOCK_OWN_SERVERS_H

#include "refclock/recovery.h"

#define OWN_SERVERS_MAX 4
#define OWN_NAMES_MAX   16

struct own_servers_config {
    unsigned n; /* addresses to look for; 0: chronyd is not asked */
    struct chrony_address addresses[OWN_SERVERS_MAX];
    unsigned n_names;
    struct own_name {
        char name[CHRONY_NAME_MAX];
        int32_t minpoll, maxpoll; /* of its line */
    } names[OWN_NAMES_MAX];       /* of chrony.conf's lines, each once */
};

struct own_servers {
    int64_t due_ns;              /* CLOCK_MONOTONIC; INT64_MAX: chronyd is not asked */
    int64_t again_ns;            /* from the end of a round to the next one */
    bool counted;                /* n_sources is known */
    unsigned n_sources, next;    /* the source that is asked for next */
    bool asks_name;              /* SOURCE_NAME of `source` is next */
    struct chrony_source source; /* one that has an own address */
    unsigned n_seen, n_found;    /* own servers of this round, and of the last complete one */
    struct recovery_server seen[OWN_SERVERS_MAX], found[OWN_SERVERS_MAX];
};

/* The configuration or chronyd is another one: nothing is known. */
void own_servers_init(
    struct own_servers *o, const struct own_servers_config *config, int64_t now_ns);

/* The question that is due. */
struct chrony_command own_servers_next(const struct own_servers *o);

/* It was answered; `reply` NULL: it was not. True: another set of servers has been found. */
bool own_servers_take(struct own_servers *o, const struct own_servers_config *config,
    enum chrony_command_id id, const struct chrony_reply *reply, int64_t now_ns);

/* Put those that were found behind those that `recovery` has, and take them away again. */
void own_servers_add(const struct own_servers *o, struct recovery_config *recovery);
void own_servers_remove(const struct own_servers *o, struct recovery_config *recovery);

#endif
