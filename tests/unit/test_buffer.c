/* SPDX-License-Identifier: MIT
 *
 * test_buffer.c: growing buffers.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"

#include <string.h>

static void test_buffer_append_grows_geometrically(void **state)
{
    akv_buffer b   = {NULL, 0, 0, akvt_failing_allocator(0)};
    size_t     cap = 0, grown = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        assert_ok(akvi_buffer_byte(&b, (uint8_t)i));
        grown += b.cap != cap;
        cap = b.cap;
    }
    assert_int_equal(b.len, 100000);
    assert_in_range(grown, 1, 12);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(((uint8_t *)b.data)[i], (uint8_t)i);
    akv_buffer_free(&b);
    assert_int_equal(akvt_allocator_out(), 0);
    assert_int_equal(b.cap, 0);
    akv_buffer_free(&b);
    akv_buffer_free(NULL);
}

static void test_buffer_failed_call_leaves_it_as_it_was(void **state)
{
    akv_buffer b = {NULL, 0, 0, akvt_failing_allocator(0)};
    char       big[500];

    (void)state;
    memset(big, 'x', sizeof big);
    assert_ok(akvi_buffer_text(&b, "kept"));
    akvt_failing_allocator(1);
    assert_status(AKV_NOMEM, akv_buffer_append(&b, big, sizeof big));
    akvt_failing_allocator(1);
    assert_status(AKV_NOMEM, akvi_buffer_set(&b, big, sizeof big));
    akvt_failing_allocator(1);
    assert_status(AKV_NOMEM, akvi_buffer_resize(&b, sizeof big));
    akvt_failing_allocator(1);
    assert_status(AKV_NOMEM, akvi_buffer_printf(&b, "%500d", 1));
    akvt_failing_allocator(0);
    assert_status(AKV_NOMEM, akvi_buffer_reserve(&b, SIZE_MAX - 2));
    assert_status(AKV_NOMEM, akvi_buffer_reserve(&b, SIZE_MAX / 2 + 1));
    assert_slice(akvi_buffer_slice(&b), "kept");
    akv_buffer_free(&b);
}

static void test_buffer_set_replaces(void **state)
{
    akv_buffer b = AKV_BUFFER_INIT;

    (void)state;
    assert_ok(akvi_buffer_set(&b, "longer text", 11));
    assert_ok(akvi_buffer_set(&b, "short", 5));
    assert_slice(akvi_buffer_slice(&b), "short");
    assert_ok(akvi_buffer_set(&b, NULL, 0));
    assert_int_equal(b.len, 0);
    akv_buffer_free(&b);
}

static void test_buffer_printf_appends_of_any_length(void **state)
{
    akv_buffer b = AKV_BUFFER_INIT;

    (void)state;
    assert_ok(akvi_buffer_printf(&b, "%d,", 42));
    assert_ok(akvi_buffer_printf(&b, "%0200d", 7));
    assert_int_equal(b.len, 203);
    assert_memory_equal(b.data, "42,000", 6);
    assert_int_equal(((char *)b.data)[202], '7');
    akv_buffer_free(&b);
}

static void test_buffer_extend_points_at_new_bytes(void **state)
{
    akv_buffer b = AKV_BUFFER_INIT;
    char      *at;

    (void)state;
    assert_non_null(akvi_buffer_extend(&b, 0));
    assert_ok(akvi_buffer_text(&b, "ab"));
    at = akvi_buffer_extend(&b, 2);
    assert_non_null(at);
    memcpy(at, "cd", 2);
    assert_slice(akvi_buffer_slice(&b), "abcd");
    akv_buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_append_grows_geometrically),
        cmocka_unit_test(test_buffer_failed_call_leaves_it_as_it_was),
        cmocka_unit_test(test_buffer_set_replaces),
        cmocka_unit_test(test_buffer_printf_appends_of_any_length),
        cmocka_unit_test(test_buffer_extend_points_at_new_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
