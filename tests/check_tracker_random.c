/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disruptions at random: the tracker in virtual time. RANDOM_RUNS of each kind, from RANDOM_FIRST
 * on; with CK_FORK=no the end says how many disruptions they were.
 */
#include "tests/tracker_fixture.h"

#include <stdio.h>

#include "tests/suite.h"

static unsigned long n_disruptions; /* where the tests are not forked */

/* A disruption of every kind, with losses, under every policy: it always ends well. */
START_TEST(random_disruptions_end_with_a_confirmed_reset_and_a_right_clock)
{
    const uint64_t seed = (uint64_t)_i + 1;
    unsigned migrations = 1;
    double jump, ppm;
    int host;

    virtual_init(&vm, seed);
    config.recovery.step = (enum recovery_step_policy)(virtual_random(&vm) * 3);
    start_converged(seed);
    virtual_random(&vm);
    for (unsigned i = 0; i < 12; i++)
        if (virtual_random(&vm) < 0.15)
            vm.fates[i] = (enum virtual_fate)(1 + virtual_random(&vm) * (VIRTUAL_N_FATES - 1));
    host = (int)(virtual_random(&vm) * 5);
    jump = (virtual_random(&vm) - 0.5) * (virtual_random(&vm) < 0.3 ? 4 : 0.02);
    ppm = (virtual_random(&vm) - 0.5) * 200;
    virtual_run(&vm, (int64_t)(virtual_random(&vm) * 100) * VIRTUAL_MS);
    vm.chronyd.n_resets = 0;

    virtual_migrate(&vm, jump, ppm);
    if (host == 1) { /* marker first, formula later */
        vm.update_page = false;
        vm.host.page.counter_value -=
            (uint64_t)(jump * vm.clock.hz); /* not the new one's: agrees with the old */
        vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
        vm.formula_at_ns = vm.now_ns + (int64_t)(virtual_random(&vm) * 3e9);
    } else if (host == 2) { /* one more in the middle */
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 20e6));
        virtual_migrate(&vm, -jump / 2, -ppm);
        migrations++;
    } else if (host == 3) { /* chronyd restarts in the middle */
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 20e6));
        virtual_chronyd_stop(&vm);
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 1e9));
        virtual_chronyd_start(&vm);
    } else if (host == 4) { /* chronyd is frozen for a while */
        vm.frozen = true;
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * 3e9));
        vm.frozen = false;
    }
    virtual_run(&vm, 90 * VIRTUAL_SEC);

    /* Two that were read and lost: it goes on as if they had been done. */
    ck_assert(vm.chronyd.n_resets >= 1 || vm.tracker.recoveries.recovery.reset_assumed);
    ck_assert_uint_ge(vm.tracker.host.disruptions, 1); /* two between two looks are one */
    ck_assert_uint_le(vm.tracker.host.disruptions, migrations);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 1 + migrations);
    n_disruptions += migrations;
    ck_assert(!vm.tracker.recoveries.pending);
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    ck_assert(!restore_is_pending(&vm.tracker.restore));
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    if (config.recovery.step != RECOVERY_STEP_ALWAYS)
        ck_assert_double_le(vm.clock.largest_backward_step_sec, 1e-9);
    assert_error_below(1e-6);
    ck_assert(vm.tracker.client.known.synchronised);
}
END_TEST

/* One migration, with marker and formula in any order. */
static void migrate_by_a_host_of_any_kind(void)
{
    const double jump = (virtual_random(&vm) - 0.5) * 0.02;
    const double ppm = (virtual_random(&vm) - 0.5) * 100;
    const int64_t late_ns = (int64_t)(virtual_random(&vm) * 600e6);
    const int kind = (int)(virtual_random(&vm) * 6);

    vm.formula_at_ns = INT64_MAX; /* the host before will not write it any more */
    vm.host.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
    if (kind == 0) {
        virtual_migrate(&vm, jump, ppm);
        vm.update_page = true;
        return;
    }
    vm.update_page = false;
    if (kind == 1) /* formula, then marker */ {
        virtual_disrupt_counter(&vm, jump, ppm);
        virtual_write_formula(&vm);
        vm.update_page = true;
        virtual_run(&vm, late_ns / 10);
        virtual_write_marker(&vm);
        return;
    }
    if (kind == 2) /* the old host's last rewrite */
        virtual_write_formula(&vm);
    virtual_disrupt_counter(&vm, jump, ppm);
    if (kind == 3)
        vm.clock.counter_at_since = (uint64_t)(1000 * virtual_random(&vm));
    if (kind == 4)
        vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    if (kind == 5 && virtual_random(&vm) < 0.5) { /* unreliable, and then the old formula again */
        vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
        virtual_write_marker(&vm);
        virtual_run(&vm, late_ns / 2);
        vm.host.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
        vm.host.page.seq_count += 2;
    } else {
        virtual_write_marker(&vm);
    }
    vm.formula_at_ns = vm.now_ns + late_ns;
}

/* Several within a second; in the end the clock is right, in whatever order they came. */
START_TEST(migrations_in_a_row_to_hosts_of_any_kind_end_with_a_right_clock)
{
    const unsigned n = 1 + (unsigned)_i % 5;

    start_converged((uint64_t)_i + 1);
    virtual_random(&vm);
    vm.chronyd.n_resets = vm.n_wrong_samples = 0;
    for (unsigned i = 0; i < n; i++) {
        virtual_run(&vm, (int64_t)(virtual_random(&vm) * (_i % 2 ? 30e6 : 400e6)));
        migrate_by_a_host_of_any_kind();
    }
    virtual_run(&vm, 15 * VIRTUAL_SEC);
    assert_error_below(200e-9);
    ck_assert_uint_ge(vm.chronyd.n_resets, 1);
    ck_assert(!vm.tracker.recoveries.pending);
    ck_assert_uint_eq(vm.tracker.recoveries.confirmed_marker, 1 + n);
    n_disruptions += n;
    ck_assert_uint_eq(vm.n_stray_samples, 0);
    ck_assert(vm.tracker.client.known.synchronised);
    ck_assert(!vm.tracker.host.formula.late && !vm.tracker.host.formula.unproven);
    if (n == 1) /* with more, that of a host in between may pass for a while */
        ck_assert_uint_eq(vm.n_wrong_samples, 0);
}
END_TEST

static int number_in(const char *variable, int fallback)
{
    const char *text = getenv(variable);

    return text ? (int)strtol(text, NULL, 10) : fallback;
}

int main(void)
{
    const int n_runs = number_in("RANDOM_RUNS", 3000);
    const struct suite_test tests[] = {
        {migrations_in_a_row_to_hosts_of_any_kind_end_with_a_right_clock, n_runs},
        {random_disruptions_end_with_a_confirmed_reset_and_a_right_clock, n_runs},
    };
    const int result = run_suite(&(const struct suite){.name = "tracker: at random",
                                     .limit_sec = SUITE_LIMIT_SEC,
                                     .setup = setup,
                                     .first = number_in("RANDOM_FIRST", 0)},
        tests, sizeof(tests) / sizeof(tests[0]));

    if (n_disruptions > 0)
        printf("%lu disruptions at random\n", n_disruptions);
    return result;
}
