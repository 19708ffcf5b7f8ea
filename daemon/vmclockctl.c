/* SPDX-License-Identifier: BSD-2-Clause */
/* vmclockctl: what vmclockd says in its state file, and what the page says, for people and JSON. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/metrics.h"
#include "daemon/page_report.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"

#define EXIT_NOT_SO    1
#define EXIT_NO_DAEMON 2

static void complain(const char *sentence)
{
    fprintf(stderr, "vmclockctl: %s\n", sentence);
}

static int print_json(json_t *object, size_t flags)
{
    const int r = json_dumpf(object, stdout, flags);

    json_decref(object);
    putchar('\n');
    return r == 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_NOT_SO;
}

/* --- status ---------------------------------------------------------------------------------- */

enum kind { TEXT, INTEGER, REAL, YES_NO };

/* The state file's keys as status shows them; a dot makes an object within the object. */
static const struct {
    const char *key, *label;
    enum kind kind;
} shown[] = {
    {"state", "State", TEXT},
    {"mode", "Mode", TEXT},
    {"page", "Page", TEXT},
    {"device", "Device", TEXT},
    {"disruption_marker", "Disruption marker", TEXT},
    {"vm_generation", "VM generation", TEXT},
    {"clock_status", "Host's clock status", TEXT},
    {"maintenance", "Maintenance", TEXT},
    {"offset_ns", "Offset (ns)", INTEGER},
    {"error_bound_ns", "Error bound (ns)", INTEGER},
    {"disruptions", "Disruptions", INTEGER},
    {"recoveries", "Recoveries", INTEGER},
    {"samples_sent", "Samples sent", INTEGER},
    {"contradictions", "Bounds contradicted", INTEGER},
    {"sock_error", "Samples cannot be sent", TEXT},
    {"last_recovery.cause", "Last recovery", TEXT},
    {"last_recovery.marker", "  marker", TEXT},
    {"last_recovery.state", NULL, TEXT},
    {"last_recovery.outcome", "  outcome", TEXT},
    {"last_recovery.reset_ms", "  reset after (ms)", REAL},
    {"last_recovery.corrected_ms", "  corrected after (ms)", REAL},
    {"last_recovery.synchronised_ms", "  synchronised after (ms)", REAL},
    {"last_recovery.corrected_ppm", "  rate corrected (ppm)", REAL},
    {"last_recovery.corrected_ns", "  offset corrected (ns)", INTEGER},
    {"last_recovery.remaining_ns", "  left after that (ns)", INTEGER},
    {"chronyd.reachable", "chronyd reachable", YES_NO},
    {"chronyd.synchronised", "chronyd synchronised", YES_NO},
    {"chronyd.refid", "chronyd's reference", TEXT},
    {"pid", "Process", INTEGER},
    {"updated", "Updated", REAL},
};

#define N_SHOWN (sizeof(shown) / sizeof(shown[0]))

static json_t *json_value(const char *value, enum kind kind)
{
    if (!value)
        return json_null();
    switch (kind) {
    case INTEGER: return json_integer(strtoll(value, NULL, 10));
    case REAL: return json_real(strtod(value, NULL));
    case YES_NO: return json_boolean(strcmp(value, "yes") == 0);
    case TEXT: break;
    }
    return json_string(value);
}

static json_t *status_json(const struct state_file *state)
{
    json_t *root = json_object();

    for (size_t i = 0; i < N_SHOWN; i++) {
        const char *value = state_file_value(state, shown[i].key);
        const char *dot = strchr(shown[i].key, '.');
        char name[32];
        json_t *object;

        if (!dot) {
            json_object_set_new(root, shown[i].key, json_value(value, shown[i].kind));
            continue;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(dot - shown[i].key), shown[i].key);
        object = json_object_get(root, name);
        if (!object) {
            object = json_object();
            json_object_set_new(root, name, object);
        }
        json_object_set_new(object, dot + 1, json_value(value, shown[i].kind));
    }
    if (!state_file_value(state, "last_recovery.cause"))
        json_object_set_new(root, "last_recovery", json_null());
    return root;
}

/* Does the process that wrote it still run, and still write? */
static bool is_current(const struct state_file *state)
{
    const char *boot = state_file_value(state, "boot_id");
    const char *running = state_file_value(state, "running");
    const char *updated = state_file_value(state, "updated_boottime_ns");
    const char *pid = state_file_value(state, "pid");
    char boot_id[STATE_BOOT_ID_MAX];
    long number;

    state_file_boot_id(boot_id);
    if (!boot || strcmp(boot, boot_id) != 0 || !running || strcmp(running, "yes") != 0 ||
        !updated || !pid)
        return false;
    number = strtol(pid, NULL, 10);
    return number > 0 && (kill((pid_t)number, 0) == 0 || errno == EPERM) &&
           system_clock_boottime_ns() - strtoll(updated, NULL, 10) < STATE_STALE_NS;
}

static int read_state_quietly(const struct config *config, struct state_file *ret_state)
{
    const int r = state_file_read(config->state_file, ret_state);

    return r < 0 ? r : is_current(ret_state) ? 0 : -ESTALE;
}

static int read_state(const struct config *config, struct state_file *ret_state)
{
    const int r = read_state_quietly(config, ret_state);

    if (r < 0 && r != -ESTALE)
        fprintf(stderr, "vmclockctl: no vmclockd runs: %s: %s\n", config->state_file,
            r == -EBADMSG ? "not a state file" : strerror(-r));
    else if (r < 0)
        fprintf(stderr, "vmclockctl: no vmclockd runs: %s is stale\n", config->state_file);
    return r;
}

static int command_status(const struct config *config, const char *argument, bool json)
{
    struct state_file state;
    int r;

    (void)argument;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    if (json) {
        r = print_json(status_json(&state), JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        if (r != EXIT_SUCCESS)
            return r;
    } else {
        for (size_t i = 0; i < N_SHOWN; i++)
            if (shown[i].label && state_file_value(&state, shown[i].key))
                printf("%-25s %s\n", shown[i].label, state_file_value(&state, shown[i].key));
    }
    return state_file_all_is_well(&state) ? EXIT_SUCCESS : EXIT_NOT_SO;
}

/* --- watch, wait, metrics, recover ------------------------------------------------------------ */

#define LOOK_US 50000 /* the daemon writes within a tick of what happens */

/* One line a change: what is told apart is all but the numbers that move by themselves. */
static void summarise(const struct state_file *state, char *ret_line, size_t size)
{
    static const char *const keys[] = {"state", "mode", "page", "disruption_marker",
        "vm_generation", "clock_status", "maintenance", "disruptions", "recoveries",
        "last_recovery.cause", "last_recovery.outcome", "chronyd.reachable", "chronyd.synchronised",
        "chronyd.refid"};
    size_t n = 0;

    ret_line[0] = '\0';
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && n < size; i++) {
        const char *value = state_file_value(state, keys[i]);

        if (value)
            n += (size_t)snprintf(
                ret_line + n, size - n, "%s%s=\"%s\"", n ? " " : "", keys[i], value);
    }
}

static int command_watch(const struct config *config, const char *argument, bool json)
{
    char line[1024], before[1024] = "";
    struct state_file state;

    (void)argument;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    do {
        summarise(&state, line, sizeof(line));
        if (strcmp(line, before) != 0) {
            if (json)
                print_json(status_json(&state), JSON_COMPACT | JSON_REAL_PRECISION(12));
            else
                printf("%s %s\n", state_file_value(&state, "updated"), line);
            if (fflush(stdout) != 0)
                return EXIT_NOT_SO;
            memcpy(before, line, sizeof(before));
        }
        usleep(LOOK_US);
    } while (read_state(config, &state) == 0);
    return EXIT_NO_DAEMON;
}

static int command_wait(const struct config *config, const char *argument, bool json)
{
    const int64_t end_ns =
        argument ? system_clock_boottime_ns() + (int64_t)(strtod(argument, NULL) * 1e9) : INT64_MAX;
    struct state_file state;

    (void)json;
    for (;;) {
        const bool runs = read_state_quietly(config, &state) == 0;

        if (runs && state_file_all_is_well(&state))
            return EXIT_SUCCESS;
        if (system_clock_boottime_ns() >= end_ns || (!runs && !argument))
            return read_state(config, &state) == 0 ? EXIT_NOT_SO : EXIT_NO_DAEMON;
        usleep(LOOK_US);
    }
}

static int command_metrics(const struct config *config, const char *argument, bool json)
{
    struct state_file state;

    (void)argument;
    (void)json;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    metrics_print(&state, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static int command_recover(const struct config *config, const char *argument, bool json)
{
    struct state_file state;

    (void)argument;
    (void)json;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    if (kill((pid_t)strtol(state_file_value(&state, "pid"), NULL, 10), SIGUSR1) < 0) {
        perror("vmclockctl: cannot signal vmclockd");
        return EXIT_NOT_SO;
    }
    return EXIT_SUCCESS;
}

/* --- the program ----------------------------------------------------------------------------- */

static int command_page(const struct config *config, const char *argument, bool json)
{
    (void)argument;
    return page_report(config, json);
}

static const struct command {
    const char *name, *argument, *help;
    int (*run)(const struct config *config, const char *argument, bool json);
    bool has_json;
} commands[] = {
    {"status", NULL, "what vmclockd does, and whether all is well", command_status, true},
    {"page", NULL, "what the device's page says, field by field", command_page, true},
    {"watch", NULL, "a line for each change, until interrupted", command_watch, true},
    {"wait", "SECONDS", "until chronyd is in sync", command_wait, false},
    {"metrics", NULL, "the numbers, for Prometheus", command_metrics, false},
    {"recover", NULL, "make vmclockd recover as after a disruption", command_recover, false},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
    fputs("usage: vmclockctl [-c FILE] [--json] COMMAND\n\n", to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-8s%-11s%s%s\n", commands[i].name, commands[i].argument ? "[SECONDS]" : "",
            commands[i].help, commands[i].has_json ? " (--json)" : "");
    fputs("\n  -c, --config FILE   vmclockd's configuration (default " CONFIG_DEFAULT_FILE ")\n"
          "  -j, --json          print JSON\n"
          "  -h, --help          print this\n"
          "  -V, --version       print the version\n"
          "\n"
          "Exit status: 0 done (status: all is well, wait: in sync), 1 not so (status:\n"
          "degraded, wait: not within the time), 2 no vmclockd runs, 64 usage, 69 device,\n"
          "78 configuration.\n",
        to);
}

/* The command that the arguments name, or NULL. */
static const struct command *find_command(int argc, char **argv, bool json)
{
    for (size_t i = 0; i < N_COMMANDS && argc > 0; i++) {
        const char *seconds = argc == 2 ? argv[1] : "0";

        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        if (argc > (commands[i].argument ? 2 : 1) || (json && !commands[i].has_json) ||
            seconds[0] == '\0' || seconds[strspn(seconds, "0123456789.")] != '\0')
            return NULL;
        return &commands[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    const struct command *command;
    const char *file = NULL;
    struct config config;
    bool json = false;
    int c;

    signal(SIGPIPE, SIG_IGN); /* said by the exit status */
    while ((c = getopt_long(argc, argv, "c:jhV", options, NULL)) != -1) {
        switch (c) {
        case 'c': file = optarg; break;
        case 'j': json = true; break;
        case 'h': print_usage(stdout); return EXIT_SUCCESS;
        case 'V': puts("vmclockctl " VERSION); return EXIT_SUCCESS;
        default: print_usage(stderr); return EX_USAGE;
        }
    }
    command = find_command(argc - optind, argv + optind, json);
    if (!command) {
        print_usage(stderr);
        return EX_USAGE;
    }
    if (config_read(file, complain, &config) < 0)
        return EX_CONFIG;
    return command->run(&config, optind + 1 < argc ? argv[optind + 1] : NULL, json);
}
