/* SPDX-License-Identifier: MIT
 *
 * memtree.c: see memtree.h.
 *
 * A node's slots are filled in the order in which things come, and `order` says
 * how they are sorted: so adding to a node is to fill a free slot, then to
 * publish a new `order` with one store. A full node is not changed: two new ones
 * are made of it and take its place in the node above, right half first, then
 * the left. Between these two steps the old node still stands for its left half
 * and has more than that, which does no harm: readers see nothing twice, since
 * they cut a leaf where the next begins. The other way round, the left half
 * found by an `order` from before, a reader would miss the right one; so
 * readers look whether `order` is still the same when they have a child.
 *
 * Invariants:
 *  1. A leaf's `low` is its first item, an inner node's that of its first child;
 *     the leftmost node of each level has NULL, which is less than everything.
 *  2. All of a node is in [low, low of the next node): what these two have in
 *     common, all keys there have, and `skip` is no more than that.
 *  3. A node taken out keeps its content until MEMTREE_DELAY others were taken
 *     out after it, then it is used again, on the same level.
 *
 * So a reader may be on nodes that are no longer in the tree. They lack only
 * what was added after it began, and it may not ask for that. Should it be so
 * slow that one of them may have been used again, `tick` has moved by more than
 * the delay since it began, and it starts anew. Until it finds out it may read
 * what doesn't belong together, but never anything that is not a node of the
 * level that it expects, or an item.
 *
 * All that readers load of a node is stored with release and loaded with
 * acquire: the tick that is loaded last is then as new as whatever was seen.
 */
#include "engines/lsm/memtree.h"

#include "common/base/mem.h"

#include <assert.h>

#define MEMTREE_DELAY    256u
#define MEMTREE_SLAB_MIN 64u
#define MEMTREE_SLAB_MAX 1024u
#define MEMTREE_HALF     (MEMTREE_FANOUT / 2)

struct lsm_memnode {
    _Atomic uint64_t          order; /* 4 bits: n; then of each in order its slot, 4 bits */
    _Atomic(const lsm_item *) low;
    _Atomic uint16_t          skip;
    uint8_t                   level;        /* 0: a leaf. A node stays on its level for ever */
    uint32_t                  retired_at;   /* the adder's: tick when it was taken out */
    lsm_memnode              *next_retired; /* the adder's */
    _Atomic uint64_t          heads[MEMTREE_FANOUT];
    _Atomic(void *)           slots[MEMTREE_FANOUT]; /* items or nodes */
};

struct lsm_memslab {
    lsm_memslab *next;
    size_t       size;
};

/* What is searched for. */
typedef struct memtree_target {
    const uint8_t *key;
    size_t         len;
    uint64_t       seq;
} memtree_target;

/* -------------------------------------------------------------------- nodes */

static inline uint64_t memtree_head(const uint8_t *key, size_t len, size_t skip)
{
    uint64_t head = 0;

    if (len >= skip + 8)
        return akvi_get_be64(key + skip);
    for (size_t i = skip; i < skip + 8; i++)
        head = head << 8 | (i < len ? key[i] : 0);
    return head;
}

static inline uint64_t memtree_item_head(const lsm_item *item, size_t skip)
{
    return item ? memtree_head(item->key, item->key_len, skip) : 0;
}

static inline uint64_t memtree_order(const lsm_memnode *node)
{
    return atomic_load_explicit(&node->order, memory_order_acquire);
}

static inline unsigned memtree_n(uint64_t order)
{
    return (unsigned)(order & 15);
}

static inline unsigned memtree_slot(uint64_t order, unsigned at)
{
    return (unsigned)(order >> (4 + 4 * at)) & 15;
}

static inline void *memtree_at(const lsm_memnode *node, uint64_t order, unsigned at)
{
    return atomic_load_explicit(&node->slots[memtree_slot(order, at)], memory_order_acquire);
}

static inline const lsm_item *memtree_low(const lsm_memnode *node)
{
    return atomic_load_explicit(&node->low, memory_order_acquire);
}

static inline uint16_t memtree_skip(const lsm_memnode *node)
{
    return atomic_load_explicit(&node->skip, memory_order_acquire);
}

/* The least item of what a slot of that level holds. */
static inline const lsm_item *memtree_low_of(uint32_t level, void *what)
{
    return level == 0 ? what : memtree_low(what);
}

/* As lsm_order; NULL is less than all. */
static inline int memtree_compare(const lsm_item *item, const memtree_target *t)
{
    if (!item)
        return -1;
    return lsm_order(lsm_item_key(item), lsm_item_seq(item), akv_bytes(t->key, t->len), t->seq);
}

/* Among the places [from, to), whose heads equal the target's. */
static unsigned memtree_rank_equal(const lsm_memnode *node, uint64_t order, const memtree_target *t,
                                   bool inclusive, unsigned from, unsigned to)
{
    while (from < to) {
        unsigned mid = (from + to) / 2;
        int      c = memtree_compare(memtree_low_of(node->level, memtree_at(node, order, mid)), t);

        if (c < 0 || (inclusive && c == 0))
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* How many places of a node are < the target; inclusive: <= it. */
static inline unsigned memtree_rank(const lsm_memnode *node, uint64_t order,
                                    const memtree_target *t, bool inclusive)
{
    uint64_t head = memtree_head(t->key, t->len, memtree_skip(node));
    unsigned n = memtree_n(order), less = 0, same = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t h = atomic_load_explicit(&node->heads[i], memory_order_acquire);

        less += h < head;
        same += h == head;
    }
    if (same == 0)
        return less;
    return memtree_rank_equal(node, order, t, inclusive, less, less + same);
}

static inline void memtree_prefetch(const lsm_memnode *node)
{
    for (size_t at = 0; at < sizeof *node; at += 64)
        __builtin_prefetch((const char *)node + at);
}

/* ------------------------------------------------------------------ reading */

/* A leaf, and the node that follows it or one of those above it, if any. */
typedef struct memtree_place {
    const lsm_memnode *leaf, *next;
} memtree_place;

/* From an inner node to the child that would hold the target; strictly: that
 * would hold what is before. The last one, if there is no target. */
static inline void memtree_step(memtree_place *place, const memtree_target *t, bool strictly)
{
    const lsm_memnode *node = place->leaf;
    uint64_t           order;

    do {
        unsigned n, at;

        order = memtree_order(node);
        n     = memtree_n(order);
        at    = t ? memtree_rank(node, order, t, !strictly) : n;
        at -= at > 0;
        if (at + 1 < n)
            place->next = memtree_at(node, order, at + 1);
        place->leaf = memtree_at(node, order, at);
    } while (memtree_order(node) != order);
    memtree_prefetch(place->leaf);
}

static inline memtree_place memtree_descend(const lsm_memtree *tree, const memtree_target *t,
                                            bool strictly)
{
    memtree_place place = {atomic_load_explicit(&tree->root, memory_order_acquire), NULL};

    for (uint32_t level = place.leaf->level; level > 0; level--)
        memtree_step(&place, t, strictly);
    return place;
}

static inline uint64_t memtree_tick(const lsm_memtree *tree)
{
    return atomic_load_explicit(&tree->tick, memory_order_acquire);
}

/* Whether what was read since `began` was read of nodes as they were then. */
static inline bool memtree_was_whole(const lsm_memtree *tree, uint64_t began)
{
    return memtree_tick(tree) - began <= MEMTREE_DELAY;
}

const lsm_item *akvi_lsm_memtree_find(const lsm_memtree *tree, akv_slice key, uint64_t seq)
{
    memtree_target  t = {key.data, key.len, seq};
    const lsm_item *item;
    uint64_t        began;

    do {
        memtree_place place;
        uint64_t      order;
        unsigned      at;

        began = memtree_tick(tree);
        place = memtree_descend(tree, &t, false);
        order = memtree_order(place.leaf);
        at    = memtree_rank(place.leaf, order, &t, false);
        if (at < memtree_n(order))
            item = memtree_at(place.leaf, order, at);
        else
            item = place.next ? memtree_low(place.next) : NULL;
    } while (!memtree_was_whole(tree, began));
    return item;
}

/* Copy a leaf's items up to the next leaf. */
static void memtree_copy(const memtree_place *place, uint64_t order, lsm_memrun *run)
{
    run->n    = memtree_n(order);
    run->next = place->next ? memtree_low(place->next) : NULL;
    for (unsigned i = 0; i < run->n; i++) {
        run->items[i] = memtree_at(place->leaf, order, i);
        __builtin_prefetch(run->items[i]);
    }
    if (run->next) {
        memtree_target next = {run->next->key, run->next->key_len, lsm_item_seq(run->next)};

        while (run->n > 0 && memtree_compare(run->items[run->n - 1], &next) >= 0)
            run->n--;
    }
}

/* Go to what follows all of a run: the first of the next leaf. */
static bool memtree_run_after(const lsm_memtree *tree, lsm_memrun *run)
{
    const lsm_item *next = run->next;

    return next &&
           akvi_lsm_memtree_run(tree, LSM_SEEK, lsm_item_key(next), lsm_item_seq(next), run);
}

bool akvi_lsm_memtree_run(const lsm_memtree *tree, lsm_move move, akv_slice key, uint64_t seq,
                          lsm_memrun *run)
{
    bool           before = move == LSM_PREV || move == LSM_SEEK_FOR_PREV || move == LSM_LAST;
    memtree_target t      = {key.data, key.len, seq};
    uint64_t       began;

    if (move == LSM_FIRST)
        t = (memtree_target){NULL, 0, UINT64_MAX};
    do {
        memtree_place place;
        uint64_t      order;

        began   = memtree_tick(tree);
        place   = memtree_descend(tree, move == LSM_LAST ? NULL : &t, move == LSM_PREV);
        order   = memtree_order(place.leaf);
        run->at = move == LSM_LAST ? memtree_n(order)
                                   : memtree_rank(place.leaf, order, &t, move == LSM_SEEK_FOR_PREV);
        memtree_copy(&place, order, run);
    } while (!memtree_was_whole(tree, began));
    if (before) {
        run->at = run->at < run->n ? run->at : run->n;
        return run->at-- > 0;
    }
    return run->at < run->n || memtree_run_after(tree, run);
}

/* ------------------------------------------------------------------- memory */

static inline void memtree_publish(lsm_memnode *node, uint64_t order)
{
    atomic_store_explicit(&node->order, order, memory_order_release);
}

static lsm_memnode *memtree_reuse(lsm_memtree *tree, uint32_t level)
{
    lsm_memnode *node = tree->retired[level];
    uint32_t     tick = (uint32_t)atomic_load_explicit(&tree->tick, memory_order_relaxed);

    if (!node || tick - node->retired_at < MEMTREE_DELAY)
        return NULL;
    tree->retired[level] = node->next_retired;
    return node;
}

/* A new node, empty. The room is reserved. */
static lsm_memnode *memtree_node(lsm_memtree *tree, uint32_t level, const lsm_item *low,
                                 uint16_t skip)
{
    lsm_memnode *node = memtree_reuse(tree, level);

    if (!node) {
        assert(tree->fresh < tree->fresh_end);
        node        = tree->fresh++;
        node->level = (uint8_t)level;
    }
    tree->nodes++;
    memtree_publish(node, 0);
    atomic_store_explicit(&node->low, low, memory_order_release);
    atomic_store_explicit(&node->skip, skip, memory_order_release);
    return node;
}

/* It is out of the tree. */
static void memtree_retire(lsm_memtree *tree, lsm_memnode *node)
{
    uint64_t tick = atomic_load_explicit(&tree->tick, memory_order_relaxed) + 1;

    tree->nodes--;
    node->retired_at   = (uint32_t)tick;
    node->next_retired = NULL;
    if (tree->retired[node->level])
        tree->retired_end[node->level]->next_retired = node;
    else
        tree->retired[node->level] = node;
    tree->retired_end[node->level] = node;
    atomic_store_explicit(&tree->tick, tick, memory_order_release);
}

/* Never used nodes that are too few go to the leaves that may be used again. */
static void memtree_keep_fresh(lsm_memtree *tree)
{
    uint32_t     tick = (uint32_t)atomic_load_explicit(&tree->tick, memory_order_relaxed);
    lsm_memnode *node;

    while (tree->fresh < tree->fresh_end) {
        node               = tree->fresh++;
        node->level        = 0;
        node->retired_at   = tick - MEMTREE_DELAY;
        node->next_retired = tree->retired[0];
        if (!tree->retired[0])
            tree->retired_end[0] = node;
        tree->retired[0] = node;
    }
}

static akv_status memtree_slab(lsm_memtree *tree, size_t n)
{
    size_t       size;
    lsm_memslab *slab;

    if (!akvi_mul_size(n, sizeof(lsm_memnode), &size) ||
        !akvi_add_size(size, sizeof(lsm_memslab) + 64, &size))
        return AKV_FAIL_NOMEM(SIZE_MAX);
    slab = akvi_alloc(tree->allocator, size);
    if (!slab)
        return AKV_NOMEM;
    memtree_keep_fresh(tree);
    slab->next      = tree->slabs;
    slab->size      = size;
    tree->slabs     = slab;
    tree->fresh     = (lsm_memnode *)(((uintptr_t)(slab + 1) + 63) & ~(uintptr_t)63);
    tree->fresh_end = tree->fresh + n;
    tree->slab_n    = tree->slab_n < MEMTREE_SLAB_MAX ? tree->slab_n * 2 : MEMTREE_SLAB_MAX;
    atomic_fetch_add_explicit(&tree->bytes, size, memory_order_relaxed);
    return AKV_OK;
}

/* How many nodes may n adds need? Let the weight of a node be what it has above
 * half. An add makes it one more, a split takes seven away, and half the items
 * is the most that there can be now: so (items / 2 + n) / 7 splits in halves,
 * and at the right end one for each seven adds. It is the same among inner
 * nodes, of which all splits are adds. A split takes two nodes, and gives one
 * back that can be used when the delay is over. New roots are the rest. */
akv_status akvi_lsm_memtree_reserve(lsm_memtree *tree, size_t n)
{
    uint64_t leaves = tree->items / MEMTREE_FANOUT + 2 * n / MEMTREE_HALF + 1;
    uint64_t inner, most, splits;

    leaves = leaves < n ? leaves : n;
    inner  = leaves * MEMTREE_LEVELS;
    most   = tree->nodes / (MEMTREE_FANOUT - 4) + 2 * leaves / (MEMTREE_HALF - 2) + MEMTREE_LEVELS;
    splits = leaves + (inner < most ? inner : most);
    n      = splits + (splits < MEMTREE_DELAY ? splits : MEMTREE_DELAY) + MEMTREE_LEVELS;
    if ((size_t)(tree->fresh_end - tree->fresh) >= n)
        return AKV_OK;
    return memtree_slab(tree, n < tree->slab_n ? tree->slab_n : n);
}

akv_status akvi_lsm_memtree_init(lsm_memtree *tree, const akv_allocator *allocator)
{
    lsm_memnode *root;

    memset(tree, 0, sizeof *tree);
    tree->allocator = allocator;
    tree->slab_n    = MEMTREE_SLAB_MIN;
    if (akvi_lsm_memtree_reserve(tree, 1) != AKV_OK)
        return AKV_NOMEM;
    root = memtree_node(tree, 0, NULL, 0);
    memtree_publish(root, 0);
    tree->tail = root;
    atomic_store_explicit(&tree->root, root, memory_order_release);
    return AKV_OK;
}

void akvi_lsm_memtree_free(lsm_memtree *tree)
{
    while (tree->slabs) {
        lsm_memslab *slab = tree->slabs;

        tree->slabs = slab->next;
        akvi_free(tree->allocator, slab, slab->size);
    }
}

/* ------------------------------------------------------------------- adding */

/* Where the adder came from: on each level the node, the place in it, and the
 * node that follows, if any. */
typedef struct memtree_path {
    uint32_t     top; /* the root's level */
    lsm_memnode *nodes[MEMTREE_LEVELS];
    unsigned     at[MEMTREE_LEVELS];
    lsm_memnode *next[MEMTREE_LEVELS];
} memtree_path;

static inline void memtree_set(lsm_memnode *node, unsigned slot, uint64_t head, void *what)
{
    atomic_store_explicit(&node->heads[slot], head, memory_order_release);
    atomic_store_explicit(&node->slots[slot], what, memory_order_release);
}

/* `order` with `slot` put in at place `at`. */
static inline uint64_t memtree_order_with(uint64_t order, unsigned at, unsigned slot)
{
    uint64_t below = (UINT64_C(1) << (4 + 4 * at)) - 1;

    return ((order & below) | (uint64_t)slot << (4 + 4 * at) | (order & ~below) << 4) + 1;
}

/* Into a node that is not full. */
static inline void memtree_place_in(lsm_memnode *node, unsigned at, uint64_t head, void *what)
{
    uint64_t order = memtree_order(node);
    unsigned slot  = memtree_n(order);

    memtree_set(node, slot, head, what);
    memtree_publish(node, memtree_order_with(order, at, slot));
}

/* Let place `at` be `what` from now on. */
static inline void memtree_replace(lsm_memnode *node, unsigned at, lsm_memnode *what)
{
    atomic_store_explicit(&node->slots[memtree_slot(memtree_order(node), at)], what,
                          memory_order_release);
}

/* Slots hold both items and nodes. */
static inline void *memtree_unconst(const lsm_item *item)
{
    union {
        const lsm_item *item;
        void           *slot;
    } u = {item};

    return u.slot;
}

static size_t memtree_common(const lsm_item *a, const lsm_item *b)
{
    size_t n = a->key_len < b->key_len ? a->key_len : b->key_len, at = 0;

    while (at < n && a->key[at] == b->key[at])
        at++;
    return at;
}

/* The `skip` for places [from, to) of `heads`, whose own is `skip`: raised when
 * little of the heads tells items apart, and bounds allow. */
static uint16_t memtree_skip_for(const lsm_item *low, const lsm_item *high, uint64_t first,
                                 uint64_t last, uint16_t skip)
{
    if (!low || !high || (first ^ last) >> 32 != 0)
        return skip;
    return (uint16_t)memtree_common(low, high);
}

/* What a full node holds and what is to be added, in order. */
typedef struct memtree_full {
    uint64_t heads[MEMTREE_FANOUT + 1];
    void    *slots[MEMTREE_FANOUT + 1];
} memtree_full;

static void memtree_gather(const lsm_memnode *node, unsigned at, uint64_t head, void *what,
                           memtree_full *full)
{
    uint64_t order = memtree_order(node);

    for (unsigned i = 0, to = 0; i < MEMTREE_FANOUT; i++, to++) {
        if (to == at)
            to++;
        full->heads[to] =
            atomic_load_explicit(&node->heads[memtree_slot(order, i)], memory_order_relaxed);
        full->slots[to] = memtree_at(node, order, i);
    }
    full->heads[at] = head;
    full->slots[at] = what;
}

/* A new node of [from, to) of what a full node held. */
static lsm_memnode *memtree_half(lsm_memtree *tree, const lsm_memnode *old,
                                 const memtree_full *full, unsigned from, unsigned to,
                                 const lsm_item *low, const lsm_item *high)
{
    uint16_t     was   = memtree_skip(old);
    uint16_t     skip  = memtree_skip_for(low, high, full->heads[from], full->heads[to - 1], was);
    lsm_memnode *node  = memtree_node(tree, old->level, low, skip);
    uint64_t     order = to - from;

    for (unsigned i = from; i < to; i++) {
        uint64_t head = skip == was
                            ? full->heads[i]
                            : memtree_item_head(memtree_low_of(old->level, full->slots[i]), skip);

        memtree_set(node, i - from, head, full->slots[i]);
        order |= (uint64_t)(i - from) << (4 + 4 * (i - from));
    }
    memtree_publish(node, order);
    return node;
}

/* The root was split. */
static void memtree_root(lsm_memtree *tree, lsm_memnode *left, lsm_memnode *right)
{
    lsm_memnode *root = memtree_node(tree, left->level + 1u, NULL, 0);

    assert(root->level < MEMTREE_LEVELS);
    memtree_place_in(root, 0, 0, left);
    memtree_place_in(root, 1, memtree_item_head(memtree_low(right), 0), right);
    atomic_store_explicit(&tree->root, root, memory_order_release);
}

/* What comes into the node above: `node` after place `at`, which becomes `left`
 * unless that is NULL. */
typedef struct memtree_rise {
    lsm_memnode *node, *left;
} memtree_rise;

/* Split a full node that is to hold what `full` has. */
static memtree_rise memtree_split(lsm_memtree *tree, lsm_memnode *node, const memtree_full *full,
                                  const lsm_item *high)
{
    const lsm_item *mid = memtree_low_of(node->level, full->slots[MEMTREE_HALF]);
    memtree_rise    rise;

    rise.left = memtree_half(tree, node, full, 0, MEMTREE_HALF, memtree_low(node), mid);
    rise.node = memtree_half(tree, node, full, MEMTREE_HALF, MEMTREE_FANOUT + 1, mid, high);
    if (node == tree->tail)
        tree->tail = rise.node;
    return rise;
}

/* At the right end a full node stays whole: what rises in order fills nodes. Its
 * bound is known now, so its heads may become better. */
static memtree_rise memtree_append(lsm_memtree *tree, const lsm_memnode *node, const lsm_item *low,
                                   void *what)
{
    memtree_rise rise = {memtree_node(tree, node->level, low, 0), NULL};
    memtree_full full;

    memtree_place_in(rise.node, 0, memtree_item_head(low, 0), what);
    if (node == tree->tail)
        tree->tail = rise.node;
    memtree_gather(node, MEMTREE_FANOUT, 0, NULL, &full);
    if (memtree_skip_for(memtree_low(node), low, full.heads[0], full.heads[MEMTREE_FANOUT - 1], 0))
        rise.left = memtree_half(tree, node, &full, 0, MEMTREE_FANOUT, memtree_low(node), low);
    return rise;
}

/* Put `what` in at place `at` of a full node, by another beside it. */
static memtree_rise memtree_overflow(lsm_memtree *tree, const memtree_path *path, uint32_t level,
                                     unsigned at, const lsm_item *low, void *what,
                                     lsm_memnode *left)
{
    lsm_memnode *node = path->nodes[level], *next = path->next[level];
    memtree_full full;

    if (!next && !left && at == MEMTREE_FANOUT)
        return memtree_append(tree, node, low, what);
    memtree_gather(node, at, memtree_item_head(low, memtree_skip(node)), what, &full);
    if (left)
        full.slots[at - 1] = left;
    return memtree_split(tree, node, &full, next ? memtree_low(next) : NULL);
}

/* Put the item in at place `at` of the path's leaf, and what rises from there in
 * the nodes above. */
static void memtree_add(lsm_memtree *tree, const memtree_path *path, const lsm_item *item)
{
    const lsm_item *low  = item;
    void           *what = memtree_unconst(item);
    memtree_rise    rise = {NULL, NULL};
    lsm_memnode    *root = atomic_load_explicit(&tree->root, memory_order_relaxed);
    lsm_memnode    *out[MEMTREE_LEVELS];
    unsigned        out_n = 0;
    uint32_t        level = 0;

    for (; level <= path->top; level++) {
        lsm_memnode *node = path->nodes[level];
        unsigned     at   = path->at[level];

        if (memtree_n(memtree_order(node)) < MEMTREE_FANOUT) {
            memtree_place_in(node, at, memtree_item_head(low, memtree_skip(node)), what);
            if (rise.left)
                memtree_replace(node, at - 1, rise.left);
            break;
        }
        rise = memtree_overflow(tree, path, level, at, low, what, rise.left);
        if (rise.left)
            out[out_n++] = node;
        what = rise.node;
        low  = memtree_low(rise.node);
    }
    if (level > path->top)
        memtree_root(tree, rise.left ? rise.left : root, rise.node);
    for (unsigned i = 0; i < out_n; i++)
        memtree_retire(tree, out[i]);
}

static void memtree_find_path(const lsm_memtree *tree, const memtree_target *t, memtree_path *path)
{
    lsm_memnode *node = atomic_load_explicit(&tree->root, memory_order_relaxed), *next = NULL;

    path->top = node->level;
    for (uint32_t level = path->top;; level--) {
        uint64_t order = memtree_order(node);
        unsigned at    = memtree_rank(node, order, t, level > 0);

        path->nodes[level] = node;
        path->next[level]  = next;
        path->at[level]    = at;
        if (level == 0)
            return;
        if (at < memtree_n(order))
            next = memtree_at(node, order, at);
        node = memtree_at(node, order, at - 1);
        memtree_prefetch(node);
    }
}

void akvi_lsm_memtree_insert(lsm_memtree *tree, const lsm_item *item)
{
    memtree_target t     = {item->key, item->key_len, lsm_item_seq(item)};
    uint64_t       order = memtree_order(tree->tail);
    unsigned       n     = memtree_n(order);
    memtree_path   path;

    tree->items++;
    if (n > 0 && n < MEMTREE_FANOUT &&
        memtree_compare(memtree_at(tree->tail, order, n - 1), &t) < 0) {
        memtree_place_in(tree->tail, n, memtree_item_head(item, memtree_skip(tree->tail)),
                         memtree_unconst(item));
        return;
    }
    memtree_find_path(tree, &t, &path);
    memtree_add(tree, &path, item);
}
