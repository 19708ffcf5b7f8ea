/* SPDX-License-Identifier: BSD-2-Clause */
/* What of the configuration is taken from chrony.conf: what a recovery changes and gives back. */
#ifndef DAEMON_CHRONY_SETTINGS_H
#define DAEMON_CHRONY_SETTINGS_H

#include "daemon/config.h"

/* Debian, Ubuntu, Alpine; Fedora, Amazon Linux, Arch; openSUSE, where nothing is in /etc. */
#define CHRONY_SETTINGS_USUAL "/etc/chrony/chrony.conf, /etc/chrony.conf or /usr/etc/chrony.conf"

/*
 * The chrony.conf in question: what the key chrony-conf says; else what the command line of chronyd
 * names, if its pid file is beside its command socket; else where distributions have it. Empty:
 * there is none.
 */
void chrony_settings_find(const struct config *config, char ret_path[CONFIG_PATH_MAX]);

/*
 * Read it, and take makestep from it unless the key is set. What cannot be known has its default,
 * and `complain` is given a sentence with file and line. Of local files, and nothing waits.
 */
void chrony_settings_take(struct config *config, void (*complain)(const char *sentence));

/* Where *config has but the default, for chrony.conf cannot be read now: what was read before. */
void chrony_settings_keep(struct config *config, const struct config *before);

#endif
