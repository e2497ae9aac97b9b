/* SPDX-License-Identifier: MIT
 *
 * peer_lsm.c: our engine `lsm` through the shared interface.
 */
#include "bench/lsm.h"

#include <anykv/lsm.h>

static void lsm_check(akv_status rc, const char *what)
{
    if (rc < 0)
        bench_die(what, akv_last_error()->text);
}

static akv_slice lsm_slice(bench_bytes b)
{
    return akv_bytes(b.data, b.len);
}

static void *lsm_open(const char *folder, bool sync)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv_lsm_options  lsm = AKV_LSM_OPTIONS_INIT;
    akv             *db;

    lsm.write_buffer   = LSM_BENCH_WRITE_BUFFER;
    lsm.block_cache    = LSM_BENCH_CACHE;
    lsm.filter_bits    = LSM_BENCH_FILTER_BITS;
    lsm.compression    = "none";
    opt.flags          = AKV_OPEN_CREATE;
    opt.sync           = sync ? AKV_SYNC_ALWAYS : AKV_SYNC_NEVER;
    opt.engine_options = &lsm.head;
    lsm_check(akv_open("lsm", folder, &opt, &db), "open");
    return db;
}

static void lsm_close(void *store)
{
    lsm_check(akv_close(store), "close");
}

static void lsm_put(void *store, bench_bytes key, bench_bytes value)
{
    lsm_check(akv_put(store, lsm_slice(key), lsm_slice(value), NULL), "put");
}

static void lsm_del(void *store, bench_bytes key)
{
    lsm_check(akv_delete(store, lsm_slice(key), NULL), "delete");
}

static void lsm_write(void *store, const bench_bytes *keys, const bench_bytes *values, size_t n)
{
    akv_batch *batch;

    lsm_check(akv_batch_new(store, &batch), "batch");
    for (size_t i = 0; i < n; i++)
        lsm_check(akv_batch_put(batch, lsm_slice(keys[i]), lsm_slice(values[i]), NULL), "batch");
    lsm_check(akv_write(store, batch, NULL), "write");
    akv_batch_free(batch);
}

static bool lsm_get(void *store, bench_bytes key, uint64_t *sum_io)
{
    akv_value  value;
    akv_status rc = akv_get(store, lsm_slice(key), NULL, &value);

    lsm_check(rc, "get");
    if (rc != AKV_OK)
        return false;
    *sum_io += bench_touch(value.data, value.len);
    akv_value_release(&value);
    return true;
}

static size_t lsm_range(void *store, bench_bytes from, size_t n, uint64_t *sum_io)
{
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *it;
    akv_status       rc;
    size_t           got = 0;

    lsm_check(akv_scan(store, &opt, &it), "scan");
    rc = from.len > 0 ? akv_iter_seek(it, lsm_slice(from)) : akv_iter_first(it);
    for (; rc == AKV_OK; rc = akv_iter_next(it)) {
        akv_slice key = akv_iter_key(it), value = akv_iter_value(it);

        *sum_io += bench_touch(key.data, key.len) + bench_touch(value.data, value.len);
        if (++got == n)
            break;
    }
    lsm_check(rc, "scan");
    akv_iter_free(it);
    return got;
}

const bench_kv bench_kv_anykv = {
    .name  = "anykv lsm",
    .open  = lsm_open,
    .close = lsm_close,
    .put   = lsm_put,
    .del   = lsm_del,
    .write = lsm_write,
    .get   = lsm_get,
    .range = lsm_range,
};
