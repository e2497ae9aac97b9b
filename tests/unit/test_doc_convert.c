/* SPDX-License-Identifier: MIT
 *
 * test_doc_convert.c: JSON into MessagePack and back.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"

#include <anykv/doc.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef akv_status convert_call(akv_slice, const akv_doc_options *, akv_buffer *);

static akv_doc_options lossy(void)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    opt.flags = AKV_DOC_LOSSY;
    return opt;
}

static void check(convert_call *call, const akv_doc_options *opt, const void *from, size_t from_len,
                  const void *want, size_t want_len)
{
    akv_buffer out = AKV_BUFFER_INIT;

    assert_ok(call(akv_bytes(from, from_len), opt, &out));
    if (out.len != want_len || memcmp(out.data, want, want_len) != 0)
        fail_msg("got '%.*s'", (int)out.len, (const char *)out.data);
    akv_buffer_free(&out);
}

/* Refused without AKV_DOC_LOSSY, with the offset. */
static void check_unsupported(convert_call *call, const void *from, size_t len, uint64_t offset,
                              const char *text)
{
    akv_buffer out = AKV_BUFFER_INIT;

    assert_status(AKV_UNSUPPORTED, call(akv_bytes(from, len), NULL, &out));
    assert_int_equal(akv_last_error()->offset, offset);
    assert_error_has(text);
    assert_int_equal(out.len, 0);
    akv_buffer_free(&out);
}

#define LITERAL(s) (s), sizeof(s) - 1

/* JSON to MessagePack and back gives `want`. */
static void check_there_and_back(const char *json, const char *want)
{
    akv_buffer packed = AKV_BUFFER_INIT;

    assert_ok(akv_json_to_msgpack(akv_str(json), NULL, &packed));
    check(akv_msgpack_to_json, NULL, packed.data, packed.len, want, strlen(want));
    akv_buffer_free(&packed);
}

/* ------------------------------------------------------------------ lossless */

static void test_convert_json_there_and_back_is_the_same(void **state)
{
    static const char *const texts[] = {
        "null",
        "[true,false,null]",
        "[0,-1,127,128,-32,-33,9223372036854775807,-9223372036854775808,18446744073709551615]",
        "[1.5,-0.0,0.1,1e300,5e-324,123456.789,1.0]",
        "{\"b\":1,\"a\":2,\"\":{\"b\":[]},\"b\":3}",
        "[\"\",\"\\u0000\",\"\xc3\xa9\xf0\x9d\x84\x9e\",\"\\\"\\\\\\n\"]",
        "[[],{},[{}],{\"a\":{}}]",
        "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]]",
    };

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(texts); i++)
        check_there_and_back(texts[i], texts[i]);
}

static void test_convert_keeps_the_value_of_numbers_not_their_spelling(void **state)
{
    (void)state;
    check_there_and_back("[1.50,1E2,1e+20,-0,0e5,100e-2,0.000001,1.7976931348623157E+308]",
                         "[1.5,100.0,1e20,-0.0,0.0,1.0,1e-6,1.7976931348623157e308]");
    check_there_and_back("[100000000000000000000,123456789012345680000]", "[1e20,"
                                                                          "1.2345678901234568e20]");
}

static void test_convert_writes_the_expected_bytes(void **state)
{
    (void)state;
    check(akv_json_to_msgpack, NULL, LITERAL("{\"v\":1}"), LITERAL("\x81\xa1v\x01"));
    check(akv_json_to_msgpack, NULL, LITERAL("[1.5, \"\\u00e9\", null, -33]"),
          LITERAL("\x94\xcb\x3f\xf8\0\0\0\0\0\0\xa2\xc3\xa9\xc0\xd0\xdf"));
    check(akv_msgpack_to_json, NULL,
          LITERAL("\x82\xa1"
                  "a\xca\x3f\xc0\0\0\xa1"
                  "b\x91\xcd\x01\0"),
          LITERAL("{\"a\":1.5,\"b\":[256]}"));
}

static void test_convert_passes_options_on(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    (void)state;
    opt.duplicates = AKV_DOC_LAST;
    check(akv_json_to_msgpack, &opt, LITERAL("{\"a\":1,\"b\":2,\"a\":3}"),
          LITERAL("\x82\xa1"
                  "b\x02\xa1"
                  "a\x03"));
    opt.flags = AKV_DOC_MANY;
    check(akv_json_to_msgpack, &opt, LITERAL("1\n[2]\n"), LITERAL("\x01\x91\x02"));
    check(akv_msgpack_to_json, &opt, LITERAL("\x01\x91\x02"), LITERAL("1\n[2]\n"));
    opt.flags  = 0;
    opt.indent = 1;
    check(akv_msgpack_to_json, &opt, LITERAL("\x91\x02"), LITERAL("[\n 2\n]"));
}

static void test_convert_refuses_what_the_reader_refuses(void **state)
{
    akv_buffer out = AKV_BUFFER_INIT;

    (void)state;
    assert_status(AKV_CORRUPT, akv_json_to_msgpack(akv_str("[1,2"), NULL, &out));
    assert_int_equal(out.len, 0);
    assert_status(AKV_CORRUPT, akv_msgpack_to_json(akv_str("\x92\x01"), NULL, &out));
    assert_status(AKV_CORRUPT, akv_msgpack_to_json(akv_str("\xa1\xff"), NULL, &out));
    assert_int_equal(out.len, 0);
    akv_buffer_free(&out);
}

/* --------------------------------------------------- what one side can't hold */

static void test_convert_refuses_numbers_that_no_double_is(void **state)
{
    static const char *const numbers[] = {
        "0.1000000000000000055",
        "0.10000000000000001",
        "1e400",
        "-1e400",
        "1e-400",
        "123456789012345678901",
        "18446744073709551616",
        "-9223372036854775809",
        "3.14159265358979323846",
        "9007199254740993.0",
        "4.9e-325",
        "1.00000000000000000001",
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(numbers); i++) {
        snprintf(text, sizeof text, "[ %s]", numbers[i]);
        check_unsupported(akv_json_to_msgpack, text, strlen(text), 2, numbers[i]);
    }
}

static void test_convert_takes_the_nearest_double_when_told(void **state)
{
    akv_doc_options opt    = lossy();
    akv_buffer      packed = AKV_BUFFER_INIT;

    (void)state;
    assert_ok(akv_json_to_msgpack(
        akv_str("[0.1000000000000000055,18446744073709551616,1e-400,-1e400]"), &opt, &packed));
    check(akv_msgpack_to_json, &opt, packed.data, packed.len,
          LITERAL("[0.1,1.8446744073709552e19,0.0,null]"));
    akv_buffer_free(&packed);
}

static void test_convert_refuses_values_that_json_lacks(void **state)
{
    (void)state;
    check_unsupported(akv_msgpack_to_json, LITERAL("\x92\x01\xc4\x01x"), 2, "no bin");
    check_unsupported(akv_msgpack_to_json, LITERAL("\x91\xd6\xff\0\0\0\0"), 1, "no ext");
    check_unsupported(akv_msgpack_to_json, LITERAL("\xcb\x7f\xf8\0\0\0\0\0\0"), 0, "NaN");
    check_unsupported(akv_msgpack_to_json, LITERAL("\xca\xff\x80\0\0"), 0, "infinity");
    check_unsupported(akv_msgpack_to_json, LITERAL("\x81\x01\x02"), 1, "a key that is no string");
    check_unsupported(akv_msgpack_to_json, LITERAL("\x81\x90\x02"), 1, "a key that is no string");
    check_unsupported(akv_msgpack_to_json, LITERAL("\x81\xc4\x01x\x02"), 1,
                      "a key that is no string");
}

static void test_convert_writes_the_nearest_thing_when_told(void **state)
{
    akv_doc_options opt = lossy();

    (void)state;
    check(akv_msgpack_to_json, &opt, LITERAL("\x94\xc4\x01M\xc4\x02Ma\xc4\x03Man\xc4\0"),
          LITERAL("[\"TQ==\",\"TWE=\",\"TWFu\",\"\"]"));
    check(akv_msgpack_to_json, &opt, LITERAL("\x92\xd4\x05\xfb\xc7\x03\x01\xff\xfe\xfd"),
          LITERAL("[\"+w==\",\"//79\"]"));
    check(akv_msgpack_to_json, &opt, LITERAL("\x92\xcb\x7f\xf8\0\0\0\0\0\0\xca\xff\x80\0\0"),
          LITERAL("[null,null]"));
    check(akv_msgpack_to_json, &opt,
          LITERAL("\x91\xa4"
                  "a\xff\xc3z"),
          LITERAL("[\"a\xef\xbf\xbd\xef\xbf\xbdz\"]"));
}

static void test_convert_writes_the_text_of_keys_when_told(void **state)
{
    akv_doc_options opt = lossy();

    (void)state;
    check(akv_msgpack_to_json, &opt,
          LITERAL("\x86\x01\xa1x\xff\x02\xc0\x03\xc3\x04\xcb\x3f\xf8\0\0\0\0\0\0\x05\xc4\x01M\x06"),
          LITERAL("{\"1\":\"x\",\"-1\":2,\"null\":3,\"true\":4,\"1.5\":5,\"TQ==\":6}"));
    opt.indent = 2;
    check(akv_msgpack_to_json, &opt, LITERAL("\x81\x92\x01\x81\xa1\"\x02\x90"),
          LITERAL("{\n  \"[1,{\\\"\\\\\\\"\\\":2}]\": []\n}"));
}

static void test_convert_refuses_a_container_key_within_a_key(void **state)
{
    akv_doc_options opt = lossy();
    akv_buffer      out = AKV_BUFFER_INIT;
    char            deep[600];

    (void)state;
    assert_status(AKV_UNSUPPORTED,
                  akv_msgpack_to_json(akv_bytes("\x81\x81\x90\x01\x02", 5), &opt, &out));
    assert_int_equal(akv_last_error()->offset, 2);
    memset(deep, 0x81, sizeof deep); /* maps whose keys are maps: no blow-up */
    assert_status(AKV_UNSUPPORTED, akv_msgpack_to_json(akv_bytes(deep, sizeof deep), &opt, &out));
    akv_buffer_free(&out);
}

/* -------------------------------------------------------------------- random */

typedef struct random_document {
    akvt_random    *r;
    akv_doc_writer *w;
    bool            any; /* also what JSON can't hold */
} random_document;

static void random_string(random_document *d)
{
    static const char *const parts[] = {"a", "\"", "\\",   "\n",   "\xc3\xa9",   "\xf0\x9d\x84\x9e",
                                        "/", " ",  "\x7f", "\x01", "plain text", "\xe2\x82\xac"};
    char                     text[200];
    size_t                   len = 0;

    for (uint64_t n = akvt_below(d->r, 12); n > 0; n--) {
        const char *part = parts[akvt_below(d->r, AKVI_ARRAY_N(parts))];

        memcpy(text + len, part, strlen(part));
        len += strlen(part);
    }
    if (akvt_below(d->r, 8) == 0)
        text[len++] = '\0';
    assert_ok(akv_doc_put_string(d->w, akv_bytes(text, len)));
}

static double random_double(akvt_random *r)
{
    uint64_t bits = akvt_next(r);
    double   v;

    memcpy(&v, &bits, sizeof v);
    return isfinite(v) ? v : 0.5;
}

static void random_odd(random_document *d)
{
    switch (akvt_below(d->r, 4)) {
    case 0: assert_ok(akv_doc_put_double(d->w, NAN)); break;
    case 1: assert_ok(akv_doc_put_double(d->w, -INFINITY)); break;
    case 2: assert_ok(akv_doc_put_binary(d->w, akv_str("\xff\xfe bytes"))); break;
    default: assert_ok(akv_doc_put_ext(d->w, -1, akv_str("time")));
    }
}

static void random_value(random_document *d, unsigned depth)
{
    uint64_t count = akvt_below(d->r, 20);
    bool     is_map;

    switch (akvt_below(d->r, depth > 0 ? 9 : 6)) {
    case 0: assert_ok(akv_doc_put_int(d->w, (int64_t)akvt_next(d->r))); return;
    case 1: assert_ok(akv_doc_put_uint(d->w, akvt_next(d->r) >> akvt_below(d->r, 64))); return;
    case 2: assert_ok(akv_doc_put_double(d->w, random_double(d->r))); return;
    case 3: assert_ok(akv_doc_put_bool(d->w, akvt_below(d->r, 2))); return;
    case 4:
        if (d->any)
            random_odd(d);
        else
            assert_ok(akv_doc_put_null(d->w));
        return;
    case 5: random_string(d); return;
    default:
        is_map = akvt_below(d->r, 2);
        assert_ok(is_map ? akv_doc_put_map(d->w, AKV_DOC_COUNT_UNKNOWN)
                         : akv_doc_put_array(d->w, count));
        for (; count > 0; count--) {
            if (is_map && d->any && akvt_below(d->r, 3) == 0)
                random_odd(d);
            else if (is_map)
                random_string(d);
            random_value(d, depth - 1);
        }
        assert_ok(akv_doc_put_end(d->w));
    }
}

static void random_msgpack(akvt_random *r, bool any, akv_buffer *out)
{
    random_document d = {.r = r, .any = any};

    akvi_buffer_clear(out);
    assert_ok(akv_doc_writer_msgpack(out, NULL, &d.w));
    random_value(&d, 4);
    assert_ok(akv_doc_finish(d.w));
    akv_doc_writer_free(d.w);
}

static void test_convert_random_documents_survive_the_way_through_json(void **state)
{
    akvt_random     r      = akvt_random_new(1);
    akv_buffer      packed = AKV_BUFFER_INIT, json = AKV_BUFFER_INIT, again = AKV_BUFFER_INIT;
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    (void)state;
    for (unsigned i = 0; i < 400 * akvt_scale(); i++) {
        random_msgpack(&r, false, &packed);
        opt.indent = (uint32_t)akvt_below(&r, 3);
        assert_ok(akv_msgpack_to_json(akvi_buffer_slice(&packed), &opt, &json));
        assert_ok(akv_json_to_msgpack(akvi_buffer_slice(&json), NULL, &again));
        assert_int_equal(packed.len, again.len);
        assert_memory_equal(packed.data, again.data, again.len);
    }
    akv_buffer_free(&packed);
    akv_buffer_free(&json);
    akv_buffer_free(&again);
}

static void test_convert_any_msgpack_becomes_valid_json_when_lossy(void **state)
{
    akvt_random     r      = akvt_random_new(2);
    akv_buffer      packed = AKV_BUFFER_INIT, json = AKV_BUFFER_INIT;
    akv_doc_options opt = lossy();

    (void)state;
    for (unsigned i = 0; i < 400 * akvt_scale(); i++) {
        random_msgpack(&r, true, &packed);
        assert_ok(akv_msgpack_to_json(akvi_buffer_slice(&packed), &opt, &json));
        assert_ok(akv_json_check(akvi_buffer_slice(&json), NULL));
    }
    akv_buffer_free(&packed);
    akv_buffer_free(&json);
}

/* -------------------------------------------------------------------- misuse */

static void test_convert_failed_allocations_are_reported_and_leak_nothing(void **state)
{
    static const char text[] = "{\"a\\n\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,{\"b\":[]}]}";
    static const char packed[] = "\x82\x92\xa3key\x01\xa3"
                                 "val\xc4\x03xyz\x93\x01\x02\xa3"
                                 "abc";
    akv_doc_options   opt      = lossy();

    (void)state;
    for (int back = 0; back < 2; back++) {
        akv_status rc = AKV_NOMEM;

        for (uint64_t n = 1; rc == AKV_NOMEM; n++) {
            akv_buffer out = AKV_BUFFER_INIT;

            opt.allocator = out.allocator = akvt_failing_allocator(n);
            if (back)
                rc = akv_msgpack_to_json(akv_bytes(packed, sizeof packed - 1), &opt, &out);
            else
                rc = akv_json_to_msgpack(akv_str(text), &opt, &out);
            if (rc == AKV_NOMEM)
                assert_int_equal(out.len, 0);
            akv_buffer_free(&out);
            assert_int_equal(akvt_allocator_out(), 0);
            assert_true(n < 1000);
        }
        assert_int_equal(rc, AKV_OK);
    }
}

static void test_convert_copy_tells_whose_failure_it_was(void **state)
{
    akv_buffer      out = AKV_BUFFER_INIT;
    akv_doc_reader *r;
    akv_doc_writer *w;

    (void)state;
    assert_ok(akv_doc_reader_json(akv_str("[1,]"), NULL, &r));
    assert_ok(akv_doc_writer_json(&out, NULL, &w));
    assert_status(AKV_CORRUPT, akv_doc_copy(r, w));
    assert_int_equal(akv_last_error()->offset, 3);
    akv_doc_reader_free(r);
    akv_doc_writer_free(w);
    assert_ok(akv_doc_reader_msgpack(akv_str("\xc4\x01x"), NULL, &r));
    assert_ok(akv_doc_writer_json(&out, NULL, &w));
    assert_status(AKV_UNSUPPORTED, akv_doc_copy(r, w));
    assert_error_has("writing JSON");
    akv_doc_reader_free(r);
    akv_doc_writer_free(w);
    assert_status(AKV_MISUSE, akv_doc_copy(NULL, NULL));
    akv_buffer_free(&out);
}

static void test_convert_doubles_of_events_tell_whether_they_are_exact(void **state)
{
    akv_doc_event ev = {.type = AKV_DOC_INT, .i64 = INT64_MAX};
    bool          exact;

    (void)state;
    assert_true(akv_doc_double(&ev, &exact) == 0x1p63 && !exact);
    ev.i64 = INT64_MIN;
    assert_true(akv_doc_double(&ev, &exact) == -0x1p63 && exact);
    ev = (akv_doc_event){.type = AKV_DOC_UINT, .u64 = UINT64_MAX};
    assert_true(akv_doc_double(&ev, &exact) == 0x1p64 && !exact);
    ev = (akv_doc_event){.type = AKV_DOC_NUMBER, .bytes = akv_str("2.50")};
    assert_true(akv_doc_double(&ev, &exact) == 2.5 && exact);
    ev = (akv_doc_event){.type = AKV_DOC_NUMBER, .f64 = 0.1};
    assert_true(akv_doc_double(&ev, NULL) == 0.1);
    ev = (akv_doc_event){.type = AKV_DOC_STRING, .bytes = akv_str("2.50")};
    assert_true(akv_doc_double(&ev, &exact) == 0 && !exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convert_json_there_and_back_is_the_same),
        cmocka_unit_test(test_convert_keeps_the_value_of_numbers_not_their_spelling),
        cmocka_unit_test(test_convert_writes_the_expected_bytes),
        cmocka_unit_test(test_convert_passes_options_on),
        cmocka_unit_test(test_convert_refuses_what_the_reader_refuses),
        cmocka_unit_test(test_convert_refuses_numbers_that_no_double_is),
        cmocka_unit_test(test_convert_takes_the_nearest_double_when_told),
        cmocka_unit_test(test_convert_refuses_values_that_json_lacks),
        cmocka_unit_test(test_convert_writes_the_nearest_thing_when_told),
        cmocka_unit_test(test_convert_writes_the_text_of_keys_when_told),
        cmocka_unit_test(test_convert_refuses_a_container_key_within_a_key),
        cmocka_unit_test(test_convert_random_documents_survive_the_way_through_json),
        cmocka_unit_test(test_convert_any_msgpack_becomes_valid_json_when_lossy),
        cmocka_unit_test(test_convert_failed_allocations_are_reported_and_leak_nothing),
        cmocka_unit_test(test_convert_copy_tells_whose_failure_it_was),
        cmocka_unit_test(test_convert_doubles_of_events_tell_whether_they_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
