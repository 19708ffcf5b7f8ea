/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/reload.h"

#include <errno.h>
#include <string.h>

#include "daemon/chrony_settings.h"
#include "daemon/message.h"

/* Others point at these paths, in the daemon's own configuration. */
static void keep_path(const char *key, char *fresh, const char *present)
{
    if (strcmp(fresh, present) == 0)
        return;
    message_log(LINE(AT_NEXT_START), key, fresh, present);
    memcpy(fresh, present, CONFIG_PATH_MAX);
}

static int reject(int result)
{
    message_log(LINE(NOT_RELOADED));
    return result;
}

int reload_config(const struct config *present, struct config *ret_fresh)
{
    const int result =
        config_read(present->file_named ? present->file : NULL, message_log_mistake, ret_fresh);

    if (result < 0)
        return reject(result);
    chrony_settings_take(ret_fresh, message_log_fault);
    chrony_settings_keep(ret_fresh, present);
    keep_path("device", ret_fresh->device, present->device);
    keep_path("sock", ret_fresh->sock, present->sock);
    keep_path("command-socket", ret_fresh->command_socket, present->command_socket);
    keep_path("state-file", ret_fresh->state_file, present->state_file);
    return config_check_paths(ret_fresh, message_log_mistake) == 0 ? 0 : reject(-EINVAL);
}
