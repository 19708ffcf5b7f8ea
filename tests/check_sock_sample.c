/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "refclock/sock_sample.h"
#include "tests/suite.h"

/*
 * What chronyd reads, byte by byte: the layouts are written down here, not taken from the
 * compiler that made both the datagram and the test.
 */
START_TEST(the_datagram_has_the_layout_that_chronyd_has_on_this_userland)
{
    static const struct layout {
        size_t time, usec, offset, pulse, leap, pad, magic, end;
    } time32 = {0, 4, 8, 16, 20, 24, 28, 32}, time64 = {0, 8, 16, 24, 28, 32, 36, 40};
    const size_t time_size = sizeof(time_t);
    const struct layout at = time_size == 4 ? time32 : time64;
    const int64_t second = time_size == 4 ? 0x12345678 : INT64_C(0x123456789); /* or in 2124 */
    const struct offset offset = {
        .sec = -1.5, .leap = 2, .system_sec = second, .system_nsec = 999999999};
    struct sock_sample sample;
    uint8_t expected[40] = {0};
    const int magic = 0x534f434b;

    ck_assert_uint_eq(sizeof(sample), at.end);
    memcpy(expected + at.time, &(time_t){(time_t)second}, time_size);
    memcpy(expected + at.usec, &(suseconds_t){999999}, sizeof(suseconds_t));
    memcpy(expected + at.offset, &(double){-1.5}, 8);
    memcpy(expected + at.leap, &(int){2}, 4);
    memcpy(expected + at.magic, &magic, 4);

    memset(&sample, 0xff, sizeof(sample));
    sock_sample_init(&sample, &offset);
    ck_assert_mem_eq(&sample, expected, at.end);
}
END_TEST

RUN_SUITE("sock_sample", the_datagram_has_the_layout_that_chronyd_has_on_this_userland)
