/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/device_node.h"

#include <glob.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/message.h"

#define RELEASE(major, minor, patch) (((major)*1000 + (minor)) * 1000 + (patch))

/* A number of at most three digits, which are taken from *text; -1: there is none. */
static int64_t take_number(const char **text)
{
    const size_t n = strspn(*text, "0123456789");
    const char *digits = *text;

    *text += n;
    return n > 0 && n <= 3 ? strtol(digits, NULL, 10) : -1;
}

static bool take_dot(const char **text)
{
    const bool is_dot = **text == '.';

    *text += is_dot;
    return is_dot;
}

bool node_release_is_forgeable(const char *release)
{
    const int64_t major = take_number(&release);
    const int64_t minor = take_dot(&release) ? take_number(&release) : -1;
    const int64_t patch = take_dot(&release) ? take_number(&release) : 0;
    const int64_t number = RELEASE(major, minor, patch);

    if (major < 0 || minor < 0 || patch < 0)
        return false;
    return (number >= RELEASE(6, 13, 0) && number <= RELEASE(6, 18, 46)) ||
           (number >= RELEASE(6, 19, 0) && number <= RELEASE(7, 1, 10)) ||
           number == RELEASE(7, 2, 0);
}

bool device_node_is_forgeable(const char *device, struct utsname *ret_system)
{
    struct stat status;

    return stat(device, &status) == 0 && S_ISCHR(status.st_mode) && (status.st_mode & S_IROTH) &&
           uname(ret_system) == 0 && node_release_is_forgeable(ret_system->release);
}

static void warn_of_readers(const char *device)
{
    struct utsname system;

    if (!device_node_is_forgeable(device, &system))
        return;
    message_log(LINE(DEVICE_READABLE), device, system.release, device);
}

/* Beside a device that is called as the kernel calls it. */
static void tell_of_others(const char *device)
{
    const char *slash = strrchr(device, '/');
    char pattern[PATH_MAX];
    glob_t found;

    if (!slash || strncmp(slash, "/vmclock", 8) != 0)
        return;
    snprintf(pattern, sizeof(pattern), "%.*s/vmclock[0-9]*", (int)(slash - device), device);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (strcmp(found.gl_pathv[i], device) != 0)
            message_log(LINE(OTHER_DEVICE), found.gl_pathv[i], device);
    globfree(&found);
}

void device_node_warn(const char *device)
{
    warn_of_readers(device);
    tell_of_others(device);
}
