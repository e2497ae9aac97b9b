/* SPDX-License-Identifier: MIT
 *
 * test_printable.c: bytes as text and back, and UTF-8.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/printable.h"

#include <string.h>

#define BYTES(literal) (literal), sizeof(literal) - 1

static void test_printable_shows_text_and_escapes_the_rest(void **state)
{
    static const struct {
        const char *bytes;
        size_t      len;
        const char *text;
    } cases[] = {
        {BYTES("plain text"), "plain text"},
        {BYTES("a\nb\rc\td\\e\"f"), "a\\nb\\rc\\td\\\\e\\\"f"},
        {BYTES("\0\x01\x7f"), "\\x00\\x01\\x7f"},
        {BYTES("Z\xc3\xbcrich \xe6\x9d\xb1"), "Z\xc3\xbcrich \xe6\x9d\xb1"},
        {BYTES("\xf0\x9f\x8c\x99"), "\xf0\x9f\x8c\x99"},
        {BYTES("\xff\xc3"), "\\xff\\xc3"},
        {BYTES("\xc3\x28"), "\\xc3("},
        {BYTES("\xc2\x85"), "\\xc2\\x85"},          /* a control */
        {BYTES("\xe2\x80\x8b"), "\\xe2\\x80\\x8b"}, /* a space of no width */
        {BYTES("\xe2\x80\xae"), "\\xe2\\x80\\xae"}, /* turns the text around */
        {BYTES("\xc2\xa0"), "\\xc2\\xa0"},          /* looks like a space */
        {BYTES("\xef\xbb\xbf"), "\\xef\\xbb\\xbf"}, /* byte order mark */
    };
    akv_buffer out = AKV_BUFFER_INIT;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        akvi_buffer_clear(&out);
        assert_ok(akvi_print_bytes(&out, cases[i].bytes, cases[i].len));
        assert_slice(akvi_buffer_slice(&out), cases[i].text);
    }
    akv_buffer_free(&out);
}

static void test_printable_random_bytes_read_back(void **state)
{
    akvt_random r    = akvt_random_new(1);
    akv_buffer  text = AKV_BUFFER_INIT, back = AKV_BUFFER_INIT;
    uint8_t     bytes[64];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        size_t len = akvt_below(&r, sizeof bytes);

        akvt_fill(&r, bytes, len);
        for (size_t k = 0; k < len; k++) /* more that is nearly UTF-8 */
            bytes[k] = i % 2 ? bytes[k] : "aZ\\\"x\xc3\xbc\xe2\x80\x8b\xf0\x9f\n"[bytes[k] % 12];
        akvi_buffer_clear(&text);
        akvi_buffer_clear(&back);
        assert_ok(akvi_print_bytes(&text, bytes, len));
        assert_int_equal(akvi_utf8_check(text.data, text.len), text.len);
        assert_ok(akvi_parse_printable(&back, text.data, text.len));
        assert_true(akvi_equal(back.data, back.len, bytes, len));
    }
    akv_buffer_free(&text);
    akv_buffer_free(&back);
}

static void test_printable_bad_escape_tells_its_position(void **state)
{
    static const char *const bad[] = {"abc\\",   "abc\\q",   "abc\\x",
                                      "abc\\x1", "abc\\xg0", "abc\\x0g"};
    akv_buffer               out   = AKV_BUFFER_INIT;

    (void)state;
    assert_ok(akvi_buffer_text(&out, "before"));
    for (size_t i = 0; i < AKVI_ARRAY_N(bad); i++) {
        assert_status(AKV_MISUSE, akvi_parse_printable(&out, bad[i], strlen(bad[i])));
        assert_error_has("position 3");
        assert_slice(akvi_buffer_slice(&out), "before");
    }
    assert_ok(akvi_parse_printable(&out, BYTES("\\xfF\"\\x00")));
    assert_memory_equal(out.data, "before\xff\"\0", 9);
    akv_buffer_free(&out);
}

static void test_printable_without_memory_appends_nothing(void **state)
{
    uint8_t bytes[300];

    (void)state;
    memset(bytes, 7, sizeof bytes);
    for (uint64_t nth = 1;; nth++) {
        akv_buffer out = {NULL, 0, 0, akvt_failing_allocator(nth)};
        akv_status rc;

        akvi_call_begin();
        rc = akvi_print_bytes(&out, bytes, sizeof bytes);
        if (rc != AKV_OK) {
            assert_int_equal(rc, AKV_NOMEM);
            assert_int_equal(out.len, 0);
        }
        akv_buffer_free(&out);
        assert_int_equal(akvt_allocator_out(), 0);
        if (rc == AKV_OK)
            break;
    }
}

static void test_key_text_fits_any_key(void **state)
{
    char    text[AKVI_KEY_TEXT];
    uint8_t key[1000];

    (void)state;
    assert_string_equal(akvi_key_text(text, akv_str("key")), "key");
    assert_string_equal(akvi_key_text(text, akv_bytes(NULL, 0)), "");
    memset(key, 0xff, sizeof key);
    assert_int_equal(strlen(akvi_key_text(text, akv_bytes(key, 60))), 240);
    assert_int_equal(strlen(akvi_key_text(text, akv_bytes(key, sizeof key))), 243);
    assert_string_equal(text + 240, "...");
    memcpy(key, "\xf0\x9f\x8c\x99", 4);
    for (size_t i = 4; i < sizeof key; i++)
        key[i] = key[i - 4];
    assert_int_equal(strlen(akvi_key_text(text, akv_bytes(key + 2, 998))), 2 * 4 + 14 * 4 + 3);
    memset(key, 'k', sizeof key);
    memcpy(key + 60, "\xf3\xa0\x80\x81", 4); /* the longest unit, just past the end */
    memset(key, 1, 60);
    assert_int_equal(strlen(akvi_key_text(text, akv_bytes(key, sizeof key))), 243);
}

static void test_utf8_refuses_what_is_not(void **state)
{
    static const struct {
        const char *bytes;
        size_t      len, want;
    } cases[] = {
        {BYTES("a"), 1},
        {BYTES("\0"), 1},
        {BYTES(""), 0},
        {BYTES("\xc2\x80"), 2},
        {BYTES("\xe0\xa0\x80"), 3},
        {BYTES("\xed\x9f\xbf"), 3},
        {BYTES("\xee\x80\x80"), 3},
        {BYTES("\xf0\x90\x80\x80"), 4},
        {BYTES("\xf4\x8f\xbf\xbf"), 4},
        {BYTES("\x80"), 0},
        {BYTES("\xc0\x80"), 0},         /* overlong */
        {BYTES("\xc1\xbf"), 0},         /* overlong */
        {BYTES("\xe0\x9f\xbf"), 0},     /* overlong */
        {BYTES("\xf0\x8f\xbf\xbf"), 0}, /* overlong */
        {BYTES("\xed\xa0\x80"), 0},     /* a surrogate */
        {BYTES("\xf4\x90\x80\x80"), 0}, /* past the end of Unicode */
        {BYTES("\xf5\x80\x80\x80"), 0},
        {BYTES("\xc2"), 0}, /* cut */
        {BYTES("\xe2\x82"), 0},
        {BYTES("\xf0\x9f\x8c"), 0},
        {BYTES("\xe2\x28\x80"), 0},
        {BYTES("\xe2\x82\x28"), 0},
        {BYTES("\xf0\x9f\x8c\x28"), 0},
    };

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++)
        assert_int_equal(akvi_utf8_len((const uint8_t *)cases[i].bytes, cases[i].len),
                         cases[i].want);
}

static void test_utf8_check_finds_the_first_bad_byte(void **state)
{
    char text[100];

    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        assert_int_equal(akvi_utf8_check(text, at), at);
        text[at] = '\x80';
        assert_int_equal(akvi_utf8_check(text, sizeof text), at);
        if (at > 0) {
            memcpy(text + at - 1, "\xc3\xbc", 2);
            assert_int_equal(akvi_utf8_check(text, sizeof text), sizeof text);
            assert_int_equal(akvi_utf8_check(text, at), at - 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printable_shows_text_and_escapes_the_rest),
        cmocka_unit_test(test_printable_random_bytes_read_back),
        cmocka_unit_test(test_printable_bad_escape_tells_its_position),
        cmocka_unit_test(test_printable_without_memory_appends_nothing),
        cmocka_unit_test(test_key_text_fits_any_key),
        cmocka_unit_test(test_utf8_refuses_what_is_not),
        cmocka_unit_test(test_utf8_check_finds_the_first_bad_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
