/* SPDX-License-Identifier: MIT
 *
 * reader.c: look-ups in an open .fsdb file. Any number of threads; nothing is
 * written, nothing is locked, nothing is copied.
 */
#include "engines/fused/reader.h"

#include "common/base/mem.h"
#include "common/base/printable.h"
#include "common/codec/crc.h"
#include "common/map/hash.h"
#include "engines/fused/address.h"
#include "engines/fused/offsets.h"

#include <stdio.h>

#define READER_LINE 64u

/* Most keys are of the length that is compared without a call or a branch. */
static inline bool reader_same(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n < 16 || n > 32)
        return n == 0 || memcmp(a, b, n) == 0;
    return ((akvi_get_le64(a) ^ akvi_get_le64(b)) | (akvi_get_le64(a + 8) ^ akvi_get_le64(b + 8)) |
            (akvi_get_le64(a + n - 16) ^ akvi_get_le64(b + n - 16)) |
            (akvi_get_le64(a + n - 8) ^ akvi_get_le64(b + n - 8))) == 0;
}

/* Whether the key's entry is at a place, which can be anything. */
static inline bool reader_is(const akv_fused *f, uint64_t place, akv_slice key)
{
    const uint8_t *entry;

    if (f->index_size < FUSED_ENTRY_LEAST + key.len ||
        place > f->index_size - FUSED_ENTRY_LEAST - key.len)
        return false;
    entry = f->index + place;
    return fused_entry_key_len(entry) == key.len &&
           reader_same(fused_entry_key(entry), key.data, key.len);
}

/* Ask for an entry, for a key of this length, and an object of common length. */
static inline void reader_prefetch(const akv_fused *f, uint64_t place, size_t key_len, uint64_t off)
{
    if (place < f->index_size) {
        __builtin_prefetch(f->index + place);
        __builtin_prefetch(f->index + place + key_len + FUSED_ENTRY_LEAST - 1);
    }
    if (off < f->size) {
        __builtin_prefetch(f->data + off);
        __builtin_prefetch(f->data + off + READER_LINE);
        __builtin_prefetch(f->data + off + 2 * READER_LINE);
    }
}

/* A key's entry and where its object is said to be; false when there is none.
 * The object is a guess, that of the table: only the entry tells. */
static inline bool reader_find(const akv_fused *f, akv_slice key, uint64_t hash,
                               uint64_t *place_out, uint64_t *guess_out)
{
    const fused_table_shape *shape = &f->table.shape;
    fused_probe              probe;
    uint64_t                 value;

    fused_probe_begin(&f->table, hash, &probe);
    while (fused_probe_next(&f->table, &probe, &value)) {
        *place_out = fused_table_place(shape, value);
        *guess_out = fused_table_object(shape, value);
        reader_prefetch(f, *place_out, key.len, *guess_out);
        if (reader_is(f, *place_out, key))
            return true;
    }
    return false;
}

const uint8_t *akvi_fused_entry(const akv_fused *f, akv_slice key)
{
    uint64_t place, guess;

    if (f->keys == 0 ||
        !reader_find(f, key, akvi_hash(key.data, key.len, f->table.seed), &place, &guess))
        return NULL;
    return f->index + place;
}

static akv_status reader_bad_offset(const akv_fused *f, const uint8_t *entry)
{
    uint64_t at = (uint64_t)(entry - f->data) + fused_entry_len(entry) - 8;

    return AKV_FAIL_AT(AKV_CORRUPT, f->path, at,
                       "a key's object is said to be at %llu, but the file ends at %llu",
                       (unsigned long long)fused_entry_object(entry), (unsigned long long)f->size);
}

akv_status akvi_fused_bad_place(const akv_fused *f)
{
    return AKV_FAIL_AT(AKV_CORRUPT, f->path, f->section.offset,
                       "the hash section leads out of the index, which ends here: verify the "
                       "file, and build it anew");
}

static akv_status reader_bad_length(const akv_fused *f, uint64_t off)
{
    return AKV_FAIL_AT(AKV_CORRUPT, f->path, off,
                       "an object of %u bytes reaches past the end of the file at %llu",
                       akvi_get_be32(f->data + off), (unsigned long long)f->size);
}

akv_status akvi_fused_check_object(const akv_fused *f, uint64_t off, akv_slice object)
{
    uint32_t want = akvi_get_be32(f->data + off + 4);
    uint32_t crc  = akvi_crc32(0, object.data, object.len);

    if (crc == want)
        return AKV_OK;
    return AKV_FAIL_AT(AKV_CORRUPT, f->path, off,
                       "an object's CRC32 is 0x%08x, but 0x%08x is stored with it", crc, want);
}

static inline akv_status reader_object_at(const akv_fused *f, const uint8_t *entry, uint64_t off,
                                          bool check, akv_slice *object_out)
{
    uint64_t len;

    *object_out = akv_bytes(NULL, 0);
    if (off > f->size - FUSED_OBJECT_HEADER)
        return reader_bad_offset(f, entry);
    len = akvi_get_be32(f->data + off);
    if (len > f->size - FUSED_OBJECT_HEADER - off)
        return reader_bad_length(f, off);
    *object_out = akv_bytes(f->data + off + FUSED_OBJECT_HEADER, (size_t)len);
    if (check && akvi_fused_check_object(f, off, *object_out) != AKV_OK) {
        *object_out = akv_bytes(NULL, 0);
        return AKV_CORRUPT;
    }
    return AKV_OK;
}

akv_status akvi_fused_object(const akv_fused *f, const uint8_t *entry, bool check,
                             akv_slice *object_out)
{
    return reader_object_at(f, entry, fused_entry_object(entry), check, object_out);
}

akv_status akvi_fused_object_at(const akv_fused *f, const uint8_t *entry, uint64_t off, bool check,
                                akv_slice *object_out)
{
    return reader_object_at(f, entry, off, check, object_out);
}

/* The object of an entry that has been found. The table's guess comes before the
 * entry out of memory, so the object is read by the guess, and the entry has
 * only to agree: a processor goes on with the object meanwhile. */
static inline akv_status reader_object(const akv_fused *f, uint64_t place, size_t key_len,
                                       uint64_t guess, bool check, akv_slice *object_out)
{
    const uint8_t *entry = f->index + place;
    uint64_t       off   = guess <= f->size - FUSED_OBJECT_HEADER ? guess : 0;
    const uint8_t *at    = f->data + off;
    uint64_t       len   = akvi_get_be32(at);

    if (akvi_get_be64(entry + 2 + key_len) != off || len > f->size - FUSED_OBJECT_HEADER - off ||
        check)
        return akvi_fused_object(f, entry, check, object_out);
    *object_out = akv_bytes(at + FUSED_OBJECT_HEADER, (size_t)len);
    return AKV_OK;
}

akv_status akvi_fused_get(const akv_fused *f, akv_slice key, bool check, akv_slice *object_out)
{
    uint64_t place, guess;

    if (f->keys > 0 &&
        reader_find(f, key, akvi_hash(key.data, key.len, f->table.seed), &place, &guess))
        return reader_object(f, place, key.len, guess, check, object_out);
    *object_out = akv_bytes(NULL, 0);
    return AKV_ABSENT;
}

akv_status akvi_fused_exists(const akv_fused *f, akv_slice key)
{
    return akvi_fused_entry(f, key) ? AKV_OK : AKV_ABSENT;
}

/* ------------------------------------------------------------------ batches */

/* Keys between two stages of a batch: what they ask for of memory is there by
 * then, and not yet driven out by what others ask for. */
#define READER_AHEAD 10u

/* One key of a batch on its way. */
typedef struct reader_step {
    uint64_t hash;
    uint64_t place; /* the first that the tags of the first group allow */
    uint64_t guess;
    bool     absent;
} reader_step;

/* The caller's key may be as cold as all else. */
static inline __attribute__((always_inline)) void reader_prefetch_key(akv_slice key)
{
    __builtin_prefetch(key.data);
    __builtin_prefetch((const char *)key.data + key.len);
}

static inline void reader_step_hash(const akv_fused *f, akv_slice key, reader_step *s)
{
    s->hash = akvi_hash(key.data, key.len, f->table.seed);
    fused_table_prefetch(&f->table, s->hash);
}

static inline void reader_step_slot(const akv_fused *f, size_t key_len, reader_step *s)
{
    fused_probe probe;
    uint64_t    value;

    fused_probe_begin(&f->table, s->hash, &probe);
    s->absent = !fused_probe_next(&f->table, &probe, &value);
    if (s->absent)
        return;
    s->place = fused_table_place(&f->table.shape, value);
    s->guess = fused_table_object(&f->table.shape, value);
    reader_prefetch(f, s->place, key_len, s->guess);
}

static inline akv_status reader_step_entry(const akv_fused *f, akv_slice key, bool check,
                                           reader_step *s, akv_slice *object_out)
{
    if (!s->absent &&
        (reader_is(f, s->place, key) || reader_find(f, key, s->hash, &s->place, &s->guess)))
        return reader_object(f, s->place, key.len, s->guess, check, object_out);
    *object_out = akv_bytes(NULL, 0);
    return AKV_ABSENT;
}

/* Each stage asks for the memory that the next one of the same key reads, and
 * other keys' stages are between them. */
akv_status akvi_fused_get_batch(const akv_fused *f, size_t n, const akv_slice *keys, bool check,
                                akv_slice *objects_out, akv_status *statuses_out)
{
    reader_step steps[FUSED_BATCH];
    akv_status  first = AKV_OK;

    for (size_t i = 0; i < n && f->keys == 0; i++) {
        objects_out[i]  = akv_bytes(NULL, 0);
        statuses_out[i] = AKV_ABSENT;
    }
    for (size_t i = 0; i < n && i < READER_AHEAD; i++)
        reader_prefetch_key(keys[i]);
    for (size_t i = 0; i < n + 2 * READER_AHEAD && f->keys > 0; i++) {
        size_t slot = i - READER_AHEAD, entry = slot - READER_AHEAD; /* below 0: huge */

        if (i + READER_AHEAD < n)
            reader_prefetch_key(keys[i + READER_AHEAD]);
        if (i < n)
            reader_step_hash(f, keys[i], &steps[i]);
        if (slot < n)
            reader_step_slot(f, keys[slot].len, &steps[slot]);
        if (entry >= n)
            continue;
        statuses_out[entry] =
            reader_step_entry(f, keys[entry], check, &steps[entry], &objects_out[entry]);
        if (first == AKV_OK && statuses_out[entry] < 0)
            first = statuses_out[entry];
    }
    return first;
}

/* ------------------------------------------------------------- public calls */

/* Hot calls leave the error record alone until they fail; then the call is made
 * again to fill it. */
akv_status akv_fused_get(const akv_fused *fused, akv_slice key, akv_slice *object_out)
{
    akv_status st = AKV_MISUSE;

    if (fused && object_out && (key.data || key.len == 0))
        st = akvi_fused_get(fused, key, fused->check_objects, object_out);
    if (st >= 0)
        return st;
    akvi_call_begin();
    if (st == AKV_MISUSE)
        return akvi_call_end(AKV_FAIL(st, "a reader, key or output is NULL"), "fused");
    return akvi_call_end(akvi_fused_get(fused, key, fused->check_objects, object_out), "fused");
}

akv_status akv_fused_exists(const akv_fused *fused, akv_slice key)
{
    if (fused && (key.data || key.len == 0))
        return akvi_fused_exists(fused, key);
    akvi_call_begin();
    return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reader or key is NULL"), "fused");
}

akv_status akv_fused_get_many(const akv_fused *fused, size_t n, const akv_slice *keys,
                              akv_slice *objects_out, akv_status *statuses_out)
{
    akv_status first = AKV_OK;

    akvi_call_begin();
    if (!fused || (n > 0 && (!keys || !objects_out || !statuses_out)))
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reader, keys or outputs are NULL"), "fused");
    for (size_t i = 0; i < n; i++) {
        if (!keys[i].data && keys[i].len > 0)
            return akvi_call_end(AKV_FAIL(AKV_MISUSE, "key %zu is NULL", i), "fused");
    }
    for (size_t i = 0; i < n; i += FUSED_BATCH) {
        size_t     part = n - i < FUSED_BATCH ? n - i : FUSED_BATCH;
        akv_status st   = akvi_fused_get_batch(fused, part, keys + i, fused->check_objects,
                                               objects_out + i, statuses_out + i);

        if (first == AKV_OK)
            first = st;
    }
    return akvi_call_end(first, "fused");
}

uint64_t akv_fused_count(const akv_fused *fused)
{
    return fused ? fused->keys : 0;
}

akv_status akv_fused_objects(const akv_fused *fused,
                             int (*each)(void *user, akv_slice object, uint64_t offset), void *user)
{
    fused_offsets seen;
    akv_slice     object;
    uint64_t      places[FUSED_BLOCK];
    akv_status    st    = AKV_OK;
    bool          fresh = false;
    int           stop  = 0;

    akvi_call_begin();
    if (!fused || !each)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reader or callback is NULL"), "fused");
    akvi_fused_offsets_init(&seen, fused->allocator);
    for (uint64_t i = 0; i < fused->keys && st == AKV_OK && !stop; i += FUSED_BLOCK) {
        unsigned n = akvi_fused_block(fused, i / FUSED_BLOCK, places);

        for (unsigned k = 0; k < n && st == AKV_OK && !stop; k++) {
            const uint8_t *entry;

            if (places[k] == FUSED_NO_PLACE) {
                st = akvi_fused_bad_place(fused);
                break;
            }
            entry = fused->index + places[k];
            st    = akvi_fused_offsets_add(&seen, fused_entry_object(entry), &fresh);
            if (st != AKV_OK || !fresh)
                continue;
            st = akvi_fused_object(fused, entry, fused->check_objects, &object);
            if (st == AKV_OK)
                stop = each(user, object, fused_entry_object(entry));
        }
    }
    akvi_fused_offsets_free(&seen);
    return akvi_call_end(st, "fused");
}

bool akvi_fused_give(void *out, const void *from, size_t size)
{
    size_t room;

    memcpy(&room, out, sizeof room);
    if (room < 2 * sizeof room)
        return false;
    memset(out, 0, room);
    memcpy(out, from, room < size ? room : size);
    memcpy(out, &room, sizeof room);
    return true;
}

void akvi_fused_info(const akv_fused *f, akv_fused_info *info_out)
{
    akv_fused_info info = AKV_FUSED_INFO_INIT;

    info.path         = f->path;
    info.version      = FUSED_VERSION;
    info.num_keys     = f->header.num_keys;
    info.num_objects  = f->header.num_objects;
    info.index_offset = f->header.index_offset;
    info.data_offset  = FUSED_HEADER;
    info.file_size_kb = (double)f->size / 1024;
    snprintf(info.file_crc32, sizeof info.file_crc32, "0x%08x", f->header.crc);
    info.flags      = f->header.flags;
    info.file_size  = f->size;
    info.index_size = f->index_size;
    if (f->header.index_offset <= f->size)
        info.trailing_bytes = f->size - f->header.index_offset - f->index_size;
    info.keys   = f->keys;
    info.memory = sizeof *f + f->table.memory_size + f->places_n * sizeof *f->places +
                  (f->mapped || f->borrowed ? 0 : f->size);
    info.section = f->section_state;
    if (f->section_state == AKV_FUSED_SECTION_USED)
        info.section_bytes = f->section.length;
    info.ordered = f->ordered;
    info.mapped  = f->mapped;
    akvi_fused_addresses_info(f->addresses, &info);
    *info_out = info;
}

akv_status akv_fused_info_get(const akv_fused *fused, akv_fused_info *info_out)
{
    akv_fused_info info;

    akvi_call_begin();
    if (!fused || !info_out)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reader or akv_fused_info is NULL"), "fused");
    akvi_fused_info(fused, &info);
    if (!akvi_fused_give(info_out, &info, sizeof info))
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "the size of akv_fused_info is not set"),
                             "fused");
    return AKV_OK;
}
