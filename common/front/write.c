/* SPDX-License-Identifier: MIT
 *
 * write.c: single writes, and how every write reaches the engine.
 */
#include "common/front/front.h"

void akvi_write_begin(const akv *db, const akv_write_options *opt, akvi_write *write)
{
    const akv_write_result none  = {0};
    uint32_t               store = db->args.sync;

    write->opt        = *opt;
    write->result     = none;
    write->result_out = opt->result_out;
    /* a smaller word is a stronger one */
    if (opt->sync == AKV_SYNC_DEFAULT || opt->sync > store)
        write->opt.sync = store;
    write->opt.result_out = NULL;
}

void akvi_write_end(akvi_write *write, akv_status status)
{
    const akv_write_result none = {0};

    if (!write->result_out)
        return;
    *write->result_out = status == AKV_OK ? write->result : none;
    if (status == AKV_CONFLICT)
        write->result_out->conflict_index = write->result.conflict_index;
}

static void write_count(akv *db, const akv_op *ops, size_t n)
{
    uint64_t kinds[AKV_OP_CHECK + 1] = {0};
    uint64_t bytes                   = 0;

    for (size_t i = 0; i < n; i++) {
        kinds[ops[i].kind]++;
        bytes += ops[i].key.len + ops[i].value.len;
    }
    akvi_count(db, AKVI_CELL_PUTS, kinds[AKV_OP_PUT]);
    akvi_count(db, AKVI_CELL_DELETES, kinds[AKV_OP_DELETE] + kinds[AKV_OP_DELETE_RANGE]);
    akvi_count(db, AKVI_CELL_MERGES, kinds[AKV_OP_MERGE]);
    akvi_count(db, AKVI_CELL_WRITE_BYTES, bytes);
    akvi_count(db, AKVI_CELL_OPS, n);
}

akv_status akvi_apply(akv *db, const akv_op *ops, size_t n, akvi_write *write)
{
    unsigned    slot  = akvi_slot();
    akvi_cells *cells = &db->cells[slot];
    bool        timed = akvi_count_call(db, cells, slot, AKVI_CELL_WRITES);
    uint64_t    begin = timed ? akvi_clock(db) : 0;
    akv_status  status;

    /* of a write that is tried again, or one of several */
    memset(&write->result, 0, sizeof write->result);
    status = db->engine->write(db->impl, ops, n, &write->opt, &write->result);
    if (timed)
        akvi_timed(db, AKVI_LATENCY_WRITE, begin);
    if (status == AKV_OK)
        write_count(db, ops, n);
    else if (status == AKV_CONFLICT)
        akvi_slot_add(&cells->at[AKVI_CELL_CONFLICTS], slot, 1);
    return status;
}

/* One operation, native or emulated. */
static akv_status write_op(akv *db, const akv_op *op, const akv_write_options *opt)
{
    akvi_write write;
    akv_status status;

    akvi_write_begin(db, opt, &write);
    if (op->kind == AKV_OP_DELETE_RANGE && akvi_emulates(db, AKV_CAP_DELETE_RANGE))
        status = akvi_emulate_delete_range(db, op, &write);
    else if (op->kind == AKV_OP_MERGE && akvi_emulates(db, AKV_CAP_MERGE))
        status = akvi_emulate_merge(db, op, &write);
    else
        status = akvi_apply(db, op, 1, &write);
    akvi_write_end(&write, status);
    return status;
}

/* A whole public call. */
static akv_status write_call(akv *db, akv_op_kind kind, akv_slice key, akv_slice value,
                             const akv_write_options *opt, unsigned takes, const char *call)
{
    akv_status        status = akvi_enter(db, call);
    akv_write_options full;
    akv_op            op;

    if (status != AKV_OK)
        return status;
    status = akvi_write_options(db, opt, takes | AKVI_TAKES_KEYSPACE | AKVI_TAKES_WRITE, &full);
    if (status == AKV_OK)
        status = akvi_op_make(db, kind, key, value, &full, &op);
    if (status == AKV_OK)
        status = write_op(db, &op, &full);
    return akvi_leave(db, status);
}

akv_status akv_put(akv *db, akv_slice key, akv_slice value, const akv_write_options *opt)
{
    return write_call(db, AKV_OP_PUT, key, value, opt, AKVI_TAKES_PUT, __func__);
}

akv_status akv_delete(akv *db, akv_slice key, const akv_write_options *opt)
{
    return write_call(db, AKV_OP_DELETE, key, akv_bytes(NULL, 0), opt, AKVI_TAKES_CONDITION,
                      __func__);
}

akv_status akv_delete_range(akv *db, akv_slice lower, akv_slice upper, const akv_write_options *opt)
{
    return write_call(db, AKV_OP_DELETE_RANGE, lower, upper, opt, 0, __func__);
}

akv_status akv_merge(akv *db, akv_slice key, akv_slice operand, const akv_write_options *opt)
{
    return write_call(db, AKV_OP_MERGE, key, operand, opt, AKVI_TAKES_PUT, __func__);
}

/* EXPIRE and PERSIST: the expiry is the operation itself, not an option. */
static akv_status write_lifetime(akv *db, akv_slice key, bool forever, uint64_t ttl_ms,
                                 const akv_write_options *opt, const char *call)
{
    const unsigned    takes  = AKVI_TAKES_CONDITION | AKVI_TAKES_KEYSPACE | AKVI_TAKES_WRITE;
    akv_status        status = akvi_enter(db, call);
    akv_write_options full;
    akv_op            op;

    if (status != AKV_OK)
        return status;
    status = akvi_write_options(db, opt, takes, &full);
    if (status == AKV_OK)
        status = akvi_op_make(db, AKV_OP_EXPIRE, key, akv_bytes(NULL, 0), &full, &op);
    if (status == AKV_OK) {
        op.expiry_ms = forever ? 0 : akvi_expiry(db, ttl_ms);
        status       = write_op(db, &op, &full);
    }
    return akvi_leave(db, status);
}

akv_status akv_expire(akv *db, akv_slice key, uint64_t ttl_ms, const akv_write_options *opt)
{
    return write_lifetime(db, key, false, ttl_ms, opt, __func__);
}

akv_status akv_persist(akv *db, akv_slice key, const akv_write_options *opt)
{
    return write_lifetime(db, key, true, 0, opt, __func__);
}
