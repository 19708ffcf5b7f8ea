/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two files that applications read: what is in them, and that no reader sees one that is half
 * written, wherever the writer stands still, or has died.
 */
#include "daemon/clock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/clockbound.h"
#include "daemon/system_clock.h"
#include "lib/clock_page.h"
#include "lib/vmclock.h"
#include "tests/suite.h"

#define BOOT_ID "01234567-89ab-cdef-0123-456789abcdef"
#define SECOND  INT64_C(1000000000)

static char directory[64], path[96], segment_path[96];
static struct clock_file file;
static struct clockbound segment;
static struct bound bound;

static void setup(void)
{
    snprintf(directory, sizeof(directory), "/tmp/check_clock_file.XXXXXX");
    ck_assert(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/clock", directory);
    snprintf(segment_path, sizeof(segment_path), "%s/shm0", directory);
    clock_file_init(&file);
    clockbound_init(&segment);
    bound = (struct bound){.status = BOUND_SYNCHRONISED,
        .reason = BOUND_BY_PAGE,
        .value = {.known = true, .sec = 1e-6},
        .growth = 50e-6};
}

static void teardown(void)
{
    clock_file_close(&file);
    clockbound_close(&segment);
    unlink(path);
    unlink(segment_path);
    rmdir(directory);
}

/* Each number of it is made of `n`, so that a mixture shows. */
static struct clock_report report(unsigned n)
{
    const int64_t coarse_ns = system_clock_coarse_ns();
    struct system_clocks clocks;

    system_clock_look(&clocks);
    bound.value.sec = n * 1e-6;
    return (struct clock_report){.bound = &bound,
        .coarse_ns = coarse_ns,
        .realtime_ns = coarse_ns + clocks.realtime_less_ns,
        .realtime_less_ns = clocks.realtime_less_ns,
        .marker = n,
        .vm_generation = n};
}

static int write_both(unsigned n)
{
    const struct clock_report now = report(n);
    const int r = clock_file_write(&file, path, "/nonexistent", BOOT_ID, &now);

    return r < 0 ? r : clockbound_write(&segment, segment_path, false, &now);
}

static void *map_file(const char *name, size_t size)
{
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    ck_assert(p != MAP_FAILED);
    close(fd);
    return p;
}

/* --- readers ---------------------------------------------------------------------------------- */

/* As libvmclock: the slot that is at rest. */
static uint64_t read_page(const struct clock_page *page)
{
    const struct clock_page_slot *slot = &page->slots[page->sequence & 1];

    ck_assert_uint_eq(slot->disruption_marker, slot->vm_generation);
    ck_assert_int_eq(slot->bound_ns, (int64_t)slot->disruption_marker * 1000);
    ck_assert_uint_eq(slot->growth_ppb, 50000);
    return slot->disruption_marker;
}

static uint16_t u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static int64_t i64(const uint8_t *at)
{
    int64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* --- what is in them -------------------------------------------------------------------------- */

START_TEST(the_segment_is_as_clockbounds_clients_want_it)
{
    static const uint8_t start[] = {0x4e, 0x5a, 0x4d, 0x41, 0x00, 0x02, 0x42, 0x43, 80, 0, 0, 0, 2};
    struct clock_report now = report(7);
    const uint8_t *s;
    uint16_t generation;

    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), 0);
    s = map_file(segment_path, 80);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    ck_assert_mem_eq(s, start, sizeof(start));
#endif
    generation = u16(s + 14);
    ck_assert(generation >= 2 && generation % 2 == 0);
    ck_assert_int_eq(i64(s + 48), 7000);
    ck_assert_int_eq(i64(s + 56), 7);
    ck_assert_int_eq((int32_t)u16(s + 68), 1);
    ck_assert_int_eq(i64(s + 72), 0);
    ck_assert_int_eq(i64(s + 32) - i64(s + 16), 5);
    ck_assert_int_eq(clockbound_write(&segment, segment_path, true, &now), 0);
    ck_assert_int_eq(i64(s + 72), 1);
    ck_assert_int_eq(i64(s + 32) - i64(s + 16), 1000);
    ck_assert_uint_eq(u16(s + 14), generation + 2);
    bound = (struct bound){.status = BOUND_DISRUPTED, .reason = BOUND_RECOVERING};
    now = report(0);
    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), 0);
    ck_assert_int_eq(u16(s + 68), 3);
}
END_TEST

START_TEST(the_segments_generation_never_is_zero_again)
{
    const struct clock_report now = report(7);
    const uint8_t *s;

    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), 0);
    s = map_file(segment_path, 80);
    for (unsigned i = 0; i < 40000; i++) {
        ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), 0);
        ck_assert(u16(s + 14) >= 2 && u16(s + 14) % 2 == 0);
    }
}
END_TEST

START_TEST(another_writer_of_the_segment_is_left_alone)
{
    const struct clock_report now = report(7);
    uint8_t *s;
    int fd;

    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), 0);
    fd = open(segment_path, O_RDWR | O_CLOEXEC);
    s = mmap(NULL, 80, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    s[14] = (uint8_t)(s[14] + 2);
    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), -EBUSY);
    s[56] = 99;
    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), -EBUSY);
    clockbound_close(&segment);
    ck_assert_int_eq(s[56], 99);
    /* One that was written a moment ago is watched for some seconds first. */
    ck_assert_int_eq(clockbound_write(&segment, segment_path, false, &now), 0);
    ck_assert_int_eq(s[56], 99);
    close(fd);
}
END_TEST

START_TEST(what_is_no_file_of_ours_is_left_alone)
{
    static const char text[] = "something that somebody needs, and more than a few bytes of it";
    char found[sizeof(text)];
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    ck_assert_int_eq(write(fd, text, sizeof(text)), sizeof(text));
    if (_i == 1) {
        unlink(path);
        ck_assert_int_eq(mkdir(path, 0755), 0);
    } else if (_i == 2) {
        ck_assert_int_eq(rename(path, segment_path), 0);
        ck_assert_int_eq(symlink(segment_path, path), 0);
    } else if (_i == 3) {
        unlink(path);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
    }
    ck_assert_int_lt(write_both(1), 0);
    ck_assert_int_eq(pread(fd, found, sizeof(found), 0), sizeof(found));
    ck_assert_str_eq(found, text);
    close(fd);
    if (_i == 1)
        rmdir(path);
}
END_TEST

START_TEST(a_file_that_is_taken_away_or_made_shorter_is_made_again)
{
    const struct clock_page *page;
    struct vmclock_interval now;
    struct vmclock *clock;

    ck_assert_int_eq(write_both(1), 0);
    ck_assert_int_eq(vmclock_open(path, &clock), 0);
    ck_assert_int_eq(_i ? truncate(path, 0) : unlink(path), 0);
    ck_assert_int_eq(write_both(2), 0);
    page = map_file(path, sizeof(*page));
    ck_assert_uint_eq(read_page(page), 2);
    ck_assert_int_eq(vmclock_now(clock, &now), 0);
    vmclock_close(clock);
}
END_TEST

START_TEST(the_end_is_told)
{
    const struct clock_page *page;
    const uint8_t *s;

    ck_assert_int_eq(write_both(1), 0);
    page = map_file(path, sizeof(*page));
    s = map_file(segment_path, 80);
    clock_file_close(&file);
    clockbound_close(&segment);
    ck_assert_uint_eq(page->slots[page->sequence & 1].status, BOUND_UNKNOWN);
    ck_assert_uint_eq(page->slots[page->sequence & 1].reason, BOUND_STOPPING);
    ck_assert_int_eq(u16(s + 68), 0);
}
END_TEST

/* --- the writer, instruction by instruction --------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__)
/* As ClockBound's clients: 0, for the last copy is good, while it is being written. */
static uint64_t read_segment(const uint8_t *s)
{
    const uint16_t generation = u16(s + 14);

    if (generation == 0 || generation % 2 || u16(s + 12) == 0)
        return 0;
    ck_assert_int_eq(i64(s + 48), i64(s + 56) * 1000);
    ck_assert(i64(s + 32) - i64(s + 16) == 5 && i64(s + 40) == i64(s + 24));
    return (uint64_t)i64(s + 56);
}

/* In the child: one write, between two stops. */
static void write_traced(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(2);
    raise(SIGSTOP);
    if (write_both(2) < 0)
        _exit(1);
    raise(SIGSTOP);
    _exit(0);
}

static int stopped_by(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        return -1;
    ck_assert(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

/* Whatever a reader sees between two instructions is what was there before, or what comes. */
START_TEST(no_reader_sees_half_of_it_between_any_two_instructions)
{
    const struct clock_page *page;
    const uint8_t *s;
    unsigned long steps = 0;
    uint64_t of_page = 1, of_segment = 1;
    pid_t pid;
    int signal;

    ck_assert_int_eq(write_both(1), 0);
    page = map_file(path, sizeof(*page));
    s = map_file(segment_path, 80);
    pid = fork();
    if (pid == 0)
        write_traced();
    if (stopped_by(pid) < 0)
        return; /* no ptrace here, as in an emulated process */
    do {
        uint64_t seen;

        ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        signal = stopped_by(pid);
        steps++;
        seen = read_page(page);
        ck_assert(seen == of_page || seen == 2);
        of_page = seen;
        seen = read_segment(s);
        ck_assert(seen == 0 || seen == of_segment || seen == 2);
        of_segment = seen ? seen : of_segment;
    } while (signal == SIGTRAP);
    ck_assert_int_eq(signal, SIGSTOP);
    ck_assert_uint_eq(of_page, 2);
    ck_assert_uint_eq(of_segment, 2);
    ck_assert_uint_gt(steps, 100);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
END_TEST

/* Killed there, and another one goes on. */
START_TEST(a_writer_that_was_killed_is_succeeded_without_a_torn_page)
{
    struct clock_page *page;
    uint8_t *s;
    pid_t pid;
    int signal;

    for (unsigned at = 1; at < 6000; at += 331) {
        ck_assert_int_eq(write_both(1), 0);
        page = map_file(path, sizeof(*page));
        s = map_file(segment_path, 80);
        pid = fork();
        if (pid == 0)
            write_traced();
        signal = stopped_by(pid);
        if (signal < 0)
            return;
        for (unsigned i = 0; i < at; i++) {
            ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
            if (stopped_by(pid) != SIGTRAP)
                break;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        /* The next process finds them so. */
        shared_file_close(&file.file);
        shared_file_close(&segment.file);
        clock_file_init(&file);
        clockbound_init(&segment);
        ck_assert_int_eq(write_both(3), 0);
        ck_assert_uint_eq(read_page(page), 3);
        segment.watch_until_ns = 0; /* nobody else has written for long enough */
        ck_assert_int_eq(write_both(4), 0);
        ck_assert_uint_eq(read_page(page), 4);
        ck_assert_uint_eq(read_segment(s), 4);
        munmap(page, sizeof(*page));
        munmap(s, 80);
    }
}
END_TEST

#define TRACED                                                                                     \
    {no_reader_sees_half_of_it_between_any_two_instructions, 1},                                   \
    {                                                                                              \
        a_writer_that_was_killed_is_succeeded_without_a_torn_page, 1                               \
    }
#else
#define TRACED
#endif

RUN_LOOPS_BETWEEN(setup, teardown, "clock file", {the_segment_is_as_clockbounds_clients_want_it, 1},
    {the_segments_generation_never_is_zero_again, 1},
    {another_writer_of_the_segment_is_left_alone, 1}, {what_is_no_file_of_ours_is_left_alone, 4},
    {a_file_that_is_taken_away_or_made_shorter_is_made_again, 2}, {the_end_is_told, 1}, TRACED)
