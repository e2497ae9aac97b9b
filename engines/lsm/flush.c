/* SPDX-License-Identifier: MIT
 *
 * flush.c: background work: memtables to tables of level 0, and starting
 * compactions. Jobs run on the store's threads or, without any, in akv_work and
 * in writes that can't go on.
 *
 * A job that fails leaves everything as it was and notes why; the next write
 * that has to wait for it starts it anew and, should that fail too, answers so.
 */
#include "engines/lsm/output.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#define FLUSH_WAIT_NS UINT64_C(100000000)

/* ------------------------------------------------------------- one flush */

static akv_status flush_entries(lsm_db *db, lsm_cursor **cursors, unsigned n, lsm_gc *gc,
                                lsm_output *o)
{
    lsm_cursor *c  = NULL;
    akv_status  st = akvi_lsm_merge_cursor(db->allocator, cursors, n, &c);
    bool        keep;

    if (st != AKV_OK)
        return st;
    for (st = lsm_cursor_move(c, LSM_FIRST); st == AKV_OK; st = lsm_cursor_move(c, LSM_NEXT)) {
        lsm_entry e = c->entry;

        st = akvi_lsm_gc_look(gc, &e, &keep);
        if (st == AKV_OK && keep)
            st = akvi_lsm_output_add(o, &e);
        if (st != AKV_OK)
            break;
    }
    lsm_cursor_free(c);
    return st == AKV_END ? AKV_OK : st;
}

static akv_status flush_ranges(const lsm_generation *mem, unsigned n, lsm_gc *gc, lsm_output *o)
{
    akv_status st = AKV_OK;

    for (unsigned i = 0; i < n && st == AKV_OK; i++) {
        size_t           ranges_n;
        const lsm_entry *ranges = akvi_lsm_memtable_ranges(mem[i].memtable, &ranges_n);

        st = akvi_lsm_gc_ranges(gc, ranges, ranges_n);
        for (size_t r = 0; r < ranges_n && st == AKV_OK; r++)
            st = akvi_lsm_output_range(o, &ranges[r]);
    }
    return st == AKV_OK ? akvi_lsm_gc_begin(gc) : st;
}

akv_status akvi_lsm_write_tables(lsm_db *db, const lsm_generation *mem, unsigned n, lsm_output *o)
{
    lsm_cursor *cursors[LSM_MEMTABLES];
    unsigned    made = 0;
    lsm_gc      gc;
    akv_status  st = akvi_lsm_gc_init(&gc, db, NULL, 0);

    if (st == AKV_OK)
        st = flush_ranges(mem, n, &gc, o);
    while (st == AKV_OK && made < n) {
        st = akvi_lsm_memtable_cursor(mem[made].memtable, &cursors[made]);
        made += st == AKV_OK;
    }
    if (st == AKV_OK)
        st = flush_entries(db, cursors, n, &gc, o);
    else
        while (made-- > 0)
            lsm_cursor_free(cursors[made]);
    if (st == AKV_OK)
        st = akvi_lsm_output_finish(o);
    atomic_fetch_add_explicit(&db->counters.dropped, gc.dropped, memory_order_relaxed);
    akvi_lsm_gc_free(&gc);
    return st;
}

/* Make tables of the memtables that wait in `v`. */
static akv_status flush_view(lsm_db *db, const lsm_view *v)
{
    unsigned   n     = v->n - 1;
    uint64_t   begin = akvi_monotonic_ns();
    lsm_edit   edit  = {.log_number = v->mem[0].log, .last_seq = v->mem[1].last_seq};
    lsm_output o;
    akv_status st;

    akvi_lsm_output_init(&o, db, 0, 0);
    st = akvi_lsm_write_tables(db, v->mem + 1, n, &o);
    if (st != AKV_OK) {
        akvi_lsm_output_free(&o, true);
        return st;
    }
    edit.added = lsm_output_metas(&o, &edit.added_n);
    st         = akvi_lsm_apply(db, &edit, n);
    atomic_fetch_add_explicit(&db->counters.flushes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->counters.flush_bytes, o.bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->counters.flush_ns, akvi_monotonic_ns() - begin,
                              memory_order_relaxed);
    akvi_lsm_output_free(&o, false);
    akvi_lsm_logs_trim(db);
    return st;
}

static akv_status flush_run(lsm_db *db)
{
    lsm_view  *v  = akvi_lsm_view_ref(db);
    akv_status st = v->n > 1 ? flush_view(db, v) : AKV_OK;

    akvi_lsm_view_unref(v);
    return st;
}

/* ------------------------------------------------------------------- jobs */

/* What a job's end means to those who wait. With mu held. */
static void flush_ended(lsm_db *db, akv_status st)
{
    akvi_mutex_assert_held(&db->mu);
    if (st < 0 && st != AKV_CANCELLED) {
        db->failed = st;
        if (!db->poisoned)
            db->failure = *akvi_pending_error();
    } else {
        db->failed = AKV_OK;
    }
    akvi_cond_broadcast(&db->changed);
}

/* Log a failure, but not again while the same goes on. */
static void flush_tell(lsm_db *db, const char *what, akv_status st, _Atomic int *told)
{
    int before;

    if (st == AKV_CANCELLED)
        return;
    before = atomic_exchange_explicit(told, st, memory_order_relaxed);
    if (st < 0 && st != before)
        akv_engine_log(db->logger, AKV_LOG_ERROR, "lsm", "%s failed, and is tried again: %s", what,
                       akvi_pending_error()->text);
}

/* Begin a flush if there is something to flush and none runs. With mu held. */
static bool flush_claim(lsm_db *db)
{
    const lsm_view *v = atomic_load_explicit(&db->view, memory_order_relaxed);

    akvi_mutex_assert_held(&db->mu);
    if (v->n < 2 || db->flushing > 0)
        return false;
    db->flushing++;
    return true;
}

static akv_status flush_claimed(lsm_db *db)
{
    akv_status st = flush_run(db);

    flush_tell(db, "a flush", st, &db->flush_told);
    akvi_mutex_lock(&db->mu);
    db->flushing--;
    flush_ended(db, st);
    if (st == AKV_OK)
        akvi_lsm_schedule(db);
    akvi_mutex_unlock(&db->mu);
    return st;
}

static akv_status flush_compact(lsm_db *db, lsm_compaction *c)
{
    akv_job    job;
    akv_status st;

    akv_job_begin(&job, NULL, db->env, 0, "bytes");
    st = akvi_lsm_compact(db, c, &job);
    flush_tell(db, "a compaction", st, &db->compact_told);
    akvi_lsm_unpick(db, c);
    akvi_mutex_lock(&db->mu);
    db->compacting--;
    flush_ended(db, st);
    if (st == AKV_OK)
        akvi_lsm_schedule(db);
    akvi_mutex_unlock(&db->mu);
    akvi_lsm_views_reap(db);
    return st;
}

/* A thread's job: whichever of the two there is. A slot for it was counted in
 * `flushing` or `compacting` when it was submitted. */
static void flush_job(void *user)
{
    akvi_call_begin();
    (void)flush_claimed(user);
}

static void flush_compact_job(void *user)
{
    lsm_db        *db = user;
    lsm_compaction c;
    akv_status     st;

    akvi_call_begin();
    akvi_mutex_lock(&db->mu);
    st = db->closing || db->paused ? AKV_END : akvi_lsm_pick(db, &c);
    if (st != AKV_OK) {
        db->compacting--;
        akvi_cond_broadcast(&db->changed);
    }
    akvi_mutex_unlock(&db->mu);
    if (st == AKV_OK)
        (void)flush_compact(db, &c);
}

void akvi_lsm_schedule(lsm_db *db)
{
    akvi_mutex_assert_held(&db->mu);
    if (!db->pool || db->closing || db->poisoned)
        return;
    if (flush_claim(db) && akvi_pool_submit(db->pool, flush_job, db) != AKV_OK) {
        db->flushing--;
        akv_engine_recovered(); /* the next write that waits tries again */
    }
    while (!db->paused && db->compacting < db->threads && akvi_lsm_wants_compaction(db)) {
        db->compacting++;
        if (akvi_pool_submit(db->pool, flush_compact_job, db) != AKV_OK) {
            db->compacting--;
            akv_engine_recovered();
            return;
        }
        if (db->compacting > 1)
            return;
    }
}

akv_status akvi_lsm_work(void *impl)
{
    lsm_db        *db = impl;
    lsm_compaction c;
    akv_status     st = AKV_END;
    bool           flush;

    if (db->read_only)
        return AKV_END;
    akvi_mutex_lock(&db->mu);
    flush = flush_claim(db);
    if (!flush && !db->paused && (st = akvi_lsm_pick(db, &c)) == AKV_OK)
        db->compacting++;
    akvi_mutex_unlock(&db->mu);
    if (flush)
        return flush_claimed(db);
    if (st == AKV_END && akvi_lsm_sync_is_due(db))
        return akvi_lsm_logs_sync(db);
    return st == AKV_OK ? flush_compact(db, &c) : st;
}

akv_status akvi_lsm_work_or_wait(lsm_db *db)
{
    akv_status st = akvi_lsm_work(db);

    if (st != AKV_END)
        return st;
    akvi_mutex_lock(&db->mu);
    if (db->flushing + db->compacting + db->paused > 0) {
        st = AKV_OK;
        akvi_cond_wait_until(&db->changed, &db->mu, akvi_monotonic_ns() + FLUSH_WAIT_NS);
    }
    akvi_mutex_unlock(&db->mu);
    return st;
}

/* ---------------------------------------------------------------- waiting */

akv_status akvi_lsm_flush_wait(lsm_db *db)
{
    akv_status st = AKV_OK;

    akvi_mutex_lock(&db->mu);
    db->failed = AKV_OK;
    while (st == AKV_OK && atomic_load_explicit(&db->view, memory_order_relaxed)->n > 1) {
        if (!db->pool) {
            akvi_mutex_unlock(&db->mu);
            st = akvi_lsm_work_or_wait(db);
            st = st == AKV_END ? AKV_OK : st; /* others have done it */
            akvi_mutex_lock(&db->mu);
            continue;
        }
        if (db->poisoned) {
            st = akvi_fail_again(&db->failure);
            break;
        }
        akvi_lsm_schedule(db);
        akvi_cond_wait(&db->changed, &db->mu);
        if (db->failed != AKV_OK && db->flushing == 0)
            st = akvi_fail_again(&db->failure);
    }
    akvi_mutex_unlock(&db->mu);
    return st;
}

akv_status akvi_lsm_flush_all(lsm_db *db)
{
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result = {0};
    lsm_write         w      = {.opt = &opt, .result = &result, .alone = true};
    akv_status        st     = AKV_OK;

    akvi_lsm_write_begin(db, &w);
    if (akvi_lsm_memtable_entries(db->memtable) > 0)
        st = akvi_lsm_switch(db);
    akvi_lsm_write_end(db, &w);
    return st == AKV_OK ? akvi_lsm_flush_wait(db) : st;
}
