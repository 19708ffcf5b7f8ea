/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field(const struct config_key *key, struct config *config)
{
    return (char *)config + key->offset;
}

static const void *const_field(const struct config_key *key, const struct config *config)
{
    return (const char *)config + key->offset;
}

const char *config_value_parse_path(
    const struct config_key *key, const char *value, struct config *config)
{
    const char *slash = strrchr(value, '/');
    const size_t n = strlen(value);

    if (value[0] != '/' || n >= CONFIG_PATH_MAX || (double)n > key->maximum)
        return key->expected;
    if (slash[1] == '\0' || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
        return "a path that ends in a file's name";
    if (key->minimum > 0 && (double)(slash - value) + key->minimum > key->maximum)
        return key->expected; /* leave room for our own socket's name */
    memcpy(field(key, config), value, n + 1);
    return NULL;
}

void config_value_print_text(const struct config_key *key, const struct config *config, FILE *to)
{
    fputs(const_field(key, config), to);
}

const char *config_value_parse_optional_path(
    const struct config_key *key, const char *value, struct config *config)
{
    if (strcmp(value, "none") != 0)
        return config_value_parse_path(key, value, config);
    *(char *)field(key, config) = '\0';
    return NULL;
}

void config_value_print_optional_path(
    const struct config_key *key, const struct config *config, FILE *to)
{
    const char *path = const_field(key, config);

    fputs(path[0] ? path : "none", to);
}

static const struct {
    const char *name;
    double ns;
} units[] = {
    {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};

#define N_UNITS (sizeof(units) / sizeof(units[0]))

bool config_parse_number(const char *value, const char **ret_end, double *ret_number)
{
    const size_t n = strspn(value, "0123456789.");
    char *end;

    if (n == 0)
        return false;
    *ret_number = strtod(value, &end);
    *ret_end = value + n;
    return end == *ret_end;
}

const char *config_value_parse_duration(
    const struct config_key *key, const char *value, struct config *config)
{
    const char *unit;
    double number, ns = -1;

    if (!config_parse_number(value, &unit, &number))
        return key->expected;
    if (*unit == '\0' && number == 0 && key->minimum == 0)
        ns = 0;
    for (size_t i = 0; i < N_UNITS; i++)
        if (strcmp(unit, units[i].name) == 0)
            ns = rint(number * units[i].ns);
    if (ns < key->minimum || ns > key->maximum)
        return key->expected;
    *(int64_t *)field(key, config) = (int64_t)ns;
    return NULL;
}

void config_value_print_duration(
    const struct config_key *key, const struct config *config, FILE *to)
{
    const int64_t ns = *(const int64_t *)const_field(key, config);
    size_t i = N_UNITS;

    if (ns == 0) {
        fputs("0", to);
        return;
    }
    while (--i > 0 && ns % (int64_t)units[i].ns != 0)
        ;
    fprintf(to, "%" PRId64 "%s", ns / (int64_t)units[i].ns, units[i].name);
}

const char *config_value_parse_count(
    const struct config_key *key, const char *value, struct config *config)
{
    const char *end;
    double number;

    if (!config_parse_number(value, &end, &number) || *end || number != floor(number) ||
        number < key->minimum || number > key->maximum)
        return key->expected;
    *(unsigned *)field(key, config) = (unsigned)number;
    return NULL;
}

void config_value_print_count(const struct config_key *key, const struct config *config, FILE *to)
{
    fprintf(to, "%u", *(const unsigned *)const_field(key, config));
}

/* As config_parse_number() takes it: %g would give some an exponent. */
void config_value_print_number(double number, FILE *to)
{
    const int digits = number > 0 ? (int)fmax(0, 5 - floor(log10(number))) : 0;
    char text[400];
    int n = snprintf(text, sizeof(text), "%.*f", digits, number);

    while (digits > 0 && text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    fprintf(to, "%.*s", n, text);
}

const char *config_value_parse_real(
    const struct config_key *key, const char *value, struct config *config)
{
    const char *end;
    double number;

    if (!config_parse_number(value, &end, &number) || *end || number < key->minimum ||
        number > key->maximum)
        return key->expected;
    *(double *)field(key, config) = number;
    return NULL;
}

void config_value_print_real(const struct config_key *key, const struct config *config, FILE *to)
{
    config_value_print_number(*(const double *)const_field(key, config), to);
}

const char *config_value_parse_ppm(
    const struct config_key *key, const char *value, struct config *config)
{
    const char *end;
    double number;

    if (!config_parse_number(value, &end, &number) || number < key->minimum ||
        number > key->maximum)
        return key->expected;
    end += strspn(end, " ");
    if (*end && strcmp(end, "ppm") != 0)
        return key->expected;
    *(double *)field(key, config) = number;
    return NULL;
}

void config_value_print_ppm(const struct config_key *key, const struct config *config, FILE *to)
{
    config_value_print_number(*(const double *)const_field(key, config), to);
    fputs("ppm", to);
}

const char *config_value_parse_bool(
    const struct config_key *key, const char *value, struct config *config)
{
    const bool yes = strcmp(value, "yes") == 0;

    if (!yes && strcmp(value, "no") != 0)
        return key->expected;
    *(bool *)field(key, config) = yes;
    return NULL;
}

void config_value_print_bool(const struct config_key *key, const struct config *config, FILE *to)
{
    fputs(*(const bool *)const_field(key, config) ? "yes" : "no", to);
}

bool config_value_parse_integers(const char *value, char separator, unsigned n, long *ret_numbers)
{
    for (unsigned i = 0; i < n; i++) {
        char *end;

        if (isspace((unsigned char)*value) && separator != ' ')
            return false;
        errno = 0;
        ret_numbers[i] = strtol(value, &end, 10);
        if (end == value || errno)
            return false;
        if (i + 1 < n ? *end != separator : *end != '\0')
            return false;
        value = end + 1;
    }
    return true;
}
