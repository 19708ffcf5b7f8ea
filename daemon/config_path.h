/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths of the configuration that are one and the same place: what is there would be destroyed. */
#ifndef DAEMON_CONFIG_PATH_H
#define DAEMON_CONFIG_PATH_H

#include "daemon/config.h"

#define CONFIG_SENTENCE_MAX (3UL * CONFIG_PATH_MAX)

/* The n-th such pair, from 0 on, as a sentence with file, line and both keys; false: no more. */
bool config_path_collision(
    const struct config *config, unsigned n, char ret_sentence[CONFIG_SENTENCE_MAX]);

#endif
