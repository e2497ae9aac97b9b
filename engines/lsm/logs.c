/* SPDX-License-Identifier: MIT
 *
 * logs.c: the logs that the memtables' entries are in: the newest takes
 * writes, older ones wait for their memtable to become a table.
 *
 * Durability in order: a log is synced after all older ones, so what is on the
 * device is a prefix of what was written, across logs too. One thread syncs at
 * a time: of two the system might tell only one of a failure.
 */
#include "engines/lsm/db.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/env/probe.h"

void akvi_lsm_poison(lsm_db *db)
{
    akvi_mutex_lock(&db->mu);
    if (!db->poisoned) {
        db->poisoned = true;
        db->failure  = *akvi_pending_error();
    }
    akvi_cond_broadcast(&db->changed);
    akvi_mutex_unlock(&db->mu);
}

/* Remove what a log that could not be made has left: it would hold space. */
static void logs_take_back(lsm_db *db, const char *path)
{
    akvi_call_state held;

    akvi_probe_begin(&held);
    (void)db->env->ops->remove(db->env, path);
    akvi_probe_end(&held, false);
}

akv_status akvi_lsm_log_begin(lsm_db *db, uint64_t number)
{
    lsm_log   *log  = akvi_zalloc(db->allocator, sizeof *log);
    char      *path = akvi_lsm_path(db, LSM_FILE_WAL, number), *old = NULL;
    uint64_t   spare, size                                          = db->options.write_buffer;
    akv_status st = log && path ? AKV_OK : AKV_NOMEM;

    if (size > LSM_LOG_FULL)
        size = LSM_LOG_FULL;
    akvi_mutex_lock(&db->mu);
    spare         = db->spare_log;
    db->spare_log = 0;
    akvi_mutex_unlock(&db->mu);
    if (st == AKV_OK && spare > 0 && !(old = akvi_lsm_path(db, LSM_FILE_WAL, spare)))
        st = AKV_NOMEM;
    if (st == AKV_OK) {
        st = akvi_lsm_wal_create(db->allocator, db->env, path, number, old, size, &log->wal);
        if (st != AKV_OK)
            logs_take_back(db, path);
    }
    akvi_strfree(db->allocator, path);
    akvi_strfree(db->allocator, old);
    if (st != AKV_OK) {
        if (log)
            akvi_free(db->allocator, log, sizeof *log);
        return st;
    }
    log->number = number;
    akvi_mutex_lock(&db->mu);
    if (db->log)
        db->log->newer = log;
    else
        db->logs = log;
    db->log = log;
    akvi_mutex_unlock(&db->mu);
    return AKV_OK;
}

/* Sync one log, which is in use by us. */
static akv_status logs_sync_one(lsm_db *db, lsm_log *log)
{
    uint64_t   size = akvi_lsm_wal_size(log->wal);
    akv_status st;

    if (atomic_load_explicit(&log->synced, memory_order_acquire) >= size)
        return AKV_OK;
    atomic_fetch_add_explicit(&db->counters.wal_syncs, 1, memory_order_relaxed);
    st = akvi_lsm_wal_sync(log->wal);
    if (st == AKV_OK)
        atomic_store_explicit(&log->synced, size, memory_order_release);
    else
        akvi_lsm_poison(db);
    return st;
}

bool akvi_lsm_sync_is_due(const lsm_db *db)
{
    return db->sync_period_ns > 0 &&
           akvi_monotonic_ns() - atomic_load_explicit(&db->synced_ns, memory_order_relaxed) >=
               db->sync_period_ns;
}

akv_status akvi_lsm_logs_sync(lsm_db *db)
{
    uint64_t   begin = akvi_monotonic_ns();
    lsm_log   *log, *next;
    akv_status st = AKV_OK;

    akvi_mutex_lock(&db->sync_mu);
    akvi_mutex_lock(&db->mu);
    if (db->poisoned) /* while we waited: what failed may be ours, and is not tried again */
        st = akvi_fail_again(&db->failure);
    if ((log = db->logs))
        log->users++;
    akvi_mutex_unlock(&db->mu);
    for (; log; log = next) {
        if (st == AKV_OK)
            st = logs_sync_one(db, log);
        akvi_mutex_lock(&db->mu);
        next = log->newer;
        if (next)
            next->users++;
        log->users--;
        akvi_mutex_unlock(&db->mu);
    }
    if (st == AKV_OK)
        atomic_store_explicit(&db->synced_ns, begin, memory_order_relaxed);
    akvi_mutex_unlock(&db->sync_mu);
    akvi_lsm_logs_trim(db); /* those that were only kept for us */
    return st;
}

static void logs_remove_file(lsm_db *db, uint64_t number)
{
    char *path = akvi_lsm_path(db, LSM_FILE_WAL, number);

    if (!path || db->env->ops->remove(db->env, path) != AKV_OK)
        akv_engine_recovered(); /* the next opening does it */
    akvi_strfree(db->allocator, path);
}

static void logs_drop(lsm_db *db, lsm_log *log)
{
    bool keep;

    if (akvi_lsm_wal_close(log->wal) != AKV_OK)
        akv_engine_recovered();
    akvi_mutex_lock(&db->mu);
    keep = db->spare_log == 0 && !db->closing;
    if (keep)
        db->spare_log = log->number;
    akvi_mutex_unlock(&db->mu);
    if (!keep)
        logs_remove_file(db, log->number);
    akvi_free(db->allocator, log, sizeof *log);
}

void akvi_lsm_logs_trim(lsm_db *db)
{
    for (;;) {
        lsm_log *log;

        akvi_mutex_lock(&db->mu);
        log = db->logs;
        if (log && log != db->log && log->number < db->log_number && log->users == 0)
            db->logs = log->newer;
        else
            log = NULL;
        akvi_mutex_unlock(&db->mu);
        if (!log)
            return;
        logs_drop(db, log);
    }
}

akv_status akvi_lsm_logs_close(lsm_db *db)
{
    akv_status first = AKV_OK;

    for (lsm_log *log = db->logs, *newer; log; log = newer) {
        bool       needed = log->number >= db->log_number;
        akv_status st;

        newer = log->newer;
        st    = akvi_lsm_wal_close(log->wal);
        if (st != AKV_OK && needed && first == AKV_OK)
            first = akvi_fail_keep();
        else if (st != AKV_OK)
            akv_engine_recovered();
        if (!needed)
            logs_remove_file(db, log->number);
        akvi_free(db->allocator, log, sizeof *log);
    }
    db->logs = db->log = NULL;
    if (db->spare_log > 0)
        logs_remove_file(db, db->spare_log);
    return first;
}
