/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/config_key.h"
#include "daemon/config_path.h"

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

struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
    bool is_cut, has_nul;
};

/* False: there is no more. */
static bool read_line(FILE *stream, struct line *ret_line)
{
    struct line *const line = ret_line;
    int c;

    line->n = 0;
    line->is_cut = line->has_nul = false;
    while ((c = fgetc(stream)) != EOF && c != '\n') {
        if (line->n < sizeof(line->text) - 1)
            line->text[line->n++] = (char)c;
        else
            line->is_cut = true;
        line->has_nul = line->has_nul || c == '\0';
    }
    line->text[line->n] = '\0';
    return c != EOF || line->n > 0;
}

/* What Windows' editors begin a file with; false: what they say it is cannot be read. */
static bool take_byte_order_mark(struct reader *reader, struct line *line)
{
    if (strncmp(line->text, "\xff\xfe", 2) == 0 || strncmp(line->text, "\xfe\xff", 2) == 0) {
        mistake(reader, "the file is UTF-16, by its byte order mark; it has to be UTF-8");
        return false;
    }
    if (strncmp(line->text, "\xef\xbb\xbf", 3) == 0) {
        line->n -= 3;
        memmove(line->text, line->text + 3, line->n + 1);
    }
    return true;
}

/* Without a comment and the blanks around it. */
static const char *strip(struct line *line)
{
    char *start = line->text;

    for (size_t i = 1; i < line->n; i++) {
        if (line->text[i] == '#' && isspace((unsigned char)line->text[i - 1])) {
            line->n = i; /* a comment behind the value */
            line->is_cut = false;
        }
    }
    while (line->n > 0 && isspace((unsigned char)line->text[line->n - 1]))
        line->n--;
    line->text[line->n] = '\0';
    while (isspace((unsigned char)*start))
        start++;
    if (*start != '#' && *start != ';')
        return start;
    line->is_cut = false;
    return "";
}

/* "KEY: ", as far as it can be told from a line that is too long to be read. */
static int key_length(const char *text)
{
    size_t n = strcspn(text, "=");

    if (text[n] == '\0')
        return 0;
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    return n < 40 ? (int)n : 0;
}

/* With the blanks that config_print() sets beside the '=', so that it can be read back. */
static size_t length_when_printed(const char *text)
{
    const size_t n = strcspn(text, "=");

    if (n == 0 || text[n] == '\0')
        return strlen(text);
    return strlen(text) + !isspace((unsigned char)text[n - 1]) +
           !isspace((unsigned char)text[n + 1]);
}

/* The line's key and value, or nothing, where that is all there is or a mistake was found. */
static const char *examine(struct reader *reader, struct line *line, size_t most)
{
    const char *text = strip(line);
    const int n = key_length(text);

    if (line->has_nul)
        mistake(reader, "the line has a NUL byte");
    else if (line->is_cut || length_when_printed(text) > most)
        mistake(reader, "%.*s%sthe line has over %zu bytes", n, text, n > 0 ? ": " : "", most);
    else if (*text == '[')
        mistake(reader, "there are no sections here: \"%s\"", text);
    else if (*text == '=' || (*text && text[strcspn(text, "=:")] != '=')) /* inih takes a ':' too */
        mistake(reader, "not a \"key = value\" line: \"%s\"", text);
    else
        return text;
    return "";
}

/*
 * inih's source of lines. It does here what inih would not: count lines, refuse what is too long
 * for it, and take an indented line for itself rather than for the rest of the one before. As from
 * fgets(), each line ends with a newline: one without it that fills the buffer has inih, from March
 * 2025 on, skip what follows.
 */
static char *next_line(char *buffer, int size, void *context)
{
    struct reader *reader = context;
    struct line line = {.n = 0};

    if (!read_line(reader->stream, &line))
        return NULL;
    if (reader->line++ == 0 && !take_byte_order_mark(reader, &line))
        return NULL;
    snprintf(buffer, (size_t)size, "%s\n", examine(reader, &line, (size_t)size - 2));
    return buffer;
}

static int take_value(void *context, const char *section, const char *name, const char *value)
{
    struct reader *reader = context;
    struct config *config = reader->config;
    const unsigned file = config->n_files - 1;
    const char *allowed, *near;

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
    near = config_key_near(name);
    if (near)
        mistake(reader, "%s: unknown key; did you mean \"%s\"?", name, near);
    else
        mistake(reader, "%s: unknown key", name);
    return 1;
}

static int refuse(const struct reader *reader, const char *path, int error)
{
    char sentence[CONFIG_PATH_MAX + 128];

    snprintf(sentence, sizeof(sentence), "%s: cannot read the configuration: %s", path,
        error == ESPIPE ? "it is not a regular file" : strerror(error));
    reader->complain(sentence);
    return -error;
}

bool config_is_null(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* A file, or /dev/null: no pipe, for which somebody might have to be waited. 0 or errno. */
static int open_file(const char *path, FILE **ret_stream)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    int error = 0;

    *ret_stream = NULL;
    if (fd < 0)
        return errno;
    if (fstat(fd, &status) < 0)
        error = errno;
    else if (S_ISDIR(status.st_mode))
        error = EISDIR;
    else if (!S_ISREG(status.st_mode) && !config_is_null(&status))
        error = ESPIPE;
    if (error == 0)
        *ret_stream = fdopen(fd, "r");
    if (error == 0 && !*ret_stream)
        error = errno;
    if (error)
        close(fd);
    return error;
}

static int read_file(struct reader *reader, const char *path, bool may_be_missing)
{
    struct config *config = reader->config;
    int error;

    if (strlen(path) >= CONFIG_PATH_MAX)
        return refuse(reader, path, ENAMETOOLONG);
    error = open_file(path, &reader->stream);
    if (error == ENOENT && may_be_missing)
        return 0;
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

/* The files in `file`.d, by name: a later one overrides those before. */
static int read_dropins(struct reader *reader, const char *file)
{
    char directory[CONFIG_PATH_MAX + 8], path[CONFIG_PATH_MAX + 8 + 256], sentence[1024];
    struct dirent **entries;
    int n, r = 0;

    snprintf(directory, sizeof(directory), "%s.d", file);
    n = scandir(directory, &entries, is_dropin, by_name);
    if (n < 0)
        return errno == ENOENT ? 0 : refuse(reader, directory, errno);
    for (int i = 0; i < n; i++) {
        int result;

        snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
        free(entries[i]);
        if (i == CONFIG_DROPINS_MAX) {
            snprintf(sentence, sizeof(sentence), "%s: one file too many: at most %d are read of %s",
                path, CONFIG_DROPINS_MAX, directory);
            reader->complain(sentence);
            reader->mistakes++;
        }
        if (i >= CONFIG_DROPINS_MAX)
            continue;
        result = read_file(reader, path, false);
        if (r == 0)
            r = result;
    }
    free(entries);
    return r;
}

int config_check_paths(const struct config *config, void (*complain)(const char *sentence))
{
    char sentence[CONFIG_SENTENCE_MAX];
    unsigned n = 0;

    while (config_path_collision(config, n, sentence)) {
        complain(sentence);
        n++;
    }
    return n > 0 ? -EINVAL : 0;
}

int config_salvage(
    const char *file, void (*complain)(const char *sentence), struct config *ret_config)
{
    const char *name = file ? file : CONFIG_DEFAULT_FILE;
    struct reader reader = {.complain = complain, .config = ret_config};
    int r, dropins;

    *ret_config = (struct config){.file_named = file != NULL};
    for (size_t i = 0; i < config_n_keys; i++)
        if (config_keys[i].default_text)
            config_keys[i].parse(&config_keys[i], config_keys[i].default_text, ret_config);
    r = read_file(&reader, name, file == NULL);
    dropins = r < 0 ? 0 : read_dropins(&reader, name);
    snprintf(ret_config->file, sizeof(ret_config->file), "%s", name);
    ret_config->file_read = r == 0;
    if (r < 0 || dropins < 0)
        return r < 0 ? r : dropins;
    r = config_check_paths(ret_config, complain);
    return reader.mistakes ? -EINVAL : r;
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

static size_t key_index(const char *name)
{
    size_t i = 0;

    while (i < config_n_keys && strcmp(config_keys[i].name, name) != 0)
        i++;
    return i;
}

bool config_is_set(const struct config *config, const char *name)
{
    return config->set[key_index(name)].line != 0;
}

void config_set_default(struct config *config, const char *name)
{
    const struct config_key *key = &config_keys[key_index(name)];

    key->parse(key, key->default_text, config);
}

static void print_source(const struct config *config, unsigned file, unsigned line, FILE *to)
{
    if (line)
        fprintf(to, "  # %s:%u\n", config->files[file], line);
    else
        fputs("  # default\n", to);
}

/* Of a value that chrony.conf has. */
static void print_chronys(const struct config *config, FILE *to)
{
    if (config->makestep_line)
        fprintf(to, "  # %s:%u\n", config->makestep_file, config->makestep_line);
    else
        fprintf(to, "  # %s has no such line\n", config->makestep_file);
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
        const bool servers = key->repeatable && n_servers > 0 && !config->boost_own;

        fprintf(to, "%s = ", key->name);
        key->print(key, config, to);
        if (strcmp(key->name, "makestep") == 0 && !config->set[i].line && config->makestep_file[0])
            print_chronys(config, to);
        else
            print_source(config, file, servers ? config->server_lines[0] : config->set[i].line, to);
        for (unsigned n = 1; servers && n < n_servers; n++) {
            fprintf(to, "%s = ", key->name);
            config_print_server(config, n, to);
            print_source(config, file, config->server_lines[n], to);
        }
    }
}
