/* SPDX-License-Identifier: BSD-2-Clause */
/* The device's edge on a regular file, which is all that a page needs. */
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/device.h"

static char path[] = "/tmp/check_device.XXXXXX";
static uint8_t *host; /* the page as the host has it */
static struct device *device;
static struct device_view view;

static void make_file(off_t size)
{
    const int fd = mkstemp(strcpy(path, "/tmp/check_device.XXXXXX"));

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    host = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
}

static void open_good(void)
{
    static const uint8_t header[] = {'V', 'C', 'L', 'K', 0, 0x10, 0, 0, 1, 0, 1, 1, 2, 0, 0, 0, 1};

    make_file(4096);
    memcpy(host, header, sizeof(header));
    ck_assert_int_eq(device_open(path, &device), 0);
}

static void end(void)
{
    device_close(device);
    unlink(path);
}

START_TEST(an_unchanged_page_is_reported_once)
{
    open_good();
    ck_assert_int_eq(device_look(device, &view), DEVICE_CHANGED);
    ck_assert_int_eq(view.verdict, PAGE_OK);
    ck_assert_uint_eq(view.page.disruption_marker, 1);
    ck_assert_int_eq(device_look(device, &view), DEVICE_UNCHANGED);
    device_forget(device);
    ck_assert_int_eq(device_look(device, &view), DEVICE_CHANGED);
    end();
}
END_TEST

START_TEST(a_new_marker_is_seen_also_under_the_old_sequence)
{
    open_good();
    device_look(device, &view);
    host[VMCLOCK_AT_DISRUPTION_MARKER] = 2; /* a fresh destination page may repeat a sequence */
    ck_assert_int_eq(device_look(device, &view), DEVICE_CHANGED);
    ck_assert_uint_eq(view.page.disruption_marker, 2);
    end();
}
END_TEST

START_TEST(a_page_that_is_being_written_is_busy_and_nothing_else)
{
    open_good();
    host[VMCLOCK_AT_SEQ_COUNT] = 3;
    ck_assert_int_eq(device_look(device, &view), DEVICE_BUSY);
    ck_assert_uint_eq(view.seq_count, 3);
    host[VMCLOCK_AT_SEQ_COUNT] = 4;
    ck_assert_int_eq(device_look(device, &view), DEVICE_CHANGED);
    host[VMCLOCK_AT_SEQ_COUNT] = 5;
    ck_assert_int_eq(device_look(device, &view), DEVICE_BUSY);
    host[VMCLOCK_AT_SEQ_COUNT] = 4; /* a host that takes it back: done, all the same */
    ck_assert_int_eq(device_look(device, &view), DEVICE_CHANGED);
    ck_assert_int_eq(device_look(device, &view), DEVICE_UNCHANGED);
    end();
}
END_TEST

/* Both words are written under one count: a copy in which they differ is torn. */
static void write_for_ever(void)
{
    volatile uint64_t *words = (volatile uint64_t *)(void *)host;
    volatile uint32_t *seq = (volatile uint32_t *)(void *)(host + VMCLOCK_AT_SEQ_COUNT);

    for (uint64_t i = 2;; i++) {
        *seq = *seq + 1;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        words[VMCLOCK_AT_DISRUPTION_MARKER / 8] = i;
        words[VMCLOCK_AT_VM_GENERATION / 8] = i;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        *seq = *seq + 1;
        for (volatile int pause = 0; pause < 200; pause++)
            ;
    }
}

START_TEST(a_page_that_changes_while_it_is_read_is_never_seen_half_written)
{
    unsigned changed = 0;
    pid_t writer;

    open_good();
    host[VMCLOCK_AT_VM_GENERATION] = 1;
    writer = fork();
    if (writer == 0)
        write_for_ever();
    for (int i = 0; i < 300000; i++) {
        device_forget(device);
        if (device_look(device, &view) != DEVICE_CHANGED)
            continue;
        ck_assert_uint_eq(view.page.disruption_marker, view.page.vm_generation);
        changed++;
    }
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    ck_assert_uint_gt(changed, 0);
    end();
}
END_TEST

START_TEST(a_file_that_is_truncated_under_the_mapping_is_lost_not_fatal)
{
    open_good();
    device_look(device, &view);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(device_look(device, &view), DEVICE_LOST);
    ck_assert_int_eq(device_look(device, &view), DEVICE_LOST);
    ck_assert_int_eq(device_check(device), -ENXIO);
    end();
}
END_TEST

START_TEST(a_path_that_is_gone_or_replaced_is_noticed)
{
    open_good();
    ck_assert_int_eq(device_check(device), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(device_check(device), -ENOENT);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    ck_assert_int_eq(device_check(device), -ESTALE);
    end();
}
END_TEST

START_TEST(what_is_no_device_is_refused_with_the_reason)
{
    device = NULL;
    ck_assert_int_eq(device_open("/nowhere/vmclock0", &device), -ENOENT);
    ck_assert_int_eq(device_open("/tmp", &device), -EISDIR);
    make_file(0);
    ck_assert_int_eq(device_open(path, &device), -ENODATA);
    ck_assert_int_eq(truncate(path, 4095), 0);
    ck_assert_int_eq(device_open(path, &device), -ENODATA);
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(device_open(path, &device), -ENODEV);
    ck_assert_ptr_null(device);
    device_close(NULL);
    unlink(path);
}
END_TEST

RUN_SUITE("device", an_unchanged_page_is_reported_once,
    a_new_marker_is_seen_also_under_the_old_sequence,
    a_page_that_is_being_written_is_busy_and_nothing_else,
    a_page_that_changes_while_it_is_read_is_never_seen_half_written,
    a_file_that_is_truncated_under_the_mapping_is_lost_not_fatal,
    a_path_that_is_gone_or_replaced_is_noticed, what_is_no_device_is_refused_with_the_reason)
