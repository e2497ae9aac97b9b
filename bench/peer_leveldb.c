/* SPDX-License-Identifier: MIT
 *
 * peer_leveldb.c: LevelDB through its C interface, set as the other stores of
 * the suite are.
 */
#include "bench/lsm.h"

#include <leveldb/c.h>
#include <stdlib.h>

typedef struct level_store {
    leveldb_t              *db;
    leveldb_options_t      *opt;
    leveldb_cache_t        *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_writeoptions_t *write;
    leveldb_readoptions_t  *read;
} level_store;

static void level_check(char *err, const char *what)
{
    if (err)
        bench_die(what, err);
}

static void *level_open(const char *folder, bool sync)
{
    level_store *s   = malloc(sizeof *s);
    char        *err = NULL;

    if (!s)
        bench_die("leveldb", "no memory");
    s->opt    = leveldb_options_create();
    s->cache  = leveldb_cache_create_lru(LSM_BENCH_CACHE);
    s->filter = leveldb_filterpolicy_create_bloom(LSM_BENCH_FILTER_BITS);
    s->write  = leveldb_writeoptions_create();
    s->read   = leveldb_readoptions_create();
    leveldb_options_set_cache(s->opt, s->cache);
    leveldb_options_set_filter_policy(s->opt, s->filter);
    leveldb_options_set_create_if_missing(s->opt, 1);
    leveldb_options_set_write_buffer_size(s->opt, LSM_BENCH_WRITE_BUFFER);
    leveldb_options_set_compression(s->opt, leveldb_no_compression);
    leveldb_writeoptions_set_sync(s->write, sync);
    s->db = leveldb_open(s->opt, folder, &err);
    level_check(err, "leveldb_open");
    return s;
}

static void level_close(void *store)
{
    level_store *s = store;

    leveldb_close(s->db);
    leveldb_readoptions_destroy(s->read);
    leveldb_writeoptions_destroy(s->write);
    leveldb_options_destroy(s->opt);
    leveldb_cache_destroy(s->cache);
    leveldb_filterpolicy_destroy(s->filter);
    free(s);
}

static void level_put(void *store, bench_bytes key, bench_bytes value)
{
    level_store *s   = store;
    char        *err = NULL;

    leveldb_put(s->db, s->write, (const char *)key.data, key.len, (const char *)value.data,
                value.len, &err);
    level_check(err, "leveldb_put");
}

static void level_del(void *store, bench_bytes key)
{
    level_store *s   = store;
    char        *err = NULL;

    leveldb_delete(s->db, s->write, (const char *)key.data, key.len, &err);
    level_check(err, "leveldb_delete");
}

static void level_write(void *store, const bench_bytes *keys, const bench_bytes *values, size_t n)
{
    level_store          *s     = store;
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    char                 *err   = NULL;

    for (size_t i = 0; i < n; i++)
        leveldb_writebatch_put(batch, (const char *)keys[i].data, keys[i].len,
                               (const char *)values[i].data, values[i].len);
    leveldb_write(s->db, s->write, batch, &err);
    level_check(err, "leveldb_write");
    leveldb_writebatch_destroy(batch);
}

static bool level_get(void *store, bench_bytes key, uint64_t *sum_io)
{
    level_store *s   = store;
    char        *err = NULL;
    size_t       len;
    char        *v = leveldb_get(s->db, s->read, (const char *)key.data, key.len, &len, &err);

    level_check(err, "leveldb_get");
    if (!v)
        return false;
    *sum_io += bench_touch(v, len);
    leveldb_free(v);
    return true;
}

static void level_begin(leveldb_iterator_t *it, bench_bytes from)
{
    if (from.len > 0)
        leveldb_iter_seek(it, (const char *)from.data, from.len);
    else
        leveldb_iter_seek_to_first(it);
}

static size_t level_range(void *store, bench_bytes from, size_t n, uint64_t *sum_io)
{
    level_store        *s   = store;
    leveldb_iterator_t *it  = leveldb_create_iterator(s->db, s->read);
    char               *err = NULL;
    size_t              got = 0, len;
    const char         *p;

    for (level_begin(it, from); leveldb_iter_valid(it); leveldb_iter_next(it)) {
        p = leveldb_iter_key(it, &len);
        *sum_io += bench_touch(p, len);
        p = leveldb_iter_value(it, &len);
        *sum_io += bench_touch(p, len);
        if (++got == n)
            break;
    }
    leveldb_iter_get_error(it, &err);
    level_check(err, "leveldb_iter");
    leveldb_iter_destroy(it);
    return got;
}

const bench_kv bench_kv_leveldb = {
    .name  = "LevelDB",
    .open  = level_open,
    .close = level_close,
    .put   = level_put,
    .del   = level_del,
    .write = level_write,
    .get   = level_get,
    .range = level_range,
};
