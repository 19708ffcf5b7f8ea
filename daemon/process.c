/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/process.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/system_clock.h"

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

/* --- those of ours ------------------------------------------------------------------------- */

bool process_is_vmclockd(pid_t pid)
{
    char name[PROCESS_NAME_MAX];

    process_name(pid, name);
    return strcmp(name, "vmclockd") == 0;
}

/* What follows the name in stat, which may have blanks and parentheses of its own. */
static const char *read_stat(pid_t pid, char *text, size_t size)
{
    const char *name = process_read(pid, "stat", text, size) > 0 ? strrchr(text, ')') : NULL;

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

/* What getopt_long() of vmclockd takes from its command line; NULL: the default one. */
static const char *named_configuration(const char *words, size_t n)
{
    const char *named = NULL, *next;

    for (const char *word = words; word < words + n; word = next) {
        const char *value = NULL;
        size_t length;

        next = word + strlen(word) + 1;
        if (word == words || word[0] != '-')
            continue;
        length = word[1] == '-' ? strcspn(word + 2, "=") : strcspn(word, "c");
        if (word[1] != '-' && word[length])
            value = word + length + 1;
        else if (word[1] == '-' && length > 0 && strncmp(word + 2, "config", length) == 0)
            value = word + 2 + length + (word[2 + length] == '=');
        if (!value)
            continue;
        if (*value == '\0' && value[-1] != '=' && next < words + n) {
            value = next;
            next += strlen(next) + 1;
        }
        named = value;
    }
    return named;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat s, t;

    return strcmp(a, b) == 0 ||
           (stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino);
}

/* Does its command line name this configuration, which may be the same by another path? */
static bool has_configuration(pid_t pid, const char *file)
{
    char words[4096], directory[PATH_MAX], path[2 * PATH_MAX];
    const size_t n = process_read(pid, "cmdline", words, sizeof(words));
    const char *named = named_configuration(words, n);

    if (!named)
        named = CONFIG_DEFAULT_FILE;
    if (named[0] != '/') {
        if (!process_read_link(pid, "cwd", directory, sizeof(directory)))
            return false;
        snprintf(path, sizeof(path), "%s/%s", directory, named);
        named = path;
    }
    return is_same_file(named, file ? file : CONFIG_DEFAULT_FILE);
}

pid_t process_find_vmclockd(const char *file, double seconds, pid_t but)
{
    DIR *proc = opendir("/proc");
    pid_t pid, found = 0;

    while (found == 0 && (pid = process_next(proc)) > 0)
        if (pid != but && process_is_vmclockd(pid) && process_state(pid) != 'Z' &&
            has_configuration(pid, file) && has_run_for(pid, seconds))
            found = pid;
    if (proc)
        closedir(proc);
    return found;
}
