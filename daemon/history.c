/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/history.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/replace_file.h"
#include "daemon/system_clock.h"
#include "refclock/calendar.h"

#define FILE_BYTES (HISTORY_MAX * HISTORY_LINE_MAX + 128)
#define RUNNING    "outcome=running"

const struct history_column history_columns[] = {{"at", false}, {"cause", false}, {"kind", false},
    {"marker", false}, {"reset_ms", true}, {"corrected_by", false}, {"corrected_ms", true},
    {"corrected_ns", true}, {"corrected_ppm", true}, {"synchronised_ms", true}, {"outcome", false}};
const size_t history_n_columns = sizeof(history_columns) / sizeof(history_columns[0]);

bool history_value(const char *line, const char *column, char *ret_value, size_t size)
{
    const size_t n = strlen(column);

    for (const char *at = line; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, column, n) == 0 && at[n] == '=') {
            snprintf(ret_value, size, "%.*s", (int)strcspn(at + n + 1, " "), at + n + 1);
            return strcmp(ret_value, "-") != 0;
        }
    }
    return false;
}

/* --- a line --------------------------------------------------------------------------------- */

struct line {
    char *text;
    size_t n;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    line->n += (size_t)vsnprintf(line->text + line->n,
        line->n < HISTORY_LINE_MAX ? HISTORY_LINE_MAX - line->n : 0, format, arguments);
    va_end(arguments);
}

/* "NAME=3.290", or "NAME=-" where the moment has not come. */
static void add_ms(struct line *line, const char *name, int64_t since_ns, int64_t at_ns)
{
    if (at_ns)
        add(line, " %s=%.3f", name, (double)(at_ns - since_ns) / 1e6);
    else
        add(line, " %s=-", name);
}

/*
 * When it began, by the clock as it is now: corrected since, maybe. Not by gmtime(), which reads
 * the time zone's file.
 */
static void add_date(struct line *line, const struct clock_moment *began)
{
    struct system_clocks clocks;
    struct calendar_month month;
    int64_t ns, sec, day;
    int of_day;

    system_clock_look(&clocks);
    ns = clock_moment_realtime_ns(began, &clocks);
    sec = ns > 0 ? ns / INT64_C(1000000000) : 0;
    day = sec / CALENDAR_DAY_SEC;
    of_day = (int)(sec % CALENDAR_DAY_SEC);
    month = calendar_month_of(day);
    add(line, "at=%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.%09dZ", month.year, month.month,
        (int)(day - month.first_day) + 1, of_day / 3600, of_day / 60 % 60, of_day % 60,
        ns > 0 ? (int)(ns % INT64_C(1000000000)) : 0);
}

static void describe(
    const struct tracker *t, const struct clock_moment *began, char ret_text[HISTORY_LINE_MAX])
{
    const struct recovery *r = &t->recoveries.recovery;
    const enum recovery_corrector by = recovery_corrected_by(r);
    const bool by_us = by == RECOVERY_CORRECTOR_PAGE || by == RECOVERY_CORRECTOR_PTP;
    const char *by_str = recovery_corrector_str(by);
    struct line line = {ret_text, 0};

    add_date(&line, began);
    add(&line, " cause=%s kind=%s marker=0x%" PRIx64, recovery_cause_str(r->cause),
        r->cause == RECOVERY_CAUSE_MARKER ? disruption_kind_str(t->host.disruption.kind) : "-",
        t->host.marker);
    add_ms(&line, "reset_ms", r->started_ns, r->reset_ns);
    add(&line, " corrected_by=%s", by_str ? by_str : "-");
    add_ms(&line, "corrected_ms", r->started_ns, by_us ? r->corrected_ns : 0);
    if (by_us && r->offset_sent)
        add(&line, " corrected_ns=%.0f", rint(r->offset_sec * 1e9));
    else
        add(&line, " corrected_ns=-");
    if (by_us)
        add(&line, " corrected_ppm=%.6f", 0 - r->rate_ppm);
    else
        add(&line, " corrected_ppm=-");
    add_ms(&line, "synchronised_ms", r->started_ns, r->synchronised_ns);
    add(&line, " outcome=%s", recovery_outcome_str(r->outcome));
}

/* --- all of them ---------------------------------------------------------------------------- */

static void push(struct history *h)
{
    if (h->n == HISTORY_MAX)
        memmove(h->lines[0], h->lines[1], sizeof(h->lines) - sizeof(h->lines[0]));
    else
        h->n++;
}

/* The last one runs no more, and nobody has said how it ended. */
static void end_last(struct history *h, const char *outcome)
{
    char *at = h->n > 0 ? strstr(h->lines[h->n - 1], RUNNING) : NULL;

    if (at)
        snprintf(at, HISTORY_LINE_MAX - (size_t)(at - h->lines[h->n - 1]), "outcome=%s", outcome);
}

void history_take_over(struct history *h)
{
    end_last(h, recovery_outcome_str(RECOVERY_OUTCOME_ABANDONED));
    h->dirty = true;
}

void history_take(struct history *h, const struct tracker *t, const struct clock_moment *began)
{
    const struct recovery *r = &t->recoveries.recovery;
    const bool another = r->started_ns != h->started_ns;

    if (r->started_ns == 0 ||
        (!another && r->reset_ns == h->reset_ns && r->corrected_ns == h->corrected_ns &&
            r->synchronised_ns == h->synchronised_ns && r->ended_ns == h->ended_ns &&
            r->outcome == h->outcome))
        return;
    if (another && h->is_ours)
        end_last(h, "replaced");
    if (another)
        push(h);
    h->is_ours = h->dirty = true;
    h->started_ns = r->started_ns;
    h->reset_ns = r->reset_ns;
    h->corrected_ns = r->corrected_ns;
    h->synchronised_ns = r->synchronised_ns;
    h->ended_ns = r->ended_ns;
    h->outcome = r->outcome;
    describe(t, began, h->lines[h->n - 1]);
}

int history_write(struct history *h, const char *state_file, const char *boot_id)
{
    char path[PATH_MAX], bytes[FILE_BYTES];
    size_t n;
    int r;

    if (!h->dirty)
        return 0;
    snprintf(path, sizeof(path), "%s" HISTORY_SUFFIX, state_file);
    n = (size_t)snprintf(bytes, sizeof(bytes), "boot=%s\n", boot_id);
    for (unsigned i = 0; i < h->n; i++)
        n += (size_t)snprintf(bytes + n, sizeof(bytes) - n, "%s\n", h->lines[i]);
    r = replace_file(path, bytes, n);
    h->dirty = r < 0;
    return r;
}

int history_read(const char *state_file, const char *boot_id, struct history *ret_history)
{
    char path[PATH_MAX], line[HISTORY_LINE_MAX], boot[STATE_BOOT_ID_MAX];
    struct stat status;
    FILE *file;
    int fd;

    memset(ret_history, 0, sizeof(*ret_history));
    snprintf(path, sizeof(path), "%s" HISTORY_SUFFIX, state_file);
    fd = open_replaced(path);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) == 0)
        ret_history->owner = status.st_uid;
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    if (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (!history_value(line, "boot", boot, sizeof(boot)) || strcmp(boot, boot_id) != 0) {
            fclose(file);
            return 0;
        }
    }
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "at=", 3) != 0)
            continue;
        push(ret_history);
        memcpy(ret_history->lines[ret_history->n - 1], line, sizeof(line));
    }
    fclose(file);
    return 0;
}
