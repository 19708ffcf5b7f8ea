/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/ptp_reader.h"

#include <errno.h>
#include <linux/ptp_clock.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TOO_LONG_NS INT64_C(5000000)
#define APART_NS    INT64_C(15000) /* one that stands still is found out within the batch */
#define SAMPLES     5              /* of one reading, of which the narrowest counts */
#define RAW_SAMPLES 16

enum method { METHOD_PRECISE, METHOD_EXTENDED, METHOD_OFFSET, METHOD_NONE };

struct ptp_reader {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    int event_fd;
    bool ends, asked, busy;
    /* What is asked for. */
    int fd;
    unsigned n;
    bool limited;
    uint32_t request;
    /* What has come; the thread's own while it is busy. */
    enum method method;
    size_t n_readings;
    struct ptp_reading readings[PTP_READINGS_MAX];
};

/* As the C library declares it; the kernel takes 32 bits. */
#ifdef __GLIBC__
typedef unsigned long ioctl_request;
#else
typedef int ioctl_request;
#endif

static struct ptp_time of_ptp(const struct ptp_clock_time *t)
{
    return (struct ptp_time){t->sec, t->nsec};
}

static struct ptp_time now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (struct ptp_time){t.tv_sec, (uint32_t)t.tv_nsec};
}

static int64_t monotonic_ns(void)
{
    const struct ptp_time t = now(CLOCK_MONOTONIC);

    return t.sec * 1000000000 + t.nsec;
}

/* CLOCK_MONOTONIC_RAW in the middle of its narrowest bracket around CLOCK_REALTIME. */
static void read_raw(struct ptp_time *ret_raw, struct ptp_time *ret_realtime)
{
    double narrowest = 1e18;

    for (int i = 0; i < RAW_SAMPLES; i++) {
        const struct ptp_time before = now(CLOCK_REALTIME), raw = now(CLOCK_MONOTONIC_RAW),
                              after = now(CLOCK_REALTIME);
        const double width = ptp_time_ns(&after, &before);

        if (width < 0 || width >= narrowest)
            continue;
        narrowest = width;
        *ret_raw = raw;
        *ret_realtime = before;
        ret_realtime->nsec += (uint32_t)(width / 2);
        if (ret_realtime->nsec >= 1000000000) {
            ret_realtime->nsec -= 1000000000;
            ret_realtime->sec++;
        }
    }
}

static int read_precise(int fd, struct ptp_reading *ret_reading)
{
    struct ptp_sys_offset_precise all;
    struct ptp_time device, realtime, raw;

    memset(&all, 0, sizeof(all));
    if (ioctl(fd, (ioctl_request)PTP_SYS_OFFSET_PRECISE, &all) < 0)
        return -errno;
    device = of_ptp(&all.device);
    realtime = of_ptp(&all.sys_realtime);
    raw = of_ptp(&all.sys_monoraw);
    return ptp_reading_of_precise(&device, &realtime, &raw, ret_reading) ? 0 : -EIO;
}

/* The narrowest bracket of `n`: `times` has system, device, system, `step` apart. */
static int narrowest(const struct ptp_clock_time *times, size_t n, size_t step,
    const struct ptp_time *raw, const struct ptp_time *realtime, struct ptp_reading *ret_reading)
{
    struct ptp_reading reading;
    int r = -EIO;

    for (size_t i = 0; i < n; i++) {
        const struct ptp_time before = of_ptp(&times[step * i]),
                              device = of_ptp(&times[step * i + 1]),
                              after = of_ptp(&times[step * i + 2]);

        if (!ptp_reading_of_bracket(&before, &device, &after, raw, realtime, &reading) ||
            (r == 0 && reading.half_width_ns >= ret_reading->half_width_ns))
            continue;
        *ret_reading = reading;
        r = 0;
    }
    return r;
}

static int read_extended(int fd, unsigned samples, struct ptp_reading *ret_reading)
{
    struct ptp_sys_offset_extended all;
    struct ptp_time raw = {0}, realtime = {0};

    memset(&all, 0, sizeof(all));
    all.n_samples = samples;
    if (ioctl(fd, (ioctl_request)PTP_SYS_OFFSET_EXTENDED, &all) < 0)
        return -errno;
    read_raw(&raw, &realtime);
    return narrowest(&all.ts[0][0], samples, 3, &raw, &realtime, ret_reading);
}

static int read_offset(int fd, unsigned samples, struct ptp_reading *ret_reading)
{
    struct ptp_sys_offset all;
    struct ptp_time raw = {0}, realtime = {0};

    memset(&all, 0, sizeof(all));
    all.n_samples = samples;
    if (ioctl(fd, (ioctl_request)PTP_SYS_OFFSET, &all) < 0)
        return -errno;
    read_raw(&raw, &realtime);
    return narrowest(all.ts, samples, 2, &raw, &realtime, ret_reading);
}

static bool is_missing(int error)
{
    return error == -EOPNOTSUPP || error == -ENOTTY || error == -EINVAL || error == -ENOSYS;
}

/* One reading, by the best ioctl that the clock has: from `*method` on. */
static int read_one(int fd, bool limited, enum method *method, struct ptp_reading *ret_reading)
{
    const unsigned samples = limited ? 1 : SAMPLES;
    int r = -EOPNOTSUPP;

    for (; *method < METHOD_NONE; (*method)++) {
        switch (*method) {
        case METHOD_PRECISE: r = read_precise(fd, ret_reading); break;
        case METHOD_EXTENDED: r = read_extended(fd, samples, ret_reading); break;
        case METHOD_OFFSET: r = read_offset(fd, samples, ret_reading); break;
        case METHOD_NONE: break;
        }
        if (!is_missing(r))
            return r;
    }
    *method = METHOD_PRECISE; /* another time it may have one */
    return r;
}

static void read_batch(struct ptp_reader *reader, int fd, unsigned n, bool limited)
{
    const int64_t apart_ns = limited ? 4 * APART_NS : APART_NS;
    const int64_t began_ns = monotonic_ns();

    reader->n_readings = 0;
    for (unsigned i = 0; i < n; i++) {
        int64_t before_ns, took_ns;
        int r;

        while ((before_ns = monotonic_ns()) < began_ns + i * apart_ns)
            ;
        r = read_one(fd, limited, &reader->method, &reader->readings[reader->n_readings]);
        took_ns = monotonic_ns() - before_ns;
        reader->n_readings += r == 0 && took_ns <= TOO_LONG_NS;
        if (before_ns + took_ns - began_ns > 2 * TOO_LONG_NS || r == -ENODEV)
            break;
    }
}

static void *run(void *context)
{
    struct ptp_reader *reader = context;

    pthread_mutex_lock(&reader->mutex);
    while (!reader->ends) {
        if (!reader->asked) {
            pthread_cond_wait(&reader->wanted, &reader->mutex);
            continue;
        }
        reader->asked = false;
        pthread_mutex_unlock(&reader->mutex);
        read_batch(reader, reader->fd, reader->n, reader->limited);
        pthread_mutex_lock(&reader->mutex);
        reader->busy = false;
        eventfd_write(reader->event_fd, 1);
    }
    pthread_mutex_unlock(&reader->mutex);
    return NULL;
}

int ptp_reader_create(struct ptp_reader **ret_reader)
{
    struct ptp_reader *reader = calloc(1, sizeof(*reader));
    sigset_t all, before;
    int r;

    if (!reader)
        return -ENOMEM;
    pthread_mutex_init(&reader->mutex, NULL);
    pthread_cond_init(&reader->wanted, NULL);
    reader->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = reader->event_fd < 0 ? -errno : 0;
    /* Signals are the loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (r == 0)
        r = -pthread_create(&reader->thread, NULL, run, reader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0) {
        if (reader->event_fd >= 0)
            close(reader->event_fd);
        free(reader);
        return r;
    }
    *ret_reader = reader;
    return 0;
}

void ptp_reader_destroy(struct ptp_reader *reader)
{
    bool busy;

    if (!reader)
        return;
    pthread_mutex_lock(&reader->mutex);
    reader->ends = true;
    busy = reader->busy;
    pthread_cond_signal(&reader->wanted);
    pthread_mutex_unlock(&reader->mutex);
    if (busy) {
        pthread_detach(reader->thread);
        return;
    }
    pthread_join(reader->thread, NULL);
    close(reader->event_fd);
    free(reader);
}

int ptp_reader_fd(const struct ptp_reader *reader)
{
    return reader->event_fd;
}

bool ptp_reader_is_busy(struct ptp_reader *reader)
{
    bool busy;

    pthread_mutex_lock(&reader->mutex);
    busy = reader->busy;
    pthread_mutex_unlock(&reader->mutex);
    return busy;
}

void ptp_reader_ask(struct ptp_reader *reader, int fd, unsigned n, bool limited, uint32_t request)
{
    pthread_mutex_lock(&reader->mutex);
    if (!reader->busy) {
        reader->busy = reader->asked = true;
        reader->fd = fd;
        reader->n = n < PTP_READINGS_MAX ? n : PTP_READINGS_MAX;
        reader->limited = limited;
        reader->request = request;
        pthread_cond_signal(&reader->wanted);
    }
    pthread_mutex_unlock(&reader->mutex);
}

bool ptp_reader_take(struct ptp_reader *reader, struct ptp_reading ret_readings[PTP_READINGS_MAX],
    size_t *ret_n, uint32_t *ret_request)
{
    eventfd_t times;
    bool taken;

    if (eventfd_read(reader->event_fd, &times) < 0)
        return false;
    pthread_mutex_lock(&reader->mutex);
    taken = !reader->busy;
    if (taken) {
        memcpy(ret_readings, reader->readings, sizeof(reader->readings));
        *ret_n = reader->n_readings;
        *ret_request = reader->request;
    }
    pthread_mutex_unlock(&reader->mutex);
    return taken;
}
