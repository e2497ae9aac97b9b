/* SPDX-License-Identifier: MIT
 *
 * model.c: the sorted array.
 */
#include "tests/conformance/model.h"

#include <stdlib.h>

size_t akvc_map_bound(const akvc_map *map, akv_slice key)
{
    size_t low = 0, high = map->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (akvc_compare(map->at[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

akvc_record *akvc_map_find(const akvc_map *map, akv_slice key)
{
    size_t at = akvc_map_bound(map, key);

    return at < map->n && akvc_equal(map->at[at].key, key) ? &map->at[at] : NULL;
}

static akv_slice model_copy(akvc_run *r, akv_slice bytes)
{
    void *data = malloc(bytes.len + 1);

    CHECK(r, data != NULL);
    if (bytes.len)
        memcpy(data, bytes.data, bytes.len);
    return akv_bytes(data, bytes.len);
}

static void model_free(akvc_record *record)
{
    free((void *)(uintptr_t)record->key.data);
    free((void *)(uintptr_t)record->value.data);
}

void akvc_map_put(akvc_run *r, akvc_map *map, const akvc_record *record)
{
    size_t      at    = akvc_map_bound(map, record->key);
    akvc_record fresh = *record;

    fresh.key   = model_copy(r, record->key);
    fresh.value = model_copy(r, record->value);
    if (at < map->n && akvc_equal(map->at[at].key, record->key)) {
        model_free(&map->at[at]);
        map->at[at] = fresh;
        return;
    }
    if (map->n == map->room) {
        map->room = map->room ? map->room * 2 : 64;
        map->at   = realloc(map->at, map->room * sizeof *map->at);
        CHECK(r, map->at != NULL);
    }
    memmove(map->at + at + 1, map->at + at, (map->n - at) * sizeof *map->at);
    map->at[at] = fresh;
    map->n++;
}

static void model_cut(akvc_map *map, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        model_free(&map->at[i]);
    if (to < map->n)
        memmove(map->at + from, map->at + to, (map->n - to) * sizeof *map->at);
    map->n -= to - from;
}

void akvc_map_remove(akvc_map *map, akv_slice key)
{
    size_t at = akvc_map_bound(map, key);

    if (at < map->n && akvc_equal(map->at[at].key, key))
        model_cut(map, at, at + 1);
}

void akvc_map_remove_range(akvc_map *map, akv_slice lower, akv_slice upper)
{
    size_t from = akvc_map_bound(map, lower);
    size_t to   = upper.len ? akvc_map_bound(map, upper) : map->n;

    if (from < to)
        model_cut(map, from, to);
}

void akvc_map_purge(akvc_map *map, uint64_t now)
{
    for (size_t i = map->n; i-- > 0;)
        if (map->at[i].expiry != 0 && map->at[i].expiry <= now)
            model_cut(map, i, i + 1);
}

akvc_map akvc_map_copy(akvc_run *r, const akvc_map *map)
{
    akvc_map copy = {NULL, 0, 0};

    for (size_t i = 0; i < map->n; i++)
        akvc_map_put(r, &copy, &map->at[i]);
    return copy;
}

void akvc_map_free(akvc_map *map)
{
    model_cut(map, 0, map->n);
    free(map->at);
    *map = (akvc_map){NULL, 0, 0};
}
