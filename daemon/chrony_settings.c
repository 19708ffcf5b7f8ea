/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chrony_settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "daemon/chrony_conf.h"
#include "daemon/chronyd_process.h"
#include "daemon/message.h"
#include "daemon/ptp_device.h"

void chrony_settings_find(const struct config *config, char ret_path[CONFIG_PATH_MAX])
{
    static const char *const usual[] = {
        "/etc/chrony/chrony.conf", "/etc/chrony.conf", "/usr/etc/chrony.conf"};
    struct chronyd_process process;

    memcpy(ret_path, config->chrony_conf, CONFIG_PATH_MAX);
    if (!ret_path[0] && chronyd_process_of(config->command_socket, &process) == 0)
        memcpy(ret_path, process.conf, CONFIG_PATH_MAX);
    for (size_t i = 0; !ret_path[0] && i < sizeof(usual) / sizeof(usual[0]); i++)
        if (access(usual[i], F_OK) == 0 || errno == EACCES)
            snprintf(ret_path, CONFIG_PATH_MAX, "%s", usual[i]);
}

/* `reading` is of the chrony.conf at config->chrony_file. */
static void take_makestep(struct config *config, const struct chrony_conf *reading)
{
    struct recovery_config *recovery = &config->tracker.recovery;
    const struct chrony_conf_place *at = &reading->makestep;

    /* By no number is "nan" exceeded. */
    const bool steps = at->line && !isnan(reading->makestep_threshold_sec);

    recovery->makestep_threshold_sec = steps ? reading->makestep_threshold_sec : 0;
    recovery->makestep_limit = steps ? reading->makestep_limit : 0;
    recovery->makestep_assumed = false;
    snprintf(config->makestep_file, sizeof(config->makestep_file), "%s",
        at->line ? at->file : config->chrony_file);
    config->makestep_line = at->line;
}

/*
 * A PTP clock that chronyd already trusts: one that is there and follows the host, or else one that
 * is not there yet.
 */
static void take_ptp(struct config *config, const struct chrony_conf *reading)
{
    const struct chrony_conf_refclock *found = NULL;
    char name[PTP_NAME_MAX];

    for (unsigned i = 0; i < reading->n_refclocks; i++) {
        const struct chrony_conf_refclock *refclock = &reading->refclocks[i];
        int r;

        if (strcmp(refclock->driver, "PHC") != 0)
            continue;
        r = ptp_device_name(refclock->path, name);
        if (r == 0 && ptp_device_follows_host(name)) {
            found = refclock;
            break;
        }
        if (r == -ENOENT && !found)
            found = refclock;
    }
    if (!found)
        return;
    snprintf(config->ptp_clock, sizeof(config->ptp_clock), "%s", found->path);
    config->tracker.ptp = (struct ptp_clock_config){.used = true,
        .scale = found->tai ? PTP_SCALE_TAI : PTP_SCALE_SECONDS,
        .ahead_sec = found->tai ? 0 : 0 - found->offset};
}

/*
 * Whose owner is the guest's host, and which serves it alone: EC2's and Google's. Google's images
 * name theirs, which /etc/hosts has.
 */
static const struct own_server {
    const char *name;
    struct chrony_address address;
} own_servers[] = {
    {"169.254.169.123", {.bytes = {169, 254, 169, 123}, .family = 1}},
    {"fd00:ec2::123", {.bytes = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x01, [15] = 0x23}, .family = 2}},
    {"metadata.google.internal", {.bytes = {169, 254, 169, 254}, .family = 1}},
};

/* NULL: it is none of them. */
static const struct chrony_address *own_address(const struct chrony_conf_server *server)
{
    for (size_t i = 0; i < sizeof(own_servers) / sizeof(own_servers[0]); i++)
        if (chrony_address_equal(&server->address, &own_servers[i].address) ||
            strcasecmp(server->name, own_servers[i].name) == 0)
            return &own_servers[i].address;
    return NULL;
}

static void take_own_servers(struct config *config, const struct chrony_conf *reading)
{
    struct recovery_config *recovery = &config->tracker.recovery;

    for (unsigned i = 0; i < reading->n_servers && recovery->n_servers < RECOVERY_SERVERS_MAX;
         i++) {
        const struct chrony_conf_server *server = &reading->servers[i];
        const struct chrony_address *address = own_address(server);

        if (address && !server->doubled)
            recovery->servers[recovery->n_servers++] =
                (struct recovery_server){*address, server->minpoll, server->maxpoll};
    }
}

static bool has_server(const struct recovery_config *recovery, const struct chrony_address *address)
{
    for (unsigned i = 0; i < recovery->n_servers; i++)
        if (chrony_address_equal(&recovery->servers[i].address, address))
            return true;
    return false;
}

/* The line's name with its polls, once; false: there is no room, or two lines of it differ. */
static bool take_name(struct own_servers_config *own, const struct chrony_conf_server *server)
{
    for (unsigned i = 0; i < own->n_names; i++)
        if (strcmp(own->names[i].name, server->name) == 0)
            return own->names[i].minpoll == server->minpoll &&
                   own->names[i].maxpoll == server->maxpoll;
    if (own->n_names == OWN_NAMES_MAX || strlen(server->name) >= CHRONY_NAME_MAX)
        return false;
    snprintf(own->names[own->n_names].name, CHRONY_NAME_MAX, "%s", server->name);
    own->names[own->n_names].minpoll = server->minpoll;
    own->names[own->n_names].maxpoll = server->maxpoll;
    own->n_names++;
    return true;
}

/* chronyd is to be asked whether a server or pool that is given by name is one of them. */
static void take_names(struct config *config, const struct chrony_conf *reading)
{
    struct own_servers_config *own = &config->tracker.own_servers;

    for (unsigned i = 0; i < reading->n_servers; i++) {
        const struct chrony_conf_server *server = &reading->servers[i];

        if (server->address.family == 0 && server->kind != CHRONY_CONF_PEER &&
            !own_address(server) && !take_name(own, server)) {
            own->n_names = 0;
            return;
        }
    }
    if (own->n_names == 0 || reading->n_unkept > 0)
        return;
    for (size_t i = 0; i < sizeof(own_servers) / sizeof(own_servers[0]); i++)
        if (!has_server(&config->tracker.recovery, &own_servers[i].address))
            own->addresses[own->n++] = own_servers[i].address;
}

void chrony_settings_keep(struct config *config, const struct config *before)
{
    struct recovery_config *recovery = &config->tracker.recovery;

    if (!recovery->makestep_assumed || before->tracker.recovery.makestep_assumed ||
        config_is_set(before, "makestep"))
        return;
    recovery->makestep_assumed = false;
    recovery->makestep_threshold_sec = before->tracker.recovery.makestep_threshold_sec;
    recovery->makestep_limit = before->tracker.recovery.makestep_limit;
}

void chrony_settings_take(struct config *config, void (*complain)(const char *sentence))
{
    const bool makestep = !config_is_set(config, "makestep");
    char sentence[CONFIG_PATH_MAX * 2], fault[CONFIG_PATH_MAX + CHRONY_CONF_FAULT_MAX];
    struct chrony_conf *reading;
    bool whole;
    int r = -ENOMEM;

    config->makestep_file[0] = '\0';
    config->makestep_line = 0;
    chrony_settings_find(config, config->chrony_file);
    config->tracker.recovery.makestep_assumed = makestep;
    if (makestep)
        config_set_default(config, "makestep");
    if (config->ptp_auto)
        config_set_default(config, "ptp-clock");
    if (config->boost_own)
        config_set_default(config, "boost");
    config->tracker.own_servers = (struct own_servers_config){.n = 0};
    if (!(makestep || config->ptp_auto || config->boost_own) || !config->chrony_file[0])
        return;
    snprintf(fault, sizeof(fault), "%s: %s", config->chrony_file, strerror(ENOMEM));
    reading = malloc(sizeof(*reading));
    if (reading) {
        r = chrony_conf_read(config->chrony_file, reading);
        whole = r == 0;
        if (r < 0)
            chrony_conf_fault_str(reading, fault, sizeof(fault));
        if (reading->directives_known && reading->fault.error)
            r = 0; /* of a server, which does not matter here */
        if (makestep && reading->directives_known && (r == 0 || reading->makestep.line))
            take_makestep(config, reading);
        if (config->ptp_auto)
            take_ptp(config, reading);
        if (config->boost_own) {
            take_own_servers(config, reading);
            if (whole) /* or a line that was not read may have other polls */
                take_names(config, reading);
        }
    }
    if (r < 0 && makestep) {
        if (config->makestep_file[0])
            snprintf(sentence, sizeof(sentence), WORDS_MAKESTEP_KNOWN, fault);
        else
            snprintf(sentence, sizeof(sentence), WORDS_MAKESTEP_UNKNOWN, fault);
        complain(sentence);
    }
    free(reading);
}
