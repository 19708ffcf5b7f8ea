/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/apparmor.h"

#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES    1024
#define PATTERN_BYTES ((size_t)LINE_BYTES * 4)
#define SEPARATORS    " \t\r\n,"

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
            *last = '\0';
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
