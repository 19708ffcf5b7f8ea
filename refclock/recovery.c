/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/recovery_turn.h"

#include <assert.h>
#include <math.h>

#define RETRY_MAX_NS   (2000 * MS)
#define AWAY_NS        (10000 * MS) /* nobody to be told: samples flow, and RESET is tried */
#define UNANSWERED_MAX 3            /* other commands; after one more chronyd is told nothing */

/*
 * The machine. `name` is the state's in the state file and in JSON, which keep the first release's.
 * `act` is the state's turn: it sends a command, has a measurement made, waits, or enters another
 * state. `ok`, `invalid`, `refused` and `silence` name the state that the command's end leads to;
 * where that is the state itself, it acts again a little later, up to `tries` times in a row (0: no
 * limit), and then leads to `gives_up`.
 */
static const struct {
    const char *name;
    bool holds_samples;
    bool asks; /* its command changes nothing: unanswered, it has done no harm */
    recovery_action *act;
    enum recovery_state ok, invalid, refused, silence;
    unsigned tries;
    enum recovery_state gives_up;
} table[RECOVERY_N_STATES] = {
/* clang-format off */
#define S(x) RECOVERY_##x
    /*                     name       holds  asks   act                        ok               invalid         refused         silence        tries  gives up */
    [S(IDLE)]         = { "idle",    false, false, NULL,                      S(IDLE),         S(IDLE),        S(IDLE),        S(IDLE),       0,     S(IDLE) },
    [S(RESET)]        = { "reset",   true,  false, recovery_act_reset,        S(CONFIRMED),    S(RESET),       S(RESET),       S(CONFIRM),    8,     S(UNCONFIRMED) },
    [S(CONFIRM)]      = { "confirm", true,  true,  recovery_act_ask,          S(JUDGE_RESET),  S(JUDGE_RESET), S(JUDGE_RESET), S(MUTE),       0,     S(IDLE) },
    [S(AWAIT_PAGE)]   = { "host",    true,  false, recovery_act_await_page,   S(AWAIT_PAGE),   S(AWAIT_PAGE),  S(AWAIT_PAGE),  S(AWAIT_PAGE), 0,     S(IDLE) },
    [S(ASK)]          = { "ask",     true,  true,  recovery_act_ask,          S(RATE),         S(RATE),        S(RATE),        S(ASK),        4,     S(AWAIT_SYNC) },
    [S(RATE)]         = { "rate",    true,  false, recovery_act_rate,         S(OFFSET),       S(NO_COMMAND),  S(SETTLE),      S(PROBE),      0,     S(IDLE) },
    [S(OFFSET)]       = { "offset",  true,  false, recovery_act_offset,       S(STEP),         S(NO_COMMAND),  S(SETTLE),      S(PROBE),      0,     S(IDLE) },
    [S(STEP)]         = { "step",    true,  false, recovery_act_step,         S(STEP_RESIDUE), S(CANNOT_STEP), S(CANNOT_STEP), S(PROBE),      0,     S(IDLE) },
    [S(STEP_RESIDUE)] = { "flush",   true,  false, recovery_act_step_residue, S(OFFSET),       S(OFFSET),      S(OFFSET),      S(PROBE),      0,     S(IDLE) },
    [S(SLEW)]         = { "slew",    true,  true,  recovery_act_ask,          S(JUDGE_SLEW),   S(JUDGE_SLEW),  S(JUDGE_SLEW),  S(SLEW),       4,     S(AWAIT_SYNC) },
    [S(PROBE)]        = { "probe",   true,  true,  recovery_act_ask,          S(JUDGE_LOST),   S(JUDGE_LOST),  S(JUDGE_LOST),  S(PROBE),      4,     S(AWAIT_SYNC) },
    [S(REARM)]        = { "rearm",   false, false, recovery_act_rearm,        S(MINPOLL),      S(MINPOLL),     S(MINPOLL),     S(REARM),      2,     S(MINPOLL) },
    [S(MINPOLL)]      = { "minpoll", false, false, recovery_act_poll,         S(MAXPOLL),      S(MAXPOLL),     S(MAXPOLL),     S(MINPOLL),    2,     S(MAXPOLL) },
    [S(MAXPOLL)]      = { "maxpoll", false, false, recovery_act_poll,         S(NEXT_SERVER),  S(NEXT_SERVER), S(NEXT_SERVER), S(MAXPOLL),    2,     S(NEXT_SERVER) },
    [S(BURST)]        = { "burst",   false, false, recovery_act_burst,        S(AWAIT_SYNC),   S(AWAIT_SYNC),  S(AWAIT_SYNC),  S(AWAIT_SYNC), 0,     S(IDLE) },
    [S(AWAIT_SYNC)]   = { "sync",    false, true,  recovery_act_await_sync,   S(JUDGE_SYNC),   S(AWAIT_SYNC),  S(AWAIT_SYNC),  S(AWAIT_SYNC), 0,     S(IDLE) },
    [S(REFINE)]       = { "refine",  false, true,  recovery_act_refine,       S(RATE),         S(AWAIT_SYNC),  S(AWAIT_SYNC),  S(AWAIT_SYNC), 0,     S(IDLE) },
    /* Acted on at once, without a command. */
    [S(CONFIRMED)]   = { .name = "confirmed",   .holds_samples = true, .act = recovery_confirmed },
    [S(JUDGE_RESET)] = { .name = "judge reset", .holds_samples = true, .act = recovery_judge_reset },
    [S(MUTE)]        = { .name = "mute",        .holds_samples = true, .act = recovery_mute },
    [S(UNCONFIRMED)] = { .name = "unconfirmed", .holds_samples = true, .act = recovery_unconfirmed },
    [S(JUDGE_LOST)]  = { .name = "judge lost",  .holds_samples = true, .act = recovery_judge_lost },
    [S(JUDGE_SLEW)]  = { .name = "judge slew",  .holds_samples = true, .act = recovery_judge_slew },
    [S(JUDGE_SYNC)]  = { .name = "judge sync",  .act = recovery_judge_sync },
    [S(NO_COMMAND)]  = { .name = "no command",  .holds_samples = true, .act = recovery_no_command },
    [S(SETTLE)]      = { .name = "settle",      .holds_samples = true, .act = recovery_settle },
    [S(CANNOT_STEP)] = { .name = "cannot step", .holds_samples = true, .act = recovery_cannot_step },
    [S(NEXT_SERVER)] = { .name = "next server", .act = recovery_next_server },
#undef S
    /* clang-format on */
};

const char *recovery_state_str(enum recovery_state state)
{
    return state < RECOVERY_N_STATES ? table[state].name : "unknown";
}

const char *recovery_cause_str(enum recovery_cause cause)
{
    switch (cause) {
    case RECOVERY_CAUSE_MARKER: return "marker";
    case RECOVERY_CAUSE_REQUEST: return "request";
    case RECOVERY_CAUSE_FORMULA: return "formula";
    case RECOVERY_CAUSE_START: return "start";
    }
    return "unknown";
}

const char *recovery_outcome_str(enum recovery_outcome outcome)
{
    switch (outcome) {
    case RECOVERY_OUTCOME_RUNNING: return "running";
    case RECOVERY_OUTCOME_SYNCHRONISED: return "synchronised";
    case RECOVERY_OUTCOME_UNSYNCHRONISED: return "unsynchronised";
    case RECOVERY_OUTCOME_ABANDONED: return "abandoned";
    case RECOVERY_OUTCOME_UNCONFIRMED: return "unconfirmed";
    }
    return "unknown";
}

enum recovery_corrector recovery_corrected_by(const struct recovery *r)
{
    if (r->left_to_chronyd && !recovery_holds_samples(r))
        return RECOVERY_CORRECTOR_CHRONYD;
    if (r->corrected_ns == 0)
        return RECOVERY_CORRECTOR_NONE;
    return r->page_grade == RECOVERY_PAGE_FULL || r->page_grade == RECOVERY_PAGE_PERIOD ||
                   r->offset_sent
               ? r->source
               : RECOVERY_CORRECTOR_CHRONYD;
}

const char *recovery_corrector_str(enum recovery_corrector corrector)
{
    switch (corrector) {
    case RECOVERY_CORRECTOR_NONE: break;
    case RECOVERY_CORRECTOR_PAGE: return "page";
    case RECOVERY_CORRECTOR_PTP: return "ptp";
    case RECOVERY_CORRECTOR_CHRONYD: return "chronyd";
    }
    return NULL;
}

static bool state_holds_samples(const struct recovery *r)
{
    return table[r->state].holds_samples;
}

bool recovery_holds_samples(const struct recovery *r)
{
    return state_holds_samples(r) && !r->away && !r->refinement.runs;
}

bool recovery_pauses_samples(const struct recovery *r)
{
    return state_holds_samples(r) && r->refinement.runs;
}

bool recovery_uses_page(const struct recovery *r)
{
    return r->state != RECOVERY_IDLE && r->state != RECOVERY_RESET &&
           r->state != RECOVERY_CONFIRM && r->state != RECOVERY_AWAIT_PAGE &&
           r->cause != RECOVERY_CAUSE_START;
}

bool recovery_is_resting(const struct recovery *r)
{
    return r->state == RECOVERY_IDLE || r->state == RECOVERY_AWAIT_SYNC;
}

void recovery_enter(struct recovery *r, enum recovery_state state)
{
    r->state = state;
    r->sent = r->measuring = r->away = false;
    r->wait_until_ns = 0;
    r->failures = 0;
}

void recovery_begin(struct recovery *r, enum recovery_cause cause, int64_t now_ns,
    int64_t not_before_ns, bool reset_queued)
{
    *r = (struct recovery){
        .cause = cause,
        .page_grade = RECOVERY_PAGE_NOT_YET,
        .exact_unavailable = r->exact_unavailable, /* chronyd is still the same */
        .had_reference = reset_queued && r->had_reference,
        .started_ns = now_ns,
        .remaining_sec = NAN,
    };
    recovery_enter(r, cause == RECOVERY_CAUSE_START ? RECOVERY_AWAIT_PAGE : RECOVERY_RESET);
    if (reset_queued)
        r->sent = true;
    else if (cause != RECOVERY_CAUSE_START)
        r->wait_until_ns = not_before_ns;
}

void recovery_end(struct recovery *r, enum recovery_outcome outcome, int64_t now_ns)
{
    r->outcome = outcome;
    r->ended_ns = r->synchronised_ns ? r->synchronised_ns : now_ns;
    r->refinement.runs = false;
    r->refinement.due_ns = 0;
    recovery_enter(r, RECOVERY_IDLE);
}

void recovery_abandon(struct recovery *r, int64_t now_ns)
{
    if (r->state != RECOVERY_IDLE)
        recovery_end(r, RECOVERY_OUTCOME_ABANDONED, now_ns);
}

static enum recovery_outcome outcome_of(const struct recovery *r)
{
    if (r->cause != RECOVERY_CAUSE_START && !r->reset_confirmed)
        return RECOVERY_OUTCOME_UNCONFIRMED;
    return r->synchronised ? RECOVERY_OUTCOME_SYNCHRONISED : RECOVERY_OUTCOME_UNSYNCHRONISED;
}

/* The end of one that has released the samples. */
void recovery_end_released(struct recovery *r, bool synchronised, int64_t now_ns)
{
    r->synchronised = synchronised;
    recovery_end(r, outcome_of(r), now_ns);
}

/* Act again, in this state, a little later each time. */
static void retry_later(struct recovery *r, int64_t now_ns)
{
    const unsigned doublings = r->failures < 6 ? r->failures - 1 : 5;
    const int64_t wait_ns = RETRY_FIRST_NS << doublings;

    r->sent = false;
    r->wait_until_ns = now_ns + (wait_ns < RETRY_MAX_NS ? wait_ns : RETRY_MAX_NS);
}

static void handle_reply(
    struct recovery *r, enum recovery_event event, int64_t now_ns, struct recovery_order *order)
{
    enum recovery_state next;

    switch (event) {
    case RECOVERY_REPLY_OK: next = table[r->state].ok; break;
    case RECOVERY_REPLY_INVALID: next = table[r->state].invalid; break;
    case RECOVERY_REPLY_REFUSED: next = table[r->state].refused; break;
    case RECOVERY_SILENCE: next = table[r->state].silence; break;
    default: assert(false); return;
    }
    if (event == RECOVERY_SILENCE && r->state == RECOVERY_RESET)
        r->unanswered_resets++;
    else if (event == RECOVERY_SILENCE && !table[r->state].asks &&
             r->unanswered++ == UNANSWERED_MAX) {
        next = RECOVERY_AWAIT_SYNC;
        r->refinement.due_ns = 0;
    }
    if (next == RECOVERY_PROBE && r->state != RECOVERY_PROBE)
        r->probe_for = r->state;
    if (next == r->state && ++r->failures == table[r->state].tries) {
        next = table[r->state].gives_up;
        if (next == RECOVERY_AWAIT_SYNC)
            r->refinement.due_ns = 0;
    }
    if (next == RECOVERY_RESET && r->state == RECOVERY_RESET)
        order->news |= RECOVERY_NEWS_REFUSED;
    if (next == r->state)
        retry_later(r, now_ns);
    else
        recovery_enter(r, next);
}

void recovery_send(struct recovery *r, struct recovery_order *order, struct chrony_command command)
{
    order->send = true;
    order->command = command;
    r->sent = true;
}

/* --- one step --------------------------------------------------------------------------------- */

/* The outcome of a recovery that ended before its reset was confirmed. */
static void learn_outcome(struct recovery *r)
{
    if (r->synchronised) {
        r->outcome = outcome_of(r);
        return;
    }
    /* Ask now whether chronyd is synchronised; where the minute for that is over, it ends at once.
     */
    r->outcome = RECOVERY_OUTCOME_RUNNING;
    r->ended_ns = 0;
    recovery_enter(r, RECOVERY_AWAIT_SYNC);
}

static void handle_late_reset(struct recovery *r, int64_t now_ns, struct recovery_order *order)
{
    if (r->cause == RECOVERY_CAUSE_START || r->reset_confirmed)
        return;
    recovery_confirm(r, now_ns, order);
    if (r->state == RECOVERY_IDLE && r->outcome == RECOVERY_OUTCOME_UNCONFIRMED)
        learn_outcome(r);
    if (r->state == RECOVERY_RESET || r->state == RECOVERY_CONFIRM)
        recovery_enter(r, RECOVERY_AWAIT_PAGE);
}

/*
 * chronyd has ended: the next one at the command socket has none of our commands. Where none comes
 * back there, chronyd may still read its SOCK, and samples are better than none.
 */
static void handle_gone(struct recovery *r, int64_t now_ns)
{
    r->exact_unavailable = false;
    if (r->state == RECOVERY_IDLE)
        return;
    r->refinement.due_ns = 0;
    if (r->cause == RECOVERY_CAUSE_START)
        recovery_end(r, RECOVERY_OUTCOME_ABANDONED, now_ns);
    else if (!state_holds_samples(r)) /* the clock is corrected: await a reference */
        recovery_enter(r, RECOVERY_AWAIT_SYNC);
    else if (r->state != RECOVERY_RESET)
        recovery_begin(r, r->cause, r->started_ns, 0, false);
    else
        r->failures = r->unanswered_resets = 0;
    r->away = r->state == RECOVERY_RESET && now_ns - r->started_ns >= AWAY_NS;
    r->sent = false;
    r->wait_until_ns = now_ns + RETRY_FIRST_NS; /* then look for the next one */
}

/* What is true after every step. */
static void check(const struct recovery *r, const struct recovery_order *order)
{
    assert(r->state < RECOVERY_CONFIRMED); /* what a reply decides is decided */
    assert(r->reset_confirmed == (r->reset_ns != 0));
    assert(r->unanswered_resets <= RESETS_MAX && r->unanswered <= UNANSWERED_MAX + 1);
    assert(!order->send || r->sent);
    assert(!(order->send && order->measure));
    assert(
        r->state == RECOVERY_IDLE || r->sent || order->measure || order->wake_at_ns != INT64_MAX);
    assert(!state_holds_samples(r) || r->released_ns == 0 || r->refinement.runs);
    assert(!r->away || r->state == RECOVERY_RESET);
}

void recovery_step(struct recovery *r, const struct recovery_config *config,
    enum recovery_event event, const struct recovery_view *view, struct recovery_order *ret_order)
{
    const bool was_idle = r->state == RECOVERY_IDLE;
    struct recovery_order order = {.wake_at_ns = INT64_MAX};
    const struct turn turn = {config, view, &order};

    if (view->measured)
        r->measuring = false;
    if (event == RECOVERY_GONE)
        handle_gone(r, view->now_ns);
    else if (event == RECOVERY_LATE_RESET)
        handle_late_reset(r, view->now_ns, &order);
    else if (event != RECOVERY_TICK && r->sent)
        handle_reply(r, event, view->now_ns, &order);

    /* From state to state, until something has to be waited for. */
    for (enum recovery_state before = RECOVERY_N_STATES; before != r->state;) {
        before = r->state;
        if (r->released_ns == 0 && !state_holds_samples(r))
            r->released_ns = view->now_ns;
        if (table[r->state].act && !r->sent && view->now_ns >= r->wait_until_ns)
            table[r->state].act(r, &turn);
        if (order.send || order.measure)
            break;
    }
    if (!was_idle && r->state == RECOVERY_IDLE)
        order.news |= RECOVERY_NEWS_ENDED;
    if (!r->sent && r->wait_until_ns > view->now_ns)
        order.wake_at_ns = r->wait_until_ns;
    check(r, &order);
    *ret_order = order;
}
