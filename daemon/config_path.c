/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config_path.h"

#include <string.h>
#include <sys/stat.h>

#include "daemon/config_key.h"

/* What there is beside a file that is replaced: how it is written, and how it is locked. */
static const char *const suffixes[] = {"", ".new", ".lock"};

#define N_SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

static bool is_same_inode(const char *a, const char *b)
{
    struct stat s, t;

    return stat(a, &s) == 0 && stat(b, &t) == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* Without empty components and those of a single dot. */
static void squeeze(const char *path, size_t n, char ret_path[CONFIG_PATH_MAX + 8])
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
    char first[CONFIG_PATH_MAX + 8], second[CONFIG_PATH_MAX + 8];

    if (is_same_inode(a, b))
        return true;
    if (strcmp(a + n, b + m) != 0)
        return false;
    squeeze(a, n, first);
    squeeze(b, m, second);
    return strcmp(first, second) == 0 ||
           is_same_inode(first[0] ? first : "/", second[0] ? second : "/");
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

static void describe(const struct config *config, size_t i, size_t j, const char *suffix,
    char ret_sentence[CONFIG_SENTENCE_MAX])
{
    const size_t at = later(config, i, j);
    const char *name = config_keys[i].name, *other = config_keys[j].name;

    if (suffix[0] == '\0')
        snprintf(ret_sentence, CONFIG_SENTENCE_MAX, "%s:%u: %s: the same place as %s",
            config->files[config->set[at].file], config->set[at].line, config_keys[at].name,
            at == i ? other : name);
    else
        snprintf(ret_sentence, CONFIG_SENTENCE_MAX,
            "%s:%u: %s: the same place as %s with \"%s\" behind it, which vmclockd makes",
            config->files[config->set[at].file], config->set[at].line, other, name, suffix);
}

/* Key i with what is beside it, against key j. */
static const char *collides(const struct config *config, size_t i, size_t j)
{
    const char *path = config_key_path(&config_keys[i], config);
    const char *other = config_key_path(&config_keys[j], config);
    const size_t n_suffixes = config_key_is_replaced(&config_keys[i]) ? N_SUFFIXES : 1;
    char beside[CONFIG_PATH_MAX + 8];

    if (!path || !other || i == j || (config->set[i].line == 0 && config->set[j].line == 0))
        return NULL;
    for (size_t k = i < j ? 0 : 1; k < n_suffixes; k++) { /* each pair once */
        snprintf(beside, sizeof(beside), "%s%s", path, suffixes[k]);
        if (is_same_place(beside, other))
            return suffixes[k];
    }
    return NULL;
}

static bool is_configuration(const struct config *config, const char *path)
{
    for (unsigned i = 0; i < config->n_files; i++)
        if (is_same_inode(path, config->files[i]))
            return true;
    return false;
}

bool config_path_collision(
    const struct config *config, unsigned n, char ret_sentence[CONFIG_SENTENCE_MAX])
{
    unsigned found = 0;

    for (size_t i = 0; i < config_n_keys; i++) {
        const char *path = config_key_path(&config_keys[i], config);

        for (size_t j = 0; j < config_n_keys; j++) {
            const char *suffix = collides(config, i, j);

            if (suffix && found++ == n) {
                describe(config, i, j, suffix, ret_sentence);
                return true;
            }
        }
        if (path && config->set[i].line && is_configuration(config, path) && found++ == n) {
            snprintf(ret_sentence, CONFIG_SENTENCE_MAX,
                "%s:%u: %s: the same place as the configuration",
                config->files[config->set[i].file], config->set[i].line, config_keys[i].name);
            return true;
        }
    }
    return false;
}
