/* SPDX-License-Identifier: MIT
 *
 * hashmap.c: see hashmap.h.
 *
 * Holds: every key lies in the run of taken slots that begins at its home, the
 * slot that its hash names; at least a quarter of the slots are free.
 */
#include "common/map/hashmap.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/map/hash.h"

#define HASHMAP_FIRST_CAP 16u
#define HASHMAP_MAX_CAP   (UINT32_C(1) << 31) /* as far as a 32-bit hash spreads keys */

void akvi_hashmap_init(akvi_hashmap *map, const akv_allocator *allocator, uint64_t seed)
{
    *map = (akvi_hashmap){.allocator = allocator, .seed = seed};
}

void akvi_hashmap_free(akvi_hashmap *map)
{
    akvi_free(map->allocator, map->slots, map->cap * sizeof *map->slots);
    akvi_hashmap_init(map, map->allocator, map->seed);
}

static uint32_t hashmap_hash(const akvi_hashmap *map, akv_slice key)
{
    uint32_t hash = (uint32_t)akvi_hash(key.data, key.len, map->seed);

    return hash ? hash : 1;
}

/* The key's slot, or the free one where it would go. */
static akvi_hashmap_slot *hashmap_slot(const akvi_hashmap *map, akv_slice key, uint32_t hash)
{
    size_t mask = map->cap - 1, at = hash & mask;

    for (;; at = (at + 1) & mask) {
        akvi_hashmap_slot *s = &map->slots[at];

        if (s->hash == 0 || (s->hash == hash && akvi_equal(s->key, s->len, key.data, key.len)))
            return s;
    }
}

akvi_map_value *akvi_hashmap_find(const akvi_hashmap *map, akv_slice key)
{
    akvi_hashmap_slot *s;

    if (map->n == 0)
        return NULL;
    s = hashmap_slot(map, key, hashmap_hash(map, key));
    return s->hash ? &s->value : NULL;
}

static bool hashmap_grow(akvi_hashmap *map)
{
    akvi_hashmap old = *map;
    size_t       cap = old.cap ? old.cap * 2 : HASHMAP_FIRST_CAP;

    if (old.cap == HASHMAP_MAX_CAP) {
        AKV_FAIL(AKV_TOO_BIG, "a hash map holds at most %zu keys", old.n);
        return false;
    }
    map->slots = akvi_alloc_n(map->allocator, cap, sizeof *map->slots);
    if (!map->slots) {
        map->slots = old.slots;
        return false;
    }
    memset(map->slots, 0, cap * sizeof *map->slots);
    map->cap = cap;
    for (size_t i = 0; i < old.cap; i++) {
        size_t at = old.slots[i].hash & (cap - 1);

        if (old.slots[i].hash == 0)
            continue;
        while (map->slots[at].hash != 0)
            at = (at + 1) & (cap - 1);
        map->slots[at] = old.slots[i];
    }
    akvi_free(old.allocator, old.slots, old.cap * sizeof *old.slots);
    return true;
}

akvi_map_value *akvi_hashmap_add(akvi_hashmap *map, akv_slice key, bool *added_out)
{
    uint32_t           hash = hashmap_hash(map, key);
    akvi_hashmap_slot *s;

    *added_out = false;
    if (map->n > 0) {
        s = hashmap_slot(map, key, hash);
        if (s->hash)
            return &s->value;
    }
    if (key.len > UINT32_MAX) {
        AKV_FAIL(AKV_TOO_BIG, "a hash map's key has %zu bytes, over 4 GiB - 1", key.len);
        return NULL;
    }
    if (map->n >= map->cap / 4 * 3 && !hashmap_grow(map))
        return NULL;
    s  = hashmap_slot(map, key, hash);
    *s = (akvi_hashmap_slot){key.data, {.u64 = 0}, (uint32_t)key.len, hash};
    map->n++;
    *added_out = true;
    return &s->value;
}

bool akvi_hashmap_remove(akvi_hashmap *map, akv_slice key, akvi_map_value *value_out)
{
    size_t             mask = map->cap - 1, hole, at;
    akvi_hashmap_slot *s;

    if (map->n == 0)
        return false;
    s = hashmap_slot(map, key, hashmap_hash(map, key));
    if (s->hash == 0)
        return false;
    if (value_out)
        *value_out = s->value;
    hole = (size_t)(s - map->slots);
    for (at = (hole + 1) & mask; map->slots[at].hash != 0; at = (at + 1) & mask) {
        size_t home = map->slots[at].hash & mask;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole             = at;
        }
    }
    map->slots[hole].hash = 0;
    map->n--;
    return true;
}

const akvi_hashmap_slot *akvi_hashmap_next(const akvi_hashmap *map, size_t *at)
{
    while (*at < map->cap) {
        const akvi_hashmap_slot *s = &map->slots[(*at)++];

        if (s->hash)
            return s;
    }
    return NULL;
}
