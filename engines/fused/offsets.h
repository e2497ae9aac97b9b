/* SPDX-License-Identifier: MIT
 *
 * offsets.h: a set of file offsets, for telling objects apart. One thread.
 */
#ifndef AKVI_FUSED_OFFSETS_H
#define AKVI_FUSED_OFFSETS_H

#include "common/base/fail.h"

typedef struct fused_offsets {
    const akv_allocator *allocator;
    uint64_t            *slots; /* an offset plus one; 0: empty */
    size_t               cap;   /* a power of two, or 0 */
    size_t               n;
} fused_offsets;

void akvi_fused_offsets_init(fused_offsets *set, const akv_allocator *allocator);
/* Add an offset below 2^64 - 1; *fresh_out says whether it is new. */
AKVI_MUST_USE akv_status akvi_fused_offsets_add(fused_offsets *set, uint64_t offset,
                                                bool *fresh_out);
void                     akvi_fused_offsets_free(fused_offsets *set);

#endif
