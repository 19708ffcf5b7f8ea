/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/exchange.h"

#include <string.h>

#define REPLY_TIMEOUT_NS INT64_C(250000000) /* the median is under 0.1 ms */

size_t exchange_begin(struct exchange *exchange, enum exchange_owner owner,
    const struct chrony_command *command, int64_t now_ns, uint8_t ret_request[CHRONY_REQUEST_MAX])
{
    const unsigned silences = exchange->silences[owner];

    exchange->owner = owner;
    exchange->id = command->id;
    exchange->sequence++;
    exchange->deadline_ns = now_ns + (REPLY_TIMEOUT_NS << (silences < 4 ? silences : 4));
    exchange->unread = false;
    if (command->id == CHRONY_RESET_SOURCES) {
        exchange->resets[1] = exchange->resets[0];
        exchange->resets[0] = exchange->sequence;
    }
    return chrony_command_encode(command, exchange->sequence, ret_request);
}

static void forget_resets(struct exchange *exchange)
{
    exchange->resets[0] = exchange->resets[1] = 0;
}

void exchange_start_over(struct exchange *exchange)
{
    forget_resets(exchange);
    exchange->silences[EXCHANGE_RECOVERY] = 0;
}

void exchange_end(struct exchange *exchange)
{
    exchange->owner = EXCHANGE_NONE;
    exchange->unread = false;
}

void exchange_meet_another(struct exchange *exchange)
{
    memset(exchange->silences, 0, sizeof(exchange->silences));
}

void exchange_pretend(struct exchange *exchange, int64_t now_ns)
{
    exchange->deadline_ns = now_ns;
}

static bool is_late_reset(struct exchange *exchange, const uint8_t *bytes, size_t length)
{
    for (int i = 0; i < 2; i++)
        if (exchange->resets[i] != 0 &&
            chrony_reply_decode(bytes, length, CHRONY_RESET_SOURCES, exchange->resets[i],
                &exchange->reply) == CHRONY_REPLY_OK)
            return true;
    return false;
}

enum exchange_result exchange_receive(
    struct exchange *exchange, const uint8_t *bytes, size_t length)
{
    exchange->verdict =
        chrony_reply_decode(bytes, length, exchange->id, exchange->sequence, &exchange->reply);
    if (exchange->owner == EXCHANGE_NONE && exchange->verdict == CHRONY_REPLY_OK)
        exchange->verdict = CHRONY_REPLY_UNASKED; /* the same reply once more */
    if (exchange->verdict == CHRONY_REPLY_UNASKED && is_late_reset(exchange, bytes, length)) {
        forget_resets(exchange);
        return EXCHANGE_LATE;
    }
    if (exchange->verdict != CHRONY_REPLY_OK)
        return EXCHANGE_GARBAGE;
    exchange->silences[exchange->owner] = 0;
    if (exchange->id == CHRONY_RESET_SOURCES) /* a second time it says nothing */
        forget_resets(exchange);
    return EXCHANGE_REPLIED;
}

enum exchange_result exchange_tick(struct exchange *exchange, int64_t now_ns, bool queued)
{
    if (exchange->owner == EXCHANGE_NONE || now_ns < exchange->deadline_ns)
        return EXCHANGE_WAITING;
    if (!queued && !exchange->unread) {
        exchange->silences[exchange->owner]++;
        return EXCHANGE_SILENT;
    }
    exchange->unread = queued; /* it may have been read only now: wait one more timeout */
    exchange->deadline_ns = now_ns + REPLY_TIMEOUT_NS;
    return EXCHANGE_WAITING;
}
