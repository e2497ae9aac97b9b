/* SPDX-License-Identifier: MIT
 *
 * merge.c: several cursors as one, by a heap of those that are on an entry; and
 * the files of a level, which share no key, as one.
 *
 * The heap compares the first sixteen bytes of keys as numbers and looks at the
 * keys themselves only when those are equal.
 */
#include "engines/lsm/db.h"

#include "common/base/mem.h"

/* ------------------------------------------------------------------- merge */

typedef struct merge_item {
    uint64_t    head, tail; /* the key's first sixteen bytes, zeroes behind its end */
    lsm_cursor *child;
} merge_item;

typedef struct merge_cursor {
    lsm_cursor           base;
    const akv_allocator *allocator;
    size_t               n, live; /* children; those in the heap */
    bool                 backward;
    merge_item          *heap;
    lsm_cursor         **children;
} merge_cursor;

static inline merge_item merge_item_of(lsm_cursor *child)
{
    const uint8_t *key       = child->entry.key.data;
    size_t         len       = child->entry.key.len;
    uint8_t        bytes[16] = {0};

    if (len < sizeof bytes) {
        if (len > 0)
            memcpy(bytes, key, len);
        key = bytes;
    }
    return (merge_item){akvi_get_be64(key), akvi_get_be64(key + 8), child};
}

/* Whether a comes before b in the direction of the walk. */
static inline bool merge_before(const merge_cursor *m, const merge_item *a, const merge_item *b)
{
    int c;

    if (a->head != b->head)
        return (a->head < b->head) != m->backward;
    if (a->tail != b->tail)
        return (a->tail < b->tail) != m->backward;
    c = lsm_order(a->child->entry.key, a->child->entry.seq, b->child->entry.key,
                  b->child->entry.seq);
    return m->backward ? c > 0 : c < 0;
}

static void merge_sift_down(merge_cursor *m, size_t at)
{
    merge_item item = m->heap[at];

    for (;;) {
        size_t kid = 2 * at + 1;

        if (kid >= m->live)
            break;
        if (kid + 1 < m->live && merge_before(m, &m->heap[kid + 1], &m->heap[kid]))
            kid++;
        if (!merge_before(m, &m->heap[kid], &item))
            break;
        m->heap[at] = m->heap[kid];
        at          = kid;
    }
    m->heap[at] = item;
}

static akv_status merge_show(merge_cursor *m)
{
    if (m->live == 0)
        return AKV_END;
    m->base.entry = m->heap[0].child->entry;
    return AKV_OK;
}

/* Send every child somewhere, and heap up those that are on an entry; `but` is
 * on the merge's own entry and stays. */
static akv_status merge_all(merge_cursor *m, lsm_move move, akv_slice key, uint64_t seq,
                            const lsm_cursor *but)
{
    m->live = 0;
    for (size_t i = 0; i < m->n; i++) {
        lsm_cursor *child = m->children[i];
        akv_status  st    = AKV_OK;

        if (!but || child != but)
            st = child->ops->move(child, move, key, seq);

        if (st < 0) {
            m->live = 0;
            return st;
        }
        if (st == AKV_OK)
            m->heap[m->live++] = merge_item_of(child);
    }
    for (size_t i = m->live / 2; i-- > 0;)
        merge_sift_down(m, i);
    return AKV_OK;
}

/* One on from the entry that the heap's first child is on. */
static akv_status merge_step(merge_cursor *m)
{
    merge_item *first = &m->heap[0];
    akv_status  st    = lsm_cursor_move(first->child, m->backward ? LSM_PREV : LSM_NEXT);

    if (st < 0) {
        m->live = 0;
        return st;
    }
    if (st == AKV_OK)
        *first = merge_item_of(first->child);
    else
        *first = m->heap[--m->live];
    if (m->live > 1)
        merge_sift_down(m, 0);
    return merge_show(m);
}

/* Turn round on the entry we are on: each other child goes to its first entry
 * on the new side. */
static akv_status merge_turn(merge_cursor *m, bool backward)
{
    const lsm_cursor *on = m->heap[0].child;

    m->backward = backward;
    return merge_all(m, backward ? LSM_SEEK_FOR_PREV : LSM_SEEK, on->entry.key, on->entry.seq, on);
}

static akv_status merge_move(lsm_cursor *c, lsm_move move, akv_slice key, uint64_t seq)
{
    merge_cursor *m    = (merge_cursor *)c;
    bool          back = move == LSM_LAST || move == LSM_PREV || move == LSM_SEEK_FOR_PREV;
    akv_status    st   = AKV_OK;

    if (move == LSM_NEXT || move == LSM_PREV) {
        if (m->backward != back)
            st = merge_turn(m, back);
        return st == AKV_OK ? merge_step(m) : st;
    }
    m->backward = back;
    st          = merge_all(m, move, key, seq, NULL);
    return st == AKV_OK ? merge_show(m) : st;
}

static void merge_free(lsm_cursor *c)
{
    merge_cursor *m = (merge_cursor *)c;

    for (size_t i = 0; i < m->n; i++)
        lsm_cursor_free(m->children[i]);
    akvi_free(m->allocator, m, sizeof *m + m->n * (sizeof(merge_item) + sizeof(lsm_cursor *)));
}

static const lsm_cursor_ops merge_ops = {merge_move, merge_free};

akv_status akvi_lsm_merge_cursor(const akv_allocator *allocator, lsm_cursor **children, size_t n,
                                 lsm_cursor **cursor_out)
{
    merge_cursor *m;

    if (n == 1) {
        *cursor_out = children[0];
        return AKV_OK;
    }
    m = akvi_zalloc(allocator, sizeof *m + n * (sizeof(merge_item) + sizeof(lsm_cursor *)));
    if (!m) {
        while (n-- > 0)
            lsm_cursor_free(children[n]);
        return AKV_NOMEM;
    }
    m->base.ops  = &merge_ops;
    m->allocator = allocator;
    m->n         = n;
    m->heap      = (merge_item *)(m + 1);
    m->children  = (lsm_cursor **)(m->heap + n);
    memcpy(m->children, children, n * sizeof(lsm_cursor *));
    *cursor_out = &m->base;
    return AKV_OK;
}

/* ------------------------------------------------------------------- level */

typedef struct level_cursor {
    lsm_cursor           base;
    const akv_allocator *allocator;
    lsm_file *const     *files;
    size_t               n, at;
    lsm_read             read;
    lsm_cursor          *table; /* of files[at]; NULL: none is open */
} level_cursor;

static akv_status level_open(level_cursor *l, size_t at)
{
    lsm_cursor *table;
    akv_status  st;

    if (l->table && l->at == at)
        return AKV_OK;
    lsm_cursor_free(l->table);
    l->table = NULL;
    l->at    = at;
    st       = akvi_lsm_table_cursor(l->files[at]->table, &l->read, &table);
    if (st == AKV_OK)
        l->table = table;
    return st;
}

/* Go on into neighbouring files until there is an entry. */
static akv_status level_settle(level_cursor *l, akv_status st, bool backward)
{
    while (st == AKV_END && (backward ? l->at > 0 : l->at + 1 < l->n)) {
        st = level_open(l, backward ? l->at - 1 : l->at + 1);
        if (st == AKV_OK)
            st = lsm_cursor_move(l->table, backward ? LSM_LAST : LSM_FIRST);
    }
    if (st == AKV_OK)
        l->base.entry = l->table->entry;
    return st;
}

static akv_status level_move(lsm_cursor *c, lsm_move move, akv_slice key, uint64_t seq)
{
    level_cursor   *l     = (level_cursor *)c;
    bool            back  = move == LSM_LAST || move == LSM_PREV || move == LSM_SEEK_FOR_PREV;
    const lsm_level files = {.files = (lsm_file **)(uintptr_t)l->files, .n = l->n};
    size_t          at    = l->at;
    akv_status      st;

    if (move == LSM_FIRST)
        at = 0;
    else if (move == LSM_LAST)
        at = l->n - 1;
    else if (move == LSM_SEEK || move == LSM_SEEK_FOR_PREV)
        at = akvi_lsm_level_find(&files, key);
    if (at == l->n) { /* behind every file */
        if (!back)
            return AKV_END;
        at--;
    }
    st = level_open(l, at);
    if (st == AKV_OK)
        st = l->table->ops->move(l->table, move, key, seq);
    return level_settle(l, st, back);
}

static void level_free(lsm_cursor *c)
{
    level_cursor *l = (level_cursor *)c;

    lsm_cursor_free(l->table);
    akvi_free(l->allocator, l, sizeof *l);
}

static const lsm_cursor_ops level_ops = {level_move, level_free};

akv_status akvi_lsm_level_cursor(const akv_allocator *allocator, lsm_file *const *files, size_t n,
                                 const lsm_read *read, lsm_cursor **cursor_out)
{
    level_cursor *l = akvi_zalloc(allocator, sizeof *l);

    if (!l)
        return AKV_NOMEM;
    l->base.ops  = &level_ops;
    l->allocator = allocator;
    l->files     = files;
    l->n         = n;
    l->read      = *read;
    *cursor_out  = &l->base;
    return AKV_OK;
}
