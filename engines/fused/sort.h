/* SPDX-License-Identifier: MIT
 *
 * sort.h: index entries brought into key order.
 */
#ifndef AKVI_FUSED_SORT_H
#define AKVI_FUSED_SORT_H

#include "common/base/fail.h"

/* What is sorted: an entry (see format.h), and room for the sort's own use. */
typedef struct fused_item {
    uint64_t       chunk;
    const uint8_t *entry;
} fused_item;

/* Sort by key; equal keys keep their order. `scratch` has room for n too. */
void akvi_fused_sort(fused_item *items, fused_item *scratch, size_t n);
/* Of each run of equal keys, just sorted, keep the last; returns how many are left. */
size_t akvi_fused_keep_last(fused_item *items, size_t n);

#endif
