/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/virtual.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "tests/chrony_reply.h"

#define LATENCY_NS INT64_C(40000) /* of chronyd, one way */
#define TICK_NS    (10 * VIRTUAL_MS)

double virtual_random(struct virtual_machine *vm)
{
    return model_random(&vm->random);
}

static double noise(struct virtual_machine *vm)
{
    return vm->noise_sec * sqrt(12) * (virtual_random(vm) - 0.5);
}

/* --- counter and clock ---------------------------------------------------------------------- */

uint64_t virtual_counter(const struct virtual_machine *vm)
{
    return model_clock_counter(&vm->clock, vm->now_ns);
}

static void move_clock(struct virtual_machine *vm)
{
    model_clock_move(&vm->clock, vm->now_ns);
}

void virtual_disrupt_counter(struct virtual_machine *vm, double jump_sec, double ppm)
{
    model_clock_disrupt(&vm->clock, vm->now_ns, jump_sec, ppm);
}

double virtual_utc_error(const struct virtual_machine *vm)
{
    return vm->clock.error_sec + (vm->leap_passed ? vm->host.leap_step : 0);
}

static bool near_leap(const struct virtual_machine *vm, int64_t distance_ns)
{
    const int64_t end_ns = vm->host.leap_ns + (vm->host.leap_step > 0 ? VIRTUAL_SEC : 0);

    return vm->host.leap_step != 0 && vm->now_ns >= vm->host.leap_ns - distance_ns &&
           vm->now_ns < end_ns + distance_ns;
}

/* The kernel's clock shows 23:59:59 twice, or leaves it out. */
static void leap(struct virtual_machine *vm)
{
    move_clock(vm);
    vm->leap_passed = true;
    if (!vm->clock.leaps)
        return;
    vm->clock.error_sec -= vm->host.leap_step;
    vm->clock.tai += vm->host.leap_step; /* also where it was not told */
    vm->clock.leaps = false;
}

/* --- the host ------------------------------------------------------------------------------- */

void virtual_write_formula(struct virtual_machine *vm)
{
    model_host_write_formula(&vm->host, &vm->clock, vm->now_ns);
}

void virtual_write_marker(struct virtual_machine *vm)
{
    model_host_write_marker(&vm->host);
}

void virtual_migrate(struct virtual_machine *vm, double jump_sec, double ppm)
{
    virtual_disrupt_counter(vm, jump_sec, ppm);
    if (vm->host.page.counter_id != VMCLOCK_COUNTER_NONE)
        virtual_write_formula(vm);
    virtual_write_marker(vm);
}

void virtual_marker_only(struct virtual_machine *vm)
{
    model_host_marker_only(&vm->host);
    vm->update_page = false;
}

/* --- chronyd -------------------------------------------------------------------------------- */

void virtual_chronyd_stop(struct virtual_machine *vm)
{
    model_chronyd_stop(&vm->chronyd);
    vm->frozen = false;
    vm->n_replies = 0;
    vm->stalled_until_ns = 0;
}

void virtual_chronyd_start(struct virtual_machine *vm)
{
    virtual_chronyd_stop(vm);
    model_chronyd_start(&vm->chronyd, &vm->clock, vm->now_ns);
}

static void record_execution(struct virtual_machine *vm, uint32_t sequence)
{
    for (unsigned i = 0; i < vm->n_commands && i < VIRTUAL_LOG; i++)
        if (vm->commands[i].sequence == sequence)
            vm->commands[i].executed_ns = vm->now_ns;
}

/* Carry out a request and answer it after `delay_ns`; negative: do not answer. */
static void handle_request(
    struct virtual_machine *vm, struct model_request *request, int64_t delay_ns)
{
    const unsigned i = vm->n_replies;

    record_execution(vm, model_request_get32(request->bytes, 8));
    model_chronyd_carry_out(&vm->chronyd, &vm->clock, vm->now_ns, request);
    if (delay_ns < 0 || vm->mute || i == MODEL_QUEUE)
        return;
    vm->replies[i].length =
        model_chronyd_reply(&vm->chronyd, &vm->clock, request, vm->replies[i].bytes);
    vm->replies[i].at_ns = vm->now_ns + LATENCY_NS + delay_ns;
    vm->n_replies++;
}

void virtual_answer(struct virtual_machine *vm, enum chrony_command_id id, uint32_t sequence)
{
    const struct chrony_command command = {.id = id};
    struct model_request request = {.carried_out = true};

    assert(id != CHRONY_TRACKING);
    chrony_command_encode(&command, sequence, request.bytes);
    handle_request(vm, &request, 0);
    vm->replies[vm->n_replies - 1].at_ns = vm->now_ns;
}

static void read_command(struct virtual_machine *vm)
{
    struct model_request request = model_chronyd_take(&vm->chronyd);
    enum virtual_fate fate = VIRTUAL_ANSWERED;

    if (model_request_id(request.bytes) != CHRONY_TRACKING)
        fate = vm->fates[vm->n_read++ % VIRTUAL_LOG];
    switch (fate) {
    case VIRTUAL_ANSWERED: handle_request(vm, &request, 0); break;
    case VIRTUAL_REPLY_LOST: handle_request(vm, &request, -1); break;
    case VIRTUAL_LATE: handle_request(vm, &request, 400 * VIRTUAL_MS); break;
    case VIRTUAL_STALLED:
        vm->stalled = request;
        vm->stalled_until_ns = vm->now_ns + 400 * VIRTUAL_MS;
        break;
    case VIRTUAL_COMMAND_LOST:
    case VIRTUAL_N_FATES: break;
    }
}

/* --- the tracker's edges ---------------------------------------------------------------------- */

static void record(struct virtual_machine *vm)
{
    const struct tracker_orders *o = &vm->orders;
    struct virtual_command *c = &vm->commands[vm->n_commands % VIRTUAL_LOG];

    for (unsigned i = 0; i < o->n_events; i++) {
        const struct event *e = &o->events[i];

        if (vm->n_events < VIRTUAL_LOG)
            vm->events[vm->n_events++] = e->id;
        if (e->id == EVENT_RESET_CONFIRMED)
            vm->reset_id = vm->chronyd.connected_id;
        assert(e->id != EVENT_RECOVERY || e->cause != RECOVERY_CAUSE_START || vm->reset_id == 0 ||
               vm->reset_id != vm->chronyd.connected_id);
    }
    if (!o->command_length || o->command_id == CHRONY_TRACKING)
        return;
    *c = (struct virtual_command){
        .sequence = model_request_get32(o->command, 8), .sent_ns = vm->now_ns};
    c->command.id = o->command_id;
    if (o->command_id == CHRONY_DFREQ || o->command_id == CHRONY_DOFFSET2)
        c->command.ppm = chrony_float_decode(model_request_get32(o->command, 20));
    if (o->command_id == CHRONY_MODIFY_MAKESTEP)
        c->command.makestep.threshold_sec =
            chrony_float_decode(model_request_get32(o->command, 24));
    if (o->command_id == CHRONY_MODIFY_MINPOLL || o->command_id == CHRONY_MODIFY_MAXPOLL) {
        memcpy(c->command.poll.address.bytes, o->command + 20, 16);
        c->command.poll.address.family = (uint16_t)(o->command[36] << 8 | o->command[37]);
        c->command.poll.log2_sec = (int32_t)model_request_get32(o->command, 40);
    }
    vm->n_commands++;
}

static void look(struct virtual_machine *vm, struct observation *seen)
{
    static struct vmclock_page page;
    uint8_t raw[VMCLOCK_FIELDS_END];

    seen->now_ns = vm->now_ns;
    seen->realtime_less_ns = MODEL_EPOCH * VIRTUAL_SEC + vm->clock.stepped_in_all_ns;
    seen->suspended_ns = vm->suspended_ns;
    if (vm->device_lost) {
        vm->shown_valid = false;
        seen->look = HOST_LOOK_LOST;
        seen->look_error = 2;
    } else if (vm->page_stuck) {
        seen->look = HOST_LOOK_BUSY;
    } else if (!vm->shown_valid ||
               /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*): copies of one */
               memcmp(&vm->shown, &vm->host.page, sizeof(vm->shown)) != 0) {
        vm->shown = vm->host.page;
        vm->shown_valid = true;
        model_host_encode(&vm->host, raw);
        seen->look = HOST_LOOK_CHANGED;
        seen->page_verdict = page_decode(raw, &page);
        seen->page = &page;
        seen->counter = virtual_counter(vm);
    }
}

static struct cross_timestamp reading(struct virtual_machine *vm, double ahead_sec)
{
    return model_clock_read(&vm->clock, vm->now_ns, ahead_sec + noise(vm));
}

static struct ptp_time ptp_time(double ns)
{
    const double sec = floor(ns / 1e9);

    return (struct ptp_time){(int64_t)sec, (uint32_t)fmin(999999999, rint(ns - sec * 1e9))};
}

/* The PTP clock's readings, 15 us apart. */
static size_t read_ptp(struct virtual_machine *vm, struct ptp_reading *ret_readings)
{
    size_t n = 0;

    move_clock(vm);
    for (unsigned i = 0; i < vm->ptp_wanted; i++) {
        const double ns = (double)vm->now_ns + i * 15e3;
        const double noise_ns = noise(vm) / vm->noise_sec * vm->ptp_noise_sec * 1e9;
        struct ptp_reading *r = &ret_readings[n];

        vm->n_ptp_readings++;
        if (vm->ptp_id == 0 || (vm->ptp_refuses && i % 2))
            continue;
        n++;
        r->half_width_ns = 300;
        r->realtime = ptp_time(ns + vm->clock.error_sec * 1e9);
        r->realtime.sec += MODEL_EPOCH;
        r->raw = ptp_time(vm->clock.raw_ticks * vm->clock.raw_ns_per_tick + i * 15e3);
        r->device = ptp_time((vm->ptp_stuck ? 1e9 : ns) + noise_ns + vm->ptp_error_sec * 1e9);
        r->device.sec += MODEL_EPOCH;
    }
    return n;
}

static void step(struct virtual_machine *vm, struct observation *seen)
{
    static struct ptp_reading ptp[PTP_READINGS_MAX];
    static struct cross_timestamp realtime[16], raw[16];

    for (int i = 0; i < 64; i++) {
        vm->stepped_ns = vm->now_ns;
        if (vm->before_step)
            vm->before_step(vm);
        look(vm, seen);
        if (vm->orders.measure && tracker_is_due(&vm->tracker.config, &vm->orders, vm->now_ns) &&
            seen->look == HOST_LOOK_NONE) {
            move_clock(vm);
            for (int k = 0; k < 16; k++) {
                realtime[k] = reading(vm, vm->clock.error_sec);
                raw[k] = reading(vm, model_clock_raw_ahead_sec(&vm->clock, vm->now_ns));
            }
            seen->measured = vm->orders.measure;
            seen->realtime = realtime;
            seen->raw = raw;
            seen->n_realtime = seen->n_raw = 16;
            seen->kernel_tai = vm->clock.tai;
        }
        seen->clock_source = vm->other_clock_source ? CLOCK_SOURCE_OTHER : CLOCK_SOURCE_COUNTER;
        seen->ptp_id = vm->ptp_id;
        seen->ptp_limited = vm->ptp_limited;
        if (vm->ptp_at_ns <= vm->now_ns) {
            seen->ptp_read = true;
            seen->ptp_request = vm->ptp_request;
            seen->ptp = ptp;
            seen->n_ptp = read_ptp(vm, ptp);
            seen->measured |= TRACKER_MEASURE_TAI;
            seen->kernel_tai = vm->clock.tai;
            vm->ptp_at_ns = INT64_MAX;
        }
        seen->command_queued = vm->chronyd.n_queued > 0;
        seen->chronyd_id = vm->chronyd.connected_id;
        seen->sample_sent = vm->sample_sent;
        seen->sample_error = vm->sample_error;
        vm->sample_sent = false;
        tracker_step(&vm->tracker, seen, &vm->orders);
        vm->n_steps++;
        record(vm);
        memset(seen, 0, sizeof(*seen));
        if (vm->orders.command_length && model_chronyd_send(&vm->chronyd, vm->orders.command,
                                             vm->now_ns + LATENCY_NS) == MODEL_GONE) {
            seen->chronyd = CHRONY_GONE;
            seen->chronyd_error = 111;
        }
        if (vm->orders.ptp_readings) {
            vm->ptp_wanted = vm->orders.ptp_readings;
            vm->ptp_request = vm->orders.ptp_request;
            vm->ptp_at_ns = vm->now_ns + vm->ptp_latency_ns;
        }
        if (vm->orders.send_sample) {
            vm->sample_sent = true;
            vm->sample_error = vm->chronyd.alive ? 0 : 111;
            vm->n_samples++;
            vm->n_stray_samples += recovery_holds_samples(&vm->tracker.recoveries.recovery) ||
                                   vm->tracker.recoveries.pending;
            vm->n_wrong_samples +=
                fabs(vm->orders.sample.offset + vm->clock.error_sec - vm->host.error_sec) > 1e-6;
            vm->last_sample_sec = vm->orders.sample.offset;
            vm->last_sample_ns = vm->now_ns;
            vm->worst_sample_sec =
                fmax(vm->worst_sample_sec, fabs(vm->last_sample_sec + virtual_utc_error(vm)));
            /* a millisecond less: the model's quarter begins nanoseconds sooner or later */
            vm->n_ambiguous_samples += near_leap(vm, VIRTUAL_SEC / 4 - VIRTUAL_MS);
            /* Around a leap second chronyd takes none, once it knows of it. */
            if (vm->chronyd.alive && !vm->frozen &&
                !(vm->clock.leaps && near_leap(vm, 5 * VIRTUAL_SEC)))
                model_chronyd_take_sample(&vm->chronyd, &vm->clock, vm->now_ns, &vm->orders.sample);
        }
        vm->now_ns += 2000; /* a step takes its time */
        if (!tracker_goes_on(&vm->orders, seen, vm->now_ns))
            return;
    }
    assert(false); /* the tracker steps without end */
}

static void reply(struct virtual_machine *vm)
{
    struct observation seen = {.chronyd = CHRONY_REPLY, .reply_length = vm->replies[0].length};
    uint8_t bytes[CHRONY_REPLY_MAX];

    memcpy(bytes, vm->replies[0].bytes, sizeof(bytes));
    vm->n_replies--;
    memmove(&vm->replies[0], &vm->replies[1], vm->n_replies * sizeof(vm->replies[0]));
    seen.reply = bytes;
    step(vm, &seen);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the tracker wants to be stepped, where the next tick would be too late. */
static int64_t wake_ns(const struct virtual_machine *vm)
{
    const int64_t least_ns = vm->stepped_ns + VIRTUAL_MS;
    const int64_t at_ns = vm->orders.wake_at_ns > least_ns ? vm->orders.wake_at_ns : least_ns;

    return at_ns < vm->next_tick_ns - tracker_slack_ns(&vm->tracker.config) ? at_ns : INT64_MAX;
}

void virtual_run(struct virtual_machine *vm, int64_t duration_ns)
{
    const int64_t end_ns = vm->now_ns + duration_ns;

    while (vm->now_ns < end_ns) {
        int64_t next = earliest(end_ns, vm->next_tick_ns);

        if (vm->stalled_until_ns)
            next = earliest(next, vm->stalled_until_ns);
        else if (vm->chronyd.n_queued && vm->chronyd.alive && !vm->frozen)
            next = earliest(next, vm->chronyd.queue[0].at_ns);
        if (vm->n_replies)
            next = earliest(next, vm->replies[0].at_ns);
        if (vm->update_page)
            next = earliest(next, vm->next_update_ns);
        if (vm->host.leap_step != 0 && !vm->leap_passed)
            next = earliest(next, vm->host.leap_ns);
        next = earliest(next, vm->formula_at_ns);
        if (vm->chronyd.has_ntp)
            next = earliest(next, vm->chronyd.ntp_due_ns);
        next = earliest(next, vm->ptp_at_ns);
        next = earliest(next, wake_ns(vm));
        if (next > vm->now_ns)
            vm->now_ns = next;

        if (vm->host.leap_step != 0 && !vm->leap_passed && vm->host.leap_ns <= vm->now_ns)
            leap(vm);
        if (vm->chronyd.has_ntp && vm->chronyd.ntp_due_ns <= vm->now_ns && vm->frozen)
            vm->chronyd.ntp_due_ns += 64 * VIRTUAL_SEC;
        else if (vm->chronyd.has_ntp && vm->chronyd.ntp_due_ns <= vm->now_ns)
            model_chronyd_poll_ntp(&vm->chronyd, &vm->clock, vm->now_ns);
        if (vm->formula_at_ns <= vm->now_ns) {
            virtual_write_formula(vm);
            vm->formula_at_ns = INT64_MAX;
            vm->update_page = true;
        }
        if (vm->update_page && vm->next_update_ns <= vm->now_ns) {
            if (vm->host.page.clock_status == VMCLOCK_STATUS_SYNCHRONISED)
                virtual_write_formula(vm);
            vm->next_update_ns = vm->now_ns + vm->update_interval_ns;
        }
        if (vm->stalled_until_ns && vm->stalled_until_ns <= vm->now_ns) {
            vm->stalled_until_ns = 0;
            handle_request(vm, &vm->stalled, 0);
        }
        if (vm->chronyd.n_queued && vm->chronyd.alive && !vm->frozen && !vm->stalled_until_ns &&
            vm->chronyd.queue[0].at_ns <= vm->now_ns)
            read_command(vm);
        if (vm->n_replies && vm->replies[0].at_ns <= vm->now_ns)
            reply(vm);
        if (vm->ptp_at_ns <= vm->now_ns) {
            struct observation seen = {0};

            step(vm, &seen);
        }
        if (vm->next_tick_ns <= vm->now_ns) {
            struct observation seen = {0};

            vm->next_tick_ns += vm->tick_ns;
            look(vm, &seen);
            vm->shown_valid = vm->shown_valid && seen.look != HOST_LOOK_CHANGED;
            if (tracker_must_step(&vm->tracker.config, &vm->orders, &seen, false)) {
                memset(&seen, 0, sizeof(seen));
                step(vm, &seen);
            }
        } else if (wake_ns(vm) <= vm->now_ns) {
            struct observation seen = {0};

            step(vm, &seen);
        }
    }
    move_clock(vm);
}

/* --- the beginning ---------------------------------------------------------------------------- */

void virtual_config(struct tracker_config *c)
{
    memset(c, 0, sizeof(*c));
    c->reader = (struct clock_reader){VMCLOCK_COUNTER_X86_TSC, 1 / 2.6e9, true};
    c->watch_interval_ns = TICK_NS;
    c->sample_interval_ns = 50 * VIRTUAL_MS;
    c->correct_frequency = c->correct_at_start = true;
    chrony_refid_parse("VMCL", &c->refid);
    c->recovery.makestep_limit = 3;
    c->recovery.makestep_threshold_sec = 1;
    c->max_drift_ppm = 50;
    c->recovery.burst_good = 4;
    c->recovery.burst_total = 8;
    c->recovery.step_max_ns = INT64_C(3650) * 86400 * VIRTUAL_SEC;
    c->recovery.rate_max_ppm = 1000;
    c->recovery.n_servers = 1;
    c->recovery.servers[0].address.family = 1;
    c->recovery.servers[0].minpoll = 6;
    c->recovery.servers[0].maxpoll = 10;
}

void virtual_init(struct virtual_machine *vm, uint64_t seed)
{
    struct tracker_config defaults;

    memset(vm, 0, sizeof(*vm));
    virtual_config(&defaults);
    vm->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    model_clock_init(&vm->clock, 2.6e9, UINT64_C(10000000000000), 0);
    model_host_init(&vm->host, &vm->clock, 0);
    model_chronyd_init(&vm->chronyd, defaults.recovery.servers, defaults.recovery.n_servers);
    vm->chronyd.random = vm->random;
    vm->chronyd.sample_refid = defaults.refid;
    vm->formula_at_ns = vm->ptp_at_ns = INT64_MAX;
    vm->ptp_latency_ns = VIRTUAL_MS / 2;
    vm->ptp_noise_sec = 5e-9;
    vm->noise_sec = 4e-9;
    vm->update_page = true;
    vm->update_interval_ns = 100 * VIRTUAL_MS;
    virtual_chronyd_start(vm);
}

void virtual_set_leap(struct virtual_machine *vm, int step, int64_t before_ns)
{
    const int64_t end_sec = 1704067200 - MODEL_EPOCH; /* 2024-01-01 */
    int64_t passed_ns;

    vm->host.leap_step = step;
    vm->host.leap_ns = (step > 0 ? end_sec : end_sec - 1) * VIRTUAL_SEC;
    passed_ns = vm->host.leap_ns - before_ns - vm->now_ns;
    vm->now_ns += passed_ns;
    vm->next_tick_ns = vm->next_update_ns = vm->now_ns;
    model_clock_disrupt(&vm->clock, vm->now_ns, 0, 0);
    vm->clock.error_sec = 0; /* it is right from here on */
    virtual_write_formula(vm);
}

void virtual_start(
    struct virtual_machine *vm, const struct tracker_config *config, struct tracker_saved saved)
{
    struct observation seen = {0};

    vm->shown_valid = false;
    vm->tick_ns = config->watch_interval_ns;
    vm->chronyd.sample_refid = config->refid;
    vm->reset_id = 0; /* the one before did not tell */
    memset(&vm->orders, 0, sizeof(vm->orders));
    tracker_init(&vm->tracker, config, &saved, 1, vm->now_ns);
    step(vm, &seen);
}

unsigned virtual_count_events(const struct virtual_machine *vm, enum event_id id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < vm->n_events; i++)
        n += vm->events[i] == id;
    return n;
}

unsigned virtual_count_commands(const struct virtual_machine *vm, enum chrony_command_id id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < vm->n_commands && i < VIRTUAL_LOG; i++)
        n += vm->commands[i].command.id == id;
    return n;
}
