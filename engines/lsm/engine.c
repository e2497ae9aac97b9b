/* SPDX-License-Identifier: MIT
 *
 * engine.c: the lsm engine's table and options, its upkeep, and its figures.
 */
#include "engines/lsm/db.h"

#include "common/base/handle.h"
#include "common/base/mem.h"
#include "common/env/file.h"
#include "common/env/probe.h"

#include <errno.h>

#define ENGINE_CAPS                                                                       \
    (AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_BATCH | AKV_CAP_CONDITION | \
     AKV_CAP_VERSION | AKV_CAP_SNAPSHOT | AKV_CAP_CHECKPOINT | AKV_CAP_TTL |              \
     AKV_CAP_DELETE_RANGE | AKV_CAP_STREAM_READ | AKV_CAP_SHARED_READ | AKV_CAP_DURABLE | \
     AKV_CAP_ENCODING)

static const char *const engine_recovery[] = {"tail", "strict", "salvage", NULL};

#define ENGINE_COPY   ((size_t)64 << 10)
#define ENGINE_SAMPLE 4096u /* entries of a memtable that a size is estimated by */

#define ENGINE_BYTES(name, least, initial, help)                                            \
    {                                                                                       \
#name, AKV_OPTION_BYTES, offsetof(akv_lsm_options, name), least, UINT64_C(1) << 50, \
            initial, NULL, NULL, help                                                       \
    }
#define ENGINE_COUNT(name, least, most, initial, help)                                            \
    {                                                                                             \
#name, AKV_OPTION_U32, offsetof(akv_lsm_options, name), least, most, initial, NULL, NULL, \
            help                                                                                  \
    }

static const akv_option engine_options[] = {
    ENGINE_BYTES(write_buffer, 64 << 10, UINT64_C(64) << 20,
                 "a memtable becomes a table at this size"),
    ENGINE_BYTES(block_cache, 0, UINT64_C(64) << 20, "blocks, indexes and filters kept in memory"),
    ENGINE_BYTES(table_size, 64 << 10, UINT64_C(64) << 20, "tables that compaction writes, about"),
    ENGINE_BYTES(level_base, 64 << 10, UINT64_C(256) << 20, "size of the first level below 0"),
    ENGINE_BYTES(block_size, 256, 4096, "data in a block before compression, about"),
    ENGINE_BYTES(rate_limit, 0, 0, "of flushes and compactions, bytes a second; 0: none"),
    ENGINE_COUNT(write_buffers, 2, LSM_MEMTABLES - 1, 4, "memtables at most"),
    ENGINE_COUNT(level_ratio, 2, 100, 10, "of a level's size to the one above"),
    ENGINE_COUNT(level0_compact, 1, 1000, 4, "tables on level 0 that start a compaction"),
    ENGINE_COUNT(level0_slowdown, 2, 10000, 20, "tables on level 0 that slow writes down"),
    ENGINE_COUNT(level0_stop, 3, 10000, 36, "tables on level 0 that stop writes"),
    ENGINE_COUNT(restart_interval, 1, 255, 16, "keys between two that are stored whole"),
    ENGINE_COUNT(filter_bits, 0, 64, 10, "of the filters, a key; 0: no filters"),
    ENGINE_COUNT(prefix_filter, 0, 65535, 0, "bytes of keys that filters know as prefixes"),
    {"recovery", AKV_OPTION_CHOICE, offsetof(akv_lsm_options, recovery), 0, 2, AKV_LSM_RECOVER_TAIL,
     NULL, engine_recovery, "what to make of damage in the logs"},
    {"mapped", AKV_OPTION_BOOL, offsetof(akv_lsm_options, mapped), 0, 1, 0, NULL, NULL,
     "read tables through mappings"},
    {"compression", AKV_OPTION_TEXT, offsetof(akv_lsm_options, compression), 0, 0, 0,
     "none,none,snappy", NULL, "of each level from 0: none, snappy, zlib, lz4, zstd"},
};

/* -------------------------------------------------------------- maintenance */

static akv_status engine_compact(void *impl, const akv_job_options *opt)
{
    return akvi_lsm_compact_all(impl, akv_bytes(NULL, 0), NULL, opt);
}

static akv_status engine_verify(void *impl, const akv_job_options *opt)
{
    lsm_db    *db    = impl;
    lsm_view  *v     = akvi_lsm_view_ref(db);
    uint64_t   bytes = 0;
    akv_status st    = AKV_OK, one;
    akv_job    job;

    for (unsigned l = 0; l < LSM_LEVELS; l++)
        bytes += v->version->levels[l].bytes;
    akv_job_begin(&job, opt, db->env, bytes, "bytes");
    for (unsigned l = 0; l < LSM_LEVELS; l++)
        for (size_t i = 0; i < v->version->levels[l].n; i++) {
            one = akvi_lsm_table_verify(v->version->levels[l].files[i]->table, &job);
            if (one == AKV_TIMEOUT || one == AKV_CANCELLED) {
                akvi_lsm_view_unref(v);
                return one;
            }
            if (st == AKV_OK)
                st = one;
        }
    akvi_lsm_view_unref(v);
    return st;
}

/* Of a memtable: the keys and values of the first entries in the range. */
static uint64_t engine_memtable_size(lsm_memtable *m, const akv_range *range)
{
    uint64_t    bytes = 0, n = 0;
    lsm_cursor *c;
    akv_status  st = akvi_lsm_memtable_cursor(m, &c);

    if (st != AKV_OK) {
        akv_engine_recovered();
        return 0;
    }
    for (st = lsm_cursor_seek(c, range->lower, LSM_SEQ_MAX); st == AKV_OK && n < ENGINE_SAMPLE;
         st = lsm_cursor_move(c, LSM_NEXT), n++) {
        const lsm_entry *e = &c->entry;

        if (range->has_upper &&
            akvi_compare(e->key.data, e->key.len, range->upper.data, range->upper.len) >= 0)
            break;
        bytes += e->key.len + e->value.len;
    }
    lsm_cursor_free(c);
    return bytes;
}

static akv_status engine_approximate_size(void *impl, const akv_range *range,
                                          const akv_read_options *opt, uint64_t *bytes_out)
{
    lsm_view *v     = akvi_lsm_view_ref(impl);
    uint64_t  bytes = 0;

    (void)opt;
    for (unsigned i = 0; i < v->n; i++)
        bytes += engine_memtable_size(v->mem[i].memtable, range);
    for (unsigned l = 0; l < LSM_LEVELS; l++)
        for (size_t i = 0; i < v->version->levels[l].n; i++) {
            lsm_file *f     = v->version->levels[l].files[i];
            uint64_t  lower = akvi_lsm_table_offset_of(f->table, range->lower);
            uint64_t  upper =
                range->has_upper ? akvi_lsm_table_offset_of(f->table, range->upper) : f->meta.size;

            bytes += upper > lower ? upper - lower : 0;
        }
    akvi_lsm_view_unref(v);
    *bytes_out = bytes;
    return AKV_OK;
}

/* -------------------------------------------------------------- checkpoint */

/* Where the env has no links. */
static akv_status engine_copy(lsm_db *db, const char *from, const char *to)
{
    uint64_t   off = 0;
    size_t     got = 1;
    akv_file  *in = NULL, *out = NULL;
    void      *buf = akvi_alloc(db->allocator, ENGINE_COPY);
    akv_status st  = buf ? db->env->ops->open(db->env, from, 0, &in) : AKV_NOMEM;

    if (st == AKV_OK)
        st = db->env->ops->open(db->env, to, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_EXCLUDE,
                                &out);
    while (st == AKV_OK && got > 0) {
        st = in->ops->read_at(in, buf, ENGINE_COPY, off, &got);
        if (st == AKV_OK && got > 0)
            st = out->ops->append(out, buf, got);
        off += got;
    }
    if (st == AKV_OK)
        st = out->ops->sync(out, true);
    akvi_file_drop(in);
    akvi_file_drop(out);
    akvi_free(db->allocator, buf, ENGINE_COPY);
    return st;
}

static akv_status engine_link(lsm_db *db, const char *from, const char *to)
{
    akvi_call_state held;
    akv_status      st;
    bool            no_links;

    akvi_probe_begin(&held);
    st       = db->env->ops->link(db->env, from, to);
    no_links = akvi_no_links(st, akvi_pending_error()->os_errno);
    akvi_probe_end(&held, st != AKV_OK && !no_links);
    return no_links ? engine_copy(db, from, to) : st;
}

static akv_status engine_checkpoint_tables(lsm_db *db, const lsm_view *v, const char *path,
                                           lsm_manifest_state *state, akv_job *job)
{
    akv_status st = AKV_OK;

    for (unsigned l = 0; l < LSM_LEVELS; l++)
        for (size_t i = 0; i < v->version->levels[l].n && st == AKV_OK; i++) {
            const lsm_file *f = v->version->levels[l].files[i];
            char            name[LSM_NAME_MAX], *from, *to;

            akvi_lsm_file_name(LSM_FILE_TABLE, f->meta.number, name);
            from = akvi_path_join(db->allocator, db->folder, name);
            to   = akvi_path_join(db->allocator, path, name);
            st   = from && to ? engine_link(db, from, to) : AKV_NOMEM;
            akvi_strfree(db->allocator, from);
            akvi_strfree(db->allocator, to);
            state->tables[state->tables_n]         = f->meta;
            state->tables[state->tables_n++].level = (uint8_t)l;
            if (st == AKV_OK)
                st = akv_job_step(job, f->meta.size, 0);
        }
    return st;
}

static akv_status engine_checkpoint_view(lsm_db *db, const lsm_view *v, const char *path,
                                         uint64_t last_seq, const akv_job_options *opt)
{
    lsm_manifest_state state = {.epoch = db->epoch, .last_seq = last_seq};
    lsm_manifest      *m     = NULL;
    uint64_t           bytes = 0;
    size_t             n     = 0;
    akv_job            job;
    akv_status         st;

    for (unsigned l = 0; l < LSM_LEVELS; l++) {
        n += v->version->levels[l].n;
        bytes += v->version->levels[l].bytes;
    }
    akv_job_begin(&job, opt, db->env, bytes, "bytes");
    state.tables = akvi_alloc_n(db->allocator, n, sizeof *state.tables);
    if (!state.tables)
        return AKV_NOMEM;
    state.tables_cap = n;
    st               = db->env->ops->make_folder(db->env, path);
    if (st == AKV_OK)
        st = engine_checkpoint_tables(db, v, path, &state, &job);
    if (st == AKV_OK) /* the tables are there before anything names them */
        st = db->env->ops->sync_folder(db->env, path);
    state.next_file  = akvi_lsm_new_file_number(db);
    state.log_number = state.next_file;
    if (st == AKV_OK)
        st = akvi_lsm_manifest_begin(db->allocator, db->env, path, &state, &m);
    if (st == AKV_OK)
        st = akvi_lsm_manifest_close(m);
    if (st == AKV_OK)
        st = akvi_lsm_sync_parent(db, path);
    akvi_free(db->allocator, state.tables, n * sizeof *state.tables);
    return st;
}

static int engine_remove_each(void *user, const char *name)
{
    return akv_buffer_append(user, name, strlen(name) + 1) != AKV_OK;
}

/* Take back a checkpoint that failed. */
static void engine_remove(lsm_db *db, const char *path)
{
    akv_buffer      names = {NULL, 0, 0, db->allocator};
    akvi_call_state state;

    akvi_call_save(&state);
    if (db->env->ops->list(db->env, path, engine_remove_each, &names) == AKV_OK)
        for (size_t at = 0; at < names.len; at += strlen((char *)names.data + at) + 1) {
            char *file = akvi_path_join(db->allocator, path, (char *)names.data + at);

            if (!file || db->env->ops->remove(db->env, file) != AKV_OK)
                akv_engine_recovered();
            akvi_strfree(db->allocator, file);
        }
    if (db->env->ops->remove_folder(db->env, path) != AKV_OK)
        akv_engine_recovered();
    akv_buffer_free(&names);
    akvi_call_restore(&state);
}

/* All memtables become tables, and the tables get second names: no data is
 * copied where the env has links. The view keeps the files from being removed. What is written meanwhile may or may not be in it, whole batches
 * either way. */
static akv_status engine_checkpoint(void *impl, const char *path, const akv_job_options *opt)
{
    lsm_db    *db = impl;
    lsm_view  *v;
    uint64_t   last_seq;
    akv_status st = akvi_path_exists(db->env, path);

    if (st == AKV_OK)
        return AKV_FAIL_ERRNO(EEXIST, path, AKV_NO_OFFSET, "can't copy the store there");
    if (st < 0)
        return st;
    if (!db->read_only && (st = akvi_lsm_flush_all(db)) < 0)
        return st;
    akvi_lsm_maintain_begin(db);
    akvi_mutex_lock(&db->mu);
    v = atomic_load_explicit(&db->view, memory_order_relaxed);
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    last_seq = db->table_seq;
    akvi_mutex_unlock(&db->mu);
    st = engine_checkpoint_view(db, v, path, last_seq, opt);
    if (st != AKV_OK)
        engine_remove(db, path);
    akvi_lsm_maintain_end(db);
    akvi_lsm_view_unref(v);
    return st;
}

/* --------------------------------------------------------------------- stats */

static const char *const engine_level_names[LSM_LEVELS][4] = {
    {"level0_tables", "level0_bytes", "level0_read", "level0_written"},
    {"level1_tables", "level1_bytes", "level1_read", "level1_written"},
    {"level2_tables", "level2_bytes", "level2_read", "level2_written"},
    {"level3_tables", "level3_bytes", "level3_read", "level3_written"},
    {"level4_tables", "level4_bytes", "level4_read", "level4_written"},
    {"level5_tables", "level5_bytes", "level5_read", "level5_written"},
    {"level6_tables", "level6_bytes", "level6_read", "level6_written"},
};

static uint64_t engine_counter(const _Atomic uint64_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void engine_stats_levels(const lsm_db *db, const lsm_view *v, akv_stats *stats)
{
    for (unsigned l = 0; l < LSM_LEVELS; l++) {
        const lsm_level *level   = &v->version->levels[l];
        uint64_t         read    = engine_counter(&db->counters.read_bytes[l]);
        uint64_t         written = engine_counter(&db->counters.write_bytes[l]);

        if (l == 0)
            written += engine_counter(&db->counters.flush_bytes);
        if (level->n == 0 && read + written == 0)
            continue;
        akv_stats_add(stats, AKV_STAT_GAUGE, engine_level_names[l][0], "tables", level->n,
                      "Tables on the level");
        akv_stats_add(stats, AKV_STAT_GAUGE, engine_level_names[l][1], "bytes", level->bytes,
                      "Bytes of those tables");
        akv_stats_add(stats, AKV_STAT_COUNTER, engine_level_names[l][2], "bytes", read,
                      "Read from the level by compactions");
        akv_stats_add(stats, AKV_STAT_COUNTER, engine_level_names[l][3], "bytes", written,
                      "Written to the level by flushes and compactions");
    }
}

static void engine_stats_amplification(const lsm_db *db, const lsm_view *v, akv_stats *stats)
{
    uint64_t wal = engine_counter(&db->counters.wal_bytes), written = wal, bytes = 0;
    uint64_t entries = 0, deletes = 0, last = 0, raw = 0;

    written += engine_counter(&db->counters.flush_bytes);
    for (unsigned l = 0; l < LSM_LEVELS; l++) {
        const lsm_level *level = &v->version->levels[l];

        written += engine_counter(&db->counters.write_bytes[l]);
        bytes += level->bytes;
        if (level->n > 0)
            last = level->bytes;
        for (size_t i = 0; i < level->n; i++) {
            entries += level->files[i]->meta.entries;
            deletes += level->files[i]->meta.deletes;
            raw += level->files[i]->meta.raw_bytes;
        }
    }
    akv_stats_add(stats, AKV_STAT_GAUGE, "table_entries", "entries", entries,
                  "In all tables, with old versions and tombstones");
    akv_stats_add(stats, AKV_STAT_GAUGE, "table_tombstones", "entries", deletes,
                  "Of those, tombstones");
    akv_stats_add(stats, AKV_STAT_GAUGE, "table_raw_bytes", "bytes", raw,
                  "Keys and values in tables, before compression");
    akv_stats_add(stats, AKV_STAT_GAUGE, "table_bytes", "bytes", bytes, "Of all tables");
    akv_stats_add_ratio(stats, "write_amplification", wal > 0 ? (double)written / (double)wal : 0,
                        "Bytes written to log and tables, to those written by callers");
    akv_stats_add_ratio(stats, "space_amplification", last > 0 ? (double)bytes / (double)last : 0,
                        "Bytes of all tables, to those of the last level");
}

static void engine_stats_work(lsm_db *db, const lsm_view *v, akv_stats *stats)
{
    const lsm_counters *c      = &db->counters;
    uint64_t            memory = 0, entries = 0;
    size_t              holders = 0;

    for (unsigned i = 0; i < v->n; i++) {
        memory += akvi_lsm_memtable_bytes(v->mem[i].memtable);
        entries += akvi_lsm_memtable_entries(v->mem[i].memtable);
    }
    akv_stats_add(stats, AKV_STAT_GAUGE, "memtables", "memtables", v->n,
                  "The one that takes writes, and those that wait to be flushed");
    akv_stats_add(stats, AKV_STAT_GAUGE, "memtable_bytes", "bytes", memory, "Memory of those");
    akv_stats_add(stats, AKV_STAT_GAUGE, "memtable_entries", "entries", entries, "In those");
    akv_stats_add(stats, AKV_STAT_COUNTER, "wal_bytes", "bytes", engine_counter(&c->wal_bytes),
                  "Written to the log");
    akv_stats_add(stats, AKV_STAT_COUNTER, "wal_syncs", "syncs", engine_counter(&c->wal_syncs),
                  "Of logs");
    akv_stats_add(stats, AKV_STAT_COUNTER, "flushes", "flushes", engine_counter(&c->flushes),
                  "Memtables made tables");
    akv_stats_add(stats, AKV_STAT_COUNTER, "compactions", "compactions",
                  engine_counter(&c->compactions), "Merges of tables");
    akv_stats_add(stats, AKV_STAT_COUNTER, "moved_tables", "tables", engine_counter(&c->moves),
                  "Tables that changed level without being rewritten");
    akv_stats_add(stats, AKV_STAT_COUNTER, "dropped_entries", "entries",
                  engine_counter(&c->dropped), "Old versions and tombstones that merges left out");
    akv_stats_add(stats, AKV_STAT_COUNTER, "write_stops", "stops", engine_counter(&c->stops),
                  "Times that a write had to wait for background work");
    akv_stats_add(stats, AKV_STAT_COUNTER, "write_delays", "delays", engine_counter(&c->delays),
                  "Times that a write was slowed down");
    akv_stats_add(stats, AKV_STAT_COUNTER, "stall_time", "ns", engine_counter(&c->stall_ns),
                  "Of both");
    akv_stats_add(stats, AKV_STAT_GAUGE, "compaction_debt", "bytes",
                  atomic_load_explicit(&db->debt, memory_order_relaxed),
                  "By which levels are over their targets");
    akvi_mutex_lock(&db->mu);
    for (const lsm_snapshot *s = db->snapshots.newer; s != &db->snapshots; s = s->newer)
        holders++;
    akvi_mutex_unlock(&db->mu);
    akv_stats_add(stats, AKV_STAT_GAUGE, "snapshots_pinning", "snapshots", holders,
                  "That keep old versions from being left out");
}

static void engine_stats_cache(const lsm_db *db, akv_stats *stats)
{
    lsm_cache_stats c;

    akvi_lsm_cache_stats_get(db->cache, &c);
    akv_stats_add(stats, AKV_STAT_GAUGE, "cache_capacity", "bytes", c.capacity,
                  "Of the block cache");
    akv_stats_add(stats, AKV_STAT_GAUGE, "cache_bytes", "bytes", c.used, "In use");
    akv_stats_add(stats, AKV_STAT_GAUGE, "cache_pinned", "bytes", c.pinned,
                  "Of those, held by readers");
    akv_stats_add(stats, AKV_STAT_COUNTER, "cache_hits", "blocks", c.hits, "Found there");
    akv_stats_add(stats, AKV_STAT_COUNTER, "cache_misses", "blocks", c.misses,
                  "That had to be read");
    akv_stats_add_ratio(stats, "cache_hit_ratio",
                        c.hits + c.misses > 0 ? (double)c.hits / (double)(c.hits + c.misses) : 0,
                        "Hits to lookups");
}

static void engine_stats(void *impl, akv_stats *stats)
{
    lsm_db   *db = impl;
    lsm_view *v  = akvi_lsm_view_ref(db);

    akv_stats_add(stats, AKV_STAT_COUNTER, "sequence", "writes",
                  atomic_load_explicit(&db->last_seq, memory_order_relaxed),
                  "Number of the last entry");
    engine_stats_levels(db, v, stats);
    engine_stats_amplification(db, v, stats);
    engine_stats_work(db, v, stats);
    engine_stats_cache(db, stats);
    akvi_lsm_view_unref(v);
}

const akv_engine akvi_lsm = {
    .abi              = AKV_ENGINE_ABI,
    .size             = sizeof(akv_engine),
    .name             = "lsm",
    .description      = "a log-structured merge tree: log, memtables, levels of sorted tables",
    .caps             = ENGINE_CAPS,
    .max_key          = AKV_LSM_MAX_KEY,
    .max_value        = AKV_LSM_MAX_VALUE,
    .options          = engine_options,
    .options_n        = AKVI_ARRAY_N(engine_options),
    .options_size     = sizeof(akv_lsm_options),
    .detect           = akvi_lsm_detect,
    .open             = akvi_lsm_open,
    .close            = akvi_lsm_close,
    .get              = akvi_lsm_get,
    .release          = akvi_lsm_release,
    .exists           = akvi_lsm_exists,
    .get_many         = akvi_lsm_get_many,
    .approximate_size = engine_approximate_size,
    .iter_new         = akvi_lsm_iter_new,
    .iter_move        = akvi_lsm_iter_move,
    .iter_free        = akvi_lsm_iter_free,
    .write            = akvi_lsm_write,
    .sync             = akvi_lsm_sync,
    .snapshot_new     = akvi_lsm_snapshot_new,
    .snapshot_free    = akvi_lsm_snapshot_free,
    .compact          = engine_compact,
    .verify           = engine_verify,
    .checkpoint       = engine_checkpoint,
    .work             = akvi_lsm_work,
    .stats            = engine_stats,
    .destroy          = akvi_lsm_destroy,
    .repair           = akvi_lsm_repair,
};

/* ------------------------------------------------------------ native calls */

akv_lsm *akv_lsm_of(akv *db)
{
    return akvi_handle_impl(db, &akvi_lsm);
}

static akv_status engine_check(const akv_lsm *lsm, const void *bytes, size_t len)
{
    akvi_call_begin();
    if (lsm && (bytes || len == 0))
        return AKV_OK;
    return AKV_FAIL(AKV_MISUSE, "a store or key is NULL");
}

static akv_status engine_check_writer(const lsm_db *db)
{
    return db->read_only ? AKV_FAIL(AKV_UNSUPPORTED, "the store is open for reading only") : AKV_OK;
}

akv_status akv_lsm_flush(akv_lsm *lsm)
{
    akv_status st = engine_check(lsm, NULL, 0);

    if (st == AKV_OK)
        st = engine_check_writer((lsm_db *)lsm);
    if (st == AKV_OK)
        st = akvi_lsm_flush_all((lsm_db *)lsm);
    return akvi_call_end(st, "lsm");
}

akv_status akv_lsm_compact_range(akv_lsm *lsm, akv_slice lower, akv_slice upper,
                                 const akv_job_options *opt)
{
    akv_status st = engine_check(lsm, lower.data, lower.len);

    if (st == AKV_OK)
        st = engine_check(lsm, upper.data, upper.len);
    if (st == AKV_OK)
        st = engine_check_writer((lsm_db *)lsm);
    if (st == AKV_OK)
        st = akvi_lsm_compact_all((lsm_db *)lsm, lower, upper.len > 0 ? &upper : NULL, opt);
    return akvi_call_end(st, "lsm");
}

akv_status akv_lsm_catch_up(akv_lsm *lsm)
{
    akv_status st = engine_check(lsm, NULL, 0);

    if (st == AKV_OK && !((lsm_db *)lsm)->read_only)
        st = AKV_FAIL(AKV_UNSUPPORTED, "the store is open for writing: nobody else writes it");
    if (st == AKV_OK)
        st = akvi_lsm_catch_up((lsm_db *)lsm);
    return akvi_call_end(st, "lsm");
}
