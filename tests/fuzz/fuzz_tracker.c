/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tracker in a small world of its own, in virtual time: a host that writes the page, a chronyd
 * that does, refuses, delays or loses what it is sent, a system clock, and crashes. The input is
 * three bytes of configuration and then the world's acts, enum act, each with its arguments.
 * make_corpus.py writes such inputs by name.
 *
 * After every act the tracker is stepped as the daemon's runner steps it, and what it orders is
 * checked. At the end the world turns healthy: then everything has to come to rest in order.
 */
#include <errno.h>
#include <math.h>

#include "refclock/tracker.h"
#include "tests/fuzz/fuzz.h"

#define US           INT64_C(1000)
#define MS           INT64_C(1000000)
#define SECOND       INT64_C(1000000000)
#define START_NS     (1000 * SECOND)
#define EPOCH_SEC    1790000000
#define REFID        0x564d434cu /* VMCL */
#define PERIOD_1NS   UINT64_C(0x89705F4136B4A597)
#define PERIOD_SHIFT 29
#define ACTS_MAX     2000
#define MEASURES_MAX 64  /* steps in a row that want to be measured for at once */
#define COMMANDS_MAX 128 /* commands in a row that are answered at once */
#define SETTLE_STEPS 50000
#define QUEUE_MAX    10

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

struct request {
    enum chrony_command_id id;
    uint32_t sequence;
    uint8_t data[CHRONY_REQUEST_MAX];
    bool carried_out;
    uint16_t status;
};

/* What chronyd was told to change, by the fixed table of servers. */
struct settings {
    int32_t minpoll[RECOVERY_SERVERS_MAX], maxpoll[RECOVERY_SERVERS_MAX];
    int32_t makestep_limit;
};

struct world {
    struct tracker tracker;
    struct tracker_orders orders;
    struct tracker_config config;
    struct tracker_saved saved;
    struct observation carried;

    int64_t now_ns;
    uint64_t counter_jumps;
    int64_t system_ahead_ns; /* CLOCK_REALTIME - true time */
    int64_t host_ahead_ns;   /* of the page's formula, when written */
    int64_t host_ppb;
    double frequency_ppm; /* chronyd's */
    enum clock_source_kind clock_source;
    uint8_t readings, sock_error;

    uint8_t raw[VMCLOCK_FIELDS_END];
    bool dirty, busy, lost, race;
    bool counter_jumped; /* with no new marker since */

    enum chronyd chronyd;
    uint64_t chronyd_id, connected_id; /* of its socket */
    bool connected;
    bool unsent; /* the last command: the queue was full */
    uint16_t status;
    uint8_t reference;
    struct request queue[QUEUE_MAX];
    unsigned queued;
    struct request command; /* the last one */
    struct settings settings;

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

static void set_field(struct world *w, enum vmclock_offset at, size_t n, uint64_t value)
{
    for (size_t i = 0; i < n; i++)
        w->raw[(size_t)at + i] = (uint8_t)(value >> 8 * i);
    w->dirty = true;
}

static uint64_t get_field(const struct world *w, enum vmclock_offset at, size_t n)
{
    uint64_t value = 0;

    for (size_t i = n; i-- > 0;)
        value = value << 8 | w->raw[(size_t)at + i];
    return value;
}

/* A tick is a nanosecond. */
static uint64_t counter(const struct world *w)
{
    return (uint64_t)w->now_ns + w->counter_jumps;
}

static void add_marker(struct world *w)
{
    set_field(
        w, VMCLOCK_AT_DISRUPTION_MARKER, 8, get_field(w, VMCLOCK_AT_DISRUPTION_MARKER, 8) + 1);
    w->counter_jumped = false;
}

static void write_formula(struct world *w)
{
    const int64_t ns = w->now_ns + w->host_ahead_ns;
    const struct fixed time = fixed_from_timespec(EPOCH_SEC + ns / SECOND, (uint32_t)(ns % SECOND));
    const double period = (double)PERIOD_1NS * (1 + (double)w->host_ppb * 1e-9);

    set_field(w, VMCLOCK_AT_COUNTER_VALUE, 8, counter(w));
    set_field(w, VMCLOCK_AT_TIME_SEC, 8, (uint64_t)time.sec);
    set_field(w, VMCLOCK_AT_TIME_FRAC_SEC, 8, time.frac);
    set_field(w, VMCLOCK_AT_PERIOD_FRAC_SEC, 8, w->host_ppb ? (uint64_t)period : PERIOD_1NS);
}

static void write_page(struct world *w, bool marker_only)
{
    const uint64_t marker = get_field(w, VMCLOCK_AT_DISRUPTION_MARKER, 8);

    memset(w->raw, 0, sizeof(w->raw));
    set_field(w, VMCLOCK_AT_MAGIC, 4, VMCLOCK_MAGIC);
    set_field(w, VMCLOCK_AT_SIZE, 4, 4096);
    set_field(w, VMCLOCK_AT_VERSION, 2, VMCLOCK_VERSION);
    set_field(w, VMCLOCK_AT_DISRUPTION_MARKER, 8, marker);
    set_field(w, VMCLOCK_AT_COUNTER_ID, 1, VMCLOCK_COUNTER_NONE);
    if (marker_only)
        return;
    set_field(w, VMCLOCK_AT_COUNTER_ID, 1, VMCLOCK_COUNTER_X86_TSC);
    set_field(w, VMCLOCK_AT_CLOCK_STATUS, 1, VMCLOCK_STATUS_SYNCHRONISED);
    set_field(w, VMCLOCK_AT_PERIOD_SHIFT, 1, PERIOD_SHIFT);
    write_formula(w);
}

static void move_formula(struct world *w, struct bytes *in)
{
    w->host_ahead_ns += take_i16(in) * US;
    w->host_ppb = take_i16(in);
    write_formula(w);
}

static void poke(struct world *w, unsigned at, size_t n, uint64_t value)
{
    if (at + n > sizeof(w->raw) ||
        (at + n > VMCLOCK_AT_DISRUPTION_MARKER && at < VMCLOCK_AT_DISRUPTION_MARKER + 8))
        return;
    set_field(w, at, n, value);
}

/* --- chronyd -------------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Of that table: those that chronyd alone knows by their addresses. */
#define OWN_AT   2
#define N_OWN    2
#define OWN_NAME "time.example"

static struct recovery_server server_of_table(unsigned i)
{
    struct recovery_server server = {.minpoll = 6, .maxpoll = 10};

    server.address.family = 1;
    memcpy(server.address.bytes, (const uint8_t[]){192, 0, 2, (uint8_t)(i + 1)}, 4);
    return server;
}

static void start_chronyd(struct world *w)
{
    for (unsigned i = 0; i < RECOVERY_SERVERS_MAX; i++) {
        w->settings.minpoll[i] = server_of_table(i).minpoll;
        w->settings.maxpoll[i] = server_of_table(i).maxpoll;
    }
    w->settings.makestep_limit = w->config.recovery.makestep_limit;
    w->chronyd_id++;
    w->queued = 0;
    w->uncertain = false;
    memset(w->sent, 0, sizeof(w->sent));
}

static void set_poll(struct world *w, const struct request *request, int32_t value)
{
    const struct recovery_server known = server_of_table(0);
    const unsigned i = request->data[23] - 1u; /* the address's last byte */

    must(i < RECOVERY_SERVERS_MAX);
    must(memcmp(request->data + 20, known.address.bytes, 3) == 0);
    if (request->id == CHRONY_MODIFY_MINPOLL)
        w->settings.minpoll[i] = value;
    else
        w->settings.maxpoll[i] = value;
}

/* Refused, a setting is as good as it was: the source is gone. */
static void carry_out(struct world *w, struct request *request)
{
    const double number = chrony_float_decode(big_endian(request->data + 20));

    if (request->carried_out)
        return;
    request->carried_out = true;
    request->status = w->status;
    switch (request->id) {
    case CHRONY_RESET_SOURCES:
        if (request->status == CHRONY_OK)
            w->marker_at_reset = get_field(w, VMCLOCK_AT_DISRUPTION_MARKER, 8);
        w->refused_reset = request->status != CHRONY_OK;
        break;
    case CHRONY_DOFFSET2:
        if (request->status == CHRONY_OK)
            w->system_ahead_ns -= llrint(number * 1e9);
        break;
    case CHRONY_DFREQ:
        if (request->status == CHRONY_OK)
            w->frequency_ppm += number;
        break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
        set_poll(w, request,
            request->status == CHRONY_OK           ? (int32_t)big_endian(request->data + 40)
            : request->id == CHRONY_MODIFY_MINPOLL ? server_of_table(0).minpoll
                                                   : server_of_table(0).maxpoll);
        break;
    case CHRONY_MODIFY_MAKESTEP:
        w->settings.makestep_limit = request->status == CHRONY_OK
                                         ? (int32_t)big_endian(request->data + 20)
                                         : w->config.recovery.makestep_limit;
        break;
    case CHRONY_BURST:
    case CHRONY_N_SOURCES:
    case CHRONY_SOURCE_DATA:
    case CHRONY_SOURCE_NAME:
    case CHRONY_TRACKING:
    case CHRONY_MAKESTEP: break;
    }
}

/* From frozen to anything else: what was sent before is read before what is sent from now on. */
static void set_chronyd(struct world *w, enum chronyd chronyd)
{
    w->chronyd = chronyd;
    if (chronyd == CHRONYD_AWAY)
        start_chronyd(w); /* as the next one will find it */
    for (unsigned i = 0; chronyd != CHRONYD_FROZEN && i < w->queued; i++)
        carry_out(w, &w->queue[i]);
    if (chronyd == CHRONYD_SILENT)
        w->queued = 0;
}

static size_t write_reply(const struct world *w, const struct request *request, uint8_t *reply)
{
    static const uint32_t references[] = {REFID, 0, 0xc0000201, 0x7f7f0101};
    const uint32_t refid = references[w->reference];
    const uint32_t frequency = chrony_float_encode(w->frequency_ppm);

    memset(reply, 0, 104);
    reply[0] = 6;
    reply[1] = 2;
    reply[5] = (uint8_t)request->id;
    reply[8] = (uint8_t)(request->status >> 8);
    reply[9] = (uint8_t)request->status;
    for (int i = 0; i < 4; i++) {
        reply[16 + i] = (uint8_t)(request->sequence >> (24 - 8 * i));
        reply[28 + i] = (uint8_t)(refid >> (24 - 8 * i));
    }
    reply[28 + 27] = refid ? 0 : 3;
    for (int i = 0; i < 4; i++)
        reply[28 + 52 + i] = (uint8_t)(frequency >> (24 - 8 * i));
    if (request->status != CHRONY_OK)
        return 28;
    if (request->id == CHRONY_N_SOURCES) {
        memset(reply + 28, 0, 4);
        reply[31] = N_OWN;
        return 32;
    }
    if (request->id == CHRONY_SOURCE_DATA) {
        memset(reply + 28, 0, 48);
        memcpy(reply + 28, server_of_table(OWN_AT + request->data[23]).address.bytes, 4);
        reply[28 + 17] = 1; /* IPv4, */
        reply[28 + 21] = 6; /* its poll */
        return 76;
    }
    if (request->id == CHRONY_SOURCE_NAME) {
        memset(reply + 28, 0, CHRONY_NAME_MAX);
        memcpy(reply + 28, OWN_NAME, sizeof(OWN_NAME));
        return 284;
    }
    return request->id == CHRONY_TRACKING ? 104 : 28;
}

static void forget_oldest(struct world *w)
{
    must(w->queued > 0);
    memmove(&w->queue[0], &w->queue[1], --w->queued * sizeof(w->queue[0]));
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
    const double number = chrony_float_decode(big_endian(request + 20));
    const bool by_measurement =
        w->tracker.recoveries.recovery.refining || w->tracker.recoveries.recovery.round > 0;

    must(!w->dry_run);
    must(strcmp(chrony_command_str(id), "unknown") != 0);
    must(request[0] == 6 && request[1] == 1 && request[5] == id);
    must(big_endian(request + 8) == w->tracker.client.exchange.sequence);
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
        must(!w->uncertain && (w->tracker.client.exchange.owner == EXCHANGE_RATE ||
                                  (by_measurement ? (w->carried.measured & both) == both
                                                  : w->carried.chronyd == CHRONY_REPLY &&
                                                        w->carried.reply[5] == CHRONY_TRACKING)));
        must(fabs(number) <= r->rate_max_ppm * (1 + 1e-6));
        must(w->config.correct_frequency || w->reconfigured);
        w->uncertain = true;
        break;
    case CHRONY_DOFFSET2:
        must((w->carried.measured & both) == both && !w->uncertain);
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
            must((int32_t)big_endian(request + 20) == r->makestep_limit ||
                 big_endian(request + 20) == 0);
        break;
    case CHRONY_BURST: must(w->reconfigured || r->burst_total > 0); break;
    case CHRONY_MODIFY_MINPOLL:
    case CHRONY_MODIFY_MAXPOLL:
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
    struct vmclock_page page;
    struct clock_model model;

    must(!w->dry_run && !w->stop);
    must(!rs->pending || rs->recovery.away); /* nobody has been at the command socket for long */
    must(!recovery_holds_samples(&rs->recovery));
    must(w->carried.measured & TRACKER_MEASURE_REALTIME);
    must(!w->busy && !w->lost);
    must(page_decode(w->raw, &page) == PAGE_OK);
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
        w->reset_id = w->connected_id;
    if (e->id == EVENT_RECOVERY && e->cause == RECOVERY_CAUSE_START)
        must(w->reset_id == 0 || w->reset_id != w->connected_id);
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
        seen->look = HOST_LOOK_CHANGED;
        seen->page_verdict = page_decode(w->raw, page);
        seen->page = page;
        seen->counter = counter(w);
        w->dirty = false;
    }
}

static void read_clock(
    struct world *w, int64_t ahead_ns, size_t n, struct cross_timestamp *ret_readings)
{
    for (size_t i = 0; i < n; i++) {
        const int64_t ns = w->now_ns + ahead_ns + 20;

        ret_readings[i] = (struct cross_timestamp){
            .counter_before = counter(w),
            .counter_after = counter(w) + (w->readings == 4 ? 5000000 : 40),
            .sec = EPOCH_SEC + (ns < 0 ? (ns + 1) / SECOND - 1 : ns / SECOND),
            .nsec = (uint32_t)(ns < 0 ? (ns + 1) % SECOND + SECOND - 1 : ns % SECOND),
        };
        if (w->readings == 1)
            ret_readings[i].counter_after -= 41;
        if (w->readings == 2)
            ret_readings[i].nsec = 1000000000;
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
    read_clock(w, 0, seen->n_raw, raw);
    read_clock(w, w->system_ahead_ns, seen->n_realtime, realtime);
    if (w->race && (seen->measured & TRACKER_MEASURE_REALTIME)) {
        static struct vmclock_page page;

        add_marker(w);
        look(w, seen, &page);
        seen->measured = 0;
        w->race = false;
    }
}

/* As the runner's send_command(). */
static void send_command(struct world *w, struct observation *ret)
{
    struct request *request;

    w->unsent = false;
    if (w->chronyd == CHRONYD_AWAY)
        start_chronyd(w); /* the next one will be another */
    if (w->chronyd == CHRONYD_AWAY || (w->connected && w->connected_id != w->chronyd_id)) {
        w->told_unsynchronised = w->connected = false;
        ret->chronyd = CHRONY_GONE;
        ret->chronyd_error = ECONNREFUSED;
        return;
    }
    w->connected = true;
    w->connected_id = w->chronyd_id;
    if (w->queued == QUEUE_MAX && !w->queue[0].carried_out) {
        w->unsent = true;
        return;
    }
    if (w->queued == QUEUE_MAX) /* it was read: only its reply is lost */
        forget_oldest(w);
    request = &w->queue[w->queued++];
    *request = w->command;
    if (w->chronyd != CHRONYD_FROZEN)
        carry_out(w, request);
    if (w->chronyd == CHRONYD_SILENT)
        forget_oldest(w);
}

static void execute(struct world *w)
{
    const struct tracker_orders *orders = &w->orders;
    struct observation next = {0};

    if (orders->save_before_command || orders->save)
        w->saved = tracker_saved(&w->tracker);
    if (orders->command_length) {
        w->command =
            (struct request){.id = orders->command_id, .sequence = big_endian(orders->command + 8)};
        memcpy(w->command.data, orders->command, sizeof(w->command.data));
        send_command(w, &next);
    }
    if (orders->send_sample) {
        next.sample_sent = true;
        next.sample_error = w->sock_error;
    }
    w->carried = next;
}

/* As the runner's step(): until something has to be waited for. */
static void step(struct world *w)
{
    static struct vmclock_page page;
    unsigned at_once = 0;
    bool more;

    do {
        const bool known = w->tracker.host.known;
        struct observation *seen = &w->carried;

        w->now_ns += US;
        look(w, seen, &page);
        if (w->orders.measure && tracker_is_due(&w->config, &w->orders, w->now_ns))
            gather(w, seen);
        seen->now_ns = w->now_ns;
        seen->clock_source = w->clock_source;
        seen->chronyd_id = w->connected_id;
        if (w->unsent && w->orders.awaits_reply)
            send_command(w, seen);
        seen->command_queued = w->unsent || (w->queued > 0 && !w->queue[w->queued - 1].carried_out);
        tracker_step(&w->tracker, seen, &w->orders);
        if (!known && w->tracker.host.known)
            w->marker_at_reset = w->tracker.host.marker; /* nothing is known of the time before */
        trace(w, seen);
        check_orders(w);
        execute(w);
        must(++at_once < MEASURES_MAX);
        more = tracker_goes_on(&w->orders, &w->carried, w->now_ns);
    } while (more);
}

static void receive(struct world *w, const uint8_t *datagram, size_t length)
{
    w->carried.chronyd = CHRONY_REPLY;
    w->carried.reply = datagram;
    w->carried.reply_length = length;
    step(w);
}

static void reply_to_oldest(struct world *w)
{
    uint8_t reply[CHRONY_REPLY_MAX];
    struct request request;
    size_t length;

    carry_out(w, &w->queue[0]);
    request = w->queue[0];
    forget_oldest(w);
    /* It answers after all that came before: what was sent before it is done, or never will be. */
    w->uncertain = false;
    if (request.id == CHRONY_TRACKING && request.status == CHRONY_OK &&
        request.sequence == w->tracker.client.exchange.sequence &&
        w->tracker.client.exchange.owner != EXCHANGE_NONE)
        w->told_unsynchronised = w->reference == 1 || w->reference == 3;
    length = write_reply(w, &request, reply);
    receive(w, reply, length);
}

/* Step, and let chronyd answer, until nothing is owed. */
static void turn(struct world *w)
{
    step(w);
    for (unsigned n = 0; w->chronyd == CHRONYD_ANSWERS && w->queued > 0; n++) {
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
            .names = {{OWN_NAME, server_of_table(0).minpoll, server_of_table(0).maxpoll}}};
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
    memset(&w->carried, 0, sizeof(w->carried));
    memset(&w->orders, 0, sizeof(w->orders));
    w->orders.wake_at_ns = w->now_ns;
    w->queued = 0; /* the old process's socket is gone with its replies */
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
    if (length >= 28 && big_endian(datagram + 16) == t->client.exchange.sequence)
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
    case ACT_STATUS: set_field(w, VMCLOCK_AT_CLOCK_STATUS, 1, take_u8(in)); break;
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
    case ACT_STATUS_CODE: w->status = take_u8(in); break;
    case ACT_REPLY:
        if (w->queued > 0)
            reply_to_oldest(w);
        break;
    case ACT_DROP:
        if (w->queued > 0) {
            carry_out(w, &w->queue[0]);
            forget_oldest(w);
        }
        break;
    case ACT_GARBAGE: receive_garbage(w, in); break;
    case ACT_REFERENCE: w->reference = take_u8(in) & 3; break;
    case ACT_SOCK_ERROR: w->sock_error = take_u8(in); break;
    case ACT_REQUEST: w->carried.request = true; break;
    case ACT_STOP: w->stop = w->carried.stop = true; break;
    case ACT_RECONFIGURE:
        configure(w, in);
        tracker_reconfigure(&w->tracker, &w->config);
        w->reconfigured = w->dirty = true;
        memset(w->sent, 0, sizeof(w->sent)); /* what is owed is given back from the first on */
        w->starts++;                         /* a sample is due at once */
        break;
    case ACT_CRASH: restart(w); break;
    case ACT_FREQUENCY:
        w->frequency_ppm = take_i16(in) % 1000 * -100.0;
        w->frequency_ppm -= ldexp(take_i16(in), -12);
        break;
    case ACT_CLOCK_SOURCE: w->clock_source = take_u8(in) % (CLOCK_SOURCE_KVM + 1); break;
    case ACT_READINGS: w->readings = take_u8(in) % 5; break;
    case ACT_SYSTEM_CLOCK: w->system_ahead_ns += take_i16(in) * MS; break;
    case ACT_COUNTER:
        w->counter_jumps += (uint64_t)(int64_t)(int32_t)take_u32(in) << 16;
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
        must(w->settings.minpoll[i] == server_of_table(i).minpoll);
        must(w->settings.maxpoll[i] == server_of_table(i).maxpoll);
    }
    must(w->reconfigured || w->settings.makestep_limit == w->config.recovery.makestep_limit ||
         w->settings.makestep_limit == 0);
    if (w->stop)
        return;
    must(tracker_state(t) == TRACKER_FEEDING);
    must(t->host.marker == get_field(w, VMCLOCK_AT_DISRUPTION_MARKER, 8));
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
    w->status = CHRONY_OK;
    set_chronyd(w, CHRONYD_ANSWERS);
    w->reference = 0;
    w->sock_error = w->readings = 0;
    w->clock_source = CLOCK_SOURCE_COUNTER;
    w->carried.stop = w->stop;
    /* Nothing but a disruption makes that good again, and a page without a clock hides it. */
    if (w->tracker.counter.back || w->counter_jumped)
        add_marker(w);
    write_page(w, false);
    if (w->config.max_error_ns)
        set_field(w, VMCLOCK_AT_FLAGS, 8,
            get_field(w, VMCLOCK_AT_FLAGS, 8) | VMCLOCK_FLAG_TIME_MAXERROR_VALID |
                VMCLOCK_FLAG_PERIOD_MAXERROR_VALID);
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
        w->carried.stop = w->stop;
        turn(w);
    }
    check_rest(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    static struct world world;
    struct world *w = &world;
    uint8_t start;

    memset(w, 0, sizeof(*w));
    w->now_ns = START_NS;
    w->clock_source = CLOCK_SOURCE_COUNTER;
    start = take_u8(&in);
    w->dry_run = start & 8;
    configure(w, &in);
    start_chronyd(w);
    set_field(w, VMCLOCK_AT_DISRUPTION_MARKER, 8, 7);
    w->saved = (struct tracker_saved){
        .valid = start & 1,
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
