/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readings of a PTP clock, in a thread of its own: an ioctl may take milliseconds, and one that
 * hangs holds nobody up. One batch is read at a time; a descriptor says when it is there.
 */
#ifndef DAEMON_PTP_READER_H
#define DAEMON_PTP_READER_H

#include "refclock/ptp_reading.h"

struct ptp_reader;

/* 0 or -errno. */
int ptp_reader_create(struct ptp_reader **ret_reader);

/* A thread that hangs is left behind, to end with the process. */
void ptp_reader_destroy(struct ptp_reader *reader);

/* It becomes readable when a batch is there. */
int ptp_reader_fd(const struct ptp_reader *reader);

/* Whether it is at work: what it reads from must not be closed. */
bool ptp_reader_is_busy(struct ptp_reader *reader);

/* Read `n` times, 1 to PTP_READINGS_MAX. While it is busy nothing is read. */
void ptp_reader_ask(struct ptp_reader *reader, int fd, unsigned n, bool limited, uint32_t request);

/* The batch that has come, and the number of its request; false: none has. */
bool ptp_reader_take(struct ptp_reader *reader, struct ptp_reading ret_readings[PTP_READINGS_MAX],
    size_t *ret_n, uint32_t *ret_request);

#endif
