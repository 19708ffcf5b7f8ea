/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/process.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t process_read(pid_t pid, const char *name, char *ret_text, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, ret_text, size - 1);
    if (fd >= 0)
        close(fd);
    ret_text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

bool process_read_link(pid_t pid, const char *name, char *ret_text, size_t size)
{
    char path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    n = readlink(path, ret_text, size - 1);
    ret_text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

void process_name(pid_t pid, char ret_name[PROCESS_NAME_MAX])
{
    char text[PROCESS_NAME_MAX + 1];

    process_read(pid, "comm", text, sizeof(text));
    text[strcspn(text, "\n")] = '\0';
    snprintf(ret_name, PROCESS_NAME_MAX, "%.15s", text);
}

/* It has no other number in a namespace of its own. */
bool process_is_ours(pid_t pid)
{
    char status[2048], expected[32];
    const char *line;

    if (!process_read(pid, "status", status, sizeof(status)))
        return false;
    snprintf(expected, sizeof(expected), "\nNSpid:\t%ld\n", (long)pid);
    line = strstr(status, "\nNSpid:");
    return !line || strncmp(line, expected, strlen(expected)) == 0;
}

pid_t process_next(DIR *proc)
{
    const struct dirent *entry;

    while (proc && (entry = readdir(proc))) {
        const pid_t pid =
            isdigit((unsigned char)entry->d_name[0]) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;

        if (pid > 0 && process_is_ours(pid))
            return pid;
    }
    return 0;
}
