/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/virtual.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "tests/chrony_reply.h"

#define LATENCY_NS   INT64_C(40000) /* of chronyd, one way */
#define SLEW_RATE    0.083333
#define PERIOD_SHIFT 29
#define RAW_SHIFT    24
#define TICK_NS      (10 * VIRTUAL_MS)

double virtual_random(struct virtual_machine *vm)
{
    vm->random ^= vm->random << 13; /* xorshift */
    vm->random ^= vm->random >> 7;
    vm->random ^= vm->random << 17;
    return (double)(vm->random >> 11) * 0x1p-53;
}

static double noise(struct virtual_machine *vm)
{
    return vm->noise_sec * sqrt(12) * (virtual_random(vm) - 0.5);
}

/* --- counter and clock ---------------------------------------------------------------------- */

static double counter_ticks(const struct virtual_machine *vm, int64_t at_ns)
{
    return vm->counter_at_since + (double)(at_ns - vm->counter_since_ns) * 1e-9 * vm->hz;
}

uint64_t virtual_counter(const struct virtual_machine *vm)
{
    return (uint64_t)(int64_t)counter_ticks(vm, vm->now_ns);
}

/* Advance the clock to now. */
static void move_clock(struct virtual_machine *vm)
{
    const double adjustment = 1 + (double)vm->freq / 65536e6;
    const double rate = vm->raw_ns_per_tick * 1e-9 * vm->hz * adjustment;
    double elapsed = (double)(vm->now_ns - vm->moved_ns) * 1e-9;
    double slewed = fmin(elapsed * vm->slew_rate, fabs(vm->slew_left_sec));

    vm->moved_ns = vm->now_ns;
    vm->raw_ticks += elapsed * vm->hz;
    slewed = copysign(slewed, vm->slew_left_sec);
    vm->error_sec += elapsed * (rate - 1) - slewed;
    vm->slew_left_sec -= slewed;
}

static void step_clock(struct virtual_machine *vm, double by_sec)
{
    vm->error_sec += by_sec;
    vm->stepped_in_all_ns += llrint(by_sec * 1e9);
    if (-by_sec > vm->largest_backward_step_sec)
        vm->largest_backward_step_sec = -by_sec;
}

void virtual_disrupt_counter(struct virtual_machine *vm, double jump_sec, double ppm)
{
    move_clock(vm);
    vm->counter_at_since = counter_ticks(vm, vm->now_ns) + jump_sec * vm->hz;
    vm->counter_since_ns = vm->now_ns;
    vm->error_sec += jump_sec; /* the kernel's clock takes the jump for time */
    vm->hz *= 1 + ppm * 1e-6;
}

double virtual_utc_error(const struct virtual_machine *vm)
{
    return vm->error_sec + (vm->leap_passed ? vm->leap_step : 0);
}

static bool near_leap(const struct virtual_machine *vm, int64_t distance_ns)
{
    const int64_t end_ns = vm->leap_ns + (vm->leap_step > 0 ? VIRTUAL_SEC : 0);

    return vm->leap_step != 0 && vm->now_ns >= vm->leap_ns - distance_ns &&
           vm->now_ns < end_ns + distance_ns;
}

/* The kernel's clock shows 23:59:59 twice, or leaves it out. */
static void leap(struct virtual_machine *vm)
{
    move_clock(vm);
    vm->leap_passed = true;
    if (!vm->kernel_leaps)
        return;
    vm->error_sec -= vm->leap_step;
    vm->kernel_tai += vm->leap_step; /* also where it was not told */
    vm->kernel_leaps = false;
}

/* --- the host ------------------------------------------------------------------------------- */

void virtual_write_formula(struct virtual_machine *vm)
{
    const double since = (double)vm->now_ns * 1e-9 + vm->host_error_sec;
    const double whole = floor(since);
    const bool passed = vm->leap_step != 0 && vm->now_ns >= vm->leap_ns;
    const bool now = passed && vm->leap_step > 0 && vm->now_ns < vm->leap_ns + VIRTUAL_SEC;
    const bool positive = vm->leap_step > 0;

    vm->page.seq_count += 2;
    vm->page.counter_value = virtual_counter(vm);
    vm->page.period_frac_sec = (uint64_t)(ldexp(1 / vm->hz, 64 + PERIOD_SHIFT));
    vm->page.time_sec = (uint64_t)(VIRTUAL_EPOCH + 37 + (int64_t)whole);
    vm->page.time_frac_sec = (uint64_t)ldexp(since - whole, 64);
    vm->page.clock_status = VMCLOCK_STATUS_SYNCHRONISED;
    vm->page.tai_offset_sec = (int16_t)(37 + (passed ? vm->leap_step : 0));
    if (vm->page.time_type == VMCLOCK_TIME_UTC)
        vm->page.time_sec -= (uint64_t)vm->page.tai_offset_sec;
    if (now)
        vm->page.leap_indicator = VMCLOCK_LEAP_NOW;
    else if (passed)
        vm->page.leap_indicator =
            positive ? VMCLOCK_LEAP_POST_POSITIVE : VMCLOCK_LEAP_POST_NEGATIVE;
    else if (vm->leap_step != 0)
        vm->page.leap_indicator = positive ? VMCLOCK_LEAP_PRE_POSITIVE : VMCLOCK_LEAP_PRE_NEGATIVE;
}

void virtual_write_marker(struct virtual_machine *vm)
{
    vm->page.seq_count += 2;
    vm->page.disruption_marker++;
}

void virtual_migrate(struct virtual_machine *vm, double jump_sec, double ppm)
{
    virtual_disrupt_counter(vm, jump_sec, ppm);
    if (vm->page.counter_id != VMCLOCK_COUNTER_NONE)
        virtual_write_formula(vm);
    virtual_write_marker(vm);
}

void virtual_marker_only(struct virtual_machine *vm)
{
    vm->page.counter_id = VMCLOCK_COUNTER_NONE;
    vm->page.clock_status = VMCLOCK_STATUS_UNKNOWN;
    vm->page.flags = 0;
    vm->update_page = false;
}

/* --- chronyd -------------------------------------------------------------------------------- */

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void virtual_chronyd_stop(struct virtual_machine *vm)
{
    vm->connection_dead = vm->connection_dead || vm->alive;
    vm->alive = vm->frozen = false;
    vm->n_queued = vm->n_replies = 0;
    vm->stalled_until_ns = 0;
    vm->refid = 0;
}

void virtual_chronyd_start(struct virtual_machine *vm)
{
    virtual_chronyd_stop(vm);
    move_clock(vm);
    vm->slew_left_sec = 0;
    vm->alive = true;
    vm->chronyd_id++;
    vm->samples_since_reset = 0;
    vm->makestep_limit = 3;
    vm->makestep_threshold = 1;
    vm->minpoll = 6;
    vm->maxpoll = 10;
}

void virtual_add_ntp(struct virtual_machine *vm)
{
    vm->has_ntp = true;
    vm->ntp_delay_sec = 1e-4;
    vm->refid = VIRTUAL_NTP;
    vm->ntp_due_ns = INT64_MAX;
}

static void hurry_ntp(struct virtual_machine *vm, int64_t after_ns)
{
    if (vm->has_ntp && !vm->ntp_unreachable && vm->refid == 0 &&
        vm->ntp_due_ns > vm->now_ns + after_ns)
        vm->ntp_due_ns = vm->now_ns + after_ns;
}

/* The server has been measured often enough, or could not be. */
static void select_ntp(struct virtual_machine *vm)
{
    vm->ntp_due_ns = vm->now_ns + 64 * VIRTUAL_SEC;
    if (vm->ntp_unreachable || !vm->alive || vm->frozen)
        return;
    move_clock(vm);
    if (vm->makestep_limit != 0 && fabs(vm->error_sec) > vm->makestep_threshold) {
        step_clock(vm, -vm->error_sec);
        vm->slew_left_sec = 0;
    } else {
        vm->slew_left_sec = vm->error_sec;
    }
    if (vm->makestep_limit > 0)
        vm->makestep_limit--;
    vm->refid = VIRTUAL_NTP;
    vm->ntp_due_ns = INT64_MAX;
}

static uint16_t carry_out(struct virtual_machine *vm, const uint8_t *request)
{
    const enum chrony_command_id id = (enum chrony_command_id)(request[4] << 8 | request[5]);
    const double number = chrony_float_decode(get32(request + 20));
    double left;

    switch (id) {
    case CHRONY_RESET_SOURCES:
        if (vm->refuses_resets)
            return CHRONY_UNAUTHORISED;
        vm->slew_left_sec = 0;
        vm->refid = 0;
        vm->samples_since_reset = 0;
        vm->ntp_due_ns = vm->now_ns + 137 * VIRTUAL_SEC;
        vm->n_resets++;
        return 0;
    case CHRONY_DFREQ:
        if (vm->has_no_dfreq)
            return CHRONY_INVALID;
        vm->freq += lrint((1 + (double)vm->freq / 65536e6) * -number * 65536);
        return 0;
    case CHRONY_DOFFSET2:
        if (vm->has_no_dfreq)
            return CHRONY_INVALID;
        vm->slew_left_sec += number;
        return 0;
    case CHRONY_MAKESTEP:
        if (vm->cannot_step)
            return CHRONY_FAILED;
        /*
         * It does not know exactly how far its slew has got: a ten-thousandth stays. What it
         * knows to be left, a millionth either way, stays in its register.
         */
        left = vm->slew_left_sec * 2e-6 * (virtual_random(vm) - 0.5);
        step_clock(vm, -(vm->slew_left_sec - left) * (1 - 1e-4 * virtual_random(vm)));
        vm->slew_left_sec = left;
        return 0;
    case CHRONY_MODIFY_MAKESTEP:
        vm->makestep_limit = (int32_t)get32(request + 20);
        vm->makestep_threshold = chrony_float_decode(get32(request + 24));
        return 0;
    case CHRONY_MODIFY_MINPOLL:
        vm->minpoll = (int32_t)get32(request + 40);
        if (vm->minpoll <= 0)
            hurry_ntp(vm, 3 * VIRTUAL_SEC);
        return 0;
    case CHRONY_MODIFY_MAXPOLL: vm->maxpoll = (int32_t)get32(request + 40); return 0;
    case CHRONY_BURST:
        vm->ntp_skew_ppm /= 5;
        hurry_ntp(vm, 700 * VIRTUAL_MS);
        return vm->has_ntp ? CHRONY_OK : CHRONY_NO_SUCH_SOURCE;
    case CHRONY_TRACKING: return vm->refuses_tracking ? CHRONY_UNAUTHORISED : 0;
    case CHRONY_N_SOURCES:
    case CHRONY_SOURCE_DATA:
    case CHRONY_SOURCE_NAME: return CHRONY_NO_SUCH_SOURCE; /* no test has it asked */
    }
    assert(false);
    return 0;
}

static void record_execution(struct virtual_machine *vm, uint32_t sequence)
{
    for (unsigned i = 0; i < vm->n_commands && i < VIRTUAL_LOG; i++)
        if (vm->commands[i].sequence == sequence)
            vm->commands[i].executed_ns = vm->now_ns;
}

/* Carry out a request and answer it after `delay_ns`; negative: do not answer. */
static void handle_request(struct virtual_machine *vm, const uint8_t *request, int64_t delay_ns)
{
    uint8_t *reply = vm->replies[vm->n_replies].bytes;
    uint16_t status;

    record_execution(vm, get32(request + 8));
    status = carry_out(vm, request);
    if (delay_ns < 0 || vm->mute || vm->n_replies == VIRTUAL_QUEUE)
        return;
    chrony_reply_make(request, status, reply);
    chrony_reply_put32(reply + 28, vm->refid);
    reply[28 + 27] = vm->refid ? 0 : 3;
    chrony_reply_put32(reply + 28 + 32, (uint32_t)(VIRTUAL_EPOCH + vm->updated_ns / VIRTUAL_SEC));
    chrony_reply_put32(reply + 28 + 36, (uint32_t)(vm->updated_ns % VIRTUAL_SEC));
    chrony_reply_put32(reply + 28 + 72, chrony_float_encode(vm->update_interval_sec));
    chrony_reply_put32(reply + 28 + 40, chrony_float_encode(vm->slew_left_sec));
    chrony_reply_put32(
        reply + 28 + 64, chrony_float_encode(vm->refid == VIRTUAL_NTP ? vm->ntp_delay_sec : 1e-5));
    chrony_reply_put32(
        reply + 28 + 52, chrony_float_encode(vm->frequency_lie_ppm - (double)vm->freq / 65536));
    chrony_reply_put32(reply + 28 + 56, chrony_float_encode(vm->ntp_residual_ppm));
    chrony_reply_put32(reply + 28 + 60, chrony_float_encode(vm->ntp_skew_ppm));
    vm->replies[vm->n_replies++].at_ns = vm->now_ns + LATENCY_NS + delay_ns;
}

static void read_command(struct virtual_machine *vm)
{
    uint8_t request[CHRONY_REQUEST_MAX];
    enum virtual_fate fate = VIRTUAL_ANSWERED;

    memcpy(request, vm->queue[0].bytes, sizeof(request));
    vm->n_queued--;
    memmove(&vm->queue[0], &vm->queue[1], vm->n_queued * sizeof(vm->queue[0]));
    if (request[5] != CHRONY_TRACKING)
        fate = vm->fates[vm->n_read++ % VIRTUAL_LOG];
    move_clock(vm);
    switch (fate) {
    case VIRTUAL_ANSWERED: handle_request(vm, request, 0); break;
    case VIRTUAL_REPLY_LOST: handle_request(vm, request, -1); break;
    case VIRTUAL_LATE: handle_request(vm, request, 400 * VIRTUAL_MS); break;
    case VIRTUAL_STALLED:
        memcpy(vm->stalled, request, sizeof(request));
        vm->stalled_until_ns = vm->now_ns + 400 * VIRTUAL_MS;
        break;
    case VIRTUAL_COMMAND_LOST:
    case VIRTUAL_N_FATES: break;
    }
}

/* A crude chronyd: every fifth sample corrects the clock, at first by a step if it may. */
static void take_sample(struct virtual_machine *vm, const struct sock_sample *sample)
{
    const double offset = sample->offset;

    if (vm->kernel_leaps && near_leap(vm, 5 * VIRTUAL_SEC))
        return;
    vm->kernel_leaps = sample->leap != 0;
    if (++vm->samples_since_reset % 5 != 0 || vm->frozen)
        return;
    move_clock(vm);
    vm->update_interval_sec = (double)(vm->now_ns - vm->updated_ns) / 1e9;
    vm->updated_ns = vm->now_ns;
    if (vm->makestep_limit != 0 && fabs(offset) > vm->makestep_threshold) {
        step_clock(vm, offset);
        vm->slew_left_sec = 0;
    } else {
        vm->slew_left_sec = -offset;
    }
    if (vm->makestep_limit > 0)
        vm->makestep_limit--;
    if (vm->samples_since_reset >= 15)
        vm->refid = vm->not_selected ? VIRTUAL_NTP : vm->tracker.config.refid;
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
            vm->reset_id = vm->connected_id;
        assert(e->id != EVENT_RECOVERY || e->cause != RECOVERY_CAUSE_START || vm->reset_id == 0 ||
               vm->reset_id != vm->connected_id);
    }
    if (!o->command_length || o->command_id == CHRONY_TRACKING)
        return;
    *c = (struct virtual_command){.sequence = get32(o->command + 8), .sent_ns = vm->now_ns};
    c->command.id = o->command_id;
    if (o->command_id == CHRONY_DFREQ || o->command_id == CHRONY_DOFFSET2)
        c->command.ppm = chrony_float_decode(get32(o->command + 20));
    if (o->command_id == CHRONY_MODIFY_MAKESTEP)
        c->command.makestep.threshold_sec = chrony_float_decode(get32(o->command + 24));
    if (o->command_id == CHRONY_MODIFY_MINPOLL || o->command_id == CHRONY_MODIFY_MAXPOLL) {
        memcpy(c->command.poll.address.bytes, o->command + 20, 16);
        c->command.poll.address.family = (uint16_t)(o->command[36] << 8 | o->command[37]);
        c->command.poll.log2_sec = (int32_t)get32(o->command + 40);
    }
    vm->n_commands++;
}

static void look(struct virtual_machine *vm, struct observation *seen)
{
    if (vm->device_lost) {
        vm->shown_valid = false;
        seen->look = HOST_LOOK_LOST;
        seen->look_error = 2;
    } else if (vm->page_stuck) {
        seen->look = HOST_LOOK_BUSY;
    } else if (!vm->shown_valid ||
               /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*): copies of one */
               memcmp(&vm->shown, &vm->page, sizeof(vm->page)) != 0) {
        vm->shown = vm->page;
        vm->shown_valid = true;
        seen->look = HOST_LOOK_CHANGED;
        seen->page = &vm->shown;
        seen->page_verdict = PAGE_OK;
        seen->counter = virtual_counter(vm);
    }
}

static struct cross_timestamp reading(struct virtual_machine *vm, double clock_error)
{
    const double at = (double)vm->now_ns + (clock_error + noise(vm)) * 1e9;
    const double sec = floor(at / 1e9);
    const uint64_t counter = virtual_counter(vm) + (uint64_t)vm->counter_skew;

    vm->counter_skew = 0;
    return (struct cross_timestamp){counter - 50, counter + 50, VIRTUAL_EPOCH + (int64_t)sec,
        (uint32_t)fmin(999999999, rint(at - sec * 1e9))};
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
        r->realtime = ptp_time(ns + vm->error_sec * 1e9);
        r->realtime.sec += VIRTUAL_EPOCH;
        r->raw = ptp_time(vm->raw_ticks * vm->raw_ns_per_tick + i * 15e3);
        r->device = ptp_time((vm->ptp_stuck ? 1e9 : ns) + noise_ns + vm->ptp_error_sec * 1e9);
        r->device.sec += VIRTUAL_EPOCH;
    }
    return n;
}

static void step(struct virtual_machine *vm, struct observation *seen)
{
    static struct ptp_reading ptp[PTP_READINGS_MAX];
    static struct cross_timestamp realtime[16], raw[16];

    for (int i = 0; i < 64; i++) {
        seen->now_ns = vm->stepped_ns = vm->now_ns;
        if (vm->before_step)
            vm->before_step(vm);
        look(vm, seen);
        if (vm->orders.measure && tracker_is_due(&vm->tracker.config, &vm->orders, vm->now_ns) &&
            seen->look == HOST_LOOK_NONE) {
            move_clock(vm);
            for (int k = 0; k < 16; k++) {
                const double raw_sec = vm->raw_ticks * vm->raw_ns_per_tick * 1e-9;

                realtime[k] = reading(vm, vm->error_sec);
                raw[k] = reading(vm, raw_sec - (double)vm->now_ns * 1e-9);
            }
            seen->measured = vm->orders.measure;
            seen->realtime = realtime;
            seen->raw = raw;
            seen->n_realtime = seen->n_raw = 16;
            seen->kernel_tai = vm->kernel_tai;
        }
        seen->realtime_less_ns = VIRTUAL_EPOCH * VIRTUAL_SEC + vm->stepped_in_all_ns;
        seen->suspended_ns = vm->suspended_ns;
        seen->clock_source = vm->other_clock_source ? CLOCK_SOURCE_OTHER : CLOCK_SOURCE_COUNTER;
        seen->ptp_id = vm->ptp_id;
        seen->ptp_limited = vm->ptp_limited;
        if (vm->ptp_at_ns <= vm->now_ns) {
            seen->ptp_read = true;
            seen->ptp_request = vm->ptp_request;
            seen->ptp = ptp;
            seen->n_ptp = read_ptp(vm, ptp);
            seen->measured |= TRACKER_MEASURE_TAI;
            seen->kernel_tai = vm->kernel_tai;
            vm->ptp_at_ns = INT64_MAX;
        }
        seen->command_queued = vm->n_queued > 0;
        seen->chronyd_id = vm->connected_id;
        seen->sample_sent = vm->sample_sent;
        seen->sample_error = vm->sample_error;
        vm->sample_sent = false;
        tracker_step(&vm->tracker, seen, &vm->orders);
        vm->n_steps++;
        record(vm);
        memset(seen, 0, sizeof(*seen));
        if (vm->orders.command_length && (!vm->alive || vm->connection_dead)) {
            vm->connection_dead = false;
            seen->chronyd = CHRONY_GONE;
            seen->chronyd_error = 111;
        } else if (vm->orders.command_length && vm->n_queued < VIRTUAL_QUEUE) {
            vm->connected_id = vm->chronyd_id;
            memcpy(vm->queue[vm->n_queued].bytes, vm->orders.command, CHRONY_REQUEST_MAX);
            vm->queue[vm->n_queued++].at_ns = vm->now_ns + LATENCY_NS;
        }
        if (vm->orders.ptp_readings) {
            vm->ptp_wanted = vm->orders.ptp_readings;
            vm->ptp_request = vm->orders.ptp_request;
            vm->ptp_at_ns = vm->now_ns + vm->ptp_latency_ns;
        }
        if (vm->orders.send_sample) {
            vm->sample_sent = true;
            vm->sample_error = vm->alive ? 0 : 111;
            vm->n_samples++;
            vm->n_stray_samples += recovery_holds_samples(&vm->tracker.recoveries.recovery) ||
                                   vm->tracker.recoveries.pending;
            vm->n_wrong_samples +=
                fabs(vm->orders.sample.offset + vm->error_sec - vm->host_error_sec) > 1e-6;
            vm->last_sample_sec = vm->orders.sample.offset;
            vm->last_sample_ns = vm->now_ns;
            vm->worst_sample_sec =
                fmax(vm->worst_sample_sec, fabs(vm->last_sample_sec + virtual_utc_error(vm)));
            /* a millisecond less: the model's quarter begins nanoseconds sooner or later */
            vm->n_ambiguous_samples += near_leap(vm, VIRTUAL_SEC / 4 - VIRTUAL_MS);
            if (vm->alive)
                take_sample(vm, &vm->orders.sample);
        }
        vm->now_ns += 2000; /* a step takes its time */
        if (!tracker_goes_on(&vm->orders, seen, vm->now_ns))
            return;
    }
    assert(false); /* the tracker steps without end */
}

static void reply(struct virtual_machine *vm)
{
    struct observation seen = {.chronyd = CHRONY_REPLY, .reply_length = 28};
    uint8_t bytes[CHRONY_REQUEST_MAX];

    memcpy(bytes, vm->replies[0].bytes, sizeof(bytes));
    vm->n_replies--;
    memmove(&vm->replies[0], &vm->replies[1], vm->n_replies * sizeof(vm->replies[0]));
    seen.reply = bytes;
    if (bytes[5] == CHRONY_TRACKING && bytes[9] == CHRONY_OK)
        seen.reply_length = 104;
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
        else if (vm->n_queued && vm->alive && !vm->frozen)
            next = earliest(next, vm->queue[0].at_ns);
        if (vm->n_replies)
            next = earliest(next, vm->replies[0].at_ns);
        if (vm->update_page)
            next = earliest(next, vm->next_update_ns);
        if (vm->leap_step != 0 && !vm->leap_passed)
            next = earliest(next, vm->leap_ns);
        next = earliest(next, vm->formula_at_ns);
        if (vm->has_ntp)
            next = earliest(next, vm->ntp_due_ns);
        next = earliest(next, vm->ptp_at_ns);
        next = earliest(next, wake_ns(vm));
        if (next > vm->now_ns)
            vm->now_ns = next;

        if (vm->leap_step != 0 && !vm->leap_passed && vm->leap_ns <= vm->now_ns)
            leap(vm);
        if (vm->has_ntp && vm->ntp_due_ns <= vm->now_ns)
            select_ntp(vm);
        if (vm->formula_at_ns <= vm->now_ns) {
            virtual_write_formula(vm);
            vm->formula_at_ns = INT64_MAX;
            vm->update_page = true;
        }
        if (vm->update_page && vm->next_update_ns <= vm->now_ns) {
            if (vm->page.clock_status == VMCLOCK_STATUS_SYNCHRONISED)
                virtual_write_formula(vm);
            vm->next_update_ns = vm->now_ns + vm->update_interval_ns;
        }
        if (vm->stalled_until_ns && vm->stalled_until_ns <= vm->now_ns) {
            vm->stalled_until_ns = 0;
            move_clock(vm);
            handle_request(vm, vm->stalled, 0);
        }
        if (vm->n_queued && vm->alive && !vm->frozen && !vm->stalled_until_ns &&
            vm->queue[0].at_ns <= vm->now_ns)
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
            if (tracker_must_step(&vm->tracker.config, &vm->orders, &seen, false, vm->now_ns)) {
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
    memset(vm, 0, sizeof(*vm));
    vm->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    vm->hz = 2.6e9;
    vm->counter_at_since = 1e13;
    vm->raw_ns_per_tick = ldexp(rint(ldexp(1e9 / vm->hz, RAW_SHIFT)), -RAW_SHIFT);
    vm->formula_at_ns = vm->ptp_at_ns = INT64_MAX;
    vm->ptp_latency_ns = VIRTUAL_MS / 2;
    vm->ptp_noise_sec = 5e-9;
    vm->slew_rate = SLEW_RATE;
    vm->noise_sec = 4e-9;
    vm->page = (struct vmclock_page){
        .magic = VMCLOCK_MAGIC,
        .size = 4096,
        .version = 1,
        .counter_id = VMCLOCK_COUNTER_X86_TSC,
        .time_type = VMCLOCK_TIME_TAI,
        .disruption_marker = 1,
        .flags = VMCLOCK_FLAG_TAI_OFFSET_VALID,
        .tai_offset_sec = 37,
        .period_shift = PERIOD_SHIFT,
    };
    virtual_write_formula(vm);
    vm->update_page = true;
    vm->update_interval_ns = 100 * VIRTUAL_MS;
    virtual_chronyd_start(vm);
}

void virtual_set_leap(struct virtual_machine *vm, int step, int64_t before_ns)
{
    const int64_t end_sec = 1704067200 - VIRTUAL_EPOCH; /* 2024-01-01 */
    int64_t passed_ns;

    vm->leap_step = step;
    vm->leap_ns = (step > 0 ? end_sec : end_sec - 1) * VIRTUAL_SEC;
    passed_ns = vm->leap_ns - before_ns - vm->now_ns;
    vm->now_ns += passed_ns;
    vm->moved_ns = vm->next_tick_ns = vm->next_update_ns = vm->now_ns;
    vm->counter_at_since += (double)passed_ns * 1e-9 * vm->hz;
    vm->counter_since_ns = vm->now_ns;
    virtual_write_formula(vm);
}

void virtual_start(
    struct virtual_machine *vm, const struct tracker_config *config, struct tracker_saved saved)
{
    struct observation seen = {0};

    vm->shown_valid = false;
    vm->tick_ns = config->watch_interval_ns;
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
