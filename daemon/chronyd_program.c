/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chronyd_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/system_clock.h"

#define ASK_MS     5000
#define END_MS     100 /* after all its output */
#define SAID_BYTES 4096

static bool is_ours_to_run(const char *program)
{
    struct stat status;

    return stat(program, &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_uid == 0 || status.st_uid == geteuid()) &&
           (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 && access(program, X_OK) == 0;
}

/* In the child. */
static void run(char *const *words, int stream, int to)
{
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
        dup2(null, STDERR_FILENO) >= 0 && dup2(to, stream) >= 0)
        execv(words[0], words);
    _exit(127);
}

/* All that comes until it ends, or time is up. */
static void read_all(int fd, char ret_text[SAID_BYTES])
{
    const int64_t end_ns = system_clock_monotonic_ns() + ASK_MS * INT64_C(1000000);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    size_t n = 0;
    ssize_t got = 1;

    while (got > 0 && n < SAID_BYTES - 1) {
        const int64_t left_ms = (end_ns - system_clock_monotonic_ns()) / 1000000;

        if (left_ms <= 0 || poll(&poll_fd, 1, (int)left_ms) <= 0)
            break;
        got = read(fd, ret_text + n, SAID_BYTES - 1 - n);
        n += got > 0 ? (size_t)got : 0;
    }
    ret_text[n] = '\0';
}

/* Its exit status, and what it says on `stream`; -1: it did not end by itself. */
static int ask(char *const *words, int stream, char ret_text[SAID_BYTES])
{
    int ends[2], status = 0;
    pid_t pid, ended = 0;

    if (!is_ours_to_run(words[0]) || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid == 0)
        run(words, stream, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        read_all(ends[0], ret_text);
        for (int i = 0; i < END_MS && (ended = waitpid(pid, &status, WNOHANG)) == 0; i++)
            usleep(1000);
        if (ended == 0) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
        }
    }
    close(ends[0]);
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int chronyd_program_refuses(const char *program, const char *file, char *ret_why, size_t size)
{
    static const char fatal[] = "Fatal error : ";
    char *const words[] = {(char *)program, (char *)"-p", (char *)"-f", (char *)file, NULL};
    char text[SAID_BYTES] = "";
    const int status = ask(words, STDERR_FILENO, text);
    const char *why = strstr(text, fatal);

    if (status == 0)
        return 0;
    /* What we may not read is no fault of the file. */
    if (status != 1 || !why || strstr(why, strerror(EACCES)))
        return -1;
    why += strlen(fatal);
    snprintf(ret_why, size, "%.*s", (int)strcspn(why, "\n"), why);
    return 1;
}

int chronyd_program_default(const char *program, char *ret_file, size_t size)
{
    char *const words[] = {(char *)program, (char *)"--help", NULL};
    char text[SAID_BYTES] = "";
    const char *at;
    size_t n;

    if (ask(words, STDOUT_FILENO, text) != 0)
        return -1;
    at = strstr(text, "-f FILE");
    at = at ? strchr(at, '(') : NULL;
    n = at ? strcspn(at, ")\n") : 0;
    if (n < 2 || at[1] != '/' || n > size)
        return -1;
    snprintf(ret_file, size, "%.*s", (int)n - 1, at + 1);
    return 0;
}
