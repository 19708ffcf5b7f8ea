/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/recovery.h"

#include <assert.h>
#include <math.h>

#define MS                INT64_C(1000000)
#define HOST_WAIT_NS      (5000 * MS) /* a destination host needs about one second */
#define PTP_WAIT_NS       (200 * MS)  /* a clock that gives no reading by then is left alone */
#define READING_WAIT_NS   (10 * MS)   /* until one that was ordered is asked for once more */
#define SYNC_WAIT_NS      (60000 * MS)
#define SYNC_POLL_NS      (50 * MS)
#define SLEW_POLL_NS      (100 * MS)
#define SLEW_HOLD_NS      (60000 * MS) /* of all slews; then samples flow beside what is left */
#define SLEW_MIN_SEC      1.0          /* the least that chronyd takes for one */
#define RETRY_FIRST_NS    (100 * MS)
#define RETRY_MAX_NS      (2000 * MS)
#define AWAY_NS           (10000 * MS) /* nobody to be told: samples flow, and RESET is tried */
#define SLEW_RATE         0.083333     /* chronyd's largest by default */
#define RESIDUE_LEAST_SEC 1e-4         /* a ten-thousandth of it is left by the first MAKESTEP */
#define SLEW_MAX_SEC      4.0          /* fits SLEW_HOLD_NS; more is left to chronyd */
#define GOOD_ENOUGH_SEC   30e-9        /* what a measurement can tell from nothing */
#define SLEW_ENOUGH_SEC   1e-6         /* below that, samples are as quick as another slew */
#define FORWARD_SHORT_SEC 1e-6         /* a step forward stops short of a step back */
#define RATE_ENOUGH_PPM   5e-4
#define RATE_FINAL_PPM    0.01 /* an uncertainty that no later measurement improves */
#define RATE_VAGUE_PPM    20.0 /* one that is too large to correct anything by */
#define RATE_SIGMAS       2.0
#define OFFSET_SIGMAS     3.0
#define STEP_LEAST_SEC    1e-4 /* the threshold of makestep by NTP */
#define STEP_MOST_SEC     1.0
#define STEP_UNKNOWN_SEC  1e-2 /* where chronyd's servers are not known */
#define ROUNDS_MAX        3
#define RESETS_MAX        2 /* for one disruption, without a reply */
#define UNANSWERED_MAX    3 /* other commands; after one more chronyd is told nothing */

/* What a state sees in its turn, and what it orders. */
struct turn {
    const struct recovery_config *config;
    const struct recovery_view *view;
    struct recovery_order *order;
};

typedef void action(struct recovery *r, const struct turn *turn);

static action act_reset, act_ask, act_await_page, act_rate, act_offset, act_step, act_step_residue,
    act_rearm, act_poll, act_burst, act_await_sync, act_refine, confirmed, judge_reset, mute,
    unconfirmed, judge_lost, judge_slew, judge_sync, no_command, settle, cannot_step, next_server;

/*
 * The machine. `act` is the state's turn: it sends a command, has a measurement made, waits, or
 * enters another state. `ok`, `invalid`, `refused` and `silence` name the state that the command's
 * end leads to; where that is the state itself, it acts again a little later, up to `tries` times
 * in a row (0: no limit), and then leads to `gives_up`.
 */
static const struct {
    const char *name;
    bool holds_samples;
    action *act;
    enum recovery_state ok, invalid, refused, silence;
    unsigned tries;
    enum recovery_state gives_up;
} table[RECOVERY_N_STATES] = {
/* clang-format off */
#define S(x) RECOVERY_##x
    /*                     name       holds  act               ok               invalid         refused         silence        tries, gives up */
    [S(IDLE)]         = { "idle",    false, NULL,             S(IDLE),         S(IDLE),        S(IDLE),        S(IDLE),       0, S(IDLE) },
    [S(RESET)]        = { "reset",   true,  act_reset,        S(CONFIRMED),    S(RESET),       S(RESET),       S(CONFIRM),    8, S(UNCONFIRMED) },
    [S(CONFIRM)]      = { "confirm", true,  act_ask,          S(JUDGE_RESET),  S(JUDGE_RESET), S(JUDGE_RESET), S(MUTE),       0, S(IDLE) },
    [S(AWAIT_PAGE)]   = { "host",    true,  act_await_page,   S(AWAIT_PAGE),   S(AWAIT_PAGE),  S(AWAIT_PAGE),  S(AWAIT_PAGE), 0, S(IDLE) },
    [S(ASK)]          = { "ask",     true,  act_ask,          S(RATE),         S(RATE),        S(RATE),        S(ASK),        4, S(AWAIT_SYNC) },
    [S(RATE)]         = { "rate",    true,  act_rate,         S(OFFSET),       S(NO_COMMAND),  S(SETTLE),      S(PROBE),      0, S(IDLE) },
    [S(OFFSET)]       = { "offset",  true,  act_offset,       S(STEP),         S(NO_COMMAND),  S(SETTLE),      S(PROBE),      0, S(IDLE) },
    [S(STEP)]         = { "step",    true,  act_step,         S(STEP_RESIDUE), S(CANNOT_STEP), S(CANNOT_STEP), S(PROBE),      0, S(IDLE) },
    [S(STEP_RESIDUE)] = { "flush",   true,  act_step_residue, S(OFFSET),       S(OFFSET),      S(OFFSET),      S(PROBE),      0, S(IDLE) },
    [S(SLEW)]         = { "slew",    true,  act_ask,          S(JUDGE_SLEW),   S(JUDGE_SLEW),  S(JUDGE_SLEW),  S(SLEW),       4, S(AWAIT_SYNC) },
    [S(PROBE)]        = { "probe",   true,  act_ask,          S(JUDGE_LOST),   S(JUDGE_LOST),  S(JUDGE_LOST),  S(PROBE),      4, S(AWAIT_SYNC) },
    [S(REARM)]        = { "rearm",   false, act_rearm,        S(MINPOLL),      S(MINPOLL),     S(MINPOLL),     S(REARM),      2, S(MINPOLL) },
    [S(MINPOLL)]      = { "minpoll", false, act_poll,         S(MAXPOLL),      S(MAXPOLL),     S(MAXPOLL),     S(MINPOLL),    2, S(MAXPOLL) },
    [S(MAXPOLL)]      = { "maxpoll", false, act_poll,         S(NEXT_SERVER),  S(NEXT_SERVER), S(NEXT_SERVER), S(MAXPOLL),    2, S(NEXT_SERVER) },
    [S(BURST)]        = { "burst",   false, act_burst,        S(AWAIT_SYNC),   S(AWAIT_SYNC),  S(AWAIT_SYNC),  S(AWAIT_SYNC), 0, S(IDLE) },
    [S(AWAIT_SYNC)]   = { "sync",    false, act_await_sync,   S(JUDGE_SYNC),   S(AWAIT_SYNC),  S(AWAIT_SYNC),  S(AWAIT_SYNC), 0, S(IDLE) },
    [S(REFINE)]       = { "refine",  false, act_refine,       S(RATE),         S(AWAIT_SYNC),  S(AWAIT_SYNC),  S(AWAIT_SYNC), 0, S(IDLE) },
    /* Acted on at once, without a command. */
    [S(CONFIRMED)]   = { .name = "confirmed",   .holds_samples = true, .act = confirmed },
    [S(JUDGE_RESET)] = { .name = "judge reset", .holds_samples = true, .act = judge_reset },
    [S(MUTE)]        = { .name = "mute",        .holds_samples = true, .act = mute },
    [S(UNCONFIRMED)] = { .name = "unconfirmed", .holds_samples = true, .act = unconfirmed },
    [S(JUDGE_LOST)]  = { .name = "judge lost",  .holds_samples = true, .act = judge_lost },
    [S(JUDGE_SLEW)]  = { .name = "judge slew",  .holds_samples = true, .act = judge_slew },
    [S(JUDGE_SYNC)]  = { .name = "judge sync",  .act = judge_sync },
    [S(NO_COMMAND)]  = { .name = "no command",  .holds_samples = true, .act = no_command },
    [S(SETTLE)]      = { .name = "settle",      .holds_samples = true, .act = settle },
    [S(CANNOT_STEP)] = { .name = "cannot step", .holds_samples = true, .act = cannot_step },
    [S(NEXT_SERVER)] = { .name = "next server", .act = next_server },
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
    return state_holds_samples(r) && !r->away && !r->refining;
}

bool recovery_pauses_samples(const struct recovery *r)
{
    return state_holds_samples(r) && r->refining;
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

static void enter(struct recovery *r, enum recovery_state state)
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
    enter(r, cause == RECOVERY_CAUSE_START ? RECOVERY_AWAIT_PAGE : RECOVERY_RESET);
    if (reset_queued)
        r->sent = true;
    else if (cause != RECOVERY_CAUSE_START)
        r->wait_until_ns = not_before_ns;
}

static void end(struct recovery *r, enum recovery_outcome outcome, int64_t now_ns)
{
    r->outcome = outcome;
    r->ended_ns = r->synchronised_ns ? r->synchronised_ns : now_ns;
    r->refining = false;
    r->refine_due_ns = 0;
    enter(r, RECOVERY_IDLE);
}

void recovery_abandon(struct recovery *r, int64_t now_ns)
{
    if (r->state != RECOVERY_IDLE)
        end(r, RECOVERY_OUTCOME_ABANDONED, now_ns);
}

static enum recovery_outcome outcome_of(const struct recovery *r)
{
    if (r->cause != RECOVERY_CAUSE_START && !r->reset_confirmed)
        return RECOVERY_OUTCOME_UNCONFIRMED;
    return r->synchronised ? RECOVERY_OUTCOME_SYNCHRONISED : RECOVERY_OUTCOME_UNSYNCHRONISED;
}

/* The end of one that has released the samples. */
static void end_released(struct recovery *r, bool synchronised, int64_t now_ns)
{
    r->synchronised = synchronised;
    end(r, outcome_of(r), now_ns);
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
    const bool asks = table[r->state].act == act_ask || r->state == RECOVERY_AWAIT_SYNC ||
                      r->state == RECOVERY_REFINE;
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
    else if (event == RECOVERY_SILENCE && !asks && r->unanswered++ == UNANSWERED_MAX) {
        next = RECOVERY_AWAIT_SYNC;
        r->refine_due_ns = 0;
    }
    if (next == RECOVERY_PROBE && r->state != RECOVERY_PROBE)
        r->probe_for = r->state;
    if (next == r->state && ++r->failures == table[r->state].tries) {
        next = table[r->state].gives_up;
        if (next == RECOVERY_AWAIT_SYNC)
            r->refine_due_ns = 0;
    }
    if (next == RECOVERY_RESET && r->state == RECOVERY_RESET)
        order->news |= RECOVERY_NEWS_REFUSED;
    if (next == r->state)
        retry_later(r, now_ns);
    else
        enter(r, next);
}

static void send(struct recovery *r, struct recovery_order *order, struct chrony_command command)
{
    order->send = true;
    order->command = command;
    r->sent = true;
}

/* --- the states' turns ------------------------------------------------------------------------ */

static void act_reset(struct recovery *r, const struct turn *turn)
{
    r->had_reference = turn->view->has_reference;
    send(r, turn->order, (struct chrony_command){.id = CHRONY_RESET_SOURCES});
}

static void act_ask(struct recovery *r, const struct turn *turn)
{
    send(r, turn->order, (struct chrony_command){.id = CHRONY_TRACKING});
}

static void confirm(struct recovery *r, int64_t now_ns, struct recovery_order *order)
{
    r->reset_confirmed = true;
    r->mute = false;
    r->reset_ns = now_ns;
    order->news |= RECOVERY_NEWS_CONFIRMED;
}

static void confirmed(struct recovery *r, const struct turn *turn)
{
    confirm(r, turn->view->now_ns, turn->order);
    enter(r, RECOVERY_AWAIT_PAGE);
}

static void repeat_or_assume(
    struct recovery *r, enum recovery_state next, struct recovery_order *order)
{
    r->reset_assumed = r->unanswered_resets >= RESETS_MAX;
    if (r->reset_assumed)
        order->news |= RECOVERY_NEWS_ASSUMED;
    enter(r, r->reset_assumed ? next : RECOVERY_RESET);
}

/* A chronyd that had a reference and has none any more was reset. Otherwise nobody knows. */
static void judge_reset(struct recovery *r, const struct turn *turn)
{
    if (r->had_reference && !turn->view->has_reference)
        enter(r, RECOVERY_CONFIRMED);
    else
        repeat_or_assume(r, RECOVERY_AWAIT_PAGE, turn->order);
}

/* No reply comes. chronyd has most likely done what it has read; more commands would only harm. */
static void mute(struct recovery *r, const struct turn *turn)
{
    repeat_or_assume(r, RECOVERY_AWAIT_PAGE, turn->order);
    r->mute = r->reset_assumed;
}

static void unconfirmed(struct recovery *r, const struct turn *turn)
{
    if (!r->reset_assumed)
        turn->order->news |= RECOVERY_NEWS_DENIED;
    end(r, RECOVERY_OUTCOME_UNCONFIRMED, turn->view->now_ns);
}

/* For the page: a host that is late is given its time once chronyd has been reset. */
static int64_t waited_ns(const struct recovery *r, const struct recovery_view *view)
{
    return view->now_ns - (r->reset_ns ? r->reset_ns : r->started_ns);
}

/* The next moment at which a longer baseline is worth a look; 0: there is none. */
static int64_t next_refinement_ns(const struct recovery *r, int64_t now_ns)
{
    static const int64_t stages_ns[] = {3 * MS, 10 * MS, 50 * MS, 200 * MS, 1000 * MS, 4000 * MS};

    for (size_t i = 0; i < sizeof(stages_ns) / sizeof(stages_ns[0]); i++)
        if (r->refine_since_ns + stages_ns[i] > now_ns)
            return r->refine_since_ns + stages_ns[i];
    return 0;
}

/* Is there a page to go on with, or is it time to go on without? */
static void act_await_page(struct recovery *r, const struct turn *turn)
{
    const bool waited = waited_ns(r, turn->view) >= HOST_WAIT_NS;

    /* After the wait an unproven page is used: it continues the old formula, nothing will differ.
     */
    r->page_grade = turn->view->page;
    if ((turn->view->page == RECOVERY_PAGE_NOT_YET || turn->view->unproven) && !waited) {
        turn->order->news |= RECOVERY_NEWS_AWAITS_PAGE;
        /* Or earlier, when the page changes. */
        turn->order->wake_at_ns = turn->view->now_ns + RETRY_FIRST_NS;
        return;
    }
    if (turn->view->page == RECOVERY_PAGE_NOT_YET || turn->view->unproven)
        turn->order->news |= RECOVERY_NEWS_HOST_LATE;
    if (r->mute) {
        enter(r, RECOVERY_UNCONFIRMED);
        return;
    }
    r->source = turn->view->source;
    switch (r->page_grade) {
    case RECOVERY_PAGE_NOT_YET: r->page_grade = RECOVERY_PAGE_MARKER_ONLY; /* fall through */
    case RECOVERY_PAGE_MARKER_ONLY:
        if (r->cause == RECOVERY_CAUSE_START) /* its own rules suit a start best */
            end(r, RECOVERY_OUTCOME_ABANDONED, turn->view->now_ns);
        else
            enter(r, RECOVERY_REARM);
        break;
    case RECOVERY_PAGE_TIME:
        if (r->cause == RECOVERY_CAUSE_START)
            end(r, RECOVERY_OUTCOME_ABANDONED, turn->view->now_ns);
        else
            enter(r, r->exact_unavailable || r->source == RECOVERY_CORRECTOR_PAGE
                         ? RECOVERY_REARM /* samples will tell rate and offset together */
                         : RECOVERY_OFFSET);
        break;
    case RECOVERY_PAGE_PERIOD:
    case RECOVERY_PAGE_FULL:
        r->refine_since_ns = turn->view->now_ns;
        r->refine_due_ns = next_refinement_ns(r, turn->view->now_ns);
        /* The offset does not wait for a rate of which nothing is known yet. */
        enter(r, r->exact_unavailable                  ? RECOVERY_SETTLE
                 : r->source == RECOVERY_CORRECTOR_PTP ? RECOVERY_OFFSET
                                                       : RECOVERY_ASK);
        break;
    }
}

/* The clock is as right as it can be made now. */
static void rest(struct recovery *r)
{
    if (r->refining)
        enter(r, RECOVERY_AWAIT_SYNC);
    else
        enter(r, r->page_grade == RECOVERY_PAGE_FULL ? RECOVERY_BURST : RECOVERY_REARM);
}

/* Leave the offset to chronyd, whose own rules may allow what ours do not. */
static void leave(struct recovery *r, enum recovery_news why, struct recovery_order *order)
{
    r->left_to_chronyd = r->left_to_chronyd || !r->refining;
    r->refine_due_ns = 0;
    order->news |= why;
    enter(r, r->refining ? RECOVERY_AWAIT_SYNC : RECOVERY_BURST);
}

enum reading { READING_AWAITED, READING_HAD, READING_FAILED };

/* The page, or the PTP clock, has had its time. */
static bool has_waited(const struct recovery *r, const struct recovery_view *view)
{
    return waited_ns(r, view) >= (r->source == RECOVERY_CORRECTOR_PTP ? PTP_WAIT_NS : HOST_WAIT_NS);
}

/*
 * A measurement for this step: ordered where there is none, and once more a little later where none
 * came, as the page is being written, until it is time to go on without.
 */
static enum reading read_clock(struct recovery *r, const struct turn *turn)
{
    const struct recovery_view *view = turn->view;

    if (view->measured)
        return READING_HAD;
    if (view->awaits_measurement) {
        turn->order->wake_at_ns = view->now_ns + READING_WAIT_NS;
        return READING_AWAITED;
    }
    if (r->measuring && has_waited(r, view))
        return READING_FAILED;
    turn->order->measure = !r->measuring;
    if (r->measuring)
        r->wait_until_ns = view->now_ns + MS;
    r->measuring = turn->order->measure;
    return READING_AWAITED;
}

/* An estimate that is worth a command: well known, and beyond its uncertainty. */
static bool is_rate_worth(const struct recovery_view *view)
{
    return view->rate_known && view->rate_doubt_ppm <= RATE_VAGUE_PPM &&
           fabs(view->rate_ppm) >= fmax(RATE_ENOUGH_PPM, RATE_SIGMAS * view->rate_doubt_ppm);
}

static void act_rate(struct recovery *r, const struct turn *turn)
{
    const struct recovery_view *view = turn->view;
    enum reading reading;

    /* It is as well known as by the last reading: take one more. */
    if (r->refining && (reading = read_clock(r, turn)) != READING_HAD) {
        if (reading == READING_FAILED)
            rest(r);
        return;
    }
    if (view->rate_known && view->rate_doubt_ppm <= RATE_FINAL_PPM)
        r->refine_due_ns = 0; /* this is the last time */
    if (!is_rate_worth(view)) {
        enter(r, RECOVERY_OFFSET);
        return;
    }
    if (fabs(view->rate_ppm) > turn->config->rate_max_ppm) {
        leave(r, RECOVERY_NEWS_TOO_LARGE, turn->order);
        return;
    }
    r->rate_ppm += view->rate_ppm;
    r->refined.rate_ppm += view->rate_ppm;
    send(r, turn->order, (struct chrony_command){.id = CHRONY_DFREQ, .ppm = view->rate_ppm});
}

/* Whether an offset may be stepped. */
static bool allows_step(const struct recovery_config *config, double offset)
{
    switch (config->step) {
    case RECOVERY_STEP_ALWAYS: return true;
    case RECOVERY_STEP_FORWARD: return offset > 2 * FORWARD_SHORT_SEC;
    case RECOVERY_STEP_NEVER: break;
    }
    return false;
}

/* Whether the one that was measured may be, rather than slewed. */
static bool may_step(const struct recovery *r, const struct recovery_config *config, double offset)
{
    return allows_step(config, offset) && (r->round == 0 || config->step == RECOVERY_STEP_ALWAYS);
}

/*
 * At first an offset is corrected that is beyond what the source is good for. From then on the
 * clock goes by the source, and only the noise of its readings counts.
 */
static bool is_good_enough(const struct recovery *r, const struct turn *turn, bool shrinks)
{
    const struct recovery_view *view = turn->view;
    const double offset = fabs(view->offset_sec);
    const double least = fmax(GOOD_ENOUGH_SEC,
        r->offset_sent ? OFFSET_SIGMAS * view->offset_doubt_sec : view->least_offset_sec);
    const bool slew_would_not_help = offset <= SLEW_ENOUGH_SEC;
    const bool may_slew_only = !may_step(r, turn->config, view->offset_sec);

    return offset <= least || r->round == (r->refining ? 1 : ROUNDS_MAX) || r->cannot_step ||
           (r->round >= 2 && (!shrinks || slew_would_not_help)) ||
           ((r->round >= 1 || r->refining || r->cause == RECOVERY_CAUSE_START) && may_slew_only &&
               slew_would_not_help);
}

static void corrected(struct recovery *r, const struct turn *turn)
{
    if (!r->refining) {
        r->corrected_ns = turn->view->now_ns;
        turn->order->news |= RECOVERY_NEWS_CORRECTED;
        /* A clock that does not follow is not told more. */
        if (r->offset_sent &&
            fabs(r->remaining_sec) > fmax(SLEW_ENOUGH_SEC, fabs(r->offset_sec) / 2))
            r->refine_due_ns = 0;
    } else if (r->refined.rate_ppm != 0 || r->refined.offset_sec != 0) {
        turn->order->news |= RECOVERY_NEWS_REFINED;
        turn->order->refined.rate_ppm = r->refined.rate_ppm;
        turn->order->refined.offset_sec = r->refined.offset_sec;
    }
    rest(r);
}

/* The page is gone, is written or about to change, it is a leap second, or the PTP clock fails. */
static void go_on_without(struct recovery *r)
{
    if (!r->refining && r->source == RECOVERY_CORRECTOR_PTP) {
        r->page_grade = RECOVERY_PAGE_MARKER_ONLY;
        r->refine_due_ns = 0;
    }
    enter(r, r->refining ? RECOVERY_AWAIT_SYNC : RECOVERY_REARM);
}

static void act_offset(struct recovery *r, const struct turn *turn)
{
    const double offset = turn->view->offset_sec;
    enum reading reading;
    double send_sec;
    bool shrinks;

    if (r->page_grade == RECOVERY_PAGE_PERIOD) {
        if (r->refining)
            corrected(r, turn);
        else
            rest(r);
        return;
    }
    reading = read_clock(r, turn);
    if (reading == READING_HAD && isnan(offset)) {
        r->wait_until_ns = turn->view->now_ns + MS;
        reading = has_waited(r, turn->view) ? READING_FAILED : READING_AWAITED;
    }
    if (reading == READING_FAILED)
        go_on_without(r);
    if (reading != READING_HAD)
        return;
    r->source = turn->view->source;
    if (!r->refining && r->round == 1 && r->rate_ppm == 0 && r->refine_due_ns != 0 &&
        is_rate_worth(turn->view)) {
        enter(r, RECOVERY_RATE); /* it has become known since the first offset was measured */
        return;
    }
    shrinks = isnan(r->remaining_sec) || fabs(offset) < fabs(r->remaining_sec) / 2;
    r->remaining_sec = offset;
    if (is_good_enough(r, turn, shrinks)) {
        corrected(r, turn);
        return;
    }
    if (fabs(offset) * 1e9 > (double)turn->config->step_max_ns) {
        leave(r, RECOVERY_NEWS_TOO_LARGE, turn->order);
        return;
    }
    r->last_offset_slews = !may_step(r, turn->config, offset);
    /* A chronyd that starts may step by its own makestep; a long slew is its own to make, too. */
    if (r->last_offset_slews && (r->cause == RECOVERY_CAUSE_START || fabs(offset) > SLEW_MAX_SEC)) {
        leave(r, RECOVERY_NEWS_LEFT, turn->order);
        return;
    }
    send_sec = offset;
    if (!r->last_offset_slews && turn->config->step == RECOVERY_STEP_FORWARD)
        send_sec -= FORWARD_SHORT_SEC;
    r->round++;
    if (r->refined.offset_sec == 0) { /* the next ones are what this one leaves */
        r->offset_sec += offset;
        r->refined.offset_sec += offset;
    }
    r->offset_sent = true;
    send(r, turn->order, (struct chrony_command){.id = CHRONY_DOFFSET2, .offset_sec = -send_sec});
}

static void begin_slew(struct recovery *r, int64_t now_ns)
{
    enter(r, RECOVERY_SLEW);
    r->slew_since_ns = now_ns;
    if (r->first_slew_ns == 0)
        r->first_slew_ns = now_ns;
    r->wait_until_ns = now_ns + SLEW_POLL_NS;
}

static void act_step(struct recovery *r, const struct turn *turn)
{
    /* Or not any more, since a reload. */
    if (r->last_offset_slews || !allows_step(turn->config, r->remaining_sec))
        begin_slew(r, turn->view->now_ns);
    else
        send(r, turn->order, (struct chrony_command){.id = CHRONY_MAKESTEP});
}

static void act_step_residue(struct recovery *r, const struct turn *turn)
{
    /* What is left may be a step back; of a small offset it is next to nothing. */
    if (turn->config->step != RECOVERY_STEP_ALWAYS || fabs(r->remaining_sec) < RESIDUE_LEAST_SEC)
        enter(r, RECOVERY_OFFSET);
    else
        send(r, turn->order, (struct chrony_command){.id = CHRONY_MAKESTEP});
}

static void cannot_step(struct recovery *r, const struct turn *turn)
{
    r->cannot_step = true;
    turn->order->news |= RECOVERY_NEWS_CANNOT_STEP;
    begin_slew(r, turn->view->now_ns);
}

/*
 * Wait until chronyd reports that the slew is over: another program may step the clock meanwhile,
 * and chronyd may slew more slowly than by default. Where it does not report it, wait as long as a
 * slew takes. Where the clock does not move at all (-x), measure it, and report what is left.
 */
static void judge_slew(struct recovery *r, const struct turn *turn)
{
    const int64_t since_ns = turn->view->now_ns - r->slew_since_ns;
    const double takes_sec = fmax(SLEW_MIN_SEC, 1.05 * fabs(r->remaining_sec) / SLEW_RATE);
    const bool late = (double)since_ns >= takes_sec * 1e9;
    const bool over =
        isnan(turn->view->correction_sec)
            ? late
            : fabs(turn->view->correction_sec) <= SLEW_ENOUGH_SEC || (late && r->cannot_step);

    if (over) {
        enter(r, RECOVERY_OFFSET);
    } else if (turn->view->now_ns - r->first_slew_ns >= SLEW_HOLD_NS) {
        leave(r, RECOVERY_NEWS_LEFT, turn->order);
    } else {
        enter(r, RECOVERY_SLEW);
        r->wait_until_ns = turn->view->now_ns + SLEW_POLL_NS;
    }
}

/* chronyd has done, or will never do, what was sent before. */
static void judge_lost(struct recovery *r, const struct turn *turn)
{
    /* With `forward` no second step is sent: it may go back. */
    const bool stepped = r->probe_for == RECOVERY_STEP || r->probe_for == RECOVERY_STEP_RESIDUE;

    if (r->probe_for == RECOVERY_OFFSET)
        r->round--; /* most likely not carried out: it does not count as a round */
    if (r->probe_for == RECOVERY_RATE)
        enter(r, RECOVERY_RATE);
    else if (r->last_offset_slews || (stepped && turn->config->step == RECOVERY_STEP_FORWARD))
        begin_slew(r, turn->view->now_ns); /* do not measure until it has been slewed */
    else                                   /* whatever slew there is, end it */
        enter(r, RECOVERY_STEP);
}

static void no_command(struct recovery *r, const struct turn *turn)
{
    r->exact_unavailable = true;
    turn->order->news |= RECOVERY_NEWS_NO_COMMAND;
    enter(r, RECOVERY_SETTLE);
}

static void settle(struct recovery *r, const struct turn *turn)
{
    (void)turn;
    r->refine_due_ns = 0;
    if (!r->refining)
        r->page_grade = r->page_grade >= RECOVERY_PAGE_TIME && r->source != RECOVERY_CORRECTOR_PTP
                            ? RECOVERY_PAGE_TIME
                            : RECOVERY_PAGE_MARKER_ONLY;
    enter(r, r->refining ? RECOVERY_AWAIT_SYNC : RECOVERY_REARM);
}

/*
 * chronyd may step once on its own measurements, and slews what is left: a measurement by NTP errs
 * by at most half its delay, and a step on less than that may be wrong. In simulations of servers
 * with 0.05 to 20 ms of jitter a threshold of the whole delay left one step, where 0.1 ms made up
 * to eight, back and forth. On the shortest of paths a late jump is worth more updates.
 */
static void rearm_for_ntp(const struct recovery_view *view, struct chrony_command *command)
{
    const double delay_sec = isnan(view->root_delay_sec) ? STEP_UNKNOWN_SEC : view->root_delay_sec;

    command->makestep.threshold_sec = fmin(fmax(delay_sec, STEP_LEAST_SEC), STEP_MOST_SEC);
    command->makestep.limit = delay_sec > STEP_LEAST_SEC ? 3 : 8;
}

static void act_rearm(struct recovery *r, const struct turn *turn)
{
    struct chrony_command command = {.id = CHRONY_MODIFY_MAKESTEP};

    if (r->corrected_ns == 0)
        r->corrected_ns = turn->view->now_ns;
    if (r->cause == RECOVERY_CAUSE_START) { /* its own rules suit a start best */
        enter(r, RECOVERY_AWAIT_SYNC);
        return;
    }
    /* makestep cannot be limited to forward steps. */
    if (turn->config->step != RECOVERY_STEP_ALWAYS) {
        enter(r, RECOVERY_MINPOLL);
        return;
    }
    if (r->page_grade == RECOVERY_PAGE_TIME && r->source == RECOVERY_CORRECTOR_PAGE) {
        command.makestep.threshold_sec = 1e-6;
        command.makestep.limit = 5;
    } else {
        rearm_for_ntp(turn->view, &command);
    }
    send(r, turn->order, command);
}

static void act_poll(struct recovery *r, const struct turn *turn)
{
    struct chrony_command command = {
        .id = r->state == RECOVERY_MINPOLL ? CHRONY_MODIFY_MINPOLL : CHRONY_MODIFY_MAXPOLL,
        .poll.log2_sec = 0,
    };

    /* With time from the page, NTP need not hurry. */
    if (r->server >= turn->config->n_servers || r->page_grade == RECOVERY_PAGE_TIME) {
        enter(r, RECOVERY_BURST);
        return;
    }
    command.poll.address = turn->config->servers[r->server].address;
    send(r, turn->order, command);
}

static void next_server(struct recovery *r, const struct turn *turn)
{
    (void)turn;
    r->server++;
    enter(r, RECOVERY_MINPOLL);
}

static void act_burst(struct recovery *r, const struct turn *turn)
{
    if (turn->config->burst_total == 0 || r->cause == RECOVERY_CAUSE_START)
        enter(r, RECOVERY_AWAIT_SYNC);
    else
        send(r, turn->order,
            (struct chrony_command){.id = CHRONY_BURST,
                .burst = {turn->config->burst_good, turn->config->burst_total}});
}

static void await_sync(struct recovery *r, int64_t now_ns)
{
    enter(r, RECOVERY_AWAIT_SYNC);
    r->wait_until_ns = now_ns + SYNC_POLL_NS;
    if (r->refine_due_ns > now_ns && r->refine_due_ns < r->wait_until_ns)
        r->wait_until_ns = r->refine_due_ns;
}

static void act_await_sync(struct recovery *r, const struct turn *turn)
{
    const int64_t now_ns = turn->view->now_ns;

    r->refining = false;
    if (now_ns - r->released_ns >= SYNC_WAIT_NS)
        end_released(r, false, now_ns);
    else if (turn->view->busy)
        r->wait_until_ns = now_ns + (r->refine_due_ns ? MS : SYNC_POLL_NS);
    else if (r->refine_due_ns && r->refine_due_ns <= now_ns)
        enter(r, RECOVERY_REFINE);
    else
        act_ask(r, turn);
}

/* DFREQ adds to the frequency that chronyd has now. */
static void act_refine(struct recovery *r, const struct turn *turn)
{
    r->refining = true;
    r->round = 0;
    r->refined.rate_ppm = r->refined.offset_sec = 0;
    r->refine_due_ns = next_refinement_ns(r, turn->view->now_ns);
    act_ask(r, turn);
}

static void judge_sync(struct recovery *r, const struct turn *turn)
{
    if (turn->view->synchronised && r->synchronised_ns == 0)
        r->synchronised_ns = turn->view->now_ns;
    if (turn->view->synchronised && r->refine_due_ns == 0)
        end_released(r, true, turn->view->now_ns);
    else
        await_sync(r, turn->view->now_ns);
}

/* --- one step --------------------------------------------------------------------------------- */

/* Of one that had ended before its reset was confirmed. */
static void learn_outcome(struct recovery *r)
{
    if (r->synchronised) {
        r->outcome = outcome_of(r);
        return;
    }
    /* chronyd was not asked, unless for the whole minute: that ends at once. */
    r->outcome = RECOVERY_OUTCOME_RUNNING;
    r->ended_ns = 0;
    enter(r, RECOVERY_AWAIT_SYNC);
}

static void handle_late_reset(struct recovery *r, int64_t now_ns, struct recovery_order *order)
{
    if (r->cause == RECOVERY_CAUSE_START || r->reset_confirmed)
        return;
    confirm(r, now_ns, order);
    if (r->state == RECOVERY_IDLE && r->outcome == RECOVERY_OUTCOME_UNCONFIRMED)
        learn_outcome(r);
    if (r->state == RECOVERY_RESET || r->state == RECOVERY_CONFIRM)
        enter(r, RECOVERY_AWAIT_PAGE);
}

/*
 * chronyd has ended: the next one at the command socket has none of our commands. Where nobody
 * comes back there, chronyd may be reached by the SOCK alone: samples serve it better than none.
 */
static void handle_gone(struct recovery *r, int64_t now_ns)
{
    r->exact_unavailable = false;
    if (r->state == RECOVERY_IDLE)
        return;
    r->refine_due_ns = 0;
    if (r->cause == RECOVERY_CAUSE_START)
        end(r, RECOVERY_OUTCOME_ABANDONED, now_ns);
    else if (!state_holds_samples(r)) /* the clock is corrected: await a reference */
        enter(r, RECOVERY_AWAIT_SYNC);
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
    assert(!state_holds_samples(r) || r->released_ns == 0 || r->refining);
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
