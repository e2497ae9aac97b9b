/* SPDX-License-Identifier: MIT
 *
 * cache.h: the block cache: blocks of tables in memory, within a byte budget.
 *
 * Sharded, CLOCK replacement. A block is found by its file's number and its
 * offset, and is held by references: while there is one it stays, also when it
 * has left the cache. Index and filter blocks lie in it as data blocks do. Any
 * thread.
 */
#ifndef AKVI_LSM_CACHE_H
#define AKVI_LSM_CACHE_H

#include "common/base/fail.h"

#include <stdatomic.h>

typedef struct lsm_cache lsm_cache;

/* A block as readers want it: uncompressed and checked. */
typedef struct lsm_block {
    const uint8_t   *data;
    size_t           len;
    _Atomic uint32_t refs;
    /* Called when the last reference goes. NULL: the block is the cache's, with
     * its own fields around this. Else it is its owner's, as a table's mapping
     * is, and never put into a cache. */
    void (*release)(struct lsm_block *block);
} lsm_block;

/* used: of the capacity. pinned: by references, whether in the cache or not. */
typedef struct lsm_cache_stats {
    uint64_t capacity, used, pinned, blocks;
    uint64_t hits, misses, inserts, evictions;
} lsm_cache_stats;

/* `capacity` in bytes, of blocks with all that is kept beside them; 0: keeps
 * nothing, blocks live by their references alone. */
AKVI_MUST_USE akv_status akvi_lsm_cache_new(const akv_allocator *allocator, uint64_t capacity,
                                            lsm_cache **cache_out);
void akvi_lsm_cache_free(lsm_cache *cache); /* no references are out; takes NULL */

/* A reference to the block, or NULL. */
lsm_block *akvi_lsm_cache_find(lsm_cache *cache, uint64_t file, uint64_t offset);
/* A new block of `len` bytes to be filled through *bytes_out, referenced. NULL: AKV_NOMEM. */
AKVI_MUST_USE lsm_block *akvi_lsm_block_new(lsm_cache *cache, size_t len, uint8_t **bytes_out);
/* Put a filled block in. Should another be there already, that one is answered,
 * referenced, and `block` is given back. When so much is pinned that there is no
 * room, it stays out, and lives by its references. */
lsm_block *akvi_lsm_cache_insert(lsm_cache *cache, lsm_block *block, uint64_t file,
                                 uint64_t offset);
void       akvi_lsm_block_ref(lsm_block *block);
void       akvi_lsm_block_unref(lsm_block *block); /* takes NULL */
/* Drop all blocks of a file that was removed. May be slow. */
void akvi_lsm_cache_drop_file(lsm_cache *cache, uint64_t file);
/* Looks at every block. */
void akvi_lsm_cache_stats_get(lsm_cache *cache, lsm_cache_stats *stats_out);

#endif
