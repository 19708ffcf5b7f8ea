/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose formula is it? The tracker in virtual time; refclock/formula.h has the rules. */
#include "tests/tracker_fixture.h"

#include <math.h>

#include "tests/suite.h"

START_TEST(a_formula_that_comes_after_its_marker_is_waited_for)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 500 * VIRTUAL_MS;
    virtual_run(&vm, 400 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_run(&vm, 120 * VIRTUAL_MS);
    assert_error_below(50e-9);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(the_old_hosts_formula_rewritten_before_the_marker_is_not_believed)
{
    start_converged(5);
    vm.update_page = false;
    virtual_write_formula(&vm);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 700 * VIRTUAL_MS;
    virtual_run(&vm, 650 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_run(&vm, 70 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(the_old_hosts_formula_is_not_believed_for_a_reference_in_the_near_future)
{
    start_converged(5);
    vm.update_page = false;
    vm.now_ns += 200 * VIRTUAL_MS; /* written for then, by the clock of now */
    virtual_write_formula(&vm);
    vm.now_ns -= 200 * VIRTUAL_MS;
    virtual_run(&vm, 20 * VIRTUAL_MS);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 700 * VIRTUAL_MS;
    virtual_run(&vm, 650 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    virtual_run(&vm, 70 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

/* The old host's last rewrite, shown only after the marker. */
START_TEST(a_formula_from_before_the_marker_is_not_believed_for_being_shown_after_it)
{
    struct vmclock_page last;

    start_converged(5);
    vm.update_page = false;
    last = vm.host.page;
    virtual_run(&vm, 50 * VIRTUAL_MS);
    virtual_write_formula(&vm);
    last.counter_value = vm.host.page.counter_value;
    last.time_sec = vm.host.page.time_sec;
    last.time_frac_sec = vm.host.page.time_frac_sec;
    vm.host.page.counter_value -= 1000000; /* nobody has seen it */
    vm.host.page.time_frac_sec -= (uint64_t)ldexp(1000000 / vm.clock.hz, 64);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 30 * VIRTUAL_MS);
    vm.host.page.counter_value = last.counter_value;
    vm.host.page.time_sec = last.time_sec;
    vm.host.page.time_frac_sec = last.time_frac_sec;
    vm.host.page.seq_count += 2;
    vm.formula_at_ns = vm.now_ns + 300 * VIRTUAL_MS;
    virtual_run(&vm, 290 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 1); /* before the marker */
    virtual_run(&vm, 30 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(a_formula_that_comes_before_its_marker_is_used_once_rewritten)
{
    start_converged(5);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_formula(&vm);
    virtual_run(&vm, 30 * VIRTUAL_MS);
    virtual_write_marker(&vm);
    virtual_run(&vm, 200 * VIRTUAL_MS);
    assert_error_below(50e-9);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(an_unreliable_page_is_waited_for)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 60);
    vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    virtual_run(&vm, VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    ck_assert_uint_eq(vm.n_samples, 0);
    virtual_write_formula(&vm);
    virtual_run(&vm, 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(a_page_that_turns_unreliable_before_the_marker_changes_nothing_of_that)
{
    start_converged(5);
    vm.update_page = false;
    vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    vm.host.page.seq_count += 2;
    virtual_run(&vm, 50 * VIRTUAL_MS);
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.host.page.clock_status = VMCLOCK_STATUS_SYNCHRONISED; /* the old host's formula once more */
    virtual_run(&vm, 100 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    vm.formula_at_ns = vm.now_ns;
    virtual_run(&vm, 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

START_TEST(a_page_that_never_comes_back_leaves_chronyd_to_its_servers)
{
    start_converged(5);
    virtual_migrate(&vm, 0.005, 60);
    vm.host.page.clock_status = VMCLOCK_STATUS_UNRELIABLE;
    virtual_run(&vm, 6 * VIRTUAL_SEC);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES, CHRONY_MODIFY_MAKESTEP, CHRONY_MODIFY_MINPOLL,
        CHRONY_MODIFY_MAXPOLL, CHRONY_BURST);
    ck_assert_int_eq(tracker_state(&vm.tracker), TRACKER_RECOVERING);
    virtual_write_formula(&vm); /* late, but then it is used as if it had been in time */
    virtual_run(&vm, 40 * VIRTUAL_SEC);
    assert_error_below(100e-9);
    ck_assert_int_eq(vm.chronyd.servers[0].minpoll, 6);
    ck_assert_int_eq(vm.chronyd.servers[0].maxpoll, 10);
    ck_assert_double_eq(vm.chronyd.makestep_threshold_sec, 1);
}
END_TEST

START_TEST(a_formula_that_is_never_rewritten_is_used_in_the_end)
{
    start_converged(5);
    vm.update_page = false;
    virtual_write_marker(&vm); /* the counter did not change: nothing differs */
    virtual_run(&vm, 8 * VIRTUAL_SEC);
    ck_assert_uint_gt(vm.n_samples, 20);
    assert_error_below(200e-9);
    ck_assert_uint_eq(vm.chronyd.n_resets, 1);
}
END_TEST

START_TEST(a_formula_that_is_never_rewritten_is_used_by_the_rules_for_its_rate)
{
    config.correct_frequency = false;
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 8 * VIRTUAL_SEC);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DFREQ), 0);
    ck_assert_uint_eq(virtual_count_commands(&vm, CHRONY_DOFFSET2), 0);
}
END_TEST

START_TEST(a_formula_that_comes_later_than_that_recovers_once_more)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 8 * VIRTUAL_SEC;
    virtual_run(&vm, 8 * VIRTUAL_SEC + 20 * VIRTUAL_MS);
    assert_error_below(50e-9);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 2);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 1);
}
END_TEST

START_TEST(a_counter_that_starts_again_from_zero_is_a_disruption_as_any_other)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    vm.clock.counter_at_since = 1000;
    virtual_write_marker(&vm);
    vm.formula_at_ns = vm.now_ns + 300 * VIRTUAL_MS;
    virtual_run(&vm, 250 * VIRTUAL_MS);
    ASSERT_COMMANDS(CHRONY_RESET_SOURCES);
    virtual_run(&vm, 70 * VIRTUAL_MS);
    assert_error_below(50e-9);
}
END_TEST

/* Seen together with the next marker, the formula of the host in between passes for the new one. */
START_TEST(a_formula_of_a_host_in_between_is_corrected_when_the_new_one_comes)
{
    start_converged(5);
    vm.update_page = false;
    virtual_disrupt_counter(&vm, 0.005, 60);
    virtual_write_marker(&vm);
    virtual_run(&vm, 305 * VIRTUAL_MS);
    virtual_write_formula(&vm); /* late, and moved on before anybody looked */
    virtual_disrupt_counter(&vm, -0.003, -30);
    virtual_write_marker(&vm);
    virtual_run(&vm, 3 * VIRTUAL_SEC); /* it is over by then */
    vm.formula_at_ns = vm.now_ns;
    virtual_run(&vm, 30 * VIRTUAL_MS);
    assert_error_below(50e-9);
    ck_assert_int_eq(vm.tracker.recoveries.recovery.cause, RECOVERY_CAUSE_FORMULA);
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    vm.host.error_sec = 0.002; /* the new host's own correction is one again */
    virtual_run(&vm, VIRTUAL_SEC);
    ck_assert_uint_eq(vm.tracker.recoveries.count, 3);
    ck_assert_uint_eq(vm.tracker.host.disruptions, 2);
}
END_TEST

RUN_LOOPS_AFTER(setup, "tracker: whose formula",
    {a_formula_that_comes_after_its_marker_is_waited_for, 1},
    {the_old_hosts_formula_rewritten_before_the_marker_is_not_believed, 1},
    {the_old_hosts_formula_is_not_believed_for_a_reference_in_the_near_future, 1},
    {a_formula_from_before_the_marker_is_not_believed_for_being_shown_after_it, 1},
    {a_formula_that_comes_before_its_marker_is_used_once_rewritten, 1},
    {an_unreliable_page_is_waited_for, 1},
    {a_page_that_turns_unreliable_before_the_marker_changes_nothing_of_that, 1},
    {a_page_that_never_comes_back_leaves_chronyd_to_its_servers, 1},
    {a_formula_that_is_never_rewritten_is_used_in_the_end, 1},
    {a_formula_that_is_never_rewritten_is_used_by_the_rules_for_its_rate, 1},
    {a_formula_that_comes_later_than_that_recovers_once_more, 1},
    {a_formula_of_a_host_in_between_is_corrected_when_the_new_one_comes, 1},
    {a_counter_that_starts_again_from_zero_is_a_disruption_as_any_other, 1})
