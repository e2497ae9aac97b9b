/* SPDX-License-Identifier: MIT
 *
 * lsm.h: what the suite `lsm` asks of a store that takes single writes for ever.
 */
#ifndef BENCH_LSM_H
#define BENCH_LSM_H

#include "bench/bench.h"

#define LSM_BENCH_BATCH        1000u
#define LSM_BENCH_WRITE_BUFFER ((size_t)64 << 20)
#define LSM_BENCH_CACHE        ((size_t)256 << 20)
#define LSM_BENCH_FILTER_BITS  10

/* Failures end the program. Any thread may call put, del, write, get and range. */
typedef struct bench_kv {
    const char *name;
    /* An empty or existing store; `sync`: each write is on the device when it returns. */
    void *(*open)(const char *folder, bool sync);
    void (*close)(void *store);
    void (*put)(void *store, bench_bytes key, bench_bytes value);
    void (*del)(void *store, bench_bytes key);
    /* All at once, at most LSM_BENCH_BATCH. */
    void (*write)(void *store, const bench_bytes *keys, const bench_bytes *values, size_t n);
    /* Adds the touched bytes of the value; false: there is none. */
    bool (*get)(void *store, bench_bytes key, uint64_t *sum_io);
    /* At most n entries from a key on; adds keys and values touched; how many. */
    size_t (*range)(void *store, bench_bytes from, size_t n, uint64_t *sum_io);
} bench_kv;

extern const bench_kv bench_kv_anykv, bench_kv_rocksdb, bench_kv_leveldb, bench_kv_lmdb;

#endif
