/* SPDX-License-Identifier: MIT
 *
 * suites.c: the workloads.
 *
 * lookup   build a file, open it, random get of present and of missing keys,
 *          by one thread and by two, exists, get_many by 64, scans of the keys
 *          that begin with a prefix and of everything: fused and its peers.
 * memory   fillrandom, readrandom, readmissing, readseq: the engine `memory`.
 *
 * Every peer of a suite runs a workload before the next workload begins, round
 * by round. Latencies are taken in a pass of their own, each operation timed
 * and the clock's own cost taken off.
 */
#include "bench/bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUITES_PEERS_MAX  8
#define SUITES_ROUNDS_MAX 31
#define SUITES_BATCH      64
#define SUITES_THREADS    2
#define SUITES_FUSEDB_MAX 8

typedef struct suites_run {
    const bench_options *opt;
    const char          *suite;
    const bench_data    *data;
    const bench_peer    *peer;
    void                *store;
    char                 folder[4096];
    double               p50_ns, p99_ns; /* of the workload just run */
} suites_run;

static volatile uint64_t suites_sink; /* keeps what was read from being dropped */

/* Runs the workload once; answers operations done in *ops_out. */
typedef void suites_workload(suites_run *run, uint64_t *ops_out);

/* ----------------------------------------------------------------- latency */

static int suites_by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t suites_clock_cost(void)
{
    uint32_t best = UINT32_MAX;

    for (int i = 0; i < 1000; i++) {
        uint64_t t = bench_now_ns();
        uint64_t d = bench_now_ns() - t;

        if (d < best)
            best = (uint32_t)d;
    }
    return best;
}

static void suites_latency(suites_run *run, const bench_bytes *keys)
{
    size_t    n      = run->data->n < 200000 ? run->data->n : 200000;
    uint32_t *times  = malloc(n * sizeof *times);
    uint32_t  clock  = suites_clock_cost();
    uint64_t  sum    = 0;
    size_t    median = n / 2, tail = n / 100 * 99;

    if (!times)
        bench_die(run->suite, "no memory");
    for (size_t i = 0; i < n; i++) {
        bench_bytes value = {NULL, 0};
        uint64_t    t     = bench_now_ns();

        run->peer->get(run->store, keys[run->data->order[i]], &value);
        sum += bench_touch(value.data, value.len);
        t        = bench_now_ns() - t;
        times[i] = t > clock ? (uint32_t)(t - clock) : 0;
    }
    suites_sink += sum;
    qsort(times, n, sizeof *times, suites_by_value);
    run->p50_ns = times[median];
    run->p99_ns = times[tail];
    free(times);
}

/* --------------------------------------------------------------- workloads */

static void suites_get(suites_run *run, uint64_t *ops_out)
{
    uint64_t sum = 0, wrong = 0;

    for (size_t i = 0; i < run->data->n; i++) {
        bench_bytes value;

        if (run->peer->get(run->store, run->data->keys[run->data->order[i]], &value) != 0)
            wrong++;
        else
            sum += bench_touch(value.data, value.len);
    }
    if (wrong > 0)
        bench_die(run->peer->name, "a key that was stored is missing");
    suites_sink += sum;
    *ops_out = run->data->n;
}

static void suites_miss(suites_run *run, uint64_t *ops_out)
{
    bench_bytes value;

    for (size_t i = 0; i < run->data->n; i++)
        if (run->peer->get(run->store, run->data->missing[run->data->order[i]], &value) != 1)
            bench_die(run->peer->name, "a key that was never stored is there");
    *ops_out = run->data->n;
}

static void suites_get_many(suites_run *run, uint64_t *ops_out)
{
    bench_bytes keys[SUITES_BATCH];
    uint64_t    sum = 0;
    size_t      i, n = run->data->n / SUITES_BATCH * SUITES_BATCH;

    for (i = 0; i < n; i += SUITES_BATCH) {
        for (size_t j = 0; j < SUITES_BATCH; j++)
            keys[j] = run->data->keys[run->data->order[i + j]];
        run->peer->get_many(run->store, keys, SUITES_BATCH, &sum);
    }
    suites_sink += sum;
    *ops_out = n;
}

static void suites_scan(suites_run *run, uint64_t *ops_out)
{
    uint64_t sum = 0;

    run->peer->scan(run->store, ops_out, &sum);
    if (*ops_out != run->data->n)
        bench_die(run->peer->name, "a scan returned another number of entries");
    suites_sink += sum;
}

static void suites_exists(suites_run *run, uint64_t *ops_out)
{
    for (size_t i = 0; i < run->data->n; i++)
        if (run->peer->exists(run->store, run->data->keys[run->data->order[i]]) != 0)
            bench_die(run->peer->name, "a key that was stored does not exist");
    *ops_out = run->data->n;
}

static void suites_prefix(suites_run *run, uint64_t *ops_out)
{
    uint64_t sum = 0, entries = 0, all = 0;

    for (size_t i = 0; i < run->data->prefixes_n; i++) {
        run->peer->prefix(run->store, run->data->prefixes[i], &entries, &sum);
        if (entries == 0)
            bench_die(run->peer->name, "a prefix of a stored key finds nothing");
        all += entries;
    }
    suites_sink += sum;
    *ops_out = all;
}

/* Each of the threads gets a part of the keys of its own. */
typedef struct suites_part {
    suites_run *run;
    pthread_t   thread;
    size_t      from, to;
    uint64_t    sum;
} suites_part;

static void *suites_get_part(void *arg)
{
    suites_part      *part = arg;
    const bench_data *d    = part->run->data;

    for (size_t i = part->from; i < part->to; i++) {
        bench_bytes value;

        if (part->run->peer->get(part->run->store, d->keys[d->order[i]], &value) != 0)
            bench_die(part->run->peer->name, "a key that was stored is missing");
        part->sum += bench_touch(value.data, value.len);
    }
    return NULL;
}

static void suites_get_threads(suites_run *run, uint64_t *ops_out)
{
    suites_part parts[SUITES_THREADS];

    for (size_t i = 0; i < SUITES_THREADS; i++) {
        parts[i] = (suites_part){.run  = run,
                                 .from = run->data->n * i / SUITES_THREADS,
                                 .to   = run->data->n * (i + 1) / SUITES_THREADS};
        if (pthread_create(&parts[i].thread, NULL, suites_get_part, &parts[i]) != 0)
            bench_die(run->peer->name, "can't start a thread");
    }
    for (size_t i = 0; i < SUITES_THREADS; i++) {
        pthread_join(parts[i].thread, NULL);
        suites_sink += parts[i].sum;
    }
    *ops_out = run->data->n;
}

static void suites_build(suites_run *run, uint64_t *ops_out)
{
    bench_remove_folder(run->folder);
    mkdir(run->folder, 0755);
    run->peer->build(run->folder, run->data);
    *ops_out = run->data->n;
}

static void suites_open(suites_run *run, uint64_t *ops_out)
{
    void *store;

    run->peer->open(run->folder, &store);
    run->peer->close(store);
    *ops_out = 1;
}

static void suites_fillrandom(suites_run *run, uint64_t *ops_out)
{
    const bench_data *d = run->data;

    if (run->store)
        run->peer->close(run->store);
    bench_remove_folder(run->folder);
    mkdir(run->folder, 0755);
    run->peer->create(run->folder, &run->store);
    for (size_t i = 0; i < d->n; i++) {
        uint32_t k = d->order[i];

        run->peer->put(run->store, d->keys[k], d->objects[d->object_of[k]]);
    }
    run->peer->finish_puts(run->store);
    *ops_out = d->n;
}

/* ------------------------------------------------------------------ suites */

typedef struct suites_step {
    const char      *name;
    suites_workload *run;
    const char      *latency; /* "keys", "missing" or NULL */
} suites_step;

/* What FuseDB's own package measured of itself. */
static bench_figure suites_fusedb[SUITES_FUSEDB_MAX];
static size_t       suites_fusedb_n;

static bool suites_can(const suites_run *run, const suites_step *step)
{
    const bench_peer *p = run->peer;

    if (step->run == suites_get || step->run == suites_miss)
        return p->get != NULL;
    if (step->run == suites_get_threads)
        return p->threads && !run->opt->cpu;
    if (step->run == suites_get_many)
        return p->get_many != NULL;
    if (step->run == suites_exists)
        return p->exists != NULL;
    if (step->run == suites_prefix)
        return p->prefix != NULL;
    if (step->run == suites_scan)
        return p->scan != NULL;
    return true;
}

static void suites_step_run(suites_run *runs, size_t peers_n, const suites_step *step)
{
    double   ns[SUITES_PEERS_MAX][SUITES_ROUNDS_MAX];
    unsigned rounds = runs->opt->rounds < SUITES_ROUNDS_MAX ? runs->opt->rounds : SUITES_ROUNDS_MAX;

    for (unsigned r = 0; r < rounds; r++) {
        for (size_t p = 0; p < peers_n; p++) {
            uint64_t ops = 0, t;

            if (!suites_can(&runs[p], step))
                continue;
            t = bench_now_ns();
            step->run(&runs[p], &ops);
            ns[p][r] = (double)(bench_now_ns() - t) / (double)(ops ? ops : 1);
        }
    }
    for (size_t p = 0; p < peers_n; p++) {
        bench_figure f = {
            .suite = runs[p].suite, .workload = step->name, .peer = runs[p].peer->name};

        if (!suites_can(&runs[p], step))
            continue;
        if (step->latency) {
            suites_latency(&runs[p], strcmp(step->latency, "keys") == 0 ? runs[p].data->keys
                                                                        : runs[p].data->missing);
            f.p50_ns = runs[p].p50_ns;
            f.p99_ns = runs[p].p99_ns;
        }
        f.ns    = bench_median(ns[p], rounds);
        f.per_s = 1e9 / f.ns;
        bench_add(f);
    }
    for (size_t i = 0; i < suites_fusedb_n; i++)
        if (strcmp(suites_fusedb[i].suite, runs->suite) == 0 &&
            strcmp(suites_fusedb[i].workload, step->name) == 0)
            bench_add(suites_fusedb[i]);
    fprintf(stderr, "bench: %s %s done\n", runs->suite, step->name);
}

static void suites_runs(suites_run *runs, const bench_options *opt, const char *suite,
                        const bench_data *data, const bench_peer *const *peers, size_t peers_n)
{
    for (size_t p = 0; p < peers_n; p++) {
        runs[p] = (suites_run){.opt = opt, .suite = suite, .data = data, .peer = peers[p]};
        snprintf(runs[p].folder, sizeof runs[p].folder, "%s/%s-%zu", opt->folder, suite, p);
    }
}

static void suites_size(suites_run *runs, size_t peers_n)
{
    for (size_t p = 0; p < peers_n; p++)
        bench_add((bench_figure){.suite    = runs[p].suite,
                                 .workload = "size on disk",
                                 .peer     = runs[p].peer->name,
                                 .bytes    = (double)bench_folder_bytes(runs[p].folder)});
}

void bench_suite_lookup(const bench_options *opt)
{
    static const bench_peer *const peers[] = {
        &bench_fused_native, &bench_fused_shared, &bench_fused_plain, &bench_cdb_inline,
        &bench_cdb_shared,   &bench_lmdb_inline,  &bench_lmdb_shared, &bench_sqlite};
    static const suites_step build   = {"build", suites_build, NULL};
    static const suites_step opening = {"open", suites_open, NULL};
    static const suites_step reads[] = {
        {"get, present", suites_get, "keys"},         {"get, missing", suites_miss, "missing"},
        {"get, 2 threads", suites_get_threads, NULL}, {"exists, present", suites_exists, NULL},
        {"get_many of 64", suites_get_many, NULL},    {"scan of a prefix", suites_prefix, NULL},
        {"scan, in order", suites_scan, NULL}};
    suites_run  runs[sizeof peers / sizeof peers[0]];
    size_t      n    = sizeof peers / sizeof peers[0];
    bench_data *data = bench_data_lookup(opt->n, opt->objects_n);

    suites_runs(runs, opt, "lookup", data, peers, n);
    suites_fusedb_n = bench_fusedb(opt, data, suites_fusedb, SUITES_FUSEDB_MAX);
    suites_step_run(runs, n, &build);
    suites_size(runs, n);
    suites_step_run(runs, n, &opening);
    for (size_t p = 0; p < n; p++)
        peers[p]->open(runs[p].folder, &runs[p].store);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
        suites_step_run(runs, n, &reads[i]);
    for (size_t p = 0; p < n; p++) {
        peers[p]->close(runs[p].store);
        bench_remove_folder(runs[p].folder);
    }
    bench_data_free(data);
}

void bench_suite_memory(const bench_options *opt)
{
    static const bench_peer *const peers[] = {&bench_memory, &bench_lmdb_writer};
    static const suites_step       steps[] = {{"fillrandom", suites_fillrandom, NULL},
                                              {"readrandom", suites_get, "keys"},
                                              {"readmissing", suites_miss, "missing"},
                                              {"multiget of 64", suites_get_many, NULL},
                                              {"readseq", suites_scan, NULL}};
    suites_run                     runs[2];
    bench_data                    *data = bench_data_records(opt->n, opt->value_len);

    suites_runs(runs, opt, "memory", data, peers, 2);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        suites_step_run(runs, 2, &steps[i]);
    for (size_t p = 0; p < 2; p++) {
        peers[p]->close(runs[p].store);
        bench_remove_folder(runs[p].folder);
    }
    bench_data_free(data);
}
