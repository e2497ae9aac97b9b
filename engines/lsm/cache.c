/* SPDX-License-Identifier: MIT
 *
 * cache.c: see cache.h.
 *
 * A find takes no lock: it walks a bucket's chain, takes a reference to what
 * looks right, and looks again whether it is. That is safe because the blocks'
 * heads are never freed before the cache; only their bytes are. A head whose
 * last reference went waits in a pool for its next life. A find that meets one
 * on the way may end up in another chain and miss what is there, so a miss is
 * made sure of under the shard's lock.
 *
 * Invariants:
 *  1. A block that is in the cache (`is_in`) has a reference for that, and is in
 *     one bucket's chain and its shard's ring.
 *  2. file and offset only change while the block is not in; is_in is cleared
 *     before the cache's reference goes. So who has a reference and then sees
 *     is_in, sees the file and offset of the block that it has.
 *  3. `used` is the sum of what blocks in the cache cost, and of those about to
 *     be put in; it is over the capacity only while one looks for room.
 *
 * CLOCK: each shard's ring is swept when room is needed, whatever shard that is
 * for: the budget is one for all. A block goes when nobody else holds it and it
 * was not found since the hand came by, twice found lasts two turns.
 */
#include "engines/lsm/cache.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/map/hash.h"

#include <assert.h>

#define CACHE_SHARDS_MAX  64u
#define CACHE_SHARD_BYTES (1024u * 1024u) /* of capacity, at least, for each shard */
#define CACHE_BLOCK_BYTES 4096u           /* what a block is thought to have, for buckets */
#define CACHE_WALK_MAX    64u             /* without the lock: chains may lead astray */
#define CACHE_POOL_GROW   64u
#define CACHE_TURNS       2u

/* What finds touch is on one cache line. */
typedef struct cache_block {
    _Alignas(64) lsm_block base;
    _Atomic uint64_t              file, offset;
    _Atomic(struct cache_block *) chain;
    _Atomic bool                  is_in;
    _Atomic uint8_t               turns; /* of the hand that it will outlive */
    uint16_t                      home;  /* its pool */
    lsm_cache                    *cache;
    struct cache_block *next, *prev; /* the ring, guarded by the shard's mu; next: the pool */
} cache_block;

typedef struct cache_slab {
    struct cache_slab *next;
    void              *memory; /* what this lies in, for its alignment */
    cache_block        blocks[CACHE_POOL_GROW];
} cache_slab;

/* A part of the table, and a pool of heads that has nothing to do with it. */
typedef struct cache_shard {
    _Alignas(64) akvi_mutex mu;
    _Atomic(cache_block *) *buckets;                    /* changed under mu */
    cache_block            *hand;                       /* guarded by mu; NULL: the ring is empty */
    uint64_t                blocks, inserts, evictions; /* guarded by mu */
    akvi_mutex              pool_mu;
    cache_block            *pool;  /* guarded by pool_mu */
    cache_slab             *slabs; /* guarded by pool_mu */
} cache_shard;

typedef struct cache_counts {
    _Alignas(64) _Atomic uint64_t hits;
    _Atomic uint64_t misses;
} cache_counts;

struct lsm_cache {
    /* fixed once made */
    const akv_allocator *allocator;
    void                *memory; /* what this lies in, for its alignment */
    size_t               memory_size;
    uint64_t             capacity;
    uint64_t             bucket_mask;
    unsigned             shards_n;
    /* */
    _Alignas(64) _Atomic uint64_t used;
    _Atomic uint64_t held; /* of all blocks, in the cache or not */
    cache_counts     counts[AKVI_SLOTS];
    cache_shard      shards[];
};

static inline cache_block *cache_of(lsm_block *block)
{
    return (cache_block *)block;
}

/* With what the allocator keeps beside the bytes. */
static inline uint64_t cache_cost(const cache_block *b)
{
    return b->base.len + sizeof *b + 16;
}

static inline uint64_t cache_hash(uint64_t file, uint64_t offset)
{
    return akvi_hash_fold(file ^ UINT64_C(0x9e3779b97f4a7c15),
                          offset ^ UINT64_C(0xbf58476d1ce4e5b9));
}

static inline cache_shard *cache_shard_of(lsm_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> 58 & (cache->shards_n - 1)];
}

static inline _Atomic(cache_block *) *cache_bucket(const lsm_cache *cache, const cache_shard *shard,
                                                   uint64_t hash)
{
    return &shard->buckets[hash & cache->bucket_mask];
}

/* ------------------------------------------------------------ making, freeing */

static void *cache_align(void *memory)
{
    return (void *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
}

static size_t cache_buckets_bytes(const lsm_cache *cache)
{
    return (size_t)(cache->bucket_mask + 1) * sizeof(_Atomic(cache_block *));
}

void akvi_lsm_cache_free(lsm_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < cache->shards_n; i++) {
        cache_shard *shard = &cache->shards[i];

        for (cache_block *b = shard->hand; shard->blocks > 0; shard->blocks--, b = b->next)
            akvi_free(cache->allocator, (void *)(uintptr_t)b->base.data, b->base.len);
    }
    for (unsigned i = 0; i < cache->shards_n; i++) {
        cache_shard *shard = &cache->shards[i];

        while (shard->slabs) {
            cache_slab *slab = shard->slabs;

            shard->slabs = slab->next;
            akvi_free(cache->allocator, slab->memory, sizeof *slab + 63);
        }
        akvi_free(cache->allocator, shard->buckets, cache_buckets_bytes(cache));
        akvi_mutex_destroy(&shard->mu);
        akvi_mutex_destroy(&shard->pool_mu);
    }
    akvi_free(cache->allocator, cache->memory, cache->memory_size);
}

akv_status akvi_lsm_cache_new(const akv_allocator *allocator, uint64_t capacity,
                              lsm_cache **cache_out)
{
    unsigned   shards  = 1;
    uint64_t   buckets = 16;
    size_t     size;
    void      *memory;
    lsm_cache *cache;

    *cache_out = NULL;
    while (shards < CACHE_SHARDS_MAX && capacity / shards > 2u * CACHE_SHARD_BYTES)
        shards *= 2;
    while (buckets * CACHE_BLOCK_BYTES < capacity / shards)
        buckets *= 2;
    size   = sizeof *cache + shards * sizeof *cache->shards + 63;
    memory = akvi_zalloc(allocator, size);
    if (!memory)
        return AKV_NOMEM;
    cache              = cache_align(memory);
    cache->allocator   = allocator;
    cache->memory      = memory;
    cache->memory_size = size;
    cache->capacity    = capacity;
    cache->bucket_mask = buckets - 1;
    for (; cache->shards_n < shards; cache->shards_n++) {
        cache_shard *shard = &cache->shards[cache->shards_n];

        shard->buckets = akvi_zalloc(allocator, cache_buckets_bytes(cache));
        if (!shard->buckets) {
            akvi_lsm_cache_free(cache);
            return AKV_NOMEM;
        }
        akvi_mutex_init(&shard->mu, AKVI_RANK_STORE_CACHE);
        akvi_mutex_init(&shard->pool_mu, AKVI_RANK_STORE_CACHE);
    }
    atomic_init(&cache->used, shards * cache_buckets_bytes(cache));
    *cache_out = cache;
    return AKV_OK;
}

/* ------------------------------------------------------------------ references */

void akvi_lsm_block_ref(lsm_block *block)
{
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
}

/* A head's life ends. What a find may still look at stays as it is. */
static void cache_block_end(cache_block *b)
{
    lsm_cache   *cache = b->cache;
    cache_shard *home  = &cache->shards[b->home];

    atomic_fetch_sub_explicit(&cache->held, cache_cost(b), memory_order_relaxed);
    akvi_free(cache->allocator, (void *)(uintptr_t)b->base.data, b->base.len);
    akvi_mutex_lock(&home->pool_mu);
    b->next    = home->pool;
    home->pool = b;
    akvi_mutex_unlock(&home->pool_mu);
}

void akvi_lsm_block_unref(lsm_block *block)
{
    if (!block || atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (block->release)
        block->release(block);
    else
        cache_block_end(cache_of(block));
}

/* More heads for a pool, if there is memory. */
static void cache_pool_grow(lsm_cache *cache, unsigned home)
{
    cache_shard *shard  = &cache->shards[home];
    void        *memory = akvi_zalloc(cache->allocator, sizeof(cache_slab) + 63);
    cache_slab  *slab   = cache_align(memory);

    if (!memory)
        return;
    for (unsigned i = 0; i < CACHE_POOL_GROW; i++) {
        slab->blocks[i].cache = cache;
        slab->blocks[i].home  = (uint16_t)home;
        slab->blocks[i].next  = shard->pool;
        shard->pool           = &slab->blocks[i];
    }
    slab->memory = memory;
    slab->next   = shard->slabs;
    shard->slabs = slab;
}

/* A head with no life; NULL: no memory. */
static cache_block *cache_head(lsm_cache *cache, unsigned home)
{
    cache_shard *shard = &cache->shards[home];
    cache_block *b;

    akvi_mutex_lock(&shard->pool_mu);
    if (!shard->pool)
        cache_pool_grow(cache, home);
    b = shard->pool;
    if (b)
        shard->pool = b->next;
    akvi_mutex_unlock(&shard->pool_mu);
    return b;
}

lsm_block *akvi_lsm_block_new(lsm_cache *cache, size_t len, uint8_t **bytes_out)
{
    uint8_t     *bytes = akvi_alloc(cache->allocator, len);
    cache_block *b     = bytes ? cache_head(cache, akvi_slot() & (cache->shards_n - 1)) : NULL;

    *bytes_out = bytes;
    if (!b) {
        akvi_free(cache->allocator, bytes, len);
        *bytes_out = NULL;
        return NULL;
    }
    b->base.data = bytes;
    b->base.len  = len;
    atomic_store_explicit(&b->base.refs, 1, memory_order_release);
    atomic_fetch_add_explicit(&cache->held, cache_cost(b), memory_order_relaxed);
    return &b->base;
}

/* ------------------------------------------------------------------ finding */

static inline bool cache_is(const cache_block *b, uint64_t file, uint64_t offset)
{
    return atomic_load_explicit(&b->offset, memory_order_relaxed) == offset &&
           atomic_load_explicit(&b->file, memory_order_relaxed) == file;
}

/* A reference to a head that may be at any point of any life. */
static inline bool cache_take(cache_block *b)
{
    uint32_t refs = atomic_load_explicit(&b->base.refs, memory_order_relaxed);

    do {
        if (refs == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->base.refs, &refs, refs + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

static inline void cache_touch(cache_block *b)
{
    if (atomic_load_explicit(&b->turns, memory_order_relaxed) < CACHE_TURNS)
        atomic_store_explicit(&b->turns, CACHE_TURNS, memory_order_relaxed);
}

/* Without the lock. NULL: not seen, which says little. */
static inline cache_block *cache_look(const lsm_cache *cache, const cache_shard *shard,
                                      uint64_t hash, uint64_t file, uint64_t offset)
{
    cache_block *b = atomic_load_explicit(cache_bucket(cache, shard, hash), memory_order_acquire);

    for (unsigned n = 0; b && n < CACHE_WALK_MAX; n++) {
        if (cache_is(b, file, offset) && cache_take(b)) {
            if (atomic_load_explicit(&b->is_in, memory_order_acquire) && cache_is(b, file, offset))
                return b;
            akvi_lsm_block_unref(&b->base);
            return NULL;
        }
        b = atomic_load_explicit(&b->chain, memory_order_acquire);
    }
    return NULL;
}

/* With the lock; no reference is taken. */
static cache_block *cache_search(const lsm_cache *cache, const cache_shard *shard, uint64_t hash,
                                 uint64_t file, uint64_t offset)
{
    cache_block *b = atomic_load_explicit(cache_bucket(cache, shard, hash), memory_order_relaxed);

    while (b && !cache_is(b, file, offset))
        b = atomic_load_explicit(&b->chain, memory_order_relaxed);
    return b;
}

lsm_block *akvi_lsm_cache_find(lsm_cache *cache, uint64_t file, uint64_t offset)
{
    uint64_t     hash  = cache_hash(file, offset);
    cache_shard *shard = cache_shard_of(cache, hash);
    cache_block *b     = cache_look(cache, shard, hash, file, offset);
    unsigned     slot  = akvi_slot();

    if (!b) {
        akvi_mutex_lock(&shard->mu);
        b = cache_search(cache, shard, hash, file, offset);
        if (b)
            akvi_lsm_block_ref(&b->base);
        akvi_mutex_unlock(&shard->mu);
    }
    if (!b) {
        akvi_slot_add(&cache->counts[slot].misses, slot, 1);
        return NULL;
    }
    cache_touch(b);
    akvi_slot_add(&cache->counts[slot].hits, slot, 1);
    return &b->base;
}

/* ------------------------------------------------------------------ in and out */

static void cache_ring_in(cache_shard *shard, cache_block *b)
{
    cache_block *hand = shard->hand;

    if (!hand) {
        b->next = b->prev = shard->hand = b;
    } else { /* behind the hand: it has a whole turn before it */
        b->next       = hand;
        b->prev       = hand->prev;
        b->prev->next = b;
        hand->prev    = b;
    }
    shard->blocks++;
}

static void cache_ring_out(cache_shard *shard, cache_block *b)
{
    if (shard->hand == b)
        shard->hand = b->next == b ? NULL : b->next;
    b->prev->next = b->next;
    b->next->prev = b->prev;
    shard->blocks--;
}

/* Take a block out; the cache's reference is the caller's now. Under the lock. */
static void cache_remove(lsm_cache *cache, cache_shard *shard, cache_block *b)
{
    uint64_t                hash = cache_hash(atomic_load_explicit(&b->file, memory_order_relaxed),
                                              atomic_load_explicit(&b->offset, memory_order_relaxed));
    _Atomic(cache_block *) *at   = cache_bucket(cache, shard, hash);

    while (atomic_load_explicit(at, memory_order_relaxed) != b)
        at = &atomic_load_explicit(at, memory_order_relaxed)->chain;
    atomic_store_explicit(at, atomic_load_explicit(&b->chain, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(&b->is_in, false, memory_order_release);
    cache_ring_out(shard, b);
    atomic_fetch_sub_explicit(&cache->used, cache_cost(b), memory_order_relaxed);
}

static inline bool cache_is_over(const lsm_cache *cache)
{
    return atomic_load_explicit(&cache->used, memory_order_relaxed) > cache->capacity;
}

/* Sweep a shard until all are within the budget or nothing more can go. */
static void cache_sweep(lsm_cache *cache, cache_shard *shard)
{
    cache_block *out = NULL, *b;

    akvi_mutex_lock(&shard->mu);
    for (uint64_t left = (CACHE_TURNS + 1) * shard->blocks; left > 0 && cache_is_over(cache);
         left--) {
        uint8_t turns;

        b           = shard->hand;
        shard->hand = b->next;
        turns       = atomic_load_explicit(&b->turns, memory_order_relaxed);
        if (atomic_load_explicit(&b->base.refs, memory_order_relaxed) > 1)
            continue;
        if (turns > 0) {
            atomic_store_explicit(&b->turns, (uint8_t)(turns - 1), memory_order_relaxed);
            continue;
        }
        cache_remove(cache, shard, b);
        shard->evictions++;
        b->next = out;
        out     = b;
        if (!shard->hand)
            break;
    }
    akvi_mutex_unlock(&shard->mu);
    while (out) {
        b   = out;
        out = b->next;
        akvi_lsm_block_unref(&b->base);
    }
}

/* Take `cost` of the budget. False: what could go is not enough. */
static bool cache_make_room(lsm_cache *cache, const cache_shard *first, uint64_t cost)
{
    unsigned at = (unsigned)(first - cache->shards);

    if (cost > cache->capacity)
        return false;
    atomic_fetch_add_explicit(&cache->used, cost, memory_order_relaxed);
    for (unsigned i = 0; i < cache->shards_n && cache_is_over(cache); i++)
        cache_sweep(cache, &cache->shards[(at + i) & (cache->shards_n - 1)]);
    if (!cache_is_over(cache))
        return true;
    atomic_fetch_sub_explicit(&cache->used, cost, memory_order_relaxed);
    return false;
}

/* Under the lock; the room is taken. */
static void cache_put(lsm_cache *cache, cache_shard *shard, uint64_t hash, cache_block *b,
                      uint64_t file, uint64_t offset)
{
    _Atomic(cache_block *) *bucket = cache_bucket(cache, shard, hash);

    atomic_store_explicit(&b->file, file, memory_order_relaxed);
    atomic_store_explicit(&b->offset, offset, memory_order_relaxed);
    atomic_store_explicit(&b->turns, 0, memory_order_relaxed);
    akvi_lsm_block_ref(&b->base);
    cache_ring_in(shard, b);
    shard->inserts++;
    atomic_store_explicit(&b->is_in, true, memory_order_release);
    atomic_store_explicit(&b->chain, atomic_load_explicit(bucket, memory_order_relaxed),
                          memory_order_release);
    atomic_store_explicit(bucket, b, memory_order_release);
}

lsm_block *akvi_lsm_cache_insert(lsm_cache *cache, lsm_block *block, uint64_t file, uint64_t offset)
{
    uint64_t     hash  = cache_hash(file, offset);
    cache_shard *shard = cache_shard_of(cache, hash);
    cache_block *b     = cache_of(block), *other;

    assert(!block->release);
    if (!cache_make_room(cache, shard, cache_cost(b)))
        return block;
    akvi_mutex_lock(&shard->mu);
    other = cache_search(cache, shard, hash, file, offset);
    if (other)
        akvi_lsm_block_ref(&other->base);
    else
        cache_put(cache, shard, hash, b, file, offset);
    akvi_mutex_unlock(&shard->mu);
    if (!other)
        return block;
    atomic_fetch_sub_explicit(&cache->used, cache_cost(b), memory_order_relaxed);
    akvi_lsm_block_unref(block);
    return &other->base;
}

void akvi_lsm_cache_drop_file(lsm_cache *cache, uint64_t file)
{
    for (unsigned i = 0; i < cache->shards_n; i++) {
        cache_shard *shard = &cache->shards[i];
        cache_block *out   = NULL, *b, *next;
        uint64_t     left;

        akvi_mutex_lock(&shard->mu);
        for (b = shard->hand, left = shard->blocks; left > 0; left--, b = next) {
            next = b->next;
            if (atomic_load_explicit(&b->file, memory_order_relaxed) != file)
                continue;
            cache_remove(cache, shard, b);
            b->next = out;
            out     = b;
        }
        akvi_mutex_unlock(&shard->mu);
        for (b = out; b; b = next) {
            next = b->next;
            akvi_lsm_block_unref(&b->base);
        }
    }
}

void akvi_lsm_cache_stats_get(lsm_cache *cache, lsm_cache_stats *stats_out)
{
    uint64_t pinned_in = 0, cost_in = 0;

    memset(stats_out, 0, sizeof *stats_out);
    for (unsigned i = 0; i < cache->shards_n; i++) {
        cache_shard *shard = &cache->shards[i];
        uint64_t     left;

        akvi_mutex_lock(&shard->mu);
        left = shard->blocks;
        stats_out->blocks += left;
        stats_out->inserts += shard->inserts;
        stats_out->evictions += shard->evictions;
        for (const cache_block *b = shard->hand; left > 0; left--, b = b->next) {
            cost_in += cache_cost(b);
            if (atomic_load_explicit(&b->base.refs, memory_order_relaxed) > 1)
                pinned_in += cache_cost(b);
        }
        akvi_mutex_unlock(&shard->mu);
    }
    for (unsigned i = 0; i < AKVI_SLOTS; i++) {
        stats_out->hits += atomic_load_explicit(&cache->counts[i].hits, memory_order_relaxed);
        stats_out->misses += atomic_load_explicit(&cache->counts[i].misses, memory_order_relaxed);
    }
    stats_out->capacity = cache->capacity;
    stats_out->used     = atomic_load_explicit(&cache->used, memory_order_relaxed);
    stats_out->pinned   = atomic_load_explicit(&cache->held, memory_order_relaxed);
    stats_out->pinned = pinned_in + (stats_out->pinned > cost_in ? stats_out->pinned - cost_in : 0);
}
