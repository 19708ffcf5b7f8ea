/* SPDX-License-Identifier: BSD-2-Clause */
/* Every value has words of its own, and one that is none of them has the word for that. */
#include "tests/suite.h"

#include <string.h>

#include "refclock/page.h"
#include "refclock/tracker.h"

#define WORDS(name, type)                                                                          \
    static const char *name##_of(unsigned value)                                                   \
    {                                                                                              \
        return name((type)value);                                                                  \
    }

WORDS(chrony_command_str, enum chrony_command_id)
WORDS(chrony_status_str, uint16_t)
WORDS(chrony_reply_verdict_str, enum chrony_reply_verdict)
WORDS(clock_verdict_str, enum clock_verdict)
WORDS(event_str, enum event_id)
WORDS(page_verdict_str, enum page_verdict)
WORDS(page_counter_id_str, uint8_t)
WORDS(page_time_type_str, uint8_t)
WORDS(page_clock_status_str, uint8_t)
WORDS(page_leap_indicator_str, uint8_t)
WORDS(page_smearing_hint_str, uint8_t)
WORDS(recovery_state_str, enum recovery_state)
WORDS(recovery_cause_str, enum recovery_cause)
WORDS(recovery_outcome_str, enum recovery_outcome)
WORDS(tracker_state_str, enum tracker_state)

static const struct {
    const char *(*words)(unsigned value);
    unsigned n; /* how many of 0 to 255 have words */
    const char *none;
} vocabularies[] = {
    {chrony_command_str_of, 12, "unknown"},
    {chrony_status_str_of, 7, "unknown status"},
    {chrony_reply_verdict_str_of, CHRONY_REPLY_UNASKED + 1, "unknown"},
    {clock_verdict_str_of, CLOCK_OUT_OF_RANGE + 1, "unknown"},
    {event_str_of, EVENT_REPEATS, "something"},
    {page_verdict_str_of, PAGE_BAD_SIZE + 1, "unknown"},
    {page_counter_id_str_of, 3, "invalid"},
    {page_time_type_str_of, 5, "invalid"},
    {page_clock_status_str_of, 5, "invalid"},
    {page_leap_indicator_str_of, 6, "invalid"},
    {page_smearing_hint_str_of, 3, "invalid"},
    {recovery_state_str_of, RECOVERY_N_STATES, "unknown"},
    {recovery_cause_str_of, RECOVERY_CAUSE_START + 1, "unknown"},
    {recovery_outcome_str_of, RECOVERY_OUTCOME_UNCONFIRMED + 1, "unknown"},
    {tracker_state_str_of, TRACKER_HOLDOVER + 1, "unknown"},
};

START_TEST(every_value_has_words_of_its_own)
{
    for (size_t v = 0; v < sizeof(vocabularies) / sizeof(vocabularies[0]); v++) {
        unsigned n = 0;

        for (unsigned i = 0; i < 256; i++) {
            const char *words = vocabularies[v].words(i);

            ck_assert_ptr_nonnull(words);
            ck_assert_uint_gt(strlen(words), 0);
            if (strcmp(words, vocabularies[v].none) == 0)
                continue;
            n++;
            for (unsigned k = 0; k < i; k++)
                ck_assert_msg(
                    strcmp(words, vocabularies[v].words(k)) != 0, "\"%s\" stands for two", words);
        }
        ck_assert_msg(n == vocabularies[v].n, "%u of the kind of \"%s\" have words, not %u", n,
            vocabularies[v].words(0), vocabularies[v].n);
    }
}
END_TEST

START_TEST(a_mode_and_a_disruption_have_words_where_nothing_is_known)
{
    ck_assert_str_eq(tracker_mode_str(TRACKER_MODE_UNKNOWN), "marker-only");
    ck_assert_str_eq(tracker_mode_str(TRACKER_MODE_MARKER_ONLY), "marker-only");
    ck_assert_str_eq(tracker_mode_str(TRACKER_MODE_CLOCK), "clock");
    ck_assert_str_eq(disruption_kind_str(DISRUPTION_UNKNOWN), "unknown");
    ck_assert_str_eq(disruption_kind_str(DISRUPTION_MIGRATION), "migration");
    ck_assert_str_eq(disruption_kind_str(DISRUPTION_RESTORE), "restore");
    ck_assert_str_eq(disruption_kind_str((enum disruption_kind)9), "unknown");
}
END_TEST

RUN_SUITE("words", every_value_has_words_of_its_own,
    a_mode_and_a_disruption_have_words_where_nothing_is_known)
