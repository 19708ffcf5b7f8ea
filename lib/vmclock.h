/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What time it is in a virtual machine, as an interval that the true time is in, and whether that
 * holds: after a live migration, or a restore from a snapshot, it does not until vmclockd(8) has
 * put the clock right. Needs a vmclockd that runs; see vmclock_now(3).
 */
#ifndef VMCLOCK_H
#define VMCLOCK_H

#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vmclock_status {
    VMCLOCK_UNKNOWN,      /* nothing is known of the clock */
    VMCLOCK_SYNCHRONISED, /* the true time is in the interval */
    VMCLOCK_FREE_RUNNING, /* it is, too; but nobody corrects the clock, and the interval grows */
    VMCLOCK_DISRUPTED     /* the clock was disrupted, and is not right again yet */
};

struct vmclock_interval {
    struct timespec earliest, latest; /* UTC; true time is between them */
    enum vmclock_status status;       /* they hold in SYNCHRONISED and FREE_RUNNING alone */
    uint64_t disruption_marker; /* changes at a disruption: compare it with an earlier reading's */
    uint64_t vm_generation;     /* changes in a copy of the machine; 0: the host does not tell */
};

struct vmclock;

/*
 * Open the clock-file of vmclockd at `path`; NULL stands for /run/vmclockd/clock. One handle serves
 * all threads, and the child after fork(). 0 and *ret; or -errno, of which -ENOENT: there is none
 * yet, -EBADMSG: it is no such file, -EPROTONOSUPPORT: it is of another version.
 */
int vmclock_open(const char *path, struct vmclock **ret);

/*
 * The time now. No lock, no allocation and, as long as vmclockd is at work, no system call; it may
 * be called in a signal handler. 0 and *ret, whose status says whether it holds; -errno: the
 * system's clocks cannot be read; -EOVERFLOW: the time does not fit into a 32-bit time_t.
 */
int vmclock_now(struct vmclock *clock, struct vmclock_interval *ret)
#if defined(__TIMESIZE) && __TIMESIZE == 32 && defined(__USE_TIME_BITS64)
    __asm__("vmclock_now_time64") /* a 32-bit userland has two struct timespec */
#endif
    ;

/* NULL is fine. No thread may be using the handle, or use it later. */
void vmclock_close(struct vmclock *clock);

/* "synchronised" and the like. */
const char *vmclock_status_str(enum vmclock_status status);

/* Why the status is what it is now, in words: a constant, never NULL. */
const char *vmclock_why(struct vmclock *clock);

#ifdef __cplusplus
}
#endif

#endif
