/* SPDX-License-Identifier: MIT
 *
 * txn.h: what a transaction remembers, for its own file and for its iterator.
 *
 * For every key that it has read or written there is one item, in a tree per
 * key space: the version seen in the snapshot, its own write, or both. Items
 * live until the transaction and its iterators are gone.
 */
#ifndef AKVI_FRONT_TXN_H
#define AKVI_FRONT_TXN_H

#include "common/base/arena.h"
#include "common/front/front.h"
#include "common/map/btree.h"

typedef struct akvi_txn_item {
    akv_slice       key; /* first: the tree's */
    bool            read;
    bool            found; /* when read: whether there was something */
    akv_version_tag version;
    akv_op_kind     write; /* 0: none; PUT or DELETE */
    akv_buffer      value;
    uint64_t        expiry_ms;
    uint32_t        encoding;
} akvi_txn_item;

typedef struct akvi_txn_space {
    struct akvi_txn_space *next;
    const akv_keyspace    *keyspace; /* as last given */
    const char            *name;     /* NULL: the default one */
    akvi_btree             items;
} akvi_txn_space;

struct akv_txn {
    akv            *db;
    akvi_snapshot  *snapshot;
    akvi_txn_space *spaces;
    akvi_arena      arena;
    unsigned        refs; /* itself until its end, and its iterators */
};

void                     akvi_txn_unref(akv_txn *txn);
AKVI_MUST_USE akv_status akvi_txn_space_of(akv_txn *txn, const akv_keyspace *keyspace,
                                           akvi_txn_space **space_out);
/* Remember what the snapshot had under `key`; NULL: nothing. */
AKVI_MUST_USE akv_status akvi_txn_saw(akv_txn *txn, akvi_txn_space *space, akv_slice key,
                                      const akv_value *value);
/* Whether the item hides the snapshot's value, and whether it shows one itself. */
static inline bool akvi_txn_writes(const akvi_txn_item *item)
{
    return item && item->write != 0;
}
bool akvi_txn_shows(const akv_txn *txn, const akvi_txn_item *item);
/* Its own value, borrowed. */
akv_value akvi_txn_value(const akvi_txn_item *item);

/* txn_iter.c: a source over snapshot and own writes. Keeps `range`. */
AKVI_MUST_USE akv_status akvi_txn_source(akv_txn *txn, const akv_range *range,
                                         const akv_read_options *opt, akvi_source *source_out);

#endif
