/* SPDX-License-Identifier: MIT
 *
 * txn_iter.c: an iterator's source that merges a transaction's snapshot with
 * its own writes, both ways.
 *
 * Invariants:
 *  1. Going up, `inner` (the engine's entry) and `own` (an item that writes)
 *     are the least of their kind that are not behind `at`, the key last
 *     returned; going down, the greatest. The nearer is next; when equal the
 *     own write hides the other.
 *  2. After a failure or a change of direction neither is trusted: both are
 *     looked for again from `at`.
 */
#include "common/front/txn.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"

typedef struct txn_iter {
    akv_txn             *txn;
    akvi_txn_space      *space;
    void                *inner_iter;
    const akv_range     *range;
    akv_range            inner_range;
    const akvi_txn_item *own;
    akv_entry            inner;
    bool                 inner_on;
    bool                 up;
    bool                 settled;
    akv_buffer           at;
    akv_buffer           value; /* own values, which may be written again meanwhile */
} txn_iter;

static int txn_iter_compare(akv_slice a, akv_slice b)
{
    return akvi_compare(a.data, a.len, b.data, b.len);
}

/* --------------------------------------------------------------- own writes */

static bool txn_iter_in_range(const akv_range *range, akv_slice key)
{
    return txn_iter_compare(key, range->lower) >= 0 &&
           (!range->has_upper || txn_iter_compare(key, range->upper) < 0);
}

/* From `c` on in the iterator's direction, the first item that writes. */
static void txn_iter_own_from(txn_iter *it, akvi_btree_cursor *c)
{
    akv_slice *key;

    it->own = NULL;
    while ((key = akvi_btree_at(c)) && txn_iter_in_range(it->range, *key)) {
        if (akvi_txn_writes((const akvi_txn_item *)key)) {
            it->own = (const akvi_txn_item *)key;
            return;
        }
        if (it->up)
            akvi_btree_next(c);
        else
            akvi_btree_prev(c);
    }
}

/* The least own key >= `key` (> `key` when `past`), or the greatest <= (<). */
static void txn_iter_own_seek(txn_iter *it, akv_slice key, bool past)
{
    const akvi_btree *items = &it->space->items;
    akvi_btree_cursor c;
    bool              equal = akvi_btree_lower_bound(items, key, &c);

    if (it->up) {
        if (equal && past)
            akvi_btree_next(&c);
    } else if (!equal || past) {
        if (akvi_btree_at(&c))
            akvi_btree_prev(&c);
        else
            akvi_btree_last(items, &c);
    }
    txn_iter_own_from(it, &c);
}

/* The end of the range that the direction begins at. */
static void txn_iter_own_end(txn_iter *it)
{
    akvi_btree_cursor c;

    if (it->up) {
        txn_iter_own_seek(it, it->range->lower, false);
    } else if (it->range->has_upper) {
        txn_iter_own_seek(it, it->range->upper, true);
    } else {
        akvi_btree_last(&it->space->items, &c);
        txn_iter_own_from(it, &c);
    }
}

/* ------------------------------------------------------------ the snapshot's */

static akv_status txn_iter_inner(txn_iter *it, akv_move move, akv_slice key)
{
    akv_status status = it->txn->db->engine->iter_move(it->inner_iter, move, key, &it->inner);

    it->inner_on = status == AKV_OK;
    return status == AKV_END ? AKV_OK : status;
}

static akv_status txn_iter_inner_on(txn_iter *it)
{
    const akv_slice none = {NULL, 0};

    return txn_iter_inner(it, it->up ? AKV_MOVE_NEXT : AKV_MOVE_PREV, none);
}

/* Find the inner entry nearest to `key`, beyond it when `past`, in the range. */
static akv_status txn_iter_inner_seek(txn_iter *it, akv_slice key, bool past)
{
    akv_status status = txn_iter_inner(it, it->up ? AKV_MOVE_SEEK : AKV_MOVE_SEEK_FOR_PREV, key);

    if (status == AKV_OK && past && it->inner_on && txn_iter_compare(it->inner.key, key) == 0)
        status = txn_iter_inner_on(it);
    return status;
}

/* --------------------------------------------------------------------- merging */

/* Both step off `key`. */
static akv_status txn_iter_leave(txn_iter *it, akv_slice key)
{
    akv_status status = AKV_OK;

    if (it->own && txn_iter_compare(it->own->key, key) == 0)
        txn_iter_own_seek(it, key, true);
    if (it->inner_on && txn_iter_compare(it->inner.key, key) == 0)
        status = txn_iter_inner_on(it);
    return status;
}

static akv_status txn_iter_show_own(txn_iter *it, akv_entry *entry_out)
{
    akv_status status = it->range->keys_only
                            ? AKV_OK
                            : akvi_buffer_set(&it->value, it->own->value.data, it->own->value.len);

    if (status != AKV_OK)
        return status;
    entry_out->key        = it->own->key;
    entry_out->value      = akvi_txn_value(it->own);
    entry_out->value.data = it->range->keys_only ? NULL : it->value.data;
    entry_out->value.len  = it->range->keys_only ? 0 : it->value.len;
    return AKV_OK;
}

static akv_status txn_iter_show_inner(txn_iter *it, akv_entry *entry_out)
{
    akv_status status = akvi_txn_saw(it->txn, it->space, it->inner.key, &it->inner.value);

    if (status != AKV_OK)
        return status;
    *entry_out = it->inner;
    if (it->range->keys_only) {
        entry_out->value.data = NULL;
        entry_out->value.len  = 0;
    }
    return AKV_OK;
}

/* Show the nearer of the two, passing over what own deletes hide. */
static akv_status txn_iter_pick(txn_iter *it, akv_entry *entry_out)
{
    for (;;) {
        bool       own = it->own != NULL;
        akv_status status;

        if (!own && !it->inner_on)
            return AKV_END;
        if (own && it->inner_on) {
            int order = txn_iter_compare(it->own->key, it->inner.key);

            own = it->up ? order <= 0 : order >= 0;
        }
        if (!own)
            return txn_iter_show_inner(it, entry_out);
        if (akvi_txn_shows(it->txn, it->own))
            return txn_iter_show_own(it, entry_out);
        status = txn_iter_leave(it, it->own->key);
        if (status != AKV_OK)
            return status;
    }
}

static akv_status txn_iter_to(txn_iter *it, akv_move move, akv_slice key)
{
    bool up = move == AKV_MOVE_FIRST || move == AKV_MOVE_NEXT || move == AKV_MOVE_SEEK;

    if (move == AKV_MOVE_NEXT || move == AKV_MOVE_PREV) {
        akv_slice at = akvi_buffer_slice(&it->at);

        if (it->settled && it->up == up)
            return txn_iter_leave(it, at);
        it->up = up;
        txn_iter_own_seek(it, at, true);
        return txn_iter_inner_seek(it, at, true);
    }
    it->up = up;
    if (move == AKV_MOVE_SEEK || move == AKV_MOVE_SEEK_FOR_PREV) {
        txn_iter_own_seek(it, key, false);
        return txn_iter_inner_seek(it, key, false);
    }
    txn_iter_own_end(it);
    return txn_iter_inner(it, move, key);
}

static akv_status txn_iter_move(void *impl, akv_move move, akv_slice key, akv_entry *entry_out)
{
    txn_iter  *it     = impl;
    akv_status status = txn_iter_to(it, move, key);

    if (status == AKV_OK)
        status = txn_iter_pick(it, entry_out);
    /* last, so that a failed move can be tried again from where it began */
    if (status == AKV_OK)
        status = akvi_buffer_set(&it->at, entry_out->key.data, entry_out->key.len);
    it->settled = status == AKV_OK;
    return status;
}

static void txn_iter_free(void *impl)
{
    txn_iter *it = impl;
    akv      *db = it->txn->db;

    if (it->inner_iter)
        db->engine->iter_free(it->inner_iter);
    akv_buffer_free(&it->at);
    akv_buffer_free(&it->value);
    akvi_txn_unref(it->txn);
    akvi_free(akvi_mem(db), it, sizeof *it);
}

akv_status akvi_txn_source(akv_txn *txn, const akv_range *range, const akv_read_options *opt,
                           akvi_source *source_out)
{
    akv       *db     = txn->db;
    txn_iter  *it     = akvi_zalloc(akvi_mem(db), sizeof *it);
    akv_status status = it ? AKV_OK : AKV_NOMEM;

    if (status != AKV_OK)
        return status;
    it->txn   = txn;
    it->range = range;
    it->at    = (akv_buffer){NULL, 0, 0, akvi_mem(db)};
    it->value = it->at;
    txn->refs++;
    /* versions come with values, and what is returned has been read */
    it->inner_range           = *range;
    it->inner_range.keys_only = false;

    status = akvi_txn_space_of(txn, opt->keyspace, &it->space);
    if (status == AKV_OK)
        status = db->engine->iter_new(db->impl, &it->inner_range, opt, &it->inner_iter);
    if (status != AKV_OK) {
        txn_iter_free(it);
        return status;
    }
    *source_out = (akvi_source){it, txn_iter_move, txn_iter_free};
    return AKV_OK;
}
