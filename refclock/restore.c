/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/restore.h"

#include <assert.h>

#define AFTER_REFERENCE_NS INT64_C(30000000000)
#define RETRY_NS           INT64_C(1000000000)
#define TRIES_MAX          3

void restore_init(struct restore *r, const struct restore *saved,
    const struct recovery_config *config, int64_t now_ns)
{
    *r = *saved;
    restore_reconfigure(r, config);
    restore_hurry(r, now_ns);
}

bool restore_is_pending(const struct restore *r)
{
    return r->makestep || r->polls;
}

/* Its place, RECOVERY_SERVERS_MAX: it has none. */
static unsigned find(const struct restore *r, const struct chrony_address *address)
{
    for (unsigned i = 0; i < r->n_servers; i++)
        if (chrony_address_equal(&r->servers[i].address, address))
            return i;
    return RECOVERY_SERVERS_MAX;
}

/* Those of the configuration as it has them, and those that were changed under an earlier one. */
static bool merge_servers(struct restore *r, const struct recovery_config *config)
{
    bool news = false;

    for (unsigned i = 0; i < config->n_servers; i++) {
        unsigned at = find(r, &config->servers[i].address);

        if (at == RECOVERY_SERVERS_MAX && r->n_servers < RECOVERY_SERVERS_MAX) {
            at = r->n_servers++;
            news = true;
        }
        if (at < RECOVERY_SERVERS_MAX)
            r->servers[at] = config->servers[i];
    }
    return news;
}

void restore_limit(const struct restore *r, struct recovery_config *config)
{
    unsigned room = RECOVERY_SERVERS_MAX - r->n_servers, n = 0;

    for (unsigned i = 0; i < config->n_servers; i++) {
        const bool is_known = find(r, &config->servers[i].address) != RECOVERY_SERVERS_MAX;

        if (!is_known && room == 0)
            continue;
        room -= !is_known;
        config->servers[n++] = config->servers[i];
    }
    config->n_servers = n;
}

/* What is remembered is better than a guess. */
static void take_makestep(struct restore *r, const struct recovery_config *config)
{
    if (!r->makestep || !config->makestep_assumed) {
        r->makestep_threshold_sec = config->makestep_threshold_sec;
        r->makestep_limit = config->makestep_limit;
    }
    if (r->makestep_used && r->makestep_limit > 0)
        r->makestep_limit = 0;
}

/* chronyd was told to step, and a reload has forbidden that. */
static bool is_forbidden(const struct restore *r, const struct recovery_config *config)
{
    return r->makestep && config->step != RECOVERY_STEP_ALWAYS;
}

bool restore_remember(struct restore *r, const struct recovery_config *config,
    enum chrony_command_id changes, bool makestep_used, uint64_t chronyd_id, int64_t latest_ns)
{
    bool news = false;

    restore_meet(r, chronyd_id);
    if (changes == CHRONY_MODIFY_MAKESTEP) {
        news = !r->makestep;
        r->makestep_used = r->makestep_used || makestep_used; /* before the first of two in a row */
        take_makestep(r, config);
        r->makestep = true;
    } else {
        news = !r->polls;
        r->polls = true;
        news = merge_servers(r, config) || news;
    }
    r->chronyd_id = chronyd_id;
    r->due_ns = is_forbidden(r, config) ? 0 : latest_ns;
    r->next = r->tries = r->passed_over = 0;
    return news;
}

void restore_reconfigure(struct restore *r, const struct recovery_config *config)
{
    if (!restore_is_pending(r))
        return;
    if (r->makestep)
        take_makestep(r, config);
    if (r->polls)
        (void)merge_servers(r, config);
    r->next = r->tries = r->passed_over = 0;
    if (is_forbidden(r, config))
        r->due_ns = 0;
}

void restore_referenced(struct restore *r, int64_t now_ns)
{
    if (restore_is_pending(r) && r->due_ns > now_ns + AFTER_REFERENCE_NS)
        r->due_ns = now_ns + AFTER_REFERENCE_NS;
}

void restore_hurry(struct restore *r, int64_t now_ns)
{
    if (restore_is_pending(r))
        r->due_ns = now_ns;
}

void restore_done(struct restore *r)
{
    *r = (struct restore){.makestep = false};
}

void restore_meet(struct restore *r, uint64_t chronyd_id)
{
    if (restore_is_pending(r) && r->chronyd_id != 0 && chronyd_id != 0 &&
        r->chronyd_id != chronyd_id)
        restore_done(r);
}

static void check(const struct restore *r)
{
    assert(r->n_servers <= RECOVERY_SERVERS_MAX);
    assert(!r->makestep_used || r->makestep_limit <= 0);
    assert(r->tries < TRIES_MAX);
}

bool restore_next(const struct restore *r, struct chrony_command *ret_command)
{
    const unsigned i = r->next == 0 && !r->makestep ? 1 : r->next;
    const struct recovery_server *server;

    check(r);
    if (i == 0) {
        *ret_command = (struct chrony_command){.id = CHRONY_MODIFY_MAKESTEP,
            .makestep = {r->makestep_limit, r->makestep_threshold_sec}};
        return true;
    }
    if (!r->polls || (i - 1) / 2 >= r->n_servers)
        return false;
    server = &r->servers[(i - 1) / 2];
    *ret_command = (struct chrony_command){
        .id = i % 2 ? CHRONY_MODIFY_MINPOLL : CHRONY_MODIFY_MAXPOLL,
        .poll = {server->address, i % 2 ? server->minpoll : server->maxpoll},
    };
    return true;
}

void restore_answered(struct restore *r)
{
    r->next += r->next == 0 && !r->makestep ? 2 : 1;
    r->tries = 0;
}

void restore_unanswered(struct restore *r, int64_t now_ns)
{
    r->due_ns = now_ns + RETRY_NS;
    if (++r->tries == TRIES_MAX) {
        r->passed_over++;
        restore_answered(r);
    }
}
