/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chrony_settings.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/chrony_conf.h"
#include "daemon/chronyd_process.h"

void chrony_settings_find(const struct config *config, char ret_path[CONFIG_PATH_MAX])
{
    static const char *const usual[] = {
        "/etc/chrony/chrony.conf", "/etc/chrony.conf", "/usr/etc/chrony.conf"};
    struct chronyd_process process;

    memcpy(ret_path, config->chrony_conf, CONFIG_PATH_MAX);
    if (!ret_path[0] && chronyd_process_of(config->command_socket, &process) == 0)
        memcpy(ret_path, process.conf, CONFIG_PATH_MAX);
    for (size_t i = 0; !ret_path[0] && i < sizeof(usual) / sizeof(usual[0]); i++)
        if (access(usual[i], F_OK) == 0 || errno == EACCES)
            snprintf(ret_path, CONFIG_PATH_MAX, "%s", usual[i]);
}

/* `reading` is of the chrony.conf at config->chrony_file. */
static void take_makestep(struct config *config, const struct chrony_conf *reading)
{
    struct recovery_config *recovery = &config->tracker.recovery;
    const struct chrony_conf_place *at = &reading->makestep;

    /* By no number is "nan" exceeded. */
    const bool steps = at->line && !isnan(reading->makestep_threshold_sec);

    recovery->makestep_threshold_sec = steps ? reading->makestep_threshold_sec : 0;
    recovery->makestep_limit = steps ? reading->makestep_limit : 0;
    snprintf(config->makestep_file, sizeof(config->makestep_file), "%s",
        at->line ? at->file : config->chrony_file);
    config->makestep_line = at->line;
}

void chrony_settings_take(struct config *config, void (*complain)(const char *sentence))
{
    const bool wanted = !config_is_set(config, "makestep");
    char sentence[CONFIG_PATH_MAX * 2], fault[CONFIG_PATH_MAX + CHRONY_CONF_FAULT_MAX];
    struct chrony_conf *reading;
    int r = -ENOMEM;

    config->makestep_file[0] = '\0';
    config->makestep_line = 0;
    chrony_settings_find(config, config->chrony_file);
    if (wanted)
        config_set_default(config, "makestep");
    if (!wanted || !config->chrony_file[0])
        return;
    snprintf(fault, sizeof(fault), "%s: %s", config->chrony_file, strerror(ENOMEM));
    reading = malloc(sizeof(*reading));
    if (reading) {
        r = chrony_conf_read(config->chrony_file, reading);
        if (r < 0)
            chrony_conf_fault_str(reading, fault, sizeof(fault));
        if (reading->directives_known && reading->fault.error)
            r = 0; /* of a server, which does not matter here */
        if (reading->directives_known && (r == 0 || reading->makestep.line))
            take_makestep(config, reading);
    }
    if (r < 0) {
        snprintf(sentence, sizeof(sentence), "%.400s; %s", fault,
            config->makestep_file[0] ? "what else chrony.conf says is taken"
                                     : "its makestep is not known, and the default is given back");
        complain(sentence);
    }
    free(reading);
}
