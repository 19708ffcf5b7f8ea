/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/chrony_conf_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* chronyd's limits. */
#define LEVELS_MAX      10
#define DIRECTORIES_MAX 10
/* Ours, against a configuration that never ends. */
#define READ_MAX  1024
#define LINES_MAX 65536

static struct chrony_conf_file *top(struct chrony_conf_files *files)
{
    return &files->waiting[files->n_waiting - 1];
}

static bool is_over(const struct chrony_conf_files *files)
{
    return files->fault->what[0] && !files->fault->unknown;
}

static void fault(struct chrony_conf_files *files, const struct chrony_conf_place *place, int error,
    const char *what)
{
    if (is_over(files))
        return;
    files->fault->place = *place;
    files->fault->error = error;
    files->fault->unknown = false;
    snprintf(files->fault->what, sizeof(files->fault->what), "%s", what);
}

void chrony_conf_files_refuse(
    struct chrony_conf_files *files, bool unknown, const char *format, ...)
{
    char text[CHRONY_CONF_FAULT_MAX];
    va_list arguments;

    if (files->in_sources || (unknown && files->fault->what[0]))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fault(files, &top(files)->place, 0, text);
    files->fault->unknown = unknown;
}

/* --- a file -------------------------------------------------------------------------------- */

static struct chrony_conf_place whole(const char *path)
{
    struct chrony_conf_place place = {.line = 0};

    snprintf(place.file, sizeof(place.file), "%s", path);
    return place;
}

static void push(struct chrony_conf_files *files, const char *path, unsigned level)
{
    const struct chrony_conf_place place = whole(path);

    if (strlen(path) >= sizeof(place.file)) {
        fault(files, &place, ENAMETOOLONG, strerror(ENAMETOOLONG));
    } else if (files->n_waiting == CHRONY_CONF_FILES_MAX) {
        fault(files, &place, E2BIG, "one of more files than vmclockd reads");
    } else {
        files->waiting[files->n_waiting++] =
            (struct chrony_conf_file){.level = level, .place = place};
    }
}

/* Would chronyd, which may read everything, fail as well? */
static bool is_for_everybody(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

/* Open what is on top; false: it has no lines. */
static bool open_file(struct chrony_conf_files *files)
{
    struct chrony_conf_file *file = top(files);
    struct stat status;
    int fd;

    if (file->level > LEVELS_MAX) {
        fault(files, &file->place, 0, "more than 10 files include each other");
        return false;
    }
    if (++files->n_read > READ_MAX) {
        fault(files, &file->place, E2BIG, "one of more files than vmclockd reads");
        return false;
    }
    fd = open(file->place.file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0) {
        const bool fatal = is_for_everybody(errno) && files->n_read > 1;

        if (!fatal || !files->in_sources)
            fault(files, &file->place, fatal ? 0 : errno, strerror(errno));
    } else if (S_ISREG(status.st_mode)) {
        file->stream = fdopen(fd, "r");
        if (file->stream)
            return true;
        fault(files, &file->place, errno, strerror(errno));
    } else if (!S_ISDIR(status.st_mode) && !config_is_null(&status)) {
        fault(files, &file->place, ENOTSUP, "not a regular file");
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/*
 * The next line of what is on top, or NULL. Of a file of sourcedir chronyd reads on only from lines
 * that end within its buffer, which has one byte more than elsewhere.
 */
static char *read_line(struct chrony_conf_files *files)
{
    struct chrony_conf_file *file = top(files);
    char *line = files->line;
    size_t n;

    errno = 0;
    if (!fgets(line, CHRONY_CONF_LINE_MAX + files->in_sources, file->stream)) {
        if (ferror(file->stream))
            fault(files, &file->place, errno ? errno : EIO, strerror(errno ? errno : EIO));
        return NULL;
    }
    file->place.line++;
    n = strlen(line);
    if (++files->n_lines > LINES_MAX) {
        fault(files, &file->place, E2BIG, "one of more lines than vmclockd reads");
    } else if (files->in_sources) {
        if (n == 0 || line[n - 1] != '\n')
            return NULL;
    } else if (n == CHRONY_CONF_LINE_MAX - 1 && line[n - 1] != '\n' && fgetc(file->stream) != EOF) {
        chrony_conf_files_refuse(files, false, "the line has over 2046 bytes");
    }
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        line[--n] = '\0';
    while (isspace((unsigned char)*line))
        line++;
    return line;
}

/* --- what a line names --------------------------------------------------------------------- */

/* The words as strings, in place; their number, or more than DIRECTORIES_MAX. */
static unsigned split(char *words, char *ret_words[DIRECTORIES_MAX])
{
    static const char separators[] = " \t\r\n\v\f";
    char *rest = NULL;
    unsigned n = 0;

    for (char *word = strtok_r(words, separators, &rest); word && n <= DIRECTORIES_MAX;
         word = strtok_r(NULL, separators, &rest), n++)
        if (n < DIRECTORIES_MAX)
            ret_words[n] = word;
    return n;
}

void chrony_conf_files_include(struct chrony_conf_files *files, const char *words)
{
    const unsigned level = top(files)->level + 1;
    char text[CHRONY_CONF_LINE_MAX], *word[DIRECTORIES_MAX];
    unsigned n;
    glob_t found;
    int r;

    snprintf(text, sizeof(text), "%s", words);
    n = split(text, word);
    if (n != 1) {
        chrony_conf_files_refuse(files, false, "include takes one path");
        return;
    }
    if (!strpbrk(word[0], "*?[\\")) { /* no pattern: it has to be there */
        push(files, word[0], level);
        return;
    }
    r = glob(word[0], GLOB_ERR, NULL, &found);
    if (r == GLOB_NOMATCH)
        return;
    if (r != 0) {
        fault(files, &top(files)->place, r == GLOB_ABORTED ? EACCES : ENOMEM,
            "what it includes cannot be read");
        return;
    }
    for (size_t i = found.gl_pathc; i > 0; i--)
        push(files, found.gl_pathv[i - 1], level);
    globfree(&found);
}

struct entry {
    const char *directory;
    char name[NAME_MAX + 1];
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool has_suffix(const char *name, const char *suffix)
{
    const size_t n = strlen(name), n_suffix = strlen(suffix);

    return name[0] != '.' && n > n_suffix && strcmp(name + n - n_suffix, suffix) == 0;
}

/* Add the names in `directory` that no earlier one has. */
static void list(struct chrony_conf_files *files, const char *directory, const char *suffix,
    struct entry *entries, unsigned *n)
{
    const struct chrony_conf_place place = whole(directory);
    DIR *stream = opendir(directory);
    const struct dirent *found;

    if (!stream) {
        if (!is_for_everybody(errno))
            fault(files, &place, errno, strerror(errno));
        return;
    }
    while ((found = readdir(stream))) {
        unsigned i = 0;

        if (!has_suffix(found->d_name, suffix))
            continue;
        while (i < *n && strcmp(entries[i].name, found->d_name) != 0)
            i++;
        if (i < *n)
            continue;
        if (*n == CHRONY_CONF_FILES_MAX) {
            fault(files, &place, E2BIG, "it has more files than vmclockd reads");
            break;
        }
        entries[*n].directory = directory;
        snprintf(entries[*n].name, sizeof(entries[*n].name), "%s", found->d_name);
        ++*n;
    }
    closedir(stream);
}

/* Of files with the same name the first directory's is read; then by name, byte by byte. */
static void push_directories(struct chrony_conf_files *files, char *const *directories, unsigned n,
    const char *suffix, unsigned level)
{
    struct entry *entries = calloc(CHRONY_CONF_FILES_MAX, sizeof(*entries));
    unsigned n_entries = 0;

    if (!entries) {
        const struct chrony_conf_place place = whole(n > 0 ? directories[0] : "");

        fault(files, &place, ENOMEM, strerror(ENOMEM));
        return;
    }
    for (unsigned i = 0; i < n; i++)
        list(files, directories[i], suffix, entries, &n_entries);
    qsort(entries, n_entries, sizeof(*entries), by_name);
    for (unsigned i = n_entries; i > 0; i--) {
        char path[CHRONY_CONF_LINE_MAX + NAME_MAX + 2];

        snprintf(path, sizeof(path), "%s/%s", entries[i - 1].directory, entries[i - 1].name);
        push(files, path, level);
    }
    free(entries);
}

void chrony_conf_files_confdir(struct chrony_conf_files *files, const char *words)
{
    char text[CHRONY_CONF_LINE_MAX], *directories[DIRECTORIES_MAX];
    unsigned n;

    snprintf(text, sizeof(text), "%s", words);
    n = split(text, directories);
    if (n < 1 || n > DIRECTORIES_MAX)
        chrony_conf_files_refuse(files, false, "confdir takes 1 to 10 directories");
    else
        push_directories(files, directories, n, ".conf", top(files)->level + 1);
}

void chrony_conf_files_sourcedir(struct chrony_conf_files *files, const char *words)
{
    if (files->n_sourcedirs == CHRONY_CONF_SOURCES_MAX)
        fault(files, &top(files)->place, E2BIG, "one of more sourcedir lines than vmclockd reads");
    else
        snprintf(files->sourcedirs[files->n_sourcedirs++], CHRONY_CONF_LINE_MAX, "%s", words);
}

/* chronyd adds the servers of these when it has read all else. */
static void begin_sources(struct chrony_conf_files *files)
{
    files->in_sources = true;
    for (unsigned i = files->n_sourcedirs; i > 0; i--) {
        char *directories[DIRECTORIES_MAX];
        const unsigned n = split(files->sourcedirs[i - 1], directories);

        if (n <= DIRECTORIES_MAX) /* else chronyd passes over it */
            push_directories(files, directories, n, ".sources", 1);
    }
}

/* --- all of them --------------------------------------------------------------------------- */

void chrony_conf_files_begin(
    struct chrony_conf_files *files, const char *path, struct chrony_conf_fault *fault)
{
    memset(files, 0, sizeof(*files));
    files->fault = fault;
    memset(fault, 0, sizeof(*fault));
    push(files, path, 1);
}

char *chrony_conf_files_next(
    struct chrony_conf_files *files, const struct chrony_conf_place **ret_place)
{
    for (;;) {
        char *line = NULL;

        if (is_over(files))
            return NULL;
        if (files->n_waiting == 0) {
            if (files->in_sources)
                return NULL;
            begin_sources(files);
            continue;
        }
        if (top(files)->stream || open_file(files))
            line = read_line(files);
        if (line && *line && !strchr("!;#%", *line)) {
            *ret_place = &top(files)->place;
            return is_over(files) ? NULL : line;
        }
        if (!line) {
            if (top(files)->stream)
                fclose(top(files)->stream);
            files->n_waiting--;
        }
    }
}

void chrony_conf_files_end(struct chrony_conf_files *files)
{
    while (files->n_waiting > 0) {
        if (top(files)->stream)
            fclose(top(files)->stream);
        files->n_waiting--;
    }
}
