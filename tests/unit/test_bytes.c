/* SPDX-License-Identifier: MIT
 *
 * test_bytes.c: byte order, checked arithmetic, varints, comparing.
 */
#include "tests/testing.h"

#include "common/base/bytes.h"

static void test_integers_have_the_byte_order_their_name_says(void **state)
{
    uint8_t b[8];

    (void)state;
    akvi_put_le16(b, 0x1234);
    assert_memory_equal(b, "\x34\x12", 2);
    akvi_put_le32(b, 0x12345678);
    assert_memory_equal(b, "\x78\x56\x34\x12", 4);
    akvi_put_le64(b, UINT64_C(0x0123456789abcdef));
    assert_memory_equal(b, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8);
    akvi_put_be16(b, 0x1234);
    assert_memory_equal(b, "\x12\x34", 2);
    akvi_put_be32(b, 0x12345678);
    assert_memory_equal(b, "\x12\x34\x56\x78", 4);
    akvi_put_be64(b, UINT64_C(0x0123456789abcdef));
    assert_memory_equal(b, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
}

static void test_integers_read_back_at_any_alignment(void **state)
{
    akvt_random r = akvt_random_new(1);
    uint8_t     b[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t v  = akvt_next(&r);
        uint8_t *at = b + akvt_below(&r, 8);

        akvi_put_le16(at, (uint16_t)v);
        assert_int_equal(akvi_get_le16(at), (uint16_t)v);
        akvi_put_be16(at, (uint16_t)v);
        assert_int_equal(akvi_get_be16(at), (uint16_t)v);
        akvi_put_le32(at, (uint32_t)v);
        assert_int_equal(akvi_get_le32(at), (uint32_t)v);
        akvi_put_be32(at, (uint32_t)v);
        assert_int_equal(akvi_get_be32(at), (uint32_t)v);
        akvi_put_le64(at, v);
        assert_true(akvi_get_le64(at) == v);
        akvi_put_be64(at, v);
        assert_true(akvi_get_be64(at) == v);
    }
}

static void test_sums_and_products_tell_overflow(void **state)
{
    size_t   z;
    uint64_t u;

    (void)state;
    assert_true(akvi_add_size(SIZE_MAX - 1, 1, &z) && z == SIZE_MAX);
    assert_false(akvi_add_size(SIZE_MAX, 1, &z));
    assert_true(akvi_mul_size(SIZE_MAX / 2, 2, &z) && z == SIZE_MAX - 1);
    assert_false(akvi_mul_size(SIZE_MAX / 2 + 1, 2, &z));
    assert_true(akvi_mul_size(0, SIZE_MAX, &z) && z == 0);
    assert_true(akvi_add_u64(UINT64_MAX, 0, &u) && u == UINT64_MAX);
    assert_false(akvi_add_u64(UINT64_MAX, UINT64_MAX, &u));
    assert_true(akvi_mul_u64(UINT64_C(1) << 32, UINT32_MAX, &u));
    assert_false(akvi_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &u));
}

static void test_range_must_lie_within_its_end(void **state)
{
    (void)state;
    assert_true(akvi_range_ok(0, 0, 0));
    assert_true(akvi_range_ok(3, 7, 10));
    assert_true(akvi_range_ok(10, 0, 10));
    assert_false(akvi_range_ok(3, 8, 10));
    assert_false(akvi_range_ok(11, 0, 10));
    assert_false(akvi_range_ok(8, UINT64_MAX - 4, 10));
    assert_false(akvi_range_ok(UINT64_MAX, 2, 10));
}

static void bytes_varint_round(uint64_t v, size_t want_len)
{
    uint8_t  b[AKVI_VARINT_MAX];
    uint64_t got = ~v;
    size_t   n   = akvi_put_varint(b, v);

    assert_int_equal(n, akvi_varint_len(v));
    if (want_len)
        assert_int_equal(n, want_len);
    assert_int_equal(akvi_get_varint(b, n, &got), n);
    assert_true(got == v);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(akvi_get_varint(b, cut, &got), 0);
}

static void test_varints_read_back_and_refuse_to_be_cut(void **state)
{
    akvt_random r = akvt_random_new(2);
    uint8_t     b[AKVI_VARINT_MAX];

    (void)state;
    assert_int_equal(akvi_put_varint(b, 300), 2);
    assert_memory_equal(b, "\xac\x02", 2);
    bytes_varint_round(0, 1);
    bytes_varint_round(127, 1);
    bytes_varint_round(128, 2);
    bytes_varint_round(16383, 2);
    bytes_varint_round(16384, 3);
    bytes_varint_round(UINT64_MAX >> 1, 9);
    bytes_varint_round(UINT64_MAX, 10);
    for (int i = 0; i < 1000; i++)
        bytes_varint_round(akvt_next(&r) >> akvt_below(&r, 64), 0);
}

static void test_varints_have_one_spelling(void **state)
{
    static const struct {
        const char *bytes;
        size_t      len;
    } bad[] = {
        {"\x80\x00", 2},                                          /* 0 in two bytes */
        {"\xac\x82\x00", 3},                                      /* 300 in three */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},         /* over 64 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11},     /* over ten bytes */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* and more */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 10},
    };
    uint64_t v;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(bad); i++)
        assert_int_equal(akvi_get_varint(bad[i].bytes, bad[i].len, &v), 0);
}

static void test_zigzag_keeps_small_numbers_small(void **state)
{
    static const int64_t numbers[] = {0, -1, 1, -2, 2};
    static const int64_t edges[]   = {INT64_MIN, INT64_MAX, -1000000, 1000000};

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(numbers); i++) {
        assert_true(akvi_zigzag(numbers[i]) == i);
        assert_true(akvi_unzigzag(i) == numbers[i]);
    }
    for (size_t i = 0; i < AKVI_ARRAY_N(edges); i++)
        assert_true(akvi_unzigzag(akvi_zigzag(edges[i])) == edges[i]);
}

static void test_order_is_memcmp_then_length(void **state)
{
    (void)state;
    assert_true(akvi_compare("a", 1, "b", 1) < 0);
    assert_true(akvi_compare("b", 1, "a", 1) > 0);
    assert_true(akvi_compare("a", 1, "ab", 2) < 0);
    assert_true(akvi_compare("ab", 2, "a", 1) > 0);
    assert_true(akvi_compare("\x7f", 1, "\x80", 1) < 0);
    assert_int_equal(akvi_compare("same", 4, "same", 4), 0);
    assert_int_equal(akvi_compare(NULL, 0, NULL, 0), 0);
    assert_true(akvi_compare(NULL, 0, "", 1) < 0);
    assert_true(akvi_equal(NULL, 0, "x", 0));
    assert_false(akvi_equal("x", 1, "xy", 2));
    assert_true(akvi_equal("a\0b", 3, "a\0b", 3));
    assert_false(akvi_equal("a\0b", 3, "a\0c", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_have_the_byte_order_their_name_says),
        cmocka_unit_test(test_integers_read_back_at_any_alignment),
        cmocka_unit_test(test_sums_and_products_tell_overflow),
        cmocka_unit_test(test_range_must_lie_within_its_end),
        cmocka_unit_test(test_varints_read_back_and_refuse_to_be_cut),
        cmocka_unit_test(test_varints_have_one_spelling),
        cmocka_unit_test(test_zigzag_keeps_small_numbers_small),
        cmocka_unit_test(test_order_is_memcmp_then_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
