/* SPDX-License-Identifier: MIT
 *
 * btree.h: an ordered map in memory: a B+tree of byte strings in memcmp order.
 *
 * An item is any struct of the caller's that begins with its key, an akv_slice;
 * the tree keeps pointers to items and owns none. A key must not change or go
 * away while its item is in the tree.
 *
 * Why it is fast. Beside the pointers each node keeps eight bytes of every key
 * as a big-endian number, taken from where keys in that node can begin to
 * differ (the part that the separators around the node have in common is left
 * out). So nearly all comparisons are of two numbers in one small array, also
 * when all keys share a long prefix, and key memory is touched once, at the
 * end. Separators are the tree's own copies, as short as they can be.
 *
 * Threads: one that changes it, or any number that only read.
 */
#ifndef AKVI_MAP_BTREE_H
#define AKVI_MAP_BTREE_H

#include "common/base/fail.h"

#define AKVI_BTREE_FANOUT 64u

/* Some compilers take a function that only prefetches for one that does
 * nothing, and drop its calls: it has to be inlined before they look. */
#define AKVI_INLINE static inline __attribute__((always_inline))

/* Begin to load bytes [at, end) from `from` on. */
AKVI_INLINE void akvi_prefetch(const void *from, size_t at, size_t end)
{
    for (; at < end; at += 64)
        __builtin_prefetch((const char *)from + at);
}

/* Leaves are open to be read, so that a scan can look ahead. */
typedef struct akvi_btree_leaf {
    uint32_t                n;
    uint32_t                skip; /* bytes that all keys here have in common, at least */
    struct akvi_btree_leaf *prev, *next;
    uint64_t   heads[AKVI_BTREE_FANOUT]; /* key bytes [skip, skip + 8), 0 past its end */
    akv_slice *items[AKVI_BTREE_FANOUT];
} akvi_btree_leaf;

typedef struct akvi_btree {
    const akv_allocator *allocator;
    void                *root;   /* a leaf when height is 0; NULL when nothing was ever added */
    uint32_t             height; /* inner levels above the leaves */
    uint64_t             n;      /* items */
    uint64_t             stamp;  /* changes whenever cursors may no longer be right */
    akvi_btree_leaf     *first, *last;
    uint64_t             bytes; /* memory of nodes and separators */
} akvi_btree;

/* A place: on an item, or on none (leaf NULL) past either end. Right while
 * `stamp` is still the tree's; after that, find the place again by key. */
typedef struct akvi_btree_cursor {
    akvi_btree_leaf *leaf;
    uint32_t         at;
    uint64_t         stamp;
} akvi_btree_cursor;

/* Allocates nothing yet. */
void akvi_btree_init(akvi_btree *tree, const akv_allocator *allocator);
/* Frees the nodes, not the items. */
void akvi_btree_free(akvi_btree *tree);

akv_slice *akvi_btree_find(const akvi_btree *tree, akv_slice key);
/* Find many at once, their cache misses overlapped; absent ones give NULL. */
void akvi_btree_find_many(const akvi_btree *tree, size_t n, const akv_slice *keys,
                          akv_slice **items_out);
/* The least item whose key is >= `key`; true when equal. */
bool akvi_btree_lower_bound(const akvi_btree *tree, akv_slice key, akvi_btree_cursor *cursor_out);
void akvi_btree_first(const akvi_btree *tree, akvi_btree_cursor *cursor_out);
void akvi_btree_last(const akvi_btree *tree, akvi_btree_cursor *cursor_out);

/* As find; *place_out is only for an insert or a set that follows at once. */
akv_slice *akvi_btree_find_place(const akvi_btree *tree, akv_slice key,
                                 akvi_btree_cursor *place_out);
/* Add an item whose key is not there. `place` may be NULL. Fails with AKV_NOMEM,
 * the tree then as it was to its user. */
AKVI_MUST_USE akv_status akvi_btree_insert(akvi_btree *tree, akv_slice *item,
                                           const akvi_btree_cursor *place);
/* Put an item with an equal key in the place of the one that was found there. */
static inline void akvi_btree_set(const akvi_btree_cursor *place, akv_slice *item)
{
    place->leaf->items[place->at] = item;
}
/* Take out and return the item, NULL when there is none. Never fails. */
akv_slice *akvi_btree_remove(akvi_btree *tree, akv_slice key);

/* About which part of all items is before `key`: 0..1. */
double akvi_btree_rank(const akvi_btree *tree, akv_slice key);
/* Check every invariant; AKV_CORRUPT says which is broken. For verify and tests. */
AKVI_MUST_USE akv_status akvi_btree_check(const akvi_btree *tree);

static inline akv_slice *akvi_btree_at(const akvi_btree_cursor *c)
{
    return c->leaf ? c->leaf->items[c->at] : NULL;
}

static inline void akvi_btree_next(akvi_btree_cursor *c)
{
    if (++c->at == c->leaf->n) {
        c->leaf = c->leaf->next;
        c->at   = 0;
    }
}

static inline void akvi_btree_prev(akvi_btree_cursor *c)
{
    if (c->at == 0) {
        c->leaf = c->leaf->prev;
        c->at   = c->leaf ? c->leaf->n : 1;
    }
    c->at--;
}

#endif
