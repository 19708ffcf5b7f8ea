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
#include "daemon/counter.h"
#include "daemon/edges.h"
#include "daemon/event_loop.h"
#include "daemon/exit_status.h"
#include "daemon/last_process.h"
#include "daemon/lock.h"
#include "daemon/message.h"
#include "daemon/ptp_reader.h"
#include "daemon/publisher.h"
#include "daemon/reload.h"
#include "daemon/service_manager.h"
#include "daemon/system_clock.h"

#define STOP_NS         INT64_C(1000000000) /* for chronyd to confirm what is restored */
#define SOON_NS         INT64_C(10000000)
#define LEAST_WAIT_NS   INT64_C(1000000)
#define REPLIES_AT_ONCE 16

struct runner {
    struct config config;
    struct tracker tracker;
    struct publisher publisher;
    struct edges edges;
    struct service_manager service_manager;
    struct event_loop *loop;
    struct lock state_lock;
    bool dry_run, stopping;
    bool locked_out;        /* this vmclockd is one too many, and has logged it */
    int64_t tick_at_ns;     /* the last one */
    int64_t quiet_until_ns; /* until then a tick has but the page to look at */
    int64_t wake_at_ns;     /* what the loop was told; INT64_MAX: it has come */
    int64_t stop_at_ns;
};

/* --- what there is time for between ticks ----------------------------------------------------- */

static void tracker_config(
    const struct runner *r, const struct config *config, struct tracker_config *ret_config)
{
    *ret_config = config->tracker;
    ret_config->reader.counter = COUNTER_NATIVE;
    ret_config->reader.period_sec = r->edges.clock_source.period_sec;
    ret_config->dry_run = r->dry_run;
}

/* chronyd has started, and has read its configuration; we read ours of it. */
static void take_chrony_settings(struct runner *r)
{
    const struct config config = r->config;
    const struct recovery_config *before = &config.tracker.recovery;
    const struct recovery_config *now = &r->config.tracker.recovery;
    struct tracker_config tracker;

    chrony_settings_take(&r->config, message_log_fault);
    chrony_settings_keep(&r->config, &config);
    if (now->makestep_threshold_sec != before->makestep_threshold_sec ||
        now->makestep_limit != before->makestep_limit)
        message_log(LINE(CHRONYD_RESTARTED), now->makestep_threshold_sec, now->makestep_limit,
            before->makestep_threshold_sec, before->makestep_limit);
    tracker_config(r, &r->config, &tracker);
    tracker_reconfigure(&r->tracker, &tracker);
}

/* True: the device was lost, or is back. */
static bool housekeeping(struct runner *r, int64_t now_ns)
{
    bool has_changed;

    if (lock_state_file(&r->state_lock, r->config.state_file) == -EBUSY) {
        r->locked_out = true;
        return false;
    }
    if (chronyd_link_take_another(&r->edges.link))
        take_chrony_settings(r);
    has_changed = watched_device_check(&r->edges.device, r->edges.orders.notifies);
    clock_source_watch(&r->edges.clock_source);
    edges_check_ptp(&r->edges);
    publisher_tell_applications(
        &r->publisher, r->edges.device.opened_ns); /* also while a reply is awaited for seconds */
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, true);
    publisher_write_metrics(&r->publisher, now_ns);
    publisher_tell_service_manager(&r->publisher);
    service_manager_tell(&r->service_manager, now_ns);
    return has_changed;
}

/* A reply comes within microseconds: the news have time until it is there, or until the second's
 * housekeeping if chronyd does not answer. */
static void publish_news(struct runner *r)
{
    if (!publisher_has_news(&r->publisher) || r->edges.orders.is_urgent)
        return;
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, true);
    publisher_tell_service_manager(&r->publisher);
}

/* --- the loop's handlers ---------------------------------------------------------------------- */

/* How every handler ends: it ends the loop, or what a tick would be too late for is woken for. */
static void wait_for_next(struct runner *r, int64_t now_ns)
{
    const struct tracker_orders *orders = &r->edges.orders;
    const int64_t watch_ns = r->config.tracker.watch_interval_ns;
    const int64_t slack_ns = tracker_slack_ns(&r->config.tracker);
    const int64_t least_ns = now_ns + LEAST_WAIT_NS;
    int64_t at_ns = orders->wake_at_ns;

    r->locked_out = r->locked_out || r->edges.link.is_locked_out;
    if (r->locked_out || (r->stopping && (orders->stopped || now_ns >= r->stop_at_ns))) {
        event_loop_stop(r->loop);
        return;
    }
    if (r->stopping && r->stop_at_ns < at_ns)
        at_ns = r->stop_at_ns;
    if ((r->edges.device.busy || publisher_has_news(&r->publisher)) && now_ns + SOON_NS < at_ns)
        at_ns = now_ns + SOON_NS;
    r->quiet_until_ns = at_ns - watch_ns + slack_ns;
    if (r->tick_at_ns < r->quiet_until_ns || at_ns == r->wake_at_ns)
        return;
    if (event_loop_wake_at(r->loop, at_ns > least_ns ? at_ns : least_ns) == 0)
        r->wake_at_ns = at_ns;
}

/* After a look: a step, if there is something for the core. */
static void go_on(struct runner *r, struct observation *seen, bool was_busy)
{
    const int64_t now_ns = seen->now_ns;

    if (tracker_must_step(&r->config.tracker, &r->edges.orders, seen, was_busy))
        edges_step(&r->edges, seen);
    publish_news(r);
    wait_for_next(r, now_ns);
}

static void look_and_go_on(struct runner *r, struct observation *seen)
{
    const bool was_busy = r->edges.device.busy;

    edges_look(&r->edges, seen);
    go_on(r, seen, was_busy);
}

/* Most ticks end here: nothing is due, and nothing is seen. */
static void on_tick(void *context)
{
    struct runner *r = context;
    struct observation seen = r->edges.last_results;
    const bool was_busy = r->edges.device.busy;

    edges_look(&r->edges, &seen);
    r->tick_at_ns = seen.now_ns;
    if (seen.now_ns >= r->quiet_until_ns ||
        tracker_must_step(&r->config.tracker, &r->edges.orders, &seen, was_busy))
        go_on(r, &seen, was_busy);
}

static void on_wake(void *context)
{
    struct runner *r = context;
    struct observation seen = r->edges.last_results;

    r->wake_at_ns = INT64_MAX;
    look_and_go_on(r, &seen);
}

static void on_housekeeping(void *context)
{
    struct runner *r = context;
    struct observation seen = r->edges.last_results;

    if (housekeeping(r, system_clock_monotonic_ns()))
        look_and_go_on(r, &seen);
    else if (r->locked_out)
        event_loop_stop(r->loop);
}

static void on_device(void *context)
{
    struct runner *r = context;
    struct observation seen = r->edges.last_results;

    if (watched_device_is_notified(&r->edges.device))
        look_and_go_on(r, &seen);
}

static void on_chronyd(void *context)
{
    struct runner *r = context;

    for (int i = 0; i < REPLIES_AT_ONCE && r->edges.link.chronyd.fd >= 0; i++) {
        struct observation seen = r->edges.last_results;

        if (!edges_receive(&r->edges, &seen))
            break;
        edges_look(&r->edges, &seen);
        edges_step(&r->edges, &seen);
    }
    wait_for_next(r, system_clock_monotonic_ns());
}

static void on_ptp(void *context)
{
    struct runner *r = context;
    struct observation seen = r->edges.last_results;

    if (edges_take_ptp(&r->edges, &seen))
        look_and_go_on(r, &seen);
}

static void reload(struct runner *r)
{
    struct tracker_config tracker;
    struct config fresh;

    service_manager_begin_reload(&r->service_manager, system_clock_monotonic_ns());
    if (publisher_take_reload(&r->publisher, reload_config(&r->config, &fresh) == 0)) {
        if (strcmp(fresh.metrics_file, r->config.metrics_file) != 0)
            publisher_remove_metrics(&r->publisher);
        r->config = fresh;
        tracker_config(r, &fresh, &tracker);
        tracker_reconfigure(&r->tracker, &tracker);
        edges_reconfigured(&r->edges);
        event_loop_set_interval(r->loop, fresh.tracker.watch_interval_ns);
        r->tick_at_ns = system_clock_monotonic_ns();
        message_log(LINE(RELOADED), fresh.file);
    }
    service_manager_end_reload(&r->service_manager);
}

static void on_signal(int number, void *context)
{
    struct runner *r = context;
    struct observation seen = r->edges.last_results;

    switch (number) {
    case SIGHUP: reload(r); break;
    case SIGUSR1: seen.request = true; break;
    default:
        if (r->stopping)
            break;
        message_log(LINE(STOPPING), strsignal(number));
        service_manager_stop();
        r->stopping = true;
        r->stop_at_ns = system_clock_monotonic_ns() + STOP_NS;
        seen.stop = true;
        break;
    }
    look_and_go_on(r, &seen);
}

/* --- the steps of a start, in order: each returns 0, or the status to exit with --------------- */

static int cannot_start(const char *step, int error)
{
    message_log(LINE(CANNOT_START), step, strerror(-error));
    return EXIT_FAILURE;
}

static int open_sender(struct runner *r)
{
    const int result = edges_open_sender(&r->edges);

    return result < 0 ? cannot_start("the socket for samples", result) : EXIT_SUCCESS;
}

/* Before anything is changed, or removed: where that has to be left to another, there is no start.
 */
static int lock_all(struct runner *r)
{
    int result = lock_state_file(&r->state_lock, r->config.state_file);

    if (result != -EBUSY && !exit_status_is_for_another_start(result) && !r->dry_run)
        result = lock_chronyd(&r->edges.link.lock, r->config.command_socket);
    if (result == -EBUSY) /* which has been logged */
        return EXIT_FAILURE;
    return exit_status_is_for_another_start(result) ? cannot_start("the locks", result)
                                                    : EXIT_SUCCESS;
}

static int open_device(struct runner *r)
{
    const int result = watched_device_open(&r->edges.device);

    return result < 0 ? exit_status(result, EX_UNAVAILABLE) : EXIT_SUCCESS;
}

static int measure_counter(struct runner *r)
{
    clock_source_measure(&r->edges.clock_source);
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

    if (result < 0)
        return cannot_start("the event loop", result);
    edges_join(&r->edges, r->loop);
    return EXIT_SUCCESS;
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
    int result;

    /* The first time soon, but not before chronyd has had time to answer. */
    result = event_loop_set_housekeeping(
        r->loop, SOON_NS, service_manager_interval_ns(&r->service_manager));
    if (result == 0)
        result = event_loop_set_interval(r->loop, r->config.tracker.watch_interval_ns);
    r->tick_at_ns = system_clock_monotonic_ns();
    return result < 0 ? cannot_start("the timers", result) : EXIT_SUCCESS;
}

static int start_clock_source(struct runner *r)
{
    clock_source_start(&r->edges.clock_source);
    return EXIT_SUCCESS;
}

static int start_ptp(struct runner *r)
{
    edges_check_ptp(&r->edges);
    return EXIT_SUCCESS;
}

static void init(struct runner *r, const struct config *config, bool dry_run)
{
    r->config = *config;
    r->dry_run = dry_run;
    publisher_init(&r->publisher, &r->config, &r->tracker);
    edges_init(&r->edges, &r->config, &r->tracker, &r->publisher);
    service_manager_init(&r->service_manager);
    r->wake_at_ns = INT64_MAX;
    lock_init(&r->state_lock);
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
    edges_close(&r->edges);
    lock_release(&r->state_lock);
    free(r);
}

int runner_run(struct runner *r)
{
    struct observation seen = {0};
    int result;

    message_log(LINE(WATCHING), r->config.device, (double)r->config.tracker.watch_interval_ns / 1e6,
        r->dry_run ? ", dry run: chronyd is sent nothing" : "");
    edges_look(&r->edges, &seen);
    edges_step(&r->edges, &seen);
    wait_for_next(r, system_clock_monotonic_ns());
    result = r->locked_out ? 0 : event_loop_run(r->loop);
    if (r->locked_out && !lock_is_held(&r->state_lock)) /* the files are another's */
        return EXIT_FAILURE;
    if (result < 0)
        message_log(LINE(LOOP_FAILED), strerror(-result));
    if (r->edges.orders.owes && !r->locked_out)
        publisher_tell(&r->publisher, &(struct event){.id = EVENT_SETTINGS_NOT_RESTORED});
    publisher_flush(&r->publisher);
    publisher_save(&r->publisher, false);
    publisher_leave_applications(&r->publisher);
    publisher_remove_metrics(&r->publisher);
    return result < 0 || r->locked_out ? EXIT_FAILURE : EXIT_SUCCESS;
}
