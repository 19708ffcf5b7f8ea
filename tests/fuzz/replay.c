/* SPDX-License-Identifier: BSD-2-Clause */
/* Run a harness over files and over directories of files, without libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1u << 20)

static unsigned files;

static int replay_file(const char *path)
{
    static uint8_t input[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    uint8_t *exact;
    size_t n;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    n = fread(input, 1, sizeof(input), file);
    fclose(file);
    exact = malloc(n); /* of exactly that size, so that the sanitizers see its end */
    if (!exact && n)
        return -1;
    if (n)
        memcpy(exact, input, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    files++;
    return 0;
}

static int replay(const char *path)
{
    const struct dirent *entry;
    struct stat status;
    DIR *directory;
    int r = 0;

    if (stat(path, &status) < 0 || !S_ISDIR(status.st_mode))
        return replay_file(path);
    directory = opendir(path);
    if (!directory) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    while (r == 0 && (entry = readdir(directory))) {
        char file[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        r = replay_file(file);
        if (r < 0)
            fprintf(stderr, "%s: not replayed\n", file);
    }
    closedir(directory);
    return r;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) < 0)
            return EXIT_FAILURE;
    printf("%s: %u inputs, no invariant broken\n", argv[0], files);
    return files ? EXIT_SUCCESS : EXIT_FAILURE;
}
