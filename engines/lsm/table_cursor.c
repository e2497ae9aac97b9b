/* SPDX-License-Identifier: MIT
 *
 * table_cursor.c: walking a table, both ways.
 *
 * Forwards it decodes entry by entry. Backwards it decodes a run, from one whole
 * key to the next, into an array once, and steps down that. It stays in the array
 * when turned again, and goes on forwards where that ends.
 */
#include "engines/lsm/table_file.h"

#define CURSOR_IN_A_ROW 8u /* blocks before it is worth reading ahead */

typedef struct table_cursor {
    lsm_cursor       base;
    lsm_table       *t;
    lsm_read         read;
    lsm_where        where; /* the block, when held.block is not NULL */
    const lsm_index *index; /* of where.top, or NULL */
    lsm_index        local; /* it, when the table does not keep it */
    lsm_held         held;
    lsm_walk         walk;
    lsm_ahead        ahead;
    uint64_t         in_a_row; /* blocks, forwards */
    bool             in_run;
    uint32_t         run_restart, run_n, run_at;
    akv_buffer       run; /* lsm_entry */
    akv_buffer       run_keys;
    akv_buffer       sought; /* a key that was the cursor's own */
} table_cursor;

static akv_status cursor_unsound(const table_cursor *c, akv_status rc)
{
    return rc == AKV_CORRUPT
               ? akvi_lsm_table_unsound(c->t, c->where.extent, "a block makes no sense")
               : rc;
}

static akv_status cursor_fill(const table_cursor *c, lsm_entry *e)
{
    const lsm_item *item = &c->walk.spot.item;

    if (!akvi_lsm_spot_value(&c->walk.view, &c->walk.spot, &e->value))
        return AKV_CORRUPT;
    e->key       = akv_bytes(c->walk.key.data, c->walk.key.len);
    e->seq       = item->seq;
    e->expiry_ms = item->expiry_ms;
    e->kind      = item->kind;
    e->encoding  = item->encoding;
    return AKV_OK;
}

/* What the walk is on, if `rc` says that it is on something. */
static akv_status cursor_here(table_cursor *c, akv_status rc)
{
    c->in_run = false;
    if (rc == AKV_OK)
        rc = cursor_fill(c, &c->base.entry);
    return cursor_unsound(c, rc);
}

/* ------------------------------------------------------------------- blocks */

static void cursor_drop_index(table_cursor *c)
{
    akvi_lsm_block_unref(c->local.block);
    c->local.block = NULL;
    c->index       = NULL;
}

static void cursor_drop_block(table_cursor *c)
{
    akvi_lsm_block_unref(c->held.block);
    c->held.block = NULL;
}

static akv_status cursor_read_block(table_cursor *c, bool forwards)
{
    lsm_ahead *ahead;
    akv_status rc;

    /* A short scan finds in the cache what the one before it read; what is to
     * leave no trace there is a long one. */
    c->in_a_row = forwards ? c->in_a_row + 1 : 0;
    ahead = c->read.sequential && forwards && (!c->read.fill_cache || c->in_a_row > CURSOR_IN_A_ROW)
                ? &c->ahead
                : NULL;
    cursor_drop_block(c);
    rc = akvi_lsm_table_block(c->t, c->where.extent, c->where.ordinal, &c->read, ahead, &c->held);
    if (rc == AKV_OK &&
        !akvi_lsm_view_init(&c->walk.view, c->held.data, c->held.len, LSM_KINDS_DATA)) {
        cursor_drop_block(c);
        rc = cursor_unsound(c, AKV_CORRUPT);
    }
    return rc;
}

/* To an index block. */
static akv_status cursor_read_index(table_cursor *c, uint32_t top)
{
    const lsm_index *index;
    akv_status       rc;

    if (c->index && c->where.top == top)
        return AKV_OK;
    cursor_drop_index(c);
    c->where.top = top;
    rc           = akvi_lsm_table_index(c->t, top, &c->read, &c->local, &index);
    if (rc == AKV_OK)
        c->index = index;
    else
        cursor_drop_index(c);
    return rc;
}

static akv_status cursor_at_entry(table_cursor *c, uint32_t entry, bool forwards)
{
    akv_status rc;

    c->where.entry = entry;
    rc             = akvi_lsm_table_where(c->t, c->index, &c->where);
    return rc == AKV_OK ? cursor_read_block(c, forwards) : rc;
}

static akv_status cursor_first_of(table_cursor *c, uint32_t top)
{
    akv_status rc;

    if (top >= c->t->properties.index_blocks)
        return AKV_END;
    rc = cursor_read_index(c, top);
    return rc == AKV_OK ? cursor_at_entry(c, 0, true) : rc;
}

static akv_status cursor_last_of(table_cursor *c, uint64_t tops)
{
    akv_status rc;

    if (tops == 0)
        return AKV_END;
    rc = cursor_read_index(c, (uint32_t)tops - 1);
    return rc == AKV_OK ? cursor_at_entry(c, c->index->view.entries_n - 1, false) : rc;
}

static akv_status cursor_next_block(table_cursor *c)
{
    akv_status rc = cursor_read_index(c, c->where.top);

    if (rc == AKV_OK)
        rc = c->where.entry + 1 < c->index->view.entries_n
                 ? cursor_at_entry(c, c->where.entry + 1, true)
                 : cursor_first_of(c, c->where.top + 1);
    return rc;
}

static akv_status cursor_prev_block(table_cursor *c)
{
    akv_status rc = cursor_read_index(c, c->where.top);

    if (rc == AKV_OK)
        rc = c->where.entry > 0 ? cursor_at_entry(c, c->where.entry - 1, false)
                                : cursor_last_of(c, c->where.top);
    return rc;
}

/* ------------------------------------------------------------------ forwards */

static akv_status cursor_first(table_cursor *c, akv_status rc)
{
    return cursor_here(c, rc == AKV_OK ? akvi_lsm_walk_restart(&c->walk, 0) : rc);
}

static akv_status cursor_next(table_cursor *c)
{
    akv_status rc;

    if (c->in_run) {
        if (c->run_at + 1 < c->run_n) {
            c->base.entry = ((const lsm_entry *)c->run.data)[++c->run_at];
            return AKV_OK;
        }
        rc = c->run_restart + 1 < c->walk.view.restarts_n
                 ? akvi_lsm_walk_restart(&c->walk, c->run_restart + 1)
                 : AKV_END;
    } else {
        rc = akvi_lsm_walk_next(&c->walk);
    }
    if (rc == AKV_END)
        return cursor_first(c, cursor_next_block(c));
    return cursor_here(c, rc);
}

/* ----------------------------------------------------------------- backwards */

static akv_status cursor_add_to_run(table_cursor *c)
{
    lsm_entry *e = akvi_buffer_extend(&c->run, sizeof *e);

    if (!e)
        return AKV_NOMEM;
    c->run_n++;
    if (akv_buffer_append(&c->run_keys, c->walk.key.data, c->walk.key.len) != AKV_OK)
        return AKV_NOMEM;
    return cursor_fill(c, e);
}

/* Decode a run into the array. */
static akv_status cursor_load_run(table_cursor *c, uint32_t restart)
{
    uint32_t       end = restart * c->walk.view.interval + c->walk.view.interval;
    const uint8_t *key;
    lsm_entry     *e;
    akv_status     rc = akvi_lsm_walk_restart(&c->walk, restart);

    c->run_n = 0;
    akvi_buffer_clear(&c->run);
    akvi_buffer_clear(&c->run_keys);
    while (rc == AKV_OK) {
        rc = cursor_add_to_run(c);
        if (rc != AKV_OK || c->walk.spot.index + 1 == end)
            break;
        rc = akvi_lsm_walk_next(&c->walk);
    }
    if (rc != AKV_OK && rc != AKV_END)
        return cursor_unsound(c, rc);
    key = c->run_keys.data;
    e   = c->run.data;
    for (uint32_t i = 0; i < c->run_n; i++) {
        e[i].key.data = key;
        key += e[i].key.len;
    }
    c->in_run      = true;
    c->run_restart = restart;
    return AKV_OK;
}

static akv_status cursor_last_of_run(table_cursor *c, uint32_t restart)
{
    akv_status rc = cursor_load_run(c, restart);

    if (rc != AKV_OK)
        return rc;
    c->run_at     = c->run_n - 1;
    c->base.entry = ((const lsm_entry *)c->run.data)[c->run_at];
    return AKV_OK;
}

static akv_status cursor_last(table_cursor *c, akv_status rc)
{
    return rc == AKV_OK ? cursor_last_of_run(c, c->walk.view.restarts_n - 1) : rc;
}

static akv_status cursor_prev(table_cursor *c)
{
    akv_status rc = AKV_OK;

    if (!c->in_run) {
        uint32_t index = c->walk.spot.index;

        rc        = cursor_load_run(c, index / c->walk.view.interval);
        c->run_at = index % c->walk.view.interval;
    }
    if (rc != AKV_OK)
        return rc;
    if (c->run_at > 0) {
        c->base.entry = ((const lsm_entry *)c->run.data)[--c->run_at];
        return AKV_OK;
    }
    if (c->run_restart > 0)
        return cursor_last_of_run(c, c->run_restart - 1);
    return cursor_last(c, cursor_prev_block(c));
}

/* --------------------------------------------------------------------- seeks */

static akv_status cursor_seek(table_cursor *c, akv_slice key, uint64_t seq)
{
    const uint8_t *own = c->walk.key.data;
    lsm_where      where;
    akv_status     rc;

    /* A key that a move would overwrite while it is sought. */
    if ((own && (const uint8_t *)key.data >= own &&
         (const uint8_t *)key.data <= own + c->walk.key.cap)) {
        rc = akvi_buffer_set(&c->sought, key.data, key.len);
        if (rc != AKV_OK)
            return rc;
        key = akvi_buffer_slice(&c->sought);
    }
    rc = akvi_lsm_table_find(c->t, key, seq, &c->read, &where);
    if (rc != AKV_OK)
        return rc == AKV_ABSENT ? AKV_END : rc;
    if (where.top != c->where.top)
        cursor_drop_index(c);
    if (!c->held.block || where.extent.off != c->where.extent.off) {
        c->where = where;
        rc       = cursor_read_block(c, false);
    }
    if (rc == AKV_OK)
        rc = akvi_lsm_walk_seek(&c->walk, key, seq);
    if (rc == AKV_END)
        return cursor_first(c, cursor_next_block(c));
    return cursor_here(c, rc);
}

static akv_status cursor_seek_for_prev(table_cursor *c, akv_slice key, uint64_t seq)
{
    akv_status rc = cursor_seek(c, key, seq);

    if (rc == AKV_END)
        return cursor_last(c, cursor_last_of(c, c->t->properties.index_blocks));
    if (rc != AKV_OK || (c->walk.spot.same && c->walk.spot.item.seq == seq))
        return rc;
    return cursor_prev(c);
}

static akv_status cursor_move(lsm_cursor *base, lsm_move move, akv_slice key, uint64_t seq)
{
    table_cursor *c = (table_cursor *)base;

    switch (move) {
    case LSM_NEXT: return cursor_next(c);
    case LSM_PREV: return cursor_prev(c);
    case LSM_FIRST: return cursor_first(c, cursor_first_of(c, 0));
    case LSM_LAST: return cursor_last(c, cursor_last_of(c, c->t->properties.index_blocks));
    case LSM_SEEK: return cursor_seek(c, key, seq);
    case LSM_SEEK_FOR_PREV: return cursor_seek_for_prev(c, key, seq);
    }
    return AKV_FAIL(AKV_MISUSE, "a table's cursor has no move %d", (int)move);
}

static void cursor_free(lsm_cursor *base)
{
    table_cursor *c = (table_cursor *)base;

    cursor_drop_block(c);
    cursor_drop_index(c);
    akvi_lsm_block_unref(c->ahead.block);
    akv_buffer_free(&c->walk.key);
    akv_buffer_free(&c->run);
    akv_buffer_free(&c->run_keys);
    akv_buffer_free(&c->sought);
    akvi_free(c->t->allocator, c, sizeof *c);
}

akv_status akvi_lsm_table_cursor(lsm_table *t, const lsm_read *read, lsm_cursor **cursor_out)
{
    static const lsm_cursor_ops ops = {cursor_move, cursor_free};
    table_cursor               *c   = akvi_zalloc(t->allocator, sizeof *c);

    *cursor_out = NULL;
    if (!c)
        return AKV_NOMEM;
    c->base.ops           = &ops;
    c->t                  = t;
    c->read               = *read;
    c->walk.key.allocator = c->run.allocator = c->run_keys.allocator = c->sought.allocator =
        t->allocator;
    *cursor_out = &c->base;
    return AKV_OK;
}
