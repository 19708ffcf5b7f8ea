/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/announcement.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/replace_file.h"
#include "refclock/recovery.h"

#define TEXT_MAX 2048
#define COUNT    "VMCLOCK_COUNT="

enum announcement announcement_of(const struct event *e)
{
    switch (e->id) {
    case EVENT_DISRUPTION: return ANNOUNCEMENT_DISRUPTION;
    case EVENT_SYNCHRONISED:
    case EVENT_NOT_SYNCHRONISED:
    case EVENT_ABANDONED: /* that of a chronyd's start was never a disruption */
        return e->end.cause == RECOVERY_CAUSE_START ? ANNOUNCEMENT_NONE : ANNOUNCEMENT_RECOVERY;
    case EVENT_UNCONFIRMED: return ANNOUNCEMENT_RECOVERY; /* no other end follows */
    case EVENT_GENERATION: return ANNOUNCEMENT_RESTORE;
    case EVENT_MAINTENANCE: return ANNOUNCEMENT_MAINTENANCE;
    default: return ANNOUNCEMENT_NONE;
    }
}

const char *announcement_str(enum announcement kind)
{
    static const char *const names[ANNOUNCEMENTS] = {[ANNOUNCEMENT_DISRUPTION] = "disruption",
        [ANNOUNCEMENT_RECOVERY] = "recovery",
        [ANNOUNCEMENT_RESTORE] = "restore",
        [ANNOUNCEMENT_MAINTENANCE] = "maintenance"};

    return names[kind];
}

/* Only what a shell that reads the file takes for nothing but itself. */
static bool is_plain(const char *line, size_t n)
{
    if (strncmp(line, "VMCLOCK_", 8) != 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)line[i]) && !strchr("_=.+-", line[i]))
            return false;
    return true;
}

/* What follows the count. */
static void describe(const struct journal_record *record, const char *boot_id, char *ret_text)
{
    const char *line = record->fields.lines;
    size_t n = (size_t)snprintf(ret_text, TEXT_MAX, "VMCLOCK_BOOT_ID=%s\n", boot_id);

    while (line < record->fields.lines + record->fields.n) {
        const size_t length = strcspn(line, "\n");

        if (is_plain(line, length))
            n += (size_t)snprintf(ret_text + n, TEXT_MAX - n, "%.*s\n", (int)length, line);
        line += length + 1;
    }
}

/* The last one's count, 0 if there is none, and what follows it. */
static uint64_t read_last(const char *path, char ret_rest[TEXT_MAX])
{
    char text[TEXT_MAX];
    const int fd = open_replaced(path);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    size_t first;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    first = strcspn(text, "\n");
    snprintf(ret_rest, TEXT_MAX, "%s", text[first] ? text + first + 1 : "");
    return strncmp(text, COUNT, strlen(COUNT)) == 0 ? strtoull(text + strlen(COUNT), NULL, 10) : 0;
}

/* A copy into each directory of `path`.d, where it appears as a whole. */
static int give_copies(const char *path, const char *kind, const char *text, size_t n)
{
    char fresh[PATH_MAX], copy[PATH_MAX];
    unsigned copies = 0;
    struct dirent *entry;
    DIR *subscribers;
    int result = 0, r;

    if (snprintf(copy, sizeof(copy), "%s.d", path) >= (int)sizeof(copy) ||
        snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return -ENAMETOOLONG;
    subscribers = opendir(copy);
    if (!subscribers)
        return errno == ENOENT ? 0 : -errno;
    while ((entry = readdir(subscribers)) && copies < ANNOUNCEMENT_SUBSCRIBERS_MAX) {
        if (entry->d_name[0] == '.' || snprintf(copy, sizeof(copy), "%s.d/%s/%s", path,
                                           entry->d_name, kind) >= (int)sizeof(copy))
            continue;
        copies++;
        r = replace_file_by(fresh, copy, text, n);
        if (r < 0 && r != -ENOTDIR)
            result = r;
    }
    closedir(subscribers);
    return result;
}

int announcement_write(const char *state_file, const char *boot_id, enum announcement kind,
    const struct journal_record *record)
{
    const char *name = announcement_str(kind);
    const int directory = (int)(strrchr(state_file, '/') - state_file);
    char path[PATH_MAX], said[TEXT_MAX], last[TEXT_MAX], text[TEXT_MAX + 64];
    uint64_t count;
    int r, n;

    snprintf(path, sizeof(path), "%.*s", directory, state_file);
    make_public_directory(path);
    snprintf(path, sizeof(path), "%.*s/events/%s", directory, state_file, name);
    describe(record, boot_id, said);
    count = read_last(path, last);
    if (kind != ANNOUNCEMENT_RECOVERY && strcmp(said, last) == 0)
        return 0;
    n = snprintf(text, sizeof(text), COUNT "%" PRIu64 "\n%s", count + 1, said);
    r = replace_file(path, text, (size_t)n);
    n = give_copies(path, name, text, (size_t)n);
    return r < 0 ? r : n;
}
