/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/status_report.h"

static json_t *json_value(const char *value, enum state_kind kind)
{
    if (!value)
        return json_null();
    switch (kind) {
    case STATE_INTEGER: return json_integer(strtoll(value, NULL, 10));
    case STATE_REAL: return json_real(strtod(value, NULL));
    case STATE_YES_NO: return json_boolean(strcmp(value, "yes") == 0);
    case STATE_TEXT: break;
    }
    return json_string(value);
}

static void append_warning(const char *text, void *context)
{
    json_array_append_new(context, json_string(text));
}

/* The name of the object that a member is in, and its own name there; empty: the whole. */
static const char *split(const char *key, char ret_object[STATE_KEY_MAX])
{
    const char *dot = strchr(key, '.');

    snprintf(ret_object, STATE_KEY_MAX, "%.*s", dot ? (int)(dot - key) : 0, key);
    return dot ? dot + 1 : key;
}

static void add_member(json_t *root, const struct state_key *key, const char *value)
{
    char name[STATE_KEY_MAX];
    const char *member = split(key->name, name);
    json_t *object = name[0] ? json_object_get(root, name) : root;

    if (!object) {
        object = json_object();
        json_object_set_new(root, name, object);
    }
    json_object_set_new(object, member, json_value(value, key->kind));
}

/* The objects of which what is vital is not known. */
static void drop_objects(json_t *root, const struct state_file *state)
{
    char name[STATE_KEY_MAX];

    for (size_t i = 0; i < state_n_keys; i++) {
        if (!state_keys[i].is_vital || state_file_value(state, state_keys[i].name))
            continue;
        split(state_keys[i].name, name);
        json_object_set_new(root, name, json_null());
    }
}

/* The dates as RFC 3339 beside the seconds that were there first; and how old all this is. */
static void add_times(json_t *root, const struct state_file *state)
{
    static const struct {
        const char *key, *object, *member;
    } dates[] = {{"updated", NULL, "updated_date"},
        {"last_disruption.at", "last_disruption", "date"},
        {"last_recovery.at", "last_recovery", "date"}};
    char text[FORMAT_MAX];

    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        json_t *object = dates[i].object ? json_object_get(root, dates[i].object) : root;
        const bool known = state_file_value(state, dates[i].key) != NULL;

        if (json_is_object(object))
            json_object_set_new(object, dates[i].member,
                known ? json_string(format_rfc3339(state_file_number(state, dates[i].key), text))
                      : json_null());
    }
    json_object_set_new(root, "age_s",
        state_file_value(state, "updated_boottime_ns") ? json_real(status_report_age(state))
                                                       : json_null());
}

json_t *status_report_json(
    const struct status_mistakes *mistakes, const struct state_file *state, const char *error)
{
    static const struct state_file nothing;
    const struct state_file *const known = error ? &nothing : state;
    json_t *root = json_object(), *list = json_array();

    for (size_t i = 0; i < state_n_keys; i++)
        if (state_keys[i].in_json)
            add_member(root, &state_keys[i], state_file_value(known, state_keys[i].name));
    drop_objects(root, known);
    add_times(root, known);
    json_object_set_new(root, "all_is_well", json_boolean(state_file_all_is_well(known)));
    json_object_set_new(root, "error", error ? json_string(error) : json_null());
    if (error && state->process > 0)
        json_object_set_new(root, "pid", json_integer(state->process));
    status_warnings(mistakes, known, error, append_warning, list);
    json_object_set_new(root, "warnings", list);
    return root;
}
