/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/page_report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/counter.h"
#include "daemon/device.h"
#include "daemon/system_clock.h"
#include "refclock/calendar.h"

/* One line, or one member, of the report; `meaning` may be NULL. */
static void page_field(
    json_t *root, const char *name, unsigned offset, uint64_t raw, const char *meaning)
{
    char hex[24];

    snprintf(hex, sizeof(hex), "0x%" PRIx64, raw);
    if (root)
        json_object_set_new(root, name,
            meaning ? json_pack("{s:s,s:s}", "raw", hex, "meaning", meaning)
                    : json_pack("{s:s}", "raw", hex));
    else
        printf("0x%02x  %-38s %-20s %s\n", offset, name, hex, meaning ? meaning : "");
}

static void page_flags(const struct vmclock_page *page, char *ret_text, size_t size)
{
    static const char *const names[] = {"TAI_OFFSET_VALID", "DISRUPTION_SOON",
        "DISRUPTION_IMMINENT", "PERIOD_ESTERROR_VALID", "PERIOD_MAXERROR_VALID",
        "TIME_ESTERROR_VALID", "TIME_MAXERROR_VALID", "TIME_MONOTONIC", "VM_GEN_COUNTER_PRESENT",
        "NOTIFICATION_PRESENT"};
    size_t n = 0;

    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (page->flags & UINT64_C(1) << i && n < size)
            n += (size_t)snprintf(ret_text + n, size - n, "%s%s", n ? " " : "", names[i]);
    if (page->flags >> sizeof(names) / sizeof(names[0]) != 0 && n < size)
        snprintf(ret_text + n, size - n, "%sand unknown ones", n ? " " : "");
}

static void page_fields(json_t *root, const struct vmclock_page *p)
{
    char text[256], period[48];

    page_field(
        root, "magic", VMCLOCK_AT_MAGIC, p->magic, p->magic == VMCLOCK_MAGIC ? "VCLK" : "invalid");
    snprintf(text, sizeof(text), "%" PRIu32 " bytes", p->size);
    page_field(root, "size", VMCLOCK_AT_SIZE, p->size, text);
    page_field(root, "version", VMCLOCK_AT_VERSION, p->version,
        p->version == VMCLOCK_VERSION ? NULL : "unknown");
    page_field(root, "counter_id", VMCLOCK_AT_COUNTER_ID, p->counter_id,
        page_counter_id_str(p->counter_id));
    page_field(
        root, "time_type", VMCLOCK_AT_TIME_TYPE, p->time_type, page_time_type_str(p->time_type));
    page_field(root, "seq_count", VMCLOCK_AT_SEQ_COUNT, p->seq_count, NULL);
    page_field(root, "disruption_marker", VMCLOCK_AT_DISRUPTION_MARKER, p->disruption_marker, NULL);
    page_flags(p, text, sizeof(text));
    page_field(root, "flags", VMCLOCK_AT_FLAGS, p->flags, text);
    page_field(root, "clock_status", VMCLOCK_AT_CLOCK_STATUS, p->clock_status,
        page_clock_status_str(p->clock_status));
    page_field(root, "leap_second_smearing_hint", VMCLOCK_AT_SMEARING_HINT, p->smearing_hint,
        page_smearing_hint_str(p->smearing_hint));
    snprintf(text, sizeof(text), "%d s%s", p->tai_offset_sec,
        page_has(p, VMCLOCK_FLAG_TAI_OFFSET_VALID) ? "" : " (not valid)");
    page_field(
        root, "tai_offset_sec", VMCLOCK_AT_TAI_OFFSET_SEC, (uint16_t)p->tai_offset_sec, text);
    page_field(root, "leap_indicator", VMCLOCK_AT_LEAP_INDICATOR, p->leap_indicator,
        page_leap_indicator_str(p->leap_indicator));
    page_field(root, "counter_period_shift", VMCLOCK_AT_PERIOD_SHIFT, p->period_shift, NULL);
    page_field(root, "counter_value", VMCLOCK_AT_COUNTER_VALUE, p->counter_value, NULL);
    snprintf(period, sizeof(period), "%.9g ns",
        clock_model_period(&(struct clock_model){
            .period_frac = p->period_frac_sec, .period_shift = p->period_shift}) *
            1e9);
    page_field(
        root, "counter_period_frac_sec", VMCLOCK_AT_PERIOD_FRAC_SEC, p->period_frac_sec, period);
    page_field(root, "counter_period_esterror_rate_frac_sec", VMCLOCK_AT_PERIOD_ESTERROR,
        p->period_esterror, page_has(p, VMCLOCK_FLAG_PERIOD_ESTERROR_VALID) ? NULL : "not valid");
    page_field(root, "counter_period_maxerror_rate_frac_sec", VMCLOCK_AT_PERIOD_MAXERROR,
        p->period_maxerror, page_has(p, VMCLOCK_FLAG_PERIOD_MAXERROR_VALID) ? NULL : "not valid");
    snprintf(text, sizeof(text), "%" PRIu64 " s", p->time_sec);
    page_field(root, "time_sec", VMCLOCK_AT_TIME_SEC, p->time_sec, text);
    snprintf(text, sizeof(text), "%.9f s", (double)p->time_frac_sec * 0x1p-64);
    page_field(root, "time_frac_sec", VMCLOCK_AT_TIME_FRAC_SEC, p->time_frac_sec, text);
    snprintf(text, sizeof(text), "%" PRIu64 " ns%s", p->time_esterror_ns,
        page_has(p, VMCLOCK_FLAG_TIME_ESTERROR_VALID) ? "" : " (not valid)");
    page_field(
        root, "time_esterror_nanosec", VMCLOCK_AT_TIME_ESTERROR_NANOSEC, p->time_esterror_ns, text);
    snprintf(text, sizeof(text), "%" PRIu64 " ns%s", p->time_maxerror_ns,
        page_has(p, VMCLOCK_FLAG_TIME_MAXERROR_VALID) ? "" : " (not valid)");
    page_field(
        root, "time_maxerror_nanosec", VMCLOCK_AT_TIME_MAXERROR_NANOSEC, p->time_maxerror_ns, text);
    page_field(root, "vm_generation_counter", VMCLOCK_AT_VM_GENERATION, p->vm_generation,
        page_has(p, VMCLOCK_FLAG_VM_GENERATION_PRESENT) ? NULL : "not present");
}

int page_report_read(const struct config *config, struct page_reading *ret_reading)
{
    const struct clock_reader reader = {
        COUNTER_NATIVE, system_clock_counter_period(), config->tracker.reader.accept_freerunning};
    const struct device_view *view = &ret_reading->view;
    enum device_look look = DEVICE_BUSY;
    struct device *device;
    int r = device_open(config->device, &device);

    if (r < 0) {
        ret_reading->means = device_error_str(r);
        return r;
    }
    for (int i = 0; i < 100 && look == DEVICE_BUSY; i++) {
        look = device_look(device, &ret_reading->view);
        if (look == DEVICE_BUSY)
            usleep(1000);
    }
    device_close(device);
    if (look != DEVICE_CHANGED) {
        ret_reading->means =
            look == DEVICE_BUSY ? "the host has been writing for 100 ms" : "the page is gone";
        return -EIO;
    }
    ret_reading->verdict = clock_model_init(&view->page, &reader, &ret_reading->model);
    if (ret_reading->verdict == CLOCK_OK)
        ret_reading->verdict =
            clock_model_time(&ret_reading->model, view->counter, &ret_reading->time);
    ret_reading->means = view->verdict == PAGE_OK ? clock_verdict_str(ret_reading->verdict)
                                                  : page_verdict_str(view->verdict);
    return 0;
}

/* What there is of a page that cannot be read as one: too short, or always being written. */
static bool read_remains(const char *path, struct page_reading *ret_reading)
{
    uint8_t raw[VMCLOCK_FIELDS_END] = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const ssize_t n = fd < 0 ? -1 : read(fd, raw, sizeof(raw));

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    page_decode(raw, &ret_reading->view.page);
    return true;
}

/* RFC 3339, with nanoseconds. */
static void date(const struct fixed *utc, char *ret_text, size_t size)
{
    const int64_t day = utc->sec / CALENDAR_DAY_SEC, second = utc->sec % CALENDAR_DAY_SEC;
    const struct calendar_month m = calendar_month_of(day);
    const uint64_t ns = (uint64_t)(((utc->frac >> 32) * UINT64_C(1000000000)) >> 32);

    snprintf(ret_text, size,
        "%04" PRId64 "-%02d-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64 ".%09" PRIu64 "Z",
        m.year, m.month, day - m.first_day + 1, second / 3600, second / 60 % 60, second % 60, ns);
}

/* A line, or a member, of what follows from the fields; NULL: nothing does. With a unit it is a
 * number. */
static void derived(
    json_t *root, const char *name, const char *label, const char *value, const char *unit)
{
    if (root)
        json_object_set_new(root, name,
            !value                 ? json_null()
            : !unit[0]             ? json_string(value)
            : strpbrk(value, ".e") ? json_real(strtod(value, NULL))
                                   : json_integer(strtoll(value, NULL, 10)));
    else if (value)
        printf("%-22s %s%s\n", label, value, unit);
}

static void derive(json_t *root, const struct page_reading *reading, bool is_clock)
{
    const struct vmclock_page *page = &reading->view.page;
    const double period = clock_model_period(&(struct clock_model){
        .period_frac = page->period_frac_sec, .period_shift = page->period_shift});
    const bool counts = page->counter_id != VMCLOCK_COUNTER_NONE && period > 0;
    const uint64_t bound_ns = is_clock && reading->model.has_bound
                                  ? clock_model_bound_ns(&reading->model, reading->view.counter)
                                  : UINT64_MAX;
    const bool bounded = bound_ns != UINT64_MAX; /* or it has saturated */
    char text[64];

    snprintf(text, sizeof(text), "%.9g", period * 1e9);
    derived(root, "counter_period_ns", "Counter's period", counts ? text : NULL, " ns");
    snprintf(text, sizeof(text), "%.9g", 1e-6 / (period > 0 ? period : 1));
    derived(root, "counter_frequency_mhz", "Counter's frequency", counts ? text : NULL, " MHz");
    snprintf(text, sizeof(text), root ? "0x%" PRIx64 : "%" PRIu64, reading->view.counter);
    derived(root, "counter_now", "Counter now", is_clock ? text : NULL, "");
    if (is_clock)
        date(&reading->model.reference, text, sizeof(text));
    derived(root, "reference_date", "UTC at the reference", is_clock ? text : NULL, "");
    if (is_clock)
        date(&reading->time.utc, text, sizeof(text));
    derived(root, "utc_date", "UTC now, as a date", is_clock ? text : NULL, "");
    if (bounded)
        snprintf(text, sizeof(text), "%" PRIu64, bound_ns);
    derived(root, "error_bound_ns", "Wrong by at most",
        bounded             ? text
        : is_clock && !root ? "anything: the host states no bound"
                            : NULL,
        bounded ? " ns" : "");
}

int page_report(const struct config *config, bool json)
{
    json_t *root = NULL, *fields = NULL;
    struct page_reading reading = {.verdict = CLOCK_NO_COUNTER};
    const bool whole = page_report_read(config, &reading) >= 0;
    bool valid, is_clock;
    char utc[32] = "";
    int r = EXIT_SUCCESS;

    if (!whole) {
        fprintf(stderr, "vmclockctl: %s cannot be used: %s\n", config->device, reading.means);
        if (!read_remains(config->device, &reading))
            return EX_UNAVAILABLE;
    }
    valid = whole && reading.view.verdict == PAGE_OK;
    is_clock = valid && reading.verdict == CLOCK_OK;
    if (is_clock)
        snprintf(utc, sizeof(utc), "%" PRId64 ".%09" PRIu64, reading.time.utc.sec,
            (uint64_t)(((reading.time.utc.frac >> 32) * UINT64_C(1000000000)) >> 32));

    if (json) {
        root = json_object();
        fields = json_object();
        json_object_set_new(root, "device", json_string(config->device));
        json_object_set_new(root, "valid", json_boolean(valid));
        json_object_set_new(root, "clock", json_boolean(is_clock));
        json_object_set_new(root, "verdict", json_string(reading.means));
        json_object_set_new(root, "utc", is_clock ? json_string(utc) : json_null());
        json_object_set_new(root, "fields", fields);
    }
    page_fields(fields, &reading.view.page);
    if (!json) {
        printf("\n%s: %s\n", config->device, reading.means);
        if (is_clock)
            printf("%-22s %s s\n", "UTC now", utc);
    }
    derive(root, &reading, is_clock);
    if (json) {
        r = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 ? EXIT_SUCCESS
                                                                                    : EXIT_FAILURE;
        putchar('\n');
        json_decref(root);
    }
    return valid ? r : EX_UNAVAILABLE;
}
