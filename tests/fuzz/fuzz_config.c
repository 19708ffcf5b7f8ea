/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration file. One that is accepted keeps the ranges that the daemon relies on, and what
 * is printed as in force is read back as the same.
 */
#include <errno.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

static unsigned sentences;
static char name[32];

static void complain(const char *sentence)
{
    sentences++;
    must(strncmp(sentence, name, strlen(name)) == 0 && sentence[strlen(name)] == ':');
    must(!strchr(sentence, '\n'));
}

static int read_bytes(const void *bytes, size_t n, struct config *ret_config)
{
    const int fd = memfd_create("config", MFD_CLOEXEC);
    int r;

    must(fd >= 0);
    must(write(fd, bytes, n) == (ssize_t)n);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    sentences = 0;
    r = config_read(name, complain, ret_config);
    close(fd);
    return r;
}

static void check_path(const char *path, size_t most)
{
    must(path[0] == '/' && strlen(path) <= most);
}

static void check_ranges(const struct config *c)
{
    const struct tracker_config *t = &c->tracker;
    const struct recovery_config *r = &t->recovery;

    check_path(c->device, CONFIG_PATH_MAX - 1);
    check_path(c->sock, 107);
    check_path(c->command_socket, 107);
    check_path(c->state_file, CONFIG_PATH_MAX - 1);
    must(c->readings >= 1 && c->readings <= CROSS_TIMESTAMPS_MAX);
    must(t->watch_interval_ns >= 1000000 && t->watch_interval_ns <= INT64_C(10000000000));
    must(t->sample_interval_ns >= 1000000 && t->sample_interval_ns <= INT64_C(60000000000));
    must(strlen(c->refid) >= 1 && strlen(c->refid) <= 4 && t->refid != 0);
    must(r->step <= RECOVERY_STEP_NEVER);
    must(r->step_max_ns > 0 && isfinite(r->rate_max_ppm) && r->rate_max_ppm > 0);
    must(isfinite(r->makestep_threshold_sec) && r->makestep_threshold_sec >= 0);
    must(r->makestep_limit >= -1);
    must(r->burst_good >= 0 && r->burst_total >= r->burst_good);
    must(r->n_servers <= RECOVERY_SERVERS_MAX);
    for (unsigned i = 0; i < r->n_servers; i++) {
        must(r->servers[i].address.family == 1 || r->servers[i].address.family == 2);
        must(r->servers[i].minpoll >= -7 && r->servers[i].minpoll <= r->servers[i].maxpoll &&
             r->servers[i].maxpoll <= 24);
    }
}

/* Reals are printed with six digits. */
static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-5 * fabs(a);
}

static void check_same(const struct config *a, const struct config *b)
{
    const struct tracker_config *s = &a->tracker, *t = &b->tracker;
    const struct recovery_config *q = &s->recovery, *r = &t->recovery;

    must(strcmp(a->device, b->device) == 0 && strcmp(a->sock, b->sock) == 0);
    must(strcmp(a->command_socket, b->command_socket) == 0);
    must(strcmp(a->state_file, b->state_file) == 0);
    must(strcmp(a->refid, b->refid) == 0 && s->refid == t->refid);
    must(a->readings == b->readings);
    must(s->watch_interval_ns == t->watch_interval_ns);
    must(s->sample_interval_ns == t->sample_interval_ns);
    must(s->max_error_ns == t->max_error_ns);
    must(s->reader.accept_freerunning == t->reader.accept_freerunning);
    must(s->correct_frequency == t->correct_frequency);
    must(s->correct_at_start == t->correct_at_start);
    must(q->step == r->step && q->step_max_ns == r->step_max_ns);
    must(near(q->rate_max_ppm, r->rate_max_ppm));
    must(q->makestep_limit == r->makestep_limit);
    must(q->makestep_limit == 0 || near(q->makestep_threshold_sec, r->makestep_threshold_sec));
    must(q->burst_good == r->burst_good && q->burst_total == r->burst_total);
    must(q->n_servers == r->n_servers);
    for (unsigned i = 0; i < q->n_servers; i++) {
        must(chrony_address_equal(&q->servers[i].address, &r->servers[i].address));
        must(q->servers[i].minpoll == r->servers[i].minpoll);
        must(q->servers[i].maxpoll == r->servers[i].maxpoll);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char untouched = 0x5a;
    static struct config config, again;
    char *printed = NULL;
    size_t n = 0;
    FILE *to;
    int r;

    memset(&config, untouched, sizeof(config));
    r = read_bytes(data, size, &config);
    must(r == 0 || r == -EINVAL);
    must((r == 0) == (sentences == 0));
    if (r < 0) {
        must(config.device[0] == untouched); /* written only on success */
        return 0;
    }
    check_ranges(&config);

    to = open_memstream(&printed, &n);
    must(to);
    config_print(&config, to);
    must(fclose(to) == 0);
    r = read_bytes(printed, n, &again);
    if (r < 0)
        fprintf(stderr, "%s", printed);
    must(r == 0);
    check_same(&config, &again);
    free(printed);
    return 0;
}
