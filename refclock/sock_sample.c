/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/sock_sample.h"

#include <string.h>

_Static_assert(sizeof(time_t) != 8 || sizeof(struct sock_sample) == 40,
    "the datagram is 40 bytes where time_t has 64 bits");

void sock_sample_init(struct sock_sample *sample, const struct offset *offset)
{
    memset(sample, 0, sizeof(*sample)); /* whatever padding there is is sent as well */
    sample->tv.tv_sec = (time_t)offset->system_sec;
    sample->tv.tv_usec = (suseconds_t)(offset->system_nsec / 1000);
    sample->offset = offset->sec;
    sample->leap = offset->leap;
    sample->magic = SOCK_SAMPLE_MAGIC;
}
