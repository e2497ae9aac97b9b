/* SPDX-License-Identifier: MIT
 *
 * runs.h: index entries in files: sorted runs of them, read one after another
 * or merged. A run holds a key once at most; among runs, the later one counts.
 *
 * Entries that are handed out are borrowed until the next call.
 */
#ifndef AKVI_FUSED_RUNS_H
#define AKVI_FUSED_RUNS_H

#include "common/base/fail.h"
#include "engines/fused/format.h"

#include <anykv/env.h>

#define FUSED_ENTRY_MOST (FUSED_ENTRY_LEAST + 65535u)
/* The least memory that a reader of entries works with. */
#define FUSED_IN_LEAST ((size_t)72 << 10)

/* Entries one after another. */
typedef struct fused_in {
    akv_file            *file;
    const akv_allocator *allocator;
    uint64_t             at, end; /* what of the file is not yet read */
    uint8_t             *buffer;
    size_t               cap, from, len; /* unread: [from, len) of the buffer */
} fused_in;

/* `memory` is FUSED_IN_LEAST at least. */
AKVI_MUST_USE akv_status akvi_fused_in_begin(fused_in *in, const akv_allocator *allocator,
                                             akv_file *file, uint64_t at, uint64_t len,
                                             size_t memory);
/* AKV_END after the last. */
AKVI_MUST_USE akv_status akvi_fused_in_next(fused_in *in, const uint8_t **entry_out);
void                     akvi_fused_in_end(fused_in *in);

/* Bytes on their way to the end of a file, through a chunk. */
typedef struct fused_out {
    akv_file            *file;
    const akv_allocator *allocator;
    uint64_t             at; /* where the chunk goes */
    uint8_t             *chunk;
    size_t               cap, used;
} fused_out;

AKVI_MUST_USE akv_status akvi_fused_out_begin(fused_out *out, const akv_allocator *allocator,
                                              akv_file *file, uint64_t at, size_t memory);
AKVI_MUST_USE akv_status akvi_fused_out_put(fused_out *out, const void *data, size_t len);
AKVI_MUST_USE akv_status akvi_fused_out_flush(fused_out *out);
void                     akvi_fused_out_end(fused_out *out);

typedef struct fused_run {
    uint64_t at, len; /* in the file of runs */
} fused_run;

/* A run while it is merged. */
typedef struct fused_source {
    fused_in       in;
    const uint8_t *entry; /* NULL: at its end */
    uint64_t       head;  /* first bytes of the key */
} fused_source;

/* A tree of losers: each inner node has the run that lost there, node 0 the one
 * that won them all. */
typedef struct fused_merge {
    const akv_allocator *allocator;
    fused_source        *sources;
    uint32_t            *tree;
    uint32_t             n;
    bool                 begun;
    uint8_t             *last; /* the entry that was handed out last */
} fused_merge;

/* How many runs can be merged at once with so much memory; 2 at least. */
uint32_t                 akvi_fused_merge_width(uint64_t memory);
AKVI_MUST_USE akv_status akvi_fused_merge_begin(fused_merge *m, const akv_allocator *allocator,
                                                akv_file *file, const fused_run *runs, uint32_t n,
                                                uint64_t memory);
/* Keys in order, each once; AKV_END after the last. */
AKVI_MUST_USE akv_status akvi_fused_merge_next(fused_merge *m, const uint8_t **entry_out);
void                     akvi_fused_merge_end(fused_merge *m);

#endif
