/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/own_servers.h"

#include <assert.h>
#include <string.h>

#define AGAIN_NS     INT64_C(2000000000) /* at first: chronyd may not have resolved the name */
#define AGAIN_MAX_NS INT64_C(1024000000000)
#define SOURCES_MAX  64 /* that are asked for: chronyd may have thousands */

void own_servers_init(
    struct own_servers *o, const struct own_servers_config *config, int64_t now_ns)
{
    *o = (struct own_servers){.due_ns = config->n > 0 ? now_ns : INT64_MAX, .again_ns = AGAIN_NS};
}

struct chrony_command own_servers_next(const struct own_servers *o)
{
    if (o->asks_name)
        return (struct chrony_command){.id = CHRONY_SOURCE_NAME, .address = o->source.address};
    if (o->counted)
        return (struct chrony_command){.id = CHRONY_SOURCE_DATA, .index = o->next};
    return (struct chrony_command){.id = CHRONY_N_SOURCES};
}

static bool is_own(const struct own_servers_config *config, const struct chrony_source *source)
{
    for (unsigned i = 0; i < config->n; i++)
        if (chrony_address_equal(&config->addresses[i], &source->address))
            return source->is_server;
    return false;
}

static bool was_found(const struct own_servers *o, const struct chrony_address *address)
{
    for (unsigned i = 0; i < o->n_found; i++)
        if (chrony_address_equal(&o->found[i].address, address))
            return true;
    return false;
}

/*
 * Its present poll is within that line's. For a while after a recovery chronyd still shows the
 * boosted poll: a server that was found before stays found.
 */
static void take_name(
    struct own_servers *o, const struct own_servers_config *config, const char *name)
{
    const struct chrony_source *source = &o->source;

    for (unsigned i = 0; i < config->n_names; i++) {
        const struct own_name *line = &config->names[i];

        if (strcmp(line->name, name) == 0 && o->n_seen < OWN_SERVERS_MAX &&
            (was_found(o, &source->address) ||
                (source->poll >= line->minpoll && source->poll <= line->maxpoll)))
            o->seen[o->n_seen++] =
                (struct recovery_server){source->address, line->minpoll, line->maxpoll};
    }
}

static void wait(struct own_servers *o, int64_t now_ns)
{
    o->counted = o->asks_name = false;
    o->due_ns = now_ns + o->again_ns;
    o->again_ns = o->again_ns < AGAIN_MAX_NS / 2 ? 2 * o->again_ns : AGAIN_MAX_NS;
}

/* The round is over. True: other servers were seen than in the one before. */
static bool end_round(struct own_servers *o, int64_t now_ns)
{
    bool news = o->n_seen != o->n_found;

    for (unsigned i = 0; i < o->n_seen && !news; i++)
        news = !chrony_address_equal(&o->seen[i].address, &o->found[i].address);
    memcpy(o->found, o->seen, sizeof(o->found));
    o->n_found = o->n_seen;
    wait(o, now_ns);
    return news;
}

bool own_servers_take(struct own_servers *o, const struct own_servers_config *config,
    enum chrony_command_id id, const struct chrony_reply *reply, int64_t now_ns)
{
    const bool answered = reply && reply->status == CHRONY_OK;

    assert(config->n <= OWN_SERVERS_MAX && config->n_names <= OWN_NAMES_MAX);
    if (!reply || (!answered && id == CHRONY_N_SOURCES)) {
        wait(o, now_ns);
        return false;
    }
    if (id == CHRONY_N_SOURCES) {
        o->counted = true;
        o->n_sources = reply->n_sources < SOURCES_MAX ? reply->n_sources : SOURCES_MAX;
        o->next = o->n_seen = 0;
        memset(o->seen, 0, sizeof(o->seen));
    } else if (id == CHRONY_SOURCE_DATA && answered && is_own(config, &reply->source)) {
        o->asks_name = true;
        o->source = reply->source;
        return false;
    } else { /* or it has gone meanwhile */
        if (id == CHRONY_SOURCE_NAME && answered)
            take_name(o, config, reply->name);
        o->asks_name = false;
        o->next++;
    }
    return o->next >= o->n_sources && end_round(o, now_ns);
}

void own_servers_add(const struct own_servers *o, struct recovery_config *recovery)
{
    assert(recovery->n_servers + o->n_found <= RECOVERY_SERVERS_MAX);
    for (unsigned i = 0; i < o->n_found; i++)
        recovery->servers[recovery->n_servers++] = o->found[i];
}

void own_servers_remove(const struct own_servers *o, struct recovery_config *recovery)
{
    assert(recovery->n_servers >= o->n_found);
    recovery->n_servers -= o->n_found;
}
