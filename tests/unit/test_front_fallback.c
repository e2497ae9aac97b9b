/* SPDX-License-Identifier: MIT
 *
 * What the front layer does for an engine that can't, and which tables of
 * engines it refuses.
 */
#include "tests/unit/toy.h"

#include <stdio.h>

/* Merge by appending; "fail" fails, "lose" answers a conflict of its own. */
static akv_status fallback_append(void *user, akv_slice key, const akv_slice *existing,
                                  akv_slice operand, akv_buffer *result_out)
{
    akv_value  value;
    akv       *db = *(akv **)user;
    akv_status status;

    (void)key;
    if (operand.len == 4 && memcmp(operand.data, "fail", 4) == 0)
        return AKV_CORRUPT;
    if (operand.len == 4 && memcmp(operand.data, "lose", 4) == 0)
        return AKV_CONFLICT;
    /* an operator may use the library */
    if (db && akv_get(db, akv_bytes(NULL, 1), NULL, &value) != AKV_MISUSE)
        return AKV_IO;
    status = existing ? akv_buffer_append(result_out, existing->data, existing->len) : AKV_OK;
    return status == AKV_OK ? akv_buffer_append(result_out, operand.data, operand.len) : status;
}

static akv_merge_operator fallback_merge = {"append", fallback_append, NULL};
static akv               *fallback_db;

static akv *fallback_open(const char *engine)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;

    toy_register();
    fallback_db         = NULL;
    fallback_merge.user = &fallback_db;
    opt.merge           = &fallback_merge;
    assert_ok(akv_open(engine, NULL, &opt, &db));
    fallback_db = db;
    return db;
}

/* -------------------------------------------------------------------- reading */

static void test_fallback_get_many_exists_count_use_get_and_iteration(void **state)
{
    akv       *db = fallback_open("toy");
    akv_slice  keys[200];
    akv_value  values[200];
    akv_status statuses[200];
    char       names[200][16];
    uint64_t   n;

    (void)state;
    for (int i = 0; i < 200; i++) {
        snprintf(names[i], sizeof names[i], "%03d", i);
        keys[i] = akv_str(names[i]);
        if (i % 2)
            assert_ok(akv_put(db, keys[i], keys[i], NULL));
    }
    assert_ok(akv_get_many(db, 200, keys, NULL, values, statuses));
    for (int i = 0; i < 200; i++) {
        assert_int_equal(statuses[i], i % 2 ? AKV_OK : AKV_ABSENT);
        assert_int_equal(values[i].len, i % 2 ? 3 : 0);
    }
    akv_values_release(values, 200);
    assert_ok(akv_exists(db, keys[1], NULL));
    assert_status(AKV_ABSENT, akv_exists(db, keys[2], NULL));
    assert_ok(akv_count(db, NULL, &n));
    assert_int_equal(n, 100);
    assert_status(AKV_UNSUPPORTED, akv_approximate_size(db, keys[0], keys[9], NULL, &n));
    assert_ok(akv_close(db));
}

static void test_fallback_get_many_stops_at_its_token(void **state)
{
    akv             *db   = fallback_open("toy");
    akv_read_options read = AKV_READ_OPTIONS_INIT;
    akv_slice        keys[100];
    akv_value        values[100];
    akv_status       statuses[100];

    (void)state;
    for (int i = 0; i < 100; i++)
        keys[i] = akv_str("k");
    read.deadline_ns = 1;
    assert_status(AKV_TIMEOUT, akv_get_many(db, 100, keys, &read, values, statuses));
    for (int i = 0; i < 100; i++)
        assert_int_equal(statuses[i], AKV_TIMEOUT);
    assert_ok(akv_close(db));
}

static void test_fallback_stream_reads_the_value_as_it_was(void **state)
{
    akv        *db = fallback_open("toy");
    akv_stream *stream;
    char        buf[8];
    size_t      len;

    (void)state;
    toy_put(db, "k", "0123456789");
    assert_status(AKV_ABSENT, akv_stream_open(db, akv_str("x"), NULL, &stream));
    assert_null(stream);
    assert_ok(akv_stream_open(db, akv_str("k"), NULL, &stream));
    toy_put(db, "k", "other");
    assert_int_equal(akv_stream_len(stream), 10);
    assert_ok(akv_stream_read(stream, 0, buf, 4, &len));
    assert_int_equal(len, 4);
    assert_memory_equal(buf, "0123", 4);
    assert_ok(akv_stream_read(stream, 7, buf, 8, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(buf, "789", 3);
    assert_status(AKV_END, akv_stream_read(stream, 10, buf, 8, &len));
    assert_int_equal(len, 0);
    assert_status(AKV_END, akv_stream_read(stream, UINT64_MAX, buf, 8, &len));
    assert_status(AKV_MISUSE, akv_stream_write(stream, "x", 1));
    akv_stream_close(stream);
    assert_ok(akv_close(db));
}

/* ------------------------------------------------------------------ delete_range */

static void test_fallback_delete_range_takes_batches_of_a_thousand(void **state)
{
    akv       *db = fallback_open("toy");
    uint64_t   n;
    akv_batch *batch;

    (void)state;
    assert_ok(akv_batch_new(db, &batch));
    for (int i = 0; i < 2500; i++) {
        char key[16];

        snprintf(key, sizeof key, "k%05d", i);
        assert_ok(akv_batch_put(batch, akv_str(key), akv_str(""), NULL));
    }
    assert_ok(akv_batch_put(batch, akv_str(""), akv_str(""), NULL));
    assert_ok(akv_write(db, batch, NULL));
    akv_batch_free(batch);
    toy_seen.writes = 0;
    assert_ok(akv_delete_range(db, akv_str("k00100"), akv_str("k02300"), NULL));
    assert_int_equal(toy_seen.writes, 3);
    assert_ok(akv_count(db, NULL, &n));
    assert_int_equal(n, 301);
    assert_non_null(toy_text(db, "k00099"));
    assert_null(toy_text(db, "k00100"));
    assert_null(toy_text(db, "k02299"));
    assert_non_null(toy_text(db, "k02300"));
    assert_ok(akv_delete_range(db, akv_str("z"), akv_str("a"), NULL)); /* nothing */
    assert_ok(akv_delete_range(db, akv_str(""), akv_str(""), NULL));   /* to the end */
    assert_ok(akv_count(db, NULL, &n));
    assert_int_equal(n, 0);
    assert_ok(akv_close(db));
}

/* ------------------------------------------------------------------------ merge */

static void test_fallback_merge_combines(void **state)
{
    akv *db = fallback_open("toy");

    (void)state;
    assert_ok(akv_merge(db, akv_str("k"), akv_str("a"), NULL));
    assert_ok(akv_merge(db, akv_str("k"), akv_str("b"), NULL));
    assert_string_equal(toy_text(db, "k"), "ab");
    assert_ok(akv_close(db));
}

static void test_fallback_merge_tries_again_when_it_loses(void **state)
{
    akv *db = fallback_open("toy");

    (void)state;
    toy_put(db, "k", "x");
    toy_seen.conflicts_to_play = 3;
    toy_seen.writes            = 0;
    assert_ok(akv_merge(db, akv_str("k"), akv_str("y"), NULL));
    assert_int_equal(toy_seen.writes, 4);
    assert_string_equal(toy_text(db, "k"), "xy");
    assert_ok(akv_close(db));
}

static void test_fallback_merge_fails_as_its_operator_says(void **state)
{
    akv *db = fallback_open("toy");

    (void)state;
    toy_put(db, "k", "x");
    assert_status(AKV_CORRUPT, akv_merge(db, akv_str("k"), akv_str("fail"), NULL));
    assert_error_has("'append'");
    assert_status(AKV_CONFLICT, akv_merge(db, akv_str("k"), akv_str("lose"), NULL));
    assert_string_equal(toy_text(db, "k"), "x");
    assert_ok(akv_close(db));
}

static void test_fallback_merge_judges_conditions_and_keeps_the_rest(void **state)
{
    akv              *db  = fallback_open("toy");
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_value         value;

    (void)state;
    opt.condition = AKV_IF_PRESENT;
    assert_status(AKV_CONFLICT, akv_merge(db, akv_str("k"), akv_str("a"), &opt));
    opt.condition = AKV_IF_ABSENT;
    assert_ok(akv_merge(db, akv_str("k"), akv_str("a"), &opt));
    assert_status(AKV_CONFLICT, akv_merge(db, akv_str("k"), akv_str("a"), &opt));
    opt.condition = AKV_IF_VALUE;
    opt.expected  = akv_str("b");
    assert_status(AKV_CONFLICT, akv_merge(db, akv_str("k"), akv_str("a"), &opt));
    opt          = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    opt.encoding = AKV_ENCODING_JSON;
    opt.ttl_ms   = 100000;
    assert_ok(akv_put(db, akv_str("k"), akv_str("a"), &opt));
    assert_ok(akv_merge(db, akv_str("k"), akv_str("b"), NULL));
    assert_ok(akv_get(db, akv_str("k"), NULL, &value));
    assert_int_equal(value.encoding, AKV_ENCODING_JSON);
    assert_true(value.expiry_ms != 0);
    akv_value_release(&value);
    assert_ok(akv_close(db));
}

/* An engine without versions: the bytes themselves are the condition. */
static void test_fallback_merge_without_versions_compares_values(void **state)
{
    static akv_engine plain;
    akv              *db;

    (void)state;
    plain      = toy_table;
    plain.name = "plain";
    plain.caps &= ~(AKV_CAP_VERSION | AKV_CAP_TXN);
    assert_ok(akv_register(&plain));
    db = fallback_open("plain");
    assert_ok(akv_merge(db, akv_str("k"), akv_str("a"), NULL));
    toy_seen.conflicts_to_play = 1;
    assert_ok(akv_merge(db, akv_str("k"), akv_str("b"), NULL));
    assert_string_equal(toy_text(db, "k"), "ab");
    assert_ok(akv_close(db));
}

#define FALLBACK_THREADS 4
#define FALLBACK_MERGES  100

static void *fallback_merger(void *user)
{
    for (int i = 0; i < FALLBACK_MERGES; i++)
        if (akv_merge(user, akv_str("k"), akv_str("x"), NULL) != AKV_OK)
            return user;
    return NULL;
}

static void test_fallback_merge_loses_nothing_among_threads(void **state)
{
    akv      *db = fallback_open("toy");
    pthread_t threads[FALLBACK_THREADS];
    void     *failed;

    (void)state;
    for (int i = 0; i < FALLBACK_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fallback_merger, db), 0);
    for (int i = 0; i < FALLBACK_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(strlen(toy_text(db, "k")), FALLBACK_THREADS * FALLBACK_MERGES);
    assert_ok(akv_close(db));
}

/* What is emulated depends on what is there to do it by. */
static void test_fallback_is_not_claimed_without_its_means(void **state)
{
    static akv_engine bare;
    akv              *db;
    akv_iter         *it;
    akv_scan_options  scan = AKV_SCAN_OPTIONS_INIT;

    (void)state;
    bare               = toy_table;
    bare.name          = "bare";
    bare.caps          = AKV_CAP_READ | AKV_CAP_WRITE;
    bare.snapshot_new  = NULL;
    bare.snapshot_free = NULL;
    assert_ok(akv_register(&bare));
    db = fallback_open("bare");
    assert_int_equal(akv_capabilities(db), AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_STREAM_READ);
    assert_status(AKV_UNSUPPORTED, akv_delete_range(db, akv_str("a"), akv_str("b"), NULL));
    assert_status(AKV_UNSUPPORTED, akv_merge(db, akv_str("a"), akv_str("b"), NULL));
    toy_put(db, "a", "1");
    toy_put(db, "b", "1");
    /* unordered: forward only, no bounds */
    assert_ok(akv_scan(db, NULL, &it));
    assert_ok(akv_iter_next(it));
    assert_ok(akv_iter_next(it));
    assert_status(AKV_END, akv_iter_next(it));
    assert_status(AKV_UNSUPPORTED, akv_iter_prev(it));
    assert_status(AKV_UNSUPPORTED, akv_iter_last(it));
    assert_status(AKV_UNSUPPORTED, akv_iter_seek(it, akv_str("a")));
    assert_status(AKV_UNSUPPORTED, akv_iter_seek_for_prev(it, akv_str("a")));
    assert_ok(akv_iter_first(it));
    akv_iter_free(it);
    scan.prefix = akv_str("a");
    assert_status(AKV_UNSUPPORTED, akv_scan(db, &scan, &it));
    assert_error_has("ordered");
    scan       = (akv_scan_options)AKV_SCAN_OPTIONS_INIT;
    scan.flags = AKV_SCAN_REVERSE;
    assert_status(AKV_UNSUPPORTED, akv_scan(db, &scan, &it));
    assert_ok(akv_close(db));
}

/* ---------------------------------------------------------------- registration */

#define refuse(status, part, ...)                  \
    do {                                           \
        akv_engine e = toy_table;                  \
        e.name       = "refused";                  \
        __VA_ARGS__;                               \
        assert_status((status), akv_register(&e)); \
        assert_error_has(part);                    \
    } while (0)

static void test_register_refuses_names_and_forms(void **state)
{
    (void)state;
    toy_register();
    refuse(AKV_MISUSE, "already", e.name = "toy");
    refuse(AKV_MISUSE, "lower-case", e.name = "Toy");
    refuse(AKV_MISUSE, "lower-case", e.name = "");
    refuse(AKV_MISUSE, "lower-case", e.name = NULL);
    refuse(AKV_MISUSE, "lower-case", e.name = "sixteenlettersxx");
    refuse(AKV_MISUSE, "lower-case", e.name = "a1");
    refuse(AKV_MISUSE, "description", e.description = NULL);
    refuse(AKV_VERSION, "ABI", e.abi = 2);
    refuse(AKV_VERSION, "bytes", e.size = sizeof e - 8);
    refuse(AKV_MISUSE, "does not know", e.caps |= UINT64_C(1) << 40);
    refuse(AKV_MISUSE, "does not claim", e.caps_emulated = AKV_CAP_REMOTE);
    refuse(AKV_MISUSE, "options", e.options_n = 0);
    refuse(AKV_MISUSE, "options", e.options_size = 8);
    refuse(AKV_MISUSE, "open or close", e.close = NULL);
}

static void test_register_refuses_bits_and_slots_that_disagree(void **state)
{
    (void)state;
    refuse(AKV_MISUSE, "'read'", e.get = NULL);
    refuse(AKV_MISUSE, "'read'", e.iter_free = NULL);
    refuse(AKV_MISUSE, "write", e.write = NULL);
    refuse(AKV_MISUSE, "write", e.sync = NULL);
    refuse(AKV_MISUSE, "write", e.caps = AKV_CAP_READ; e.snapshot_new = NULL;
           e.snapshot_free = NULL);
    refuse(AKV_MISUSE, "'snapshot'", e.snapshot_free = NULL);
    refuse(AKV_MISUSE, "'snapshot'", e.caps &= ~(AKV_CAP_SNAPSHOT | AKV_CAP_TXN));
    refuse(AKV_MISUSE, "'build'", e.caps |= AKV_CAP_BUILD);
    refuse(AKV_MISUSE, "'build'", e.finish = toy_finish);
    refuse(AKV_MISUSE, "'checkpoint'", e.caps |= AKV_CAP_CHECKPOINT);
    refuse(AKV_MISUSE, "'keyspaces'", e.caps |= AKV_CAP_KEYSPACES);
    refuse(AKV_MISUSE, "'changes'", e.caps |= AKV_CAP_CHANGES);
    refuse(AKV_MISUSE, "'stream_write'", e.caps |= AKV_CAP_STREAM_WRITE);
    refuse(AKV_MISUSE, "builds upon: condition", e.caps &= ~AKV_CAP_CONDITION);
    refuse(AKV_MISUSE, "builds upon: snapshot", e.caps &= ~AKV_CAP_SNAPSHOT; e.snapshot_new = NULL;
           e.snapshot_free = NULL);
    refuse(AKV_MISUSE, "'ordered' without", e.caps = AKV_CAP_WRITE | AKV_CAP_ORDERED; e.get = NULL;
           e.release = NULL; e.iter_new = NULL; e.iter_move = NULL; e.iter_free = NULL;
           e.snapshot_new = NULL; e.snapshot_free = NULL);
}

static void test_register_accepts_a_larger_table_with_nothing_in_it(void **state)
{
    static struct {
        akv_engine engine;
        void      *more[2];
    } larger;
    size_t n = 0;

    (void)state;
    larger.engine      = toy_table;
    larger.engine.name = "larger";
    larger.engine.size = sizeof larger;
    larger.more[1]     = &larger;
    assert_status(AKV_VERSION, akv_register(&larger.engine));
    larger.more[1] = NULL;
    assert_ok(akv_register(&larger.engine));
    while (akv_engine_at(n))
        n++;
    assert_string_equal(akv_engine_at(n - 1), "larger");
    assert_null(akv_engine_at(n + 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fallback_get_many_exists_count_use_get_and_iteration),
        cmocka_unit_test(test_fallback_get_many_stops_at_its_token),
        cmocka_unit_test(test_fallback_stream_reads_the_value_as_it_was),
        cmocka_unit_test(test_fallback_delete_range_takes_batches_of_a_thousand),
        cmocka_unit_test(test_fallback_merge_combines),
        cmocka_unit_test(test_fallback_merge_tries_again_when_it_loses),
        cmocka_unit_test(test_fallback_merge_fails_as_its_operator_says),
        cmocka_unit_test(test_fallback_merge_judges_conditions_and_keeps_the_rest),
        cmocka_unit_test(test_fallback_merge_without_versions_compares_values),
        cmocka_unit_test(test_fallback_merge_loses_nothing_among_threads),
        cmocka_unit_test(test_fallback_is_not_claimed_without_its_means),
        cmocka_unit_test(test_register_refuses_names_and_forms),
        cmocka_unit_test(test_register_refuses_bits_and_slots_that_disagree),
        cmocka_unit_test(test_register_accepts_a_larger_table_with_nothing_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
