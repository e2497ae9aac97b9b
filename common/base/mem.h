/* SPDX-License-Identifier: MIT
 *
 * mem.h: memory through the caller's allocator, and the budget over it.
 *
 * A NULL allocator is malloc. A budget is itself an allocator that wraps
 * another and answers NULL rather than let the sum pass its bound, so code
 * that allocates never knows whether there is one.
 */
#ifndef AKVI_BASE_MEM_H
#define AKVI_BASE_MEM_H

#include "common/base/fail.h"

#include <stdatomic.h>

extern const akv_allocator akvi_malloc;

static inline const akv_allocator *akvi_allocator(const akv_allocator *a)
{
    return a ? a : &akvi_malloc;
}

/* NULL with AKV_NOMEM recorded when there is no memory. Size 0 gives a block. */
AKVI_MUST_USE void *akvi_alloc(const akv_allocator *a, size_t size);
AKVI_MUST_USE void *akvi_zalloc(const akv_allocator *a, size_t size);
AKVI_MUST_USE void *akvi_resize(const akv_allocator *a, void *block, size_t old_size,
                                size_t new_size);
/* n elements, the product checked. */
AKVI_MUST_USE void *akvi_alloc_n(const akv_allocator *a, size_t n, size_t each);
AKVI_MUST_USE char *akvi_strdup(const akv_allocator *a, const char *text);
void                akvi_free(const akv_allocator *a, void *block, size_t size);
void                akvi_strfree(const akv_allocator *a, char *text);
/* Overwrite with zeroes that no optimiser drops: for keys. */
void akvi_wipe(void *block, size_t size);

typedef struct akvi_budget {
    akv_allocator        allocator; /* hand this out */
    const akv_allocator *base;
    uint64_t             limit; /* 0: none */
    _Atomic uint64_t     used, peak;
} akvi_budget;

void akvi_budget_init(akvi_budget *budget, const akv_allocator *base, uint64_t limit);

#endif
