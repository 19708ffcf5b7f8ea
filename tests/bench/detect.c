/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long it takes from a change of the disruption marker until RESET_SOURCES is on the wire.
 * This process is the host, which writes a marker-only page, and chronyd, which answers all that
 * it is told, so that both times are of one clock.
 *
 *     detect DIRECTORY INTERVAL_NS CHANGES PROGRAM [ARGUMENT...]
 *
 * makes page and chronyd.sock in DIRECTORY, runs PROGRAM, changes the marker CHANGES times at
 * random phases of INTERVAL_NS, and prints the ns that each took. With "--ideal" for PROGRAM it
 * compares itself: a timer that looks at the marker and sends a datagram, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "refclock/chrony_command.h"
#include "refclock/page.h"

#define PAGE_BYTES 4096
#define SECOND_NS  INT64_C(1000000000)
#define REPLY_AT   28

static volatile uint8_t *page;
static int server = -1;

static void fail(const char *what)
{
    fprintf(stderr, "detect: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static struct sockaddr_un address_of(const char *directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);

    if (n < 0 || n >= (int)sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail(directory);
    }
    return address;
}

/* --- the host ------------------------------------------------------------------------------- */

static void make_page(const char *directory)
{
    const uint32_t magic = VMCLOCK_MAGIC, size = PAGE_BYTES;
    uint8_t bytes[PAGE_BYTES] = {0};
    char path[256];
    int fd;

    memcpy(bytes + VMCLOCK_AT_MAGIC, &magic, sizeof(magic));
    memcpy(bytes + VMCLOCK_AT_SIZE, &size, sizeof(size));
    bytes[VMCLOCK_AT_VERSION] = VMCLOCK_VERSION;
    bytes[VMCLOCK_AT_COUNTER_ID] = VMCLOCK_COUNTER_NONE;
    bytes[VMCLOCK_AT_DISRUPTION_MARKER] = 1;
    snprintf(path, sizeof(path), "%s/page", directory);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
        fail(path);
    page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        fail("mmap");
    close(fd);
}

/* Little-endian machines only, as every one that has the device. */
static uint64_t marker(void)
{
    return *(const volatile uint64_t *)(page + VMCLOCK_AT_DISRUPTION_MARKER);
}

static int64_t change_marker(void)
{
    volatile uint32_t *seq_count = (volatile uint32_t *)(page + VMCLOCK_AT_SEQ_COUNT);
    volatile uint64_t *at = (volatile uint64_t *)(page + VMCLOCK_AT_DISRUPTION_MARKER);
    int64_t changed_ns;

    ++*seq_count;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    changed_ns = now_ns();
    ++*at;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ++*seq_count;
    return changed_ns;
}

/* --- chronyd -------------------------------------------------------------------------------- */

/* Ok to everything; TRACKING: synchronised, so that the recovery ends. */
static void answer(const uint8_t *request, const struct sockaddr_un *from, socklen_t from_length)
{
    uint8_t reply[CHRONY_REQUEST_MAX] = {6, 2, 0, 0, request[4], request[5]};
    const size_t length = request[5] == CHRONY_TRACKING ? sizeof(reply) : REPLY_AT;

    memcpy(reply + 16, request + 8, 4); /* the sequence */
    reply[REPLY_AT] = 'V';              /* the reference id, of which any will do */
    sendto(server, reply, length, MSG_DONTWAIT, (const struct sockaddr *)from, from_length);
}

/* Serve until `until_ns`, or until `wanted` has come (0: nothing); when it came, or 0. */
static int64_t serve(int64_t until_ns, int wanted)
{
    for (;;) {
        const int64_t left_ns = until_ns - now_ns();
        const struct timespec timeout = {left_ns / SECOND_NS, left_ns % SECOND_NS};
        struct pollfd in = {.fd = server, .events = POLLIN};
        struct sockaddr_un from;
        socklen_t from_length = sizeof(from);
        uint8_t request[256];
        int64_t came_ns;
        ssize_t n;

        if (left_ns <= 0 || ppoll(&in, 1, &timeout, NULL) == 0)
            return 0;
        came_ns = now_ns();
        n = recvfrom(
            server, request, sizeof(request), MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
        if (n < REPLY_AT)
            continue;
        answer(request, &from, from_length);
        if (wanted && (request[4] << 8 | request[5]) == wanted)
            return came_ns;
    }
}

/* --- what is measured ----------------------------------------------------------------------- */

static void watch_ideally(const struct sockaddr_un *to, int64_t interval_ns)
{
    const struct timespec interval = {interval_ns / SECOND_NS, interval_ns % SECOND_NS};
    const struct itimerspec timer = {interval, interval};
    const int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    uint8_t request[REPLY_AT] = {6, 1, 0, 0, 0, CHRONY_RESET_SOURCES};
    uint64_t before = marker(), expirations;

    if (timer_fd < 0 || fd < 0 || timerfd_settime(timer_fd, 0, &timer, NULL) < 0 ||
        connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
        fail("ideal");
    while (read(timer_fd, &expirations, sizeof(expirations)) > 0) {
        if (marker() == before)
            continue;
        before = marker();
        send(fd, request, sizeof(request), 0);
    }
}

static pid_t run(char **arguments, const struct sockaddr_un *to, int64_t interval_ns)
{
    const pid_t parent = getpid(), child = fork();

    if (child < 0)
        fail("fork");
    if (child > 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    if (strcmp(arguments[0], "--ideal") == 0)
        watch_ideally(to, interval_ns);
    else
        execv(arguments[0], arguments);
    fprintf(stderr, "detect: %s: %s\n", arguments[0], strerror(errno));
    _exit(EXIT_FAILURE);
}

/* 0 to below `below`, another each time: a phase that the watcher's timer knows nothing of. */
static int64_t random_below(int64_t below)
{
    uint64_t bits;

    if (getrandom(&bits, sizeof(bits), 0) < 0)
        fail("getrandom");
    return (int64_t)(bits % (uint64_t)below);
}

int main(int argc, char **argv)
{
    const int64_t interval_ns = argc > 4 ? strtoll(argv[2], NULL, 10) : 0;
    const long changes = argc > 4 ? strtol(argv[3], NULL, 10) : 0;
    struct sockaddr_un address;
    int status, missed = 0;
    pid_t child;

    if (interval_ns <= 0 || changes <= 0) {
        fprintf(stderr, "usage: detect DIRECTORY INTERVAL_NS CHANGES PROGRAM [ARGUMENT...]\n");
        return EXIT_FAILURE;
    }
    make_page(argv[1]);
    address = address_of(argv[1], "chronyd.sock");
    server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (server < 0 || bind(server, (const struct sockaddr *)&address, sizeof(address)) < 0)
        fail(address.sun_path);
    child = run(argv + 4, &address, interval_ns);
    /* Until it is up, on a machine that is short of memory too. */
    serve(now_ns() + 3 * SECOND_NS, 0);

    for (long i = 0; i < changes && missed < 3; i++) {
        int64_t changed_ns, came_ns;

        /* Past the last recovery, and past the shortest time between two resets. */
        serve(now_ns() + interval_ns + 2000000 + random_below(interval_ns), 0);
        changed_ns = change_marker();
        came_ns = serve(changed_ns + interval_ns + 2 * SECOND_NS, CHRONY_RESET_SOURCES);
        if (came_ns)
            printf("%" PRId64 "\n", came_ns - changed_ns);
        else
            missed++;
    }
    kill(child, SIGTERM);
    serve(now_ns() + SECOND_NS / 10, 0);
    if (waitpid(child, &status, 0) < 0)
        fail("waitpid");
    if (missed)
        fprintf(stderr, "detect: no RESET_SOURCES came after %d changes\n", missed);
    return missed ? EXIT_FAILURE : EXIT_SUCCESS;
}
