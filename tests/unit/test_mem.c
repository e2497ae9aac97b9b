/* SPDX-License-Identifier: MIT
 *
 * test_mem.c: memory through the caller's allocator, and the budget over it.
 */
#include "tests/testing.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <string.h>

static void test_blocks_go_back_with_the_size_they_had(void **state)
{
    const akv_allocator *a     = akvt_failing_allocator(0);
    uint8_t             *block = akvi_alloc(a, 0), *zeroes = akvi_zalloc(a, 100);
    char                *text = akvi_strdup(a, "a text");

    (void)state;
    assert_non_null(block);
    block = akvi_resize(a, block, 0, 50);
    assert_non_null(block);
    block = akvi_resize(a, block, 50, 0);
    assert_non_null(block);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroes[i], 0);
    assert_string_equal(text, "a text");
    akvi_free(a, block, 0);
    akvi_free(a, zeroes, 100);
    akvi_strfree(a, text);
    akvi_free(a, NULL, 7);
    akvi_strfree(a, NULL);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_resize_keeps_what_fits(void **state)
{
    char *block = akvi_resize(NULL, NULL, 0, 4);

    (void)state;
    memcpy(block, "abcd", 4);
    block = akvi_resize(NULL, block, 4, 4000);
    assert_memory_equal(block, "abcd", 4);
    block = akvi_resize(NULL, block, 4000, 2);
    assert_memory_equal(block, "ab", 2);
    akvi_free(NULL, block, 2);
}

static void test_no_memory_is_recorded(void **state)
{
    (void)state;
    akvi_call_begin();
    assert_null(akvi_alloc(akvt_failing_allocator(1), 12345));
    assert_int_equal(akvi_pending_error()->code, AKV_NOMEM);
    assert_error_has("12345");
    akvi_call_begin();
    assert_null(akvi_alloc_n(NULL, SIZE_MAX / 2, 3));
    assert_int_equal(akvi_pending_error()->code, AKV_NOMEM);
    akvi_call_begin();
    assert_null(akvi_strdup(akvt_failing_allocator(1), "x"));
    assert_int_equal(akvi_pending_error()->code, AKV_NOMEM);
}

static void test_wipe_leaves_zeroes(void **state)
{
    uint8_t key[32];

    (void)state;
    memset(key, 0x5a, sizeof key);
    akvi_wipe(key + 1, sizeof key - 2);
    assert_int_equal(key[0], 0x5a);
    for (int i = 1; i < 31; i++)
        assert_int_equal(key[i], 0);
    assert_int_equal(key[31], 0x5a);
}

static void test_budget_refuses_what_would_pass_its_bound(void **state)
{
    akvi_budget          budget;
    const akv_allocator *a = &budget.allocator;
    void                *x, *y;

    (void)state;
    akvi_budget_init(&budget, akvt_failing_allocator(0), 100);
    x = akvi_alloc(a, 60);
    assert_non_null(x);
    assert_null(akvi_alloc(a, 41));
    assert_null(akvi_alloc(a, SIZE_MAX));
    y = akvi_alloc(a, 40);
    assert_non_null(y);
    assert_null(akvi_resize(a, x, 60, 61));
    x = akvi_resize(a, x, 60, 10);
    assert_non_null(x);
    assert_int_equal(budget.used, 50);
    x = akvi_resize(a, x, 10, 60);
    assert_non_null(x);
    akvi_free(a, x, 60);
    akvi_free(a, y, 40);
    assert_int_equal(budget.used, 0);
    assert_int_equal(budget.peak, 100);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_budget_takes_back_what_the_system_refused(void **state)
{
    akvi_budget budget;
    void       *x;

    (void)state;
    akvi_budget_init(&budget, akvt_failing_allocator(0), 0);
    x = akvi_alloc(&budget.allocator, 10);
    akvt_failing_allocator(1);
    assert_null(akvi_alloc(&budget.allocator, 1000));
    assert_int_equal(budget.used, 10);
    akvt_failing_allocator(1);
    assert_null(akvi_resize(&budget.allocator, x, 10, 1000));
    assert_int_equal(budget.used, 10);
    akvi_free(&budget.allocator, x, 10);
    assert_int_equal(budget.used, 0);
}

#define MEM_THREADS 4
#define MEM_LIMIT   4000u

static void *mem_thread(void *user)
{
    akvi_budget *budget = user;
    akvt_random  r      = {(uint64_t)(uintptr_t)&r};

    for (int i = 0; i < 5000; i++) {
        size_t size  = 1 + akvt_below(&r, 2000);
        void  *block = budget->allocator.alloc(budget, size);

        if (!block)
            continue;
        if (atomic_load(&budget->used) > MEM_LIMIT)
            return user; /* over the bound */
        budget->allocator.release(budget, block, size);
    }
    return NULL;
}

static void test_budget_holds_with_many_threads(void **state)
{
    akvi_budget budget;
    pthread_t   threads[MEM_THREADS];
    void       *over = NULL;

    (void)state;
    akvi_budget_init(&budget, NULL, MEM_LIMIT);
    for (int i = 0; i < MEM_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mem_thread, &budget), 0);
    for (int i = 0; i < MEM_THREADS; i++) {
        pthread_join(threads[i], &over);
        assert_null(over);
    }
    assert_int_equal(budget.used, 0);
    assert_in_range(budget.peak, 1, MEM_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_go_back_with_the_size_they_had),
        cmocka_unit_test(test_resize_keeps_what_fits),
        cmocka_unit_test(test_no_memory_is_recorded),
        cmocka_unit_test(test_wipe_leaves_zeroes),
        cmocka_unit_test(test_budget_refuses_what_would_pass_its_bound),
        cmocka_unit_test(test_budget_takes_back_what_the_system_refused),
        cmocka_unit_test(test_budget_holds_with_many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
