/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SOCKET_PATH_MAX  (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define OWN_SOCKET_BYTES 22 /* "/vmclockd.4194304.sock" */
#define LINE_MAX_BYTES   512

struct key {
    const char *name;
    /* Parse `value` into the configuration; returns what is allowed where it is not. */
    const char *(*parse)(const struct key *key, const char *value, struct config *config);
    void (*print)(const struct key *key, const struct config *config, FILE *to);
    const char *fallback; /* the default, as it would be written; NULL: none */
    size_t at;            /* of the field in struct config */
    double minimum, maximum;
    const char *allowed;
    bool repeatable;
};

static void *field(const struct key *key, struct config *config)
{
    return (char *)config + key->at;
}

static const void *const_field(const struct key *key, const struct config *config)
{
    return (const char *)config + key->at;
}

/* --- kinds of values ----------------------------------------------------------------------- */

static const char *parse_path(const struct key *key, const char *value, struct config *config)
{
    const char *slash = strrchr(value, '/');
    const size_t n = strlen(value);

    if (value[0] != '/' || n >= CONFIG_PATH_MAX || (double)n > key->maximum)
        return key->allowed;
    if (key->minimum > 0 && (double)(slash - value) + key->minimum > key->maximum)
        return key->allowed; /* something else has to fit beside it */
    memcpy(field(key, config), value, n + 1);
    return NULL;
}

static void print_text(const struct key *key, const struct config *config, FILE *to)
{
    fputs(const_field(key, config), to);
}

/* node-exporter reads no other names; a temporary file beside it must not be one of them. */
static const char *parse_metrics_file(
    const struct key *key, const char *value, struct config *config)
{
    const size_t n = strlen(value);

    if (strcmp(value, "none") == 0) {
        config->metrics_file[0] = '\0';
        return NULL;
    }
    if (n < 6 || strcmp(value + n - 5, ".prom") != 0)
        return key->allowed;
    return parse_path(key, value, config);
}

static void print_metrics_file(const struct key *key, const struct config *config, FILE *to)
{
    (void)key;
    fputs(config->metrics_file[0] ? config->metrics_file : "none", to);
}

static const struct {
    const char *name;
    double ns;
} units[] = {
    {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

bool config_parse_number(const char *value, const char **ret_end, double *ret_number)
{
    const size_t n = strspn(value, "0123456789.");
    char *end;

    if (n == 0)
        return false;
    *ret_number = strtod(value, &end);
    *ret_end = value + n;
    return end == *ret_end;
}

static const char *parse_duration(const struct key *key, const char *value, struct config *config)
{
    const char *unit;
    double number, ns = -1;

    if (!config_parse_number(value, &unit, &number))
        return key->allowed;
    if (*unit == '\0' && number == 0 && key->minimum == 0)
        ns = 0;
    for (size_t i = 0; i < N_UNITS; i++)
        if (strcmp(unit, units[i].name) == 0)
            ns = rint(number * units[i].ns);
    if (ns < key->minimum || ns > key->maximum)
        return key->allowed;
    *(int64_t *)field(key, config) = (int64_t)ns;
    return NULL;
}

static void print_duration(const struct key *key, const struct config *config, FILE *to)
{
    const int64_t ns = *(const int64_t *)const_field(key, config);
    size_t i = N_UNITS;

    if (ns == 0) {
        fputs("0", to);
        return;
    }
    while (--i > 0 && ns % (int64_t)units[i].ns != 0)
        ;
    fprintf(to, "%" PRId64 "%s", ns / (int64_t)units[i].ns, units[i].name);
}

static const char *parse_count(const struct key *key, const char *value, struct config *config)
{
    const char *end;
    double number;

    if (!config_parse_number(value, &end, &number) || *end || number != floor(number) ||
        number < key->minimum || number > key->maximum)
        return key->allowed;
    *(unsigned *)field(key, config) = (unsigned)number;
    return NULL;
}

static void print_count(const struct key *key, const struct config *config, FILE *to)
{
    fprintf(to, "%u", *(const unsigned *)const_field(key, config));
}

static const char *parse_real(const struct key *key, const char *value, struct config *config)
{
    const char *end;
    double number;

    if (!config_parse_number(value, &end, &number) || *end || number < key->minimum ||
        number > key->maximum)
        return key->allowed;
    *(double *)field(key, config) = number;
    return NULL;
}

static void print_real(const struct key *key, const struct config *config, FILE *to)
{
    fprintf(to, "%g", *(const double *)const_field(key, config));
}

static const char *parse_bool(const struct key *key, const char *value, struct config *config)
{
    const bool yes = strcmp(value, "yes") == 0;

    if (!yes && strcmp(value, "no") != 0)
        return key->allowed;
    *(bool *)field(key, config) = yes;
    return NULL;
}

static void print_bool(const struct key *key, const struct config *config, FILE *to)
{
    fputs(*(const bool *)const_field(key, config) ? "yes" : "no", to);
}

static const char *const step_names[] = {"always", "forward", "never"};

static const char *parse_step(const struct key *key, const char *value, struct config *config)
{
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, step_names[i]) == 0) {
            config->tracker.recovery.step = (enum recovery_step_policy)i;
            return NULL;
        }
    }
    return key->allowed;
}

static void print_step(const struct key *key, const struct config *config, FILE *to)
{
    (void)key;
    fputs(step_names[config->tracker.recovery.step], to);
}

/* Whole numbers separated by `separator`, nothing behind the last. */
static bool parse_integers(const char *value, char separator, unsigned n, long *ret_numbers)
{
    for (unsigned i = 0; i < n; i++) {
        char *end;

        if (isspace((unsigned char)*value) && separator != ' ')
            return false;
        errno = 0;
        ret_numbers[i] = strtol(value, &end, 10);
        if (end == value || errno)
            return false;
        if (i + 1 < n ? *end != separator : *end != '\0')
            return false;
        value = end + 1;
    }
    return true;
}

static const char *parse_makestep(const struct key *key, const char *value, struct config *config)
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
        !parse_integers(rest + 1 + strspn(rest + 1, " "), ' ', 1, &limit) ||
        threshold > key->maximum || limit < -1 || limit > 1000000)
        return key->allowed;
    r->makestep_threshold_sec = threshold;
    r->makestep_limit = (int32_t)limit;
    return NULL;
}

static void print_makestep(const struct key *key, const struct config *config, FILE *to)
{
    const struct recovery_config *r = &config->tracker.recovery;

    (void)key;
    if (r->makestep_limit == 0)
        fputs("none", to);
    else
        fprintf(to, "%g %" PRId32, r->makestep_threshold_sec, r->makestep_limit);
}

static const char *parse_burst(const struct key *key, const char *value, struct config *config)
{
    struct recovery_config *r = &config->tracker.recovery;
    long numbers[2];

    if (strcmp(value, "none") == 0) {
        r->burst_good = r->burst_total = 0;
        return NULL;
    }
    if (!parse_integers(value, '/', 2, numbers) || numbers[0] < 1 || numbers[1] < numbers[0] ||
        numbers[1] > (long)key->maximum)
        return key->allowed;
    r->burst_good = (int32_t)numbers[0];
    r->burst_total = (int32_t)numbers[1];
    return NULL;
}

static void print_burst(const struct key *key, const struct config *config, FILE *to)
{
    const struct recovery_config *r = &config->tracker.recovery;

    (void)key;
    if (r->burst_total == 0)
        fputs("none", to);
    else
        fprintf(to, "%" PRId32 "/%" PRId32, r->burst_good, r->burst_total);
}

static const char *parse_boost(const struct key *key, const char *value, struct config *config)
{
    struct recovery_config *r = &config->tracker.recovery;
    struct recovery_server server = {0};
    char address[INET6_ADDRSTRLEN + 1];
    const size_t n = strcspn(value, " ");
    long polls[2];

    if (n >= sizeof(address))
        return key->allowed;
    memcpy(address, value, n);
    address[n] = '\0';
    if (inet_pton(AF_INET, address, server.address.bytes) == 1)
        server.address.family = 1;
    else if (inet_pton(AF_INET6, address, server.address.bytes) == 1)
        server.address.family = 2;
    else
        return key->allowed;
    value += n + strspn(value + n, " ");
    if (!parse_integers(value, ' ', 2, polls) || polls[0] < (long)key->minimum ||
        polls[1] < polls[0] || polls[1] > (long)key->maximum)
        return key->allowed;
    if (r->n_servers == RECOVERY_SERVERS_MAX)
        return "at most 16 servers";
    for (unsigned i = 0; i < r->n_servers; i++)
        if (chrony_address_equal(&r->servers[i].address, &server.address))
            return "each server only once";
    server.minpoll = (int32_t)polls[0];
    server.maxpoll = (int32_t)polls[1];
    r->servers[r->n_servers++] = server;
    return NULL;
}

static void print_boost(const struct key *key, const struct config *config, FILE *to)
{
    const struct recovery_config *r = &config->tracker.recovery;

    for (unsigned i = 0; i < r->n_servers; i++) {
        const struct recovery_server *server = &r->servers[i];
        char address[INET6_ADDRSTRLEN];

        inet_ntop(server->address.family == 1 ? AF_INET : AF_INET6, server->address.bytes, address,
            sizeof(address));
        if (i > 0)
            fprintf(to, "\n%s = ", key->name);
        fprintf(to, "%s %" PRId32 " %" PRId32, address, server->minpoll, server->maxpoll);
    }
}

static const char *parse_refid(const struct key *key, const char *value, struct config *config)
{
    /* Comments begin with these two. */
    if (strpbrk(value, "#;") || !chrony_refid_parse(value, &config->tracker.refid))
        return key->allowed;
    snprintf(config->refid, sizeof(config->refid), "%s", value);
    return NULL;
}

/* --- the keys ------------------------------------------------------------------------------ */

#define AT(member) offsetof(struct config, member)
#define PATH(name, fallback, member, beside, max, allowed)                                         \
    {                                                                                              \
        name, parse_path, print_text, fallback, AT(member), beside, max, allowed, false            \
    }
#define DURATION(name, fallback, member, min, max, allowed)                                        \
    {                                                                                              \
        name, parse_duration, print_duration, fallback, AT(member), min, max, allowed, false       \
    }
#define BOOL(name, fallback, member)                                                               \
    {                                                                                              \
        name, parse_bool, print_bool, fallback, AT(member), 0, 0, "yes or no", false               \
    }

static const struct key keys[] = {
    PATH("device", "/dev/vmclock0", device, 0, CONFIG_PATH_MAX, "an absolute path"),
    PATH("sock", "/run/chrony.vmclock.sock", sock, 0, SOCKET_PATH_MAX,
        "an absolute path of at most 107 bytes"),
    PATH("command-socket", "/run/chrony/chronyd.sock", command_socket, OWN_SOCKET_BYTES,
        SOCKET_PATH_MAX,
        "an absolute path of at most 107 bytes, 85 of them its directory, where vmclockd's own "
        "socket has to fit"),
    PATH("state-file", "/run/vmclockd/state", state_file, 0, CONFIG_PATH_MAX - 8,
        "an absolute path"),
    {"metrics-file", parse_metrics_file, print_metrics_file, "none", AT(metrics_file), 0,
        CONFIG_PATH_MAX - 8, "an absolute path that ends in .prom, or none", false},
    DURATION("watch-interval", "10ms", tracker.watch_interval_ns, 1e6, 10e9,
        "a duration of 1ms to 10s, with its unit"),
    DURATION("sample-interval", "50ms", tracker.sample_interval_ns, 1e6, 60e9,
        "a duration of 1ms to 60s, with its unit"),
    {"readings", parse_count, print_count, "16", AT(readings), 1, CROSS_TIMESTAMPS_MAX,
        "a whole number from 1 to 64", false},
    {"step", parse_step, print_step, "always", 0, 0, 0, "always, forward or never", false},
    BOOL("correct-frequency", "yes", tracker.correct_frequency),
    BOOL("correct-at-start", "yes", tracker.correct_at_start),
    DURATION("max-step", "3650d", tracker.recovery.step_max_ns, 1e3, 36500 * 86400e9,
        "a duration of 1us to 36500d, with its unit"),
    {"max-rate", parse_real, print_real, "1000", AT(tracker.recovery.rate_max_ppm), 0.001, 100000,
        "ppm, from 0.001 to 100000", false},
    {"makestep", parse_makestep, print_makestep, "1 3", 0, 0, 1e9,
        "as in chrony.conf: a threshold in seconds and a limit of updates (-1 for no limit), "
        "or none",
        false},
    {"burst", parse_burst, print_burst, "4/8", 0, 0, 1000, "GOOD/TOTAL, 1/1 to 1000/1000, or none",
        false},
    {"boost", parse_boost, print_boost, NULL, 0, -7, 24,
        "ADDRESS MINPOLL MAXPOLL: an IPv4 or IPv6 address and its poll range in chrony.conf, "
        "-7 to 24",
        true},
    BOOL("accept-freerunning", "yes", tracker.reader.accept_freerunning),
    DURATION("max-error", "0", tracker.max_error_ns, 0, 86400e9,
        "a duration of at most 1d, with its unit, or 0 for no limit"),
    {"refid", parse_refid, print_text, "VMCL", AT(refid), 0, 0,
        "1 to 4 printable characters but # and ;", false},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

_Static_assert(N_KEYS <= CONFIG_KEYS_MAX, "struct config has a line number for each key");

/* --- the file ------------------------------------------------------------------------------ */

struct reader {
    FILE *stream;
    const char *name;
    unsigned line, mistakes;
    bool bad_line; /* said already; inih is shown an empty one */
    void (*complain)(const char *sentence);
    struct config *config;
};

static void mistake(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void mistake(struct reader *reader, const char *format, ...)
{
    char sentence[LINE_MAX_BYTES + CONFIG_PATH_MAX];
    int n = snprintf(sentence, sizeof(sentence), "%s:%u: ", reader->name, reader->line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence + n, sizeof(sentence) - (size_t)n, format, arguments);
    va_end(arguments);
    reader->mistakes++;
    reader->complain(sentence);
}

/*
 * inih's source of lines. It does here what inih would not: count lines, refuse what is too long
 * for it, and take an indented line for itself rather than for the rest of the one before.
 */
static char *next_line(char *buffer, int size, void *context)
{
    struct reader *reader = context;
    char line[LINE_MAX_BYTES];
    size_t n = 0, start = 0;
    int c;

    while ((c = fgetc(reader->stream)) != EOF && c != '\n') {
        if (n < sizeof(line) - 1)
            line[n] = (char)c;
        n++;
    }
    if (c == EOF && n == 0)
        return NULL;
    reader->line++;
    buffer[0] = '\0';
    if (n >= sizeof(line) - 1) {
        mistake(reader, "the line has over %zu bytes", sizeof(line) - 2);
        return buffer;
    }
    if (memchr(line, '\0', n)) {
        mistake(reader, "the line has a NUL byte");
        return buffer;
    }
    for (size_t i = 1; i < n; i++)
        if (line[i] == '#' && isspace((unsigned char)line[i - 1]))
            n = i; /* a comment behind the value */
    while (start < n && isspace((unsigned char)line[start]))
        start++;
    while (n > start && isspace((unsigned char)line[n - 1]))
        n--;
    line[n] = '\0';
    if (n - start >= (size_t)size) {
        mistake(reader, "the line has over %d bytes", size - 1);
        return buffer;
    }
    if (line[start] == '[') {
        mistake(reader, "there are no sections here: \"%s\"", line + start);
        return buffer;
    }
    if (n > start && line[start] != '#' && line[start] != ';' &&
        line[start + strcspn(line + start, "=:")] != '=') { /* inih would take a ':' as well */
        mistake(reader, "not a \"key = value\" line: \"%s\"", line + start);
        return buffer;
    }
    memcpy(buffer, line + start, n - start + 1);
    return buffer;
}

static int take_value(void *context, const char *section, const char *name, const char *value)
{
    struct reader *reader = context;
    const char *allowed;

    (void)section;
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(name, keys[i].name) != 0)
            continue;
        if (reader->config->lines[i] && !keys[i].repeatable) {
            mistake(reader, "%s: set twice, before in line %u", name, reader->config->lines[i]);
            return 1;
        }
        reader->config->lines[i] = reader->line;
        allowed = keys[i].parse(&keys[i], value, reader->config);
        if (allowed)
            mistake(reader, "%s: \"%s\" is not allowed; it takes %s", name, value, allowed);
        return 1;
    }
    mistake(reader, "%s: unknown key", name);
    return 1;
}

static int open_file(struct reader *reader, bool may_be_missing)
{
    char sentence[CONFIG_PATH_MAX + 128];
    struct stat status;
    int error = 0;

    reader->stream = fopen(reader->name, "re");
    if (!reader->stream || fstat(fileno(reader->stream), &status) < 0)
        error = errno;
    else if (S_ISDIR(status.st_mode))
        error = EISDIR;
    if (error == 0 || (error == ENOENT && may_be_missing))
        return 0;
    if (reader->stream)
        fclose(reader->stream);
    snprintf(sentence, sizeof(sentence), "%s: cannot read the configuration: %s", reader->name,
        strerror(error));
    reader->complain(sentence);
    return -error;
}

int config_read(const char *file, void (*complain)(const char *sentence), struct config *ret_config)
{
    struct config config = {0};
    struct reader reader = {
        .name = file ? file : CONFIG_DEFAULT_FILE, .complain = complain, .config = &config};
    int r;

    for (size_t i = 0; i < N_KEYS; i++)
        if (keys[i].fallback)
            keys[i].parse(&keys[i], keys[i].fallback, &config);
    r = open_file(&reader, file == NULL);
    if (r < 0)
        return r;
    snprintf(config.file, sizeof(config.file), "%s", reader.name);
    config.file_named = file != NULL;
    if (reader.stream) {
        ini_parse_stream(next_line, &reader, take_value, &reader);
        if (ferror(reader.stream))
            mistake(&reader, "cannot be read on: %s", strerror(EIO));
        fclose(reader.stream);
    }
    if (reader.mistakes)
        return -EINVAL;
    *ret_config = config;
    return 0;
}

void config_print(const struct config *config, FILE *to)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (keys[i].repeatable && config->lines[i] == 0)
            continue;
        fprintf(to, "%s = ", keys[i].name);
        keys[i].print(&keys[i], config, to);
        if (config->lines[i])
            fprintf(to, "  # %s:%u\n", config->file, config->lines[i]);
        else
            fputs("  # default\n", to);
    }
}
