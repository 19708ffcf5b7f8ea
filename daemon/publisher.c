/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/announcement.h"
#include "daemon/journal.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"

#define METRICS_NS INT64_C(15000000000)

/* Logged once when it begins and once when it ends. */
static void report_file(const char *what, const char *path, int result, int *error)
{
    if (result < 0 && result != *error && strcmp(what, "state file") == 0)
        message_log(LINE(STATE_FILE_FAILED), path, strerror(-result));
    else if (result < 0 && result != *error)
        message_log(LINE(FILE_FAILED), what, path, strerror(-result));
    if (result == 0 && *error < 0)
        message_log(LINE(FILE_BACK), what, path);
    *error = result;
}

void publisher_init(struct publisher *p, const struct config *config, const struct tracker *tracker)
{
    p->config = config;
    p->tracker = tracker;
    clock_file_init(&p->clock_file);
    clockbound_init(&p->clockbound);
}

void publisher_take_history(struct publisher *p)
{
    history_read(p->config->state_file, p->boot_id, &p->history);
    history_take_over(&p->history);
}

bool publisher_take_reload(struct publisher *p, bool taken)
{
    p->config_rejected = !taken;
    return taken;
}

void publisher_tell_applications(struct publisher *p, int64_t device_opened_ns)
{
    const struct config *c = p->config;
    struct clock_report report;
    int r;

    history_take(&p->history, p->tracker);
    if (p->tracker->config.dry_run || (!c->clock_file[0] && !c->clockbound[0]))
        return;
    clock_report_make(p->tracker, device_opened_ns, &report);
    r = clock_file_write(&p->clock_file, c->clock_file, c->device, p->boot_id, &report);
    report_file("clock-file", c->clock_file, r, &p->clock_file_error);
    r = clockbound_write(&p->clockbound, c->clockbound, c->clockbound_marker, &report);
    p->save = p->save || r != p->clockbound_error;
    if (r == -EBUSY && p->clockbound_error != r)
        message_log(LINE(CLOCKBOUND_TAKEN), c->clockbound);
    else if (r != -EBUSY)
        report_file("segment for ClockBound", c->clockbound, r, &p->clockbound_error);
    p->clockbound_error = r;
}

void publisher_leave_applications(struct publisher *p)
{
    clock_file_close(&p->clock_file);
    clockbound_close(&p->clockbound);
}

void publisher_write_metrics(struct publisher *p, int64_t now_ns)
{
    if (!p->config->metrics_file[0] || p->tracker->config.dry_run || now_ns < p->metrics_at_ns)
        return;
    report_file("metrics file", p->config->metrics_file,
        metrics_write(p->config->metrics_file, &p->state), &p->metrics_file_error);
    p->metrics_at_ns = now_ns + METRICS_NS;
}

/* Remove it, so that the values of a daemon that has ended are not scraped as current. */
void publisher_remove_metrics(struct publisher *p)
{
    if (p->config->metrics_file[0] && !p->tracker->config.dry_run)
        unlink(p->config->metrics_file);
    p->metrics_at_ns = 0;
}

void publisher_save(struct publisher *p, bool running)
{
    bool was_well;

    if (p->boot_id[0] == '\0') /* what is saved without it is of no use to the next start */
        state_file_boot_id(p->boot_id);
    was_well = state_file_all_is_well(&p->state);
    state_file_describe(p->config, p->tracker, p->boot_id,
        &(struct state_marks){running, p->clockbound.taken, p->config_rejected}, &p->state);
    if (state_file_all_is_well(&p->state) != was_well)
        p->metrics_at_ns = 0;
    report_file("state file", p->config->state_file,
        state_file_write(p->config->state_file, &p->state), &p->state_file_error);
    report_file("history", p->config->state_file,
        history_write(&p->history, p->config->state_file, p->boot_id), &p->history_error);
    p->save = false;
}

static void tell(struct publisher *p, const struct event *event, enum recovery_cause cause)
{
    const char *kind = announcement_kind(event);
    struct journal_record record;

    journal_describe(p->config, event, cause, &record);
    log_entry(record.priority, &record.fields, record.text);
    if (kind)
        report_file("file for applications", kind,
            announcement_write(p->config->state_file, p->boot_id, kind, &record),
            &p->announcement_error);
}

void publisher_tell(struct publisher *p, const struct event *event)
{
    tell(p, event, p->tracker->recoveries.recovery.cause);
}

void publisher_keep(struct publisher *p, const struct tracker_orders *orders)
{
    p->save = p->save || orders->save;
    for (unsigned i = 0; i < orders->n_events; i++) {
        if (p->n_events == PUBLISHER_EVENTS_MAX) {
            p->events_left_out++;
            continue;
        }
        p->events[p->n_events].event = orders->events[i];
        p->events[p->n_events++].cause = p->tracker->recoveries.recovery.cause;
    }
}

bool publisher_has_news(const struct publisher *p)
{
    return p->n_events > 0 || p->save;
}

void publisher_flush(struct publisher *p)
{
    if (p->n_events > 0)
        p->metrics_at_ns = 0;
    for (unsigned i = 0; i < p->n_events; i++)
        tell(p, &p->events[i].event, p->events[i].cause);
    if (p->events_left_out)
        message_log(LINE(EVENTS_LEFT_OUT), p->events_left_out);
    p->n_events = p->events_left_out = 0;
}

void publisher_tell_service_manager(struct publisher *p)
{
    const struct tracker *t = p->tracker;
    char status[sizeof(p->status)], refid[9], marker[32] = "the page cannot be seen";

    if (t->host.page.magic != 0 && !host_in_trouble(&t->host))
        snprintf(marker, sizeof(marker), "marker 0x%" PRIx64, t->host.marker);
    journal_refid(t->client.known.refid, refid, sizeof(refid));
    snprintf(status, sizeof(status), "%s (%s), %s, %" PRIu64 " disruptions; chronyd %s%s",
        tracker_state_str(tracker_state(t)), tracker_mode_str(t->host.mode), marker,
        t->host.disruptions,
        t->config.dry_run               ? "is not asked"
        : !t->client.known.reachable    ? "is not reachable"
        : t->client.known.synchronised  ? "is synchronised to "
        : t->client.known.has_reference ? "follows "
                                        : "is not synchronised",
        t->client.known.reachable && t->client.known.has_reference ? refid : "");
    if (strcmp(status, p->status) != 0 && notify("STATUS=%s", status)) {
        memcpy(p->status, status, sizeof(status));
        p->metrics_at_ns = 0;
    }
}
