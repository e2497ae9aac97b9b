/* SPDX-License-Identifier: MIT
 *
 * test_json.c: reading and writing JSON.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/doc/number.h"

#include <anykv/doc.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static akv_doc_options options_with(uint32_t flags, uint32_t duplicates)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    opt.flags      = flags;
    opt.duplicates = duplicates;
    return opt;
}

/* Format `json` and compare; `want` NULL: it must be refused with `status`. */
static void check_format(const char *json, const akv_doc_options *opt, akv_status status,
                         const char *want)
{
    akv_buffer out = AKV_BUFFER_INIT;

    assert_status(status, akv_json_format(akv_str(json), opt, &out));
    if (want)
        assert_slice(akvi_buffer_slice(&out), want);
    else
        assert_int_equal(out.len, 0);
    akv_buffer_free(&out);
}

static void check_refused(const char *json, uint64_t offset, const char *text)
{
    check_format(json, NULL, AKV_CORRUPT, NULL);
    assert_int_equal(akv_last_error()->code, AKV_CORRUPT);
    assert_int_equal(akv_last_error()->offset, offset);
    assert_error_has(text);
}

/* ------------------------------------------------------------------- suite */

/* Cases that RFC 8259 leaves to the reader and this one accepts: numbers keep
 * their text whatever their size, and 500 levels are within 512. The rest of
 * them (half surrogates, bytes that are not UTF-8, byte order marks) it
 * refuses. */
static bool suite_accepts_own_choice(const char *name)
{
    return strncmp(name, "i_number_", 9) == 0 || strcmp(name, "i_structure_500_nested_arrays") == 0;
}

static size_t suite_unescape(char *text)
{
    char  *to = text;
    char   hex[3];
    size_t len;

    for (const char *p = text; *p; to++) {
        if (p[0] != '\\') {
            *to = *p++;
        } else if (p[1] == 'x') {
            memcpy(hex, p + 2, 2);
            hex[2] = '\0';
            *to    = (char)strtoul(hex, NULL, 16);
            p += 4;
        } else {
            *to = p[1];
            p += 2;
        }
    }
    len = (size_t)(to - text);
    return len;
}

static void test_json_suite_is_answered_as_it_asks(void **state)
{
    char   path[4096];
    size_t len, n = 0;
    char  *data, *line, *next;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/data/json_test_suite/cases.tsv", akvt_root());
    data = akvt_read_file(path, &len);
    for (line = data; *line; line = next, n++) {
        char      *end = strchr(line, '\n'), *tab = strchr(line, '\t');
        bool       accept;
        akv_status rc;

        assert_true(end && tab && tab < end);
        *end = *tab = '\0';
        next        = end + 1;
        accept      = line[0] == 'y' || (line[0] == 'i' && suite_accepts_own_choice(line));
        len         = suite_unescape(tab + 1);
        rc          = akv_json_check(akv_bytes(tab + 1, len), NULL);
        if (rc != (accept ? AKV_OK : AKV_CORRUPT))
            fail_msg("%s: %s (%s)", line, akv_status_name(rc), akv_last_error()->text);
    }
    assert_int_equal(n, 316);
    free(data);
}

static void test_json_refuses_very_deep_text_without_recursion(void **state)
{
    size_t n    = 100000;
    char  *text = malloc(n * 5);

    (void)state;
    memset(text, '[', n);
    assert_status(AKV_TOO_BIG, akv_json_check(akv_bytes(text, n), NULL));
    assert_int_equal(akv_last_error()->offset, 512);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * 5, "[{\"\":", 5);
    assert_status(AKV_TOO_BIG, akv_json_check(akv_bytes(text, n * 5), NULL));
    free(text);
}

static void test_json_depth_limit_is_exact_and_an_option(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;
    char            text[2000];

    (void)state;
    for (uint32_t limit = 512; limit >= 1; limit /= 8) {
        opt.max_depth = limit;
        for (uint32_t depth = limit; depth <= limit + 1; depth++) {
            memset(text, '[', depth);
            memset(text + depth, ']', depth);
            assert_status(depth == limit ? AKV_OK : AKV_TOO_BIG,
                          akv_json_check(akv_bytes(text, depth * 2), &opt));
        }
    }
    opt.max_depth = 0;
    assert_ok(akv_json_check(akv_str("1"), &opt));
    assert_status(AKV_TOO_BIG, akv_json_check(akv_str("[]"), &opt));
}

/* ------------------------------------------------------------------ reading */

static void test_json_events_tell_types_places_and_raw_text(void **state)
{
    static const char text[] = " {\"a\": [1, 2.50 ,null],\n \"b\\n\":{}, \"c\":false}";
    static const struct {
        akv_doc_type type;
        bool         is_key;
        const char  *raw;
    } want[] = {
        {AKV_DOC_MAP, false, "{"},       {AKV_DOC_STRING, true, "\"a\""},
        {AKV_DOC_ARRAY, false, "["},     {AKV_DOC_INT, false, "1"},
        {AKV_DOC_NUMBER, false, "2.50"}, {AKV_DOC_NULL, false, "null"},
        {AKV_DOC_ARRAY_END, false, "]"}, {AKV_DOC_STRING, true, "\"b\\n\""},
        {AKV_DOC_MAP, false, "{"},       {AKV_DOC_MAP_END, false, "}"},
        {AKV_DOC_STRING, true, "\"c\""}, {AKV_DOC_BOOL, false, "false"},
        {AKV_DOC_MAP_END, false, "}"},
    };
    akv_doc_reader *r;
    akv_doc_event   ev;

    (void)state;
    assert_ok(akv_doc_reader_json(akv_str(text), NULL, &r));
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_ok(akv_doc_next(r, &ev));
        assert_int_equal(ev.type, want[i].type);
        assert_int_equal(ev.is_key, want[i].is_key);
        assert_slice(akv_bytes(text + ev.offset, (size_t)(akv_doc_offset(r) - ev.offset)),
                     want[i].raw);
    }
    assert_int_equal(akv_doc_depth(r), 0);
    assert_status(AKV_END, akv_doc_next(r, &ev));
    assert_status(AKV_END, akv_doc_next(r, &ev));
    akv_doc_reader_free(r);
}

static void test_json_skip_passes_a_container_and_gives_its_raw_text(void **state)
{
    static const char text[] = "[{\"x\":[1,{\"y\":2}]}, 3]";
    akv_doc_reader   *r;
    akv_doc_event     ev;

    (void)state;
    assert_ok(akv_doc_reader_json(akv_str(text), NULL, &r));
    assert_ok(akv_doc_next(r, &ev));
    assert_ok(akv_doc_next(r, &ev));
    assert_ok(akv_doc_skip(r));
    assert_slice(akv_bytes(text + ev.offset, (size_t)(akv_doc_offset(r) - ev.offset)),
                 "{\"x\":[1,{\"y\":2}]}");
    assert_int_equal(akv_doc_depth(r), 1);
    assert_ok(akv_doc_next(r, &ev));
    assert_int_equal(ev.i64, 3);
    assert_ok(akv_doc_skip(r)); /* of a scalar: nothing */
    assert_ok(akv_doc_next(r, &ev));
    assert_int_equal(ev.type, AKV_DOC_ARRAY_END);
    akv_doc_reader_free(r);
}

static akv_doc_event first_event(const char *text)
{
    akv_doc_reader *r;
    akv_doc_event   ev;

    assert_ok(akv_doc_reader_json(akv_str(text), NULL, &r));
    assert_ok(akv_doc_next(r, &ev));
    akv_doc_reader_free(r);
    return ev;
}

static void test_json_integers_are_exact_to_64_bits(void **state)
{
    (void)state;
    assert_int_equal(first_event("0").i64, 0);
    assert_int_equal(first_event("9223372036854775807").type, AKV_DOC_INT);
    assert_true(first_event("9223372036854775807").i64 == INT64_MAX);
    assert_int_equal(first_event("-9223372036854775808").type, AKV_DOC_INT);
    assert_true(first_event("-9223372036854775808").i64 == INT64_MIN);
    assert_int_equal(first_event("9223372036854775808").type, AKV_DOC_UINT);
    assert_true(first_event("9223372036854775808").u64 == (uint64_t)INT64_MAX + 1);
    assert_true(first_event("18446744073709551615").u64 == UINT64_MAX);
    assert_int_equal(first_event("18446744073709551616").type, AKV_DOC_NUMBER);
    assert_int_equal(first_event("-9223372036854775809").type, AKV_DOC_NUMBER);
    assert_int_equal(first_event("100000000000000000000000").type, AKV_DOC_NUMBER);
    assert_int_equal(first_event("-0").type, AKV_DOC_NUMBER);
    assert_int_equal(first_event("1e2").type, AKV_DOC_NUMBER);
}

static void test_json_numbers_keep_their_text(void **state)
{
    static const char text[] = "[1.50,-0,1E+2,0.10e-0,123456789012345678901234567890,-0.0]";

    (void)state;
    check_format(text, NULL, AKV_OK, text);
}

static void test_json_strings_are_unescaped(void **state)
{
    static const char want[] = "\"\\/\b\f\n\r\t\0\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e.";
    akv_doc_reader   *r;
    akv_doc_event     ev;
    akv_slice text = akv_str("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00E9\\u20ac\\uD834\\udd1e.\"");

    (void)state;
    assert_ok(akv_doc_reader_json(text, NULL, &r));
    assert_ok(akv_doc_next(r, &ev));
    assert_int_equal(ev.bytes.len, sizeof want - 1);
    assert_memory_equal(ev.bytes.data, want, sizeof want - 1);
    akv_doc_reader_free(r);
}

static void test_json_plain_strings_are_borrowed_from_the_text(void **state)
{
    static const char text[] = "\"pl\xc3\xa4in and long enough for words\"";

    (void)state;
    assert_ptr_equal(first_event(text).bytes.data, text + 1);
    assert_int_equal(first_event(text).bytes.len, sizeof text - 3);
}

/* Whatever stands in a string at whatever place, it is found. */
static void test_json_string_scan_finds_every_special_byte(void **state)
{
    char text[64];

    (void)state;
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';

                if (good && byte > 0x30)
                    continue;
                memset(text, 'a', sizeof text);
                text[0] = text[len + 1] = '"';
                text[1 + at]            = (char)byte;
                if (akv_json_check(akv_bytes(text, len + 2), NULL) != (good ? AKV_OK : AKV_CORRUPT))
                    fail_msg("byte %02x at %zu of %zu", byte, at, len);
            }
        }
    }
}

static void test_json_refusals_tell_offset_line_and_column(void **state)
{
    (void)state;
    check_refused("", 0, "line 1, column 1");
    check_refused("[1,\n 2,\n \xc3\xa9]", 9, "line 3, column 2");
    check_refused("[\"\xc3\xa9\xc3\xa9\", x]", 9, "line 1, column 8");
    check_refused("{} x", 3, "ended, but the text goes on");
    check_refused("\xef\xbb\xbf{}", 0, "byte order mark");
    check_refused("[\"a\xff\"]", 3, "byte 0xff is not valid UTF-8");
    check_refused("[\"a\xed\xa0\x80\"]", 3, "not valid UTF-8");
    check_refused("\"a\nb\"", 2, "control character 0x0a");
    check_refused("[\"\\ud800\"]", 2, "\\ud800 is half a surrogate pair");
    check_refused("[\"\\ud800\\udbff\"]", 2, "\\ud800 is half a surrogate pair");
    check_refused("[\"\\ud800\\ue000\"]", 2, "\\ud800 is half a surrogate pair");
    check_refused("[\"\\ude00\"]", 2, "\\ude00 is half a surrogate pair");
    check_refused("\"\\x\"", 1, "unknown escape");
    check_refused("\"\\u12g4\"", 1, "four hexadecimal digits");
    check_refused("\"\\u12", 1, "four hexadecimal digits");
    check_refused("\"abc", 4, "ends within a string");
    check_refused("\"abc\\", 5, "ends within a string");
    check_refused("01", 1, "begins with 0");
    check_refused("-01", 2, "begins with 0");
    check_refused("[1.]", 1, "lacks digits");
    check_refused("-", 0, "lacks digits");
    check_refused("[1e+]", 1, "lacks digits");
    check_refused("nul", 0, "expected null");
    check_refused("[1 2]", 3, "expected ',' or ']'");
    check_refused("{\"a\":1 \"b\"}", 7, "expected ',' or '}'");
    check_refused("{\"a\" 1}", 5, "expected ':'");
    check_refused("{a:1}", 1, "expected a key in quotes");
    check_refused("{\"a\":1,}", 7, "expected a key in quotes");
    check_refused("[1,]", 3, "expected a value");
    check_refused("[1", 2, "the text ends where ',' or ']'");
}

static void test_json_half_surrogates_are_replaced_when_asked(void **state)
{
    akv_doc_options opt = options_with(AKV_DOC_LONE_SURROGATES, AKV_DOC_KEEP);

    (void)state;
    check_format("[\"\\ud800\",\"\\udc00x\",\"\\ud800\\ud834\\udd1e\",\"\\ud800\\u0041\"]", &opt,
                 AKV_OK,
                 "[\"\xef\xbf\xbd\",\"\xef\xbf\xbdx\",\"\xef\xbf\xbd\xf0\x9d\x84\x9e\","
                 "\"\xef\xbf\xbd"
                 "A\"]");
}

static void test_json_every_truncation_is_refused(void **state)
{
    static const char text[] =
        "{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud834\\udd1e\xc3\xa9\",true,false,null],\"b\":{}}";
    akv_doc_options many = options_with(AKV_DOC_MANY, AKV_DOC_LAST);

    (void)state;
    assert_ok(akv_json_check(akv_str(text), NULL));
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *exact = malloc(len ? len : 1); /* so that a sanitizer sees the end */

        memcpy(exact, text, len);
        assert_status(AKV_CORRUPT, akv_json_check(akv_bytes(exact, len), NULL));
        assert_true(akv_last_error()->offset <= len);
        assert_status(len == 0 ? AKV_OK : AKV_CORRUPT,
                      akv_json_check(akv_bytes(exact, len), &many));
        free(exact);
    }
}

static void test_json_a_failure_stays(void **state)
{
    akv_doc_reader *r;
    akv_doc_event   ev;

    (void)state;
    assert_ok(akv_doc_reader_json(akv_str("[1,]"), NULL, &r));
    assert_ok(akv_doc_next(r, &ev));
    assert_ok(akv_doc_next(r, &ev));
    for (int i = 0; i < 3; i++)
        assert_status(AKV_CORRUPT, akv_doc_next(r, &ev));
    assert_status(AKV_CORRUPT, akv_doc_skip(r));
    assert_int_equal(akv_last_error()->offset, 3);
    akv_doc_reader_free(r);
}

/* -------------------------------------------------------------- duplicates */

static void test_json_duplicates_are_kept_by_default(void **state)
{
    (void)state;
    check_format("{\"a\":1,\"a\":2}", NULL, AKV_OK, "{\"a\":1,\"a\":2}");
}

static void test_json_duplicates_are_refused_when_asked(void **state)
{
    akv_doc_options opt = options_with(0, AKV_DOC_REFUSE);

    (void)state;
    check_format("[{\"a\":1,\"b\":{\"a\":1}},{\"a\":1}]", &opt, AKV_OK,
                 "[{\"a\":1,\"b\":{\"a\":1}},{\"a\":1}]");
    check_format("{\"a\":1,\"b\":{\"a\":1},\"\\u0061\":3,\"b\":4}", &opt, AKV_CORRUPT, NULL);
    assert_int_equal(akv_last_error()->offset, 19);
    assert_error_has("has this key already");
    check_format("{\"\":1,\"\":2}", &opt, AKV_CORRUPT, NULL);
}

static void test_json_of_duplicates_the_last_wins_when_asked(void **state)
{
    akv_doc_options opt = options_with(AKV_DOC_MANY, AKV_DOC_LAST);

    (void)state;
    check_format("{\"a\":[1,{\"x\":1,\"x\":2}],\"b\":{\"q\":1,\"\\u0071\":2,\"q\":3},\"a\":4}"
                 "{\"a\":{\"a\":1,\"a\":{\"a\":0,\"a\":7}}}[{}]",
                 &opt, AKV_OK, "{\"b\":{\"q\":3},\"a\":4}\n{\"a\":{\"a\":{\"a\":7}}}\n[{}]\n");
}

/* ------------------------------------------------------------ many documents */

static void test_json_many_documents_follow_one_another(void **state)
{
    akv_doc_options opt = options_with(AKV_DOC_MANY, AKV_DOC_KEEP);

    (void)state;
    check_format("", &opt, AKV_OK, "");
    check_format(" \n", &opt, AKV_OK, "");
    check_format("{\"a\":1}\n{\"a\":2}\n", &opt, AKV_OK, "{\"a\":1}\n{\"a\":2}\n");
    check_format("[][]1 true\"x\"2{}", &opt, AKV_OK, "[]\n[]\n1\ntrue\n\"x\"\n2\n{}\n");
    check_format("truefalse", &opt, AKV_CORRUPT, NULL);
    check_format("1-2", &opt, AKV_CORRUPT, NULL);
    assert_error_has("white space before the next document");
    check_format("{}1", &opt, AKV_OK, "{}\n1\n");
}

static void test_json_depth_0_ends_each_of_many_documents(void **state)
{
    akv_doc_options opt = options_with(AKV_DOC_MANY, AKV_DOC_KEEP);
    akv_doc_reader *r;
    akv_doc_event   ev;
    int             documents = 0;

    (void)state;
    assert_ok(akv_doc_reader_json(akv_str("[1,[2]] {} 5"), &opt, &r));
    while (akv_doc_next(r, &ev) == AKV_OK)
        documents += akv_doc_depth(r) == 0;
    assert_int_equal(documents, 3);
    akv_doc_reader_free(r);
}

/* ----------------------------------------------------------------- numbers */

static void check_print(double v, const char *want)
{
    char text[AKVI_NUMBER_MAX];

    assert_slice(akv_bytes(text, akvi_number_print(v, text)), want);
}

static void test_json_doubles_print_as_their_shortest_decimal(void **state)
{
    (void)state;
    check_print(0.0, "0.0");
    check_print(-0.0, "-0.0");
    check_print(1.0, "1.0");
    check_print(-1.5, "-1.5");
    check_print(0.1, "0.1");
    check_print(0.30000000000000004, "0.30000000000000004");
    check_print(100.0, "100.0");
    check_print(123456.789, "123456.789");
    check_print(1e15, "1000000000000000.0");
    check_print(9007199254740993.0, "9007199254740992.0");
    check_print(1e16, "1e16");
    check_print(1e22, "1e22");
    check_print(1e23, "1e23");
    check_print(1.5e300, "1.5e300");
    check_print(0.0001, "0.0001");
    check_print(0.00001, "0.00001");
    check_print(0.000001, "1e-6");
    check_print(1.25e-7, "1.25e-7");
    check_print(5e-324, "5e-324");
    check_print(2.2250738585072014e-308, "2.2250738585072014e-308");
    check_print(1.7976931348623157e308, "1.7976931348623157e308");
    /* Powers of two whose nearest decimal of 16 digits lies outside. */
    check_print(0x1p-44, "5.684341886080802e-14");
    check_print(0x1p-1017, "7.120236347223045e-307");
}

static double double_of_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static void check_double_survives(double v)
{
    char   text[AKVI_NUMBER_MAX];
    size_t len   = akvi_number_print(v, text);
    bool   exact = false;
    double back  = akvi_number_parse(akv_bytes(text, len), &exact);

    if (back != v || signbit(back) != signbit(v) || !exact)
        fail_msg("%a printed as %.*s came back as %a", v, (int)len, text, back);
    assert_true(back == strtod((text[len] = '\0', text), NULL));
}

static void test_json_random_doubles_survive_printing(void **state)
{
    akvt_random r = akvt_random_new(1);

    (void)state;
    for (unsigned i = 0; i < 20000 * akvt_scale(); i++) {
        double v = double_of_bits(akvt_next(&r));

        if (isfinite(v))
            check_double_survives(v);
        check_double_survives((double)(akvt_next(&r) >> akvt_below(&r, 64)) /
                              (double)(1 + akvt_below(&r, 1000)));
    }
    for (int e = -1074; e < 1024; e++) {
        check_double_survives(ldexp(1.0, e));
        check_double_survives(nextafter(ldexp(1.0, e), 0));
        check_double_survives(nextafter(ldexp(1.0, e), INFINITY));
    }
}

/* The C library rounds right: compare with it on texts of every length. */
static void test_json_random_decimals_parse_to_the_nearest_double(void **state)
{
    akvt_random r = akvt_random_new(2);
    char        text[1300];

    (void)state;
    for (unsigned i = 0; i < 20000 * akvt_scale(); i++) {
        size_t len = 0, digits = 1 + (i % 50 == 0 ? akvt_below(&r, 1100) : akvt_below(&r, 40));
        size_t point = akvt_below(&r, digits);

        text[len++] = (char)('1' + akvt_below(&r, 9));
        for (size_t at = 1; at < digits; at++) {
            if (at == point)
                text[len++] = '.';
            text[len++] = (char)('0' + (akvt_below(&r, 3) ? akvt_below(&r, 10) : 0));
        }
        if (akvt_below(&r, 2))
            len += (size_t)sprintf(text + len, "e%d", (int)akvt_below(&r, 700) - 350);
        text[len] = '\0';
        if (akvi_number_parse(akv_bytes(text, len), NULL) != strtod(text, NULL))
            fail_msg("%s", text);
    }
}

static void test_json_numbers_at_half_way_between_doubles_round_right(void **state)
{
    /* 2^53 + 1 lies between two doubles; what follows decides. */
    char   text[900] = "9007199254740993.";
    size_t len       = strlen(text);

    (void)state;
    memset(text + len, '0', 860);
    assert_true(akvi_number_parse(akv_bytes(text, len + 860), NULL) == 9007199254740992.0);
    text[len + 859] = '1';
    assert_true(akvi_number_parse(akv_bytes(text, len + 860), NULL) == 9007199254740994.0);
}

static void test_json_extreme_exponents_are_infinite_or_zero(void **state)
{
    bool exact;

    (void)state;
    assert_true(isinf(akvi_number_parse(akv_str("1e400"), &exact)) && !exact);
    assert_true(akvi_number_parse(akv_str("-1e99999999999999999999"), &exact) == -INFINITY);
    assert_true(akvi_number_parse(akv_str("1e-99999999999999999999"), &exact) == 0 && !exact);
    assert_true(akvi_number_parse(akv_str("0e99999999999999999999"), &exact) == 0 && exact);
    assert_true(akvi_number_parse(akv_str("1.7976931348623159e308"), &exact) == INFINITY);
}

static void test_json_numbers_do_not_depend_on_the_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    const char              *set     = NULL;
    bool                     exact;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names && !set; i++)
        set = setlocale(LC_NUMERIC, names[i]);
    if (!set)
        skip();
    check_print(0.30000000000000004, "0.30000000000000004");
    check_print(1.25e-7, "1.25e-7");
    assert_true(akvi_number_parse(akv_str("0.30000000000000004"), &exact) == 3.0 / 10 + 0x1p-54);
    assert_true(exact);
    setlocale(LC_NUMERIC, "C");
}

/* ------------------------------------------------------------------ writing */

static void test_json_is_indented_when_asked(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    (void)state;
    opt.indent = 2;
    check_format("{\"a\":[1,{}],\"b\":{\"c\":[]}}", &opt, AKV_OK,
                 "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}");
    check_format("7", &opt, AKV_OK, "7");
}

static void test_json_strings_are_escaped_as_little_as_may_be(void **state)
{
    (void)state;
    check_format("\"\\u0000\\u001f\\u007f\\/\\\"\\\\\\b\\f\\n\\r\\t\\u00e9\"", NULL, AKV_OK,
                 "\"\\u0000\\u001f\x7f/\\\"\\\\\\b\\f\\n\\r\\t\xc3\xa9\"");
}

static void test_json_writer_makes_what_it_is_told(void **state)
{
    akv_buffer      out = AKV_BUFFER_INIT;
    akv_doc_writer *w;

    (void)state;
    assert_ok(akv_doc_writer_json(&out, NULL, &w));
    assert_ok(akv_doc_put_map(w, 8));
    assert_ok(akv_doc_put_text(w, "null"));
    assert_ok(akv_doc_put_null(w));
    assert_ok(akv_doc_put_text(w, "bool"));
    assert_ok(akv_doc_put_bool(w, true));
    assert_ok(akv_doc_put_text(w, "int"));
    assert_ok(akv_doc_put_int(w, INT64_MIN));
    assert_ok(akv_doc_put_text(w, "uint"));
    assert_ok(akv_doc_put_uint(w, UINT64_MAX));
    assert_ok(akv_doc_put_text(w, "double"));
    assert_ok(akv_doc_put_double(w, 0.1));
    assert_ok(akv_doc_put_text(w, "string"));
    assert_ok(akv_doc_put_string(w, akv_bytes("a\0b", 3)));
    assert_ok(akv_doc_put_text(w, "array"));
    assert_ok(akv_doc_put_array(w, AKV_DOC_COUNT_UNKNOWN));
    assert_ok(akv_doc_put_int(w, 1));
    assert_ok(akv_doc_put_end(w));
    assert_ok(akv_doc_put_text(w, "map"));
    assert_ok(akv_doc_put_map(w, 0));
    assert_ok(akv_doc_put_end(w));
    assert_status(AKV_OK, akv_doc_put_end(w));
    assert_ok(akv_doc_finish(w));
    assert_slice(akvi_buffer_slice(&out),
                 "{\"null\":null,\"bool\":true,\"int\":-9223372036854775808,"
                 "\"uint\":18446744073709551615,\"double\":0.1,\"string\":\"a\\u0000b\","
                 "\"array\":[1],\"map\":{}}");
    akv_doc_writer_free(w);
    akv_buffer_free(&out);
}

/* Run `calls`, letters for calls of the writer; the last must be MISUSE. */
static void check_writer_misuse(const char *calls, const char *text)
{
    akv_buffer      out = AKV_BUFFER_INIT;
    akv_doc_writer *w;
    akv_status      rc = AKV_OK;

    assert_ok(akv_doc_writer_json(&out, NULL, &w));
    for (const char *c = calls; *c; c++) {
        assert_int_equal(rc, AKV_OK);
        switch (*c) {
        case 's': rc = akv_doc_put_text(w, "s"); break;
        case '[': rc = akv_doc_put_array(w, AKV_DOC_COUNT_UNKNOWN); break;
        case '1': rc = akv_doc_put_array(w, 1); break;
        case '{': rc = akv_doc_put_map(w, AKV_DOC_COUNT_UNKNOWN); break;
        case ']': {
            akv_doc_event ev = {.type = AKV_DOC_ARRAY_END, .offset = AKV_NO_OFFSET};

            rc = akv_doc_put(w, &ev);
            break;
        }
        case 'e': rc = akv_doc_put_end(w); break;
        default: rc = akv_doc_finish(w);
        }
    }
    assert_int_equal(rc, AKV_MISUSE);
    assert_error_has(text);
    assert_status(AKV_MISUSE, akv_doc_put_null(w)); /* it stays */
    assert_status(AKV_MISUSE, akv_doc_finish(w));
    akv_doc_writer_free(w);
    akv_buffer_free(&out);
}

static void test_json_writer_refuses_what_is_no_document(void **state)
{
    (void)state;
    check_writer_misuse(".", "no document");
    check_writer_misuse("ss", "second document");
    check_writer_misuse("[s.", "1 containers are still open");
    check_writer_misuse("e", "no container is open");
    check_writer_misuse("{se", "a key without its value");
    check_writer_misuse("{]", "the end of an array, but a map is open");
    check_writer_misuse("1e", "0 items was announced for 1");
    check_writer_misuse("1sse", "2 items was announced for 1");
}

static void check_put_refused(const akv_doc_event *ev, akv_status status)
{
    akv_buffer      out = AKV_BUFFER_INIT;
    akv_doc_writer *w;

    assert_ok(akv_doc_writer_json(&out, NULL, &w));
    assert_status(status, akv_doc_put(w, ev));
    akv_doc_writer_free(w);
    akv_buffer_free(&out);
}

static void test_json_writer_refuses_texts_that_would_break_out(void **state)
{
    static const char *const texts[] = {"1,2", "01", "", "nan", "1 ", "+1", "1.", "\"x\""};
    akv_doc_event            ev      = {.type = AKV_DOC_NUMBER};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ev.bytes = akv_str(texts[i]);
        if (ev.bytes.len > 0)
            check_put_refused(&ev, AKV_MISUSE);
    }
    ev.type = (akv_doc_type)99;
    check_put_refused(&ev, AKV_MISUSE);
    ev.type  = AKV_DOC_STRING;
    ev.bytes = akv_str("a\xff");
    check_put_refused(&ev, AKV_UNSUPPORTED);
    ev.bytes = akv_bytes(NULL, 3);
    check_put_refused(&ev, AKV_MISUSE);
}

/* ------------------------------------------------------------------- misuse */

static void test_json_options_that_make_no_sense_are_refused(void **state)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;
    akv_doc_reader *r;
    akv_doc_event   ev;

    (void)state;
    opt.flags = 1u << 30;
    assert_status(AKV_MISUSE, akv_json_check(akv_str("1"), &opt));
    opt.flags      = 0;
    opt.duplicates = 3;
    assert_status(AKV_MISUSE, akv_json_check(akv_str("1"), &opt));
    opt.duplicates = 0;
    opt.indent     = 17;
    assert_status(AKV_MISUSE, akv_json_check(akv_str("1"), &opt));
    opt.indent    = 0;
    opt.max_depth = UINT32_MAX;
    assert_status(AKV_MISUSE, akv_json_check(akv_str("1"), &opt));
    assert_status(AKV_MISUSE, akv_json_check(akv_bytes(NULL, 1), NULL));
    assert_status(AKV_MISUSE, akv_json_format(akv_str("1"), NULL, NULL));
    assert_status(AKV_MISUSE, akv_doc_reader_json(akv_str("1"), NULL, NULL));
    assert_status(AKV_MISUSE, akv_doc_next(NULL, &ev));
    assert_status(AKV_MISUSE, akv_doc_skip(NULL));
    assert_ok(akv_doc_reader_json(akv_bytes(NULL, 0), NULL, &r));
    assert_status(AKV_CORRUPT, akv_doc_next(r, &ev));
    akv_doc_reader_free(r);
    akv_doc_reader_free(NULL);
    akv_doc_writer_free(NULL);
}

static void test_json_failed_allocations_are_reported_and_leak_nothing(void **state)
{
    static const char text[] = "[[[[[[[[[[[[[[[[[[{\"a\\n\":1,\"b\":[\"c\\t\"],\"a\\n\":2}"
                               "]]]]]]]]]]]]]]]]]]";
    akv_doc_options   opt    = AKV_DOC_OPTIONS_INIT;
    akv_status        rc     = AKV_NOMEM;

    (void)state;
    for (uint32_t duplicates = 0; duplicates < 3; duplicates++) {
        opt.duplicates = duplicates;
        rc             = AKV_NOMEM;
        for (uint64_t n = 1; rc == AKV_NOMEM; n++) {
            akv_buffer out = AKV_BUFFER_INIT;

            opt.allocator = out.allocator = akvt_failing_allocator(n);
            rc                            = akv_json_format(akv_str(text), &opt, &out);
            if (rc == AKV_NOMEM) {
                assert_int_equal(akv_last_error()->code, AKV_NOMEM);
                assert_error_has("no memory");
                assert_int_equal(out.len, 0);
            }
            akv_buffer_free(&out);
            assert_int_equal(akvt_allocator_out(), 0);
            assert_true(n < 1000);
        }
        assert_int_equal(rc, duplicates == AKV_DOC_REFUSE ? AKV_CORRUPT : AKV_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_suite_is_answered_as_it_asks),
        cmocka_unit_test(test_json_refuses_very_deep_text_without_recursion),
        cmocka_unit_test(test_json_depth_limit_is_exact_and_an_option),
        cmocka_unit_test(test_json_events_tell_types_places_and_raw_text),
        cmocka_unit_test(test_json_skip_passes_a_container_and_gives_its_raw_text),
        cmocka_unit_test(test_json_integers_are_exact_to_64_bits),
        cmocka_unit_test(test_json_numbers_keep_their_text),
        cmocka_unit_test(test_json_strings_are_unescaped),
        cmocka_unit_test(test_json_plain_strings_are_borrowed_from_the_text),
        cmocka_unit_test(test_json_string_scan_finds_every_special_byte),
        cmocka_unit_test(test_json_refusals_tell_offset_line_and_column),
        cmocka_unit_test(test_json_half_surrogates_are_replaced_when_asked),
        cmocka_unit_test(test_json_every_truncation_is_refused),
        cmocka_unit_test(test_json_a_failure_stays),
        cmocka_unit_test(test_json_duplicates_are_kept_by_default),
        cmocka_unit_test(test_json_duplicates_are_refused_when_asked),
        cmocka_unit_test(test_json_of_duplicates_the_last_wins_when_asked),
        cmocka_unit_test(test_json_many_documents_follow_one_another),
        cmocka_unit_test(test_json_depth_0_ends_each_of_many_documents),
        cmocka_unit_test(test_json_doubles_print_as_their_shortest_decimal),
        cmocka_unit_test(test_json_random_doubles_survive_printing),
        cmocka_unit_test(test_json_random_decimals_parse_to_the_nearest_double),
        cmocka_unit_test(test_json_numbers_at_half_way_between_doubles_round_right),
        cmocka_unit_test(test_json_extreme_exponents_are_infinite_or_zero),
        cmocka_unit_test(test_json_numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(test_json_is_indented_when_asked),
        cmocka_unit_test(test_json_strings_are_escaped_as_little_as_may_be),
        cmocka_unit_test(test_json_writer_makes_what_it_is_told),
        cmocka_unit_test(test_json_writer_refuses_what_is_no_document),
        cmocka_unit_test(test_json_writer_refuses_texts_that_would_break_out),
        cmocka_unit_test(test_json_options_that_make_no_sense_are_refused),
        cmocka_unit_test(test_json_failed_allocations_are_reported_and_leak_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
