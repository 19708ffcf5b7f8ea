/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chronyd_process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/process.h"

#define COMMAND_LINE_BYTES 4096

/* chronyd's options that have an argument. */
static const char with_argument[] = "fFlLNPtu";

void chronyd_process_parse(const char *words, size_t size, struct chronyd_process *ret_process)
{
    const char *const end = words + size, *word = words;

    if (size == 0)
        return;
    for (word += strnlen(word, size) + 1; word < end;
         word += strnlen(word, (size_t)(end - word)) + 1) {
        const char *option = word;

        if (word[0] != '-' || word[1] == '\0' || strcmp(word, "--") == 0) {
            ret_process->directives = true;
            return;
        }
        while (*++option) {
            ret_process->leaves_clock = ret_process->leaves_clock || *option == 'x';
            ret_process->without_root = ret_process->without_root || *option == 'U';
            if (!strchr(with_argument, *option))
                continue;
            if (option[1] == '\0')
                word += strlen(word) + 1;
            if (word < end && *option == 'f')
                snprintf(ret_process->conf, sizeof(ret_process->conf), "%s",
                    option[1] ? option + 1 : word);
            break;
        }
        if (word >= end)
            return;
    }
}

/* --- the process --------------------------------------------------------------------------- */

/* Of a line in /proc/net/unix: the number that stands before the path. */
static unsigned long inode_before(const char *line, const char *path)
{
    const char *digits = path;

    while (digits > line && digits[-1] == ' ')
        digits--;
    while (digits > line && isdigit((unsigned char)digits[-1]))
        digits--;
    return strtoul(digits, NULL, 10);
}

/* The inode of the socket that is bound at `path`; 0: it is not to be seen. */
static unsigned long socket_inode(const char *path)
{
    FILE *file = fopen("/proc/net/unix", "re");
    unsigned long inode = 0;
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        const char *at = strchr(line, '/');

        line[strcspn(line, "\n")] = '\0';
        if (at && strcmp(at, path) == 0)
            inode = inode_before(line, at);
    }
    if (file)
        fclose(file);
    return inode;
}

static bool holds_socket(pid_t pid, unsigned long inode)
{
    char path[64], expected[64], target[64];
    const struct dirent *entry;
    bool holds = false;
    DIR *directory;

    snprintf(expected, sizeof(expected), "socket:[%lu]", inode);
    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    directory = opendir(path);
    while (directory && !holds && (entry = readdir(directory))) {
        char name[16];

        if (snprintf(name, sizeof(name), "fd/%.10s", entry->d_name) < (int)sizeof(name))
            holds = process_read_link(pid, name, target, sizeof(target)) &&
                    strcmp(target, expected) == 0;
    }
    if (directory)
        closedir(directory);
    return holds;
}

static void describe(pid_t pid, struct chronyd_process *ret_process)
{
    char words[COMMAND_LINE_BYTES], from[CONFIG_PATH_MAX];
    size_t n;

    *ret_process = (struct chronyd_process){.pid = pid};
    n = process_read(pid, "cmdline", words, sizeof(words));
    chronyd_process_parse(words, n, ret_process);
    if (ret_process->conf[0] && ret_process->conf[0] != '/' &&
        process_read_link(pid, "cwd", from, sizeof(from))) {
        char path[CONFIG_PATH_MAX];

        if (snprintf(path, sizeof(path), "%s/%s", from, ret_process->conf) < (int)sizeof(path))
            memcpy(ret_process->conf, path, sizeof(path));
    }
}

static bool is_chronyd(pid_t pid)
{
    char name[PROCESS_NAME_MAX];

    process_name(pid, name);
    return strcmp(name, "chronyd") == 0;
}

int chronyd_process_of(const char *command_socket, struct chronyd_process *ret_process)
{
    const char *slash = strrchr(command_socket, '/');
    char path[CONFIG_PATH_MAX + 16], text[32];
    ssize_t n;
    pid_t pid;
    int fd;

    snprintf(path, sizeof(path), "%.*s/chronyd.pid", slash ? (int)(slash - command_socket) : 0,
        command_socket);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    pid = (pid_t)strtol(text, NULL, 10);
    if (pid <= 0 || !process_is_ours(pid) || !is_chronyd(pid))
        return -ESRCH;
    describe(pid, ret_process);
    return 0;
}

int chronyd_process_find(const char *command_socket, bool any, struct chronyd_process *ret_process)
{
    const unsigned long inode = socket_inode(command_socket);
    pid_t pid, owner = 0, other = 0;
    unsigned n_others = 0;
    DIR *proc;

    if (chronyd_process_of(command_socket, ret_process) == 0)
        return 0;
    if (inode == 0 && !any)
        return -ESRCH;
    proc = opendir("/proc");
    while (owner == 0 && (pid = process_next(proc)) > 0) {
        if (!is_chronyd(pid))
            continue;
        if (inode && holds_socket(pid, inode))
            owner = pid;
        other = pid;
        n_others++;
    }
    if (proc)
        closedir(proc);
    if (owner == 0 && any && n_others == 1)
        owner = other;
    if (owner == 0)
        return -ESRCH;
    describe(owner, ret_process);
    return 0;
}
