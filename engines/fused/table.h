/* SPDX-License-Identifier: MIT
 *
 * table.h: from a key's hash to its entry in the index and its object.
 *
 * A flat open-addressing table in groups of eight slots. A slot is one byte of
 * the hash (0: empty) and, in an array apart, eight bytes of where to look; the
 * eight slots of a group fill one cache line. The hash bytes of a million keys
 * fit a processor's cache, so a key that is absent seldom costs a trip to
 * memory, and for one that is there the entry and the object are asked for at
 * the same time. A group that is full passes on to the next.
 *
 *   near  entry's place in the index << 32 | object's offset in the file
 *   far   entry's place in the index; for contents of 4 GiB and more
 *
 * The bytes are those of a file's hash section (format.h), big-endian, whether
 * they lie in the file or were made in memory while the store was opened. They
 * are only read then, and nothing in them is trusted: a place is checked
 * before it is followed, the object's is a hint of what to load.
 */
#ifndef AKVI_FUSED_TABLE_H
#define AKVI_FUSED_TABLE_H

#include "common/base/bytes.h"
#include "common/base/fail.h"

#define TABLE_GROUP       8u
#define TABLE_TAG_BYTES   8u  /* a group */
#define TABLE_SLOT_BYTES  64u /* a group */
#define TABLE_GROUP_BYTES (TABLE_TAG_BYTES + TABLE_SLOT_BYTES)

typedef struct fused_table {
    const uint8_t *tags;
    const uint8_t *slots;
    uint64_t       groups; /* below 2^32 */
    uint64_t       seed;
    uint32_t       reach; /* groups to look into at most */
    bool           far;
    uint8_t       *memory; /* NULL when the bytes are the file's */
    size_t         memory_size;
} fused_table;

/* A look-up on its way: the slots left to try in this group. */
typedef struct fused_probe {
    uint64_t group;
    uint64_t tags;    /* of the group */
    uint64_t matches; /* top bit of each byte: a slot that may be it */
    uint64_t tag;     /* in every byte */
    uint32_t left;    /* groups to look into after this one */
} fused_probe;

#define TABLE_ONES UINT64_C(0x0101010101010101)
#define TABLE_TOPS UINT64_C(0x8080808080808080)

/* How many groups a table for so many keys has. */
uint64_t akvi_fused_table_groups(uint64_t keys);
/* A table in memory. */
AKVI_MUST_USE akv_status akvi_fused_table_new(const akv_allocator *allocator, uint64_t keys,
                                              bool far, uint64_t seed, fused_table *table_out);
void                     akvi_fused_table_free(const akv_allocator *allocator, fused_table *table);
/* The key must not be in it, and there must be room. */
void akvi_fused_table_add(fused_table *table, uint64_t hash, uint64_t place, uint64_t object);

static inline uint64_t fused_table_group(const fused_table *t, uint64_t hash)
{
    return (hash >> 32) * t->groups >> 32;
}

static inline uint64_t fused_table_tag(uint64_t hash)
{
    uint64_t tag = hash & 0xff;

    return tag ? tag : 1;
}

/* The top bit of each zero byte, and perhaps of bytes above one: exact for
 * "any" and for the lowest. */
static inline uint64_t fused_table_zeroes(uint64_t v)
{
    return (v - TABLE_ONES) & ~v & TABLE_TOPS;
}

/* Ask for the memory that a look-up will read. */
static inline void fused_table_prefetch(const fused_table *t, uint64_t hash)
{
    uint64_t group = fused_table_group(t, hash);

    __builtin_prefetch(t->tags + group * TABLE_TAG_BYTES);
    __builtin_prefetch(t->slots + group * TABLE_SLOT_BYTES);
}

static inline void fused_probe_load(const fused_table *t, fused_probe *p)
{
    p->tags    = akvi_get_le64(t->tags + p->group * TABLE_TAG_BYTES);
    p->matches = fused_table_zeroes(p->tags ^ p->tag);
}

static inline void fused_probe_begin(const fused_table *t, uint64_t hash, fused_probe *p)
{
    p->group = fused_table_group(t, hash);
    p->tag   = fused_table_tag(hash) * TABLE_ONES;
    p->left  = t->reach - 1;
    fused_probe_load(t, p);
}

/* The next slot that may hold the key; false when there is none. */
static inline bool fused_probe_next(const fused_table *t, fused_probe *p, uint64_t *slot_out)
{
    while (p->matches == 0) {
        if (fused_table_zeroes(p->tags) != 0 || p->left-- == 0)
            return false;
        if (++p->group == t->groups)
            p->group = 0;
        fused_probe_load(t, p);
    }
    *slot_out = p->group * TABLE_GROUP + (uint64_t)__builtin_ctzll(p->matches) / 8;
    p->matches &= p->matches - 1;
    return true;
}

static inline uint64_t fused_table_slot(const fused_table *t, uint64_t slot)
{
    return akvi_get_be64(t->slots + slot * 8);
}

static inline uint64_t fused_table_value(const fused_table *t, uint64_t place, uint64_t object)
{
    return t->far ? place : place << 32 | (object & UINT32_MAX);
}

static inline uint64_t fused_table_place(const fused_table *t, uint64_t value)
{
    return t->far ? value : value >> 32;
}

/* The object's offset if the table knows it, else 0. */
static inline uint64_t fused_table_object(const fused_table *t, uint64_t value)
{
    return t->far ? 0 : value & UINT32_MAX;
}

#endif
