/* SPDX-License-Identifier: MIT
 *
 * test_msgpack.c: reading and writing MessagePack, beside msgpack-c's packer.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"

#include <anykv/doc.h>

#include <math.h>
#include <msgpack/pack.h>
#include <stdlib.h>

static int pack_append(void *out, const char *data, size_t len)
{
    assert_ok(akv_buffer_append(out, data, len));
    return 0;
}

static akv_doc_reader *reader_of(const void *bytes, size_t len, const akv_doc_options *opt)
{
    akv_doc_reader *r;

    assert_ok(akv_doc_reader_msgpack(akv_bytes(bytes, len), opt, &r));
    return r;
}

/* The first event of `len` bytes; slices point into `bytes`. */
static akv_doc_event first_event(const void *bytes, size_t len)
{
    akv_doc_reader *r = reader_of(bytes, len, NULL);
    akv_doc_event   ev;

    assert_ok(akv_doc_next(r, &ev));
    akv_doc_reader_free(r);
    return ev;
}

#define EVENT(bytes)         first_event((bytes), sizeof(bytes) - 1)
#define CHECK(status, bytes) check((status), (bytes), sizeof(bytes) - 1)

/* The bytes are copied to their exact size, so that a sanitizer sees the end. */
static void check(akv_status status, const void *bytes, size_t len)
{
    void *exact = malloc(len ? len : 1);

    memcpy(exact, bytes, len);
    assert_status(status, akv_msgpack_check(akv_bytes(exact, len), NULL));
    free(exact);
}

/* ------------------------------------------------------------------ reading */

static void test_msgpack_numbers_of_every_width_are_read(void **state)
{
    (void)state;
    assert_int_equal(EVENT("\x7f").i64, 127);
    assert_int_equal(EVENT("\xe0").i64, -32);
    assert_int_equal(EVENT("\xff").i64, -1);
    assert_int_equal(EVENT("\xcc\xff").i64, 255);
    assert_int_equal(EVENT("\xcd\xff\xfe").i64, 0xfffe);
    assert_int_equal(EVENT("\xce\xff\xff\xff\xfe").i64, 0xfffffffe);
    assert_true(EVENT("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff").i64 == INT64_MAX);
    assert_int_equal(EVENT("\xcf\x80\0\0\0\0\0\0\0").type, AKV_DOC_UINT);
    assert_true(EVENT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff").u64 == UINT64_MAX);
    assert_int_equal(EVENT("\xd0\x80").i64, -128);
    assert_int_equal(EVENT("\xd1\x80\0").i64, -32768);
    assert_int_equal(EVENT("\xd2\x80\0\0\0").i64, INT32_MIN);
    assert_true(EVENT("\xd3\x80\0\0\0\0\0\0\0").i64 == INT64_MIN);
    assert_int_equal(EVENT("\xd0\x05").i64, 5);
    assert_true(EVENT("\xca\x3f\xc0\0\0").f64 == 1.5);
    assert_true(EVENT("\xca\x3f\xc0\0\0").is_float32);
    assert_true(EVENT("\xcb\xbf\xf8\0\0\0\0\0\0").f64 == -1.5);
    assert_false(EVENT("\xcb\xbf\xf8\0\0\0\0\0\0").is_float32);
    assert_true(isnan(EVENT("\xcb\x7f\xf8\0\0\0\0\0\0").f64));
}

static void test_msgpack_runs_of_bytes_are_borrowed(void **state)
{
    static const char ext[] = "\xc7\x03\xff\x01\x02\x03";

    (void)state;
    assert_slice(EVENT("\xa3"
                       "abc")
                     .bytes,
                 "abc");
    assert_slice(EVENT("\xd9\x01x").bytes, "x");
    assert_slice(EVENT("\xda\0\x01x").bytes, "x");
    assert_slice(EVENT("\xdb\0\0\0\x01x").bytes, "x");
    assert_int_equal(EVENT("\xc4\x01\xff").type, AKV_DOC_BINARY);
    assert_int_equal(EVENT("\xc5\0\x02xy").bytes.len, 2);
    assert_int_equal(EVENT("\xc6\0\0\0\0").bytes.len, 0);
    assert_int_equal(EVENT(ext).type, AKV_DOC_EXT);
    assert_int_equal(EVENT(ext).ext_type, -1);
    assert_ptr_equal(EVENT(ext).bytes.data, ext + 3);
    assert_int_equal(EVENT("\xd4\x05x").bytes.len, 1);
    assert_int_equal(EVENT("\xd6\xff"
                           "abcd")
                         .bytes.len,
                     4);
    assert_int_equal(EVENT("\xd8\x05"
                           "0123456789abcdef")
                         .bytes.len,
                     16);
    assert_int_equal(EVENT("\xc8\0\x01\x07x").ext_type, 7);
    assert_int_equal(EVENT("\xc9\0\0\0\x01\x08x").ext_type, 8);
}

static void test_msgpack_events_tell_keys_counts_and_places(void **state)
{
    /* {[1]: {}, 2: [nil, true, false]} */
    static const char bytes[] = "\x82\x91\x01\x80\x02\xdc\0\x03\xc0\xc3\xc2";
    static const struct {
        akv_doc_type type;
        bool         is_key;
        uint64_t     offset, count;
    } want[] = {
        {AKV_DOC_MAP, false, 0, 2},      {AKV_DOC_ARRAY, true, 1, 1},
        {AKV_DOC_INT, false, 2, 0},      {AKV_DOC_ARRAY_END, true, 3, 0},
        {AKV_DOC_MAP, false, 3, 0},      {AKV_DOC_MAP_END, false, 4, 0},
        {AKV_DOC_INT, true, 4, 0},       {AKV_DOC_ARRAY, false, 5, 3},
        {AKV_DOC_NULL, false, 8, 0},     {AKV_DOC_BOOL, false, 9, 0},
        {AKV_DOC_BOOL, false, 10, 0},    {AKV_DOC_ARRAY_END, false, 11, 0},
        {AKV_DOC_MAP_END, false, 11, 0},
    };
    akv_doc_reader *r = reader_of(bytes, sizeof bytes - 1, NULL);
    akv_doc_event   ev;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(want); i++) {
        assert_ok(akv_doc_next(r, &ev));
        assert_int_equal(ev.type, want[i].type);
        assert_int_equal(ev.is_key, want[i].is_key);
        assert_int_equal(ev.offset, want[i].offset);
        assert_int_equal(ev.count, want[i].count);
    }
    assert_status(AKV_END, akv_doc_next(r, &ev));
    akv_doc_reader_free(r);
}

static void test_msgpack_skip_passes_a_container(void **state)
{
    static const char bytes[] = "\x92\x82\x01\x91\x02\x03\x90\x07";
    akv_doc_reader   *r       = reader_of(bytes, sizeof bytes - 1, NULL);
    akv_doc_event     ev;

    (void)state;
    assert_ok(akv_doc_next(r, &ev));
    assert_ok(akv_doc_next(r, &ev));
    assert_ok(akv_doc_skip(r));
    assert_int_equal(ev.offset, 1);
    assert_int_equal(akv_doc_offset(r), 7);
    assert_ok(akv_doc_next(r, &ev));
    assert_int_equal(ev.i64, 7);
    akv_doc_reader_free(r);
}

/* ------------------------------------------------------------------ refusals */

static void test_msgpack_refusals_tell_the_offset(void **state)
{
    (void)state;
    CHECK(AKV_CORRUPT, "");
    assert_error_has("the bytes end");
    CHECK(AKV_CORRUPT, "\x92\x01\xc1");
    assert_int_equal(akv_last_error()->offset, 2);
    assert_error_has("c1 begins no value");
    CHECK(AKV_CORRUPT, "\x01\x02");
    assert_int_equal(akv_last_error()->offset, 1);
    assert_error_has("bytes follow");
    CHECK(AKV_CORRUPT, "\x91\xa3"
                       "a\xffz");
    assert_int_equal(akv_last_error()->offset, 3);
    assert_error_has("not valid UTF-8");
    CHECK(AKV_CORRUPT, "\x91\xa3zz");
    assert_int_equal(akv_last_error()->offset, 1);
    assert_error_has("needs 3 bytes after its header, 2 are left");
}

static void test_msgpack_text_need_not_be_utf8_when_told(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    (void)state;
    opt.flags = AKV_DOC_RAW_TEXT;
    assert_ok(akv_msgpack_check(akv_str("\xa1\xff"), &opt));
}

/* Huge lengths and counts with next to nothing behind them. Every allocation
 * but the reader's own would fail. */
static void test_msgpack_hostile_lengths_are_weighed_against_what_is_left(void **state)
{
    static const uint8_t firsts[] = {0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd9, 0xda,
                                     0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x8f, 0x9f, 0xbf};
    akv_doc_options      opt      = AKV_DOC_OPTIONS_INIT;
    uint8_t              bytes[12];

    (void)state;
    for (size_t i = 0; i < sizeof firsts; i++) {
        for (size_t len = 1; len <= sizeof bytes; len++) {
            memset(bytes, 0xff, sizeof bytes);
            bytes[0] = firsts[i];
            check(AKV_CORRUPT, bytes, len);
            opt.allocator = akvt_failing_allocator(2);
            assert_status(AKV_CORRUPT, akv_msgpack_check(akv_bytes(bytes, len), &opt));
        }
    }
    CHECK(AKV_CORRUPT, "\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff");
    CHECK(AKV_CORRUPT, "\xdf\x80\0\0\0\x01\x02");
    CHECK(AKV_CORRUPT, "\x82\x01\x02\x03");
}

static void test_msgpack_depth_limit_is_exact_for_arrays_maps_and_keys(void **state)
{
    static const char *const nests[] = {"\x91", "\x81\x01", "\x81"};
    char                     bytes[4000];

    (void)state;
    for (size_t kind = 0; kind < 3; kind++) {
        size_t each = strlen(nests[kind]);

        for (size_t depth = 512; depth <= 513; depth++) {
            size_t len = 0;

            for (size_t i = 0; i < depth; i++, len += each)
                memcpy(bytes + len, nests[kind], each);
            memset(bytes + len, 1, depth + 1);
            len += kind == 2 ? depth + 1 : 1; /* the innermost; as a key, values too */
            assert_status(depth == 512 ? AKV_OK : AKV_TOO_BIG,
                          akv_msgpack_check(akv_bytes(bytes, len), NULL));
        }
        assert_int_equal(akv_last_error()->offset, 512 * each);
        assert_error_has("nested deeper than 512");
    }
}

static const char sample[] = "\x87\xa1"
                             "a\xcd\x01\x02\xa1"
                             "b\x93\xc0\xc2\xcb\x3f\xf0\0\0\0\0\0\0\x01\xca\x3f\x80\0\0\x91\x02"
                             "\xc4\x02\xff\xfe\xc4\x01x\xd6\xff\x01\x02\x03\x04\xd9\x03xyz\xdc\0"
                             "\x01\x05\xc7\x03\x09"
                             "abc\xd3\x80\0\0\0\0\0\0\0";

static void test_msgpack_every_truncation_is_refused(void **state)
{
    (void)state;
    check(AKV_OK, sample, sizeof sample - 1);
    for (size_t len = 0; len < sizeof sample - 1; len++)
        check(AKV_CORRUPT, sample, len);
}

/* ------------------------------------------------------------- many, doubles */

static void test_msgpack_many_documents_follow_one_another(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;
    akv_doc_reader *r;
    akv_doc_event   ev;
    int             n = 0;

    (void)state;
    opt.flags = AKV_DOC_MANY;
    assert_ok(akv_msgpack_check(akv_str(""), &opt));
    r = reader_of("\x01\x91\x02\x80\xa1x", 6, &opt);
    while (akv_doc_next(r, &ev) == AKV_OK)
        n += akv_doc_depth(r) == 0;
    assert_int_equal(n, 4);
    akv_doc_reader_free(r);
}

static void rewrite(const void *bytes, size_t len, const akv_doc_options *opt, bool forget_counts,
                    akv_buffer *out)
{
    akv_doc_reader *r = reader_of(bytes, len, opt);
    akv_doc_writer *w;
    akv_doc_event   ev;
    akv_status      rc;

    akvi_buffer_clear(out);
    assert_ok(akv_doc_writer_msgpack(out, opt, &w));
    while ((rc = akv_doc_next(r, &ev)) == AKV_OK) {
        if (forget_counts)
            ev.count = AKV_DOC_COUNT_UNKNOWN;
        assert_ok(akv_doc_put(w, &ev));
    }
    assert_status(AKV_END, rc);
    assert_ok(akv_doc_finish(w));
    akv_doc_writer_free(w);
    akv_doc_reader_free(r);
}

static void check_rewrite(const char *bytes, size_t len, const akv_doc_options *opt,
                          const char *want, size_t want_len)
{
    akv_buffer out = AKV_BUFFER_INIT;

    for (int forget = 0; forget < 2; forget++) {
        rewrite(bytes, len, opt, forget, &out);
        assert_int_equal(out.len, want_len);
        assert_memory_equal(out.data, want, want_len);
    }
    akv_buffer_free(&out);
}

#define CHECK_REWRITE(bytes, opt, want) \
    check_rewrite((bytes), sizeof(bytes) - 1, (opt), (want), sizeof(want) - 1)

static void test_msgpack_is_rewritten_in_shortest_forms(void **state)
{
    (void)state;
    CHECK_REWRITE("\xdd\0\0\0\x02\xd3\0\0\0\0\0\0\0\x05\xdf\0\0\0\x01\xdb\0\0\0\x01"
                  "a\xcf\0\0\0\0\0\0\x01\0",
                  NULL,
                  "\x92\x05\x81\xa1"
                  "a\xcd\x01\0");
    CHECK_REWRITE("\xd1\xff\xff", NULL, "\xff");
    CHECK_REWRITE("\xc9\0\0\0\x02\x05xy", NULL, "\xd5\x05xy");
    CHECK_REWRITE("\xca\x3f\xc0\0\0", NULL, "\xca\x3f\xc0\0\0"); /* 32 bits stay */
    CHECK_REWRITE("\xcb\x3f\xf8\0\0\0\0\0\0", NULL, "\xcb\x3f\xf8\0\0\0\0\0\0");
}

static void test_msgpack_duplicate_keys_are_told_by_type_and_value(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    (void)state;
    opt.duplicates = AKV_DOC_REFUSE;
    /* 1, "1", bin 1, 1.0, nil, false, [1], {}: eight keys. */
    assert_ok(akv_msgpack_check(akv_bytes("\x88\x01\0\xa1"
                                          "1\0\xc4\x01"
                                          "1\0\xcb\x3f\xf0\0\0\0\0\0\0\0\xc0\0\xc2\0\x91\x01\0\x80"
                                          "\0",
                                          29),
                                &opt));
    assert_status(AKV_CORRUPT, akv_msgpack_check(akv_bytes("\x82\x01\0\xcc\x01\0", 6), &opt));
    assert_int_equal(akv_last_error()->offset, 3);
    assert_status(AKV_CORRUPT, akv_msgpack_check(akv_bytes("\x82\x91\x05\0\x91\x05\0", 7), &opt));
    assert_status(AKV_CORRUPT, akv_msgpack_check(akv_bytes("\x82\xd4\x05x\0\xd4\x05x\0", 9), &opt));
    assert_ok(akv_msgpack_check(akv_bytes("\x82\xd4\x05x\0\xd4\x06x\0", 9), &opt));
    assert_status(AKV_CORRUPT, akv_msgpack_check(akv_bytes("\x82\xc0\0\xc0\0", 5), &opt));
    opt.duplicates = AKV_DOC_LAST;
    CHECK_REWRITE("\x83\x91\x05\x81\x01\x01\x02\x82\x03\x04\x03\x05\x91\x05\x07", &opt,
                  "\x82\x02\x81\x03\x05\x91\x05\x07");
}

/* ---------------------------------------------------- beside msgpack-c's packer */

typedef struct both {
    akv_buffer      packed, written;
    msgpack_packer  pk;
    akv_doc_writer *w;
} both;

static void both_begin(both *b, const akv_doc_options *opt)
{
    b->packed = b->written = (akv_buffer)AKV_BUFFER_INIT;
    msgpack_packer_init(&b->pk, &b->packed, pack_append);
    assert_ok(akv_doc_writer_msgpack(&b->written, opt, &b->w));
}

static void both_end(both *b)
{
    assert_ok(akv_doc_finish(b->w));
    assert_int_equal(b->packed.len, b->written.len);
    assert_memory_equal(b->packed.data, b->written.data, b->packed.len);
    akv_doc_writer_free(b->w);
    akv_buffer_free(&b->packed);
    akv_buffer_free(&b->written);
}

static void both_integer(both *b, int64_t value)
{
    msgpack_pack_int64(&b->pk, value);
    assert_ok(akv_doc_put_int(b->w, value));
}

static void both_unsigned(both *b, uint64_t value)
{
    msgpack_pack_uint64(&b->pk, value);
    assert_ok(akv_doc_put_uint(b->w, value));
}

static void both_run(both *b, unsigned kind, const void *bytes, size_t len, int8_t ext_type)
{
    if (kind == 0) {
        msgpack_pack_str_with_body(&b->pk, bytes, len);
        assert_ok(akv_doc_put_string(b->w, akv_bytes(bytes, len)));
    } else if (kind == 1) {
        msgpack_pack_bin_with_body(&b->pk, bytes, len);
        assert_ok(akv_doc_put_binary(b->w, akv_bytes(bytes, len)));
    } else {
        msgpack_pack_ext_with_body(&b->pk, bytes, len, ext_type);
        assert_ok(akv_doc_put_ext(b->w, ext_type, akv_bytes(bytes, len)));
    }
}

static void test_msgpack_integers_are_packed_as_msgpack_c_does(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;
    both            b;

    (void)state;
    opt.flags = AKV_DOC_MANY;
    both_begin(&b, &opt);
    for (int bits = 0; bits < 64; bits++) {
        for (int near = -2; near <= 2; near++) {
            uint64_t value = (UINT64_C(1) << bits) + (uint64_t)near;

            both_unsigned(&b, value);
            both_integer(&b, (int64_t)value);
            both_integer(&b, (int64_t)(0 - value));
        }
    }
    both_end(&b);
}

static void test_msgpack_runs_are_packed_as_msgpack_c_does(void **state)
{
    static const size_t lens[] = {0,  1,  2,  3,  4,   5,   7,   8,     9,     15,    16,
                                  17, 31, 32, 33, 255, 256, 257, 65535, 65536, 65537, 100000};
    akv_doc_options     opt    = AKV_DOC_OPTIONS_INIT;
    char               *bytes  = malloc(100000);
    both                b;

    (void)state;
    memset(bytes, 'x', 100000);
    opt.flags = AKV_DOC_MANY;
    both_begin(&b, &opt);
    for (size_t i = 0; i < AKVI_ARRAY_N(lens); i++) {
        for (unsigned kind = 0; kind < 3; kind++)
            both_run(&b, kind, bytes, lens[i], (int8_t)(i - 10));
    }
    both_end(&b);
    free(bytes);
}

static void both_container(both *b, bool is_map, size_t count, bool announce)
{
    uint64_t told = announce ? count : AKV_DOC_COUNT_UNKNOWN;

    if (is_map) {
        msgpack_pack_map(&b->pk, count);
        assert_ok(akv_doc_put_map(b->w, told));
    } else {
        msgpack_pack_array(&b->pk, count);
        assert_ok(akv_doc_put_array(b->w, told));
    }
}

static void test_msgpack_counts_are_patched_to_the_shortest_header(void **state)
{
    static const size_t counts[] = {0, 1, 15, 16, 17, 65535, 65536};

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(counts) * 2; i++) {
        bool   is_map = i % 2;
        size_t count  = counts[i / 2];
        both   b;

        both_begin(&b, NULL);
        both_container(&b, false, 2, false);
        both_container(&b, is_map, count, false);
        for (size_t item = 0; item < (is_map ? count * 2 : count); item++)
            both_integer(&b, (int64_t)item);
        assert_ok(akv_doc_put_end(b.w));
        both_integer(&b, 7);
        assert_ok(akv_doc_put_end(b.w));
        both_end(&b);
    }
}

static void random_value(both *b, akvt_random *r, unsigned depth)
{
    static const char bytes[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    unsigned          pick    = (unsigned)akvt_below(r, depth > 0 ? 10 : 7);
    size_t            count;
    bool              is_map;
    double            number = (double)(int64_t)akvt_next(r) / 1024;

    switch (pick) {
    case 0: both_integer(b, (int64_t)(akvt_next(r) >> akvt_below(r, 64))); return;
    case 1: both_unsigned(b, akvt_next(r)); return;
    case 2:
        msgpack_pack_nil(&b->pk);
        assert_ok(akv_doc_put_null(b->w));
        return;
    case 3:
        msgpack_pack_false(&b->pk);
        assert_ok(akv_doc_put_bool(b->w, false));
        return;
    case 4:
        msgpack_pack_double(&b->pk, number);
        assert_ok(akv_doc_put_double(b->w, number));
        return;
    case 5:
    case 6: both_run(b, (unsigned)akvt_below(r, 3), bytes, akvt_below(r, sizeof bytes), 5); return;
    default:
        is_map = akvt_below(r, 2);
        count  = akvt_below(r, akvt_below(r, 8) == 0 ? 40 : 6);
        both_container(b, is_map, count, akvt_below(r, 2));
        for (size_t i = 0; i < (is_map ? count * 2 : count); i++)
            random_value(b, r, depth - 1);
        assert_ok(akv_doc_put_end(b->w));
    }
}

static void test_msgpack_random_documents_are_packed_as_msgpack_c_does(void **state)
{
    akvt_random r = akvt_random_new(1);

    (void)state;
    for (unsigned i = 0; i < 1000 * akvt_scale(); i++) {
        akv_buffer again = AKV_BUFFER_INIT;
        both       b;

        both_begin(&b, NULL);
        random_value(&b, &r, 6);
        rewrite(b.packed.data, b.packed.len, NULL, akvt_below(&r, 2), &again);
        assert_int_equal(again.len, b.packed.len);
        assert_memory_equal(again.data, b.packed.data, again.len);
        akv_buffer_free(&again);
        both_end(&b);
    }
}

static void test_msgpack_nested_unknown_counts_take_linear_time(void **state)
{
    /* 500 levels, each of 40 items after its inner one. */
    both b;

    (void)state;
    both_begin(&b, NULL);
    for (int i = 0; i < 500; i++)
        both_container(&b, false, 41, false);
    both_integer(&b, 1);
    for (int i = 0; i < 500; i++) {
        for (int item = 0; item < 40; item++)
            both_integer(&b, item);
        assert_ok(akv_doc_put_end(b.w));
    }
    both_end(&b);
}

static void test_msgpack_writer_keeps_to_its_limits(void **state)
{
    akv_buffer      out = AKV_BUFFER_INIT;
    akv_doc_writer *w;

    (void)state;
    assert_ok(akv_doc_writer_msgpack(&out, NULL, &w));
    for (int i = 0; i < 512; i++)
        assert_ok(akv_doc_put_array(w, 1));
    assert_status(AKV_TOO_BIG, akv_doc_put_array(w, 1));
    akv_doc_writer_free(w);
    assert_ok(akv_doc_writer_msgpack(&out, NULL, &w));
    assert_status(AKV_TOO_BIG, akv_doc_put_array(w, UINT64_C(1) << 32));
    akv_doc_writer_free(w);
    assert_ok(akv_doc_writer_msgpack(&out, NULL, &w));
    assert_status(AKV_UNSUPPORTED, akv_doc_put_text(w, "\xff"));
    akv_doc_writer_free(w);
    akv_buffer_free(&out);
}

static akv_status rewrite_failing(const akv_doc_options *opt)
{
    akv_buffer      out = {NULL, 0, 0, opt->allocator};
    akv_doc_reader *r   = NULL;
    akv_doc_writer *w   = NULL;
    akv_doc_event   ev;
    akv_status      rc;

    rc = akv_doc_reader_msgpack(akv_bytes(sample, sizeof sample - 1), opt, &r);
    if (rc == AKV_OK)
        rc = akv_doc_writer_msgpack(&out, opt, &w);
    while (rc == AKV_OK && (rc = akv_doc_next(r, &ev)) == AKV_OK) {
        ev.count = AKV_DOC_COUNT_UNKNOWN;
        rc       = akv_doc_put(w, &ev);
    }
    if (rc == AKV_END) {
        assert_ok(akv_doc_finish(w));
        assert_int_equal(out.len, sizeof sample - 1 - 3); /* a str and an array shrink */
    }
    akv_doc_writer_free(w);
    akv_doc_reader_free(r);
    akv_buffer_free(&out);
    return rc;
}

static void test_msgpack_failed_allocations_are_reported_and_leak_nothing(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    (void)state;
    for (uint32_t duplicates = 0; duplicates < 3; duplicates++) {
        akv_status rc = AKV_NOMEM;

        opt.duplicates = duplicates;
        for (uint64_t n = 1; rc == AKV_NOMEM; n++) {
            opt.allocator = akvt_failing_allocator(n);
            rc            = rewrite_failing(&opt);
            assert_int_equal(akvt_allocator_out(), 0);
            assert_true(n < 1000);
        }
        assert_int_equal(rc, AKV_END);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_msgpack_numbers_of_every_width_are_read),
        cmocka_unit_test(test_msgpack_runs_of_bytes_are_borrowed),
        cmocka_unit_test(test_msgpack_events_tell_keys_counts_and_places),
        cmocka_unit_test(test_msgpack_skip_passes_a_container),
        cmocka_unit_test(test_msgpack_refusals_tell_the_offset),
        cmocka_unit_test(test_msgpack_text_need_not_be_utf8_when_told),
        cmocka_unit_test(test_msgpack_hostile_lengths_are_weighed_against_what_is_left),
        cmocka_unit_test(test_msgpack_depth_limit_is_exact_for_arrays_maps_and_keys),
        cmocka_unit_test(test_msgpack_every_truncation_is_refused),
        cmocka_unit_test(test_msgpack_many_documents_follow_one_another),
        cmocka_unit_test(test_msgpack_is_rewritten_in_shortest_forms),
        cmocka_unit_test(test_msgpack_duplicate_keys_are_told_by_type_and_value),
        cmocka_unit_test(test_msgpack_integers_are_packed_as_msgpack_c_does),
        cmocka_unit_test(test_msgpack_runs_are_packed_as_msgpack_c_does),
        cmocka_unit_test(test_msgpack_counts_are_patched_to_the_shortest_header),
        cmocka_unit_test(test_msgpack_random_documents_are_packed_as_msgpack_c_does),
        cmocka_unit_test(test_msgpack_nested_unknown_counts_take_linear_time),
        cmocka_unit_test(test_msgpack_writer_keeps_to_its_limits),
        cmocka_unit_test(test_msgpack_failed_allocations_are_reported_and_leak_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
