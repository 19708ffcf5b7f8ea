/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of the configuration: their names, defaults, ranges and ways to write them. */
#ifndef DAEMON_CONFIG_KEY_H
#define DAEMON_CONFIG_KEY_H

#include "daemon/config.h"

struct config_key {
    const char *name;
    /* Parse `value` into the configuration; returns what is expected where it is not. */
    const char *(*parse)(const struct config_key *key, const char *value, struct config *config);
    void (*print)(const struct config_key *key, const struct config *config, FILE *to);
    const char *default_text; /* the default, as it would be written */
    size_t offset;            /* of the field in struct config */
    double minimum, maximum;
    const char *expected;
    bool repeatable; /* as boost, the only one, is: a server each time, the first is printed */
};

/* The path that it is set to; NULL: it is none, or no path. Is there a file that is replaced? */
const char *config_key_path(const struct config_key *key, const struct config *config);
bool config_key_is_replaced(const struct config_key *key);

/* The key that may have been meant; NULL: none is near. */
const char *config_key_near(const char *name);

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

#endif
