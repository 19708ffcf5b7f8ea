/* SPDX-License-Identifier: BSD-2-Clause */
/* The tracker's events in words. Which event has which line is seen in integration/test_journal.py.
 */
#include "tests/suite.h"

#include <math.h>
#include <string.h>

#include "daemon/journal.h"
#include "daemon/message.h"

static struct journal_record describe(const struct event *event)
{
    static struct config config;
    struct journal_record record = {.priority = LOG_PRIO_DEBUG};

    ck_assert_int_eq(config_read("/dev/null", message_log_mistake, &config), 0);
    journal_describe(&config, event, RECOVERY_CAUSE_MARKER, &record);
    return record;
}

/* The value of a field; "" where the record does not have it. */
static const char *field(const struct journal_record *record, const char *name)
{
    static char value[256];
    const char *line = record->fields.lines;
    const char *end = line + record->fields.n;
    const size_t n = strlen(name);

    value[0] = '\0';
    for (; line < end; line = strchr(line, '\n') + 1)
        if (strncmp(line, name, n) == 0 && line[n] == '=')
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
    return value;
}

START_TEST(every_event_has_a_line_of_its_own)
{
    static char texts[EVENT_N][LOG_TEXT_MAX];

    for (unsigned id = 0; id < EVENT_N; id++) {
        const struct event event = {.id = (enum event_id)id};
        const struct journal_record record = describe(&event);

        ck_assert_msg(strlen(record.text) > 10, "%s: \"%s\"", event_str(event.id), record.text);
        ck_assert_ptr_null(strchr(record.text, '%'));
        ck_assert_int_ge(record.priority, LOG_PRIO_ERR);
        ck_assert_int_le(record.priority, LOG_PRIO_INFO);
        memcpy(texts[id], record.text, sizeof(texts[id]));
        for (unsigned other = 0; other < id; other++)
            ck_assert_str_ne(texts[other], texts[id]);
    }
}
END_TEST

START_TEST(an_id_comes_with_its_name_and_fields)
{
    const struct event event = {
        .id = EVENT_DISRUPTION, .marker = {.before = 0x1f, .now = UINT64_MAX}};
    const struct journal_record record = describe(&event);

    ck_assert_str_eq(record.text,
        "disruption marker changed from 0x1f to 0xffffffffffffffff: resetting chronyd");
    ck_assert_int_eq(record.priority, LOG_PRIO_WARNING);
    ck_assert_str_eq(field(&record, "MESSAGE_ID"), "34af3a430c8b45be98405d7dca19b1e5");
    ck_assert_str_eq(field(&record, "VMCLOCK_EVENT"), "disruption");
    ck_assert_str_eq(field(&record, "VMCLOCK_MARKER_OLD"), "0x1f");
    ck_assert_str_eq(field(&record, "VMCLOCK_MARKER_NEW"), "0xffffffffffffffff");
}
END_TEST

START_TEST(what_nobody_alerts_on_has_no_id)
{
    const struct event event = {.id = EVENT_CANNOT_STEP};
    const struct journal_record record = describe(&event);

    ck_assert_uint_eq(record.fields.n, 0);
}
END_TEST

START_TEST(the_status_of_the_hosts_clock_decides_the_message)
{
    static const struct {
        uint8_t now;
        const char *name, *text;
    } cases[] = {
        {VMCLOCK_STATUS_SYNCHRONISED, "host-clock-back",
            "the host's clock status: synchronised, was unknown"},
        {VMCLOCK_STATUS_FREERUNNING, "host-clock-freerunning",
            "the host's clock status: free-running, was unknown"},
        {VMCLOCK_STATUS_UNRELIABLE, "host-clock-unreliable",
            "the host's clock status: unreliable, was unknown"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct event event = {
            .id = EVENT_CLOCK_STATUS, .clock_status = {.now = cases[i].now}};
        const struct journal_record record = describe(&event);

        ck_assert_str_eq(record.text, cases[i].text);
        ck_assert_str_eq(field(&record, "VMCLOCK_EVENT"), cases[i].name);
        ck_assert_str_eq(
            field(&record, "VMCLOCK_CLOCK_STATUS_NEW"), page_clock_status_str(cases[i].now));
    }
}
END_TEST

START_TEST(a_rate_that_is_corrected_alone_has_no_offset)
{
    const struct event event = {.id = EVENT_CORRECTED,
        .correction = {
            .by = RECOVERY_CORRECTOR_PAGE, .ppm = 40, .remaining_sec = (double)NAN, .ms = 12.5}};
    const struct journal_record record = describe(&event);

    ck_assert_str_eq(record.text,
        "the clock's rate is corrected by -40.0000 ppm, after 12.500 ms; its offset is left to "
        "chronyd");
    ck_assert_str_eq(field(&record, "VMCLOCK_EVENT"), "corrected");
    ck_assert_str_eq(field(&record, "VMCLOCK_OFFSET_NSEC"), "");
    ck_assert_str_eq(field(&record, "VMCLOCK_FREQUENCY_PPM"), "-40.000000");
}
END_TEST

/* Both positive: it was behind, and ran slow. */
START_TEST(a_correction_and_its_refusal_have_the_same_signs)
{
    struct event event = {.id = EVENT_CORRECTED,
        .correction = {.ppm = -40, .offset_sec = 2, .remaining_sec = 0, .ms = 1}};

    ck_assert_ptr_nonnull(strstr(describe(&event).text, "+2.000000000 s and +40.0000 ppm"));
    event.id = EVENT_CORRECTION_REFUSED;
    ck_assert_ptr_nonnull(strstr(describe(&event).text, "+2.000000000 s and +40.0000 ppm"));
}
END_TEST

RUN_SUITE("journal", every_event_has_a_line_of_its_own, an_id_comes_with_its_name_and_fields,
    what_nobody_alerts_on_has_no_id, the_status_of_the_hosts_clock_decides_the_message,
    a_rate_that_is_corrected_alone_has_no_offset, a_correction_and_its_refusal_have_the_same_signs)
