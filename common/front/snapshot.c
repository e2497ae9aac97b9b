/* SPDX-License-Identifier: MIT
 *
 * snapshot.c: snapshots, those of callers and those of transactions, listed by
 * handle so that stats can tell how old the oldest is.
 */
#include "common/front/front.h"

static void snapshot_link(akvi_snapshot *snapshot)
{
    akv *db = snapshot->db;

    akvi_mutex_lock(&db->snapshots_mu);
    snapshot->next = db->snapshots;
    if (snapshot->next)
        snapshot->next->prev = snapshot;
    db->snapshots = snapshot;
    akvi_mutex_unlock(&db->snapshots_mu);
}

static void snapshot_unlink(akvi_snapshot *snapshot)
{
    akv *db = snapshot->db;

    akvi_mutex_lock(&db->snapshots_mu);
    if (snapshot->next)
        snapshot->next->prev = snapshot->prev;
    if (snapshot->prev)
        snapshot->prev->next = snapshot->next;
    else
        db->snapshots = snapshot->next;
    akvi_mutex_unlock(&db->snapshots_mu);
}

akv_status akvi_snapshot_open(akv *db, akvi_snapshot **snapshot_out)
{
    akvi_snapshot *snapshot = akvi_zalloc(akvi_mem(db), sizeof *snapshot);
    akv_status     status;

    if (!snapshot)
        return AKV_NOMEM;
    status = db->engine->snapshot_new(db->impl, &snapshot->base.impl);
    if (status != AKV_OK) {
        akvi_free(akvi_mem(db), snapshot, sizeof *snapshot);
        return status;
    }
    snapshot->db      = db;
    snapshot->made_ns = akvi_clock(db);
    snapshot_link(snapshot);
    *snapshot_out = snapshot;
    return AKV_OK;
}

void akvi_snapshot_close(akvi_snapshot *snapshot)
{
    akv *db = snapshot->db;

    snapshot_unlink(snapshot);
    db->engine->snapshot_free(db->impl, snapshot->base.impl);
    akvi_free(akvi_mem(db), snapshot, sizeof *snapshot);
}

uint64_t akvi_snapshot_oldest_ns(akv *db)
{
    uint64_t now    = akvi_clock(db);
    uint64_t oldest = now;

    akvi_mutex_lock(&db->snapshots_mu);
    for (akvi_snapshot *s = db->snapshots; s; s = s->next)
        oldest = s->made_ns < oldest ? s->made_ns : oldest;
    akvi_mutex_unlock(&db->snapshots_mu);
    return now - oldest;
}

akv_status akv_snapshot_new(akv *db, akv_snapshot **snapshot_out)
{
    akv_status     status = akvi_enter(db, __func__);
    akvi_snapshot *snapshot;

    if (snapshot_out)
        *snapshot_out = NULL;
    if (status != AKV_OK)
        return status;
    status = snapshot_out ? akvi_need(db, AKV_CAP_SNAPSHOT) : akvi_null(__func__, "snapshot_out");
    if (status == AKV_OK)
        status = akvi_snapshot_open(db, &snapshot);
    if (status == AKV_OK) {
        akvi_live_add(db, AKVI_KIND_SNAPSHOT);
        *snapshot_out = &snapshot->base;
    }
    return akvi_leave(db, status);
}

void akv_snapshot_free(akv_snapshot *base)
{
    akvi_snapshot *snapshot = (akvi_snapshot *)base;
    akv           *db       = snapshot ? snapshot->db : NULL;

    if (!akvi_is_live(db))
        return;
    akvi_snapshot_close(snapshot);
    akvi_live_drop(db, AKVI_KIND_SNAPSHOT);
}
