/* SPDX-License-Identifier: MIT
 *
 * peer_lmdb_rw.c: LMDB in the suite `lsm`: MDB_WRITEMAP, without sync unless
 * asked, a transaction a write and a read.
 */
#include "bench/lsm.h"

#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct rw_store {
    MDB_env *env;
    MDB_dbi  dbi;
} rw_store;

static void rw_check(int rc, const char *what)
{
    if (rc != 0)
        bench_die(what, mdb_strerror(rc));
}

static MDB_val rw_val(bench_bytes b)
{
    return (MDB_val){b.len, (void *)(uintptr_t)b.data};
}

static MDB_txn *rw_begin(rw_store *s, unsigned flags)
{
    MDB_txn *txn;

    rw_check(mdb_txn_begin(s->env, NULL, flags, &txn), "mdb_txn_begin");
    return txn;
}

static void *rw_open(const char *folder, bool sync)
{
    rw_store *s = malloc(sizeof *s);
    MDB_txn  *txn;

    if (!s)
        bench_die("lmdb", "no memory");
    mkdir(folder, 0755);
    rw_check(mdb_env_create(&s->env), "mdb_env_create");
    rw_check(mdb_env_set_mapsize(s->env, (size_t)16 << 30), "mdb_env_set_mapsize");
    rw_check(mdb_env_open(s->env, folder, sync ? 0 : MDB_WRITEMAP | MDB_NOSYNC, 0644),
             "mdb_env_open");
    txn = rw_begin(s, 0);
    rw_check(mdb_dbi_open(txn, NULL, 0, &s->dbi), "mdb_dbi_open");
    rw_check(mdb_txn_commit(txn), "mdb_txn_commit");
    return s;
}

static void rw_close(void *store)
{
    rw_store *s = store;

    mdb_env_close(s->env);
    free(s);
}

static void rw_write(void *store, const bench_bytes *keys, const bench_bytes *values, size_t n)
{
    rw_store *s   = store;
    MDB_txn  *txn = rw_begin(s, 0);

    for (size_t i = 0; i < n; i++) {
        MDB_val k = rw_val(keys[i]), v = rw_val(values[i]);

        rw_check(mdb_put(txn, s->dbi, &k, &v, 0), "mdb_put");
    }
    rw_check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void rw_put(void *store, bench_bytes key, bench_bytes value)
{
    rw_write(store, &key, &value, 1);
}

static void rw_del(void *store, bench_bytes key)
{
    rw_store *s   = store;
    MDB_txn  *txn = rw_begin(s, 0);
    MDB_val   k   = rw_val(key);
    int       rc  = mdb_del(txn, s->dbi, &k, NULL);

    if (rc != MDB_NOTFOUND)
        rw_check(rc, "mdb_del");
    rw_check(mdb_txn_commit(txn), "mdb_txn_commit");
}

static bool rw_get(void *store, bench_bytes key, uint64_t *sum_io)
{
    rw_store *s   = store;
    MDB_txn  *txn = rw_begin(s, MDB_RDONLY);
    MDB_val   k   = rw_val(key), v;
    int       rc  = mdb_get(txn, s->dbi, &k, &v);

    if (rc != MDB_NOTFOUND) {
        rw_check(rc, "mdb_get");
        *sum_io += bench_touch(v.mv_data, v.mv_size);
    }
    mdb_txn_abort(txn);
    return rc == 0;
}

static size_t rw_range(void *store, bench_bytes from, size_t n, uint64_t *sum_io)
{
    rw_store   *s   = store;
    MDB_txn    *txn = rw_begin(s, MDB_RDONLY);
    MDB_cursor *c;
    MDB_val     k   = rw_val(from), v;
    size_t      got = 0;
    int         rc;

    rw_check(mdb_cursor_open(txn, s->dbi, &c), "mdb_cursor_open");
    for (rc = mdb_cursor_get(c, &k, &v, from.len > 0 ? MDB_SET_RANGE : MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        *sum_io += bench_touch(k.mv_data, k.mv_size) + bench_touch(v.mv_data, v.mv_size);
        if (++got == n)
            break;
    }
    if (rc != MDB_NOTFOUND)
        rw_check(rc, "mdb_cursor_get");
    mdb_cursor_close(c);
    mdb_txn_abort(txn);
    return got;
}

const bench_kv bench_kv_lmdb = {
    .name  = "LMDB",
    .open  = rw_open,
    .close = rw_close,
    .put   = rw_put,
    .del   = rw_del,
    .write = rw_write,
    .get   = rw_get,
    .range = rw_range,
};
