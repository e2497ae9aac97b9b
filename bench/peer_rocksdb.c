/* SPDX-License-Identifier: MIT
 *
 * peer_rocksdb.c: RocksDB through its C interface, with its own defaults but
 * for what all stores of the suite share: write buffer, cache, no compression,
 * filters of the same bits a key.
 */
#include "bench/lsm.h"

#include <rocksdb/c.h>
#include <stdlib.h>

typedef struct rocks_store {
    rocksdb_t                           *db;
    rocksdb_options_t                   *opt;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t                     *cache;
    rocksdb_writeoptions_t              *write;
    rocksdb_readoptions_t               *read;
} rocks_store;

static void rocks_check(char *err, const char *what)
{
    if (err)
        bench_die(what, err);
}

static void *rocks_open(const char *folder, bool sync)
{
    rocks_store *s   = malloc(sizeof *s);
    char        *err = NULL;

    if (!s)
        bench_die("rocksdb", "no memory");
    s->opt   = rocksdb_options_create();
    s->table = rocksdb_block_based_options_create();
    s->cache = rocksdb_cache_create_lru(LSM_BENCH_CACHE);
    s->write = rocksdb_writeoptions_create();
    s->read  = rocksdb_readoptions_create();
    rocksdb_block_based_options_set_block_cache(s->table, s->cache);
    rocksdb_block_based_options_set_filter_policy(
        s->table, rocksdb_filterpolicy_create_bloom_full(LSM_BENCH_FILTER_BITS));
    rocksdb_options_set_block_based_table_factory(s->opt, s->table);
    rocksdb_options_set_create_if_missing(s->opt, 1);
    rocksdb_options_set_write_buffer_size(s->opt, LSM_BENCH_WRITE_BUFFER);
    rocksdb_options_set_compression(s->opt, rocksdb_no_compression);
    rocksdb_writeoptions_set_sync(s->write, sync);
    s->db = rocksdb_open(s->opt, folder, &err);
    rocks_check(err, "rocksdb_open");
    return s;
}

static void rocks_close(void *store)
{
    rocks_store *s = store;

    rocksdb_close(s->db);
    rocksdb_readoptions_destroy(s->read);
    rocksdb_writeoptions_destroy(s->write);
    rocksdb_options_destroy(s->opt);
    rocksdb_block_based_options_destroy(s->table);
    rocksdb_cache_destroy(s->cache);
    free(s);
}

static void rocks_put(void *store, bench_bytes key, bench_bytes value)
{
    rocks_store *s   = store;
    char        *err = NULL;

    rocksdb_put(s->db, s->write, (const char *)key.data, key.len, (const char *)value.data,
                value.len, &err);
    rocks_check(err, "rocksdb_put");
}

static void rocks_del(void *store, bench_bytes key)
{
    rocks_store *s   = store;
    char        *err = NULL;

    rocksdb_delete(s->db, s->write, (const char *)key.data, key.len, &err);
    rocks_check(err, "rocksdb_delete");
}

static void rocks_write(void *store, const bench_bytes *keys, const bench_bytes *values, size_t n)
{
    rocks_store          *s     = store;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char                 *err   = NULL;

    for (size_t i = 0; i < n; i++)
        rocksdb_writebatch_put(batch, (const char *)keys[i].data, keys[i].len,
                               (const char *)values[i].data, values[i].len);
    rocksdb_write(s->db, s->write, batch, &err);
    rocks_check(err, "rocksdb_write");
    rocksdb_writebatch_destroy(batch);
}

static bool rocks_get(void *store, bench_bytes key, uint64_t *sum_io)
{
    rocks_store             *s   = store;
    char                    *err = NULL;
    rocksdb_pinnableslice_t *v =
        rocksdb_get_pinned(s->db, s->read, (const char *)key.data, key.len, &err);
    const char *data;
    size_t      len;

    rocks_check(err, "rocksdb_get_pinned");
    if (!v)
        return false;
    data = rocksdb_pinnableslice_value(v, &len);
    *sum_io += bench_touch(data, len);
    rocksdb_pinnableslice_destroy(v);
    return true;
}

static void rocks_begin(rocksdb_iterator_t *it, bench_bytes from)
{
    if (from.len > 0)
        rocksdb_iter_seek(it, (const char *)from.data, from.len);
    else
        rocksdb_iter_seek_to_first(it);
}

static size_t rocks_range(void *store, bench_bytes from, size_t n, uint64_t *sum_io)
{
    rocks_store        *s   = store;
    rocksdb_iterator_t *it  = rocksdb_create_iterator(s->db, s->read);
    char               *err = NULL;
    size_t              got = 0, len;
    const char         *p;

    for (rocks_begin(it, from); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        p = rocksdb_iter_key(it, &len);
        *sum_io += bench_touch(p, len);
        p = rocksdb_iter_value(it, &len);
        *sum_io += bench_touch(p, len);
        if (++got == n)
            break;
    }
    rocksdb_iter_get_error(it, &err);
    rocks_check(err, "rocksdb_iter");
    rocksdb_iter_destroy(it);
    return got;
}

const bench_kv bench_kv_rocksdb = {
    .name  = "RocksDB",
    .open  = rocks_open,
    .close = rocks_close,
    .put   = rocks_put,
    .del   = rocks_del,
    .write = rocks_write,
    .get   = rocks_get,
    .range = rocks_range,
};
