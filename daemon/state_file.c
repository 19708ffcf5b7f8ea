/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/state_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/replace_file.h"
#include "daemon/state_key.h"
#include "daemon/system_clock.h"

#define BOOT_ID    "/proc/sys/kernel/random/boot_id"
#define FILE_BYTES 16384

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

const char *state_file_text(const struct state_file *state, const char *key)
{
    const char *value = state_file_value(state, key);

    return value ? value : "unknown";
}

double state_file_number(const struct state_file *state, const char *key)
{
    const char *value = state_file_value(state, key);

    return value ? strtod(value, NULL) : 0;
}

bool state_file_is_blind(const struct state_file *state)
{
    return !state_file_value(state, "disruption_marker");
}

bool state_file_all_is_well(const struct state_file *state)
{
    return (state_file_value_is(state, "state", "feeding") ||
               state_file_value_is(state, "state", "watching")) &&
           state_file_value_is(state, "chronyd.synchronised", "yes") &&
           !state_file_value(state, "sock_error") &&
           !state_file_value(state, "health.withheld_s") &&
           !state_file_value(state, "health.offset_s") &&
           !state_file_value(state, "health.reference_s") &&
           !state_file_value(state, "health.unconfirmed");
}

static uint64_t hex_value(const struct state_file *state, const char *key)
{
    const char *value = state_file_value(state, key);

    return value ? strtoull(value, NULL, 16) : 0;
}

static uint64_t count_value(const struct state_file *state, const char *key)
{
    const char *value = state_file_value(state, key);

    return value ? strtoull(value, NULL, 10) : 0;
}

/* "THRESHOLD LIMIT", as the key put_back.makestep has it. */
static bool parse_makestep(const char *text, double *ret_threshold_sec, int32_t *ret_limit)
{
    char *rest, *end;
    const double threshold_sec = strtod(text, &rest);
    const long limit = strtol(rest, &end, 10);

    if (rest == text || end == rest || *end || isnan(threshold_sec) || limit < -1 ||
        limit > INT32_MAX)
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

static bool parse_marker(const char *text, uint64_t *ret_marker)
{
    char *end;

    errno = 0;
    *ret_marker = strtoull(text, &end, 16);
    return errno == 0 && *end == '\0';
}

struct tracker_saved state_file_saved(
    const struct state_file *state, const char *boot_id, const struct recovery_config *config)
{
    const char *boot = state_file_value(state, "boot_id");
    const char *confirmed = state_file_value(state, "confirmed_marker");
    const char *marker = state_file_value(state, "saved.marker");
    const char *generation = state_file_value(state, "saved.vm_generation");
    const char *maintenance = state_file_value(state, "saved.maintenance");
    struct tracker_saved saved = {.valid = false};

    if (!boot || strcmp(boot, boot_id) != 0)
        return saved;
    saved.restore = saved_restore(state, config);
    saved.chronyd_id = hex_value(state, "chronyd.id");
    saved.chronyd_had_reference = state_file_value_is(state, "chronyd.had_reference", "yes");
    saved.ptp.id = hex_value(state, "ptp.id");
    saved.ptp.good_for_sec = state_file_number(state, "ptp.good_for_ns") * 1e-9;
    if (!(saved.ptp.good_for_sec >= 0 && saved.ptp.good_for_sec <= 0.1))
        saved.ptp.id = 0;
    saved.counts.disruptions = count_value(state, "disruptions");
    saved.counts.recoveries = count_value(state, "recoveries");
    saved.counts.recoveries_failed = count_value(state, "recoveries_failed");
    saved.counts.generation_changes = count_value(state, "generation_changes");
    saved.counts.samples_sent = count_value(state, "samples_sent");
    saved.counts.contradictions = count_value(state, "contradictions");
    if (!confirmed)
        return saved;
    saved.unconfirmed = state_file_value_is(state, "saved.unconfirmed", "yes");
    saved.valid = parse_marker(confirmed, &saved.confirmed_marker) &&
                  parse_marker(marker ? marker : confirmed, &saved.marker);
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

/* One key, each of its values. */
static void describe_key(
    const struct state_key *key, struct state_source *source, struct state_file *state)
{
    source->offset = key->offset;
    for (source->index = 0; !key->is_known || key->is_known(source); source->index++) {
        assert(state->n < STATE_ENTRIES_MAX);
        snprintf(state->entries[state->n].key, sizeof(state->entries[0].key), "%s", key->name);
        key->take(source, state->entries[state->n].value);
        state->n++;
        if (!key->repeats)
            break;
    }
}

void state_file_describe(const struct config *config, const struct tracker *tracker,
    const char *boot_id, const struct state_marks *marks, struct state_file *ret_state)
{
    char namespace[STATE_NAMESPACE_MAX];
    struct state_source source = {.config = config,
        .tracker = tracker,
        .saved = tracker_saved(tracker),
        .boot_id = boot_id,
        .pid_namespace = namespace,
        .marks = *marks,
        .now_ns = system_clock_monotonic_ns()};

    state_file_pid_namespace(namespace);
    ret_state->n = 0;
    for (size_t i = 0; i < state_n_keys; i++)
        describe_key(&state_keys[i], &source, ret_state);
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
