/* SPDX-License-Identifier: MIT
 *
 * arena.h: memory given out piece by piece and freed all at once.
 *
 * Blocks grow from 4 KiB to 1 MiB; a piece over a quarter block has its own.
 * One thread at a time.
 */
#ifndef AKVI_BASE_ARENA_H
#define AKVI_BASE_ARENA_H

#include "common/base/fail.h"

typedef struct akvi_arena_block akvi_arena_block;

typedef struct akvi_arena {
    const akv_allocator *allocator;
    akvi_arena_block    *blocks; /* newest first */
    uint8_t             *at, *end;
    size_t               next_size;
    size_t               bytes; /* all memory held */
} akvi_arena;

void akvi_arena_init(akvi_arena *arena, const akv_allocator *allocator);
/* Aligned to 8. NULL with AKV_NOMEM recorded. */
AKVI_MUST_USE void *akvi_arena_alloc(akvi_arena *arena, size_t size);
/* Not aligned. */
AKVI_MUST_USE void *akvi_arena_copy(akvi_arena *arena, const void *data, size_t len);
/* Free all pieces, keeping the newest block for use again. */
void akvi_arena_reset(akvi_arena *arena);
void akvi_arena_free(akvi_arena *arena);

#endif
