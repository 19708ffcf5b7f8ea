/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chrony's configuration, which we only read. What is taken of it keeps the ranges that a recovery
 * relies on, and a fault says where it is. Whether it means the same to chronyd is for
 * chrony_conf/compare.
 */
#include <errno.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/chrony_conf.h"
#include "daemon/chrony_settings.h"
#include "tests/fuzz/fuzz.h"

static char path[32];
static unsigned sentences;

static void complain(const char *sentence)
{
    sentences++;
    must(sentence[0] != '\0' && !strchr(sentence, '\n'));
}

static void check_reading(const struct chrony_conf *c, int result)
{
    char text[CONFIG_PATH_MAX + CHRONY_CONF_FAULT_MAX];

    must((result == 0) == (c->fault.what[0] == '\0'));
    if (result < 0) {
        chrony_conf_fault_str(c, text, sizeof(text));
        must(text[0] != '\0');
        must(c->fault.place.file[0] != '\0');
    }
    must(c->n_servers <= CHRONY_CONF_SERVERS_MAX && c->n_refclocks <= CHRONY_CONF_REFCLOCKS_MAX);
    for (unsigned i = 0; i < c->n_servers; i++) {
        const struct chrony_conf_server *s = &c->servers[i];

        must(memchr(s->name, '\0', sizeof(s->name)));
        must(s->address.family <= 2);
        must(s->minpoll <= s->maxpoll);
    }
    for (unsigned i = 0; i < c->n_refclocks; i++)
        must(memchr(c->refclocks[i].path, '\0', sizeof(c->refclocks[i].path)));
    must(memchr(c->command_socket, '\0', sizeof(c->command_socket)));
}

static void check_settings(const struct config *c)
{
    const struct recovery_config *r = &c->tracker.recovery;
    const struct own_servers_config *own = &c->tracker.own_servers;

    must(!isnan(r->makestep_threshold_sec));
    must(r->makestep_limit >= -1);
    must(r->n_servers <= RECOVERY_SERVERS_MAX);
    for (unsigned i = 0; i < r->n_servers; i++)
        must(r->servers[i].address.family == 1 || r->servers[i].address.family == 2);
    must(own->n <= OWN_SERVERS_MAX && own->n_names <= OWN_NAMES_MAX);
    must(own->n == 0 || own->n_names > 0);
    must(r->n_servers + own->n <= RECOVERY_SERVERS_MAX);
    must(sentences <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chrony_conf reading;
    static struct config config;
    const int fd = memfd_create("chrony.conf", MFD_CLOEXEC);

    must(fd >= 0);
    must(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    check_reading(&reading, chrony_conf_read(path, &reading));

    sentences = 0;
    must(config_read("/dev/null", complain, &config) == 0);
    must(sentences == 0);
    snprintf(config.chrony_conf, sizeof(config.chrony_conf), "%s", path);
    chrony_settings_take(&config, complain);
    check_settings(&config);
    close(fd);
    return 0;
}
