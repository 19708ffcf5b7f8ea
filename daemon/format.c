/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MIN   20
#define COLUMNS_MAX   1000
#define COLUMNS_USUAL 80

const char *format_ns(double ns, char ret_text[FORMAT_MAX])
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (fabs(ns) >= units[i].ns * 0.9995) {
            const double size = fabs(ns) / units[i].ns;

            snprintf(ret_text, FORMAT_MAX, "%.*f %s",
                size < 9.995   ? 2
                : size < 99.95 ? 1
                               : 0,
                ns / units[i].ns, units[i].name);
            return ret_text;
        }
    }
    snprintf(ret_text, FORMAT_MAX, "%.0f ns", ns);
    return ret_text;
}

const char *format_span(double sec, char ret_text[FORMAT_MAX])
{
    const double s = sec < 0 ? 0 : sec;

    if (s < 120)
        snprintf(ret_text, FORMAT_MAX, "%.0f s", floor(s));
    else if (s < 7200)
        snprintf(ret_text, FORMAT_MAX, "%.0f min", floor(s / 60));
    else if (s < 172800)
        snprintf(ret_text, FORMAT_MAX, "%.0f h", floor(s / 3600));
    else
        snprintf(ret_text, FORMAT_MAX, "%.0f days", floor(s / 86400));
    return ret_text;
}

const char *format_date(double sec, char ret_text[FORMAT_MAX])
{
    const time_t t = (time_t)floor(sec);
    struct tm tm;

    if (!localtime_r(&t, &tm) || strftime(ret_text, FORMAT_MAX, "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
        snprintf(ret_text, FORMAT_MAX, "%.0f", sec);
    return ret_text;
}

const char *format_time(double sec, char ret_text[FORMAT_MAX])
{
    const double ms = floor(sec * 1000 + 0.5);
    const time_t t = (time_t)floor(ms / 1000);
    struct tm tm = {0};

    localtime_r(&t, &tm);
    snprintf(ret_text, FORMAT_MAX, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
        (int)fmod(ms, 1000));
    return ret_text;
}

const char *format_rfc3339(double sec, char ret_text[FORMAT_MAX])
{
    const double us = floor(sec * 1e6 + 0.5);
    const time_t t = (time_t)floor(us / 1e6);
    char day[FORMAT_MAX / 2];
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return "";
    snprintf(ret_text, FORMAT_MAX, "%s.%06d000Z", day, (int)(us - (double)t * 1e6));
    return ret_text;
}

size_t format_columns(void)
{
    const char *text = getenv("COLUMNS");
    const long wanted = text ? strtol(text, NULL, 10) : 0;
    struct winsize size;

    if (wanted >= COLUMNS_MIN && wanted <= COLUMNS_MAX)
        return (size_t)wanted;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= COLUMNS_MIN)
        return size.ws_col;
    return COLUMNS_USUAL;
}

/* The bytes of the character at `at`; 0: it is none. */
static size_t utf8_length(const unsigned char *at)
{
    static const struct {
        unsigned char mask, lead;
        unsigned long least;
    } kinds[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
        unsigned long code = at[0] & (unsigned char)~kinds[n].mask;
        size_t i = 1;

        if ((at[0] & kinds[n].mask) != kinds[n].lead)
            continue;
        for (; i <= n && (at[i] & 0xc0) == 0x80; i++)
            code = code << 6 | (at[i] & 0x3f);
        if (i <= n || code < kinds[n].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return 0;
        return code < 0x20 || (code >= 0x7f && code < 0xa0) ? 0 : n + 1;
    }
    return 0;
}

void format_make_plain(char *text)
{
    while (*text) {
        const size_t n = utf8_length((const unsigned char *)text);

        if (n == 0)
            *text = '?';
        text += n == 0 ? 1 : n;
    }
}

void format_fold(FILE *to, const char *text, size_t column, size_t indent)
{
    const size_t columns = format_columns();
    const char *word = text;

    while (*word) {
        const size_t n = strcspn(word, " ");
        const size_t rest = n + strspn(word + n, " ");

        if (word != text) {
            if (column + 1 + n > columns) {
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
