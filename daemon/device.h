/* SPDX-License-Identifier: BSD-2-Clause */
/* The vmclock device, or a regular file that holds a simulated one's page. */
#ifndef DAEMON_DEVICE_H
#define DAEMON_DEVICE_H

#include <stdbool.h>

#include "refclock/page.h"

struct device;

enum device_look {
    DEVICE_UNCHANGED, /* what was read is what the last look read */
    DEVICE_CHANGED,
    DEVICE_BUSY, /* the host is writing; look again */
    DEVICE_LOST, /* the page is no longer there */
};

struct device_view {
    struct vmclock_page page; /* host order; with DEVICE_CHANGED */
    enum page_verdict verdict;
    uint64_t counter;   /* this CPU's, right after the copy */
    uint32_t seq_count; /* with DEVICE_BUSY too */
};

/*
 * Open and map one page, read-only. -errno: as of open(), fstat() and mmap(); -EISDIR; -ENODATA
 * for a file shorter than a page; -ENODEV for what is neither a device nor a file. Only one device
 * can be open: a truncated file's SIGBUS has to find it.
 */
int device_open(const char *path, struct device **ret_device);
void device_close(struct device *device);

/* What -errno of device_open() or device_check() means here, in words. */
const char *device_error_str(int error);

/*
 * Look at the page. Reads one cache line where nothing changed, else copies the page under its
 * sequence lock, trying for some microseconds. *ret_view is written as its comments say.
 */
enum device_look device_look(struct device *device, struct device_view *ret_view);

/* Forget the last look, so that the next one reports a change. */
void device_forget(struct device *device);

/* Is the path still this device? 0, or -errno; -ESTALE: another one has taken its place. */
int device_check(const struct device *device);

/*
 * For epoll, edge-triggered: notified of changes where the page's NOTIFICATION flag says so and
 * the kernel is 7.0 or later. device_hung_up(): the kernel will never notify.
 */
int device_fd(const struct device *device);
bool device_hung_up(const struct device *device);

#endif
