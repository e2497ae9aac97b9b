/* SPDX-License-Identifier: MIT
 *
 * interface_cost.c: what akv_get adds to the call of an engine's own get.
 *
 * The engine here does next to nothing: it finds a value by its number in an
 * array, so what is left of akv_get beside it is the shared interface, with
 * default options: checks, counters, and the latency of one call in so many.
 * Releasing is part of it: once for 64 values at a time, once value by value.
 * Rounds of direct calls and rounds through the interface take turns; the
 * fastest round of each counts, as the one that was disturbed least. Prints one
 * line of JSON; interface_cost_ns is a get with its share of a release of 64.
 */
#include <anykv/engine.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COST_KEYS   1024u
#define COST_GETS   (4u * 1024 * 1024)
#define COST_ROUNDS 15u
#define COST_HELD   64u /* values held at once */

typedef struct cost_store {
    uint64_t values[COST_KEYS];
} cost_store;

static akv_status cost_open(const akv_open_args *args, void **impl_out, uint64_t *caps_out)
{
    cost_store *store = calloc(1, sizeof *store);

    (void)args;
    (void)caps_out;
    for (uint64_t i = 0; store && i < COST_KEYS; i++)
        store->values[i] = i;
    *impl_out = store;
    return store ? AKV_OK : AKV_NOMEM;
}

static akv_status cost_close(void *impl)
{
    free(impl);
    return AKV_OK;
}

__attribute__((noinline)) static akv_status cost_get(void *impl, akv_slice key,
                                                     const akv_read_options *opt,
                                                     akv_value              *value_out)
{
    const cost_store *store = impl;
    uint64_t          i;

    (void)opt;
    memcpy(&i, key.data, sizeof i);
    if (i >= COST_KEYS)
        return AKV_ABSENT;
    value_out->data = &store->values[i];
    value_out->len  = sizeof store->values[i];
    return AKV_OK;
}

static akv_status cost_iter_new(void *impl, const akv_range *range, const akv_read_options *opt,
                                void **iter_out)
{
    (void)range;
    (void)opt;
    *iter_out = impl;
    return AKV_OK;
}

static akv_status cost_iter_move(void *iter, akv_move move, akv_slice key, akv_entry *entry_out)
{
    (void)iter;
    (void)move;
    (void)key;
    (void)entry_out;
    return AKV_END;
}

static void cost_iter_free(void *iter)
{
    (void)iter;
}

static const akv_engine cost_engine = {
    .abi         = AKV_ENGINE_ABI,
    .size        = sizeof(akv_engine),
    .name        = "cost",
    .description = "an array, to measure what is around it",
    .caps        = AKV_CAP_READ,
    .max_key     = 8,
    .max_value   = 8,
    .open        = cost_open,
    .close       = cost_close,
    .get         = cost_get,
    .iter_new    = cost_iter_new,
    .iter_move   = cost_iter_move,
    .iter_free   = cost_iter_free,
};

static double cost_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ns a get, by the engine's own function. */
static double cost_direct(void *impl, const uint64_t *keys, uint64_t *sum)
{
    const akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_value              value = AKV_VALUE_INIT;
    double                 begin = cost_now_ns();

    for (uint32_t i = 0; i < COST_GETS; i++) {
        if (cost_get(impl, akv_bytes(&keys[i % COST_KEYS], 8), &opt, &value) != AKV_OK)
            abort();
        *sum += *(const uint64_t *)value.data;
    }
    return (cost_now_ns() - begin) / COST_GETS;
}

/* The same through the interface, values released 64 at a time. */
static double cost_shared(akv *db, const uint64_t *keys, uint64_t *sum)
{
    akv_value values[COST_HELD];
    double    begin = cost_now_ns();

    for (uint32_t i = 0; i < COST_GETS; i++) {
        akv_value *value = &values[i % COST_HELD];

        if (akv_get(db, akv_bytes(&keys[i % COST_KEYS], 8), NULL, value) != AKV_OK)
            abort();
        *sum += *(const uint64_t *)value->data;
        if (i % COST_HELD == COST_HELD - 1)
            akv_values_release(values, COST_HELD);
    }
    return (cost_now_ns() - begin) / COST_GETS;
}

/* Each value released before the next get. */
static double cost_each(akv *db, const uint64_t *keys, uint64_t *sum)
{
    akv_value value;
    double    begin = cost_now_ns();

    for (uint32_t i = 0; i < COST_GETS; i++) {
        if (akv_get(db, akv_bytes(&keys[i % COST_KEYS], 8), NULL, &value) != AKV_OK)
            abort();
        *sum += *(const uint64_t *)value.data;
        akv_value_release(&value);
    }
    return (cost_now_ns() - begin) / COST_GETS;
}

int main(void)
{
    double   direct = 1e9, shared = 1e9, each = 1e9;
    uint64_t keys[COST_KEYS], sum = 0;
    void    *impl;
    akv     *db;

    for (uint64_t i = 0; i < COST_KEYS; i++)
        keys[i] = i * 7 % COST_KEYS;
    if (akv_register(&cost_engine) != AKV_OK || akv_open("cost", NULL, NULL, &db) != AKV_OK ||
        cost_open(NULL, &impl, NULL) != AKV_OK) {
        fprintf(stderr, "%s\n", akv_last_error()->text);
        return 1;
    }
    for (unsigned round = 0; round < COST_ROUNDS; round++) {
        double ns = cost_direct(impl, keys, &sum);

        direct = ns < direct ? ns : direct;
        ns     = cost_shared(db, keys, &sum);
        shared = ns < shared ? ns : shared;
        ns     = cost_each(db, keys, &sum);
        each   = ns < each ? ns : each;
    }
    printf("{\"interface_cost_ns\": %.2f, \"releasing_each_ns\": %.2f, \"direct_ns\": %.2f, "
           "\"shared_ns\": %.2f, \"gets\": %u, \"checksum\": %" PRIu64 "}\n",
           shared - direct, each - direct, direct, shared, COST_GETS * COST_ROUNDS, sum);
    cost_close(impl);
    return akv_close(db) == AKV_OK ? 0 : 1;
}
