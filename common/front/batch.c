/* SPDX-License-Identifier: MIT
 *
 * batch.c: operations collected to be written as one. Bytes go into an arena,
 * operations into one array in the form that the engine takes, so writing a
 * batch converts nothing.
 */
#include "common/front/front.h"

#include "common/base/arena.h"

#include <inttypes.h>

#define BATCH_MAX UINT32_MAX

struct akv_batch {
    akv       *db;
    akvi_arena arena;
    akv_op    *ops;
    size_t     n, cap;
};

akv_status akv_batch_new(akv *db, akv_batch **batch_out)
{
    akv_status status = akvi_enter(db, __func__);
    akv_batch *batch  = NULL;

    if (batch_out)
        *batch_out = NULL;
    if (status != AKV_OK)
        return status;
    status = batch_out ? akvi_need(db, AKV_CAP_BATCH) : akvi_null(__func__, "batch_out");
    if (status == AKV_OK && !(batch = akvi_zalloc(akvi_mem(db), sizeof *batch)))
        status = AKV_NOMEM;
    if (status != AKV_OK)
        return akvi_leave(db, status);
    batch->db = db;
    akvi_arena_init(&batch->arena, akvi_mem(db));
    akvi_live_add(db, AKVI_KIND_BATCH);
    *batch_out = batch;
    return AKV_OK;
}

void akv_batch_free(akv_batch *batch)
{
    akv *db = batch ? batch->db : NULL;

    if (!akvi_is_live(db))
        return;
    akvi_arena_free(&batch->arena);
    akvi_free(akvi_mem(db), batch->ops, batch->cap * sizeof *batch->ops);
    akvi_free(akvi_mem(db), batch, sizeof *batch);
    akvi_live_drop(db, AKVI_KIND_BATCH);
}

void akv_batch_clear(akv_batch *batch)
{
    if (!batch || !akvi_is_live(batch->db))
        return;
    akvi_arena_reset(&batch->arena);
    batch->n = 0;
}

size_t akv_batch_count(const akv_batch *batch)
{
    return batch ? batch->n : 0;
}

size_t akv_batch_bytes(const akv_batch *batch)
{
    return batch ? sizeof *batch + batch->arena.bytes + batch->cap * sizeof *batch->ops : 0;
}

/* ------------------------------------------------------------------ adding */

static akv_status batch_reserve(akv_batch *batch)
{
    size_t  cap = batch->cap ? batch->cap * 2 : 16;
    akv_op *grown;

    if (batch->n < batch->cap)
        return AKV_OK;
    if (batch->n >= BATCH_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "a batch holds at most %" PRIu32 " operations", BATCH_MAX);
    grown = akvi_resize(akvi_mem(batch->db), batch->ops, batch->cap * sizeof *grown,
                        cap * sizeof *grown);
    if (!grown)
        return AKV_NOMEM;
    batch->ops = grown;
    batch->cap = cap;
    return AKV_OK;
}

static akv_status batch_keep(akv_batch *batch, akv_slice *slice)
{
    const void *copy;

    if (slice->len == 0) {
        slice->data = NULL;
        return AKV_OK;
    }
    copy = akvi_arena_copy(&batch->arena, slice->data, slice->len);
    if (!copy)
        return AKV_NOMEM;
    slice->data = copy;
    return AKV_OK;
}

/* Emulation is not one atomic step, which is what a batch promises. */
static akv_status batch_check_native(const akv *db, akv_op_kind kind)
{
    uint64_t cap = kind == AKV_OP_DELETE_RANGE ? AKV_CAP_DELETE_RANGE
                   : kind == AKV_OP_MERGE      ? AKV_CAP_MERGE
                                               : 0;

    if (!akvi_emulates(db, cap))
        return AKV_OK;
    return AKV_FAIL(AKV_UNSUPPORTED,
                    "the %s engine has %s by emulation only, which can't be part of a batch",
                    db->engine->name, akv_capability_name(cap));
}

static akv_status batch_add(akv_batch *batch, akv_op_kind kind, akv_slice key, akv_slice value,
                            const akv_write_options *opt, unsigned takes)
{
    akv              *db = batch->db;
    akv_write_options full;
    akv_op            op;
    akv_status        status = akvi_write_options(db, opt, takes | AKVI_TAKES_KEYSPACE, &full);

    if (status == AKV_OK)
        status = akvi_op_make(db, kind, key, value, &full, &op);
    if (status == AKV_OK)
        status = batch_check_native(db, kind);
    if (status == AKV_OK && kind == AKV_OP_CHECK && op.condition == AKV_IF_ANY)
        status = AKV_FAIL(AKV_MISUSE, "akv_batch_check needs a condition");
    if (status == AKV_OK)
        status = batch_reserve(batch);
    if (status == AKV_OK)
        status = batch_keep(batch, &op.key);
    if (status == AKV_OK)
        status = batch_keep(batch, &op.value);
    if (status == AKV_OK)
        status = batch_keep(batch, &op.expected);
    if (status == AKV_OK)
        batch->ops[batch->n++] = op;
    return status;
}

static akv_status batch_call(akv_batch *batch, akv_op_kind kind, akv_slice key, akv_slice value,
                             const akv_write_options *opt, unsigned takes, const char *call)
{
    akv_status status;

    if (!batch)
        return akvi_refuse_null(call, "batch");
    status = akvi_enter(batch->db, call);
    if (status != AKV_OK)
        return status;
    return akvi_leave(batch->db, batch_add(batch, kind, key, value, opt, takes));
}

akv_status akv_batch_put(akv_batch *batch, akv_slice key, akv_slice value,
                         const akv_write_options *opt)
{
    return batch_call(batch, AKV_OP_PUT, key, value, opt,
                      AKVI_TAKES_CONDITION | AKVI_TAKES_LIFETIME, __func__);
}

akv_status akv_batch_delete(akv_batch *batch, akv_slice key, const akv_write_options *opt)
{
    return batch_call(batch, AKV_OP_DELETE, key, akv_bytes(NULL, 0), opt, AKVI_TAKES_CONDITION,
                      __func__);
}

akv_status akv_batch_delete_range(akv_batch *batch, akv_slice lower, akv_slice upper,
                                  const akv_write_options *opt)
{
    return batch_call(batch, AKV_OP_DELETE_RANGE, lower, upper, opt, 0, __func__);
}

akv_status akv_batch_merge(akv_batch *batch, akv_slice key, akv_slice operand,
                           const akv_write_options *opt)
{
    return batch_call(batch, AKV_OP_MERGE, key, operand, opt,
                      AKVI_TAKES_CONDITION | AKVI_TAKES_LIFETIME, __func__);
}

akv_status akv_batch_check(akv_batch *batch, akv_slice key, const akv_write_options *opt)
{
    return batch_call(batch, AKV_OP_CHECK, key, akv_bytes(NULL, 0), opt, AKVI_TAKES_CONDITION,
                      __func__);
}

/* ----------------------------------------------------------------- writing */

akv_status akv_write(akv *db, const akv_batch *batch, const akv_write_options *opt)
{
    akv_status        status = akvi_enter(db, __func__);
    akv_write_options full;
    akvi_write        write;

    if (status != AKV_OK)
        return status;
    if (!batch)
        return akvi_leave(db, akvi_null(__func__, "batch"));
    if (batch->db != db)
        return akvi_leave(db, AKV_FAIL(AKV_MISUSE, "the batch was made on another handle"));
    status = akvi_write_options(db, opt, AKVI_TAKES_WRITE, &full);
    if (status == AKV_OK)
        status = akvi_need(db, AKV_CAP_WRITE | AKV_CAP_BATCH);
    if (status != AKV_OK || batch->n == 0)
        return akvi_leave(db, status);
    akvi_write_begin(db, &full, &write);
    status = akvi_apply(db, batch->ops, batch->n, &write);
    akvi_write_end(&write, status);
    if (status == AKV_OK)
        akvi_count(db, AKVI_CELL_BATCHES, 1);
    return akvi_leave(db, status);
}
