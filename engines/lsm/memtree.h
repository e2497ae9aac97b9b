/* SPDX-License-Identifier: MIT
 *
 * memtree.h: the order of a memtable: a B+tree that one thread adds to while
 * any number read, without a lock.
 *
 * Items lie in the caller's memory and are never taken out, so a pointer to one
 * stays right for as long as the tree. Nodes hold, beside pointers, eight bytes
 * of each key from where keys of that node can begin to differ, as numbers:
 * nearly all of a search compares those, and touches one item at its end.
 */
#ifndef AKVI_LSM_MEMTREE_H
#define AKVI_LSM_MEMTREE_H

#include "engines/lsm/entry.h"

#include <stdatomic.h>

#define MEMTREE_FANOUT 14u
#define MEMTREE_LEVELS 20u

/* One entry; in memory 16 bytes, the key, the expiry if there is one (8, in the
 * machine's order, not aligned), the value. */
typedef struct lsm_item {
    uint64_t tag; /* sequence number << 8 | kind */
    uint32_t value_len;
    uint16_t key_len;
    uint8_t  encoding;
    uint8_t  has_expiry;
    uint8_t  key[];
} lsm_item;

static inline uint64_t lsm_item_seq(const lsm_item *item)
{
    return item->tag >> 8;
}

static inline akv_slice lsm_item_key(const lsm_item *item)
{
    return akv_bytes(item->key, item->key_len);
}

typedef struct lsm_memnode lsm_memnode;
typedef struct lsm_memslab lsm_memslab;

typedef struct lsm_memtree {
    /* readers' */
    _Atomic(lsm_memnode *) root;
    _Atomic uint64_t       tick; /* nodes taken out of the tree so far */
    /* the adder's */
    const akv_allocator *allocator;
    lsm_memnode         *tail;         /* the rightmost leaf */
    uint64_t             items, nodes; /* in the tree */
    size_t               slab_n;       /* nodes of the next slab */
    lsm_memslab         *slabs;
    lsm_memnode         *fresh, *fresh_end;           /* never used */
    lsm_memnode         *retired[MEMTREE_LEVELS];     /* taken out, oldest first; a level each, */
    lsm_memnode         *retired_end[MEMTREE_LEVELS]; /* as nodes never change theirs */
    _Atomic size_t       bytes;
} lsm_memtree;

AKVI_MUST_USE akv_status akvi_lsm_memtree_init(lsm_memtree *t, const akv_allocator *allocator);
void                     akvi_lsm_memtree_free(lsm_memtree *t);

/* The adder: make room for n more items; insert one, published when whole. */
AKVI_MUST_USE akv_status akvi_lsm_memtree_reserve(lsm_memtree *t, size_t n);
void                     akvi_lsm_memtree_insert(lsm_memtree *t, const lsm_item *item);

/* The least item >= (key, seq) in the order of entry.h, or NULL. Any thread. */
const lsm_item *akvi_lsm_memtree_find(const lsm_memtree *t, akv_slice key, uint64_t seq);

/* Some neighbours in order, as a leaf had them. What is added between them later
 * is not among them. */
typedef struct lsm_memrun {
    const lsm_item *items[MEMTREE_FANOUT];
    const lsm_item *next; /* what follows the last; NULL: nothing */
    unsigned        n, at;
} lsm_memrun;

/* Find the run around (key, seq) and set `at`:
 *   SEEK, SEEK_FOR_PREV  as cursors do;
 *   PREV                 to the greatest item < (key, seq);
 *   FIRST, LAST          key and seq don't count.
 * False: there is no such item. Any thread. */
bool akvi_lsm_memtree_run(const lsm_memtree *t, lsm_move move, akv_slice key, uint64_t seq,
                          lsm_memrun *run_out);

#endif
