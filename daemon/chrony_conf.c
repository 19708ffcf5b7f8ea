/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chrony_conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define LINE_BYTES  2048
#define WORDS_MAX   64
#define DEPTH_MAX   64  /* files that are still to be read to their end */
#define FILES_MAX   256 /* in all: one that includes itself ends here */
#define SEPARATORS  " \t\r\n"
#define DEFAULT_MIN 6
#define DEFAULT_MAX 10

/* Files that wait: the one on top is read, and puts what it includes above itself. */
struct stack {
    unsigned depth, files;
    struct {
        FILE *stream; /* NULL: not begun */
        struct chrony_conf_place place;
    } entries[DEPTH_MAX];
};

static bool push(struct stack *stack, const char *path)
{
    if (stack->depth == DEPTH_MAX || ++stack->files > FILES_MAX || strlen(path) >= CONFIG_PATH_MAX)
        return false;
    stack->entries[stack->depth].stream = NULL;
    stack->entries[stack->depth].place.line = 0;
    snprintf(stack->entries[stack->depth].place.file, CONFIG_PATH_MAX, "%s", path);
    stack->depth++;
    return true;
}

static bool push_glob(struct stack *stack, const char *pattern)
{
    bool fits = true;
    glob_t found;

    if (glob(pattern, 0, NULL, &found) != 0)
        return true;
    for (size_t i = found.gl_pathc; i > 0 && fits; i--)
        fits = push(stack, found.gl_pathv[i - 1]);
    globfree(&found);
    return fits;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int by_base_name(const void *a, const void *b)
{
    return strcmp(base_name(a), base_name(b));
}

/* Of files with the same name in several directories, the first directory's is read. */
static bool push_directories(
    struct stack *stack, char *const *directories, unsigned n, const char *suffix)
{
    char paths[DEPTH_MAX][CONFIG_PATH_MAX];
    unsigned n_paths = 0;
    bool fits = true;

    for (unsigned i = 0; i < n; i++) {
        char pattern[CONFIG_PATH_MAX];
        glob_t found;

        snprintf(pattern, sizeof(pattern), "%s/*%s", directories[i], suffix);
        if (glob(pattern, 0, NULL, &found) != 0)
            continue;
        for (size_t j = 0; j < found.gl_pathc; j++) {
            unsigned k = 0;

            while (k < n_paths && strcmp(base_name(paths[k]), base_name(found.gl_pathv[j])) != 0)
                k++;
            if (k < n_paths)
                continue;
            fits = fits && n_paths < DEPTH_MAX && strlen(found.gl_pathv[j]) < CONFIG_PATH_MAX;
            if (fits)
                snprintf(paths[n_paths++], CONFIG_PATH_MAX, "%s", found.gl_pathv[j]);
        }
        globfree(&found);
    }
    qsort(paths, n_paths, sizeof(paths[0]), by_base_name);
    while (n_paths > 0 && fits)
        fits = push(stack, paths[--n_paths]);
    return fits;
}

/* --- directives ---------------------------------------------------------------------------- */

/* The number behind an option, or what it is without. */
static int option_number(char *const *words, unsigned n, const char *name, int otherwise)
{
    for (unsigned i = 0; i + 1 < n; i++)
        if (strcasecmp(words[i], name) == 0)
            return (int)strtol(words[i + 1], NULL, 10);
    return otherwise;
}

static bool has_option(char *const *words, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (strcasecmp(words[i], name) == 0)
            return true;
    return false;
}

/* words: driver, path, options */
static void take_refclock(
    struct chrony_conf *conf, const struct chrony_conf_place *place, char *const *words, unsigned n)
{
    struct chrony_conf_refclock *refclock = &conf->refclocks[conf->n_refclocks];

    if (n < 2 || strcasecmp(words[0], "SOCK") != 0 ||
        conf->n_refclocks == CHRONY_CONF_REFCLOCKS_MAX)
        return;
    conf->n_refclocks++;
    *refclock = (struct chrony_conf_refclock){.place = *place};
    snprintf(refclock->path, sizeof(refclock->path), "%s", words[1]);
    for (unsigned i = 2; i + 1 < n; i++)
        if (strcasecmp(words[i], "refid") == 0)
            snprintf(refclock->refid, sizeof(refclock->refid), "%s", words[i + 1]);
    refclock->poll = option_number(words + 2, n - 2, "poll", 4);
    refclock->filter = option_number(words + 2, n - 2, "filter", 64);
    refclock->trust = has_option(words + 2, n - 2, "trust");
    refclock->prefer = has_option(words + 2, n - 2, "prefer");
    refclock->noselect = has_option(words + 2, n - 2, "noselect");
}

/* words: name or address, options */
static void take_server(
    struct chrony_conf *conf, const struct chrony_conf_place *place, char *const *words, unsigned n)
{
    struct chrony_conf_server server = {.place = *place};

    if (n < 1 || conf->n_servers == CHRONY_CONF_SERVERS_MAX)
        return;
    if (inet_pton(AF_INET, words[0], server.address.bytes) == 1)
        server.address.family = 1;
    else if (inet_pton(AF_INET6, words[0], server.address.bytes) == 1)
        server.address.family = 2;
    else
        return;
    server.minpoll = option_number(words + 1, n - 1, "minpoll", DEFAULT_MIN);
    server.maxpoll = option_number(words + 1, n - 1, "maxpoll", DEFAULT_MAX);
    if (server.maxpoll < server.minpoll)
        server.maxpoll = server.minpoll;
    conf->servers[conf->n_servers++] = server;
}

/* One line as words; false: there are too many files. */
static bool take_line(struct chrony_conf *conf, struct stack *stack,
    const struct chrony_conf_place *place, char *const *words, unsigned n)
{
    if (n < 2)
        return true;
    if (strcasecmp(words[0], "include") == 0)
        return push_glob(stack, words[1]);
    if (strcasecmp(words[0], "confdir") == 0)
        return push_directories(stack, words + 1, n - 1, ".conf");
    if (strcasecmp(words[0], "sourcedir") == 0)
        return push_directories(stack, words + 1, n - 1, ".sources");
    if (strcasecmp(words[0], "refclock") == 0) {
        take_refclock(conf, place, words + 1, n - 1);
    } else if (strcasecmp(words[0], "server") == 0 || strcasecmp(words[0], "peer") == 0) {
        take_server(conf, place, words + 1, n - 1);
    } else if (strcasecmp(words[0], "bindcmdaddress") == 0 && words[1][0] == '/') {
        snprintf(conf->command_socket, sizeof(conf->command_socket), "%s", words[1]);
    } else if (strcasecmp(words[0], "makestep") == 0 && n >= 3) {
        conf->has_makestep = true;
        conf->makestep = *place;
        conf->makestep_threshold_sec = strtod(words[1], NULL);
        conf->makestep_limit = strtol(words[2], NULL, 10);
    }
    return true;
}

static unsigned split(char *line, char *ret_words[WORDS_MAX])
{
    char *rest = NULL;
    unsigned n = 0;

    for (char *word = strtok_r(line, SEPARATORS, &rest); word && n < WORDS_MAX;
         word = strtok_r(NULL, SEPARATORS, &rest))
        ret_words[n++] = word;
    return n > 0 && strchr("!;#%", ret_words[0][0]) ? 0 : n;
}

int chrony_conf_read(const char *path, struct chrony_conf *ret_conf)
{
    char line[LINE_BYTES], *words[WORDS_MAX];
    struct stack *stack = calloc(1, sizeof(*stack));
    bool fits = true;
    int r = 0;

    if (!stack)
        return -ENOMEM;
    memset(ret_conf, 0, sizeof(*ret_conf));
    fits = push(stack, path);
    while (stack->depth > 0) {
        const unsigned top = stack->depth - 1;
        struct chrony_conf_place *place = &stack->entries[top].place;

        if (fits && !stack->entries[top].stream) {
            stack->entries[top].stream = fopen(place->file, "re");
            if (!stack->entries[top].stream && stack->files == 1)
                r = -errno;
        }
        if (!fits || !stack->entries[top].stream ||
            !fgets(line, sizeof(line), stack->entries[top].stream)) {
            if (stack->entries[top].stream)
                fclose(stack->entries[top].stream);
            stack->depth = top;
            continue;
        }
        place->line++;
        fits = take_line(ret_conf, stack, place, words, split(line, words));
    }
    free(stack);
    return fits ? r : -ELOOP;
}
