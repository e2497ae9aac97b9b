/* SPDX-License-Identifier: MIT
 *
 * table.c: making the table of table.h.
 */
#include "engines/fused/table.h"

#include "common/base/mem.h"

#define TABLE_LINE 64u

/* Six and a quarter keys to a group: 11.52 bytes a key, which leaves room for
 * the sampled entries within twelve. */
uint64_t akvi_fused_table_groups(uint64_t keys)
{
    return keys * 4 / 25 + 1;
}

akv_status akvi_fused_table_new(const akv_allocator *allocator, uint64_t keys, bool far,
                                uint64_t seed, fused_table *table_out)
{
    fused_table t     = {.groups = akvi_fused_table_groups(keys), .seed = seed, .reach = 1};
    uint64_t    bytes = t.groups * TABLE_GROUP_BYTES + TABLE_LINE;

    if (bytes > SIZE_MAX / 2)
        return AKV_FAIL(AKV_NOMEM, "a table for %llu keys does not fit this machine's memory",
                        (unsigned long long)keys);
    t.far         = far;
    t.memory_size = (size_t)bytes;
    t.memory      = akvi_zalloc(allocator, t.memory_size);
    if (!t.memory)
        return AKV_NOMEM;
    t.slots    = t.memory + (TABLE_LINE - (uintptr_t)t.memory % TABLE_LINE) % TABLE_LINE;
    t.tags     = t.slots + t.groups * TABLE_SLOT_BYTES;
    *table_out = t;
    return AKV_OK;
}

void akvi_fused_table_free(const akv_allocator *allocator, fused_table *table)
{
    akvi_free(allocator, table->memory, table->memory_size);
    *table = (fused_table){.memory = NULL};
}

void akvi_fused_table_add(fused_table *table, uint64_t hash, uint64_t place, uint64_t object)
{
    uint64_t group = fused_table_group(table, hash), empty, slot;
    uint8_t *tags  = table->memory + (table->tags - table->memory);
    uint8_t *slots = table->memory + (table->slots - table->memory);
    uint32_t reach = 1;

    while ((empty = fused_table_zeroes(akvi_get_le64(tags + group * TABLE_TAG_BYTES))) == 0) {
        if (++group == table->groups)
            group = 0;
        reach++;
    }
    if (reach > table->reach)
        table->reach = reach;
    slot       = group * TABLE_GROUP + (uint64_t)__builtin_ctzll(empty) / 8;
    tags[slot] = (uint8_t)fused_table_tag(hash);
    akvi_put_be64(slots + slot * 8, fused_table_value(table, place, object));
}
