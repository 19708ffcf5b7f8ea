/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/replace_file.h"

#define FILE_BYTES 16384

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
    char before = '{';

    print_head(to, "vmclockd_info", "gauge", "The daemon and its device.");
    fputs("vmclockd_info", to);
    for (size_t i = 0; i < state_n_keys; i++) {
        if (state_keys[i].metric.type != STATE_METRIC_LABEL)
            continue;
        fprintf(to, "%c%s=", before, state_keys[i].name);
        print_quoted(to, state_file_value(state, state_keys[i].name));
        before = ',';
    }
    fputs("} 1\n", to);
}

static void print_choice(FILE *to, const struct state_metric *metric, const char *value)
{
    print_head(to, metric->name, "gauge", metric->help);
    for (const char *const *v = metric->values; *v; v++)
        fprintf(to, "%s{%s=\"%s\"} %d\n", metric->name, metric->label, *v, strcmp(value, *v) == 0);
}

/* What the state file does not have is left out, but for what is a metric of that. */
static void print_metric(FILE *to, const struct state_key *key, const char *value)
{
    const struct state_metric *metric = &key->metric;
    const bool counts = metric->type == STATE_METRIC_COUNTER;

    if (metric->type == STATE_METRIC_PRESENCE)
        print_number(to, metric->name, "gauge", metric->help, value != NULL);
    else if (value && metric->type == STATE_METRIC_CHOICE)
        print_choice(to, metric, value);
    else if (value)
        print_number(to, metric->name, counts ? "counter" : "gauge", metric->help,
            key->kind == STATE_YES_NO ? strcmp(value, "yes") == 0
                                      : strtod(value, NULL) * metric->scale);
}

void metrics_print(const struct state_file *state, FILE *to)
{
    static const enum state_metric_type order[] = {
        STATE_METRIC_PRESENCE, STATE_METRIC_CHOICE, STATE_METRIC_COUNTER, STATE_METRIC_GAUGE};

    if (state)
        print_info(state, to);
    print_number(to, "vmclockd_healthy", "gauge", "Whether all is well, as status says.",
        state && state_file_all_is_well(state));
    if (!state)
        return;
    for (size_t type = 0; type < sizeof(order) / sizeof(order[0]); type++)
        for (size_t i = 0; i < state_n_keys; i++)
            if (state_keys[i].metric.type == order[type])
                print_metric(to, &state_keys[i], state_file_value(state, state_keys[i].name));
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
