/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmclocksim: serve a simulated vmclock device in a file, taking commands on standard input.
 *
 * Every command is answered by exactly one line on standard output, errors too (help excepted),
 * so that a script can write a line, read a line, and never wait in vain.
 */
#include "tests/sim/sim_page.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "unreleased"
#endif

#define NS_PER_S  1000000000
#define LINE_SIZE 512
#define MAX_WORDS 4
#define MAX_PPM   500000

#define FOR_EVER (-1)

static volatile sig_atomic_t stopped;

static void stop(int signo)
{
    (void)signo;
    stopped = 1;
}

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* Values as people write them */

#define DURATION_WANTED                                                                            \
    "a duration is a number with a unit, such as 5ms or -1.5s (ns us ms s m h d)"
#define POSITIVE_WANTED "here a duration is above zero, with a unit, such as 100ms or 1.5s"
#define PPM_WANTED      "a rate is a number of ppm between -500000 and 500000"
#define NUMBER_WANTED   "a number is decimal, or hexadecimal with 0x"

static bool parse_duration(const char *text, int64_t *ret_ns)
{
    static const struct {
        const char *unit;
        long double ns;
    } units[] = {
        {"ns", 1},
        {"us", 1e3L},
        {"ms", 1e6L},
        {"s", 1e9L},
        {"m", 60e9L},
        {"h", 3600e9L},
        {"d", 86400e9L},
    };
    char *end;
    const long double number = strtold(text, &end);

    if (end == text || !isfinite(number))
        return false;
    if (number == 0 && *end == '\0') { /* nothing needs no unit */
        *ret_ns = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        const long double ns = number * units[i].ns;

        if (strcmp(end, units[i].unit) != 0)
            continue;
        if (ns > 9e18L || ns < -9e18L)
            return false;
        *ret_ns = (int64_t)(ns < 0 ? ns - 0.5L : ns + 0.5L);
        return true;
    }
    return false;
}

static bool parse_positive(const char *text, int64_t *ret_ns)
{
    return parse_duration(text, ret_ns) && *ret_ns > 0;
}

static bool parse_ppm(const char *text, double *ret_ppm)
{
    char *end;
    const double ppm = strtod(text, &end);

    if (end == text || *end != '\0' || !(ppm >= -MAX_PPM && ppm <= MAX_PPM))
        return false;
    *ret_ppm = ppm;
    return true;
}

/* Negative numbers are accepted and wrap: a field is just bits. */
static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;

    errno = 0;
    *ret_number = strtoull(text, &end, 0);
    return end != text && *end == '\0' && errno == 0;
}

/* The page's name for a value; its number where it has none. */
struct name {
    const char *name;
    uint8_t value;
};

static const struct name status_names[] = {
    {"unknown", VMCLOCK_STATUS_UNKNOWN},
    {"initialising", VMCLOCK_STATUS_INITIALISING},
    {"synchronised", VMCLOCK_STATUS_SYNCHRONISED},
    {"freerunning", VMCLOCK_STATUS_FREERUNNING},
    {"unreliable", VMCLOCK_STATUS_UNRELIABLE},
    {NULL, 0},
};

static const struct name leap_names[] = {
    {"none", VMCLOCK_LEAP_NONE},
    {"pre-positive", VMCLOCK_LEAP_PRE_POSITIVE},
    {"pre-negative", VMCLOCK_LEAP_PRE_NEGATIVE},
    {"now", VMCLOCK_LEAP_NOW},
    {"post-positive", VMCLOCK_LEAP_POST_POSITIVE},
    {"post-negative", VMCLOCK_LEAP_POST_NEGATIVE},
    {NULL, 0},
};

static const struct name type_names[] = {
    {"utc", VMCLOCK_TIME_UTC},
    {"tai", VMCLOCK_TIME_TAI},
    {"monotonic", VMCLOCK_TIME_MONOTONIC},
    {"smeared", VMCLOCK_TIME_SMEARED},
    {"maybe-smeared", VMCLOCK_TIME_MAYBE_SMEARED},
    {NULL, 0},
};

static bool parse_name(const struct name *names, const char *text, uint8_t *ret_value)
{
    uint64_t number;

    for (const struct name *n = names; n->name != NULL; n++) {
        if (strcmp(n->name, text) == 0) {
            *ret_value = n->value;
            return true;
        }
    }
    if (!parse_number(text, &number) || number > UINT8_MAX)
        return false;
    *ret_value = (uint8_t)number;
    return true;
}

static const char *name_of(const struct name *names, uint64_t value)
{
    for (const struct name *n = names; n->name != NULL; n++)
        if (n->value == value)
            return n->name;
    return "not in the specification";
}

/* Commands: NULL when done and answered, else what is allowed. */

static uint64_t marker_of(const struct sim_page *sim)
{
    return sim_page_get(sim, VMCLOCK_AT_DISRUPTION_MARKER);
}

static const char *parse_jump(int argc, char **argv, int64_t *ret_offset_ns, double *ret_ppm)
{
    *ret_offset_ns = 0;
    *ret_ppm = 0;
    if (argc > 0 && !parse_duration(argv[0], ret_offset_ns))
        return DURATION_WANTED;
    if (argc > 1 && !parse_ppm(argv[1], ret_ppm))
        return PPM_WANTED;
    return NULL;
}

static const char *explain(int r)
{
    switch (r) {
    case 0: return NULL;
    case -ENOTSUP: return "needs a clock, and this page has only the marker";
    case -ERANGE: return "the value does not fit into the field";
    default: return strerror(-r);
    }
}

static const char *do_migrate(struct sim_page *sim, int argc, char **argv)
{
    int64_t offset_ns;
    double ppm;
    const char *wanted = parse_jump(argc, argv, &offset_ns, &ppm);

    if (wanted != NULL)
        return wanted;
    if (argc > 0 && !sim_page_has_clock(sim))
        return explain(-ENOTSUP);
    sim_page_migrate(sim, offset_ns, ppm);
    printf("migrated: marker 0x%" PRIx64 ", clock moved by %+" PRId64 " ns and %+g ppm\n",
        marker_of(sim), offset_ns, ppm);
    return NULL;
}

static const char *do_late(struct sim_page *sim, int argc, char **argv)
{
    int64_t delay_ns, offset_ns;
    double ppm;
    const char *wanted = parse_jump(argc - 1, argv + 1, &offset_ns, &ppm);

    if (!parse_positive(argv[0], &delay_ns))
        return POSITIVE_WANTED;
    if (wanted != NULL)
        return wanted;
    wanted = explain(sim_page_late(sim, now_ns(), delay_ns, offset_ns, ppm));
    if (wanted == NULL)
        printf("marker 0x%" PRIx64 " now, clock moved by %+" PRId64 " ns and %+g ppm in the page "
               "in %" PRId64 " ns\n",
            marker_of(sim), offset_ns, ppm, delay_ns);
    return wanted;
}

static const char *do_stale(struct sim_page *sim, int argc, char **argv)
{
    int64_t delay_ns;

    if (!parse_positive(argv[0], &delay_ns))
        return POSITIVE_WANTED;
    /* The old host's last words, then the new host's marker: late with nothing old-looking. */
    if (sim_page_has_clock(sim))
        sim_page_update(sim);
    return do_late(sim, argc, argv);
}

static const char *do_early(struct sim_page *sim, int argc, char **argv)
{
    int64_t delay_ns, offset_ns;
    double ppm;
    const char *wanted = parse_jump(argc - 1, argv + 1, &offset_ns, &ppm);

    if (!parse_positive(argv[0], &delay_ns))
        return POSITIVE_WANTED;
    if (wanted != NULL)
        return wanted;
    wanted = explain(sim_page_early(sim, now_ns(), delay_ns, offset_ns, ppm));
    if (wanted == NULL)
        printf("clock moved by %+" PRId64 " ns and %+g ppm now, marker 0x%" PRIx64 " in %" PRId64
               " ns\n",
            offset_ns, ppm, marker_of(sim) + 1, delay_ns);
    return wanted;
}

static const char *do_marker(struct sim_page *sim, int argc, char **argv)
{
    (void)argc, (void)argv;
    sim_page_marker(sim);
    printf("marker 0x%" PRIx64 "\n", marker_of(sim));
    return NULL;
}

static const char *do_flap(struct sim_page *sim, int argc, char **argv)
{
    int64_t period_ns, duration_ns;

    (void)argc;
    if (!parse_positive(argv[0], &period_ns) || !parse_positive(argv[1], &duration_ns))
        return POSITIVE_WANTED;
    sim_page_flap(sim, now_ns(), period_ns, duration_ns);
    printf("marker changes every %" PRId64 " ns for %" PRId64 " ns\n", period_ns, duration_ns);
    return NULL;
}

static const char *do_generation(struct sim_page *sim, int argc, char **argv)
{
    (void)argc, (void)argv;
    sim_page_generation(sim);
    printf("generation %" PRIu64 "\n", sim_page_get(sim, VMCLOCK_AT_VM_GENERATION));
    return NULL;
}

static const char *do_step(struct sim_page *sim, int argc, char **argv)
{
    int64_t offset_ns;
    const char *wanted;

    (void)argc;
    if (!parse_duration(argv[0], &offset_ns))
        return DURATION_WANTED;
    wanted = explain(sim_page_adjust(sim, offset_ns, 0));
    if (wanted == NULL)
        printf("clock stepped by %+" PRId64 " ns, marker unchanged\n", offset_ns);
    return wanted;
}

static const char *do_drift(struct sim_page *sim, int argc, char **argv)
{
    double ppm;
    const char *wanted;

    (void)argc;
    if (!parse_ppm(argv[0], &ppm))
        return PPM_WANTED;
    wanted = explain(sim_page_adjust(sim, 0, ppm));
    if (wanted == NULL)
        printf("rate changed by %+g ppm, marker unchanged\n", ppm);
    return wanted;
}

static const char *do_update(struct sim_page *sim, int argc, char **argv)
{
    const char *wanted = explain(sim_page_update(sim));

    (void)argc, (void)argv;
    if (wanted == NULL)
        printf("reference rewritten at counter %" PRIu64 "\n",
            sim_page_get(sim, VMCLOCK_AT_COUNTER_VALUE));
    return wanted;
}

static const char *do_lead(struct sim_page *sim, int argc, char **argv)
{
    int64_t lead_ns;
    const char *wanted;

    (void)argc;
    if (!parse_duration(argv[0], &lead_ns))
        return DURATION_WANTED;
    wanted = explain(sim_page_lead(sim, lead_ns));
    if (wanted == NULL)
        printf("reference written %+" PRId64 " ns from the present\n", lead_ns);
    return wanted;
}

static const char *do_bounds(struct sim_page *sim, int argc, char **argv)
{
    int64_t time_ns = -1;
    double ppm = -1;

    if (strcmp(argv[0], "none") != 0) {
        if (!parse_duration(argv[0], &time_ns) || time_ns < 0)
            return "a bound is a duration such as 100ns, or none";
        if (argc > 1 && (!parse_ppm(argv[1], &ppm) || ppm < 0))
            return "a rate's bound is a number of ppm from 0 to 500000";
    }
    sim_page_bounds(sim, time_ns, ppm);
    if (time_ns < 0)
        printf("bounds none\n");
    else if (ppm < 0)
        printf("bounds %" PRId64 " ns, of the rate none\n", time_ns);
    else
        printf("bounds %" PRId64 " ns and %g ppm\n", time_ns, ppm);
    return NULL;
}

static const char *do_status(struct sim_page *sim, int argc, char **argv)
{
    uint8_t status;

    (void)argc;
    if (!parse_name(status_names, argv[0], &status))
        return "a status is unknown, initialising, synchronised, freerunning, unreliable, or "
               "0..255";
    sim_page_set(sim, VMCLOCK_AT_CLOCK_STATUS, status);
    printf("status %u (%s)\n", status, name_of(status_names, status));
    return NULL;
}

static const char *do_leap(struct sim_page *sim, int argc, char **argv)
{
    uint8_t leap;

    (void)argc;
    if (!parse_name(leap_names, argv[0], &leap))
        return "a leap indicator is none, pre-positive, pre-negative, now, post-positive, "
               "post-negative, or 0..255";
    sim_page_set(sim, VMCLOCK_AT_LEAP_INDICATOR, leap);
    printf("leap indicator %u (%s)\n", leap, name_of(leap_names, leap));
    return NULL;
}

static const char *do_type(struct sim_page *sim, int argc, char **argv)
{
    uint8_t type;

    (void)argc;
    if (!parse_name(type_names, argv[0], &type))
        return "a time type is utc, tai, monotonic, smeared, maybe-smeared, or 0..255";
    sim_page_time_type(sim, type);
    printf("time type %u (%s)\n", type, name_of(type_names, type));
    return NULL;
}

static const char *do_tai(struct sim_page *sim, int argc, char **argv)
{
    char *end;
    long offset_sec;

    (void)argc;
    if (strcmp(argv[0], "none") == 0) {
        sim_page_set_flags(sim, 0, VMCLOCK_FLAG_TAI_OFFSET_VALID);
        printf("TAI offset not valid\n");
        return NULL;
    }
    offset_sec = strtol(argv[0], &end, 10);
    if (end == argv[0] || *end != '\0' || offset_sec < INT16_MIN || offset_sec > INT16_MAX)
        return "a TAI offset is whole seconds from -32768 to 32767, or none";
    sim_page_set(sim, VMCLOCK_AT_TAI_OFFSET_SEC, (uint16_t)offset_sec);
    sim_page_set_flags(sim, VMCLOCK_FLAG_TAI_OFFSET_VALID, 0);
    printf("TAI offset %ld s\n", offset_sec);
    return NULL;
}

static const char *do_soon(struct sim_page *sim, int argc, char **argv)
{
    (void)argc, (void)argv;
    sim_page_set_flags(sim, VMCLOCK_FLAG_DISRUPTION_SOON, VMCLOCK_FLAG_DISRUPTION_IMMINENT);
    printf("a disruption is announced within a day\n");
    return NULL;
}

static const char *do_imminent(struct sim_page *sim, int argc, char **argv)
{
    (void)argc, (void)argv;
    sim_page_set_flags(sim, VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT, 0);
    printf("a disruption is announced within an hour\n");
    return NULL;
}

static const char *do_calm(struct sim_page *sim, int argc, char **argv)
{
    (void)argc, (void)argv;
    sim_page_set_flags(sim, 0, VMCLOCK_FLAG_DISRUPTION_SOON | VMCLOCK_FLAG_DISRUPTION_IMMINENT);
    printf("no disruption is announced\n");
    return NULL;
}

static const char *do_torn(struct sim_page *sim, int argc, char **argv)
{
    int64_t for_ns = FOR_EVER;

    if (argc > 0 && !parse_positive(argv[0], &for_ns))
        return POSITIVE_WANTED;
    sim_page_torn(sim, now_ns(), for_ns);
    if (for_ns == FOR_EVER)
        printf("sequence count stays odd until mend\n");
    else
        printf("sequence count stays odd for %" PRId64 " ns\n", for_ns);
    return NULL;
}

static const char *do_truncate(struct sim_page *sim, int argc, char **argv)
{
    uint64_t bytes = 0;
    const char *wanted;

    if (argc > 0 && (!parse_number(argv[0], &bytes) || bytes >= SIM_PAGE_BYTES))
        return "a length is 0 to 4095 bytes";
    wanted = explain(sim_page_truncate(sim, (size_t)bytes));
    if (wanted == NULL)
        printf("file cut to %" PRIu64 " bytes until mend\n", bytes);
    return wanted;
}

static const char *do_mend(struct sim_page *sim, int argc, char **argv)
{
    const char *wanted = explain(sim_page_mend(sim));

    (void)argc, (void)argv;
    if (wanted == NULL)
        printf("page whole again, sequence count %" PRIu64 "\n",
            sim_page_get(sim, VMCLOCK_AT_SEQ_COUNT));
    return wanted;
}

static const char *do_set(struct sim_page *sim, int argc, char **argv)
{
    const struct sim_field *field = sim_field_find(argv[0]);
    static char names[LINE_SIZE * 2];
    size_t used = 0;
    uint64_t value;
    const char *wanted;

    (void)argc;
    if (field == NULL) {
        for (field = sim_fields; field->name != NULL; field++)
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                used == 0 ? "a field is one of " : " ", field->name);
        return names;
    }
    if (!parse_number(argv[1], &value))
        return NUMBER_WANTED;
    if (argv[1][0] == '-' && field->bytes < 8) /* as many bits as the field has */
        value &= ((uint64_t)1 << 8 * field->bytes) - 1;
    wanted = explain(sim_page_set(sim, field->at, value));
    if (wanted == NULL)
        printf("%s 0x%" PRIx64 "\n", field->name, value);
    return wanted;
}

static const char *do_show(struct sim_page *sim, int argc, char **argv)
{
    (void)argc, (void)argv;
    for (const struct sim_field *field = sim_fields; field->name != NULL; field++)
        printf("%s%s=0x%" PRIx64, field == sim_fields ? "" : " ", field->name,
            sim_page_get(sim, field->at));
    printf("\n");
    return NULL;
}

static const char *do_help(struct sim_page *sim, int argc, char **argv);
static const char *do_quit(struct sim_page *sim, int argc, char **argv)
{
    (void)sim, (void)argc, (void)argv;
    stopped = 1;
    printf("ending\n");
    return NULL;
}

static const struct command {
    const char *name;
    const char *arguments;
    int least, most; /* how many arguments */
    const char *(*run)(struct sim_page *sim, int argc, char **argv);
    const char *help;
} commands[] = {
    {"migrate", "[OFFSET [PPM]]", 0, 2, do_migrate, "marker + 1, clock moved by that, at once"},
    {"late", "DELAY [OFFSET [PPM]]", 1, 3, do_late, "marker now, the new formula later"},
    {"stale", "DELAY [OFFSET [PPM]]", 1, 3, do_stale, "old formula rewritten, then late"},
    {"early", "DELAY [OFFSET [PPM]]", 1, 3, do_early, "the new formula now, marker later"},
    {"marker", "", 0, 0, do_marker, "marker + 1, nothing else"},
    {"flap", "PERIOD DURATION", 2, 2, do_flap, "marker + 1 every PERIOD"},
    {"generation", "", 0, 0, do_generation, "VM generation + 1 (a clone), marker unchanged"},
    {"step", "OFFSET", 1, 1, do_step, "the host corrects its clock, marker unchanged"},
    {"drift", "PPM", 1, 1, do_drift, "the host corrects its rate, marker unchanged"},
    {"update", "", 0, 0, do_update, "rewrite the reference now"},
    {"lead", "DURATION", 1, 1, do_lead, "write references so far in the future"},
    {"bounds", "TIME [PPM] | none", 1, 2, do_bounds, "error bounds of time and rate"},
    {"status", "NAME|N", 1, 1, do_status, "clock status"},
    {"leap", "NAME|N", 1, 1, do_leap, "leap indicator"},
    {"type", "NAME|N", 1, 1, do_type, "time type"},
    {"tai", "SECONDS | none", 1, 1, do_tai, "TAI - UTC"},
    {"soon", "", 0, 0, do_soon, "announce a disruption within a day"},
    {"imminent", "", 0, 0, do_imminent, "announce a disruption within an hour"},
    {"calm", "", 0, 0, do_calm, "announce none"},
    {"torn", "[DURATION]", 0, 1, do_torn, "die within an update: sequence count odd"},
    {"truncate", "[BYTES]", 0, 1, do_truncate, "cut the file"},
    {"mend", "", 0, 0, do_mend, "undo torn and truncate"},
    {"set", "FIELD VALUE", 2, 2, do_set, "one raw field, named as in show"},
    {"show", "", 0, 0, do_show, "every field, on one line"},
    {"help", "", 0, 0, do_help, "this"},
    {"quit", "", 0, 0, do_quit, "end"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *do_help(struct sim_page *sim, int argc, char **argv)
{
    (void)sim, (void)argc, (void)argv;
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-10s %-20s  %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    return NULL;
}

static void run_line(struct sim_page *sim, char *line)
{
    static const char blanks[] = " \t\r";
    char *words[MAX_WORDS + 1], *rest = NULL;
    const char *wanted;
    int n = 0;

    line[strcspn(line, "#")] = '\0';
    for (char *w = strtok_r(line, blanks, &rest); w != NULL && n <= MAX_WORDS;
         w = strtok_r(NULL, blanks, &rest))
        words[n++] = w;
    if (n == 0)
        return;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const struct command *c = &commands[i];

        if (strcmp(c->name, words[0]) != 0)
            continue;
        if (n - 1 < c->least || n - 1 > c->most) {
            printf("error: %s: usage: %s %s\n", c->name, c->name, c->arguments);
            return;
        }
        wanted = c->run(sim, n - 1, words + 1);
        if (wanted != NULL)
            printf("error: %s: %s\n", c->name, wanted);
        return;
    }
    printf("error: %s: no such command; allowed are", words[0]);
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf(" %s", commands[i].name);
    printf("\n");
}

/* Standard input, cut into lines; a line that is too long is answered once and skipped. */
struct input {
    char line[LINE_SIZE];
    size_t used;
    bool skip;
};

static void input_take(struct input *in, struct sim_page *sim, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !stopped; i++) {
        if (bytes[i] != '\n') {
            if (in->used < sizeof(in->line) - 1)
                in->line[in->used++] = bytes[i];
            else
                in->skip = true;
            continue;
        }
        in->line[in->used] = '\0';
        if (in->skip)
            printf("error: a line is at most %d characters\n", LINE_SIZE - 1);
        else
            run_line(sim, in->line);
        in->used = 0;
        in->skip = false;
    }
}

/* Serve until quit, a signal, or the end of the input; 0 or -errno. */
static int serve(struct sim_page *sim, bool stay, const sigset_t *waiting_mask)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct input input = {.used = 0};
    char bytes[LINE_SIZE];

    while (!stopped) {
        const int64_t now = now_ns(), next = sim_page_run(sim, now);
        const int64_t wait_ns = next > now ? next - now : 0;
        const struct timespec timeout = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
        ssize_t n;

        if (ppoll(&in, 1, next == SIM_NEVER ? NULL : &timeout, waiting_mask) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (in.revents == 0)
            continue;
        n = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) {
            input_take(&input, sim, "\n", 1); /* a last line need not be ended */
            if (!stay)
                return 0;
            in.fd = -1;
        }
        input_take(&input, sim, bytes, (size_t)n);
        if (fflush(stdout) != 0)
            return -errno;
    }
    return 0;
}

static void usage(FILE *out)
{
    fprintf(out, "usage: vmclocksim [OPTIONS] FILE\n"
                 "Serve a simulated vmclock page in FILE; commands come on standard input.\n\n"
                 "  -m, --marker-only               no clock, as QEMU, Firecracker and EC2 today\n"
                 "  -u, --utc                       the page's time is UTC (default: TAI)\n"
                 "  -o, --offset DURATION           simulated time minus this machine's\n"
                 "  -p, --ppm PPM                   simulated rate against this machine's\n"
                 "  -i, --update-interval DURATION  of the host's rewrites (default: 100ms)\n"
                 "  -n, --no-update                 write once, then only on command\n"
                 "  -s, --stay                      keep serving after the end of the input\n"
                 "  -k, --keep                      leave the file in place at the end\n"
                 "  -h, --help                      this, and the commands\n"
                 "  -V, --version\n");
}

static int bad_usage(const char *what, const char *value, const char *wanted)
{
    fprintf(stderr, "vmclocksim: %s: %s: %s\n", what, value, wanted);
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"marker-only", no_argument, NULL, 'm'},
        {"utc", no_argument, NULL, 'u'},
        {"offset", required_argument, NULL, 'o'},
        {"ppm", required_argument, NULL, 'p'},
        {"update-interval", required_argument, NULL, 'i'},
        {"no-update", no_argument, NULL, 'n'},
        {"stay", no_argument, NULL, 's'},
        {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    struct sim_options options = {.update_interval_ns = 100000000};
    const struct sigaction on_stop = {.sa_handler = stop};
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t stopping, waiting_mask;
    struct sim_page *sim;
    bool stay = false, keep = false;
    const char *path;
    int c, r;

    while ((c = getopt_long(argc, argv, "muo:p:i:nskhV", long_options, NULL)) != -1) {
        switch (c) {
        case 'm': options.marker_only = true; break;
        case 'u': options.utc = true; break;
        case 'o':
            if (!parse_duration(optarg, &options.offset_ns))
                return bad_usage("--offset", optarg, DURATION_WANTED);
            break;
        case 'p':
            if (!parse_ppm(optarg, &options.ppm))
                return bad_usage("--ppm", optarg, PPM_WANTED);
            break;
        case 'i':
            if (!parse_positive(optarg, &options.update_interval_ns))
                return bad_usage("--update-interval", optarg, POSITIVE_WANTED);
            break;
        case 'n': options.update_interval_ns = 0; break;
        case 's': stay = true; break;
        case 'k': keep = true; break;
        case 'h':
            usage(stdout);
            printf("\nCommands:\n");
            do_help(NULL, 0, NULL);
            return EX_OK;
        case 'V': printf("vmclocksim %s\n", VERSION); return EX_OK;
        default: usage(stderr); return EX_USAGE;
        }
    }
    if (argc - optind != 1) {
        usage(stderr);
        return EX_USAGE;
    }
    path = argv[optind];

    /* Blocked except while waiting, so that none is missed and no write is cut in half. */
    sigemptyset(&stopping);
    sigaddset(&stopping, SIGINT);
    sigaddset(&stopping, SIGTERM);
    sigaddset(&stopping, SIGHUP);
    sigprocmask(SIG_BLOCK, &stopping, &waiting_mask);
    sigaction(SIGINT, &on_stop, NULL);
    sigaction(SIGTERM, &on_stop, NULL);
    sigaction(SIGHUP, &on_stop, NULL);
    sigaction(SIGPIPE, &ignored, NULL);

    r = sim_page_create(path, &options, now_ns(), &sim);
    if (r < 0) {
        fprintf(stderr, "vmclocksim: %s: %s\n", path,
            r == -EEXIST ? "exists and is not a vmclock page" : strerror(-r));
        return EX_UNAVAILABLE;
    }
    printf("serving %s in %s, marker 0x%" PRIx64 "\n",
        options.marker_only ? "a disruption marker" : "a clock", path, marker_of(sim));
    r = fflush(stdout) != 0 ? -errno : serve(sim, stay, &waiting_mask);
    if (sim_page_created(sim) && !keep)
        unlink(path);
    sim_page_destroy(sim);
    if (r < 0) {
        fprintf(stderr, "vmclocksim: %s\n", strerror(-r));
        return EXIT_FAILURE;
    }
    return EX_OK;
}
