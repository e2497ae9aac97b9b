/* SPDX-License-Identifier: MIT
 *
 * suite_lsm.c: what stores that are written for ever do.
 *
 * fillseq, fillrandom and batches begin empty; overwrite goes on from
 * fillrandom, in another order. Then the store settles: its folder stays as
 * large as it is for a second. It is closed, measured, and opened again
 * (`reopen`); what follows reads it, after one pass of random reads that does
 * not count. All stores have the same write buffer, cache and bits of filter a
 * key, and compress nothing.
 *
 * Each store runs in a process of its own, so that memory is its own too, and
 * goes through all workloads before the next store's turn: what one does in the
 * background does not slow down another. Every eighth operation is timed singly.
 */
#include "bench/lsm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LSM_ROUNDS_MAX  31
#define LSM_FIGURES_MAX 32
#define LSM_TIMED       8
#define LSM_SEEKS       20000u
#define LSM_SEEK_LEN    100u
#define LSM_MIXED_NS    UINT64_C(2000000000)
#define LSM_SYNCS       4000u /* puts of each thread */
#define LSM_THREADS     4
#define LSM_BYTES       ((size_t)256 << 20) /* of values at most: fewer records when they are large */

/* What one process found out: written to a pipe as it is, since parent and child
 * are the same program. */
typedef struct lsm_figures {
    bench_figure at[LSM_FIGURES_MAX];
    size_t       n;
} lsm_figures;

typedef struct lsm_run {
    const char       *suite;
    const bench_kv   *kv;
    const bench_data *data;
    const uint32_t   *again; /* another order */
    char              folder[4096];
    void             *store;
    double            anon; /* most memory seen, bytes */
    lsm_figures       figures;
} lsm_run;

static volatile uint64_t lsm_sink;

/* ------------------------------------------------------------------- timing */

typedef struct lsm_times {
    uint32_t *ns;
    size_t    n, cap;
    size_t    ops;
    uint64_t  begin;
} lsm_times;

static lsm_times lsm_times_new(size_t ops)
{
    lsm_times t = {.cap = ops / LSM_TIMED + 1};

    t.ns = malloc(t.cap * sizeof *t.ns);
    if (!t.ns)
        bench_die("lsm", "no memory");
    t.begin = bench_now_ns();
    return t;
}

static inline uint64_t lsm_op_begin(lsm_times *t)
{
    return t->ops++ % LSM_TIMED == 0 && t->n < t->cap ? bench_now_ns() : 0;
}

static inline void lsm_op_end(lsm_times *t, uint64_t begin)
{
    uint64_t ns;

    if (begin == 0)
        return;
    ns            = bench_now_ns() - begin;
    t->ns[t->n++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static int lsm_by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double lsm_quantile(const lsm_times *t, size_t of_1000)
{
    return t->n > 0 ? t->ns[(t->n - 1) * of_1000 / 1000] : 0;
}

static void lsm_note_memory(lsm_run *run)
{
    FILE         *f = fopen("/proc/self/status", "r");
    char          line[256];
    unsigned long kib;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lu", &kib) == 1 && (double)kib * 1024 > run->anon)
            run->anon = (double)kib * 1024;
    if (f)
        fclose(f);
}

static void lsm_add(lsm_run *run, bench_figure f)
{
    if (run->figures.n == LSM_FIGURES_MAX)
        bench_die(run->suite, "too many figures");
    f.suite                           = run->suite;
    f.peer                            = run->kv->name;
    run->figures.at[run->figures.n++] = f;
    lsm_note_memory(run);
}

/* The figure of `entries` that took from t->begin to `end`; frees t. */
static void lsm_done_at(lsm_run *run, const char *workload, lsm_times *t, size_t entries,
                        uint64_t end)
{
    double ns = (double)(end - t->begin) / (double)entries;

    qsort(t->ns, t->n, sizeof *t->ns, lsm_by_value);
    lsm_add(run, (bench_figure){.workload = workload,
                                .ns       = ns,
                                .per_s    = 1e9 / ns,
                                .p50_ns   = lsm_quantile(t, 500),
                                .p99_ns   = lsm_quantile(t, 990),
                                .p999_ns  = lsm_quantile(t, 999)});
    free(t->ns);
}

static void lsm_done(lsm_run *run, const char *workload, lsm_times *t, size_t entries)
{
    lsm_done_at(run, workload, t, entries, bench_now_ns());
}

/* -------------------------------------------------------------------- store */

static void lsm_fresh(lsm_run *run, bool sync)
{
    if (run->store)
        run->kv->close(run->store);
    bench_remove_folder(run->folder);
    run->store = run->kv->open(run->folder, sync);
}

static void lsm_settle(const lsm_run *run)
{
    uint64_t was = 0, now = bench_folder_bytes(run->folder);

    for (int same = 0; same < 10; was = now, now = bench_folder_bytes(run->folder)) {
        same = now == was ? same + 1 : 0;
        usleep(100000);
    }
}

/* ------------------------------------------------------------------- writing */

static void lsm_puts(lsm_run *run, const char *workload, const uint32_t *order)
{
    const bench_data *d = run->data;
    lsm_times         t = lsm_times_new(d->n);

    for (size_t i = 0; i < d->n; i++) {
        uint32_t k     = order ? order[i] : (uint32_t)i;
        uint64_t begin = lsm_op_begin(&t);

        run->kv->put(run->store, d->keys[k], d->objects[d->object_of[order ? i : k]]);
        lsm_op_end(&t, begin);
    }
    lsm_done(run, workload, &t, d->n);
}

static void lsm_batches(lsm_run *run)
{
    const bench_data *d = run->data;
    lsm_times         t = lsm_times_new(d->n);
    bench_bytes       keys[LSM_BENCH_BATCH], values[LSM_BENCH_BATCH];

    for (size_t i = 0, n; i < d->n; i += n) {
        uint64_t begin = lsm_op_begin(&t);

        for (n = 0; n < LSM_BENCH_BATCH && i + n < d->n; n++) {
            keys[n]   = d->keys[d->order[i + n]];
            values[n] = d->objects[d->object_of[i + n]];
        }
        run->kv->write(run->store, keys, values, n);
        lsm_op_end(&t, begin);
    }
    lsm_done(run, "batches of 1000", &t, d->n);
}

static void lsm_deletes(lsm_run *run)
{
    const bench_data *d = run->data;
    lsm_times         t = lsm_times_new(d->n);

    for (size_t i = 0; i < d->n; i++) {
        uint64_t begin = lsm_op_begin(&t);

        run->kv->del(run->store, d->keys[d->order[i]]);
        lsm_op_end(&t, begin);
    }
    lsm_done(run, "deletes", &t, d->n);
}

/* ------------------------------------------------------------------- reading */

static void lsm_gets(lsm_run *run, const char *workload, const bench_bytes *keys, bool there)
{
    const bench_data *d   = run->data;
    lsm_times         t   = lsm_times_new(d->n);
    uint64_t          sum = 0;

    for (size_t i = 0; i < d->n; i++) {
        uint64_t begin = lsm_op_begin(&t);

        if (run->kv->get(run->store, keys[d->order[i]], &sum) != there)
            bench_die(run->kv->name, "a key is missing, or one is there that was never stored");
        lsm_op_end(&t, begin);
    }
    lsm_sink += sum;
    if (workload)
        lsm_done(run, workload, &t, d->n);
    else
        free(t.ns);
}

static void lsm_scan(lsm_run *run)
{
    lsm_times t   = lsm_times_new(1);
    uint64_t  sum = 0;

    if (run->kv->range(run->store, (bench_bytes){NULL, 0}, SIZE_MAX, &sum) != run->data->n)
        bench_die(run->kv->name, "a scan returned another number of entries");
    lsm_sink += sum;
    lsm_done(run, "readseq", &t, run->data->n);
}

static void lsm_seeks(lsm_run *run)
{
    const bench_data *d   = run->data;
    size_t            n   = d->n < LSM_SEEKS ? d->n : LSM_SEEKS;
    lsm_times         t   = lsm_times_new(n);
    uint64_t          sum = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t begin = lsm_op_begin(&t);

        if (run->kv->range(run->store, d->keys[d->order[i]], LSM_SEEK_LEN, &sum) == 0)
            bench_die(run->kv->name, "a seek finds nothing");
        lsm_op_end(&t, begin);
    }
    lsm_sink += sum;
    lsm_done(run, "seek, 100 next", &t, n);
}

/* ------------------------------------------------------------------ threads */

typedef struct lsm_side {
    lsm_run           *run;
    pthread_t          thread;
    const atomic_bool *stop; /* NULL: n operations */
    size_t             from, n;
    lsm_times          times;
    uint64_t           sum, end;
    bool               reads;
} lsm_side;

static void *lsm_side_run(void *arg)
{
    lsm_side         *s = arg;
    const bench_data *d = s->run->data;

    for (size_t i = s->from; s->stop ? !atomic_load(s->stop) : s->times.ops < s->n; i++) {
        uint32_t at    = s->run->again[i % d->n];
        uint64_t begin = lsm_op_begin(&s->times);

        if (s->reads)
            s->run->kv->get(s->run->store, d->keys[at], &s->sum);
        else
            s->run->kv->put(s->run->store, d->keys[at], d->objects[d->object_of[i % d->n]]);
        lsm_op_end(&s->times, begin);
    }
    s->end = bench_now_ns();
    return NULL;
}

static void lsm_side_begin(lsm_side *s, size_t room)
{
    s->times = lsm_times_new(room);
    if (pthread_create(&s->thread, NULL, lsm_side_run, s) != 0)
        bench_die("lsm", "can't start a thread");
}

static void lsm_mixed(lsm_run *run)
{
    atomic_bool stop   = false;
    lsm_side    writer = {.run = run, .stop = &stop};
    lsm_side    reader = {.run = run, .stop = &stop, .from = run->data->n / 2, .reads = true};

    lsm_side_begin(&writer, 16u << 20);
    lsm_side_begin(&reader, 16u << 20);
    usleep(LSM_MIXED_NS / 1000);
    atomic_store(&stop, true);
    pthread_join(writer.thread, NULL);
    pthread_join(reader.thread, NULL);
    lsm_sink += reader.sum;
    lsm_done_at(run, "writer beside reader", &writer.times, writer.times.ops, writer.end);
    lsm_done_at(run, "reader beside writer", &reader.times, reader.times.ops, reader.end);
}

/* Each thread's puts are synced one by one. */
static void lsm_syncs(lsm_run *run, const char *workload, size_t threads)
{
    lsm_side sides[LSM_THREADS];
    uint64_t end;

    for (size_t i = 0; i < threads; i++) {
        sides[i] = (lsm_side){.run = run, .from = i * LSM_SYNCS, .n = LSM_SYNCS / threads};
        lsm_side_begin(&sides[i], LSM_SYNCS);
    }
    for (size_t i = 0; i < threads; i++)
        pthread_join(sides[i].thread, NULL);
    end = bench_now_ns();
    for (size_t i = 1; i < threads; i++) {
        for (size_t j = 0; j < sides[i].times.n && sides[0].times.n < sides[0].times.cap; j++)
            sides[0].times.ns[sides[0].times.n++] = sides[i].times.ns[j];
        free(sides[i].times.ns);
    }
    lsm_done_at(run, workload, &sides[0].times, LSM_SYNCS / threads * threads, end);
}

/* ---------------------------------------------------------------- a process */

static void lsm_reopen(lsm_run *run)
{
    lsm_times t;

    lsm_settle(run);
    run->kv->close(run->store);
    lsm_add(run, (bench_figure){.workload = "size on disk",
                                .bytes    = (double)bench_folder_bytes(run->folder)});
    t          = lsm_times_new(1);
    run->store = run->kv->open(run->folder, false);
    lsm_done(run, "reopen", &t, 1);
    lsm_settle(run);
}

static void lsm_process(lsm_run *run)
{
    double before;

    lsm_note_memory(run);
    before    = run->anon;
    run->anon = 0;
    lsm_fresh(run, false);
    lsm_puts(run, "fillseq", NULL);
    lsm_fresh(run, false);
    lsm_batches(run);
    lsm_fresh(run, false);
    lsm_puts(run, "fillrandom", run->data->order);
    lsm_puts(run, "overwrite", run->again);
    lsm_reopen(run);
    lsm_gets(run, NULL, run->data->keys, true);
    lsm_gets(run, "readrandom", run->data->keys, true);
    lsm_gets(run, "readmissing", run->data->missing, false);
    lsm_scan(run);
    lsm_seeks(run);
    lsm_mixed(run);
    lsm_deletes(run);
    lsm_fresh(run, true);
    lsm_syncs(run, "fsync, 1 thread", 1);
    lsm_syncs(run, "fsync, 4 threads", LSM_THREADS);
    lsm_add(run, (bench_figure){.workload = "memory", .bytes = run->anon - before});
    run->kv->close(run->store);
    bench_remove_folder(run->folder);
}

static void lsm_fork(lsm_run *run, lsm_figures *figures_out)
{
    int     pipes[2], status;
    size_t  got = 0;
    ssize_t n;
    pid_t   child;

    fflush(NULL);
    if (pipe(pipes) != 0 || (child = fork()) < 0)
        bench_die("lsm", "can't start a process");
    if (child == 0) {
        lsm_process(run);
        if (write(pipes[1], &run->figures, sizeof run->figures) != sizeof run->figures)
            bench_die("lsm", "can't tell the figures");
        _exit(0);
    }
    close(pipes[1]);
    while (got < sizeof *figures_out &&
           (n = read(pipes[0], (uint8_t *)figures_out + got, sizeof *figures_out - got)) > 0)
        got += (size_t)n;
    close(pipes[0]);
    if (waitpid(child, &status, 0) < 0 || status != 0 || got != sizeof *figures_out)
        bench_die(run->kv->name, "its process failed");
}

/* -------------------------------------------------------------------- suite */

/* The figure whose cost is the median of the rounds. */
static bench_figure lsm_median(const lsm_figures *rounds, unsigned n, size_t at)
{
    double costs[LSM_ROUNDS_MAX], median;

    for (unsigned r = 0; r < n; r++)
        costs[r] = rounds[r].at[at].ns + rounds[r].at[at].bytes;
    qsort(costs, n, sizeof *costs, bench_by_value);
    median = costs[(n - 1) / 2];
    for (unsigned r = 0; r < n; r++)
        if (rounds[r].at[at].ns + rounds[r].at[at].bytes == median)
            return rounds[r].at[at];
    return rounds[0].at[at];
}

static void lsm_suite(const bench_options *opt, const char *suite, size_t value_len)
{
    static const bench_kv *const kvs[] = {&bench_kv_anykv, &bench_kv_rocksdb, &bench_kv_leveldb,
                                          &bench_kv_lmdb};
    enum { KVS = sizeof kvs / sizeof kvs[0] };
    static lsm_figures figures[KVS][LSM_ROUNDS_MAX];
    unsigned           rounds = opt->rounds < LSM_ROUNDS_MAX ? opt->rounds : LSM_ROUNDS_MAX;
    size_t             n      = opt->n * value_len > LSM_BYTES ? LSM_BYTES / value_len : opt->n;
    bench_data        *data   = bench_data_records(n, value_len);
    uint32_t          *again  = bench_data_order(n, 5);

    for (unsigned r = 0; r < rounds; r++)
        for (size_t p = 0; p < KVS; p++) {
            lsm_run run = {.suite = suite, .kv = kvs[p], .data = data, .again = again};

            if (opt->peer && !strstr(kvs[p]->name, opt->peer))
                continue;
            snprintf(run.folder, sizeof run.folder, "%s/lsm-%zu", opt->folder, p);
            lsm_fork(&run, &figures[p][r]);
            fprintf(stderr, "bench: %s round %u %s done\n", suite, r + 1, kvs[p]->name);
        }
    for (size_t i = 0; i < LSM_FIGURES_MAX; i++)
        for (size_t p = 0; p < KVS; p++)
            if (i < figures[p][0].n)
                bench_add(lsm_median(figures[p], rounds, i));
    free(again);
    bench_data_free(data);
}

void bench_suite_lsm(const bench_options *opt)
{
    static char name[64];

    if (opt->value_len != 100) {
        snprintf(name, sizeof name, "lsm, values of %zu bytes", opt->value_len);
        lsm_suite(opt, name, opt->value_len);
        return;
    }
    lsm_suite(opt, "lsm, values of 100 bytes", 100);
    lsm_suite(opt, "lsm, values of 1024 bytes", 1024);
}
