/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/device.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/counter.h"

#define MAP_BYTES   4096 /* the driver maps exactly one page of this size */
#define LINE_WORDS  8    /* a cache line, all of the page that a look at an unchanged one reads */
#define COPY_WORDS  (VMCLOCK_FIELDS_END / 8)
#define SEQ_SPINS   2000 /* some microseconds: a host writes for less than one */
#define SEQ_AT_WORD (VMCLOCK_AT_SEQ_COUNT / 8)

struct device {
    const char *path; /* the caller's, see device_open() */
    int fd;
    dev_t on;
    ino_t inode;
    const volatile uint64_t *words;
    bool seen;
    uint64_t line[LINE_WORDS]; /* as last seen */
};

static struct {
    void *map;
    volatile sig_atomic_t lost;
} guarded;

/* The file was truncated below the mapping: put zeros there, so that the reader can go on. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const uintptr_t at = (uintptr_t)info->si_addr, start = (uintptr_t)guarded.map;
    const int saved = errno;

    (void)context;
    if (!guarded.map || at < start || at >= start + MAP_BYTES ||
        mmap(guarded.map, MAP_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED) {
        signal(number, SIG_DFL); /* not ours: let it end as it would have */
        return;
    }
    guarded.lost = 1;
    errno = saved;
}

const char *device_error_str(int error)
{
    switch (-error) {
    case ENODATA: return "it is shorter than a page (4096 bytes)";
    case EISDIR: return "it is a directory";
    case ENODEV: return "it is neither a device nor a regular file";
    case ESTALE: return "another device has taken its place";
    case ENXIO: return "it was truncated";
    default: return strerror(-error);
    }
}

static int check_file(int fd, struct stat *ret_status)
{
    if (fstat(fd, ret_status) < 0)
        return -errno;
    if (S_ISDIR(ret_status->st_mode))
        return -EISDIR;
    if (!S_ISCHR(ret_status->st_mode) && !S_ISREG(ret_status->st_mode))
        return -ENODEV;
    if (S_ISREG(ret_status->st_mode) && ret_status->st_size < MAP_BYTES)
        return -ENODATA;
    return 0;
}

int device_open(const char *path, struct device **ret_device)
{
    const struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    struct stat status;
    void *map = MAP_FAILED;
    struct device *device;
    int r, fd;

    /* O_NONBLOCK: opening a FIFO must not wait for its other end. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    r = check_file(fd, &status);
    if (r == 0) {
        map = mmap(NULL, MAP_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        r = map == MAP_FAILED ? -errno : 0;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    device = malloc(sizeof(*device));
    if (!device) {
        munmap(map, MAP_BYTES);
        close(fd);
        return -ENOMEM;
    }
    *device = (struct device){
        .path = path, .fd = fd, .on = status.st_dev, .inode = status.st_ino, .words = map};
    guarded.map = map;
    guarded.lost = 0;
    sigaction(SIGBUS, &action, NULL);
    *ret_device = device;
    return 0;
}

void device_close(struct device *device)
{
    if (!device)
        return;
    munmap(guarded.map, MAP_BYTES);
    guarded.map = NULL;
    close(device->fd);
    free(device);
}

/* seq_count, from the 64-bit word of the page that it is the second half of. */
static uint32_t sequence(uint64_t word)
{
    return (uint32_t)(le64toh(word) >> 32);
}

static bool line_is_as_before(const struct device *device)
{
    uint64_t difference = 0;

    for (int i = 0; i < LINE_WORDS; i++)
        difference |= device->words[i] ^ device->line[i];
    return difference == 0;
}

enum device_look device_look(struct device *device, struct device_view *ret_view)
{
    uint64_t words[COPY_WORDS];

    if (guarded.lost)
        return DEVICE_LOST;
    if (device->seen && line_is_as_before(device) && !guarded.lost)
        return DEVICE_UNCHANGED;

    for (int i = 0; i < SEQ_SPINS; i++) {
        const uint64_t before = device->words[SEQ_AT_WORD];

        ret_view->seq_count = sequence(before);
        if (ret_view->seq_count & 1)
            continue;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        for (int w = 0; w < COPY_WORDS; w++)
            words[w] = device->words[w];
        ret_view->counter = counter_read();
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (guarded.lost)
            return DEVICE_LOST;
        if (device->words[SEQ_AT_WORD] != before || words[SEQ_AT_WORD] != before)
            continue;
        ret_view->verdict = page_decode((const uint8_t *)words, &ret_view->page);
        memcpy(device->line, words, sizeof(device->line));
        device->seen = true;
        return DEVICE_CHANGED;
    }
    device->seen = false; /* that it is done is news, also where it has changed nothing */
    return guarded.lost ? DEVICE_LOST : DEVICE_BUSY;
}

void device_forget(struct device *device)
{
    device->seen = false;
}

int device_check(const struct device *device)
{
    struct stat status;

    if (guarded.lost)
        return -ENXIO;
    if (stat(device->path, &status) < 0)
        return -errno;
    return status.st_dev == device->on && status.st_ino == device->inode ? 0 : -ESTALE;
}

int device_fd(const struct device *device)
{
    return device->fd;
}

bool device_hung_up(const struct device *device)
{
    struct pollfd poll_fd = {.fd = device->fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}
