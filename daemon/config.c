/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/config_key.h"

#define LINE_MAX_BYTES 512

/* --- one file ------------------------------------------------------------------------------ */

struct reader {
    FILE *stream;
    const char *name;
    unsigned line, mistakes;
    void (*complain)(const char *sentence);
    struct config *config;
};

static void mistake(struct reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void mistake(struct reader *reader, const char *format, ...)
{
    char sentence[LINE_MAX_BYTES + CONFIG_PATH_MAX];
    int n = snprintf(sentence, sizeof(sentence), "%s:%u: ", reader->name, reader->line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence + n, sizeof(sentence) - (size_t)n, format, arguments);
    va_end(arguments);
    reader->mistakes++;
    reader->complain(sentence);
}

/*
 * inih's source of lines. It does here what inih would not: count lines, refuse what is too long
 * for it, and take an indented line for itself rather than for the rest of the one before.
 */
static char *next_line(char *buffer, int size, void *context)
{
    struct reader *reader = context;
    char line[LINE_MAX_BYTES];
    size_t n = 0, start = 0;
    int c;

    while ((c = fgetc(reader->stream)) != EOF && c != '\n') {
        if (n < sizeof(line) - 1)
            line[n] = (char)c;
        n++;
    }
    if (c == EOF && n == 0)
        return NULL;
    reader->line++;
    buffer[0] = '\0';
    if (n >= sizeof(line) - 1) {
        mistake(reader, "the line has over %zu bytes", sizeof(line) - 2);
        return buffer;
    }
    if (memchr(line, '\0', n)) {
        mistake(reader, "the line has a NUL byte");
        return buffer;
    }
    for (size_t i = 1; i < n; i++)
        if (line[i] == '#' && isspace((unsigned char)line[i - 1]))
            n = i; /* a comment behind the value */
    while (start < n && isspace((unsigned char)line[start]))
        start++;
    while (n > start && isspace((unsigned char)line[n - 1]))
        n--;
    line[n] = '\0';
    if (n - start >= (size_t)size) {
        mistake(reader, "the line has over %d bytes", size - 1);
        return buffer;
    }
    if (line[start] == '[') {
        mistake(reader, "there are no sections here: \"%s\"", line + start);
        return buffer;
    }
    if (n > start && line[start] != '#' && line[start] != ';' &&
        line[start + strcspn(line + start, "=:")] != '=') { /* inih would take a ':' as well */
        mistake(reader, "not a \"key = value\" line: \"%s\"", line + start);
        return buffer;
    }
    memcpy(buffer, line + start, n - start + 1);
    return buffer;
}

static int take_value(void *context, const char *section, const char *name, const char *value)
{
    struct reader *reader = context;
    struct config *config = reader->config;
    const unsigned file = config->n_files - 1;
    const char *allowed;

    (void)section;
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const bool again = config->set[i].line && config->set[i].file == file;

        if (strcmp(name, key->name) != 0)
            continue;
        if (again && !key->repeatable) {
            config->set[i].mistaken = true;
            mistake(reader, "%s: set twice, before in line %u", name, config->set[i].line);
            return 1;
        }
        if (!again && key->repeatable)
            config->tracker.recovery.n_servers = 0; /* an earlier file's */
        config->set[i].file = file;
        config->set[i].line = reader->line;
        allowed = key->parse(key, value, config);
        config->set[i].mistaken = allowed != NULL;
        if (allowed)
            mistake(reader, "%s: \"%s\" is not allowed; it takes %s", name, value, allowed);
        else if (key->repeatable && config->tracker.recovery.n_servers > 0)
            config->server_lines[config->tracker.recovery.n_servers - 1] = reader->line;
        return 1;
    }
    mistake(reader, "%s: unknown key", name);
    return 1;
}

static int refuse(const struct reader *reader, const char *path, int error)
{
    char sentence[CONFIG_PATH_MAX + 128];

    snprintf(
        sentence, sizeof(sentence), "%s: cannot read the configuration: %s", path, strerror(error));
    reader->complain(sentence);
    return -error;
}

static int read_file(struct reader *reader, const char *path, bool may_be_missing)
{
    struct config *config = reader->config;
    struct stat status;
    int error = 0;

    if (strlen(path) >= CONFIG_PATH_MAX)
        return refuse(reader, path, ENAMETOOLONG);
    if (config->n_files == CONFIG_FILES_MAX)
        return refuse(reader, path, E2BIG);
    reader->stream = fopen(path, "re");
    if (!reader->stream && errno == ENOENT && may_be_missing)
        return 0;
    if (!reader->stream || fstat(fileno(reader->stream), &status) < 0)
        error = errno;
    else if (S_ISDIR(status.st_mode))
        error = EISDIR;
    if (error == 0) {
        snprintf(config->files[config->n_files], CONFIG_PATH_MAX, "%s", path);
        reader->name = config->files[config->n_files++];
        reader->line = 0;
        errno = 0;
        if (ini_parse_stream(next_line, reader, take_value, reader) < 0)
            error = ENOMEM; /* its only complaint with this handler and no file to open */
        else if (ferror(reader->stream))
            error = errno ? errno : EIO;
    }
    if (reader->stream)
        fclose(reader->stream);
    return error ? refuse(reader, path, error) : 0;
}

/* --- all of them --------------------------------------------------------------------------- */

static int is_dropin(const struct dirent *entry)
{
    const size_t n = strlen(entry->d_name);

    return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The files in `file`.d, by name: what they say goes over what was said before. */
static int read_dropins(struct reader *reader, const char *file)
{
    char directory[CONFIG_PATH_MAX + 8], path[CONFIG_PATH_MAX + 8 + 256];
    struct dirent **entries;
    int n, r = 0;

    snprintf(directory, sizeof(directory), "%s.d", file);
    n = scandir(directory, &entries, is_dropin, by_name);
    if (n < 0)
        return errno == ENOENT ? 0 : refuse(reader, directory, errno);
    for (int i = 0; i < n; i++) {
        int result;

        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        result = read_file(reader, path, false);
        if (r == 0)
            r = result;
        free(entries[i]);
    }
    free(entries);
    return r;
}

int config_salvage(
    const char *file, void (*complain)(const char *sentence), struct config *ret_config)
{
    const char *name = file ? file : CONFIG_DEFAULT_FILE;
    struct reader reader = {.complain = complain, .config = ret_config};
    int r, dropins;

    *ret_config = (struct config){.file_named = file != NULL};
    for (size_t i = 0; i < config_n_keys; i++)
        if (config_keys[i].fallback)
            config_keys[i].parse(&config_keys[i], config_keys[i].fallback, ret_config);
    r = read_file(&reader, name, file == NULL);
    dropins = r < 0 ? 0 : read_dropins(&reader, name);
    snprintf(ret_config->file, sizeof(ret_config->file), "%s", name);
    ret_config->file_read = r == 0;
    if (r < 0 || dropins < 0)
        return r < 0 ? r : dropins;
    return reader.mistakes ? -EINVAL : 0;
}

int config_read(const char *file, void (*complain)(const char *sentence), struct config *ret_config)
{
    struct config config;
    const int r = config_salvage(file, complain, &config);

    if (r == 0)
        *ret_config = config;
    return r;
}

bool config_is_mistaken(const struct config *config, const char *key)
{
    for (size_t i = 0; i < config_n_keys; i++)
        if (strcmp(config_keys[i].name, key) == 0)
            return config->set[i].mistaken;
    return false;
}

static void print_source(const struct config *config, unsigned file, unsigned line, FILE *to)
{
    if (line)
        fprintf(to, "  # %s:%u\n", config->files[file], line);
    else
        fputs("  # default\n", to);
}

void config_print(const struct config *config, FILE *to)
{
    const unsigned n_servers = config->tracker.recovery.n_servers;

    for (unsigned i = 0; i < config->n_files; i++)
        fprintf(to, "# read: %s\n", config->files[i]);
    if (config->n_files == 0)
        fprintf(to, "# there is no %s\n", config->file);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const unsigned file = config->set[i].file;
        const bool servers = key->repeatable && n_servers > 0;

        fprintf(to, "%s = ", key->name);
        key->print(key, config, to);
        print_source(config, file, servers ? config->server_lines[0] : config->set[i].line, to);
        for (unsigned n = 1; servers && n < n_servers; n++) {
            fprintf(to, "%s = ", key->name);
            config_print_server(config, n, to);
            print_source(config, file, config->server_lines[n], to);
        }
    }
}
