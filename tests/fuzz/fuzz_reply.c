/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes back from chronyd's command socket. Input: the command's index 1, its number 8 (a
 * double), the sequence 4, then datagrams, each with its length before it (2).
 */
#include <math.h>

#include "refclock/exchange.h"
#include "tests/fuzz/fuzz.h"

static const enum chrony_command_id ids[] = {CHRONY_TRACKING, CHRONY_RESET_SOURCES, CHRONY_DFREQ,
    CHRONY_DOFFSET2, CHRONY_MAKESTEP, CHRONY_MODIFY_MAKESTEP, CHRONY_BURST, CHRONY_MODIFY_MINPOLL,
    CHRONY_MODIFY_MAXPOLL, CHRONY_N_SOURCES, CHRONY_SOURCE_DATA, CHRONY_SOURCE_NAME};

#define N_IDS (sizeof(ids) / sizeof(ids[0]))

static void check_float(uint32_t bits, double number)
{
    const double value = chrony_float_decode(bits);
    const double again = chrony_float_decode(chrony_float_encode(value));
    double there;

    must(isfinite(value));
    must(fabs(again - value) <= fabs(value) * 6e-8);
    there = chrony_float_decode(chrony_float_encode(number));
    must(isfinite(there));
    must(isnan(number) ? there == 0 : there == 0 || signbit(there) == signbit(number));
    if (fabs(number) > 1e-18 && fabs(number) < 1e18)
        must(fabs(there - number) <= fabs(number) * 6e-8);
}

static void check_request(
    const struct chrony_command *command, uint32_t sequence, const uint8_t *request, size_t length)
{
    must(length == 28 || length == 32 || length == 44 || length == 68 || length == 76 ||
         length == 104 || length == 284);
    must(request[0] == 6 && request[1] == 1 && request[2] == 0 && request[3] == 0);
    must((request[4] << 8 | request[5]) == (int)command->id);
    must(((uint32_t)request[8] << 24 | (uint32_t)request[9] << 16 | (uint32_t)request[10] << 8 |
             request[11]) == sequence);
}

static void check_reply(const struct exchange *exchange, const uint8_t *datagram, size_t length)
{
    must(length >= 28);
    must(datagram[0] == 6 && datagram[1] == 2);
    must((datagram[4] << 8 | datagram[5]) == (int)exchange->id);
    must((datagram[8] << 8 | datagram[9]) == exchange->reply.status);
    must(chrony_status_str(exchange->reply.status)[0]);
    if (exchange->id == CHRONY_TRACKING && exchange->reply.status == CHRONY_OK) {
        must(length >= 104);
        must(isfinite(exchange->reply.tracking.correction_sec) &&
             isfinite(exchange->reply.tracking.frequency_ppm) &&
             isfinite(exchange->reply.tracking.skew_ppm) &&
             isfinite(exchange->reply.tracking.update_interval_sec));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    struct chrony_command command = {.id = ids[take_u8(&in) % N_IDS]};
    const uint64_t number = take_u64(&in);
    struct exchange exchange = {.sequence = take_u32(&in)};
    uint8_t request[CHRONY_REQUEST_MAX];
    int64_t now_ns = 1;
    double real;
    size_t length;

    memcpy(&real, &number, sizeof(real));
    check_float((uint32_t)number, real);
    if (command.id == CHRONY_DFREQ)
        command.ppm = real;
    else if (command.id == CHRONY_DOFFSET2)
        command.offset_sec = real;
    else if (command.id == CHRONY_MODIFY_MAKESTEP)
        command.makestep.threshold_sec = real;
    must(strcmp(chrony_command_str(command.id), "unknown") != 0);

    length = exchange_begin(&exchange, EXCHANGE_RECOVERY, &command, now_ns, request);
    check_request(&command, exchange.sequence, request, length);
    while (in.left > 0) {
        uint8_t *datagram;
        enum exchange_result result;

        length = take_u16(&in) % (CHRONY_REPLY_MAX + 1);
        if (length > in.left)
            length = in.left;
        datagram = malloc(length); /* of exactly that size, so that reading on is noticed */
        must(datagram || length == 0);
        take(&in, datagram, length);
        result = exchange_receive(&exchange, datagram, length);
        must(result == EXCHANGE_REPLIED || result == EXCHANGE_GARBAGE);
        must(chrony_reply_verdict_str(exchange.verdict)[0]);
        if (result == EXCHANGE_REPLIED) {
            check_reply(&exchange, datagram, length);
            exchange.owner = EXCHANGE_NONE; /* as the tracker does */
            must(exchange_receive(&exchange, datagram, length) == EXCHANGE_GARBAGE);
        }
        free(datagram);
        now_ns += 1000000;
        result = exchange_tick(&exchange, now_ns, length % 2);
        must(result == EXCHANGE_WAITING || result == EXCHANGE_SILENT);
        must(exchange.owner != EXCHANGE_NONE || result == EXCHANGE_WAITING);
    }
    return 0;
}
