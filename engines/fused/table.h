/* SPDX-License-Identifier: MIT
 *
 * table.h: from a key's hash to its entry in the index and its object.
 *
 * A flat open-addressing table. A group of slots is one cache line: a byte of
 * the hash for each slot (0: empty), then the slots, in each where the key's
 * entry is in the index and where its object is in the file. One trip to memory
 * so tells both, and entry and object are fetched side by side; an absent key
 * costs that one trip. A group that is full passes keys on to the next and says
 * so, as most full groups have not.
 *
 *   seven bytes a slot, eight slots   when both numbers fit 55 bits: files of
 *                                     some 300 MB
 *   eight bytes a slot, seven slots   63 bits, else; what does not fit of the
 *                                     object's offset is left out at its end
 *
 * The bytes are those of a file's hash section (format.h), big-endian, whether
 * they lie in the file or were made in memory while the store was opened. They
 * are only read then, and nothing in them is trusted: a place is checked
 * before it is followed, the object's is a guess until the entry confirms it.
 */
#ifndef AKVI_FUSED_TABLE_H
#define AKVI_FUSED_TABLE_H

#include "common/base/bytes.h"
#include "common/base/fail.h"

#define TABLE_GROUP      64u /* bytes of a group */
#define TABLE_TAGS       8u  /* of those, the bytes of hashes */
#define TABLE_SLOTS_MOST 8u

/* How the numbers of one file are laid out in a slot. */
typedef struct fused_table_shape {
    unsigned slot_size;   /* 7 or 8 bytes */
    unsigned object_bits; /* below the entry's place */
    unsigned object_drop; /* bits of the offset that are left out */
} fused_table_shape;

typedef struct fused_table {
    const uint8_t    *groups;
    uint64_t          groups_n; /* below 2^32 */
    uint64_t          seed;
    uint32_t          reach; /* groups to look into at most */
    fused_table_shape shape;
    uint8_t          *memory; /* NULL when the bytes are the file's */
    size_t            memory_size;
} fused_table;

/* A part of a table in the making: groups [first, end). */
typedef struct fused_window {
    uint8_t *groups;
    uint64_t first, end;
} fused_window;

/* A look-up on its way: the slots left to try in this group. */
typedef struct fused_probe {
    const uint8_t *group;
    uint64_t       matches; /* top bit of each byte: a slot that may be it */
    uint64_t       tag;     /* in every byte */
    uint32_t       left;    /* groups to look into after this one */
} fused_probe;

#define TABLE_ONES UINT64_C(0x0101010101010101)
#define TABLE_TOPS UINT64_C(0x8080808080808080)

/* For an index of so many bytes, and objects that begin below `objects_end`. */
fused_table_shape akvi_fused_table_shape(uint64_t index_size, uint64_t objects_end);
/* How many groups a table for so many keys has. */
uint64_t akvi_fused_table_groups(uint64_t keys);
/* A table in memory. */
AKVI_MUST_USE akv_status akvi_fused_table_new(const akv_allocator *allocator, uint64_t keys,
                                              fused_table_shape shape, uint64_t seed,
                                              fused_table *table_out);
void                     akvi_fused_table_free(const akv_allocator *allocator, fused_table *table);
/* The key must not be in it, and there must be room. */
void akvi_fused_table_add(fused_table *table, uint64_t hash, uint64_t place, uint64_t object);
/* Put a key into the first slot that is free from a group of the window on;
 * false when there is none, and it is passed on by the window's last. Of the
 * table this uses and changes no more than groups_n, shape and reach. */
bool akvi_fused_table_put(fused_table *table, const fused_window *window, uint64_t group,
                          uint64_t hash, uint64_t place, uint64_t object);

static inline unsigned fused_table_slots(const fused_table_shape *s)
{
    return (TABLE_GROUP - TABLE_TAGS) / s->slot_size;
}

static inline uint64_t fused_table_group(const fused_table *t, uint64_t hash)
{
    return (hash >> 32) * t->groups_n >> 32;
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
    __builtin_prefetch(t->groups + fused_table_group(t, hash) * TABLE_GROUP);
}

static inline void fused_probe_load(fused_probe *p)
{
    p->matches = fused_table_zeroes(akvi_get_le64(p->group) ^ p->tag);
}

static inline void fused_probe_begin(const fused_table *t, uint64_t hash, fused_probe *p)
{
    p->group = t->groups + fused_table_group(t, hash) * TABLE_GROUP;
    p->tag   = fused_table_tag(hash) * TABLE_ONES;
    p->left  = t->reach - 1;
    fused_probe_load(p);
}

/* The top bit of a group's last slot: keys were passed on. */
static inline bool fused_table_passed(const fused_table_shape *s, const uint8_t *group)
{
    return group[TABLE_GROUP - s->slot_size] >> 7;
}

/* What a slot holds. Of a tag that has no slot, as a damaged section can have,
 * it is bytes of the next group or of what follows the last. */
static inline uint64_t fused_table_slot(const fused_table_shape *s, const uint8_t *group,
                                        unsigned slot)
{
    uint64_t v = akvi_get_be64(group + (slot + 1) * s->slot_size);

    return v & (UINT64_MAX >> 1 >> 8 * (8 - s->slot_size));
}

/* What the next slot that may be the key's holds; false when there is none. */
static inline bool fused_probe_next(const fused_table *t, fused_probe *p, uint64_t *value_out)
{
    while (p->matches == 0) {
        if (!fused_table_passed(&t->shape, p->group) || p->left-- == 0)
            return false;
        p->group += TABLE_GROUP;
        if (p->group == t->groups + t->groups_n * TABLE_GROUP)
            p->group = t->groups;
        fused_probe_load(p);
    }
    *value_out = fused_table_slot(&t->shape, p->group, (unsigned)__builtin_ctzll(p->matches) / 8);
    p->matches &= p->matches - 1;
    return true;
}

static inline uint64_t fused_table_value(const fused_table_shape *s, uint64_t place,
                                         uint64_t object)
{
    uint64_t kept = object >> s->object_drop & ((UINT64_C(1) << s->object_bits) - 1);

    return place << s->object_bits | kept;
}

static inline uint64_t fused_table_place(const fused_table_shape *s, uint64_t value)
{
    return value >> s->object_bits;
}

/* The object's offset, or where shortly before it, if it was below objects_end. */
static inline uint64_t fused_table_object(const fused_table_shape *s, uint64_t value)
{
    return (value & ((UINT64_C(1) << s->object_bits) - 1)) << s->object_drop;
}

#endif
