/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/chrony_command.h"

#include <math.h>
#include <string.h>

#include "tests/chrony_reply.h"
#include "tests/suite.h"

static uint8_t request[CHRONY_REQUEST_MAX];

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

START_TEST(a_reset_is_28_bytes_with_version_type_number_and_sequence)
{
    const struct chrony_command reset = {.id = CHRONY_RESET_SOURCES};
    static const uint8_t expected[28] = {6, 1, 0, 0, 0, 66, 0, 0, 0x12, 0x34, 0x56, 0x78};

    ck_assert_uint_eq(chrony_command_encode(&reset, 0x12345678, request), 28);
    ck_assert_mem_eq(request, expected, sizeof(expected));
}
END_TEST

START_TEST(every_command_has_the_length_that_chronyd_wants)
{
    static const struct {
        enum chrony_command_id id;
        size_t length;
    } lengths[] = {{CHRONY_RESET_SOURCES, 28}, {CHRONY_MAKESTEP, 28}, {CHRONY_MODIFY_MAKESTEP, 28},
        {CHRONY_DFREQ, 28}, {CHRONY_DOFFSET2, 28}, {CHRONY_BURST, 68}, {CHRONY_MODIFY_MINPOLL, 44},
        {CHRONY_MODIFY_MAXPOLL, 44}, {CHRONY_TRACKING, 104}, {CHRONY_N_SOURCES, 32},
        {CHRONY_SOURCE_DATA, 76}, {CHRONY_SOURCE_NAME, 284}};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const struct chrony_command command = {.id = lengths[i].id};

        ck_assert_uint_eq(chrony_command_encode(&command, 1, request), lengths[i].length);
        ck_assert_uint_eq(request[5], lengths[i].id);
    }
}
END_TEST

START_TEST(the_data_of_a_command_stands_where_chronyd_reads_it)
{
    struct chrony_command command = {
        .id = CHRONY_MODIFY_MAKESTEP, .makestep = {.limit = -1, .threshold_sec = 0.5}};

    chrony_command_encode(&command, 1, request);
    ck_assert_uint_eq(get32(request + 20), UINT32_MAX);
    ck_assert_double_eq(chrony_float_decode(get32(request + 24)), 0.5);

    command = (struct chrony_command){.id = CHRONY_BURST, .burst = {4, 8}};
    chrony_command_encode(&command, 1, request);
    ck_assert_uint_eq(get32(request + 60), 4);
    ck_assert_uint_eq(get32(request + 64), 8);

    command =
        (struct chrony_command){.id = CHRONY_MODIFY_MAXPOLL, .poll = {{{192, 0, 2, 1}, 1}, -2}};
    chrony_command_encode(&command, 1, request);
    ck_assert_uint_eq(get32(request + 20), 0xc0000201);
    ck_assert_uint_eq(get32(request + 36), 1 << 16);
    ck_assert_uint_eq(get32(request + 40), (uint32_t)-2);
}
END_TEST

START_TEST(a_float_keeps_25_bits_and_saturates)
{
    static const double values[] = {
        1, -1, 1e-4, 1e-6, 0.005, -0.005, 2, 60, -100, 3600, 86400, 1e-9, 12345.678};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const double back = chrony_float_decode(chrony_float_encode(values[i]));

        ck_assert_double_le(fabs(back / values[i] - 1), 3.1e-8);
    }
    ck_assert_double_eq(chrony_float_decode(chrony_float_encode(0)), 0);
    ck_assert_double_eq(chrony_float_decode(chrony_float_encode(NAN)), 0);
    ck_assert_double_gt(chrony_float_decode(chrony_float_encode(INFINITY)), 1e18);
    ck_assert_double_lt(chrony_float_decode(chrony_float_encode(-1e300)), -1e18);
    ck_assert_double_eq(chrony_float_decode(chrony_float_encode(1e-40)), 0);
    for (uint32_t bits = 0; bits < UINT32_MAX - 65537; bits += 65537)
        ck_assert(isfinite(chrony_float_decode(bits)));
}
END_TEST

START_TEST(tracking_is_decoded_and_a_short_one_refused)
{
    const struct chrony_command command = {.id = CHRONY_TRACKING};
    uint8_t reply[CHRONY_REQUEST_MAX];
    struct chrony_reply decoded;
    uint32_t refid;

    ck_assert(chrony_refid_parse("VMCL", &refid));
    chrony_command_encode(&command, 7, request);
    chrony_reply_make(request, CHRONY_OK, reply);
    memcpy(reply + 28, "VMCL", 4);
    reply[28 + 25] = 1;    /* stratum */
    reply[28 + 27] = 0;    /* leap */
    reply[28 + 40] = 0xe8; /* the offset that is being slewed: 1e-4 s */
    reply[28 + 41] = 0xd1;
    reply[28 + 42] = 0xb7;
    reply[28 + 43] = 0x17;
    memcpy(reply + 28 + 28, "\0\0\0\1\200\0\0\2\73\232\311\377", 12); /* of the last update */
    memcpy(reply + 28 + 64, "\4\200\0\0", 4);                         /* root delay: 1 s */
    memcpy(reply + 28 + 72, "\6\200\0\0", 4);                         /* and 2 s before */
    ck_assert_int_eq(
        chrony_reply_decode(reply, 104, CHRONY_TRACKING, 7, &decoded), CHRONY_REPLY_OK);
    ck_assert_double_eq(decoded.tracking.root_delay_sec, 1);
    ck_assert_uint_eq(decoded.tracking.refid, refid);
    ck_assert_double_eq_tol(decoded.tracking.correction_sec, 1e-4, 1e-11);
    ck_assert_uint_eq(decoded.tracking.reference_time.sec, UINT64_C(0x180000002));
    ck_assert_uint_eq(decoded.tracking.reference_time.nsec, 999999999);
    ck_assert_double_eq(
        decoded.tracking.update_interval_sec, chrony_float_decode(chrony_float_encode(2)));
    ck_assert_int_eq(
        chrony_reply_decode(reply, 103, CHRONY_TRACKING, 7, &decoded), CHRONY_REPLY_SHORT);
    ck_assert_int_eq(
        chrony_reply_decode(reply, 105, CHRONY_TRACKING, 7, &decoded), CHRONY_REPLY_LONG);
}
END_TEST

/* A good reply to `id` of sequence 7, without its data. */
static void reply_to(uint8_t *ret_reply, enum chrony_command_id id)
{
    const struct chrony_command command = {.id = id};

    chrony_command_encode(&command, 7, request);
    chrony_reply_make(request, CHRONY_OK, ret_reply);
}

START_TEST(a_source_is_decoded_and_a_short_one_refused)
{
    static const uint8_t data[48] = {169, 254, 169, 123, 9, 9, [17] = 1, [20] = 0xff,
        0xfe, [23] = 1, [31] = 1}; /* poll -2, stratum 1, mode 0 */
    const struct chrony_command command = {.id = CHRONY_SOURCE_DATA, .index = 0x01020304};
    uint8_t reply[CHRONY_REQUEST_MAX];
    struct chrony_reply decoded;

    chrony_command_encode(&command, 7, request);
    ck_assert_uint_eq(get32(request + 20), 0x01020304);
    reply_to(reply, CHRONY_SOURCE_DATA);
    memcpy(reply + 28, data, sizeof(data));
    ck_assert_int_eq(
        chrony_reply_decode(reply, 76, CHRONY_SOURCE_DATA, 7, &decoded), CHRONY_REPLY_OK);
    ck_assert(chrony_address_equal(
        &decoded.source.address, &(struct chrony_address){{169, 254, 169, 123}, 1}));
    ck_assert_int_eq(decoded.source.poll, -2);
    ck_assert(decoded.source.is_server);
    reply[28 + 27] = 2; /* a reference clock */
    chrony_reply_decode(reply, 76, CHRONY_SOURCE_DATA, 7, &decoded);
    ck_assert(!decoded.source.is_server);
    ck_assert_int_eq(
        chrony_reply_decode(reply, 75, CHRONY_SOURCE_DATA, 7, &decoded), CHRONY_REPLY_SHORT);
    ck_assert_int_eq(
        chrony_reply_decode(reply, 77, CHRONY_SOURCE_DATA, 7, &decoded), CHRONY_REPLY_LONG);
    reply[9] = CHRONY_NO_SUCH_SOURCE;
    ck_assert_int_eq(
        chrony_reply_decode(reply, 28, CHRONY_SOURCE_DATA, 7, &decoded), CHRONY_REPLY_OK);
    reply_to(reply, CHRONY_N_SOURCES);
    reply[28 + 3] = 5;
    ck_assert_int_eq(
        chrony_reply_decode(reply, 32, CHRONY_N_SOURCES, 7, &decoded), CHRONY_REPLY_OK);
    ck_assert_uint_eq(decoded.n_sources, 5);
    ck_assert_int_eq(
        chrony_reply_decode(reply, 28, CHRONY_N_SOURCES, 7, &decoded), CHRONY_REPLY_SHORT);
}
END_TEST

START_TEST(a_name_is_decoded_where_it_is_one)
{
    const struct chrony_command command = {
        .id = CHRONY_SOURCE_NAME, .address = {{169, 254, 169, 123}, 1}};
    uint8_t reply[CHRONY_REQUEST_MAX];
    struct chrony_reply decoded;

    chrony_command_encode(&command, 7, request);
    ck_assert_mem_eq(request + 20, command.address.bytes, 16);
    ck_assert_uint_eq(request[37], 1);
    reply_to(reply, CHRONY_SOURCE_NAME);
    memcpy(reply + 28, "time.example", sizeof("time.example"));
    ck_assert_int_eq(
        chrony_reply_decode(reply, 284, CHRONY_SOURCE_NAME, 7, &decoded), CHRONY_REPLY_OK);
    ck_assert_str_eq(decoded.name, "time.example");
    reply[28 + 4] = '\n';
    chrony_reply_decode(reply, 284, CHRONY_SOURCE_NAME, 7, &decoded);
    ck_assert_str_eq(decoded.name, "");
    memset(reply + 28, 'a', 256); /* it has no end */
    chrony_reply_decode(reply, 284, CHRONY_SOURCE_NAME, 7, &decoded);
    ck_assert_str_eq(decoded.name, "");
    ck_assert_int_eq(
        chrony_reply_decode(reply, 283, CHRONY_SOURCE_NAME, 7, &decoded), CHRONY_REPLY_SHORT);
}
END_TEST

START_TEST(a_refid_has_one_to_four_printable_characters)
{
    uint32_t refid;

    ck_assert(chrony_refid_parse("A", &refid));
    ck_assert_uint_eq(refid, 0x41000000);
    ck_assert(!chrony_refid_parse("", &refid));
    ck_assert(!chrony_refid_parse("VMCLK", &refid));
    ck_assert(!chrony_refid_parse("V L", &refid));
}
END_TEST

RUN_SUITE("chrony command", a_reset_is_28_bytes_with_version_type_number_and_sequence,
    every_command_has_the_length_that_chronyd_wants,
    the_data_of_a_command_stands_where_chronyd_reads_it, a_float_keeps_25_bits_and_saturates,
    tracking_is_decoded_and_a_short_one_refused, a_source_is_decoded_and_a_short_one_refused,
    a_name_is_decoded_where_it_is_one, a_refid_has_one_to_four_printable_characters)
