/* SPDX-License-Identifier: BSD-2-Clause */
/* vmclockctl: what vmclockd says in its state file, and what the page says, for people and JSON. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/doctor.h"
#include "daemon/history_report.h"
#include "daemon/metrics.h"
#include "daemon/now_report.h"
#include "daemon/page_report.h"
#include "daemon/process.h"
#include "daemon/standard_streams.h"
#include "daemon/state_reader.h"
#include "daemon/status_report.h"
#include "daemon/system_clock.h"
#include "daemon/watch.h"

#define EXIT_NOT_SO    1
#define EXIT_NO_DAEMON 2

#define SECONDS_MAX   1000000000
#define WATCH_SECONDS 2
#define STILL_MS      1000 /* to see that vmclockd no longer writes */

struct arguments {
    const struct status_mistakes *mistakes;
    bool json;
    const char *word;    /* NULL: none */
    double seconds;      /* of wait, with a word; of --wait; between two looks of --watch */
    bool watches;        /* --watch */
    bool waits, forever; /* --wait, without a limit */
    bool no_colour;
};

static struct status_mistakes mistakes; /* config_read() has no context */

static void keep_mistake(const char *sentence)
{
    if (mistakes.n < STATUS_MISTAKES_MAX)
        snprintf(mistakes.sentences[mistakes.n], STATUS_MISTAKE_BYTES, "%s", sentence);
    mistakes.n++;
}

static void complain(const char *what)
{
    fprintf(stderr, "vmclockctl: %s\n", what);
}

static void print_mistakes(void)
{
    for (unsigned i = 0; i < mistakes.n && i < STATUS_MISTAKES_MAX; i++)
        complain(mistakes.sentences[i]);
    if (mistakes.n > STATUS_MISTAKES_MAX)
        fprintf(stderr, "vmclockctl: and %u more mistakes\n", mistakes.n - STATUS_MISTAKES_MAX);
}

/* --- the commands ----------------------------------------------------------------------------- */

static int exit_status(int error)
{
    return error == -EBUSY ? EXIT_NOT_SO : EXIT_NO_DAEMON;
}

/* Is there a vmclockd that runs, and writes its state? Says why not. */
static int read_state(const struct config *config, struct state_file *ret_state)
{
    const int r = state_reader_read(config, ret_state);
    char why[STATE_READER_TEXT_MAX];

    if (r < 0) {
        state_reader_explain(config, r, ret_state, why);
        complain(why);
    }
    return r;
}

static int written(void)
{
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static bool stdout_has_colour(const struct arguments *arguments)
{
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

    return !arguments->no_colour && isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term &&
           strcmp(term, "dumb") != 0;
}

static int show_status(const struct config *config, const struct arguments *arguments)
{
    struct state_file state;
    const int r = state_reader_read(config, &state);
    char text[STATE_READER_TEXT_MAX];
    const char *const why = r < 0 ? text : NULL;
    json_t *object;

    if (r < 0)
        state_reader_explain(config, r, &state, text);
    if (r < 0 && (arguments->json || r != -EBUSY))
        complain(text);
    if (arguments->json) {
        object = status_report_json(arguments->mistakes, &state, why);
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(14));
        json_decref(object);
        putchar('\n');
    } else if (r == 0 || r == -EBUSY) {
        status_report_print(arguments->mistakes, &state, why, stdout_has_colour(arguments));
    } else {
        print_mistakes(); /* it will not start with them */
    }
    if (written() != EXIT_SUCCESS)
        return EXIT_NOT_SO;
    if (r < 0)
        return exit_status(r);
    return state_file_all_is_well(&state) ? EXIT_SUCCESS : EXIT_NOT_SO;
}

/* In place on a terminal, else one below the other, until it cannot be written. */
static int command_status(const struct config *config, const struct arguments *arguments)
{
    const struct timespec pause = {.tv_sec = (time_t)arguments->seconds,
        .tv_nsec = (long)((arguments->seconds - floor(arguments->seconds)) * 1e9)};
    const char *term = getenv("TERM");
    const bool in_place = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
    int result;

    for (;;) {
        if (arguments->watches && in_place)
            fputs("\033[H\033[J", stdout);
        result = show_status(config, arguments);
        if (!arguments->watches || ferror(stdout))
            return result;
        if (!in_place && !arguments->json)
            putchar('\n');
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
}

static int command_page(const struct config *config, const struct arguments *arguments)
{
    return page_report(config, arguments->json);
}

static int command_watch(const struct config *config, const struct arguments *arguments)
{
    char why[STATE_READER_TEXT_MAX];
    const int r =
        watch_run(config, arguments->mistakes, arguments->json, stdout_has_colour(arguments), why);

    if (r == 0)
        return EXIT_NOT_SO;
    complain(why);
    return exit_status(r);
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

        r = state_reader_read(config, &state);
        if (r == 0 && state_file_all_is_well(&state))
            break;
        if (arguments->word ? left_ms <= 0 : r < 0)
            break;
        state_reader_wait(&reader, arguments->word && left_ms < STILL_MS ? (int)left_ms : STILL_MS);
    }
    state_reader_close(&reader);
    r = read_state(config, &state);
    if (r < 0)
        return exit_status(r);
    return state_file_all_is_well(&state) ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static int command_metrics(const struct config *config, const struct arguments *arguments)
{
    struct state_file state;
    const int r = read_state(config, &state);

    (void)arguments;
    if (r == 0 || r == -EBUSY)
        metrics_print(r == 0 ? &state : NULL, stdout);
    return r < 0 ? exit_status(r) : written();
}

/*
 * The number may be another process' by now. A descriptor is held to whatever has it, and only
 * then is the process looked at, so that what is signalled is what was looked at.
 */
static int signal_recovery(const struct config *config, struct state_file *ret_state)
{
    struct state_file *const state = ret_state;
    int fd, r = read_state(config, state);
    pid_t pid = state->process;

    if (r < 0 && (r != -EBUSY || process_state(pid) == 'T')) /* one that is stopped will not hear */
        return exit_status(r);
    if (pid == 0) /* of another namespace: it may have no meaning here */
        pid = (pid_t)strtol(state_file_value(state, "pid"), NULL, 10);
    r = -ESRCH;
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        r = -errno;
    } else {
        if (process_is_vmclockd(pid))
            r = syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) < 0 ? -errno : 0;
        close(fd);
    }
    if (r == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "vmclockctl: cannot signal vmclockd, process %ld: %s\n", (long)pid,
        r == -ESRCH ? "there is no such process here" : strerror(-r));
    return r == -ESRCH ? EXIT_NO_DAEMON : EXIT_NOT_SO;
}

/* Of a recovery that began after `before` was so. */
static bool has_ended(const struct state_file *before, const struct state_file *now)
{
    const char *started = state_file_value(now, "last_recovery.started_ns");

    return started && !state_file_value_is(before, "last_recovery.started_ns", started) &&
           !state_file_value_is(now, "last_recovery.outcome", "running");
}

static int await_recovery(
    const struct config *config, const struct arguments *arguments, const struct state_file *before)
{
    const int64_t end_ns = system_clock_boottime_ns() + (int64_t)(arguments->seconds * 1e9);
    struct state_reader reader = {.fd = -1};
    struct state_file now;
    bool ended = false;
    int r = state_reader_open(&reader, config->state_file);

    if (r < 0) {
        fprintf(stderr, "vmclockctl: cannot watch %s: %s\n", config->state_file, strerror(-r));
        return EXIT_NOT_SO;
    }
    while (r == 0 && !ended) {
        const int64_t left_ms = arguments->forever
                                    ? STILL_MS
                                    : (end_ns - system_clock_boottime_ns() + 999999) / 1000000;

        if (left_ms <= 0)
            break;
        state_reader_wait(&reader, left_ms < STILL_MS ? (int)left_ms : STILL_MS);
        r = read_state(config, &now);
        ended = r == 0 && has_ended(before, &now);
    }
    state_reader_close(&reader);
    if (r < 0)
        return exit_status(r);
    return ended && state_file_value_is(&now, "last_recovery.outcome", "synchronised")
               ? EXIT_SUCCESS
               : EXIT_NOT_SO;
}

static int command_recover(const struct config *config, const struct arguments *arguments)
{
    struct state_file before;
    const int result = signal_recovery(config, &before);

    return result == EXIT_SUCCESS && arguments->waits ? await_recovery(config, arguments, &before)
                                                      : result;
}

static int command_doctor(const struct config *config, const struct arguments *arguments)
{
    const unsigned findings = doctor_run(config, arguments->mistakes, arguments->word,
        arguments->json, stdout_has_colour(arguments));

    return written() == EXIT_SUCCESS && findings == 0 ? EXIT_SUCCESS : EXIT_NOT_SO;
}

static int command_history(const struct config *config, const struct arguments *arguments)
{
    const int r = history_report(config, arguments->json);
    struct state_file state;

    if (r == 0)
        return written();
    return state_reader_read(config, &state) == 0 ? written() : EXIT_NO_DAEMON;
}

static int command_now(const struct config *config, const struct arguments *arguments)
{
    const int r = now_report(config, arguments->json);
    struct state_file state;

    if (r == -ENOENT && !config->clock_file[0])
        complain("\"clock-file\" is none: vmclockd tells no program the time");
    else if (r < 0)
        fprintf(stderr, "vmclockctl: %s: %s\n", config->clock_file,
            r == -EBADMSG           ? "it is no clock-file of vmclockd"
            : r == -EPROTONOSUPPORT ? "it is a clock-file of another version"
                                    : strerror(-r));
    if (r == 0)
        return written();
    return state_reader_read(config, &state) == 0 ? EXIT_NOT_SO : EXIT_NO_DAEMON;
}

/* --- the program ----------------------------------------------------------------------------- */

static const struct command {
    const char *name, *argument, *help;
    int (*run)(const struct config *config, const struct arguments *arguments);
    bool has_json;
    bool shows_mistakes; /* of the configuration, itself */
    const char *needs;   /* the key without which it is of no use; NULL: none */
} commands[] = {
    {"status", "", "what vmclockd does, and whether all is well", command_status, true, true,
        "state-file"},
    {"page", "", "what the device's page says, field by field", command_page, true, false,
        "device"},
    {"watch", "", "each event, a line each, until interrupted", command_watch, true, false,
        "state-file"},
    {"wait", "[SECONDS]", "until all is well, as by status", command_wait, false, false,
        "state-file"},
    {"metrics", "", "the numbers, for Prometheus", command_metrics, false, false, "state-file"},
    {"recover", "", "make vmclockd recover as after a disruption", command_recover, false, false,
        "state-file"},
    {"history", "", "the last recoveries of this boot", command_history, true, false, "state-file"},
    {"now", "", "the time, and how wrong it can be", command_now, true, false, "clock-file"},
    {"doctor", "[FILE]", "is all in place, and how to fix what is not", command_doctor, true, true,
        NULL},
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
          "  -w, --watch [SECONDS]  with status: repeat it, every 2 s\n"
          "      --wait [SECONDS]   with recover: wait for its end\n"
          "      --no-color      print no colours\n"
          "  -h, --help          print this\n"
          "  -V, --version       print the version\n"
          "\n"
          "Exit status: 0 done (status, wait: all is well; doctor: no findings; now: the\n"
          "interval holds), 1 not so, 2 no vmclockd runs, 64 usage, 69 device,\n"
          "78 configuration. See vmclockctl(8).\n",
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

static bool parse_seconds(const char *text, double *ret_seconds)
{
    const char *end;
    double seconds;

    if (!config_parse_number(text, &end, &seconds) || *end || seconds > SECONDS_MAX)
        return false;
    *ret_seconds = seconds;
    return true;
}

/* The command that the words name, and the rest of *ret_arguments; NULL: refused. */
static const struct command *find_command(int argc, char **argv, struct arguments *ret_arguments)
{
    const struct command *command = NULL;

    if (argc == 0)
        return refuse("which command?");
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            command = &commands[i];
    if (!command)
        return refuse("there is no command \"%s\"", argv[0]);
    if (ret_arguments->json && !command->has_json)
        return refuse("%s has no --json", command->name);
    if (ret_arguments->watches && command->run != command_status)
        return refuse("%s has no --watch", command->name);
    if (ret_arguments->waits && command->run != command_recover)
        return refuse("%s has no --wait", command->name);
    if (argc > (command->argument[0] ? 2 : 1))
        return refuse("\"%s\" is too much for %s", argv[argc - 1], command->name);
    if (argc == 1)
        return command;
    ret_arguments->word = argv[1];
    if (command->run == command_wait && !parse_seconds(argv[1], &ret_arguments->seconds))
        return refuse("\"%s\" is no number of seconds up to %d", argv[1], SECONDS_MAX);
    return command;
}

/* The option's own, or the next word if it is a number. *ret_none: there is none. */
static bool take_seconds(int argc, char **argv, double *ret_seconds, bool *ret_none)
{
    const bool is_next = !optarg && optind < argc && parse_seconds(argv[optind], ret_seconds);

    if (optarg && !parse_seconds(optarg, ret_seconds))
        refuse("\"%s\" is no number of seconds up to %d", optarg, SECONDS_MAX);
    if (ret_none)
        *ret_none = !optarg && !is_next;
    optind += is_next;
    return !optarg || parse_seconds(optarg, ret_seconds);
}

int main(int argc, char **argv)
{
    enum { OPTION_WAIT = 256, OPTION_NO_COLOUR };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"watch", optional_argument, NULL, 'w'},
        {"wait", optional_argument, NULL, OPTION_WAIT},
        {"no-color", no_argument, NULL, OPTION_NO_COLOUR},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {.mistakes = &mistakes};
    const struct command *command;
    const char *file = NULL;
    struct config config;
    int c;

    signal(SIGPIPE, SIG_IGN); /* the exit status tells */
    if (standard_streams_open() < 0)
        return EXIT_FAILURE;
    while ((c = getopt_long(argc, argv, "c:jwhV", options, NULL)) != -1) {
        switch (c) {
        case 'c': file = optarg; break;
        case 'j': arguments.json = true; break;
        case 'w':
            arguments.watches = true;
            arguments.seconds = WATCH_SECONDS;
            if (!take_seconds(argc, argv, &arguments.seconds, NULL))
                return EX_USAGE;
            break;
        case OPTION_WAIT:
            arguments.waits = true;
            if (!take_seconds(argc, argv, &arguments.seconds, &arguments.forever))
                return EX_USAGE;
            break;
        case OPTION_NO_COLOUR: arguments.no_colour = true; break;
        case 'h': print_usage(stdout); return EXIT_SUCCESS;
        case 'V': puts("vmclockctl " VERSION); return EXIT_SUCCESS;
        default: print_usage(stderr); return EX_USAGE;
        }
    }
    command = find_command(argc - optind, argv + optind, &arguments);
    if (!command)
        return EX_USAGE;
    /* A vmclockd that runs goes on with what it had: a mistake is no reason to be blind. */
    if (config_salvage(file, keep_mistake, &config) < 0) {
        const bool useless = (config.file_named && !config.file_read) ||
                             (command->needs && config_is_mistaken(&config, command->needs));

        if (useless || !command->shows_mistakes)
            print_mistakes();
        if (useless)
            return EX_CONFIG;
    }
    return command->run(&config, &arguments);
}
