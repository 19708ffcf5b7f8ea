/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kinds of values that keys have in common. What parses returns NULL, or what is expected where
 * the value is not that; what prints writes the value as it would be parsed.
 */
#ifndef DAEMON_CONFIG_VALUE_H
#define DAEMON_CONFIG_VALUE_H

#include "daemon/config_key.h"

#define CONFIG_VALUE_UNITS "with its unit: ns, us, ms, s, m, h, d" /* of a duration */

/* A path to a file; `minimum`: bytes that have to fit beside it in its directory. */
const char *config_value_parse_path(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_text(const struct config_key *key, const struct config *config, FILE *to);

/* The same, or none, which is kept as an empty one. */
const char *config_value_parse_optional_path(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_optional_path(
    const struct config_key *key, const struct config *config, FILE *to);

/* ns, from `minimum` to `maximum`. */
const char *config_value_parse_duration(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_duration(
    const struct config_key *key, const struct config *config, FILE *to);

/* A whole number. */
const char *config_value_parse_count(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_count(const struct config_key *key, const struct config *config, FILE *to);

/* A number. */
const char *config_value_parse_real(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_real(const struct config_key *key, const struct config *config, FILE *to);

/* The same, and with a unit. */
const char *config_value_parse_ppm(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_ppm(const struct config_key *key, const struct config *config, FILE *to);

/* yes or no. */
const char *config_value_parse_bool(
    const struct config_key *key, const char *value, struct config *config);
void config_value_print_bool(const struct config_key *key, const struct config *config, FILE *to);

/* `n` whole numbers, separated by `separator`, nothing behind the last. */
bool config_value_parse_integers(const char *value, char separator, unsigned n, long *ret_numbers);

/* As config_parse_number() takes it. */
void config_value_print_number(double number, FILE *to);

#endif
