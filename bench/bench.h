/* SPDX-License-Identifier: MIT
 *
 * bench.h: the frame of the benchmarks: data, peers, measurements, report.
 *
 * A suite makes one data set and runs its workloads on every peer in one
 * process and one run, round after round with the peers taking turns, since a
 * machine's speed drifts. A figure is the median of its rounds; ratios are to
 * the suite's first peer, which is ours. Later engines add peers and suites.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* -------------------------------------------------------------------- data */

typedef struct bench_bytes {
    const uint8_t *data;
    size_t         len;
} bench_bytes;

/* n distinct keys, each with one of `objects_n` values, and as many keys of
 * the same shape that are not there. `order` is a random permutation. */
typedef struct bench_data {
    size_t       n, objects_n;
    bench_bytes *keys;
    bench_bytes *missing;
    bench_bytes *objects;
    uint32_t    *object_of;
    uint32_t    *order;
    bench_bytes *prefixes; /* of some 100 to 1,000 keys each, of a million */
    size_t       prefixes_n;
    uint8_t     *pool; /* the bytes themselves */
} bench_data;

/* Keys of 17..31 bytes (addresses and host names) that share objects of about
 * 133 bytes. */
bench_data *bench_data_lookup(size_t n, size_t objects_n);
/* Keys of 16 bytes, each with a value of its own. */
bench_data *bench_data_records(size_t n, size_t value_len);
void        bench_data_free(bench_data *data);
/* A random permutation of n numbers, to be freed. */
uint32_t *bench_data_order(size_t n, uint64_t seed);

/* Reads all bytes of a value, so that a peer which hands out a pointer and one
 * which copies have both brought it into the cache. */
uint64_t bench_touch(const void *data, size_t len);

/* ------------------------------------------------------------------- peers */

/* A store under test. Functions answer 0 when fine; get answers 1 for a miss.
 * What a peer can't do is NULL. */
typedef struct bench_peer {
    const char *name;
    const char *what; /* layout and settings, for the report */
    /* Make the store in `folder` from the data, ready to be opened. */
    int (*build)(const char *folder, const bench_data *data);
    int (*open)(const char *folder, void **store_out);
    void (*close)(void *store);
    /* Make an empty store for put. */
    int (*create)(const char *folder, void **store_out);
    int (*put)(void *store, bench_bytes key, bench_bytes value);
    int (*finish_puts)(void *store);
    /* The value is valid until the next call. */
    int (*get)(void *store, bench_bytes key, bench_bytes *value_out);
    int (*exists)(void *store, bench_bytes key); /* looks at no value */
    /* Adds the touched bytes of n values; 64 keys at most. */
    int (*get_many)(void *store, const bench_bytes *keys, size_t n, uint64_t *sum_io);
    /* Every entry in order; adds keys and values touched. */
    int (*scan)(void *store, uint64_t *entries_out, uint64_t *sum_io);
    /* The same for those that begin with `prefix`. */
    int (*prefix)(void *store, bench_bytes prefix, uint64_t *entries_out, uint64_t *sum_io);
    bool threads; /* one open store serves several threads */
} bench_peer;

extern const bench_peer bench_fused_native, bench_fused_shared, bench_fused_plain, bench_memory;
extern const bench_peer bench_lmdb_inline, bench_lmdb_shared, bench_lmdb_writer;
extern const bench_peer bench_sqlite, bench_cdb_inline, bench_cdb_shared;

/* Prints why and ends the program: a benchmark that half ran is no figure. */
void bench_die(const char *what, const char *why) __attribute__((noreturn));

/* ------------------------------------------------------------ measurements */

typedef struct bench_figure {
    const char *suite, *workload, *peer;
    double      per_s;          /* operations a second, median of the rounds */
    double      ns;             /* nanoseconds an operation, the same figure */
    double      p50_ns, p99_ns; /* of single operations; 0 when not timed singly */
    double      p999_ns;        /* the same; 0: not taken */
    double      bytes;          /* on disk, where the workload is a size */
} bench_figure;

/* Time that has passed or, with --cpu, that this process has had a processor:
 * for a machine that does other things as well. */
uint64_t bench_now_ns(void);
uint64_t bench_folder_bytes(const char *folder);
void     bench_remove_folder(const char *folder);
double   bench_median(double *values, size_t n);
int      bench_by_value(const void *a, const void *b); /* of doubles, for qsort */

typedef struct bench_options {
    size_t      n, objects_n, value_len;
    unsigned    rounds;
    const char *folder; /* scratch */
    const char *suite;  /* NULL: all */
    const char *peer;   /* suite lsm: only stores whose name has this; NULL: all */
    const char *fusedb; /* command that measures FuseDB's package; NULL: none */
    bool        cpu;    /* figures in processor time */
    size_t      open_n; /* keys of the largest file opened; 0: leave it out */
} bench_options;

/* Suites add their figures here. */
void bench_add(bench_figure figure);
void bench_suite_lookup(const bench_options *opt);
void bench_suite_memory(const bench_options *opt);
void bench_suite_addresses(const bench_options *opt);
/* What only a fused file has: its opening at several sizes, its checks. */
void bench_suite_fused(const bench_options *opt);
/* Stores that take single writes for ever: ours, RocksDB, LevelDB, LMDB. */
void bench_suite_lsm(const bench_options *opt);
/* FuseDB's own package over the same data, as figures of the peer "FuseDB, in
 * Python"; how many, at most `cap`. None when there is no such Python. */
size_t bench_fusedb(const bench_options *opt, const bench_data *data, bench_figure *figures_out,
                    size_t cap);

/* Where the report goes besides stdout; NULL: not there. */
typedef struct bench_report_paths {
    const char *json, *svg;
    const char *markdown; /* a table a suite, workloads by stores */
} bench_report_paths;

void bench_report(const bench_options *opt, const bench_report_paths *to);

#endif
