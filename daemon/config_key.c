/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config_key.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/config_value.h"
#include "daemon/edit_distance.h"
#include "daemon/sock_sender.h"

#define POLL_MIN         (-7)
#define POLL_MAX         24
#define SOCKET_PATH_MAX  (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define OWN_SOCKET_BYTES 22                    /* "/vmclockd.4194304.sock" */
#define REPLACED_MAX     (CONFIG_PATH_MAX - 8) /* of a path, with ".new" or ".lock" behind it */

/* node-exporter reads no other names; a temporary file beside it must not be one of them. */
static const char *parse_metrics_file(
    const struct config_key *key, const char *value, struct config *config)
{
    const size_t n = strlen(value);

    if (strcmp(value, "none") == 0) {
        config->metrics_file[0] = '\0';
        return NULL;
    }
    if (n < 6 || strcmp(value + n - 5, ".prom") != 0)
        return key->expected;
    return config_value_parse_path(key, value, config);
}

static void print_metrics_file(const struct config_key *key, const struct config *config, FILE *to)
{
    (void)key;
    fputs(config->metrics_file[0] ? config->metrics_file : "none", to);
}

static const char *parse_chrony_conf(
    const struct config_key *key, const char *value, struct config *config)
{
    if (strcmp(value, "auto") != 0)
        return config_value_parse_path(key, value, config);
    config->chrony_conf[0] = '\0';
    return NULL;
}

/* The one that was found, where that is known. */
static void print_chrony_conf(const struct config_key *key, const struct config *config, FILE *to)
{
    (void)key;
    fputs(config->chrony_conf[0]   ? config->chrony_conf
          : config->chrony_file[0] ? config->chrony_file
                                   : "auto",
        to);
}

static const char *const step_names[] = {"always", "forward", "never"};

static const char *parse_step(
    const struct config_key *key, const char *value, struct config *config)
{
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, step_names[i]) == 0) {
            config->tracker.recovery.step = (enum recovery_step_policy)i;
            return NULL;
        }
    }
    return key->expected;
}

static void print_step(const struct config_key *key, const struct config *config, FILE *to)
{
    (void)key;
    fputs(step_names[config->tracker.recovery.step], to);
}

static const char *parse_makestep(
    const struct config_key *key, const char *value, struct config *config)
{
    struct recovery_config *r = &config->tracker.recovery;
    const char *rest;
    double threshold;
    long limit;

    if (strcmp(value, "none") == 0) {
        r->makestep_threshold_sec = 0;
        r->makestep_limit = 0;
        return NULL;
    }
    if (!config_parse_number(value, &rest, &threshold) || *rest != ' ' ||
        !config_value_parse_integers(rest + 1 + strspn(rest + 1, " "), ' ', 1, &limit) ||
        threshold > key->maximum || limit < -1 || limit > 1000000)
        return key->expected;
    r->makestep_threshold_sec = threshold;
    r->makestep_limit = (int32_t)limit;
    return NULL;
}

static void print_makestep(const struct config_key *key, const struct config *config, FILE *to)
{
    const struct recovery_config *r = &config->tracker.recovery;

    (void)key;
    if (r->makestep_limit == 0) {
        fputs("none", to);
        return;
    }
    config_value_print_number(r->makestep_threshold_sec, to);
    fprintf(to, " %" PRId32, r->makestep_limit);
}

static const char *parse_burst(
    const struct config_key *key, const char *value, struct config *config)
{
    struct recovery_config *r = &config->tracker.recovery;
    long numbers[2];

    if (strcmp(value, "none") == 0) {
        r->burst_good = r->burst_total = 0;
        return NULL;
    }
    if (!config_value_parse_integers(value, '/', 2, numbers) || numbers[0] < 1 ||
        numbers[1] < numbers[0] || numbers[1] > (long)key->maximum)
        return key->expected;
    r->burst_good = (int32_t)numbers[0];
    r->burst_total = (int32_t)numbers[1];
    return NULL;
}

static void print_burst(const struct config_key *key, const struct config *config, FILE *to)
{
    const struct recovery_config *r = &config->tracker.recovery;

    (void)key;
    if (r->burst_total == 0)
        fputs("none", to);
    else
        fprintf(to, "%" PRId32 "/%" PRId32, r->burst_good, r->burst_total);
}

bool config_parse_server(const char *value, struct recovery_server *ret_server)
{
    struct recovery_server server = {0};
    char address[INET6_ADDRSTRLEN + 1];
    const size_t n = strcspn(value, " ");
    long polls[2];

    if (n >= sizeof(address))
        return false;
    memcpy(address, value, n);
    address[n] = '\0';
    if (inet_pton(AF_INET, address, server.address.bytes) == 1)
        server.address.family = 1;
    else if (inet_pton(AF_INET6, address, server.address.bytes) == 1)
        server.address.family = 2;
    else
        return false;
    value += n + strspn(value + n, " ");
    if (!config_value_parse_integers(value, ' ', 2, polls) || polls[0] < POLL_MIN ||
        polls[1] < polls[0] || polls[1] > POLL_MAX)
        return false;
    server.minpoll = (int32_t)polls[0];
    server.maxpoll = (int32_t)polls[1];
    *ret_server = server;
    return true;
}

void config_server_str(const struct recovery_server *server, char *ret_text, size_t size)
{
    char address[INET6_ADDRSTRLEN];

    inet_ntop(server->address.family == 1 ? AF_INET : AF_INET6, server->address.bytes, address,
        sizeof(address));
    snprintf(ret_text, size, "%s %" PRId32 " %" PRId32, address, server->minpoll, server->maxpoll);
}

static const char *parse_boost(
    const struct config_key *key, const char *value, struct config *config)
{
    struct recovery_config *r = &config->tracker.recovery;
    struct recovery_server server;

    config->boost_own = strcmp(value, "own") == 0;
    if (config->boost_own || strcmp(value, "none") == 0) {
        r->n_servers = 0;
        return NULL;
    }
    if (!config_parse_server(value, &server))
        return key->expected;
    if (r->n_servers == RECOVERY_SERVERS_MAX)
        return "at most 16 servers";
    for (unsigned i = 0; i < r->n_servers; i++)
        if (chrony_address_equal(&r->servers[i].address, &server.address))
            return "each server only once";
    r->servers[r->n_servers++] = server;
    return NULL;
}

void config_print_server(const struct config *config, unsigned n, FILE *to)
{
    char text[CONFIG_SERVER_MAX];

    config_server_str(&config->tracker.recovery.servers[n], text, sizeof(text));
    fputs(text, to);
}

static void print_boost(const struct config_key *key, const struct config *config, FILE *to)
{
    (void)key;
    if (config->boost_own)
        fputs("own", to);
    else if (config->tracker.recovery.n_servers == 0)
        fputs("none", to);
    else
        config_print_server(config, 0, to);
}

/* PATH, and what the clock there shows. */
static const char *parse_ptp_clock(
    const struct config_key *key, const char *value, struct config *config)
{
    struct ptp_clock_config ptp = {.used = true, .scale = PTP_SCALE_SECONDS};
    const size_t n = strcspn(value, " \t");
    const char *scale = value + n + strspn(value + n, " \t"), *end;
    double seconds;

    config->ptp_auto = strcmp(value, "auto") == 0;
    if (config->ptp_auto || strcmp(value, "none") == 0) {
        config->ptp_clock[0] = '\0';
        config->tracker.ptp = (struct ptp_clock_config){.used = false};
        return NULL;
    }
    if (value[0] != '/' || n >= sizeof(config->ptp_clock))
        return key->expected;
    if (strcmp(scale, "tai") == 0) {
        ptp.scale = PTP_SCALE_TAI;
    } else if (scale[0] && strcmp(scale, "utc") != 0) {
        const bool negative = scale[0] == '-';

        if (!config_parse_number(scale + negative, &end, &seconds) || *end || seconds > 1e6)
            return key->expected;
        ptp.ahead_sec = negative ? -seconds : seconds;
    }
    snprintf(config->ptp_clock, sizeof(config->ptp_clock), "%.*s", (int)n, value);
    config->tracker.ptp = ptp;
    return NULL;
}

static void print_ptp_clock(const struct config_key *key, const struct config *config, FILE *to)
{
    const struct ptp_clock_config *ptp = &config->tracker.ptp;

    (void)key;
    if (config->ptp_auto)
        fputs("auto", to);
    else if (!config->ptp_clock[0])
        fputs("none", to);
    else if (ptp->scale == PTP_SCALE_TAI)
        fprintf(to, "%s tai", config->ptp_clock);
    else if (ptp->ahead_sec != 0)
        fprintf(to, "%s %.12g", config->ptp_clock, ptp->ahead_sec);
    else
        fprintf(to, "%s utc", config->ptp_clock);
}

static const char *parse_refid(
    const struct config_key *key, const char *value, struct config *config)
{
    /* Comments begin with these two. */
    if (strpbrk(value, "#;") || !chrony_refid_parse(value, &config->tracker.refid))
        return key->expected;
    snprintf(config->refid, sizeof(config->refid), "%s", value);
    return NULL;
}

/* --- the keys ------------------------------------------------------------------------------ */

#define AT(member) offsetof(struct config, member)
#define PATH(name, default_text, member, beside, max, expected)                                    \
    {                                                                                              \
        name, config_value_parse_path, config_value_print_text, default_text, AT(member), beside,  \
            max, expected, false                                                                   \
    }
#define DURATION(name, default_text, member, min, max, expected)                                   \
    {                                                                                              \
        name, config_value_parse_duration, config_value_print_duration, default_text, AT(member),  \
            min, max, expected, false                                                              \
    }
#define BOOL(name, default_text, member)                                                           \
    {                                                                                              \
        name, config_value_parse_bool, config_value_print_bool, default_text, AT(member), 0, 0,    \
            "yes or no", false                                                                     \
    }

const struct config_key config_keys[] = {
    PATH("device", "/dev/vmclock0", device, 0, CONFIG_PATH_MAX, "an absolute path"),
    PATH("sock", SOCK_SENDER_PATH, sock, 0, SOCKET_PATH_MAX,
        "an absolute path of at most 107 bytes"),
    PATH("command-socket", "/run/chrony/chronyd.sock", command_socket, OWN_SOCKET_BYTES,
        SOCKET_PATH_MAX,
        "an absolute path of at most 107 bytes, 85 of them its directory, where vmclockd's own "
        "socket has to fit"),
    PATH("state-file", "/run/vmclockd/state", state_file, 0, REPLACED_MAX, "an absolute path"),
    {"metrics-file", parse_metrics_file, print_metrics_file, "none", AT(metrics_file), 0,
        REPLACED_MAX, "an absolute path that ends in .prom, or none", false},
    DURATION("watch-interval", "10ms", tracker.watch_interval_ns, 1e6, 10e9,
        "a duration of 1ms to 10s, " CONFIG_VALUE_UNITS),
    DURATION("sample-interval", "50ms", tracker.sample_interval_ns, 1e6, 60e9,
        "a duration of 1ms to 60s, " CONFIG_VALUE_UNITS),
    {"readings", config_value_parse_count, config_value_print_count, "16", AT(readings), 1,
        CROSS_TIMESTAMPS_MAX, "a whole number from 1 to 64", false},
    {"step", parse_step, print_step, "always", 0, 0, 0, "always, forward or never", false},
    BOOL("correct-frequency", "yes", tracker.correct_frequency),
    BOOL("correct-at-start", "yes", tracker.correct_at_start),
    DURATION("max-step", "3650d", tracker.recovery.step_max_ns, 1e3, 36500 * 86400e9,
        "a duration of 1us to 36500d, " CONFIG_VALUE_UNITS),
    {"max-rate", config_value_parse_real, config_value_print_real, "1000",
        AT(tracker.recovery.rate_max_ppm), 0.001, 100000, "ppm, from 0.001 to 100000", false},
    {"chrony-conf", parse_chrony_conf, print_chrony_conf, "auto", AT(chrony_conf), 0,
        CONFIG_PATH_MAX, "an absolute path, or auto", false},
    {"makestep", parse_makestep, print_makestep, "1 3", 0, 0, 1e9,
        "a threshold in seconds and a limit of updates (-1 for no limit), as in chrony.conf, "
        "or none",
        false},
    {"burst", parse_burst, print_burst, "4/8", 0, 0, 1000, "GOOD/TOTAL, 1/1 to 1000/1000, or none",
        false},
    {"boost", parse_boost, print_boost, "own", 0, -7, 24,
        "own, none, or ADDRESS MINPOLL MAXPOLL: an IPv4 or IPv6 address and its poll range in "
        "chrony.conf, -7 to 24",
        true},
    {"ptp-clock", parse_ptp_clock, print_ptp_clock, "auto", 0, 0, 0,
        "auto, none, or the absolute path of a PTP clock and utc, tai or by how many seconds it is "
        "ahead of UTC",
        false},
    {"clock-file", config_value_parse_optional_path, config_value_print_optional_path,
        "/run/vmclockd/clock", AT(clock_file), 0, CONFIG_PATH_MAX, "an absolute path, or none",
        false},
    {"clockbound", config_value_parse_optional_path, config_value_print_optional_path, "none",
        AT(clockbound), 0, CONFIG_PATH_MAX, "an absolute path, or none", false},
    BOOL("clockbound-marker", "no", clockbound_marker),
    {"max-drift", config_value_parse_ppm, config_value_print_ppm, "50ppm",
        AT(tracker.max_drift_ppm), 0.001, 100000, "ppm, from 0.001 to 100000, as 50ppm", false},
    BOOL("accept-freerunning", "yes", tracker.reader.accept_freerunning),
    DURATION("max-error", "0", tracker.max_error_ns, 0, 86400e9,
        "0 for no limit, or a duration of at most 1d, " CONFIG_VALUE_UNITS),
    {"refid", parse_refid, config_value_print_text, "VMCL", AT(refid), 0, 0,
        "1 to 4 printable characters but # and ;", false},
};

const size_t config_n_keys = sizeof(config_keys) / sizeof(config_keys[0]);

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) <= CONFIG_KEYS_MAX,
    "struct config says of each key where it was set");

const char *config_key_path(const struct config_key *key, const struct config *config)
{
    const char *path = (const char *)config + key->offset;

    if (key->parse != config_value_parse_path && key->parse != parse_metrics_file &&
        key->parse != config_value_parse_optional_path)
        return NULL;
    return path[0] ? path : NULL;
}

bool config_key_is_replaced(const struct config_key *key)
{
    return key->offset == AT(state_file) || key->offset == AT(metrics_file);
}

const char *config_key_near(const char *name)
{
    unsigned nearest = (unsigned)strlen(name) / 3 + 1;
    const char *found = NULL;

    for (size_t i = 0; i < config_n_keys; i++) {
        const unsigned distance = edit_distance(name, config_keys[i].name);

        if (distance < nearest) {
            nearest = distance;
            found = config_keys[i].name;
        }
    }
    return found;
}
