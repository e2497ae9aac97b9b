/* SPDX-License-Identifier: MIT
 *
 * hashmap.h: a hash map from byte strings to a pointer or a number.
 *
 * Open addressing with linear probing in 24 bytes a slot, at most 3/4 full;
 * removal moves what follows back, so there are no tombstones. Keys are
 * borrowed: their bytes must not move or change while they are in the map.
 * One thread at a time, or any number that only find.
 */
#ifndef AKVI_MAP_HASHMAP_H
#define AKVI_MAP_HASHMAP_H

#include "common/base/fail.h"

typedef union akvi_map_value {
    void    *ptr;
    uint64_t u64;
} akvi_map_value;

typedef struct akvi_hashmap_slot {
    const void    *key;
    akvi_map_value value;
    uint32_t       len;
    uint32_t       hash; /* 0: the slot is free */
} akvi_hashmap_slot;

typedef struct akvi_hashmap {
    const akv_allocator *allocator;
    akvi_hashmap_slot   *slots;
    size_t               n;
    size_t               cap; /* 0 or a power of two */
    uint64_t             seed;
} akvi_hashmap;

/* Allocates nothing yet. */
void akvi_hashmap_init(akvi_hashmap *map, const akv_allocator *allocator, uint64_t seed);
void akvi_hashmap_free(akvi_hashmap *map); /* leaves it empty */

/* The key's value, to read or change until the map next changes; NULL when
 * there is none. */
akvi_map_value *akvi_hashmap_find(const akvi_hashmap *map, akv_slice key);
/* The same, but an absent key is added with value 0 and *added_out set. NULL
 * with the failure recorded when there is no memory; keys are under 4 GiB. */
AKVI_MUST_USE akvi_map_value *akvi_hashmap_add(akvi_hashmap *map, akv_slice key, bool *added_out);
/* Whether it was there; its value goes to *value_out unless that is NULL. */
bool akvi_hashmap_remove(akvi_hashmap *map, akv_slice key, akvi_map_value *value_out);
/* Visit all keys in no order: begin with *at 0; NULL at the end. */
const akvi_hashmap_slot *akvi_hashmap_next(const akvi_hashmap *map, size_t *at);

#endif
