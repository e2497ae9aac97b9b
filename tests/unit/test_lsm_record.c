/* SPDX-License-Identifier: MIT
 *
 * Records of the write-ahead log, and the names of a store's files: what is
 * written is read back, byte for byte as drawn in format.h, and no bytes make
 * the reader go wrong.
 */
#include "common/base/buffer.h"
#include "engines/lsm/format.h"
#include "engines/lsm/manifest.h"
#include "engines/lsm/wal.h"
#include "tests/testing.h"

#include <stdlib.h>
#include <string.h>

static lsm_entry record_entry(lsm_kind kind, const char *key, const char *value)
{
    return (lsm_entry){.kind = (uint8_t)kind, .key = akv_str(key), .value = akv_str(value)};
}

static void record_expect(lsm_record_reader *r, uint64_t seq, const lsm_entry *want)
{
    lsm_entry got;

    assert_ok(akvi_lsm_record_next(r, &got));
    assert_int_equal(got.seq, seq);
    assert_int_equal(got.kind, want->kind);
    assert_int_equal(got.encoding, want->encoding);
    assert_int_equal(got.expiry_ms, want->expiry_ms);
    assert_true(akvi_equal(got.key.data, got.key.len, want->key.data, want->key.len));
    assert_true(akvi_equal(got.value.data, got.value.len, want->value.data, want->value.len));
}

static void test_record_is_as_drawn(void **state)
{
    static const uint8_t golden[] = {0x07, 0,    0,    0, 0, 0, 0,   0,   2,   0,    0, 0,
                                     0x31, 0xe8, 0x07, 1, 1, 2, 'k', 'h', 'i', 0x02, 1, 'x'};
    akv_buffer           record   = AKV_BUFFER_INIT;
    lsm_entry            put      = record_entry(LSM_PUT, "k", "hi");
    lsm_entry            gone     = record_entry(LSM_DELETE, "x", "");

    (void)state;
    put.expiry_ms = 1000;
    put.encoding  = AKV_ENCODING_JSON;
    assert_ok(akvi_lsm_record_add(&record, &put));
    assert_ok(akvi_lsm_record_add(&record, &gone));
    akvi_lsm_record_number(&record, 7);
    assert_int_equal(record.len, sizeof golden);
    assert_memory_equal(record.data, golden, sizeof golden);
    akv_buffer_free(&record);
}

static void test_record_gives_back_what_was_put_in(void **state)
{
    static const lsm_kind kinds[] = {LSM_PUT, LSM_DELETE, LSM_DELETE_RANGE};
    akvt_random           random  = akvt_random_new(1);
    static uint8_t        bytes[LSM_MAX_KEY];

    (void)state;
    akvt_fill(&random, bytes, sizeof bytes);
    for (int round = 0; round < 50; round++) {
        akv_buffer        record = AKV_BUFFER_INIT;
        lsm_entry         entries[20], end;
        size_t            n   = 1 + akvt_below(&random, 20);
        uint64_t          seq = round == 0 ? LSM_SEQ_MAX - n + 1 : 1 + akvt_below(&random, 1000);
        lsm_record_reader r;

        for (size_t i = 0; i < n; i++) {
            lsm_entry *e = &entries[i];

            *e     = record_entry(kinds[akvt_below(&random, 3)], "", "");
            e->key = akv_bytes(bytes, round % 5 == 0 ? LSM_MAX_KEY : akvt_below(&random, 300));
            if (e->kind != LSM_DELETE)
                e->value = akv_bytes(bytes + 1, akvt_below(&random, round % 7 ? 200 : 60000));
            if (e->kind == LSM_PUT) {
                e->expiry_ms = akvt_below(&random, 2) ? akvt_next(&random) : 0;
                e->encoding  = (uint8_t)akvt_below(&random, 4);
            }
            if (e->kind == LSM_PUT && i % 2) {
                assert_ok(akvi_lsm_record_add_head(&record, e));
                assert_ok(akv_buffer_append(&record, e->value.data, e->value.len));
            } else {
                assert_ok(akvi_lsm_record_add(&record, e));
            }
        }
        akvi_lsm_record_number(&record, seq);
        assert_ok(akvi_lsm_record_begin(akvi_buffer_slice(&record), &r));
        for (size_t i = 0; i < n; i++)
            record_expect(&r, seq + i, &entries[i]);
        assert_status(AKV_END, akvi_lsm_record_next(&r, &end));
        akv_buffer_free(&record);
    }
}

/* Reads all of it; AKV_END when it is good. The bytes end where the heap does. */
static akv_status record_read(const uint8_t *data, size_t len, size_t *n_out)
{
    uint8_t          *copy = malloc(len ? len : 1);
    lsm_record_reader r;
    lsm_entry         e;
    akv_status        rc;

    *n_out = 0;
    if (!copy)
        abort();
    memcpy(copy, data, len);
    akvi_call_begin();
    rc = akvi_lsm_record_begin(akv_bytes(copy, len), &r);
    while (rc == AKV_OK) {
        rc = akvi_lsm_record_next(&r, &e);
        if (rc == AKV_OK) {
            assert_in_range(e.kind, LSM_PUT, LSM_DELETE_RANGE);
            (*n_out)++;
        }
    }
    free(copy);
    return rc;
}

static void test_record_refuses_what_is_cut_or_changed(void **state)
{
    akv_buffer record = AKV_BUFFER_INIT;
    lsm_entry  put    = record_entry(LSM_PUT, "key", "value");
    lsm_entry  range  = record_entry(LSM_DELETE_RANGE, "a", "z");
    uint8_t   *bytes;
    size_t     n;

    (void)state;
    put.expiry_ms = UINT64_MAX;
    assert_ok(akvi_lsm_record_add(&record, &put));
    assert_ok(akvi_lsm_record_add(&record, &range));
    akvi_lsm_record_number(&record, 1);
    for (size_t len = 0; len < record.len; len++)
        assert_int_equal(record_read(record.data, len, &n), AKV_CORRUPT);
    bytes = record.data;
    for (size_t i = 0; i < record.len * 8; i++) {
        akv_status rc;

        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        rc = record_read(bytes, record.len, &n);
        assert_true(rc == AKV_END || rc == AKV_CORRUPT || rc == AKV_VERSION);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_ok(akvi_buffer_byte(&record, 0));
    assert_int_equal(record_read(record.data, record.len, &n), AKV_CORRUPT);
    assert_int_equal(n, 2);
    akv_buffer_free(&record);
}

static void test_record_kinds_to_come_are_told_from_damage(void **state)
{
    uint8_t bytes[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x04, 1, 1, 'k', 'v'};
    size_t  n;

    (void)state;
    for (uint8_t kind = 4; kind < 16; kind++) {
        bytes[12] = kind;
        assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_VERSION);
    }
    bytes[12] = 0x41;
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_VERSION);
    bytes[12] = 0x01;
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_END);
    bytes[12] = 0x13; /* a range with an expiry */
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_CORRUPT);
}

static void test_record_counts_and_numbers_are_checked(void **state)
{
    uint8_t bytes[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x02, 0};
    size_t  n;

    (void)state;
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_END);
    akvi_put_le32(bytes + 8, 0);
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_CORRUPT);
    akvi_put_le32(bytes + 8, UINT32_MAX);
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_CORRUPT);
    akvi_put_le32(bytes + 8, 1);
    akvi_put_le64(bytes, 0);
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_CORRUPT);
    akvi_put_le64(bytes, LSM_SEQ_MAX + 1);
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_CORRUPT);
    akvi_put_le64(bytes, LSM_SEQ_MAX);
    assert_int_equal(record_read(bytes, sizeof bytes, &n), AKV_END);
}

static void test_record_add_survives_want_of_memory(void **state)
{
    lsm_entry put = record_entry(LSM_PUT, "key", "value");

    (void)state;
    for (uint64_t nth = 1; nth < 3; nth++) {
        const akv_allocator *allocator = akvt_failing_allocator(nth);
        akv_buffer           record    = {NULL, 0, 0, allocator};
        akv_status           rc        = AKV_OK;
        size_t               n = 0, len = 0;

        for (; rc == AKV_OK; n++) {
            len = record.len;
            rc  = akvi_lsm_record_add(&record, &put);
        }
        assert_int_equal(rc, AKV_NOMEM);
        assert_int_equal(record.len, len);
        akv_buffer_free(&record);
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

/* -------------------------------------------------------------------- names */

static void test_names_are_read_as_written(void **state)
{
    static const uint64_t numbers[] = {0, 1, 999999, 1000000, UINT64_MAX};
    char                  name[LSM_NAME_MAX];
    uint64_t              number;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(numbers); i++) {
        for (lsm_file_type t = LSM_FILE_WAL; t <= LSM_FILE_MANIFEST; t++) {
            akvi_lsm_file_name(t, numbers[i], name);
            assert_int_equal(akvi_lsm_file_parse(name, &number), t);
            assert_int_equal(number, numbers[i]);
        }
    }
    akvi_lsm_file_name(LSM_FILE_CURRENT, 0, name);
    assert_int_equal(akvi_lsm_file_parse(name, &number), LSM_FILE_CURRENT);
    akvi_lsm_file_name(LSM_FILE_LOCK, 0, name);
    assert_int_equal(akvi_lsm_file_parse(name, &number), LSM_FILE_LOCK);
    akvi_lsm_file_name(LSM_FILE_WAL, 7, name);
    assert_string_equal(name, "000007.wal");
    akvi_lsm_file_name(LSM_FILE_MANIFEST, 9, name);
    assert_string_equal(name, "MANIFEST-000009");
}

static void test_names_of_others_are_left_alone(void **state)
{
    static const char *const others[] = {"",
                                         "7.wal",
                                         "00007.wal",
                                         "0000007.wal",
                                         "000007",
                                         "000007.walx",
                                         "000007.sst.tmp-1-1",
                                         "MANIFEST-",
                                         "MANIFEST-000009.wal",
                                         "MANIFEST-000009.tmp-1-2",
                                         "18446744073709551616.sst",
                                         "CURRENT.tmp-3-4",
                                         "-00007.wal",
                                         "+000007.wal"};
    uint64_t                 number;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(others); i++) {
        assert_int_equal(akvi_lsm_file_parse(others[i], &number), LSM_FILE_OTHER);
        assert_int_equal(number, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_is_as_drawn),
        cmocka_unit_test(test_record_gives_back_what_was_put_in),
        cmocka_unit_test(test_record_refuses_what_is_cut_or_changed),
        cmocka_unit_test(test_record_kinds_to_come_are_told_from_damage),
        cmocka_unit_test(test_record_counts_and_numbers_are_checked),
        cmocka_unit_test(test_record_add_survives_want_of_memory),
        cmocka_unit_test(test_names_are_read_as_written),
        cmocka_unit_test(test_names_of_others_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
