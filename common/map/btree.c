/* SPDX-License-Identifier: MIT
 *
 * btree.c: see btree.h.
 *
 * A node's bounds are the nearest separators to its left and right in the
 * nodes above: lower <= its keys < upper; at the tree's edges there are none.
 * Invariants:
 *  1. Keys in a leaf, and separators in an inner node, rise strictly and lie
 *     within its bounds.
 *  2. node->skip <= the bytes that its two bounds have in common, so every key
 *     that a search leads there begins with those bytes. An inner node at an
 *     edge, as the root always is, skips what its separators have in common
 *     instead, and a search compares the key with that first; leaves there
 *     skip nothing.
 *  3. heads[i] is the head of key i at node->skip.
 *  4. Inner nodes have two children or more; leaves are never empty but for a
 *     root. So a leaf always has a sibling to be merged with, and removal
 *     needs no memory.
 *  5. A removal takes away only the separator between two leaves of one
 *     parent; all others merely move between inner nodes. So only nodes that
 *     are rewritten anyway get wider bounds.
 */
#include "common/map/btree.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

#define BTREE_N     AKVI_BTREE_FANOUT
#define BTREE_FEW   (BTREE_N / 4)     /* with fewer, look for a sibling to merge with */
#define BTREE_MANY  (BTREE_N / 4 * 3) /* at most so many in a leaf after a merge */
#define BTREE_GAIN  4u                /* worth rewriting heads: bytes more to skip */
#define BTREE_DEPTH 24u
#define BTREE_NEAR  128u /* bytes of an item that likely hold its key */
#define BTREE_GROUP 16u  /* searches that find_many runs side by side */

typedef struct btree_sep {
    akv_slice key;
    uint8_t   bytes[];
} btree_sep;

typedef struct btree_inner {
    uint16_t   n; /* separators; one child more */
    bool       edge;
    uint32_t   skip;
    uint64_t   heads[BTREE_N - 1];
    akv_slice *seps[BTREE_N - 1]; /* each begins a btree_sep */
    void      *children[BTREE_N];
} btree_inner;

/* The bounds of a node; NULL at an edge. */
typedef struct btree_bounds {
    const akv_slice *lower, *upper;
} btree_bounds;

/* The way down to a leaf: at each level the node, its bounds and the child taken. */
typedef struct btree_step {
    btree_inner *node;
    btree_bounds bounds;
    uint32_t     at;
} btree_step;

/* ------------------------------------------------------------------- heads */

static uint64_t btree_head(const akv_slice *key, size_t skip)
{
    const uint8_t *p    = key->data;
    uint64_t       head = 0;

    if (key->len >= skip + 8)
        return akvi_get_be64(p + skip);
    for (size_t i = skip; i < skip + 8; i++)
        head = head << 8 | (i < key->len ? p[i] : 0);
    return head;
}

/* An empty key's data may be NULL, which takes no offset, not even 0. */
static const uint8_t *btree_tail(const akv_slice *key, size_t skip)
{
    return skip > 0 ? (const uint8_t *)key->data + skip : key->data;
}

/* Compare keys that have their first `skip` bytes in common. */
static int btree_compare(const akv_slice *a, const akv_slice *b, size_t skip)
{
    return akvi_compare(btree_tail(a, skip), a->len - skip, btree_tail(b, skip), b->len - skip);
}

static size_t btree_common(const akv_slice *a, const akv_slice *b)
{
    const uint8_t *p, *q;
    size_t         n, i = 0;

    if (!a || !b)
        return 0;
    p = a->data;
    q = b->data;
    n = a->len < b->len ? a->len : b->len;
    while (i < n && p[i] == q[i])
        i++;
    return i;
}

static uint32_t btree_bounds_common(btree_bounds b)
{
    size_t common = btree_common(b.lower, b.upper);

    return common < UINT32_MAX ? (uint32_t)common : UINT32_MAX;
}

static void btree_fill_heads(uint64_t *heads, akv_slice *const *keys, uint32_t n, uint32_t skip)
{
    for (uint32_t i = 0; i < n; i++)
        heads[i] = btree_head(keys[i], skip);
}

/* ------------------------------------------------------------------ search */

/* How many of n sorted heads are below `head`. */
static uint32_t btree_heads_below(const uint64_t *heads, uint32_t n, uint64_t head)
{
    uint32_t at = 0;

    if (n == 0)
        return 0;
    while (n > 1) {
        uint32_t half = n / 2;

        at += half & (0u - (uint32_t)(heads[at + half - 1] < head));
        n -= half;
    }
    return at + (heads[at] < head);
}

/* How many of n sorted keys are below `key` or, with `equal`, not above it. */
static uint32_t btree_keys_below(const uint64_t *heads, akv_slice *const *keys, uint32_t n,
                                 uint32_t skip, const akv_slice *key, bool equal)
{
    uint64_t head = btree_head(key, skip);
    uint32_t low = btree_heads_below(heads, n, head), high = low;

    while (high < n && heads[high] == head)
        high++;
    while (low < high) { /* equal heads: only the keys can tell */
        uint32_t mid = low + (high - low) / 2;

        if (btree_compare(keys[mid], key, skip) < equal)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint32_t btree_child_at(const btree_inner *node, const akv_slice *key)
{
    if (node->edge && node->skip > 0) {
        int c = akvi_compare(key->data, key->len < node->skip ? key->len : node->skip,
                             node->seps[0]->data, node->skip);

        if (c != 0)
            return c < 0 ? 0 : node->n;
    }
    return btree_keys_below(node->heads, node->seps, node->n, node->skip, key, true);
}

/* The first key not below `key`, whose item goes to *item_out if it is equal. */
static uint32_t btree_leaf_at(const akvi_btree_leaf *leaf, const akv_slice *key,
                              akv_slice **item_out)
{
    uint64_t head = btree_head(key, leaf->skip);
    uint32_t at   = btree_heads_below(leaf->heads, leaf->n, head);
    int      c;

    *item_out = NULL;
    if (at + 1 < leaf->n && leaf->heads[at + 1] == head)
        at = btree_keys_below(leaf->heads, leaf->items, leaf->n, leaf->skip, key, false);
    if (at == leaf->n || leaf->heads[at] != head)
        return at;
    akvi_prefetch(leaf->items[at], 0, BTREE_NEAR);
    c = btree_compare(leaf->items[at], key, leaf->skip);
    if (c == 0)
        *item_out = leaf->items[at];
    return c < 0 ? at + 1 : at;
}

/* The leaf where `key` belongs; the tree is not empty. */
static akvi_btree_leaf *btree_leaf_of(const akvi_btree *tree, const akv_slice *key)
{
    void *node = tree->root;

    for (uint32_t level = tree->height; level > 0; level--) {
        const btree_inner *inner = node;

        node = inner->children[btree_child_at(inner, key)];
        akvi_prefetch(node, 0, sizeof(akvi_btree_leaf));
    }
    return node;
}

akv_slice *akvi_btree_find(const akvi_btree *tree, akv_slice key)
{
    akv_slice *item;

    if (!tree->root)
        return NULL;
    btree_leaf_at(btree_leaf_of(tree, &key), &key, &item);
    return item;
}

akv_slice *akvi_btree_find_place(const akvi_btree *tree, akv_slice key,
                                 akvi_btree_cursor *place_out)
{
    akv_slice *item;

    *place_out = (akvi_btree_cursor){NULL, 0, tree->stamp};
    if (!tree->root)
        return NULL;
    place_out->leaf = btree_leaf_of(tree, &key);
    place_out->at   = btree_leaf_at(place_out->leaf, &key, &item);
    return item;
}

bool akvi_btree_lower_bound(const akvi_btree *tree, akv_slice key, akvi_btree_cursor *cursor_out)
{
    akv_slice *item = akvi_btree_find_place(tree, key, cursor_out);

    if (cursor_out->leaf && cursor_out->at == cursor_out->leaf->n) {
        cursor_out->leaf = cursor_out->leaf->next;
        cursor_out->at   = 0;
    }
    return item != NULL;
}

void akvi_btree_first(const akvi_btree *tree, akvi_btree_cursor *cursor_out)
{
    *cursor_out = (akvi_btree_cursor){tree->n ? tree->first : NULL, 0, tree->stamp};
}

void akvi_btree_last(const akvi_btree *tree, akvi_btree_cursor *cursor_out)
{
    *cursor_out = (akvi_btree_cursor){tree->n ? tree->last : NULL, 0, tree->stamp};
    if (cursor_out->leaf)
        cursor_out->at = cursor_out->leaf->n - 1;
}

/* Find up to BTREE_GROUP keys, level by level. */
static void btree_find_group(const akvi_btree *tree, size_t n, const akv_slice *keys,
                             akv_slice **items_out)
{
    void *nodes[BTREE_GROUP];

    for (size_t i = 0; i < n; i++)
        nodes[i] = tree->root;
    for (uint32_t level = tree->height; level > 0; level--) {
        for (size_t i = 0; i < n; i++) {
            const btree_inner *inner = nodes[i];

            nodes[i] = inner->children[btree_child_at(inner, &keys[i])];
            akvi_prefetch(nodes[i], 0, offsetof(akvi_btree_leaf, items));
        }
    }
    for (size_t i = 0; i < n; i++) { /* begin to load what the keys will be compared with */
        const akvi_btree_leaf *leaf = nodes[i];
        uint32_t at = btree_heads_below(leaf->heads, leaf->n, btree_head(&keys[i], leaf->skip));

        __builtin_prefetch(&leaf->items[at < leaf->n ? at : 0]);
    }
    for (size_t i = 0; i < n; i++) {
        const akvi_btree_leaf *leaf = nodes[i];
        uint32_t at = btree_heads_below(leaf->heads, leaf->n, btree_head(&keys[i], leaf->skip));

        if (leaf->n > 0)
            akvi_prefetch(leaf->items[at < leaf->n ? at : 0], 0, BTREE_NEAR);
    }
    for (size_t i = 0; i < n; i++)
        btree_leaf_at(nodes[i], &keys[i], &items_out[i]);
}

void akvi_btree_find_many(const akvi_btree *tree, size_t n, const akv_slice *keys,
                          akv_slice **items_out)
{
    for (size_t i = 0; i < n; i += BTREE_GROUP) {
        size_t group = n - i < BTREE_GROUP ? n - i : BTREE_GROUP;

        if (tree->root)
            btree_find_group(tree, group, keys + i, items_out + i);
        else
            memset(items_out + i, 0, group * sizeof(void *));
    }
}

double akvi_btree_rank(const akvi_btree *tree, akv_slice key)
{
    void      *node = tree->root;
    double     rank = 0, part = 1;
    akv_slice *item;

    if (tree->n == 0)
        return 0;
    for (uint32_t level = tree->height; level > 0; level--) {
        const btree_inner *inner = node;
        uint32_t           at    = btree_child_at(inner, &key);

        part /= inner->n + 1;
        rank += part * at;
        node = inner->children[at];
    }
    part /= ((akvi_btree_leaf *)node)->n;
    return rank + part * btree_leaf_at(node, &key, &item);
}

/* ------------------------------------------------------------------ memory */

void akvi_btree_init(akvi_btree *tree, const akv_allocator *allocator)
{
    *tree = (akvi_btree){.allocator = allocator};
}

static void *btree_alloc(akvi_btree *tree, size_t size)
{
    void *block = akvi_alloc(tree->allocator, size);

    if (block)
        tree->bytes += size;
    return block;
}

static void btree_release(akvi_btree *tree, void *block, size_t size)
{
    akvi_free(tree->allocator, block, size);
    tree->bytes -= size;
}

static akvi_btree_leaf *btree_leaf_new(akvi_btree *tree)
{
    akvi_btree_leaf *leaf = btree_alloc(tree, sizeof *leaf);

    if (leaf) {
        leaf->n = leaf->skip = 0;
        leaf->prev = leaf->next = NULL;
    }
    return leaf;
}

static btree_inner *btree_inner_new(akvi_btree *tree)
{
    btree_inner *inner = btree_alloc(tree, sizeof *inner);

    if (inner) {
        inner->n    = 0;
        inner->skip = 0;
        inner->edge = true;
    }
    return inner;
}

/* The shortest key above `below` and not above `from`. */
static akv_slice *btree_sep_new(akvi_btree *tree, const akv_slice *below, const akv_slice *from)
{
    size_t     len = btree_common(below, from) + 1;
    btree_sep *sep = btree_alloc(tree, sizeof *sep + len);

    if (!sep)
        return NULL;
    memcpy(sep->bytes, from->data, len);
    sep->key = akv_bytes(sep->bytes, len);
    return &sep->key;
}

static void btree_sep_free(akvi_btree *tree, akv_slice *sep)
{
    btree_release(tree, sep, sizeof(btree_sep) + sep->len);
}

static void btree_free_node(akvi_btree *tree, void *node, uint32_t level)
{
    btree_inner *inner = node;

    if (level == 0) {
        btree_release(tree, node, sizeof(akvi_btree_leaf));
        return;
    }
    for (uint32_t i = 0; i <= inner->n; i++) {
        if (i > 0)
            btree_sep_free(tree, inner->seps[i - 1]);
        btree_free_node(tree, inner->children[i], level - 1);
    }
    btree_release(tree, inner, sizeof *inner);
}

void akvi_btree_free(akvi_btree *tree)
{
    if (tree->root)
        btree_free_node(tree, tree->root, tree->height);
    akvi_btree_init(tree, tree->allocator);
}

/* --------------------------------------------------------------- insertion */

static btree_bounds btree_child_bounds(const btree_step *step)
{
    const btree_inner *node = step->node;

    return (btree_bounds){step->at > 0 ? node->seps[step->at - 1] : step->bounds.lower,
                          step->at < node->n ? node->seps[step->at] : step->bounds.upper};
}

/* Skip more once a leaf's bounds have come closer and it pays. */
static void btree_leaf_settle(akvi_btree_leaf *leaf, btree_bounds bounds)
{
    uint32_t common = btree_bounds_common(bounds);

    if (common < leaf->skip + BTREE_GAIN)
        return;
    leaf->skip = common;
    btree_fill_heads(leaf->heads, leaf->items, leaf->n, common);
}

/* Make a node skip what it can after its bounds or separators have changed. */
static void btree_inner_settle(btree_inner *node, btree_bounds bounds)
{
    bool edge = !bounds.lower || !bounds.upper;

    if (edge && node->n > 0)
        bounds = (btree_bounds){node->seps[0], node->seps[node->n - 1]};
    node->edge = edge;
    node->skip = btree_bounds_common(bounds);
    btree_fill_heads(node->heads, node->seps, node->n, node->skip);
}

/* Give the parent, which has room, a separator and the child to its right. */
static void btree_inner_add(const btree_step *parent, akv_slice *sep, void *right)
{
    btree_inner *node = parent->node;
    uint32_t     at = parent->at, after = node->n - at;

    memmove(node->heads + at + 1, node->heads + at, after * sizeof *node->heads);
    memmove(node->seps + at + 1, node->seps + at, after * sizeof(void *));
    memmove(node->children + at + 2, node->children + at + 1, after * sizeof(void *));
    node->heads[at]        = btree_head(sep, node->skip);
    node->seps[at]         = sep;
    node->children[at + 1] = right;
    node->n++;
    if (node->edge)
        btree_inner_settle(node, parent->bounds);
}

/* Split the full leaf that is the parent's child, so that `key` can be added to one of
 * the halves. A key at the tree's end begins a leaf of its own, so keys that
 * come in order fill their leaves. */
static bool btree_split_leaf(akvi_btree *tree, const btree_step *parent, const akv_slice *key)
{
    btree_bounds     bounds = btree_child_bounds(parent);
    akvi_btree_leaf *left = parent->node->children[parent->at], *right = btree_leaf_new(tree);
    bool       end  = !left->next && btree_compare(left->items[left->n - 1], key, left->skip) < 0;
    uint32_t   keep = end ? left->n : left->n / 2;
    akv_slice *sep;

    if (!right)
        return false;
    sep = btree_sep_new(tree, left->items[keep - 1], end ? key : left->items[keep]);
    if (!sep) {
        btree_release(tree, right, sizeof *right);
        return false;
    }
    right->n    = left->n - keep;
    right->skip = left->skip;
    memcpy(right->heads, left->heads + keep, right->n * sizeof *right->heads);
    memcpy(right->items, left->items + keep, right->n * sizeof(void *));
    left->n     = keep;
    right->prev = left;
    right->next = left->next;
    if (right->next)
        right->next->prev = right;
    else
        tree->last = right;
    left->next = right;
    btree_inner_add(parent, sep, right);
    btree_leaf_settle(left, (btree_bounds){bounds.lower, sep});
    btree_leaf_settle(right, (btree_bounds){sep, bounds.upper});
    return true;
}

/* Split the full inner node that is the parent's child. At the tree's end the left one
 * keeps nearly all, as in btree_split_leaf. */
static bool btree_split_inner(akvi_btree *tree, const btree_step *parent, const akv_slice *key)
{
    btree_bounds bounds = btree_child_bounds(parent);
    btree_inner *left = parent->node->children[parent->at], *right = btree_inner_new(tree);
    bool         end  = !bounds.upper && btree_child_at(left, key) == left->n;
    uint16_t     keep = end ? left->n - 2 : left->n / 2;
    akv_slice   *sep  = left->seps[keep];

    if (!right)
        return false;
    right->n = (uint16_t)(left->n - keep - 1);
    memcpy(right->seps, left->seps + keep + 1, right->n * sizeof(void *));
    memcpy(right->children, left->children + keep + 1, (right->n + 1) * sizeof(void *));
    left->n = keep;
    btree_inner_add(parent, sep, right);
    btree_inner_settle(left, (btree_bounds){bounds.lower, sep});
    btree_inner_settle(right, (btree_bounds){sep, bounds.upper});
    return true;
}

static bool btree_full(const void *node, uint32_t level)
{
    return level == 0 ? ((const akvi_btree_leaf *)node)->n == BTREE_N
                      : ((const btree_inner *)node)->n == BTREE_N - 1;
}

static bool btree_grow_root(akvi_btree *tree)
{
    btree_inner *root = btree_inner_new(tree);

    if (!root)
        return false;
    root->children[0] = tree->root;
    tree->root        = root;
    tree->height++;
    return true;
}

static void btree_shrink_root(akvi_btree *tree)
{
    btree_inner *root = tree->root;

    if (tree->height == 0 || root->n > 0)
        return;
    tree->root = root->children[0];
    tree->height--;
    btree_release(tree, root, sizeof *root);
}

/* The leaf where `key` belongs, with room for it. Every full node on the way
 * is split before it is entered, so each split finds room above it. NULL when
 * memory ran out; the tree is whole even so. */
static akvi_btree_leaf *btree_room(akvi_btree *tree, const akv_slice *key)
{
    btree_step step = {NULL, {NULL, NULL}, 0};
    void      *node;

    if (btree_full(tree->root, tree->height) && !btree_grow_root(tree))
        return NULL;
    node = tree->root;
    for (uint32_t level = tree->height; level > 0; level--) {
        step.node = node;
        step.at   = btree_child_at(step.node, key);
        if (btree_full(step.node->children[step.at], level - 1)) {
            tree->stamp++;
            if (!(level == 1 ? btree_split_leaf : btree_split_inner)(tree, &step, key)) {
                btree_shrink_root(tree);
                return NULL;
            }
            step.at += btree_compare(step.node->seps[step.at], key, 0) <= 0;
        }
        node        = step.node->children[step.at];
        step.bounds = btree_child_bounds(&step);
    }
    return node;
}

static void btree_leaf_add(akvi_btree_leaf *leaf, uint32_t at, akv_slice *item)
{
    memmove(leaf->heads + at + 1, leaf->heads + at, (leaf->n - at) * sizeof *leaf->heads);
    memmove(leaf->items + at + 1, leaf->items + at, (leaf->n - at) * sizeof(void *));
    leaf->heads[at] = btree_head(item, leaf->skip);
    leaf->items[at] = item;
    leaf->n++;
}

akv_status akvi_btree_insert(akvi_btree *tree, akv_slice *item, const akvi_btree_cursor *place)
{
    akvi_btree_leaf *leaf;
    akv_slice       *same;
    uint32_t         at;

    if (!tree->root) {
        tree->root = tree->first = tree->last = btree_leaf_new(tree);
        if (!tree->root)
            return AKV_NOMEM;
    }
    if (place && place->leaf && place->stamp == tree->stamp && place->leaf->n < BTREE_N) {
        leaf = place->leaf;
        at   = place->at;
    } else {
        leaf = btree_room(tree, item);
        if (!leaf)
            return AKV_NOMEM;
        at = btree_leaf_at(leaf, item, &same);
    }
    btree_leaf_add(leaf, at, item);
    tree->n++;
    tree->stamp++;
    return AKV_OK;
}

/* ----------------------------------------------------------------- removal */

/* Take separator `at` and the child to its right from a node. */
static void btree_inner_drop(btree_inner *node, uint32_t at)
{
    uint32_t after = node->n - at - 1;

    memmove(node->heads + at, node->heads + at + 1, after * sizeof *node->heads);
    memmove(node->seps + at, node->seps + at + 1, after * sizeof(void *));
    memmove(node->children + at + 1, node->children + at + 2, after * sizeof(void *));
    node->n--;
}

/* The bounds of the step's child and the one to its right, taken as one node. */
static btree_bounds btree_pair_bounds(btree_step step)
{
    btree_bounds b = btree_child_bounds(&step);

    step.at++;
    b.upper = btree_child_bounds(&step).upper;
    return b;
}

/* Merge the step's leaf and the one to its right if that leaves room. */
static void btree_merge_leaves(akvi_btree *tree, const btree_step *step)
{
    btree_inner     *parent = step->node;
    akvi_btree_leaf *left = parent->children[step->at], *right = parent->children[step->at + 1];
    uint32_t         n = left->n + right->n;

    if (n > BTREE_MANY && left->n > 0 && right->n > 0)
        return;
    memcpy(left->items + left->n, right->items, right->n * sizeof(void *));
    left->skip = btree_bounds_common(btree_pair_bounds(*step));
    left->n    = n;
    btree_fill_heads(left->heads, left->items, n, left->skip);
    left->next = right->next;
    if (left->next)
        left->next->prev = left;
    else
        tree->last = left;
    btree_sep_free(tree, parent->seps[step->at]);
    btree_inner_drop(parent, step->at);
    btree_release(tree, right, sizeof *right);
}

/* Fill a node with n separators and one child more. */
static void btree_inner_set(btree_inner *node, akv_slice *const *seps, void *const *children,
                            uint32_t n, btree_bounds bounds)
{
    memcpy(node->seps, seps, n * sizeof(void *));
    memcpy(node->children, children, (n + 1) * sizeof(void *));
    node->n = (uint16_t)n;
    btree_inner_settle(node, bounds);
}

/* Make the step's inner node and the one to its right into one, or two of like
 * size. */
static void btree_even_out(akvi_btree *tree, const btree_step *step)
{
    akv_slice   *seps[2 * BTREE_N];
    void        *children[2 * BTREE_N];
    btree_inner *parent = step->node;
    btree_inner *left = parent->children[step->at], *right = parent->children[step->at + 1];
    uint32_t     n = left->n + 1u + right->n, keep = n / 2;
    btree_bounds bounds = btree_pair_bounds(*step);

    memcpy(seps, left->seps, left->n * sizeof(void *));
    seps[left->n] = parent->seps[step->at];
    memcpy(seps + left->n + 1, right->seps, right->n * sizeof(void *));
    memcpy(children, left->children, (left->n + 1u) * sizeof(void *));
    memcpy(children + left->n + 1, right->children, (right->n + 1u) * sizeof(void *));
    btree_inner_drop(parent, step->at);
    if (n <= BTREE_N - 1) {
        btree_release(tree, right, sizeof *right);
        btree_inner_set(left, seps, children, n, bounds);
        return;
    }
    btree_inner_add(step, seps[keep], right);
    btree_inner_set(left, seps, children, keep, (btree_bounds){bounds.lower, seps[keep]});
    btree_inner_set(right, seps + keep + 1, children + keep + 1, n - keep - 1,
                    (btree_bounds){seps[keep], bounds.upper});
}

/* After a removal from the leaf at the end of `steps`, from the bottom up. */
static void btree_rebalance(akvi_btree *tree, btree_step *steps, uint32_t n)
{
    btree_step            *step = &steps[n - 1];
    const akvi_btree_leaf *leaf = step->node->children[step->at];

    if (leaf->n >= BTREE_FEW)
        return;
    step->at -= step->at > 0; /* pair it with its left sibling, if any */
    btree_merge_leaves(tree, step);
    for (; step > steps && step->node->n + 1u < BTREE_FEW; step--) {
        step[-1].at -= step[-1].at > 0;
        btree_even_out(tree, &step[-1]);
    }
    btree_shrink_root(tree);
}

akv_slice *akvi_btree_remove(akvi_btree *tree, akv_slice key)
{
    btree_step       steps[BTREE_DEPTH];
    uint32_t         n      = 0, at;
    btree_bounds     bounds = {NULL, NULL};
    void            *node   = tree->root;
    akvi_btree_leaf *leaf;
    akv_slice       *item;

    if (tree->n == 0)
        return NULL;
    for (; n < tree->height; n++) {
        btree_inner *inner = node;

        steps[n] = (btree_step){inner, bounds, btree_child_at(inner, &key)};
        bounds   = btree_child_bounds(&steps[n]);
        node     = inner->children[steps[n].at];
    }
    leaf = node;
    at   = btree_leaf_at(leaf, &key, &item);
    if (!item)
        return NULL;
    leaf->n--;
    memmove(leaf->heads + at, leaf->heads + at + 1, (leaf->n - at) * sizeof *leaf->heads);
    memmove(leaf->items + at, leaf->items + at + 1, (leaf->n - at) * sizeof(void *));
    tree->n--;
    tree->stamp++;
    if (n > 0)
        btree_rebalance(tree, steps, n);
    return item;
}

/* ---------------------------------------------------------------- checking */

typedef struct btree_tally {
    const akvi_btree_leaf *last; /* the leaf before the one being checked */
    uint64_t               n;
} btree_tally;

static akv_status btree_broken(const char *what)
{
    return AKV_FAIL(AKV_CORRUPT, "an index in memory is damaged: %s", what);
}

static akv_status btree_check_keys(const uint64_t *heads, akv_slice *const *keys, uint32_t n,
                                   uint32_t skip, btree_bounds b)
{
    for (uint32_t i = 0; i < n; i++) {
        if (heads[i] != btree_head(keys[i], skip))
            return btree_broken("a head is not its key's");
        if (i > 0 && btree_compare(keys[i - 1], keys[i], 0) >= 0)
            return btree_broken("keys out of order");
    }
    if (n > 0 && b.lower && btree_compare(keys[0], b.lower, 0) < 0)
        return btree_broken("a key below its node's bounds");
    if (n > 0 && b.upper && btree_compare(keys[n - 1], b.upper, 0) >= 0)
        return btree_broken("a key above its node's bounds");
    return AKV_OK;
}

static akv_status btree_check_leaf(const akvi_btree *tree, const akvi_btree_leaf *leaf,
                                   btree_bounds b, btree_tally *tally)
{
    if (leaf->n > BTREE_N || (leaf->n == 0 && tree->height > 0))
        return btree_broken("a leaf's number of items");
    if (leaf->prev != tally->last || (!leaf->prev && tree->first != leaf) ||
        (leaf->prev && leaf->prev->next != leaf))
        return btree_broken("the chain of leaves");
    tally->last = leaf;
    tally->n += leaf->n;
    if (leaf->skip > btree_bounds_common(b))
        return btree_broken("a leaf skips more than its bounds share");
    return btree_check_keys(leaf->heads, leaf->items, leaf->n, leaf->skip, b);
}

static akv_status btree_check_node(const akvi_btree *tree, void *node, uint32_t level,
                                   btree_bounds b, btree_tally *tally)
{
    btree_inner *inner = node;
    btree_step   step  = {inner, b, 0};
    btree_bounds same  = b;
    akv_status   st;

    if (level == 0)
        return btree_check_leaf(tree, node, b, tally);
    if (inner->n == 0 || inner->n > BTREE_N - 1)
        return btree_broken("an inner node's number of children");
    if (inner->edge != (!b.lower || !b.upper))
        return btree_broken("an inner node's place");
    if (inner->edge)
        same = (btree_bounds){inner->seps[0], inner->seps[inner->n - 1]};
    if (inner->skip > btree_bounds_common(same))
        return btree_broken("an inner node skips more than it may");
    st = btree_check_keys(inner->heads, inner->seps, inner->n, inner->skip, b);
    for (; step.at <= inner->n && st == AKV_OK; step.at++)
        st = btree_check_node(tree, inner->children[step.at], level - 1, btree_child_bounds(&step),
                              tally);
    return st;
}

akv_status akvi_btree_check(const akvi_btree *tree)
{
    btree_tally tally = {NULL, 0};
    akv_status  st;

    if (!tree->root)
        return tree->n == 0 ? AKV_OK : btree_broken("items without a root");
    st = btree_check_node(tree, tree->root, tree->height, (btree_bounds){NULL, NULL}, &tally);
    if (st != AKV_OK)
        return st;
    if (!tally.last || tally.last != tree->last || tally.last->next)
        return btree_broken("the last leaf");
    if (tally.n != tree->n)
        return btree_broken("its number of items");
    return AKV_OK;
}
