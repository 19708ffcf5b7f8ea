/* SPDX-License-Identifier: BSD-2-Clause */
/* reading FILE: what vmclockd's reader makes of a chrony.conf, for compare. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/chrony_conf.h"

static bool is(const char *line, const char *name, const char **ret_words)
{
    const size_t n = strcspn(line, " \t\r\n\v\f");

    *ret_words = line + n;
    return n == strlen(name) && strncasecmp(line, name, n) == 0;
}

/* The lines in their order, but for those that name files and those of sourcedir. */
static void print_lines(const char *path)
{
    static struct chrony_conf_files files;
    const struct chrony_conf_place *place;
    struct chrony_conf_fault fault;
    const char *line, *words;

    chrony_conf_files_begin(&files, path, &fault);
    while ((line = chrony_conf_files_next(&files, &place))) {
        if (files.in_sources)
            continue;
        if (is(line, "include", &words)) {
            chrony_conf_files_include(&files, words);
        } else if (is(line, "confdir", &words)) {
            chrony_conf_files_confdir(&files, words);
        } else {
            if (is(line, "sourcedir", &words))
                chrony_conf_files_sourcedir(&files, words);
            printf("line %s\n", line);
        }
    }
    chrony_conf_files_end(&files);
}

static void print_selection(const struct chrony_conf_selection *select)
{
    printf("%c%c%c%c\n", select->noselect ? 'N' : '-', select->prefer ? 'P' : '-',
        select->trust ? 'T' : '-', select->require ? 'R' : '-');
}

int main(int argc, char **argv)
{
    static struct chrony_conf conf;
    char text[512];
    int r;

    if (argc != 2)
        return EXIT_FAILURE;
    print_lines(argv[1]);
    r = chrony_conf_read(argv[1], &conf);
    if (r < 0) {
        chrony_conf_fault_str(&conf, text, sizeof(text));
        printf("fault %s\n", text);
    }
    for (unsigned i = 0; i < conf.n_refclocks; i++) {
        printf("refclock %s %d ", conf.refclocks[i].refid, conf.refclocks[i].poll);
        print_selection(&conf.refclocks[i].select);
    }
    for (unsigned i = 0; i < conf.n_servers; i++) {
        const struct chrony_conf_server *server = &conf.servers[i];

        if (server->address.family == 0)
            continue;
        inet_ntop(server->address.family == 1 ? AF_INET : AF_INET6, server->address.bytes, text,
            sizeof(text));
        printf("%s %s %d %d ",
            server->doubled                    ? "doubled"
            : server->kind == CHRONY_CONF_PEER ? "peer"
                                               : "server",
            text, server->minpoll, server->maxpoll);
        print_selection(&server->select);
    }
    printf("socket %s\n", conf.command_socket_off ? "off" : conf.command_socket);
    if (conf.makestep.line)
        printf("makestep %s:%u %.17g %d\n", conf.makestep.file, conf.makestep.line,
            conf.makestep_threshold_sec, conf.makestep_limit);
    return EXIT_SUCCESS;
}
