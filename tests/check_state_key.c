/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the state file's keys is one that all its readers can go by. */
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

#include "daemon/state_file.h"
#include "tests/virtual.h"

static bool is_before(const char *text, size_t i, const char *(*text_of)(size_t i))
{
    for (size_t k = 0; k < i; k++)
        if (text_of(k) && strcmp(text_of(k), text) == 0)
            return true;
    return false;
}

static const char *name_of(size_t i)
{
    return state_keys[i].name;
}

static const char *metric_of(size_t i)
{
    return state_keys[i].metric.name;
}

static const char *event_of(size_t i)
{
    return state_keys[i].event;
}

START_TEST(each_key_metric_and_event_stands_once)
{
    static const char *(*const names[])(size_t i) = {name_of, metric_of, event_of};

    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        for (size_t i = 0; i < state_n_keys; i++)
            ck_assert_msg(!names[n](i) || !is_before(names[n](i), i, names[n]), "%s stands twice",
                names[n](i) ? names[n](i) : "");
}
END_TEST

START_TEST(a_file_of_all_keys_has_room_and_ends_with_its_end)
{
    ck_assert_uint_le(state_n_keys + RECOVERY_SERVERS_MAX, STATE_ENTRIES_MAX);
    ck_assert_str_eq(state_keys[state_n_keys - 1].name, "end");
    ck_assert(!state_keys[state_n_keys - 1].is_known);
    for (size_t i = 0; i < state_n_keys; i++)
        ck_assert_uint_lt(strlen(state_keys[i].name), STATE_KEY_MAX);
}
END_TEST

START_TEST(a_metric_has_what_it_is_printed_with)
{
    for (size_t i = 0; i < state_n_keys; i++) {
        const struct state_metric *m = &state_keys[i].metric;
        const bool counts = m->type == STATE_METRIC_COUNTER, named = m->type > STATE_METRIC_LABEL;

        ck_assert_msg(named == (m->name && m->help), "%s", state_keys[i].name);
        if (!named)
            continue;
        ck_assert_int_eq(strncmp(m->name, "vmclockd_", 9), 0);
        ck_assert_int_eq(counts, strcmp(m->name + strlen(m->name) - 6, "_total") == 0);
        ck_assert_int_eq(counts || m->type == STATE_METRIC_GAUGE, m->scale > 0);
        ck_assert_int_eq(m->type == STATE_METRIC_CHOICE, m->label && m->values[0]);
    }
}
END_TEST

static bool has_value(const char *metric, const char *value)
{
    for (size_t i = 0; i < state_n_keys; i++)
        if (metric_of(i) && strcmp(metric_of(i), metric) == 0)
            for (const char *const *v = state_keys[i].metric.values; *v; v++)
                if (strcmp(*v, value) == 0)
                    return true;
    return false;
}

START_TEST(a_choice_has_every_word_that_the_key_can_have)
{
    for (unsigned i = 0; i <= TRACKER_HOLDOVER; i++)
        ck_assert(has_value("vmclockd_state", tracker_state_str(i)));
    ck_assert(has_value("vmclockd_mode", tracker_mode_str(TRACKER_MODE_MARKER_ONLY)));
    ck_assert(has_value("vmclockd_mode", tracker_mode_str(TRACKER_MODE_CLOCK)));
    for (uint8_t i = 0; strcmp(page_clock_status_str(i), "invalid") != 0; i++)
        ck_assert(has_value("vmclockd_host_clock_status", page_clock_status_str(i)));
    ck_assert(!has_value("vmclockd_state", tracker_state_str(TRACKER_HOLDOVER + 1)));
}
END_TEST

static const struct state_key *key_of(const char *name)
{
    for (size_t i = 0; i < state_n_keys; i++)
        if (strcmp(state_keys[i].name, name) == 0)
            return &state_keys[i];
    return NULL;
}

/* Of a machine that has just migrated: in the order of the table, and nothing that is not in it. */
START_TEST(a_description_follows_the_table)
{
    static struct virtual_machine vm;
    static struct config config;
    static struct state_file state;
    struct tracker_config tracker;
    const struct state_key *last = state_keys;

    virtual_config(&tracker);
    virtual_init(&vm, 1);
    virtual_start(&vm, &tracker, (struct tracker_saved){.valid = false});
    virtual_run(&vm, 5 * VIRTUAL_SEC);
    virtual_migrate(&vm, 0.005, 20);
    virtual_run(&vm, VIRTUAL_SEC);
    state_file_describe(&config, &vm.tracker, "boot", &(struct state_marks){.running = true}, &state);
    ck_assert_uint_gt(state.n, 40);
    for (unsigned i = 0; i < state.n; i++) {
        const struct state_key *key = key_of(state.entries[i].key);

        ck_assert_msg(key && key >= last, "%s", state.entries[i].key);
        last = key;
        if (key->kind == STATE_YES_NO)
            ck_assert_msg(strcmp(state.entries[i].value, "yes") == 0 ||
                              strcmp(state.entries[i].value, "no") == 0,
                "%s = %s", key->name, state.entries[i].value);
        else if (key->kind != STATE_TEXT)
            ck_assert_msg(
                strspn(state.entries[i].value, "-.0123456789") == strlen(state.entries[i].value),
                "%s = %s", key->name, state.entries[i].value);
    }
}
END_TEST

START_TEST(each_server_of_boost_is_shown_whole)
{
    static const char longest[] = "2001:db8:1111:2222:3333:4444:5555:66";
    static struct config config;
    static struct tracker tracker;
    static struct state_file state;
    struct recovery_config *recovery = &tracker.config.recovery;
    const char *at;
    char line[64];

    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++) {
        snprintf(line, sizeof(line), "%s%02u 4 6", longest, 10 + i);
        ck_assert(config_parse_server(line, &recovery->servers[i]));
    }
    recovery->n_servers = RECOVERY_SERVERS_MAX;
    state_file_describe(&config, &tracker, "boot", &(struct state_marks){.running = true}, &state);
    at = state_file_value(&state, "boost");
    ck_assert_ptr_nonnull(at);
    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++, at += strlen(line)) {
        snprintf(line, sizeof(line), "%s%02u%s", longest, 10 + i,
            i < RECOVERY_SERVERS_MAX - 1 ? ", " : "");
        ck_assert_msg(strncmp(at, line, strlen(line)) == 0, "%s", at);
    }
    ck_assert_str_eq(at, "");
}
END_TEST

RUN_SUITE("state key", each_key_metric_and_event_stands_once,
    a_file_of_all_keys_has_room_and_ends_with_its_end, a_metric_has_what_it_is_printed_with,
    a_choice_has_every_word_that_the_key_can_have, a_description_follows_the_table,
    each_server_of_boost_is_shown_whole)
