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
    return o->counted ? (struct chrony_command){.id = CHRONY_SOURCE_DATA, .index = o->next}
                      : (struct chrony_command){.id = CHRONY_N_SOURCES};
}

static bool is_own(const struct own_servers_config *config, const struct chrony_source *source)
{
    for (unsigned i = 0; i < config->n; i++)
        if (chrony_address_equal(&config->addresses[i], &source->address))
            return source->is_server && source->poll >= config->minpoll &&
                   source->poll <= config->maxpoll;
    return false;
}

static void wait(struct own_servers *o, int64_t now_ns)
{
    o->counted = false;
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

    assert(config->n <= OWN_SERVERS_MAX);
    if (!answered && !(reply && id == CHRONY_SOURCE_DATA)) { /* a source may have gone meanwhile */
        wait(o, now_ns);
        return false;
    }
    if (id == CHRONY_N_SOURCES) {
        o->counted = true;
        o->n_sources = reply->n_sources < SOURCES_MAX ? reply->n_sources : SOURCES_MAX;
        o->next = o->n_seen = 0;
        memset(o->seen, 0, sizeof(o->seen));
    } else {
        if (answered && is_own(config, &reply->source) && o->n_seen < OWN_SERVERS_MAX)
            o->seen[o->n_seen++] =
                (struct recovery_server){reply->source.address, config->minpoll, config->maxpoll};
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
