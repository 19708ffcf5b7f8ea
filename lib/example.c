/* SPDX-License-Identifier: BSD-2-Clause */
/* A timestamp that is known to be right, or none: cc example.c -lvmclock */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <vmclock.h>

int main(void)
{
    struct vmclock *clock = NULL;
    struct vmclock_interval now = {.status = VMCLOCK_UNKNOWN};
    int r = vmclock_open(NULL, &clock);

    if (r == 0)
        r = vmclock_now(clock, &now);
    if (r < 0) {
        fprintf(stderr, "no clock: %s\n", strerror(-r));
        return 1;
    }
    if (now.status == VMCLOCK_SYNCHRONISED || now.status == VMCLOCK_FREE_RUNNING)
        printf("from %lld.%09ld to %lld.%09ld, %s, marker 0x%" PRIx64 "\n",
            (long long)now.earliest.tv_sec, now.earliest.tv_nsec, (long long)now.latest.tv_sec,
            now.latest.tv_nsec, vmclock_status_str(now.status), now.disruption_marker);
    else
        printf("%s: %s\n", vmclock_status_str(now.status), vmclock_why(clock));
    vmclock_close(clock);
    return 0;
}
