/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A walk through every state that a recovery can get into.
 *
 * A node is all that a `struct recovery` remembers and that can make a difference, beside one of
 * eight configurations: each step policy, with servers to boost and a burst, and without; and two
 * of them once more, with fewer figures, for the refinements and the PTP clock. What is
 * numeric is reduced to that difference: a time to whether it has passed, an offset, a rate or a
 * correction to one for each side of each limit. An edge is whatever may happen next:
 *
 *     a step, by each event (reply, refusal, silence, a late reply, chronyd gone, or time alone),
 *             page, offset, rate and correction that can matter in that state
 *     a new recovery begins, at once or after a pause, with or without the reset of the one before
 *             still unread
 *     time passes: since the start, the reset, the release of samples, the start of a slew and that
 *             of the first
 *     the configuration becomes any of the other five (`walk_recovery reload` only)
 *
 * It begins where no recovery ever ran, calls recovery_step() for each edge, adds the nodes that
 * are new, and ends when there are none: four million of them, by seven hundred million steps. With
 * reloads they are forty million, by fifty thousand million steps.
 *
 * Beside the recovery walks a witness, which knows only what chronyd was sent and what came back:
 * which commands may or may not have been carried out, whether chronyd is slewing, whether it has
 * forgotten what it knew. After each step it must be true that:
 *
 *  - Something is awaited: a reply, a measurement or a time ahead. It never hangs and never spins.
 *  - No DFREQ, DOFFSET2 or MAKESTEP is sent while one of them may or may not have been carried out,
 *    none by another figure than was measured just now, and none beyond a configured limit.
 *  - No step goes back where that is not allowed. makestep, servers and bursts are left alone where
 *    the configuration, or the start of chronyd, asks for that.
 *  - Samples are held back while the clock is being corrected, and while the page may be the old
 *    host's and has not been waited for; but not for a chronyd that cannot be told.
 *  - The phases follow each other, and each sends few commands, whatever is answered.
 *  - A confirmed reset is claimed where chronyd has forgotten, and only there.
 *
 * From each node the way out is walked as well: with a chronyd that answers, whatever the page and
 * the measurements, the recovery ends in time, and says how.
 *
 * So it finds a reply that a state has no answer to, a loop that only a rare order of losses leads
 * into, a command that is carried out twice, and a limit that one path goes around; it prints the
 * shortest way there. It does not see what is wrong in the same way in the recovery and in the
 * rules here, nor what depends on how large a number is within its side of a limit: the tracker's
 * tests at random (check_tracker_random.c) and the fuzzer (fuzz/fuzz_tracker.c) go there.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refclock/recovery.h"

#define MS        INT64_C(1000000)
#define SECOND    (1000 * MS)
#define NOW       (100000 * SECOND)
#define SLEW_RATE 0.083333 /* chronyd's */
#define SHORT_SEC 1e-6     /* a step forward stops short by that much */

enum { AGE_NEW, AGE_RATE_LATE, AGE_HOST_LATE, AGE_SYNC_LATE, AGES };
static const int64_t ages_ns[] = {SECOND / 2, 3 * SECOND, 20 * SECOND, 100 * SECOND};

enum { NOT, NEW, RECENT, OLD, LATE }; /* under 1.5 s, under 5 s, 5 to 60 s, over 60 s ago */
static const int64_t since_ns[] = {0, SECOND / 4, 3 * SECOND, 10 * SECOND, 80 * SECOND};

enum { SLEW_NEW, SLEW_LATE }; /* before, and after what one takes */
static const int64_t slew_ages_ns[] = {SECOND / 5, 55 * SECOND};

enum { SLEWS_NONE, SLEWS_NEW, SLEWS_HELD }; /* how long ago the first began: over a minute */
static const int64_t slews_ages_ns[] = {0, 58 * SECOND, 70 * SECOND};

static const double offsets[] = {
    NAN, 20e-9, 100e-9, -100e-9, 1.5e-6, -1.5e-6, 1e-3, 5e-3, -5e-3, 20, -20};
static const struct {
    double ppm, doubt_ppm;
} rates[] = {{NAN, NAN}, {1e-4, 0}, {50, 0}, {-2000, 0}, {50, 1}, {5, 4}}; /* NAN: not known */
static const double corrections[] = {NAN, 0, 5e-3}; /* NAN: chronyd does not say */
#define N_OFFSETS     (sizeof(offsets) / sizeof(offsets[0]))
#define N_RATES       (sizeof(rates) / sizeof(rates[0]))
#define N_CORRECTIONS (sizeof(corrections) / sizeof(corrections[0]))

enum { REFINE_NONE, REFINE_LATER, REFINE_DUE };
static const int64_t refine_ages_ns[] = {SECOND / 4, 3 * SECOND, 10 * SECOND}; /* NEW to OLD */

/* A page, and whether it may be the old host's: that is asked only of one with a time. */
static const struct {
    enum recovery_page page;
    bool unproven, is_ptp;
} pages[] = {
    {RECOVERY_PAGE_MARKER_ONLY, false, false},
    {RECOVERY_PAGE_NOT_YET, false, false},
    {RECOVERY_PAGE_PERIOD, false, false},
    {RECOVERY_PAGE_TIME, false, false},
    {RECOVERY_PAGE_TIME, true, false},
    {RECOVERY_PAGE_FULL, false, false},
    {RECOVERY_PAGE_FULL, true, false},
    {RECOVERY_PAGE_FULL, false, true},
};
#define N_PAGES (sizeof(pages) / sizeof(pages[0]))

enum { DFREQ = 1, DOFFSET2 = 2, MAKESTEP = 4 };

struct node {
    uint8_t config, state, cause, probe_for, page_grade, outcome;
    uint8_t sent, measuring, away, exact_unavailable, cannot_step;
    uint8_t had_reference, reset_confirmed, reset_assumed, mute, released;
    uint8_t round, unanswered_resets, unanswered_in_all, server, failures;
    uint8_t remaining, last_offset_slews, waits, age, reset_age, slew_age, slews_age;
    uint8_t source, offset_sent, refining, refine_due, refine_age;
    /* The witness. */
    uint8_t unanswered;     /* of DFREQ, DOFFSET2, MAKESTEP: may or may not have been carried out */
    uint8_t slewing;        /* a DOFFSET2 was, or may have been, and nothing has ended it */
    uint8_t steps_forward;  /* a MAKESTEP now can only put the clock forward */
    uint8_t chronyd_forgot; /* RESET_SOURCES was confirmed in this recovery */
    uint8_t phase, sends;   /* commands but TRACKING since this phase began */
};

struct edge {
    enum {
        BEGIN,
        TIME_START,
        TIME_RESET,
        TIME_RELEASED,
        TIME_WAIT,
        TIME_SLEW,
        TIME_SLEWS,
        TIME_REFINE,
        TIME_REFINED,
        RELOAD,
        STEP
    } kind;
    enum recovery_cause cause;
    enum recovery_event event;
    uint8_t page, offset, rate, correction;
    bool waits, measured, awaits, synchronised, has_reference;
};

static struct node *nodes;
static struct edge *edges; /* by which each was first reached */
static size_t *parents;
static size_t n_nodes, n_room;
static uint32_t *table; /* index + 1 */
static size_t table_size;
static uint64_t n_steps;
static struct recovery_config configs[8], config; /* all there are, and that of `here` */
#define N_CONFIGS (sizeof(configs) / sizeof(configs[0]))
#define N_WHOLE   6  /* the others are walked for the refinements, with fewer figures */
static bool reloads; /* from each configuration to each; otherwise each has a walk of its own */
static size_t here;  /* the node that is being left */
static struct edge by;

/* --- telling what went wrong ------------------------------------------------------------------ */

static const char *const event_names[] = {
    "tick", "ok", "invalid", "refused", "silence", "late reset", "gone"};

static void print_edge(const struct edge *e)
{
    switch (e->kind) {
    case BEGIN:
        printf("a %s begins%s", recovery_cause_str(e->cause), e->waits ? ", later" : "");
        break;
    case TIME_START: printf("time passes since the start"); break;
    case TIME_RESET: printf("time passes since the reset"); break;
    case TIME_RELEASED: printf("time passes since samples were allowed"); break;
    case TIME_WAIT: printf("the wait is over"); break;
    case TIME_SLEW: printf("time passes since the slew began"); break;
    case TIME_SLEWS: printf("time passes since the first slew began"); break;
    case TIME_REFINE: printf("time passes since the correction began"); break;
    case TIME_REFINED: printf("it is time to refine the correction"); break;
    case RELOAD: printf("the configuration is read again"); break;
    case STEP:
        printf("%s, page %d%s", event_names[e->event], (int)pages[e->page].page,
            pages[e->page].unproven ? " unproven" : "");
        printf(", %g +- %g ppm", rates[e->rate].ppm, rates[e->rate].doubt_ppm);
        if (e->measured)
            printf(", measured %g s", offsets[e->offset]);
        if (e->synchronised || e->has_reference)
            printf(", %s", e->synchronised ? "synchronised" : "has a reference");
        printf(", %g s to slew", corrections[e->correction]);
        break;
    }
}

static void print_path(size_t i)
{
    if (i != parents[i])
        print_path(parents[i]);
    if (i > 0) {
        printf("  ");
        print_edge(&edges[i]);
    }
    printf(" -> %s%s, configuration %u\n", recovery_state_str((enum recovery_state)nodes[i].state),
        nodes[i].sent ? ", sent" : "", nodes[i].config);
}

static void broken(const char *what)
{
    printf("step %d, %u servers, burst %d: %s\n", (int)config.step, config.n_servers,
        (int)config.burst_total, what);
    print_path(here);
    printf("  ");
    print_edge(&by);
    printf("\n");
    exit(EXIT_FAILURE);
}

#define must(condition, what)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            broken(what);                                                                          \
    } while (0)

/* --- nodes ------------------------------------------------------------------------------------ */

/* What is for the report only is given as NAN, so that a decision by it is found. */
static struct recovery concrete(const struct node *n)
{
    struct recovery r = {
        .state = (enum recovery_state)n->state,
        .cause = (enum recovery_cause)n->cause,
        .probe_for = (enum recovery_state)n->probe_for,
        .page_grade = (enum recovery_page)n->page_grade,
        .outcome = (enum recovery_outcome)n->outcome,
        .sent = n->sent,
        .measuring = n->measuring,
        .away = n->away,
        .exact_unavailable = n->exact_unavailable,
        .cannot_step = n->cannot_step,
        .had_reference = n->had_reference,
        .reset_confirmed = n->reset_confirmed,
        .reset_assumed = n->reset_assumed,
        .mute = n->mute,
        .round = n->round,
        .unanswered_resets = n->unanswered_resets,
        .unanswered = n->unanswered_in_all,
        .server = n->server,
        .failures = n->failures,
        .last_offset_slews = n->last_offset_slews,
        .wait_until_ns = n->waits ? NOW + SECOND / 10 : 0,
        .started_ns = NOW - ages_ns[n->age],
        .reset_ns = n->reset_age ? NOW - since_ns[n->reset_age] : 0,
        .released_ns = n->released ? NOW - since_ns[n->released] : 0,
        .slew_since_ns = NOW - slew_ages_ns[n->slew_age],
        .first_slew_ns = n->slews_age ? NOW - slews_ages_ns[n->slews_age] : 0,
        .rate_ppm = NAN,
        .offset_sec = NAN,
        .remaining_sec = offsets[n->remaining],
        .source = (enum recovery_corrector)n->source,
        .offset_sent = n->offset_sent,
        .refinement.runs = n->refining,
        .refinement.since_ns = NOW - refine_ages_ns[n->refine_age],
        .refinement.due_ns = n->refine_due == REFINE_NONE  ? 0
                             : n->refine_due == REFINE_DUE ? NOW - MS
                                                           : NOW + SECOND / 20,
    };

    return r;
}

static uint8_t index_of_offset(double sec)
{
    for (size_t i = 1; i < N_OFFSETS; i++)
        if (offsets[i] == sec)
            return (uint8_t)i;
    must(isnan(sec), "an offset that was not measured is believed");
    return 0;
}

static uint8_t since(int64_t ns)
{
    return ns == 0                     ? NOT
           : NOW - ns < 3 * SECOND / 2 ? NEW
           : NOW - ns < 5 * SECOND     ? RECENT
           : NOW - ns < 60 * SECOND    ? OLD
                                       : LATE;
}

static void abstract(const struct recovery *r, struct node *n)
{
    const int64_t age_ns = NOW - r->started_ns;

    n->state = (uint8_t)r->state;
    n->cause = (uint8_t)r->cause;
    n->probe_for = r->state == RECOVERY_PROBE ? (uint8_t)r->probe_for : 0;
    n->page_grade = (uint8_t)r->page_grade;
    n->outcome = (uint8_t)r->outcome;
    n->sent = r->sent;
    n->measuring = r->measuring;
    n->away = r->away;
    n->exact_unavailable = r->exact_unavailable;
    n->cannot_step = r->cannot_step;
    n->had_reference = r->had_reference;
    n->reset_confirmed = r->reset_confirmed;
    n->reset_assumed = r->reset_assumed;
    n->mute = r->mute && r->state != RECOVERY_IDLE;
    n->released = since(r->released_ns);
    n->round = (uint8_t)r->round;
    n->unanswered_resets = (uint8_t)r->unanswered_resets;
    n->unanswered_in_all = (uint8_t)r->unanswered;
    n->server = (uint8_t)r->server;
    n->failures = (uint8_t)r->failures;
    if (r->state == RECOVERY_AWAIT_SYNC) /* it only makes the wait longer */
        n->failures = r->failures > 0;
    n->remaining = index_of_offset(r->remaining_sec);
    n->last_offset_slews = r->last_offset_slews;
    n->waits = r->wait_until_ns > NOW;
    n->age = age_ns < ages_ns[1] / 2       ? AGE_NEW
             : age_ns < ages_ns[2] / 4     ? AGE_RATE_LATE
             : age_ns < ages_ns[3] / 5 * 3 ? AGE_HOST_LATE
                                           : AGE_SYNC_LATE;
    n->reset_age = since(r->reset_ns);
    n->slew_age = r->state != RECOVERY_SLEW              ? SLEW_NEW
                  : NOW - r->slew_since_ns < 10 * SECOND ? SLEW_NEW
                                                         : SLEW_LATE;
    n->slews_age = r->first_slew_ns == 0                  ? SLEWS_NONE
                   : NOW - r->first_slew_ns < 60 * SECOND ? SLEWS_NEW
                                                          : SLEWS_HELD;
    n->source = (uint8_t)r->source;
    n->offset_sent = r->offset_sent;
    n->refining = r->refinement.runs;
    n->refine_due = r->refinement.due_ns == 0     ? REFINE_NONE
                    : r->refinement.due_ns <= NOW ? REFINE_DUE
                                                  : REFINE_LATER;
    n->refine_age = NOW - r->refinement.since_ns < SECOND       ? 0
                    : NOW - r->refinement.since_ns < 4 * SECOND ? 1
                                                                : 2;
    /* What has been and is not looked at again. */
    if (r->refinement.due_ns == 0)
        n->refine_age = 2;
    else if (r->state != RECOVERY_AWAIT_SYNC) { /* it is looked at there only */
        n->refine_age = 0;
        n->refine_due = REFINE_DUE;
    }
    if (r->refinement.runs) { /* what it waits for has had its time */
        n->age = AGE_SYNC_LATE;
        n->reset_age = r->reset_ns ? LATE : NOT;
    }
    if (r->source != RECOVERY_CORRECTOR_PTP) /* what it is good for makes no difference */
        n->offset_sent = 0;
    if (r->reset_confirmed)
        n->reset_assumed = 0;
    if (r->state != RECOVERY_RESET && r->state != RECOVERY_CONFIRM)
        n->had_reference = n->unanswered_resets = 0;
    if (r->state == RECOVERY_AWAIT_SYNC || r->state == RECOVERY_BURST)
        n->round = n->server = n->remaining = n->last_offset_slews = 0;
    if ((r->state == RECOVERY_AWAIT_SYNC || r->state == RECOVERY_BURST) &&
        r->refinement.due_ns == 0)
        n->unanswered_in_all = n->cannot_step = n->offset_sent = n->source = 0;
    if (!recovery_holds_samples(r) && !r->refinement.runs && r->refinement.due_ns == 0)
        n->slews_age = SLEWS_NONE;
    if (r->state == RECOVERY_IDLE) {
        n->round = n->unanswered_in_all = n->server = n->remaining = n->last_offset_slews = n->age =
            0;
        n->reset_age = n->released = n->cannot_step = n->page_grade = n->cause = 0;
        n->offset_sent = n->source = 0;
        n->reset_confirmed = n->reset_assumed = n->chronyd_forgot = n->steps_forward = 0;
    }
}

static size_t hash(const struct node *n)
{
    const uint8_t *bytes = (const uint8_t *)n;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof(*n); i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 29);
}

static void *grow(void *old, size_t n, size_t size)
{
    void *fresh = realloc(old, n * size);

    if (!fresh) {
        perror("walk_recovery");
        exit(EXIT_FAILURE);
    }
    return fresh;
}

static void enlarge(void)
{
    n_room = n_room ? 2 * n_room : 4096;
    table_size = 4 * n_room;
    nodes = grow(nodes, n_room, sizeof(*nodes));
    edges = grow(edges, n_room, sizeof(*edges));
    parents = grow(parents, n_room, sizeof(*parents));
    free(table);
    table = calloc(table_size, sizeof(*table));
    if (!table)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < n_nodes; i++) {
        size_t at = hash(&nodes[i]) % table_size;

        while (table[at])
            at = (at + 1) % table_size;
        table[at] = (uint32_t)i + 1;
    }
}

static void arrive(const struct node *n)
{
    size_t at;

    if (n_nodes == n_room)
        enlarge();
    for (at = hash(n) % table_size; table[at]; at = (at + 1) % table_size)
        if (memcmp(&nodes[table[at] - 1], n, sizeof(*n)) == 0)
            return;
    nodes[n_nodes] = *n;
    edges[n_nodes] = by;
    parents[n_nodes] = here;
    table[at] = (uint32_t)++n_nodes;
}

/* --- what must be true after every step ------------------------------------------------------- */

static uint8_t clock_command(enum recovery_state state)
{
    switch (state) {
    case RECOVERY_RATE: return DFREQ;
    case RECOVERY_OFFSET: return DOFFSET2;
    case RECOVERY_STEP:
    case RECOVERY_STEP_RESIDUE: return MAKESTEP;
    default: return 0;
    }
}

/* What an event tells the witness, before the recovery has seen it. */
static void witness_event(
    struct node *w, const struct node *before, enum recovery_event event, const struct edge *edge)
{
    const enum recovery_state state = (enum recovery_state)before->state;

    if (event == RECOVERY_GONE) {
        /* The next chronyd slews nothing, and has its settings from chrony.conf. */
        w->unanswered = w->slewing = w->steps_forward = 0;
        w->phase = w->sends = 0;
    }
    if (event == RECOVERY_LATE_RESET && !before->reset_confirmed) {
        w->chronyd_forgot = 1;
        if (before->unanswered_resets > 0) /* nothing was sent after it */
            w->unanswered = w->slewing = 0;
    }
    if (!before->sent || event == RECOVERY_TICK || event == RECOVERY_LATE_RESET ||
        event == RECOVERY_GONE)
        return;
    if (event == RECOVERY_SILENCE) {
        w->unanswered |= clock_command(state);
        return;
    }
    w->unanswered = 0; /* chronyd reads in order: what was sent before is done, or never will be */
    if (state == RECOVERY_SLEW &&
        (corrections[edge->correction] == 0 ||
            (before->slew_age > SLEW_NEW &&
                (isnan(corrections[edge->correction]) || before->cannot_step))))
        w->slewing = 0;
    if ((state == RECOVERY_RESET && event == RECOVERY_REPLY_OK) ||
        (state == RECOVERY_CONFIRM && before->had_reference && !edge->has_reference &&
            !edge->synchronised)) {
        w->chronyd_forgot = 1;
        w->slewing = w->steps_forward = 0;
    }
    if (state == RECOVERY_OFFSET && event != RECOVERY_REPLY_OK)
        w->slewing = w->steps_forward = 0;
    if ((state == RECOVERY_STEP || state == RECOVERY_STEP_RESIDUE) && event == RECOVERY_REPLY_OK)
        w->slewing = 0;
}

static void check_command(
    struct node *w, const struct chrony_command *command, const struct recovery_view *view)
{
    const bool start = w->cause == RECOVERY_CAUSE_START;

    switch (command->id) {
    case CHRONY_RESET_SOURCES: must(!start, "a start resets"); break;
    case CHRONY_DFREQ:
        must(w->unanswered == 0, "DFREQ, and it is not known what of the last command was done");
        must(((nodes[here].state == RECOVERY_ASK || nodes[here].state == RECOVERY_PROBE) &&
                 nodes[here].sent) ||
                 (nodes[here].state == RECOVERY_RATE && nodes[here].refining && view->measured),
            "DFREQ without chronyd's frequency as it is now");
        must(view->rate_known && fabs(view->rate_ppm) >= 2 * view->rate_doubt_ppm,
            "DFREQ by a rate that may as well be none");
        must(command->ppm == view->rate_ppm, "DFREQ of another rate than is known");
        must(fabs(command->ppm) <= config.rate_max_ppm, "DFREQ beyond max-rate");
        break;
    case CHRONY_DOFFSET2:
        must(w->unanswered == 0, "DOFFSET2, and it is not known what of the last command was done");
        must(view->measured, "DOFFSET2 without a measurement");
        must(!w->slewing, "DOFFSET2 of what is being slewed already");
        must(fabs(command->offset_sec + view->offset_sec) <= 1.001 * SHORT_SEC,
            "DOFFSET2 of another offset than was measured");
        must(fabs(command->offset_sec) * 1e9 <= (double)config.step_max_ns,
            "DOFFSET2 beyond max-step");
        w->slewing = 1;
        w->steps_forward = command->offset_sec < 0;
        break;
    case CHRONY_MAKESTEP:
        must(w->unanswered == 0, "MAKESTEP, and it is not known what of the last command was done");
        must(config.step != RECOVERY_STEP_NEVER, "MAKESTEP where no step is allowed");
        must(config.step != RECOVERY_STEP_FORWARD || w->steps_forward,
            "MAKESTEP may put the clock back");
        w->steps_forward = 0; /* what a second one does may go either way */
        break;
    case CHRONY_MODIFY_MAKESTEP:
        must(config.step == RECOVERY_STEP_ALWAYS && !start, "makestep is re-armed");
        must(command->makestep.limit > 0, "makestep is re-armed without a limit");
        break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL: must(!start && config.n_servers > 0, "a server is boosted"); break;
    case CHRONY_BURST: must(!start && config.burst_total > 0, "BURST"); break;
    case CHRONY_N_SOURCES:
    case CHRONY_SOURCE_DATA:
    case CHRONY_SOURCE_NAME: must(false, "a recovery asks for sources"); break;
    case CHRONY_TRACKING: break;
    }
}

/*
 * The order of things; a recovery never goes back in it, unless another one begins. Only the last
 * two take turns, as often as there are moments to refine the correction at.
 */
static uint8_t phase_of(enum recovery_state state, enum recovery_state probe_for, bool refining)
{
    if (refining)
        return 9;
    switch (state) {
    case RECOVERY_RESET:
    case RECOVERY_CONFIRM: return 1;
    case RECOVERY_AWAIT_PAGE: return 2;
    case RECOVERY_ASK:
    case RECOVERY_RATE: return 3;
    case RECOVERY_PROBE: return probe_for == RECOVERY_RATE ? 3 : 4;
    case RECOVERY_OFFSET:
    case RECOVERY_STEP:
    case RECOVERY_STEP_RESIDUE:
    case RECOVERY_SLEW: return 4;
    case RECOVERY_REARM: return 5;
    case RECOVERY_MINPOLL:
    case RECOVERY_MAXPOLL: return 6;
    case RECOVERY_BURST: return 7;
    case RECOVERY_AWAIT_SYNC: return 8;
    default: return 0;
    }
}

/* Whatever is answered, or not, of one disruption chronyd is sent each command so often at most. */
static void check_sends(
    struct node *w, const struct recovery *r, const struct recovery_order *order)
{
    static const uint8_t most[] = {0, 16, 0, 5, 18, 2, 8, 1, 0, 0};
    const uint8_t phase = phase_of(r->state, r->probe_for, r->refinement.runs);

    must(phase == 0 || phase >= w->phase || (w->phase == 9 && phase == 8), "it goes back");
    must(w->phase == 9 || phase != 9 || (r->refinement.due_ns == 0 || r->refinement.due_ns > NOW),
        "a correction is refined without end");
    if (phase != w->phase)
        w->sends = 0;
    w->phase = phase;
    if (!order->send || order->command.id == CHRONY_TRACKING)
        return;
    if (phase == 9) /* the rounds and the lost replies that there may be are few */
        return;
    w->sends++;
    must(w->sends <= most[phase], "a command is sent again and again");
}

static void check_step(const struct node *before, const struct recovery *r, struct node *w,
    const struct recovery_order *order, const struct recovery_view *view)
{
    const bool was_idle = before->state == RECOVERY_IDLE, is_idle = r->state == RECOVERY_IDLE;
    const bool start = r->cause == RECOVERY_CAUSE_START;

    must(r->state < RECOVERY_N_STATES, "no such state");
    must(!order->send || r->sent, "what was sent is not waited for");
    must(!(order->send && order->measure), "a command and a measurement at once");
    must(is_idle || r->sent || order->measure || order->wake_at_ns != INT64_MAX,
        "nothing is awaited");
    must(order->wake_at_ns > view->now_ns, "it is to be woken at once, without end");
    must(!was_idle || is_idle, "it begins by itself");

    must(by.event != RECOVERY_GONE || r->state != RECOVERY_RESET ||
             (r->failures == 0 && r->unanswered_resets == 0 && r->unanswered == 0),
        "the next chronyd has to pay for the one before");
    must(!r->away || r->state == RECOVERY_RESET, "samples flow though chronyd can be told");
    must(by.event != RECOVERY_GONE || before->age < AGE_HOST_LATE || !recovery_holds_samples(r),
        "samples wait for a chronyd that cannot be told");
    must(r->state == RECOVERY_AWAIT_SYNC || r->failures < 10, "it tries without end");
    if (by.event == RECOVERY_SILENCE && before->sent &&
        (r->state == RECOVERY_AWAIT_SYNC || (is_idle && before->refining)) &&
        before->state != RECOVERY_AWAIT_SYNC && before->state != RECOVERY_REFINE &&
        (phase_of((enum recovery_state)before->state, (enum recovery_state)before->probe_for,
             before->refining) <= 4 ||
            before->refining)) {
        must(before->failures == 3 || before->unanswered_in_all == 3,
            "chronyd is left alone for a few replies that were lost");
        w->unanswered = w->slewing = 0;
    }
    /* chronyd may go on slewing: it is left alone. */
    if ((r->reset_assumed && !before->reset_assumed) ||
        (is_idle && !was_idle && r->outcome == RECOVERY_OUTCOME_UNCONFIRMED))
        w->unanswered = w->slewing = 0;
    if (before->state == RECOVERY_SLEW && before->sent && by.event != RECOVERY_SILENCE &&
        (r->state == RECOVERY_BURST || r->state == RECOVERY_AWAIT_SYNC || is_idle) && w->slewing) {
        must(before->slews_age == SLEWS_HELD || by.offset > 0,
            "samples flow in the middle of a slew");
        w->slewing = 0;
    }
    if (order->send)
        check_command(w, &order->command, view);
    check_sends(w, r, order);
    if (w->unanswered || w->slewing || (r->sent && clock_command(r->state)))
        must(recovery_holds_samples(r) || recovery_pauses_samples(r),
            "samples flow while the clock is being corrected");
    if (r->state == RECOVERY_SLEW && !r->sent && by.event != RECOVERY_SILENCE)
        must(r->wait_until_ns - view->now_ns <= SECOND / 10, "a slew is not looked after");

    if (!is_idle && r->state != RECOVERY_RESET && r->state != RECOVERY_CONFIRM && !start)
        must(w->chronyd_forgot || (r->reset_assumed && before->sent) || before->reset_assumed,
            "it went on without a reset");
    if (r->reset_assumed && !before->reset_assumed)
        must(before->unanswered_resets == 2, "a reset is taken as done that was not read twice");
    if (is_idle && !was_idle) {
        must(r->outcome != RECOVERY_OUTCOME_RUNNING, "it ended and does not say how");
        must(start || r->outcome != RECOVERY_OUTCOME_ABANDONED, "a disruption is abandoned");
        must(start || r->reset_confirmed == (r->outcome != RECOVERY_OUTCOME_UNCONFIRMED),
            "a disruption ended, and does not say whether chronyd was reset");
        must(!w->slewing && !w->unanswered, "it ended before the clock was corrected");
    }
    must(!r->mute || r->state == RECOVERY_AWAIT_PAGE || is_idle, "a mute chronyd is told more");
    if (!start && !was_idle && before->state != RECOVERY_RESET &&
        before->state <= RECOVERY_AWAIT_PAGE && !recovery_holds_samples(r) &&
        (view->unproven || view->page == RECOVERY_PAGE_NOT_YET))
        must(view->now_ns - (r->reset_ns ? r->reset_ns : r->started_ns) >= 5 * SECOND,
            "samples flow by what may be the old host's page");
    must(r->state != RECOVERY_SLEW || r->first_slew_ns != 0, "a slew without its time");
    must(r->reset_confirmed == (r->reset_ns != 0), "a reset without its time");
    must(start || r->reset_confirmed == w->chronyd_forgot, "a reset is claimed, or denied");
}

/* --- the walk --------------------------------------------------------------------------------- */

static enum recovery_state step(const struct node *before, const struct edge *edge)
{
    const struct recovery_view view = {
        .now_ns = NOW,
        .page = pages[edge->page].page,
        .unproven = pages[edge->page].unproven,
        .measured = edge->measured,
        .source = before->state > RECOVERY_AWAIT_PAGE ? (enum recovery_corrector)before->source
                  : pages[edge->page].is_ptp          ? RECOVERY_CORRECTOR_PTP
                                                      : RECOVERY_CORRECTOR_PAGE,
        .awaits_measurement = edge->awaits,
        .offset_sec = edge->measured ? offsets[edge->offset] : 0,
        .offset_doubt_sec = before->source == RECOVERY_CORRECTOR_PTP ? 1e-7 : 0,
        .least_offset_sec = before->source == RECOVERY_CORRECTOR_PTP ? 1e-4 : 0,
        .rate_known = edge->rate > 0,
        .rate_ppm = edge->rate > 0 ? rates[edge->rate].ppm : 0,
        .rate_doubt_ppm = edge->rate > 0 ? rates[edge->rate].doubt_ppm : 0,
        .has_reference = edge->has_reference || edge->synchronised,
        .synchronised = edge->synchronised,
        .correction_sec = corrections[edge->correction],
        .root_delay_sec = NAN,
    };
    struct recovery r = concrete(before);
    struct node after = *before;
    struct recovery_order order;

    by = *edge;
    n_steps++;
    witness_event(&after, before, edge->event, edge);
    recovery_step(&r, &config, edge->event, &view, &order);
    if (edge->event == RECOVERY_GONE && r.state == RECOVERY_RESET)
        after.chronyd_forgot = 0; /* another one, which has yet to be told */
    after.cause = (uint8_t)r.cause;
    check_step(before, &r, &after, &order, &view);
    abstract(&r, &after);
    arrive(&after);
    return r.state;
}

/* Which figures are tried: where refinements are walked for, a few stand for the rest. */
static bool is_tried(const struct node *before, size_t page, size_t offset, size_t rate)
{
    static const bool offsets_then[N_OFFSETS] = {[0] = 1, [1] = 1, [5] = 1, [7] = 1};

    if (before->config < N_WHOLE) {
        const bool asks = before->state == RECOVERY_ASK || before->state == RECOVERY_RATE ||
                          before->state == RECOVERY_PROBE;
        const bool plain = before->config != N_WHOLE - 1;

        if (pages[page].is_ptp || rate > 3 || offset == 3 || offset == 6)
            return false;
        if (before->config % 2 == 1 && pages[page].page == RECOVERY_PAGE_TIME)
            return false; /* which leaves the servers alone */
        if (plain)
            return !asks || rate != 0;
        return !before->refining || (offset < 2 && rate == 0);
    }
    return (page == 0 || pages[page].page == RECOVERY_PAGE_FULL) && offsets_then[offset] &&
           rate != 1 && rate != 3;
}

/*
 * The rate is asked for in RATE only, or as it comes out of PROBE; the offset in OFFSET only, which
 * without it goes no further: where a step ends elsewhere, one stands for all.
 */
static void steps_with(const struct node *before, struct edge e)
{
    enum recovery_state end;
    size_t n_offsets;

    e.measured = false;
    e.synchronised = true;
    step(before, &e);
    e.synchronised = false;
    end = step(before, &e);
    e.awaits = true;
    step(before, &e);
    e.awaits = false;
    n_offsets = end == RECOVERY_OFFSET || end == RECOVERY_RATE ? N_OFFSETS : 1;
    e.measured = true;
    for (e.offset = 0; e.offset < n_offsets; e.offset++)
        if (is_tried(before, e.page, e.offset, e.rate))
            step(before, &e);
}

/* The page is looked at in HOST, which follows the reset. With reloads all of it is tried. */
static size_t n_pages(const struct node *before)
{
    return reloads || before->state <= RECOVERY_AWAIT_PAGE ? N_PAGES : 1;
}

static void steps(const struct node *before)
{
    const enum recovery_state state = (enum recovery_state)before->state;
    const bool asked = state == RECOVERY_ASK || state == RECOVERY_PROBE || state == RECOVERY_RATE;
    const bool resets = state == RECOVERY_RESET || state == RECOVERY_CONFIRM;
    struct edge e = {.kind = STEP};

    for (int event = RECOVERY_TICK; event <= RECOVERY_GONE; event++) {
        e.event = (enum recovery_event)event;
        if (event == RECOVERY_LATE_RESET &&
            (state == RECOVERY_IDLE || !(before->unanswered_resets || before->reset_assumed)))
            continue;
        for (e.page = 0; e.page < n_pages(before); e.page++)
            for (e.rate = 0; e.rate < (asked ? N_RATES : 1); e.rate++)
                for (e.correction = 0; e.correction < (state == RECOVERY_SLEW ? N_CORRECTIONS : 1);
                     e.correction++)
                    for (int reference = 0; reference < (resets ? 2 : 1); reference++) {
                        e.has_reference = reference;
                        if (is_tried(before, e.page, 0, e.rate))
                            steps_with(before, e);
                    }
    }
}

static void begin(const struct node *before, enum recovery_cause cause, bool waits, bool queued)
{
    struct recovery r = concrete(before);
    struct node after = *before;

    by = (struct edge){.kind = BEGIN, .cause = cause, .waits = waits};
    if (before->sent)
        after.unanswered |= clock_command((enum recovery_state)before->state);
    after.chronyd_forgot = 0;
    after.phase = after.sends = 0;
    recovery_begin(&r, cause, NOW, waits ? NOW + SECOND / 100 : 0, queued);
    r.started_ns = NOW - ages_ns[AGE_NEW];
    must(cause == RECOVERY_CAUSE_START || recovery_holds_samples(&r), "samples flow at its start");
    must(!queued || r.had_reference == before->had_reference,
        "what its queued reset is judged by is forgotten");
    abstract(&r, &after);
    arrive(&after);
}

static void pass_time(const struct node *before)
{
    struct node after = *before;

    if (before->state == RECOVERY_IDLE)
        return;
    if (before->age < AGES - 1) {
        by = (struct edge){.kind = TIME_START};
        after.age++;
        arrive(&after);
    }
    /* No longer ago than what was before. */
    if ((before->reset_age == NEW && before->age >= AGE_RATE_LATE) ||
        (before->reset_age == RECENT && before->age >= AGE_HOST_LATE) ||
        (before->reset_age == OLD && before->age >= AGE_SYNC_LATE)) {
        by = (struct edge){.kind = TIME_RESET};
        after = *before;
        after.reset_age++;
        arrive(&after);
    }
    if ((before->released == NEW && before->age >= AGE_HOST_LATE &&
            (before->reset_age == NOT || before->reset_age >= OLD)) ||
        (before->released == OLD && before->age >= AGE_SYNC_LATE &&
            (before->reset_age == NOT || before->reset_age >= LATE))) {
        by = (struct edge){.kind = TIME_RELEASED};
        after = *before;
        after.released = after.released == NEW ? OLD : LATE;
        arrive(&after);
    }
    if (before->state == RECOVERY_SLEW && before->slew_age == SLEW_NEW) {
        by = (struct edge){.kind = TIME_SLEW};
        after = *before;
        after.slew_age = SLEW_LATE;
        arrive(&after);
    }
    if (before->slews_age == SLEWS_NEW) {
        by = (struct edge){.kind = TIME_SLEWS};
        after = *before;
        after.slews_age = SLEWS_HELD;
        arrive(&after);
    }
    if (before->refine_due != REFINE_NONE && before->refine_age < 2 &&
        before->age > before->refine_age) {
        by = (struct edge){.kind = TIME_REFINE};
        after = *before;
        after.refine_age++;
        arrive(&after);
    }
    if (before->refine_due == REFINE_LATER) {
        by = (struct edge){.kind = TIME_REFINED};
        after = *before;
        after.refine_due = REFINE_DUE;
        arrive(&after);
    }
    if (before->waits) {
        by = (struct edge){.kind = TIME_WAIT};
        after = *before;
        after.waits = 0;
        arrive(&after);
    }
}

static void leave(const struct node *before)
{
    const bool rests = before->state == RECOVERY_IDLE || before->state == RECOVERY_AWAIT_SYNC;
    /* All but a start are alike: each has its turn. */
    const enum recovery_cause disruption =
        reloads ? RECOVERY_CAUSE_MARKER
                : (enum recovery_cause)(RECOVERY_CAUSE_MARKER + config.step);

    for (int waits = 0; waits < 2; waits++)
        begin(before, disruption, waits, false);
    if (before->state == RECOVERY_RESET && before->sent)
        begin(before, disruption, false, true);
    if (rests)
        begin(before, RECOVERY_CAUSE_START, false, false);
    for (uint8_t i = 0; reloads && i < N_WHOLE; i++) {
        struct node after = *before;

        by = (struct edge){.kind = RELOAD};
        after.config = i;
        arrive(&after);
    }
    pass_time(before);
    steps(before);
}

/* --- the way out ------------------------------------------------------------------------------ */

enum weather { FAIR, WITHOUT_MEASUREMENTS, WITHOUT_SUCCESS, N_WEATHERS };

/* From here chronyd answers; whatever the page and the measurements are, it ends, and in time. */
static void go_out(const struct node *from, size_t page, enum weather weather)
{
    struct recovery r = concrete(from);
    struct recovery_order order = {.wake_at_ns = NOW};
    struct recovery_view view = {.now_ns = NOW, .has_reference = true};
    int64_t started_ns = NOW, most_ns = 70 * SECOND;
    double offset = 5e-3, rate = 50;
    /* The minute for chronyd to be synchronised again is over already. */
    const bool late = from->released == LATE;

    r.rate_ppm = r.offset_sec = 0;
    by = (struct edge){.kind = STEP, .page = (uint8_t)page};
    for (unsigned n = 0; r.state != RECOVERY_IDLE; n++) {
        const bool was_sent = r.sent;

        must(n < 500 && view.now_ns - started_ns < most_ns, "there is no way out");
        if (was_sent)
            view.now_ns += MS / 10;
        else if (!order.measure && order.wake_at_ns > view.now_ns)
            view.now_ns = order.wake_at_ns;
        if (r.state == RECOVERY_OFFSET && weather == WITHOUT_MEASUREMENTS)
            view.now_ns += SECOND / 10;
        if (r.state == RECOVERY_AWAIT_SYNC && weather != FAIR)
            view.now_ns += SECOND;
        if (r.state == RECOVERY_SLEW) /* as long as it takes */
            started_ns = view.now_ns;
        view.page = pages[page].page;
        view.unproven = pages[page].unproven;
        view.source = pages[page].is_ptp ? RECOVERY_CORRECTOR_PTP : RECOVERY_CORRECTOR_PAGE;
        view.rate_doubt_ppm = page % 2 ? 1 : 0;
        view.measured = order.measure;
        view.offset_sec = weather == WITHOUT_MEASUREMENTS ? NAN : offset;
        view.rate_known = weather != WITHOUT_MEASUREMENTS;
        view.rate_ppm = rate;
        view.synchronised = weather == FAIR;
        recovery_step(&r, &config, was_sent ? RECOVERY_REPLY_OK : RECOVERY_TICK, &view, &order);
        n_steps++;
        if (order.send && weather == FAIR && order.command.id == CHRONY_DFREQ)
            rate = 0;
        if (order.send && order.command.id == CHRONY_RESET_SOURCES)
            view.has_reference = false;
        if (order.send && weather == FAIR && order.command.id == CHRONY_DOFFSET2)
            offset = 10e-9;
        if (weather == WITHOUT_SUCCESS && order.measure)
            offset = -offset;
    }
    if (from->state == RECOVERY_IDLE)
        return;
    must(r.cause == RECOVERY_CAUSE_START || r.reset_confirmed || r.reset_assumed,
        "the way out has no reset");
    must(r.outcome == RECOVERY_OUTCOME_SYNCHRONISED || r.reset_assumed ||
             ((weather != FAIR || late) && r.outcome == RECOVERY_OUTCOME_UNSYNCHRONISED) ||
             (r.cause == RECOVERY_CAUSE_START && r.outcome == RECOVERY_OUTCOME_ABANDONED),
        "the way out ends badly");
}

static void walk(size_t from)
{
    const struct node first = {.config = (uint8_t)from, .state = RECOVERY_IDLE};

    n_nodes = 0;
    if (table)
        memset(table, 0, table_size * sizeof(*table));
    here = 0;
    arrive(&first);
    for (here = 0; here < n_nodes; here++) {
        const struct node node = nodes[here]; /* they move */

        config = configs[node.config];
        leave(&node);
        for (size_t page = 0; page < n_pages(&node); page++)
            for (int weather = FAIR; weather < (config.n_servers ? N_WEATHERS : FAIR + 1);
                 weather++)
                go_out(&node, page, (enum weather)weather);
    }
}

int main(int argc, char **argv)
{
    size_t total = 0;

    reloads = argc > 1 && strcmp(argv[1], "reload") == 0;
    for (size_t i = 0; i < N_CONFIGS; i++) {
        const bool all = i < N_WHOLE && i % 2;

        configs[i] = (struct recovery_config){
            .step = i < N_WHOLE    ? (enum recovery_step_policy)(i / 2)
                    : i == N_WHOLE ? RECOVERY_STEP_ALWAYS
                                   : RECOVERY_STEP_NEVER,
            .makestep_limit = 3,
            .makestep_threshold_sec = 1,
            .burst_good = all ? 4 : 0,
            .burst_total = all ? 8 : 0,
            .step_max_ns = 10 * SECOND,
            .rate_max_ppm = 1000,
            .n_servers = all ? 2 : 0,
        };
    }
    for (size_t i = 0; i < (reloads ? 1 : N_CONFIGS); i++) {
        walk(i);
        total += n_nodes;
    }
    printf("recovery: %zu states%s, %.0f million steps, no rule broken\n", total,
        reloads ? " and reloads in each" : "", (double)n_steps / 1e6);
    free(nodes);
    free(edges);
    free(parents);
    free(table);
    return EXIT_SUCCESS;
}
