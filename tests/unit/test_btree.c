/* SPDX-License-Identifier: MIT
 *
 * test_btree.c: the B+tree against a sorted array, over kinds of keys that
 * take its ways of leaving bytes out to their edges.
 */
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/map/btree.h"
#include "tests/testing.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct item {
    akv_slice key;
    char      bytes[48];
} item;

/* Kinds of keys; each makes at most `range` different ones. */
static size_t key_make(unsigned kind, uint64_t i, char bytes[48])
{
    size_t len;

    switch (kind) {
    case 0: /* numbers behind a prefix longer than any head */
        return (size_t)snprintf(bytes, 48, "a/common/prefix/%012llu", (unsigned long long)i);
    case 1: /* every key a prefix of the next, zeroes at heads' ends */
        len = i % 48;
        memset(bytes, 0, len);
        if (len > 0)
            bytes[len - 1] = (char)(i / 48 % 3);
        return len;
    case 2: /* spread evenly */ akvi_put_be64(bytes, i * UINT64_C(0x9e3779b97f4a7c15)); return 8;
    case 3: /* few letters: many equal heads, then one far behind */
        memset(bytes, 'x', 40);
        for (len = 8; i > 0; i /= 3, len += 4)
            bytes[len] = (char)('a' + i % 3);
        return len < 40 ? len + 1 : 40;
    default: /* bytes over 0x7f, one or two of them */
        bytes[0] = (char)(i >> 8);
        bytes[1] = (char)i;
        return 1 + i % 2;
    }
}
#define KINDS 5u

static int item_compare(const item *a, const item *b)
{
    return akvi_compare(a->key.data, a->key.len, b->key.data, b->key.len);
}

/* The place of the first item not below `key` in a sorted array. */
static size_t array_lower(item *const *array, size_t n, const item *key)
{
    size_t low = 0;

    while (low < n) {
        size_t mid = low + (n - low) / 2;

        if (item_compare(array[mid], key) < 0)
            low = mid + 1;
        else
            n = mid;
    }
    return low;
}

static item *item_new(unsigned kind, uint64_t i)
{
    item *it = malloc(sizeof *it);

    assert_non_null(it);
    it->key = akv_bytes(it->bytes, key_make(kind, i, it->bytes));
    return it;
}

static void check_scans(const akvi_btree *tree, item *const *array, size_t n)
{
    akvi_btree_cursor c;
    size_t            i = 0;

    assert_ok(akvi_btree_check(tree));
    assert_int_equal(tree->n, n);
    for (akvi_btree_first(tree, &c); akvi_btree_at(&c); akvi_btree_next(&c), i++)
        assert_ptr_equal(akvi_btree_at(&c), array[i]);
    assert_int_equal(i, n);
    for (akvi_btree_last(tree, &c); akvi_btree_at(&c); akvi_btree_prev(&c))
        assert_ptr_equal(akvi_btree_at(&c), array[--i]);
    assert_int_equal(i, 0);
}

static void check_seek(const akvi_btree *tree, item *const *array, size_t n, const item *key)
{
    size_t            at   = array_lower(array, n, key);
    bool              same = at < n && item_compare(array[at], key) == 0;
    akvi_btree_cursor c;

    assert_int_equal(akvi_btree_lower_bound(tree, key->key, &c), same);
    assert_ptr_equal(akvi_btree_at(&c), at < n ? array[at] : NULL);
    assert_ptr_equal(akvi_btree_find(tree, key->key), same ? array[at] : NULL);
}

static void run_random(unsigned kind, uint64_t range, unsigned steps)
{
    item      **array = malloc(range * sizeof(void *));
    size_t      n     = 0;
    akvt_random r     = akvt_random_new(kind);
    akvi_btree  tree;

    assert_non_null(array);
    akvi_btree_init(&tree, akvt_failing_allocator(0));
    for (unsigned step = 0; step < steps; step++) {
        item    *it    = item_new(kind, akvt_below(&r, range));
        size_t   at    = array_lower(array, n, it);
        bool     there = at < n && item_compare(array[at], it) == 0;
        unsigned phase = step / (steps / 4); /* grow, shrink, grow, shrink */

        if (akvt_below(&r, 10) < (phase % 2 ? 1 : 8)) {
            akvi_btree_cursor place;

            assert_ptr_equal(akvi_btree_find_place(&tree, it->key, &place),
                             there ? array[at] : NULL);
            if (!there) {
                assert_ok(akvi_btree_insert(&tree, &it->key, step % 3 ? &place : NULL));
                memmove(array + at + 1, array + at, (n++ - at) * sizeof(void *));
                array[at] = it;
                it        = NULL;
            }
        } else {
            assert_ptr_equal(akvi_btree_remove(&tree, it->key), there ? array[at] : NULL);
            if (there) {
                free(array[at]);
                memmove(array + at, array + at + 1, (--n - at) * sizeof(void *));
            }
        }
        if (it)
            check_seek(&tree, array, n, it);
        free(it);
        if (step % (steps / 16) == 0)
            check_scans(&tree, array, n);
    }
    while (n > 0) { /* from the ends and the middle, down to nothing */
        size_t at = n % 3 == 0 ? 0 : n % 3 == 1 ? n - 1 : n / 2;

        assert_ptr_equal(akvi_btree_remove(&tree, array[at]->key), array[at]);
        free(array[at]);
        memmove(array + at, array + at + 1, (--n - at) * sizeof(void *));
        if (n % 512 == 0)
            check_scans(&tree, array, n);
    }
    assert_true(tree.bytes <= sizeof(akvi_btree_leaf));
    akvi_btree_free(&tree);
    assert_int_equal(akvt_allocator_out(), 0);
    free(array);
}

static void test_btree_agrees_with_a_sorted_array(void **state)
{
    static const uint64_t ranges[KINDS] = {20000, 144, 20000, 6561, 65536};

    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++)
        run_random(kind, ranges[kind], 40000 * akvt_scale());
}

static void test_btree_keeps_leaves_full_when_keys_come_in_order(void **state)
{
    enum { N = 20000 };
    item      *items = malloc(N * sizeof *items);
    akvi_btree tree;

    (void)state;
    assert_non_null(items);
    akvi_btree_init(&tree, NULL);
    for (size_t i = 0; i < N; i++) {
        items[i].key = akv_bytes(items[i].bytes, key_make(0, i, items[i].bytes));
        assert_ok(akvi_btree_insert(&tree, &items[i].key, NULL));
    }
    assert_ok(akvi_btree_check(&tree));
    assert_true(tree.bytes < N / AKVI_BTREE_FANOUT * sizeof(akvi_btree_leaf) * 11 / 10);
    akvi_btree_free(&tree);
    free(items);
}

static void test_btree_gives_memory_back_when_most_items_go(void **state)
{
    enum { N = 40000 };
    item      *items = malloc(N * sizeof *items);
    akvi_btree tree;
    uint64_t   full;

    (void)state;
    assert_non_null(items);
    akvi_btree_init(&tree, NULL);
    for (size_t i = 0; i < N; i++) {
        items[i].key = akv_bytes(items[i].bytes, key_make(2, i, items[i].bytes));
        assert_ok(akvi_btree_insert(&tree, &items[i].key, NULL));
    }
    full = tree.bytes;
    for (size_t i = 0; i < N; i++) {
        if (i % 100 != 0)
            assert_ptr_equal(akvi_btree_remove(&tree, items[i].key), &items[i]);
    }
    assert_ok(akvi_btree_check(&tree));
    assert_true(tree.bytes < full / 15);
    akvi_btree_free(&tree);
    free(items);
}

static void test_btree_find_many_answers_as_find(void **state)
{
    enum { N = 5000, ASK = 100 };
    item       *items = malloc(N * sizeof *items);
    akvt_random r     = akvt_random_new(9);
    item        asked[ASK];
    akv_slice   keys[ASK], *found[ASK];
    akvi_btree  tree;

    (void)state;
    assert_non_null(items);
    akvi_btree_init(&tree, NULL);
    for (size_t i = 0; i < N; i++)
        items[i].key = akv_bytes(items[i].bytes, key_make(3, i * 2, items[i].bytes));
    for (size_t n = 0; n <= N; n = n ? n * 5 : 8) {
        for (size_t i = tree.n; i < n; i++)
            assert_ok(akvi_btree_insert(&tree, &items[i].key, NULL));
        for (size_t i = 0; i < ASK; i++) {
            asked[i].key =
                akv_bytes(asked[i].bytes, key_make(3, akvt_below(&r, N * 2), asked[i].bytes));
            keys[i] = asked[i].key;
        }
        akvi_btree_find_many(&tree, ASK, keys, found);
        for (size_t i = 0; i < ASK; i++)
            assert_ptr_equal(found[i], akvi_btree_find(&tree, keys[i]));
    }
    akvi_btree_free(&tree);
    free(items);
}

static void test_btree_rank_tells_about_where_a_key_is(void **state)
{
    enum { N = 10000 };
    item      *items = malloc(N * sizeof *items);
    akvi_btree tree;

    (void)state;
    assert_non_null(items);
    akvi_btree_init(&tree, NULL);
    assert_true(akvi_btree_rank(&tree, akv_str("x")) == 0);
    for (size_t i = 0; i < N; i++) {
        items[i].key = akv_bytes(items[i].bytes, key_make(0, i * 7919 % N, items[i].bytes));
        assert_ok(akvi_btree_insert(&tree, &items[i].key, NULL));
    }
    for (size_t i = 0; i < N; i += 500) {
        char   bytes[48];
        double rank = akvi_btree_rank(&tree, akv_bytes(bytes, key_make(0, i, bytes)));

        assert_true(rank * N > (double)i - 1500 && rank * N < (double)i + 1500);
    }
    assert_true(akvi_btree_rank(&tree, akv_str("")) == 0);
    assert_true(akvi_btree_rank(&tree, akv_str("b")) > 0.999);
    akvi_btree_free(&tree);
    free(items);
}

static void test_btree_stamp_changes_when_items_move(void **state)
{
    item       a = {akv_str("a"), ""}, b = {akv_str("b"), ""};
    akvi_btree tree;
    uint64_t   stamp;

    (void)state;
    akvi_btree_init(&tree, NULL);
    assert_ok(akvi_btree_insert(&tree, &a.key, NULL));
    stamp = tree.stamp;
    akvi_btree_find(&tree, b.key);
    assert_int_equal(tree.stamp, stamp);
    assert_ok(akvi_btree_insert(&tree, &b.key, NULL));
    assert_int_not_equal(tree.stamp, stamp);
    stamp = tree.stamp;
    akvi_btree_remove(&tree, a.key);
    assert_int_not_equal(tree.stamp, stamp);
    akvi_btree_free(&tree);
}

static void test_btree_is_whole_when_memory_runs_out(void **state)
{
    enum { N = 700 };
    item *items[N], *missing[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        items[i] = item_new(2, i);
    for (uint64_t nth = 1; nth != 0; nth++) {
        akvi_btree tree;
        size_t     missing_n = 0;

        akvi_btree_init(&tree, akvt_failing_allocator(nth));
        for (size_t i = 0; i < N; i++) {
            if (akvi_btree_insert(&tree, &items[i]->key, NULL) != AKV_OK)
                missing[missing_n++] = items[i];
        }
        assert_ok(akvi_btree_check(&tree));
        assert_int_equal(tree.n + missing_n, N);
        for (size_t i = 0; i < missing_n; i++) {
            assert_null(akvi_btree_find(&tree, missing[i]->key));
            assert_ok(akvi_btree_insert(&tree, &missing[i]->key, NULL));
        }
        assert_ok(akvi_btree_check(&tree));
        akvi_btree_free(&tree);
        assert_int_equal(akvt_allocator_out(), 0);
        if (missing_n == 0)
            nth = UINT64_MAX;
    }
    for (size_t i = 0; i < N; i++)
        free(items[i]);
}

static void test_btree_check_notices_damage(void **state)
{
    item       a = {akv_str("a"), ""}, b = {akv_str("b"), ""};
    akvi_btree tree;

    (void)state;
    akvi_btree_init(&tree, NULL);
    assert_ok(akvi_btree_insert(&tree, &a.key, NULL));
    assert_ok(akvi_btree_insert(&tree, &b.key, NULL));
    tree.first->heads[1]++;
    assert_status(AKV_CORRUPT, akvi_btree_check(&tree));
    tree.first->heads[1]--;
    tree.n++;
    assert_status(AKV_CORRUPT, akvi_btree_check(&tree));
    tree.n--;
    assert_ok(akvi_btree_check(&tree));
    akvi_btree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_btree_agrees_with_a_sorted_array),
        cmocka_unit_test(test_btree_keeps_leaves_full_when_keys_come_in_order),
        cmocka_unit_test(test_btree_gives_memory_back_when_most_items_go),
        cmocka_unit_test(test_btree_find_many_answers_as_find),
        cmocka_unit_test(test_btree_rank_tells_about_where_a_key_is),
        cmocka_unit_test(test_btree_stamp_changes_when_items_move),
        cmocka_unit_test(test_btree_is_whole_when_memory_runs_out),
        cmocka_unit_test(test_btree_check_notices_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
