/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/tracker_fixture.h"

#include <check.h>
#include <math.h>

struct virtual_machine vm;
struct tracker_config config;
const struct tracker_saved nothing_saved = {.valid = false};

void setup(void)
{
    virtual_config(&config);
}

void start_converged(uint64_t seed)
{
    virtual_init(&vm, seed);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    ck_assert_int_eq(tracker_state(&vm.tracker),
        vm.host.page.counter_id == 0xff ? TRACKER_WATCHING : TRACKER_FEEDING);
    vm.n_commands = vm.n_events = vm.n_samples = vm.n_read = 0;
    vm.clock.largest_backward_step_sec = 0;
}

void start_marker_only(void)
{
    virtual_init(&vm, 1);
    virtual_marker_only(&vm);
    virtual_start(&vm, &config, nothing_saved);
    virtual_run(&vm, 2 * VIRTUAL_SEC);
    vm.n_commands = vm.n_events = vm.n_read = 0;
}

void assert_commands(const enum chrony_command_id *expected, unsigned n)
{
    for (unsigned i = 0; i < n && i < vm.n_commands; i++)
        ck_assert_msg(vm.commands[i].command.id == expected[i], "command %u is %s, not %s", i,
            chrony_command_str(vm.commands[i].command.id), chrony_command_str(expected[i]));
    ck_assert_uint_eq(vm.n_commands, n);
}

void assert_error_below(double sec)
{
    ck_assert_msg(
        fabs(vm.clock.error_sec) < sec, "the clock is off by %.1f ns", vm.clock.error_sec * 1e9);
}
