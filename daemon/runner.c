/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon/chrony_settings.h"
#include "daemon/chronyd.h"
#include "daemon/counter.h"
#include "daemon/device.h"
#include "daemon/event_loop.h"
#include "daemon/lock.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/device_node.h"
#include "daemon/publisher.h"
#include "daemon/sock_sender.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"

#define SECOND_NS       INT64_C(1000000000)
#define STOP_NS         SECOND_NS /* for chronyd to confirm what is put back */
#define SOON_NS         INT64_C(10000000)
#define LEAST_WAIT_NS   INT64_C(1000000)
#define STEPS_AT_ONCE   64
#define REPLIES_AT_ONCE 16

struct runner {
    struct config config;
    struct tracker tracker;
    struct tracker_orders orders;
    struct publisher publisher;
    struct event_loop *loop;
    struct device *device; /* NULL: lost */
    struct device_view view;
    struct chronyd chronyd;
    int sock_fd, lost_error;
    struct lock state_lock, chronyd_lock;
    bool busy, dry_run, ready, stopping, notified, locked_out;
    bool connected;       /* to a chronyd, once */
    bool another_chronyd; /* it may read another chrony.conf than the one before */
    bool clock_source_is_counter;
    double counter_period_sec;
    int64_t tick_at_ns;     /* the last one */
    int64_t quiet_until_ns; /* until then a tick has but the page to look at */
    int64_t wake_at_ns;     /* what the loop was told; INT64_MAX: it has come */
    int64_t stop_at_ns, watchdog_at_ns, watchdog_ns;
    struct observation last_results; /* what came of the last orders */
    struct cross_timestamp realtime[CROSS_TIMESTAMPS_MAX], raw[CROSS_TIMESTAMPS_MAX];
    uint8_t reply[CHRONY_REPLY_MAX];
};

/* --- what is seen -------------------------------------------------------------------------- */

static void look(struct runner *r, struct observation *seen)
{
    enum device_look result = r->device ? device_look(r->device, &r->view) : DEVICE_LOST;

    seen->page = &r->view.page;
    seen->page_verdict = r->view.verdict;
    seen->counter = r->view.counter;
    seen->seq_count = r->view.seq_count;
    r->busy = result == DEVICE_BUSY;
    switch (result) {
    case DEVICE_UNCHANGED: break;
    case DEVICE_CHANGED: seen->look = HOST_LOOK_CHANGED; break;
    case DEVICE_BUSY: seen->look = HOST_LOOK_BUSY; break;
    case DEVICE_LOST:
        seen->look = HOST_LOOK_LOST;
        seen->look_error = r->device ? ENXIO : r->lost_error;
        break;
    }
}

/* Bring what the last orders asked for; a page that changes meanwhile makes it worthless. */
static void gather(struct runner *r, struct observation *seen)
{
    const enum host_look before = seen->look;

    if (before == HOST_LOOK_BUSY || before == HOST_LOOK_LOST)
        return;
    seen->measured = r->orders.measure;
    seen->realtime = r->realtime;
    seen->raw = r->raw;
    if (seen->measured & TRACKER_MEASURE_RAW) {
        seen->n_raw = CROSS_TIMESTAMPS_MAX / 2;
        system_clock_read(CLOCK_MONOTONIC_RAW, seen->n_raw, r->raw);
    }
    if ((seen->measured & TRACKER_MEASURE_TAI) && !system_clock_tai_offset(&seen->kernel_tai))
        seen->measured &= ~(unsigned)TRACKER_MEASURE_TAI;
    if (seen->measured & TRACKER_MEASURE_REALTIME) {
        seen->n_realtime = r->config.readings;
        system_clock_read(CLOCK_REALTIME, seen->n_realtime, r->realtime);
        seen->look = HOST_LOOK_NONE;
        look(r, seen);
        if (seen->look != HOST_LOOK_NONE)
            seen->measured = 0;
        else
            seen->look = before;
    }
}

/* One datagram from chronyd, if there is one. */
static bool receive(struct runner *r, struct observation *seen)
{
    const ssize_t n = chronyd_receive(&r->chronyd, r->reply, sizeof(r->reply));

    if (n < 0)
        return false;
    log_debug("a reply of %zd bytes from chronyd", n);
    seen->chronyd = CHRONY_REPLY;
    seen->reply = r->reply;
    seen->reply_length = (size_t)n;
    return true;
}

/* --- what is ordered ------------------------------------------------------------------------ */

static void disconnect(struct runner *r)
{
    event_loop_watch_chronyd(r->loop, -1);
    chronyd_close(&r->chronyd);
}

/* This vmclockd is one too many, and has said so. */
static void lock_out(struct runner *r)
{
    r->locked_out = true;
    event_loop_stop(r->loop);
}

static int connect_chronyd(struct runner *r)
{
    int result = lock_chronyd(&r->chronyd_lock, r->config.command_socket);

    if (result == -EBUSY) {
        lock_out(r);
        return result;
    }
    result = chronyd_open(&r->chronyd);
    r->another_chronyd = r->another_chronyd || (result == 0 && r->connected);
    r->connected = r->connected || result == 0;
    return result < 0 ? result : event_loop_watch_chronyd(r->loop, r->chronyd.fd);
}

static int send_command(struct runner *r)
{
    int result = 0;

    if (r->chronyd.fd >= 0 && !chronyd_has_way_back(&r->chronyd)) {
        log_debug("%s is not ours any more: binding it again", r->chronyd.own.sun_path);
        disconnect(r);
    }
    if (r->chronyd.fd < 0)
        result = connect_chronyd(r);
    if (result == 0)
        result = chronyd_send(&r->chronyd, r->orders.command, r->orders.command_length);
    if (result < 0)
        disconnect(r);
    return result;
}

/* Do what was ordered; what comes of it is for the next step. */
static void execute(struct runner *r, struct observation *ret_next)
{
    const struct tracker_orders *orders = &r->orders;
    int result;

    memset(ret_next, 0, sizeof(*ret_next));
    publisher_keep(&r->publisher, orders);
    if (orders->save_before_command)
        publisher_save(&r->publisher, true);
    if (orders->command_length) {
        result = send_command(r);
        log_debug("%s to chronyd: %s", chrony_command_str(orders->command_id),
            result < 0 ? strerror(-result) : "sent");
        if (result < 0) {
            ret_next->chronyd = CHRONY_GONE;
            ret_next->chronyd_error = -result;
        }
    }
    if (orders->send_sample) {
        ret_next->sample_sent = true;
        ret_next->sample_error = -sock_sender_send(r->sock_fd, r->config.sock, &orders->sample);
        log_debug("sample: offset %+.9f s", orders->sample.offset);
    }
}

/* Steps, beginning with what was seen, until something has to be waited for. */
static void step(struct runner *r, struct observation *seen)
{
    for (int i = 0; i < STEPS_AT_ONCE; i++) {
        seen->now_ns = system_clock_monotonic_ns();
        seen->clock_source_is_counter = r->clock_source_is_counter;
        seen->chronyd_id = r->chronyd.id;
        if (i > 0)
            look(r, seen);
        if (r->orders.measure && tracker_is_due(&r->config.tracker, &r->orders, seen->now_ns))
            gather(r, seen);
        if (r->orders.awaits_reply) {
            seen->command_queued = chronyd_has_queued(&r->chronyd);
            /* Time is not up for a reply that has come while we were kept from running. */
            if (seen->chronyd == CHRONY_NOTHING && seen->now_ns >= r->orders.reply_deadline_ns)
                receive(r, seen);
        }
        tracker_step(&r->tracker, seen, &r->orders);
        execute(r, seen);
        if (!tracker_goes_on(&r->orders, seen, system_clock_monotonic_ns()))
            break;
    }
    r->last_results = *seen;
}

/* --- what there is time for between ticks ----------------------------------------------------- */

static void lose_device(struct runner *r, int error)
{
    event_loop_watch_device(r->loop, -1);
    device_close(r->device);
    r->device = NULL;
    r->notified = false;
    r->lost_error = -error;
}

/* By notification as well, where the page promises it and the kernel can. */
static void watch_notifications(struct runner *r)
{
    int result;

    if (!r->device || r->notified || !r->orders.notifies)
        return;
    r->notified = true; /* tried once for each device */
    result = event_loop_watch_device(r->loop, device_fd(r->device));
    if (result < 0)
        log_info("%s: the kernel has no notifications (%s): watched by timer alone",
            r->config.device, strerror(-result));
    else
        log_info("%s: watched by notification and by timer", r->config.device);
}

/* What one reading of CLOCK_REALTIME takes, at best, and so by how much it is uncertain. */
static double reading_ns(const struct runner *r)
{
    struct cross_timestamp readings[16];
    const struct cross_timestamp *best;

    system_clock_read(CLOCK_REALTIME, 16, readings);
    best = cross_timestamp_narrowest(readings, 16);
    return best ? (double)(best->counter_after - best->counter_before) * r->counter_period_sec * 1e9
                : 0;
}

/* The kernel drops a counter that it finds unstable, at any time. */
static void watch_clock_source(struct runner *r)
{
    const bool before = r->clock_source_is_counter;

    /* Where it cannot be read, it is what it was. */
    if (system_clock_source_is_counter(&r->clock_source_is_counter) < 0 ||
        r->clock_source_is_counter == before || COUNTER_NATIVE == VMCLOCK_COUNTER_NONE)
        return;
    if (r->clock_source_is_counter)
        log_notice("the kernel's clock source is %s again: a reading takes %.0f ns",
            COUNTER_CLOCK_SOURCE, reading_ns(r));
    else
        log_warning("the kernel's clock source is no longer %s: a reading takes %.0f ns, and the "
                    "frequency is not corrected after a disruption",
            COUNTER_CLOCK_SOURCE, reading_ns(r));
}

static void tracker_config(
    const struct runner *r, const struct config *config, struct tracker_config *ret_config)
{
    *ret_config = config->tracker;
    ret_config->reader.counter = COUNTER_NATIVE;
    ret_config->reader.period_sec = r->counter_period_sec;
    ret_config->dry_run = r->dry_run;
}

static void warn(const char *sentence)
{
    log_warning("%s", sentence);
}

/* chronyd has started, and has read its configuration; we read ours of it. */
static void take_chrony_settings(struct runner *r)
{
    const struct recovery_config *recovery = &r->config.tracker.recovery;
    const double threshold_sec = recovery->makestep_threshold_sec;
    const int32_t limit = recovery->makestep_limit;
    struct tracker_config tracker;

    r->another_chronyd = false;
    chrony_settings_take(&r->config, warn);
    if (recovery->makestep_threshold_sec == threshold_sec && recovery->makestep_limit == limit)
        return;
    log_notice("chronyd was restarted: makestep is now %g %" PRId32 ", not %g %" PRId32,
        recovery->makestep_threshold_sec, recovery->makestep_limit, threshold_sec, limit);
    tracker_config(r, &r->config, &tracker);
    tracker_reconfigure(&r->tracker, &tracker);
}

static void housekeeping(struct runner *r, int64_t now_ns)
{
    int result;

    if (lock_state_file(&r->state_lock, r->config.state_file) == -EBUSY) {
        lock_out(r);
        return;
    }
    if (r->another_chronyd)
        take_chrony_settings(r);
    if (r->device) {
        result = device_check(r->device);
        if (result < 0)
            lose_device(r, result);
    } else if (device_open(r->config.device, &r->device) < 0) {
        r->device = NULL;
    }
    watch_notifications(r);
    watch_clock_source(r);
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, true);
    publisher_write_metrics(&r->publisher, now_ns);
    publisher_tell_service_manager(&r->publisher);
    if (now_ns >= r->watchdog_at_ns && notify("WATCHDOG=1"))
        r->watchdog_at_ns = now_ns + r->watchdog_ns * 3 / 4; /* or a pass too early would not do */
    if (!r->ready)
        r->ready = notify("READY=1");
}

/* A reply comes within microseconds: the news have time until it is there, or until the second's
 * housekeeping if chronyd does not answer. */
static void publish_news(struct runner *r)
{
    if (!publisher_has_news(&r->publisher) || r->orders.is_urgent)
        return;
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, true);
    publisher_tell_service_manager(&r->publisher);
}

/* --- the loop's handlers -----------------------------------------------------------------------
 */

/* How every handler ends: it ends the loop, or what a tick would be too late for is woken for. */
static void wait_for_next(struct runner *r, int64_t now_ns)
{
    const int64_t watch_ns = r->config.tracker.watch_interval_ns;
    const int64_t slack_ns = tracker_slack_ns(&r->config.tracker);
    const int64_t least_ns = now_ns + LEAST_WAIT_NS;
    int64_t at_ns = r->orders.wake_at_ns;

    if (r->stopping && (r->orders.stopped || now_ns >= r->stop_at_ns)) {
        event_loop_stop(r->loop);
        return;
    }
    if (r->stopping && r->stop_at_ns < at_ns)
        at_ns = r->stop_at_ns;
    if ((r->busy || publisher_has_news(&r->publisher)) && now_ns + SOON_NS < at_ns)
        at_ns = now_ns + SOON_NS;
    r->quiet_until_ns = at_ns - watch_ns + slack_ns;
    if (r->tick_at_ns < r->quiet_until_ns || at_ns == r->wake_at_ns)
        return;
    if (event_loop_wake_at(r->loop, at_ns > least_ns ? at_ns : least_ns) == 0)
        r->wake_at_ns = at_ns;
}

/* After a look: a step, if there is something for the core. */
static void go_on(struct runner *r, struct observation *seen, bool was_busy, int64_t now_ns)
{
    if (tracker_must_step(&r->config.tracker, &r->orders, seen, was_busy, now_ns))
        step(r, seen);
    publish_news(r);
    wait_for_next(r, now_ns);
}

static void look_and_go_on(struct runner *r, struct observation *seen)
{
    const bool was_busy = r->busy;

    look(r, seen);
    go_on(r, seen, was_busy, system_clock_monotonic_ns());
}

static void on_tick(void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;
    const bool was_busy = r->busy;

    look(r, &seen);
    r->tick_at_ns = system_clock_monotonic_ns();
    if (seen.look != HOST_LOOK_NONE || was_busy || r->tick_at_ns >= r->quiet_until_ns)
        go_on(r, &seen, was_busy, r->tick_at_ns);
}

static void on_wake(void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;

    r->wake_at_ns = INT64_MAX;
    look_and_go_on(r, &seen);
}

static void on_housekeeping(void *context)
{
    struct runner *r = context;
    const struct device *before = r->device;
    struct observation seen = r->last_results;

    housekeeping(r, system_clock_monotonic_ns());
    if (r->device != before) /* lost, or back */
        look_and_go_on(r, &seen);
}

static void on_device(void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;

    if (!r->device)
        return;
    if (device_hung_up(r->device)) {
        event_loop_watch_device(r->loop, -1);
        log_info("%s: the kernel gives no notifications: watched by timer alone", r->config.device);
        return;
    }
    look_and_go_on(r, &seen);
}

static void on_chronyd(void *context)
{
    struct runner *r = context;

    for (int i = 0; i < REPLIES_AT_ONCE && r->chronyd.fd >= 0; i++) {
        struct observation seen = r->last_results;

        if (!receive(r, &seen))
            break;
        look(r, &seen);
        step(r, &seen);
    }
    wait_for_next(r, system_clock_monotonic_ns());
}

static void complain(const char *sentence)
{
    log_err("%s", sentence);
}

static void keep_path(const char *key, char *fresh, const char *present)
{
    if (strcmp(fresh, present) == 0)
        return;
    log_warning("%s = %s takes effect at the next start; still %s", key, fresh, present);
    memcpy(fresh, present, CONFIG_PATH_MAX);
}

static void reload(struct runner *r)
{
    struct tracker_config tracker;
    struct config fresh;

    notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64, system_clock_monotonic_ns() / 1000);
    if (config_read(r->config.file_named ? r->config.file : NULL, complain, &fresh) < 0) {
        log_err("the configuration is left as it was");
    } else {
        chrony_settings_take(&fresh, warn);
        keep_path("device", fresh.device, r->config.device);
        keep_path("sock", fresh.sock, r->config.sock);
        keep_path("command-socket", fresh.command_socket, r->config.command_socket);
        keep_path("state-file", fresh.state_file, r->config.state_file);
        if (strcmp(fresh.metrics_file, r->config.metrics_file) != 0)
            publisher_remove_metrics(&r->publisher);
        r->config = fresh;
        tracker_config(r, &fresh, &tracker);
        tracker_reconfigure(&r->tracker, &tracker);
        if (r->device)
            device_forget(r->device);
        event_loop_set_interval(r->loop, fresh.tracker.watch_interval_ns);
        r->tick_at_ns = system_clock_monotonic_ns();
        log_notice("the configuration %s was read anew", fresh.file);
    }
    r->ready = notify("READY=1");
}

static void on_signal(int number, void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;

    switch (number) {
    case SIGHUP:
        reload(r);
        r->orders.wake_at_ns = 0; /* as the configuration was, it may be later than it is now */
        break;
    case SIGUSR1: seen.request = true; break;
    default:
        if (r->stopping)
            break;
        log_notice("stopping, asked by %s", strsignal(number));
        notify("STOPPING=1");
        r->stopping = true;
        r->stop_at_ns = system_clock_monotonic_ns() + STOP_NS;
        seen.stop = true;
        break;
    }
    look_and_go_on(r, &seen);
}

/* --- the beginning and the end ------------------------------------------------------------------
 */

/* Worth another start, by the service manager; it makes none for 69 and 78. */
int runner_exit_status(int error, int otherwise)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case EINTR: return EXIT_FAILURE;
    default: return otherwise;
    }
}

static int open_device(struct runner *r)
{
    struct observation seen = {0};
    const int result = device_open(r->config.device, &r->device);

    if (result < 0) {
        log_err("%s cannot be used: %s; QEMU 10.0 (-device vmclock), Firecracker 1.14 and EC2 have "
                "the device, Linux 6.13 with CONFIG_PTP_1588_CLOCK_VMCLOCK has its driver",
            r->config.device, device_error_str(result));
        return result;
    }
    device_node_warn(r->config.device);
    look(r, &seen);
    if (seen.look == HOST_LOOK_CHANGED && seen.page_verdict != PAGE_OK) {
        log_err("%s cannot be used: %s", r->config.device, page_verdict_str(seen.page_verdict));
        return -ENODEV;
    }
    device_forget(r->device);
    return 0;
}

static void not_remembered(const char *what, const char *path, const char *why)
{
    log_warning("%s%s cannot be read (%s): a disruption while vmclockd was not running would not "
                "be noticed",
        what, path, why);
}

/* Another start may be able to read what this one could not, and so miss nothing. */
static bool is_for_another_start(int error)
{
    return runner_exit_status(error, EXIT_SUCCESS) != EXIT_SUCCESS;
}

/* 0 or -errno. */
static int init_tracker(struct runner *r)
{
    struct tracker_saved saved = {.valid = false};
    struct tracker_config config;
    struct state_file *const state = &r->publisher.state;
    uint32_t seed = 0;
    int result;

    result = state_file_boot_id(r->publisher.boot_id);
    if (result < 0)
        not_remembered("this boot's id", "", strerror(-result));
    if (is_for_another_start(result))
        return result;
    result = state_file_read(r->config.state_file, state);
    if (result == 0 && state->owner != 0 && state->owner != geteuid()) {
        not_remembered("the state file ", r->config.state_file, "it belongs to another user");
    } else if (result == 0) {
        saved = state_file_saved(state, r->publisher.boot_id, &r->config.tracker.recovery);
        chronyd_remove_stale(r->config.command_socket, state_file_value(state, "pid"));
    } else if (result != -ENOENT) {
        not_remembered("the state file ", r->config.state_file, strerror(-result));
        if (is_for_another_start(result))
            return result;
    }
    /* Not to be guessed by whoever would answer in chronyd's place; not worth waiting for. */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
        seed = (uint32_t)counter_read();
    tracker_config(r, &r->config, &config);
    tracker_init(&r->tracker, &config, &saved, seed, system_clock_monotonic_ns());
    return 0;
}

static void measure_counter(struct runner *r)
{
    const double stated_hz = (double)counter_stated_hz();
    double ratio;

    r->counter_period_sec = system_clock_counter_period();
    ratio = stated_hz * r->counter_period_sec;
    if (ratio != 0 && (ratio < 0.99 || ratio > 1.01))
        log_warning("the counter runs at %.0f Hz, not at the %.0f that its register states: going "
                    "by what was measured",
            1 / r->counter_period_sec, stated_hz);
}

/* Before anything is changed, or removed: 0, or -errno where that has to be left to another. */
static int lock_all(struct runner *r)
{
    int result = lock_state_file(&r->state_lock, r->config.state_file);

    if (result != -EBUSY && !is_for_another_start(result) && !r->dry_run)
        result = lock_chronyd(&r->chronyd_lock, r->config.command_socket);
    return result == -EBUSY || is_for_another_start(result) ? result : 0;
}

/* Two timers: the page's, and the second's, which leaves time for a watchdog of less. */
static int start_timers(struct runner *r)
{
    uint64_t watchdog_us = 0;
    int64_t housekeeping_ns = SECOND_NS;
    int result;

    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        r->watchdog_ns = (int64_t)watchdog_us * 1000 / 3;
        r->watchdog_at_ns = 0;
        if (r->watchdog_ns < housekeeping_ns)
            housekeeping_ns = r->watchdog_ns;
    }
    /* The first time soon, but not before chronyd has had time to answer. */
    result = event_loop_set_housekeeping(r->loop, SOON_NS, housekeeping_ns);
    if (result == 0)
        result = event_loop_set_interval(r->loop, r->config.tracker.watch_interval_ns);
    r->tick_at_ns = system_clock_monotonic_ns();
    return result;
}

int runner_create(const struct config *config, bool dry_run, struct runner **ret_runner)
{
    struct event_loop_handlers handlers = {.on_tick = on_tick,
        .on_housekeeping = on_housekeeping,
        .on_wake = on_wake,
        .on_device = on_device,
        .on_chronyd = on_chronyd,
        .on_signal = on_signal};
    struct runner *r = calloc(1, sizeof(*r));
    int result;

    if (!r) {
        log_err("vmclockd cannot start: %s", strerror(ENOMEM));
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
    r->config = *config;
    r->dry_run = dry_run;
    r->publisher.config = &r->config;
    r->publisher.tracker = &r->tracker;
    r->watchdog_at_ns = r->wake_at_ns = INT64_MAX;
    handlers.context = r;
    lock_init(&r->state_lock);
    lock_init(&r->chronyd_lock);
    chronyd_init(&r->chronyd, r->config.command_socket);
    r->sock_fd = sock_sender_open();
    result = r->sock_fd < 0 ? r->sock_fd : lock_all(r);
    if (result < 0) {
        if (result != -EBUSY)
            log_err("vmclockd cannot start: %s", strerror(-result));
        runner_destroy(r);
        return EXIT_FAILURE;
    }
    result = open_device(r);
    if (result < 0) {
        runner_destroy(r);
        return runner_exit_status(result, EX_UNAVAILABLE);
    }
    measure_counter(r);
    result = event_loop_create(&handlers, &r->loop);
    if (result == 0)
        result = init_tracker(r);
    if (result == 0)
        result = start_timers(r);
    if (result < 0) {
        log_err("vmclockd cannot start: %s", strerror(-result));
        runner_destroy(r);
        return EXIT_FAILURE;
    }
    result = system_clock_source_is_counter(&r->clock_source_is_counter);
    if (!r->clock_source_is_counter && COUNTER_NATIVE != VMCLOCK_COUNTER_NONE)
        log_warning("the kernel's clock source %s%s: samples are noisier, and the frequency is "
                    "not corrected after a disruption",
            result < 0 ? "cannot be read, by " : "is not " COUNTER_CLOCK_SOURCE,
            result < 0 ? strerror(-result) : "");
    *ret_runner = r;
    return EXIT_SUCCESS;
}

void runner_destroy(struct runner *r)
{
    if (!r)
        return;
    if (r->loop)
        event_loop_watch_device(r->loop, -1);
    event_loop_destroy(r->loop);
    chronyd_close(&r->chronyd);
    lock_release(&r->chronyd_lock);
    lock_release(&r->state_lock);
    device_close(r->device);
    if (r->sock_fd >= 0)
        close(r->sock_fd);
    free(r);
}

int runner_run(struct runner *r)
{
    struct observation seen = {0};
    int result;

    log_notice("watching %s every %g ms%s", r->config.device,
        (double)r->config.tracker.watch_interval_ns / 1e6,
        r->dry_run ? ", dry run: chronyd is sent nothing" : "");
    look(r, &seen);
    step(r, &seen);
    wait_for_next(r, system_clock_monotonic_ns());
    result = r->locked_out ? 0 : event_loop_run(r->loop);
    if (r->locked_out && !lock_is_held(&r->state_lock)) /* the files are another's */
        return EXIT_FAILURE;
    if (result < 0)
        log_err("the event loop failed: %s", strerror(-result));
    if (r->orders.owes && !r->locked_out)
        publisher_tell(&r->publisher, &(struct event){.id = EVENT_NOT_PUT_BACK});
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, false);
    publisher_remove_metrics(&r->publisher);
    return result < 0 || r->locked_out ? EXIT_FAILURE : EXIT_SUCCESS;
}
