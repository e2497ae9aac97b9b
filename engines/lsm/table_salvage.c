/* SPDX-License-Identifier: MIT
 *
 * table_salvage.c: what can still be read of a table some of whose blocks are
 * damaged.
 */
#include "engines/lsm/table_file.h"

typedef struct table_salvage {
    lsm_table *t;
    lsm_walk   walk;
    akv_buffer last; /* key of the entry given before */
    uint64_t   last_seq;
    bool       has_last;
    akv_status (*each)(void *user, const lsm_entry *entry);
    void *user;
} table_salvage;

static const lsm_read salvage_read = {.verify = true};

/* Whoever takes the entries needs them in order. */
static akv_status salvage_give(table_salvage *s, const lsm_spot *spot)
{
    const lsm_item *item = &spot->item;
    lsm_entry       e    = {.key       = akvi_buffer_slice(&s->walk.key),
                            .seq       = item->seq,
                            .expiry_ms = item->expiry_ms,
                            .kind      = item->kind,
                            .encoding  = item->encoding};
    akv_status      rc;

    if (!akvi_lsm_spot_value(&s->walk.view, spot, &e.value) || e.key.len > LSM_MAX_KEY ||
        (s->has_last && lsm_order(akvi_buffer_slice(&s->last), s->last_seq, e.key, e.seq) >= 0))
        return AKV_OK;
    rc          = akvi_buffer_set(&s->last, e.key.data, e.key.len);
    s->last_seq = e.seq;
    s->has_last = true;
    return rc == AKV_OK ? s->each(s->user, &e) : rc;
}

static akv_status salvage_block(table_salvage *s, const lsm_where *where)
{
    lsm_held   held;
    akv_status rc =
        akvi_lsm_table_block(s->t, where->extent, where->ordinal, &salvage_read, NULL, &held);

    if (rc != AKV_OK)
        return rc;
    rc = AKV_CORRUPT;
    if (akvi_lsm_view_init(&s->walk.view, held.data, held.len, LSM_KINDS_DATA))
        rc = akvi_lsm_walk_restart(&s->walk, 0);
    while (rc == AKV_OK) {
        rc = salvage_give(s, &s->walk.spot);
        if (rc != AKV_OK) {
            akvi_lsm_block_unref(held.block);
            return rc;
        }
        rc = akvi_lsm_walk_next(&s->walk);
    }
    akvi_lsm_block_unref(held.block);
    return rc == AKV_CORRUPT ? AKV_CORRUPT : rc == AKV_END ? AKV_OK : rc;
}

/* The data blocks that one index block tells of. */
static akv_status salvage_index(table_salvage *s, uint32_t top)
{
    lsm_index  index;
    akv_status rc = akvi_lsm_table_load_index(s->t, top, &salvage_read, NULL, &index);

    if (rc != AKV_OK)
        return rc;
    for (uint32_t i = 0; i < index.view.entries_n; i++) {
        lsm_where where = {.top = top, .entry = i};

        rc = akvi_lsm_table_where(s->t, &index, &where);
        if (rc == AKV_OK)
            rc = salvage_block(s, &where);
        if (rc != AKV_OK && rc != AKV_CORRUPT)
            break;
        if (rc == AKV_CORRUPT)
            akv_engine_recovered();
        rc = AKV_OK;
    }
    akvi_lsm_block_unref(index.block);
    return rc;
}

akv_status akvi_lsm_table_salvage(lsm_table *t,
                                  akv_status (*each)(void *user, const lsm_entry *entry),
                                  void *user)
{
    table_salvage s  = {.t = t, .each = each, .user = user};
    akv_status    rc = AKV_OK;

    s.walk.key.allocator = s.last.allocator = t->allocator;
    for (uint64_t top = 0; top < t->properties.index_blocks && rc == AKV_OK; top++) {
        rc = salvage_index(&s, (uint32_t)top);
        if (rc == AKV_CORRUPT) {
            akv_engine_recovered();
            rc = AKV_OK;
        }
    }
    akv_buffer_free(&s.walk.key);
    akv_buffer_free(&s.last);
    return rc;
}
