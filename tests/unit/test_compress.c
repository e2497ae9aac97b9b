/* SPDX-License-Identifier: MIT
 *
 * test_compress.c: codecs give back what they were given, and nothing for what
 * they were not.
 */
#include "common/base/bytes.h"
#include "common/codec/compress.h"
#include "tests/testing.h"

#include <pthread.h>
#include <stdlib.h>

/* Texts of some kinds: 0 random, 1 of few letters, 2 of one. */
static void text_make(akvt_random *r, unsigned kind, uint8_t *text, size_t len)
{
    akvt_fill(r, text, len);
    for (size_t i = 0; i < len && kind > 0; i++)
        text[i] = kind == 1 ? (uint8_t)('a' + text[i] % 4) : 'z';
}

/* malloc'ed exactly, so that sanitizers see a byte too many. */
static uint8_t *pack(uint32_t codec, int level, const void *text, size_t len, size_t *packed_len)
{
    size_t   cap  = akvi_compress_bound(codec, len);
    uint8_t *room = malloc(cap + 1), *packed;

    assert_non_null(room);
    assert_ok(akvi_compress(codec, level, text, len, room, cap, packed_len));
    assert_true(*packed_len <= cap);
    packed = malloc(*packed_len + 1);
    assert_non_null(packed);
    memcpy(packed, room, *packed_len);
    packed = realloc(packed, *packed_len ? *packed_len : 1);
    free(room);
    return packed;
}

static void check_round(akvt_random *r, uint32_t codec, int level, unsigned kind, size_t len)
{
    uint8_t *text = malloc(len + 1), *back = malloc(len ? len : 1), *packed;
    size_t   n;

    assert_true(text && back);
    text_make(r, kind, text, len);
    packed = pack(codec, level, text, len, &n);
    if (kind == 2 && len > 1000 && codec != AKVI_CODEC_NONE)
        assert_true(n < len / 10);
    assert_ok(akvi_decompress(codec, packed, n, back, len));
    assert_memory_equal(back, text, len);
    if (len > 0)
        assert_status(AKV_CORRUPT, akvi_decompress(codec, packed, n, back, len - 1));
    free(packed);
    free(back);
    free(text);
}

static void test_what_went_in_comes_out_of_each_codec(void **state)
{
    static const size_t sizes[]  = {0, 1, 15, 100, 4096, 70000};
    static const int    levels[] = {0, 1, 9, 12, -3};
    akvt_random         r        = akvt_random_new(1);

    (void)state;
    for (uint32_t codec = 0; codec < AKVI_CODECS; codec++) {
        if (!akvi_codec_available(codec))
            continue;
        for (unsigned kind = 0; kind < 3; kind++)
            for (size_t i = 0; i < AKVI_ARRAY_N(sizes); i++)
                for (size_t l = 0; l < AKVI_ARRAY_N(levels); l++)
                    check_round(&r, codec, levels[l], kind, sizes[i]);
    }
}

static void test_names_are_told_apart(void **state)
{
    uint32_t codec;

    (void)state;
    for (uint32_t i = 0; i < AKVI_CODECS; i++) {
        assert_status(akvi_codec_available(i) ? AKV_OK : AKV_UNSUPPORTED,
                      akvi_codec_parse(akvi_codec_name(i), &codec));
        assert_int_equal(codec, i);
    }
    assert_string_equal(akvi_codec_name(AKVI_CODEC_ZSTD), "zstd");
    assert_null(akvi_codec_name(AKVI_CODECS));
    assert_status(AKV_MISUSE, akvi_codec_parse("zst", &codec));
    assert_error_has("'zst'");
    assert_status(AKV_MISUSE, akvi_codec_parse("", &codec));
    assert_true(akvi_codec_available(AKVI_CODEC_NONE));
    assert_true(akvi_codec_available(AKVI_CODEC_ZLIB));
    assert_false(akvi_codec_available(AKVI_CODECS));
}

static void test_a_codec_that_is_not_there_is_named(void **state)
{
    char   out[600];
    size_t n;

    (void)state;
    for (uint32_t codec = 0; codec < AKVI_CODECS; codec++) {
        if (akvi_codec_available(codec))
            continue;
        assert_status(AKV_UNSUPPORTED, akvi_compress(codec, 0, "a", 1, out, sizeof out, &n));
        assert_error_has(akvi_codec_name(codec));
        assert_error_has("-dev");
        assert_status(AKV_UNSUPPORTED, akvi_decompress(codec, "a", 1, out, 1));
    }
    assert_status(AKV_CORRUPT, akvi_decompress(AKVI_CODECS, "a", 1, out, 1));
    assert_error_has("codec number 5");
    assert_status(AKV_CORRUPT, akvi_decompress(UINT32_MAX, "a", 1, out, 1));
}

/* Bytes made by each codec long ago: files must stay readable. */
static void test_what_older_builds_wrote_is_read(void **state)
{
    static const struct {
        uint32_t    codec;
        size_t      len;
        const char *bytes;
    } old[] = {
        {AKVI_CODEC_SNAPPY, 11, "\x23\x14hello \x72\x06\x00"},
        {AKVI_CODEC_ZLIB, 17,
         "\x78\x9c\xcb\x48\xcd\xc9\xc9\x57\xc8\xc0\x47\x02\x00\xeb\x55\x0d\x19"},
        {AKVI_CODEC_LZ4, 16, "\x6fhello \x06\x00\x05Phello"},
        {AKVI_CODEC_ZSTD, 21, "\x28\xb5\x2f\xfd\x00\x58\x65\x00\x00\x30hello \x01\x00\xb9\x4b\x11"},
    };
    static const char text[] = "hello hello hello hello hello hello";
    char              out[sizeof text - 1];

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(old); i++) {
        if (!akvi_codec_available(old[i].codec))
            continue;
        assert_ok(akvi_decompress(old[i].codec, old[i].bytes, old[i].len, out, sizeof out));
        assert_memory_equal(out, text, sizeof out);
    }
}

static void test_damaged_bytes_are_refused_or_of_the_right_length(void **state)
{
    akvt_random r    = akvt_random_new(2);
    size_t      len  = 3000, n;
    uint8_t    *text = malloc(len), *back = malloc(len), *packed;

    (void)state;
    assert_true(text && back);
    text_make(&r, 1, text, len);
    for (uint32_t codec = AKVI_CODEC_SNAPPY; codec < AKVI_CODECS; codec++) {
        if (!akvi_codec_available(codec))
            continue;
        packed = pack(codec, 0, text, len, &n);
        for (size_t cut = 0; cut < n; cut++) { /* in memory of its own: no byte beyond */
            uint8_t *part = malloc(cut ? cut : 1);

            assert_non_null(part);
            memcpy(part, packed, cut);
            assert_status(AKV_CORRUPT, akvi_decompress(codec, part, cut, back, len));
            free(part);
        }
        for (unsigned i = 0; i < 2000; i++) {
            size_t     at  = akvt_below(&r, n);
            uint8_t    was = packed[at];
            akv_status rc;

            packed[at] ^= (uint8_t)(1 + akvt_below(&r, 255));
            rc = akvi_decompress(codec, packed, n, back, len);
            assert_true(rc == AKV_OK || rc == AKV_CORRUPT);
            packed[at] = was;
        }
        assert_ok(akvi_decompress(codec, packed, n, back, len));
        free(packed);
    }
    free(back);
    free(text);
}

static void test_bytes_that_no_codec_made_are_refused(void **state)
{
    akvt_random r = akvt_random_new(3);
    uint8_t    *junk, *back = malloc(5000);

    (void)state;
    assert_non_null(back);
    for (uint32_t codec = AKVI_CODEC_SNAPPY; codec < AKVI_CODECS; codec++) {
        if (!akvi_codec_available(codec))
            continue;
        for (unsigned i = 0; i < 3000; i++) {
            size_t     len = akvt_below(&r, 64), raw = akvt_below(&r, 5000);
            akv_status rc;

            junk = malloc(len ? len : 1);
            assert_non_null(junk);
            akvt_fill(&r, junk, len);
            rc = akvi_decompress(codec, junk, len, back, raw);
            assert_true(rc == AKV_OK || rc == AKV_CORRUPT);
            free(junk);
        }
        /* a length before that no memory would hold */
        assert_status(AKV_CORRUPT, akvi_decompress(codec, "\xff\xff\xff\xff\x0f", 5, back, 5000));
        assert_status(AKV_CORRUPT, akvi_decompress(codec, "", 0, back, 5000));
        assert_status(AKV_CORRUPT, akvi_decompress(codec, "", 0, back, SIZE_MAX));
    }
    free(back);
}

/* A byte behind the end, as a wrong length in a file would make it. */
static void test_more_than_the_output_is_refused(void **state)
{
    size_t   n;
    uint8_t *packed, more[600];
    char     back[5];

    (void)state;
    for (uint32_t codec = 0; codec < AKVI_CODECS; codec++) {
        if (!akvi_codec_available(codec))
            continue;
        packed = pack(codec, 0, "hello", 5, &n);
        memcpy(more, packed, n);
        more[n] = 0;
        assert_status(AKV_CORRUPT, akvi_decompress(codec, more, n + 1, back, 5));
        free(packed);
    }
}

static void *run_rounds(void *arg)
{
    akvt_random *r = arg;

    for (unsigned i = 0; i < 20; i++)
        for (uint32_t codec = 0; codec < AKVI_CODECS; codec++)
            if (akvi_codec_available(codec))
                check_round(r, codec, (int)(i % 3), i % 3, 5000);
    return NULL;
}

static void test_threads_do_not_meet(void **state)
{
    pthread_t   threads[4];
    akvt_random r[4];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        r[i] = akvt_random_new(10 + i);
        assert_int_equal(pthread_create(&threads[i], NULL, run_rounds, &r[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_went_in_comes_out_of_each_codec),
        cmocka_unit_test(test_names_are_told_apart),
        cmocka_unit_test(test_a_codec_that_is_not_there_is_named),
        cmocka_unit_test(test_what_older_builds_wrote_is_read),
        cmocka_unit_test(test_damaged_bytes_are_refused_or_of_the_right_length),
        cmocka_unit_test(test_bytes_that_no_codec_made_are_refused),
        cmocka_unit_test(test_more_than_the_output_is_refused),
        cmocka_unit_test(test_threads_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
