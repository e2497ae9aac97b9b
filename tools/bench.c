/* SPDX-License-Identifier: MIT
 *
 * bench.c: `anykv bench`: how fast a store engine is on this machine.
 *
 * One operation in sixteen is timed for the percentiles, so that the clock
 * does not weigh on the rate.
 */
#include "tools/commands.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BENCH_SAMPLE 16u
#define BENCH_KEY    20u

typedef struct bench {
    cli        *c;
    cli_store   store;
    const char *path;
    uint64_t    n, value_size;
    uint64_t   *order;   /* 0..n-1, shuffled */
    char       *value;   /* value_size bytes */
    uint64_t   *samples; /* ns */
    size_t      samples_n;
    uint64_t    random;
    akv        *db;
    bool        stored; /* there is a store at `path` */
} bench;

static uint64_t bench_random(bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

/* "key" and 16 digits, and `end` unless it is NUL. By hand: snprintf would take
 * longer than what is measured. */
static akv_slice bench_key(char text[BENCH_KEY], uint64_t i, char end)
{
    memcpy(text, "key", 3);
    for (size_t at = 18; at >= 3; at--, i /= 10)
        text[at] = (char)('0' + i % 10);
    text[19] = end;
    return akv_bytes(text, end ? 20 : 19);
}

/* ---------------------------------------------------------------- workloads */

static akv_status bench_put(bench *b, uint64_t i)
{
    char     key[BENCH_KEY];
    uint64_t tag = i;

    memcpy(b->value, &tag, b->value_size < sizeof tag ? b->value_size : sizeof tag);
    return akv_put(b->db, bench_key(key, i, '\0'), akv_bytes(b->value, b->value_size), NULL);
}

static akv_status bench_get(bench *b, uint64_t i, char end)
{
    char       key[BENCH_KEY];
    akv_value  value = AKV_VALUE_INIT;
    akv_status rc    = akv_get(b->db, bench_key(key, i, end), NULL, &value);

    akv_value_release(&value);
    return rc == AKV_ABSENT ? AKV_OK : rc;
}

static akv_status bench_op(bench *b, const char *workload, akv_iter *it, uint64_t i)
{
    if (!strcmp(workload, "fillseq"))
        return bench_put(b, i);
    if (!strcmp(workload, "fillrandom"))
        return bench_put(b, b->order[i]);
    if (!strcmp(workload, "readseq"))
        return akv_iter_next(it);
    return bench_get(b, bench_random(b) % b->n, strcmp(workload, "readmissing") ? '\0' : '-');
}

/* A new, empty store in the place of any that is there. */
static int bench_fresh(bench *b)
{
    akv_status rc = akv_close(b->db);

    b->db = NULL;
    if (rc != AKV_OK)
        return cli_failed(b->c);
    if (b->stored && akv_destroy(b->store.engine, b->path, NULL) != AKV_OK)
        return cli_failed(b->c);
    b->stored = strcmp(b->store.engine, "memory") != 0;
    return cli_open(b->c, &b->store, b->stored ? b->path : NULL,
                    AKV_OPEN_CREATE | (b->stored ? AKV_OPEN_EXCLUSIVE : 0), 0, &b->db);
}

static int bench_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void bench_report(const bench *b, const char *workload, uint64_t ns, bool first)
{
    double   seconds = (double)(ns ? ns : 1) / 1e9;
    uint64_t p50 = 0, p99 = 0;

    if (b->samples_n) {
        qsort(b->samples, b->samples_n, sizeof *b->samples, bench_compare);
        p50 = b->samples[b->samples_n / 2];
        p99 = b->samples[b->samples_n * 99 / 100];
    }
    if (b->c->json)
        printf("%s{\"workload\":\"%s\",\"ops\":%llu,\"seconds\":%.6f,\"ops_per_s\":%.0f,"
               "\"p50_ns\":%llu,\"p99_ns\":%llu}",
               first ? "" : ",\n ", workload, (unsigned long long)b->n, seconds,
               (double)b->n / seconds, (unsigned long long)p50, (unsigned long long)p99);
    else
        printf("%-12s %12llu %14.0f %12llu %12llu\n", workload, (unsigned long long)b->n,
               (double)b->n / seconds, (unsigned long long)p50, (unsigned long long)p99);
    fflush(stdout);
}

/* n operations, then what makes them count: a fill ends with finish. */
static akv_status bench_loop(bench *b, const char *workload, akv_iter *it, bool fill)
{
    akv_status rc = AKV_OK;

    b->samples_n = 0;
    for (uint64_t i = 0; i < b->n && rc == AKV_OK; i++) {
        uint64_t begin = i % BENCH_SAMPLE ? 0 : cli_clock_ns();

        rc = bench_op(b, workload, it, i);
        if (i % BENCH_SAMPLE == 0)
            b->samples[b->samples_n++] = cli_clock_ns() - begin;
    }
    return rc == AKV_OK && fill ? akv_finish(b->db, NULL) : rc;
}

static int bench_workload(bench *b, const char *workload, bool first)
{
    bool       fill = !strncmp(workload, "fill", 4);
    akv_iter  *it   = NULL;
    akv_status rc   = AKV_OK;
    int        code = fill ? bench_fresh(b) : CLI_GO;
    uint64_t   begin;

    if (code != CLI_GO)
        return code;
    if (!strcmp(workload, "readseq"))
        rc = akv_scan(b->db, NULL, &it);
    begin = cli_clock_ns();
    if (rc == AKV_OK)
        rc = bench_loop(b, workload, it, fill);
    begin = cli_clock_ns() - begin;
    akv_iter_free(it);
    if (rc != AKV_OK) {
        code = cli_failed(b->c);
        if (akv_capabilities(b->db) & AKV_CAP_BUILD)
            akv_abort(b->db);
        return code;
    }
    bench_report(b, workload, begin, first);
    return CLI_GO;
}

/* -------------------------------------------------------------- around them */

static bool bench_prepare(bench *b)
{
    b->order   = calloc(b->n, sizeof *b->order);
    b->samples = calloc(b->n / BENCH_SAMPLE + 1, sizeof *b->samples);
    b->value   = malloc(b->value_size + 1);
    if (!b->order || !b->samples || !b->value)
        return false;
    b->random = 88172645463325252u;
    for (uint64_t i = 0; i < b->n; i++)
        b->order[i] = i;
    for (uint64_t i = b->n - 1; i > 0; i--) {
        uint64_t k = bench_random(b) % (i + 1), t = b->order[i];

        b->order[i] = b->order[k];
        b->order[k] = t;
    }
    for (uint64_t i = 0; i < b->value_size; i++)
        b->value[i] = (char)bench_random(b);
    return true;
}

static int bench_all(bench *b)
{
    static const char *const workloads[] = {"fillseq", "fillrandom", "readrandom", "readmissing",
                                            "readseq"};
    int                      code        = CLI_GO;

    if (b->c->json)
        printf("{\"engine\":\"%s\",\"n\":%llu,\"value_size\":%llu,\"workloads\":[", b->store.engine,
               (unsigned long long)b->n, (unsigned long long)b->value_size);
    else
        printf("%s, keys of 19 bytes, values of %llu\n\n%-12s %12s %14s %12s %12s\n",
               b->store.engine, (unsigned long long)b->value_size, "workload", "ops", "ops/s",
               "p50 ns", "p99 ns");
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads && code == CLI_GO; i++)
        code = bench_workload(b, workloads[i], i == 0);
    if (b->c->json && code == CLI_GO)
        printf("]}\n");
    return code == CLI_GO ? CLI_FINE : code;
}

/* A folder of its own under TMPDIR, and the store's path in it. */
static int bench_folder(bench *b, char *folder, char *path, size_t cap)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, cap, "%s/anykv-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return cli_fail(b->c, "AKV_IO", folder, AKV_NO_OFFSET, "can't make a folder: %s",
                        strerror(errno));
    snprintf(path, cap + 8, "%s/store", folder);
    b->path = path;
    return CLI_GO;
}

static int bench_in_place(bench *b)
{
    char folder[1024] = "", path[1032];
    bool own          = !b->path && strcmp(b->store.engine, "memory") != 0;
    int  code         = own ? bench_folder(b, folder, path, sizeof folder) : CLI_GO;

    if (code == CLI_GO && !bench_prepare(b))
        code = cli_fail(b->c, "AKV_NOMEM", NULL, AKV_NO_OFFSET, "out of memory for %llu keys",
                        (unsigned long long)b->n);
    if (code == CLI_GO)
        code = cli_flush(b->c, bench_all(b));
    code = cli_close(b->c, &b->store, b->db, code);
    if (own && b->stored)
        akv_destroy(b->store.engine, b->path, NULL);
    if (own && *folder)
        rmdir(folder);
    free(b->order);
    free(b->samples);
    free(b->value);
    return code;
}

static int bench_run(cli *c)
{
    bench            b         = {.c = c, .store = CLI_STORE_INIT, .n = 100000, .value_size = 100};
    const cli_option options[] = {
        {CLI_NUMBER, 'n', "n", "N", &b.n, "how many keys (100000)"},
        {CLI_NUMBER, 0, "value-size", "BYTES", &b.value_size, "of a value (100)"},
        CLI_STORE_WRITE_ROWS(&b.store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 0, 1);

    if (code != CLI_GO)
        return code;
    if (!b.store.engine)
        return cli_close(c, &b.store, NULL,
                         cli_usage(c, "--engine is needed; 'anykv engines' lists them"));
    if (b.n < 1 || b.n > UINT64_C(1) << 32 || b.value_size > UINT64_C(1) << 30)
        return cli_close(c, &b.store, NULL,
                         cli_usage(c, "--n is 1..2^32 and --value-size 0..2^30"));
    b.path = c->argc ? c->argv[0] : NULL;
    return bench_in_place(&b);
}

const cli_command cli_bench_command = {
    "bench", "[PATH]", "measure an engine on this machine",
    "Fill a throwaway store in order and at random, then read it at random, ask for\n"
    "keys that are not there, and read it in order. The store is made in a folder of\n"
    "its own under $TMPDIR, or at PATH, where nothing may be and where it stays.\n\n"
    "Examples:\n"
    "  anykv bench -e memory\n"
    "  anykv bench -e fused --n 1000000 --value-size 133\n"
    "  anykv bench -e fused --json ./bench.fsdb",
    bench_run};
