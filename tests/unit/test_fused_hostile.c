/* SPDX-License-Identifier: MIT
 *
 * test_fused_hostile.c: .fsdb files that are cut, flipped or lie about
 * themselves: an error that names the place, never a crash, and no memory
 * beyond what the bytes that are there could justify.
 */
#include "tests/unit/fused_raw.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct hostile {
    akv_buffer file; /* the small good one */
    akv_buffer bad;
    akv_env   *env; /* in memory: thousands of files are tried */
} hostile;

static int hostile_setup(void **state)
{
    static hostile h;

    assert_ok(akv_env_memory_new(NULL, &h.env));
    raw_small(&h.file);
    akvi_put_be32(raw_bytes(&h.file) + 32, akvi_crc32(0, raw_bytes(&h.file) + 40, h.file.len - 40));
    *state = &h;
    return 0;
}

static int hostile_teardown(void **state)
{
    hostile *h = *state;

    akv_buffer_free(&h->file);
    akv_buffer_free(&h->bad);
    akv_env_memory_free(h->env);
    return 0;
}

static void hostile_put(hostile *h, const void *data, size_t len)
{
    akv_file *file;

    assert_ok(h->env->ops->open(h->env, "x.fsdb",
                                AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE, &file));
    if (len > 0)
        assert_ok(file->ops->append(file, data, len));
    assert_ok(file->ops->close(file));
}

/* A copy of the good file to spoil. */
static uint8_t *hostile_copy(hostile *h)
{
    assert_ok(akvi_buffer_set(&h->bad, h->file.data, h->file.len));
    return h->bad.data;
}

static akv_status hostile_open(hostile *h, bool verify, akv_fused **f_out)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;

    opt.verify_on_open = verify;
    opt.env            = h->env;
    opt.allocator      = akvt_failing_allocator(0);
    opt.mode           = AKV_FUSED_READ; /* a heap block: reading past it is noticed */
    return akv_fused_open("x.fsdb", &opt, f_out);
}

/* Every call there is, whatever they answer. Returns whether all reads went well. */
static bool hostile_use(akv_fused *f)
{
    akv_slice      keys[5] = {akv_str("a"), akv_str("b"), akv_str("c"), akv_str(""), akv_str("zz")};
    akv_slice      objects[5], object;
    akv_status     statuses[5];
    akv_fused_info info = AKV_FUSED_INFO_INIT;
    akv_fused_cursor c;
    bool             ok = true;

    ok &= akv_fused_get_many(f, 5, keys, objects, statuses) == AKV_OK;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(akv_fused_get(f, keys[i], &object), statuses[i]);
        assert_int_equal(akv_fused_exists(f, keys[i]),
                         statuses[i] == AKV_ABSENT ? AKV_ABSENT : AKV_OK);
        ok &= i < 3 ? statuses[i] == AKV_OK : statuses[i] == AKV_ABSENT;
    }
    assert_ok(akv_fused_cursor_all(f, &c));
    for (size_t i = 0; i < 10; i++)
        ok &= akv_fused_cursor_next(&c) >= 0;
    for (size_t i = 0; i < 10; i++)
        ok &= akv_fused_cursor_prev(&c) >= 0;
    ok &= akv_fused_cursor_seek(&c, akv_str("b")) >= 0;
    ok &= akv_fused_cursor_seek_for_prev(&c, akv_str("b")) >= 0;
    assert_ok(akv_fused_info_get(f, &info));
    return ok;
}

/* ------------------------------------------------------------------------ cuts */

static void test_fused_every_truncation_is_told(void **state)
{
    hostile *h = *state;

    for (size_t len = 0; len < h->file.len; len++) {
        for (int verify = 0; verify < 2; verify++) {
            akv_fused *f;

            hostile_put(h, h->file.data, len);
            assert_status(AKV_CORRUPT, hostile_open(h, verify, &f));
            assert_null(f);
            assert_true(akv_last_error()->offset <= len);
            assert_non_null(strstr(akv_last_error()->text, "at offset "));
            assert_int_equal(akvt_allocator_out(), 0);
        }
    }
}

/* ----------------------------------------------------------------------- flips */

/* Where a flipped bit goes unnoticed by a verifying open that reads all it is
 * asked for: header fields that say nothing of the contents. */
static bool hostile_unread(size_t byte)
{
    return (byte >= 5 && byte < 8)      /* flags, pad */
           || (byte >= 12 && byte < 16) /* num_objects */
           || (byte >= 24 && byte < 32) /* data_offset */
           || byte >= 36;               /* reserved */
}

static void test_fused_every_bit_flip_is_told_or_harmless(void **state)
{
    hostile *h         = *state;
    size_t   unnoticed = 0, unverified = 0;

    for (size_t bit = 0; bit < 8 * h->file.len; bit++) {
        size_t           byte   = bit / 8;
        akv_fused_report report = AKV_FUSED_REPORT_INIT;
        akv_fused       *f;
        akv_status       st;
        bool             whole = false;

        hostile_copy(h)[byte] ^= (uint8_t)(1 << bit % 8);
        hostile_put(h, h->bad.data, h->bad.len);
        st = hostile_open(h, true, &f);
        if (st == AKV_OK) {
            whole = hostile_use(f) && akv_fused_count(f) == 3;
            if (whole && !hostile_unread(byte))
                fail_msg("a flip of bit %zu in byte %zu went unnoticed", bit % 8, byte);
            unnoticed += whole;
            unverified += akv_fused_verify(f, NULL, &report) == AKV_OK;
            /* verify sees all but flags, pad and reserved */
            if (report.count_faults == 0 && !(byte >= 5 && byte < 8) && !(byte >= 36 && byte < 40))
                fail_msg("verify missed a flip of bit %zu in byte %zu", bit % 8, byte);
            akv_fused_close(f);
        } else {
            assert_true(st == AKV_CORRUPT || (st == AKV_VERSION && byte == 4));
            assert_true(akv_last_error()->offset != AKV_NO_OFFSET);
        }
        assert_int_equal(akvt_allocator_out(), 0);
        if (hostile_open(h, false, &f) == AKV_OK) {
            (void)hostile_use(f);
            (void)akv_fused_verify(f, NULL, NULL);
            akv_fused_close(f);
        }
    }
    print_message("# of %zu bits, %zu flips change no answer; verify lets %zu pass\n",
                  8 * h->file.len, unnoticed, unverified);
    assert_int_equal(unnoticed, 8 * (3 + 4 + 8 + 4));
    assert_int_equal(unverified, 8 * (3 + 4));
}

/* ------------------------------------------------------------------------ lies */

typedef struct hostile_lie {
    size_t      at, len;
    uint64_t    value;
    akv_status  open;   /* with and without the CRC check: the header has none */
    uint64_t    offset; /* that the error names */
    const char *text;
} hostile_lie;

static void test_fused_lying_headers_are_told(void **state)
{
    static const hostile_lie lies[] = {
        {8, 4, UINT32_MAX, AKV_CORRUPT, 8, "4294967295 keys"},
        {8, 4, 0x80000000, AKV_CORRUPT, 8, "room for 3"},
        {8, 4, 4, AKV_CORRUPT, 8, "4 keys"},
        {16, 8, UINT64_MAX, AKV_CORRUPT, 16, "18446744073709551615"},
        {16, 8, UINT64_MAX - 1, AKV_CORRUPT, 16, "ends at 97"},
        {16, 8, INT64_MAX, AKV_CORRUPT, 16, "ends at 97"},
        {16, 8, 97, AKV_CORRUPT, 8, "room for 0"},
        {16, 8, 98, AKV_CORRUPT, 16, "98"},
        {16, 8, 0, AKV_CORRUPT, 0, "entry 0 of 3, with a key of 18003 bytes"},
        {16, 8, 65, AKV_CORRUPT, 65, "entry 0 of 3"},
    };
    hostile *h = *state;

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        for (int verify = 0; verify < 2; verify++) {
            const hostile_lie *lie = &lies[i];
            uint8_t           *bad = hostile_copy(h);
            akv_fused         *f;

            if (lie->len == 4)
                akvi_put_be32(bad + lie->at, (uint32_t)lie->value);
            else
                akvi_put_be64(bad + lie->at, lie->value);
            hostile_put(h, bad, h->bad.len);
            assert_status(lie->open, hostile_open(h, verify, &f));
            if (akv_last_error()->offset != lie->offset)
                fail_msg("lie %zu: %s", i, akv_last_error()->text);
            assert_error_has(lie->text);
            assert_int_equal(akvt_allocator_out(), 0);
        }
    }
}

/* Offsets and lengths that leave the file, under a good CRC: it opens, as it
 * does with the original, and only reads of those keys fail. */
static void test_fused_wild_objects_fail_their_own_reads(void **state)
{
    static const uint64_t wild[] = {
        UINT64_MAX, UINT64_MAX - 3, UINT64_MAX - 7,   UINT64_MAX - 8, INT64_MAX, 90,
        97,         1000000000,     UINT64_C(1) << 32};
    hostile *h = *state;

    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        akv_fused_report report = AKV_FUSED_REPORT_INIT;
        akv_slice        object;
        akv_fused       *f;

        akvi_put_be64(hostile_copy(h) + 75 + 3, wild[i]); /* b's */
        hostile_put(h, h->bad.data, h->bad.len);
        assert_ok(hostile_open(h, false, &f));
        (void)hostile_use(f);
        assert_status(AKV_CORRUPT, akv_fused_get(f, akv_str("b"), &object));
        assert_int_equal(akv_last_error()->offset, 78);
        assert_null(object.data);
        assert_ok(akv_fused_get(f, akv_str("c"), &object));
        assert_ok(akv_fused_exists(f, akv_str("b")));
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
        assert_int_equal(report.offset_faults, 1);
        akv_fused_close(f);
    }
    for (uint32_t over = 0; over < 2; over++) {
        akv_slice  object;
        akv_fused *f;

        akvi_put_be32(hostile_copy(h) + 40, over ? UINT32_MAX : 50); /* 49 bytes are left */
        hostile_put(h, h->bad.data, h->bad.len);
        assert_ok(hostile_open(h, false, &f));
        assert_status(AKV_CORRUPT, akv_fused_get(f, akv_str("a"), &object));
        assert_int_equal(akv_last_error()->offset, 40);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, NULL));
        akv_fused_close(f);
    }
}

/* What is claimed of the file is never what memory is asked for. */
static void test_fused_memory_is_bounded_by_the_file(void **state)
{
    hostile          *h    = *state;
    akv_buffer        big  = AKV_BUFFER_INIT;
    akv_fused_options opt  = AKV_FUSED_OPTIONS_INIT;
    akv_fused_info    info = AKV_FUSED_INFO_INIT;
    akv_fused        *f;

    /* The most keys a file can hold: empty ones, all the same. */
    raw_header(&big);
    raw_object(&big, "");
    for (int i = 0; i < 20000; i++)
        raw_entry(&big, akv_str(""), 40);
    hostile_put(h, big.data, big.len);
    opt.env            = h->env;
    opt.verify_on_open = false;
    assert_ok(akv_fused_open("x.fsdb", &opt, &f));
    assert_ok(akv_fused_info_get(f, &info));
    assert_int_equal(info.keys, 1);
    assert_true(info.memory < big.len);
    akv_fused_close(f);
    akv_buffer_free(&big);
}

/* Keys that each lead to another place of the same long object: the CRC of all of
 * them would be that of the file times the keys. */
static void test_fused_verify_takes_no_longer_than_the_file(void **state)
{
    hostile          *h      = *state;
    akv_buffer        big    = AKV_BUFFER_INIT;
    akv_fused_report  report = AKV_FUSED_REPORT_INIT;
    akv_fused_options opt    = AKV_FUSED_OPTIONS_INIT;
    akv_fused        *f;
    char              key[16];

    raw_header(&big);
    raw_object(&big, "");
    (void)raw_extend(&big, 1000000);
    akvi_put_be32(raw_bytes(&big) + 40, 1000000);
    for (uint32_t i = 0; i < 900000; i++) /* lengths all along it */
        raw_bytes(&big)[48 + i] = (uint8_t)(i % 4 == 1 ? 8 : 0);
    for (uint32_t i = 0; i < 40000; i++) {
        snprintf(key, sizeof key, "%08u", i);
        raw_entry(&big, akv_str(key), 48 + 4 * i);
    }
    hostile_put(h, big.data, big.len);
    opt.env            = h->env;
    opt.verify_on_open = AKV_FUSED_CHECK_NEVER;
    assert_ok(akv_fused_open("x.fsdb", &opt, &f));
    assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
    assert_true(report.object_crc_faults < 5);
    assert_true(report.count_faults > 0);
    akv_fused_close(f);
    akv_buffer_free(&big);
}

/* An index that begins inside the header is odd but can be walked. */
static void test_fused_index_in_odd_places_is_read_as_it_stands(void **state)
{
    hostile         *h      = *state;
    akv_fused_report report = AKV_FUSED_REPORT_INIT;
    akv_fused       *f;

    /* No keys: where the index would be does not matter. */
    akvi_put_be32(hostile_copy(h) + 8, 0);
    akvi_put_be64(raw_bytes(&h->bad) + 16, UINT64_MAX);
    hostile_put(h, h->bad.data, h->bad.len);
    assert_ok(hostile_open(h, true, &f));
    assert_int_equal(akv_fused_count(f), 0);
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_str("a")));
    assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
    assert_true(report.count_faults > 0);
    akv_fused_close(f);
    /* One key, of the two zero bytes at 36: an empty key over the header's end. */
    akvi_put_be32(hostile_copy(h) + 8, 1);
    akvi_put_be64(raw_bytes(&h->bad) + 16, 36);
    hostile_put(h, h->bad.data, h->bad.len);
    assert_ok(hostile_open(h, true, &f));
    assert_ok(akv_fused_exists(f, akv_str("")));
    assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_every_truncation_is_told),
        cmocka_unit_test(test_fused_every_bit_flip_is_told_or_harmless),
        cmocka_unit_test(test_fused_lying_headers_are_told),
        cmocka_unit_test(test_fused_wild_objects_fail_their_own_reads),
        cmocka_unit_test(test_fused_memory_is_bounded_by_the_file),
        cmocka_unit_test(test_fused_verify_takes_no_longer_than_the_file),
        cmocka_unit_test(test_fused_index_in_odd_places_is_read_as_it_stands),
    };
    return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}
