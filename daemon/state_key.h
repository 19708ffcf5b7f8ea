/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of the state file: where each is taken from, when it is known, and where else it is
 * seen. A new figure is one line of the table, and one in vmclockctl(8): the state file has it then
 * and, where the line says so, JSON, a line of its own in status, the metrics, and watch.
 */
#ifndef DAEMON_STATE_KEY_H
#define DAEMON_STATE_KEY_H

#include "daemon/config.h"
#include "daemon/system_clock.h"

#define STATE_KEY_MAX   40  /* bytes of a name, */
#define STATE_VALUE_MAX 768 /* and of a value: a path, or the addresses of all servers of boost */

/* What is known beside the tracker. */
struct state_marks {
    bool running;                             /* false: the last state of this process */
    bool clockbound_taken;                    /* another program writes that segment */
    bool config_rejected;                     /* at the last reload */
    struct clock_moment disrupted, recovered; /* when the last ones began */
};

/* What the keys are taken from. */
struct state_source {
    const struct config *config;
    const struct tracker *tracker;
    struct tracker_saved saved;
    const char *boot_id, *pid_namespace;
    struct state_marks marks;
    int64_t now_ns; /* CLOCK_MONOTONIC */
    size_t offset;  /* of the key's field */
    unsigned index; /* of a key that repeats: which one */
};

enum state_kind {
    STATE_TEXT, /* a word, a path, hexadecimal digits */
    STATE_INTEGER,
    STATE_REAL,
    STATE_YES_NO,
};

enum state_metric_type {
    STATE_METRIC_NONE,
    STATE_METRIC_LABEL,    /* of vmclockd_info, by the key's name */
    STATE_METRIC_PRESENCE, /* 1 if the key is there, 0 if it is not */
    STATE_METRIC_CHOICE,   /* a series for each value, of which the present one's is 1 */
    STATE_METRIC_COUNTER,
    STATE_METRIC_GAUGE,
};

struct state_metric {
    enum state_metric_type type;
    const char *name, *help;
    double scale;      /* of a number, to base units; a yes is 1 */
    const char *label; /* of a choice, and its values */
    const char *values[8];
};

/* With what watch tells that the value has changed. */
enum state_news {
    STATE_NEWS_NONE,
    STATE_NEWS_DISRUPTION, /* right after it: what it was */
    STATE_NEWS_HOST,
    STATE_NEWS_DAEMON, /* after those of the recovery, of chronyd and of the samples */
};

struct state_key {
    const char *name;
    enum state_kind kind;
    /* Write the value, of STATE_VALUE_MAX bytes. */
    void (*take)(const struct state_source *source, char *ret_value);
    size_t offset; /* of the field in struct tracker or struct config, where `take` takes one */
    /* Whether there is a value; without one the key is left out. NULL: always. */
    bool (*is_known)(const struct state_source *source);
    bool repeats; /* the key stands once for each index that is known */

    bool in_json;      /* null without a value; a dot makes an object within the object */
    bool is_vital;     /* without it the object within the object is null */
    const char *label; /* of its line in the text of status; NULL: others tell of it, or nothing */
    struct state_metric metric;
    enum state_news news;
    const char *event;  /* the name of the news, which is "old -> new" */
    bool is_news_alone; /* the new value tells enough */
};

extern const struct state_key state_keys[];
extern const size_t state_n_keys;

#endif
