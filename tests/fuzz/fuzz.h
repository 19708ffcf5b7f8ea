/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fuzzing harnesses share: their entry, taking values from bytes, and a loud assert. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer's entry, which replay.c calls as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert() it stays whatever NDEBUG says, and it names the broken invariant. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input, taken from the front; where it has ended there are zeros. */
struct bytes {
    const uint8_t *next;
    size_t left;
};

static inline size_t take(struct bytes *from, void *to, size_t n)
{
    const size_t there = n < from->left ? n : from->left;

    memset(to, 0, n);
    if (there)
        memcpy(to, from->next, there);
    from->next += there;
    from->left -= there;
    return there;
}

static inline uint64_t take_number(struct bytes *from, size_t n)
{
    uint8_t raw[8];
    uint64_t value = 0;

    take(from, raw, n);
    for (size_t i = n; i-- > 0;)
        value = value << 8 | raw[i];
    return value;
}

#define take_u8(from)  ((uint8_t)take_number(from, 1))
#define take_u16(from) ((uint16_t)take_number(from, 2))
#define take_i16(from) ((int16_t)take_number(from, 2))
#define take_u32(from) ((uint32_t)take_number(from, 4))
#define take_u64(from) take_number(from, 8)

#endif
