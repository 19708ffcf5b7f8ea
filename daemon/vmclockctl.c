/* SPDX-License-Identifier: BSD-2-Clause */
/* vmclockctl: what vmclockd says in its state file, and what the page says, for people and JSON. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/doctor.h"
#include "daemon/metrics.h"
#include "daemon/page_report.h"
#include "daemon/state_reader.h"
#include "daemon/status_report.h"
#include "daemon/system_clock.h"
#include "daemon/watch.h"

#define EXIT_NOT_SO    1
#define EXIT_NO_DAEMON 2

#define SECONDS_MAX 1000000000
#define STILL_MS    1000 /* to see that vmclockd no longer writes */

struct arguments {
    bool json;
    const char *word; /* NULL: none */
    double seconds;   /* of wait; with a word */
};

static void complain(const char *sentence)
{
    fprintf(stderr, "vmclockctl: %s\n", sentence);
}

/* --- the commands ----------------------------------------------------------------------------- */

/* Is there a vmclockd that runs? Says why not. */
static int read_state(const struct config *config, struct state_file *ret_state)
{
    const int r = state_reader_read(config->state_file, ret_state);

    if (r < 0)
        fprintf(stderr, "vmclockctl: no vmclockd runs: %s: %s\n", config->state_file,
            state_reader_error_str(r));
    return r;
}

static int written(void)
{
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static bool stdout_has_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
}

static int command_status(const struct config *config, const struct arguments *arguments)
{
    struct state_file state;
    json_t *object;

    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    if (arguments->json) {
        object = status_report_json(config, &state);
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(14));
        json_decref(object);
        putchar('\n');
    } else {
        status_report_print(config, &state, stdout_has_colour());
    }
    if (written() != EXIT_SUCCESS)
        return EXIT_NOT_SO;
    return state_file_all_is_well(&state) ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static int command_page(const struct config *config, const struct arguments *arguments)
{
    return page_report(config, arguments->json);
}

static int command_watch(const struct config *config, const struct arguments *arguments)
{
    const int r = watch_run(config, arguments->json);

    if (r == 0)
        return EXIT_NOT_SO;
    fprintf(stderr, "vmclockctl: no vmclockd runs: %s: %s\n", config->state_file,
        state_reader_error_str(r));
    return EXIT_NO_DAEMON;
}

static int command_wait(const struct config *config, const struct arguments *arguments)
{
    const int64_t end_ns = system_clock_boottime_ns() + (int64_t)(arguments->seconds * 1e9);
    struct state_reader reader = {.fd = -1};
    struct state_file state;
    int r = state_reader_open(&reader, config->state_file);

    if (r < 0) {
        fprintf(stderr, "vmclockctl: cannot watch %s: %s\n", config->state_file, strerror(-r));
        return EXIT_NOT_SO;
    }
    for (;;) {
        const int64_t left_ms = (end_ns - system_clock_boottime_ns() + 999999) / 1000000;

        r = state_reader_read(config->state_file, &state);
        if (r == 0 && state_file_all_is_well(&state))
            break;
        if (arguments->word ? left_ms <= 0 : r < 0)
            break;
        state_reader_wait(&reader, arguments->word && left_ms < STILL_MS ? (int)left_ms : STILL_MS);
    }
    state_reader_close(&reader);
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    return state_file_all_is_well(&state) ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static int command_metrics(const struct config *config, const struct arguments *arguments)
{
    struct state_file state;

    (void)arguments;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    metrics_print(&state, stdout);
    return written();
}

/* Does the process of this number bear our daemon's name? */
static bool is_vmclockd(pid_t pid)
{
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    if (!fgets(name, sizeof(name), file))
        name[0] = '\0';
    fclose(file);
    return strcmp(name, "vmclockd\n") == 0;
}

/*
 * The number may be another process' by now. A descriptor is held to whatever has it, and only
 * then is the process looked at, so that what is signalled is what was looked at.
 */
static int command_recover(const struct config *config, const struct arguments *arguments)
{
    struct state_file state;
    int fd, r = -ESRCH;
    pid_t pid;

    (void)arguments;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    pid = (pid_t)strtol(state_file_value(&state, "pid"), NULL, 10);
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        r = -errno;
    } else {
        if (is_vmclockd(pid))
            r = syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) < 0 ? -errno : 0;
        close(fd);
    }
    if (r == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "vmclockctl: cannot signal vmclockd, process %ld: %s\n", (long)pid,
        r == -ESRCH ? "there is no such process here" : strerror(-r));
    return r == -ESRCH ? EXIT_NO_DAEMON : EXIT_NOT_SO;
}

static int command_doctor(const struct config *config, const struct arguments *arguments)
{
    const unsigned findings = doctor_run(config, arguments->word, arguments->json);

    return written() == EXIT_SUCCESS && findings == 0 ? EXIT_SUCCESS : EXIT_NOT_SO;
}

/* --- the program ----------------------------------------------------------------------------- */

static const struct command {
    const char *name, *argument, *help;
    int (*run)(const struct config *config, const struct arguments *arguments);
    bool has_json;
} commands[] = {
    {"status", "", "what vmclockd does, and whether all is well", command_status, true},
    {"page", "", "what the device's page says, field by field", command_page, true},
    {"watch", "", "what happens, a line each, until interrupted", command_watch, true},
    {"wait", "[SECONDS]", "until chronyd is in sync", command_wait, false},
    {"metrics", "", "the numbers, for Prometheus", command_metrics, false},
    {"recover", "", "make vmclockd recover as after a disruption", command_recover, false},
    {"doctor", "[FILE]", "is all in place, and how to mend what is not", command_doctor, true},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
    fputs("usage: vmclockctl [-c FILE] [--json] COMMAND\n\n", to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-8s%-11s%s%s\n", commands[i].name, commands[i].argument, commands[i].help,
            commands[i].has_json ? " (--json)" : "");
    fputs("\n  -c, --config FILE   vmclockd's configuration (default " CONFIG_DEFAULT_FILE ")\n"
          "  -j, --json          print JSON\n"
          "  -h, --help          print this\n"
          "  -V, --version       print the version\n"
          "\n"
          "Exit status: 0 done (status: all is well, wait: in sync, doctor: no findings),\n"
          "1 not so, 2 no vmclockd runs, 64 usage, 69 device, 78 configuration. See\n"
          "vmclockctl(8).\n",
        to);
}

/* A usage error, in one sentence and where to find the rest. */
static const struct command *refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const struct command *refuse(const char *format, ...)
{
    va_list arguments;

    fputs("vmclockctl: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("; see vmclockctl --help\n", stderr);
    return NULL;
}

/* The command that the words name, and the rest of *ret_arguments; NULL: refused. */
static const struct command *find_command(int argc, char **argv, struct arguments *ret_arguments)
{
    const struct command *command = NULL;
    const char *end;

    if (argc == 0)
        return refuse("which command?");
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            command = &commands[i];
    if (!command)
        return refuse("there is no command \"%s\"", argv[0]);
    if (ret_arguments->json && !command->has_json)
        return refuse("%s has no --json", command->name);
    if (argc > (command->argument[0] ? 2 : 1))
        return refuse("\"%s\" is too much for %s", argv[argc - 1], command->name);
    if (argc == 1)
        return command;
    ret_arguments->word = argv[1];
    if (command->run == command_wait &&
        (!config_parse_number(argv[1], &end, &ret_arguments->seconds) || *end ||
            ret_arguments->seconds > SECONDS_MAX))
        return refuse("\"%s\" is no number of seconds up to %d", argv[1], SECONDS_MAX);
    return command;
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
    struct arguments arguments = {.json = false};
    const struct command *command;
    const char *file = NULL;
    struct config config;
    int c;

    signal(SIGPIPE, SIG_IGN); /* said by the exit status */
    while ((c = getopt_long(argc, argv, "c:jhV", options, NULL)) != -1) {
        switch (c) {
        case 'c': file = optarg; break;
        case 'j': arguments.json = true; break;
        case 'h': print_usage(stdout); return EXIT_SUCCESS;
        case 'V': puts("vmclockctl " VERSION); return EXIT_SUCCESS;
        default: print_usage(stderr); return EX_USAGE;
        }
    }
    command = find_command(argc - optind, argv + optind, &arguments);
    if (!command)
        return EX_USAGE;
    if (config_read(file, complain, &config) < 0)
        return EX_CONFIG;
    return command->run(&config, &arguments);
}
