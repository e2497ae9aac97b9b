/* SPDX-License-Identifier: MIT
 *
 * records.h: what a hash table is filled from, sorted into the table's windows,
 * in a file without a name. Each window's records come back in the order in
 * which they were put.
 */
#ifndef AKVI_FUSED_RECORDS_H
#define AKVI_FUSED_RECORDS_H

#include "common/base/fail.h"

#include <anykv/env.h>

/* A key: its hash, its entry's place in the index and its object's offset. */
typedef struct fused_record {
    uint64_t hash, place, object;
} fused_record;

/* The blocks of one window: the number of the next one, then records. */
typedef struct fused_chain {
    uint64_t first, current; /* block numbers */
    uint64_t n;              /* records */
} fused_chain;

typedef struct fused_records {
    const akv_allocator *allocator;
    akv_file            *file;
    fused_chain         *chains;
    uint32_t             chains_n;
    uint64_t             blocks;     /* given out */
    size_t               block_size; /* in bytes */
    uint64_t             block_n;    /* records in a block */
    uint8_t             *memory;     /* a block of each chain */
    size_t               memory_size;
    /* while a chain is read */
    const fused_chain *reading;
    uint64_t           at; /* record in it */
} fused_records;

/* Chains are for `n` windows; the file is a temporary of `path`. */
AKVI_MUST_USE akv_status akvi_fused_records_begin(fused_records *r, const akv_allocator *allocator,
                                                  akv_env *env, const char *path, uint32_t n,
                                                  uint64_t memory);
AKVI_MUST_USE akv_status akvi_fused_records_put(fused_records *r, uint32_t chain,
                                                const fused_record *record);
/* No more are put; read_begin and next follow. */
AKVI_MUST_USE akv_status akvi_fused_records_flush(fused_records *r);
void                     akvi_fused_records_read(fused_records *r, uint32_t chain);
/* AKV_END after the last. */
AKVI_MUST_USE akv_status akvi_fused_records_next(fused_records *r, fused_record *record_out);
/* The hash of the record `ahead` of the last one, if that is known. */
bool akvi_fused_records_ahead(const fused_records *r, uint64_t ahead, uint64_t *hash_out);
void akvi_fused_records_end(fused_records *r);

#endif
