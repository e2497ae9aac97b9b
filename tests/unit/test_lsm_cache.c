/* SPDX-License-Identifier: MIT
 *
 * test_lsm_cache.c: blocks are found while they are in, stay while they are
 * held, and the budget is kept.
 */
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "engines/lsm/cache.h"
#include "tests/testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK 1000u

/* A block that says in all its bytes whose it is. */
static lsm_block *block_make(lsm_cache *cache, uint64_t file, uint64_t offset, size_t len)
{
    uint8_t   *bytes;
    lsm_block *b = akvi_lsm_block_new(cache, len, &bytes);

    if (b)
        memset(bytes, (int)(uint8_t)(file * 31 + offset), len);
    return b;
}

static bool block_is(const lsm_block *b, uint64_t file, uint64_t offset, size_t len)
{
    uint8_t want = (uint8_t)(file * 31 + offset);

    return b->len == len && b->data[0] == want && b->data[len / 2] == want &&
           b->data[len - 1] == want;
}

static lsm_block *put(lsm_cache *cache, uint64_t file, uint64_t offset)
{
    lsm_block *b = block_make(cache, file, offset, BLOCK);

    assert_non_null(b);
    return akvi_lsm_cache_insert(cache, b, file, offset);
}

static bool is_there(lsm_cache *cache, uint64_t file, uint64_t offset)
{
    lsm_block *b = akvi_lsm_cache_find(cache, file, offset);

    if (!b)
        return false;
    assert_true(block_is(b, file, offset, BLOCK));
    akvi_lsm_block_unref(b);
    return true;
}

static lsm_cache_stats stats_of(lsm_cache *cache)
{
    lsm_cache_stats s;

    akvi_lsm_cache_stats_get(cache, &s);
    return s;
}

static void test_what_was_put_in_is_found_by_file_and_offset(void **state)
{
    const akv_allocator *allocator = akvt_failing_allocator(0);
    lsm_cache           *cache;
    lsm_cache_stats      s;

    (void)state;
    assert_ok(akvi_lsm_cache_new(allocator, 8u << 20, &cache));
    for (uint64_t file = 1; file <= 20; file++)
        for (uint64_t at = 0; at < 100; at++)
            akvi_lsm_block_unref(put(cache, file, at * 4096));
    for (uint64_t file = 1; file <= 20; file++)
        for (uint64_t at = 0; at < 100; at++)
            assert_true(is_there(cache, file, at * 4096));
    assert_false(is_there(cache, 21, 0));
    assert_false(is_there(cache, 1, 1));
    s = stats_of(cache);
    assert_int_equal(s.blocks, 2000);
    assert_int_equal(s.inserts, 2000);
    assert_int_equal(s.hits, 2000);
    assert_int_equal(s.misses, 2);
    assert_int_equal(s.evictions, 0);
    assert_int_equal(s.pinned, 0);
    assert_true(s.used > 2000 * BLOCK);
    akvi_lsm_cache_free(cache);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_of_two_blocks_for_one_place_the_first_stays(void **state)
{
    lsm_cache *cache;
    lsm_block *first, *second;

    (void)state;
    assert_ok(akvi_lsm_cache_new(NULL, 1u << 20, &cache));
    first  = put(cache, 7, 8);
    second = put(cache, 7, 8);
    assert_ptr_equal(first, second);
    assert_int_equal(stats_of(cache).blocks, 1);
    akvi_lsm_block_unref(first);
    akvi_lsm_block_unref(second);
    assert_true(is_there(cache, 7, 8));
    akvi_lsm_cache_free(cache);
}

static void test_the_budget_is_kept_and_what_is_used_stays(void **state)
{
    const akv_allocator *allocator = akvt_failing_allocator(0);
    lsm_cache           *cache;
    lsm_cache_stats      s;
    unsigned             kept = 0;

    (void)state;
    assert_ok(akvi_lsm_cache_new(allocator, 2u << 20, &cache));
    for (uint64_t i = 0; i < 20000; i++) {
        akvi_lsm_block_unref(put(cache, 1, i));
        for (uint64_t hot = 0; hot < 50 && i % 500 == 0; hot++)
            if (!is_there(cache, 2, hot))
                akvi_lsm_block_unref(put(cache, 2, hot));
        if (i % 100 != 99)
            continue;
        s = stats_of(cache);
        assert_true(s.used <= 2u << 20);
    }
    assert_true(s.used > (2u << 20) - 4 * BLOCK);
    assert_true(s.evictions > 5000);
    assert_true(s.blocks > 1500);
    for (uint64_t hot = 0; hot < 50; hot++)
        kept += is_there(cache, 2, hot);
    assert_int_equal(kept, 50);
    akvi_lsm_cache_free(cache);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_what_is_held_stays_although_the_cache_is_full(void **state)
{
    lsm_cache      *cache;
    lsm_block      *held[300];
    lsm_cache_stats s;

    (void)state;
    assert_ok(akvi_lsm_cache_new(NULL, 200 * 1024, &cache));
    for (uint64_t i = 0; i < 300; i++) /* more than there is room for */
        held[i] = put(cache, 1, i);
    s = stats_of(cache);
    assert_true(s.used <= 200 * 1024);
    assert_true(s.blocks < 200 && s.blocks > 150);
    assert_true(s.pinned > 300u * BLOCK);
    assert_int_equal(s.evictions, 0);
    for (uint64_t i = 0; i < 300; i++) {
        assert_true(block_is(held[i], 1, i, BLOCK));
        akvi_lsm_block_unref(held[i]);
    }
    assert_int_equal(stats_of(cache).pinned, 0);
    for (uint64_t i = 1000; i < 1300; i++) /* there is room again */
        akvi_lsm_block_unref(put(cache, 1, i));
    assert_true(is_there(cache, 1, 1299));
    akvi_lsm_cache_free(cache);
}

static void test_one_block_may_take_all_of_the_budget(void **state)
{
    lsm_cache *cache;
    lsm_block *b;
    size_t     len = 15u << 20;

    (void)state;
    assert_ok(akvi_lsm_cache_new(NULL, 16u << 20, &cache));
    for (uint64_t i = 0; i < 10000; i++)
        akvi_lsm_block_unref(put(cache, 1, i));
    b = block_make(cache, 2, 0, len);
    assert_non_null(b);
    akvi_lsm_block_unref(akvi_lsm_cache_insert(cache, b, 2, 0));
    b = akvi_lsm_cache_find(cache, 2, 0);
    assert_non_null(b);
    assert_true(block_is(b, 2, 0, len));
    assert_true(stats_of(cache).used <= 16u << 20);
    akvi_lsm_block_unref(b);
    akvi_lsm_cache_free(cache);
}

static void test_a_cache_of_nothing_keeps_nothing(void **state)
{
    lsm_cache *cache;
    lsm_block *b;

    (void)state;
    assert_ok(akvi_lsm_cache_new(NULL, 0, &cache));
    b = put(cache, 1, 2);
    assert_true(block_is(b, 1, 2, BLOCK));
    assert_false(is_there(cache, 1, 2));
    akvi_lsm_block_unref(b);
    assert_int_equal(stats_of(cache).pinned, 0);
    akvi_lsm_cache_free(cache);
}

static void test_a_dropped_file_is_gone_but_for_what_is_held(void **state)
{
    lsm_cache *cache;
    lsm_block *held;

    (void)state;
    assert_ok(akvi_lsm_cache_new(NULL, 8u << 20, &cache));
    for (uint64_t i = 0; i < 3000; i++)
        akvi_lsm_block_unref(put(cache, i % 3, i));
    held = akvi_lsm_cache_find(cache, 1, 1);
    akvi_lsm_cache_drop_file(cache, 1);
    for (uint64_t i = 0; i < 3000; i++)
        assert_int_equal(is_there(cache, i % 3, i), i % 3 != 1);
    assert_int_equal(stats_of(cache).blocks, 2000);
    assert_true(block_is(held, 1, 1, BLOCK));
    assert_true(stats_of(cache).pinned > BLOCK);
    akvi_lsm_block_unref(held);
    akvi_lsm_cache_drop_file(cache, 0);
    akvi_lsm_cache_drop_file(cache, 2);
    akvi_lsm_cache_drop_file(cache, 9);
    assert_int_equal(stats_of(cache).blocks, 0);
    akvi_lsm_cache_free(cache);
}

static unsigned released;
static void     release(lsm_block *b)
{
    (void)b;
    released++;
}

static void test_a_block_of_another_owner_goes_back_to_it(void **state)
{
    lsm_block b = {.data = (const uint8_t *)"x", .len = 1, .release = release};

    (void)state;
    atomic_store(&b.refs, 1);
    akvi_lsm_block_ref(&b);
    akvi_lsm_block_unref(&b);
    assert_int_equal(released, 0);
    akvi_lsm_block_unref(&b);
    assert_int_equal(released, 1);
    akvi_lsm_block_unref(NULL);
}

static void test_without_memory_no_block_is_lost(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        const akv_allocator *allocator = akvt_failing_allocator(nth);
        lsm_cache           *cache;
        unsigned             failed = 0;

        if (akvi_lsm_cache_new(allocator, 4u << 20, &cache) != AKV_OK) {
            assert_null(cache);
            assert_int_equal(akvt_allocator_out(), 0);
            continue;
        }
        for (uint64_t i = 0; i < 200; i++) {
            lsm_block *b = block_make(cache, 1, i, BLOCK);

            failed += !b;
            if (b)
                akvi_lsm_block_unref(akvi_lsm_cache_insert(cache, b, 1, i));
        }
        assert_true(failed <= 1);
        assert_int_equal(stats_of(cache).blocks, 200 - failed);
        akvi_lsm_cache_free(cache);
        assert_int_equal(akvt_allocator_out(), 0);
        if (failed == 0)
            return;
    }
}

/* ------------------------------------------------------------------ threads */

typedef struct shared {
    lsm_cache       *cache;
    _Atomic uint64_t next;
} shared;

/* Small files of few blocks in a cache that holds a part of them: heads change
 * their block all the time. */
static void *run_reader(void *arg)
{
    shared     *s       = arg;
    akvt_random r       = {.state = 77 + atomic_fetch_add(&s->next, 1)};
    lsm_block  *held[8] = {NULL};
    uint64_t    files[8], offsets[8];

    for (unsigned i = 0; i < 20000 * akvt_scale(); i++) {
        uint64_t   file = akvt_below(&r, 8), offset = akvt_below(&r, 50);
        unsigned   at = i % 8;
        lsm_block *b  = akvi_lsm_cache_find(s->cache, file, offset);

        if (!b) {
            b = block_make(s->cache, file, offset, BLOCK);
            if (!b)
                abort();
            b = akvi_lsm_cache_insert(s->cache, b, file, offset);
        }
        if (!block_is(b, file, offset, BLOCK))
            abort();
        if (held[at] && !block_is(held[at], files[at], offsets[at], BLOCK))
            abort();
        akvi_lsm_block_unref(held[at]);
        held[at]    = b;
        files[at]   = file;
        offsets[at] = offset;
        if (i % 1000 == 999)
            akvi_lsm_cache_drop_file(s->cache, akvt_below(&r, 8));
    }
    for (unsigned i = 0; i < 8; i++)
        akvi_lsm_block_unref(held[i]);
    return NULL;
}

static void check_threads(uint64_t capacity)
{
    shared          s = {0};
    pthread_t       threads[4];
    lsm_cache_stats stats;

    assert_ok(akvi_lsm_cache_new(NULL, capacity, &s.cache));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_reader, &s), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    stats = stats_of(s.cache);
    assert_int_equal(stats.pinned, 0);
    assert_true(stats.used <= capacity);
    assert_int_equal(stats.hits + stats.misses, 80000u * akvt_scale());
    for (uint64_t file = 0; file < 8; file++)
        akvi_lsm_cache_drop_file(s.cache, file);
    assert_int_equal(stats_of(s.cache).blocks, 0);
    akvi_lsm_cache_free(s.cache);
}

static void test_threads_find_only_what_they_ask_for(void **state)
{
    (void)state;
    check_threads(100 * 1024);
    check_threads(300 * 1024);
    check_threads(16u << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_in_is_found_by_file_and_offset),
        cmocka_unit_test(test_of_two_blocks_for_one_place_the_first_stays),
        cmocka_unit_test(test_the_budget_is_kept_and_what_is_used_stays),
        cmocka_unit_test(test_what_is_held_stays_although_the_cache_is_full),
        cmocka_unit_test(test_one_block_may_take_all_of_the_budget),
        cmocka_unit_test(test_a_cache_of_nothing_keeps_nothing),
        cmocka_unit_test(test_a_dropped_file_is_gone_but_for_what_is_held),
        cmocka_unit_test(test_a_block_of_another_owner_goes_back_to_it),
        cmocka_unit_test(test_without_memory_no_block_is_lost),
        cmocka_unit_test(test_threads_find_only_what_they_ask_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
