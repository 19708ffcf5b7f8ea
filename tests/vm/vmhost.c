/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's side of the tests: the only writer of one vmclock page. Reads commands
 * from standard input (the table is at the end), answers each with one line of
 * "name=value" words, the last one "error: ..." if it failed, and refreshes the page
 * in between. Ends with its standard input.
 *
 * The guest's counter is the host's plus an offset that `calibrate` finds. The host's is
 * the TSC, or for guests that are emulated with another one CLOCK_MONOTONIC in ns, from
 * which QEMU makes theirs.
 */
#define _GNU_SOURCE
#include "shared.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000;
static const uint8_t period_shift = 29; /* room for counters above 540 MHz */

enum source { NOTHING, HOST_CLOCK, OWN_FORMULA };

static volatile struct page *page; /* the formula that is in force */
static volatile struct page
    *shown_page; /* NULL, or the guest's device, which shows the marker only */
static uint8_t *shared;
static struct mailbox *mailbox;

static bool count_ns;          /* the host's counter is CLOCK_MONOTONIC */
static int64_t counter_offset; /* the guest's counter less the host's */
static bool calibrated;
static int64_t time_esterror_ns, time_maxerror_ns;

/* The day that is served: the host's own, so much later, with or without a leap second. */
static int64_t ahead_ns;
static int leap;           /* 1 inserted, -1 deleted, 0 none */
static int64_t leap_at_ns; /* the first second of the month after it */
static const int tai_offset_sec = 37;

static struct {
    uint64_t counter;
    int64_t realtime_ns;
} start; /* the longest baseline there is for the counter's rate */

static enum source refresh_source;
static int refresh_ms;
static int notify_fd = -1;
static FILE *formula_log;

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * second_ns + t.tv_nsec;
}

static uint64_t host_counter(void)
{
    return count_ns ? (uint64_t)clock_ns(CLOCK_MONOTONIC) : read_counter();
}

static void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

/* Counter and CLOCK_REALTIME together: the narrowest of some readings. */
static void read_host(int readings, uint64_t *ret_counter, int64_t *ret_realtime_ns)
{
    uint64_t best = UINT64_MAX;

    while (readings--) {
        uint64_t before = host_counter();
        int64_t now = clock_ns(CLOCK_REALTIME);
        uint64_t after = host_counter();

        if (after - before < best) {
            best = after - before;
            *ret_counter = before + (after - before) / 2;
            *ret_realtime_ns = now;
        }
    }
}

static double baseline_s(void)
{
    return (double)(clock_ns(CLOCK_REALTIME) - start.realtime_ns) * 1e-9;
}

static double tick_ns(void)
{
    uint64_t counter = 0;
    int64_t now = 0;

    while (baseline_s() < 1.0)
        sleep_ms(20);
    read_host(50, &counter, &now);
    return (double)(now - start.realtime_ns) / (double)(counter - start.counter);
}

/* ---- writing the page ---- */

static void open_update(void)
{
    page->seq_count |= 1;
    barrier();
}

static void close_update(void)
{
    barrier();
    page->seq_count++;
    if (shown_page && shown_page->disruption_marker != page->disruption_marker) {
        shown_page->seq_count++;
        barrier();
        shown_page->disruption_marker = page->disruption_marker;
        barrier();
        shown_page->seq_count++;
    }
    if (notify_fd >= 0 && page->flags & FLAG_NOTIFICATION)
        send(notify_fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Puts a new page in place, in one update; everything but the sequence is taken from p. */
static void write_page(const struct page *p)
{
    open_update();
    page->clock_status = p->clock_status;
    memcpy((uint8_t *)(uintptr_t)page + offsetof(struct page, disruption_marker),
        &p->disruption_marker, sizeof *p - offsetof(struct page, disruption_marker));
    close_update();
    if (formula_log) {
        fprintf(formula_log, "%lu %lu %u %lu %lu %u %lu %lu\n",
            host_counter() + (uint64_t)counter_offset, p->disruption_marker, p->clock_status,
            p->counter_value, p->period, p->period_shift, p->time_sec, p->time_frac);
        fflush(formula_log);
    }
}

static struct page present_page(void)
{
    struct page p;

    memcpy(&p, (const void *)(uintptr_t)page, sizeof p);
    return p;
}

/* The served UTC at a time of the host's clock. An inserted second has no number of its own. */
static int64_t served_utc_ns(int64_t host_ns)
{
    int64_t linear_ns = host_ns + ahead_ns;
    bool been = linear_ns >= leap_at_ns + leap * second_ns;

    return been ? linear_ns - leap * second_ns : linear_ns;
}

static void set_leap(struct page *p, int64_t host_ns)
{
    int64_t linear_ns = host_ns + ahead_ns, utc_ns = served_utc_ns(host_ns);
    bool been = utc_ns != linear_ns;

    if (leap == 0)
        p->leap_indicator = LEAP_NONE;
    else if (been)
        p->leap_indicator = leap > 0 ? LEAP_POST_POSITIVE : LEAP_POST_NEGATIVE;
    else if (linear_ns >= leap_at_ns)
        p->leap_indicator = LEAP_NOW;
    else
        p->leap_indicator = leap > 0 ? LEAP_PRE_POSITIVE : LEAP_PRE_NEGATIVE;
    p->tai_offset_sec = (int16_t)(tai_offset_sec + (been ? leap : 0));
}

static void set_time(struct page *p, uint64_t counter, int64_t host_ns, double tick)
{
    /* TAI runs on over a leap second */
    int64_t ns = p->time_type == TYPE_TAI ? host_ns + ahead_ns + tai_offset_sec * second_ns
                                          : served_utc_ns(host_ns);
    long double period = (long double)tick * 1e-9L * 0x1p64L * (long double)(1ull << period_shift);

    p->counter_value = counter;
    p->period = (uint64_t)period;
    p->period_shift = period_shift;
    p->period_esterror = (uint64_t)(period * 1e-9L);
    p->period_maxerror = (uint64_t)(period * (50e-9L + 50e-9L / (long double)baseline_s()));
    p->time_sec = (uint64_t)(ns / second_ns);
    p->time_frac = (uint64_t)((long double)(ns % second_ns) * 1e-9L * 0x1p64L);
    p->time_esterror_ns = (uint64_t)time_esterror_ns;
    p->time_maxerror_ns = (uint64_t)time_maxerror_ns;
    p->flags |=
        FLAG_PERIOD_ESTERROR | FLAG_PERIOD_MAXERROR | FLAG_TIME_ESTERROR | FLAG_TIME_MAXERROR;
    p->clock_status = STATUS_SYNCHRONISED;
    set_leap(p, host_ns);
}

/* The same line through a reference of now. */
static void move_reference(struct page *p)
{
    uint64_t counter = host_counter() + (uint64_t)counter_offset;
    struct page_time now = page_time_at(p, counter);

    p->counter_value = counter;
    p->time_sec = now.sec;
    p->time_frac = now.frac;
}

static void refresh(void)
{
    struct page p = present_page();

    if (refresh_source == HOST_CLOCK) {
        uint64_t counter = 0;
        int64_t now = 0;

        read_host(20, &counter, &now);
        set_time(&p, counter + (uint64_t)counter_offset, now, tick_ns());
    } else {
        move_reference(&p);
    }
    write_page(&p);
}

/* ---- asking the guest ---- */

struct answer {
    uint64_t sent, received; /* the host's counter around it */
    uint64_t counter;
    int64_t time_ns;
    int error;
};

static bool ask(enum question question, int timeout_ms, struct answer *ret)
{
    uint64_t number = mailbox->asked + 1;
    int64_t end = clock_ns(CLOCK_MONOTONIC) + timeout_ms * (second_ns / 1000);

    mailbox->question = question;
    barrier();
    ret->sent = host_counter();
    mailbox->asked = number;
    for (unsigned spins = 1; mailbox->answered != number; spins++)
        if (spins % 4096 == 0 && clock_ns(CLOCK_MONOTONIC) > end)
            return false;
    ret->received = host_counter();
    ret->counter = mailbox->counter;
    ret->time_ns = mailbox->time_ns;
    ret->error = (int)mailbox->error;
    return true;
}

/* The guest's program may still be starting. */
static bool guest_listens(void)
{
    struct answer answer;

    return ask(ASK_COUNTER, 20000, &answer);
}

/* ---- commands: each prints its answer's "name=value" part, or returns an error's text ---- */

static const char *cmd_init(int argc, char **argv)
{
    struct page p = {
        .magic = PAGE_MAGIC,
        .size = 4096,
        .version = 1,
        .counter_id = count_ns ? COUNTER_ARM : COUNTER_TSC,
        .time_type = TYPE_TAI,
        .seq_count = 1,
        .disruption_marker = 1,
        .flags = FLAG_TAI_OFFSET | FLAG_GENERATION,
        .tai_offset_sec = tai_offset_sec,
        .clock_status = 1,
        .generation = 1,
    };
    bool marker_only = false;

    for (int i = 0; i < argc; i++) {
        unsigned value;

        if (sscanf(argv[i], "marker=%u", &value) == 1)
            p.disruption_marker = value;
        else if (sscanf(argv[i], "status=%u", &value) == 1)
            p.clock_status = (uint8_t)value;
        else if (sscanf(argv[i], "utc=%u", &value) == 1)
            p.time_type = value ? TYPE_UTC : TYPE_TAI;
        else if (sscanf(argv[i], "counter-id=%u", &value) == 1)
            p.counter_id = (uint8_t)value;
        else if (sscanf(argv[i], "notification=%u", &value) == 1)
            p.flags |= value ? FLAG_NOTIFICATION : 0;
        else if (sscanf(argv[i], "marker-only=%u", &value) == 1)
            marker_only = value;
        else
            return "init takes marker=, status=, utc=, counter-id=, notification=, marker-only=";
    }
    if (marker_only) {
        struct page q = {
            .magic = PAGE_MAGIC,
            .size = 4096,
            .version = 1,
            .counter_id = COUNTER_NONE,
            .disruption_marker = p.disruption_marker,
            .flags = p.flags & FLAG_NOTIFICATION,
        };

        shown_page = (volatile struct page *)(shared + PAGE_OFFSET);
        page = (volatile struct page *)(shared + TRUTH_OFFSET);
        memcpy((uint8_t *)(uintptr_t)shown_page, &q, sizeof q);
    }
    memcpy((uint8_t *)(uintptr_t)page, &p, sizeof p);
    close_update();
    return NULL;
}

static const char *cmd_show(int argc, char **argv)
{
    struct page p = present_page();

    (void)argc, (void)argv;
    printf(" seq=%u marker=%lu generation=%lu flags=%lu status=%u counter_value=%lu period=%lu "
           "shift=%u sec=%lu frac=%lu leap=%u tai_offset=%d",
        p.seq_count, p.disruption_marker, p.generation, p.flags, p.clock_status, p.counter_value,
        p.period, p.period_shift, p.time_sec, p.time_frac, p.leap_indicator, p.tai_offset_sec);
    return NULL;
}

/* Every answer bounds the offset from both sides; all together leave a narrow interval. */
static const char *cmd_calibrate(int argc, char **argv)
{
    int64_t low = INT64_MIN, high = INT64_MAX, round_trip = INT64_MAX, width;
    struct answer answer;
    double tick;

    (void)argc;
    if (!guest_listens())
        return "no answer from the guest";
    for (int i = atoi(argv[0]); i > 0; i--) {
        if (!ask(ASK_COUNTER, 500, &answer))
            continue;
        if ((int64_t)(answer.counter - answer.received) > low)
            low = (int64_t)(answer.counter - answer.received);
        if ((int64_t)(answer.counter - answer.sent) < high)
            high = (int64_t)(answer.counter - answer.sent);
        if ((int64_t)(answer.received - answer.sent) < round_trip)
            round_trip = (int64_t)(answer.received - answer.sent);
    }
    tick = tick_ns();
    width = high - low;
    counter_offset = low + width / 2;
    calibrated = true;
    time_esterror_ns = 50 + (int64_t)((double)llabs(width) * tick / 2);
    time_maxerror_ns = 500 + (int64_t)((double)round_trip * tick);
    printf(" offset=%ld width_ns=%.0f round_trip_ns=%.0f counter_mhz=%.6f", counter_offset,
        (double)width * tick, (double)round_trip * tick, 1e3 / tick);
    return NULL;
}

static const char *cmd_offset(int argc, char **argv)
{
    (void)argc;
    counter_offset = strtoll(argv[0], NULL, 0);
    calibrated = true;
    return NULL;
}

static const char *cmd_day(int argc, char **argv)
{
    ahead_ns = strtoll(argv[0], NULL, 0) * second_ns;
    leap = argc > 1 ? atoi(argv[1]) : 0;
    leap_at_ns = argc > 2 ? strtoll(argv[2], NULL, 0) * second_ns : 0;
    return argc == 2 || leap < -1 || leap > 1 ? "day takes SECONDS or SECONDS 1|-1 SECOND" : NULL;
}

static const char *start_refreshing(enum source source, int ms)
{
    if (!calibrated)
        return "calibrate first";
    refresh_source = source;
    refresh_ms = ms;
    refresh();
    return NULL;
}

static const char *cmd_serve(int argc, char **argv)
{
    (void)argc;
    return start_refreshing(HOST_CLOCK, atoi(argv[0]));
}

static const char *cmd_follow(int argc, char **argv)
{
    (void)argc;
    return start_refreshing(OWN_FORMULA, atoi(argv[0]));
}

static const char *cmd_freeze(int argc, char **argv)
{
    (void)argc, (void)argv;
    refresh_source = NOTHING;
    refresh_ms = 0;
    return NULL;
}

static const char *cmd_marker(int argc, char **argv)
{
    struct page p = present_page();

    (void)argc, (void)argv;
    p.disruption_marker++;
    write_page(&p);
    return NULL;
}

static const char *cmd_generation(int argc, char **argv)
{
    struct page p = present_page();

    (void)argc, (void)argv;
    p.generation++;
    write_page(&p);
    return NULL;
}

static const char *cmd_status(int argc, char **argv)
{
    struct page p = present_page();

    (void)argc;
    p.clock_status = (uint8_t)atoi(argv[0]);
    write_page(&p);
    return NULL;
}

static const char *cmd_notification(int argc, char **argv)
{
    struct page p = present_page();

    (void)argc;
    p.flags = atoi(argv[0]) ? p.flags | FLAG_NOTIFICATION : p.flags & ~(uint64_t)FLAG_NOTIFICATION;
    write_page(&p);
    return NULL;
}

static const char *cmd_odd(int argc, char **argv)
{
    (void)argc;
    open_update();
    sleep_ms(atoi(argv[0]));
    close_update();
    return NULL;
}

/*
 * A disruption of known size. The formula goes on from the present one by NS and PPM,
 * and is kept from then on. A host may do this in one update or in two:
 *   together            marker and formula in one
 *   marker-first MS     the formula MS later
 *   formula-first MS    the marker MS later
 *   unreliable-first MS the marker with status 4, the formula MS later
 * or correct its own formula:
 *   steer               no marker
 */
static const char *cmd_step(int argc, char **argv)
{
    int64_t step_ns = strtoll(argv[0], NULL, 0);
    long double factor = 1 + strtold(argv[1], NULL) * 1e-6L;
    const char *order = argc > 2 ? argv[2] : "together";
    int between_ms = argc > 3 ? atoi(argv[3]) : 0;
    struct page p = present_page();
    uint8_t status = p.clock_status;
    __extension__ unsigned __int128 time;

    if (!calibrated)
        return "calibrate first";
    if (refresh_source == HOST_CLOCK)
        refresh_source = OWN_FORMULA;
    if (!strcmp(order, "marker-first") || !strcmp(order, "unreliable-first")) {
        p.disruption_marker++;
        if (order[0] == 'u')
            p.clock_status = STATUS_UNRELIABLE;
        write_page(&p);
        sleep_ms(between_ms);
        p.clock_status = status;
    } else if (strcmp(order, "together") && strcmp(order, "formula-first") &&
               strcmp(order, "steer")) {
        return "order is together, marker-first MS, formula-first MS, unreliable-first MS or "
               "steer";
    }
    move_reference(&p);
    time = (__extension__(unsigned __int128) p.time_sec) << 64 | p.time_frac;
    time += (__extension__(unsigned __int128)(__int128)(step_ns / second_ns)) << 64;
    time += (__extension__(unsigned __int128)(__int128)(
        0x1p64L * 1e-9L * (long double)(step_ns % second_ns)));
    p.time_sec = (uint64_t)(time >> 64);
    p.time_frac = (uint64_t)time;
    p.period = (uint64_t)((long double)p.period * factor);
    if (!strcmp(order, "together"))
        p.disruption_marker++;
    write_page(&p);
    if (!strcmp(order, "formula-first")) {
        sleep_ms(between_ms);
        p.disruption_marker++;
        write_page(&p);
    }
    printf(" marker=%lu counter=%lu", p.disruption_marker, p.counter_value);
    return NULL;
}

struct difference {
    int64_t bracket_ns, offset_ns;
};

static int by_bracket(const void *a, const void *b)
{
    const struct difference *x = a, *y = b;

    return (x->bracket_ns > y->bracket_ns) - (x->bracket_ns < y->bracket_ns);
}

static int by_offset(const void *a, const void *b)
{
    const struct difference *x = a, *y = b;

    return (x->offset_ns > y->offset_ns) - (x->offset_ns < y->offset_ns);
}

/*
 * The guest's answer against the middle of the host's two readings around it. Only
 * the quarter with the tightest exchanges counts: in the others somebody was
 * interrupted, and the answer may have been given anywhere in between.
 */
static const char *compare(enum question question, int count)
{
    struct difference *d = calloc((size_t)count, sizeof *d);
    int good = 0, error = 0, used;

    if (!d || !guest_listens())
        return free(d), "no answer from the guest";
    for (int i = 0; i < count; i++) {
        int64_t before = clock_ns(CLOCK_REALTIME), after;
        struct answer answer;

        if (!ask(question, 500, &answer))
            continue;
        after = clock_ns(CLOCK_REALTIME);
        if (answer.error)
            error = answer.error;
        else
            d[good++] = (struct difference){
                after - before, answer.time_ns - served_utc_ns(before + (after - before) / 2)};
    }
    if (good < 4) {
        free(d);
        return error ? strerror(error) : "too few answers";
    }
    qsort(d, (size_t)good, sizeof *d, by_bracket);
    used = good / 4;
    printf(" good=%d bracket_ns=%ld", good, d[used - 1].bracket_ns);
    qsort(d, (size_t)used, sizeof *d, by_offset);
    printf(" median_ns=%ld p5_ns=%ld p95_ns=%ld", d[used / 2].offset_ns, d[used / 20].offset_ns,
        d[used * 19 / 20].offset_ns);
    free(d);
    return NULL;
}

static const char *cmd_compare_clock(int argc, char **argv)
{
    (void)argc;
    return compare(ASK_REALTIME, atoi(argv[0]));
}

static const char *cmd_compare_page(int argc, char **argv)
{
    (void)argc;
    return compare(ASK_PAGE_TIME, atoi(argv[0]));
}

static const char *cmd_end_mailbox(int argc, char **argv)
{
    struct answer answer;

    (void)argc, (void)argv;
    return ask(ASK_TO_END, 5000, &answer) ? NULL : "no answer from the guest";
}

static const char *cmd_notify(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)argc;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[0]);
    notify_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (notify_fd < 0 || connect(notify_fd, (struct sockaddr *)&address, sizeof address))
        return strerror(errno);
    return NULL;
}

static const char *cmd_log(int argc, char **argv)
{
    (void)argc;
    formula_log = fopen(argv[0], "a");
    if (!formula_log)
        return strerror(errno);
    fputs("# counter when written, marker, status, counter_value, period, shift, time_sec, "
          "time_frac\n",
        formula_log);
    fflush(formula_log);
    return NULL;
}

static const struct command {
    const char *name;
    const char *arguments;
    int needs;
    const char *(*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"init", "[marker=N] [status=N] [utc=1] [counter-id=N] [notification=1] [marker-only=1]", 0,
        cmd_init, "a page without a formula (marker-only: it never shows one)"},
    {"show", "", 0, cmd_show, "the page as it is"},
    {"notify", "SOCKET", 1, cmd_notify, "send a byte there after every update"},
    {"log", "FILE", 1, cmd_log, "append a line for every update"},
    {"calibrate", "COUNT", 1, cmd_calibrate,
        "find the guest's counter offset (guest mailbox runs)"},
    {"offset", "TICKS", 1, cmd_offset, "take it as given"},
    {"day", "SECONDS [1|-1 SECOND]", 1, cmd_day,
        "serve a day so much later, whose month's end, SECOND, has a leap second"},
    {"serve", "MS", 1, cmd_serve, "a formula from the host's clock, refreshed every MS (0: never)"},
    {"follow", "MS", 1, cmd_follow, "keep the present formula, refresh its reference every MS"},
    {"freeze", "", 0, cmd_freeze, "no more refreshing"},
    {"marker", "", 0, cmd_marker, "disruption marker + 1"},
    {"generation", "", 0, cmd_generation, "generation + 1"},
    {"status", "N", 1, cmd_status, "set the clock's status (serve sets it again)"},
    {"notification", "0|1", 1, cmd_notification, "set the flag"},
    {"odd", "MS", 1, cmd_odd, "leave an update open"},
    {"step", "NS PPM [ORDER [MS]]", 2, cmd_step, "a disruption of that size, see cmd_step"},
    {"compare-clock", "COUNT", 1, cmd_compare_clock, "guest's CLOCK_REALTIME less the host's"},
    {"compare-page", "COUNT", 1, cmd_compare_page,
        "guest's page time less the host's CLOCK_REALTIME"},
    {"end-mailbox", "", 0, cmd_end_mailbox, "end guest mailbox"},
};
static const size_t n_commands = sizeof commands / sizeof *commands;

static void run(char *line)
{
    const char *error = "unknown command";
    char *words[8];
    int n = 0;

    for (char *word = strtok(line, " \n"); word && n < 8; word = strtok(NULL, " \n"))
        words[n++] = word;
    if (!n)
        return;
    for (size_t i = 0; i < n_commands; i++)
        if (!strcmp(words[0], commands[i].name))
            error =
                n - 1 < commands[i].needs ? "too few arguments" : commands[i].run(n - 1, words + 1);
    if (error)
        printf(" error: %s: %s", words[0], error);
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char input[4096];
    size_t filled = 0;
    int64_t next = 0;
    int fd;

    count_ns = argc == 3 && !strcmp(argv[2], "monotonic");
    if (argc != 2 + count_ns) {
        fputs("usage: vmhost SHARED-FILE [monotonic], commands on standard input:\n", stderr);
        for (size_t i = 0; i < n_commands; i++)
            fprintf(stderr, "  %-13s %-46s %s\n", commands[i].name, commands[i].arguments,
                commands[i].help);
        return 64;
    }
    fd = open(argv[1], O_RDWR | O_CLOEXEC);
    shared =
        fd < 0 ? MAP_FAILED : mmap(NULL, SHARED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    page = (volatile struct page *)(shared + PAGE_OFFSET);
    mailbox = (struct mailbox *)(shared + MAILBOX_OFFSET);
    read_host(50, &start.counter, &start.realtime_ns);

    for (;;) {
        struct pollfd in = {STDIN_FILENO, POLLIN, 0};
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        bool refreshing = refresh_source != NOTHING && refresh_ms > 0;
        char *end;

        if (refreshing && now >= next) {
            refresh();
            next = now + refresh_ms * (second_ns / 1000);
        }
        if (poll(&in, 1, refreshing ? (int)((next - now) / 1000000) + 1 : -1) > 0) {
            ssize_t got = read(STDIN_FILENO, input + filled, sizeof input - 1 - filled);

            if (got <= 0)
                return 0;
            filled += (size_t)got;
            input[filled] = '\0';
            while ((end = strchr(input, '\n'))) {
                *end = '\0';
                run(input);
                filled -= (size_t)(end + 1 - input);
                memmove(input, end + 1, filled + 1);
            }
        }
    }
}
