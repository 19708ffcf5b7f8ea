/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/edit_distance.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#define WORD_MAX 40

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int letter(const char *word, size_t i)
{
    return tolower((unsigned char)word[i]);
}

unsigned edit_distance(const char *a, const char *b)
{
    /* Of the first i letters of a from the first j of b: the rows of i, i - 1 and i - 2. */
    unsigned rows[3][WORD_MAX + 1] = {{0}};
    const size_t n = strlen(a), m = strlen(b);

    if (n > WORD_MAX || m > WORD_MAX)
        return UINT_MAX;
    for (size_t i = 0; i <= n; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = row[j - 1] + 1;
            if (i == 0)
                continue;
            row[j] = least(row[j], before[j] + 1);
            row[j] = least(row[j], before[j - 1] + (letter(a, i - 1) != letter(b, j - 1)));
            if (i > 1 && j > 1 && letter(a, i - 1) == letter(b, j - 2) &&
                letter(a, i - 2) == letter(b, j - 1))
                row[j] = least(row[j], two_before[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}
