/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/now_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "daemon/format.h"
#include "lib/vmclock.h"

#define TIME_MAX      64
#define LABEL_COLUMNS 12

/* RFC 3339, nine digits. */
static const char *time_str(const struct timespec *t, char ret_text[TIME_MAX])
{
    struct tm utc;
    char day[TIME_MAX / 2];

    if (!gmtime_r(&t->tv_sec, &utc) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc))
        return "beyond any calendar";
    snprintf(ret_text, TIME_MAX, "%s.%09ldZ", day, t->tv_nsec);
    return ret_text;
}

static int64_t width_ns(const struct vmclock_interval *now)
{
    return (now->latest.tv_sec - now->earliest.tv_sec) * INT64_C(1000000000) + now->latest.tv_nsec -
           now->earliest.tv_nsec;
}

static json_t *hex(uint64_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "0x%" PRIx64, number);
    return json_string(text);
}

static void print_json(const struct vmclock_interval *now, bool holds, const char *why)
{
    char text[TIME_MAX];
    json_t *root = json_object();

    json_object_set_new(
        root, "earliest", holds ? json_string(time_str(&now->earliest, text)) : json_null());
    json_object_set_new(
        root, "latest", holds ? json_string(time_str(&now->latest, text)) : json_null());
    json_object_set_new(root, "width_ns", holds ? json_integer(width_ns(now)) : json_null());
    json_object_set_new(root, "status", json_string(vmclock_status_str(now->status)));
    json_object_set_new(root, "why", json_string(why));
    json_object_set_new(root, "disruption_marker",
        now->disruption_marker ? hex(now->disruption_marker) : json_null());
    json_object_set_new(
        root, "vm_generation", now->vm_generation ? hex(now->vm_generation) : json_null());
    json_dumpf(root, stdout, JSON_INDENT(2));
    json_decref(root);
    putchar('\n');
}

static void print_text(const struct vmclock_interval *now, bool holds, const char *why)
{
    char text[TIME_MAX], width[FORMAT_MAX], words[256];

    if (holds) {
        printf("%-*s%s\n", LABEL_COLUMNS, "Earliest", time_str(&now->earliest, text));
        printf("%-*s%s\n", LABEL_COLUMNS, "Latest", time_str(&now->latest, text));
        printf("%-*s%s\n", LABEL_COLUMNS, "Width", format_ns((double)width_ns(now), width));
    }
    snprintf(words, sizeof(words), "%s: %s", vmclock_status_str(now->status), why);
    printf("%-*s", LABEL_COLUMNS, "Status");
    format_fold(stdout, words, LABEL_COLUMNS, LABEL_COLUMNS);
    if (now->disruption_marker)
        printf("%-*s0x%" PRIx64 "\n", LABEL_COLUMNS, "Marker", now->disruption_marker);
    if (now->vm_generation)
        printf("%-*s0x%" PRIx64 "\n", LABEL_COLUMNS, "Generation", now->vm_generation);
}

int now_report(const struct config *config, bool json)
{
    struct vmclock_interval now = {.status = VMCLOCK_UNKNOWN};
    const char *why = "there is no clock-file";
    struct vmclock *clock = NULL;
    int r = config->clock_file[0] ? vmclock_open(config->clock_file, &clock) : -ENOENT;
    bool holds;

    if (r == 0)
        r = vmclock_now(clock, &now);
    if (r == 0)
        why = vmclock_why(clock);
    holds = r == 0 && (now.status == VMCLOCK_SYNCHRONISED || now.status == VMCLOCK_FREE_RUNNING);
    if (json)
        print_json(&now, holds, why);
    else if (r == 0)
        print_text(&now, holds, why);
    vmclock_close(clock);
    return r < 0 ? r : !holds;
}
