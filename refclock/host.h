/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page as the host shows it: whether it can be seen, its marker, and what it is good for as a
 * clock. A look yields news: a disruption, or a formula that has to be recovered from.
 */
#ifndef REFCLOCK_HOST_H
#define REFCLOCK_HOST_H

#include "refclock/cross_timestamp.h"
#include "refclock/formula.h"
#include "refclock/guarantee.h"
#include "refclock/reporter.h"

/* How the page looked. */
enum host_look {
    HOST_LOOK_NONE,    /* not looked at, or as before */
    HOST_LOOK_CHANGED, /* `page` and `verdict` are new */
    HOST_LOOK_BUSY,    /* the host is writing */
    HOST_LOOK_LOST,    /* the device is gone */
};

struct host_view {
    enum host_look look;
    int64_t now_ns;   /* CLOCK_MONOTONIC */
    uint64_t counter; /* with HOST_LOOK_CHANGED: at the look */
    const struct vmclock_page *page;
    enum page_verdict verdict;
    uint32_t seq_count; /* with HOST_LOOK_BUSY */
    int error;          /* errno, with HOST_LOOK_LOST */
    bool in_use;        /* a recovery corrects the clock by the page */
};

enum host_news {
    HOST_QUIET,
    HOST_FIRST_PAGE,
    HOST_DISRUPTED,
    HOST_UNRECOVERED,  /* the first page still has the marker that chronyd was not reset for */
    HOST_FORMULA_LATE, /* the clock was corrected by the old host's formula */
};

/* What a change of the marker was, by the VM generation, which a migration leaves alone. */
enum disruption_kind {
    DISRUPTION_UNKNOWN, /* the host gives no generation, or it was not seen before */
    DISRUPTION_MIGRATION,
    DISRUPTION_RESTORE,
};

struct host {
    struct vmclock_page page;
    enum page_verdict page_verdict; /* of the last look */
    bool known;                     /* `page` was valid once, or is of the last start */
    bool lost, busy;                /* the device is gone; the host has been writing for 100 ms */
    int64_t good_ns;                /* CLOCK_MONOTONIC, when it was last seen without trouble */
    int64_t busy_since_ns;          /* 0: not busy */
    uint64_t marker;
    bool unrecovered; /* until the first page: chronyd is not reset for this marker */
    struct {
        int64_t at_ns; /* CLOCK_MONOTONIC, when it was seen; 0: there was none */
        uint64_t marker_before;
        enum disruption_kind kind;
    } disruption; /* the last one */
    uint64_t disruptions, generation_changes;

    enum tracker_mode mode;
    enum clock_verdict verdict; /* of the page as a clock */
    bool has_time, has_period;  /* what of `model` can be relied on now */
    struct clock_model model;
    struct formula formula;
    struct guarantee guarantee; /* of this host's pages together */
    uint64_t contradictions;    /* of that */
};

/* No page was seen yet. */
void host_init(struct host *h);

/*
 * What the last page before the start had. `unrecovered`: a reset of chronyd for that marker was
 * not confirmed.
 */
void host_remember(
    struct host *h, uint64_t marker, bool unrecovered, uint64_t flags, uint64_t vm_generation);

/* What was counted before the start. */
void host_remember_counts(
    struct host *h, uint64_t disruptions, uint64_t generation_changes, uint64_t contradictions);

/* Take what a look at the page has brought; changes are reported. What it means for recoveries. */
enum host_news host_see(struct host *h, struct reporter *reporter,
    const struct clock_reader *reader, const struct host_view *view);

/* A recovery begins by its formula; `trusted`: what has moved is followed. */
void host_recovered(struct host *h, bool trusted);

/* A recovery goes on without knowing whose formula it is. */
void host_is_late(struct host *h);

/* The page cannot be seen: what is known of it is what it was. */
bool host_in_trouble(const struct host *h);

/* It can be read now, and is not being written. */
bool host_is_readable(const struct host *h);

/* What a reading of CLOCK_REALTIME says by the page, or why it says nothing. */
enum clock_verdict host_offset(const struct host *h, const struct cross_timestamp *reading,
    int kernel_tai, int64_t now_ns, struct offset *ret_offset);

/* What it is good for in a recovery. */
enum recovery_page host_grade(const struct host *h, bool correct_frequency);

/* The page gives a time or a period that may be the old host's. */
bool host_is_unproven(const struct host *h, enum recovery_page grade);

/* "migration", "restore" or "unknown". */
const char *disruption_kind_str(enum disruption_kind kind);

#endif
