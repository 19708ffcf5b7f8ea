/* SPDX-License-Identifier: BSD-2-Clause */
/* A state file, and the tracker that starts with what it says. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/state_file.h"
#include "tests/fuzz/fuzz.h"

#define BOOT_ID "6fd2a7f2-b48c-4aaa-9a3f-c1a6b4f0a7c1"

static void check_entries(const struct state_file *state)
{
    must(state->n >= 1 && state->n <= STATE_ENTRIES_MAX);
    for (unsigned i = 0; i < state->n; i++) {
        const char *key = state->entries[i].key;

        must(memchr(key, '\0', sizeof(state->entries[i].key)));
        must(memchr(state->entries[i].value, '\0', sizeof(state->entries[i].value)));
        must(key[0]);
        must(!state_file_value(state, key) || state_file_value(state, key)[0]);
    }
    must(!state_file_value(state, "a key\nof two lines"));
}

static void start_tracker(const struct tracker_saved *saved)
{
    static const struct tracker_config config = {
        .reader = {.counter = VMCLOCK_COUNTER_X86_TSC},
        .watch_interval_ns = 10000000,
        .sample_interval_ns = 50000000,
    };
    const struct vmclock_page page = {
        .magic = VMCLOCK_MAGIC,
        .size = 4096,
        .version = VMCLOCK_VERSION,
        .counter_id = VMCLOCK_COUNTER_NONE,
        .disruption_marker = 7,
    };
    const struct observation seen = {
        .now_ns = 1000000000, .look = HOST_LOOK_CHANGED, .page = &page, .page_verdict = PAGE_OK};
    static struct tracker tracker;
    static struct tracker_orders orders;

    tracker_init(&tracker, &config, saved, 1, 1000000000);
    tracker_step(&tracker, &seen, &orders);
    must(tracker.host.disruptions ==
         saved->counts.disruptions + (saved->valid && saved->marker != 7));
    must(!restore_is_pending(&tracker.restore) || restore_is_pending(&saved->restore));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("state", MFD_CLOEXEC);
    static const struct recovery_config config = {.makestep_limit = 3};
    static struct state_file state;
    struct tracker_saved saved;
    char path[32];
    int r;

    must(fd >= 0);
    must(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = state_file_read(path, &state);
    close(fd);
    must(r == 0 || r == -EBADMSG);
    if (r < 0)
        return 0;
    check_entries(&state);
    must(state_file_value(&state, "end"));

    must(state_file_value_is(&state, "boot_id", "another boot") ||
         !state_file_saved(&state, "another boot", &config).valid);
    saved = state_file_saved(&state, BOOT_ID, &config);
    if (saved.valid) {
        must(strcmp(state_file_value(&state, "boot_id"), BOOT_ID) == 0);
        must(state_file_value(&state, "confirmed_marker"));
    }
    start_tracker(&saved);
    return 0;
}
