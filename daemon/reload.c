/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/reload.h"

#include <string.h>

#include "daemon/chrony_settings.h"
#include "daemon/log.h"

static void keep_path(const char *key, char *fresh, const char *present)
{
    if (strcmp(fresh, present) == 0)
        return;
    log_warning("%s = %s takes effect at the next start; still %s", key, fresh, present);
    memcpy(fresh, present, CONFIG_PATH_MAX);
}

int reload_config(const struct config *present, struct config *ret_fresh)
{
    const int result =
        config_read(present->file_named ? present->file : NULL, log_err_sentence, ret_fresh);

    if (result < 0) {
        log_err("the configuration is left as it was");
        return result;
    }
    chrony_settings_take(ret_fresh, log_warning_sentence);
    keep_path("device", ret_fresh->device, present->device);
    keep_path("sock", ret_fresh->sock, present->sock);
    keep_path("command-socket", ret_fresh->command_socket, present->command_socket);
    keep_path("state-file", ret_fresh->state_file, present->state_file);
    return 0;
}
