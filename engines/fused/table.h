/* SPDX-License-Identifier: MIT
 *
 * table.h: from a key's hash to its place in the index, in memory.
 *
 * A flat open-addressing table in groups of eight slots. A slot is one byte of
 * the hash (0: empty) and, in an array apart, the place of the entry in the
 * index. The bytes of a million keys fit a processor's cache, so a key that is
 * absent seldom costs a trip to memory, and one that is there costs few beyond
 * the entry and its object. Places take four bytes each when the index is below
 * 4 GiB. A group that is full passes on to the next.
 *
 * Written while the store is opened, then only read.
 */
#ifndef AKVI_FUSED_TABLE_H
#define AKVI_FUSED_TABLE_H

#include "common/base/bytes.h"
#include "common/base/fail.h"

#define TABLE_GROUP 8u

typedef struct fused_table {
    uint8_t  *tags;   /* TABLE_GROUP a group */
    uint32_t *narrow; /* places; one of the two is NULL */
    uint64_t *wide;
    uint64_t  groups;
    uint64_t  seed;
} fused_table;

/* A look-up on its way: the slots left to try in this group. */
typedef struct fused_probe {
    uint64_t group;
    uint64_t tags;    /* of the group */
    uint64_t matches; /* top bit of each byte: a slot that may be it */
    uint64_t tag;     /* in every byte */
} fused_probe;

#define TABLE_ONES UINT64_C(0x0101010101010101)
#define TABLE_TOPS UINT64_C(0x8080808080808080)

AKVI_MUST_USE akv_status akvi_fused_table_new(const akv_allocator *allocator, uint64_t keys,
                                              uint64_t index_size, uint64_t seed,
                                              fused_table *table_out);
void                     akvi_fused_table_free(const akv_allocator *allocator, fused_table *table);
size_t                   akvi_fused_table_bytes(const fused_table *table);
/* The key must not be in it, and there must be room. */
void akvi_fused_table_add(fused_table *table, uint64_t hash, uint64_t place);

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
    uint64_t slot = fused_table_group(t, hash) * TABLE_GROUP;

    __builtin_prefetch(t->tags + slot);
    if (t->narrow)
        __builtin_prefetch(t->narrow + slot);
    else
        __builtin_prefetch(t->wide + slot);
}

static inline void fused_probe_load(const fused_table *t, fused_probe *p)
{
    p->tags    = akvi_get_le64(t->tags + p->group * TABLE_GROUP);
    p->matches = fused_table_zeroes(p->tags ^ p->tag);
}

static inline void fused_probe_begin(const fused_table *t, uint64_t hash, fused_probe *p)
{
    p->group = fused_table_group(t, hash);
    p->tag   = fused_table_tag(hash) * TABLE_ONES;
    fused_probe_load(t, p);
}

/* The next slot that may hold the key; false when there is none. */
static inline bool fused_probe_next(const fused_table *t, fused_probe *p, uint64_t *slot_out)
{
    while (p->matches == 0) {
        if (fused_table_zeroes(p->tags) != 0)
            return false;
        if (++p->group == t->groups)
            p->group = 0;
        fused_probe_load(t, p);
    }
    *slot_out = p->group * TABLE_GROUP + (uint64_t)__builtin_ctzll(p->matches) / 8;
    p->matches &= p->matches - 1;
    return true;
}

static inline uint64_t fused_table_place(const fused_table *t, uint64_t slot)
{
    return t->narrow ? t->narrow[slot] : t->wide[slot];
}

#endif
