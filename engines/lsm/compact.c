/* SPDX-License-Identifier: MIT
 *
 * compact.c: merging tables of one level into the next.
 */
#include "engines/lsm/output.h"

#include "common/base/mem.h"

#define COMPACT_STEP (UINT64_C(1) << 20) /* bytes between two looks at the clock */

/* The same files, a level lower. */
static akv_status compact_move(lsm_db *db, const lsm_compaction *c)
{
    lsm_table_meta *added   = akvi_alloc_n(db->allocator, c->n[0], sizeof *added);
    lsm_table_ref  *removed = akvi_alloc_n(db->allocator, c->n[0], sizeof *removed);
    lsm_edit edit = {.added = added, .added_n = c->n[0], .removed = removed, .removed_n = c->n[0]};
    akv_status st = added && removed ? AKV_OK : AKV_NOMEM;

    for (size_t i = 0; i < c->n[0] && st == AKV_OK; i++) {
        added[i]       = c->inputs[0][i]->meta;
        removed[i]     = (lsm_table_ref){added[i].number, (uint8_t)c->level};
        added[i].level = (uint8_t)c->output;
    }
    if (st == AKV_OK)
        st = akvi_lsm_apply(db, &edit, 0);
    if (st == AKV_OK)
        atomic_fetch_add_explicit(&db->counters.moves, c->n[0], memory_order_relaxed);
    akvi_free(db->allocator, added, c->n[0] * sizeof *added);
    akvi_free(db->allocator, removed, c->n[0] * sizeof *removed);
    return st;
}

static akv_status compact_ranges(const lsm_compaction *c, lsm_gc *gc, lsm_output *o)
{
    akv_status st = AKV_OK;

    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < c->n[i] && st == AKV_OK; k++) {
            size_t           n;
            const lsm_entry *ranges = akvi_lsm_table_ranges(c->inputs[i][k]->table, &n);

            st = akvi_lsm_gc_ranges(gc, ranges, n);
            for (size_t r = 0; r < n && st == AKV_OK; r++)
                if (!akvi_lsm_gc_range_done(gc, &ranges[r]))
                    st = akvi_lsm_output_range(o, &ranges[r]);
        }
    return st == AKV_OK ? akvi_lsm_gc_begin(gc) : st;
}

/* One cursor over all that is merged. */
static akv_status compact_cursor(lsm_db *db, const lsm_compaction *c, lsm_cursor **cursor_out)
{
    static const lsm_read read = {.verify = true, .sequential = true};
    size_t                cap = c->n[0] + 1, n = 0;
    lsm_cursor          **children = akvi_alloc_n(db->allocator, cap, sizeof(lsm_cursor *));
    akv_status            st       = children ? AKV_OK : AKV_NOMEM;

    for (size_t i = 0; c->level == 0 && i < c->n[0] && st == AKV_OK; i++) {
        st = akvi_lsm_table_cursor(c->inputs[0][i]->table, &read, &children[n]);
        n += st == AKV_OK;
    }
    for (unsigned i = c->level == 0; i < 2 && st == AKV_OK; i++) {
        if (c->n[i] == 0)
            continue;
        st = akvi_lsm_level_cursor(db->allocator, c->inputs[i], c->n[i], &read, &children[n]);
        n += st == AKV_OK;
    }
    if (st == AKV_OK) {
        st = akvi_lsm_merge_cursor(db->allocator, children, n, cursor_out);
        n  = 0;
    }
    while (n-- > 0 && n < cap)
        lsm_cursor_free(children[n]);
    if (children)
        akvi_free(db->allocator, children, cap * sizeof(lsm_cursor *));
    return st;
}

static akv_status compact_step(lsm_db *db, akv_job *job, uint64_t bytes)
{
    if (atomic_load_explicit(&db->closing, memory_order_relaxed))
        return AKV_FAIL(AKV_CANCELLED, "the store is being closed");
    return akv_job_step(job, bytes, bytes);
}

static akv_status compact_entries(lsm_db *db, lsm_cursor *c, lsm_gc *gc, lsm_output *o,
                                  akv_job *job)
{
    uint64_t   bytes = 0;
    akv_status st;
    bool       keep;

    for (st = lsm_cursor_move(c, LSM_FIRST); st == AKV_OK; st = lsm_cursor_move(c, LSM_NEXT)) {
        lsm_entry e = c->entry;

        bytes += e.key.len + e.value.len;
        st = akvi_lsm_gc_look(gc, &e, &keep);
        if (st == AKV_OK && keep)
            st = akvi_lsm_output_add(o, &e);
        if (st == AKV_OK && bytes >= COMPACT_STEP) {
            st    = compact_step(db, job, bytes);
            bytes = 0;
        }
        if (st != AKV_OK)
            return st;
    }
    return st == AKV_END ? compact_step(db, job, bytes) : st;
}

static akv_status compact_merge(lsm_db *db, const lsm_compaction *c, const lsm_version *below,
                                lsm_output *o, akv_job *job)
{
    lsm_cursor *cursor = NULL;
    lsm_gc      gc;
    akv_status  st = akvi_lsm_gc_init(&gc, db, below, c->output);

    if (st == AKV_OK)
        st = compact_ranges(c, &gc, o);
    if (st == AKV_OK)
        st = compact_cursor(db, c, &cursor);
    if (st == AKV_OK)
        st = compact_entries(db, cursor, &gc, o, job);
    lsm_cursor_free(cursor);
    if (st == AKV_OK)
        st = akvi_lsm_output_finish(o);
    atomic_fetch_add_explicit(&db->counters.dropped, gc.dropped, memory_order_relaxed);
    akvi_lsm_gc_free(&gc);
    return st;
}

static akv_status compact_install(lsm_db *db, const lsm_compaction *c, const lsm_output *o)
{
    size_t         n = c->n[0] + c->n[1], at = 0;
    lsm_table_ref *removed = akvi_alloc_n(db->allocator, n, sizeof *removed);
    lsm_edit       edit    = {.removed = removed, .removed_n = n};
    akv_status     st;

    if (!removed)
        return AKV_NOMEM;
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < c->n[i]; k++) {
            const lsm_table_meta *m = &c->inputs[i][k]->meta;

            unsigned l = i == 0 ? c->level : c->output;

            atomic_fetch_add_explicit(&db->counters.read_bytes[l], m->size, memory_order_relaxed);
            removed[at++] = (lsm_table_ref){m->number, (uint8_t)l};
        }
    edit.added = lsm_output_metas(o, &edit.added_n);
    st         = akvi_lsm_apply(db, &edit, 0);
    akvi_free(db->allocator, removed, n * sizeof *removed);
    return st;
}

akv_status akvi_lsm_compact(lsm_db *db, lsm_compaction *c, akv_job *job)
{
    lsm_output o;
    lsm_view  *v;
    akv_status st;

    if (c->move)
        return compact_move(db, c);
    v = akvi_lsm_view_ref(db);
    akvi_lsm_output_init(&o, db, c->output, db->options.table_size);
    st = compact_merge(db, c, v->version, &o, job);
    if (st != AKV_OK) {
        akvi_lsm_output_free(&o, true);
    } else {
        st = compact_install(db, c, &o);
        atomic_fetch_add_explicit(&db->counters.compactions, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&db->counters.write_bytes[c->output], o.bytes,
                                  memory_order_relaxed);
        akvi_lsm_output_free(&o, false);
    }
    akvi_lsm_view_unref(v);
    return st;
}

/* ------------------------------------------------------------------ on demand */

void akvi_lsm_maintain_begin(lsm_db *db)
{
    akvi_mutex_lock(&db->mu);
    while (db->maintaining)
        akvi_cond_wait(&db->changed, &db->mu);
    db->maintaining = true;
    akvi_mutex_unlock(&db->mu);
}

void akvi_lsm_maintain_end(lsm_db *db)
{
    akvi_mutex_lock(&db->mu);
    db->maintaining = false;
    akvi_cond_broadcast(&db->changed);
    akvi_mutex_unlock(&db->mu);
}

void akvi_lsm_compact_pause(lsm_db *db)
{
    akvi_mutex_lock(&db->mu);
    db->paused++;
    while (db->compacting > 0)
        akvi_cond_wait(&db->changed, &db->mu);
    akvi_mutex_unlock(&db->mu);
}

void akvi_lsm_compact_resume(lsm_db *db)
{
    akvi_mutex_lock(&db->mu);
    db->paused--;
    akvi_cond_broadcast(&db->changed);
    akvi_lsm_schedule(db);
    akvi_mutex_unlock(&db->mu);
}

static akv_status compact_level(lsm_db *db, unsigned level, unsigned output, akv_slice lower,
                                const akv_slice *upper, akv_job *job)
{
    lsm_compaction c;
    akv_status     st;

    akvi_mutex_lock(&db->mu);
    st = akvi_lsm_pick_range(db, level, output, lower, upper, &c);
    akvi_mutex_unlock(&db->mu);
    if (st != AKV_OK)
        return st == AKV_END ? AKV_OK : st;
    st = akvi_lsm_compact(db, &c, job);
    akvi_lsm_unpick(db, &c);
    akvi_lsm_views_reap(db);
    return st;
}

akv_status akvi_lsm_compact_all(lsm_db *db, akv_slice lower, const akv_slice *upper,
                                const akv_job_options *opt)
{
    uint64_t   bytes = 0;
    lsm_view  *v;
    akv_job    job;
    akv_status st = akvi_lsm_flush_all(db);

    if (st != AKV_OK)
        return st;
    akvi_lsm_maintain_begin(db);
    akvi_lsm_compact_pause(db);
    v = akvi_lsm_view_ref(db);
    for (unsigned l = 0; l < LSM_LEVELS; l++)
        bytes += v->version->levels[l].bytes;
    akvi_lsm_view_unref(v);
    akv_job_begin(&job, opt, db->env, bytes, "bytes");
    for (unsigned l = 0; l < LSM_LEVELS && st == AKV_OK; l++)
        st = compact_level(db, l, l + 1 < LSM_LEVELS ? l + 1 : l, lower, upper, &job);
    akvi_lsm_compact_resume(db);
    akvi_lsm_maintain_end(db);
    return st;
}
