/* SPDX-License-Identifier: BSD-2-Clause */
#include "refclock/own_servers.h"

#include <string.h>

#include "tests/suite.h"

#define SECOND INT64_C(1000000000)

static const struct own_servers_config config = {.n = 2,
    .addresses = {{{169, 254, 169, 123}, 1}, {{0xfd, 0, 0x0e, 0xc2, [15] = 0x23}, 2}},
    .n_names = 2,
    .names = {{"pool.example", 6, 10}, {"time.example", 4, 6}}};
static struct own_servers o;
static struct chrony_reply reply;

static void setup(void)
{
    own_servers_init(&o, &config, SECOND);
}

static bool count(uint32_t n)
{
    ck_assert_int_eq(own_servers_next(&o).id, CHRONY_N_SOURCES);
    reply = (struct chrony_reply){.n_sources = n};
    return own_servers_take(&o, &config, CHRONY_N_SOURCES, &reply, 2 * SECOND);
}

/* Whether that has led to a question for its name. */
static bool see_source(
    unsigned i, struct chrony_address address, int16_t poll, bool is_server, bool *ret_news)
{
    const struct chrony_command command = own_servers_next(&o);

    ck_assert_int_eq(command.id, CHRONY_SOURCE_DATA);
    ck_assert_uint_eq(command.index, i);
    reply = (struct chrony_reply){.source = {address, poll, is_server}};
    *ret_news = own_servers_take(&o, &config, CHRONY_SOURCE_DATA, &reply, 2 * SECOND);
    return own_servers_next(&o).id == CHRONY_SOURCE_NAME;
}

static bool tell_name(const char *name)
{
    reply = (struct chrony_reply){.status = name ? CHRONY_OK : CHRONY_NO_SUCH_SOURCE};
    if (name)
        strcpy(reply.name, name);
    return own_servers_take(&o, &config, CHRONY_SOURCE_NAME, &reply, 2 * SECOND);
}

static bool see(unsigned i, struct chrony_address address, int16_t poll, bool is_server)
{
    bool news;

    return see_source(i, address, poll, is_server, &news) ? tell_name("time.example") : news;
}

static const struct chrony_address other = {{192, 0, 2, 1}, 1};

START_TEST(an_own_server_is_found_and_has_the_polls_of_the_named_lines)
{
    struct recovery_config recovery = {.n_servers = 1, .servers = {{other, 6, 10}}};

    ck_assert_int_eq(o.due_ns, SECOND);
    ck_assert(!count(3));
    ck_assert(!see(0, other, 6, true));
    ck_assert(!see(1, config.addresses[0], 6, true));
    ck_assert(see(2, config.addresses[1], 4, true));
    ck_assert_int_eq(o.due_ns, 4 * SECOND);
    own_servers_add(&o, &recovery);
    ck_assert_uint_eq(recovery.n_servers, 3);
    ck_assert(chrony_address_equal(&recovery.servers[1].address, &config.addresses[0]));
    ck_assert_int_eq(recovery.servers[2].minpoll, 4);
    ck_assert_int_eq(recovery.servers[2].maxpoll, 6);
    /* Once more, and the same: no news. */
    count(2);
    see(0, config.addresses[0], 6, true);
    ck_assert(!see(1, config.addresses[1], 5, true));
    /* One is gone. */
    count(1);
    ck_assert(see(0, config.addresses[1], 5, true));
    ck_assert_uint_eq(o.n_found, 1);
}
END_TEST

/* Of a line that is not in chrony.conf, a peer, or a reference clock of that number. */
START_TEST(one_that_is_polled_otherwise_is_left_alone)
{
    static const struct {
        int16_t poll;
        bool is_server;
    } others[] = {{3, true}, {7, true}, {-2, true}, {INT16_MIN, true}, {6, false}};

    count(1);
    ck_assert(!see(0, config.addresses[0], others[_i].poll, others[_i].is_server));
    ck_assert_uint_eq(o.n_found, 0);
}
END_TEST

/* Of no line, by an address, or gone meanwhile. */
START_TEST(one_that_is_of_no_line_is_left_alone)
{
    static const char *const names[] = {"other.example", "169.254.169.123", "", NULL};
    bool news;

    count(1);
    ck_assert(see_source(0, config.addresses[0], 6, true, &news));
    ck_assert(!tell_name(names[_i]));
    ck_assert_uint_eq(o.n_found, 0);
}
END_TEST

START_TEST(each_gets_the_polls_of_its_own_line)
{
    bool news;

    count(2);
    see_source(0, config.addresses[0], 7, true, &news);
    tell_name("pool.example");
    see_source(1, config.addresses[1], 4, true, &news);
    ck_assert(tell_name("time.example"));
    ck_assert_int_eq(o.found[0].maxpoll, 10);
    ck_assert_int_eq(o.found[1].maxpoll, 6);
}
END_TEST

/* chronyd shows the poll of the boost until it has polled it again. */
START_TEST(one_that_was_boosted_stays_found)
{
    count(1);
    see(0, config.addresses[0], 6, true);
    count(1);
    ck_assert(!see(0, config.addresses[0], 0, true));
    ck_assert_uint_eq(o.n_found, 1);
    ck_assert_int_eq(o.found[0].minpoll, 4);
}
END_TEST

START_TEST(sources_that_come_and_go_meanwhile_do_no_harm)
{
    count(2);
    reply = (struct chrony_reply){.status = CHRONY_NO_SUCH_SOURCE};
    ck_assert(!own_servers_take(&o, &config, CHRONY_SOURCE_DATA, &reply, 2 * SECOND));
    ck_assert(see(1, config.addresses[0], 6, true));
    ck_assert(count(0)); /* none is left */
    ck_assert_uint_eq(o.n_found, 0);
}
END_TEST

/* No reply, or a chronyd that does not know the question. */
START_TEST(what_is_not_answered_is_asked_later)
{
    if (_i == 0)
        count(2);
    reply = (struct chrony_reply){.status = CHRONY_INVALID};
    ck_assert(!own_servers_take(
        &o, &config, _i ? CHRONY_N_SOURCES : CHRONY_SOURCE_DATA, _i ? &reply : NULL, 5 * SECOND));
    ck_assert_int_eq(o.due_ns, 7 * SECOND);
    ck_assert_int_eq(own_servers_next(&o).id, CHRONY_N_SOURCES);
}
END_TEST

START_TEST(it_is_asked_more_and_more_rarely)
{
    for (int i = 0; i < 20; i++)
        count(0);
    ck_assert_int_eq(o.due_ns, (2 + 1024) * SECOND);
}
END_TEST

START_TEST(so_many_sources_are_not_all_asked_for)
{
    unsigned n = 0;

    count(UINT32_MAX);
    for (; own_servers_next(&o).id == CHRONY_SOURCE_DATA; n++)
        see(n, n % 2 ? other : config.addresses[0], 6, true);
    ck_assert_uint_eq(n, 64);
    ck_assert_uint_eq(o.n_found, OWN_SERVERS_MAX);
}
END_TEST

START_TEST(without_a_name_nobody_is_asked)
{
    own_servers_init(&o, &(struct own_servers_config){.n = 0}, SECOND);
    ck_assert_int_eq(o.due_ns, INT64_MAX);
}
END_TEST

RUN_LOOPS_AFTER(setup, "own servers",
    {an_own_server_is_found_and_has_the_polls_of_the_named_lines, 1},
    {one_that_is_polled_otherwise_is_left_alone, 5}, {one_that_is_of_no_line_is_left_alone, 4},
    {each_gets_the_polls_of_its_own_line, 1}, {one_that_was_boosted_stays_found, 1},
    {sources_that_come_and_go_meanwhile_do_no_harm, 1}, {what_is_not_answered_is_asked_later, 2},
    {it_is_asked_more_and_more_rarely, 1}, {so_many_sources_are_not_all_asked_for, 1},
    {without_a_name_nobody_is_asked, 1})
