/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What applications are told, in virtual time: the true time is in the interval, or it is not
 * called good; by the core's own word, and by ClockBound's segment as its clients read it.
 */
#include "tests/tracker_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/clockbound.h"
#include "tests/suite.h"

static char path[64];
static struct clockbound segment;
static unsigned good, disrupted, good_segments;

static void start(bool with_bounds)
{
    virtual_init(&vm, 1);
    if (with_bounds)
        vm.host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.time_maxerror_ns = 500;
    vm.host.page.period_maxerror = vm.host.page.period_frac_sec / 10000000; /* 1e-7 */
    virtual_start(&vm, &config, nothing_saved);
    good = disrupted = good_segments = 0;
}

static bool is_good(enum bound_status status)
{
    return status == BOUND_SYNCHRONISED || status == BOUND_FREE_RUNNING;
}

/* The true error now is within what is told. */
static void check(void)
{
    const struct bound *b = &vm.tracker.bound;
    const double age_sec = (double)(vm.now_ns - b->value.as_of_ns) * 1e-9;

    good += is_good(b->status);
    disrupted += b->status == BOUND_DISRUPTED;
    if (is_good(b->status) && vm.tracker.host.marker == vm.host.page.disruption_marker)
        ck_assert_msg(fabs(vm.clock.error_sec) <= b->value.sec + age_sec * b->growth,
            "%g s off at %g s, told %g s, %s", vm.clock.error_sec, (double)vm.now_ns * 1e-9,
            b->value.sec + age_sec * b->growth, bound_reason_str(b->reason));
}

static int64_t i64(const uint8_t *at)
{
    int64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* The same, by the segment: the bound, grown by ppb since as_of, by CLOCK_MONOTONIC_COARSE. */
static void check_segment(const uint8_t *s)
{
    const int64_t coarse_ns = vm.now_ns - vm.now_ns % 4000000;
    const struct clock_report report = {.bound = &vm.tracker.bound,
        .coarse_ns = coarse_ns,
        .age_ns = vm.tracker.bound.value.known ? vm.now_ns - vm.tracker.bound.value.as_of_ns : 0,
        .marker = vm.tracker.host.marker};
    int64_t as_of_ns, later_ns, bound_ns;
    int32_t status;
    uint32_t ppb;

    ck_assert_int_eq(clockbound_write(&segment, path, false, &report), 0);
    memcpy(&ppb, s + 64, sizeof(ppb));
    memcpy(&status, s + 68, sizeof(status));
    as_of_ns = i64(s + 16) * VIRTUAL_SEC + i64(s + 24);
    later_ns = coarse_ns; /* a client reads at once, or a tick later */
    ck_assert_int_ge(later_ns, as_of_ns - 1000);
    bound_ns = i64(s + 48) + (int64_t)((double)(later_ns - as_of_ns) * 1e-9 * ppb);
    good_segments += is_good((enum bound_status)status);
    if (is_good((enum bound_status)status) &&
        vm.tracker.host.marker == vm.host.page.disruption_marker)
        ck_assert_double_le(fabs(vm.clock.error_sec) * 1e9, (double)bound_ns + 1);
}

START_TEST(an_hour_with_a_page_that_has_bounds)
{
    const uint8_t *s;
    int fd;

    snprintf(path, sizeof(path), "/tmp/check_bound.XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    clockbound_init(&segment);
    start(true);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    check_segment((const uint8_t[80]){0});
    s = mmap(NULL, 80, PROT_READ, MAP_SHARED, fd, 0);
    for (int minute = 0; minute < 60; minute++) {
        for (int i = 0; i < 1000; i++) {
            virtual_run(&vm, VIRTUAL_MS);
            check();
            check_segment(s);
        }
        for (int i = 0; i < 118; i++) {
            virtual_run(&vm, VIRTUAL_SEC / 2);
            check();
            check_segment(s);
        }
        virtual_migrate(&vm, minute % 2 ? 0.005 : -2, minute % 2 ? -60 : 60);
    }
    ck_assert_uint_gt(good, 60000);
    ck_assert_uint_eq(good_segments, good);
    ck_assert_uint_gt(disrupted, 100);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(it_is_disrupted_in_the_step_that_sees_the_marker)
{
    start(true);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_SYNCHRONISED);
    virtual_migrate(&vm, 0.005, 60);
    while (vm.tracker.host.marker != vm.host.page.disruption_marker)
        virtual_run(&vm, VIRTUAL_MS / 10);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_DISRUPTED);
    ck_assert_uint_eq(vm.chronyd.n_resets, 0); /* and nothing was carried out by chronyd before */
    virtual_run(&vm, VIRTUAL_SEC / 2);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_SYNCHRONISED);
}
END_TEST

/*
 * After a disruption that moves the rate, which nothing corrects: by the page's poor bound of it, or
 * by configuration (_i 4 and on).
 */
START_TEST(a_rate_that_is_not_corrected_is_in_the_bound)
{
    static const double ppms[] = {100, -100, 200, 450};

    config.correct_frequency = _i < 4;
    start(true);
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    virtual_migrate(&vm, 0.005, ppms[_i % 4]);
    for (int i = 0; i < 10000; i++) {
        virtual_run(&vm, VIRTUAL_MS);
        check();
    }
    ck_assert_uint_gt(good, 9000);
}
END_TEST

START_TEST(without_bounds_it_is_free_running_at_best)
{
    start(false);
    for (int i = 0; i < 3000; i++) {
        virtual_run(&vm, VIRTUAL_MS);
        ck_assert_int_ne(vm.tracker.bound.status, BOUND_SYNCHRONISED);
        check();
    }
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_FREE_RUNNING);
}
END_TEST

/* Of a maintenance that is announced nothing follows until the marker changes. */
START_TEST(an_announcement_changes_nothing)
{
    start(true);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    vm.host.page.flags |= VMCLOCK_FLAG_DISRUPTION_IMMINENT;
    vm.host.page.seq_count += 2;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_SYNCHRONISED);
}
END_TEST

START_TEST(a_device_that_is_lost_and_the_end_say_so)
{
    struct observation stop = {.stop = true};

    start(true);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    vm.device_lost = true;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.reason, BOUND_PAGE_UNSEEN);
    vm.device_lost = false;
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_SYNCHRONISED);
    stop.now_ns = vm.now_ns;
    tracker_step(&vm.tracker, &stop, &vm.orders);
    ck_assert_int_eq(vm.tracker.bound.reason, BOUND_STOPPING);
}
END_TEST

START_TEST(a_marker_alone_goes_by_chronyd_until_it_does_not_answer)
{
    start(true);
    virtual_marker_only(&vm);
    model_chronyd_add_ntp(&vm.chronyd);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert(is_good(vm.tracker.bound.status));
    virtual_migrate(&vm, 0.005, 20);
    virtual_run(&vm, VIRTUAL_SEC / 10);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_DISRUPTED);
    virtual_run(&vm, 20 * VIRTUAL_SEC);
    ck_assert(is_good(vm.tracker.bound.status));
    virtual_chronyd_stop(&vm);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    ck_assert_int_eq(vm.tracker.bound.status, BOUND_FREE_RUNNING);
    ck_assert_int_eq(vm.tracker.bound.reason, BOUND_CHRONYD_LOST);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: what applications are told",
    {an_hour_with_a_page_that_has_bounds, 1}, {it_is_disrupted_in_the_step_that_sees_the_marker, 1},
    {a_rate_that_is_not_corrected_is_in_the_bound, 8},
    {without_bounds_it_is_free_running_at_best, 1}, {an_announcement_changes_nothing, 1},
    {a_device_that_is_lost_and_the_end_say_so, 1},
    {a_marker_alone_goes_by_chronyd_until_it_does_not_answer, 1})
