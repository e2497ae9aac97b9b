/* SPDX-License-Identifier: MIT
 *
 * peer_lmdb.c: LMDB in three settings: one value with every key; each object
 * once in a second table, which a get then looks into; and written one put at
 * a time, in memory-mapped mode without sync, as the nearest to `memory`.
 */
#include "bench/bench.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct lmdb_store {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi  keys, objects;
    bool     shared, writing;
} lmdb_store;

static void lmdb_check(int rc, const char *what)
{
    if (rc != 0)
        bench_die(what, mdb_strerror(rc));
}

static MDB_val lmdb_val(bench_bytes b)
{
    return (MDB_val){b.len, (void *)(uintptr_t)b.data};
}

static lmdb_store *lmdb_begin(const char *folder, unsigned env_flags, unsigned txn_flags,
                              bool shared)
{
    lmdb_store *s      = calloc(1, sizeof *s);
    unsigned    create = txn_flags & MDB_RDONLY ? 0 : MDB_CREATE;

    if (!s)
        bench_die("lmdb", "no memory");
    s->shared = shared;
    lmdb_check(mdb_env_create(&s->env), "mdb_env_create");
    lmdb_check(mdb_env_set_mapsize(s->env, (size_t)16 << 30), "mdb_env_set_mapsize");
    lmdb_check(mdb_env_set_maxdbs(s->env, 2), "mdb_env_set_maxdbs");
    lmdb_check(mdb_env_open(s->env, folder, env_flags, 0644), "mdb_env_open");
    lmdb_check(mdb_txn_begin(s->env, NULL, txn_flags, &s->txn), "mdb_txn_begin");
    lmdb_check(mdb_dbi_open(s->txn, "keys", create, &s->keys), "mdb_dbi_open");
    if (shared)
        lmdb_check(mdb_dbi_open(s->txn, "objects", create | MDB_INTEGERKEY, &s->objects),
                   "mdb_dbi_open");
    return s;
}

static void lmdb_close(void *store)
{
    lmdb_store *s = store;

    if (s->txn)
        mdb_txn_abort(s->txn);
    mdb_env_close(s->env);
    free(s);
}

/* Keys go in sorted, as a bulk load would. */
static const bench_data *lmdb_sort_data;

static int lmdb_by_key(const void *a, const void *b)
{
    const bench_bytes *x = &lmdb_sort_data->keys[*(const uint32_t *)a];
    const bench_bytes *y = &lmdb_sort_data->keys[*(const uint32_t *)b];
    int                c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

    return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

static int lmdb_build(const char *folder, const bench_data *data, bool shared)
{
    lmdb_store *s      = lmdb_begin(folder, 0, 0, shared);
    uint32_t   *sorted = malloc(data->n * sizeof *sorted);

    if (!sorted)
        bench_die("lmdb", "no memory");
    for (size_t i = 0; i < data->n; i++)
        sorted[i] = (uint32_t)i;
    lmdb_sort_data = data;
    qsort(sorted, data->n, sizeof *sorted, lmdb_by_key);
    for (size_t i = 0; i < data->n; i++) {
        uint32_t object = data->object_of[sorted[i]];
        MDB_val  key    = lmdb_val(data->keys[sorted[i]]);
        MDB_val  value  = lmdb_val(data->objects[object]);

        if (shared)
            value = (MDB_val){sizeof object, &object};
        lmdb_check(mdb_put(s->txn, s->keys, &key, &value, MDB_APPEND), "mdb_put");
    }
    for (uint32_t i = 0; shared && i < data->objects_n; i++) {
        MDB_val key = {sizeof i, &i}, value = lmdb_val(data->objects[i]);

        lmdb_check(mdb_put(s->txn, s->objects, &key, &value, MDB_APPEND), "mdb_put");
    }
    free(sorted);
    lmdb_check(mdb_txn_commit(s->txn), "mdb_txn_commit");
    s->txn = NULL;
    lmdb_close(s);
    return 0;
}

static int lmdb_build_inline(const char *folder, const bench_data *data)
{
    return lmdb_build(folder, data, false);
}

static int lmdb_build_shared(const char *folder, const bench_data *data)
{
    return lmdb_build(folder, data, true);
}

static int lmdb_open_inline(const char *folder, void **store_out)
{
    *store_out = lmdb_begin(folder, MDB_RDONLY, MDB_RDONLY, false);
    return 0;
}

static int lmdb_open_shared(const char *folder, void **store_out)
{
    *store_out = lmdb_begin(folder, MDB_RDONLY, MDB_RDONLY, true);
    return 0;
}

static int lmdb_object(lmdb_store *s, MDB_val *value)
{
    uint32_t id;
    MDB_val  key = {sizeof id, &id};

    memcpy(&id, value->mv_data, sizeof id);
    return mdb_get(s->txn, s->objects, &key, value);
}

static int lmdb_get(void *store, bench_bytes key, bench_bytes *value_out)
{
    lmdb_store *s  = store;
    MDB_val     k  = lmdb_val(key), v;
    int         rc = mdb_get(s->txn, s->keys, &k, &v);

    if (rc == 0 && s->shared)
        rc = lmdb_object(s, &v);
    if (rc == MDB_NOTFOUND)
        return 1;
    lmdb_check(rc, "mdb_get");
    *value_out = (bench_bytes){v.mv_data, v.mv_size};
    return 0;
}

static int lmdb_prefix(void *store, bench_bytes prefix, uint64_t *entries_out, uint64_t *sum_io)
{
    lmdb_store *s = store;
    MDB_cursor *c;
    MDB_val     k = lmdb_val(prefix), v;
    int         rc;

    *entries_out = 0;
    lmdb_check(mdb_cursor_open(s->txn, s->keys, &c), "mdb_cursor_open");
    rc = mdb_cursor_get(c, &k, &v, prefix.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (rc == 0 && k.mv_size >= prefix.len &&
           (prefix.len == 0 || memcmp(k.mv_data, prefix.data, prefix.len) == 0)) {
        if (s->shared)
            lmdb_check(lmdb_object(s, &v), "mdb_get");
        *sum_io += bench_touch(k.mv_data, k.mv_size) + bench_touch(v.mv_data, v.mv_size);
        ++*entries_out;
        rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(c);
    if (rc != MDB_NOTFOUND)
        lmdb_check(rc, "mdb_cursor_get");
    return 0;
}

static int lmdb_scan(void *store, uint64_t *entries_out, uint64_t *sum_io)
{
    return lmdb_prefix(store, (bench_bytes){NULL, 0}, entries_out, sum_io);
}

static int lmdb_create(const char *folder, void **store_out)
{
    lmdb_store *s = lmdb_begin(folder, MDB_WRITEMAP | MDB_NOSYNC, 0, false);

    lmdb_check(mdb_txn_commit(s->txn), "mdb_txn_commit");
    s->txn     = NULL;
    s->writing = true;
    *store_out = s;
    return 0;
}

/* One transaction a put: each is visible, as our puts are. */
static int lmdb_put(void *store, bench_bytes key, bench_bytes value)
{
    lmdb_store *s = store;
    MDB_val     k = lmdb_val(key), v = lmdb_val(value);
    MDB_txn    *txn;

    lmdb_check(mdb_txn_begin(s->env, NULL, 0, &txn), "mdb_txn_begin");
    lmdb_check(mdb_put(txn, s->keys, &k, &v, 0), "mdb_put");
    lmdb_check(mdb_txn_commit(txn), "mdb_txn_commit");
    return 0;
}

static int lmdb_finish(void *store)
{
    lmdb_store *s = store;

    lmdb_check(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn), "mdb_txn_begin");
    return 0;
}

const bench_peer bench_lmdb_inline = {
    .name   = "LMDB, inline",
    .what   = "the object with every key; one read transaction",
    .build  = lmdb_build_inline,
    .open   = lmdb_open_inline,
    .close  = lmdb_close,
    .get    = lmdb_get,
    .scan   = lmdb_scan,
    .prefix = lmdb_prefix,
};

const bench_peer bench_lmdb_shared = {
    .name   = "LMDB, objects once",
    .what   = "key to id, id to object in a second table",
    .build  = lmdb_build_shared,
    .open   = lmdb_open_shared,
    .close  = lmdb_close,
    .get    = lmdb_get,
    .scan   = lmdb_scan,
    .prefix = lmdb_prefix,
};

const bench_peer bench_lmdb_writer = {
    .name        = "LMDB",
    .what        = "MDB_WRITEMAP, MDB_NOSYNC, a transaction a put; reads in one transaction",
    .create      = lmdb_create,
    .close       = lmdb_close,
    .put         = lmdb_put,
    .finish_puts = lmdb_finish,
    .get         = lmdb_get,
    .scan        = lmdb_scan,
};
