/* SPDX-License-Identifier: MIT
 *
 * memory.c: the memory engine's table, opening and closing, and upkeep.
 */
#include "engines/memory/store.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/file.h"
#include "common/run/epoch.h"

#include <errno.h>

#define MEMORY_CAPS                                                                        \
    (AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_BATCH | AKV_CAP_CONDITION |  \
     AKV_CAP_VERSION | AKV_CAP_SNAPSHOT | AKV_CAP_CHECKPOINT | AKV_CAP_TTL | AKV_CAP_TXN | \
     AKV_CAP_DELETE_RANGE | AKV_CAP_MERGE | AKV_CAP_KEYSPACES | AKV_CAP_STREAM_READ |      \
     AKV_CAP_STREAM_WRITE | AKV_CAP_CHANGES | AKV_CAP_ENCODING)

#define MEMORY_LOCK_SUFFIX ".lock"

static const akv_option memory_options[] = {
    {"change_log", AKV_OPTION_BYTES, offsetof(akv_memory_options, change_log), 0, UINT64_MAX,
     UINT64_C(64) << 20, NULL, NULL, "history kept for change feeds; 0: no feeds"},
};

/* ------------------------------------------------------------------- locking */

/* "PATH.lock". */
static akv_status memory_lock_path(const akv_allocator *a, const char *path, char **out)
{
    size_t len = strlen(path);

    *out = akvi_alloc(a, len + sizeof MEMORY_LOCK_SUFFIX);
    if (!*out)
        return AKV_NOMEM;
    memcpy(*out, path, len);
    memcpy(*out + len, MEMORY_LOCK_SUFFIX, sizeof MEMORY_LOCK_SUFFIX);
    return AKV_OK;
}

/* Keep other writers away from the image at `path`. */
static akv_status memory_lock(akv_env *env, const akv_allocator *a, const char *path,
                              akv_file **file_out)
{
    char      *lock_path;
    akv_status st = memory_lock_path(a, path, &lock_path);

    if (st != AKV_OK)
        return st;
    st = env->ops->open(env, lock_path, AKV_FILE_WRITE | AKV_FILE_CREATE, file_out);
    akvi_strfree(a, lock_path);
    if (st != AKV_OK)
        return st;
    st = (*file_out)->ops->lock(*file_out, true);
    if (st != AKV_OK) {
        akvi_file_drop(*file_out);
        *file_out = NULL;
    }
    return st;
}

/* ------------------------------------------------------------ open and close */

static void memory_free(memory_store *s)
{
    akvi_btree_cursor c;

    for (akvi_btree_first(&s->spaces, &c); c.leaf; akvi_btree_next(&c))
        akvi_memory_space_free(s, (memory_space *)akvi_btree_at(&c));
    akvi_btree_free(&s->spaces);
    if (s->main)
        akvi_memory_space_free(s, s->main);
    akvi_memory_heap_free(s);
    akvi_memory_feed_free(s);
    akvi_file_drop(s->lock_file);
    akvi_strfree(s->allocator, s->path);
    akvi_mutex_destroy(&s->save_mu);
    akvi_mutex_destroy(&s->views_mu);
    akvi_rwlock_destroy(&s->lock);
    akvi_free(s->allocator, s, sizeof *s);
}

/* An empty store. */
static memory_store *memory_new(const akv_open_args *args)
{
    const akv_memory_options *opt   = args->engine_options;
    uint64_t                  limit = opt->change_log;
    memory_store             *s     = akvi_zalloc(args->allocator, sizeof *s);

    if (!s)
        return NULL;
    if (args->memory_budget > 0 && limit > args->memory_budget / 8)
        limit = args->memory_budget / 8;
    s->allocator = args->allocator;
    s->env       = args->env;
    s->merge     = args->merge;
    s->logger    = args->logger;
    s->read_only = (args->flags & AKV_OPEN_READ_ONLY) != 0;
    s->epoch     = akvi_epoch(args->env);
    akvi_rwlock_init(&s->lock, AKVI_RANK_STORE);
    akvi_mutex_init(&s->views_mu, AKVI_RANK_STORE_PART);
    akvi_mutex_init(&s->save_mu, AKVI_RANK_MAINTAIN);
    akvi_btree_init(&s->spaces, s->allocator);
    akvi_memory_feed_init(&s->feed, limit);
    s->main = akvi_memory_space_new(s, "", 0);
    if (!s->main) {
        memory_free(s);
        return NULL;
    }
    return s;
}

/* Whether an image is there, or why what is there, or not, can't be opened. */
static akv_status memory_look(const memory_store *s, uint32_t flags, bool *exists_out)
{
    akv_status st = akvi_path_exists(s->env, s->path);

    if (st < 0)
        return st;
    *exists_out = st == AKV_OK;
    if (!*exists_out && (s->read_only || !(flags & AKV_OPEN_CREATE)))
        return AKV_FAIL_ERRNO(ENOENT, s->path, AKV_NO_OFFSET,
                              "no store is there; AKV_OPEN_CREATE makes one");
    if (*exists_out && flags & AKV_OPEN_EXCLUSIVE)
        return AKV_FAIL_ERRNO(EEXIST, s->path, AKV_NO_OFFSET,
                              "can't make a store where one is, as AKV_OPEN_EXCLUSIVE asks");
    return AKV_OK;
}

/* Load the image, or make it. */
static akv_status memory_open_image(memory_store *s, const akv_open_args *args, akv_job *job,
                                    uint64_t *faults_out)
{
    akv_status st;
    bool       exists = false;

    s->path = akvi_strdup(s->allocator, args->path);
    if (!s->path)
        return AKV_NOMEM;
    st = memory_look(s, args->flags, &exists);
    if (st == AKV_OK && !s->read_only)
        st = memory_lock(s->env, s->allocator, s->path, &s->lock_file);
    if (st == AKV_OK)
        st = memory_look(s, args->flags, &exists); /* nobody changes it any more */
    if (st != AKV_OK)
        return st;
    if (exists && (s->read_only || !(args->flags & AKV_OPEN_TRUNCATE)))
        return akvi_memory_load(s, (args->flags & AKV_OPEN_SALVAGE) != 0, job, faults_out);
    s->changes++;
    return akvi_memory_save(s);
}

static akv_status memory_open_as(const akv_open_args *args, akv_job *job, uint64_t *faults_out,
                                 memory_store **store_out)
{
    memory_store *s  = memory_new(args);
    akv_status    st = AKV_OK;

    if (!s)
        return AKV_NOMEM;
    if (args->path && args->path[0] != '\0')
        st = memory_open_image(s, args, job, faults_out);
    if (st == AKV_OK)
        *store_out = s;
    else
        memory_free(s);
    return st;
}

static akv_status memory_open(const akv_open_args *args, void **impl_out, uint64_t *caps_out)
{
    const akv_memory_options *opt = args->engine_options;
    memory_store             *s;
    uint64_t                  faults = 0;
    akv_status                st     = memory_open_as(args, NULL, &faults, &s);

    if (st != AKV_OK)
        return st;
    if (opt->change_log == 0)
        *caps_out &= ~AKV_CAP_CHANGES;
    *impl_out = s;
    return AKV_OK;
}

static akv_status memory_sync(void *impl)
{
    memory_store *s = impl;

    return s->path && !s->read_only ? akvi_memory_save(s) : AKV_OK;
}

static akv_status memory_close(void *impl)
{
    akv_status st = memory_sync(impl);

    memory_free(impl);
    return st;
}

/* ------------------------------------------------------------------- upkeep */

/* Let go of all that has expired. */
static uint32_t memory_purge(memory_store *s)
{
    uint32_t n;

    akvi_rwlock_write(&s->lock);
    n = akvi_memory_purge(s, memory_unix_ms(s), UINT32_MAX);
    akvi_rwlock_unlock(&s->lock);
    return n;
}

static akv_status memory_compact(void *impl, const akv_job_options *opt)
{
    akv_job  job;
    uint32_t n = memory_purge(impl);

    akv_job_begin(&job, opt, ((memory_store *)impl)->env, n, "keys");
    return akv_job_step(&job, n, 0);
}

static akv_status memory_work(void *impl)
{
    return memory_purge(impl) > 0 ? AKV_OK : AKV_END;
}

static uint64_t memory_oldest_ms(const memory_store *s, bool iterators)
{
    uint64_t now = s->env->ops->monotonic_ns(s->env), born = now;

    for (const memory_view *view = s->oldest; view; view = view->newer) {
        if (view->is_iterator == iterators && view->born_ns < born)
            born = view->born_ns;
    }
    return (now - born) / 1000000u;
}

static void memory_stats_spaces(const memory_store *s, akv_stats *stats)
{
    uint64_t          live = s->main->live, bytes = s->main->bytes, index = s->main->keys.bytes;
    akvi_btree_cursor c;

    for (akvi_btree_first(&s->spaces, &c); c.leaf; akvi_btree_next(&c)) {
        const memory_space *space = (const memory_space *)akvi_btree_at(&c);

        live += space->live;
        bytes += space->bytes;
        index += space->keys.bytes;
    }
    akv_stats_add(stats, AKV_STAT_GAUGE, "keys", "keys", live,
                  "in all key spaces, with expired ones not cleared away yet");
    akv_stats_add(stats, AKV_STAT_GAUGE, "expiring_keys", "keys", s->expiring.n,
                  "keys that have an expiry");
    akv_stats_add(stats, AKV_STAT_GAUGE, "data_bytes", "bytes", bytes, "live keys and values");
    akv_stats_add(stats, AKV_STAT_GAUGE, "index_bytes", "bytes", index, "nodes of the indexes");
    akv_stats_add(stats, AKV_STAT_GAUGE, "versions", "versions", s->versions,
                  "values held, with those that only snapshots and iterators see");
    akv_stats_add(stats, AKV_STAT_GAUGE, "version_bytes", "bytes", s->version_bytes,
                  "bytes of those values");
    akv_stats_add(stats, AKV_STAT_GAUGE, "key_spaces", "spaces", s->spaces.n - s->dropped,
                  "named key spaces");
}

static void memory_stats_views(memory_store *s, akv_stats *stats)
{
    akvi_mutex_lock(&s->views_mu);
    akv_stats_add(stats, AKV_STAT_GAUGE, "engine_snapshots", "snapshots", s->snapshots,
                  "snapshots that keep old values");
    akv_stats_add(stats, AKV_STAT_GAUGE, "engine_iterators", "iterators", s->iterators,
                  "iterators that keep old values");
    akv_stats_add(stats, AKV_STAT_GAUGE, "oldest_snapshot_age", "ms", memory_oldest_ms(s, false),
                  "age of the oldest snapshot");
    akv_stats_add(stats, AKV_STAT_GAUGE, "oldest_iterator_age", "ms", memory_oldest_ms(s, true),
                  "age of the oldest iterator");
    akvi_mutex_unlock(&s->views_mu);
}

static void memory_stats(void *impl, akv_stats *stats)
{
    memory_store *s = impl;

    akvi_rwlock_read(&s->lock);
    memory_stats_spaces(s, stats);
    memory_stats_views(s, stats);
    akv_stats_add(stats, AKV_STAT_COUNTER, "sequence", "changes", s->seq,
                  "number of the last change");
    akv_stats_add(stats, AKV_STAT_COUNTER, "image_changes", "changes", s->changes,
                  "writes that put the store's file out of date");
    akvi_mutex_lock(&s->feed.mu);
    akv_stats_add(stats, AKV_STAT_GAUGE, "change_log_changes", "changes", s->feed.n,
                  "history held for change feeds");
    akv_stats_add(stats, AKV_STAT_GAUGE, "change_log_bytes", "bytes", s->feed.bytes,
                  "memory of that history");
    akvi_mutex_unlock(&s->feed.mu);
    akvi_rwlock_unlock(&s->lock);
}

/* ----------------------------------------------------------- without a handle */

static akv_status memory_destroy_locked(akv_env *env, const char *path)
{
    akv_status st = akvi_memory_detect(env, path);
    char      *folder;

    if (st == AKV_ABSENT)
        return AKV_FAIL_AT(AKV_MISUSE, path, AKV_NO_OFFSET, "no image of a memory store is there");
    if (st != AKV_OK || (st = env->ops->remove(env, path)) != AKV_OK)
        return st;
    folder = akvi_path_folder(NULL, path);
    if (!folder)
        return AKV_NOMEM;
    st = env->ops->sync_folder(env, folder);
    akvi_strfree(NULL, folder);
    return st;
}

static akv_status memory_destroy(akv_env *env, const char *path)
{
    akv_status st = akvi_path_exists(env, path);
    akv_file  *lock_file;
    char      *lock_path;

    if (st == AKV_ABSENT)
        return AKV_FAIL_ERRNO(ENOENT, path, AKV_NO_OFFSET, "no store is there");
    if (st != AKV_OK || (st = memory_lock_path(NULL, path, &lock_path)) != AKV_OK)
        return st;
    st = memory_lock(env, NULL, path, &lock_file);
    if (st == AKV_OK) {
        st = memory_destroy_locked(env, path);
        if (env->ops->remove(env, lock_path) != AKV_OK)
            akv_engine_recovered(); /* the next opening makes it anyway */
        akvi_file_drop(lock_file);
    }
    akvi_strfree(NULL, lock_path);
    return st;
}

static akv_status memory_repair(akv_env *env, const char *path, const akv_job_options *opt)
{
    static const akv_memory_options options = AKV_MEMORY_OPTIONS_INIT;
    static const akv_logger         quiet   = {NULL, NULL, AKV_LOG_ERROR};
    akv_open_args                   args    = {.size           = sizeof args,
                                               .path           = path,
                                               .flags          = AKV_OPEN_SALVAGE,
                                               .env            = env,
                                               .logger         = &quiet,
                                               .engine_options = &options};
    memory_store                   *s;
    akv_job                         job;
    uint64_t                        faults = 0;
    akv_status                      st;

    akv_job_begin(&job, opt, env, 0, "bytes");
    st = memory_open_as(&args, &job, &faults, &s);
    if (st != AKV_OK)
        return st;
    s->changes += faults;
    return memory_close(s);
}

const akv_engine akvi_memory = {
    .abi              = AKV_ENGINE_ABI,
    .size             = sizeof(akv_engine),
    .name             = "memory",
    .description      = "An ordered map in memory, with every capability; an image file on request",
    .caps             = MEMORY_CAPS,
    .max_key          = AKV_MEMORY_MAX_KEY,
    .max_value        = AKV_MEMORY_MAX_VALUE,
    .options          = memory_options,
    .options_n        = AKVI_ARRAY_N(memory_options),
    .options_size     = sizeof(akv_memory_options),
    .detect           = akvi_memory_detect,
    .open             = memory_open,
    .close            = memory_close,
    .get              = akvi_memory_get,
    .release          = akvi_memory_release,
    .exists           = akvi_memory_exists,
    .get_many         = akvi_memory_get_many,
    .count            = akvi_memory_count,
    .approximate_size = akvi_memory_approximate_size,
    .iter_new         = akvi_memory_iter_new,
    .iter_move        = akvi_memory_iter_move,
    .iter_free        = akvi_memory_iter_free,
    .write            = akvi_memory_write,
    .sync             = memory_sync,
    .snapshot_new     = akvi_memory_snapshot_new,
    .snapshot_free    = akvi_memory_snapshot_free,
    .keyspace_open    = akvi_memory_space_open,
    .keyspace_close   = akvi_memory_space_close,
    .keyspace_drop    = akvi_memory_space_drop,
    .keyspace_list    = akvi_memory_space_list,
    .stream_open      = akvi_memory_stream_open,
    .stream_read      = akvi_memory_stream_read,
    .stream_close     = akvi_memory_stream_close,
    .stream_create    = akvi_memory_stream_create,
    .stream_write     = akvi_memory_stream_write,
    .stream_commit    = akvi_memory_stream_commit,
    .stream_abort     = akvi_memory_stream_abort,
    .changes_open     = akvi_memory_changes_open,
    .changes_next     = akvi_memory_changes_next,
    .changes_token    = akvi_memory_changes_token,
    .changes_close    = akvi_memory_changes_close,
    .compact          = memory_compact,
    .verify           = akvi_memory_verify,
    .checkpoint       = akvi_memory_checkpoint,
    .work             = memory_work,
    .stats            = memory_stats,
    .destroy          = memory_destroy,
    .repair           = memory_repair,
};
