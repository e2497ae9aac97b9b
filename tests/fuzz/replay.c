/* SPDX-License-Identifier: MIT
 *
 * replay.c: runs a fuzz target over the files of its corpus, and over each of
 * them cut at every length up to 300 and with single bytes changed, so that
 * every build and every sanitizer tries them, without a fuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A copy of exactly `len` bytes, so that reading past the end is caught. */
static void replay_run(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void replay_mutations(uint8_t *data, size_t len)
{
    static const uint8_t patterns[] = {0x00, 0x7f, 0x80, 0xff};
    size_t               n          = len < 300 ? len : 300;

    for (size_t i = 0; i < n; i++) {
        uint8_t was = data[i];

        replay_run(data, i);
        for (size_t p = 0; p < sizeof patterns; p++) {
            data[i] = patterns[p];
            replay_run(data, len);
        }
        data[i] = was;
    }
}

static int replay_file(const char *path)
{
    FILE    *f    = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);
    size_t   len;

    if (!f || !data) {
        fprintf(stderr, "can't read %s\n", path);
        exit(1);
    }
    len = fread(data, 1, 1 << 20, f);
    fclose(f);
    replay_run(data, len);
    replay_mutations(data, len);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    const char    *root = getenv("ANYKV_ROOT");
    const char    *name = strstr(argv[0], "replay_");
    char           folder[4096], path[4096 + 300];
    DIR           *dir;
    struct dirent *e;
    int            n = 0;

    for (int i = 1; i < argc; i++)
        n += replay_file(argv[i]);
    if (argc > 1)
        return 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", root ? root : ".",
             name ? name + strlen("replay_") : "");
    dir = opendir(folder);
    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        n += replay_file(path);
    }
    if (dir)
        closedir(dir);
    printf("1..1\n%s 1 - the corpus in %s replays (%d files)\n", n > 0 ? "ok" : "not ok", folder,
           n);
    return n == 0;
}
