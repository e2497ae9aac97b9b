/* SPDX-License-Identifier: MIT
 *
 * test_lsm_block.c: blocks of entries: what is put in is found, and any bytes at
 * all may be searched and walked.
 */
#include "tests/unit/lsm_table_body.h"

#include "engines/lsm/block.h"

static void block_make(const body_model *m, uint32_t interval, lsm_block_builder *b, akv_slice *out)
{
    akvi_lsm_block_init(b, NULL, interval);
    for (size_t i = 0; i < m->n; i++) {
        akv_slice last = akvi_lsm_block_last_key(b), key = m->entries[i].key;

        assert_ok(akvi_lsm_block_add(b, &m->entries[i],
                                     akvi_lsm_shared(last.data, last.len, key.data, key.len)));
    }
    assert_ok(akvi_lsm_block_finish(b, out));
}

static void test_lsm_block_seek_is_that_of_the_model(void **state)
{
    static const uint32_t intervals[] = {1, 2, 3, 16, 255};
    akvt_random           r           = akvt_random_new(1);

    (void)state;
    for (size_t i = 0; i < 60; i++) {
        lsm_block_builder b;
        lsm_walk          walk = {.key = AKV_BUFFER_INIT};
        akv_slice         block;
        body_model        m;

        body_make(&m, &r, 1 + akvt_below(&r, 80));
        block_make(&m, intervals[i % AKVI_ARRAY_N(intervals)], &b, &block);
        assert_true(akvi_lsm_view_init(&walk.view, block.data, block.len, LSM_KINDS_DATA));
        for (int k = 0; k < 300; k++) {
            akv_slice key =
                akvt_below(&r, 2) ? body_key(&m.arena, &r) : m.entries[akvt_below(&r, m.n)].key;
            uint64_t   seq = akvt_below(&r, 300);
            size_t     at  = body_seek(&m, key, seq);
            akv_status rc  = akvi_lsm_walk_seek(&walk, key, seq);

            assert_int_equal(rc, at < m.n ? AKV_OK : AKV_END);
            if (rc != AKV_OK)
                continue;
            assert_int_equal(walk.spot.index, at);
            assert_int_equal(walk.spot.item.seq, m.entries[at].seq);
            assert_true(akvi_equal(walk.key.data, walk.key.len, m.entries[at].key.data,
                                   m.entries[at].key.len));
        }
        akv_buffer_free(&walk.key);
        akvi_lsm_block_free(&b);
        body_free(&m);
    }
}

static void test_lsm_block_size_is_told_about_right(void **state)
{
    akvt_random       r = akvt_random_new(2);
    lsm_block_builder b;
    akv_slice         block;
    body_model        m;
    size_t            told;

    (void)state;
    body_make(&m, &r, 200);
    akvi_lsm_block_init(&b, NULL, 16);
    for (size_t i = 0; i < m.n; i++)
        assert_ok(akvi_lsm_block_add(&b, &m.entries[i], 0));
    told = akvi_lsm_block_size(&b, 0);
    assert_ok(akvi_lsm_block_finish(&b, &block));
    assert_in_range(told, block.len - block.len / 5, block.len + block.len / 5);
    akvi_lsm_block_free(&b);
    body_free(&m);
}

/* Bytes changed at random: no answer is asked for, only that there is an end. */
static void test_lsm_block_damaged_is_walked_to_an_end(void **state)
{
    akvt_random r = akvt_random_new(3);

    (void)state;
    for (size_t i = 0; i < 1500; i++) {
        lsm_block_builder b;
        lsm_walk          walk = {.key = AKV_BUFFER_INIT};
        akv_slice         block;
        body_model        m;
        uint8_t          *bytes;
        akv_status        rc;
        lsm_spot          spot;
        uint32_t          index;

        body_make(&m, &r, 1 + akvt_below(&r, 20));
        block_make(&m, 1 + (uint32_t)akvt_below(&r, 6), &b, &block);
        bytes = malloc(block.len); /* of its own, for the sanitizer to guard */
        assert_non_null(bytes);
        memcpy(bytes, block.data, block.len);
        for (uint64_t k = akvt_below(&r, 4) + 1; k > 0; k--)
            bytes[block.len - 1 - akvt_below(&r, block.len < 300 ? block.len : 300)] =
                (uint8_t)(akvt_below(&r, 2) ? akvt_next(&r) : akvt_below(&r, 3));
        if (akvi_lsm_view_init(&walk.view, bytes, block.len, LSM_KINDS_DATA)) {
            for (rc = akvi_lsm_walk_restart(&walk, 0); rc == AKV_OK; rc = akvi_lsm_walk_next(&walk))
                assert_true(walk.spot.index < walk.view.entries_n);
            for (size_t k = 0; k < m.n; k++) {
                (void)akvi_lsm_view_seek(&walk.view, m.entries[k].key, 5, &spot);
                (void)akvi_lsm_view_find(&walk.view, m.entries[k].key, 5, &index);
                (void)akvi_lsm_walk_seek(&walk, m.entries[k].key, 5);
            }
        }
        free(bytes);
        akv_buffer_free(&walk.key);
        akvi_lsm_block_free(&b);
        body_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_block_seek_is_that_of_the_model),
        cmocka_unit_test(test_lsm_block_size_is_told_about_right),
        cmocka_unit_test(test_lsm_block_damaged_is_walked_to_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
