/* SPDX-License-Identifier: BSD-2-Clause */
/* What the state file shows is so now, or is not shown. */
#include "tests/suite.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"
#include "tests/virtual.h"

#define BOOT "boot"

static struct virtual_machine vm;
static struct config config;
static struct state_file state;

static void describe(void)
{
    state_file_describe(&config, &vm.tracker, BOOT, &(struct state_marks){.running = true}, &state);
}

static void feed(void)
{
    struct tracker_config tracker;

    virtual_config(&tracker);
    virtual_init(&vm, 1);
    vm.host.page.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT | VMCLOCK_FLAG_DISRUPTION_SOON |
                          VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    vm.host.page.vm_generation = 0x1234;
    virtual_start(&vm, &tracker, (struct tracker_saved){.valid = false});
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    vm.tracker.feeder.measured_ns = system_clock_monotonic_ns(); /* by which it is described */
    vm.tracker.health = (struct health){0};
    describe();
}

static bool has(const char *key)
{
    return state_file_value(&state, key) != NULL;
}

static const char *const of_the_page[] = {"disruption_marker", "clock_status", "vm_generation",
    "maintenance", "offset_ns", "error_bound_ns"};

#define N_OF_THE_PAGE (sizeof(of_the_page) / sizeof(of_the_page[0]))

static void lose(void)
{
    vm.device_lost = true;
}

static void write_without_end(void)
{
    vm.page_stuck = true;
}

static void (*const troubles[])(void) = {lose, write_without_end};

START_TEST(nothing_of_a_page_that_cannot_be_seen_is_shown_as_of_now)
{
    struct tracker_saved saved;

    feed();
    for (size_t i = 0; i < N_OF_THE_PAGE; i++)
        ck_assert_msg(has(of_the_page[i]), "%s is missing", of_the_page[i]);
    ck_assert(!has("last_known.offset_ns") && !has("last_known.clock_status"));
    troubles[_i]();
    virtual_run(&vm, VIRTUAL_SEC);
    describe();
    for (size_t i = 0; i < N_OF_THE_PAGE; i++)
        ck_assert_msg(!has(of_the_page[i]), "%s is there", of_the_page[i]);
    ck_assert(has("last_known.offset_ns") && has("last_known.clock_status"));
    /* The next start still tells a migration from a restore by it. */
    saved = state_file_saved(&state, BOOT, &vm.tracker.config.recovery);
    ck_assert(saved.valid);
    ck_assert_uint_eq(saved.vm_generation, 0x1234);
    ck_assert_uint_eq(
        saved.flags, VMCLOCK_FLAG_VM_GENERATION_PRESENT | VMCLOCK_FLAG_DISRUPTION_SOON);
}
END_TEST

START_TEST(what_a_daemon_of_0_1_0_has_saved_is_read)
{
    static const struct {
        const char *key, *value;
    } old[] = {{"boot_id", BOOT}, {"confirmed_marker", "0x7"}, {"maintenance", "imminent"},
        {"vm_generation", "0x99"}};
    struct tracker_saved saved;

    state.n = 0;
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++, state.n++) {
        snprintf(state.entries[i].key, sizeof(state.entries[i].key), "%s", old[i].key);
        snprintf(state.entries[i].value, sizeof(state.entries[i].value), "%s", old[i].value);
    }
    saved = state_file_saved(&state, BOOT, &vm.tracker.config.recovery);
    ck_assert(saved.valid);
    ck_assert_uint_eq(saved.vm_generation, 0x99);
    ck_assert_uint_eq(saved.marker, 7); /* it was seen */
    ck_assert_uint_eq(
        saved.flags, VMCLOCK_FLAG_VM_GENERATION_PRESENT | VMCLOCK_FLAG_DISRUPTION_IMMINENT);
}
END_TEST

START_TEST(a_bound_that_has_saturated_is_none)
{
    static const uint64_t bounds[] = {UINT64_MAX, UINT64_MAX - 1, INT64_MAX};

    feed();
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        vm.tracker.feeder.offset.bound_ns = bounds[i];
        describe();
        ck_assert(has("offset_ns") && !has("error_bound_ns"));
    }
    vm.tracker.feeder.offset.bound_ns = INT64_MAX - 1;
    describe();
    ck_assert(has("error_bound_ns"));
}
END_TEST

START_TEST(an_offset_that_is_not_measured_any_more_is_none)
{
    feed();
    vm.tracker.feeder.measured_ns -= 2 * VIRTUAL_SEC;
    describe();
    ck_assert(!has("offset_ns") && has("last_known.offset_ns"));
}
END_TEST

static const struct {
    enum recovery_page plan;
    int64_t corrected_ns;
    bool refused, measured;
    const char *by; /* "": nobody yet */
    bool has_ppm, has_ns;
    enum recovery_corrector source;
} corrections[] = {
    {RECOVERY_PAGE_FULL, 0, false, false, "", false, false, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_FULL, 2, false, true, "page", true, true, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_FULL, 2, false, false, "page", true, false, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_PERIOD, 2, false, false, "page", true, false, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_TIME, 2, false, false, "chronyd", false, false, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_MARKER_ONLY, 2, false, false, "chronyd", false, false, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_FULL, 0, true, true, "chronyd", false, false, RECOVERY_CORRECTOR_PAGE},
    {RECOVERY_PAGE_FULL, 2, false, true, "ptp", true, true, RECOVERY_CORRECTOR_PTP},
};

#define N_CORRECTIONS (int)(sizeof(corrections) / sizeof(corrections[0]))

START_TEST(only_what_was_corrected_from_the_page_has_figures)
{
    const char *by;

    feed();
    vm.tracker.recoveries.recovery = (struct recovery){.started_ns = 1,
        .page_grade = corrections[_i].plan,
        .source = corrections[_i].source,
        .corrected_ns = corrections[_i].corrected_ns,
        .left_to_chronyd = corrections[_i].refused,
        .rate_ppm = 1,
        .offset_sec = 1,
        .remaining_sec = corrections[_i].measured ? 1e-9 : NAN};
    describe();
    by = state_file_value(&state, "last_recovery.corrected_by");
    ck_assert_str_eq(by ? by : "", corrections[_i].by);
    ck_assert_int_eq(has("last_recovery.corrected_ms"), corrections[_i].has_ppm);
    ck_assert_int_eq(has("last_recovery.corrected_ppm"), corrections[_i].has_ppm);
    ck_assert_int_eq(has("last_recovery.corrected_ns"), corrections[_i].has_ns);
    ck_assert_int_eq(has("last_recovery.remaining_ns"), corrections[_i].has_ns);
}
END_TEST

START_TEST(what_chronyd_said_is_not_shown_while_it_does_not_answer)
{
    feed();
    ck_assert(has("chronyd.synchronised") && has("chronyd.refid"));
    vm.tracker.client.known.reachable = false;
    describe();
    ck_assert(has("chronyd.reachable") && !has("chronyd.synchronised") && !has("chronyd.refid"));
}
END_TEST

static const char *const reasons[] = {"health.withheld_s", "health.offset_s", "health.reference_s",
    "health.unconfirmed", "sock_error"};

#define N_REASONS (int)(sizeof(reasons) / sizeof(reasons[0]))

START_TEST(all_is_well_without_a_reason_that_it_is_not)
{
    feed();
    ck_assert(state_file_all_is_well(&state));
    snprintf(state.entries[state.n].key, sizeof(state.entries[0].key), "%s", reasons[_i]);
    snprintf(state.entries[state.n].value, sizeof(state.entries[0].value), "6.000");
    state.n++;
    ck_assert(!state_file_all_is_well(&state));
}
END_TEST

/* --- the file --------------------------------------------------------------------------------- */

static struct tracker tracker;

static void complain(const char *sentence)
{
    ck_abort_msg("%s", sentence);
}

static void configure(const char *text)
{
    char path[] = "/tmp/check_state_file.XXXXXX";
    const int fd = mkstemp(path);
    const size_t n = strlen(text);

    ck_assert_int_eq(write(fd, text, n), (ssize_t)n);
    close(fd);
    ck_assert_int_eq(config_read(path, complain, &config), 0);
    unlink(path);
}

START_TEST(the_state_file_is_read_back_by_the_same_boot_only)
{
    const struct tracker_saved nothing = {.valid = false};
    struct tracker_saved saved;

    configure("boost = 192.0.2.1 4 6\nboost = 2001:db8::1 -2 10\n");
    snprintf(config.state_file, sizeof(config.state_file), "/tmp/check_state.%d/state", getpid());
    tracker_init(&tracker, &config.tracker, &nothing, 1, 0);
    tracker.host.known = true;
    tracker.host.marker = UINT64_C(0xfedcba9876543211);
    tracker.recoveries.confirmed_marker = UINT64_C(0xfedcba9876543210);
    tracker.recoveries.unconfirmed = true;
    state_file_describe(
        &config, &tracker, "boot-1", &(struct state_marks){.running = true}, &state);
    ck_assert_int_eq(state_file_write(config.state_file, &state), 0);
    ck_assert_int_eq(state_file_read(config.state_file, &state), 0);
    saved = state_file_saved(&state, "boot-1", &config.tracker.recovery);
    ck_assert(saved.valid && !restore_is_pending(&saved.restore));
    ck_assert_uint_eq(saved.marker, UINT64_C(0xfedcba9876543211));
    ck_assert_uint_eq(saved.confirmed_marker, UINT64_C(0xfedcba9876543210));
    ck_assert(saved.unconfirmed);
    ck_assert(!state_file_saved(&state, "boot-2", &config.tracker.recovery).valid);
    ck_assert(restore_remember(
        &tracker.restore, &config.tracker.recovery, CHRONY_MODIFY_MINPOLL, false, 0xabc, 0));
    state_file_describe(
        &config, &tracker, "boot-1", &(struct state_marks){.running = true}, &state);
    ck_assert_int_eq(state_file_write(config.state_file, &state), 0);
    ck_assert_int_eq(state_file_read(config.state_file, &state), 0);
    saved = state_file_saved(&state, "boot-1", &config.tracker.recovery);
    ck_assert(saved.restore.polls && !saved.restore.makestep);
    ck_assert_uint_eq(saved.restore.chronyd_id, 0xabc);
    ck_assert_uint_eq(saved.restore.n_servers, 2);
    ck_assert_mem_eq(saved.restore.servers, config.tracker.recovery.servers,
        2 * sizeof(saved.restore.servers[0]));
    ck_assert(restore_remember(
        &tracker.restore, &config.tracker.recovery, CHRONY_MODIFY_MAKESTEP, true, 0xabc, 0));
    state_file_describe(
        &config, &tracker, "boot-1", &(struct state_marks){.running = true}, &state);
    saved = state_file_saved(&state, "boot-1", &config.tracker.recovery);
    ck_assert(saved.restore.makestep && saved.restore.makestep_used);
    ck_assert_int_eq(saved.restore.makestep_limit, 0);
    ck_assert_double_eq(saved.restore.makestep_threshold_sec, 1);
    unlink(config.state_file);
    *strrchr(config.state_file, '/') = '\0';
    ck_assert_int_eq(rmdir(config.state_file), 0);
}
END_TEST

/* chrony.conf takes any number, and chronyd has to get it back after a restart of vmclockd. */
START_TEST(any_threshold_of_chrony_conf_is_remembered)
{
    static const double thresholds[] = {-1, 0, 1e-20, 1e12, HUGE_VAL};
    const struct tracker_saved nothing = {.valid = false};

    for (size_t i = 0; i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
        struct tracker_saved saved;

        configure("");
        config.tracker.recovery.makestep_threshold_sec = thresholds[i];
        tracker_init(&tracker, &config.tracker, &nothing, 1, 0);
        tracker.host.known = true;
        ck_assert(restore_remember(
            &tracker.restore, &config.tracker.recovery, CHRONY_MODIFY_MAKESTEP, false, 0xabc, 0));
        state_file_describe(
            &config, &tracker, "boot", &(struct state_marks){.running = true}, &state);
        saved = state_file_saved(&state, "boot", &config.tracker.recovery);
        ck_assert_msg(saved.restore.makestep, "%g", thresholds[i]);
        ck_assert_double_eq(saved.restore.makestep_threshold_sec, thresholds[i]);
        ck_assert_int_eq(saved.restore.makestep_limit, 3);
    }
}
END_TEST

START_TEST(a_state_file_that_is_torn_is_not_believed)
{
    char whole[4096];
    FILE *file;
    size_t n;

    configure("");
    snprintf(config.state_file, sizeof(config.state_file), "/tmp/check_torn.%d", getpid());
    state_file_describe(&config, &tracker, "boot", &(struct state_marks){.running = true}, &state);
    ck_assert_int_eq(state_file_write(config.state_file, &state), 0);
    file = fopen(config.state_file, "r");
    n = fread(whole, 1, sizeof(whole), file);
    fclose(file);
    for (size_t cut = 0; cut < n - 1; cut++) {
        file = fopen(config.state_file, "w");
        fwrite(whole, 1, cut, file);
        fclose(file);
        ck_assert_int_eq(state_file_read(config.state_file, &state), -EBADMSG);
    }
    unlink(config.state_file);
    ck_assert_int_eq(state_file_read(config.state_file, &state), -ENOENT);
    ck_assert_int_eq(state_file_read("/tmp", &state), -EISDIR);
}
END_TEST

RUN_LOOPS("state file", {the_state_file_is_read_back_by_the_same_boot_only, 1},
    {any_threshold_of_chrony_conf_is_remembered, 1}, {a_state_file_that_is_torn_is_not_believed, 1},
    {nothing_of_a_page_that_cannot_be_seen_is_shown_as_of_now, 2},
    {what_a_daemon_of_0_1_0_has_saved_is_read, 1}, {a_bound_that_has_saturated_is_none, 1},
    {an_offset_that_is_not_measured_any_more_is_none, 1},
    {only_what_was_corrected_from_the_page_has_figures, N_CORRECTIONS},
    {what_chronyd_said_is_not_shown_while_it_does_not_answer, 1},
    {all_is_well_without_a_reason_that_it_is_not, N_REASONS})
