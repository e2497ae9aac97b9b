/* SPDX-License-Identifier: MIT
 *
 * Every way of calling wrongly has an answer: NULLs, limits, things of another
 * handle, missing capabilities, passed deadlines.
 */
#include "tests/unit/toy.h"

static const akv_slice misuse_key = {"k", 1};

static void test_misuse_null_handle_is_told_by_every_call(void **state)
{
    akv_slice     key = misuse_key;
    akv_value     value;
    akv_buffer    buffer = AKV_BUFFER_INIT;
    akv_status    status;
    akv_iter     *it       = (akv_iter *)1;
    akv_batch    *batch    = (akv_batch *)1;
    akv_snapshot *snapshot = (akv_snapshot *)1;
    akv_txn      *txn      = (akv_txn *)1;
    akv_stream   *stream   = (akv_stream *)1;
    akv_changes  *changes  = (akv_changes *)1;
    akv_keyspace *space    = (akv_keyspace *)1;
    akv_stats    *stats    = (akv_stats *)1;
    uint64_t      n        = 1;
    size_t        len      = 1;

    (void)state;
    assert_int_equal(akv_get(NULL, key, NULL, &value), AKV_MISUSE);
    assert_string_equal(akv_last_error()->text, "akv_get: the handle is NULL");
    assert_int_equal(akv_get_into(NULL, key, NULL, NULL, 0, &len), AKV_MISUSE);
    assert_int_equal(len, 0);
    assert_int_equal(akv_get_copy(NULL, key, NULL, &buffer), AKV_MISUSE);
    assert_int_equal(akv_get_many(NULL, 1, &key, NULL, &value, &status), AKV_MISUSE);
    assert_int_equal(status, AKV_MISUSE);
    assert_int_equal(akv_exists(NULL, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_count(NULL, NULL, &n), AKV_MISUSE);
    assert_int_equal(n, 0);
    assert_int_equal(akv_approximate_size(NULL, key, key, NULL, &n), AKV_MISUSE);
    assert_int_equal(akv_scan(NULL, NULL, &it), AKV_MISUSE);
    assert_null(it);
    assert_int_equal(akv_snapshot_new(NULL, &snapshot), AKV_MISUSE);
    assert_null(snapshot);
    assert_int_equal(akv_put(NULL, key, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_delete(NULL, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_delete_range(NULL, key, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_merge(NULL, key, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_expire(NULL, key, 1, NULL), AKV_MISUSE);
    assert_int_equal(akv_persist(NULL, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_batch_new(NULL, &batch), AKV_MISUSE);
    assert_null(batch);
    assert_int_equal(akv_write(NULL, NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_txn_begin(NULL, &txn), AKV_MISUSE);
    assert_null(txn);
    assert_int_equal(akv_keyspace_open(NULL, "x", 0, &space), AKV_MISUSE);
    assert_null(space);
    assert_int_equal(akv_keyspace_drop(NULL, "x"), AKV_MISUSE);
    assert_int_equal(akv_keyspace_list(NULL, NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_stream_open(NULL, key, NULL, &stream), AKV_MISUSE);
    assert_null(stream);
    assert_int_equal(akv_stream_create(NULL, key, false, NULL, &stream), AKV_MISUSE);
    assert_int_equal(akv_changes_open(NULL, key, &changes), AKV_MISUSE);
    assert_null(changes);
    assert_int_equal(akv_finish(NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_abort(NULL), AKV_MISUSE);
    assert_int_equal(akv_sync(NULL), AKV_MISUSE);
    assert_int_equal(akv_compact(NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_verify(NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_checkpoint(NULL, "x", NULL), AKV_MISUSE);
    assert_int_equal(akv_work(NULL), AKV_MISUSE);
    assert_int_equal(akv_scrub_start(NULL, 1, NULL), AKV_MISUSE);
    assert_int_equal(akv_scrub_stop(NULL), AKV_MISUSE);
    assert_int_equal(akv_stats_get(NULL, &stats), AKV_MISUSE);
    assert_null(stats);
    assert_int_equal(akv_capabilities(NULL), 0);
    assert_int_equal(akv_capabilities_emulated(NULL), 0);
    assert_string_equal(akv_engine_name(NULL), "");
    akv_limits(NULL, &n, NULL);
    assert_int_equal(akv_detect(NULL, NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_destroy("x", NULL, NULL), AKV_UNSUPPORTED);
    assert_int_equal(akv_repair(NULL, NULL, NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_register(NULL), AKV_MISUSE);
}

static void test_misuse_null_objects_are_told_or_taken(void **state)
{
    akv_slice  key = misuse_key;
    size_t     len;
    akv_change change;

    (void)state;
    assert_int_equal(akv_iter_first(NULL), AKV_MISUSE);
    assert_int_equal(akv_iter_last(NULL), AKV_MISUSE);
    assert_int_equal(akv_iter_next(NULL), AKV_MISUSE);
    assert_int_equal(akv_iter_prev(NULL), AKV_MISUSE);
    assert_int_equal(akv_iter_seek(NULL, key), AKV_MISUSE);
    assert_int_equal(akv_iter_seek_for_prev(NULL, key), AKV_MISUSE);
    assert_false(akv_iter_valid(NULL));
    assert_int_equal(akv_iter_key(NULL).len, 0);
    assert_int_equal(akv_iter_value(NULL).len, 0);
    assert_int_equal(akv_iter_item(NULL)->len, 0);
    assert_int_equal(akv_batch_put(NULL, key, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_batch_count(NULL), 0);
    assert_int_equal(akv_batch_bytes(NULL), 0);
    assert_int_equal(akv_txn_get(NULL, key, NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_txn_put(NULL, key, key, NULL), AKV_MISUSE);
    assert_int_equal(akv_txn_commit(NULL, NULL), AKV_MISUSE);
    assert_int_equal(akv_stream_len(NULL), 0);
    assert_int_equal(akv_stream_read(NULL, 0, NULL, 0, &len), AKV_MISUSE);
    assert_int_equal(akv_stream_write(NULL, NULL, 0), AKV_MISUSE);
    assert_int_equal(akv_stream_commit(NULL), AKV_MISUSE);
    assert_int_equal(akv_changes_next(NULL, 0, &change), AKV_MISUSE);
    assert_int_equal(akv_changes_token(NULL, NULL), AKV_MISUSE);
    akv_value_release(NULL);
    akv_values_release(NULL, 3);
    akv_iter_free(NULL);
    akv_batch_clear(NULL);
    akv_batch_free(NULL);
    akv_snapshot_free(NULL);
    akv_txn_abort(NULL);
    akv_keyspace_close(NULL);
    akv_stream_close(NULL);
    akv_stream_abort(NULL);
    akv_changes_close(NULL);
    akv_stats_free(NULL);
    assert_int_equal(akv_close(NULL), AKV_OK);
}

static void test_misuse_null_outputs_are_told(void **state)
{
    akv       *db  = toy_new(NULL);
    akv_slice  key = misuse_key;
    akv_status status;
    akv_value  value;
    size_t     len;

    (void)state;
    assert_status(AKV_MISUSE, akv_get(db, key, NULL, NULL));
    assert_status(AKV_MISUSE, akv_get_into(db, key, NULL, NULL, 4, &len));
    assert_status(AKV_MISUSE, akv_get_into(db, key, NULL, NULL, 0, NULL));
    assert_status(AKV_MISUSE, akv_get_copy(db, key, NULL, NULL));
    assert_status(AKV_MISUSE, akv_get_many(db, 1, NULL, NULL, &value, &status));
    assert_status(AKV_MISUSE, akv_get_many(db, 1, &key, NULL, NULL, &status));
    assert_ok(akv_get_many(db, 0, NULL, NULL, NULL, NULL));
    assert_status(AKV_MISUSE, akv_count(db, NULL, NULL));
    assert_status(AKV_MISUSE, akv_scan(db, NULL, NULL));
    assert_status(AKV_MISUSE, akv_snapshot_new(db, NULL));
    assert_status(AKV_MISUSE, akv_batch_new(db, NULL));
    assert_status(AKV_MISUSE, akv_txn_begin(db, NULL));
    assert_status(AKV_MISUSE, akv_stream_open(db, key, NULL, NULL));
    assert_status(AKV_MISUSE, akv_stats_get(db, NULL));
    assert_status(AKV_MISUSE, akv_write(db, NULL, NULL));
    assert_status(AKV_MISUSE, akv_checkpoint(db, NULL, NULL));
    assert_status(AKV_MISUSE, akv_put(db, akv_bytes(NULL, 1), key, NULL));
    assert_status(AKV_MISUSE, akv_put(db, key, akv_bytes(NULL, 1), NULL));
    assert_status(AKV_MISUSE, akv_get(db, akv_bytes(NULL, 1), NULL, &value));
    assert_ok(akv_close(db));
}

static void test_misuse_limits_name_size_and_limit(void **state)
{
    akv             *db = toy_new(NULL);
    akv_value        value;
    akv_status       statuses[3];
    akv_value        values[3];
    akv_slice        keys[3];
    static char      big[100001];
    uint64_t         max_key, max_value;
    akv_scan_options scan = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *it;

    (void)state;
    memset(big, 'x', sizeof big);
    akv_limits(db, &max_key, &max_value);
    assert_int_equal(max_key, 1000);
    assert_int_equal(max_value, 100000);
    assert_status(AKV_TOO_BIG, akv_put(db, akv_bytes(big, 1001), misuse_key, NULL));
    assert_error_has("1001");
    assert_error_has("1000");
    assert_status(AKV_TOO_BIG, akv_put(db, misuse_key, akv_bytes(big, 100001), NULL));
    assert_error_has("100001");
    assert_ok(akv_put(db, akv_bytes(big, 1000), akv_bytes(big, 100000), NULL));
    assert_status(AKV_TOO_BIG, akv_get(db, akv_bytes(big, 1001), NULL, &value));
    assert_null(value.db);
    /* one bad key in a batch of reads fails alone */
    keys[0] = akv_bytes(big, 1000);
    keys[1] = akv_bytes(big, 1001);
    keys[2] = misuse_key;
    assert_status(AKV_TOO_BIG, akv_get_many(db, 3, keys, NULL, values, statuses));
    assert_int_equal(statuses[0], AKV_OK);
    assert_int_equal(statuses[1], AKV_TOO_BIG);
    assert_int_equal(statuses[2], AKV_ABSENT);
    akv_values_release(values, 3);
    /* a bound may be longer than any key */
    scan.upper = akv_bytes(big, 1001);
    assert_ok(akv_scan(db, &scan, &it));
    assert_ok(akv_iter_next(it));
    assert_ok(akv_iter_seek(it, akv_bytes("x", 1)));
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_misuse_capabilities_that_lack_are_named(void **state)
{
    akv          *db = toy_new(NULL);
    akv_keyspace *space;
    akv_changes  *changes;
    akv_stream   *stream;

    (void)state;
    assert_status(AKV_UNSUPPORTED, akv_keyspace_open(db, "x", 0, &space));
    assert_error_has("toy");
    assert_error_has("keyspaces");
    assert_status(AKV_UNSUPPORTED, akv_changes_open(db, akv_str(""), &changes));
    assert_error_has("changes");
    assert_status(AKV_UNSUPPORTED, akv_stream_create(db, misuse_key, false, NULL, &stream));
    assert_error_has("stream_write");
    assert_status(AKV_UNSUPPORTED, akv_checkpoint(db, "x", NULL));
    assert_error_has("checkpoint");
    assert_status(AKV_MISUSE, akv_merge(db, misuse_key, misuse_key, NULL));
    assert_error_has("merge operator");
    assert_status(AKV_UNSUPPORTED, akv_abort(db));
    assert_status(AKV_UNSUPPORTED, akv_repair("toy", "x", NULL, NULL));
    assert_ok(akv_compact(db, NULL));
    assert_status(AKV_END, akv_work(db));
    assert_ok(akv_finish(db, NULL));
    assert_ok(akv_close(db));
}

static void test_misuse_things_of_another_handle_are_refused(void **state)
{
    akv             *db = toy_new(NULL), *other = toy_new(NULL);
    akv_read_options read = AKV_READ_OPTIONS_INIT;
    akv_scan_options scan = AKV_SCAN_OPTIONS_INIT;
    akv_snapshot    *snapshot;
    akv_batch       *batch;
    akv_value        value;
    akv_iter        *it;

    (void)state;
    assert_ok(akv_snapshot_new(other, &snapshot));
    read.snapshot = snapshot;
    assert_status(AKV_MISUSE, akv_get(db, misuse_key, &read, &value));
    assert_error_has("another handle");
    scan.read.snapshot = snapshot;
    assert_status(AKV_MISUSE, akv_scan(db, &scan, &it));
    akv_snapshot_free(snapshot);
    assert_ok(akv_batch_new(other, &batch));
    assert_ok(akv_batch_put(batch, misuse_key, misuse_key, NULL));
    assert_status(AKV_MISUSE, akv_write(db, batch, NULL));
    akv_batch_free(batch);
    assert_ok(akv_close(db));
    assert_ok(akv_close(other));
}

static void test_misuse_deadline_and_token_stop_before_the_engine(void **state)
{
    akv              *db    = toy_new(NULL);
    akv_read_options  read  = AKV_READ_OPTIONS_INIT;
    akv_write_options write = AKV_WRITE_OPTIONS_INIT;
    akv_job_options   job   = AKV_JOB_OPTIONS_INIT;
    uint64_t          gets, writes;
    akv_cancel       *cancel;
    akv_value         value;

    (void)state;
    gets              = toy_seen.gets;
    writes            = toy_seen.writes;
    read.deadline_ns  = 1;
    write.deadline_ns = 1;
    job.deadline_ns   = 1;
    assert_status(AKV_TIMEOUT, akv_get(db, misuse_key, &read, &value));
    assert_status(AKV_TIMEOUT, akv_put(db, misuse_key, misuse_key, &write));
    assert_status(AKV_TIMEOUT, akv_verify(db, &job));
    assert_ok(akv_cancel_new(&cancel));
    read.deadline_ns = akv_deadline_in_ms(60000);
    read.cancel      = cancel;
    write            = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    write.cancel     = cancel;
    assert_status(AKV_ABSENT, akv_get(db, misuse_key, &read, &value));
    gets++;
    akv_cancel_trigger(cancel);
    assert_status(AKV_CANCELLED, akv_get(db, misuse_key, &read, &value));
    assert_status(AKV_CANCELLED, akv_put(db, misuse_key, misuse_key, &write));
    assert_int_equal(toy_seen.gets, gets);
    assert_int_equal(toy_seen.writes, writes);
    akv_cancel_free(cancel);
    assert_ok(akv_close(db));
}

static void test_misuse_only_a_failing_call_replaces_the_error(void **state)
{
    akv      *db = toy_new(NULL);
    akv_value value;

    (void)state;
    assert_int_equal(akv_put(db, akv_bytes(NULL, 1), misuse_key, NULL), AKV_MISUSE);
    assert_string_equal(akv_last_error()->engine, "toy");
    assert_int_equal(akv_get(db, misuse_key, NULL, &value), AKV_ABSENT);
    assert_int_equal(akv_close(db), AKV_OK);
    assert_int_equal(akv_last_error()->code, AKV_MISUSE);
    assert_non_null(strstr(akv_last_error()->text, "the key is NULL"));
}

static void test_misuse_get_into_tells_the_length_it_needs(void **state)
{
    akv   *db = toy_new(NULL);
    char   buf[4];
    size_t len;

    (void)state;
    toy_put(db, "k", "12345");
    memset(buf, '.', sizeof buf);
    assert_status(AKV_TOO_BIG, akv_get_into(db, misuse_key, NULL, buf, sizeof buf, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(buf, "....", 4);
    assert_status(AKV_TOO_BIG, akv_get_into(db, misuse_key, NULL, NULL, 0, &len));
    assert_int_equal(len, 5);
    toy_put(db, "k", "1234");
    assert_ok(akv_get_into(db, misuse_key, NULL, buf, sizeof buf, &len));
    assert_memory_equal(buf, "1234", 4);
    assert_ok(akv_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse_null_handle_is_told_by_every_call),
        cmocka_unit_test(test_misuse_null_objects_are_told_or_taken),
        cmocka_unit_test(test_misuse_null_outputs_are_told),
        cmocka_unit_test(test_misuse_limits_name_size_and_limit),
        cmocka_unit_test(test_misuse_capabilities_that_lack_are_named),
        cmocka_unit_test(test_misuse_things_of_another_handle_are_refused),
        cmocka_unit_test(test_misuse_deadline_and_token_stop_before_the_engine),
        cmocka_unit_test(test_misuse_only_a_failing_call_replaces_the_error),
        cmocka_unit_test(test_misuse_get_into_tells_the_length_it_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
