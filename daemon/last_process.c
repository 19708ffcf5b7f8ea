/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/last_process.h"

#include <errno.h>
#include <string.h>

#include "daemon/chronyd.h"
#include "daemon/exit_status.h"
#include "daemon/message.h"
#include "daemon/replace_file.h"

int last_process_boot_id(char ret_id[STATE_BOOT_ID_MAX])
{
    const int result = state_file_boot_id(ret_id);

    if (result < 0)
        message_log(LINE(BOOT_ID_UNKNOWN), strerror(-result));
    return exit_status_is_for_another_start(result) ? result : 0;
}

int last_process_take(const struct config *config, const char *boot_id, struct state_file *state,
    struct tracker_saved *ret_saved)
{
    const int result = state_file_read(config->state_file, state);

    *ret_saved = (struct tracker_saved){.valid = false};
    if (result == -ENOENT)
        return 0;
    if (result < 0) {
        message_log(LINE(LAST_RUN_UNKNOWN), config->state_file, strerror(-result));
        return exit_status_is_for_another_start(result) ? result : 0;
    }
    if (!is_trusted_owner(state->owner)) {
        message_log(LINE(LAST_RUN_UNKNOWN), config->state_file, "it belongs to another user");
        return 0;
    }
    *ret_saved = state_file_saved(state, boot_id, &config->tracker.recovery);
    chronyd_remove_stale(config->command_socket, state_file_value(state, "pid"));
    return 0;
}
