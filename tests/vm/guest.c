/* SPDX-License-Identifier: BSD-2-Clause */
/* The tests' own program in the guest; usage() has the list. */
#define _GNU_SOURCE
#include "shared.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ptp_clock.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/vmclock.h"

static const int64_t second_ns = 1000000000;

#define WAKE_HZ 1000.0

static void die(const char *what)
{
    fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * second_ns + t.tv_nsec;
}

static const volatile struct page *map_page(void)
{
    int fd = open("/dev/vmclock0", O_RDONLY);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static uint8_t *map_shared(void)
{
    int fd = open("/dev/mem", O_RDWR);
    void *map;

    if (fd < 0)
        die("/dev/mem");
    map = mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SHARED_PHYS);
    if (map == MAP_FAILED)
        die("mapping the shared memory");
    close(fd);
    return map;
}

/* A consistent copy and the counter read with it; ETIMEDOUT after 100 ms of an open update. */
static int read_page(const volatile struct page *page, struct page *ret_copy, uint64_t *ret_counter)
{
    int64_t end = clock_ns(CLOCK_MONOTONIC) + second_ns / 10;

    do {
        uint32_t seq = page->seq_count;

        barrier();
        memcpy(ret_copy, (const void *)page, sizeof *ret_copy);
        *ret_counter = read_counter();
        barrier();
        if (!(seq & 1) && page->seq_count == seq)
            return 0;
    } while (clock_ns(CLOCK_MONOTONIC) < end);
    return ETIMEDOUT;
}

static bool has_time(const struct page *p)
{
    return p->counter_id == COUNTER_HERE &&
           (p->clock_status == STATUS_SYNCHRONISED || p->clock_status == STATUS_FREERUNNING);
}

static int print_page(void)
{
    const volatile struct page *page = map_page();
    struct page p;
    uint64_t counter;

    if (!page)
        die("/dev/vmclock0");
    errno = read_page(page, &p, &counter);
    if (errno)
        die("reading the page");
    printf(
        "counter_id=%u time_type=%u seq_count=%u disruption_marker=%lu flags=%#lx clock_status=%u "
        "tai_offset_sec=%d leap_indicator=%u generation=%lu\n",
        p.counter_id, p.time_type, p.seq_count, p.disruption_marker, p.flags, p.clock_status,
        p.tai_offset_sec, p.leap_indicator, p.generation);
    printf("counter_value=%lu period=%#lx period_shift=%u time_sec=%lu time_frac=%#lx "
           "time_maxerror_ns=%lu\n",
        p.counter_value, p.period, p.period_shift, p.time_sec, p.time_frac, p.time_maxerror_ns);
    if (has_time(&p))
        printf("counter=%lu time_ns=%ld\n", counter, page_time_ns(page_time_at(&p, counter)));
    return 0;
}

/* A datagram, and CLOCK_REALTIME when it was sent here: the socket has SO_TIMESTAMPNS. */
static ssize_t receive(
    int fd, void *ret_data, size_t size, void *ret_sender, socklen_t *length, int64_t *ret_came_ns)
{
    union {
        struct cmsghdr header;
        char bytes[256];
    } control;
    struct iovec data = {ret_data, size};
    struct msghdr message = {.msg_name = ret_sender,
        .msg_namelen = *length,
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &message, 0);
    struct timespec t;

    if (n < 0 || !CMSG_FIRSTHDR(&message) || CMSG_FIRSTHDR(&message)->cmsg_type != SCM_TIMESTAMPNS)
        return -1;
    memcpy(&t, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof t);
    *ret_came_ns = t.tv_sec * second_ns + t.tv_nsec;
    *length = message.msg_namelen;
    return n;
}

/*
 * Stands at chronyd's command socket, confirms every command, and tells of each reset the counter
 * some time after it was sent, and how long after in ns.
 */
static int confirm_resets(const char *path, int count)
{
    enum { COMMAND_RESET_SOURCES = 66 };
    struct sockaddr_un address = {.sun_family = AF_UNIX}, sender;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0), on = 1;

    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on))
        die(path);
    while (count > 0) {
        uint8_t request[128], reply[28] = {6, 2};
        socklen_t length = sizeof sender;
        int64_t came_ns;

        if (receive(fd, request, sizeof request, &sender, &length, &came_ns) < 28)
            continue;
        memcpy(reply + 4, request + 4, 2);
        reply[7] = 1;
        memcpy(reply + 16, request + 8, 4); /* the sequence number */
        sendto(fd, reply, sizeof reply, 0, (struct sockaddr *)&sender, length);
        if (request[5] == COMMAND_RESET_SOURCES) {
            int64_t since_ns = clock_ns(CLOCK_REALTIME) - came_ns;

            printf("%lu %ld\n", read_counter(), since_ns);
            count--;
        }
    }
    return 0;
}

static int serve_mailbox(void)
{
    struct mailbox *m = (struct mailbox *)(map_shared() + MAILBOX_OFFSET);
    const volatile struct page *page = map_page();
    struct sched_param param = {0};
    uint64_t last = m->answered;

    /* it spins: leave the processor to others */
    sched_setscheduler(0, SCHED_IDLE, &param);
    for (;;) {
        uint64_t number = m->asked, counter = 0;
        int64_t time_ns = 0;
        struct page copy;
        int error = 0;

        if (number == last)
            continue;
        barrier();
        switch (m->question) {
        case ASK_COUNTER: counter = read_counter(); break;
        case ASK_REALTIME: time_ns = clock_ns(CLOCK_REALTIME); break;
        case ASK_PAGE_TIME:
            error = page ? read_page(page, &copy, &counter) : ENODEV;
            if (!error && !has_time(&copy))
                error = ENODATA;
            if (!error) {
                time_ns = page_time_ns(page_time_at(&copy, counter));
                time_ns -= copy.time_type == TYPE_TAI ? copy.tai_offset_sec * second_ns : 0;
            }
            break;
        case ASK_TO_END: m->answered = number; return 0;
        default: error = EINVAL;
        }
        m->counter = counter;
        m->time_ns = time_ns;
        m->error = (uint64_t)error;
        barrier();
        m->answered = last = number;
    }
}

static volatile sig_atomic_t stopped;
static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static struct probe_record probe_once(void)
{
    struct probe_record best = {.width = UINT64_MAX};

    /* the narrowest of a few: the others met an interrupt or cold code */
    for (int i = 0; i < 4; i++) {
        uint64_t before = read_counter();
        int64_t now = clock_ns(CLOCK_REALTIME);
        uint64_t after = read_counter();

        if (after - before < best.width)
            best = (struct probe_record){before + (after - before) / 2, now, after - before};
    }
    return best;
}

/* A file of n records of that size, in memory: writing into it costs no system call. */
static void *map_records(const char *path, size_t n, size_t size, int *ret_fd)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    void *records;

    if (fd < 0 || ftruncate(fd, (off_t)(n * size)))
        die(path);
    records = mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (records == MAP_FAILED)
        die(path);
    *ret_fd = fd;
    return records;
}

static void sleep_until_next(int64_t *next, double hz)
{
    struct timespec until;

    *next += (int64_t)((double)second_ns / hz);
    until = (struct timespec){*next / second_ns, *next % second_ns};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Runs for some seconds or until SIGTERM; the file is complete when it has ended. */
static int probe(double seconds, double hz, const char *path)
{
    size_t count = 0, capacity = (size_t)(seconds * hz);
    int64_t next = clock_ns(CLOCK_MONOTONIC);
    struct probe_record *records;
    int fd;

    records = map_records(path, capacity, sizeof *records, &fd);
    signal(SIGTERM, stop);
    while (count < capacity && !stopped) {
        sleep_until_next(&next, hz);
        records[count++] = probe_once();
    }
    if (ftruncate(fd, (off_t)(count * sizeof *records)))
        die(path);
    return 0;
}

/* What a program in the guest is told of the time, so often. */
static int intervals(double seconds, double hz, const char *clock_file, const char *path, int uid)
{
    const size_t capacity = (size_t)(seconds * hz);
    const size_t at_once =
        hz > WAKE_HZ ? (size_t)(hz / WAKE_HZ) : 1; /* an emulated CPU sleeps slowly */
    size_t count = 0;
    int64_t next = clock_ns(CLOCK_MONOTONIC);
    struct interval_record *records;
    struct vmclock *clock;
    int fd;

    records = map_records(path, capacity, sizeof *records, &fd);
    if (setuid((uid_t)uid)) /* who may not read the device is blind to the marker */
        die("setuid");
    if (vmclock_open(clock_file, &clock))
        die(clock_file);
    signal(SIGTERM, stop);
    while (count < capacity && !stopped) {
        struct interval_record *r = &records[count++];
        struct vmclock_interval now;

        if (count % at_once == 0)
            sleep_until_next(&next, hz / (double)at_once);
        r->counter_before = read_counter();
        if (vmclock_now(clock, &now))
            die("vmclock_now");
        r->counter_after = read_counter();
        r->earliest_ns = now.earliest.tv_sec * second_ns + now.earliest.tv_nsec;
        r->latest_ns = now.latest.tv_sec * second_ns + now.latest.tv_nsec;
        r->status = now.status;
    }
    if (ftruncate(fd, (off_t)(count * sizeof *records)))
        die(path);
    return 0;
}

static int64_t ptp_ns(const struct ptp_clock_time *t)
{
    return t->sec * second_ns + t->nsec;
}

static struct precise_record read_precisely(int ptp)
{
    struct ptp_sys_offset_precise precise = {0};
    uint64_t before = read_counter();

    if (ioctl(ptp, PTP_SYS_OFFSET_PRECISE, &precise))
        die("PTP_SYS_OFFSET_PRECISE");
    return (struct precise_record){
        before, read_counter(), ptp_ns(&precise.device), ptp_ns(&precise.sys_realtime)};
}

/* Some reading_records at that rate, as cold as the daemon's own. */
static int read_both_ways(size_t count, double hz, const char *device, const char *path)
{
    int64_t next = clock_ns(CLOCK_MONOTONIC);
    int fd, ptp = open(device, O_RDONLY);
    struct reading_record *records;

    if (ptp < 0)
        die(device);
    records = map_records(path, count, sizeof *records, &fd);
    for (struct reading_record *r = records; r < records + count; r++) {
        sleep_until_next(&next, hz);
        r->precise[0] = read_precisely(ptp);
        for (int i = 0; i < BRACKETS; i++) {
            struct timespec now;
            uint64_t before = read_counter();

            clock_gettime(CLOCK_REALTIME, &now);
            r->brackets[i].counter_after = read_counter();
            r->brackets[i].counter_before = before;
            r->brackets[i].realtime_ns = now.tv_sec * second_ns + now.tv_nsec;
        }
        r->precise[1] = read_precisely(ptp);
    }
    return 0;
}

static int send_file(const char *path)
{
    uint8_t *shared = map_shared();
    int fd = open(path, O_RDONLY);
    struct stat info;
    ssize_t got;
    size_t sent = 0;

    if (fd < 0 || fstat(fd, &info))
        die(path);
    if (info.st_size > SHARED_SIZE - FILE_OFFSET) {
        errno = EFBIG;
        die(path);
    }
    while ((got = read(fd, shared + FILE_OFFSET + sent, (size_t)info.st_size - sent)) > 0)
        sent += (size_t)got;
    printf("%zu\n", sent);
    return 0;
}

/*
 * A time server on the loopback that is as far away as one in the same network. It answers from
 * the host's formula, which the guest's device does not show. How long it took to be scheduled is
 * no part of the way: the kernel says when the question came, and the answer leaves on time.
 */
struct ntp_packet {
    uint8_t leap_version_mode, stratum, poll;
    int8_t precision;
    uint32_t root_delay, root_dispersion, reference_id;
    uint64_t reference, origin, received, sent;
};

static int64_t true_ns(const volatile struct page *truth)
{
    struct page copy;
    uint64_t counter;

    if (read_page(truth, &copy, &counter))
        die("the host's formula");
    return page_time_ns(page_time_at(&copy, counter)) - copy.tai_offset_sec * second_ns;
}

static uint64_t ntp_time(int64_t ns)
{
    static const int64_t seconds_1900_to_1970 = 2208988800;

    return htobe64((uint64_t)(ns / second_ns + seconds_1900_to_1970) << 32 |
                   (uint64_t)(((ns % second_ns) << 32) / second_ns));
}

/* CLOCK_REALTIME when a packet came; 0: it is none of NTP's. */
static int64_t receive_packet(int fd, struct ntp_packet *packet, struct sockaddr_in *ret_sender)
{
    socklen_t length = sizeof *ret_sender;
    int64_t came_ns;

    return receive(fd, packet, sizeof *packet, ret_sender, &length, &came_ns) == sizeof *packet
               ? came_ns
               : 0;
}

/* From the call to the kernel's timestamp at the receiver, by sending one to ourselves. */
static int64_t sending_ns(int fd, struct sockaddr_in *self)
{
    struct ntp_packet packet = {0};
    int64_t start = clock_ns(CLOCK_REALTIME);
    struct sockaddr_in sender;

    sendto(fd, &packet, sizeof packet, 0, (struct sockaddr *)self, sizeof *self);
    return receive_packet(fd, &packet, &sender) - start;
}

static int64_t way_ns(double delay_us, double jitter_us)
{
    return (int64_t)((delay_us + jitter_us * (2 * drand48() - 1)) * 1e3);
}

static int serve_ntp(int port, double delay_us, double jitter_us)
{
    const volatile struct page *truth = (const void *)(map_shared() + TRUTH_OFFSET);
    const int64_t soon_ns = 50000; /* enough to write the answer */
    struct sockaddr_in client, self = {.sin_family = AF_INET,
                                   .sin_port = htobe16((uint16_t)port),
                                   .sin_addr.s_addr = htobe32(INADDR_LOOPBACK)};
    struct sched_param param = {.sched_priority = 1};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) ||
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on))
        die("the time server's socket");
    sched_setscheduler(0, SCHED_FIFO, &param);
    for (;;) {
        struct ntp_packet packet;
        int64_t realtime = receive_packet(fd, &packet, &client), received, sending, now, sent,
                arrival;

        if (!realtime || (packet.leap_version_mode & 7) != 3) /* no client's question */
            continue;
        received =
            true_ns(truth) - (clock_ns(CLOCK_REALTIME) - realtime) + way_ns(delay_us, jitter_us);
        sending = sending_ns(fd, &self);
        now = true_ns(truth);
        sent = (received > now ? received : now) + soon_ns;
        arrival = sent + way_ns(delay_us, jitter_us);
        packet.leap_version_mode = 4 << 3 | 4; /* version 4, server */
        packet.stratum = 1;
        packet.precision = -24;
        packet.root_delay = packet.root_dispersion = htobe32(1);
        packet.reference_id = htobe32(0x48535400); /* "HST" */
        packet.origin = packet.sent;
        packet.received = packet.reference = ntp_time(received);
        packet.sent = ntp_time(sent);
        while (true_ns(truth) < arrival - sending)
            ;
        sendto(fd, &packet, sizeof packet, 0, (struct sockaddr *)&client, sizeof client);
    }
}

static void sleep_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* What chronyd is not told of: the clock is stepped, the kernel's frequency changed. */
static int disturb_clock(int64_t step_ns, double ppm)
{
    struct timex t = {.modes = 0};

    if (adjtimex(&t) < 0)
        die("adjtimex");
    t.modes = ADJ_SETOFFSET | ADJ_NANO | ADJ_FREQUENCY;
    t.time.tv_sec = step_ns / second_ns - (step_ns % second_ns < 0);
    t.time.tv_usec = step_ns % second_ns + (step_ns % second_ns < 0 ? second_ns : 0); /* ns */
    t.freq += (long)(ppm * 65536);
    if (adjtimex(&t) < 0)
        die("adjtimex");
    return 0;
}

static void wait_for_marker(double ms)
{
    const volatile struct page *page = map_page();
    uint64_t marker;

    if (!page)
        die("/dev/vmclock0");
    for (marker = page->disruption_marker; page->disruption_marker == marker;)
        sleep_us(100);
    sleep_us((long)(ms * 1000));
}

static int usage(void)
{
    fputs("usage: guest page                  print the vmclock page\n"
          "       guest tsc                   print the counter\n"
          "       guest mailbox               answer the host's questions until it says stop\n"
          "       guest probe SECONDS HZ FILE store struct probe_record at that rate\n"
          "       guest intervals SECONDS HZ CLOCK-FILE FILE UID  store struct interval_record\n"
          "       guest readings COUNT HZ PTP-DEVICE FILE\n"
          "                                   store struct reading_record at that rate\n"
          "       guest ntp PORT US JITTER    a time server, each way so far away\n"
          "       guest resets SOCKET COUNT   stand in for chronyd, tell when each was sent\n"
          "       guest disturb NS PPM [MS]   step the clock and change its frequency, now or so "
          "long\n"
          "                                   after the marker's next change\n"
          "       guest send FILE             put the file where the host can read it\n",
        stderr);
    return 64;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (!strcmp(command, "page") && argc == 2)
        return print_page();
    if (!strcmp(command, "tsc") && argc == 2)
        return printf("%lu\n", read_counter()) < 0;
    if (!strcmp(command, "mailbox") && argc == 2)
        return serve_mailbox();
    if (!strcmp(command, "intervals") && argc == 7)
        return intervals(atof(argv[2]), atof(argv[3]), argv[4], argv[5], atoi(argv[6]));
    if (!strcmp(command, "probe") && argc == 5)
        return probe(atof(argv[2]), atof(argv[3]), argv[4]);
    if (!strcmp(command, "readings") && argc == 6)
        return read_both_ways((size_t)atol(argv[2]), atof(argv[3]), argv[4], argv[5]);
    if (!strcmp(command, "ntp") && argc == 5)
        return serve_ntp(atoi(argv[2]), atof(argv[3]), atof(argv[4]));
    if (!strcmp(command, "resets") && argc == 4)
        return confirm_resets(argv[2], atoi(argv[3]));
    if (!strcmp(command, "disturb") && argc == 5)
        wait_for_marker(atof(argv[4]));
    if (!strcmp(command, "disturb") && (argc == 4 || argc == 5))
        return disturb_clock(atoll(argv[2]), atof(argv[3]));
    if (!strcmp(command, "send") && argc == 3)
        return send_file(argv[2]);
    return usage();
}
