/* SPDX-License-Identifier: MIT
 *
 * suite_fused.c: what only a fused file has: how long it takes to open at
 * several sizes, with a hash section and as FuseDB writes it, what that costs
 * in memory and on disk, and how fast the file's checks are.
 */
#include "bench/bench.h"

#include <anykv/fused.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUSED_OBJECTS    50000u
#define FUSED_ROUNDS_MAX 31u

static const char *const fused_names[] = {"anykv fused", "anykv fused, plain"};

static void fused_check(akv_status rc, const char *what)
{
    if (rc != AKV_OK)
        bench_die(what, akv_last_error()->text);
}

/* Keys of 24 bytes in random order, objects of 133. */
static void fused_make(const char *path, uint64_t keys, uint32_t flags)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    uint32_t                 id;
    char                     text[160];

    opt.flags = flags;
    fused_check(akv_fused_writer_new(&opt, &w), "writer");
    for (unsigned i = 0; i < FUSED_OBJECTS; i++) {
        snprintf(text, sizeof text, "%0133u", i);
        fused_check(akv_fused_add_object(w, akv_str(text), &id), "add_object");
    }
    for (uint64_t i = 0; i < keys; i++) {
        uint64_t v = i * UINT64_C(0x9e3779b97f4a7c15);

        snprintf(text, sizeof text, "%016llx.example", (unsigned long long)v);
        fused_check(akv_fused_add_key(w, akv_str(text), (uint32_t)(v >> 32) % FUSED_OBJECTS),
                    "add_key");
    }
    fused_check(akv_fused_build(w, path, NULL), "build");
    akv_fused_writer_free(w);
}

static void fused_add(const char *workload, const char *peer, double ns, double bytes)
{
    bench_add((bench_figure){.suite    = "fused",
                             .workload = workload,
                             .peer     = peer,
                             .ns       = ns,
                             .per_s    = ns > 0 ? 1e9 / ns : 0,
                             .bytes    = bytes});
}

/* Nanoseconds for each of `opens` openings. */
static double fused_time_open(const char *path, uint32_t check, unsigned opens)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused        *f;
    uint64_t          t = bench_now_ns();

    opt.verify_on_open = check;
    for (unsigned i = 0; i < opens; i++) {
        fused_check(akv_fused_open(path, &opt, &f), "open");
        akv_fused_close(f);
    }
    return (double)(bench_now_ns() - t) / opens;
}

static double fused_time_verify(const char *path)
{
    akv_fused *f;
    uint64_t   t;

    fused_check(akv_fused_open(path, NULL, &f), "open");
    t = bench_now_ns();
    fused_check(akv_fused_verify(f, NULL, NULL), "verify");
    t = bench_now_ns() - t;
    akv_fused_close(f);
    return (double)t;
}

static akv_fused_info fused_info(const char *path)
{
    akv_fused_info info = AKV_FUSED_INFO_INIT;
    akv_fused     *f;

    fused_check(akv_fused_open(path, NULL, &f), "open");
    fused_check(akv_fused_info_get(f, &info), "info");
    akv_fused_close(f);
    return info;
}

/* A file of so many keys, named `said`; the plain one beside it unless it is
 * the largest. */
static void fused_opens(const bench_options *opt, uint64_t keys, bool plain, const char *said)
{
    double   ns[2][FUSED_ROUNDS_MAX];
    char     paths[2][4096 + 16], workload[64];
    unsigned rounds = opt->rounds < FUSED_ROUNDS_MAX ? opt->rounds : FUSED_ROUNDS_MAX;
    unsigned files  = plain ? 2 : 1;

    for (unsigned i = 0; i < files; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/open-%u", opt->folder, i);
        fused_make(paths[i], keys, i == 0 ? 0 : AKV_FUSED_PLAIN);
    }
    for (unsigned r = 0; r < rounds; r++) {
        ns[0][r] = fused_time_open(paths[0], AKV_FUSED_CHECK_AUTO, 100);
        if (plain)
            ns[1][r] = fused_time_open(paths[1], AKV_FUSED_CHECK_AUTO, 1);
    }
    snprintf(workload, sizeof workload, "open, %s keys", said);
    for (unsigned i = 0; i < files; i++)
        fused_add(strdup(workload), fused_names[i], bench_median(ns[i], rounds), 0);
    snprintf(workload, sizeof workload, "heap when open, %s keys", said);
    for (unsigned i = 0; i < files; i++)
        fused_add(strdup(workload), fused_names[i], 0, (double)fused_info(paths[i]).memory);
    for (unsigned i = 0; i < files; i++)
        unlink(paths[i]);
    fprintf(stderr, "bench: fused open of %s keys done\n", said);
}

static void fused_checks(const bench_options *opt)
{
    double         crc[FUSED_ROUNDS_MAX], verify[FUSED_ROUNDS_MAX];
    char           path[4096 + 16];
    unsigned       rounds = opt->rounds < FUSED_ROUNDS_MAX ? opt->rounds : FUSED_ROUNDS_MAX;
    akv_fused_info info;

    snprintf(path, sizeof path, "%s/checks", opt->folder);
    fused_make(path, opt->n, 0);
    info = fused_info(path);
    for (unsigned r = 0; r < rounds; r++) {
        crc[r]    = fused_time_open(path, AKV_FUSED_CHECK_ALWAYS, 1) / (double)info.file_size * 1e6;
        verify[r] = fused_time_verify(path);
    }
    fused_add("CRC of a file, each MB", fused_names[0], bench_median(crc, rounds), 0);
    fused_add("verify", fused_names[0], bench_median(verify, rounds), 0);
    fused_add("hash section, each key", fused_names[0], 0,
              (double)info.section_bytes / (double)info.keys);
    unlink(path);
    fprintf(stderr, "bench: fused checks done\n");
}

void bench_suite_fused(const bench_options *opt)
{
    char said[32];

    fused_opens(opt, 1000, true, "1000");
    snprintf(said, sizeof said, "%zu", opt->n);
    fused_opens(opt, opt->n, true, said);
    snprintf(said, sizeof said, "%zu", opt->open_n);
    if (opt->open_n > opt->n)
        fused_opens(opt, opt->open_n, false, said);
    fused_checks(opt);
}
