/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/history_report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/format.h"
#include "daemon/history.h"

#define VALUE_MAX 64
#define WORDS_MAX 1024 /* of eight values at most */
#define INDENT    4

static json_t *line_json(const char *line)
{
    json_t *object = json_object();
    char value[VALUE_MAX];

    for (size_t i = 0; i < history_n_columns; i++) {
        const struct history_column *c = &history_columns[i];
        const bool known = history_value(line, c->name, value, sizeof(value));

        json_object_set_new(object, c->name,
            !known                                     ? json_null()
            : c->is_number && !strpbrk(value, ".eEnN") ? json_integer(strtoll(value, NULL, 10))
            : c->is_number                             ? json_real(strtod(value, NULL))
                                                       : json_string(value));
    }
    return object;
}

/* "after 3.290 ms", or what it is instead. */
static const char *after(const char *line, const char *column, char ret_text[FORMAT_MAX])
{
    char value[VALUE_MAX], span[FORMAT_MAX];

    if (!history_value(line, column, value, sizeof(value)))
        return "no";
    snprintf(ret_text, FORMAT_MAX, "after %.32s", format_ns(strtod(value, NULL) * 1e6, span));
    return ret_text;
}

static void print_line(const char *line)
{
    char at[VALUE_MAX] = "-", cause[VALUE_MAX] = "-", kind[VALUE_MAX] = "-",
         marker[VALUE_MAX] = "-";
    char outcome[VALUE_MAX] = "-", by[VALUE_MAX] = "-", ns[VALUE_MAX], ppm[VALUE_MAX];
    char text[3][FORMAT_MAX];
    char words[WORDS_MAX];
    bool has_kind;
    int n;

    history_value(line, "at", at, sizeof(at));
    history_value(line, "cause", cause, sizeof(cause));
    has_kind = history_value(line, "kind", kind, sizeof(kind)) && strcmp(kind, "unknown") != 0;
    history_value(line, "marker", marker, sizeof(marker));
    history_value(line, "outcome", outcome, sizeof(outcome));
    snprintf(words, sizeof(words), "%s  %s%s%s, marker %s: %s", at, cause, has_kind ? ", " : "",
        has_kind ? kind : "", marker, outcome);
    format_fold(stdout, words, 0, INDENT);
    n = snprintf(words, sizeof(words), "reset %s, ", after(line, "reset_ms", text[0]));
    if (history_value(line, "corrected_ms", text[1], sizeof(text[1])) &&
        history_value(line, "corrected_by", by, sizeof(by))) {
        const bool offset = history_value(line, "corrected_ns", ns, sizeof(ns));

        history_value(line, "corrected_ppm", ppm, sizeof(ppm));
        n += snprintf(words + n, sizeof(words) - (size_t)n,
            "corrected %s by the %s: %s%s%s%+.4f ppm, ", after(line, "corrected_ms", text[1]),
            strcmp(by, "ptp") == 0 ? "PTP clock" : by, offset && strtod(ns, NULL) > 0 ? "+" : "",
            offset ? format_ns(strtod(ns, NULL), text[2]) : "", offset ? " and " : "",
            strtod(ppm, NULL));
    } else {
        n += snprintf(words + n, sizeof(words) - (size_t)n, "left to chronyd, ");
    }
    snprintf(words + n, sizeof(words) - (size_t)n, "synchronised %s",
        after(line, "synchronised_ms", text[0]));
    printf("%*s", INDENT, "");
    format_fold(stdout, words, INDENT, INDENT);
}

int history_report(const struct config *config, bool json)
{
    char boot_id[STATE_BOOT_ID_MAX] = "";
    struct history *h = calloc(1, sizeof(*h));
    json_t *list;
    int r = h ? state_file_boot_id(boot_id) : -1;

    if (r == 0)
        r = history_read(config->state_file, boot_id, h);
    list = json ? json_array() : NULL;
    for (unsigned i = h ? h->n : 0; i > 0; i--) {
        if (json)
            json_array_append_new(list, line_json(h->lines[i - 1]));
        else
            print_line(h->lines[i - 1]);
    }
    if (json) {
        json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(14));
        json_decref(list);
        putchar('\n');
    } else if (h && h->n == 0) {
        puts("no recovery since this boot");
    }
    free(h);
    return r;
}
