/* SPDX-License-Identifier: MIT
 *
 * arena.c: see arena.h.
 *
 * Pieces are cut from the newest block, from `at` to `end`. A big piece's own
 * block goes behind it in the list, so that its rest stays in use.
 */
#include "common/base/arena.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

#define ARENA_BLOCK_MIN 4096u
#define ARENA_BLOCK_MAX (1024u * 1024u)

struct akvi_arena_block {
    akvi_arena_block *next;
    size_t            size; /* of the whole block */
};

static uint8_t *arena_block_data(akvi_arena_block *block)
{
    return (uint8_t *)(block + 1);
}

void akvi_arena_init(akvi_arena *arena, const akv_allocator *allocator)
{
    memset(arena, 0, sizeof *arena);
    arena->allocator = allocator;
    arena->next_size = ARENA_BLOCK_MIN;
}

static akvi_arena_block *arena_block_new(akvi_arena *arena, size_t size)
{
    akvi_arena_block *block = akvi_alloc(arena->allocator, size);

    if (!block)
        return NULL;
    block->size = size;
    arena->bytes += size;
    return block;
}

static void *arena_own_block(akvi_arena *arena, size_t size)
{
    akvi_arena_block *block, **link = arena->blocks ? &arena->blocks->next : &arena->blocks;
    size_t            whole;

    if (!akvi_add_size(size, sizeof *block, &whole)) {
        AKV_FAIL_NOMEM(size);
        return NULL;
    }
    block = arena_block_new(arena, whole);
    if (!block)
        return NULL;
    block->next = *link;
    *link       = block;
    return arena_block_data(block);
}

static bool arena_grow(akvi_arena *arena)
{
    akvi_arena_block *block = arena_block_new(arena, arena->next_size);

    if (!block)
        return false;
    block->next   = arena->blocks;
    arena->blocks = block;
    arena->at     = arena_block_data(block);
    arena->end    = (uint8_t *)block + block->size;
    if (arena->next_size < ARENA_BLOCK_MAX)
        arena->next_size *= 2;
    return true;
}

/* size > 0; skip is what alignment costs at `at`. */
static void *arena_cut(akvi_arena *arena, size_t size, size_t skip)
{
    size_t left = (size_t)(arena->end - arena->at);

    if (left < skip || left - skip < size) {
        if (size > arena->next_size / 4)
            return arena_own_block(arena, size);
        if (!arena_grow(arena))
            return NULL;
        skip = 0;
    }
    arena->at += skip + size;
    return arena->at - size;
}

void *akvi_arena_alloc(akvi_arena *arena, size_t size)
{
    return arena_cut(arena, size ? size : 1, (size_t)(-(uintptr_t)arena->at & 7));
}

void *akvi_arena_copy(akvi_arena *arena, const void *data, size_t len)
{
    void *copy = arena_cut(arena, len ? len : 1, 0);

    if (copy && len > 0)
        memcpy(copy, data, len);
    return copy;
}

static void arena_free_list(akvi_arena *arena, akvi_arena_block *block)
{
    while (block) {
        akvi_arena_block *next = block->next;

        arena->bytes -= block->size;
        akvi_free(arena->allocator, block, block->size);
        block = next;
    }
}

void akvi_arena_reset(akvi_arena *arena)
{
    akvi_arena_block *keep = arena->blocks;

    if (!keep || keep->size > ARENA_BLOCK_MAX) {
        akvi_arena_free(arena);
        return;
    }
    arena_free_list(arena, keep->next);
    keep->next = NULL;
    arena->at  = arena_block_data(keep);
    arena->end = (uint8_t *)keep + keep->size;
}

void akvi_arena_free(akvi_arena *arena)
{
    arena_free_list(arena, arena->blocks);
    akvi_arena_init(arena, arena->allocator);
}
