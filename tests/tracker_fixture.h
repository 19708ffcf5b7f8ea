/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the tracker in virtual time begin with and look at. */
#ifndef TESTS_TRACKER_FIXTURE_H
#define TESTS_TRACKER_FIXTURE_H

#include "tests/virtual.h"

extern struct virtual_machine vm;
extern struct tracker_config config;
extern const struct tracker_saved nothing_saved;

/* Before each test: the configuration as installed. */
void setup(void);

/* Three seconds in: the rate is known, chronyd has chosen us. */
void start_converged(uint64_t seed);

/* Two seconds in, with a page that is no clock. */
void start_marker_only(void);

void assert_commands(const enum chrony_command_id *expected, unsigned n);
void assert_error_below(double sec);

/* chronyd was sent these, and nothing else but TRACKING. */
#define ASSERT_COMMANDS(...)                                                                       \
    do {                                                                                           \
        const enum chrony_command_id expected_[] = {__VA_ARGS__};                                  \
        assert_commands(expected_, sizeof(expected_) / sizeof(expected_[0]));                      \
    } while (0)

#endif
