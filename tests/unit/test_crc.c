/* SPDX-License-Identifier: MIT
 *
 * test_crc.c: the two checksums, by every way this machine has.
 */
#include "tests/testing.h"

#include "common/base/bytes.h"
#include "common/codec/crc.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define CRC_BUF 20000u

static uint8_t crc_buf[CRC_BUF + 16];

/* By definition: bit by bit. */
static uint32_t crc_bitwise(uint32_t poly, uint32_t crc, const uint8_t *p, size_t len)
{
    crc = ~crc;
    while (len-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ poly : crc >> 1;
    }
    return ~crc;
}

static void test_crc_check_values(void **state)
{
    uint8_t bytes[32];

    (void)state;
    printf("# crc32c by %s, crc32 by %s\n", akvi_crc32c_name(), akvi_crc32_name());
    assert_int_equal(akvi_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(akvi_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(akvi_crc32c_portable(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes); /* RFC 3720, B.4 */
    assert_int_equal(akvi_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(akvi_crc32c(0, bytes, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(akvi_crc32c(0, bytes, 32), 0x46dd794e);
}

static void test_crc_of_nothing_is_what_came_before(void **state)
{
    (void)state;
    assert_int_equal(akvi_crc32(0, NULL, 0), 0);
    assert_int_equal(akvi_crc32(7, NULL, 0), 7);
    assert_int_equal(akvi_crc32c(0, NULL, 0), 0);
    assert_int_equal(akvi_crc32c(7, NULL, 0), 7);
    assert_int_equal(akvi_crc32c_portable(7, NULL, 0), 7);
}

static void test_crc_of_every_short_length_and_alignment(void **state)
{
    akvt_random r = akvt_random_new(1);

    (void)state;
    akvt_fill(&r, crc_buf, sizeof crc_buf);
    for (size_t at = 0; at < 9; at++) {
        for (size_t len = 0; len < 70; len++) {
            uint32_t before = (uint32_t)akvt_next(&r);
            uint32_t want   = crc_bitwise(0x82f63b78, before, crc_buf + at, len);

            assert_int_equal(akvi_crc32c(before, crc_buf + at, len), want);
            assert_int_equal(akvi_crc32c_portable(before, crc_buf + at, len), want);
            assert_int_equal(akvi_crc32(before, crc_buf + at, len),
                             crc_bitwise(0xedb88320, before, crc_buf + at, len));
        }
    }
}

static void test_crc_of_long_input_in_any_pieces(void **state)
{
    akvt_random r = akvt_random_new(2);

    (void)state;
    akvt_fill(&r, crc_buf, sizeof crc_buf);
    for (int i = 0; i < 60; i++) {
        size_t   at    = akvt_below(&r, 16);
        size_t   len   = akvt_below(&r, CRC_BUF);
        size_t   cut   = akvt_below(&r, len + 1);
        uint32_t whole = crc_bitwise(0x82f63b78, 0, crc_buf + at, len);

        assert_int_equal(akvi_crc32c(0, crc_buf + at, len), whole);
        assert_int_equal(akvi_crc32c_portable(0, crc_buf + at, len), whole);
        assert_int_equal(
            akvi_crc32c(akvi_crc32c(0, crc_buf + at, cut), crc_buf + at + cut, len - cut), whole);
        whole = akvi_crc32(0, crc_buf + at, len);
        assert_int_equal(whole, crc32(0, crc_buf + at, (uInt)len));
        assert_int_equal(akvi_crc32_combine(akvi_crc32(0, crc_buf + at, cut),
                                            akvi_crc32(0, crc_buf + at + cut, len - cut),
                                            len - cut),
                         whole);
    }
}

static void test_crc_combines_lengths_beyond_32_bits(void **state)
{
    uint32_t a = akvi_crc32(0, "head", 4), zeroes = 0, len_crc;
    uint64_t len  = 1;
    uint8_t  zero = 0;

    (void)state;
    /* 2^40 zero bytes, doubled up from one. */
    zeroes = akvi_crc32(0, &zero, 1);
    for (; len < UINT64_C(1) << 40; len *= 2)
        zeroes = akvi_crc32_combine(zeroes, zeroes, len);
    len_crc = a;
    for (uint64_t left = len; left > 0; left -= UINT64_C(1) << 31) {
        static uint32_t piece; /* 2^31 zero bytes */

        if (piece == 0) {
            piece = akvi_crc32(0, &zero, 1);
            for (uint64_t n = 1; n < UINT64_C(1) << 31; n *= 2)
                piece = akvi_crc32_combine(piece, piece, n);
        }
        len_crc = akvi_crc32_combine(len_crc, piece, UINT64_C(1) << 31);
    }
    assert_int_equal(akvi_crc32_combine(a, zeroes, len), len_crc);
}

static void *crc_thread(void *user)
{
    *(uint32_t *)user = akvi_crc32c(0, "123456789", 9);
    return NULL;
}

/* First, so that the choice is made by all of them at once. */
static void test_crc_first_use_by_many_threads(void **state)
{
    pthread_t threads[8];
    uint32_t  got[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crc_thread, &got[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(got[i], 0xe3069283);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_first_use_by_many_threads),
        cmocka_unit_test(test_crc_check_values),
        cmocka_unit_test(test_crc_of_nothing_is_what_came_before),
        cmocka_unit_test(test_crc_of_every_short_length_and_alignment),
        cmocka_unit_test(test_crc_of_long_input_in_any_pieces),
        cmocka_unit_test(test_crc_combines_lengths_beyond_32_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
