/* SPDX-License-Identifier: MIT
 *
 * table.c: making the table of table.h.
 */
#include "engines/fused/table.h"

#include "common/base/mem.h"

#define TABLE_KEYS_PER_GROUP 5u /* of 8: about one group in ten is full */

akv_status akvi_fused_table_new(const akv_allocator *allocator, uint64_t keys, uint64_t index_size,
                                uint64_t seed, fused_table *table_out)
{
    fused_table t = {NULL, NULL, NULL, keys / TABLE_KEYS_PER_GROUP + 1, seed};
    size_t      slots;

    if (!akvi_mul_size((size_t)t.groups, TABLE_GROUP, &slots) || slots > SIZE_MAX / sizeof *t.wide)
        return AKV_FAIL(AKV_NOMEM, "a table for %llu keys does not fit this machine's memory",
                        (unsigned long long)keys);
    t.tags = akvi_zalloc(allocator, slots);
    if (!t.tags)
        return AKV_NOMEM;
    if (index_size <= UINT32_MAX)
        t.narrow = akvi_zalloc(allocator, slots * sizeof *t.narrow);
    else
        t.wide = akvi_zalloc(allocator, slots * sizeof *t.wide);
    if (!t.narrow && !t.wide) {
        akvi_free(allocator, t.tags, slots);
        return AKV_NOMEM;
    }
    *table_out = t;
    return AKV_OK;
}

size_t akvi_fused_table_bytes(const fused_table *table)
{
    size_t slots = (size_t)table->groups * TABLE_GROUP;

    return slots + slots * (table->narrow ? sizeof *table->narrow : sizeof *table->wide);
}

void akvi_fused_table_free(const akv_allocator *allocator, fused_table *table)
{
    size_t slots = (size_t)table->groups * TABLE_GROUP;

    akvi_free(allocator, table->tags, slots);
    akvi_free(allocator, table->narrow, slots * sizeof *table->narrow);
    akvi_free(allocator, table->wide, slots * sizeof *table->wide);
    *table = (fused_table){NULL, NULL, NULL, 0, 0};
}

void akvi_fused_table_add(fused_table *table, uint64_t hash, uint64_t place)
{
    uint64_t group = fused_table_group(table, hash), empty, slot;

    while ((empty = fused_table_zeroes(akvi_get_le64(table->tags + group * TABLE_GROUP))) == 0) {
        if (++group == table->groups)
            group = 0;
    }
    slot              = group * TABLE_GROUP + (uint64_t)__builtin_ctzll(empty) / 8;
    table->tags[slot] = (uint8_t)fused_table_tag(hash);
    if (table->narrow)
        table->narrow[slot] = (uint32_t)place;
    else
        table->wide[slot] = place;
}
