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
#include "daemon/counter.h"
#include "daemon/device.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"

#define EXIT_NOT_SO    1
#define EXIT_NO_DAEMON 2

static void complain(const char *sentence)
{
    fprintf(stderr, "vmclockctl: %s\n", sentence);
}

static int print_json(json_t *object)
{
    const int r = json_dumpf(object, stdout, JSON_INDENT(2));

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
    { "state", "State", TEXT },
    { "mode", "Mode", TEXT },
    { "page", "Page", TEXT },
    { "device", "Device", TEXT },
    { "disruption_marker", "Disruption marker", TEXT },
    { "vm_generation", "VM generation", TEXT },
    { "clock_status", "Host's clock status", TEXT },
    { "maintenance", "Maintenance", TEXT },
    { "offset_ns", "Offset (ns)", INTEGER },
    { "error_bound_ns", "Error bound (ns)", INTEGER },
    { "disruptions", "Disruptions", INTEGER },
    { "recoveries", "Recoveries", INTEGER },
    { "samples_sent", "Samples sent", INTEGER },
    { "sock_error", "Samples cannot be sent", TEXT },
    { "last_recovery.cause", "Last recovery", TEXT },
    { "last_recovery.marker", "  marker", TEXT },
    { "last_recovery.state", NULL, TEXT },
    { "last_recovery.outcome", "  outcome", TEXT },
    { "last_recovery.reset_ms", "  reset after (ms)", REAL },
    { "last_recovery.corrected_ms", "  corrected after (ms)", REAL },
    { "last_recovery.synchronised_ms", "  synchronised after (ms)", REAL },
    { "last_recovery.corrected_ppm", "  rate corrected (ppm)", REAL },
    { "last_recovery.corrected_ns", "  offset corrected (ns)", INTEGER },
    { "last_recovery.remaining_ns", "  left after that (ns)", INTEGER },
    { "chronyd.reachable", "chronyd reachable", YES_NO },
    { "chronyd.synchronised", "chronyd synchronised", YES_NO },
    { "chronyd.refid", "chronyd's reference", TEXT },
    { "pid", "Process", INTEGER },
    { "updated", "Updated", REAL },
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

static bool value_is(const struct state_file *state, const char *key, const char *expected)
{
    const char *value = state_file_value(state, key);

    return value && strcmp(value, expected) == 0;
}

static bool all_is_well(const struct state_file *state)
{
    return (value_is(state, "state", "feeding") || value_is(state, "state", "watching")) &&
           value_is(state, "chronyd.synchronised", "yes") &&
           !state_file_value(state, "sock_error");
}

static int read_state(const struct config *config, struct state_file *ret_state)
{
    const int r = state_file_read(config->state_file, ret_state);

    if (r < 0)
        fprintf(stderr, "vmclockctl: no vmclockd runs: %s: %s\n", config->state_file,
            r == -EBADMSG ? "not a state file" : strerror(-r));
    else if (!is_current(ret_state))
        fprintf(stderr, "vmclockctl: no vmclockd runs: %s is stale\n", config->state_file);
    else
        return 0;
    return -1;
}

static int command_status(const struct config *config, bool json)
{
    struct state_file state;
    int r;

    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    if (json) {
        r = print_json(status_json(&state));
        if (r != EXIT_SUCCESS)
            return r;
    } else {
        for (size_t i = 0; i < N_SHOWN; i++)
            if (shown[i].label && state_file_value(&state, shown[i].key))
                printf("%-25s %s\n", shown[i].label, state_file_value(&state, shown[i].key));
    }
    return all_is_well(&state) ? EXIT_SUCCESS : EXIT_NOT_SO;
}

/* --- page ------------------------------------------------------------------------------------ */

struct page_report {
    const struct device_view *view;
    enum clock_verdict verdict;
    struct clock_time time;
    struct clock_model model;
};

/* One line, or one member, of the report; `meaning` may be NULL. */
static void page_field(
    json_t *root, const char *name, unsigned offset, uint64_t raw, const char *meaning)
{
    char hex[24];

    snprintf(hex, sizeof(hex), "0x%" PRIx64, raw);
    if (root)
        json_object_set_new(root, name,
            meaning ? json_pack("{s:s,s:s}", "raw", hex, "meaning", meaning)
                    : json_pack("{s:s}", "raw", hex));
    else
        printf("0x%02x  %-38s %-20s %s\n", offset, name, hex, meaning ? meaning : "");
}

static void page_flags(const struct vmclock_page *page, char *ret_text, size_t size)
{
    static const char *const names[] = { "TAI_OFFSET_VALID", "DISRUPTION_SOON",
        "DISRUPTION_IMMINENT", "PERIOD_ESTERROR_VALID", "PERIOD_MAXERROR_VALID",
        "TIME_ESTERROR_VALID", "TIME_MAXERROR_VALID", "TIME_MONOTONIC", "VM_GEN_COUNTER_PRESENT",
        "NOTIFICATION_PRESENT" };
    size_t n = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (page->flags & UINT64_C(1) << i && n < size)
            n += (size_t)snprintf(ret_text + n, size - n, "%s%s", n ? " " : "", names[i]);
}

static void page_fields(json_t *root, const struct vmclock_page *p)
{
    char text[256], period[48];

    page_field(root, "magic", VMCLOCK_AT_MAGIC, p->magic,
        p->magic == VMCLOCK_MAGIC ? "VCLK" : "invalid");
    snprintf(text, sizeof(text), "%" PRIu32 " bytes", p->size);
    page_field(root, "size", VMCLOCK_AT_SIZE, p->size, text);
    page_field(root, "version", VMCLOCK_AT_VERSION, p->version,
        p->version == VMCLOCK_VERSION ? NULL : "unknown");
    page_field(root, "counter_id", VMCLOCK_AT_COUNTER_ID, p->counter_id,
        page_counter_id_str(p->counter_id));
    page_field(root, "time_type", VMCLOCK_AT_TIME_TYPE, p->time_type,
        page_time_type_str(p->time_type));
    page_field(root, "seq_count", VMCLOCK_AT_SEQ_COUNT, p->seq_count, NULL);
    page_field(
        root, "disruption_marker", VMCLOCK_AT_DISRUPTION_MARKER, p->disruption_marker, NULL);
    page_flags(p, text, sizeof(text));
    page_field(root, "flags", VMCLOCK_AT_FLAGS, p->flags, text);
    page_field(root, "clock_status", VMCLOCK_AT_CLOCK_STATUS, p->clock_status,
        page_clock_status_str(p->clock_status));
    page_field(root, "leap_second_smearing_hint", VMCLOCK_AT_SMEARING_HINT, p->smearing_hint,
        page_smearing_hint_str(p->smearing_hint));
    snprintf(text, sizeof(text), "%d s%s", p->tai_offset_sec,
        page_has(p, VMCLOCK_FLAG_TAI_OFFSET_VALID) ? "" : " (not valid)");
    page_field(
        root, "tai_offset_sec", VMCLOCK_AT_TAI_OFFSET_SEC, (uint16_t)p->tai_offset_sec, text);
    page_field(root, "leap_indicator", VMCLOCK_AT_LEAP_INDICATOR, p->leap_indicator,
        page_leap_indicator_str(p->leap_indicator));
    page_field(root, "counter_period_shift", VMCLOCK_AT_PERIOD_SHIFT, p->period_shift, NULL);
    page_field(root, "counter_value", VMCLOCK_AT_COUNTER_VALUE, p->counter_value, NULL);
    snprintf(period, sizeof(period), "%.9g ns",
        clock_model_period(&(struct clock_model){
            .period_frac = p->period_frac_sec, .period_shift = p->period_shift }) *
            1e9);
    page_field(
        root, "counter_period_frac_sec", VMCLOCK_AT_PERIOD_FRAC_SEC, p->period_frac_sec, period);
    page_field(root, "counter_period_esterror_rate_frac_sec", VMCLOCK_AT_PERIOD_ESTERROR,
        p->period_esterror, page_has(p, VMCLOCK_FLAG_PERIOD_ESTERROR_VALID) ? NULL : "not valid");
    page_field(root, "counter_period_maxerror_rate_frac_sec", VMCLOCK_AT_PERIOD_MAXERROR,
        p->period_maxerror, page_has(p, VMCLOCK_FLAG_PERIOD_MAXERROR_VALID) ? NULL : "not valid");
    snprintf(text, sizeof(text), "%" PRIu64 " s", p->time_sec);
    page_field(root, "time_sec", VMCLOCK_AT_TIME_SEC, p->time_sec, text);
    snprintf(text, sizeof(text), "%.9f s", (double)p->time_frac_sec * 0x1p-64);
    page_field(root, "time_frac_sec", VMCLOCK_AT_TIME_FRAC_SEC, p->time_frac_sec, text);
    snprintf(text, sizeof(text), "%" PRIu64 " ns%s", p->time_esterror_ns,
        page_has(p, VMCLOCK_FLAG_TIME_ESTERROR_VALID) ? "" : " (not valid)");
    page_field(
        root, "time_esterror_nanosec", VMCLOCK_AT_TIME_ESTERROR_NANOSEC, p->time_esterror_ns, text);
    snprintf(text, sizeof(text), "%" PRIu64 " ns%s", p->time_maxerror_ns,
        page_has(p, VMCLOCK_FLAG_TIME_MAXERROR_VALID) ? "" : " (not valid)");
    page_field(
        root, "time_maxerror_nanosec", VMCLOCK_AT_TIME_MAXERROR_NANOSEC, p->time_maxerror_ns, text);
    page_field(root, "vm_generation_counter", VMCLOCK_AT_VM_GENERATION, p->vm_generation,
        page_has(p, VMCLOCK_FLAG_VM_GENERATION_PRESENT) ? NULL : "not present");
}

static int read_page(const struct config *config, struct device_view *ret_view)
{
    enum device_look look = DEVICE_BUSY;
    struct device *device;
    int r = device_open(config->device, &device);

    if (r < 0) {
        fprintf(stderr, "vmclockctl: %s cannot be used: %s\n", config->device,
            device_error_str(r));
        return r;
    }
    for (int i = 0; i < 100 && look == DEVICE_BUSY; i++) {
        look = device_look(device, ret_view);
        if (look == DEVICE_BUSY)
            usleep(1000);
    }
    device_close(device);
    if (look == DEVICE_CHANGED)
        return 0;
    fprintf(stderr, "vmclockctl: %s: %s\n", config->device,
        look == DEVICE_BUSY ? "the host has been writing for 100 ms" : "the page is gone");
    return -EIO;
}

static int command_page(const struct config *config, bool json)
{
    struct page_report report;
    struct device_view view;
    json_t *root = NULL, *fields = NULL;
    const char *why;
    char utc[32] = "";
    int r = EXIT_SUCCESS;

    if (read_page(config, &view) < 0)
        return EX_UNAVAILABLE;
    report.verdict = clock_model_init(
        &view.page, COUNTER_NATIVE, config->tracker.accept_freerunning, &report.model);
    if (report.verdict == CLOCK_OK)
        report.verdict = clock_model_time(&report.model, view.counter, &report.time);
    why = view.verdict == PAGE_OK ? clock_verdict_str(report.verdict)
                                  : page_verdict_str(view.verdict);
    if (view.verdict == PAGE_OK && report.verdict == CLOCK_OK)
        snprintf(utc, sizeof(utc), "%" PRId64 ".%09" PRId64, report.time.utc.sec,
            fixed_to_ns((struct fixed){ 0, report.time.utc.frac }));

    if (json) {
        root = json_object();
        fields = json_object();
        json_object_set_new(root, "device", json_string(config->device));
        json_object_set_new(root, "valid", json_boolean(view.verdict == PAGE_OK));
        json_object_set_new(root, "clock", json_boolean(utc[0] != '\0'));
        json_object_set_new(root, "verdict", json_string(why));
        json_object_set_new(root, "utc", utc[0] ? json_string(utc) : json_null());
        json_object_set_new(root, "fields", fields);
    }
    page_fields(fields, &view.page);
    if (json) {
        r = print_json(root);
    } else {
        printf("\n%s: %s\n", config->device, why);
        if (utc[0])
            printf("UTC now: %s s\n", utc);
    }
    return view.verdict == PAGE_OK ? r : EX_UNAVAILABLE;
}

/* --- the program ----------------------------------------------------------------------------- */

static int command_recover(const struct config *config, bool json)
{
    struct state_file state;

    (void)json;
    if (read_state(config, &state) < 0)
        return EXIT_NO_DAEMON;
    if (kill((pid_t)strtol(state_file_value(&state, "pid"), NULL, 10), SIGUSR1) < 0) {
        perror("vmclockctl: cannot signal vmclockd");
        return EXIT_NOT_SO;
    }
    return EXIT_SUCCESS;
}

static const struct {
    const char *name, *help;
    int (*run)(const struct config *config, bool json);
    bool has_json;
} commands[] = {
    { "status", "what vmclockd does, and whether all is well", command_status, true },
    { "page", "what the device's page says, field by field", command_page, true },
    { "recover", "make vmclockd recover as after a disruption", command_recover, false },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
    fputs("usage: vmclockctl [-c FILE] [--json] COMMAND\n\n", to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s%s\n", commands[i].name, commands[i].help,
            commands[i].has_json ? " (--json)" : "");
    fputs("\n  -c, --config FILE   vmclockd's configuration (default " CONFIG_DEFAULT_FILE ")\n"
          "  -j, --json          print JSON\n"
          "  -h, --help          print this\n"
          "  -V, --version       print the version\n"
          "\n"
          "Exit status: 0 done (status: all is well), 1 not so (status: degraded),\n"
          "2 no vmclockd runs, 64 usage, 69 device, 78 configuration.\n",
        to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    const char *file = NULL;
    struct config config;
    bool json = false;
    int c;

    while ((c = getopt_long(argc, argv, "c:jhV", options, NULL)) != -1) {
        switch (c) {
        case 'c': file = optarg; break;
        case 'j': json = true; break;
        case 'h': print_usage(stdout); return EXIT_SUCCESS;
        case 'V': puts("vmclockctl " VERSION); return EXIT_SUCCESS;
        default: print_usage(stderr); return EX_USAGE;
        }
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (optind + 1 != argc || strcmp(argv[optind], commands[i].name) != 0)
            continue;
        if (json && !commands[i].has_json)
            break;
        if (config_read(file, complain, &config) < 0)
            return EX_CONFIG;
        return commands[i].run(&config, json);
    }
    print_usage(stderr);
    return EX_USAGE;
}
