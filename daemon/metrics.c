/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/metrics.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *type, *help, *key;
    double scale; /* 0: a yes is 1 */
} metrics[] = {
    {"vmclockd_disruptions_total", "counter", "Changes of the disruption marker", "disruptions", 1},
    {"vmclockd_recoveries_total", "counter", "Recoveries whose reset chronyd confirmed",
        "recoveries", 1},
    {"vmclockd_samples_sent_total", "counter", "Samples sent to chronyd", "samples_sent", 1},
    {"vmclockd_contradictions_total", "counter", "Pages that denied the bounds of those before",
        "contradictions", 1},
    {"vmclockd_offset_seconds", "gauge", "The page's time minus the system's", "offset_ns", 1e-9},
    {"vmclockd_error_bound_seconds", "gauge", "The host's bound of that, and the reading's",
        "error_bound_ns", 1e-9},
    {"vmclockd_last_recovery_reset_seconds", "gauge", "From the disruption to the reset",
        "last_recovery.reset_ms", 1e-3},
    {"vmclockd_last_recovery_corrected_seconds", "gauge",
        "From the disruption to the corrected clock", "last_recovery.corrected_ms", 1e-3},
    {"vmclockd_last_recovery_synchronised_seconds", "gauge",
        "From the disruption to chronyd's new reference", "last_recovery.synchronised_ms", 1e-3},
    {"vmclockd_chronyd_reachable", "gauge", "Whether chronyd answers", "chronyd.reachable", 0},
    {"vmclockd_chronyd_synchronised", "gauge", "Whether chronyd's reference is ours",
        "chronyd.synchronised", 0},
};

static void print_metric(
    FILE *to, const char *name, const char *type, const char *help, double value)
{
    fprintf(to, "# HELP %s %s.\n# TYPE %s %s\n%s %.12g\n", name, help, name, type, name, value);
}

void metrics_print(const struct state_file *state, FILE *to)
{
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const char *value = state_file_value(state, metrics[i].key);

        if (value)
            print_metric(to, metrics[i].name, metrics[i].type, metrics[i].help,
                metrics[i].scale > 0 ? strtod(value, NULL) * metrics[i].scale
                                     : strcmp(value, "yes") == 0);
    }
    print_metric(to, "vmclockd_healthy", "gauge", "Whether all is well, as status says",
        state_file_all_is_well(state));
}
