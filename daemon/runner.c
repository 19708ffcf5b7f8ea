/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "daemon/chrony_settings.h"
#include "daemon/chronyd_link.h"
#include "daemon/clock_source.h"
#include "daemon/counter.h"
#include "daemon/event_loop.h"
#include "daemon/exit_status.h"
#include "daemon/last_process.h"
#include "daemon/lock.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/notify.h"
#include "daemon/ptp_device.h"
#include "daemon/ptp_reader.h"
#include "daemon/publisher.h"
#include "daemon/reload.h"
#include "daemon/sock_sender.h"
#include "daemon/state_file.h"
#include "daemon/system_clock.h"
#include "daemon/watched_device.h"

#define SECOND_NS       INT64_C(1000000000)
#define STOP_NS         SECOND_NS /* for chronyd to confirm what is restored */
#define SOON_NS         INT64_C(10000000)
#define MOVED_NS        INT64_C(20000)
#define LEAST_WAIT_NS   INT64_C(1000000)
#define STEPS_AT_ONCE   64
#define REPLIES_AT_ONCE 16

struct runner {
    struct config config;
    struct tracker tracker;
    struct tracker_orders orders;
    struct publisher publisher;
    struct event_loop *loop;
    struct watched_device device;
    struct clock_source clock_source;
    struct ptp_device ptp;
    struct ptp_reader *ptp_reader; /* NULL: there is no PTP clock to read */
    struct chronyd_link link;
    struct lock state_lock;
    int sock_fd;
    bool dry_run, ready, stopping, locked_out;
    int64_t tick_at_ns;     /* the last one */
    int64_t quiet_until_ns; /* until then a tick has but the page to look at */
    int64_t wake_at_ns;     /* what the loop was told; INT64_MAX: it has come */
    int64_t stop_at_ns, watchdog_at_ns, watchdog_ns;
    struct observation last_results; /* what came of the last orders */
    struct cross_timestamp realtime[CROSS_TIMESTAMPS_MAX], raw[CROSS_TIMESTAMPS_MAX];
    struct ptp_reading ptp_readings[PTP_READINGS_MAX];
    uint8_t reply[CHRONY_REPLY_MAX];
};

/* --- what is seen -------------------------------------------------------------------------- */

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
        watched_device_look(&r->device, seen);
        if (seen->look != HOST_LOOK_NONE)
            seen->measured = 0;
        else
            seen->look = before;
    }
}

/* One datagram from chronyd, if there is one. */
static bool receive(struct runner *r, struct observation *seen)
{
    const ssize_t n = chronyd_receive(&r->link.chronyd, r->reply, sizeof(r->reply));

    if (n < 0)
        return false;
    log_debug("a reply of %zd bytes from chronyd", n);
    seen->chronyd = CHRONY_REPLY;
    seen->reply = r->reply;
    seen->reply_length = (size_t)n;
    return true;
}

/* --- what is ordered ------------------------------------------------------------------------ */

/* This vmclockd is one too many, and has logged it. */
static void lock_out(struct runner *r)
{
    r->locked_out = true;
    event_loop_stop(r->loop);
}

/* `result` of sending a command; `ret` is told if chronyd is gone. */
static void take_sent(struct runner *r, int result, struct observation *ret)
{
    if (r->link.is_locked_out)
        lock_out(r);
    log_debug("to chronyd: %s", result < 0          ? strerror(-result)
                                : r->link.is_unsent ? "its queue is full"
                                                    : "sent");
    if (result < 0) {
        ret->chronyd = CHRONY_GONE;
        ret->chronyd_error = -result;
    }
}

/* Do what was ordered; what comes of it is for the next step. */
static void execute(struct runner *r, struct observation *ret_next)
{
    const struct tracker_orders *orders = &r->orders;

    memset(ret_next, 0, sizeof(*ret_next));
    publisher_tell_applications(&r->publisher, r->device.opened_ns);
    publisher_keep(&r->publisher, orders);
    if (orders->save_before_command)
        publisher_save(&r->publisher, true);
    if (orders->command_length) {
        log_debug("%s is for chronyd", chrony_command_str(orders->command_id));
        take_sent(
            r, chronyd_link_send(&r->link, orders->command, orders->command_length), ret_next);
    }
    if (orders->send_sample) {
        ret_next->sample_sent = true;
        ret_next->sample_error = -sock_sender_send(r->sock_fd, r->config.sock, &orders->sample);
        log_debug("sample: offset %+.9f s", orders->sample.offset);
    }
    if (orders->ptp_readings && r->ptp_reader && r->ptp.fd >= 0)
        ptp_reader_ask(
            r->ptp_reader, r->ptp.fd, orders->ptp_readings, r->ptp.limited, orders->ptp_request);
}

/* Steps, beginning with what was seen, until something has to be waited for. */
static void step(struct runner *r, struct observation *seen)
{
    struct system_clocks clocks;

    for (int i = 0; i < STEPS_AT_ONCE; i++) {
        system_clock_look(&clocks);
        seen->now_ns = clocks.monotonic_ns;
        seen->suspended_ns = clocks.suspended_ns;
        seen->realtime_less_ns = clocks.realtime_less_ns;
        seen->clock_source = r->clock_source.kind;
        seen->chronyd_id = r->link.chronyd.id;
        seen->ptp_id = r->ptp.id;
        seen->ptp_limited = r->ptp.limited;
        if (i > 0)
            watched_device_look(&r->device, seen);
        if (r->orders.measure && tracker_is_due(&r->config.tracker, &r->orders, seen->now_ns))
            gather(r, seen);
        if (seen->ptp_read && system_clock_tai_offset(&seen->kernel_tai))
            seen->measured |= TRACKER_MEASURE_TAI;
        if (r->orders.awaits_reply) {
            if (r->link.is_unsent)
                take_sent(r, chronyd_link_send_again(&r->link), seen);
            seen->command_queued = chronyd_link_has_unread(&r->link);
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

static void tracker_config(
    const struct runner *r, const struct config *config, struct tracker_config *ret_config)
{
    *ret_config = config->tracker;
    ret_config->reader.counter = COUNTER_NATIVE;
    ret_config->reader.period_sec = r->clock_source.period_sec;
    ret_config->dry_run = r->dry_run;
}

/* chronyd has started, and has read its configuration; we read ours of it. */
static void take_chrony_settings(struct runner *r)
{
    const struct recovery_config *recovery = &r->config.tracker.recovery;
    const double threshold_sec = recovery->makestep_threshold_sec;
    const int32_t limit = recovery->makestep_limit;
    struct tracker_config tracker;

    chrony_settings_take(&r->config, message_log_fault);
    if (recovery->makestep_threshold_sec != threshold_sec || recovery->makestep_limit != limit)
        message_log(LINE(CHRONYD_RESTARTED), recovery->makestep_threshold_sec,
            recovery->makestep_limit, threshold_sec, limit);
    tracker_config(r, &r->config, &tracker);
    tracker_reconfigure(&r->tracker, &tracker);
}

/* The PTP clock comes and goes; what is being read stays open. */
static void check_ptp(struct runner *r)
{
    const struct config *config = &r->config;

    if (config->tracker.ptp.used && !r->ptp_reader) {
        const int result = ptp_reader_create(&r->ptp_reader);

        if (result < 0) {
            message_log(LINE(PTP_UNREADABLE), strerror(-result));
            r->config.tracker.ptp.used = false;
            return;
        }
        event_loop_watch_ptp(r->loop, ptp_reader_fd(r->ptp_reader));
    }
    if (r->ptp_reader && !ptp_reader_is_busy(r->ptp_reader))
        ptp_device_check(
            &r->ptp, config->tracker.ptp.used ? config->ptp_clock : "", config->ptp_auto);
}

/* True: the device was lost, or is back. */
static bool housekeeping(struct runner *r, int64_t now_ns)
{
    bool has_changed;

    if (lock_state_file(&r->state_lock, r->config.state_file) == -EBUSY) {
        lock_out(r);
        return false;
    }
    if (chronyd_link_take_another(&r->link))
        take_chrony_settings(r);
    has_changed = watched_device_check(&r->device, r->orders.notifies);
    clock_source_watch(&r->clock_source);
    check_ptp(r);
    publisher_tell_applications(
        &r->publisher, r->device.opened_ns); /* also while a reply is awaited for seconds */
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, true);
    publisher_write_metrics(&r->publisher, now_ns);
    publisher_tell_service_manager(&r->publisher);
    if (now_ns >= r->watchdog_at_ns && notify("WATCHDOG=1"))
        r->watchdog_at_ns = now_ns + r->watchdog_ns * 3 / 4; /* or a pass too early would not do */
    if (!r->ready)
        r->ready = notify("READY=1");
    return has_changed;
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
    if ((r->device.busy || publisher_has_news(&r->publisher)) && now_ns + SOON_NS < at_ns)
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
    const bool was_busy = r->device.busy;

    watched_device_look(&r->device, seen);
    go_on(r, seen, was_busy, system_clock_monotonic_ns());
}

/* The clock was stepped, or the guest suspended: applications are to be told at once. */
static bool clocks_have_moved(struct runner *r)
{
    const struct bound *b = &r->tracker.bound;
    struct system_clocks clocks;
    int64_t step_ns;

    system_clock_look(&clocks);
    step_ns = clocks.realtime_less_ns - b->realtime_less_ns;
    return step_ns > MOVED_NS || step_ns < -MOVED_NS ||
           clocks.suspended_ns - b->suspended_ns > MOVED_NS;
}

static void on_tick(void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;
    const bool was_busy = r->device.busy;

    watched_device_look(&r->device, &seen);
    r->tick_at_ns = system_clock_monotonic_ns();
    if (clocks_have_moved(r))
        r->orders.wake_at_ns = r->quiet_until_ns = 0;
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
    struct observation seen = r->last_results;

    if (housekeeping(r, system_clock_monotonic_ns()))
        look_and_go_on(r, &seen);
}

static void on_device(void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;

    if (r->device.device && notifications_take(&r->device.notifications, r->device.device))
        look_and_go_on(r, &seen);
}

static void on_chronyd(void *context)
{
    struct runner *r = context;

    for (int i = 0; i < REPLIES_AT_ONCE && r->link.chronyd.fd >= 0; i++) {
        struct observation seen = r->last_results;

        if (!receive(r, &seen))
            break;
        watched_device_look(&r->device, &seen);
        step(r, &seen);
    }
    wait_for_next(r, system_clock_monotonic_ns());
}

static void on_ptp(void *context)
{
    struct runner *r = context;
    struct observation seen = r->last_results;

    if (!ptp_reader_take(r->ptp_reader, r->ptp_readings, &seen.n_ptp, &seen.ptp_request))
        return;
    seen.ptp_read = true;
    seen.ptp = r->ptp_readings;
    watched_device_look(&r->device, &seen);
    step(r, &seen);
    publish_news(r);
    wait_for_next(r, system_clock_monotonic_ns());
}

static void reload(struct runner *r)
{
    struct tracker_config tracker;
    struct config fresh;

    notify("RELOADING=1\nMONOTONIC_USEC=%" PRId64, system_clock_monotonic_ns() / 1000);
    r->publisher.config_rejected = reload_config(&r->config, &fresh) < 0;
    if (!r->publisher.config_rejected) {
        if (strcmp(fresh.metrics_file, r->config.metrics_file) != 0)
            publisher_remove_metrics(&r->publisher);
        r->config = fresh;
        tracker_config(r, &fresh, &tracker);
        tracker_reconfigure(&r->tracker, &tracker);
        watched_device_forget(&r->device);
        event_loop_set_interval(r->loop, fresh.tracker.watch_interval_ns);
        r->tick_at_ns = system_clock_monotonic_ns();
        message_log(LINE(RELOADED), fresh.file);
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
        message_log(LINE(STOPPING), strsignal(number));
        notify("STOPPING=1");
        r->stopping = true;
        r->stop_at_ns = system_clock_monotonic_ns() + STOP_NS;
        seen.stop = true;
        break;
    }
    look_and_go_on(r, &seen);
}

/* --- the steps of a start, in order: each returns 0, or the status to exit with -----------------
 */

static int cannot_start(const char *step, int error)
{
    message_log(LINE(CANNOT_START), step, strerror(-error));
    return EXIT_FAILURE;
}

static int open_sender(struct runner *r)
{
    r->sock_fd = sock_sender_open();
    return r->sock_fd < 0 ? cannot_start("the socket for samples", r->sock_fd) : EXIT_SUCCESS;
}

/* Before anything is changed, or removed: where that has to be left to another, there is no start.
 */
static int lock_all(struct runner *r)
{
    int result = lock_state_file(&r->state_lock, r->config.state_file);

    if (result != -EBUSY && !exit_status_is_for_another_start(result) && !r->dry_run)
        result = lock_chronyd(&r->link.lock, r->config.command_socket);
    if (result == -EBUSY) /* which has been logged */
        return EXIT_FAILURE;
    return exit_status_is_for_another_start(result) ? cannot_start("the locks", result)
                                                    : EXIT_SUCCESS;
}

static int open_device(struct runner *r)
{
    const int result = watched_device_open(&r->device);

    return result < 0 ? exit_status(result, EX_UNAVAILABLE) : EXIT_SUCCESS;
}

static int measure_counter(struct runner *r)
{
    clock_source_measure(&r->clock_source);
    return EXIT_SUCCESS;
}

static int create_loop(struct runner *r)
{
    const struct event_loop_handlers handlers = {.on_tick = on_tick,
        .on_housekeeping = on_housekeeping,
        .on_wake = on_wake,
        .on_device = on_device,
        .on_chronyd = on_chronyd,
        .on_ptp = on_ptp,
        .on_signal = on_signal,
        .context = r};
    const int result = event_loop_create(&handlers, &r->loop);

    r->device.notifications.loop = r->link.loop = r->loop;
    return result < 0 ? cannot_start("the event loop", result) : EXIT_SUCCESS;
}

static int init_tracker(struct runner *r)
{
    struct tracker_saved saved;
    struct tracker_config config;
    uint32_t seed = 0;
    int result = last_process_boot_id(r->publisher.boot_id);

    if (result == 0)
        result = last_process_take(&r->config, r->publisher.boot_id, &r->publisher.state, &saved);
    if (result < 0)
        return cannot_start("the state of the last run", result);
    /* Another process must not guess it to answer in chronyd's place; not worth waiting for. */
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
        seed = (uint32_t)counter_read();
    tracker_config(r, &r->config, &config);
    publisher_take_history(&r->publisher);
    tracker_init(&r->tracker, &config, &saved, seed, system_clock_monotonic_ns());
    return EXIT_SUCCESS;
}

/* Two timers: the page's, and the second's, which leaves time for a watchdog of less. */
static int start_timers(struct runner *r)
{
    const int64_t watchdog_ns = notify_watchdog_ns();
    int64_t housekeeping_ns = SECOND_NS;
    int result;

    if (watchdog_ns > 0) {
        r->watchdog_ns = watchdog_ns / 3;
        r->watchdog_at_ns = 0;
        if (r->watchdog_ns < housekeeping_ns)
            housekeeping_ns = r->watchdog_ns;
    }
    /* The first time soon, but not before chronyd has had time to answer. */
    result = event_loop_set_housekeeping(r->loop, SOON_NS, housekeeping_ns);
    if (result == 0)
        result = event_loop_set_interval(r->loop, r->config.tracker.watch_interval_ns);
    r->tick_at_ns = system_clock_monotonic_ns();
    return result < 0 ? cannot_start("the timers", result) : EXIT_SUCCESS;
}

static int start_clock_source(struct runner *r)
{
    clock_source_start(&r->clock_source);
    return EXIT_SUCCESS;
}

static int start_ptp(struct runner *r)
{
    check_ptp(r);
    return EXIT_SUCCESS;
}

static void init(struct runner *r, const struct config *config, bool dry_run)
{
    r->config = *config;
    r->dry_run = dry_run;
    publisher_init(&r->publisher, &r->config, &r->tracker);
    r->device.path = r->device.notifications.path = r->config.device;
    r->watchdog_at_ns = r->wake_at_ns = INT64_MAX;
    r->sock_fd = -1;
    ptp_device_init(&r->ptp);
    lock_init(&r->state_lock);
    chronyd_link_init(&r->link, r->config.command_socket);
}

int runner_create(const struct config *config, bool dry_run, struct runner **ret_runner)
{
    static int (*const steps[])(struct runner *) = {open_sender, lock_all, open_device,
        measure_counter, create_loop, init_tracker, start_timers, start_clock_source, start_ptp};
    struct runner *r = calloc(1, sizeof(*r));
    int status = r ? EXIT_SUCCESS : cannot_start("memory", -ENOMEM);

    signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
    if (r)
        init(r, config, dry_run);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && status == EXIT_SUCCESS; i++)
        status = steps[i](r);
    if (status == EXIT_SUCCESS)
        *ret_runner = r;
    else
        runner_destroy(r);
    return status;
}

void runner_destroy(struct runner *r)
{
    if (!r)
        return;
    if (r->loop)
        event_loop_watch_device(r->loop, -1);
    event_loop_destroy(r->loop);
    chronyd_link_close(&r->link);
    lock_release(&r->state_lock);
    watched_device_close(&r->device);
    ptp_reader_destroy(r->ptp_reader);
    ptp_device_close(&r->ptp);
    if (r->sock_fd >= 0)
        close(r->sock_fd);
    free(r);
}

int runner_run(struct runner *r)
{
    struct observation seen = {0};
    int result;

    message_log(LINE(WATCHING), r->config.device, (double)r->config.tracker.watch_interval_ns / 1e6,
        r->dry_run ? ", dry run: chronyd is sent nothing" : "");
    watched_device_look(&r->device, &seen);
    step(r, &seen);
    wait_for_next(r, system_clock_monotonic_ns());
    result = r->locked_out ? 0 : event_loop_run(r->loop);
    if (r->locked_out && !lock_is_held(&r->state_lock)) /* the files are another's */
        return EXIT_FAILURE;
    if (result < 0)
        message_log(LINE(LOOP_FAILED), strerror(-result));
    if (r->orders.owes && !r->locked_out)
        publisher_tell(&r->publisher, &(struct event){.id = EVENT_SETTINGS_NOT_RESTORED});
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, false);
    publisher_leave_applications(&r->publisher);
    publisher_remove_metrics(&r->publisher);
    return result < 0 || r->locked_out ? EXIT_FAILURE : EXIT_SUCCESS;
}
