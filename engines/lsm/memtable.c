/* SPDX-License-Identifier: MIT
 *
 * memtable.c: see memtable.h.
 *
 * Items lie in chunks, cut from their ends as they come; memtree.h keeps them
 * in order. Ranges are few: an array that is replaced by a larger one when it
 * is full. The old ones stay in their chunks, so readers may be on them.
 *
 * Room is made before anything is added. There are two open chunks: `open[0]`
 * has room for all that is reserved; `open[1]` is what was left of one before,
 * and is used up where things fit.
 */
#include "engines/lsm/memtable.h"

#include "common/base/mem.h"
#include "engines/lsm/memtree.h"

#include <assert.h>

#define MEMTABLE_CHUNK_MIN (16u * 1024u)
#define MEMTABLE_CHUNK_MAX (1024u * 1024u)
/* What an item takes beside key and value: its head, an expiry, alignment. */
#define MEMTABLE_ITEM_ROOM (sizeof(lsm_item) + 8 + 7)

typedef struct memtable_chunk {
    struct memtable_chunk *next;
    size_t                 size;
} memtable_chunk;

typedef struct memtable_room {
    uint8_t *at, *end;
} memtable_room;

struct lsm_memtable {
    const akv_allocator *allocator;
    lsm_memtree          tree;
    /* readers' */
    _Atomic(lsm_entry *) ranges;
    _Atomic size_t       ranges_n;
    _Atomic uint64_t     entries;
    _Atomic size_t       chunk_bytes;
    _Atomic uint32_t     refs;
    /* the adder's */
    memtable_chunk *chunks;
    memtable_room   open[2];
    size_t          next_size;
    size_t          ranges_cap, ranges_want; /* want: room when it has to grow */
};

/* ------------------------------------------------------------------- memory */

static inline size_t memtable_left(const memtable_room *room)
{
    return (size_t)(room->end - room->at);
}

/* Open a chunk with `size` free bytes or more. */
static akv_status memtable_chunk_new(lsm_memtable *m, size_t size)
{
    memtable_chunk *chunk;

    if (!akvi_add_size(size, sizeof *chunk, &size))
        return AKV_FAIL_NOMEM(SIZE_MAX);
    if (size < m->next_size)
        size = m->next_size;
    chunk = akvi_alloc(m->allocator, size);
    if (!chunk)
        return AKV_NOMEM;
    chunk->next = m->chunks;
    chunk->size = size;
    m->chunks   = chunk;
    if (m->next_size < MEMTABLE_CHUNK_MAX)
        m->next_size *= 2;
    if (memtable_left(&m->open[0]) > memtable_left(&m->open[1]))
        m->open[1] = m->open[0];
    m->open[0] = (memtable_room){(uint8_t *)(chunk + 1), (uint8_t *)chunk + size};
    atomic_fetch_add_explicit(&m->chunk_bytes, size, memory_order_relaxed);
    return AKV_OK;
}

/* Aligned to 8. */
static void *memtable_cut(lsm_memtable *m, size_t size)
{
    memtable_room *room = &m->open[1];

    size = (size + 7) & ~(size_t)7;
    if (memtable_left(room) < size)
        room = &m->open[0];
    assert(memtable_left(room) >= size);
    room->at += size;
    return room->at - size;
}

akv_status akvi_lsm_memtable_reserve(lsm_memtable *m, size_t n, size_t bytes)
{
    size_t     ranges = atomic_load_explicit(&m->ranges_n, memory_order_relaxed), want;
    size_t     room, array = 0;
    akv_status rc;

    /* All of them may be ranges. */
    if (!akvi_add_size(ranges, n, &want) || !akvi_mul_size(n, MEMTABLE_ITEM_ROOM, &room) ||
        !akvi_add_size(room, bytes, &room))
        return AKV_FAIL_NOMEM(SIZE_MAX);
    if (want > m->ranges_cap) {
        want = want > 2 * ranges ? want : 2 * ranges;
        if (!akvi_mul_size(want, sizeof(lsm_entry), &array) || !akvi_add_size(room, array, &room))
            return AKV_FAIL_NOMEM(SIZE_MAX);
        m->ranges_want = want;
    }
    rc = akvi_lsm_memtree_reserve(&m->tree, n);
    if (rc == AKV_OK && memtable_left(&m->open[0]) < room)
        rc = memtable_chunk_new(m, room);
    return rc;
}

akv_status akvi_lsm_memtable_new(const akv_allocator *allocator, lsm_memtable **memtable_out)
{
    lsm_memtable *m = akvi_zalloc(allocator, sizeof *m);

    *memtable_out = NULL;
    if (!m)
        return AKV_NOMEM;
    m->allocator = allocator;
    m->next_size = MEMTABLE_CHUNK_MIN;
    atomic_init(&m->refs, 1);
    if (akvi_lsm_memtree_init(&m->tree, allocator) != AKV_OK) {
        akvi_free(allocator, m, sizeof *m);
        return AKV_NOMEM;
    }
    *memtable_out = m;
    return AKV_OK;
}

void akvi_lsm_memtable_ref(lsm_memtable *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
}

void akvi_lsm_memtable_unref(lsm_memtable *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
        return;
    while (m->chunks) {
        memtable_chunk *chunk = m->chunks;

        m->chunks = chunk->next;
        akvi_free(m->allocator, chunk, chunk->size);
    }
    akvi_lsm_memtree_free(&m->tree);
    akvi_free(m->allocator, m, sizeof *m);
}

/* ------------------------------------------------------------------- adding */

static inline void memtable_copy(uint8_t *to, akv_slice from)
{
    if (from.len > 0)
        memcpy(to, from.data, from.len);
}

static const lsm_item *memtable_item(lsm_memtable *m, const lsm_entry *entry)
{
    size_t    extra = entry->expiry_ms ? sizeof entry->expiry_ms : 0;
    lsm_item *item  = memtable_cut(m, sizeof *item + entry->key.len + extra + entry->value.len);
    uint8_t  *at    = item->key + entry->key.len;

    item->tag        = entry->seq << 8 | entry->kind;
    item->value_len  = (uint32_t)entry->value.len;
    item->key_len    = (uint16_t)entry->key.len;
    item->encoding   = entry->encoding;
    item->has_expiry = extra > 0;
    memtable_copy(item->key, entry->key);
    memcpy(at, &entry->expiry_ms, extra);
    memtable_copy(at + extra, entry->value);
    return item;
}

static void memtable_entry(const lsm_item *item, lsm_entry *entry_out)
{
    const uint8_t *at = item->key + item->key_len;

    entry_out->expiry_ms = 0;
    if (item->has_expiry) {
        memcpy(&entry_out->expiry_ms, at, sizeof entry_out->expiry_ms);
        at += sizeof entry_out->expiry_ms;
    }
    entry_out->key      = lsm_item_key(item);
    entry_out->value    = akv_bytes(at, item->value_len);
    entry_out->seq      = lsm_item_seq(item);
    entry_out->kind     = (uint8_t)item->tag;
    entry_out->encoding = item->encoding;
}

static void memtable_add_range(lsm_memtable *m, const lsm_entry *range)
{
    lsm_entry *array = atomic_load_explicit(&m->ranges, memory_order_relaxed), *grown;
    size_t     n     = atomic_load_explicit(&m->ranges_n, memory_order_relaxed);

    if (n == m->ranges_cap) {
        grown = memtable_cut(m, m->ranges_want * sizeof *grown);
        if (n > 0)
            memcpy(grown, array, n * sizeof *grown);
        m->ranges_cap = m->ranges_want;
        array         = grown;
        atomic_store_explicit(&m->ranges, grown, memory_order_release);
    }
    memtable_entry(memtable_item(m, range), &array[n]);
    atomic_store_explicit(&m->ranges_n, n + 1, memory_order_release);
}

void akvi_lsm_memtable_add(lsm_memtable *m, const lsm_entry *entry)
{
    if (entry->kind == LSM_DELETE_RANGE)
        memtable_add_range(m, entry);
    else
        akvi_lsm_memtree_insert(&m->tree, memtable_item(m, entry));
    atomic_store_explicit(&m->entries, akvi_lsm_memtable_entries(m) + 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------ reading */

akv_status akvi_lsm_memtable_get(const lsm_memtable *m, akv_slice key, uint64_t seq,
                                 lsm_entry *entry_out)
{
    const lsm_item *item = akvi_lsm_memtree_find(&m->tree, key, seq);

    if (!item || !akvi_equal(item->key, item->key_len, key.data, key.len))
        return AKV_ABSENT;
    memtable_entry(item, entry_out);
    return AKV_OK;
}

const lsm_entry *akvi_lsm_memtable_ranges(const lsm_memtable *m, size_t *n_out)
{
    *n_out = atomic_load_explicit(&m->ranges_n, memory_order_acquire);
    return atomic_load_explicit(&m->ranges, memory_order_acquire);
}

uint64_t akvi_lsm_memtable_covered(const lsm_memtable *m, akv_slice key, uint64_t seq)
{
    size_t           n;
    const lsm_entry *r       = akvi_lsm_memtable_ranges(m, &n);
    uint64_t         highest = 0;

    for (; n > 0; n--, r++) {
        if (r->seq <= seq && r->seq > highest &&
            akvi_compare(r->key.data, r->key.len, key.data, key.len) <= 0 &&
            (r->value.len == 0 || akvi_compare(key.data, key.len, r->value.data, r->value.len) < 0))
            highest = r->seq;
    }
    return highest;
}

uint64_t akvi_lsm_memtable_entries(const lsm_memtable *m)
{
    return atomic_load_explicit(&m->entries, memory_order_relaxed);
}

size_t akvi_lsm_memtable_bytes(const lsm_memtable *m)
{
    return sizeof *m + atomic_load_explicit(&m->chunk_bytes, memory_order_relaxed) +
           atomic_load_explicit(&m->tree.bytes, memory_order_relaxed);
}

/* ------------------------------------------------------------------ cursors */

typedef struct memtable_cursor {
    lsm_cursor    base;
    lsm_memtable *m;
    lsm_memrun    run;
} memtable_cursor;

/* To the neighbour of the item that the cursor is on. */
static bool memtable_step(memtable_cursor *c, lsm_move move)
{
    lsm_memrun     *run = &c->run;
    const lsm_item *item;

    if (move == LSM_NEXT) {
        if (++run->at < run->n)
            return true;
        item = run->next;
        return item && akvi_lsm_memtree_run(&c->m->tree, LSM_SEEK, lsm_item_key(item),
                                            lsm_item_seq(item), run);
    }
    if (run->at > 0) {
        run->at--;
        return true;
    }
    item = run->items[0];
    return akvi_lsm_memtree_run(&c->m->tree, LSM_PREV, lsm_item_key(item), lsm_item_seq(item), run);
}

static akv_status memtable_move(lsm_cursor *base, lsm_move move, akv_slice key, uint64_t seq)
{
    memtable_cursor *c = (memtable_cursor *)base;
    bool             found;

    if (move == LSM_NEXT || move == LSM_PREV)
        found = memtable_step(c, move);
    else
        found = akvi_lsm_memtree_run(&c->m->tree, move, key, seq, &c->run);
    if (!found)
        return AKV_END;
    memtable_entry(c->run.items[c->run.at], &base->entry);
    return AKV_OK;
}

static void memtable_cursor_free(lsm_cursor *base)
{
    memtable_cursor *c = (memtable_cursor *)base;
    lsm_memtable    *m = c->m;

    akvi_free(m->allocator, c, sizeof *c);
    akvi_lsm_memtable_unref(m);
}

akv_status akvi_lsm_memtable_cursor(lsm_memtable *m, lsm_cursor **cursor_out)
{
    static const lsm_cursor_ops ops = {memtable_move, memtable_cursor_free};
    memtable_cursor            *c   = akvi_zalloc(m->allocator, sizeof *c);

    *cursor_out = NULL;
    if (!c)
        return AKV_NOMEM;
    c->base.ops = &ops;
    c->m        = m;
    akvi_lsm_memtable_ref(m);
    *cursor_out = &c->base;
    return AKV_OK;
}
