/* SPDX-License-Identifier: BSD-2-Clause */
/* A sample as chronyd's SOCK reference clock takes it: one datagram in native layout. */
#ifndef REFCLOCK_SOCK_SAMPLE_H
#define REFCLOCK_SOCK_SAMPLE_H

#include <sys/time.h>

#include "refclock/cross_timestamp.h"

#define SOCK_SAMPLE_MAGIC 0x534f434b

/*
 * struct timeval, not two 64-bit integers: on a 32-bit userland chronyd's has that userland's
 * size, and its alignment. 40 bytes on 64-bit ones.
 */
struct sock_sample {
    struct timeval tv; /* CLOCK_REALTIME at the measurement */
    double offset;     /* s; true time minus system time */
    int pulse;         /* always 0: not a pulse per second */
    int leap;          /* 0 none, 1 insert, 2 delete */
    int pad;
    int magic;
};

/* The datagram of chronyd's SOCK reference clock that tells this offset. */
void sock_sample_init(struct sock_sample *sample, const struct offset *offset);

#endif
