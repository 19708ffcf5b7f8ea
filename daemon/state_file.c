/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "daemon/replace_file.h"
#include "daemon/system_clock.h"

#define BOOT_ID    "/proc/sys/kernel/random/boot_id"
#define FILE_BYTES 8192
#define FRESH_NS   INT64_C(1000000000) /* for how long a reading may be late */

int state_file_boot_id(char ret_id[STATE_BOOT_ID_MAX])
{
    const int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, ret_id, STATE_BOOT_ID_MAX - 1);
    const int error = errno;

    if (fd >= 0)
        close(fd);
    ret_id[n > 0 ? n : 0] = '\0';
    ret_id[strcspn(ret_id, "\n")] = '\0';
    return n < 0 ? -error : 0;
}

void state_file_pid_namespace(char ret_namespace[STATE_NAMESPACE_MAX])
{
    const ssize_t n = readlink("/proc/self/ns/pid", ret_namespace, STATE_NAMESPACE_MAX - 1);

    ret_namespace[n > 0 ? n : 0] = '\0';
}

/* --- reading ------------------------------------------------------------------------------- */

/* One line, NUL-terminated; false: not one of ours. */
static bool take_line(struct state_file *state, const char *line)
{
    const char *separator = strstr(line, " = ");
    const size_t key = separator ? (size_t)(separator - line) : 0;
    const char *value = line + key + 3;
    size_t n;

    if (key == 0 || state->n == STATE_ENTRIES_MAX || key >= sizeof(state->entries[0].key))
        return false;
    n = strlen(value);
    if (n >= sizeof(state->entries[0].value))
        return false;
    memcpy(state->entries[state->n].key, line, key);
    state->entries[state->n].key[key] = '\0';
    memcpy(state->entries[state->n].value, value, n + 1);
    state->n++;
    return true;
}

int state_file_read(const char *path, struct state_file *ret_state)
{
    char bytes[FILE_BYTES], *next;
    const char *last; /* the line that says that the file is whole */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    ssize_t n;
    int error;

    if (fd < 0)
        return -errno;
    n = fstat(fd, &status) < 0 ? -1 : read(fd, bytes, sizeof(bytes) - 1);
    error = errno;
    close(fd);
    if (n < 0)
        return -error;
    bytes[n] = '\0';
    ret_state->owner = status.st_uid;
    ret_state->n = 0;
    for (char *line = bytes; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next)
            *next++ = '\0';
        if (!take_line(ret_state, line))
            return -EBADMSG;
    }
    last = state_file_value(ret_state, "end");
    return last && strcmp(last, "yes") == 0 ? 0 : -EBADMSG;
}

const char *state_file_value(const struct state_file *state, const char *key)
{
    for (unsigned i = 0; i < state->n; i++)
        if (strcmp(state->entries[i].key, key) == 0)
            return state->entries[i].value[0] ? state->entries[i].value : NULL;
    return NULL;
}

bool state_file_value_is(const struct state_file *state, const char *key, const char *expected)
{
    const char *value = state_file_value(state, key);

    return value && strcmp(value, expected) == 0;
}

bool state_file_all_is_well(const struct state_file *state)
{
    return (state_file_value_is(state, "state", "feeding") ||
               state_file_value_is(state, "state", "watching")) &&
           state_file_value_is(state, "chronyd.synchronised", "yes") &&
           !state_file_value(state, "sock_error") &&
           !state_file_value(state, "health.withheld_s") &&
           !state_file_value(state, "health.offset_s") &&
           !state_file_value(state, "health.reference_s");
}

static uint64_t hex_value(const struct state_file *state, const char *key)
{
    const char *value = state_file_value(state, key);

    return value ? strtoull(value, NULL, 16) : 0;
}

/* "THRESHOLD LIMIT", as put_restore() writes it. */
static bool parse_makestep(const char *text, double *ret_threshold_sec, int32_t *ret_limit)
{
    char *rest, *end;
    const double threshold_sec = strtod(text, &rest);
    const long limit = strtol(rest, &end, 10);

    if (rest == text || end == rest || *end || !(threshold_sec >= 0 && threshold_sec <= 1e9) ||
        limit < -1 || limit > INT32_MAX)
        return false;
    *ret_threshold_sec = threshold_sec;
    *ret_limit = (int32_t)limit;
    return true;
}

/* What chronyd is owed. A file of version 0.1.0 does not say what makestep was, nor if it changed.
 */
static struct restore saved_restore(
    const struct state_file *state, const struct recovery_config *config)
{
    const char *makestep = state_file_value(state, "put_back.makestep");
    struct restore restore = {.chronyd_id = hex_value(state, "put_back.chronyd")};

    if (!state_file_value_is(state, "put_back", "yes"))
        return restore;
    if (!makestep) {
        restore.makestep = config->step == RECOVERY_STEP_ALWAYS;
        restore.makestep_limit = config->makestep_limit;
        restore.makestep_threshold_sec = config->makestep_threshold_sec;
    } else if (parse_makestep(makestep, &restore.makestep_threshold_sec, &restore.makestep_limit)) {
        restore.makestep = true;
        restore.makestep_used = state_file_value_is(state, "put_back.makestep_used", "yes");
    }
    for (unsigned i = 0; i < state->n && restore.n_servers < RECOVERY_SERVERS_MAX; i++)
        if (strcmp(state->entries[i].key, "put_back.server") == 0 &&
            config_parse_server(state->entries[i].value, &restore.servers[restore.n_servers]))
            restore.n_servers++;
    restore.polls = restore.n_servers > 0;
    return restore;
}

struct tracker_saved state_file_saved(
    const struct state_file *state, const char *boot_id, const struct recovery_config *config)
{
    const char *boot = state_file_value(state, "boot_id");
    const char *marker = state_file_value(state, "confirmed_marker");
    const char *generation = state_file_value(state, "saved.vm_generation");
    const char *maintenance = state_file_value(state, "saved.maintenance");
    struct tracker_saved saved = {.valid = false};
    char *end;

    if (!boot || strcmp(boot, boot_id) != 0)
        return saved;
    saved.restore = saved_restore(state, config);
    saved.chronyd_id = hex_value(state, "chronyd.id");
    saved.chronyd_had_reference = state_file_value_is(state, "chronyd.had_reference", "yes");
    if (!marker)
        return saved;
    errno = 0;
    saved.confirmed_marker = strtoull(marker, &end, 16);
    saved.valid = errno == 0 && *end == '\0';
    if (!maintenance) { /* written by 0.1.0 */
        maintenance = state_file_value(state, "maintenance");
        generation = state_file_value(state, "vm_generation");
    }
    if (maintenance && strcmp(maintenance, "soon") == 0)
        saved.flags = VMCLOCK_FLAG_DISRUPTION_SOON;
    else if (maintenance && strcmp(maintenance, "imminent") == 0)
        saved.flags = VMCLOCK_FLAG_DISRUPTION_IMMINENT;
    if (generation) {
        saved.flags |= VMCLOCK_FLAG_VM_GENERATION_PRESENT;
        saved.vm_generation = strtoull(generation, NULL, 16);
    }
    return saved;
}

/* --- writing ------------------------------------------------------------------------------- */

static void put(struct state_file *state, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put(struct state_file *state, const char *key, const char *format, ...)
{
    va_list arguments;

    assert(state->n < STATE_ENTRIES_MAX);
    snprintf(state->entries[state->n].key, sizeof(state->entries[0].key), "%s", key);
    va_start(arguments, format);
    vsnprintf(state->entries[state->n].value, sizeof(state->entries[0].value), format, arguments);
    va_end(arguments);
    state->n++;
}

static void put_ms(struct state_file *s, const char *key, int64_t since_ns, int64_t at_ns)
{
    if (at_ns)
        put(s, key, "%.3f", (double)(at_ns - since_ns) / 1e6);
    else
        put(s, key, "%s", "");
}

/* A moment of CLOCK_MONOTONIC as a date, by the clock as it is now: corrected since, maybe. */
static void put_date(struct state_file *s, const char *key, int64_t at_ns)
{
    struct timespec now;
    int64_t ms;

    clock_gettime(CLOCK_REALTIME, &now);
    ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
         (system_clock_monotonic_ns() - at_ns) / 1000000;
    put(s, key, "%" PRId64 ".%03" PRId64, ms / 1000, ms % 1000);
}

/* What chronyd is owed, for the next start. */
static void put_restore(struct state_file *s, const struct restore *restore)
{
    char server[CONFIG_SERVER_MAX];

    put(s, "put_back", "%s", restore_is_pending(restore) ? "yes" : "no");
    if (!restore_is_pending(restore))
        return;
    put(s, "put_back.chronyd", "0x%" PRIx64, restore->chronyd_id);
    if (restore->makestep)
        put(s, "put_back.makestep", "%.9g %" PRId32, restore->makestep_threshold_sec,
            restore->makestep_limit);
    else
        put(s, "put_back.makestep", "none");
    put(s, "put_back.makestep_used", "%s", restore->makestep_used ? "yes" : "no");
    for (unsigned i = 0; restore->polls && i < restore->n_servers; i++) {
        config_server_str(&restore->servers[i], server, sizeof(server));
        put(s, "put_back.server", "%s", server);
    }
}

static void put_disruption(struct state_file *s, const struct tracker *t)
{
    if (t->host.disruption.at_ns == 0)
        return;
    put_date(s, "last_disruption.at", t->host.disruption.at_ns);
    put(s, "last_disruption.marker_before", "0x%" PRIx64, t->host.disruption.marker_before);
    put(s, "last_disruption.marker", "0x%" PRIx64, t->host.marker);
    put(s, "last_disruption.kind", "%s", disruption_kind_str(t->host.disruption.kind));
}

static void put_recovery(struct state_file *s, const struct tracker *t)
{
    const struct recovery *r = &t->recoveries.recovery;
    const enum recovery_corrector corrected_by = recovery_corrected_by(r);

    if (r->started_ns == 0 || t->config.dry_run) /* a dry run's is pretended */
        return;
    put_date(s, "last_recovery.at", r->started_ns);
    put(s, "last_recovery.started_ns", "%" PRId64, r->started_ns);
    put(s, "last_recovery.cause", "%s", recovery_cause_str(r->cause));
    put(s, "last_recovery.marker", "0x%" PRIx64, t->host.marker);
    put(s, "last_recovery.state", "%s", recovery_state_str(r->state));
    put(s, "last_recovery.outcome", "%s", recovery_outcome_str(r->outcome));
    put_ms(s, "last_recovery.reset_ms", r->started_ns, r->reset_ns);
    put_ms(s, "last_recovery.synchronised_ms", r->started_ns,
        r->outcome == RECOVERY_OUTCOME_SYNCHRONISED ? r->ended_ns : 0);
    if (corrected_by != RECOVERY_CORRECTOR_NONE)
        put(s, "last_recovery.corrected_by", "%s", recovery_corrector_str(corrected_by));
    if (corrected_by != RECOVERY_CORRECTOR_PAGE)
        return;
    put_ms(s, "last_recovery.corrected_ms", r->started_ns, r->corrected_ns);
    put(s, "last_recovery.corrected_ppm", "%.6f", 0 - r->rate_ppm);
    if (isnan(r->remaining_sec)) /* the rate alone */
        return;
    put(s, "last_recovery.corrected_ns", "%.0f", rint(r->offset_sec * 1e9) + 0.0);
    put(s, "last_recovery.remaining_ns", "%.0f", rint(r->remaining_sec * 1e9) + 0.0);
}

static const char *maintenance_str(const struct vmclock_page *page)
{
    return page_has(page, VMCLOCK_FLAG_DISRUPTION_IMMINENT) ? "imminent"
           : page_has(page, VMCLOCK_FLAG_DISRUPTION_SOON)   ? "soon"
                                                            : "none";
}

static const char *page_str(const struct tracker *t)
{
    return t->host.lost ? "the device is lost"
           : t->host.busy || (t->host.busy_since_ns && t->host.page.magic == 0)
               ? "the host is writing"
           : t->host.page_verdict == PAGE_OK ? clock_verdict_str(t->host.verdict)
                                             : page_verdict_str(t->host.page_verdict);
}

/* A time of CLOCK_MONOTONIC as one that has passed. */
static void put_age(struct state_file *s, const char *key, int64_t since_ns, int64_t now_ns)
{
    put(s, key, "%.3f", (double)(now_ns - since_ns) / 1e9);
}

/* What is on the page now; of one that cannot be seen what was on it, by other keys. */
static void put_page(struct state_file *s, const struct tracker *t, int64_t now_ns)
{
    const struct vmclock_page *page = &t->host.page;
    const bool seen = page->magic != 0;

    put(s, "page", "%s", page_str(t));
    if (t->host.known) {
        put(s, "saved.maintenance", "%s", maintenance_str(page));
        if (page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT))
            put(s, "saved.vm_generation", "0x%" PRIx64, page->vm_generation);
    }
    if (seen && !host_in_trouble(&t->host)) {
        put(s, "disruption_marker", "0x%" PRIx64, t->host.marker);
        put(s, "clock_status", "%s", page_clock_status_str(page->clock_status));
        if (page_has(page, VMCLOCK_FLAG_VM_GENERATION_PRESENT))
            put(s, "vm_generation", "0x%" PRIx64, page->vm_generation);
        put(s, "maintenance", "%s", maintenance_str(page));
    } else if (seen) {
        put(s, "last_known.disruption_marker", "0x%" PRIx64, t->host.marker);
        put(s, "last_known.clock_status", "%s", page_clock_status_str(page->clock_status));
        put_age(s, "last_known.page_age_s", t->host.good_ns, now_ns);
    }
}

static void put_offset(struct state_file *s, const struct tracker *t, int64_t now_ns)
{
    const int64_t fresh_ns = t->config.sample_interval_ns + FRESH_NS;
    const bool known = t->feeder.has_offset && now_ns - t->feeder.offset_ns <= fresh_ns;

    if (known)
        put(s, "offset_ns", "%" PRId64, t->feeder.offset.ns);
    if (known && t->feeder.offset.has_bound &&
        t->feeder.offset.bound_ns < INT64_MAX) /* it has saturated */
        put(s, "error_bound_ns", "%" PRIu64, t->feeder.offset.bound_ns);
    if (!known && t->feeder.offset_ns) {
        put(s, "last_known.offset_ns", "%" PRId64, t->feeder.offset.ns);
        put_age(s, "last_known.offset_age_s", t->feeder.offset_ns, now_ns);
    }
}

/* Why samples that a clock should have given are not sent. */
static const char *withheld_str(const struct tracker *t, int64_t now_ns)
{
    if (t->host.mode != TRACKER_MODE_CLOCK || t->stopping)
        return NULL;
    if (!t->host.has_time)
        return page_str(t);
    if (recovery_holds_samples(&t->recoveries.recovery))
        return "the clock is being corrected";
    if (t->feeder.withheld)
        return t->feeder.verdict == CLOCK_OK ? "their error bound is over max-error"
                                             : clock_verdict_str(t->feeder.verdict);
    return health_withheld_ns(&t->health, now_ns) ? "the page changes during each reading" : NULL;
}

static void put_samples(struct state_file *s, const struct tracker *t, int64_t now_ns)
{
    const char *withheld = withheld_str(t, now_ns);
    const bool tried = t->host.mode == TRACKER_MODE_CLOCK && !withheld;

    put(s, "samples_flow", "%s",
        t->feeder.flowing && tried && !t->feeder.error && !t->config.dry_run ? "yes" : "no");
    if (withheld)
        put(s, "samples_withheld", "%s", withheld);
    if (tried && t->feeder.error)
        put(s, "sock_error", "%s", strerror(t->feeder.error));
}

static void put_health(struct state_file *s, const struct tracker *t, int64_t now_ns)
{
    const struct {
        const char *key;
        int64_t ns;
    } reasons[] = {
        {"health.withheld_s", health_withheld_ns(&t->health, now_ns)},
        {"health.offset_s", health_offset_ns(&t->health)},
        {"health.reference_s", health_reference_ns(&t->health, now_ns)},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].ns)
            put(s, reasons[i].key, "%.3f", (double)reasons[i].ns / 1e9);
}

/* Of what it says nothing is known while it does not answer; a dry run does not ask it. */
static void put_chronyd(struct state_file *s, const struct tracker *t)
{
    char refid[9];

    put(s, "chronyd.id", "0x%" PRIx64, t->client.known.id);
    put(s, "chronyd.had_reference", "%s", t->client.known.had_reference ? "yes" : "no");
    if (t->config.dry_run)
        return;
    put(s, "chronyd.reachable", "%s", t->client.known.reachable ? "yes" : "no");
    put(s, "chronyd.silent", "%s", t->client.known.silent ? "yes" : "no");
    if (!t->client.known.reachable || !t->client.known.tracked)
        return;
    put(s, "chronyd.synchronised", "%s", t->client.known.synchronised ? "yes" : "no");
    journal_refid(t->client.known.refid, refid, sizeof(refid));
    if (t->client.known.refid)
        put(s, "chronyd.refid", "%s", refid);
}

void state_file_describe(const struct config *config, const struct tracker *tracker,
    const char *boot_id, bool running, struct state_file *ret_state)
{
    const struct tracker *t = tracker;
    struct state_file *s = ret_state;
    const struct tracker_saved saved = tracker_saved(t);
    char namespace[STATE_NAMESPACE_MAX];
    const int64_t now_ns = system_clock_monotonic_ns();
    struct timespec now;

    s->n = 0;
    clock_gettime(CLOCK_REALTIME, &now);
    state_file_pid_namespace(namespace);
    put(s, "version", "%s", VERSION);
    put(s, "boot_id", "%s", boot_id);
    if (saved.valid)
        put(s, "confirmed_marker", "0x%" PRIx64, saved.confirmed_marker);
    put_restore(s, &saved.restore);
    put(s, "pid", "%ld", (long)getpid());
    put(s, "pid_namespace", "%s", namespace);
    put(s, "running", "%s", running ? "yes" : "no");
    put(s, "dry_run", "%s", t->config.dry_run ? "yes" : "no");
    put(s, "updated", "%lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
    put(s, "updated_boottime_ns", "%" PRId64, system_clock_boottime_ns());
    put(s, "device", "%s", config->device);
    put(s, "sock", "%s", config->sock);
    put(s, "command_socket", "%s", config->command_socket);
    put(s, "refid", "%s", config->refid);
    put(s, "state", "%s", tracker_state_str(tracker_state(t)));
    if (t->host.mode != TRACKER_MODE_UNKNOWN)
        put(s, "mode", "%s", tracker_mode_str(t->host.mode));
    put_page(s, t, now_ns);
    put(s, "disruptions", "%" PRIu64, t->host.disruptions);
    put(s, "recoveries", "%" PRIu64, t->recoveries.count);
    put(s, "samples_sent", "%" PRIu64, t->feeder.sent);
    put(s, "contradictions", "%" PRIu64, t->host.contradictions);
    put_offset(s, t, now_ns);
    put_samples(s, t, now_ns);
    put_health(s, t, now_ns);
    put_disruption(s, t);
    put_recovery(s, t);
    put_chronyd(s, t);
    put(s, "end", "%s", "yes");
}

int state_file_write(const char *path, const struct state_file *state)
{
    char bytes[FILE_BYTES];
    size_t n = 0;

    for (unsigned i = 0; i < state->n; i++) {
        n += (size_t)snprintf(bytes + n, sizeof(bytes) - n, "%s = %s\n", state->entries[i].key,
            state->entries[i].value);
        if (n >= sizeof(bytes))
            return -E2BIG;
    }
    return replace_file(path, bytes, n);
}
