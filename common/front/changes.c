/* SPDX-License-Identifier: MIT
 *
 * changes.c: the change feed, which is the engine's; here are its checks.
 */
#include "common/front/front.h"

#include "common/base/buffer.h"

struct akv_changes {
    akv  *db;
    void *impl;
};

akv_status akv_changes_open(akv *db, akv_slice token, akv_changes **changes_out)
{
    akv_status   status  = akvi_enter(db, __func__);
    akv_changes *changes = NULL;

    if (changes_out)
        *changes_out = NULL;
    if (status != AKV_OK)
        return status;
    status = changes_out ? akvi_need(db, AKV_CAP_CHANGES) : akvi_null(__func__, "changes_out");
    if (status == AKV_OK && !token.data && token.len != 0)
        status = akvi_null(__func__, "the token");
    if (status == AKV_OK && !(changes = akvi_zalloc(akvi_mem(db), sizeof *changes)))
        status = AKV_NOMEM;
    if (status == AKV_OK)
        status = db->engine->changes_open(db->impl, token, &changes->impl);
    if (status != AKV_OK) {
        akvi_free(akvi_mem(db), changes, sizeof *changes);
        return akvi_leave(db, status);
    }
    changes->db = db;
    akvi_live_add(db, AKVI_KIND_CHANGES);
    *changes_out = changes;
    return AKV_OK;
}

static akv_status changes_enter(const akv_changes *changes, const char *call)
{
    return changes ? akvi_enter(changes->db, call) : akvi_refuse_null(call, "changes");
}

akv_status akv_changes_next(akv_changes *changes, uint64_t wait_ms, akv_change *change_out)
{
    const akv_change none   = {.kind = (akv_change_kind)0};
    akv_status       status = changes_enter(changes, __func__);

    if (change_out)
        *change_out = none;
    if (status != AKV_OK)
        return status;
    if (!change_out)
        return akvi_leave(changes->db, akvi_null(__func__, "change_out"));
    status = changes->db->engine->changes_next(changes->impl, wait_ms, change_out);
    if (status != AKV_OK)
        *change_out = none;
    return akvi_leave(changes->db, status);
}

akv_status akv_changes_token(akv_changes *changes, akv_buffer *token_out)
{
    akv_status status = changes_enter(changes, __func__);

    if (token_out)
        akvi_buffer_clear(token_out);
    if (status != AKV_OK)
        return status;
    if (!token_out)
        return akvi_leave(changes->db, akvi_null(__func__, "token_out"));
    status = changes->db->engine->changes_token(changes->impl, token_out);
    if (status != AKV_OK)
        akvi_buffer_clear(token_out);
    return akvi_leave(changes->db, status);
}

void akv_changes_close(akv_changes *changes)
{
    akv *db = changes ? changes->db : NULL;

    if (!akvi_is_live(db))
        return;
    db->engine->changes_close(changes->impl);
    akvi_free(akvi_mem(db), changes, sizeof *changes);
    akvi_live_drop(db, AKVI_KIND_CHANGES);
}
