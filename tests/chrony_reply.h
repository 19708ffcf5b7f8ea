/* SPDX-License-Identifier: BSD-2-Clause */
/* What chronyd answers, byte by byte: the tests' own, beside the decoder that they test. */
#ifndef TESTS_CHRONY_REPLY_H
#define TESTS_CHRONY_REPLY_H

#include <string.h>

#include "refclock/chrony_command.h"

#define CHRONY_REPLY_DATA_AT 28

static inline void chrony_reply_put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The header of the reply to `request`; the data is all zero. */
static inline void chrony_reply_make(
    const uint8_t *request, uint16_t status, uint8_t ret_reply[CHRONY_REQUEST_MAX])
{
    memset(ret_reply, 0, CHRONY_REQUEST_MAX);
    ret_reply[0] = 6;                      /* the protocol's version */
    ret_reply[1] = 2;                      /* a reply */
    memcpy(ret_reply + 4, request + 4, 2); /* the command */
    ret_reply[8] = (uint8_t)(status >> 8);
    ret_reply[9] = (uint8_t)status;
    memcpy(ret_reply + 16, request + 8, 4); /* the sequence */
}

#endif
