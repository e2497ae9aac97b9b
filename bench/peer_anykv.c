/* SPDX-License-Identifier: MIT
 *
 * peer_anykv.c: our engines as peers: fused by its own interface, and fused
 * and memory through the shared one.
 */
#include "bench/bench.h"

#include <anykv/anykv.h>
#include <anykv/fused.h>

#include <stdlib.h>

static const char *anykv_path(const char *folder)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/store.fsdb", folder);
    return path;
}

static int anykv_check(akv_status rc, const char *what)
{
    if (rc < 0)
        bench_die(what, akv_last_error()->text);
    return rc == AKV_OK ? 0 : 1;
}

static akv_slice anykv_slice(bench_bytes b)
{
    return akv_bytes(b.data, b.len);
}

/* ------------------------------------------------------------ fused, native */

static int fused_build_as(const char *folder, const bench_data *data, uint32_t flags)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    uint32_t                 id;

    opt.flags = flags;
    anykv_check(akv_fused_writer_new(&opt, &w), "writer");
    for (size_t i = 0; i < data->objects_n; i++)
        anykv_check(akv_fused_add_object(w, anykv_slice(data->objects[i]), &id), "add_object");
    for (size_t i = 0; i < data->n; i++)
        anykv_check(akv_fused_add_key(w, anykv_slice(data->keys[i]), data->object_of[i]),
                    "add_key");
    anykv_check(akv_fused_build(w, anykv_path(folder), NULL), "build");
    akv_fused_writer_free(w);
    return 0;
}

static int fused_build(const char *folder, const bench_data *data)
{
    return fused_build_as(folder, data, 0);
}

static int fused_build_plain(const char *folder, const bench_data *data)
{
    return fused_build_as(folder, data, AKV_FUSED_PLAIN);
}

static int fused_open(const char *folder, void **store_out)
{
    akv_fused *f;

    anykv_check(akv_fused_open(anykv_path(folder), NULL, &f), "open");
    *store_out = f;
    return 0;
}

static void fused_close(void *store)
{
    akv_fused_close(store);
}

static int fused_get(void *store, bench_bytes key, bench_bytes *value_out)
{
    akv_slice  value;
    akv_status rc = akv_fused_get(store, anykv_slice(key), &value);

    if (rc == AKV_OK)
        *value_out = (bench_bytes){value.data, value.len};
    return anykv_check(rc, "get");
}

static int fused_get_many(void *store, const bench_bytes *keys, size_t n, uint64_t *sum_io)
{
    akv_slice  slices[64] = {{NULL, 0}}, values[64];
    akv_status statuses[64];

    for (size_t i = 0; i < n; i++)
        slices[i] = anykv_slice(keys[i]);
    anykv_check(akv_fused_get_many(store, n, slices, values, statuses), "get_many");
    for (size_t i = 0; i < n; i++)
        *sum_io += bench_touch(values[i].data, values[i].len);
    return 0;
}

static int fused_exists(void *store, bench_bytes key)
{
    return anykv_check(akv_fused_exists(store, anykv_slice(key)), "exists");
}

static int fused_prefix(void *store, bench_bytes prefix, uint64_t *entries_out, uint64_t *sum_io)
{
    akv_fused_cursor c;
    akv_status       rc;

    *entries_out = 0;
    anykv_check(akv_fused_cursor_prefix(store, anykv_slice(prefix), &c), "cursor");
    while ((rc = akv_fused_cursor_next(&c)) == AKV_OK) {
        *sum_io += bench_touch(c.key.data, c.key.len) + bench_touch(c.object.data, c.object.len);
        ++*entries_out;
    }
    return rc == AKV_END ? 0 : anykv_check(rc, "scan");
}

static int fused_scan(void *store, uint64_t *entries_out, uint64_t *sum_io)
{
    return fused_prefix(store, (bench_bytes){NULL, 0}, entries_out, sum_io);
}

const bench_peer bench_fused_native = {
    .name     = "anykv fused",
    .what     = "objects once; its own interface",
    .build    = fused_build,
    .open     = fused_open,
    .close    = fused_close,
    .get      = fused_get,
    .exists   = fused_exists,
    .get_many = fused_get_many,
    .scan     = fused_scan,
    .prefix   = fused_prefix,
    .threads  = true,
};

const bench_peer bench_fused_plain = {
    .name  = "anykv fused, plain",
    .what  = "a file as FuseDB writes it, without a hash section",
    .build = fused_build_plain,
    .open  = fused_open,
    .close = fused_close,
};

/* ---------------------------------------------------- the shared interface */

static int shared_open_as(const char *engine, const char *path, uint32_t flags, void **store_out)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;

    opt.flags = flags;
    anykv_check(akv_open(engine, path, &opt, &db), "open");
    *store_out = db;
    return 0;
}

static int shared_open(const char *folder, void **store_out)
{
    return shared_open_as("fused", anykv_path(folder), AKV_OPEN_READ_ONLY, store_out);
}

static void shared_close(void *store)
{
    anykv_check(akv_close(store), "close");
}

static int shared_put(void *store, bench_bytes key, bench_bytes value)
{
    return anykv_check(akv_put(store, anykv_slice(key), anykv_slice(value), NULL), "put");
}

static int shared_finish(void *store)
{
    return anykv_check(akv_finish(store, NULL), "finish");
}

static int shared_build(const char *folder, const bench_data *data)
{
    void *db;

    shared_open_as("fused", anykv_path(folder), AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE, &db);
    for (size_t i = 0; i < data->n; i++)
        shared_put(db, data->keys[i], data->objects[data->object_of[i]]);
    shared_finish(db);
    shared_close(db);
    return 0;
}

static int shared_get(void *store, bench_bytes key, bench_bytes *value_out)
{
    akv_value  value;
    akv_status rc = akv_get(store, anykv_slice(key), NULL, &value);

    if (rc == AKV_OK) {
        *value_out = (bench_bytes){value.data, value.len};
        akv_value_release(&value);
    }
    return anykv_check(rc, "get");
}

static int shared_get_many(void *store, const bench_bytes *keys, size_t n, uint64_t *sum_io)
{
    akv_slice  slices[64] = {{NULL, 0}};
    akv_value  values[64];
    akv_status statuses[64];

    for (size_t i = 0; i < n; i++)
        slices[i] = anykv_slice(keys[i]);
    anykv_check(akv_get_many(store, n, slices, NULL, values, statuses), "get_many");
    for (size_t i = 0; i < n; i++)
        *sum_io += bench_touch(values[i].data, values[i].len);
    akv_values_release(values, n);
    return 0;
}

static int shared_exists(void *store, bench_bytes key)
{
    return anykv_check(akv_exists(store, anykv_slice(key), NULL), "exists");
}

static int shared_prefix(void *store, bench_bytes prefix, uint64_t *entries_out, uint64_t *sum_io)
{
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *it;
    akv_status       rc;

    *entries_out = 0;
    opt.prefix   = anykv_slice(prefix);
    anykv_check(akv_scan(store, &opt, &it), "scan");
    while ((rc = akv_iter_next(it)) == AKV_OK) {
        akv_slice key = akv_iter_key(it), value = akv_iter_value(it);

        *sum_io += bench_touch(key.data, key.len) + bench_touch(value.data, value.len);
        ++*entries_out;
    }
    akv_iter_free(it);
    return rc == AKV_END ? 0 : anykv_check(rc, "scan");
}

static int shared_scan(void *store, uint64_t *entries_out, uint64_t *sum_io)
{
    return shared_prefix(store, (bench_bytes){NULL, 0}, entries_out, sum_io);
}

const bench_peer bench_fused_shared = {
    .name     = "anykv fused, shared",
    .what     = "the same file through akv_get",
    .build    = shared_build,
    .open     = shared_open,
    .close    = shared_close,
    .get      = shared_get,
    .exists   = shared_exists,
    .get_many = shared_get_many,
    .scan     = shared_scan,
    .prefix   = shared_prefix,
    .threads  = true,
};

static int memory_create(const char *folder, void **store_out)
{
    (void)folder;
    return shared_open_as("memory", NULL, AKV_OPEN_CREATE, store_out);
}

const bench_peer bench_memory = {
    .name        = "anykv memory",
    .what        = "volatile; the shared interface",
    .create      = memory_create,
    .close       = shared_close,
    .put         = shared_put,
    .finish_puts = shared_finish,
    .get         = shared_get,
    .get_many    = shared_get_many,
    .scan        = shared_scan,
};
