/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device goes away, or the configuration is read again, at every single step of a recovery, in
 * virtual time: see tests/virtual.h. Each test goes through all the steps of all the courses that a
 * recovery can take, and fails if there is a state of it in which it did not interrupt.
 */
#include <math.h>

#include "tests/suite.h"
#include "tests/virtual.h"

#define TEDIOUS_MAX 12

static const struct course {
    const char *name;
    bool marker_only, monotonic; /* the page */
    bool is_start;               /* of chronyd's, and no disruption */
    bool has_no_dfreq;           /* chronyd */
    bool other_clock_source;     /* than the counter: the rate is measured in the recovery */
    enum recovery_step_policy step;
    double jump_sec;
    int64_t formula_late_ns;
    unsigned fated; /* the command, from 0, that fares so */
    enum virtual_fate fate;
} courses[] = {
    {.name = "full", .jump_sec = 0.005},
    {.name = "forward", .jump_sec = -0.2, .step = RECOVERY_STEP_FORWARD},
    {.name = "never", .jump_sec = 0.005, .step = RECOVERY_STEP_NEVER},
    {.name = "reset lost", .jump_sec = 0.005, .fated = 0, .fate = VIRTUAL_REPLY_LOST},
    {.name = "reply lost", .jump_sec = 0.005, .fated = 2, .fate = VIRTUAL_REPLY_LOST},
    {.name = "command lost", .jump_sec = 0.005, .fated = 3, .fate = VIRTUAL_COMMAND_LOST},
    {.name = "late formula", .jump_sec = 0.005, .formula_late_ns = 300 * VIRTUAL_MS},
    {.name = "marker", .jump_sec = 0.005, .marker_only = true},
    {.name = "monotonic", .monotonic = true},
    {.name = "old chronyd", .jump_sec = 0.005, .has_no_dfreq = true},
    {.name = "start", .jump_sec = 0.005, .is_start = true},
    {.name = "hpet", .jump_sec = 0.005, .other_clock_source = true},
};
#define N_COURSES (sizeof(courses) / sizeof(courses[0]))

static struct virtual_machine vm;
static struct tracker_config config;
static const struct course *course;
static bool interrupted_in[RECOVERY_N_STATES];
static void (*act)(struct virtual_machine *machine);
static unsigned steps_left, n_tedious;
static enum recovery_state state;      /* at the interruption */
static bool was_interrupted, was_seen; /* the latter: the disruption, before that */

/* The boost, and where nothing of ours can synchronise chronyd its minute for that. */
static int64_t time_until_all_is_over(void)
{
    return (course->marker_only || course->monotonic ? 95 : 38) * VIRTUAL_SEC;
}

/* The course at its beginning: the marker is there and has not been seen. */
static void begin(const struct course *c)
{
    static const struct tracker_saved nothing = {.valid = false};

    course = c;
    was_interrupted = was_seen = false;
    virtual_config(&config);
    config.recovery.step = c->step;
    virtual_init(&vm, 5);
    vm.other_clock_source = c->other_clock_source;
    if (c->marker_only)
        virtual_marker_only(&vm);
    if (c->marker_only || c->monotonic)
        model_chronyd_add_ntp(&vm.chronyd);
    virtual_start(&vm, &config, nothing);
    virtual_run(&vm, 3 * VIRTUAL_SEC);
    if (c->monotonic) {
        vm.host.page.time_type = VMCLOCK_TIME_MONOTONIC;
        virtual_run(&vm, 200 * VIRTUAL_MS);
    }
    if (c->is_start) {
        virtual_chronyd_stop(&vm);
        virtual_run(&vm, 200 * VIRTUAL_MS);
        virtual_chronyd_start(&vm);
        vm.clock.error_sec += c->jump_sec;
    } else if (c->formula_late_ns > 0) {
        vm.update_page = false;
        virtual_disrupt_counter(&vm, c->jump_sec, 40);
        virtual_write_marker(&vm);
        vm.formula_at_ns = vm.now_ns + c->formula_late_ns;
    } else {
        virtual_migrate(&vm, c->jump_sec, 40);
    }
    vm.n_commands = vm.n_read = vm.n_events = 0;
    vm.chronyd.n_resets = vm.n_stray_samples = vm.n_wrong_samples = 0;
    vm.tracker.host.disruptions = vm.tracker.recoveries.count = 0;
    vm.fates[c->fated] = c->fate;
    vm.chronyd.has_no_dfreq = c->has_no_dfreq;
}

/* Steps of the kind that there are hundreds of: awaiting chronyd's choice, and after that. */
static bool is_tedious(const struct tracker *t)
{
    const bool waits = t->recoveries.recovery.state == RECOVERY_AWAIT_SYNC ||
                       t->recoveries.recovery.state == RECOVERY_IDLE;

    return waits && t->client.exchange.owner != EXCHANGE_RESTORE;
}

static void before_step(struct virtual_machine *machine)
{
    const struct tracker *t = &machine->tracker;

    n_tedious = is_tedious(t) ? n_tedious + 1 : 0;
    if (n_tedious > TEDIOUS_MAX || steps_left-- > 0)
        return;
    machine->before_step = NULL;
    was_interrupted = true;
    was_seen = t->host.disruptions > 0;
    state = t->recoveries.recovery.state;
    interrupted_in[state] = true;
    act(machine);
}

/* Up to the n-th step from here; false: the recovery, and what comes after it, has less. */
static bool run_to_step(unsigned n, void (*what)(struct virtual_machine *machine))
{
    const int64_t end_ns = vm.now_ns + time_until_all_is_over();

    act = what;
    steps_left = n;
    n_tedious = 0;
    vm.before_step = before_step;
    while (!was_interrupted && vm.now_ns < end_ns)
        virtual_run(&vm, vm.tick_ns);
    return was_interrupted;
}

#define must(condition)                                                                            \
    ck_assert_msg(condition, "%s, step %u, %s, variant %lld: %s", course->name, step,              \
        recovery_state_str(state), (long long)variant, #condition)

/* Where there is a time; a recovery that went on without the page has left the rate to chronyd. */
static bool clock_is_right(bool page_was_there)
{
    const double most_sec = page_was_there && !course->has_no_dfreq ? 1e-6 : 20e-6;

    return course->marker_only || course->monotonic || fabs(vm.clock.error_sec) < most_sec;
}

static void assert_all_states_were_interrupted(void)
{
    for (int s = 0; s < RECOVERY_CONFIRMED; s++) /* what follows is never rested in */
        ck_assert_msg(interrupted_in[s], "never in %s", recovery_state_str((enum recovery_state)s));
}

/* --- the device ----------------------------------------------------------------------------- */

static void lose_device(struct virtual_machine *machine)
{
    machine->device_lost = true;
}

/* Away for `variant` ns; where `moved`, it has another host's page when it comes back. */
static bool lose_and_return(const struct course *c, unsigned step, int64_t variant, bool moved)
{
    const uint64_t all = c->is_start ? 0 : 1;
    uint64_t seen;

    begin(c);
    if (!run_to_step(step, lose_device))
        return false;
    virtual_run(&vm, variant / 2);
    if (moved)
        virtual_migrate(&vm, -0.003, 20);
    virtual_run(&vm, variant / 2);
    seen = vm.tracker.host.disruptions;
    must(seen == (was_seen ? all : 0));
    /* chronyd is not left to wait for a page that may never come. */
    must(variant < 7 * VIRTUAL_SEC || !recovery_holds_samples(&vm.tracker.recoveries.recovery));
    vm.device_lost = false;
    virtual_run(&vm, 2 * vm.tick_ns);
    /* Two that were not seen apart are one. */
    must(vm.tracker.host.disruptions == seen + (moved || (!c->is_start && !was_seen)));
    virtual_run(&vm, time_until_all_is_over());

    must(virtual_count_events(&vm, EVENT_PAGE_LOST) == 1);
    must(virtual_count_events(&vm, EVENT_PAGE_BACK) == 1);
    must(vm.tracker.recoveries.confirmed_marker == vm.host.page.disruption_marker);
    must(!vm.tracker.recoveries.pending);
    must(vm.chronyd.n_resets >= vm.tracker.host.disruptions);
    must(vm.tracker.recoveries.recovery.state == RECOVERY_IDLE);
    must(vm.n_stray_samples == 0);
    must(!restore_is_pending(&vm.tracker.restore));
    must(vm.chronyd.makestep_threshold_sec == config.recovery.makestep_threshold_sec);
    must(vm.chronyd.servers[0].minpoll == config.recovery.servers[0].minpoll);
    must(vm.chronyd.servers[0].maxpoll == config.recovery.servers[0].maxpoll);
    must(clock_is_right(variant < VIRTUAL_SEC));
    return true;
}

START_TEST(a_device_that_goes_away_at_any_step_of_a_recovery_harms_nothing)
{
    /* Nobody notices; the host is not waited for any more; the recovery is over. */
    static const int64_t away_ns[] = {40 * VIRTUAL_MS, 7 * VIRTUAL_SEC, 70 * VIRTUAL_SEC};

    for (size_t i = 0; i < N_COURSES; i++)
        for (unsigned step = 0, more = 1; more; step++)
            for (int k = 0; k < 6; k++)
                more = lose_and_return(&courses[i], step, away_ns[k / 2], k % 2);
    assert_all_states_were_interrupted();
}
END_TEST

/* --- the configuration ---------------------------------------------------------------------- */

static struct tracker_config config_before;
static unsigned n_commands_before;
static unsigned n_settled; /* of those: what they changed was restored already */

enum { ANOTHER_AND_THE_SAME, ANOTHER, NONE, N_SERVERS };

/* As /etc/vmclockd.conf after chrony.conf was rewritten. */
static void reload(struct virtual_machine *machine)
{
    tracker_reconfigure(&machine->tracker, &config);
    machine->shown_valid = false;
    machine->clock.largest_backward_step_sec = 0;
    n_commands_before = machine->n_commands;
    n_settled = !restore_is_pending(&machine->tracker.restore) ? machine->n_commands : 0;
}

static void rewrite_config(int servers, enum recovery_step_policy policy)
{
    struct recovery_config *r = &config.recovery;

    config_before = config;
    r->step = policy;
    r->makestep_limit = 5;
    r->makestep_threshold_sec = 0.5;
    r->servers[1] = r->servers[0];
    r->servers[1].minpoll = 5;
    r->servers[1].maxpoll = 9;
    r->servers[0].address.bytes[3] ^= 1;
    r->servers[0].minpoll = 3;
    r->servers[0].maxpoll = 7;
    r->n_servers = servers == NONE ? 0 : servers == ANOTHER ? 1 : 2;
}

/* What a server's poll is to be: by the configuration, or if it is not in it any more, the last. */
static int32_t poll_in(const struct tracker_config *c, const struct chrony_command *told)
{
    const struct recovery_config *r = &c->recovery;

    for (unsigned i = 0; i < r->n_servers; i++)
        if (chrony_address_equal(&r->servers[i].address, &told->poll.address))
            return told->id == CHRONY_MODIFY_MINPOLL ? r->servers[i].minpoll
                                                     : r->servers[i].maxpoll;
    return c == &config ? poll_in(&config_before, told) : INT32_MIN;
}

static bool is_same_setting(const struct chrony_command *a, const struct chrony_command *b)
{
    return a->id == b->id && (a->id == CHRONY_MODIFY_MAKESTEP ||
                                 chrony_address_equal(&a->poll.address, &b->poll.address));
}

/* Whether what chronyd was told last of each setting is what is configured. */
static bool settings_are_as_configured(void)
{
    for (unsigned i = n_settled; i < vm.n_commands; i++) {
        const struct chrony_command *told = &vm.commands[i].command;
        bool is_last = vm.commands[i].executed_ns != 0;

        if (told->id != CHRONY_MODIFY_MAKESTEP && told->id != CHRONY_MODIFY_MINPOLL &&
            told->id != CHRONY_MODIFY_MAXPOLL)
            continue;
        for (unsigned k = i + 1; k < vm.n_commands; k++)
            is_last = is_last && !is_same_setting(told, &vm.commands[k].command);
        if (!is_last)
            continue;
        if (told->id == CHRONY_MODIFY_MAKESTEP
                ? told->makestep.threshold_sec != config.recovery.makestep_threshold_sec
                : told->poll.log2_sec != poll_in(&config, told))
            return false;
    }
    return vm.n_commands <= VIRTUAL_LOG;
}

static bool is_told_after(unsigned first, enum chrony_command_id id)
{
    for (unsigned i = first; i < vm.n_commands; i++)
        if (vm.commands[i].command.id == id)
            return true;
    return false;
}

static bool reload_and_go_on(const struct course *c, unsigned step, int variant)
{
    const enum recovery_step_policy policy = (enum recovery_step_policy)(variant / N_SERVERS);

    begin(c);
    rewrite_config(variant % N_SERVERS, policy);
    if (!run_to_step(step, reload))
        return false;
    virtual_run(&vm, time_until_all_is_over());

    must(vm.tracker.host.disruptions == !c->is_start);
    must(vm.tracker.recoveries.confirmed_marker == vm.host.page.disruption_marker);
    must(!vm.tracker.recoveries.pending);
    must(vm.tracker.recoveries.recovery.state == RECOVERY_IDLE);
    must(vm.n_stray_samples == 0);
    must(policy == RECOVERY_STEP_ALWAYS || vm.clock.largest_backward_step_sec == 0);
    must(policy != RECOVERY_STEP_NEVER || !is_told_after(n_commands_before, CHRONY_MAKESTEP));
    must(!restore_is_pending(&vm.tracker.restore));
    must(settings_are_as_configured());
    must(clock_is_right(true));
    return true;
}

START_TEST(a_reload_at_any_step_of_a_recovery_leaves_chronyd_as_it_says)
{
    for (size_t i = 0; i < N_COURSES; i++)
        for (unsigned step = 0, more = 1; more; step++)
            for (int variant = 0; variant < 3 * N_SERVERS; variant++)
                more = reload_and_go_on(&courses[i], step, variant);
    assert_all_states_were_interrupted();
}
END_TEST

RUN_SUITE_WITHIN(300, "interruption",
    a_device_that_goes_away_at_any_step_of_a_recovery_harms_nothing,
    a_reload_at_any_step_of_a_recovery_leaves_chronyd_as_it_says)
