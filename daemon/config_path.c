/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config_path.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config_key.h"

#define PLACE_MAX (PATH_MAX + CONFIG_PATH_MAX)
#define WORDS_MAX 80

/* A key's path, and what vmclockd makes beside it. */
enum place {
    PLACE_ITSELF,
    PLACE_NEW,          /* how a file is written that is replaced */
    PLACE_LOCK,         /* and how it is locked */
    PLACE_HISTORY,      /* and where what was is kept */
    PLACE_EVENTS,       /* the directory for applications, beside the state file */
    PLACE_CHRONYD_LOCK, /* beside the command socket */
    N_PLACES,
};

static bool is_same_inode(const char *a, const char *b)
{
    struct stat s, t;

    return stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* Without empty components and those of a single dot. */
static void squeeze(const char *path, size_t n, char ret_path[PLACE_MAX])
{
    size_t length = 0;

    for (size_t i = 0; i < n;) {
        const size_t component = strcspn(path + i + 1, "/") + 1, end = i + component;
        const bool is_nothing = component == 1 || (component == 2 && path[i + 1] == '.');

        if (!is_nothing && end <= n) {
            memcpy(ret_path + length, path + i, component);
            length += component;
        }
        i = end;
    }
    ret_path[length] = '\0';
}

/* Absolute paths, by any way: those of files that are not there yet, too. */
static bool is_same_place(const char *a, const char *b)
{
    const size_t n = (size_t)(strrchr(a, '/') - a), m = (size_t)(strrchr(b, '/') - b);
    char first[PLACE_MAX], second[PLACE_MAX];

    if (is_same_inode(a, b))
        return true;
    if (strcmp(a + n, b + m) != 0)
        return false;
    squeeze(a, n, first);
    squeeze(b, m, second);
    return strcmp(first, second) == 0 ||
           is_same_inode(first[0] ? first : "/", second[0] ? second : "/");
}

/* False: the key has no such place. */
static bool find_place(
    const struct config *config, size_t key, enum place place, char ret_path[PLACE_MAX])
{
    const char *path = config_key_path(&config_keys[key], config), *slash;
    char resolved[PATH_MAX];

    if (!path)
        return false;
    slash = strrchr(path, '/');
    switch (place) {
    case PLACE_ITSELF: snprintf(ret_path, PLACE_MAX, "%s", path); return true;
    case PLACE_NEW: snprintf(ret_path, PLACE_MAX, "%s.new", path); break;
    case PLACE_LOCK: snprintf(ret_path, PLACE_MAX, "%s.lock", path); break;
    case PLACE_HISTORY:
        snprintf(ret_path, PLACE_MAX, "%s.history", path);
        return path == config->state_file;
    case PLACE_EVENTS:
        snprintf(ret_path, PLACE_MAX, "%.*s/events", (int)(slash - path), path);
        return path == config->state_file;
    default: /* as lock_chronyd() finds it */
        if (path == config->command_socket && realpath(path, resolved)) {
            path = resolved;
            slash = strrchr(path, '/');
        } else if (path != config->command_socket) {
            return false;
        }
        snprintf(
            ret_path, PLACE_MAX, "%.*s/vmclockd.%s.lock", (int)(slash - path), path, slash + 1);
        return true;
    }
    return config_key_is_replaced(&config_keys[key]);
}

/* Where the later of the two stands; the other may be a default. */
static size_t later(const struct config *config, size_t i, size_t j)
{
    const unsigned file = config->set[i].file, other = config->set[j].file;

    if (config->set[i].line == 0 || config->set[j].line == 0)
        return config->set[i].line == 0 ? j : i;
    if (file != other)
        return file > other ? i : j;
    return config->set[i].line > config->set[j].line ? i : j;
}

static const char *place_words(size_t key, enum place place, char ret_words[WORDS_MAX])
{
    static const char *const formats[N_PLACES] = {"%s", "%s with \".new\" behind it",
        "%s with \".lock\" behind it", "%s with \".history\" behind it", "\"events\" beside %s",
        "the lock beside %s"};
    const char *before = formats[place], *at = strstr(before, "%s");

    snprintf(ret_words, WORDS_MAX, "%.*s%s%s", (int)(at - before), before, config_keys[key].name,
        at + 2);
    return ret_words;
}

/* Two places of two keys, or of one. */
struct collision {
    size_t key[2];
    enum place place[2];
};

static void describe(const struct config *config, const struct collision *collision,
    char ret_sentence[CONFIG_SENTENCE_MAX])
{
    const size_t *const key = collision->key;
    const enum place *const place = collision->place;
    const size_t at = later(config, key[0], key[1]);
    const bool both_set = place[0] == PLACE_ITSELF && place[1] == PLACE_ITSELF;
    /* Of whom it is told: the one that is set, of two the later. */
    const int subject = both_set ? at == key[1] : place[0] != PLACE_ITSELF;
    char words[WORDS_MAX], others[WORDS_MAX];

    snprintf(ret_sentence, CONFIG_SENTENCE_MAX, "%s:%u: %s%sthe same place as %s%s",
        config->files[config->set[at].file], config->set[at].line,
        place_words(key[subject], place[subject], words),
        place[subject] == PLACE_ITSELF ? ": " : " is ",
        place_words(key[!subject], place[!subject], others),
        both_set ? "" : ", which vmclockd makes");
}

static bool collides(const struct config *config, size_t i, size_t j, struct collision *ret_found)
{
    char one[PLACE_MAX], other[PLACE_MAX];

    if (config->set[i].line == 0 && config->set[j].line == 0)
        return false;
    for (enum place k = PLACE_ITSELF; k < N_PLACES; k++) {
        for (enum place l = PLACE_ITSELF; l < N_PLACES; l++) {
            if ((i == j && l <= k) || !find_place(config, i, k, one) ||
                !find_place(config, j, l, other) || !is_same_place(one, other))
                continue;
            *ret_found = (struct collision){{i, j}, {k, l}};
            return true;
        }
    }
    return false;
}

/* Is or becomes this place one of the configuration's files? `file` is absolute. */
static bool is_configuration(const struct config *config, const char *file, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    const size_t n = strlen(name);
    char beside[PLACE_MAX];

    for (unsigned i = 0; i < config->n_files; i++)
        if (is_same_inode(path, config->files[i]))
            return true;
    if (snprintf(beside, sizeof(beside), "%s.d", file) >= (int)sizeof(beside))
        return false;
    if (is_same_place(path, file) || is_same_place(path, beside))
        return true;
    snprintf(beside, sizeof(beside), "%s.d/%s", file, name);
    return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".conf") == 0 &&
           is_same_place(path, beside);
}

/* Of the places of one key. */
static bool replaces_configuration(const struct config *config, size_t key)
{
    char file[PLACE_MAX] = "", path[PLACE_MAX];
    size_t n = 0;

    if (config->set[key].line == 0)
        return false;
    if (config->file[0] != '/' && getcwd(file, PATH_MAX))
        n = strlen(file);
    snprintf(file + n, sizeof(file) - n, "%s%s", config->file[0] == '/' ? "" : "/", config->file);
    for (enum place k = PLACE_ITSELF; k < N_PLACES; k++)
        if (find_place(config, key, k, path) && is_configuration(config, file, path))
            return true;
    return false;
}

bool config_path_collision(
    const struct config *config, unsigned n, char ret_sentence[CONFIG_SENTENCE_MAX])
{
    struct collision collision;
    unsigned found = 0;

    for (size_t i = 0; i < config_n_keys; i++) {
        for (size_t j = i; j < config_n_keys; j++) {
            if (collides(config, i, j, &collision) && found++ == n) {
                describe(config, &collision, ret_sentence);
                return true;
            }
        }
        if (replaces_configuration(config, i) && found++ == n) {
            snprintf(ret_sentence, CONFIG_SENTENCE_MAX,
                "%s:%u: %s: the same place as the configuration",
                config->files[config->set[i].file], config->set[i].line, config_keys[i].name);
            return true;
        }
    }
    return false;
}
