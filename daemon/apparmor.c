/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES    1024
#define PATTERN_BYTES ((size_t)LINE_BYTES * 4)
#define SEPARATORS    " \t\r\n,"
#define KERNEL        "/sys/kernel/security/apparmor/"

/* The kernel's numbers, which are part of its interface. */
#define CLASS_FILE 2
#define MAY_WRITE  2U

/* --- the kernel ---------------------------------------------------------------------------- */

int apparmor_is_enforced(char *label)
{
    char *end = label + strcspn(label, "\n"), *mode;

    *end = '\0';
    mode = strrchr(label, '(');
    if (!mode || mode == label)
        return 0; /* "unconfined" */
    mode[-1] = '\0';
    return strcmp(mode, "(enforce)") == 0 || strcmp(mode, "(kill)") == 0;
}

int apparmor_loaded(const char *program, char ret_label[APPARMOR_LABEL_MAX])
{
    FILE *file = fopen(KERNEL "profiles", "re");
    const char *slash = strrchr(program, '/');
    int enforced = 0;

    if (!file)
        return -1;
    while (fgets(ret_label, APPARMOR_LABEL_MAX, file)) {
        enforced = apparmor_is_enforced(ret_label);
        if (strcmp(ret_label, program) == 0 || strcmp(ret_label, slash + 1) == 0)
            break;
        enforced = 0;
    }
    fclose(file);
    return enforced;
}

int apparmor_kernel_allows_write(const char *label, const char *path)
{
    char query[APPARMOR_LABEL_MAX + LINE_BYTES], answer[128];
    const char *allow, *deny;
    ssize_t n = -1;
    int fd, length;

    length = snprintf(query, sizeof(query), "label%c%s%c%c%s", 0, label, 0, CLASS_FILE, path);
    if (length >= (int)sizeof(query))
        return -ENAMETOOLONG;
    fd = open(KERNEL ".access", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, query, (size_t)length) == length)
        n = read(fd, answer, sizeof(answer) - 1);
    close(fd);
    if (n < 0)
        return -EIO;
    answer[n] = '\0';
    allow = strstr(answer, "allow ");
    deny = strstr(answer, "deny ");
    if (!allow || !deny)
        return -EBADMSG;
    return (strtoul(allow + 6, NULL, 16) & ~strtoul(deny + 5, NULL, 16) & MAY_WRITE) != 0;
}

/* --- a profile's text ---------------------------------------------------------------------- */

/* A rule's path as an extended regular expression; false: it has a variable that is not known. */
static bool to_regex(const char *path, char ret_regex[PATTERN_BYTES])
{
    static const char run[] = "@{run}";
    size_t n = 0;
    unsigned braces = 0;

    ret_regex[n++] = '^';
    for (const char *c = path; *c && n < PATTERN_BYTES - 16; c++) {
        const char *put = NULL;
        char literal[3] = "";

        if (strncmp(c, run, strlen(run)) == 0) {
            put = "(/run|/var/run)";
            c += strlen(run) - 1;
        } else if (*c == '@') {
            return false;
        } else if (strncmp(c, "**", 2) == 0) {
            put = ".*";
            c++;
        } else if (*c == '*') {
            put = "[^/]*";
        } else if (*c == '?') {
            put = "[^/]";
        } else if (*c == '{') {
            put = "(";
            braces++;
        } else if (*c == '}' && braces > 0) {
            put = ")";
            braces--;
        } else if (*c == ',' && braces > 0) {
            put = "|";
        } else if (strchr(".+()|^$\\", *c)) {
            snprintf(literal, sizeof(literal), "\\%c", *c);
        } else {
            snprintf(literal, sizeof(literal), "%c", *c);
        }
        n += (size_t)snprintf(ret_regex + n, PATTERN_BYTES - n, "%s", put ? put : literal);
    }
    snprintf(ret_regex + n, PATTERN_BYTES - n, "$");
    return true;
}

static bool path_matches(const char *pattern, const char *path)
{
    char text[PATTERN_BYTES];
    regex_t regex;
    bool matches;

    if (!to_regex(pattern, text) || regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    matches = regexec(&regex, path, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}

/* "[owner] PATH PERMISSIONS," or "PERMISSIONS PATH,"; commas within braces belong to the path. */
static bool rule_allows(char *line, const char *path)
{
    const char *pattern = NULL, *permissions = "";
    char *rest = NULL;

    if (line[strspn(line, SEPARATORS)] == '#')
        return false;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        char *last = word + strlen(word) - 1;

        if (*last == ',')
            *last-- = '\0';
        if (word[0] == '"' && last > word && *last == '"') {
            *last = '\0';
            word++;
        }
        if (strcmp(word, "deny") == 0)
            return false;
        if (word[0] == '/' || word[0] == '@')
            pattern = word;
        else if (strspn(word, "rwaklmixupUPC") == strlen(word))
            permissions = word;
    }
    return pattern && strchr(permissions, 'w') && path_matches(pattern, path);
}

static int file_allows(const char *file, const char *path)
{
    FILE *stream = fopen(file, "re");
    char line[LINE_BYTES];
    int allows = 0;

    if (!stream)
        return -errno;
    while (!allows && fgets(line, sizeof(line), stream))
        allows = rule_allows(line, path);
    fclose(stream);
    return allows;
}

int apparmor_allows_write(const char *profile, const char *path)
{
    const char *slash = strrchr(profile, '/');
    char local[LINE_BYTES];
    int r = file_allows(profile, path);

    if (r != 0 || !slash)
        return r;
    snprintf(local, sizeof(local), "%.*s/local%s", (int)(slash - profile), profile, slash);
    return file_allows(local, path) == 1;
}
