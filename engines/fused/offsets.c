/* SPDX-License-Identifier: MIT
 *
 * offsets.c: see offsets.h. Linear probing, at most half full. Where the slots
 * lie in memory is part of the hash, so that no file can be made to crowd them.
 */
#include "engines/fused/offsets.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/map/hash.h"

#define OFFSETS_LEAST 256u

static uint64_t *offsets_slot(uint64_t *slots, size_t cap, uint64_t stored)
{
    uint64_t mixed = akvi_hash_fold(stored ^ (uintptr_t)slots, UINT64_C(0x9e3779b97f4a7c15));
    size_t   at    = (size_t)mixed & (cap - 1);

    while (slots[at] != 0 && slots[at] != stored)
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

static akv_status offsets_grow(fused_offsets *set)
{
    size_t    cap = set->cap ? set->cap * 2 : OFFSETS_LEAST, size;
    uint64_t *slots;

    if (!akvi_mul_size(cap, sizeof *slots, &size))
        return AKV_FAIL_NOMEM(SIZE_MAX);
    slots = akvi_zalloc(set->allocator, size);
    if (!slots)
        return AKV_NOMEM;
    for (size_t i = 0; i < set->cap; i++) {
        if (set->slots[i] != 0)
            *offsets_slot(slots, cap, set->slots[i]) = set->slots[i];
    }
    akvi_free(set->allocator, set->slots, set->cap * sizeof *set->slots);
    set->slots = slots;
    set->cap   = cap;
    return AKV_OK;
}

void akvi_fused_offsets_init(fused_offsets *set, const akv_allocator *allocator)
{
    *set = (fused_offsets){allocator, NULL, 0, 0};
}

akv_status akvi_fused_offsets_add(fused_offsets *set, uint64_t offset, bool *fresh_out)
{
    uint64_t *slot;

    if (set->n >= set->cap / 2 && offsets_grow(set) != AKV_OK)
        return AKV_NOMEM;
    slot       = offsets_slot(set->slots, set->cap, offset + 1);
    *fresh_out = *slot == 0;
    if (*fresh_out) {
        *slot = offset + 1;
        set->n++;
    }
    return AKV_OK;
}

void akvi_fused_offsets_free(fused_offsets *set)
{
    akvi_free(set->allocator, set->slots, set->cap * sizeof *set->slots);
    akvi_fused_offsets_init(set, set->allocator);
}
