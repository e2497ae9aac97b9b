/* SPDX-License-Identifier: MIT
 *
 * logs.c: the logs that the memtables' entries are in: the newest takes
 * writes, older ones wait for their memtable to become a table.
 *
 * Durability in order: a log is synced after all older ones, so what is on the
 * device is a prefix of what was written, across logs too.
 */
#include "engines/lsm/db.h"

#include "common/base/mem.h"

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

akv_status akvi_lsm_log_begin(lsm_db *db, uint64_t number)
{
    lsm_log   *log  = akvi_zalloc(db->allocator, sizeof *log);
    char      *path = akvi_lsm_path(db, LSM_FILE_WAL, number), *old = NULL;
    uint64_t   spare;
    akv_status st = log && path ? AKV_OK : AKV_NOMEM;

    akvi_mutex_lock(&db->mu);
    spare         = db->spare_log;
    db->spare_log = 0;
    akvi_mutex_unlock(&db->mu);
    if (st == AKV_OK && spare > 0 && !(old = akvi_lsm_path(db, LSM_FILE_WAL, spare)))
        st = AKV_NOMEM;
    if (st == AKV_OK)
        st = akvi_lsm_wal_create(db->allocator, db->env, path, number, old,
                                 db->options.write_buffer, &log->wal);
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

akv_status akvi_lsm_logs_sync(lsm_db *db)
{
    lsm_log   *log, *next;
    akv_status st = AKV_OK;

    akvi_mutex_lock(&db->mu);
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
