/* SPDX-License-Identifier: MIT
 *
 * snapshot.c: snapshots, those of callers and those of transactions.
 */
#include "common/front/front.h"

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
    snapshot->db = db;
    akvi_pin_add(db, AKVI_PIN_SNAPSHOT, &snapshot->pin);
    *snapshot_out = snapshot;
    return AKV_OK;
}

void akvi_snapshot_close(akvi_snapshot *snapshot)
{
    akv *db = snapshot->db;

    akvi_pin_drop(db, AKVI_PIN_SNAPSHOT, &snapshot->pin);
    db->engine->snapshot_free(db->impl, snapshot->base.impl);
    akvi_free(akvi_mem(db), snapshot, sizeof *snapshot);
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
