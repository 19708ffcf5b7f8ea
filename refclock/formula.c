/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/formula.h"

#include <assert.h>

#define JUMPS_MAX      10 /* in a row, each within */
#define JUMP_NS        INT64_C(1000000000)
#define STEADY_NS      INT64_C(10000000000)
#define DISBELIEF_NS   INT64_C(60000000000)
#define RECOVERIES_MAX 3 /* for one disruption: each has other people's servers measured */

void formula_disrupted(struct formula *f, uint64_t counter)
{
    *f = (struct formula){
        .unproven = f->has_believed,
        .has_believed = f->has_believed,
        .believed = f->believed,
        .detected_counter = counter,
    };
}

void formula_recovered(struct formula *f, bool trusted)
{
    if (trusted)
        f->moved_ns = 0;
    f->late = false;
}

void formula_is_late(struct formula *f)
{
    f->late = true;
}

static bool is_unsteady(const struct formula *f, int64_t now_ns)
{
    return f->jumps >= JUMPS_MAX && now_ns - f->jumped_ns <= STEADY_NS;
}

enum clock_verdict formula_verdict(const struct formula *f, int64_t now_ns)
{
    if (is_unsteady(f, now_ns))
        return CLOCK_UNSTEADY;
    if (f->moved_ns != 0 && now_ns - f->moved_ns < DISBELIEF_NS)
        return CLOCK_SECONDS_MOVED;
    return CLOCK_OK;
}

/* Rewritten since the marker was seen, from a later reference. */
static bool is_later(
    const struct formula *f, const struct clock_model *model, const struct formula_before *before)
{
    return before->counter_value != model->counter_value &&
           counter_difference(model->counter_value, f->detected_counter) > 0;
}

static bool is_the_new_hosts(
    const struct formula *f, const struct clock_model *model, const struct formula_before *before)
{
    if (!clock_model_continues(&f->believed, model))
        return true;
    return !before->marker_changed && is_later(f, model, before);
}

static void watch_whole_seconds(struct formula *f, const struct clock_model *before,
    const struct clock_model *model, int64_t now_ns)
{
    if (f->moved_ns != 0) {
        if (!clock_model_is_seconds_away(&f->moved_from, model))
            f->moved_ns = 0;
    } else if (clock_model_is_seconds_away(before, model)) {
        f->moved_from = *before;
        f->moved_ns = now_ns;
    }
}

/* A host corrects its formula now and then. One that does so all the time is broken. */
static void count_jump(struct formula *f, int64_t now_ns)
{
    if (now_ns - f->jumped_ns > JUMP_NS && !is_unsteady(f, now_ns))
        f->jumps = 0;
    f->jumps++;
    f->jumped_ns = now_ns;
}

bool formula_take(struct formula *f, const struct clock_model *model,
    const struct formula_before *before, int64_t now_ns)
{
    const struct clock_model believed = f->believed;
    const bool had_believed = f->has_believed;
    const bool proven = f->unproven && is_the_new_hosts(f, model, before);
    bool jumped, recover;

    if (proven)
        f->unproven = false;
    if (!f->unproven) {
        f->believed = *model;
        f->has_believed = true;
    }
    /* Seen together with the next marker, it may belong to an intermediate host. */
    if (before->marker_changed) {
        f->late = f->late || (before->was_unproven && !f->unproven);
        return false;
    }
    if (had_believed && !f->unproven && !proven)
        watch_whole_seconds(f, &believed, model, now_ns);
    jumped = before->had ? !clock_model_continues(&before->model, model) : f->late;
    if (jumped)
        count_jump(f, now_ns);
    recover = jumped && !is_unsteady(f, now_ns) && (f->late || before->in_use) &&
              f->recoveries < RECOVERIES_MAX;
    f->recoveries += recover;
    if (proven || (!jumped && !f->unproven && is_later(f, model, before)))
        f->late = false;
    assert(!f->unproven || f->has_believed);
    assert(f->recoveries <= RECOVERIES_MAX);
    return recover;
}
