/* SPDX-License-Identifier: MIT
 *
 * emulate.c: delete_range and merge for engines that have neither.
 *
 * A range is deleted in atomic batches of up to 1,000 keys, a merge is a read
 * and a write on condition that nothing came between, tried again until so.
 */
#include "common/front/front.h"

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/bytes.h"

#define EMULATE_BATCH 1000u

static akv_read_options emulate_read_options(const akv_op *op, const akvi_write *write)
{
    akv_read_options opt = AKV_READ_OPTIONS_INIT;

    opt.keyspace    = op->keyspace;
    opt.deadline_ns = write->opt.deadline_ns;
    opt.cancel      = write->opt.cancel;
    return opt;
}

/* ------------------------------------------------------------- delete_range */

/* Collect up to a batch of keys; *n_out less than that means there are no more. */
static akv_status emulate_collect(akv *db, void *iter, akv_move move, const akv_op *op,
                                  akvi_arena *arena, akv_op *ops, size_t *n_out)
{
    const akv_slice none   = {NULL, 0};
    akv_entry       entry  = {.key = none};
    akv_status      status = AKV_OK;
    size_t          n      = 0;

    while (n < EMULATE_BATCH) {
        const void *key;

        status = db->engine->iter_move(iter, move, none, &entry);
        if (status != AKV_OK)
            break;
        move = AKV_MOVE_NEXT;
        key  = akvi_arena_copy(arena, entry.key.data, entry.key.len);
        if (!key)
            return AKV_NOMEM;
        ops[n++] = (akv_op){
            .kind = AKV_OP_DELETE, .key = akv_bytes(key, entry.key.len), .keyspace = op->keyspace};
    }
    *n_out = n;
    return status == AKV_END ? AKV_OK : status;
}

static akv_status emulate_delete_all(akv *db, void *iter, const akv_op *op, akvi_write *write,
                                     akv_op *ops)
{
    akv_move   move = AKV_MOVE_FIRST;
    akvi_arena arena;
    akv_status status;
    size_t     n;

    akvi_arena_init(&arena, akvi_mem(db));
    do {
        akvi_arena_reset(&arena);
        status = emulate_collect(db, iter, move, op, &arena, ops, &n);
        if (status == AKV_OK && n > 0)
            status = akvi_apply(db, ops, n, write);
        if (status == AKV_OK && n == EMULATE_BATCH)
            status = akv_interrupted(write->opt.deadline_ns, write->opt.cancel);
        move = AKV_MOVE_NEXT;
    } while (status == AKV_OK && n == EMULATE_BATCH);
    akvi_arena_free(&arena);
    return status;
}

akv_status akvi_emulate_delete_range(akv *db, const akv_op *op, akvi_write *write)
{
    const size_t     size  = EMULATE_BATCH * sizeof(akv_op);
    akv_read_options opt   = emulate_read_options(op, write);
    akv_range        range = {op->key, op->value, op->value.len != 0, true};
    akv_op          *ops;
    void            *iter;
    akv_status       status;

    if (range.has_upper &&
        akvi_compare(op->key.data, op->key.len, op->value.data, op->value.len) >= 0)
        return AKV_OK;
    ops = akvi_alloc(akvi_mem(db), size);
    if (!ops)
        return AKV_NOMEM;
    status = db->engine->iter_new(db->impl, &range, &opt, &iter);
    if (status == AKV_OK) {
        status = emulate_delete_all(db, iter, op, write, ops);
        db->engine->iter_free(iter);
    }
    akvi_free(akvi_mem(db), ops, size);
    return status;
}

/* -------------------------------------------------------------------- merge */

akv_status akvi_merge_guarded(void *user, akv_slice key, const akv_slice *existing,
                              akv_slice operand, akv_buffer *result_out)
{
    const akv_merge_operator *own = user;
    akvi_call_state           call;
    akv_status                status;

    akvi_call_save(&call);
    status = own->merge(own->user, key, existing, operand, result_out);
    akvi_call_restore(&call);
    if (status < 0)
        AKV_FAIL(status, "the merge operator '%.60s' failed with %s", own->name,
                 akv_status_name(status));
    return status;
}

/* Store what the operator makes of `value` (NULL: absent), if that is still so;
 * *lost_out when it is not. */
static akv_status emulate_merge_from(akv *db, const akv_op *op, const akv_value *value,
                                     akvi_write *write, bool *lost_out)
{
    akv_buffer result   = {NULL, 0, 0, akvi_mem(db)};
    akv_op     put      = *op;
    akv_slice  existing = value ? akv_bytes(value->data, value->len) : akv_bytes(NULL, 0);
    akv_status status =
        db->merge.merge(db->merge.user, op->key, value ? &existing : NULL, op->value, &result);

    if (status == AKV_OK)
        status = akvi_check_value(db, akvi_buffer_slice(&result));
    put.kind      = AKV_OP_PUT;
    put.value     = akvi_buffer_slice(&result);
    put.condition = AKV_IF_ABSENT;
    if (value) {
        bool versions = (akvi_caps(db) & AKV_CAP_VERSION) != 0;

        put.condition = versions ? AKV_IF_VERSION : AKV_IF_VALUE;
        put.version   = value->version;
        put.expected  = existing;
        /* what the caller did not set stays as it was */
        put.expiry_ms = op->expiry_ms ? op->expiry_ms : value->expiry_ms;
        put.encoding  = op->encoding ? op->encoding : value->encoding;
    }
    if (status == AKV_OK) {
        status    = akvi_apply(db, &put, 1, write);
        *lost_out = status == AKV_CONFLICT;
    }
    akv_buffer_free(&result);
    return status;
}

akv_status akvi_emulate_merge(akv *db, const akv_op *op, akvi_write *write)
{
    akv_read_options opt = emulate_read_options(op, write);
    akv_status       status;

    for (;;) {
        akv_value value = AKV_VALUE_INIT;
        bool      lost  = false;
        bool      found;

        status = db->get(db->impl, op->key, &opt, &value);
        if (status != AKV_OK && status != AKV_ABSENT)
            return status;
        found = status == AKV_OK;
        if (akvi_condition_holds(op, found ? &value : NULL))
            status = emulate_merge_from(db, op, found ? &value : NULL, write, &lost);
        else
            status = AKV_CONFLICT;
        if (found && value.pin)
            db->engine->release(db->impl, &value);
        if (!lost)
            return status;
        status = akv_interrupted(opt.deadline_ns, opt.cancel);
        if (status != AKV_OK)
            return status;
    }
}
