/* SPDX-License-Identifier: MIT
 *
 * test_lsm_filter.c: a filter denies no key that is there, and few others pass.
 */
#include "tests/testing.h"

#include "engines/lsm/filter.h"
#include "engines/lsm/table.h"

#include <stdlib.h>

static uint64_t filter_hash_of(uint64_t number)
{
    uint8_t key[16] = "key of a test";

    akvi_put_be64(key + 8, number);
    return akvi_lsm_filter_hash(akv_bytes(key, sizeof key));
}

/* The share of 200,000 keys that are not there and pass, in 1/10000. */
static unsigned filter_wrong(size_t n, uint32_t bits)
{
    lsm_filter f;
    uint32_t   probes;
    uint64_t   lines  = akvi_lsm_filter_lines(n, bits, &probes);
    uint8_t   *bytes  = calloc((size_t)lines, LSM_FILTER_LINE);
    uint64_t  *hashes = malloc(n * sizeof *hashes);
    unsigned   wrong  = 0;

    assert_non_null(bytes);
    assert_non_null(hashes);
    for (size_t i = 0; i < n; i++)
        hashes[i] = filter_hash_of(i);
    akvi_lsm_filter_fill(bytes, lines, probes, hashes, n);
    f = (lsm_filter){bytes, lines, probes};
    for (size_t i = 0; i < n; i++)
        assert_true(akvi_lsm_filter_may_have(&f, hashes[i]));
    for (size_t i = 0; i < 200000; i++)
        wrong += akvi_lsm_filter_may_have(&f, filter_hash_of(n + i));
    free(bytes);
    free(hashes);
    return wrong / 20;
}

static void test_lsm_filter_of_ten_bits_is_wrong_about_one_percent_at_most(void **state)
{
    (void)state;
    assert_in_range(filter_wrong(1000, 10), 1, 110); /* few lines: some luck */
    assert_in_range(filter_wrong(100000, 10), 60, 100);
    assert_in_range(filter_wrong(300000, 10), 60, 100);
}

static void test_lsm_filter_gets_better_with_more_bits(void **state)
{
    (void)state;
    assert_true(filter_wrong(100000, 5) < 1500);
    assert_true(filter_wrong(100000, 12) < 48);
    assert_true(filter_wrong(100000, 16) < 13);
    assert_true(filter_wrong(100000, 20) < 5);
    assert_true(filter_wrong(50, 1) <= 10000);
}

static void test_lsm_filter_places_are_the_same_everywhere(void **state)
{
    uint8_t  line[LSM_FILTER_LINE] = {0};
    uint64_t hash                  = UINT64_C(0x0123456789abcdef);
    uint32_t probes, set = 0;

    (void)state;
    assert_int_equal(akvi_lsm_filter_lines(52, 10, &probes), 2);
    assert_int_equal(akvi_lsm_filter_lines(UINT64_MAX, 10, &probes), LSM_FILTER_LINES_MOST);
    assert_int_equal(probes, 6);
    akvi_lsm_filter_fill(line, 1, probes, &hash, 1);
    for (size_t i = 0; i < sizeof line * 8; i++)
        set += line[i / 8] >> i % 8 & 1;
    assert_int_equal(set, 6);
    for (unsigned i = 0; i < 6; i++) {
        unsigned bit = (unsigned)(akvi_lsm_filter_bits(hash, 0) >> 9 * i) & 511;

        assert_true(line[bit / 8] >> bit % 8 & 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_filter_of_ten_bits_is_wrong_about_one_percent_at_most),
        cmocka_unit_test(test_lsm_filter_gets_better_with_more_bits),
        cmocka_unit_test(test_lsm_filter_places_are_the_same_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
