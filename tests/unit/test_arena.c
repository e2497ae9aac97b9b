/* SPDX-License-Identifier: MIT
 *
 * test_arena.c: memory given out piece by piece.
 */
#include "tests/testing.h"

#include "common/base/arena.h"

#include <string.h>

static void test_arena_pieces_are_aligned_and_apart(void **state)
{
    akvi_arena  arena;
    akvt_random r = akvt_random_new(1);
    uint8_t    *pieces[2000];
    size_t      sizes[2000];

    (void)state;
    akvi_arena_init(&arena, akvt_failing_allocator(0));
    for (size_t i = 0; i < 2000; i++) {
        sizes[i]  = akvt_below(&r, i % 100 == 0 ? 300000 : 200);
        pieces[i] = akvi_arena_alloc(&arena, sizes[i]);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] & 7, 0);
        memset(pieces[i], (int)(i & 0xff), sizes[i]);
        assert_non_null(akvi_arena_copy(&arena, "odd", 3));
    }
    for (size_t i = 0; i < 2000; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], i & 0xff);
    }
    akvi_arena_free(&arena);
    assert_int_equal(akvt_allocator_out(), 0);
    assert_int_equal(arena.bytes, 0);
}

static void test_arena_copy_keeps_the_bytes(void **state)
{
    akvi_arena arena;
    char       text[] = "first";
    char      *copy, *empty;

    (void)state;
    akvi_arena_init(&arena, NULL);
    copy  = akvi_arena_copy(&arena, text, sizeof text);
    empty = akvi_arena_copy(&arena, NULL, 0);
    assert_non_null(empty);
    memset(text, 0, sizeof text);
    assert_string_equal(copy, "first");
    akvi_arena_free(&arena);
}

static void test_arena_of_small_pieces_takes_few_blocks(void **state)
{
    akvi_arena arena;

    (void)state;
    akvi_arena_init(&arena, akvt_failing_allocator(0));
    for (int i = 0; i < 100000; i++)
        assert_non_null(akvi_arena_alloc(&arena, 16));
    assert_in_range(akvt_allocator_out(), 1, 12);
    assert_in_range(arena.bytes, 1600000, 4000000);
    akvi_arena_free(&arena);
}

static void test_arena_big_piece_does_not_waste_the_block(void **state)
{
    akvi_arena arena;
    uint8_t   *small, *next;

    (void)state;
    akvi_arena_init(&arena, NULL);
    small = akvi_arena_alloc(&arena, 8);
    assert_non_null(akvi_arena_alloc(&arena, 1 << 20));
    next = akvi_arena_alloc(&arena, 8);
    assert_ptr_equal(next, small + 8);
    akvi_arena_free(&arena);
}

static void test_arena_reset_keeps_one_block(void **state)
{
    akvi_arena arena;
    size_t     bytes;

    (void)state;
    akvi_arena_init(&arena, akvt_failing_allocator(0));
    akvi_arena_reset(&arena);
    for (int i = 0; i < 1000; i++)
        assert_non_null(akvi_arena_alloc(&arena, 100));
    akvi_arena_reset(&arena);
    assert_int_equal(akvt_allocator_out(), 1);
    bytes = arena.bytes;
    assert_non_null(akvi_arena_alloc(&arena, 1000));
    assert_int_equal(arena.bytes, bytes);
    akvi_arena_free(&arena);
    assert_non_null(akvi_arena_alloc(&arena, 8 << 20));
    akvi_arena_reset(&arena); /* but not a huge one */
    assert_int_equal(arena.bytes, 0);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_arena_survives_every_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        akvi_arena arena;
        size_t     failed = 0;

        akvi_arena_init(&arena, akvt_failing_allocator(nth));
        for (size_t i = 0; i < 300; i++) {
            akvi_call_begin();
            if (!akvi_arena_alloc(&arena, i % 50 == 0 ? 100000 : 100)) {
                assert_int_equal(akvi_pending_error()->code, AKV_NOMEM);
                failed++;
            }
        }
        akvi_call_begin();
        assert_null(akvi_arena_alloc(&arena, SIZE_MAX - 4));
        akvi_arena_free(&arena);
        assert_int_equal(akvt_allocator_out(), 0);
        if (failed == 0)
            break;
        assert_int_equal(failed, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_arena_copy_keeps_the_bytes),
        cmocka_unit_test(test_arena_of_small_pieces_takes_few_blocks),
        cmocka_unit_test(test_arena_big_piece_does_not_waste_the_block),
        cmocka_unit_test(test_arena_reset_keeps_one_block),
        cmocka_unit_test(test_arena_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
