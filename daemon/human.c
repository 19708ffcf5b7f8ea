/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/human.h"

#include <math.h>
#include <string.h>
#include <time.h>

const char *human_ns(double ns, char ret_text[HUMAN_MAX])
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (fabs(ns) >= units[i].ns) {
            snprintf(ret_text, HUMAN_MAX, "%.3f %s", ns / units[i].ns, units[i].name);
            return ret_text;
        }
    }
    snprintf(ret_text, HUMAN_MAX, "%.0f ns", ns);
    return ret_text;
}

const char *human_span(double sec, char ret_text[HUMAN_MAX])
{
    const double s = sec < 0 ? 0 : sec;

    if (s < 120)
        snprintf(ret_text, HUMAN_MAX, "%.0f s", floor(s));
    else if (s < 7200)
        snprintf(ret_text, HUMAN_MAX, "%.0f min", floor(s / 60));
    else if (s < 172800)
        snprintf(ret_text, HUMAN_MAX, "%.0f h", floor(s / 3600));
    else
        snprintf(ret_text, HUMAN_MAX, "%.0f days", floor(s / 86400));
    return ret_text;
}

const char *human_date(double sec, char ret_text[HUMAN_MAX])
{
    const time_t t = (time_t)floor(sec);
    struct tm tm;

    if (!localtime_r(&t, &tm) || strftime(ret_text, HUMAN_MAX, "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
        snprintf(ret_text, HUMAN_MAX, "%.0f", sec);
    return ret_text;
}

const char *human_time(double sec, char ret_text[HUMAN_MAX])
{
    const double ms = floor(sec * 1000 + 0.5);
    const time_t t = (time_t)floor(ms / 1000);
    struct tm tm = {0};

    localtime_r(&t, &tm);
    snprintf(ret_text, HUMAN_MAX, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
        (int)fmod(ms, 1000));
    return ret_text;
}

void human_fold(FILE *to, const char *text, size_t column, size_t indent)
{
    const char *word = text;

    while (*word) {
        const size_t n = strcspn(word, " ");
        const size_t rest = n + strspn(word + n, " ");

        if (word != text) {
            if (column + 1 + n > HUMAN_COLUMNS) {
                fprintf(to, "\n%*s", (int)indent, "");
                column = indent;
            } else {
                putc(' ', to);
                column++;
            }
        }
        fwrite(word, 1, n, to);
        column += n;
        word += rest;
    }
    putc('\n', to);
}
