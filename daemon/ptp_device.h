/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PTP clock's device, as it is found: by its path, and, where that has come to lead to another
 * clock or to none, by the name that the kernel gives the clock. /dev/ptpN's number means nothing.
 */
#ifndef DAEMON_PTP_DEVICE_H
#define DAEMON_PTP_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define PTP_NAME_MAX 64
#define PTP_PATH_MAX 64

struct ptp_device {
    char path[256];          /* as ptp-clock says; empty: none is wanted */
    bool host_only;          /* only a clock that follows the host */
    char name[PTP_NAME_MAX]; /* of the clock that was found by the path once; empty: none was */
    int fd;                  /* -1: it is not there */
    uint64_t id;             /* of name and path; 0 where it is not there */
    bool limited;            /* it refuses to be read often, and blocks meanwhile */
};

void ptp_device_init(struct ptp_device *device);
void ptp_device_close(struct ptp_device *device);

/* The kernel's name of the clock that a path leads to. 0 or -errno, -ENOTTY: it is no PTP clock. */
int ptp_device_name(const char *path, char ret_name[PTP_NAME_MAX]);

/* Whether a clock of this name is right on whatever host the guest is. */
bool ptp_device_follows_host(const char *name);

/* A clock that is there and follows the host, by the name that stays where it has one. */
bool ptp_device_find_host(char ret_path[PTP_PATH_MAX]);

/*
 * By how many whole seconds it is ahead of the system's clock: 0, or as TAI is of UTC. 0 or -errno,
 * -ERANGE: it is off by something else.
 */
int ptp_device_ahead(const char *path, int *ret_sec);

/*
 * Open the clock at `path` (empty: none), or close one that is gone; either is logged. With
 * `host_only` only one that follows the host. Another path or `host_only` begins with nothing.
 */
void ptp_device_check(struct ptp_device *device, const char *path, bool host_only);

#endif
