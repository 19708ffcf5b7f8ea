/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For LD_PRELOAD: a PTP clock as KVM's is on x86 without kvm-clock: PTP_SYS_OFFSET alone, each
 * reading with the noise of a hypercall, 200 ns rms. While there is a file /run/ptp-hangs a reading
 * does not return.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/ptp_clock.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NOISE_NS 200.0
#define HANGS    "/run/ptp-hangs"

/* Twelve even ones make nearly a normal one. */
static double normal(void)
{
    static uint64_t state = 88172645463325252u;
    double sum = -6;

    for (int i = 0; i < 12; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += (double)(state >> 11) / 9007199254740992.0;
    }
    return sum;
}

static void shake(struct ptp_clock_time *t)
{
    int64_t ns = (int64_t)t->nsec + (int64_t)(NOISE_NS * normal());

    if (ns < 0) {
        ns += 1000000000;
        t->sec--;
    } else if (ns >= 1000000000) {
        ns -= 1000000000;
        t->sec++;
    }
    t->nsec = (uint32_t)ns;
}

int ioctl(int fd, unsigned long request, ...)
{
    int (*real)(int, unsigned long, ...) =
        (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    void *argument;
    int r;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == PTP_SYS_OFFSET_PRECISE || request == PTP_SYS_OFFSET_PRECISE2 ||
        request == PTP_SYS_OFFSET_EXTENDED || request == PTP_SYS_OFFSET_EXTENDED2) {
        errno = EOPNOTSUPP;
        return -1;
    }
    while ((request == PTP_SYS_OFFSET || request == PTP_SYS_OFFSET2) && access(HANGS, F_OK) == 0)
        usleep(10000);
    r = real(fd, request, argument);
    if (r == 0 && (request == PTP_SYS_OFFSET || request == PTP_SYS_OFFSET2)) {
        struct ptp_sys_offset *all = argument;

        for (unsigned i = 0; i < all->n_samples; i++)
            shake(&all->ts[2 * i + 1]);
    }
    return r;
}
