/* SPDX-License-Identifier: MIT
 *
 * test_hashmap.c: the hash map against an array of what it should hold.
 */
#include "common/base/bytes.h"
#include "common/map/hash.h"
#include "common/map/hashmap.h"
#include "tests/testing.h"

#include <stdio.h>
#include <stdlib.h>

static void test_hash_depends_on_every_bit_length_and_seed(void **state)
{
    uint8_t  bytes[80] = {0};
    uint64_t seen[80];

    (void)state;
    for (size_t len = 0; len < sizeof bytes; len++) {
        uint64_t plain = akvi_hash(bytes, len, 7);

        assert_true(plain != akvi_hash(bytes, len, 8));
        for (size_t i = 0; i < len; i++)
            assert_true(plain != seen[i]); /* as many zeroes, but fewer */
        seen[len] = plain;
        for (size_t bit = 0; bit < len * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_true(plain != akvi_hash(bytes, len, 7));
            bytes[bit / 8] = 0;
        }
    }
}

/* Keys made to meet the constants of the hash, whatever the seed. */
static void test_hash_of_keys_from_strangers_differs(void **state)
{
    static const uint64_t meet[] = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9),
                                    UINT64_C(0x94d049bb133111eb), UINT64_C(0xd6e8feb86659fd93)};

    (void)state;
    for (size_t len = 16; len <= 72; len += 8) {
        for (size_t at = 0; at + 8 <= len; at += 8) {
            for (size_t i = 0; i < AKVI_ARRAY_N(meet); i++) {
                uint8_t  key[72] = {0};
                uint64_t before  = 0;

                akvi_put_le64(key + at, meet[i]);
                for (uint8_t k = 1; k < 20; k++) {
                    size_t   other = at ? 0 : 8;
                    uint64_t hash;

                    key[other + k % 8] ^= k;
                    hash = akvi_hash(key, len, 7);
                    assert_true(hash != before);
                    before = hash;
                }
            }
        }
    }
}

static void test_hash_is_the_same_on_every_machine(void **state)
{
    (void)state;
    assert_true(akvi_hash("", 0, 0) == UINT64_C(0x45a71bd9074ac8e1));
    assert_true(akvi_hash("anykv", 5, 1) == UINT64_C(0x755bd561ddb73236));
    assert_true(akvi_hash("a key of more than thirty-two bytes, say", 40, 2) ==
                UINT64_C(0x0850c1868513de7e));
}

static void test_hash_spreads_numbers_evenly_over_low_bits(void **state)
{
    unsigned buckets[256] = {0};
    uint8_t  key[8];

    (void)state;
    for (uint64_t i = 0; i < 256 * 100; i++) {
        akvi_put_be64(key, i);
        buckets[akvi_hash(key, sizeof key, 0) & 255]++;
    }
    for (size_t i = 0; i < 256; i++)
        assert_in_range(buckets[i], 50, 150);
}

#define KEYS 600u

static akv_slice key_of(char (*texts)[24], size_t i)
{
    int len = snprintf(texts[i], sizeof texts[i], "%zu", i * i);

    return akv_bytes(texts[i], i == 0 ? 0 : (size_t)len); /* one empty key */
}

static void test_hashmap_agrees_with_an_array_over_random_changes(void **state)
{
    char         texts[KEYS][24];
    uint64_t     want[KEYS] = {0}; /* 0: absent */
    size_t       n = 0, at = 0, seen = 0;
    akvt_random  r = akvt_random_new(1);
    akvi_hashmap map;

    (void)state;
    akvi_hashmap_init(&map, akvt_failing_allocator(0), akvt_next(&r));
    for (unsigned step = 0; step < 60000; step++) {
        size_t          i   = akvt_below(&r, KEYS);
        akv_slice       key = key_of(texts, i);
        akvi_map_value *v   = akvi_hashmap_find(&map, key), removed;
        bool            added;

        assert_true((v != NULL) == (want[i] != 0));
        if (v)
            assert_int_equal(v->u64, want[i]);
        if (akvt_below(&r, 1000) < (step / 20000 == 1 ? 300 : 600)) {
            v = akvi_hashmap_add(&map, key, &added);
            assert_non_null(v);
            assert_int_equal(added, want[i] == 0);
            assert_int_equal(v->u64, want[i]);
            v->u64 = step + 1;
            n += added;
            want[i] = step + 1;
        } else {
            assert_int_equal(akvi_hashmap_remove(&map, key, &removed), want[i] != 0);
            if (want[i] != 0)
                assert_int_equal(removed.u64, want[i]);
            n -= want[i] != 0;
            want[i] = 0;
        }
        assert_int_equal(map.n, n);
    }
    for (const akvi_hashmap_slot *s; (s = akvi_hashmap_next(&map, &at)); seen++) {
        size_t i = 0;

        while (i < KEYS && s->key != texts[i])
            i++;
        assert_true(i < KEYS);
        assert_int_equal(s->value.u64, want[i]);
    }
    assert_int_equal(seen, n);
    akvi_hashmap_free(&map);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_hashmap_is_unchanged_when_memory_runs_out(void **state)
{
    char texts[64][24];

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        akvi_hashmap map;
        size_t       i;
        bool         added;

        akvi_hashmap_init(&map, akvt_failing_allocator(nth), 0);
        for (i = 0; i < 64 && akvi_hashmap_add(&map, key_of(texts, i), &added); i++)
            ;
        assert_int_equal(map.n, i);
        for (size_t j = 0; j < 64; j++)
            assert_int_equal(akvi_hashmap_find(&map, key_of(texts, j)) != NULL, j < i);
        akvi_hashmap_free(&map);
        assert_int_equal(akvt_allocator_out(), 0);
        if (i == 64)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_depends_on_every_bit_length_and_seed),
        cmocka_unit_test(test_hash_of_keys_from_strangers_differs),
        cmocka_unit_test(test_hash_is_the_same_on_every_machine),
        cmocka_unit_test(test_hash_spreads_numbers_evenly_over_low_bits),
        cmocka_unit_test(test_hashmap_agrees_with_an_array_over_random_changes),
        cmocka_unit_test(test_hashmap_is_unchanged_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
