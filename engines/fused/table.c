/* SPDX-License-Identifier: MIT
 *
 * table.c: making the table of table.h.
 */
#include "engines/fused/table.h"

#include "common/base/mem.h"

static unsigned table_bits(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

fused_table_shape akvi_fused_table_shape(uint64_t index_size, uint64_t objects_end)
{
    fused_table_shape s          = {.slot_size = 7, .object_bits = table_bits(objects_end)};
    unsigned          place_bits = table_bits(index_size);

    if (place_bits + s.object_bits > 7 * 8 - 1)
        s.slot_size = 8;
    if (place_bits + s.object_bits > 8 * 8 - 1)
        s.object_drop = place_bits + s.object_bits - (8 * 8 - 1);
    s.object_bits -= s.object_drop;
    return s;
}

/* A little over eleven and a half bytes a key, which leaves room for the sampled
 * entries within twelve. */
uint64_t akvi_fused_table_groups(uint64_t keys)
{
    return keys * 2 / 11 + 1;
}

akv_status akvi_fused_table_new(const akv_allocator *allocator, uint64_t keys,
                                fused_table_shape shape, uint64_t seed, fused_table *table_out)
{
    fused_table t = {.groups_n = akvi_fused_table_groups(keys), .seed = seed, .reach = 1};
    /* Some to begin at a cache line; one to end the reading of slots in. */
    uint64_t bytes = (t.groups_n + 2) * TABLE_GROUP;

    if (bytes > SIZE_MAX / 2)
        return AKV_FAIL(AKV_NOMEM, "a table for %llu keys does not fit this machine's memory",
                        (unsigned long long)keys);
    t.shape       = shape;
    t.memory_size = (size_t)bytes;
    t.memory      = akvi_zalloc(allocator, t.memory_size);
    if (!t.memory)
        return AKV_NOMEM;
    t.groups   = t.memory + (TABLE_GROUP - (uintptr_t)t.memory % TABLE_GROUP) % TABLE_GROUP;
    *table_out = t;
    return AKV_OK;
}

void akvi_fused_table_free(const akv_allocator *allocator, fused_table *table)
{
    akvi_free(allocator, table->memory, table->memory_size);
    *table = (fused_table){.memory = NULL};
}

/* The free slot of a group, or as many as there are. */
static unsigned table_free_slot(const fused_table_shape *s, const uint8_t *group)
{
    uint64_t empty = fused_table_zeroes(akvi_get_le64(group));
    unsigned slot  = empty ? (unsigned)__builtin_ctzll(empty) / 8 : TABLE_SLOTS_MOST;

    return slot < fused_table_slots(s) ? slot : fused_table_slots(s);
}

bool akvi_fused_table_put(fused_table *table, const fused_window *window, uint64_t group,
                          uint64_t hash, uint64_t place, uint64_t object)
{
    const fused_table_shape *s     = &table->shape;
    uint64_t                 value = fused_table_value(s, place, object), reach;
    uint64_t                 home  = fused_table_group(table, hash);
    uint8_t                 *at    = window->groups + (group - window->first) * TABLE_GROUP;
    unsigned                 slot  = fused_table_slots(s);

    for (; group < window->end; group++, at += TABLE_GROUP) {
        slot = table_free_slot(s, at);
        if (slot < fused_table_slots(s))
            break;
        at[TABLE_GROUP - s->slot_size] |= 0x80;
    }
    if (group == window->end)
        return false;
    reach = (group < home ? group + table->groups_n : group) - home + 1;
    if (reach > table->reach)
        table->reach = (uint32_t)reach;
    at[slot] = (uint8_t)fused_table_tag(hash);
    for (unsigned i = 0; i < s->slot_size; i++)
        at[TABLE_TAGS + (slot + 1) * s->slot_size - 1 - i] = (uint8_t)(value >> 8 * i);
    return true;
}

void akvi_fused_table_add(fused_table *table, uint64_t hash, uint64_t place, uint64_t object)
{
    fused_window whole = {table->memory + (table->groups - table->memory), 0, table->groups_n};
    uint64_t     home  = fused_table_group(table, hash);

    if (!akvi_fused_table_put(table, &whole, home, hash, place, object))
        (void)akvi_fused_table_put(table, &whole, 0, hash, place, object);
}
