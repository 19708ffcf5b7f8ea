/* SPDX-License-Identifier: BSD-2-Clause */
/* Preloaded into a program: its memory is locked, as if it had called mlockall(2) itself. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

__attribute__((constructor)) static void lock_memory(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
        perror("mlockall");
        exit(EXIT_FAILURE);
    }
}
