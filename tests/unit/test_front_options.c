/* SPDX-License-Identifier: MIT
 *
 * Option structs: sizes, tags, text, tables.
 */
#include "tests/unit/toy.h"

static akv_status options_open(const akv_open_options *opt)
{
    akv       *db;
    akv_status status;

    toy_register();
    status = akv_open("toy", NULL, opt, &db);
    if (status == AKV_OK)
        akv_close(db);
    return status;
}

static void test_options_of_an_older_caller_are_completed(void **state)
{
    struct {
        size_t   size;
        uint32_t flags, sync;
    } old = {sizeof old, 0, AKV_SYNC_NEVER};

    (void)state;
    assert_ok(options_open((const akv_open_options *)(const void *)&old));
    assert_int_equal(toy_seen.args.sync, AKV_SYNC_NEVER);
    assert_int_equal(toy_seen.args.sync_period_ms, 100);
}

static void test_options_of_a_newer_caller_are_taken_if_unused(void **state)
{
    struct {
        akv_open_options opt;
        uint64_t         more;
    } new = {AKV_OPEN_OPTIONS_INIT, 0};

    (void)state;
    new.opt.size = sizeof new;
    assert_ok(options_open(&new.opt));
    new.more = 1;
    assert_status(AKV_MISUSE, options_open(&new.opt));
    new.opt.size = 0;
    assert_status(AKV_MISUSE, options_open(&new.opt));
}

static void test_options_of_the_engine_get_defaults_and_values(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    toy_options      own = {{sizeof own, "toy"}, false, 5, "five"};

    (void)state;
    assert_ok(options_open(NULL));
    assert_true(toy_seen.options.fast);
    assert_int_equal(toy_seen.options.level, 3);
    assert_string_equal(toy_seen.label, "none");
    opt.engine_options = &own.base;
    assert_ok(options_open(&opt));
    assert_false(toy_seen.options.fast);
    assert_int_equal(toy_seen.options.level, 5);
    assert_string_equal(toy_seen.label, "five");
    /* text comes last */
    opt.text = "level=8,fast=yes";
    assert_ok(options_open(&opt));
    assert_true(toy_seen.options.fast);
    assert_int_equal(toy_seen.options.level, 8);
}

static void test_options_of_another_engine_are_refused(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    toy_options      own = {{sizeof own, "other"}, false, 5, NULL};

    (void)state;
    opt.engine_options = &own.base;
    assert_status(AKV_MISUSE, options_open(&opt));
    assert_error_has("'other'");
    own.base.engine = NULL;
    assert_status(AKV_MISUSE, options_open(&opt));
    own.base.engine = "toy";
    own.level       = 99;
    assert_status(AKV_MISUSE, options_open(&opt));
    assert_error_has("level");
}

static void test_options_as_text_reach_both_structs(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;

    (void)state;
    opt.text = "level=2,sync=never,sync_period=2s,threads=0,latency_sample=1,label=a%2Cb,"
               "memory_budget=1MiB";
    assert_ok(options_open(&opt));
    assert_int_equal(toy_seen.options.level, 2);
    assert_int_equal(toy_seen.args.sync, AKV_SYNC_NEVER);
    assert_int_equal(toy_seen.args.sync_period_ms, 2000);
    assert_int_equal(toy_seen.args.threads, 0);
    assert_int_equal(toy_seen.args.memory_budget, 1 << 20);
    assert_string_equal(toy_seen.label, "a,b");
}

static void test_options_unknown_or_wrong_are_named(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;

    (void)state;
    opt.text = "nosuch=1";
    assert_status(AKV_MISUSE, options_open(&opt));
    assert_error_has("'nosuch'");
    opt.text = "level=12";
    assert_status(AKV_MISUSE, options_open(&opt));
    assert_error_has("level");
    opt.text = "sync=sometimes";
    assert_status(AKV_MISUSE, options_open(&opt));
    assert_error_has("sync");
    /* a key never comes as text */
    opt.text = "key=00112233";
    assert_status(AKV_MISUSE, options_open(&opt));
    opt.text           = NULL;
    opt.sync_period_ms = 0;
    assert_status(AKV_MISUSE, options_open(&opt));
    assert_error_has("sync_period");
    opt.sync_period_ms = 100;
    opt.threads        = -1;
    assert_status(AKV_MISUSE, options_open(&opt));
}

static void test_options_tables_are_found(void **state)
{
    const akv_option *table;
    size_t            n;

    (void)state;
    toy_register();
    assert_ok(akv_options_table("toy", &table, &n));
    assert_int_equal(n, 3);
    assert_string_equal(table[1].name, "level");
    assert_ok(akv_options_table(NULL, &table, &n));
    assert_true(n >= 5);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(table[i].help);
        assert_true(table[i].offset < sizeof(akv_open_options));
    }
    assert_status(AKV_UNSUPPORTED, akv_options_table("nosuch", &table, &n));
    assert_null(table);
    assert_int_equal(n, 0);
    assert_status(AKV_MISUSE, akv_options_table("toy", NULL, &n));
}

/* Read, scan and write options have the same rules. */
static void test_options_of_calls_are_checked(void **state)
{
    akv              *db    = toy_new(NULL);
    akv_read_options  read  = AKV_READ_OPTIONS_INIT;
    akv_write_options write = AKV_WRITE_OPTIONS_INIT;
    akv_scan_options  scan  = AKV_SCAN_OPTIONS_INIT;
    akv_job_options   job   = AKV_JOB_OPTIONS_INIT;
    akv_value         value;
    akv_iter         *it;

    (void)state;
    toy_put(db, "a", "1");
    read.flags = 4;
    assert_status(AKV_MISUSE, akv_get(db, akv_str("a"), &read, &value));
    read.flags    = AKV_READ_VERIFY | AKV_READ_NO_FILL_CACHE;
    read.reserved = 1;
    assert_status(AKV_MISUSE, akv_exists(db, akv_str("a"), &read));
    read.reserved = 0;
    read.size     = 16; /* flags and no more */
    read.snapshot = (const akv_snapshot *)1;
    assert_ok(akv_get(db, akv_str("a"), &read, &value));
    akv_value_release(&value);
    read.size = 0;
    assert_status(AKV_MISUSE, akv_get(db, akv_str("a"), &read, &value));

    write.sync = 4;
    assert_status(AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("b"), &write));
    write.sync      = 0;
    write.condition = 5;
    assert_status(AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("b"), &write));
    write.condition = 0;
    write.encoding  = 4;
    assert_status(AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("b"), &write));
    write.encoding = 0;
    write.ttl_ms   = 5;
    assert_status(AKV_MISUSE, akv_delete(db, akv_str("a"), &write));
    assert_error_has("ttl_ms");

    scan.flags = 64;
    assert_status(AKV_MISUSE, akv_scan(db, &scan, &it));
    assert_null(it);
    scan.flags      = 0;
    scan.read.flags = 64;
    assert_status(AKV_MISUSE, akv_scan(db, &scan, &it));
    scan.read.flags = 0;
    scan.lower      = akv_bytes(NULL, 3);
    assert_status(AKV_MISUSE, akv_scan(db, &scan, &it));

    job.size = 1;
    assert_status(AKV_MISUSE, akv_verify(db, &job));
    assert_string_equal(toy_text(db, "a"), "1");
    assert_ok(akv_close(db));
}

static void test_options_sync_of_a_write_is_never_weaker(void **state)
{
    akv_open_options  opt        = AKV_OPEN_OPTIONS_INIT;
    akv_write_options write      = AKV_WRITE_OPTIONS_INIT;
    const uint32_t    want[3][4] = {/* store: always, periodic, never; write: by word */
                                 {1, 1, 1, 1},
                                 {2, 1, 2, 2},
                                 {3, 1, 2, 3}};

    (void)state;
    for (uint32_t store = 1; store <= 3; store++) {
        akv *db;

        opt.sync = store;
        db       = toy_new(&opt);
        for (write.sync = 0; write.sync <= 3; write.sync++) {
            assert_ok(akv_put(db, akv_str("a"), akv_str("b"), &write));
            assert_int_equal(toy_seen.write_opt.sync, want[store - 1][write.sync]);
            assert_int_equal(toy_seen.write_opt.size, sizeof write);
        }
        assert_ok(akv_close(db));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_an_older_caller_are_completed),
        cmocka_unit_test(test_options_of_a_newer_caller_are_taken_if_unused),
        cmocka_unit_test(test_options_of_the_engine_get_defaults_and_values),
        cmocka_unit_test(test_options_of_another_engine_are_refused),
        cmocka_unit_test(test_options_as_text_reach_both_structs),
        cmocka_unit_test(test_options_unknown_or_wrong_are_named),
        cmocka_unit_test(test_options_tables_are_found),
        cmocka_unit_test(test_options_of_calls_are_checked),
        cmocka_unit_test(test_options_sync_of_a_write_is_never_weaker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
