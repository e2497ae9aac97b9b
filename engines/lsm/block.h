/* SPDX-License-Identifier: MIT
 *
 * block.h: one block of entries (format.h, "a block"): making one, and finding
 * and walking what is in one.
 *
 * A view is where things lie in a block's bytes. It trusts none of them: what
 * does not hold together is told as LSM_SPOT_BAD or NULL by whichever call meets
 * it. Entries may be read up to 16 bytes past their end, since heads, offsets and
 * tail follow them.
 */
#ifndef AKVI_LSM_BLOCK_H
#define AKVI_LSM_BLOCK_H

#include "engines/lsm/entry.h"
#include "engines/lsm/format.h"

typedef struct lsm_view {
    const uint8_t *data;             /* values first */
    const uint8_t *entries, *prefix; /* the prefix is the end of the entries */
    const uint8_t *heads, *offsets;  /* of restarts */
    uint64_t       seq_base, seq_mask;
    uint32_t       values_len, restarts_n, entries_n, prefix_len;
    uint8_t        interval, seq_width, kinds;
} lsm_view;

#define LSM_KINDS_DATA  ((1u << LSM_PUT) | (1u << LSM_DELETE))
#define LSM_KINDS_RANGE (1u << LSM_DELETE_RANGE)
#define LSM_KINDS_INDEX (1u << LSM_PUT)

/* An entry as it lies there. Its key is the block's prefix, the first `shared`
 * bytes of the key before it less the prefix, and the suffix. */
typedef struct lsm_item {
    const uint8_t *suffix;
    uint64_t       seq, expiry_ms;
    uint32_t       shared, unshared, value_len;
    uint8_t        kind, encoding;
} lsm_item;

/* An entry and its place. */
typedef struct lsm_spot {
    lsm_item       item;
    const uint8_t *next;  /* where the entry after it begins */
    uint64_t       value; /* where its value begins */
    uint32_t       index;
    bool           same; /* after a seek: its key is the one that was sought */
} lsm_spot;

typedef enum lsm_spot_status {
    LSM_SPOT_BAD  = -1, /* the block is not sound */
    LSM_SPOT_NONE = 0,
    LSM_SPOT_OK   = 1
} lsm_spot_status;

/* False: the block is not sound, or has other kinds than `kinds` are bits of. */
bool akvi_lsm_view_init(lsm_view *v, const uint8_t *data, size_t len, uint32_t kinds);
/* The first entry at or after (key, seq). */
lsm_spot_status akvi_lsm_view_seek(const lsm_view *v, akv_slice key, uint64_t seq,
                                   lsm_spot *spot_out);
/* The index of what akvi_lsm_view_seek would find, in a block with interval 1. No
 * entry is read unless heads don't decide it. False: none. */
bool akvi_lsm_view_find(const lsm_view *v, akv_slice key, uint64_t seq, uint32_t *index_out);
/* The first entry of a run; with interval 1, any entry. */
lsm_spot_status akvi_lsm_view_restart(const lsm_view *v, uint32_t restart, lsm_spot *spot_out);
/* Whether head and offsets are right of an entry with which a run begins; true of
 * others. */
bool akvi_lsm_view_run_holds(const lsm_view *v, const lsm_spot *spot);
/* What is behind akvi_lsm_item_read when lengths have more than a byte, or there is
 * an expiry or an encoding. */
const uint8_t *akvi_lsm_item_read_slow(const lsm_view *v, const uint8_t *at, lsm_item *item_out);

/* Read the entry at `at`, which is before v->prefix. Where the next begins, or NULL. */
static inline const uint8_t *akvi_lsm_item_read(const lsm_view *v, const uint8_t *at,
                                                lsm_item *item_out)
{
    uint32_t word = akvi_get_le32(at);

    if (__builtin_expect((word & UINT32_C(0x808080f8)) != 0, 0))
        return akvi_lsm_item_read_slow(v, at, item_out);
    at += 4;
    item_out->kind      = (uint8_t)word;
    item_out->shared    = word >> 8 & 0x7f;
    item_out->unshared  = word >> 16 & 0x7f;
    item_out->value_len = word >> 24;
    item_out->seq       = v->seq_base + (akvi_get_le64(at) & v->seq_mask);
    item_out->expiry_ms = 0;
    item_out->encoding  = 0;
    at += v->seq_width;
    item_out->suffix = at;
    at += item_out->unshared;
    return at <= v->prefix && (v->kinds >> item_out->kind & 1) ? at : NULL;
}

static inline bool akvi_lsm_spot_value(const lsm_view *v, const lsm_spot *spot,
                                       akv_slice *value_out)
{
    if (!akvi_range_ok(spot->value, spot->item.value_len, v->values_len))
        return false;
    *value_out = akv_bytes(v->data + spot->value, spot->item.value_len);
    return true;
}

/* A walk along entries that knows each one's whole key. Begin with a view and an
 * empty buffer, which the caller frees. */
typedef struct lsm_walk {
    lsm_view   view;
    lsm_spot   spot;
    akv_buffer key;
} lsm_walk;

#define LSM_WALK_SLACK 16u /* bytes of the buffer that lie past any key */

/* To the first entry of a run. AKV_CORRUPT, here and below, records nothing. */
akv_status akvi_lsm_walk_restart(lsm_walk *w, uint32_t restart);
/* To the entry that akvi_lsm_view_seek finds; AKV_END: none. */
akv_status akvi_lsm_walk_seek(lsm_walk *w, akv_slice key, uint64_t seq);
/* Make room in the key for the entry at the spot. */
akv_status akvi_lsm_walk_grow(lsm_walk *w);

static inline akv_status akvi_lsm_walk_take(lsm_walk *w)
{
    const lsm_item *item = &w->spot.item;
    size_t          keep = w->view.prefix_len + item->shared;
    uint8_t        *to;

    if (__builtin_expect(keep > w->key.len, 0))
        return AKV_CORRUPT;
    if (__builtin_expect(keep + item->unshared + LSM_WALK_SLACK > w->key.cap, 0)) {
        akv_status rc = akvi_lsm_walk_grow(w);

        if (rc != AKV_OK)
            return rc;
    }
    to = (uint8_t *)w->key.data + keep;
    if (item->unshared <= LSM_WALK_SLACK)
        memcpy(to, item->suffix, LSM_WALK_SLACK); /* what lies behind is still the block's */
    else
        memcpy(to, item->suffix, item->unshared);
    w->key.len = keep + item->unshared;
    return AKV_OK;
}

/* AKV_END after the last. */
static inline akv_status akvi_lsm_walk_next(lsm_walk *w)
{
    lsm_spot *spot = &w->spot;

    if (spot->index + 1 >= w->view.entries_n)
        return AKV_END;
    if (__builtin_expect(spot->next >= w->view.prefix, 0))
        return AKV_CORRUPT;
    spot->index++;
    spot->value += spot->item.value_len;
    spot->next = akvi_lsm_item_read(&w->view, spot->next, &spot->item);
    return spot->next ? akvi_lsm_walk_take(w) : AKV_CORRUPT;
}

/* How many bytes two strings begin alike. */
static inline size_t akvi_lsm_shared(const void *a, size_t a_len, const void *b, size_t b_len)
{
    const uint8_t *x = a, *y = b;
    size_t         n = a_len < b_len ? a_len : b_len, i = 0;

    for (; n - i >= 8; i += 8) {
        uint64_t diff = akvi_get_le64(x + i) ^ akvi_get_le64(y + i);

        if (diff)
            return i + ((unsigned)__builtin_ctzll(diff) >> 3);
    }
    while (i < n && x[i] == y[i])
        i++;
    return i;
}

/* ------------------------------------------------------------------ making */

typedef struct lsm_block_builder {
    akv_buffer values, keys; /* of the entries so far, one after the other */
    akv_buffer items;        /* lsm_block_item */
    uint64_t   seq_low, seq_high;
    size_t     suffixes; /* bytes of keys that are not shared, about */
    size_t     last_len; /* of the last key */
    uint32_t   n, interval;
} lsm_block_builder;

void akvi_lsm_block_init(lsm_block_builder *b, const akv_allocator *allocator, uint32_t interval);
void akvi_lsm_block_free(lsm_block_builder *b);
/* Forget all entries. */
void akvi_lsm_block_clear(lsm_block_builder *b);
/* `shared`: bytes that the key has in common with the last one added. */
AKVI_MUST_USE akv_status akvi_lsm_block_add(lsm_block_builder *b, const lsm_entry *entry,
                                            size_t shared);
/* Its size when finished, about, with one more entry of so many bytes. */
size_t    akvi_lsm_block_size(const lsm_block_builder *b, size_t more);
akv_slice akvi_lsm_block_last_key(const lsm_block_builder *b);
/* The block's bytes, the builder's until it is cleared. At least one entry. */
AKVI_MUST_USE akv_status akvi_lsm_block_finish(lsm_block_builder *b, akv_slice *block_out);

#endif
