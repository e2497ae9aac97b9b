/* SPDX-License-Identifier: MIT
 *
 * txn.c: optimistic transactions over an engine's snapshots and conditional
 * batches.
 *
 * Reads come from the snapshot overlaid with own writes, and what they saw is
 * remembered. Commit is one atomic write: a check for everything seen, then
 * the writes. So it takes effect only if the store still is, in all that the
 * transaction looked at, what it looked at.
 */
#include "common/front/txn.h"

#include "common/base/buffer.h"

/* ------------------------------------------------------------ begin and end */

static void txn_free_items(akvi_txn_space *space)
{
    akvi_btree_cursor at;
    akv_slice        *key;

    for (akvi_btree_first(&space->items, &at); (key = akvi_btree_at(&at)); akvi_btree_next(&at))
        akv_buffer_free(&((akvi_txn_item *)key)->value);
    akvi_btree_free(&space->items);
}

void akvi_txn_unref(akv_txn *txn)
{
    akv *db = txn->db;

    if (--txn->refs > 0)
        return;
    for (akvi_txn_space *space = txn->spaces; space; space = space->next)
        txn_free_items(space);
    akvi_snapshot_close(txn->snapshot);
    akvi_arena_free(&txn->arena);
    akvi_free(akvi_mem(db), txn, sizeof *txn);
}

static void txn_end(akv_txn *txn)
{
    akv *db = txn->db;

    akvi_txn_unref(txn);
    akvi_live_drop(db, AKVI_KIND_TXN);
}

akv_status akv_txn_begin(akv *db, akv_txn **txn_out)
{
    akv_status status = akvi_enter(db, __func__);
    akv_txn   *txn    = NULL;

    if (txn_out)
        *txn_out = NULL;
    if (status != AKV_OK)
        return status;
    status = txn_out ? akvi_need(db, AKV_CAP_TXN) : akvi_null(__func__, "txn_out");
    if (status == AKV_OK && !(txn = akvi_zalloc(akvi_mem(db), sizeof *txn)))
        status = AKV_NOMEM;
    if (status == AKV_OK)
        status = akvi_snapshot_open(db, &txn->snapshot);
    if (status != AKV_OK) {
        akvi_free(akvi_mem(db), txn, sizeof *txn);
        return akvi_leave(db, status);
    }
    txn->db   = db;
    txn->refs = 1;
    akvi_arena_init(&txn->arena, akvi_mem(db));
    akvi_live_add(db, AKVI_KIND_TXN);
    *txn_out = txn;
    return AKV_OK;
}

void akv_txn_abort(akv_txn *txn)
{
    if (txn && akvi_is_live(txn->db))
        txn_end(txn);
}

static akv_status txn_enter(const akv_txn *txn, const char *call)
{
    return txn ? akvi_enter(txn->db, call) : akvi_refuse_null(call, "txn");
}

/* ------------------------------------------------------------------ remembering */

akv_status akvi_txn_space_of(akv_txn *txn, const akv_keyspace *keyspace, akvi_txn_space **space_out)
{
    const char     *name = akvi_keyspace_name(keyspace);
    akvi_txn_space *space;

    for (space = txn->spaces; space; space = space->next)
        if (!name == !space->name && (!name || strcmp(name, space->name) == 0)) {
            space->keyspace = keyspace;
            *space_out      = space;
            return AKV_OK;
        }
    space = akvi_arena_alloc(&txn->arena, sizeof *space);
    if (!space)
        return AKV_NOMEM;
    space->keyspace = keyspace;
    space->name     = name ? akvi_arena_copy(&txn->arena, name, strlen(name) + 1) : NULL;
    if (name && !space->name)
        return AKV_NOMEM;
    akvi_btree_init(&space->items, akvi_mem(txn->db));
    space->next = txn->spaces;
    txn->spaces = space;
    *space_out  = space;
    return AKV_OK;
}

static akvi_txn_item *txn_find(const akvi_txn_space *space, akv_slice key)
{
    return (akvi_txn_item *)akvi_btree_find(&space->items, key);
}

/* The key's item, made if there is none. */
static akv_status txn_item(akv_txn *txn, akvi_txn_space *space, akv_slice key,
                           akvi_txn_item **item_out)
{
    const akvi_txn_item empty = {.value = {NULL, 0, 0, akvi_mem(txn->db)}};
    akvi_btree_cursor   place;
    akvi_txn_item      *item;
    void               *copy;

    item = (akvi_txn_item *)akvi_btree_find_place(&space->items, key, &place);
    if (item) {
        *item_out = item;
        return AKV_OK;
    }
    item = akvi_arena_alloc(&txn->arena, sizeof *item);
    copy = item ? akvi_arena_copy(&txn->arena, key.data, key.len) : NULL;
    if (!copy)
        return AKV_NOMEM;
    *item     = empty;
    item->key = akv_bytes(copy, key.len);
    *item_out = item;
    return akvi_btree_insert(&space->items, &item->key, &place);
}

akv_status akvi_txn_saw(akv_txn *txn, akvi_txn_space *space, akv_slice key, const akv_value *value)
{
    akvi_txn_item *item;
    akv_status     status = txn_item(txn, space, key, &item);

    if (status == AKV_OK && !item->read) {
        item->read  = true;
        item->found = value != NULL;
        if (value)
            item->version = value->version;
    }
    return status;
}

bool akvi_txn_shows(const akv_txn *txn, const akvi_txn_item *item)
{
    const akv *db = txn->db;

    return item->write == AKV_OP_PUT &&
           (item->expiry_ms == 0 || db->env->ops->unix_ms(db->env) < item->expiry_ms);
}

akv_value akvi_txn_value(const akvi_txn_item *item)
{
    akv_value value = AKV_VALUE_INIT;

    value.data      = item->value.data;
    value.len       = item->value.len;
    value.expiry_ms = item->expiry_ms;
    value.encoding  = item->encoding;
    return value;
}

/* -------------------------------------------------------------------- reading */

/* Full options that read the transaction's snapshot. */
static akv_status txn_read_options(akv_txn *txn, const akv_read_options *opt,
                                   akv_read_options *full_out)
{
    const akv_read_options *checked;
    akv_status              status = akvi_read_options(txn->db, opt, full_out, &checked);

    if (status != AKV_OK)
        return status;
    if (checked->snapshot)
        return AKV_FAIL(AKV_MISUSE, "a transaction reads its own snapshot, and can't be given one");
    *full_out          = *checked;
    full_out->snapshot = &txn->snapshot->base;
    return AKV_OK;
}

/* What the transaction sees under `key`, to be given back by txn_release. */
static akv_status txn_view(akv_txn *txn, akv_slice key, const akv_read_options *opt,
                           akv_value *value_out)
{
    akv            *db = txn->db;
    akvi_txn_space *space;
    akvi_txn_item  *item;
    akv_status      status = akvi_txn_space_of(txn, opt->keyspace, &space);

    if (status != AKV_OK)
        return status;
    item = txn_find(space, key);
    if (akvi_txn_writes(item)) {
        if (!akvi_txn_shows(txn, item))
            return AKV_ABSENT;
        *value_out = akvi_txn_value(item);
        return AKV_OK;
    }
    status = db->get(db->impl, key, opt, value_out);
    if (status == AKV_OK || status == AKV_ABSENT) {
        akv_status saw = akvi_txn_saw(txn, space, key, status == AKV_OK ? value_out : NULL);

        akvi_count_gets(db, 1, status == AKV_OK, status == AKV_ABSENT, value_out->len);
        if (saw != AKV_OK && value_out->pin)
            db->engine->release(db->impl, value_out);
        status = saw == AKV_OK ? status : saw;
    }
    return status;
}

static void txn_release(const akv_txn *txn, akv_value *value)
{
    if (value->pin)
        txn->db->engine->release(txn->db->impl, value);
}

static akv_status txn_get(akv_txn *txn, akv_slice key, const akv_read_options *opt,
                          akv_buffer *value_out)
{
    akv_value        value = AKV_VALUE_INIT;
    akv_read_options full;
    akv_status       status = txn_read_options(txn, opt, &full);

    if (status == AKV_OK)
        status = akvi_check_key(txn->db, key);
    if (status == AKV_OK)
        status = txn_view(txn, key, &full, &value);
    if (status != AKV_OK)
        return status;
    if (value_out)
        status = akvi_buffer_set(value_out, value.data, value.len);
    txn_release(txn, &value);
    return status;
}

akv_status akv_txn_get(akv_txn *txn, akv_slice key, const akv_read_options *opt,
                       akv_buffer *value_out)
{
    akv_status status = txn_enter(txn, __func__);

    if (value_out)
        akvi_buffer_clear(value_out);
    if (status != AKV_OK)
        return status;
    if (!value_out)
        return akvi_leave(txn->db, akvi_null(__func__, "value_out"));
    return akvi_leave(txn->db, txn_get(txn, key, opt, value_out));
}

akv_status akv_txn_exists(akv_txn *txn, akv_slice key, const akv_read_options *opt)
{
    akv_status status = txn_enter(txn, __func__);

    return status == AKV_OK ? akvi_leave(txn->db, txn_get(txn, key, opt, NULL)) : status;
}

static akv_status txn_scan(akv_txn *txn, const akv_scan_options *opt, akv_iter **iter_out)
{
    akv_iter               *it;
    const akv_read_options *read;
    akv_read_options        full;
    akvi_source             source;
    akv_status              status = akvi_need(txn->db, AKV_CAP_ORDERED); /* to merge by */

    if (status == AKV_OK)
        status = akvi_iter_new(txn->db, opt, &it);
    if (status != AKV_OK)
        return status;
    read   = akvi_iter_read(it);
    status = txn_read_options(txn, read, &full);
    if (status == AKV_OK)
        status = akvi_txn_source(txn, akvi_iter_range(it), &full, &source);
    if (status != AKV_OK) {
        akvi_iter_free(it);
        return status;
    }
    akvi_iter_start(it, source);
    *iter_out = it;
    return AKV_OK;
}

akv_status akv_txn_scan(akv_txn *txn, const akv_scan_options *opt, akv_iter **iter_out)
{
    akv_status status = txn_enter(txn, __func__);

    if (iter_out)
        *iter_out = NULL;
    if (status != AKV_OK)
        return status;
    if (!iter_out)
        return akvi_leave(txn->db, akvi_null(__func__, "iter_out"));
    return akvi_leave(txn->db, txn_scan(txn, opt, iter_out));
}

/* -------------------------------------------------------------------- writing */

/* A condition is judged at once, by what the transaction sees, and again at
 * commit, since to look is to read. */
static akv_status txn_judge(akv_txn *txn, const akv_op *op)
{
    akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_value        value = AKV_VALUE_INIT;
    akv_status       status;
    bool             holds;

    if (op->condition == AKV_IF_ANY)
        return AKV_OK;
    opt.snapshot = &txn->snapshot->base;
    opt.keyspace = op->keyspace;
    status       = txn_view(txn, op->key, &opt, &value);
    if (status != AKV_OK && status != AKV_ABSENT)
        return status;
    holds = akvi_condition_holds(op, status == AKV_OK ? &value : NULL);
    txn_release(txn, &value);
    return holds ? AKV_OK : AKV_CONFLICT;
}

static akv_status txn_write(akv_txn *txn, akv_op_kind kind, akv_slice key, akv_slice value,
                            const akv_write_options *opt, unsigned takes)
{
    akv_write_options full;
    akvi_txn_space   *space;
    akvi_txn_item    *item;
    akv_op            op;
    akv_status        status = akvi_write_options(txn->db, opt, takes | AKVI_TAKES_KEYSPACE, &full);

    if (status == AKV_OK)
        status = akvi_op_make(txn->db, kind, key, value, &full, &op);
    if (status == AKV_OK)
        status = txn_judge(txn, &op);
    if (status == AKV_OK)
        status = akvi_txn_space_of(txn, full.keyspace, &space);
    if (status == AKV_OK)
        status = txn_item(txn, space, key, &item);
    if (status == AKV_OK)
        status = akvi_buffer_set(&item->value, value.data, value.len);
    if (status != AKV_OK)
        return status;
    item->write     = kind;
    item->expiry_ms = op.expiry_ms;
    item->encoding  = op.encoding;
    return AKV_OK;
}

akv_status akv_txn_put(akv_txn *txn, akv_slice key, akv_slice value, const akv_write_options *opt)
{
    const unsigned takes  = AKVI_TAKES_CONDITION | AKVI_TAKES_LIFETIME;
    akv_status     status = txn_enter(txn, __func__);

    if (status != AKV_OK)
        return status;
    return akvi_leave(txn->db, txn_write(txn, AKV_OP_PUT, key, value, opt, takes));
}

akv_status akv_txn_delete(akv_txn *txn, akv_slice key, const akv_write_options *opt)
{
    akv_status status = txn_enter(txn, __func__);

    if (status != AKV_OK)
        return status;
    return akvi_leave(
        txn->db, txn_write(txn, AKV_OP_DELETE, key, akv_bytes(NULL, 0), opt, AKVI_TAKES_CONDITION));
}

/* -------------------------------------------------------------------- commit */

static akv_op txn_check_op(const akvi_txn_space *space, const akvi_txn_item *item)
{
    akv_op op = {.kind = AKV_OP_CHECK, .key = item->key, .keyspace = space->keyspace};

    op.condition = item->found ? AKV_IF_VERSION : AKV_IF_ABSENT;
    op.version   = item->version;
    return op;
}

static akv_op txn_write_op(const akvi_txn_space *space, const akvi_txn_item *item)
{
    akv_op op = {.kind = item->write, .key = item->key, .keyspace = space->keyspace};

    op.value     = akvi_buffer_slice(&item->value);
    op.expiry_ms = item->expiry_ms;
    op.encoding  = item->encoding;
    return op;
}

/* All checks, then all writes, into `ops` (NULL: only counted). */
static size_t txn_collect(const akv_txn *txn, akv_op *ops)
{
    size_t n = 0;

    for (int writes = 0; writes < 2; writes++) {
        for (const akvi_txn_space *space = txn->spaces; space; space = space->next) {
            akvi_btree_cursor at;
            akv_slice        *key;

            akvi_btree_first(&space->items, &at);
            for (; (key = akvi_btree_at(&at)); akvi_btree_next(&at)) {
                const akvi_txn_item *item = (const akvi_txn_item *)key;

                if (writes ? item->write == 0 : !item->read)
                    continue;
                if (ops)
                    ops[n] = writes ? txn_write_op(space, item) : txn_check_op(space, item);
                n++;
            }
        }
    }
    return n;
}

static akv_status txn_commit(akv_txn *txn, const akv_write_options *opt)
{
    akv              *db = txn->db;
    size_t            n  = txn_collect(txn, NULL);
    akv_write_options full;
    akvi_write        write;
    akv_op           *ops;
    akv_status        status = akvi_write_options(db, opt, AKVI_TAKES_WRITE, &full);

    if (status != AKV_OK || n == 0)
        return status;
    ops = akvi_alloc_n(akvi_mem(db), n, sizeof *ops);
    if (!ops)
        return AKV_NOMEM;
    txn_collect(txn, ops);
    akvi_write_begin(db, &full, &write);
    status = akvi_apply(db, ops, n, &write);
    akvi_write_end(&write, status);
    akvi_free(akvi_mem(db), ops, n * sizeof *ops);
    return status;
}

akv_status akv_txn_commit(akv_txn *txn, const akv_write_options *opt)
{
    akv_status status = txn_enter(txn, __func__);
    akv       *db;

    if (status != AKV_OK)
        return status;
    db     = txn->db;
    status = txn_commit(txn, opt);
    txn_end(txn);
    return akvi_leave(db, status);
}
