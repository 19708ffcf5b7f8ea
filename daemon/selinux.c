/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/selinux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SELINUXFS  "/sys/fs/selinux/"
#define CLASS      SELINUXFS "class/unix_dgram_socket/"
#define PERMISSION CLASS "perms/sendto"

/* Room for two contexts and two numbers. */
#define QUESTION_BYTES ((size_t)SELINUX_CONTEXT_MAX * 2 + 32)

static int read_text(const char *path, char *ret_text, size_t size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, ret_text, size - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return (int)n;
    ret_text[n] = '\0';
    ret_text[strcspn(ret_text, "\n")] = '\0';
    return 0;
}

/* What the kernel calls a class or a permission: a small number, from 1 on. */
static int read_number(const char *path, unsigned *ret_number)
{
    char text[16], *end;
    unsigned long number;
    const int r = read_text(path, text, sizeof(text));

    if (r < 0)
        return r;
    number = strtoul(text, &end, 10);
    if (end == text || *end || number < 1 || number > UINT16_MAX)
        return -EBADMSG;
    *ret_number = (unsigned)number;
    return 0;
}

bool selinux_is_enforcing(void)
{
    char text[16];

    return read_text(SELINUXFS "enforce", text, sizeof(text)) == 0 && strcmp(text, "1") == 0;
}

int selinux_context_of(pid_t pid, char ret_context[SELINUX_CONTEXT_MAX])
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/attr/current", (long)pid);
    return read_text(path, ret_context, SELINUX_CONTEXT_MAX);
}

/* Where the type of USER:ROLE:TYPE[:RANGE] begins; NULL: it is no such context. */
static const char *find_type(const char *context)
{
    const char *role = strchr(context, ':');
    const char *type = role ? strchr(role + 1, ':') : NULL;

    return type ? type + 1 : NULL;
}

void selinux_type(const char *context, char *ret_type, size_t size)
{
    const char *type = find_type(context);

    if (type)
        snprintf(ret_type, size, "%.*s", (int)strcspn(type, ":"), type);
    else
        snprintf(ret_type, size, "%s", context);
}

int selinux_with_type(const char *context, const char *type, char ret_context[SELINUX_CONTEXT_MAX])
{
    const char *old = find_type(context);
    int n;

    if (!old)
        return -EINVAL;
    n = snprintf(ret_context, SELINUX_CONTEXT_MAX, "%.*s%s%s", (int)(old - context), context, type,
        old + strcspn(old, ":"));
    return n < SELINUX_CONTEXT_MAX ? 0 : -EINVAL;
}

int selinux_answer_allows(const char *answer, unsigned permission)
{
    char *end;
    const unsigned long allowed = strtoul(answer, &end, 16);

    if (end == answer || *end != ' ' || permission < 1 || permission > 32)
        return -EBADMSG;
    return (allowed >> (permission - 1) & 1) != 0;
}

/* A transaction: what is written to this file is answered to who reads it next from there. */
static int ask(const char *question, char *ret_answer, size_t size)
{
    const int fd = open(SELINUXFS "access", O_RDWR | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = write(fd, question, strlen(question));
    if (n >= 0)
        n = read(fd, ret_answer, size - 1);
    if (n < 0)
        n = -errno;
    close(fd);
    if (n < 0)
        return (int)n;
    ret_answer[n] = '\0';
    return 0;
}

int selinux_allows_sendto(const char *source, const char *target)
{
    char question[QUESTION_BYTES], answer[128];
    unsigned class, permission;
    int r = read_number(CLASS "index", &class);

    if (r == 0)
        r = read_number(PERMISSION, &permission);
    if (r < 0)
        return r;
    snprintf(question, sizeof(question), "%s %s %hu %x", source, target, (unsigned short)class,
        1U << ((permission - 1) & 31));
    r = ask(question, answer, sizeof(answer));
    return r < 0 ? r : selinux_answer_allows(answer, permission);
}
