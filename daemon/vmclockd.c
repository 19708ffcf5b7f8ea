/* SPDX-License-Identifier: BSD-2-Clause */
/* vmclockd: parse, set up, run. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/chrony_settings.h"
#include "daemon/config.h"
#include "daemon/event_loop.h"
#include "daemon/exit_status.h"
#include "daemon/log.h"
#include "daemon/message.h"
#include "daemon/runner.h"
#include "daemon/standard_streams.h"

static const char usage[] =
    "usage: vmclockd [-c FILE] [-n] [-t] [-v]\n"
    "Keeps chronyd right through live migration and restore, by the vmclock device.\n"
    "\n"
    "  -c, --config FILE   configuration file (default " CONFIG_DEFAULT_FILE ")\n"
    "  -t, --test-config   check it, print what is in force, exit\n"
    "  -n, --dry-run       watch and log; send chronyd nothing\n"
    "  -v, --verbose       log debug messages too\n"
    "  -h, --help          print this\n"
    "  -V, --version       print the version\n"
    "\n"
    "Exit status: 0 stopped by SIGTERM or SIGINT, 64 usage, 69 the device cannot be\n"
    "used, 78 configuration error, 1 anything else. SIGHUP reloads the configuration,\n"
    "SIGUSR1 starts a recovery. See vmclockd(8), vmclockd.conf(5), vmclockctl(8).\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test-config", no_argument, NULL, 't'},
        {"dry-run", no_argument, NULL, 'n'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    bool test_only = false, dry_run = false, verbose = false;
    struct runner *runner = NULL;
    const char *file = NULL;
    struct config config;
    int c, r;

    /* Nobody is left to be told. */
    if (standard_streams_open() < 0)
        return EXIT_FAILURE;
    event_loop_hold_signals();
    while ((c = getopt_long(argc, argv, "c:tnvhV", options, NULL)) != -1) {
        switch (c) {
        case 'c': file = optarg; break;
        case 't': test_only = true; break;
        case 'n': dry_run = true; break;
        case 'v': verbose = true; break;
        case 'h': fputs(usage, stdout); return EXIT_SUCCESS;
        case 'V': puts("vmclockd " VERSION); return EXIT_SUCCESS;
        default: fputs(usage, stderr); return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "vmclockd: unexpected argument \"%s\"\n%s", argv[optind], usage);
        return EX_USAGE;
    }

    log_init(verbose);
    r = config_read(file, message_log_mistake, &config);
    if (r < 0)
        return exit_status(r, EX_CONFIG);
    chrony_settings_take(&config, message_log_fault);
    if (test_only) {
        config_print(&config, stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    r = runner_create(&config, dry_run, &runner);
    if (r != EXIT_SUCCESS)
        return r;
    r = runner_run(runner);
    runner_destroy(runner);
    return r;
}
