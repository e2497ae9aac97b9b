/* SPDX-License-Identifier: MIT
 *
 * main.c: runs the suites: bench [--suite NAME] [--n KEYS] [--objects N]
 * [--value-len BYTES] [--rounds N] [--open-n KEYS] [--cpu] [--fusedb COMMAND]
 * [--peer NAME] [--json FILE] [--svg FILE] [--markdown FILE]
 */
#include "bench/bench.h"

#include <dirent.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static clockid_t main_clock = CLOCK_MONOTONIC;

uint64_t bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(main_clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Call back with the path of each file in a folder; the folders are flat. */
static void main_each_file(const char *folder, void (*each)(const char *path, void *user),
                           void       *user)
{
    DIR           *dir = opendir(folder);
    struct dirent *e;
    char           path[4096 + 300];

    while (dir && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        each(path, user);
    }
    if (dir)
        closedir(dir);
}

static void main_add_size(const char *path, void *user)
{
    struct stat st;

    if (stat(path, &st) == 0)
        *(uint64_t *)user += (uint64_t)st.st_blocks * 512;
}

static void main_unlink(const char *path, void *user)
{
    (void)user;
    unlink(path);
}

uint64_t bench_folder_bytes(const char *folder)
{
    uint64_t bytes = 0;

    main_each_file(folder, main_add_size, &bytes);
    return bytes;
}

void bench_remove_folder(const char *folder)
{
    main_each_file(folder, main_unlink, NULL);
    rmdir(folder);
}

int bench_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, bench_by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static const char main_usage[] =
    "usage: bench [--suite lookup|fused|memory|addresses|lsm] [--n KEYS] [--objects N]\n"
    "             [--value-len BYTES] [--rounds N] [--open-n KEYS] [--cpu] [--fusedb COMMAND]\n"
    "             [--peer NAME] [--json FILE] [--svg FILE] [--markdown FILE]\n";

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"suite", required_argument, NULL, 's'},
                                          {"n", required_argument, NULL, 'n'},
                                          {"objects", required_argument, NULL, 'o'},
                                          {"value-len", required_argument, NULL, 'v'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"svg", required_argument, NULL, 'g'},
                                          {"markdown", required_argument, NULL, 'm'},
                                          {"open-n", required_argument, NULL, 'O'},
                                          {"cpu", no_argument, NULL, 'c'},
                                          {"fusedb", required_argument, NULL, 'f'},
                                          {"peer", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    bench_options              opt     = {
                         .n = 1000000, .objects_n = 50000, .value_len = 100, .rounds = 5, .open_n = 10000000};
    bench_report_paths to  = {NULL, NULL, NULL};
    const char        *tmp = getenv("TMPDIR");
    char               folder[4096];
    int                c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 's': opt.suite = optarg; break;
        case 'n': opt.n = strtoul(optarg, NULL, 10); break;
        case 'o': opt.objects_n = strtoul(optarg, NULL, 10); break;
        case 'v': opt.value_len = strtoul(optarg, NULL, 10); break;
        case 'r': opt.rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'O': opt.open_n = strtoul(optarg, NULL, 10); break;
        case 'c': opt.cpu = true; break;
        case 'f': opt.fusedb = optarg; break;
        case 'p': opt.peer = optarg; break;
        case 'j': to.json = optarg; break;
        case 'g': to.svg = optarg; break;
        case 'm': to.markdown = optarg; break;
        default: fputs(main_usage, stderr); return 2;
        }
    }
    if (opt.n < 100 || opt.n > UINT32_MAX / 2 || opt.objects_n == 0 || opt.rounds == 0) {
        fputs(main_usage, stderr);
        return 2;
    }
    if (opt.cpu)
        main_clock = CLOCK_PROCESS_CPUTIME_ID;
    snprintf(folder, sizeof folder, "%s/anykv-bench-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        bench_die(folder, "can't make the folder");
    opt.folder = folder;
    if (!opt.suite || strcmp(opt.suite, "lookup") == 0)
        bench_suite_lookup(&opt);
    if (!opt.suite || strcmp(opt.suite, "fused") == 0)
        bench_suite_fused(&opt);
    if (!opt.suite || strcmp(opt.suite, "memory") == 0)
        bench_suite_memory(&opt);
    if (!opt.suite || strcmp(opt.suite, "addresses") == 0)
        bench_suite_addresses(&opt);
    if (!opt.suite || strcmp(opt.suite, "lsm") == 0)
        bench_suite_lsm(&opt);
    rmdir(folder);
    bench_report(&opt, &to);
    return 0;
}
