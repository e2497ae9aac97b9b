/* SPDX-License-Identifier: MIT
 *
 * engine.c: the fused engine behind the shared interface: an immutable store to
 * read, or one under construction that takes puts until akv_finish. A file
 * that is replaced stays in place, and in use by those who have it open, until
 * then. An immutable store is its own snapshot.
 */
#include "engines/fused/engine.h"

#include "common/base/handle.h"
#include "common/base/mem.h"
#include "common/env/file.h"

#include <errno.h>

#define ENGINE_CAPS                                                                           \
    (AKV_CAP_READ | AKV_CAP_BUILD | AKV_CAP_ORDERED | AKV_CAP_SNAPSHOT | AKV_CAP_CHECKPOINT | \
     AKV_CAP_STREAM_READ | AKV_CAP_SHARED_READ | AKV_CAP_DURABLE)

#define ENGINE_COPY ((uint64_t)1 << 20) /* checkpoint's step */

/* The reader, or why there is none. */
static akv_status engine_reader(void *impl, akv_fused **reader_out)
{
    fused_store *s = impl;

    *reader_out = atomic_load_explicit(&s->reader, memory_order_acquire);
    if (*reader_out)
        return AKV_OK;
    return AKV_FAIL_AT(AKV_UNSUPPORTED, s->path, AKV_NO_OFFSET,
                       "this store is not built yet: reads begin after akv_finish");
}

static bool engine_check(const akv_fused *f, const akv_read_options *opt)
{
    return f->check_objects || (opt->flags & AKV_READ_VERIFY);
}

/* ------------------------------------------------------------ open and close */

/* Something to build upon: the folder is there, and the file where it may be. */
static akv_status engine_may_build(const akv_open_args *args, bool exists)
{
    char         *folder;
    akv_file_info info;
    akv_status    st;

    if (exists && (args->flags & AKV_OPEN_EXCLUSIVE))
        return AKV_FAIL_ERRNO(EEXIST, args->path, AKV_NO_OFFSET,
                              "can't make a store where one is, as AKV_OPEN_EXCLUSIVE asks");
    folder = akvi_path_folder(args->allocator, args->path);
    if (!folder)
        return AKV_NOMEM;
    st = args->env->ops->info(args->env, folder, &info);
    if (st == AKV_OK && info.kind != AKV_KIND_FOLDER)
        st = AKV_FAIL_ERRNO(ENOTDIR, folder, AKV_NO_OFFSET, "can't make a store there");
    akvi_strfree(args->allocator, folder);
    return st;
}

static akv_status engine_new_writer(fused_store *s)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;

    opt.flags     = s->options.hash_section ? 0 : AKV_FUSED_PLAIN;
    opt.allocator = s->allocator;
    opt.env       = s->env;
    opt.buffer    = s->options.build_buffer;
    opt.temp_dir  = s->options.temp_dir;
    return akvi_fused_writer_new(&opt, s->path, &s->writer);
}

static akv_status engine_open_as(fused_store *s, const akv_open_args *args, bool *build_out)
{
    akv_fused    *reader = NULL;
    akv_file_info info;
    akv_status    st     = akvi_path_info(args->env, args->path, &info);
    bool          exists = st == AKV_OK;

    if (st < 0)
        return st;
    if (exists && info.kind != AKV_KIND_FILE)
        return AKV_FAIL_ERRNO(EISDIR, args->path, AKV_NO_OFFSET, "a fused store is one .fsdb file");
    *build_out = !(args->flags & AKV_OPEN_READ_ONLY) &&
                 (exists ? (args->flags & (AKV_OPEN_TRUNCATE | AKV_OPEN_EXCLUSIVE)) != 0
                         : (args->flags & AKV_OPEN_CREATE) != 0);
    if (*build_out) {
        st = engine_may_build(args, exists);
        return st == AKV_OK ? engine_new_writer(s) : st;
    }
    st = akvi_fused_open(args->path, &s->options, s->allocator, s->env,
                         args->flags & AKV_OPEN_SALVAGE ? args->logger : NULL, &reader);
    if (st == AKV_OK && reader->section_state == AKV_FUSED_SECTION_DAMAGED)
        akv_engine_log(args->logger, AKV_LOG_WARN, "fused",
                       "%s: the hash section is damaged, so the index is used; build the file "
                       "anew to open it at once again",
                       args->path);
    atomic_store_explicit(&s->reader, reader, memory_order_release);
    return st;
}

static akv_status engine_close(void *impl)
{
    fused_store *s = impl;

    akv_fused_writer_free(s->writer);
    akvi_fused_close(atomic_load_explicit(&s->reader, memory_order_relaxed));
    akvi_mutex_destroy(&s->mu);
    akvi_strfree(s->allocator, s->path);
    akvi_free(s->allocator, s, sizeof *s);
    return AKV_OK;
}

static akv_status engine_open(const akv_open_args *args, void **impl_out, uint64_t *caps_out)
{
    fused_store *s     = akvi_zalloc(args->allocator, sizeof *s);
    bool         build = false;
    akv_status   st;

    if (!s)
        return AKV_NOMEM;
    s->allocator = args->allocator;
    s->env       = args->env;
    s->exclusive = (args->flags & AKV_OPEN_EXCLUSIVE) != 0;
    s->options   = *(const akv_fused_options *)args->engine_options;
    akvi_mutex_init(&s->mu, AKVI_RANK_BUILD);
    if (!args->path)
        st = AKV_FAIL(AKV_MISUSE, "a fused store needs a path");
    else
        st = (s->path = akvi_strdup(s->allocator, args->path)) ? engine_open_as(s, args, &build)
                                                               : AKV_NOMEM;
    if (st != AKV_OK) {
        (void)engine_close(s);
        return st;
    }
    if (!build)
        *caps_out &= ~AKV_CAP_BUILD;
    *impl_out = s;
    return AKV_OK;
}

static akv_status engine_detect(akv_env *env, const char *path)
{
    akv_file     *file = NULL;
    akv_file_info info;
    uint8_t       magic[4];
    size_t        got = 0;
    akv_status    st  = akvi_path_info(env, path, &info);

    if (st != AKV_OK || info.kind != AKV_KIND_FILE || info.size < sizeof magic)
        return st < 0 ? st : AKV_ABSENT;
    st = env->ops->open(env, path, 0, &file);
    if (st == AKV_OK)
        st = file->ops->read_at(file, magic, sizeof magic, 0, &got);
    akvi_file_drop(file);
    if (st != AKV_OK)
        return st;
    return got == sizeof magic && memcmp(magic, FUSED_MAGIC, 4) == 0 ? AKV_OK : AKV_ABSENT;
}

static akv_status engine_destroy(akv_env *env, const char *path)
{
    akv_status st = engine_detect(env, path);
    char      *folder;

    if (st == AKV_ABSENT)
        st = AKV_FAIL_AT(AKV_MISUSE, path, AKV_NO_OFFSET, "no .fsdb file: left alone");
    if (st != AKV_OK)
        return st;
    folder = akvi_path_folder(NULL, path);
    if (!folder)
        return AKV_NOMEM;
    st = env->ops->remove(env, path);
    if (st == AKV_OK)
        st = env->ops->sync_folder(env, folder);
    akvi_strfree(NULL, folder);
    return st;
}

/* ----------------------------------------------------------------- building */

static akv_status engine_busy(const fused_store *s)
{
    return AKV_FAIL_AT(AKV_BUSY, s->path, AKV_NO_OFFSET, "another thread is ending this build");
}

static akv_status engine_build_op(fused_store *s, const akv_op *op)
{
    uint32_t   id;
    akv_status st;

    if (op->kind == AKV_OP_DELETE)
        return akvi_fused_remove_key(s->writer, op->key);
    if (op->kind != AKV_OP_PUT)
        return AKV_FAIL_AT(AKV_UNSUPPORTED, s->path, AKV_NO_OFFSET,
                           "a fused store under construction takes puts and deletes only");
    if (op->key.len > AKV_FUSED_MAX_KEY)
        return AKV_FAIL(AKV_TOO_BIG, "a key of %zu bytes: the format holds 65535 at most",
                        op->key.len);
    st = akvi_fused_add_object(s->writer, op->value, s->options.dedupe, &id);
    return st == AKV_OK ? akvi_fused_add_key(s->writer, op->key, id) : st;
}

static akv_status engine_write(void *impl, const akv_op *ops, size_t n,
                               const akv_write_options *opt, akv_write_result *result_out)
{
    fused_store *s  = impl;
    akv_status   st = AKV_OK;

    (void)opt;
    akvi_mutex_lock(&s->mu);
    if (s->ending)
        st = engine_busy(s);
    else if (!s->writer)
        st = AKV_FAIL_AT(AKV_UNSUPPORTED, s->path, AKV_NO_OFFSET,
                         "a fused store is immutable: open it with AKV_OPEN_TRUNCATE to build it "
                         "anew");
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = engine_build_op(s, &ops[i]);
    akvi_mutex_unlock(&s->mu);
    result_out->durability = AKV_REACHED_NOTHING;
    return st;
}

static akv_status engine_sync(void *impl)
{
    fused_store *s = impl;

    if (atomic_load_explicit(&s->reader, memory_order_acquire))
        return AKV_OK;
    return AKV_FAIL_AT(AKV_UNSUPPORTED, s->path, AKV_NO_OFFSET,
                       "this store is not built yet: akv_finish brings it to the device");
}

static bool engine_building(void *impl)
{
    fused_store *s = impl;
    bool         building;

    akvi_mutex_lock(&s->mu);
    building = s->writer != NULL;
    akvi_mutex_unlock(&s->mu);
    return building;
}

/* Take the writer for finish, which then has it to itself: it takes long and
 * calls the caller's code, so it holds no lock. */
static akv_status engine_take_writer(fused_store *s, akv_fused_writer **writer_out)
{
    akv_status st = AKV_OK;

    akvi_mutex_lock(&s->mu);
    *writer_out = s->writer;
    if (s->ending)
        st = engine_busy(s);
    else if (!s->writer)
        st = AKV_FAIL_AT(AKV_MISUSE, s->path, AKV_NO_OFFSET, "no build to finish");
    else
        s->ending = true;
    akvi_mutex_unlock(&s->mu);
    return st;
}

/* A failure leaves the build as it was, to be finished again or aborted. */
static akv_status engine_finish(void *impl, const akv_job_options *opt)
{
    fused_store      *s      = impl;
    akv_fused        *reader = NULL;
    akv_fused_writer *writer;
    akv_job           job;
    akv_status        st = engine_take_writer(s, &writer);

    if (st != AKV_OK)
        return st;
    akv_job_begin(&job, opt, s->env, 0, "bytes");
    st = akvi_fused_build(writer, s->path, s->exclusive, &job);
    if (st == AKV_OK) {
        s->exclusive = false; /* the file that is there now is our own */
        st           = akvi_fused_open(s->path, &s->options, s->allocator, s->env, NULL, &reader);
    }
    akvi_mutex_lock(&s->mu);
    s->ending = false;
    if (st == AKV_OK) {
        s->writer = NULL;
        atomic_store_explicit(&s->reader, reader, memory_order_release);
    }
    akvi_mutex_unlock(&s->mu);
    if (st == AKV_OK)
        akv_fused_writer_free(writer);
    return st;
}

static akv_status engine_abort(void *impl)
{
    fused_store      *s      = impl;
    akv_fused_writer *writer = NULL;
    akv_status        st     = AKV_OK;

    akvi_mutex_lock(&s->mu);
    if (s->ending) {
        st = engine_busy(s);
    } else {
        writer    = s->writer;
        s->writer = NULL;
    }
    akvi_mutex_unlock(&s->mu);
    akv_fused_writer_free(writer);
    return st;
}

/* ------------------------------------------------------------------ reading */

static akv_status engine_get(void *impl, akv_slice key, const akv_read_options *opt,
                             akv_value *value_out)
{
    fused_store *s = impl;
    akv_fused   *f = atomic_load_explicit(&s->reader, memory_order_acquire);
    akv_slice    object;
    akv_status   st;

    if (!f)
        return engine_reader(impl, &f);
    st              = akvi_fused_get(f, key, engine_check(f, opt), &object);
    value_out->data = object.data;
    value_out->len  = object.len;
    return st;
}

static akv_status engine_exists(void *impl, akv_slice key, const akv_read_options *opt)
{
    akv_fused *f;
    akv_status st = engine_reader(impl, &f);

    (void)opt;
    return st == AKV_OK ? akvi_fused_exists(f, key) : st;
}

static akv_status engine_get_many(void *impl, size_t n, const akv_slice *keys,
                                  const akv_read_options *opt, akv_value *values_out,
                                  akv_status *statuses_out)
{
    akv_slice  objects[FUSED_BATCH];
    akv_fused *f;
    akv_status first = engine_reader(impl, &f);

    for (size_t i = 0; i < n && !f; i++)
        statuses_out[i] = first;
    for (size_t i = 0; i < n && f; i += FUSED_BATCH) {
        size_t     part = n - i < FUSED_BATCH ? n - i : FUSED_BATCH;
        akv_status st   = akvi_fused_get_batch(f, part, keys + i, engine_check(f, opt), objects,
                                               statuses_out + i);

        if (first == AKV_OK)
            first = st;
        for (size_t k = 0; k < part; k++) {
            values_out[i + k].data = objects[k].data;
            values_out[i + k].len  = objects[k].len;
        }
    }
    return first;
}

static akv_status engine_count(void *impl, const akv_read_options *opt, uint64_t *count_out)
{
    akv_fused *f;
    akv_status st = engine_reader(impl, &f);

    (void)opt;
    if (st == AKV_OK)
        *count_out = f->keys;
    return st;
}

/* The range's part of all keys, of the file. */
static akv_status engine_approximate_size(void *impl, const akv_range *range,
                                          const akv_read_options *opt, uint64_t *bytes_out)
{
    akv_fused       *f;
    akv_fused_cursor c;
    akv_status       st = engine_reader(impl, &f);

    (void)opt;
    if (st != AKV_OK)
        return st;
    akvi_fused_cursor_range(f, range->lower, range->has_upper ? &range->upper : NULL, &c);
    *bytes_out = c.n == 0 ? 0 : (uint64_t)((double)f->size * ((double)c.n / (double)f->keys));
    return AKV_OK;
}

typedef struct engine_iter {
    akv_fused_cursor     cursor;
    const akv_allocator *allocator;
    bool                 check;
} engine_iter;

static akv_status engine_iter_new(void *impl, const akv_range *range, const akv_read_options *opt,
                                  void **iter_out)
{
    akv_fused   *f;
    engine_iter *it;
    akv_status   st = engine_reader(impl, &f);

    if (st != AKV_OK)
        return st;
    it = akvi_alloc(f->allocator, sizeof *it);
    if (!it)
        return AKV_NOMEM;
    akvi_fused_cursor_range(f, range->lower, range->has_upper ? &range->upper : NULL, &it->cursor);
    it->cursor.keys_only = range->keys_only;
    it->allocator        = f->allocator;
    it->check            = engine_check(f, opt);
    *iter_out            = it;
    return AKV_OK;
}

static akv_status engine_iter_move(void *iter, akv_move move, akv_slice key, akv_entry *entry_out)
{
    engine_iter *it = iter;
    uint64_t     at = it->cursor.at;
    akv_status   st = akvi_fused_cursor_move(&it->cursor, move, key, it->check);

    if (st < 0)
        it->cursor.at = at; /* the same move may be tried again */
    if (st != AKV_OK)
        return st;
    entry_out->key        = it->cursor.key;
    entry_out->value.data = it->cursor.object.data;
    entry_out->value.len  = it->cursor.object.len;
    return AKV_OK;
}

static void engine_iter_free(void *iter)
{
    engine_iter *it = iter;

    akvi_free(it->allocator, it, sizeof *it);
}

static akv_status engine_snapshot_new(void *impl, void **snapshot_out)
{
    akv_fused *f;
    akv_status st = engine_reader(impl, &f);

    *snapshot_out = f;
    return st;
}

static void engine_snapshot_free(void *impl, void *snapshot)
{
    (void)impl;
    (void)snapshot;
}

/* -------------------------------------------------------------- maintenance */

static akv_status engine_verify(void *impl, const akv_job_options *opt)
{
    akv_fused_report report;
    akv_fused       *f;
    akv_status       st = engine_reader(impl, &f);

    return st == AKV_OK ? akvi_fused_verify(f, opt, &report) : st;
}

static akv_status engine_copy(const akv_fused *f, akvi_writer *out, const akv_job_options *opt)
{
    akv_job    job;
    akv_status st = AKV_OK;

    akv_job_begin(&job, opt, f->env, f->size, "bytes");
    for (uint64_t at = 0, n; at < f->size && st == AKV_OK; at += n) {
        n  = f->size - at < ENGINE_COPY ? f->size - at : ENGINE_COPY;
        st = akvi_writer_append(out, f->data + at, (size_t)n);
        if (st == AKV_OK)
            st = akv_job_step(&job, n, n);
    }
    return st;
}

static akv_status engine_checkpoint(void *impl, const char *path, const akv_job_options *opt)
{
    akv_fused   *f;
    akvi_writer *out = NULL;
    akv_status   st  = engine_reader(impl, &f);

    if (st != AKV_OK)
        return st;
    st = akvi_path_exists(f->env, path);
    if (st == AKV_OK)
        return AKV_FAIL_ERRNO(EEXIST, path, AKV_NO_OFFSET, "can't copy the store there");
    if (st < 0)
        return st;
    st = akvi_writer_begin(f->env, f->allocator, path, &out);
    if (st != AKV_OK)
        return st;
    st = engine_copy(f, out, opt);
    if (st == AKV_OK)
        return akvi_writer_commit(out, true);
    akvi_writer_abort(out);
    return st;
}

static void engine_stats_building(fused_store *s, akv_stats *stats)
{
    akvi_mutex_lock(&s->mu);
    if (s->writer && !s->ending) {
        akv_stats_add(stats, AKV_STAT_GAUGE, "build_keys", "keys", akv_fused_writer_keys(s->writer),
                      "Keys added to the build so far");
        akv_stats_add(stats, AKV_STAT_GAUGE, "build_objects", "objects",
                      akv_fused_writer_objects(s->writer), "Objects in the build so far");
        akv_stats_add(stats, AKV_STAT_GAUGE, "build_memory", "bytes",
                      akvi_fused_writer_bytes(s->writer), "Memory that the build holds");
    }
    akvi_mutex_unlock(&s->mu);
}

/* By akv_fused_section. */
static const char *const engine_sections[] = {"none", "used", "damaged"};

static void engine_stats_addresses(const akv_fused_info *info, akv_stats *stats)
{
    akv_stats_add(stats, AKV_STAT_GAUGE, "ip_v4_keys", "keys", info->ip_v4_keys,
                  "Keys that are blocks of IPv4 addresses");
    akv_stats_add(stats, AKV_STAT_GAUGE, "ip_v6_keys", "keys", info->ip_v6_keys,
                  "Keys that are blocks of IPv6 addresses");
    akv_stats_add(stats, AKV_STAT_GAUGE, "ip_others", "keys", info->ip_others,
                  "Keys that are no blocks, left out of the index of addresses");
}

static void engine_stats(void *impl, akv_stats *stats)
{
    fused_store   *s    = impl;
    akv_fused     *f    = atomic_load_explicit(&s->reader, memory_order_acquire);
    akv_fused_info info = AKV_FUSED_INFO_INIT;

    if (!f) {
        engine_stats_building(s, stats);
        return;
    }
    akvi_fused_info(f, &info);
    akv_stats_add_text(stats, "path", info.path, "The file, as it was named");
    akv_stats_add(stats, AKV_STAT_GAUGE, "version", "", info.version, "The file's format");
    akv_stats_add(stats, AKV_STAT_GAUGE, "num_keys", "keys", info.num_keys, "By the header");
    akv_stats_add(stats, AKV_STAT_GAUGE, "num_objects", "objects", info.num_objects,
                  "By the header, also those no key leads to");
    akv_stats_add(stats, AKV_STAT_GAUGE, "index_offset", "bytes", info.index_offset,
                  "Where the index begins");
    akv_stats_add(stats, AKV_STAT_GAUGE, "data_offset", "bytes", info.data_offset,
                  "Where the objects begin");
    akv_stats_add(stats, AKV_STAT_GAUGE, "file_size", "bytes", info.file_size, "The file's length");
    akv_stats_add_text(stats, "file_crc32", info.file_crc32, "CRC-32 of all but the header");
    akv_stats_add(stats, AKV_STAT_GAUGE, "flags", "", info.flags, "The header's flag bits");
    akv_stats_add(stats, AKV_STAT_GAUGE, "keys", "keys", info.keys, "Different keys");
    akv_stats_add(stats, AKV_STAT_GAUGE, "index_size", "bytes", info.index_size,
                  "Bytes of the index");
    akv_stats_add(stats, AKV_STAT_GAUGE, "trailing_bytes", "bytes", info.trailing_bytes,
                  "Bytes after the index");
    akv_stats_add(stats, AKV_STAT_GAUGE, "table_memory", "bytes", info.memory,
                  "Memory held for look-ups, and for the file if it is not mapped");
    akv_stats_add_text(stats, "access", info.mapped ? "mapped" : "in memory",
                       "How the file is read");
    akv_stats_add(stats, AKV_STAT_GAUGE, "section_bytes", "bytes", info.section_bytes,
                  "Bytes of the hash section");
    akv_stats_add_text(stats, "section", engine_sections[info.section],
                       "What the file's hash section is good for");
    akv_stats_add_text(stats, "order", info.ordered ? "sorted" : "sorted on opening",
                       "How keys stand in the file");
    if (info.ip_indexed)
        engine_stats_addresses(&info, stats);
}

const akv_engine akvi_fused = {
    .abi              = AKV_ENGINE_ABI,
    .size             = sizeof(akv_engine),
    .name             = "fused",
    .description      = "One immutable .fsdb file: each object once, any number of keys to each",
    .caps             = ENGINE_CAPS,
    .max_key          = AKV_FUSED_MAX_KEY,
    .max_value        = AKV_FUSED_MAX_OBJECT,
    .options          = akvi_fused_options,
    .options_n        = AKVI_FUSED_OPTIONS_N,
    .options_size     = sizeof(akv_fused_options),
    .detect           = engine_detect,
    .open             = engine_open,
    .close            = engine_close,
    .finish           = engine_finish,
    .abort            = engine_abort,
    .building         = engine_building,
    .get              = engine_get,
    .exists           = engine_exists,
    .get_many         = engine_get_many,
    .count            = engine_count,
    .approximate_size = engine_approximate_size,
    .iter_new         = engine_iter_new,
    .iter_move        = engine_iter_move,
    .iter_free        = engine_iter_free,
    .write            = engine_write,
    .sync             = engine_sync,
    .snapshot_new     = engine_snapshot_new,
    .snapshot_free    = engine_snapshot_free,
    .verify           = engine_verify,
    .checkpoint       = engine_checkpoint,
    .stats            = engine_stats,
    .destroy          = engine_destroy,
};

const akv_fused *akv_fused_of(akv *db)
{
    const fused_store *store = akvi_handle_impl(db, &akvi_fused);

    return store ? atomic_load_explicit(&store->reader, memory_order_acquire) : NULL;
}
