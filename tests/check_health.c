/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/suite.h"

#include <math.h>

#include "refclock/health.h"
#include "tests/virtual.h"

#define SEC VIRTUAL_SEC
#define MS  VIRTUAL_MS

static struct health health;
static int64_t now_ns;
static struct health_view view;

/* A clock that is fed and right, and a chronyd that updates its reference each second. */
static void begin(void)
{
    health = (struct health){0};
    now_ns = 100 * SEC;
    view = (struct health_view){
        .feeding = true,
        .measured = true,
        .bound_ns = 1000,
        .asked = true,
        .answers = true,
        .has_reference = true,
        .update_interval_sec = 1,
    };
}

/* Of the same view, every 50 ms, the first one now. */
static void take_for(int64_t duration_ns)
{
    const int64_t end_ns = now_ns + duration_ns;

    for (;; now_ns += 50 * MS) {
        view.now_ns = now_ns;
        health_take(&health, &view);
        if (now_ns >= end_ns)
            return;
    }
}

static void update_reference(void)
{
    view.reference_time.nsec++;
    take_for(0);
}

/* --- samples ---------------------------------------------------------------------------------- */

START_TEST(samples_are_withheld_for_too_long_after_five_seconds)
{
    begin();
    take_for(SEC);
    view.withheld = true;
    take_for(5 * SEC);
    ck_assert_int_eq(health_withheld_ns(&health, now_ns), 0);
    ck_assert_int_eq(health_withheld_ns(&health, now_ns + 1), 5 * SEC + 1);
    take_for(55 * SEC);
    ck_assert_int_eq(health_withheld_ns(&health, now_ns), 60 * SEC);
}
END_TEST

START_TEST(a_sample_that_is_sent_begins_the_five_seconds_again)
{
    begin();
    view.withheld = true;
    take_for(20 * SEC);
    view.withheld = false;
    take_for(0);
    ck_assert_int_eq(health_withheld_ns(&health, now_ns), 0);
    view.withheld = true;
    take_for(5 * SEC);
    ck_assert_int_eq(health_withheld_ns(&health, now_ns), 0);
}
END_TEST

START_TEST(a_recovery_and_a_page_that_is_no_clock_end_what_is_known_of_samples)
{
    begin();
    view.offset_ns = 300 * MS;
    view.withheld = true;
    take_for(20 * SEC);
    ck_assert_int_ne(health_offset_ns(&health), 0);
    view.feeding = false;
    take_for(0);
    ck_assert_int_eq(health_withheld_ns(&health, now_ns), 0);
    ck_assert_int_eq(health_offset_ns(&health), 0);
}
END_TEST

/* --- the offset ------------------------------------------------------------------------------- */

static const struct {
    int64_t offset_ns;
    uint64_t bound_ns;
    bool over;
} offsets[] = {
    {10000, 1, false},
    {10001, 1, true},
    {-10001, 1, true},
    {10001, 0, true},
    {20000, 2000, false},
    {20001, 2000, true},
    {-20001, 2000, true},
    {100000, UINT64_MAX, false},
    {100001, UINT64_MAX, true},
    {-100001, UINT64_MAX, true},
    {INT64_MAX, UINT64_MAX - 1, false},
    {INT64_MAX, UINT64_MAX / 10, false},
    {INT64_MAX, UINT64_MAX / 10 + 1, false}, /* ten times that are 4 */
    {INT64_MIN, UINT64_MAX / 10, false},
    {INT64_MIN, UINT64_MAX, true},
    {INT64_MIN, 71, true},
};

#define N_OFFSETS (int)(sizeof(offsets) / sizeof(offsets[0]))

START_TEST(an_offset_is_over_its_limit_by_its_bound_and_by_itself)
{
    begin();
    view.offset_ns = offsets[_i].offset_ns;
    view.bound_ns = offsets[_i].bound_ns;
    take_for(10 * SEC);
    ck_assert_int_eq(health_offset_ns(&health), offsets[_i].over ? 10 * SEC : 0);
}
END_TEST

START_TEST(an_offset_over_its_limit_is_not_well_after_ten_seconds_without_a_break)
{
    begin();
    view.offset_ns = 11000;
    take_for(10 * SEC - 50 * MS);
    ck_assert_int_eq(health_offset_ns(&health), 0);
    view.offset_ns = -11000; /* on the other side: still over */
    take_for(50 * MS);
    ck_assert_int_eq(health_offset_ns(&health), 10 * SEC);
    view.offset_ns = 9000;
    take_for(0);
    ck_assert_int_eq(health_offset_ns(&health), 0);
    view.offset_ns = 11000;
    take_for(9 * SEC);
    ck_assert_int_eq(health_offset_ns(&health), 0);
}
END_TEST

START_TEST(an_offset_that_is_not_measured_is_what_it_was)
{
    begin();
    view.offset_ns = 11000;
    take_for(SEC);
    view.measured = false;
    take_for(20 * SEC);
    ck_assert_int_eq(health_offset_ns(&health), 0);
    view.measured = true;
    take_for(0);
    ck_assert_int_ne(health_offset_ns(&health), 0);
    view.measured = false;
    take_for(SEC);
    ck_assert_int_ne(health_offset_ns(&health), 0);
}
END_TEST

/* --- chronyd's reference ---------------------------------------------------------------------- */

static bool is_old(int64_t after_ns)
{
    return health_reference_ns(&health, now_ns + after_ns) != 0;
}

static const struct {
    double interval_sec;
    int64_t limit_ns;
} intervals[] = {
    {1, 8 * SEC},
    {4, 32 * SEC},
    {64, 512 * SEC},
    {1024, 8192 * SEC},
    {16777216, INT64_C(134217728) * SEC},
    {0.25, 5 * SEC}, /* not before withheld samples are */
    {1e-30, 5 * SEC},
    /* What chronyd cannot mean. */
    {0, 512 * SEC},
    {-1, 512 * SEC},
    {-1e30, 512 * SEC},
    {1e30, 512 * SEC},
    {16777217, 512 * SEC},
    {(double)INFINITY, 512 * SEC},
    {(double)NAN, 512 * SEC},
};

#define N_INTERVALS (int)(sizeof(intervals) / sizeof(intervals[0]))

START_TEST(a_reference_is_old_after_eight_of_its_intervals)
{
    begin();
    view.update_interval_sec = intervals[_i].interval_sec;
    update_reference();
    ck_assert(!is_old(intervals[_i].limit_ns));
    ck_assert(is_old(intervals[_i].limit_ns + 1));
    take_for(SEC);
    update_reference();
    ck_assert(!is_old(intervals[_i].limit_ns));
    ck_assert(is_old(intervals[_i].limit_ns + 1));
}
END_TEST

START_TEST(a_reference_is_as_old_as_it_was_seen_whatever_the_clock_was_set_to)
{
    static const struct chrony_time times[] = {
        {0, 0}, {1700000000, 999999999}, {UINT64_MAX, UINT32_MAX}, {1, 0}, {0, 0}};

    begin();
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        view.reference_time = times[i];
        take_for(7 * SEC);
        ck_assert(!is_old(0));
    }
    take_for(2 * SEC);
    ck_assert(is_old(0));
}
END_TEST

START_TEST(a_chronyd_that_is_silent_keeps_its_reference_and_one_that_is_gone_has_none)
{
    begin();
    take_for(6 * SEC);
    view.answers = false;
    take_for(60 * SEC);
    ck_assert(!is_old(0)); /* nothing is known */
    view.answers = true;
    take_for(0);
    ck_assert(is_old(0));
    view.answers = view.has_reference = false;
    take_for(0);
    view.answers = view.has_reference = true;
    take_for(0);
    ck_assert(!is_old(0));
}
END_TEST

START_TEST(a_recovery_makes_chronyd_forget_its_reference)
{
    begin();
    take_for(60 * SEC);
    ck_assert(is_old(0));
    view.recovering = true;
    take_for(0);
    ck_assert(!is_old(0));
    view.recovering = false;
    take_for(7 * SEC);
    ck_assert(!is_old(0));
}
END_TEST

/* iburst has a few updates at 2 s, and then there is none for the 64 s of minpoll 6. */
START_TEST(the_interval_of_a_burst_is_not_taken_for_the_references)
{
    begin();
    view.has_bursts = true;
    view.has_reference = false;
    take_for(0);
    view.has_reference = true;
    view.update_interval_sec = 0;
    update_reference();
    view.update_interval_sec = 2;
    for (int i = 0; i < 3; i++) {
        take_for(2 * SEC);
        update_reference();
    }
    ck_assert(!is_old(512 * SEC));
    ck_assert(is_old(512 * SEC + 1));
    take_for(2 * SEC);
    update_reference(); /* more than iburst makes: that is its pace */
    ck_assert(is_old(16 * SEC + 1));
    for (int i = 0; i < 4; i++) {
        view.update_interval_sec = 64;
        take_for(64 * SEC);
        update_reference();
    }
    ck_assert(is_old(512 * SEC + 1));
    view.update_interval_sec = 2; /* by chronyc */
    update_reference();
    ck_assert(!is_old(512 * SEC));
    for (int i = 0; i < 4; i++) {
        take_for(2 * SEC);
        update_reference();
    }
    ck_assert(is_old(16 * SEC + 1));
    view.boosted = true; /* by us, until it is given back */
    take_for(0);
    ck_assert(!is_old(512 * SEC));
}
END_TEST

/* --- within the tracker ----------------------------------------------------------------------- */

static struct virtual_machine vm;
static struct tracker_config config;

static void start(bool clock)
{
    virtual_config(&config);
    virtual_init(&vm, 1);
    if (!clock)
        virtual_marker_only(&vm);
    virtual_start(&vm, &config, (struct tracker_saved){.valid = false});
    virtual_run(&vm, 5 * SEC);
}

static bool is_well(void)
{
    return health_withheld_ns(&vm.tracker.health, vm.now_ns) == 0 &&
           health_offset_ns(&vm.tracker.health) == 0 &&
           health_reference_ns(&vm.tracker.health, vm.now_ns) == 0;
}

static void stay_300_ms_off(struct virtual_machine *m)
{
    m->clock.error_sec = 0.3;
}

START_TEST(a_clock_that_nobody_corrects_is_not_well)
{
    start(true);
    ck_assert(is_well());
    vm.before_step = stay_300_ms_off; /* as beside chronyd's -x */
    virtual_run(&vm, 9 * SEC);
    ck_assert(is_well());
    virtual_run(&vm, 2 * SEC);
    ck_assert(!is_well());
    ck_assert_int_gt(health_offset_ns(&vm.tracker.health), 9 * SEC);
    virtual_run(&vm, 3600 * SEC);
    ck_assert(!is_well());
    vm.before_step = NULL;
    vm.clock.error_sec = 0;
    virtual_run(&vm, SEC);
    ck_assert(is_well());
}
END_TEST

static void another_tai_offset(void)
{
    vm.clock.tai = 36;
}

static void no_bound(void)
{
    config.max_error_ns = 1;
    tracker_reconfigure(&vm.tracker, &config);
}

static void counter_goes_back(void)
{
    vm.clock.counter_skew = -1000000000;
}

static void host_moves_by_seconds(void)
{
    vm.host.error_sec = 2;
}

static const struct {
    void (*begin)(void);
} reasons[] = {
    {another_tai_offset},
    {no_bound},
    {counter_goes_back},
    {host_moves_by_seconds},
};

#define N_REASONS (int)(sizeof(reasons) / sizeof(reasons[0]))

START_TEST(samples_that_are_withheld_are_not_well_for_whatever_reason)
{
    start(true);
    vm.n_samples = 0;
    reasons[_i].begin();
    virtual_run(&vm, 2 * SEC);
    vm.n_samples = 0;
    virtual_run(&vm, 2 * SEC);
    ck_assert_uint_eq(vm.n_samples, 0);
    ck_assert_int_eq(health_withheld_ns(&vm.tracker.health, vm.now_ns), 0);
    virtual_run(&vm, 2500 * MS);
    ck_assert_int_gt(health_withheld_ns(&vm.tracker.health, vm.now_ns), 5 * SEC);
}
END_TEST

START_TEST(a_page_that_changes_during_each_reading_is_not_well)
{
    struct observation seen = {.now_ns = 0};

    start(true);
    for (int i = 0; i < 55; i++) {
        seen.now_ns = vm.now_ns += 100 * MS;
        tracker_step(&vm.tracker, &seen, &vm.orders);
        ck_assert_int_eq(health_withheld_ns(&vm.tracker.health, vm.now_ns) != 0, i > 50);
    }
}
END_TEST

START_TEST(hours_without_trouble_are_well)
{
    start(true);
    for (int i = 0; i < 7200; i++) {
        virtual_run(&vm, SEC);
        ck_assert_msg(is_well(), "not after %d s", i);
    }
}
END_TEST

START_TEST(a_migration_leaves_nothing_behind_that_is_not_well)
{
    start(true);
    vm.before_step = stay_300_ms_off;
    virtual_run(&vm, 20 * SEC);
    ck_assert(!is_well());
    vm.before_step = NULL;
    virtual_migrate(&vm, 0.005, 60);
    for (int i = 0; i < 300; i++) {
        virtual_run(&vm, 100 * MS);
        ck_assert_msg(is_well(), "not after %d00 ms", i);
    }
}
END_TEST

START_TEST(an_offset_is_known_as_long_as_it_is_measured)
{
    start(true);
    ck_assert(vm.tracker.feeder.has_offset);
    vm.device_lost = true;
    virtual_run(&vm, 100 * MS);
    ck_assert(!vm.tracker.feeder.has_offset);
    vm.device_lost = false;
    virtual_run(&vm, SEC);
    ck_assert(vm.tracker.feeder.has_offset);
    vm.page_stuck = true;
    virtual_run(&vm, SEC);
    ck_assert(!vm.tracker.feeder.has_offset);
    vm.page_stuck = false;
    virtual_run(&vm, SEC);
    ck_assert(vm.tracker.feeder.has_offset);
    vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    virtual_run(&vm, SEC);
    ck_assert(!vm.tracker.feeder.has_offset);
}
END_TEST

START_TEST(an_ntp_reference_that_is_not_updated_is_not_well)
{
    start(false);
    vm.chronyd.refid = 0xc0000201;
    vm.chronyd.update_interval_sec = 16;
    for (int i = 0; i < 40; i++) {
        vm.chronyd.updated_ns = vm.now_ns;
        virtual_run(&vm, 16 * SEC);
        ck_assert(is_well());
    }
    virtual_run(&vm, SEC * 7 * 15);
    ck_assert(is_well());
    virtual_run(&vm, 30 * SEC);
    ck_assert(!is_well());
    virtual_chronyd_stop(&vm);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * SEC);
    ck_assert(is_well()); /* that it has no reference yet is another matter */
}
END_TEST

START_TEST(samples_flow_once_chronyd_has_taken_one)
{
    virtual_config(&config);
    virtual_init(&vm, 1);
    virtual_chronyd_stop(&vm);
    virtual_start(&vm, &config, (struct tracker_saved){.valid = false});
    virtual_run(&vm, 5 * SEC);
    ck_assert_uint_gt(vm.n_samples, 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_FIRST_SAMPLE), 0);
    ck_assert_uint_eq(virtual_count_events(&vm, EVENT_SOCK_FAILED), 1);
    virtual_chronyd_start(&vm);
    virtual_run(&vm, 5 * SEC);
    ck_assert_uint_ge(virtual_count_events(&vm, EVENT_FIRST_SAMPLE), 1);
    ck_assert_uint_gt(vm.tracker.feeder.sent, 0);
}
END_TEST

RUN_LOOPS("health", {samples_are_withheld_for_too_long_after_five_seconds, 1},
    {a_sample_that_is_sent_begins_the_five_seconds_again, 1},
    {a_recovery_and_a_page_that_is_no_clock_end_what_is_known_of_samples, 1},
    {an_offset_is_over_its_limit_by_its_bound_and_by_itself, N_OFFSETS},
    {an_offset_over_its_limit_is_not_well_after_ten_seconds_without_a_break, 1},
    {an_offset_that_is_not_measured_is_what_it_was, 1},
    {a_reference_is_old_after_eight_of_its_intervals, N_INTERVALS},
    {a_reference_is_as_old_as_it_was_seen_whatever_the_clock_was_set_to, 1},
    {a_chronyd_that_is_silent_keeps_its_reference_and_one_that_is_gone_has_none, 1},
    {a_recovery_makes_chronyd_forget_its_reference, 1},
    {the_interval_of_a_burst_is_not_taken_for_the_references, 1},
    {a_clock_that_nobody_corrects_is_not_well, 1},
    {samples_that_are_withheld_are_not_well_for_whatever_reason, N_REASONS},
    {a_page_that_changes_during_each_reading_is_not_well, 1}, {hours_without_trouble_are_well, 1},
    {a_migration_leaves_nothing_behind_that_is_not_well, 1},
    {an_offset_is_known_as_long_as_it_is_measured, 1},
    {an_ntp_reference_that_is_not_updated_is_not_well, 1},
    {samples_flow_once_chronyd_has_taken_one, 1})
