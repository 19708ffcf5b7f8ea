/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/recovery.h"

#include <assert.h>
#include <math.h>

#define MS                INT64_C(1000000)
#define HOST_WAIT_NS      (5000 * MS) /* a destination host needs about one second */
#define RATE_WAIT_NS      (1500 * MS) /* the raw rate's baseline is one second */
#define SYNC_WAIT_NS      (60000 * MS)
#define SYNC_POLL_NS      (50 * MS)
#define RETRY_FIRST_NS    (100 * MS)
#define RETRY_MAX_NS      (2000 * MS)
#define SLEW_MIN_NS       (1000 * MS)
#define SLEW_RATE         0.083333 /* chronyd's largest */
#define GOOD_ENOUGH_SEC   30e-9    /* what a measurement can tell from nothing */
#define SLEW_ENOUGH_SEC   1e-6     /* below that, samples are as quick as another slew */
#define FORWARD_SHORT_SEC 1e-6     /* a step forward stops short of a step back */
#define RATE_ENOUGH_PPM   5e-4
#define ROUNDS_MAX        3

/*
 * The order of things. `ok`, `invalid`, `refused` and `silence` name the state that follows the
 * reply; where that is the state itself, it is tried again later.
 */
static const struct {
    const char *name;
    bool holds_samples;
    enum recovery_state ok, invalid, refused, silence;
} table[RECOVERY_N_STATES] = {
/* clang-format off */
#define S(x) RECOVERY_##x
    /*                             hold    ok          invalid     refused     silence */
    [S(IDLE)]    = { "idle",       false,  S(IDLE),    S(IDLE),    S(IDLE),    S(IDLE)    },
    [S(RESET)]   = { "reset",      true,   S(HOST),    S(RESET),   S(RESET),   S(RESET)   },
    [S(HOST)]    = { "host",       true,   S(HOST),    S(HOST),    S(HOST),    S(HOST)    },
    [S(RATE)]    = { "rate",       true,   S(OFFSET),  S(REARM),   S(REARM),   S(PROBE)   },
    [S(OFFSET)]  = { "offset",     true,   S(STEP),    S(REARM),   S(REARM),   S(PROBE)   },
    [S(STEP)]    = { "step",       true,   S(FLUSH),   S(SLEW),    S(SLEW),    S(PROBE)   },
    [S(FLUSH)]   = { "flush",      true,   S(OFFSET),  S(OFFSET),  S(OFFSET),  S(PROBE)   },
    [S(SLEW)]    = { "slew",       true,   S(SLEW),    S(SLEW),    S(SLEW),    S(SLEW)    },
    [S(PROBE)]   = { "probe",      true,   S(PROBE),   S(PROBE),   S(PROBE),   S(PROBE)   },
    [S(REARM)]   = { "rearm",      false,  S(MINPOLL), S(MINPOLL), S(MINPOLL), S(REARM)   },
    [S(MINPOLL)] = { "minpoll",    false,  S(MAXPOLL), S(MAXPOLL), S(MAXPOLL), S(MINPOLL) },
    [S(MAXPOLL)] = { "maxpoll",    false,  S(MINPOLL), S(MINPOLL), S(MINPOLL), S(MAXPOLL) },
    [S(BURST)]   = { "burst",      false,  S(SYNC),    S(SYNC),    S(SYNC),    S(SYNC)    },
    [S(SYNC)]    = { "sync",       false,  S(SYNC),    S(SYNC),    S(SYNC),    S(SYNC)    },
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
    }
    return "unknown";
}

bool recovery_holds_samples(const struct recovery *r)
{
    return table[r->state].holds_samples;
}

static void enter(struct recovery *r, enum recovery_state state)
{
    r->state = state;
    r->sent = r->measuring = false;
    r->wait_until_ns = 0;
    r->failures = 0;
}

void recovery_begin(struct recovery *r, enum recovery_cause cause, int64_t now_ns)
{
    *r = (struct recovery){
        .cause = cause,
        .plan = RECOVERY_PAGE_NOT_YET,
        /* What was changed stays to be put back. */
        .makestep_changed = r->makestep_changed,
        .polls_changed = r->polls_changed,
        .exact_unavailable = r->exact_unavailable,
        .started_ns = now_ns,
        .remaining_sec = NAN,
    };
    enter(r, cause == RECOVERY_CAUSE_START ? RECOVERY_HOST : RECOVERY_RESET);
}

static void end(struct recovery *r, enum recovery_outcome outcome, int64_t now_ns)
{
    r->outcome = outcome;
    r->ended_ns = now_ns;
    enter(r, RECOVERY_IDLE);
}

/* PROBE, on account of a reply that was lost, or for RATE of chronyd's frequency as it is now. */
static void enter_probe(struct recovery *r, enum recovery_state lost)
{
    enter(r, RECOVERY_PROBE);
    r->lost = lost;
}

/* What cannot be corrected exactly: by less than the page is good for. */
static void settle_for_less(struct recovery *r)
{
    r->plan = r->plan == RECOVERY_PAGE_FULL ? RECOVERY_PAGE_TIME : RECOVERY_PAGE_MARKER_ONLY;
    enter(r, RECOVERY_REARM);
}

static void retry_later(struct recovery *r, int64_t now_ns)
{
    const int64_t wait_ns = RETRY_FIRST_NS << (r->failures < 5 ? r->failures : 5);

    r->sent = false;
    r->failures++;
    r->wait_until_ns = now_ns + (wait_ns < RETRY_MAX_NS ? wait_ns : RETRY_MAX_NS);
}

/* Until what was sent last has been slewed. */
static void hold_slew(struct recovery *r, int64_t now_ns)
{
    const int64_t ns = (int64_t)(fabs(r->remaining_sec) / SLEW_RATE * 1.05e9);

    enter(r, RECOVERY_SLEW);
    r->wait_until_ns = now_ns + (ns > SLEW_MIN_NS ? ns : SLEW_MIN_NS);
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

/* The end of PROBE: chronyd has done, or will never do, what was sent before it. */
static void after_probe(struct recovery *r, const struct recovery_config *config, int64_t now_ns)
{
    /* Or not: a second step may go back. FLUSH is one where a reload forbids what was allowed. */
    const bool stepped = r->lost == RECOVERY_STEP || r->lost == RECOVERY_FLUSH;

    if (r->lost == RECOVERY_OFFSET && r->losses < ROUNDS_MAX) {
        r->losses++; /* it was not carried out, most likely: that was no round */
        r->round--;
    }
    if (r->lost == RECOVERY_RATE)
        enter(r, RECOVERY_RATE);
    else if (r->slews || (stepped && config->step == RECOVERY_STEP_FORWARD))
        hold_slew(r, now_ns); /* do not measure until it has been slewed */
    else                      /* whatever slew there is, end it */
        enter(r, RECOVERY_STEP);
}

static void handle_reply(struct recovery *r, const struct recovery_config *config,
    enum recovery_event event, const struct recovery_view *view)
{
    enum recovery_state next = RECOVERY_IDLE;

    switch (event) {
    case RECOVERY_REPLY_OK: next = table[r->state].ok; break;
    case RECOVERY_REPLY_INVALID: next = table[r->state].invalid; break;
    case RECOVERY_REPLY_REFUSED: next = table[r->state].refused; break;
    case RECOVERY_SILENCE: next = table[r->state].silence; break;
    case RECOVERY_TICK:
    case RECOVERY_GONE: assert(false); return;
    }

    if (event == RECOVERY_REPLY_OK && r->state == RECOVERY_RESET) {
        r->reset_confirmed = true;
        r->reset_ns = view->now_ns;
    }
    if (r->state == RECOVERY_PROBE && event != RECOVERY_SILENCE) { /* any answer will do */
        after_probe(r, config, view->now_ns);
    } else if (event == RECOVERY_REPLY_OK && r->state == RECOVERY_SYNC && view->synchronised) {
        end(r, RECOVERY_OUTCOME_SYNCHRONISED, view->now_ns);
    } else if (r->state == RECOVERY_SYNC) {
        r->sent = false;
        r->wait_until_ns = view->now_ns + SYNC_POLL_NS;
    } else if (r->state == RECOVERY_OFFSET && next == RECOVERY_STEP && r->slews) {
        hold_slew(r, view->now_ns);
    } else if (next == RECOVERY_SLEW) { /* chronyd would not step: then it slews */
        r->cannot_step = true;
        hold_slew(r, view->now_ns);
    } else if ((r->state == RECOVERY_RATE || r->state == RECOVERY_OFFSET) &&
               next == RECOVERY_REARM) {
        r->exact_unavailable = r->exact_unavailable || event == RECOVERY_REPLY_INVALID;
        settle_for_less(r);
    } else if (next == RECOVERY_PROBE && r->state != RECOVERY_PROBE) {
        enter_probe(r, r->state);
    } else if (next == r->state) {
        retry_later(r, view->now_ns);
    } else {
        const bool next_server = r->state == RECOVERY_MAXPOLL;

        enter(r, next);
        r->server += next_server;
    }
}

static void corrected(struct recovery *r, int64_t now_ns, enum recovery_state next)
{
    r->corrected_ns = now_ns;
    enter(r, next);
}

static void send(struct recovery *r, struct recovery_order *order, struct chrony_command command)
{
    order->send = true;
    order->command = command;
    r->sent = true;
}

/* At once; one that could not be made, as the page is gone or being written, a little later. */
static void order_measurement(
    struct recovery *r, const struct recovery_view *view, struct recovery_order *order)
{
    order->measure = !r->measuring;
    if (r->measuring)
        r->wait_until_ns = view->now_ns + MS;
    r->measuring = order->measure;
}

/* HOST: is there a page to go on with, or is it time to go on without? */
static void step_host(
    struct recovery *r, const struct recovery_view *view, struct recovery_order *order)
{
    const bool waited = view->now_ns - (r->reset_ns ? r->reset_ns : r->started_ns) >= HOST_WAIT_NS;

    /* What is unproven is as good as proven in the end: nothing differs, nothing is corrected. */
    r->plan = view->page;
    if ((view->page == RECOVERY_PAGE_NOT_YET || view->unproven) && !waited) {
        order->wake_at_ns = view->now_ns + RETRY_FIRST_NS; /* or earlier, when the page changes */
        return;
    }
    switch (r->plan) {
    case RECOVERY_PAGE_NOT_YET: r->plan = RECOVERY_PAGE_MARKER_ONLY; /* fall through */
    case RECOVERY_PAGE_MARKER_ONLY:
    case RECOVERY_PAGE_TIME:
        if (r->cause == RECOVERY_CAUSE_START) /* chronyd starts best by its own rules */
            end(r, RECOVERY_OUTCOME_ABANDONED, view->now_ns);
        else
            enter(r, RECOVERY_REARM);
        break;
    case RECOVERY_PAGE_PERIOD:
    case RECOVERY_PAGE_FULL:
        if (r->exact_unavailable)
            settle_for_less(r);
        else
            enter_probe(r, RECOVERY_RATE);
        break;
    }
}

static void step_rate(struct recovery *r, const struct recovery_config *config,
    const struct recovery_view *view, struct recovery_order *order)
{
    if (!view->rate_known) {
        if (view->now_ns - r->started_ns < RATE_WAIT_NS) {
            enter_probe(r, RECOVERY_RATE);
            r->wait_until_ns = view->now_ns + 10 * MS;
        } else if (r->cause == RECOVERY_CAUSE_START) { /* the offset alone is worth it */
            enter(r, RECOVERY_OFFSET);
        } else {
            settle_for_less(r);
        }
    } else if (fabs(view->rate_ppm) > config->rate_max_ppm) {
        r->refused_correction = true;
        r->rate_ppm = view->rate_ppm;
        enter(r, RECOVERY_BURST);
    } else if (fabs(view->rate_ppm) < RATE_ENOUGH_PPM) {
        enter(r, r->plan == RECOVERY_PAGE_FULL ? RECOVERY_OFFSET : RECOVERY_REARM);
    } else {
        r->rate_ppm += view->rate_ppm;
        send(r, order, (struct chrony_command){.id = CHRONY_DFREQ, .ppm = view->rate_ppm});
    }
}

static void step_offset(struct recovery *r, const struct recovery_config *config,
    const struct recovery_view *view, struct recovery_order *order)
{
    const bool waited = view->now_ns - r->started_ns > HOST_WAIT_NS;
    const double offset = view->offset_sec;
    double send_sec;
    bool shrinks;

    if (r->plan == RECOVERY_PAGE_PERIOD) {
        enter(r, RECOVERY_REARM);
        return;
    }
    if (!view->measured && !(r->measuring && waited)) {
        order_measurement(r, view, order);
        return;
    }
    /* The page is gone, is written or about to change, or it is a leap second. */
    if (!view->measured || isnan(offset)) {
        r->wait_until_ns = view->now_ns + MS;
        if (waited)
            enter(r, RECOVERY_REARM);
        return;
    }
    shrinks = isnan(r->remaining_sec) || fabs(offset) < fabs(r->remaining_sec) / 2;
    r->remaining_sec = offset;
    if (fabs(offset) <= GOOD_ENOUGH_SEC || r->round == ROUNDS_MAX ||
        (r->round >= 2 && (!shrinks || fabs(offset) <= SLEW_ENOUGH_SEC)) || r->cannot_step ||
        (r->round >= 1 && !may_step(r, config, offset) && fabs(offset) <= SLEW_ENOUGH_SEC)) {
        corrected(r, view->now_ns, RECOVERY_BURST);
        return;
    }
    if (fabs(offset) * 1e9 > (double)config->step_max_ns) {
        r->refused_correction = true;
        r->offset_sec = offset;
        enter(r, RECOVERY_BURST);
        return;
    }
    send_sec = offset;
    r->slews = !may_step(r, config, offset);
    if (!r->slews && config->step == RECOVERY_STEP_FORWARD)
        send_sec -= FORWARD_SHORT_SEC;
    if (r->round++ == 0 && r->losses == 0)
        r->offset_sec = offset;
    send(r, order, (struct chrony_command){.id = CHRONY_DOFFSET2, .offset_sec = -send_sec});
}

static void step_rearm(struct recovery *r, const struct recovery_config *config,
    const struct recovery_view *view, struct recovery_order *order)
{
    struct chrony_command command = {.id = CHRONY_MODIFY_MAKESTEP};

    if (r->corrected_ns == 0)
        r->corrected_ns = view->now_ns;
    if (r->cause == RECOVERY_CAUSE_START) { /* chronyd starts best by its own rules */
        enter(r, RECOVERY_SYNC);
        return;
    }
    if (config->step != RECOVERY_STEP_ALWAYS) { /* a step by makestep has no direction */
        enter(r, RECOVERY_MINPOLL);
        return;
    }
    switch (r->plan) {
    case RECOVERY_PAGE_TIME:
        command.makestep.threshold_sec = 1e-6;
        command.makestep.limit = 5;
        break;
    case RECOVERY_PAGE_PERIOD:
        command.makestep.threshold_sec = 1e-4;
        command.makestep.limit = 3;
        break;
    default:
        command.makestep.threshold_sec = 1e-4;
        command.makestep.limit = 8;
        break;
    }
    r->makestep_changed = true;
    send(r, order, command);
}

static void step_poll(
    struct recovery *r, const struct recovery_config *config, struct recovery_order *order)
{
    struct chrony_command command = {
        .id = r->state == RECOVERY_MINPOLL ? CHRONY_MODIFY_MINPOLL : CHRONY_MODIFY_MAXPOLL,
        .poll.log2_sec = 0,
    };

    /* With time from the page, NTP need not hurry. */
    if (r->server >= config->n_servers || r->plan == RECOVERY_PAGE_TIME) {
        enter(r, RECOVERY_BURST);
        return;
    }
    command.poll.address = config->servers[r->server].address;
    r->polls_changed = true;
    send(r, order, command);
}

static void step_sync(
    struct recovery *r, const struct recovery_view *view, struct recovery_order *order)
{
    const int64_t since_ns = r->corrected_ns ? r->corrected_ns
                             : r->reset_ns   ? r->reset_ns
                                             : r->started_ns;

    if (view->now_ns - since_ns >= SYNC_WAIT_NS)
        end(r, RECOVERY_OUTCOME_UNSYNCHRONISED, view->now_ns);
    else
        send(r, order, (struct chrony_command){.id = CHRONY_TRACKING});
}

/* One state's turn; it either enters another, orders something, or waits. */
static void step_state(struct recovery *r, const struct recovery_config *config,
    const struct recovery_view *view, struct recovery_order *order)
{
    switch (r->state) {
    case RECOVERY_IDLE: break;
    case RECOVERY_RESET: send(r, order, (struct chrony_command){.id = CHRONY_RESET_SOURCES}); break;
    case RECOVERY_HOST: step_host(r, view, order); break;
    case RECOVERY_RATE: step_rate(r, config, view, order); break;
    case RECOVERY_OFFSET: step_offset(r, config, view, order); break;
    case RECOVERY_STEP:
        if (allows_step(config, r->remaining_sec))
            send(r, order, (struct chrony_command){.id = CHRONY_MAKESTEP});
        else /* not any more, since a reload */
            hold_slew(r, view->now_ns);
        break;
    case RECOVERY_FLUSH:
        /* What is left may be a step back; after the second round it is next to nothing. */
        if (config->step != RECOVERY_STEP_ALWAYS || r->round > 1)
            enter(r, RECOVERY_OFFSET);
        else
            send(r, order, (struct chrony_command){.id = CHRONY_MAKESTEP});
        break;
    case RECOVERY_SLEW: enter(r, RECOVERY_OFFSET); break;
    case RECOVERY_PROBE: send(r, order, (struct chrony_command){.id = CHRONY_TRACKING}); break;
    case RECOVERY_REARM: step_rearm(r, config, view, order); break;
    case RECOVERY_MINPOLL:
    case RECOVERY_MAXPOLL: step_poll(r, config, order); break;
    case RECOVERY_BURST:
        if (config->burst_total == 0 || r->cause == RECOVERY_CAUSE_START)
            enter(r, RECOVERY_SYNC);
        else
            send(r, order,
                (struct chrony_command){
                    .id = CHRONY_BURST, .burst = {config->burst_good, config->burst_total}});
        break;
    case RECOVERY_SYNC: step_sync(r, view, order); break;
    case RECOVERY_N_STATES: assert(false); break;
    }
}

/* Whoever comes next at the command socket knows nothing of what this chronyd was told. */
static void handle_gone(struct recovery *r, int64_t now_ns)
{
    r->exact_unavailable = false;
    if (r->state == RECOVERY_IDLE)
        return;
    if (r->cause == RECOVERY_CAUSE_START)
        end(r, RECOVERY_OUTCOME_ABANDONED, now_ns);
    else if (!recovery_holds_samples(r)) /* its clock was corrected: await the next one's choice */
        enter(r, RECOVERY_SYNC);
    else if (r->state != RECOVERY_RESET)
        recovery_begin(r, r->cause, r->started_ns);
    r->sent = false;
    r->wait_until_ns = now_ns + RETRY_FIRST_NS; /* looked for at this pace, for ever */
}

void recovery_step(struct recovery *r, const struct recovery_config *config,
    enum recovery_event event, const struct recovery_view *view, struct recovery_order *ret_order)
{
    struct recovery_order order = {.wake_at_ns = INT64_MAX};

    if (view->measured)
        r->measuring = false;
    if (event == RECOVERY_GONE)
        handle_gone(r, view->now_ns);
    else if (event != RECOVERY_TICK && r->sent)
        handle_reply(r, config, event, view);

    /* From state to state, until something has to be waited for. */
    for (enum recovery_state before = RECOVERY_N_STATES; before != r->state;) {
        before = r->state;
        if (!r->sent && view->now_ns >= r->wait_until_ns)
            step_state(r, config, view, &order);
        if (order.send || order.measure)
            break;
    }
    if (!r->sent && r->wait_until_ns > view->now_ns)
        order.wake_at_ns = r->wait_until_ns;
    *ret_order = order;
}
