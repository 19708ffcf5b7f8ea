/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"

/* A file of the process, NUL-terminated; its length, or -1. */
static ssize_t read_file(pid_t pid, const char *name, char *ret_text, size_t size)
{
    char path[64];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, ret_text, size - 1);
    if (fd >= 0)
        close(fd);
    ret_text[n > 0 ? n : 0] = '\0';
    return n;
}

bool process_is_vmclockd(pid_t pid)
{
    char name[32];

    return read_file(pid, "comm", name, sizeof(name)) > 0 && strcmp(name, "vmclockd\n") == 0;
}

/* What follows the name in stat, which may have blanks and parentheses of its own. */
static const char *read_stat(pid_t pid, char *text, size_t size)
{
    const char *name = read_file(pid, "stat", text, size) > 0 ? strrchr(text, ')') : NULL;

    return name && name[1] == ' ' ? name + 2 : NULL;
}

char process_state(pid_t pid)
{
    char text[512];
    const char *state = read_stat(pid, text, sizeof(text));

    return (char)(state ? *state : '\0');
}

static bool has_run_for(pid_t pid, double seconds)
{
    char text[512];
    const char *at = read_stat(pid, text, sizeof(text));

    for (int field = 3; at && field < 22; field++) { /* starttime is the 22nd */
        at = strchr(at, ' ');
        at += at != NULL;
    }
    return at && (double)system_clock_boottime_ns() / 1e9 -
                         strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK) >=
                     seconds;
}

static bool is_of_our_namespace(pid_t pid)
{
    char path[64], own[STATE_NAMESPACE_MAX], its[STATE_NAMESPACE_MAX];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%ld/ns/pid", (long)pid);
    n = readlink(path, its, sizeof(its) - 1);
    its[n > 0 ? n : 0] = '\0';
    state_file_pid_namespace(own);
    return n > 0 && strcmp(own, its) == 0;
}

/* Does its command line name this configuration? */
static bool has_configuration(pid_t pid, const char *file)
{
    static const char *const options[] = {"--config=", "--config", "-c"};
    char words[4096];
    const ssize_t n = read_file(pid, "cmdline", words, sizeof(words));
    const char *named = NULL;

    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(words + at) + 1) {
        const char *word = words + at;

        for (size_t i = 0; at > 0 && i < sizeof(options) / sizeof(options[0]); i++) {
            const size_t length = strlen(options[i]);

            if (strncmp(word, options[i], length) != 0)
                continue;
            if (word[length])
                named = word + length;
            else if (at + (ssize_t)length + 1 < n)
                named = word + length + 1;
            break;
        }
    }
    return strcmp(named ? named : CONFIG_DEFAULT_FILE, file ? file : CONFIG_DEFAULT_FILE) == 0;
}

pid_t process_find_vmclockd(const char *file, double seconds, pid_t but)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    pid_t found = 0;

    while (directory && found == 0 && (entry = readdir(directory))) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (isdigit((unsigned char)entry->d_name[0]) && pid != but && process_is_vmclockd(pid) &&
            process_state(pid) != 'Z' && is_of_our_namespace(pid) && has_configuration(pid, file) &&
            has_run_for(pid, seconds))
            found = pid;
    }
    if (directory)
        closedir(directory);
    return found;
}
