/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/replace_file.h"

#define FILE_BYTES 16384

/* Numbers; what the state file does not have is left out. */
static const struct {
    const char *name, *type, *help, *key;
    double scale; /* 0: a yes is 1 */
} numbers[] = {
    {"vmclockd_disruptions_total", "counter", "Changes of the disruption marker.", "disruptions",
        1},
    {"vmclockd_recoveries_total", "counter", "Recoveries whose reset chronyd confirmed.",
        "recoveries", 1},
    {"vmclockd_samples_sent_total", "counter", "Samples sent to chronyd.", "samples_sent", 1},
    {"vmclockd_contradictions_total", "counter", "Pages that denied the bounds of those before.",
        "contradictions", 1},
    {"vmclockd_offset_seconds", "gauge", "The page's time minus the system's.", "offset_ns", 1e-9},
    {"vmclockd_error_bound_seconds", "gauge", "The host's bound of that, and the reading's.",
        "error_bound_ns", 1e-9},
    {"vmclockd_last_disruption_timestamp_seconds", "gauge", "When the last disruption was seen.",
        "last_disruption.at", 1},
    {"vmclockd_last_recovery_timestamp_seconds", "gauge", "When the last recovery began.",
        "last_recovery.at", 1},
    {"vmclockd_last_recovery_reset_seconds", "gauge", "From the disruption to the reset.",
        "last_recovery.reset_ms", 1e-3},
    {"vmclockd_last_recovery_corrected_seconds", "gauge",
        "From the disruption to the corrected clock.", "last_recovery.corrected_ms", 1e-3},
    {"vmclockd_last_recovery_synchronised_seconds", "gauge",
        "From the disruption to chronyd's new reference.", "last_recovery.synchronised_ms", 1e-3},
    {"vmclockd_last_recovery_offset_seconds", "gauge", "By how much the clock was moved.",
        "last_recovery.corrected_ns", 1e-9},
    {"vmclockd_last_recovery_frequency_ratio", "gauge", "By how much the clock's rate was changed.",
        "last_recovery.corrected_ppm", 1e-6},
    {"vmclockd_chronyd_reachable", "gauge", "Whether chronyd answers.", "chronyd.reachable", 0},
    {"vmclockd_chronyd_synchronised", "gauge",
        "Whether chronyd has a reference: in clock mode, ours.", "chronyd.synchronised", 0},
    {"vmclockd_updated_timestamp_seconds", "gauge", "When all this was so, by the system's clock.",
        "updated", 1},
};

/* One of a few values: a series for each, of which the present one's is 1. */
static const struct {
    const char *name, *help, *key, *label;
    const char *values[6];
} choices[] = {
    {"vmclockd_state", "What the daemon does.", "state", "state",
        {"starting", "watching", "feeding", "recovering", "holdover"}},
    {"vmclockd_mode", "What the page is good for.", "mode", "mode", {"marker-only", "clock"}},
    {"vmclockd_host_clock_status", "What the host says of its clock.", "clock_status", "status",
        {"unknown", "initialising", "synchronised", "free-running", "unreliable"}},
    {"vmclockd_maintenance", "Whether the host announces a disruption.", "maintenance", "stage",
        {"none", "soon", "imminent"}},
};

static void print_head(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_number(
    FILE *to, const char *name, const char *type, const char *help, double value)
{
    print_head(to, name, type, help);
    fprintf(to, "%s %.15g\n", name, value);
}

/* As a label's value has to be written. */
static void print_quoted(FILE *to, const char *value)
{
    fputc('"', to);
    for (const char *c = value ? value : ""; *c; c++) {
        if (*c == '"' || *c == '\\')
            fputc('\\', to);
        fputc(*c, to);
    }
    fputc('"', to);
}

static void print_info(const struct state_file *state, FILE *to)
{
    print_head(to, "vmclockd_info", "gauge", "The daemon and its device.");
    fputs("vmclockd_info{version=", to);
    print_quoted(to, state_file_value(state, "version"));
    fputs(",device=", to);
    print_quoted(to, state_file_value(state, "device"));
    fputs("} 1\n", to);
}

void metrics_print(const struct state_file *state, FILE *to)
{
    if (state)
        print_info(state, to);
    print_number(to, "vmclockd_healthy", "gauge", "Whether all is well, as status says.",
        state && state_file_all_is_well(state));
    if (!state)
        return;
    print_number(to, "vmclockd_samples_failing", "gauge", "Whether samples cannot be sent.",
        state_file_value(state, "sock_error") != NULL);
    print_number(to, "vmclockd_samples_withheld", "gauge", "Whether samples are held back.",
        state_file_value(state, "samples_withheld") != NULL);
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        const char *value = state_file_value(state, choices[i].key);

        if (!value) /* it is not known now */
            continue;
        print_head(to, choices[i].name, "gauge", choices[i].help);
        for (const char *const *v = choices[i].values; *v; v++)
            fprintf(to, "%s{%s=\"%s\"} %d\n", choices[i].name, choices[i].label, *v,
                strcmp(value, *v) == 0);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const char *value = state_file_value(state, numbers[i].key);

        if (value)
            print_number(to, numbers[i].name, numbers[i].type, numbers[i].help,
                numbers[i].scale > 0 ? strtod(value, NULL) * numbers[i].scale
                                     : strcmp(value, "yes") == 0);
    }
}

int metrics_write(const char *path, const struct state_file *state)
{
    char bytes[FILE_BYTES];
    FILE *to = fmemopen(bytes, sizeof(bytes), "w");
    bool whole;
    long n;

    if (!to)
        return -errno;
    metrics_print(state, to);
    n = fflush(to) == 0 ? ftell(to) : -1;
    whole = n > 0 && n < (long)sizeof(bytes) && !ferror(to);
    fclose(to);
    return whole ? replace_file(path, bytes, (size_t)n) : -E2BIG;
}
