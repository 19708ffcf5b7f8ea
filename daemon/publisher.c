/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/replace_file.h"

#define METRICS_NS INT64_C(15000000000)

static void log_failure(enum publisher_file file, const char *name, const char *path, int error)
{
    if (file == PUBLISHER_STATE)
        message_log(LINE(STATE_FILE_FAILED), path, written_file_why(error));
    else if (file == PUBLISHER_CLOCKBOUND && error == -EBUSY)
        message_log(LINE(CLOCKBOUND_TAKEN), path);
    else
        message_log(LINE(FILE_FAILED), name, path, written_file_why(error));
}

static void report_file(struct publisher *p, enum publisher_file file, const char *path, int result)
{
    static const char *const names[] = {"state file", "history", "metrics file", "clock-file",
        "segment for ClockBound", "file for applications"};
    const char *name = names[file < PUBLISHER_ANNOUNCEMENT ? file : PUBLISHER_ANNOUNCEMENT];

    switch (written_file_take(&p->files[file], path, result)) {
    case WRITTEN_AS_BEFORE: break;
    case WRITTEN_NOT: log_failure(file, name, path, result); break;
    case WRITTEN_AGAIN: message_log(LINE(FILE_BACK), name, path); break;
    }
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
    if (!is_trusted_owner(p->history.owner))
        p->history = (struct history){.n = 0};
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
    const bool was_taken = p->clockbound.taken;
    struct clock_report report;

    clock_moment_take(&p->disrupted, p->tracker->host.disruption.at_ns);
    clock_moment_take(&p->recovered, p->tracker->recoveries.recovery.started_ns);
    if (p->tracker->config.dry_run)
        return;
    history_take(&p->history, p->tracker, &p->recovered);
    clock_report_make(p->tracker, device_opened_ns, &report);
    report_file(p, PUBLISHER_CLOCK, c->clock_file,
        clock_file_write(&p->clock_file, c->clock_file, c->device, p->boot_id, &report));
    report_file(p, PUBLISHER_CLOCKBOUND, c->clockbound,
        clockbound_write(&p->clockbound, c->clockbound, c->clockbound_marker, &report));
    p->save = p->save || p->clockbound.taken != was_taken;
}

void publisher_leave_applications(struct publisher *p)
{
    clock_file_close(&p->clock_file);
    clockbound_close(&p->clockbound);
}

void publisher_write_metrics(struct publisher *p, int64_t now_ns)
{
    const char *path = p->config->metrics_file;

    if (!path[0] || p->tracker->config.dry_run || now_ns < p->metrics_at_ns)
        return;
    report_file(p, PUBLISHER_METRICS, path, metrics_write(path, &p->state));
    written_file_own(&p->files[PUBLISHER_METRICS]);
    p->metrics_at_ns = now_ns + METRICS_NS;
}

/* The values of a daemon that has ended must not be scraped as current. */
void publisher_remove_metrics(struct publisher *p)
{
    written_file_remove(&p->files[PUBLISHER_METRICS]);
    p->metrics_at_ns = 0;
}

void publisher_save(struct publisher *p, bool running)
{
    bool was_well;

    if (p->boot_id[0] == '\0') /* what is saved without it is of no use to the next start */
        state_file_boot_id(p->boot_id);
    was_well = state_file_all_is_well(&p->state);
    state_file_describe(p->config, p->tracker, p->boot_id,
        &(struct state_marks){
            running, p->clockbound.taken, p->config_rejected, p->disrupted, p->recovered},
        &p->state);
    if (state_file_all_is_well(&p->state) != was_well)
        p->metrics_at_ns = 0;
    report_file(p, PUBLISHER_STATE, p->config->state_file,
        state_file_write(p->config->state_file, &p->state));
    report_file(p, PUBLISHER_HISTORY, p->config->state_file,
        history_write(&p->history, p->config->state_file, p->boot_id));
    p->save = false;
}

static void tell(struct publisher *p, const struct event *event, enum recovery_cause cause)
{
    const enum announcement kind = announcement_of(event);
    struct journal_record record;

    journal_describe(p->config, event, cause, &record);
    log_entry(record.priority, &record.fields, record.text);
    if (kind != ANNOUNCEMENT_NONE)
        report_file(p, PUBLISHER_ANNOUNCEMENT + kind, announcement_str(kind),
            announcement_write(p->config->state_file, p->boot_id, kind, &record));
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
