/* SPDX-License-Identifier: MIT
 *
 * block.c: see block.h.
 */
#include "engines/lsm/block.h"

#include "common/base/buffer.h"

#include <assert.h>

/* ------------------------------------------------------------------- views */

bool akvi_lsm_view_init(lsm_view *v, const uint8_t *data, size_t len, uint32_t kinds)
{
    const uint8_t *tail;
    uint64_t       entries_len, need;

    if (len < LSM_BLOCK_TAIL)
        return false;
    tail          = data + len - LSM_BLOCK_TAIL;
    v->values_len = akvi_get_le32(tail);
    entries_len   = akvi_get_le32(tail + 4);
    v->entries_n  = akvi_get_le32(tail + 8);
    v->prefix_len = akvi_get_le16(tail + 12);
    v->interval   = tail[14];
    v->seq_width  = tail[15];
    v->seq_base   = akvi_get_le64(tail + 16);
    v->kinds      = (uint8_t)kinds;
    if (v->interval == 0 || v->entries_n == 0 || v->seq_width > 7 || v->seq_base > LSM_SEQ_MAX)
        return false;
    v->restarts_n = (v->entries_n - 1) / v->interval + 1;
    if (v->entries_n > entries_len / LSM_ENTRY_LEAST)
        return false;
    need = v->values_len + entries_len + v->prefix_len + (uint64_t)v->restarts_n * LSM_RESTART;
    if (need != len - LSM_BLOCK_TAIL)
        return false;
    v->seq_mask = (UINT64_C(1) << 8 * v->seq_width) - 1;
    v->data     = data;
    v->entries  = data + v->values_len;
    v->prefix   = v->entries + entries_len;
    v->heads    = v->prefix + v->prefix_len;
    v->offsets  = v->heads + (size_t)v->restarts_n * 8;
    return true;
}

/* A length, from a varint before `end`. NULL at *at: there is none. */
static uint32_t block_length(const uint8_t **at, const uint8_t *end, uint64_t most)
{
    uint64_t len = 0;
    size_t   n   = *at && *at < end ? akvi_get_varint(*at, (size_t)(end - *at), &len) : 0;

    *at = n && len <= most ? *at + n : NULL;
    return (uint32_t)len;
}

const uint8_t *akvi_lsm_item_read_slow(const lsm_view *v, const uint8_t *at, lsm_item *item)
{
    const uint8_t *end   = v->prefix;
    uint8_t        flags = *at++;
    size_t         n;

    item->kind      = flags & LSM_ENTRY_KIND;
    item->shared    = block_length(&at, end, LSM_MAX_KEY);
    item->unshared  = block_length(&at, end, LSM_MAX_KEY);
    item->value_len = block_length(&at, end, LSM_MAX_VALUE);
    item->expiry_ms = 0;
    item->encoding  = 0;
    if (!at || (size_t)(end - at) < v->seq_width || flags & LSM_ENTRY_SPARE ||
        !(v->kinds >> item->kind & 1))
        return NULL;
    item->seq = v->seq_base + (akvi_get_le64(at) & v->seq_mask);
    at += v->seq_width;
    if (flags & LSM_ENTRY_EXPIRY) {
        n = akvi_get_varint(at, (size_t)(end - at), &item->expiry_ms);
        if (n == 0)
            return NULL;
        at += n;
    }
    if (flags & LSM_ENTRY_ENCODING) {
        if (at == end)
            return NULL;
        item->encoding = *at++;
    }
    item->suffix = at;
    return item->unshared <= (size_t)(end - at) ? at + item->unshared : NULL;
}

lsm_spot_status akvi_lsm_view_restart(const lsm_view *v, uint32_t restart, lsm_spot *spot)
{
    const uint8_t *offsets = v->offsets + (size_t)restart * 8;
    uint32_t       at      = akvi_get_le32(offsets);

    if (at >= (size_t)(v->prefix - v->entries))
        return LSM_SPOT_BAD;
    spot->value = akvi_get_le32(offsets + 4);
    spot->index = restart * v->interval;
    spot->next  = akvi_lsm_item_read(v, v->entries + at, &spot->item);
    spot->same  = false;
    return spot->next && spot->item.shared == 0 ? LSM_SPOT_OK : LSM_SPOT_BAD;
}

/* The first eight bytes as a number, zeroes behind a shorter key. */
static uint64_t block_head(const uint8_t *key, size_t len)
{
    uint64_t head = 0;

    if (len >= 8)
        return akvi_get_be64(key);
    for (size_t i = 0; i < len; i++)
        head |= (uint64_t)key[i] << (56 - 8 * i);
    return head;
}

bool akvi_lsm_view_run_holds(const lsm_view *v, const lsm_spot *spot)
{
    uint32_t restart = spot->index / v->interval;
    lsm_spot begin;

    if (spot->index % v->interval)
        return true;
    return akvi_lsm_view_restart(v, restart, &begin) == LSM_SPOT_OK && spot->item.shared == 0 &&
           begin.next == spot->next && begin.value == spot->value &&
           akvi_get_be64(v->heads + (size_t)restart * 8) ==
               block_head(spot->item.suffix, spot->item.unshared);
}

/* How many restarts have a head below `head`; with `or_same`, or the same. */
static uint32_t block_heads_below(const lsm_view *v, uint64_t head, bool or_same)
{
    const uint8_t *at = v->heads;
    uint32_t       n  = v->restarts_n;

    if (or_same && head == UINT64_MAX)
        return n;
    head += or_same;
    while (n > 1) {
        uint32_t half = n / 2;

        at += akvi_get_be64(at + (size_t)(half - 1) * 8) < head ? (size_t)half * 8 : 0;
        n -= half;
    }
    return (uint32_t)((size_t)(at - v->heads) / 8) + (akvi_get_be64(at) < head);
}

/* How many restarts are before (key, seq); *found_out: the next is just that. */
static uint32_t block_restarts_before(const lsm_view *v, akv_slice key, uint64_t seq,
                                      bool *found_out)
{
    uint64_t head = block_head(key.data, key.len);
    uint32_t low  = block_heads_below(v, head, false), high;

    *found_out = false;
    if (low == v->restarts_n || akvi_get_be64(v->heads + (size_t)low * 8) != head)
        return low;
    high = block_heads_below(v, head, true);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        lsm_spot spot;
        int      c;

        if (akvi_lsm_view_restart(v, mid, &spot) != LSM_SPOT_OK)
            return low; /* what comes next will meet it */
        c = lsm_order(akv_bytes(spot.item.suffix, spot.item.unshared), spot.item.seq, key, seq);
        if (c == 0) {
            *found_out = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* From `spot`, on to the first entry at or after (key, seq). Of a key it is enough
 * to know how much of the one sought it has, since what an entry shares with the
 * one before it tells on which side of it the entry is. */
static lsm_spot_status block_scan(const lsm_view *v, akv_slice key, uint64_t seq, lsm_spot *spot)
{
    const uint8_t *want    = key.data;
    lsm_item      *item    = &spot->item;
    size_t         matched = 0, before = 0, len;
    uint32_t       run = 0;

    for (;; spot->index++) {
        if (item->shared > before)
            return LSM_SPOT_BAD;
        if (run-- == 0) { /* it says nothing of the entry before */
            run     = v->interval - 1u;
            matched = 0;
        }
        len        = item->shared + item->unshared;
        spot->same = false;
        if (item->shared < matched)
            return LSM_SPOT_OK;
        if (item->shared == matched) {
            size_t more =
                akvi_lsm_shared(item->suffix, item->unshared, want + matched, key.len - matched);

            matched += more;
            if (matched == key.len) {
                spot->same = len == matched;
                if (!spot->same || item->seq <= seq)
                    return LSM_SPOT_OK;
            } else if (matched < len && item->suffix[more] > want[matched]) {
                return LSM_SPOT_OK;
            }
        }
        before = len;
        if (spot->index + 1 == v->entries_n)
            return LSM_SPOT_NONE;
        spot->value += item->value_len;
        if (spot->next >= v->prefix)
            return LSM_SPOT_BAD;
        spot->next = akvi_lsm_item_read(v, spot->next, item);
        if (!spot->next)
            return LSM_SPOT_BAD;
    }
}

/* Take the block's prefix off a key. AKV_OK with the rest, AKV_ABSENT: the key is
 * before all entries, AKV_END: after all. */
static akv_status block_rest(const lsm_view *v, akv_slice key, akv_slice *rest_out)
{
    const uint8_t *bytes = key.len ? key.data : (const uint8_t *)"";
    size_t         n     = key.len < v->prefix_len ? key.len : v->prefix_len;
    int            c     = memcmp(bytes, v->prefix, n);

    if (c > 0)
        return AKV_END;
    if (c < 0 || key.len < v->prefix_len)
        return AKV_ABSENT;
    *rest_out = akv_bytes(bytes + n, key.len - n);
    return AKV_OK;
}

bool akvi_lsm_view_find(const lsm_view *v, akv_slice key, uint64_t seq, uint32_t *index_out)
{
    akv_slice  rest;
    akv_status rc = block_rest(v, key, &rest);
    bool       found;

    *index_out = rc == AKV_OK ? block_restarts_before(v, rest, seq, &found) : 0;
    return rc != AKV_END && *index_out < v->entries_n;
}

lsm_spot_status akvi_lsm_view_seek(const lsm_view *v, akv_slice key, uint64_t seq, lsm_spot *spot)
{
    akv_slice       rest;
    bool            found;
    uint32_t        restart;
    lsm_spot_status rc;

    switch (block_rest(v, key, &rest)) {
    case AKV_OK: break;
    case AKV_ABSENT: return akvi_lsm_view_restart(v, 0, spot);
    default: return LSM_SPOT_NONE;
    }
    restart = block_restarts_before(v, rest, seq, &found);
    if (v->interval == 1 && restart == v->restarts_n)
        return LSM_SPOT_NONE;
    if (!found && restart > 0 && v->interval > 1)
        restart--;
    rc = akvi_lsm_view_restart(v, restart, spot);
    return rc == LSM_SPOT_OK ? block_scan(v, rest, seq, spot) : rc;
}

/* ------------------------------------------------------------------- walks */

akv_status akvi_lsm_walk_grow(lsm_walk *w)
{
    size_t len = w->view.prefix_len + w->spot.item.shared + w->spot.item.unshared;

    if (len > LSM_MAX_KEY)
        return AKV_CORRUPT;
    return akvi_buffer_reserve(&w->key, len - w->key.len + LSM_WALK_SLACK);
}

/* Begin a key: the block's prefix, and the part of `key` that the entry shares. */
static akv_status walk_begin(lsm_walk *w, const uint8_t *key)
{
    size_t     prefix = w->view.prefix_len, shared = w->spot.item.shared;
    akv_status rc = akvi_buffer_resize(&w->key, prefix + shared);

    if (rc == AKV_OK && prefix)
        memcpy(w->key.data, w->view.prefix, prefix);
    if (rc == AKV_OK && shared)
        memcpy((uint8_t *)w->key.data + prefix, key + prefix, shared);
    return rc == AKV_OK ? akvi_lsm_walk_take(w) : rc;
}

akv_status akvi_lsm_walk_restart(lsm_walk *w, uint32_t restart)
{
    if (akvi_lsm_view_restart(&w->view, restart, &w->spot) != LSM_SPOT_OK)
        return AKV_CORRUPT;
    return walk_begin(w, NULL);
}

akv_status akvi_lsm_walk_seek(lsm_walk *w, akv_slice key, uint64_t seq)
{
    switch (akvi_lsm_view_seek(&w->view, key, seq, &w->spot)) {
    case LSM_SPOT_OK:
        /* What the entry shares with the one before it, it shares with `key`. */
        return walk_begin(w, key.data);
    case LSM_SPOT_NONE: return AKV_END;
    case LSM_SPOT_BAD: break;
    }
    return AKV_CORRUPT;
}

/* ------------------------------------------------------------------ making */

typedef struct lsm_block_item {
    uint64_t seq, expiry_ms;
    uint32_t key_len, shared, value_len;
    uint8_t  kind, encoding;
} lsm_block_item;

/* Of one entry without its suffix. */
#define BLOCK_ENTRY_MOST (1 + 3 + 3 + 5 + 7 + AKVI_VARINT_MAX + 1)

void akvi_lsm_block_init(lsm_block_builder *b, const akv_allocator *allocator, uint32_t interval)
{
    *b                  = (lsm_block_builder){.interval = interval};
    b->values.allocator = b->keys.allocator = b->items.allocator = allocator;
    akvi_lsm_block_clear(b);
}

void akvi_lsm_block_free(lsm_block_builder *b)
{
    akv_buffer_free(&b->values);
    akv_buffer_free(&b->keys);
    akv_buffer_free(&b->items);
}

void akvi_lsm_block_clear(lsm_block_builder *b)
{
    akvi_buffer_clear(&b->values);
    akvi_buffer_clear(&b->keys);
    akvi_buffer_clear(&b->items);
    b->n        = 0;
    b->seq_low  = UINT64_MAX;
    b->seq_high = 0;
    b->suffixes = b->last_len = 0;
}

static unsigned block_seq_width(const lsm_block_builder *b)
{
    unsigned width = 0;

    for (uint64_t span = b->n ? b->seq_high - b->seq_low : 0; span; span >>= 8)
        width++;
    return width;
}

akv_status akvi_lsm_block_add(lsm_block_builder *b, const lsm_entry *e, size_t shared)
{
    lsm_block_item *item;

    if (akvi_buffer_reserve(&b->values, e->value.len) != AKV_OK ||
        akvi_buffer_reserve(&b->keys, e->key.len + 1) != AKV_OK)
        return AKV_NOMEM;
    item = akvi_buffer_extend(&b->items, sizeof *item);
    if (!item)
        return AKV_NOMEM;
    *item = (lsm_block_item){.seq       = e->seq,
                             .expiry_ms = e->expiry_ms,
                             .key_len   = (uint32_t)e->key.len,
                             .shared    = b->n % b->interval ? (uint32_t)shared : 0,
                             .value_len = (uint32_t)e->value.len,
                             .kind      = e->kind,
                             .encoding  = e->encoding};
    if (e->value.len)
        memcpy((uint8_t *)b->values.data + b->values.len, e->value.data, e->value.len);
    if (e->key.len)
        memcpy((uint8_t *)b->keys.data + b->keys.len, e->key.data, e->key.len);
    b->values.len += e->value.len;
    b->keys.len += e->key.len;
    b->last_len = e->key.len;
    b->seq_low  = e->seq < b->seq_low ? e->seq : b->seq_low;
    b->seq_high = e->seq > b->seq_high ? e->seq : b->seq_high;
    b->suffixes += e->key.len - item->shared + (e->value.len >= 128);
    b->n++;
    return AKV_OK;
}

size_t akvi_lsm_block_size(const lsm_block_builder *b, size_t more)
{
    size_t restarts = b->n / b->interval + 1;

    return b->values.len + b->suffixes + more + (b->n + 1) * (4 + (size_t)block_seq_width(b)) +
           restarts * LSM_RESTART + LSM_BLOCK_TAIL;
}

akv_slice akvi_lsm_block_last_key(const lsm_block_builder *b)
{
    return akv_bytes(b->last_len ? (const uint8_t *)b->keys.data + b->keys.len - b->last_len : NULL,
                     b->last_len);
}

static uint8_t *block_put_item(uint8_t *at, const lsm_block_item *item, const uint8_t *key,
                               size_t shared, size_t prefix, uint64_t seq, unsigned seq_width)
{
    size_t   unshared = item->key_len - prefix - shared;
    uint8_t *flags    = at++;

    *flags = item->kind;
    at += akvi_put_varint(at, shared);
    at += akvi_put_varint(at, unshared);
    at += akvi_put_varint(at, item->value_len);
    for (unsigned i = 0; i < seq_width; i++)
        *at++ = (uint8_t)(seq >> 8 * i);
    if (item->expiry_ms) {
        *flags |= LSM_ENTRY_EXPIRY;
        at += akvi_put_varint(at, item->expiry_ms);
    }
    if (item->encoding) {
        *flags |= LSM_ENTRY_ENCODING;
        *at++ = item->encoding;
    }
    if (unshared)
        memcpy(at, key + prefix + shared, unshared);
    return at + unshared;
}

/* Entries, then heads and offsets beside each other in *restarts; returns the
 * entries' end. */
static uint8_t *block_put_items(const lsm_block_builder *b, uint8_t *at, size_t prefix,
                                uint8_t *heads, uint8_t *offsets)
{
    const lsm_block_item *items = b->items.data;
    const uint8_t        *key = b->keys.data, *begin = at;
    unsigned              width = block_seq_width(b);
    uint32_t              value = 0;

    for (uint32_t i = 0; i < b->n; key += items[i].key_len, i++) {
        size_t shared = items[i].shared > prefix ? items[i].shared - prefix : 0;

        if (i % b->interval == 0) {
            akvi_put_be64(heads, block_head(key + prefix, items[i].key_len - prefix));
            akvi_put_le32(offsets, (uint32_t)(at - begin));
            akvi_put_le32(offsets + 4, value);
            heads += 8;
            offsets += 8;
            shared = 0;
        }
        at = block_put_item(at, &items[i], key, shared, prefix, items[i].seq - b->seq_low, width);
        value += items[i].value_len;
    }
    return at;
}

akv_status akvi_lsm_block_finish(lsm_block_builder *b, akv_slice *block_out)
{
    const lsm_block_item *items    = b->items.data;
    size_t                restarts = (b->n - 1) / b->interval + 1, values_len = b->values.len;
    size_t                room = b->keys.len + (size_t)b->n * BLOCK_ENTRY_MOST;
    akv_slice             last = akvi_lsm_block_last_key(b);
    size_t   prefix = akvi_lsm_shared(b->keys.data, items[0].key_len, last.data, last.len);
    uint8_t *begin, *at, *heads;

    assert(b->n > 0);
    /* Heads and offsets are written behind where the entries could end at most,
     * and moved down when it is known where they do. */
    if (akvi_buffer_reserve(&b->values, room + prefix + restarts * LSM_RESTART + LSM_BLOCK_TAIL) !=
        AKV_OK)
        return AKV_NOMEM;
    begin = (uint8_t *)b->values.data + values_len;
    heads = begin + room + prefix;
    at    = block_put_items(b, begin, prefix, heads, heads + restarts * 8);
    room  = (size_t)(at - begin);
    if (prefix)
        memcpy(at, b->keys.data, prefix);
    at += prefix;
    memmove(at, heads, restarts * LSM_RESTART);
    at += restarts * LSM_RESTART;
    akvi_put_le32(at, (uint32_t)values_len);
    akvi_put_le32(at + 4, (uint32_t)room);
    akvi_put_le32(at + 8, b->n);
    akvi_put_le16(at + 12, (uint16_t)prefix);
    at[14] = (uint8_t)b->interval;
    at[15] = (uint8_t)block_seq_width(b);
    akvi_put_le64(at + 16, b->seq_low);
    at += LSM_BLOCK_TAIL;
    b->values.len = (size_t)(at - (uint8_t *)b->values.data);
    *block_out    = akvi_buffer_slice(&b->values);
    return AKV_OK;
}
