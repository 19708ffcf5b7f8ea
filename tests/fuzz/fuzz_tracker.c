/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracker in virtual time, in a world that the input makes: before the tests' models of a host,
 * a clock and a chronyd, which does, refuses, delays or loses what it is sent, and crashes. The
 * input is three bytes of configuration and then the world's acts, enum act, each with its
 * arguments. make_corpus.py writes such inputs by name.
 *
 * After every act the tracker is stepped as the daemon's runner steps it, and what it orders is
 * checked. At the end the world turns healthy: then everything has to come to rest in order.
 */
#include <errno.h>
#include <math.h>

#include "refclock/tracker.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model_chronyd.h"
#include "tests/model_host.h"

#define US           INT64_C(1000)
#define MS           INT64_C(1000000)
#define SECOND       INT64_C(1000000000)
#define START_NS     (1000 * SECOND)
#define REFID        0x564d434cu /* VMCL */
#define ACTS_MAX     2000
#define MEASURES_MAX 64  /* steps in a row that want to be measured for at once */
#define COMMANDS_MAX 128 /* commands in a row that are answered at once */
#define SETTLE_STEPS 50000

enum act {
    ACT_WAIT_MS,   /* u8 */
    ACT_WAIT_LONG, /* u16, 10 ms each */
    ACT_WAKE,      /* until the tracker wants to be woken */
    ACT_MARKER,
    ACT_FORMULA,     /* i16 us, i16 10^-9: the formula is rewritten, moved and bent by that */
    ACT_MIGRATE,     /* i16 us, i16 10^-9: the two at once */
    ACT_STATUS,      /* u8 */
    ACT_POKE,        /* u8 offset, u8 value; not the marker, which only ever counts up */
    ACT_POKE_LONG,   /* u8 offset, u64 value */
    ACT_WHOLE,       /* a good page again */
    ACT_MARKER_ONLY, /* what QEMU, Firecracker and EC2 give today */
    ACT_BUSY,        /* u8: the host is writing, or no longer */
    ACT_LOST,        /* u8: the device is gone, or back */
    ACT_CHRONYD,     /* u8: enum chronyd */
    ACT_STATUS_CODE, /* u8: what chronyd answers, from now on */
    ACT_REPLY,       /* the oldest reply that chronyd owes */
    ACT_DROP,        /* that reply is lost */
    ACT_GARBAGE,     /* u8 length, bytes: a datagram from chronyd's socket */
    ACT_REFERENCE,   /* u8: chronyd's reference is 0 ours, 1 none, 2 another, 3 its own clock */
    ACT_SOCK_ERROR,  /* u8: errno of the samples */
    ACT_REQUEST,
    ACT_STOP,
    ACT_RECONFIGURE,  /* two bytes, as at the start */
    ACT_CRASH,        /* and start again from what was saved */
    ACT_FREQUENCY,    /* i16 -100 ppm, i16 -2^-12 ppm: chronyd's */
    ACT_CLOCK_SOURCE, /* u8: is it the counter? */
    ACT_READINGS,     /* u8: 0 good, 1 backwards, 2 bad nanoseconds, 3 none, 4 wide */
    ACT_SYSTEM_CLOCK, /* i16 ms: somebody sets it */
    ACT_COUNTER,      /* i32, 65536 ticks each: the counter jumps, as in a migration */
    ACT_RACE,         /* the page changes while it is measured */
    ACT_N,
};

enum chronyd {
    CHRONYD_ANSWERS,
    CHRONYD_SLOW,   /* does what it is told, and answers at ACT_REPLY */
    CHRONYD_FROZEN, /* reads nothing before ACT_REPLY */
    CHRONYD_SILENT, /* does what it is told, and never answers */
    CHRONYD_AWAY,
    CHRONYD_N,
};

struct world {
    struct tracker tracker;
    struct tracker_orders orders;
    struct tracker_config config;
    struct tracker_saved saved;
    struct observation last_results;

    int64_t now_ns;
    struct model_clock clock;
    struct model_host host;
    struct model_chronyd server; /* that disciplines it */
    enum clock_source_kind clock_source;
    uint8_t readings, sock_error;

    bool dirty, busy, lost, race;
    bool counter_jumped; /* with no new marker since */

    enum chronyd chronyd;
    bool unsent; /* the last command: the queue was full */
    uint8_t reference;
    uint8_t command[CHRONY_REQUEST_MAX]; /* the last one */

    /* What is asserted over many steps. */
    bool stop, reconfigured, dry_run;
    bool uncertain;           /* the last correction's reply has not come */
    bool told_unsynchronised; /* by chronyd's last answer to TRACKING */
    bool stepping_forward;    /* the last DOFFSET2 puts the clock forward */
    int64_t reset_at_ns;      /* the last RESET_SOURCES was sent */
    uint64_t marker_at_reset; /* the marker when chronyd last did that, or of the first page */
    bool refused_reset;       /* chronyd has, since then */
    uint64_t reset_id;        /* whose reset was confirmed last: it needs no start any more */
    int64_t recovery_since_ns;
    unsigned sent[CHRONY_DOFFSET2 + 1]; /* of each command in that recovery */
    int64_t least_interval_ns, least_sample_ns;
    uint64_t samples, starts;
};

/* --- the host ------------------------------------------------------------------------------- */

static uint64_t counter(const struct world *w)
{
    return model_clock_counter(&w->clock, w->now_ns);
}

static void add_marker(struct world *w)
{
    model_host_write_marker(&w->host);
    w->dirty = true;
    w->counter_jumped = false;
}

/* Its status is an act by itself. */
static void write_formula(struct world *w)
{
    const uint8_t status = w->host.page.clock_status;

    model_host_write_formula(&w->host, &w->clock, w->now_ns);
    w->host.page.clock_status = status;
    w->dirty = true;
}

static void write_page(struct world *w, bool marker_only)
{
    const struct model_host before = w->host;

    model_host_init(&w->host, &w->clock, w->now_ns);
    w->host.error_sec = before.error_sec;
    w->host.rate_ppb = before.rate_ppb;
    w->host.page.disruption_marker = before.page.disruption_marker;
    w->host.page.time_type = VMCLOCK_TIME_UTC;
    w->host.page.flags = 0;
    if (marker_only)
        model_host_marker_only(&w->host);
    else
        write_formula(w);
    w->dirty = true;
}

static void move_formula(struct world *w, struct bytes *in)
{
    w->host.error_sec += take_i16(in) * 1e-6;
    w->host.rate_ppb = take_i16(in);
    write_formula(w);
}

static void poke(struct world *w, unsigned at, size_t n, uint64_t value)
{
    if (at + n > VMCLOCK_FIELDS_END ||
        (at + n > VMCLOCK_AT_DISRUPTION_MARKER && at < VMCLOCK_AT_DISRUPTION_MARKER + 8))
        return;
    for (size_t i = 0; i < n; i++)
        model_host_poke(&w->host, at + (unsigned)i, (uint8_t)(value >> 8 * i));
    w->dirty = true;
}

/* --- chronyd -------------------------------------------------------------------------------- */

/* Of that table: those that chronyd alone knows by their addresses. */
#define OWN_AT 2
#define N_OWN  2

static struct recovery_server server_of_table(unsigned i)
{
    struct recovery_server server = {.minpoll = 6, .maxpoll = 10};

    server.address.family = 1;
    memcpy(server.address.bytes, (const uint8_t[]){192, 0, 2, (uint8_t)(i + 1)}, 4);
    return server;
}

static void start_chronyd(struct world *w)
{
    w->server.configured_limit = w->config.recovery.makestep_limit;
    w->server.configured_threshold_sec = w->config.recovery.makestep_threshold_sec;
    model_chronyd_start(&w->server, &w->clock, w->now_ns);
    w->uncertain = false;
    memset(w->sent, 0, sizeof(w->sent));
}

static void carry_out(struct world *w, struct model_request *request)
{
    const bool was_done = request->carried_out;

    model_chronyd_carry_out(&w->server, &w->clock, w->now_ns, request);
    if (was_done || model_request_id(request->bytes) != CHRONY_RESET_SOURCES)
        return;
    if (request->status == CHRONY_OK)
        w->marker_at_reset = w->host.page.disruption_marker;
    w->refused_reset = request->status != CHRONY_OK;
}

/* From frozen to anything else: what was sent before is read before what is sent from now on. */
static void set_chronyd(struct world *w, enum chronyd chronyd)
{
    w->chronyd = chronyd;
    if (chronyd == CHRONYD_AWAY) {
        w->uncertain = false;
        model_chronyd_stop(&w->server);
    } else if (!w->server.alive) {
        start_chronyd(w);
    }
    for (unsigned i = 0; chronyd != CHRONYD_FROZEN && i < w->server.n_queued; i++)
        carry_out(w, &w->server.queue[i]);
    if (chronyd == CHRONYD_SILENT)
        w->server.n_queued = 0;
}

/* --- what the tracker orders ------------------------------------------------------------------ */

/* Whatever chronyd answers, a recovery, and what gives its settings back, send it no more. */
static void count_command(struct world *w, enum chrony_command_id id)
{
    static const struct {
        enum chrony_command_id id;
        unsigned most;
    } limits[] = {{CHRONY_RESET_SOURCES, 16}, {CHRONY_DFREQ, 14}, {CHRONY_DOFFSET2, 13},
        {CHRONY_MAKESTEP, 26}, {CHRONY_BURST, 5}, {CHRONY_MODIFY_MAKESTEP, 7},
        {CHRONY_MODIFY_MINPOLL, 4 * RECOVERY_SERVERS_MAX},
        {CHRONY_MODIFY_MAXPOLL, 4 * RECOVERY_SERVERS_MAX}};
    const struct recovery *r = &w->tracker.recoveries.recovery;

    if (r->started_ns != w->recovery_since_ns)
        memset(w->sent, 0, sizeof(w->sent));
    w->recovery_since_ns = r->started_ns;
    w->sent[id]++;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        must(w->sent[limits[i].id] <= limits[i].most);
}

static void check_command(struct world *w)
{
    const struct recovery_config *r = &w->config.recovery;
    const uint8_t *request = w->orders.command;
    const enum chrony_command_id id = w->orders.command_id;
    const unsigned both = TRACKER_MEASURE_REALTIME | TRACKER_MEASURE_TAI;
    const double number = chrony_float_decode(model_request_get32(request, 20));
    const bool by_measurement =
        w->tracker.recoveries.recovery.refinement.runs || w->tracker.recoveries.recovery.round > 0;

    must(!w->dry_run);
    must(strcmp(chrony_command_str(id), "unknown") != 0);
    must(request[0] == 6 && request[1] == 1 && request[5] == id);
    must(model_request_get32(request, 8) == w->tracker.client.exchange.sequence);
    must(w->tracker.client.exchange.owner != EXCHANGE_NONE);
    count_command(w, id);
    switch (id) {
    case CHRONY_RESET_SOURCES:
        must(w->reset_at_ns == 0 || w->now_ns - w->reset_at_ns >= w->least_interval_ns);
        w->reset_at_ns = w->now_ns;
        w->stepping_forward = false;
        break;
    case CHRONY_DFREQ:
        /*
         * By chronyd's frequency as of this reply, or of the one before the measurement; or by what
         * chronyd has measured since, and does not believe.
         */
        must(!w->uncertain &&
             (w->tracker.client.exchange.owner == EXCHANGE_RATE ||
                 (by_measurement ? (w->last_results.measured & both) == both
                                 : w->last_results.chronyd == CHRONY_REPLY &&
                                       w->last_results.reply[5] == CHRONY_TRACKING)));
        must(fabs(number) <= r->rate_max_ppm * (1 + 1e-6));
        must(w->config.correct_frequency || w->reconfigured);
        w->uncertain = true;
        break;
    case CHRONY_DOFFSET2:
        must((w->last_results.measured & both) == both && !w->uncertain);
        must(fabs(number) * 1e9 <= (double)r->step_max_ns * (1 + 1e-6));
        w->uncertain = true;
        w->stepping_forward = number < 0;
        break;
    case CHRONY_MAKESTEP:
        if (!w->reconfigured) {
            must(r->step != RECOVERY_STEP_NEVER);
            must(r->step != RECOVERY_STEP_FORWARD || w->stepping_forward);
        }
        break;
    case CHRONY_MODIFY_MAKESTEP:
        if (!w->reconfigured && r->step != RECOVERY_STEP_ALWAYS)
            must((int32_t)model_request_get32(request, 20) == r->makestep_limit ||
                 model_request_get32(request, 20) == 0);
        break;
    case CHRONY_BURST: must(w->reconfigured || r->burst_total > 0); break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        must(memcmp(request + 20, server_of_table(0).address.bytes, 3) == 0);
        must(request[23] >= 1 && request[23] <= RECOVERY_SERVERS_MAX);
        break;
    case CHRONY_N_SOURCES:
    case CHRONY_SOURCE_DATA:
    case CHRONY_SOURCE_NAME:
    case CHRONY_TRACKING: break;
    }
}

static void check_sample(struct world *w)
{
    const struct sock_sample *sample = &w->orders.sample;
    const struct recoveries *rs = &w->tracker.recoveries;
    uint8_t raw[VMCLOCK_FIELDS_END];
    struct vmclock_page page;
    struct clock_model model;

    must(!w->dry_run && !w->stop);
    must(!rs->pending || rs->recovery.away); /* nobody has been at the command socket for long */
    must(!recovery_holds_samples(&rs->recovery));
    must(w->last_results.measured & TRACKER_MEASURE_REALTIME);
    must(!w->busy && !w->lost);
    model_host_encode(&w->host, raw);
    must(page_decode(raw, &page) == PAGE_OK);
    must(page.disruption_marker == w->tracker.host.marker);
    must(clock_model_init(&page, &w->config.reader, &model) == CLOCK_OK);
    must(isfinite(sample->offset) && sample->magic == SOCK_SAMPLE_MAGIC && sample->pulse == 0);
    must(sample->leap >= 0 && sample->leap <= 2 && sample->tv.tv_usec < 1000000);
    if (w->config.max_error_ns)
        must(w->tracker.feeder.offset.has_bound &&
             w->tracker.feeder.offset.bound_ns <= w->config.max_error_ns);
    w->samples++;
    must(w->samples <= (uint64_t)((w->now_ns - START_NS) / w->least_sample_ns) + 2 * w->starts);
}

/* With FUZZ_TRACE in the environment, what leads to a broken invariant can be read. */
static void trace(const struct world *w, const struct observation *seen)
{
    static int wanted = -1;
    const struct tracker_orders *o = &w->orders;

    if (wanted < 0)
        wanted = getenv("FUZZ_TRACE") != NULL;
    if (!wanted)
        return;
    fprintf(stderr, "%10.3f ms: look %d, measured %u, chronyd %d -> %s, %s%s%s",
        (double)(w->now_ns - START_NS) / 1e6, (int)seen->look, seen->measured, (int)seen->chronyd,
        tracker_state_str(tracker_state(&w->tracker)),
        recovery_state_str(w->tracker.recoveries.recovery.state),
        o->command_length ? ", sends " : "",
        o->command_length ? chrony_command_str(o->command_id) : "");
    if (o->wake_at_ns != INT64_MAX)
        fprintf(stderr, ", wakes in %.3f ms", (double)(o->wake_at_ns - w->now_ns) / 1e6);
    fprintf(stderr, ", measures %u%s\n", o->measure, o->send_sample ? ", sample" : "");
}

static void check_event(struct world *w, const struct event *e)
{
    must(e->id < EVENT_N);
    if (e->id == EVENT_RESET_CONFIRMED)
        w->reset_id = w->server.connected_id;
    if (e->id == EVENT_RECOVERY && e->cause == RECOVERY_CAUSE_START)
        must(w->reset_id == 0 || w->reset_id != w->server.connected_id);
}

static void check_orders(struct world *w)
{
    const struct tracker *t = &w->tracker;
    const struct tracker_orders *orders = &w->orders;

    must(orders->n_events < REPORTER_EVENTS_MAX); /* at the limit some may have been lost */
    for (unsigned i = 0; i < orders->n_events; i++)
        check_event(w, &orders->events[i]);
    must(strcmp(tracker_state_str(tracker_state(t)), "unknown") != 0);
    must(t->recoveries.recovery.state < RECOVERY_N_STATES);
    must(t->recoveries.recovery.cause != RECOVERY_CAUSE_START ||
         t->recoveries.recovery.started_ns != w->now_ns || w->told_unsynchronised);
    must(orders->wake_at_ns >= 0);
    must(!orders->stopped || w->stop);
    must(orders->measure == 0 || orders->wake_at_ns != INT64_MAX);
    /* Something is always asked of chronyd, which is never waited for longer than that. */
    if (!w->dry_run && !w->stop)
        must(orders->wake_at_ns <= w->now_ns + 5 * SECOND);
    must(orders->command_length == 0 || orders->command_length == 28 ||
         orders->command_length == 44 || orders->command_length == 68 ||
         orders->command_length == 104 || orders->command_length == 32 ||
         orders->command_length == 76 || orders->command_length == 284);
    if (orders->command_length)
        check_command(w);
    if (orders->send_sample)
        check_sample(w);
}

/* --- the runner ------------------------------------------------------------------------------- */

static void look(struct world *w, struct observation *seen, struct vmclock_page *page)
{
    seen->look = HOST_LOOK_NONE;
    if (w->lost) {
        seen->look = HOST_LOOK_LOST;
        seen->look_error = ENXIO;
    } else if (w->busy) {
        seen->look = HOST_LOOK_BUSY;
        seen->seq_count = 1;
    } else if (w->dirty) {
        uint8_t raw[VMCLOCK_FIELDS_END];

        model_host_encode(&w->host, raw);
        seen->look = HOST_LOOK_CHANGED;
        seen->page_verdict = page_decode(raw, page);
        seen->page = page;
        seen->counter = counter(w);
        w->dirty = false;
    }
}

static void read_clock(
    struct world *w, bool realtime, size_t n, struct cross_timestamp *ret_readings)
{
    for (size_t i = 0; i < n; i++) {
        struct cross_timestamp *reading = &ret_readings[i];

        model_clock_move(&w->clock, w->now_ns);
        *reading = model_clock_read(&w->clock, w->now_ns,
            realtime ? w->clock.error_sec : model_clock_raw_ahead_sec(&w->clock, w->now_ns));
        if (w->readings == 4)
            reading->counter_after += 5000000;
        if (w->readings == 1)
            reading->counter_after = reading->counter_before - 1;
        if (w->readings == 2)
            reading->nsec = 1000000000;
        w->now_ns += 40;
    }
}

static void gather(struct world *w, struct observation *seen)
{
    static struct cross_timestamp realtime[4], raw[4];

    if (seen->look == HOST_LOOK_BUSY || seen->look == HOST_LOOK_LOST)
        return;
    seen->measured = w->orders.measure;
    seen->realtime = realtime;
    seen->raw = raw;
    seen->n_realtime = seen->n_raw = w->readings == 3 ? 0 : 4;
    read_clock(w, false, seen->n_raw, raw);
    read_clock(w, true, seen->n_realtime, realtime);
    if (w->race && (seen->measured & TRACKER_MEASURE_REALTIME)) {
        static struct vmclock_page page;

        add_marker(w);
        look(w, seen, &page);
        seen->measured = 0;
        w->race = false;
    }
}

/* As chronyd_link_send(). */
static void send_command(struct world *w, struct observation *ret)
{
    struct model_chronyd *c = &w->server;
    enum model_sent sent;

    if (c->n_queued == MODEL_QUEUE && c->queue[0].carried_out)
        model_chronyd_take(c); /* it was read: only its reply is lost */
    sent = model_chronyd_send(c, w->command, w->now_ns);
    w->unsent = sent == MODEL_FULL;
    if (sent == MODEL_GONE) {
        w->told_unsynchronised = w->uncertain = false;
        memset(w->sent, 0, sizeof(w->sent)); /* nobody got them */
        ret->chronyd = CHRONY_GONE;
        ret->chronyd_error = ECONNREFUSED;
    }
    if (sent != MODEL_SENT)
        return;
    if (w->chronyd != CHRONYD_FROZEN)
        carry_out(w, &c->queue[c->n_queued - 1]);
    if (w->chronyd == CHRONYD_SILENT)
        c->n_queued = 0;
}

static void execute(struct world *w)
{
    const struct tracker_orders *orders = &w->orders;
    struct observation next = {0};

    if (orders->save_before_command || orders->save)
        w->saved = tracker_saved(&w->tracker);
    if (orders->command_length) {
        memcpy(w->command, orders->command, sizeof(w->command));
        send_command(w, &next);
    }
    if (orders->send_sample) {
        next.sample_sent = true;
        next.sample_error = w->sock_error;
        if (w->sock_error == 0 && w->server.alive && w->chronyd != CHRONYD_FROZEN)
            model_chronyd_take_sample(&w->server, &w->clock, w->now_ns, &orders->sample);
    }
    w->last_results = next;
}

/* As the runner's step(): until something has to be waited for. */
static void step(struct world *w)
{
    static struct vmclock_page page;
    unsigned at_once = 0;
    bool more;

    do {
        const bool known = w->tracker.host.known;
        struct observation *seen = &w->last_results;

        w->now_ns += US;
        look(w, seen, &page);
        if (w->orders.measure && tracker_is_due(&w->config, &w->orders, w->now_ns))
            gather(w, seen);
        seen->now_ns = w->now_ns;
        seen->clock_source = w->clock_source;
        seen->realtime_less_ns = MODEL_EPOCH * SECOND + w->clock.stepped_in_all_ns;
        seen->chronyd_id = w->server.connected_id;
        if (w->unsent && w->orders.awaits_reply)
            send_command(w, seen);
        seen->command_queued =
            w->unsent ||
            (w->server.n_queued > 0 && !w->server.queue[w->server.n_queued - 1].carried_out);
        tracker_step(&w->tracker, seen, &w->orders);
        if (!known && w->tracker.host.known)
            w->marker_at_reset = w->tracker.host.marker; /* nothing is known of the time before */
        trace(w, seen);
        check_orders(w);
        execute(w);
        must(++at_once < MEASURES_MAX);
        more = tracker_goes_on(&w->orders, &w->last_results, w->now_ns);
    } while (more);
}

static void receive(struct world *w, const uint8_t *datagram, size_t length)
{
    w->last_results.chronyd = CHRONY_REPLY;
    w->last_results.reply = datagram;
    w->last_results.reply_length = length;
    step(w);
}

static void reply_to_oldest(struct world *w)
{
    static const uint32_t references[] = {REFID, 0, MODEL_NTP, 0x7f7f0101};
    const struct exchange *exchange = &w->tracker.client.exchange;
    uint8_t reply[CHRONY_REPLY_MAX];
    struct model_request request;
    size_t length;

    carry_out(w, &w->server.queue[0]);
    request = model_chronyd_take(&w->server);
    /* It answers after all that came before: what was sent before it is done, or never will be. */
    w->uncertain = false;
    if (model_request_id(request.bytes) == CHRONY_TRACKING && request.status == CHRONY_OK &&
        model_request_get32(request.bytes, 8) == exchange->sequence &&
        exchange->owner != EXCHANGE_NONE)
        w->told_unsynchronised = w->reference == 1 || w->reference == 3;
    w->server.refid = references[w->reference];
    length = model_chronyd_reply(&w->server, &w->clock, &request, reply);
    receive(w, reply, length);
}

/* Step, and let chronyd answer, until nothing is owed. */
static void turn(struct world *w)
{
    step(w);
    for (unsigned n = 0; w->chronyd == CHRONYD_ANSWERS && w->server.n_queued > 0; n++) {
        must(n < COMMANDS_MAX);
        w->now_ns += 20 * US;
        reply_to_oldest(w);
    }
}

/* --- the acts --------------------------------------------------------------------------------- */

static void configure(struct world *w, struct bytes *in)
{
    static const int64_t watch[] = {10 * MS, MS, 50 * MS, 100 * MS};
    static const int64_t sample[] = {50 * MS, 10 * MS, 250 * MS, SECOND};
    static const unsigned servers[] = {0, 1, 2, RECOVERY_SERVERS_MAX};
    static const enum recovery_step_policy steps[] = {
        RECOVERY_STEP_ALWAYS, RECOVERY_STEP_FORWARD, RECOVERY_STEP_NEVER, RECOVERY_STEP_ALWAYS};
    const uint8_t a = take_u8(in), b = take_u8(in);
    struct recovery_config *r = &w->config.recovery;

    w->config = (struct tracker_config){
        .reader = {.counter = VMCLOCK_COUNTER_X86_TSC,
            .period_sec = 1e-9,
            .accept_freerunning = !(a & 1)},
        .watch_interval_ns = watch[b & 3],
        .sample_interval_ns = sample[b >> 2 & 3],
        .correct_frequency = !(a & 2),
        .correct_at_start = !(a & 4),
        .dry_run = w->dry_run,
        .max_error_ns = a & 32 ? 1000 : 0,
        .refid = REFID,
    };
    *r = (struct recovery_config){
        .step = steps[a >> 6],
        .makestep_limit = b & 64 ? 0 : 3,
        .makestep_threshold_sec = b & 64 ? 0 : 1,
        .burst_good = a & 16 ? 0 : 4,
        .burst_total = a & 16 ? 0 : 8,
        .step_max_ns = 2 * SECOND,
        .rate_max_ppm = 1000,
        .n_servers = servers[b >> 4 & 3],
    };
    for (unsigned i = 0; i < r->n_servers; i++)
        r->servers[i] = server_of_table(i);
    if (b & 128 && r->n_servers <= OWN_AT) {
        w->config.own_servers = (struct own_servers_config){.n = N_OWN,
            .n_names = 1,
            .names = {{MODEL_OWN_NAME, server_of_table(0).minpoll, server_of_table(0).maxpoll}}};
        for (unsigned i = 0; i < N_OWN; i++)
            w->config.own_servers.addresses[i] = server_of_table(OWN_AT + i).address;
    }
    if (w->least_interval_ns == 0 || w->config.watch_interval_ns < w->least_interval_ns)
        w->least_interval_ns = w->config.watch_interval_ns;
    if (w->least_sample_ns == 0 || w->config.sample_interval_ns < w->least_sample_ns)
        w->least_sample_ns = w->config.sample_interval_ns;
}

static void restart(struct world *w)
{
    tracker_init(&w->tracker, &w->config, &w->saved, 0x1000, w->now_ns);
    memset(&w->last_results, 0, sizeof(w->last_results));
    memset(&w->orders, 0, sizeof(w->orders));
    w->orders.wake_at_ns = w->now_ns;
    /* The old process's socket is gone with its replies. */
    w->server.n_queued = 0;
    w->server.is_connected = w->server.connection_dead = w->unsent = false;
    w->uncertain = w->told_unsynchronised = false;
    w->stop = false;
    w->starts++;
    w->reset_at_ns = 0;
    w->reset_id = 0;
    memset(w->sent, 0, sizeof(w->sent));
    w->dirty = true;
}

static void receive_garbage(struct world *w, struct bytes *in)
{
    uint8_t datagram[256];
    const size_t length = take_u8(in);
    const struct tracker *t = &w->tracker;

    take(in, datagram, length);
    /* Not one that might be believed: that chronyd was told so the world has to know. */
    if (length >= 28 && model_request_get32(datagram, 16) == t->client.exchange.sequence)
        datagram[16] ^= 0x80;
    receive(w, datagram, length);
}

static void wait_until(struct world *w, int64_t at_ns)
{
    if (at_ns > w->now_ns)
        w->now_ns = at_ns;
}

static void act(struct world *w, struct bytes *in)
{
    const enum act what = take_u8(in) % ACT_N;
    unsigned at;

    switch (what) {
    case ACT_WAIT_MS: w->now_ns += take_u8(in) * MS; break;
    case ACT_WAIT_LONG: w->now_ns += 10 * MS * take_u16(in); break;
    case ACT_WAKE:
        if (w->orders.wake_at_ns != INT64_MAX)
            wait_until(w, w->orders.wake_at_ns);
        break;
    case ACT_MARKER: add_marker(w); break;
    case ACT_FORMULA: move_formula(w, in); break;
    case ACT_MIGRATE:
        add_marker(w);
        move_formula(w, in);
        break;
    case ACT_STATUS: poke(w, VMCLOCK_AT_CLOCK_STATUS, 1, take_u8(in)); break;
    case ACT_POKE:
        at = take_u8(in);
        poke(w, at, 1, take_u8(in));
        break;
    case ACT_POKE_LONG:
        at = take_u8(in);
        poke(w, at, 8, take_u64(in));
        break;
    case ACT_WHOLE: write_page(w, false); break;
    case ACT_MARKER_ONLY: write_page(w, true); break;
    case ACT_BUSY: w->busy = take_u8(in) & 1; break;
    case ACT_LOST:
        w->lost = take_u8(in) & 1;
        w->dirty = true; /* when it is back it is looked at again */
        break;
    case ACT_CHRONYD: set_chronyd(w, take_u8(in) % CHRONYD_N); break;
    case ACT_STATUS_CODE: w->server.refuses_all = take_u8(in); break;
    case ACT_REPLY:
        if (w->server.n_queued > 0)
            reply_to_oldest(w);
        break;
    case ACT_DROP:
        if (w->server.n_queued > 0) {
            carry_out(w, &w->server.queue[0]);
            model_chronyd_take(&w->server);
        }
        break;
    case ACT_GARBAGE: receive_garbage(w, in); break;
    case ACT_REFERENCE: w->reference = take_u8(in) & 3; break;
    case ACT_SOCK_ERROR: w->sock_error = take_u8(in); break;
    case ACT_REQUEST: w->last_results.request = true; break;
    case ACT_STOP: w->stop = w->last_results.stop = true; break;
    case ACT_RECONFIGURE:
        configure(w, in);
        tracker_reconfigure(&w->tracker, &w->config);
        w->reconfigured = w->dirty = true;
        memset(w->sent, 0, sizeof(w->sent)); /* what is owed is given back from the first on */
        w->starts++;                         /* a sample is due at once */
        break;
    case ACT_CRASH: restart(w); break;
    case ACT_FREQUENCY:
        model_clock_move(&w->clock, w->now_ns);
        w->clock.freq = take_i16(in) % 1000 * 100L * 65536;
        w->clock.freq += take_i16(in) * 16L;
        break;
    case ACT_CLOCK_SOURCE: w->clock_source = take_u8(in) % (CLOCK_SOURCE_KVM + 1); break;
    case ACT_READINGS: w->readings = take_u8(in) % 5; break;
    case ACT_SYSTEM_CLOCK: model_clock_step(&w->clock, take_i16(in) * 1e-3); break;
    case ACT_COUNTER:
        w->clock.counter_at_since += (uint64_t)(int64_t)(int32_t)take_u32(in) << 16;
        w->counter_jumped = true;
        break;
    case ACT_RACE: w->race = true; break;
    case ACT_N: break;
    }
}

/* --- the end ---------------------------------------------------------------------------------- */

static bool at_rest(const struct world *w, uint64_t samples_before)
{
    const struct tracker *t = &w->tracker;

    if (w->stop) /* in a dry run, what an earlier process left to restore stays so */
        return w->dry_run || w->orders.stopped;
    if (w->dry_run)
        return t->recoveries.recovery.state == RECOVERY_IDLE && !t->recoveries.pending &&
               t->host.has_time;
    return t->recoveries.recovery.state == RECOVERY_IDLE && !t->recoveries.pending &&
           !restore_is_pending(&t->restore) && t->client.exchange.owner == EXCHANGE_NONE &&
           w->samples > samples_before && t->client.known.synchronised;
}

static void check_rest(const struct world *w)
{
    const struct tracker *t = &w->tracker;

    if (w->dry_run)
        return;
    if (w->stop && restore_is_pending(&t->restore)) { /* for the next start, if chronyd is away */
        must(!t->client.known.reachable && !t->client.known.silent);
        return;
    }
    must(!restore_is_pending(&t->restore));
    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++) {
        must(w->server.servers[i].minpoll == server_of_table(i).minpoll);
        must(w->server.servers[i].maxpoll == server_of_table(i).maxpoll);
    }
    /* An update of chronyd's takes one off. */
    must(w->reconfigured ||
         (w->server.makestep_limit <= w->config.recovery.makestep_limit &&
             w->server.makestep_threshold_sec == w->config.recovery.makestep_threshold_sec));
    if (w->stop)
        return;
    must(tracker_state(t) == TRACKER_FEEDING);
    must(t->host.marker == w->host.page.disruption_marker);
    must(w->refused_reset || t->recoveries.confirmed_marker == t->host.marker);
    must(w->refused_reset || w->marker_at_reset == t->host.marker);
}

/* From now on all is well; within three minutes the tracker has to be so, too. */
static void settle(struct world *w)
{
    const int64_t tick_ns = w->config.watch_interval_ns < w->config.sample_interval_ns
                                ? w->config.watch_interval_ns
                                : w->config.sample_interval_ns;
    const int64_t deadline_ns = w->now_ns + 180 * SECOND;
    const uint64_t samples_before = w->samples;

    w->now_ns += MS;
    w->busy = w->lost = w->race = false;
    w->server.refuses_all = CHRONY_OK;
    set_chronyd(w, CHRONYD_ANSWERS);
    w->reference = 0;
    w->sock_error = w->readings = 0;
    w->clock_source = CLOCK_SOURCE_COUNTER;
    w->last_results.stop = w->stop;
    /* Nothing but a disruption makes that good again, and a page without a clock hides it. */
    if (w->tracker.counter.back || w->counter_jumped)
        add_marker(w);
    write_page(w, false);
    if (w->config.max_error_ns)
        w->host.page.flags |= VMCLOCK_FLAG_TIME_MAXERROR_VALID | VMCLOCK_FLAG_PERIOD_MAXERROR_VALID;
    turn(w);
    for (unsigned n = 0; !at_rest(w, samples_before); n++) {
        must(n < SETTLE_STEPS && w->now_ns < deadline_ns);
        w->now_ns += tick_ns;
        if (w->orders.wake_at_ns != INT64_MAX)
            wait_until(w, w->orders.wake_at_ns);
        /* Nothing happens until something is restored: half a minute of samples says no more. */
        if (w->samples > samples_before && w->tracker.recoveries.recovery.state == RECOVERY_IDLE &&
            restore_is_pending(&w->tracker.restore) && w->tracker.client.known.synchronised)
            wait_until(w, w->tracker.restore.due_ns);
        w->last_results.stop = w->stop;
        turn(w);
    }
    check_rest(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    static struct world world;
    struct world *w = &world;
    struct recovery_server servers[RECOVERY_SERVERS_MAX];
    uint8_t start;

    memset(w, 0, sizeof(*w));
    w->now_ns = START_NS;
    w->clock_source = CLOCK_SOURCE_COUNTER;
    start = take_u8(&in);
    w->dry_run = start & 8;
    configure(w, &in);
    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++)
        servers[i] = server_of_table(i);
    model_clock_init(&w->clock, 1e9, (uint64_t)START_NS, w->now_ns); /* a tick is a nanosecond */
    model_chronyd_init(&w->server, servers, RECOVERY_SERVERS_MAX);
    w->server.first_named = OWN_AT;
    w->server.n_named = N_OWN;
    w->server.has_ntp = true;
    w->server.sample_refid = REFID;
    start_chronyd(w);
    w->host.page.disruption_marker = 7;
    w->saved = (struct tracker_saved){
        .valid = start & 1,
        .marker = start & 2 && !(start & 64) ? 6 : 7,
        .confirmed_marker = start & 2 ? 6 : 7,
        .restore = {.makestep = start & 4, .makestep_limit = 3},
    };
    w->marker_at_reset = w->saved.confirmed_marker;
    if (!(start & 16))
        write_page(w, start & 32);
    restart(w);
    turn(w);
    for (unsigned n = 0; in.left > 0 && n < ACTS_MAX; n++) {
        act(w, &in);
        turn(w);
    }
    settle(w);
    return 0;
}
