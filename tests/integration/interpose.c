/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For LD_PRELOAD: the n-th call of the C library by a program, or by a library of its, fails, is
 * cut short, or has a signal come with it. Which, and when it counts, is told by the process that
 * shares the file FAULT_CONTROL names, at any moment: see faults.py.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum action { ACTION_FAIL = 1, ACTION_SHORT, ACTION_SIGNAL_BEFORE, ACTION_SIGNAL_AFTER };

/* Shared; in faults.py as well. */
struct control {
    uint32_t action; /* 0: nothing is to happen, nothing is counted */
    uint32_t number; /* the error or the signal */
    uint32_t nth;    /* the first call is 1 */
    uint32_t sticky; /* and all later calls of the same function */
    uint32_t seen;   /* calls that counted */
    uint32_t fired;
    char name[32]; /* of the function that it struck */
    char only[32]; /* only calls of this one count; empty: of all */
};

static struct control nothing, *control = &nothing;

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("FAULT_CONTROL");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map;

    if (fd < 0)
        return;
    map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        control = map;
}

/* The errors that each function may meet; those with `calls` are carried out before they fail. */
static const struct function {
    const char *name;
    int errors[12];
} functions[] = {
    {"open", {EMFILE, ENFILE, ENOMEM, EINTR, EIO, EACCES}},
    {"open_new", {EMFILE, ENFILE, ENOMEM, EINTR, EIO, EACCES, ENOSPC, EROFS}},
    {"fopen", {EMFILE, ENFILE, ENOMEM, EINTR, EIO, EACCES}},
    {"fstat", {ENOMEM, EIO}},
    {"stat", {ENOMEM, EIO, EACCES, ENOENT}},
    {"lstat", {ENOMEM, EIO, EACCES}},
    {"fcntl", {EINTR, EIO, EAGAIN, ENOMEM}},
    {"read", {EINTR, EIO, EAGAIN}},
    {"write", {EINTR, EIO, EAGAIN, ENOSPC}},
    {"close", {EINTR, EIO, ENOSPC}},
    {"rename", {EIO, ENOSPC, ENOMEM, EROFS, EACCES}},
    {"unlink", {EIO, EROFS, ENOMEM, EACCES}},
    {"mkdir", {EIO, ENOSPC, EROFS, ENOMEM, EACCES}},
    {"mmap", {ENOMEM, EAGAIN, ENFILE}},
    {"socket", {EMFILE, ENFILE, ENOMEM}},
    {"bind", {ENOMEM, ENOSPC, EROFS, EACCES, EIO}},
    {"connect", {ENOMEM, EAGAIN, EACCES, ECONNREFUSED, EINTR}},
    {"send", {ENOMEM, EAGAIN, ENOBUFS, EINTR, ECONNREFUSED}},
    {"sendto", {ENOMEM, EAGAIN, ENOBUFS, EINTR, ECONNREFUSED, EACCES}},
    {"sendmsg", {ENOMEM, EAGAIN, ENOBUFS, EINTR, ECONNREFUSED}},
    {"recv", {ENOMEM, EAGAIN, EINTR}},
    {"ioctl", {EIO}},
    {"poll", {EINTR, ENOMEM}},
    {"epoll_create1", {EMFILE, ENFILE, ENOMEM}},
    {"epoll_ctl", {ENOMEM, ENOSPC}},
    {"epoll_wait", {EINTR, EIO}},
    {"timerfd_create", {EMFILE, ENFILE, ENOMEM}},
    {"timerfd_settime", {EIO}},
    {"pipe2", {EMFILE, ENFILE, ENOMEM}},
    {"nanosleep", {EINTR}},
    {"getrandom", {EAGAIN, EINTR, EIO}},
    {"malloc", {ENOMEM}},
    {"calloc", {ENOMEM}},
    {"realloc", {ENOMEM}},
};

static int is_among(const char *name, int error)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strcmp(functions[i].name, name) == 0)
            for (const int *e = functions[i].errors; *e; e++)
                if (*e == error)
                    return 1;
    return 0;
}

/* Is it this call's turn? `action` as the function can take it. */
static int strikes(const char *name, uint32_t action)
{
    struct control *c = control;

    if (c->action != action || (c->only[0] && strcmp(c->only, name) != 0) ||
        (action == ACTION_FAIL && !is_among(name, (int)c->number)))
        return 0;
    if (c->fired && (!c->sticky || strcmp(c->name, name) != 0))
        return 0;
    if (!c->fired && ++c->seen != c->nth)
        return 0;
    c->fired = 1;
    snprintf(c->name, sizeof(c->name), "%s", name);
    return 1;
}

static int fails(const char *name)
{
    if (strikes(name, ACTION_SIGNAL_BEFORE))
        raise((int)control->number);
    if (!strikes(name, ACTION_FAIL))
        return 0;
    errno = (int)control->number;
    return 1;
}

static void after(const char *name)
{
    const int error = errno;

    if (strikes(name, ACTION_SIGNAL_AFTER))
        raise((int)control->number);
    errno = error;
}

/* The next one of this name: the sanitizer's, or the C library's own. */
static void find(void *ret_function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    memcpy(ret_function, &found, sizeof(found));
}

/* A function's other self, for what it returns when it fails. */
#define WRAP(type, name, failed, parameters, arguments)                                            \
    type name parameters                                                                           \
    {                                                                                              \
        static type(*real) parameters;                                                             \
        type result;                                                                               \
                                                                                                   \
        if (fails(#name))                                                                          \
            return failed;                                                                         \
        if (!real)                                                                                 \
            find(&real, #name);                                                                    \
        result = real arguments;                                                                   \
        after(#name);                                                                              \
        return result;                                                                             \
    }

#pragma GCC diagnostic ignored "-Wpedantic" /* the C library's socket addresses are unions */

WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, NULL, (void *p, size_t size), (p, size))
WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, fstat, -1, (int fd, struct stat *status), (fd, status))
WRAP(int, stat, -1, (const char *path, struct stat *status), (path, status))
WRAP(int, lstat, -1, (const char *path, struct stat *status), (path, status))
WRAP(ssize_t, read, -1, (int fd, void *bytes, size_t n), (fd, bytes, n))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, bind, -1, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
WRAP(int, connect, -1, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
WRAP(ssize_t, send, -1, (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags))
WRAP(ssize_t, sendto, -1,
    (int fd, const void *bytes, size_t n, int flags, const struct sockaddr *to, socklen_t size),
    (fd, bytes, n, flags, to, size))
WRAP(ssize_t, sendmsg, -1, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, recv, -1, (int fd, void *bytes, size_t n, int flags), (fd, bytes, n, flags))
WRAP(int, poll, -1, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_wait, -1, (int fd, struct epoll_event *events, int max, int timeout),
    (fd, events, max, timeout))
WRAP(int, timerfd_create, -1, (clockid_t clock, int flags), (clock, flags))
WRAP(int, timerfd_settime, -1,
    (int fd, int flags, const struct itimerspec *fresh, struct itimerspec *old),
    (fd, flags, fresh, old))
WRAP(int, pipe2, -1, (int ends[2], int flags), (ends, flags))
WRAP(int, nanosleep, -1, (const struct timespec *time, struct timespec *left), (time, left))
WRAP(ssize_t, getrandom, -1, (void *bytes, size_t n, unsigned flags), (bytes, n, flags))

int open(const char *path, int flags, ...)
{
    const char *name = flags & O_CREAT ? "open_new" : "open";
    static int (*real)(const char *, int, ...);
    va_list arguments;
    mode_t mode = 0;
    int fd;

    if (flags & O_CREAT) {
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (fails(name))
        return -1;
    if (!real)
        find(&real, "open");
    fd = real(path, flags, mode);
    after(name);
    return fd;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    ssize_t result;

    /* One byte is libevent's, from its signal handler into a pipe that takes 64 KiB of them. */
    if (n > 1 && fails("write"))
        return -1;
    if (n > 1 && strikes("write", ACTION_SHORT))
        n /= 2;
    if (!real)
        find(&real, "write");
    result = real(fd, bytes, n);
    after("write");
    return result;
}

/* It closes whatever it returns. */
int close(int fd)
{
    static int (*real)(int);
    int result;

    if (!real)
        find(&real, "close");
    result = real(fd);
    if (fails("close"))
        return -1;
    after("close");
    return result;
}

/* Only what is mapped of a file: the rest is the allocator's. */
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    void *map;

    if (fd >= 0 && fails("mmap"))
        return MAP_FAILED;
    if (!real)
        find(&real, "mmap");
    map = real(at, n, protection, flags, fd, offset);
    if (fd >= 0)
        after("mmap");
    return map;
}

/* Nothing that is taken away can be refused. */
int epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);
    int result;

    if (what != EPOLL_CTL_DEL && fails("epoll_ctl"))
        return -1;
    if (!real)
        find(&real, "epoll_ctl");
    result = real(fd, what, of, event);
    after("epoll_ctl");
    return result;
}

/* Only of locks: what libevent sets of its descriptors can fail in no way. */
int fcntl(int fd, int what, ...)
{
    const int is_lock = what == F_SETLK || what == F_GETLK;
    static int (*real)(int, int, ...);
    va_list arguments;
    void *argument;
    int result;

    va_start(arguments, what);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (is_lock && fails("fcntl"))
        return -1;
    if (!real)
        find(&real, "fcntl");
    result = real(fd, what, argument);
    if (is_lock)
        after("fcntl");
    return result;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    va_list arguments;
    void *argument;
    int result;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (fails("ioctl"))
        return -1;
    if (!real)
        find(&real, "ioctl");
    result = real(fd, request, argument);
    after("ioctl");
    return result;
}
