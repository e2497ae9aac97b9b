/* SPDX-License-Identifier: MIT
 *
 * Opening: names, URIs, detection, keys, required capabilities, components.
 */
#include "tests/unit/toy.h"

#include <fcntl.h>
#include <unistd.h>

static void test_open_by_name(void **state)
{
    akv *db;

    (void)state;
    toy_register();
    assert_ok(akv_open("toy", "some/where", NULL, &db));
    assert_string_equal(akv_engine_name(db), "toy");
    assert_string_equal(toy_seen.path, "some/where");
    assert_int_equal(toy_seen.args.sync, AKV_SYNC_PERIODIC);
    assert_int_equal(toy_seen.args.sync_period_ms, 100);
    assert_int_equal(toy_seen.args.threads, 1);
    assert_non_null(toy_seen.args.logger);
    assert_ok(akv_close(db));
}

static void test_open_unknown_engine_names_those_there_are(void **state)
{
    akv *db = (akv *)1;

    (void)state;
    toy_register();
    assert_status(AKV_UNSUPPORTED, akv_open("nosuch", NULL, NULL, &db));
    assert_null(db);
    assert_error_has("'nosuch'");
    assert_error_has("toy");
    assert_status(AKV_MISUSE, akv_open(NULL, NULL, NULL, &db));
    assert_status(AKV_MISUSE, akv_open("toy", NULL, NULL, NULL));
}

static void test_open_uri_decodes_path_and_options(void **state)
{
    akv *db;

    (void)state;
    toy_register();
    assert_ok(akv_open(NULL, "toy:a%20b%3Fc?level=7&label=x%26y&sync=always", NULL, &db));
    assert_string_equal(toy_seen.path, "a b?c");
    assert_int_equal(toy_seen.options.level, 7);
    assert_string_equal(toy_seen.label, "x&y");
    assert_int_equal(toy_seen.args.sync, AKV_SYNC_ALWAYS);
    assert_ok(akv_close(db));

    assert_ok(akv_open(NULL, "toy:", NULL, &db));
    assert_string_equal(toy_seen.path, "(none)");
    assert_ok(akv_close(db));

    assert_status(AKV_MISUSE, akv_open(NULL, "toy:a%2", NULL, &db));
    assert_status(AKV_MISUSE, akv_open(NULL, "toy:a%zz", NULL, &db));
    assert_status(AKV_MISUSE, akv_open(NULL, "toy:a%00b", NULL, &db));
    /* a URI of another build, and a path that only looks like one */
    assert_status(AKV_UNSUPPORTED, akv_open(NULL, "nosuch:thing", NULL, &db));
    assert_error_has("no engine 'nosuch'");
    assert_status(AKV_IO, akv_open(NULL, "./nosuch:thing", NULL, &db));
    assert_int_equal(akv_last_error()->os_errno, 2);
}

static akv_status open_detect(akv_env *env, const char *path)
{
    (void)env;
    return strstr(path, ".found") ? AKV_OK : AKV_ABSENT;
}

static akv_status open_detect_fails(akv_env *env, const char *path)
{
    (void)env;
    return akv_engine_fail(AKV_IO, 13, path, AKV_NO_OFFSET, "can't look");
}

static void test_open_detects_the_engine(void **state)
{
    static akv_engine grumpy, finder;
    const char       *folder = akvt_folder();
    const char       *name;
    akv              *db;

    (void)state;
    toy_register();
    grumpy        = toy_table;
    grumpy.name   = "grumpy";
    grumpy.detect = open_detect_fails;
    finder        = toy_table;
    finder.name   = "finder";
    finder.detect = open_detect;
    akvt_write_file(akvt_path(folder, "x.found"), "x", 1);
    akvt_write_file(akvt_path(folder, "other"), "x", 1);

    assert_ok(akv_register(&finder));
    assert_status(AKV_ABSENT, akv_detect(akvt_path(folder, "other"), NULL, &name));
    assert_status(AKV_UNSUPPORTED, akv_open(NULL, akvt_path(folder, "other"), NULL, &db));
    assert_error_has("not a store");
    assert_ok(akv_register(&grumpy));
    /* one engine's failure does not hide another's answer */
    assert_ok(akv_detect(akvt_path(folder, "x.found"), NULL, &name));
    assert_string_equal(name, "finder");
    assert_ok(akv_open(NULL, akvt_path(folder, "x.found"), NULL, &db));
    assert_string_equal(akv_engine_name(db), "finder");
    assert_ok(akv_close(db));
    assert_status(AKV_IO, akv_detect(akvt_path(folder, "other"), NULL, &name));
    assert_null(name);
    assert_error_has("can't look");
    assert_status(AKV_ABSENT, akv_detect(akvt_path(folder, "missing"), NULL, &name));
    assert_status(AKV_IO, akv_open(NULL, akvt_path(folder, "missing"), NULL, &db));
    assert_error_has("name the engine");
}

static void test_open_required_capabilities_are_named(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;

    (void)state;
    toy_register();
    opt.required = AKV_CAP_READ | AKV_CAP_DURABLE | AKV_CAP_REMOTE;
    assert_status(AKV_UNSUPPORTED, akv_open("toy", NULL, &opt, &db));
    assert_error_has("remote, durable");
    opt.required = AKV_CAP_READ | AKV_CAP_MERGE | AKV_CAP_DELETE_RANGE;
    assert_ok(akv_open("toy", NULL, &opt, &db));
    assert_int_equal(akv_capabilities_emulated(db),
                     AKV_CAP_MERGE | AKV_CAP_DELETE_RANGE | AKV_CAP_STREAM_READ);
    assert_ok(akv_close(db));
    opt.required_native = AKV_CAP_MERGE | AKV_CAP_ORDERED;
    assert_status(AKV_UNSUPPORTED, akv_open("toy", NULL, &opt, &db));
    assert_error_has("by emulation only");
    assert_error_has("merge");
    opt.required        = UINT64_C(1) << 60;
    opt.required_native = 0;
    assert_status(AKV_MISUSE, akv_open("toy", NULL, &opt, &db));
}

/* The table could, but this store can't: found out after open, and undone. */
static void test_open_checks_what_the_handle_got(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;

    (void)state;
    toy_register();
    opt.required  = AKV_CAP_TXN;
    toy_seen.caps = TOY_CAPS & ~AKV_CAP_TXN;
    assert_status(AKV_UNSUPPORTED, akv_open("toy", NULL, &opt, &db));
    assert_error_has("as it was opened");
    opt.required = 0;
    assert_ok(akv_open("toy", NULL, &opt, &db));
    toy_seen.caps = 0;
    assert_int_equal(akv_capabilities(db) & AKV_CAP_TXN, 0);
    assert_ok(akv_close(db));
}

static void test_open_read_only_takes_writing_away(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;

    (void)state;
    toy_register();
    opt.flags = AKV_OPEN_READ_ONLY;
    assert_ok(akv_open("toy", NULL, &opt, &db));
    assert_int_equal(akv_capabilities(db) & (AKV_CAP_WRITE | AKV_CAP_BATCH | AKV_CAP_MERGE), 0);
    assert_status(AKV_UNSUPPORTED, akv_put(db, akv_str("a"), akv_str("b"), NULL));
    assert_error_has("reading only");
    assert_error_has("write");
    assert_ok(akv_sync(db));
    assert_ok(akv_close(db));
    opt.required = AKV_CAP_WRITE;
    assert_status(AKV_UNSUPPORTED, akv_open("toy", NULL, &opt, &db));
    opt.required = 0;
    opt.flags    = AKV_OPEN_READ_ONLY | AKV_OPEN_CREATE;
    assert_status(AKV_MISUSE, akv_open("toy", NULL, &opt, &db));
    opt.flags = AKV_OPEN_EXCLUSIVE;
    assert_status(AKV_MISUSE, akv_open("toy", NULL, &opt, &db));
    opt.flags = 1u << 30;
    assert_status(AKV_MISUSE, akv_open("toy", NULL, &opt, &db));
}

static void test_open_failure_of_the_engine_is_told(void **state)
{
    akv *db = (akv *)1;

    (void)state;
    toy_register();
    toy_seen.fail_open = AKV_CORRUPT;
    assert_int_equal(akv_open("toy", NULL, NULL, &db), AKV_CORRUPT);
    toy_seen.fail_open = AKV_OK;
    assert_null(db);
    assert_string_equal(akv_last_error()->engine, "toy");
    assert_string_equal(akv_last_error()->text, "toy: told to fail");
    assert_int_equal(akv_last_error()->code, AKV_CORRUPT);
}

/* ---------------------------------------------------------------------- keys */

static akv_engine open_sealed; /* the toy, able to encrypt */

static void open_sealed_register(void)
{
    if (open_sealed.name)
        return;
    open_sealed      = toy_table;
    open_sealed.name = "sealed";
    open_sealed.caps |= AKV_CAP_ENCRYPTION;
    assert_ok(akv_register(&open_sealed));
}

static int open_key_callback(void *user, uint8_t key_out[32])
{
    memset(key_out, *(int *)user, 32);
    return *(int *)user == 13;
}

static akv_status open_with_key(const akv_key_source *source)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;
    akv_status       status;

    open_sealed_register();
    opt.key = source;
    memset(toy_seen.key, 0, 32);
    status = akv_open("sealed", NULL, &opt, &db);
    if (status == AKV_OK)
        akv_close(db);
    return status;
}

static void test_open_reads_keys_from_file_descriptor_and_callback(void **state)
{
    const char    *folder = akvt_folder();
    const char    *raw    = akvt_path(folder, "raw");
    const char    *hex    = akvt_path(folder, "hex");
    akv_key_source source = AKV_KEY_SOURCE_INIT;
    int            byte   = 7;

    (void)state;
    akvt_write_file(raw, "0123456789abcdef0123456789ABCDEF", 32);
    akvt_write_file(hex, "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n", 65);
    source.file = raw;
    assert_ok(open_with_key(&source));
    assert_memory_equal(toy_seen.key, "0123456789abcdef0123456789ABCDEF", 32);
    source.file = hex;
    assert_ok(open_with_key(&source));
    assert_int_equal(toy_seen.key[1], 0x11);
    assert_int_equal(toy_seen.key[31], 0xff);
    source.file = NULL;
    source.fd   = open(hex, O_RDONLY);
    assert_ok(open_with_key(&source));
    close(source.fd);
    assert_int_equal(toy_seen.key[2], 0x22);
    source.fd       = -1;
    source.callback = open_key_callback;
    source.user     = &byte;
    assert_ok(open_with_key(&source));
    assert_int_equal(toy_seen.key[5], 7);
    byte = 13;
    assert_status(AKV_AUTH, open_with_key(&source));
}

static void test_open_refuses_what_is_no_key(void **state)
{
    const char      *folder = akvt_folder();
    const char      *bad    = akvt_path(folder, "bad");
    akv_key_source   source = AKV_KEY_SOURCE_INIT;
    akv_open_options opt    = AKV_OPEN_OPTIONS_INIT;
    akv             *db;

    (void)state;
    toy_register();
    assert_status(AKV_MISUSE, open_with_key(&source));
    source.file = bad;
    assert_status(AKV_IO, open_with_key(&source));
    akvt_write_file(bad, "short", 5);
    assert_status(AKV_AUTH, open_with_key(&source));
    akvt_write_file(bad, "zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 64);
    assert_status(AKV_AUTH, open_with_key(&source));
    source.fd = 0;
    assert_status(AKV_MISUSE, open_with_key(&source));
    opt.key = &source;
    assert_status(AKV_UNSUPPORTED, akv_open("toy", NULL, &opt, &db));
    assert_error_has("can't encrypt");
}

/* ------------------------------------------------------------------ components */

static char open_logged[200];

static void open_log(void *user, akv_log_level level, const char *engine, const char *text)
{
    (void)user;
    snprintf(open_logged, sizeof open_logged, "%d %s %s", level, engine, text);
}

static void test_open_components_reach_the_engine_and_need_not_stay(void **state)
{
    akv *db;

    (void)state;
    {
        akv_open_options opt    = AKV_OPEN_OPTIONS_INIT;
        akv_logger       logger = {open_log, NULL, AKV_LOG_INFO};

        opt.logger    = &logger;
        opt.allocator = akvt_failing_allocator(0);
        db            = toy_new(&opt);
        memset(&opt, 0xee, sizeof opt);
        memset(&logger, 0xee, sizeof logger);
    }
    akv_engine_log(toy_seen.args.logger, AKV_LOG_INFO, "toy", "hello %d", 3);
    assert_string_equal(open_logged, "2 toy hello 3");
    assert_true(akvt_allocator_out() > 0);
    assert_ok(akv_close(db));
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_open_every_allocation_may_fail(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv_status       status;
    akv             *db;
    uint64_t         nth = 0;

    (void)state;
    toy_register();
    opt.text = "level=4";
    do {
        opt.allocator = akvt_failing_allocator(++nth);
        status        = akv_open("toy", NULL, &opt, &db);
        if (status != AKV_OK) {
            assert_int_equal(status, AKV_NOMEM);
            assert_null(db);
            assert_int_equal(akvt_allocator_out(), 0);
        }
    } while (status != AKV_OK);
    assert_true(nth > 3);
    assert_ok(akv_close(db));
}

static void test_open_budget_is_kept(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv_batch       *batch;
    akv_status       status = AKV_OK;
    char             value[1000];
    akv             *db;

    (void)state;
    memset(value, 'v', sizeof value);
    opt.memory_budget = 200000;
    db                = toy_new(&opt);
    assert_ok(akv_batch_new(db, &batch));
    while (status == AKV_OK)
        status = akv_batch_put(batch, akv_str("k"), akv_bytes(value, sizeof value), NULL);
    assert_int_equal(status, AKV_NOMEM);
    assert_true(akv_batch_count(batch) > 10);
    assert_true(akv_batch_bytes(batch) < 200000);
    assert_non_null(strstr(akv_last_error()->text, "memory_budget"));
    akv_batch_free(batch);
    assert_ok(akv_close(db));
    opt.memory_budget = 1000;
    assert_status(AKV_NOMEM, akv_open("toy", NULL, &opt, &db));
}

static void test_open_versions_and_names(void **state)
{
    (void)state;
    assert_string_equal(akv_version(), AKV_VERSION_TEXT);
    assert_non_null(strstr(akv_build_info(), AKV_VERSION_TEXT));
    assert_null(strchr(akv_build_info(), '\n'));
    assert_string_equal(akv_capability_name(AKV_CAP_ENCODING), "encoding");
    assert_string_equal(akv_capability_name(AKV_CAP_DELETE_RANGE), "delete_range");
    assert_null(akv_capability_name(0));
    assert_null(akv_capability_name(3));
    assert_null(akv_capability_name(UINT64_C(1) << 23));
    for (unsigned i = 0; i < 23; i++)
        assert_non_null(akv_capability_name(UINT64_C(1) << i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_by_name),
        cmocka_unit_test(test_open_unknown_engine_names_those_there_are),
        cmocka_unit_test(test_open_uri_decodes_path_and_options),
        cmocka_unit_test(test_open_detects_the_engine),
        cmocka_unit_test(test_open_required_capabilities_are_named),
        cmocka_unit_test(test_open_checks_what_the_handle_got),
        cmocka_unit_test(test_open_read_only_takes_writing_away),
        cmocka_unit_test(test_open_failure_of_the_engine_is_told),
        cmocka_unit_test(test_open_reads_keys_from_file_descriptor_and_callback),
        cmocka_unit_test(test_open_refuses_what_is_no_key),
        cmocka_unit_test(test_open_components_reach_the_engine_and_need_not_stay),
        cmocka_unit_test(test_open_every_allocation_may_fail),
        cmocka_unit_test(test_open_budget_is_kept),
        cmocka_unit_test(test_open_versions_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
