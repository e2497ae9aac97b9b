/* SPDX-License-Identifier: MIT
 *
 * test_options.c: option structs through their tables.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/options.h"

#include <string.h>

typedef struct brine_options {
    size_t      size;
    bool        salted;
    uint32_t    barrels;
    int32_t     shift;
    uint64_t    grains;
    uint64_t    cache;
    uint32_t    period_ms;
    uint32_t    kind;
    const char *label;
} brine_options;

static const char *const options_kinds[] = {"coarse", "fine", NULL};

#define FIELD(f) offsetof(brine_options, f)
static const akv_option options_table[] = {
    {"salted", AKV_OPTION_BOOL, FIELD(salted), 0, 1, 1, NULL, NULL, "with salt"},
    {"barrels", AKV_OPTION_U32, FIELD(barrels), 1, 100, 4, NULL, NULL, "how many"},
    {"shift", AKV_OPTION_I32, FIELD(shift), (uint64_t)-5, 5, (uint64_t)-1, NULL, NULL, "signed"},
    {"grains", AKV_OPTION_U64, FIELD(grains), 0, UINT64_MAX, 7, NULL, NULL, "many"},
    {"cache", AKV_OPTION_BYTES, FIELD(cache), 0, UINT64_C(1) << 40, 64 << 20, NULL, NULL, "room"},
    {"period", AKV_OPTION_MS, FIELD(period_ms), 1, 3600000, 100, NULL, NULL, "time"},
    {"kind", AKV_OPTION_CHOICE, FIELD(kind), 0, 0, 1, NULL, options_kinds, "which"},
    {"label", AKV_OPTION_TEXT, FIELD(label), 0, 0, 0, "none", NULL, "text"},
};
#define OPTIONS_N AKVI_ARRAY_N(options_table)

static brine_options options_new(void)
{
    brine_options o;

    memset(&o, 0, sizeof o);
    o.size = sizeof o;
    akvi_options_defaults(options_table, OPTIONS_N, &o);
    return o;
}

static akv_status options_try(brine_options *o, const char *name, const char *value)
{
    return akv_options_set(options_table, OPTIONS_N, o, name, value);
}

static void test_options_defaults_are_those_of_the_table(void **state)
{
    brine_options o = options_new();

    (void)state;
    assert_true(o.salted);
    assert_int_equal(o.barrels, 4);
    assert_int_equal(o.shift, -1);
    assert_int_equal(o.grains, 7);
    assert_int_equal(o.cache, 64 << 20);
    assert_int_equal(o.period_ms, 100);
    assert_int_equal(o.kind, 1);
    assert_string_equal(o.label, "none");
    assert_ok(akvi_options_check(options_table, OPTIONS_N, &o));
}

static void test_options_set_from_text(void **state)
{
    brine_options o = options_new();

    (void)state;
    assert_ok(options_try(&o, "salted", "off"));
    assert_false(o.salted);
    assert_ok(options_try(&o, "salted", "true"));
    assert_true(o.salted);
    assert_ok(options_try(&o, "barrels", "100"));
    assert_int_equal(o.barrels, 100);
    assert_ok(options_try(&o, "shift", "-5"));
    assert_int_equal(o.shift, -5);
    assert_ok(options_try(&o, "grains", "18446744073709551615"));
    assert_true(o.grains == UINT64_MAX);
    assert_ok(options_try(&o, "cache", "1.5 MiB"));
    assert_int_equal(o.cache, 1572864);
    assert_ok(options_try(&o, "period", "2s"));
    assert_int_equal(o.period_ms, 2000);
    assert_ok(options_try(&o, "period", "1.5m"));
    assert_int_equal(o.period_ms, 90000);
    assert_ok(options_try(&o, "period", "250"));
    assert_int_equal(o.period_ms, 250);
    assert_ok(options_try(&o, "kind", "coarse"));
    assert_int_equal(o.kind, 0);
    assert_ok(options_try(&o, "label", "a label"));
    assert_string_equal(o.label, "a label");
}

static void test_options_refuse_what_is_out_of_range_or_no_value(void **state)
{
    static const char *const bad[][2] = {
        {"salted", "maybe"}, {"salted", ""},     {"barrels", "0"},
        {"barrels", "101"},  {"barrels", "-1"},  {"barrels", "4294967297"},
        {"barrels", "4x"},   {"barrels", ""},    {"barrels", " 4"},
        {"shift", "6"},      {"shift", "-6"},    {"shift", "2147483648"},
        {"shift", "-"},      {"shift", "--1"},   {"grains", "18446744073709551616"},
        {"grains", "-1"},    {"cache", "2TiB"},  {"cache", "12XB"},
        {"cache", "1.5"},    {"cache", ".5MiB"}, {"cache", "99999999999TiB"},
        {"cache", "1.MiB"},  {"period", "0ms"},  {"period", "2 hours"},
        {"period", "2h"},    {"kind", "COARSE"}, {"kind", ""},
    };
    brine_options o = options_new(), before = o;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(bad); i++) {
        assert_status(AKV_MISUSE, options_try(&o, bad[i][0], bad[i][1]));
        assert_memory_equal(&o, &before, sizeof o);
    }
    assert_status(AKV_MISUSE, options_try(&o, "kind", "medium"));
    assert_error_has("coarse, fine");
    assert_status(AKV_MISUSE, options_try(&o, "barrels", "101"));
    assert_error_has("1..100");
    assert_status(AKV_MISUSE, options_try(&o, "shift", "-6"));
    assert_error_has("-5..5");
    assert_status(AKV_MISUSE, options_try(&o, "barrel", "1"));
    assert_error_has("salted, barrels, shift");
    assert_status(AKV_MISUSE, options_try(NULL, "barrels", "1"));
    assert_status(AKV_MISUSE, akv_options_set(NULL, 0, &o, "barrels", "1"));
}

static void test_options_check_names_the_field(void **state)
{
    brine_options o = options_new();

    (void)state;
    o.period_ms = 0;
    assert_status(AKV_MISUSE, akvi_options_check(options_table, OPTIONS_N, &o));
    assert_error_has("period");
    o      = options_new();
    o.kind = 2;
    assert_status(AKV_MISUSE, akvi_options_check(options_table, OPTIONS_N, &o));
    assert_error_has("kind");
}

static void test_options_print_reads_back(void **state)
{
    static const char *const texts[][2] = {
        {"salted", "false"},  {"barrels", "12"}, {"shift", "-3"},    {"grains", "99"},
        {"cache", "64MiB"},   {"cache", "1000"}, {"cache", "0"},     {"cache", "3KiB"},
        {"period", "1500ms"}, {"period", "60s"}, {"kind", "coarse"}, {"label", "x=y, z"},
    };
    brine_options o   = options_new();
    akv_buffer    out = AKV_BUFFER_INIT;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(texts); i++) {
        const akv_option *row = akvi_options_find(options_table, OPTIONS_N, texts[i][0]);

        assert_ok(options_try(&o, texts[i][0], texts[i][1]));
        assert_ok(akv_options_print(row, &o, &out));
        assert_slice(akvi_buffer_slice(&out), texts[i][1]);
    }
    o.label = NULL;
    assert_ok(akv_options_print(&options_table[7], &o, &out));
    assert_int_equal(out.len, 0);
    akv_buffer_free(&out);
}

static void test_sizes_of_all_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t    bytes;
    } sizes[] = {
        {"0", 0},
        {"4096", 4096},
        {"7B", 7},
        {"1k", 1024},
        {"64KiB", 65536},
        {"64kb", 64000},
        {"2MB", 2000000},
        {"1G", UINT64_C(1) << 30},
        {"1.5 GB", 1500000000},
        {"0.3GB", 300000000},
        {"1.1TB", UINT64_C(1100000000000)},
        {"0.000000001GB", 1},
        {"16777215TiB", UINT64_C(16777215) << 40},
    };
    uint64_t got;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(sizes); i++) {
        assert_ok(akvi_parse_bytes(sizes[i].text, &got));
        assert_true(got == sizes[i].bytes);
    }
    assert_status(AKV_MISUSE, akvi_parse_bytes("16777216TiB", &got));
    assert_status(AKV_MISUSE, akvi_parse_bytes("much", &got));
    assert_error_has("64KiB");
}

static void test_options_copy_takes_older_and_newer_structs(void **state)
{
    struct {
        brine_options known;
        uint64_t      newer;
    } from;
    brine_options to = options_new();

    (void)state;
    memset(&from, 0, sizeof from);
    from.known         = options_new();
    from.known.barrels = 9;
    from.known.kind    = 0;
    from.known.size    = FIELD(kind); /* built before `kind` was added */
    assert_ok(akvi_options_copy(&to, sizeof to, &from, "brine_options"));
    assert_int_equal(to.barrels, 9);
    assert_int_equal(to.kind, 1);
    assert_int_equal(to.size, sizeof to);
    from.known.size = sizeof from; /* built later, the new field unused */
    assert_ok(akvi_options_copy(&to, sizeof to, &from, "brine_options"));
    assert_int_equal(to.kind, 0);
    from.newer = 1;
    assert_status(AKV_MISUSE, akvi_options_copy(&to, sizeof to, &from, "brine_options"));
    assert_error_has("brine_options");
    from.known.size = 0;
    assert_status(AKV_MISUSE, akvi_options_copy(&to, sizeof to, &from, "brine_options"));
}

typedef struct options_pairs {
    char   text[200];
    size_t fail_at, n;
} options_pairs;

static akv_status options_each(void *user, const char *name, const char *value)
{
    options_pairs *p = user;

    if (++p->n == p->fail_at)
        return AKV_FAIL(AKV_MISUSE, "stopped");
    strcat(p->text, name);
    strcat(p->text, "<");
    strcat(p->text, value);
    strcat(p->text, ">");
    return AKV_OK;
}

static void test_options_split_undoes_percents(void **state)
{
    static const struct {
        const char *text;
        char        sep;
        const char *want;
    } cases[] = {
        {"", ',', ""},
        {"a=1", ',', "a<1>"},
        {"a=1,b=2,", ',', "a<1>b<2>"},
        {",a=,,b==", ',', "a<>b<=>"},
        {"a=1&b=x%2Cy%26%3d%25", '&', "a<1>b<x,y&=%>"},
        {"%61b=c", ',', "ab<c>"},
        {"a=1,2=3", '&', "a<1,2=3>"},
    };
    akv_buffer scratch = AKV_BUFFER_INIT;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        options_pairs p = {"", 0, 0};

        assert_ok(akvi_options_split(cases[i].text, cases[i].sep, &scratch, options_each, &p));
        assert_string_equal(p.text, cases[i].want);
    }
    akv_buffer_free(&scratch);
}

static void test_options_split_refuses_bad_pairs(void **state)
{
    static const char *const bad[]   = {"a", "=1", "a=1,b", "a=%", "a=%2", "a=%zz", "a=%00", "%=1"};
    akv_buffer               scratch = {NULL, 0, 0, akvt_failing_allocator(0)};
    options_pairs            p       = {"", 0, 0};

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(bad); i++)
        assert_status(AKV_MISUSE, akvi_options_split(bad[i], ',', &scratch, options_each, &p));
    p = (options_pairs){"", 2, 0};
    assert_status(AKV_MISUSE, akvi_options_split("a=1,b=2,c=3", ',', &scratch, options_each, &p));
    assert_string_equal(p.text, "a<1>");
    akv_buffer_free(&scratch);
    akvt_failing_allocator(1);
    assert_status(AKV_NOMEM, akvi_options_split("a=1", ',', &scratch, options_each, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_defaults_are_those_of_the_table),
        cmocka_unit_test(test_options_set_from_text),
        cmocka_unit_test(test_options_refuse_what_is_out_of_range_or_no_value),
        cmocka_unit_test(test_options_check_names_the_field),
        cmocka_unit_test(test_options_print_reads_back),
        cmocka_unit_test(test_sizes_of_all_units),
        cmocka_unit_test(test_options_copy_takes_older_and_newer_structs),
        cmocka_unit_test(test_options_split_undoes_percents),
        cmocka_unit_test(test_options_split_refuses_bad_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
