/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * messages.def as people read it: the catalog that "journalctl -x" shows, or on the standard input
 * a manual page, which is copied with what stands between its "begin" and "end" comments replaced.
 *
 *     print-messages catalog
 *     print-messages manual <vmclockd-events.7
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH   79 /* of a line of text */
#define NOTHING "There is nothing to do."

enum kind { KIND_MESSAGE, KIND_SECTION, KIND_LINE, KIND_EXPLAIN, KIND_EXPLAINED_BY };

/* A row of the table; what each text is depends on the kind, as messages.def tells. */
static const struct row {
    enum kind kind;
    const char *name, *texts[5];
} rows[] = {
#define MESSAGE(name, id, event, subject, what, action)                                            \
    {KIND_MESSAGE, #name, {id, event, subject, what, action}},
#define SECTION(title, text)                            {KIND_SECTION, title, {text}},
#define LINE(name, priority, message, words, arguments) {KIND_LINE, #name, {words, arguments}},
#define EXPLAIN(text)                                   {KIND_EXPLAIN, "", {text}},
#define EXPLAINED_BY(message)                           {KIND_EXPLAINED_BY, #message, {""}},
#include "daemon/messages.def"
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static _Noreturn void fail(const char *name, const char *trouble)
{
    fprintf(stderr, "print-messages: %s %s\n", name, trouble);
    exit(EXIT_FAILURE);
}

static const struct row *message_of(const char *name)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].kind == KIND_MESSAGE && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    fail(name, "is no message");
}

/* One word, on this line or the next. */
static void put_word(const char *word, size_t *column)
{
    const size_t n = strlen(word);

    if (*column > 0 && *column + 1 + n > WIDTH) {
        putchar('\n');
        *column = 0;
    }
    if (*column > 0)
        putchar(' ');
    *column += n + (*column > 0);
    fputs(word, stdout);
}

/* A manual begins a line with each sentence. */
static bool ends_sentence(const char *word)
{
    size_t n = strlen(word);

    while (n >= 4 && (strcmp(word + n - 4, "\\(rq") == 0 || word[n - 1] == ')'))
        n -= word[n - 1] == ')' ? 1 : 4;
    return n > 0 && strchr(".?", word[n - 1]);
}

/* What the text has between its blanks, `this` as it is to be shown. */
static void put_text(const char *text, bool manual)
{
    bool in_literal = false, in_field = false;
    size_t column = 0;

    while (*text) {
        char word[256] = "";
        size_t n = 0;

        for (; *text && *text != ' ' && n < sizeof(word) - 8; text++) {
            const char *put = (char[2]){*text, '\0'};

            if (*text == '`') {
                in_literal = !in_literal;
                put = !manual ? "\"" : in_literal ? "\\fB" : "\\fR";
            } else if (*text == '@' && manual) {
                in_field = !in_field;
                put = in_field ? "\\fB" : "\\fR";
            } else if (*text == '"' && manual) {
                put = n == 0 || word[n - 1] == '(' ? "\\(lq" : "\\(rq";
            } else if (*text == '-' && manual && in_literal) {
                put = "\\-";
            }
            n += (size_t)snprintf(word + n, sizeof(word) - n, "%s", put);
        }
        put_word(word, &column);
        if (*text == ' ')
            text++;
        if (*text && manual && ends_sentence(word)) {
            putchar('\n');
            column = 0;
        }
    }
    putchar('\n');
}

static void print_catalog(void)
{
    puts("# SPDX-License-Identifier: BSD-2-Clause\n"
         "# What vmclockd's messages mean and what to do, for \"journalctl -x\"; see systemd's "
         "Message\n"
         "# Catalog Developer Documentation. Made of daemon/messages.def by \"make messages\".");
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];

        if (row->kind != KIND_MESSAGE)
            continue;
        printf("\n-- %s\nSubject: %s\nDefined-By: vmclockd\n"
               "Documentation: man:vmclockd-events(7)\n\n",
            row->texts[0], row->texts[2]);
        put_text(row->texts[3], false);
        putchar('\n');
        put_text(row->texts[4], false);
    }
}

static void print_ids(void)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].kind == KIND_MESSAGE)
            printf(".It Cm %s Ta %s\n", rows[i].texts[1], rows[i].texts[0]);
}

/* The words of a line, what it is filled in with in italics. */
static void print_line(const struct row *row)
{
    const char *words = row->texts[0], *names = row->texts[1];

    fputs(".It \\&", stdout);
    while (*words) {
        const size_t n = strcspn(words, "%");
        const size_t conversion = strspn(words + n, "%-+0 #.0123456789hljzt");
        const size_t name = strcspn(names, " ");

        for (size_t i = 0; i < n; i++)
            fputs(words[i] == '"' ? "\\(dq" : (char[2]){words[i], '\0'}, stdout);
        if (words[n] == '\0')
            break;
        if (name == 0)
            fail(row->name, "has more arguments than names");
        if (strncmp(names, "...", name) == 0)
            fputs(" ...", stdout);
        else
            printf("\\fI%.*s\\fR", (int)name, names);
        names += name + (names[name] == ' ');
        words += n + conversion + 1;
    }
    if (*names)
        fail(row->name, "has more names than arguments");
    putchar('\n');
}

static void print_diagnostics(void)
{
    const char *end = "";

    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];

        switch (row->kind) {
        case KIND_MESSAGE: break;
        case KIND_SECTION:
            printf("%s.Ss %s\n", end, row->name);
            if (row->texts[0][0])
                put_text(row->texts[0], true);
            puts(".Bl -tag -width Ds");
            end = ".El\n";
            break;
        case KIND_LINE: print_line(row); break;
        case KIND_EXPLAIN: put_text(row->texts[0], true); break;
        case KIND_EXPLAINED_BY:
            row = message_of(row->name);
            put_text(row->texts[3], true);
            if (strcmp(row->texts[4], NOTHING) != 0) /* the section is called so */
                put_text(row->texts[4], true);
            break;
        }
    }
    fputs(end, stdout);
}

static void print_manual(void)
{
    bool skips = false;
    char line[1024];

    while (fgets(line, sizeof(line), stdin)) {
        skips = skips && strcmp(line, ".\\\" end\n") != 0;
        if (!skips)
            fputs(line, stdout);
        if (strcmp(line, ".\\\" begin ids\n") == 0) {
            print_ids();
            skips = true;
        } else if (strcmp(line, ".\\\" begin diagnostics\n") == 0) {
            print_diagnostics();
            skips = true;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "catalog") == 0) {
        print_catalog();
    } else if (argc == 2 && strcmp(argv[1], "manual") == 0) {
        print_manual();
    } else {
        fputs("usage: print-messages catalog | manual <MANUAL\n", stderr);
        return EXIT_FAILURE;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
