/* SPDX-License-Identifier: BSD-2-Clause */
/* The correction: the rate, the offset by a step or a slew, and again as more is known. */
#include "refclock/recovery_turn.h"

#include <math.h>

#define PTP_WAIT_NS       (200 * MS) /* a clock that gives no reading by then is left alone */
#define READING_WAIT_NS   (10 * MS)  /* how often to look for an ordered reading */
#define SLEW_POLL_NS      (100 * MS)
#define SLEW_HOLD_NS      (60000 * MS) /* of all slews; then samples flow beside what is left */
#define SLEW_MIN_SEC      1.0          /* the least that chronyd takes for one */
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
#define ROUNDS_MAX        3

/* No more to correct now: on to the burst, or back to the wait. */
static void finish(struct recovery *r)
{
    if (r->refinement.runs)
        recovery_enter(r, RECOVERY_AWAIT_SYNC);
    else
        recovery_enter(r, r->page_grade == RECOVERY_PAGE_FULL ? RECOVERY_BURST : RECOVERY_REARM);
}

/* Leave the offset to chronyd, whose own rules may allow what ours do not. */
static void leave(struct recovery *r, enum recovery_news why, struct recovery_order *order)
{
    r->left_to_chronyd = r->left_to_chronyd || !r->refinement.runs;
    r->refinement.due_ns = 0;
    order->news |= why;
    recovery_enter(r, r->refinement.runs ? RECOVERY_AWAIT_SYNC : RECOVERY_BURST);
}

enum reading { READING_AWAITED, READING_HAD, READING_FAILED };

/* The page, or the PTP clock, has had its time. */
static bool has_waited(const struct recovery *r, const struct recovery_view *view)
{
    return waited_ns(r, view) >= (r->source == RECOVERY_CORRECTOR_PTP ? PTP_WAIT_NS : HOST_WAIT_NS);
}

/*
 * Have a measurement made for this step. Where none came, because the page was being written, have
 * another one made a little later, until it is time to go on without.
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

void recovery_act_rate(struct recovery *r, const struct turn *turn)
{
    const struct recovery_view *view = turn->view;
    enum reading reading;

    /* The rate is known as of the last reading: take one more. */
    if (r->refinement.runs && (reading = read_clock(r, turn)) != READING_HAD) {
        if (reading == READING_FAILED)
            finish(r);
        return;
    }
    if (view->rate_known && view->rate_doubt_ppm <= RATE_FINAL_PPM)
        r->refinement.due_ns = 0; /* this is the last time */
    if (!is_rate_worth(view)) {
        recovery_enter(r, RECOVERY_OFFSET);
        return;
    }
    if (fabs(view->rate_ppm) > turn->config->rate_max_ppm) {
        turn->order->refused.rate_ppm = view->rate_ppm;
        leave(r, RECOVERY_NEWS_TOO_LARGE, turn->order);
        return;
    }
    if (r->refinement.rate_ppm == 0) { /* or it is sent once more, for its reply was lost */
        r->rate_ppm += view->rate_ppm;
        r->refinement.rate_ppm = view->rate_ppm;
    }
    recovery_send(
        r, turn->order, (struct chrony_command){.id = CHRONY_DFREQ, .ppm = view->rate_ppm});
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

/* Whether the measured one may be stepped, rather than slewed. */
static bool may_step(const struct recovery *r, const struct recovery_config *config, double offset)
{
    return allows_step(config, offset) && (r->round == 0 || config->step == RECOVERY_STEP_ALWAYS);
}

/*
 * At first only an offset beyond the source's error is corrected. From then on the clock goes by
 * the source, and only the noise of its readings counts.
 */
static bool is_good_enough(const struct recovery *r, const struct turn *turn, bool shrinks)
{
    const struct recovery_view *view = turn->view;
    const double offset = fabs(view->offset_sec);
    const double least = fmax(GOOD_ENOUGH_SEC,
        r->offset_sent ? OFFSET_SIGMAS * view->offset_doubt_sec : view->least_offset_sec);
    const bool slew_would_not_help = offset <= SLEW_ENOUGH_SEC;
    const bool may_slew_only = !may_step(r, turn->config, view->offset_sec);

    return offset <= least || r->round == (r->refinement.runs ? 1 : ROUNDS_MAX) || r->cannot_step ||
           (r->round >= 2 && (!shrinks || slew_would_not_help)) ||
           ((r->round >= 1 || r->refinement.runs || r->cause == RECOVERY_CAUSE_START) &&
               may_slew_only && slew_would_not_help);
}

static void corrected(struct recovery *r, const struct turn *turn)
{
    if (!r->refinement.runs) {
        r->corrected_ns = turn->view->now_ns;
        turn->order->news |= RECOVERY_NEWS_CORRECTED;
        /* The clock does not follow: send no more. */
        if (r->offset_sent &&
            fabs(r->remaining_sec) > fmax(SLEW_ENOUGH_SEC, fabs(r->offset_sec) / 2))
            r->refinement.due_ns = 0;
    } else if (r->refinement.rate_ppm != 0 || r->refinement.offset_sec != 0) {
        turn->order->news |= RECOVERY_NEWS_REFINED;
        turn->order->refined.rate_ppm = r->refinement.rate_ppm;
        turn->order->refined.offset_sec = r->refinement.offset_sec;
    }
    finish(r);
}

/* No offset can be measured: by the page, or in a leap second, or by the PTP clock. */
static void go_on_without(struct recovery *r)
{
    if (!r->refinement.runs && r->source == RECOVERY_CORRECTOR_PTP) {
        r->page_grade = RECOVERY_PAGE_MARKER_ONLY;
        r->refinement.due_ns = 0;
    }
    recovery_enter(r, r->refinement.runs ? RECOVERY_AWAIT_SYNC : RECOVERY_REARM);
}

void recovery_act_offset(struct recovery *r, const struct turn *turn)
{
    const double offset = turn->view->offset_sec;
    enum reading reading;
    double send_sec;
    bool shrinks;

    if (r->page_grade == RECOVERY_PAGE_PERIOD) {
        if (r->rate_ppm != 0)
            corrected(r, turn);
        else
            finish(r);
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
    if (!r->refinement.runs && r->round == 1 && r->rate_ppm == 0 && r->refinement.due_ns != 0 &&
        is_rate_worth(turn->view)) {
        recovery_enter(r, RECOVERY_RATE); /* known since the first offset was measured */
        return;
    }
    shrinks = isnan(r->remaining_sec) || fabs(offset) < fabs(r->remaining_sec) / 2;
    r->remaining_sec = offset;
    if (is_good_enough(r, turn, shrinks)) {
        corrected(r, turn);
        return;
    }
    if (fabs(offset) * 1e9 > (double)turn->config->step_max_ns) {
        turn->order->refused.offset_sec = offset;
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
    if (r->refinement.offset_sec == 0) { /* the next ones are what this one leaves */
        r->offset_sec += offset;
        r->refinement.offset_sec += offset;
    }
    r->offset_sent = true;
    recovery_send(
        r, turn->order, (struct chrony_command){.id = CHRONY_DOFFSET2, .offset_sec = -send_sec});
}

static void begin_slew(struct recovery *r, int64_t now_ns)
{
    recovery_enter(r, RECOVERY_SLEW);
    r->slew_since_ns = now_ns;
    if (r->first_slew_ns == 0)
        r->first_slew_ns = now_ns;
    r->wait_until_ns = now_ns + SLEW_POLL_NS;
}

void recovery_act_step(struct recovery *r, const struct turn *turn)
{
    /* Or not any more, since a reload. */
    if (r->last_offset_slews || !allows_step(turn->config, r->remaining_sec))
        begin_slew(r, turn->view->now_ns);
    else
        recovery_send(r, turn->order, (struct chrony_command){.id = CHRONY_MAKESTEP});
}

void recovery_act_step_residue(struct recovery *r, const struct turn *turn)
{
    /* What is left may be a step back; after a small offset nothing worth a command is left. */
    if (turn->config->step != RECOVERY_STEP_ALWAYS || fabs(r->remaining_sec) < RESIDUE_LEAST_SEC)
        recovery_enter(r, RECOVERY_OFFSET);
    else
        recovery_send(r, turn->order, (struct chrony_command){.id = CHRONY_MAKESTEP});
}

void recovery_cannot_step(struct recovery *r, const struct turn *turn)
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
void recovery_judge_slew(struct recovery *r, const struct turn *turn)
{
    const int64_t since_ns = turn->view->now_ns - r->slew_since_ns;
    const double takes_sec = fmax(SLEW_MIN_SEC, 1.05 * fabs(r->remaining_sec) / SLEW_RATE);
    const bool late = (double)since_ns >= takes_sec * 1e9;
    const bool over =
        isnan(turn->view->correction_sec)
            ? late
            : fabs(turn->view->correction_sec) <= SLEW_ENOUGH_SEC || (late && r->cannot_step);

    if (over) {
        recovery_enter(r, RECOVERY_OFFSET);
    } else if (turn->view->now_ns - r->first_slew_ns >= SLEW_HOLD_NS) {
        leave(r, RECOVERY_NEWS_LEFT, turn->order);
    } else {
        recovery_enter(r, RECOVERY_SLEW);
        r->wait_until_ns = turn->view->now_ns + SLEW_POLL_NS;
    }
}

/* chronyd has done, or will never do, what was sent before. */
void recovery_judge_lost(struct recovery *r, const struct turn *turn)
{
    /* With `forward` no second step is sent: it may go back. */
    const bool stepped = r->probe_for == RECOVERY_STEP || r->probe_for == RECOVERY_STEP_RESIDUE;

    if (r->probe_for == RECOVERY_OFFSET)
        r->round--; /* most likely not carried out: it does not count as a round */
    if (r->probe_for == RECOVERY_RATE)
        recovery_enter(r, RECOVERY_RATE);
    else if (r->last_offset_slews || (stepped && turn->config->step == RECOVERY_STEP_FORWARD))
        begin_slew(r, turn->view->now_ns); /* do not measure until it has been slewed */
    else                                   /* whatever slew there is, end it */
        recovery_enter(r, RECOVERY_STEP);
}

void recovery_no_command(struct recovery *r, const struct turn *turn)
{
    r->exact_unavailable = true;
    turn->order->news |= RECOVERY_NEWS_NO_COMMAND;
    recovery_enter(r, RECOVERY_SETTLE);
}

void recovery_settle(struct recovery *r, const struct turn *turn)
{
    (void)turn;
    r->refinement.due_ns = 0;
    if (!r->refinement.runs)
        r->page_grade = r->page_grade >= RECOVERY_PAGE_TIME && r->source != RECOVERY_CORRECTOR_PTP
                            ? RECOVERY_PAGE_TIME
                            : RECOVERY_PAGE_MARKER_ONLY;
    recovery_enter(r, r->refinement.runs ? RECOVERY_AWAIT_SYNC : RECOVERY_REARM);
}
