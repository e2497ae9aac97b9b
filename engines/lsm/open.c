/* SPDX-License-Identifier: MIT
 *
 * open.c: making, opening, closing and removing a store.
 */
#include "engines/lsm/output.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/env/file.h"
#include "common/run/epoch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN_BLOCK_MAX    (UINT64_C(16) << 20)
#define OPEN_BUFFER_LEAST (UINT64_C(64) << 10)
#define OPEN_TRIES        10u /* of a reader, whose files a writer may remove meanwhile */

static char *open_join(const akv_allocator *a, const char *folder, lsm_file_type type)
{
    char name[LSM_NAME_MAX];

    akvi_lsm_file_name(type, 0, name);
    return akvi_path_join(a, folder, name);
}

akv_status akvi_lsm_detect(akv_env *env, const char *path)
{
    char      *current = open_join(NULL, path, LSM_FILE_CURRENT);
    akv_buffer text    = AKV_BUFFER_INIT;
    akv_status st;

    if (!current)
        return AKV_NOMEM;
    st = akvi_path_exists(env, current);
    if (st == AKV_OK)
        st = akvi_read_file(env, current, 4096, &text);
    if (st == AKV_OK && (text.len < 9 || memcmp(text.data, "MANIFEST-", 9) != 0))
        st = AKV_ABSENT;
    akv_buffer_free(&text);
    akvi_strfree(NULL, current);
    return st;
}

/* ----------------------------------------------------------------- options */

/* "none,none,lz4,zstd:5": of each level, the last for all below. */
static akv_status open_compression(lsm_db *db)
{
    const char *text = db->options.compression ? db->options.compression : "none";

    for (unsigned l = 0; l < LSM_LEVELS; l++) {
        lsm_table_options *t   = &db->tables[l];
        size_t             len = strcspn(text, ",:"), all = strcspn(text, ",");
        char               word[16];
        akv_status         st;

        snprintf(word, sizeof word, "%.*s", (int)len, text);
        st = akvi_codec_parse(word, &t->compression);
        if (st != AKV_OK)
            return st;
        t->compression_level = len < all ? (int32_t)strtol(text + len + 1, NULL, 10) : 0;
        if (text[all] == ',')
            text += all + 1;
    }
    return AKV_OK;
}

/* A memory budget holds memtables and the cache, and some room to work in. */
static void open_budget(akv_lsm_options *o, uint64_t budget)
{
    uint64_t buffers = budget / 4 / o->write_buffers;

    if (budget == 0)
        return;
    if (o->write_buffer > buffers)
        o->write_buffer = buffers > OPEN_BUFFER_LEAST ? buffers : OPEN_BUFFER_LEAST;
    if (o->block_cache > budget / 4)
        o->block_cache = budget / 4;
}

static akv_status open_options(lsm_db *db)
{
    const akv_lsm_options *o = &db->options;

    if (o->level0_slowdown >= o->level0_stop || o->level0_compact > o->level0_slowdown)
        return AKV_FAIL(AKV_MISUSE,
                        "level0_compact %u, level0_slowdown %u and level0_stop %u "
                        "must rise in this order",
                        o->level0_compact, o->level0_slowdown, o->level0_stop);
    if (o->block_size > OPEN_BLOCK_MAX)
        return AKV_FAIL(AKV_MISUSE, "block_size %llu: 16 MiB is the most",
                        (unsigned long long)o->block_size);
    for (unsigned l = 0; l < LSM_LEVELS; l++)
        db->tables[l] = (lsm_table_options){.block_size       = (uint32_t)o->block_size,
                                            .restart_interval = o->restart_interval,
                                            .filter_bits      = o->filter_bits,
                                            .prefix_filter    = o->prefix_filter};
    db->rate.limit = o->rate_limit;
    return open_compression(db);
}

/* ---------------------------------------------------------- making and freeing */

static void open_free(lsm_db *db)
{
    lsm_view *v = atomic_load_explicit(&db->view, memory_order_relaxed);

    if (v)
        akvi_lsm_view_unref(v);
    if (db->slots)
        akvi_lsm_views_reap(db);
    akvi_lsm_cache_free(db->cache);
    akv_buffer_free(&db->record);
    akvi_file_drop(db->lock_file);
    akvi_strfree(db->allocator, db->folder);
    if (db->slots)
        akvi_free(db->allocator, db->slots, AKVI_SLOTS_OWN * sizeof *db->slots);
    akvi_cond_destroy(&db->changed);
    akvi_mutex_destroy(&db->mu);
    akvi_mutex_destroy(&db->manifest_mu);
    akvi_mutex_destroy(&db->sync_mu);
    akvi_mutex_destroy(&db->queue_mu);
    akvi_free(db->allocator, db, sizeof *db);
}

static akv_status open_new(const akv_open_args *args, lsm_db **db_out)
{
    lsm_db    *db = akvi_zalloc(args->allocator, sizeof *db);
    akv_status st;

    if (!db)
        return AKV_NOMEM;
    db->allocator        = args->allocator;
    db->env              = args->env;
    db->options          = *(const akv_lsm_options *)args->engine_options;
    db->logger           = args->logger;
    db->sync             = args->sync;
    db->read_only        = (args->flags & AKV_OPEN_READ_ONLY) != 0;
    db->record.allocator = args->allocator;
    db->snapshots.newer = db->snapshots.older = &db->snapshots;
    akvi_mutex_init(&db->queue_mu, AKVI_RANK_WRITE);
    akvi_mutex_init(&db->manifest_mu, AKVI_RANK_WRITE);
    akvi_mutex_init(&db->sync_mu, AKVI_RANK_WRITE);
    akvi_mutex_init(&db->mu, AKVI_RANK_STORE);
    akvi_cond_init(&db->changed);
    db->folder = akvi_strdup(db->allocator, args->path);
    db->slots  = akvi_zalloc(db->allocator, AKVI_SLOTS_OWN * sizeof *db->slots);
    open_budget(&db->options, args->memory_budget);
    st = db->folder && db->slots ? open_options(db) : AKV_NOMEM;
    if (st == AKV_OK && (args->flags & AKV_OPEN_SALVAGE))
        db->options.recovery = AKV_LSM_RECOVER_SALVAGE;
    if (st == AKV_OK)
        st = akvi_lsm_cache_new(db->allocator, db->options.block_cache, &db->cache);
    if (st == AKV_OK)
        *db_out = db;
    else
        open_free(db);
    return st;
}

akv_status akvi_lsm_open_bare(akv_env *env, const char *path, lsm_db **db_out)
{
    static const akv_lsm_options options = AKV_LSM_OPTIONS_INIT;
    const akv_open_args          args    = {.size           = sizeof args,
                                            .path           = path,
                                            .flags          = AKV_OPEN_SALVAGE,
                                            .sync           = AKV_SYNC_ALWAYS,
                                            .env            = env,
                                            .engine_options = &options};

    return open_new(&args, db_out);
}

void akvi_lsm_close_bare(lsm_db *db)
{
    open_free(db);
}

/* ----------------------------------------------------------------- the state */

/* The table of a version, referenced, if it is there as the manifest has it. */
static lsm_file *open_known(const lsm_version *v, const lsm_table_meta *meta)
{
    const lsm_level *level = v ? &v->levels[meta->level] : NULL;

    for (size_t i = 0; level && i < level->n; i++) {
        if (level->files[i]->meta.number != meta->number)
            continue;
        atomic_fetch_add_explicit(&level->files[i]->refs, 1, memory_order_relaxed);
        return level->files[i];
    }
    return NULL;
}

/* A view of the tables that a manifest names, without memtables; `known`: a
 * version that may have some of them, or NULL. */
static akv_status open_tables(lsm_db *db, const lsm_manifest_state *state, const lsm_version *known,
                              lsm_view **view_out)
{
    lsm_edit   edit   = {.added = state->tables, .added_n = state->tables_n};
    lsm_file **opened = akvi_alloc_n(db->allocator, state->tables_n, sizeof(lsm_file *));
    lsm_view  *v      = akvi_zalloc(db->allocator, sizeof *v);
    size_t     n      = 0;
    akv_status st     = opened && v ? AKV_OK : AKV_NOMEM;

    while (n < state->tables_n && st == AKV_OK) {
        opened[n] = open_known(known, &state->tables[n]);
        if (!opened[n])
            st = akvi_lsm_file_open(db, &state->tables[n], &opened[n]);
        n += st == AKV_OK;
    }
    if (st == AKV_OK)
        st = akvi_lsm_version_edit(NULL, db, &edit, opened, &v->version);
    while (n-- > 0)
        akvi_lsm_file_unref(opened[n]);
    if (opened)
        akvi_free(db->allocator, opened, state->tables_n * sizeof(lsm_file *));
    if (st != AKV_OK) {
        if (v)
            akvi_free(db->allocator, v, sizeof *v);
        return st;
    }
    v->allocator = db->allocator;
    atomic_store_explicit(&v->refs, 1, memory_order_relaxed);
    if (db->epoch != state->epoch) /* readers may be looking at it */
        db->epoch = state->epoch;
    db->log_number = state->log_number;
    db->table_seq  = state->last_seq;
    *view_out      = v;
    return AKV_OK;
}

/* Make a view current. Takes the reference. */
static void open_show(lsm_db *db, lsm_view *v)
{
    akvi_mutex_lock(&db->mu);
    akvi_lsm_view_set(db, v);
    akvi_mutex_unlock(&db->mu);
    akvi_lsm_views_reap(db);
}

/* ---------------------------------------------------------------- for reading */

/* What another process's writer has written by now: its tables, and in a
 * memtable what is only in its logs. */
static akv_status open_look(lsm_db *db, lsm_view **view_out)
{
    lsm_view          *now = atomic_load(&db->view), *v = NULL;
    lsm_manifest_state state = {0};
    akv_status         st    = akvi_lsm_manifest_read(db->allocator, db->env, db->folder, &state);

    if (st == AKV_ABSENT)
        return AKV_FAIL_ERRNO(ENOENT, db->folder, AKV_NO_OFFSET, "no store is there");
    if (st != AKV_OK)
        return st;
    st = open_tables(db, &state, now ? now->version : NULL, &v);
    akvi_lsm_manifest_state_free(db->allocator, &state);
    /* The number is raised before the view is shown: who reads an old view by a
     * new number sees all of it, the other way round could miss something. */
    if (st == AKV_OK)
        st = akvi_lsm_recover(db, NULL, NULL);
    if (st != AKV_OK) {
        akvi_lsm_view_unref(v);
        return st;
    }
    v->mem[v->n++] = (lsm_generation){.memtable = db->memtable};
    *view_out      = v;
    return AKV_OK;
}

/* Whether logs that we have read, or not found any more, are in tables by now. */
static akv_status open_is_stale(const lsm_db *db, bool *stale_out)
{
    lsm_manifest_state state = {0};
    akv_status         st    = akvi_lsm_manifest_read(db->allocator, db->env, db->folder, &state);

    *stale_out = st == AKV_OK && state.log_number != db->log_number;
    akvi_lsm_manifest_state_free(db->allocator, &state);
    return st;
}

/* Look until what we saw belongs together: while we read, the writer may have
 * flushed, and removed a log or a table that the manifest named. */
static akv_status open_read_only(lsm_db *db)
{
    akv_status st = AKV_OK;

    for (unsigned i = 0; i < OPEN_TRIES; i++) {
        lsm_view *v     = NULL;
        bool      stale = false;

        st = open_look(db, &v);
        if (st == AKV_OK)
            st = open_is_stale(db, &stale);
        if (st == AKV_OK && !stale) {
            open_show(db, v);
            return AKV_OK;
        }
        akvi_lsm_view_unref(v);
        /* A log may change under our eyes: seen in part, or used again. */
        if (st != AKV_OK && st != AKV_CORRUPT &&
            (st != AKV_IO || akvi_pending_error()->os_errno != ENOENT))
            return st;
        if (st != AKV_OK && akvi_lsm_detect(db->env, db->folder) != AKV_OK)
            return st;
        if (st != AKV_OK && i + 1 < OPEN_TRIES)
            akv_engine_recovered();
    }
    return st != AKV_OK ? st
                        : AKV_FAIL_AT(AKV_BUSY, db->folder, AKV_NO_OFFSET,
                                      "the store's writer flushes faster than it can be read; try "
                                      "again");
}

akv_status akvi_lsm_catch_up(lsm_db *db)
{
    akv_status st;

    akvi_lsm_maintain_begin(db);
    st = open_read_only(db);
    akvi_lsm_maintain_end(db);
    return st;
}

/* --------------------------------------------------------------- for writing */

/* The highest number in use in the folder: what follows is free. */
typedef struct open_scan {
    uint64_t highest;
    bool     tables;
} open_scan;

static int open_scan_each(void *user, const char *name)
{
    open_scan    *s = user;
    uint64_t      number;
    lsm_file_type type = akvi_lsm_file_parse(name, &number);

    if (type == LSM_FILE_TABLE || type == LSM_FILE_WAL || type == LSM_FILE_MANIFEST) {
        s->tables |= type == LSM_FILE_TABLE;
        if (number > s->highest)
            s->highest = number;
    }
    return 0;
}

static akv_status open_lock(lsm_db *db, uint32_t flags)
{
    char      *path;
    akv_status st = akvi_path_exists(db->env, db->folder);

    if (st == AKV_ABSENT && (flags & AKV_OPEN_CREATE))
        st = db->env->ops->make_folder(db->env, db->folder);
    else if (st == AKV_ABSENT)
        return AKV_FAIL_ERRNO(ENOENT, db->folder, AKV_NO_OFFSET,
                              "no store is there, and AKV_OPEN_CREATE was not given");
    if (st != AKV_OK)
        return st;
    path = open_join(db->allocator, db->folder, LSM_FILE_LOCK);
    if (!path)
        return AKV_NOMEM;
    st = db->env->ops->open(db->env, path, AKV_FILE_WRITE | AKV_FILE_CREATE, &db->lock_file);
    if (st == AKV_OK)
        st = db->lock_file->ops->lock(db->lock_file, true);
    akvi_strfree(db->allocator, path);
    return st;
}

akv_status akvi_lsm_lock(lsm_db *db)
{
    return open_lock(db, 0);
}

akv_status akvi_lsm_sync_parent(lsm_db *db, const char *folder)
{
    char      *parent = akvi_path_folder(db->allocator, folder);
    akv_status st     = parent ? db->env->ops->sync_folder(db->env, parent) : AKV_NOMEM;

    akvi_strfree(db->allocator, parent);
    return st;
}

/* Make sure that there is a store, as the flags want it. */
static akv_status open_prepare(lsm_db *db, uint32_t flags)
{
    open_scan  scan = {0};
    akv_status st   = akvi_lsm_detect(db->env, db->folder);

    if (st == AKV_OK && (flags & AKV_OPEN_EXCLUSIVE))
        return AKV_FAIL_ERRNO(EEXIST, db->folder, AKV_NO_OFFSET,
                              "can't make a store where one is, as AKV_OPEN_EXCLUSIVE asks");
    if (st == AKV_OK && !(flags & AKV_OPEN_TRUNCATE))
        return AKV_OK;
    if (st < 0)
        return st;
    if (st == AKV_ABSENT && !(flags & AKV_OPEN_CREATE))
        return AKV_FAIL_ERRNO(ENOENT, db->folder, AKV_NO_OFFSET,
                              "no store is there, and AKV_OPEN_CREATE was not given");
    st = db->env->ops->list(db->env, db->folder, open_scan_each, &scan);
    if (st == AKV_OK && scan.tables && !(flags & AKV_OPEN_TRUNCATE))
        return AKV_FAIL_AT(AKV_CORRUPT, db->folder, AKV_NO_OFFSET,
                           "there are tables but no CURRENT file that says which count: `anykv lsm "
                           "repair` makes a store of them");
    if (st == AKV_OK)
        st = akvi_lsm_manifest_create(db->allocator, db->env, db->folder, akvi_epoch(db->env));
    return st == AKV_OK ? akvi_lsm_sync_parent(db, db->folder) : st;
}

/* Replay the logs into tables, and begin the log and memtable that follow. */
static akv_status open_replay(lsm_db *db)
{
    lsm_output o;
    lsm_view  *v    = NULL;
    lsm_edit   edit = {0};
    akv_status st;

    akvi_lsm_output_init(&o, db, 0, 0);
    st = akvi_lsm_recover(db, &o, NULL);
    if (st == AKV_OK)
        st = akvi_lsm_memtable_new(db->allocator, &db->memtable);
    if (st == AKV_OK) {
        edit.log_number = akvi_lsm_new_file_number(db);
        edit.last_seq   = atomic_load_explicit(&db->last_seq, memory_order_relaxed);
        edit.added      = lsm_output_metas(&o, &edit.added_n);
        akvi_mutex_lock(&db->mu);
        v = akvi_lsm_view_copy(db);
        akvi_mutex_unlock(&db->mu);
        if (v) {
            v->mem[v->n++] = (lsm_generation){.memtable = db->memtable, .log = edit.log_number};
            open_show(db, v);
        } else {
            akvi_lsm_memtable_unref(db->memtable);
            st = AKV_NOMEM;
        }
    }
    if (st == AKV_OK)
        st = akvi_lsm_log_begin(db, edit.log_number);
    if (st == AKV_OK)
        st = akvi_lsm_apply(db, &edit, 0);
    akvi_lsm_output_free(&o, false); /* what a failure leaves, the next opening removes */
    return st;
}

static akv_status open_writer(lsm_db *db, uint32_t flags)
{
    lsm_manifest_state state = {0};
    open_scan          scan  = {0};
    lsm_view          *v     = NULL;
    akv_status         st    = open_lock(db, flags);

    if (st == AKV_OK)
        st = open_prepare(db, flags);
    if (st == AKV_OK)
        st = akvi_lsm_manifest_read(db->allocator, db->env, db->folder, &state);
    if (st == AKV_OK)
        st = open_tables(db, &state, NULL, &v);
    if (st == AKV_OK) {
        open_show(db, v);
        st = db->env->ops->list(db->env, db->folder, open_scan_each, &scan);
    }
    if (st == AKV_OK && state.next_file <= scan.highest)
        state.next_file = scan.highest + 1;
    if (st == AKV_OK) {
        akvi_mutex_lock(&db->manifest_mu);
        st = akvi_lsm_manifest_begin(db->allocator, db->env, db->folder, &state, &db->manifest);
        akvi_mutex_unlock(&db->manifest_mu);
        db->next_file = state.next_file;
    }
    akvi_lsm_manifest_state_free(db->allocator, &state);
    if (st == AKV_OK)
        st = open_replay(db);
    if (st == AKV_OK)
        akvi_lsm_clean(db);
    return st;
}

/* ------------------------------------------------------- threads and cleaning */

static void open_tick(void *user)
{
    akvi_call_begin();
    if (akvi_lsm_logs_sync(user) != AKV_OK)
        akv_engine_log(((lsm_db *)user)->logger, AKV_LOG_ERROR, "lsm", "a sync failed: %s",
                       akvi_pending_error()->text);
}

static akv_status open_threads(lsm_db *db, const akv_open_args *args)
{
    int        threads = args->threads < 0 ? 2 : args->threads;
    akv_status st      = AKV_OK;

    db->threads = (unsigned)threads;
    if (threads == 0 && db->sync == AKV_SYNC_PERIODIC)
        db->sync_period_ns = UINT64_C(1000000) * args->sync_period_ms;
    atomic_store(&db->synced_ns, akvi_monotonic_ns());
    if (threads > 0)
        st = akvi_pool_new(db->allocator, (unsigned)threads, "akv-lsm", &db->pool);
    if (st == AKV_OK && db->sync == AKV_SYNC_PERIODIC && threads > 0)
        st = akvi_timer_start(db->allocator, args->sync_period_ms, open_tick, db, &db->timer);
    if (st != AKV_OK)
        return st;
    akvi_mutex_lock(&db->mu);
    akvi_lsm_schedule(db);
    akvi_mutex_unlock(&db->mu);
    return AKV_OK;
}

typedef struct open_clean {
    lsm_db         *db;
    const lsm_view *view;
    akv_buffer      names;
} open_clean;

static bool open_is_live(const open_clean *c, lsm_file_type type, uint64_t number)
{
    if (type == LSM_FILE_WAL)
        return number >= c->db->log_number;
    if (type == LSM_FILE_MANIFEST)
        return akvi_lsm_manifest_number(c->db->manifest) == number;
    if (type != LSM_FILE_TABLE)
        return true;
    for (unsigned l = 0; l < LSM_LEVELS; l++)
        for (size_t i = 0; i < c->view->version->levels[l].n; i++)
            if (c->view->version->levels[l].files[i]->meta.number == number)
                return true;
    return false;
}

static int open_clean_each(void *user, const char *name)
{
    open_clean   *c = user;
    uint64_t      number;
    lsm_file_type type = akvi_lsm_file_parse(name, &number);

    if (!open_is_live(c, type, number) &&
        akv_buffer_append(&c->names, name, strlen(name) + 1) != AKV_OK)
        akv_engine_recovered(); /* the next opening removes it */
    return 0;
}

void akvi_lsm_clean(lsm_db *db)
{
    open_clean c = {db, atomic_load(&db->view), {NULL, 0, 0, db->allocator}};

    akvi_mutex_lock(&db->manifest_mu);
    if (db->env->ops->list(db->env, db->folder, open_clean_each, &c) != AKV_OK)
        akv_engine_recovered();
    akvi_mutex_unlock(&db->manifest_mu);
    for (size_t at = 0; at < c.names.len; at += strlen((char *)c.names.data + at) + 1) {
        char *path = akvi_path_join(db->allocator, db->folder, (char *)c.names.data + at);

        if (!path || db->env->ops->remove(db->env, path) != AKV_OK)
            akv_engine_recovered();
        akvi_strfree(db->allocator, path);
    }
    akv_buffer_free(&c.names);
}

/* ------------------------------------------------------------ open and close */

akv_status akvi_lsm_close(void *impl)
{
    lsm_db    *db = impl;
    akv_status st = AKV_OK;

    if (!db->read_only) {
        if (!db->poisoned && akvi_lsm_flush_all(db) != AKV_OK) {
            akv_engine_log(db->logger, AKV_LOG_WARN, "lsm",
                           "what is only in the log stays there: %s", akvi_pending_error()->text);
            akv_engine_recovered();
        }
        akvi_mutex_lock(&db->mu);
        atomic_store(&db->closing, true);
        akvi_mutex_unlock(&db->mu);
    }
    akvi_timer_stop(db->timer);
    akvi_pool_free(db->pool);
    db->pool = NULL;
    if (db->log) {
        if (!db->poisoned && db->sync != AKV_SYNC_NEVER)
            st = akvi_lsm_logs_sync(db);
        if (akvi_lsm_logs_close(db) != AKV_OK && st == AKV_OK)
            st = akvi_pending_error()->code;
    }
    if (akvi_lsm_manifest_close(db->manifest) != AKV_OK)
        akv_engine_recovered(); /* all of it was synced */
    open_free(db);
    return st;
}

akv_status akvi_lsm_open(const akv_open_args *args, void **impl_out, uint64_t *caps_out)
{
    lsm_db    *db;
    akv_status st = args->path && args->path[0] != '\0'
                        ? open_new(args, &db)
                        : AKV_FAIL(AKV_MISUSE, "an lsm store needs a path: that of its folder");

    if (st != AKV_OK)
        return st;
    if (db->read_only) {
        /* A checkpoint is made of tables alone, and a reader makes none of its logs. */
        *caps_out &= ~(AKV_CAP_WRITE | AKV_CAP_BATCH | AKV_CAP_CONDITION | AKV_CAP_DELETE_RANGE |
                       AKV_CAP_CHECKPOINT);
        st = open_read_only(db);
    } else {
        st = open_writer(db, args->flags);
        if (st == AKV_OK)
            st = open_threads(db, args);
    }
    if (st == AKV_OK) {
        *impl_out = db;
        return AKV_OK;
    }
    akvi_pool_free(db->pool);
    db->pool = NULL;
    if (db->log && akvi_lsm_logs_close(db) != AKV_OK)
        akv_engine_recovered();
    (void)akvi_lsm_manifest_close(db->manifest);
    open_free(db);
    return st;
}

/* ------------------------------------------------------------------ removing */

typedef struct open_destroy {
    akv_env    *env;
    const char *folder;
    akv_buffer  names;
    bool        strangers;
} open_destroy;

static int open_destroy_each(void *user, const char *name)
{
    open_destroy *d = user;
    uint64_t      number;

    if (akvi_lsm_file_parse(name, &number) == LSM_FILE_OTHER)
        d->strangers = true;
    else if (akv_buffer_append(&d->names, name, strlen(name) + 1) != AKV_OK)
        return 1;
    return 0;
}

akv_status akvi_lsm_destroy(akv_env *env, const char *path)
{
    open_destroy d  = {.env = env, .folder = path};
    lsm_db       db = {.env = env, .folder = (char *)(uintptr_t)path};
    akv_status   st = akvi_lsm_detect(env, path);

    if (st == AKV_ABSENT)
        return AKV_FAIL_ERRNO(ENOENT, path, AKV_NO_OFFSET, "no lsm store is there");
    if (st == AKV_OK)
        st = open_lock(&db, 0);
    if (st == AKV_OK)
        st = env->ops->list(env, path, open_destroy_each, &d);
    for (size_t at = 0; at < d.names.len && st == AKV_OK;
         at += strlen((char *)d.names.data + at) + 1) {
        char *file = akvi_path_join(NULL, path, (char *)d.names.data + at);

        st = file ? env->ops->remove(env, file) : AKV_NOMEM;
        akvi_strfree(NULL, file);
    }
    akvi_file_drop(db.lock_file);
    akv_buffer_free(&d.names);
    if (st == AKV_OK && !d.strangers)
        st = env->ops->remove_folder(env, path);
    return st;
}
