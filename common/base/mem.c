/* SPDX-License-Identifier: MIT
 *
 * mem.c: see mem.h.
 */
#include "common/base/mem.h"

#include "common/base/bytes.h"

#include <stdlib.h>
#include <string.h>

static void *mem_malloc(void *user, size_t size)
{
    (void)user;
    return malloc(size);
}

static void *mem_realloc(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    return realloc(block, new_size);
}

static void mem_free(void *user, void *block, size_t size)
{
    (void)user;
    (void)size;
    free(block);
}

const akv_allocator akvi_malloc = {mem_malloc, mem_realloc, mem_free, NULL};

void *akvi_alloc(const akv_allocator *a, size_t size)
{
    void *block;

    a     = akvi_allocator(a);
    block = a->alloc(a->user, size ? size : 1);
    if (!block)
        AKV_FAIL_NOMEM(size);
    return block;
}

void *akvi_zalloc(const akv_allocator *a, size_t size)
{
    void *block = akvi_alloc(a, size);

    if (block)
        memset(block, 0, size);
    return block;
}

void *akvi_resize(const akv_allocator *a, void *block, size_t old_size, size_t new_size)
{
    void *grown;

    if (!block)
        return akvi_alloc(a, new_size);
    a     = akvi_allocator(a);
    grown = a->resize(a->user, block, old_size ? old_size : 1, new_size ? new_size : 1);
    if (!grown)
        AKV_FAIL_NOMEM(new_size);
    return grown;
}

void *akvi_alloc_n(const akv_allocator *a, size_t n, size_t each)
{
    size_t size;

    if (!akvi_mul_size(n, each, &size)) {
        AKV_FAIL(AKV_NOMEM, "%zu elements of %zu bytes are more than memory can hold", n, each);
        return NULL;
    }
    return akvi_alloc(a, size);
}

char *akvi_strdup(const akv_allocator *a, const char *text)
{
    size_t size = strlen(text) + 1;
    char  *copy = akvi_alloc(a, size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void akvi_free(const akv_allocator *a, void *block, size_t size)
{
    if (!block)
        return;
    a = akvi_allocator(a);
    a->release(a->user, block, size ? size : 1);
}

void akvi_strfree(const akv_allocator *a, char *text)
{
    if (text)
        akvi_free(a, text, strlen(text) + 1);
}

void akvi_wipe(void *block, size_t size)
{
    volatile unsigned char *p = block;

    while (size-- > 0)
        *p++ = 0;
}

/* ------------------------------------------------------------------ budget */

static bool budget_take(akvi_budget *b, uint64_t size)
{
    uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    uint64_t peak;

    do {
        if (b->limit != 0 && (size > b->limit || used > b->limit - size))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
    while (used + size > peak &&
           !atomic_compare_exchange_weak_explicit(&b->peak, &peak, used + size,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    return true;
}

static void budget_give(akvi_budget *b, uint64_t size)
{
    atomic_fetch_sub_explicit(&b->used, size, memory_order_relaxed);
}

static void *budget_alloc(void *user, size_t size)
{
    akvi_budget *b = user;
    void        *block;

    if (!budget_take(b, size))
        return NULL;
    block = b->base->alloc(b->base->user, size);
    if (!block)
        budget_give(b, size);
    return block;
}

static void *budget_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    akvi_budget *b = user;
    void        *grown;

    if (new_size > old_size && !budget_take(b, new_size - old_size))
        return NULL;
    grown = b->base->resize(b->base->user, block, old_size, new_size);
    if (!grown && new_size > old_size)
        budget_give(b, new_size - old_size);
    if (grown && new_size < old_size)
        budget_give(b, old_size - new_size);
    return grown;
}

static void budget_release(void *user, void *block, size_t size)
{
    akvi_budget *b = user;

    if (!block)
        return;
    b->base->release(b->base->user, block, size);
    budget_give(b, size);
}

void akvi_budget_init(akvi_budget *budget, const akv_allocator *base, uint64_t limit)
{
    budget->allocator = (akv_allocator){budget_alloc, budget_resize, budget_release, budget};
    budget->base      = akvi_allocator(base);
    budget->limit     = limit;
    atomic_init(&budget->used, 0);
    atomic_init(&budget->peak, 0);
}
