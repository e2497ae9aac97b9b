/* SPDX-License-Identifier: MIT
 *
 * Importing from FastKV: its log, manifest and tables as it wrote them, byte for
 * byte, and the rest of a folder when some of it is damaged.
 */
#include "common/base/buffer.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "engines/lsm/fastkv.h"
#include "tests/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* hello -> "world" as JSON, and its delete. */
static const char FKV_PUT[]    = "0000002d000000000000000141d954fc402000000000000005000000076"
                                 "8656c6c6f22776f726c642246a12936";
static const char FKV_DELETE[] = "00000026000000000000000241d954fc40400000010000000500000000"
                                 "68656c6c6ff270055b";
/* a -> 1, b -> "x". */
static const char FKV_TABLE[] =
    "464153544b5653535401000000000000000200000001610000000162010000"
    "0008c00004420c4820240600000001000000360000003000010000003200000001000000000000000100000031"
    "000100000033000000030000000000000002616231227822"
    "0000002e";

static akv_env *fkv_env;

static int fkv_set_up(void **state)
{
    (void)state;
    akvi_call_begin();
    if (akv_env_memory_new(NULL, &fkv_env) != AKV_OK)
        return -1;
    if (fkv_env->ops->make_folder(fkv_env, "f") != AKV_OK ||
        fkv_env->ops->make_folder(fkv_env, "f/wal") != AKV_OK)
        return -1;
    return fkv_env->ops->make_folder(fkv_env, "f/sstables") == AKV_OK ? 0 : -1;
}

static int fkv_tear_down(void **state)
{
    (void)state;
    akv_env_memory_free(fkv_env);
    return 0;
}

static size_t fkv_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

static void fkv_save(const char *path, const void *data, size_t len)
{
    assert_ok(akvi_write_file(fkv_env, path, data, len));
}

/* One line an entry: "key=value;" or "key-;", a J before a value that is JSON. */
typedef struct fkv_seen {
    char     text[1024];
    size_t   len;
    uint64_t seq;
    unsigned faults;
    char     fault[512];
} fkv_seen;

static akv_status fkv_see(void *user, const lsm_entry *e)
{
    fkv_seen *s = user;

    assert_int_equal(e->seq, s->seq + 1);
    s->seq = e->seq;
    if (s->len < 900)
        s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%.*s%s%s%.*s;",
                                   (int)e->key.len, (const char *)e->key.data,
                                   e->kind == LSM_DELETE ? "-" : "=",
                                   e->encoding == AKV_ENCODING_JSON ? "J" : "", (int)e->value.len,
                                   e->value.data ? (const char *)e->value.data : "");
    return AKV_OK;
}

static void fkv_fault(void *user, const akv_error *error)
{
    fkv_seen *s = user;

    s->faults++;
    snprintf(s->fault, sizeof s->fault, "%s", error->text);
}

static akv_status fkv_read(fkv_seen *s, lsm_fastkv_report *report)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;
    akv_job         job;
    akv_status      rc;

    memset(s, 0, sizeof *s);
    opt.fault = fkv_fault;
    opt.user  = s;
    akvi_call_begin();
    akv_job_begin(&job, &opt, fkv_env, 0, "bytes");
    rc = akvi_lsm_fastkv_read(NULL, fkv_env, "f", &job, fkv_see, s, report);
    assert_int_equal(s->faults, report->faults);
    return rc;
}

static void test_fastkv_log_records_as_it_writes_them(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;
    uint8_t           bytes[256];
    size_t            n = fkv_hex(FKV_PUT, bytes);

    (void)state;
    assert_int_equal(n, 0x2d);
    n += fkv_hex(FKV_DELETE, bytes + n);
    fkv_save("f/wal/wal_1700000000000_1234.log", bytes, n);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "hello=J\"world\";hello-;");
    assert_int_equal(report.log_records, 2);
    assert_int_equal(report.faults, 0);
}

static void test_fastkv_logs_go_by_name_not_by_number(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;
    uint8_t           put[64], gone[64];
    size_t            n = fkv_hex(FKV_PUT, put), m = fkv_hex(FKV_DELETE, gone);

    (void)state;
    fkv_save("f/wal/wal_1700000000002_0000.log", put, n); /* sequence 1, and newer */
    fkv_save("f/wal/wal_1700000000001_9999.log", gone, m);
    fkv_save("f/wal/other.txt", "x", 1);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "hello-;hello=J\"world\";");
    assert_int_equal(report.logs, 2);
}

static void test_fastkv_log_cut_or_flipped_keeps_the_rest(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;
    uint8_t           bytes[256], later[64];
    size_t            n = fkv_hex(FKV_PUT, bytes), m = fkv_hex(FKV_DELETE, later);

    (void)state;
    fkv_save("f/wal/wal_2.log", later, m);
    for (size_t cut = 0; cut <= n; cut++) {
        fkv_save("f/wal/wal_1.log", bytes, cut);
        assert_ok(fkv_read(&s, &report));
        assert_string_equal(s.text, cut == n ? "hello=J\"world\";hello-;" : "hello-;");
        assert_int_equal(report.faults, cut > 0 && cut < n);
    }
    memcpy(bytes + n, bytes, n);
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        fkv_save("f/wal/wal_1.log", bytes, 2 * n);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_ok(fkv_read(&s, &report));
        assert_in_range(report.faults, 1, 2);
        assert_non_null(strstr(s.fault, "f/wal/wal_1.log: at offset "));
        if (bit >= 32)
            assert_string_equal(s.text, "hello=J\"world\";hello-;");
        else
            assert_non_null(strstr(s.text, "hello-;"));
    }
}

static void test_fastkv_log_length_fields_out_of_range(void **state)
{
    static const uint32_t wrong[] = {0, 3, 4, 32, UINT32_MAX};
    lsm_fastkv_report     report;
    fkv_seen              s;
    uint8_t               bytes[128];
    size_t                n = fkv_hex(FKV_PUT, bytes);

    (void)state;
    memcpy(bytes + n, bytes, n);
    for (size_t i = 0; i < AKVI_ARRAY_N(wrong); i++) {
        akvi_put_be32(bytes + n, wrong[i]);
        fkv_save("f/wal/wal_1.log", bytes, 2 * n);
        assert_ok(fkv_read(&s, &report));
        assert_string_equal(s.text, "hello=J\"world\";");
        assert_int_equal(report.faults, 1);
        assert_non_null(strstr(s.fault, "at offset 45: "));
    }
}

static void test_fastkv_table_by_the_recovery_rule(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;
    uint8_t           bytes[256];
    size_t            n = fkv_hex(FKV_TABLE, bytes);

    (void)state;
    fkv_save("f/sstables/sstable_1_L0.dat", bytes, n);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "a=J1;b=J\"x\";");
    assert_int_equal(report.tables, 1);
    assert_int_equal(report.table_entries, 2);
    assert_int_equal(report.faults, 0);
    for (size_t cut = 0; cut < n; cut++) {
        fkv_save("f/sstables/sstable_1_L0.dat", bytes, cut);
        assert_ok(fkv_read(&s, &report));
        assert_true(report.faults > 0);
    }
}

static void test_fastkv_table_of_several_blocks(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;
    uint8_t           bytes[256];
    size_t            n = fkv_hex(FKV_TABLE, bytes), head = 0x2e;
    size_t            size = n - 4 - head;

    (void)state;
    memmove(bytes + head + 2 * size, bytes + n - 4, 4);
    memcpy(bytes + head + size, bytes + head, size);
    bytes[head + size + 48] = 'c'; /* the keys of the second */
    bytes[head + size + 49] = 'd';
    akvi_put_be32(bytes + head - 4, 2);
    akvi_put_be32(bytes + head + 2 * size + 4, (uint32_t)(head + size));
    fkv_save("f/sstables/bulk_9_L1.dat", bytes, head + 2 * size + 8);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "a=J1;b=J\"x\";c=J1;d=J\"x\";");
    bytes[head + 2]++; /* the first block's size: the other is still read */
    fkv_save("f/sstables/bulk_9_L1.dat", bytes, head + 2 * size + 8);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "c=J1;d=J\"x\";");
    assert_int_equal(report.faults, 1);
}

static void test_fastkv_deeper_and_lower_tables_are_older_and_logs_newest(void **state)
{
    static const char *const names[] = {"f/sstables/sstable_12_L0.dat",
                                        "f/sstables/sstable_9_L0.dat",
                                        "f/sstables/sstable_30_L2.dat", "f/sstables/bulk_7_L1.dat"};
    lsm_fastkv_report        report;
    fkv_seen                 s;
    uint8_t                  bytes[256];
    size_t                   n = fkv_hex(FKV_TABLE, bytes);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(names); i++) {
        bytes[0x2e + 50] = (uint8_t)('1' + i); /* the value of a */
        fkv_save(names[i], bytes, n);
    }
    n = fkv_hex(FKV_PUT, bytes);
    fkv_save("f/wal/wal_1.log", bytes, n);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "a=J3;b=J\"x\";a=J4;b=J\"x\";a=J2;b=J\"x\";a=J1;b=J\"x\";"
                                "hello=J\"world\";");
}

static void test_fastkv_manifest_says_which_tables_count(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;
    uint8_t           table[256], manifest[128];
    size_t            n = fkv_hex(FKV_TABLE, table), m = 0;
    static const char path[] = "/elsewhere/db/sstables/sstable_2_L0.dat";

    (void)state;
    fkv_save("f/sstables/sstable_1_L0.dat", table, n);
    table[0x2e + 50] = '2';
    fkv_save("f/sstables/sstable_2_L0.dat", table, n);
    memcpy(manifest, "FASTKVMAN\x01\0\0\0\x01\0\0\0\0\0\0\0\0\x02", 23);
    m = 23;
    akvi_put_be16(manifest + m, (uint16_t)strlen(path));
    memcpy(manifest + m + 2, path, strlen(path));
    m += 2 + strlen(path);
    memcpy(manifest + m,
           "\0\0\0\x01"
           "a\0\0\0\x01"
           "b",
           10);
    m += 10;
    memset(manifest + m, 0, 16);
    m += 16;
    fkv_save("f/manifest.dat", manifest, m);
    assert_ok(fkv_read(&s, &report));
    assert_string_equal(s.text, "a=J2;b=J\"x\";");
    assert_int_equal(report.faults, 0);
    for (size_t cut = 0; cut < m; cut++) { /* cut: all tables there are count */
        fkv_save("f/manifest.dat", manifest, cut);
        assert_ok(fkv_read(&s, &report));
        assert_string_equal(s.text, "a=J1;b=J\"x\";a=J2;b=J\"x\";");
        assert_int_equal(report.faults, 1);
    }
    fkv_save("f/manifest.dat", manifest, m);
    assert_ok(fkv_env->ops->remove(fkv_env, "f/sstables/sstable_2_L0.dat"));
    assert_ok(fkv_read(&s, &report));
    assert_int_equal(report.faults, 1);
    assert_non_null(strstr(s.fault, "sstable_2_L0.dat"));
}

static void test_fastkv_values_that_are_not_json_are_raw(void **state)
{
    static const char *const values[] = {"NaN", "\x80\x04", "{\"a\":", "null", "", "[]"};
    static const char *const want[]   = {"k=NaN;",   "k=\x80\x04;", "k={\"a\":;",
                                         "k=Jnull;", "k=;",         "k=J[];"};
    lsm_fastkv_report        report;
    fkv_seen                 s;

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(values); i++) {
        uint8_t  bytes[64] = {0};
        uint32_t len = (uint32_t)strlen(values[i]), all = 34 + len;

        akvi_put_be32(bytes, all);
        akvi_put_be32(bytes + 21, 1);
        akvi_put_be32(bytes + 25, len);
        bytes[29] = 'k';
        memcpy(bytes + 30, values[i], len);
        akvi_put_be32(bytes + all - 4, akvi_crc32(0, bytes + 4, all - 8));
        fkv_save("f/wal/wal_1.log", bytes, all);
        assert_ok(fkv_read(&s, &report));
        assert_string_equal(s.text, want[i]);
    }
}

static void test_fastkv_of_another_folder_is_absent(void **state)
{
    lsm_fastkv_report report;
    fkv_seen          s;

    (void)state;
    assert_ok(fkv_read(&s, &report));
    assert_ok(fkv_env->ops->remove_folder(fkv_env, "f/wal"));
    assert_ok(fkv_env->ops->remove_folder(fkv_env, "f/sstables"));
    assert_int_equal(fkv_read(&s, &report), AKV_ABSENT);
}

int main(void)
{
#define FKV_TEST(f) cmocka_unit_test_setup_teardown(f, fkv_set_up, fkv_tear_down)
    const struct CMUnitTest tests[] = {
        FKV_TEST(test_fastkv_log_records_as_it_writes_them),
        FKV_TEST(test_fastkv_logs_go_by_name_not_by_number),
        FKV_TEST(test_fastkv_log_cut_or_flipped_keeps_the_rest),
        FKV_TEST(test_fastkv_log_length_fields_out_of_range),
        FKV_TEST(test_fastkv_table_by_the_recovery_rule),
        FKV_TEST(test_fastkv_table_of_several_blocks),
        FKV_TEST(test_fastkv_deeper_and_lower_tables_are_older_and_logs_newest),
        FKV_TEST(test_fastkv_manifest_says_which_tables_count),
        FKV_TEST(test_fastkv_values_that_are_not_json_are_raw),
        FKV_TEST(test_fastkv_of_another_folder_is_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
