/* SPDX-License-Identifier: BSD-2-Clause */
/* The reset and what comes of it; and, when the clock is corrected, the wait for a reference. */
#include "refclock/recovery_turn.h"

#define SYNC_WAIT_NS (60000 * MS)
#define SYNC_POLL_NS (50 * MS)

void recovery_act_reset(struct recovery *r, const struct turn *turn)
{
    r->had_reference = turn->view->has_reference;
    recovery_send(r, turn->order, (struct chrony_command){.id = CHRONY_RESET_SOURCES});
}

void recovery_act_ask(struct recovery *r, const struct turn *turn)
{
    recovery_send(r, turn->order, (struct chrony_command){.id = CHRONY_TRACKING});
}

void recovery_confirm(struct recovery *r, int64_t now_ns, struct recovery_order *order)
{
    r->reset_confirmed = true;
    r->mute = false;
    r->reset_ns = now_ns;
    order->news |= RECOVERY_NEWS_CONFIRMED;
}

void recovery_confirmed(struct recovery *r, const struct turn *turn)
{
    recovery_confirm(r, turn->view->now_ns, turn->order);
    recovery_enter(r, RECOVERY_AWAIT_PAGE);
}

static void repeat_or_assume(
    struct recovery *r, enum recovery_state next, struct recovery_order *order)
{
    r->reset_assumed = r->unanswered_resets >= RESETS_MAX;
    if (r->reset_assumed)
        order->news |= RECOVERY_NEWS_ASSUMED;
    recovery_enter(r, r->reset_assumed ? next : RECOVERY_RESET);
}

/* A chronyd that had a reference and has none any more was reset. Otherwise nobody knows. */
void recovery_judge_reset(struct recovery *r, const struct turn *turn)
{
    if (r->had_reference && !turn->view->has_reference)
        recovery_enter(r, RECOVERY_CONFIRMED);
    else
        repeat_or_assume(r, RECOVERY_AWAIT_PAGE, turn->order);
}

/* No reply comes. chronyd has most likely done what it has read; more commands would only harm. */
void recovery_mute(struct recovery *r, const struct turn *turn)
{
    repeat_or_assume(r, RECOVERY_AWAIT_PAGE, turn->order);
    r->mute = r->reset_assumed;
}

void recovery_unconfirmed(struct recovery *r, const struct turn *turn)
{
    if (!r->reset_assumed)
        turn->order->news |= RECOVERY_NEWS_DENIED;
    recovery_end(r, RECOVERY_OUTCOME_UNCONFIRMED, turn->view->now_ns);
}

/* The next moment at which a longer baseline is worth a look; 0: there is none. */
static int64_t next_refinement_ns(const struct recovery *r, int64_t now_ns)
{
    static const int64_t stages_ns[] = {
        3 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS, 1000 * MS, 4000 * MS};

    for (size_t i = 0; i < sizeof(stages_ns) / sizeof(stages_ns[0]); i++)
        if (r->refinement.since_ns + stages_ns[i] > now_ns)
            return r->refinement.since_ns + stages_ns[i];
    return 0;
}

/* Is there a page to go on with, or is it time to go on without? */
void recovery_act_await_page(struct recovery *r, const struct turn *turn)
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
        recovery_enter(r, RECOVERY_UNCONFIRMED);
        return;
    }
    r->source = turn->view->source;
    switch (r->page_grade) {
    case RECOVERY_PAGE_NOT_YET: r->page_grade = RECOVERY_PAGE_MARKER_ONLY; /* fall through */
    case RECOVERY_PAGE_MARKER_ONLY:
        if (r->cause == RECOVERY_CAUSE_START) /* its own rules suit a start best */
            recovery_end(r, RECOVERY_OUTCOME_ABANDONED, turn->view->now_ns);
        else
            recovery_enter(r, RECOVERY_REARM);
        break;
    case RECOVERY_PAGE_TIME:
        if (r->cause == RECOVERY_CAUSE_START)
            recovery_end(r, RECOVERY_OUTCOME_ABANDONED, turn->view->now_ns);
        else
            recovery_enter(r, r->exact_unavailable || r->source == RECOVERY_CORRECTOR_PAGE
                                  ? RECOVERY_REARM /* samples will tell rate and offset together */
                                  : RECOVERY_OFFSET);
        break;
    case RECOVERY_PAGE_PERIOD:
    case RECOVERY_PAGE_FULL:
        r->refinement.since_ns = turn->view->now_ns;
        r->refinement.due_ns = next_refinement_ns(r, turn->view->now_ns);
        /* The offset does not wait for a rate of which nothing is known yet. */
        recovery_enter(r, r->exact_unavailable                  ? RECOVERY_SETTLE
                          : r->source == RECOVERY_CORRECTOR_PTP ? RECOVERY_OFFSET
                                                                : RECOVERY_ASK);
        break;
    }
}

static void await_sync(struct recovery *r, int64_t now_ns)
{
    recovery_enter(r, RECOVERY_AWAIT_SYNC);
    r->wait_until_ns = now_ns + SYNC_POLL_NS;
    if (r->refinement.due_ns > now_ns && r->refinement.due_ns < r->wait_until_ns)
        r->wait_until_ns = r->refinement.due_ns;
}

void recovery_act_await_sync(struct recovery *r, const struct turn *turn)
{
    const int64_t now_ns = turn->view->now_ns;

    r->refinement.runs = false;
    if (now_ns - r->released_ns >= SYNC_WAIT_NS)
        recovery_end_released(r, false, now_ns);
    else if (turn->view->busy)
        r->wait_until_ns = now_ns + (r->refinement.due_ns ? MS : SYNC_POLL_NS);
    else if (r->refinement.due_ns && r->refinement.due_ns <= now_ns)
        recovery_enter(r, RECOVERY_REFINE);
    else
        recovery_act_ask(r, turn);
}

/* DFREQ adds to the frequency that chronyd has now. */
void recovery_act_refine(struct recovery *r, const struct turn *turn)
{
    r->refinement.runs = true;
    r->round = 0;
    r->refinement.rate_ppm = r->refinement.offset_sec = 0;
    r->refinement.due_ns = next_refinement_ns(r, turn->view->now_ns);
    recovery_act_ask(r, turn);
}

void recovery_judge_sync(struct recovery *r, const struct turn *turn)
{
    if (turn->view->synchronised && r->synchronised_ns == 0)
        r->synchronised_ns = turn->view->now_ns;
    if (turn->view->synchronised && r->refinement.due_ns == 0)
        recovery_end_released(r, true, turn->view->now_ns);
    else
        await_sync(r, turn->view->now_ns);
}
