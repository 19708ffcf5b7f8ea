/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/exit_status.h"

#include <errno.h>
#include <stdlib.h>

bool exit_status_is_for_another_start(int error)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case EINTR: return true;
    default: return false;
    }
}

int exit_status(int error, int otherwise)
{
    return exit_status_is_for_another_start(error) ? EXIT_FAILURE : otherwise;
}
