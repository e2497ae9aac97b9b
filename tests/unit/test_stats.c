/* SPDX-License-Identifier: MIT
 *
 * test_stats.c: the list of figures and its written forms.
 */
#include "tests/testing.h"

#include "common/base/buffer.h"
#include "common/base/stats.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void stats_fill(akv_stats *stats)
{
    akv_histogram_summary h = {3, 6000000001, 1, 5000000000, 1000, 2000, 5000000000, 5000000000};
    char                  text[16];

    akv_stats_add(stats, AKV_STAT_COUNTER, "puts", "", 12, "Puts \"so far\".\nAll of them.");
    akv_stats_add(stats, AKV_STAT_GAUGE, "memory", "bytes", UINT64_MAX, "Memory held.");
    akv_stats_add_ratio(stats, "hit_ratio", 0.1, NULL);
    strcpy(text, "a\"\\\n\x01\xff\xc3\xbc");
    akv_stats_add_text(stats, "label", text, "Text.");
    memset(text, 0, sizeof text); /* it was copied */
    akv_stats_add_histogram(stats, "get_latency", "ns", &h, "Time of a get.");
}

static akv_stats *stats_new(void)
{
    akv_stats *stats;

    assert_ok(akvi_stats_new(NULL, &stats));
    stats_fill(stats);
    assert_ok(akvi_stats_status(stats));
    return stats;
}

static void stats_expect(const akv_stats *stats, akv_format format, const char *want)
{
    akv_buffer out = AKV_BUFFER_INIT;

    assert_ok(akv_stats_format(stats, format, &out));
    assert_ok(akvi_buffer_byte(&out, 0));
    assert_string_equal(out.data, want);
    akv_buffer_free(&out);
}

static void test_stats_are_found_by_place_and_name(void **state)
{
    akv_stats *stats = stats_new();

    (void)state;
    assert_int_equal(akv_stats_count(stats), 5);
    assert_string_equal(akv_stats_at(stats, 1)->name, "memory");
    assert_null(akv_stats_at(stats, 5));
    assert_int_equal(akv_stats_find(stats, "puts")->u64, 12);
    assert_string_equal(akv_stats_find(stats, "hit_ratio")->help, "");
    assert_int_equal(akv_stats_find(stats, "get_latency")->histogram.p90, 2000);
    assert_null(akv_stats_find(stats, "gets"));
    assert_int_equal(akv_stats_count(NULL), 0);
    akv_stats_free(stats);
    akv_stats_free(NULL);
}

static void test_stats_as_text_is_a_line_each(void **state)
{
    akv_stats *stats = stats_new();

    (void)state;
    stats_expect(stats, AKV_FORMAT_TEXT,
                 "puts 12\n"
                 "memory 18446744073709551615 bytes\n"
                 "hit_ratio 0.1\n"
                 "label a\\\"\\\\\\n\\x01\\xff\xc3\xbc\n"
                 "get_latency count=3 sum=6000000001 min=1 p50=1000 p90=2000 p99=5000000000 "
                 "p999=5000000000 max=5000000000 ns\n");
    akv_stats_free(stats);
}

static void test_stats_as_json_is_valid(void **state)
{
    akv_stats *stats = stats_new();

    (void)state;
    akv_stats_add_ratio(stats, "odd", NAN, "");
    akv_stats_add_ratio(stats, "third", 1.0 / 3, "");
    stats_expect(stats, AKV_FORMAT_JSON,
                 "{\"puts\":12,\"memory\":18446744073709551615,\"hit_ratio\":0.1,"
                 "\"label\":\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xbc\","
                 "\"get_latency\":{\"count\":3,\"sum\":6000000001,\"min\":1,\"p50\":1000,"
                 "\"p90\":2000,\"p99\":5000000000,\"p999\":5000000000,\"max\":5000000000},"
                 "\"odd\":null,\"third\":0.3333333333333333}\n");
    akv_stats_free(stats);
}

static void test_stats_as_openmetrics_follow_its_rules(void **state)
{
    akv_stats            *stats = stats_new();
    akv_histogram_summary none  = {0};

    (void)state;
    akv_stats_add_histogram(stats, "scan_latency", "ns", &none, "");
    akv_stats_add(stats, AKV_STAT_COUNTER, "read_bytes_total", "bytes", 7, "");
    akv_stats_add(stats, AKV_STAT_GAUGE, "snapshot_age", "ms", 1500, "");
    akv_stats_add_ratio(stats, "much", INFINITY, "");
    stats_expect(stats, AKV_FORMAT_OPENMETRICS,
                 "# TYPE anykv_puts counter\n"
                 "# HELP anykv_puts Puts \\\"so far\\\".\\nAll of them.\n"
                 "anykv_puts_total 12\n"
                 "# TYPE anykv_memory_bytes gauge\n"
                 "# UNIT anykv_memory_bytes bytes\n"
                 "# HELP anykv_memory_bytes Memory held.\n"
                 "anykv_memory_bytes 18446744073709551615\n"
                 "# TYPE anykv_hit_ratio gauge\n"
                 "# UNIT anykv_hit_ratio ratio\n"
                 "anykv_hit_ratio 0.1\n"
                 "# TYPE anykv_label info\n"
                 "# HELP anykv_label Text.\n"
                 "anykv_label_info{label=\"a\\\"\\\\\\n\x01\xef\xbf\xbd\xc3\xbc\"} 1\n"
                 "# TYPE anykv_get_latency_seconds summary\n"
                 "# UNIT anykv_get_latency_seconds seconds\n"
                 "# HELP anykv_get_latency_seconds Time of a get.\n"
                 "anykv_get_latency_seconds{quantile=\"0\"} 0.000000001\n"
                 "anykv_get_latency_seconds{quantile=\"0.5\"} 0.000001000\n"
                 "anykv_get_latency_seconds{quantile=\"0.9\"} 0.000002000\n"
                 "anykv_get_latency_seconds{quantile=\"0.99\"} 5.000000000\n"
                 "anykv_get_latency_seconds{quantile=\"0.999\"} 5.000000000\n"
                 "anykv_get_latency_seconds{quantile=\"1\"} 5.000000000\n"
                 "anykv_get_latency_seconds_count 3\n"
                 "anykv_get_latency_seconds_sum 6.000000001\n"
                 "# TYPE anykv_scan_latency_seconds summary\n"
                 "# UNIT anykv_scan_latency_seconds seconds\n"
                 "anykv_scan_latency_seconds_count 0\n"
                 "anykv_scan_latency_seconds_sum 0.000000000\n"
                 "# TYPE anykv_read_bytes counter\n"
                 "# UNIT anykv_read_bytes bytes\n"
                 "anykv_read_bytes_total 7\n"
                 "# TYPE anykv_snapshot_age_seconds gauge\n"
                 "# UNIT anykv_snapshot_age_seconds seconds\n"
                 "anykv_snapshot_age_seconds 1.500\n"
                 "# TYPE anykv_much_ratio gauge\n"
                 "# UNIT anykv_much_ratio ratio\n"
                 "anykv_much_ratio +Inf\n"
                 "# EOF\n");
    akv_stats_free(stats);
}

static void test_stats_numbers_ignore_the_locale(void **state)
{
    static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    akv_stats               *stats;
    akv_buffer               out = AKV_BUFFER_INIT;
    size_t                   i   = 0;

    (void)state;
    while (i < 4 && !setlocale(LC_NUMERIC, commas[i]))
        i++;
    if (i == 4)
        skip(); /* no such locale here */
    stats = stats_new();
    assert_ok(akv_stats_format(stats, AKV_FORMAT_JSON, &out));
    setlocale(LC_NUMERIC, "C");
    assert_ok(akvi_buffer_byte(&out, 0));
    assert_non_null(strstr(out.data, "\"hit_ratio\":0.1,"));
    akv_buffer_free(&out);
    akv_stats_free(stats);
}

static void test_stats_many_figures_keep_their_order(void **state)
{
    static char names[300][16];
    akv_stats  *stats;

    (void)state;
    assert_ok(akvi_stats_new(NULL, &stats));
    for (int i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        akv_stats_add(stats, AKV_STAT_GAUGE, names[i], "", (uint64_t)i, "");
    }
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(akv_stats_at(stats, i)->u64, i);
    akv_stats_free(stats);
}

static void test_stats_format_refuses_what_it_does_not_know(void **state)
{
    akv_stats *stats = stats_new();
    akv_buffer out   = AKV_BUFFER_INIT;

    (void)state;
    assert_status(AKV_MISUSE, akv_stats_format(stats, (akv_format)9, &out));
    assert_status(AKV_MISUSE, akv_stats_format(NULL, AKV_FORMAT_JSON, &out));
    assert_status(AKV_MISUSE, akv_stats_format(stats, AKV_FORMAT_JSON, NULL));
    akv_stats_free(stats);
}

static void test_stats_survive_every_failed_allocation(void **state)
{
    bool failed = true;

    (void)state;
    for (uint64_t nth = 1; failed; nth++) {
        const akv_allocator *a     = akvt_failing_allocator(nth);
        akv_buffer           out   = {NULL, 0, 0, a};
        akv_stats           *stats = NULL;
        akv_status           rc;

        rc = akvi_stats_new(a, &stats);
        if (rc == AKV_OK) {
            for (int i = 0; i < 10; i++)
                stats_fill(stats);
            rc = akvi_stats_status(stats);
        }
        for (int f = AKV_FORMAT_TEXT; f <= AKV_FORMAT_OPENMETRICS && rc == AKV_OK; f++)
            rc = akv_stats_format(stats, (akv_format)f, &out);
        failed = rc != AKV_OK;
        if (failed)
            assert_int_equal(rc, AKV_NOMEM);
        akv_buffer_free(&out);
        akv_stats_free(stats);
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats_are_found_by_place_and_name),
        cmocka_unit_test(test_stats_as_text_is_a_line_each),
        cmocka_unit_test(test_stats_as_json_is_valid),
        cmocka_unit_test(test_stats_as_openmetrics_follow_its_rules),
        cmocka_unit_test(test_stats_numbers_ignore_the_locale),
        cmocka_unit_test(test_stats_many_figures_keep_their_order),
        cmocka_unit_test(test_stats_format_refuses_what_it_does_not_know),
        cmocka_unit_test(test_stats_survive_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
