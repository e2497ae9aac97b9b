/* SPDX-License-Identifier: MIT
 *
 * cursor.c: walking the keys in order, both ways, without an allocation.
 *
 * Entries have no fixed length, so the index can't be walked backwards as it
 * stands. Keys are numbered instead; blocks of FUSED_BLOCK have known places,
 * and the cursor holds the places of the entries of one block. When it enters a
 * block it asks for the memory of all its objects.
 */
#include "engines/fused/reader.h"

#define CURSOR_NO_BLOCK UINT64_MAX

/* Which keys come before a bound: those below the key, those up to and with it,
 * or those and all that begin with it. */
typedef enum cursor_side { CURSOR_BELOW, CURSOR_WITH, CURSOR_WITH_PREFIXED } cursor_side;

unsigned akvi_fused_block(const akv_fused *f, uint64_t block, uint64_t places_out[FUSED_BLOCK])
{
    uint64_t from = block * FUSED_BLOCK, left = f->keys - from, at;
    unsigned n = left < FUSED_BLOCK ? (unsigned)left : FUSED_BLOCK;

    if (!f->ordered) {
        memcpy(places_out, f->places + from, n * sizeof *places_out);
        return n;
    }
    at = fused_block_place(f, block);
    for (unsigned i = 0; i < n; i++) {
        if (!fused_entry_fits(f, at)) {
            places_out[i] = at = FUSED_NO_PLACE;
            continue;
        }
        places_out[i] = at;
        at += fused_entry_len(f->index + at);
    }
    return n;
}

static bool cursor_before(const akv_fused *f, uint64_t place, akv_slice key, cursor_side side)
{
    const uint8_t *entry;
    size_t         len, n;
    int            c;

    if (!fused_entry_fits(f, place))
        return false;
    entry = f->index + place;
    len   = fused_entry_key_len(entry);
    n     = len < key.len ? len : key.len;
    c     = n ? memcmp(fused_entry_key(entry), key.data, n) : 0;
    if (c != 0)
        return c < 0;
    if (len < key.len)
        return true;
    return side == CURSOR_WITH_PREFIXED || (side == CURSOR_WITH && len == key.len);
}

/* How many keys come before the bound. */
static uint64_t cursor_bound(const akv_fused *f, akv_slice key, cursor_side side)
{
    uint64_t low = 0, high = (f->keys + FUSED_BLOCK - 1) / FUSED_BLOCK, block;
    uint64_t places[FUSED_BLOCK];
    unsigned n, i;

    while (low < high) { /* to the first block that does not begin before it */
        uint64_t mid = low + (high - low) / 2;

        if (cursor_before(f, fused_block_place(f, mid), key, side))
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return 0;
    block = low - 1;
    n     = akvi_fused_block(f, block, places);
    for (i = 1; i < n && cursor_before(f, places[i], key, side); i++)
        ;
    return block * FUSED_BLOCK + i;
}

static void cursor_over(const akv_fused *f, uint64_t first, uint64_t end, akv_fused_cursor *c)
{
    memset(c, 0, offsetof(akv_fused_cursor, entries));
    c->fused = f;
    c->first = first;
    c->n     = end > first ? end - first : 0;
    c->block = CURSOR_NO_BLOCK;
}

void akvi_fused_cursor_range(const akv_fused *f, akv_slice lower, const akv_slice *upper,
                             akv_fused_cursor *c)
{
    uint64_t first = lower.len > 0 ? cursor_bound(f, lower, CURSOR_BELOW) : 0;

    cursor_over(f, first, upper ? cursor_bound(f, *upper, CURSOR_BELOW) : f->keys, c);
}

/* The entry that the cursor is on, or NULL when there is none at its place. */
static const uint8_t *cursor_entry(akv_fused_cursor *c)
{
    const akv_fused *f     = c->fused;
    uint64_t         key   = c->first + c->at - 1;
    uint64_t         block = key / FUSED_BLOCK;

    if (block != c->block) {
        unsigned n = akvi_fused_block(f, block, c->entries);

        c->block = block;
        for (unsigned i = 0; i < n && !c->keys_only; i++) {
            uint64_t off = f->size;

            if (c->entries[i] != FUSED_NO_PLACE)
                off = fused_entry_object(f->index + c->entries[i]);
            if (off < f->size)
                __builtin_prefetch(f->data + off);
        }
    }
    if (c->entries[key % FUSED_BLOCK] == FUSED_NO_PLACE)
        return NULL;
    return f->index + c->entries[key % FUSED_BLOCK];
}

akv_status akvi_fused_cursor_move(akv_fused_cursor *c, akv_move move, akv_slice key, bool check)
{
    const uint8_t *entry;
    uint64_t       bound;

    c->key = c->object = akv_bytes(NULL, 0);
    switch (move) {
    case AKV_MOVE_FIRST: c->at = 1; break;
    case AKV_MOVE_LAST: c->at = c->n; break;
    case AKV_MOVE_NEXT: c->at += c->at <= c->n; break;
    case AKV_MOVE_PREV: c->at -= c->at > 0; break;
    case AKV_MOVE_SEEK:
        bound = cursor_bound(c->fused, key, CURSOR_BELOW);
        bound = bound > c->first ? bound - c->first : 0;
        c->at = (bound < c->n ? bound : c->n) + 1;
        break;
    case AKV_MOVE_SEEK_FOR_PREV:
        bound = cursor_bound(c->fused, key, CURSOR_WITH);
        bound = bound > c->first ? bound - c->first : 0;
        c->at = bound < c->n ? bound : c->n;
        break;
    }
    if (c->at == 0 || c->at > c->n)
        return AKV_END;
    entry = cursor_entry(c);
    if (!entry)
        return akvi_fused_bad_place(c->fused);
    c->key = akv_bytes(fused_entry_key(entry), fused_entry_key_len(entry));
    return c->keys_only ? AKV_OK : akvi_fused_object(c->fused, entry, check, &c->object);
}

/* ------------------------------------------------------------- public calls */

static akv_status cursor_public(akv_fused_cursor *c, akv_move move, akv_slice key)
{
    uint64_t   at;
    akv_status st;

    if (!c || !c->fused || (!key.data && key.len > 0)) {
        akvi_call_begin();
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a cursor or key is NULL"), "fused");
    }
    at = c->at;
    st = akvi_fused_cursor_move(c, move, key, c->fused->check_objects);
    if (st >= 0)
        return st;
    c->at = at; /* once more, to fill the error record */
    akvi_call_begin();
    return akvi_call_end(akvi_fused_cursor_move(c, move, key, c->fused->check_objects), "fused");
}

akv_status akv_fused_cursor_first(akv_fused_cursor *cursor)
{
    return cursor_public(cursor, AKV_MOVE_FIRST, akv_bytes(NULL, 0));
}

akv_status akv_fused_cursor_last(akv_fused_cursor *cursor)
{
    return cursor_public(cursor, AKV_MOVE_LAST, akv_bytes(NULL, 0));
}

akv_status akv_fused_cursor_next(akv_fused_cursor *cursor)
{
    return cursor_public(cursor, AKV_MOVE_NEXT, akv_bytes(NULL, 0));
}

akv_status akv_fused_cursor_prev(akv_fused_cursor *cursor)
{
    return cursor_public(cursor, AKV_MOVE_PREV, akv_bytes(NULL, 0));
}

akv_status akv_fused_cursor_seek(akv_fused_cursor *cursor, akv_slice key)
{
    return cursor_public(cursor, AKV_MOVE_SEEK, key);
}

akv_status akv_fused_cursor_seek_for_prev(akv_fused_cursor *cursor, akv_slice key)
{
    return cursor_public(cursor, AKV_MOVE_SEEK_FOR_PREV, key);
}

uint64_t akv_fused_cursor_count(const akv_fused_cursor *cursor)
{
    return cursor ? cursor->n : 0;
}

static akv_status cursor_check(const akv_fused *f, akv_slice key, const akv_fused_cursor *c)
{
    if (f && c && (key.data || key.len == 0))
        return AKV_OK;
    akvi_call_begin();
    return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reader, key or cursor is NULL"), "fused");
}

akv_status akv_fused_cursor_all(const akv_fused *fused, akv_fused_cursor *cursor_out)
{
    akv_status st = cursor_check(fused, akv_bytes(NULL, 0), cursor_out);

    if (st == AKV_OK)
        cursor_over(fused, 0, fused->keys, cursor_out);
    return st;
}

akv_status akv_fused_cursor_range(const akv_fused *fused, akv_slice lower, const akv_slice *upper,
                                  akv_fused_cursor *cursor_out)
{
    akv_status st = cursor_check(fused, lower, cursor_out);

    if (st == AKV_OK && upper)
        st = cursor_check(fused, *upper, cursor_out);
    if (st == AKV_OK)
        akvi_fused_cursor_range(fused, lower, upper, cursor_out);
    return st;
}

akv_status akv_fused_cursor_prefix(const akv_fused *fused, akv_slice prefix,
                                   akv_fused_cursor *cursor_out)
{
    akv_status st = cursor_check(fused, prefix, cursor_out);

    if (st == AKV_OK)
        cursor_over(fused, cursor_bound(fused, prefix, CURSOR_BELOW),
                    cursor_bound(fused, prefix, CURSOR_WITH_PREFIXED), cursor_out);
    return st;
}
