/* SPDX-License-Identifier: MIT
 *
 * bulk.c: loading many entries at once, without the log (lsm.h).
 *
 * Entries are sorted in a memtable of their own, which becomes a table whenever
 * it is full: a run. Runs of one age are merged when there are BULK_WIDTH of
 * them, so that few are open. Runs are in the store's folder under numbers of
 * its own, but the manifest never names them: what a crash leaves of a load, the
 * next opening removes.
 *
 * The end merges all runs into tables of the level that they belong on. All of
 * their entries have one sequence number, which is chosen before the merge: the
 * last one then, plus BULK_GAP, so that writes go on meanwhile and stay below
 * it. When the tables are whole, writers are held for as long as it takes to
 * flush the memtable, so that no log holds an entry below the number, and to
 * write one edit of the manifest; then the number is raised, which shows all of
 * the load at once. Compactions rest between these, since what they drop as
 * hidden by the load must not be missed by who reads as of before.
 *
 * A load belongs to one thread at a time.
 */
#include "engines/lsm/output.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "engines/lsm/bulk.h"

#define BULK_WIDTH 16u                 /* runs of one age */
#define BULK_GAP   (UINT64_C(1) << 32) /* more than are written during one merge */
#define BULK_STEP  (UINT64_C(1) << 20) /* bytes between two looks at the clock */

typedef struct bulk_run {
    lsm_file *file;
    unsigned  age; /* how often its entries were merged */
} bulk_run;

struct akv_lsm_bulk {
    lsm_db       *db;
    lsm_memtable *memtable;
    akv_buffer    runs; /* of bulk_run, oldest first; ages never rise */
    uint64_t      seq;  /* of the last entry, within the load: of a key the highest counts */
};

static size_t bulk_runs(const akv_lsm_bulk *b)
{
    return b->runs.len / sizeof(bulk_run);
}

/* ------------------------------------------------------------------- merging */

/* Over the runs from `from` on, and the memtable too if `all`. */
static akv_status bulk_cursor(akv_lsm_bulk *b, size_t from, bool all, lsm_cursor **cursor_out)
{
    static const lsm_read read = {.verify = true, .sequential = true};
    const bulk_run       *runs = b->runs.data;
    size_t                cap = bulk_runs(b) - from + 1, n = 0;
    lsm_cursor          **children = akvi_alloc_n(b->db->allocator, cap, sizeof(lsm_cursor *));
    akv_status            st       = children ? AKV_OK : AKV_NOMEM;

    for (size_t i = from; i < bulk_runs(b) && st == AKV_OK; i++) {
        st = akvi_lsm_table_cursor(runs[i].file->table, &read, &children[n]);
        n += st == AKV_OK;
    }
    if (st == AKV_OK && all) {
        st = akvi_lsm_memtable_cursor(b->memtable, &children[n]);
        n += st == AKV_OK;
    }
    if (st == AKV_OK) {
        st = akvi_lsm_merge_cursor(b->db->allocator, children, n, cursor_out);
        n  = 0;
    }
    while (n > 0)
        lsm_cursor_free(children[--n]);
    if (children)
        akvi_free(b->db->allocator, children, cap * sizeof(lsm_cursor *));
    return st;
}

/* Of each key the last entry, with the number `seq`; 0: its own. */
static akv_status bulk_entries(lsm_cursor *c, uint64_t seq, lsm_output *o, akv_job *job)
{
    akv_buffer key     = {NULL, 0, 0, o->db->allocator};
    bool       has_key = false;
    uint64_t   bytes   = 0;
    akv_status st;

    for (st = lsm_cursor_move(c, LSM_FIRST); st == AKV_OK; st = lsm_cursor_move(c, LSM_NEXT)) {
        lsm_entry e = c->entry;

        if (has_key && akvi_equal(key.data, key.len, e.key.data, e.key.len))
            continue;
        if (seq > 0)
            e.seq = seq;
        has_key = true;
        bytes += e.key.len + e.value.len;
        st = akvi_buffer_set(&key, e.key.data, e.key.len);
        if (st == AKV_OK)
            st = akvi_lsm_output_add(o, &e);
        if (st == AKV_OK && bytes >= BULK_STEP) {
            st    = akv_job_step(job, bytes, bytes);
            bytes = 0;
        }
        if (st != AKV_OK)
            break;
    }
    akv_buffer_free(&key);
    return st == AKV_END ? akv_job_step(job, bytes, bytes) : st;
}

static akv_status bulk_merge(akv_lsm_bulk *b, size_t from, bool all, uint64_t seq, lsm_output *o,
                             akv_job *job)
{
    lsm_cursor *c  = NULL;
    akv_status  st = bulk_cursor(b, from, all, &c);

    if (st == AKV_OK)
        st = bulk_entries(c, seq, o, job);
    lsm_cursor_free(c);
    return st == AKV_OK ? akvi_lsm_output_finish(o) : st;
}

/* ---------------------------------------------------------------------- runs */

static void bulk_drop(akv_lsm_bulk *b, size_t from)
{
    bulk_run *runs = b->runs.data;

    for (size_t i = from; i < bulk_runs(b); i++)
        akvi_lsm_file_unref(runs[i].file);
    b->runs.len = from * sizeof *runs;
}

/* The one table of `o` takes the place of the runs from `from` on. Its file goes
 * when it is no longer used. */
static akv_status bulk_keep(akv_lsm_bulk *b, const lsm_output *o, size_t from, unsigned age)
{
    bulk_run              run = {.age = age};
    size_t                n;
    const lsm_table_meta *metas = lsm_output_metas(o, &n);
    akv_status            st    = akvi_buffer_reserve(&b->runs, sizeof run);

    if (st == AKV_OK)
        st = akvi_lsm_file_open(b->db, &metas[0], &run.file);
    if (st != AKV_OK)
        return st;
    atomic_store_explicit(&run.file->obsolete, true, memory_order_relaxed);
    bulk_drop(b, from);
    return akv_buffer_append(&b->runs, &run, sizeof run);
}

/* While there are as many of one age as may be, make one of them. */
static akv_status bulk_join(akv_lsm_bulk *b)
{
    akv_status st = AKV_OK;

    while (st == AKV_OK && bulk_runs(b) >= BULK_WIDTH) {
        const bulk_run *runs = b->runs.data;
        size_t          from = bulk_runs(b) - BULK_WIDTH;
        unsigned        age  = runs[bulk_runs(b) - 1].age;
        lsm_output      o;
        akv_job         job;

        if (runs[from].age != age)
            return AKV_OK;
        akv_job_begin(&job, NULL, b->db->env, 0, "bytes");
        akvi_lsm_output_init(&o, b->db, 0, 0);
        st = bulk_merge(b, from, false, 0, &o, &job);
        if (st == AKV_OK)
            st = bulk_keep(b, &o, from, age + 1);
        akvi_lsm_output_free(&o, st != AKV_OK);
    }
    return st;
}

/* The memtable becomes a run, and another begins. */
static akv_status bulk_spill(akv_lsm_bulk *b)
{
    lsm_generation mem   = {.memtable = b->memtable};
    lsm_memtable  *fresh = NULL;
    lsm_output     o;
    akv_status     st = akvi_lsm_memtable_new(b->db->allocator, &fresh);

    if (st != AKV_OK)
        return st;
    akvi_lsm_output_init(&o, b->db, 0, 0);
    st = akvi_lsm_write_tables(b->db, &mem, 1, &o);
    if (st == AKV_OK)
        st = bulk_keep(b, &o, bulk_runs(b), 0);
    akvi_lsm_output_free(&o, st != AKV_OK);
    if (st != AKV_OK) {
        akvi_lsm_memtable_unref(fresh);
        return st;
    }
    akvi_lsm_memtable_unref(b->memtable);
    b->memtable = fresh;
    return bulk_join(b);
}

/* ------------------------------------------------------------- the store's end */

/* The lowest level such that no key of [lower, upper] lies there or above. */
static unsigned bulk_level(lsm_db *db, akv_slice lower, akv_slice upper)
{
    lsm_view *v     = akvi_lsm_view_ref(db);
    unsigned  l     = 0;
    bool      found = false;

    while (!found && l < LSM_LEVELS) {
        for (size_t i = 0; i < v->version->levels[l].n && !found; i++)
            found = akvi_lsm_file_overlaps(v->version->levels[l].files[i], lower, upper);
        l += !found;
    }
    akvi_lsm_view_unref(v);
    return l > 0 ? l - 1 : 0;
}

/* The first and the last key of the load, borrowed; AKV_END when it is empty. */
static akv_status bulk_bounds(akv_lsm_bulk *b, lsm_cursor *memtable, akv_slice *lower_out,
                              akv_slice *upper_out)
{
    const bulk_run *runs = b->runs.data;
    akv_slice       keys[2];
    bool            has = bulk_runs(b) > 0;
    akv_status      st;

    for (size_t i = 0; i < bulk_runs(b); i++) {
        const lsm_table_meta *m = &runs[i].file->meta;

        if (i == 0 ||
            akvi_compare(m->smallest.data, m->smallest.len, lower_out->data, lower_out->len) < 0)
            *lower_out = m->smallest;
        if (i == 0 ||
            akvi_compare(m->largest.data, m->largest.len, upper_out->data, upper_out->len) > 0)
            *upper_out = m->largest;
    }
    if (akvi_lsm_memtable_entries(b->memtable) == 0)
        return has ? AKV_OK : AKV_END;
    st      = lsm_cursor_move(memtable, LSM_FIRST);
    keys[0] = memtable->entry.key; /* the memtable's own, so it stays */
    if (st == AKV_OK)
        st = lsm_cursor_move(memtable, LSM_LAST);
    keys[1] = memtable->entry.key;
    if (!has || akvi_compare(keys[0].data, keys[0].len, lower_out->data, lower_out->len) < 0)
        *lower_out = keys[0];
    if (!has || akvi_compare(keys[1].data, keys[1].len, upper_out->data, upper_out->len) > 0)
        *upper_out = keys[1];
    return st;
}

/* Where the load belongs; AKV_END when it is empty. */
static akv_status bulk_place(akv_lsm_bulk *b, unsigned *level_out)
{
    lsm_cursor *c     = NULL;
    akv_slice   lower = {NULL, 0}, upper = {NULL, 0};
    akv_status  st = akvi_lsm_memtable_cursor(b->memtable, &c);

    if (st == AKV_OK)
        st = bulk_bounds(b, c, &lower, &upper);
    if (st == AKV_OK)
        *level_out = bulk_level(b->db, lower, upper);
    lsm_cursor_free(c);
    return st;
}

/* A failed edit may be in the manifest nevertheless, and what is written from
 * here on has numbers below it. So another manifest must say that it is not. */
static void bulk_refuse(lsm_db *db)
{
    akvi_call_state held;
    akv_status      st = AKV_OK;

    akvi_call_save(&held);
    akvi_mutex_lock(&db->manifest_mu);
    if (!db->manifest)
        st = akvi_lsm_manifest_renew(db, atomic_load(&db->view)->version);
    akvi_mutex_unlock(&db->manifest_mu);
    if (st != AKV_OK)
        akvi_lsm_poison(db);
    akvi_call_restore(&held);
}

/* Make the finished tables part of the store. As the only writer, with
 * compactions paused. */
static akv_status bulk_install(akv_lsm_bulk *b, lsm_output *o, uint64_t seq)
{
    lsm_db         *db    = b->db;
    lsm_table_meta *metas = o->metas.data;
    lsm_edit        edit  = {.last_seq = seq, .added = metas};
    unsigned        level = 0;
    akv_status      st    = AKV_OK;

    edit.added_n = o->metas.len / sizeof *metas;
    akvi_mutex_lock(&db->mu);
    if (db->poisoned)
        st = akvi_fail_again(&db->failure);
    akvi_mutex_unlock(&db->mu);
    if (st == AKV_OK && akvi_lsm_memtable_entries(db->memtable) > 0)
        st = akvi_lsm_switch(db);
    if (st == AKV_OK)
        st = akvi_lsm_flush_wait(db);
    if (st == AKV_OK)
        st = bulk_place(b, &level);
    if (st == AKV_OK && atomic_load(&db->last_seq) >= seq)
        st = AKV_FAIL(AKV_BUSY, "more was written during the load's merge than numbers were set "
                                "aside for; finish it again");
    if (st != AKV_OK)
        return st;
    for (size_t i = 0; level < o->level && i < edit.added_n; i++)
        metas[i].level = (uint8_t)level;
    st = akvi_lsm_apply(db, &edit, 0);
    if (st == AKV_OK)
        atomic_store_explicit(&db->last_seq, seq, memory_order_release);
    else
        bulk_refuse(db);
    return st;
}

static akv_status bulk_finish(akv_lsm_bulk *b, akv_job *job)
{
    lsm_db    *db  = b->db;
    uint64_t   seq = atomic_load(&db->last_seq) + BULK_GAP;
    lsm_write  w   = {.alone = true};
    unsigned   level;
    lsm_output o;
    bool       applied = false;
    akv_status st      = bulk_place(b, &level);

    if (st != AKV_OK)
        return st == AKV_END ? AKV_OK : st;
    if (seq > LSM_SEQ_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "the store's sequence numbers are used up");
    /* On level 0 tables count, whatever their size. */
    akvi_lsm_output_init(&o, db, level, level > 0 ? db->options.table_size : 0);
    st = bulk_merge(b, 0, true, seq, &o, job);
    if (st == AKV_OK) {
        akvi_lsm_compact_pause(db);
        akvi_lsm_write_begin(db, &w);
        st      = bulk_install(b, &o, seq);
        applied = true;
        akvi_lsm_write_end(db, &w);
        akvi_lsm_compact_resume(db);
    }
    akvi_lsm_output_free(&o, !applied);
    return st;
}

/* ---------------------------------------------------------------- the calls */

akv_status akvi_lsm_bulk_begin(lsm_db *db, akv_lsm_bulk **bulk_out)
{
    akv_lsm_bulk *b = akvi_zalloc(db->allocator, sizeof *b);
    akv_status    st;

    if (!b)
        return AKV_NOMEM;
    b->db             = db;
    b->runs.allocator = db->allocator;
    st                = akvi_lsm_memtable_new(db->allocator, &b->memtable);
    if (st == AKV_OK)
        *bulk_out = b;
    else
        akvi_free(db->allocator, b, sizeof *b);
    return st;
}

akv_status akvi_lsm_bulk_add(akv_lsm_bulk *b, const lsm_entry *entry)
{
    lsm_entry  e  = *entry;
    akv_status st = AKV_OK;

    if (akvi_lsm_memtable_entries(b->memtable) > 0 &&
        akvi_lsm_memtable_bytes(b->memtable) >= b->db->options.write_buffer)
        st = bulk_spill(b);
    if (st == AKV_OK)
        st = akvi_lsm_memtable_reserve(b->memtable, 1, e.key.len + e.value.len);
    if (st != AKV_OK)
        return st;
    e.seq = ++b->seq;
    akvi_lsm_memtable_add(b->memtable, &e);
    return AKV_OK;
}

akv_status akvi_lsm_bulk_finish(akv_lsm_bulk *b, const akv_job_options *opt)
{
    lsm_db         *db    = b->db;
    const bulk_run *runs  = b->runs.data;
    uint64_t        bytes = akvi_lsm_memtable_bytes(b->memtable);
    akv_job         job;
    akv_status      st;

    for (size_t i = 0; i < bulk_runs(b); i++)
        bytes += runs[i].file->meta.raw_bytes;
    akv_job_begin(&job, opt, db->env, bytes, "bytes");
    akvi_lsm_maintain_begin(db);
    st = bulk_finish(b, &job);
    akvi_lsm_maintain_end(db);
    if (st == AKV_OK)
        akvi_lsm_bulk_abort(b);
    return st;
}

void akvi_lsm_bulk_abort(akv_lsm_bulk *b)
{
    bulk_drop(b, 0);
    akvi_lsm_memtable_unref(b->memtable);
    akv_buffer_free(&b->runs);
    akvi_free(b->db->allocator, b, sizeof *b);
}

static akv_status bulk_check(const void *first, const void *second)
{
    akvi_call_begin();
    return first && second ? AKV_OK : AKV_FAIL(AKV_MISUSE, "the store, load or its place is NULL");
}

akv_status akv_lsm_bulk_begin(akv_lsm *lsm, akv_lsm_bulk **bulk_out)
{
    akv_status st = bulk_check(lsm, bulk_out);

    if (st == AKV_OK)
        *bulk_out = NULL;
    if (st == AKV_OK && ((lsm_db *)lsm)->read_only)
        st = AKV_FAIL(AKV_UNSUPPORTED, "the store is open for reading only");
    if (st == AKV_OK)
        st = akvi_lsm_bulk_begin((lsm_db *)lsm, bulk_out);
    return akvi_call_end(st, "lsm");
}

static akv_status bulk_check_entry(const lsm_entry *e)
{
    if ((!e->key.data && e->key.len > 0) || (!e->value.data && e->value.len > 0))
        return AKV_FAIL(AKV_MISUSE, "a key or value is NULL");
    if (e->key.len > AKV_LSM_MAX_KEY || e->value.len > AKV_LSM_MAX_VALUE)
        return AKV_FAIL(AKV_TOO_BIG,
                        "a key of %zu bytes with a value of %zu: %llu and %llu are "
                        "the most",
                        e->key.len, e->value.len, (unsigned long long)AKV_LSM_MAX_KEY,
                        (unsigned long long)AKV_LSM_MAX_VALUE);
    return AKV_OK;
}

akv_status akv_lsm_bulk_put(akv_lsm_bulk *bulk, akv_slice key, akv_slice value, uint64_t expiry_ms,
                            uint32_t encoding)
{
    lsm_entry  e  = {.key = key, .value = value, .expiry_ms = expiry_ms, .kind = LSM_PUT};
    akv_status st = bulk_check(bulk, bulk);

    e.encoding = (uint8_t)encoding;
    if (st == AKV_OK)
        st = bulk_check_entry(&e);
    if (st == AKV_OK && encoding > UINT8_MAX)
        st = AKV_FAIL(AKV_MISUSE, "no such encoding: %u", encoding);
    if (st == AKV_OK)
        st = akvi_lsm_bulk_add(bulk, &e);
    return akvi_call_end(st, "lsm");
}

akv_status akv_lsm_bulk_delete(akv_lsm_bulk *bulk, akv_slice key)
{
    lsm_entry  e  = {.key = key, .kind = LSM_DELETE};
    akv_status st = bulk_check(bulk, bulk);

    if (st == AKV_OK)
        st = bulk_check_entry(&e);
    if (st == AKV_OK)
        st = akvi_lsm_bulk_add(bulk, &e);
    return akvi_call_end(st, "lsm");
}

akv_status akv_lsm_bulk_finish(akv_lsm_bulk *bulk, const akv_job_options *opt)
{
    akv_job_options own = AKV_JOB_OPTIONS_INIT;
    akv_status      st  = bulk_check(bulk, bulk);

    if (st == AKV_OK && opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_job_options");
    if (st == AKV_OK)
        st = akvi_lsm_bulk_finish(bulk, &own);
    return akvi_call_end(st, "lsm");
}

void akv_lsm_bulk_abort(akv_lsm_bulk *bulk)
{
    if (bulk)
        akvi_lsm_bulk_abort(bulk);
}
