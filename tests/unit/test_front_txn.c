/* SPDX-License-Identifier: MIT
 *
 * Transactions: what they see, what they check, what they leave behind.
 */
#include "tests/unit/toy.h"

#include <stdio.h>

static const char *txn_text(akv_txn *txn, const char *key)
{
    static char text[100];
    akv_buffer  value  = AKV_BUFFER_INIT;
    akv_status  status = akv_txn_get(txn, akv_str(key), NULL, &value);

    if (status == AKV_OK)
        snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.data);
    akv_buffer_free(&value);
    if (status == AKV_ABSENT)
        return NULL;
    assert_ok(status);
    return text;
}

static akv_txn *txn_begin(akv *db)
{
    akv_txn *txn;

    assert_ok(akv_txn_begin(db, &txn));
    return txn;
}

static void txn_put(akv_txn *txn, const char *key, const char *value)
{
    assert_ok(akv_txn_put(txn, akv_str(key), akv_str(value), NULL));
}

static void test_txn_sees_its_snapshot_and_its_own_writes(void **state)
{
    akv     *db = toy_new(NULL);
    akv_txn *txn;

    (void)state;
    toy_put(db, "a", "1");
    toy_put(db, "b", "1");
    txn = txn_begin(db);
    toy_put(db, "a", "2");
    assert_string_equal(txn_text(txn, "a"), "1");
    txn_put(txn, "b", "mine");
    txn_put(txn, "b", "mine again");
    txn_put(txn, "c", "new");
    assert_ok(akv_txn_delete(txn, akv_str("d"), NULL));
    assert_string_equal(txn_text(txn, "b"), "mine again");
    assert_string_equal(txn_text(txn, "c"), "new");
    assert_null(txn_text(txn, "d"));
    assert_ok(akv_txn_exists(txn, akv_str("c"), NULL));
    assert_string_equal(toy_text(db, "b"), "1");
    akv_txn_abort(txn);
    assert_string_equal(toy_text(db, "b"), "1");
    assert_null(toy_text(db, "c"));
    assert_ok(akv_close(db));
}

static void test_txn_commit_writes_all_at_once(void **state)
{
    akv              *db  = toy_new(NULL);
    akv_txn          *txn = txn_begin(db);
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result;

    (void)state;
    toy_put(db, "gone", "1");
    akv_txn_abort(txn);
    txn = txn_begin(db);
    txn_put(txn, "a", "1");
    txn_put(txn, "b", "2");
    assert_ok(akv_txn_delete(txn, akv_str("gone"), NULL));
    toy_seen.writes = 0;
    opt.result_out  = &result;
    opt.sync        = AKV_SYNC_ALWAYS;
    assert_ok(akv_txn_commit(txn, &opt));
    assert_int_equal(toy_seen.writes, 1);
    assert_int_equal(toy_seen.write_opt.sync, AKV_SYNC_ALWAYS);
    assert_true(result.version.bytes[0] > 0);
    assert_string_equal(toy_text(db, "a"), "1");
    assert_string_equal(toy_text(db, "b"), "2");
    assert_null(toy_text(db, "gone"));
    txn = txn_begin(db);
    assert_ok(akv_txn_commit(txn, NULL)); /* nothing to do */
    assert_int_equal(toy_seen.writes, 1);
    assert_ok(akv_close(db));
}

static void test_txn_commit_loses_if_what_it_read_has_changed(void **state)
{
    akv     *db = toy_new(NULL);
    akv_txn *txn;

    (void)state;
    toy_put(db, "a", "1");
    /* a key read */
    txn = txn_begin(db);
    assert_string_equal(txn_text(txn, "a"), "1");
    txn_put(txn, "b", "1");
    toy_put(db, "a", "1"); /* the same bytes, written again */
    assert_status(AKV_CONFLICT, akv_txn_commit(txn, NULL));
    assert_null(toy_text(db, "b"));
    /* a key found absent */
    txn = txn_begin(db);
    assert_status(AKV_ABSENT, akv_txn_exists(txn, akv_str("x"), NULL));
    txn_put(txn, "b", "1");
    toy_put(db, "x", "1");
    assert_status(AKV_CONFLICT, akv_txn_commit(txn, NULL));
    assert_null(toy_text(db, "b"));
    /* a key written blindly is not checked */
    txn = txn_begin(db);
    txn_put(txn, "a", "txn");
    toy_put(db, "a", "other");
    assert_ok(akv_txn_commit(txn, NULL));
    assert_string_equal(toy_text(db, "a"), "txn");
    /* reading one's own write is not reading the store */
    txn = txn_begin(db);
    txn_put(txn, "a", "1");
    assert_string_equal(txn_text(txn, "a"), "1");
    toy_put(db, "a", "other");
    assert_ok(akv_txn_commit(txn, NULL));
    /* reads alone are checked too */
    txn = txn_begin(db);
    assert_string_equal(txn_text(txn, "a"), "1");
    toy_put(db, "a", "other");
    assert_status(AKV_CONFLICT, akv_txn_commit(txn, NULL));
    assert_ok(akv_close(db));
}

static void test_txn_conditions_are_judged_by_what_it_sees(void **state)
{
    akv              *db  = toy_new(NULL);
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_txn          *txn;

    (void)state;
    toy_put(db, "a", "1");
    txn           = txn_begin(db);
    opt.condition = AKV_IF_ABSENT;
    assert_status(AKV_CONFLICT, akv_txn_put(txn, akv_str("a"), akv_str("2"), &opt));
    assert_ok(akv_txn_put(txn, akv_str("b"), akv_str("2"), &opt));
    opt.condition = AKV_IF_VALUE;
    opt.expected  = akv_str("2");
    assert_ok(akv_txn_put(txn, akv_str("b"), akv_str("3"), &opt));
    assert_ok(akv_txn_commit(txn, NULL));
    assert_string_equal(toy_text(db, "b"), "3");
    /* and at commit: what it judged by was read */
    txn           = txn_begin(db);
    opt.condition = AKV_IF_ABSENT;
    assert_ok(akv_txn_put(txn, akv_str("c"), akv_str("1"), &opt));
    toy_put(db, "c", "other");
    assert_status(AKV_CONFLICT, akv_txn_commit(txn, NULL));
    assert_ok(akv_close(db));
}

static void test_txn_scan_merges_both_ways(void **state)
{
    akv             *db   = toy_new(NULL);
    akv_scan_options opt  = AKV_SCAN_OPTIONS_INIT;
    const char      *want = "abdfgh", *w;
    akv_txn         *txn;
    akv_iter        *it;

    (void)state;
    toy_put(db, "b", "store");
    toy_put(db, "c", "store");
    toy_put(db, "d", "store");
    toy_put(db, "e", "store");
    toy_put(db, "g", "store");
    txn = txn_begin(db);
    txn_put(txn, "a", "own");
    txn_put(txn, "d", "own");
    txn_put(txn, "f", "own");
    txn_put(txn, "h", "own");
    assert_ok(akv_txn_delete(txn, akv_str("c"), NULL));
    assert_ok(akv_txn_delete(txn, akv_str("e"), NULL));
    assert_ok(akv_txn_delete(txn, akv_str("zzz"), NULL));
    assert_ok(akv_txn_scan(txn, NULL, &it));
    for (w = want; *w; w++) {
        assert_ok(akv_iter_next(it));
        assert_memory_equal(akv_iter_key(it).data, w, 1);
        assert_slice(akv_iter_value(it), strchr("adfh", *w) ? "own" : "store");
    }
    assert_status(AKV_END, akv_iter_next(it));
    for (w = want + 6; w-- > want;) {
        assert_ok(akv_iter_prev(it));
        assert_memory_equal(akv_iter_key(it).data, w, 1);
    }
    assert_status(AKV_END, akv_iter_prev(it));
    assert_ok(akv_iter_seek(it, akv_str("c")));
    assert_slice(akv_iter_key(it), "d");
    assert_ok(akv_iter_prev(it));
    assert_slice(akv_iter_key(it), "b");
    assert_ok(akv_iter_next(it));
    assert_slice(akv_iter_key(it), "d");
    assert_ok(akv_iter_seek_for_prev(it, akv_str("e")));
    assert_slice(akv_iter_key(it), "d");
    akv_iter_free(it);
    opt.flags = AKV_SCAN_KEYS_ONLY | AKV_SCAN_REVERSE;
    opt.upper = akv_str("g");
    assert_ok(akv_txn_scan(txn, &opt, &it));
    assert_ok(akv_iter_next(it));
    assert_slice(akv_iter_key(it), "f");
    assert_int_equal(akv_iter_value(it).len, 0);
    akv_iter_free(it);
    akv_txn_abort(txn);
    assert_ok(akv_close(db));
}

static void test_txn_scan_counts_as_reading(void **state)
{
    akv      *db = toy_new(NULL);
    akv_txn  *txn;
    akv_iter *it;

    (void)state;
    toy_put(db, "a", "1");
    toy_put(db, "b", "1");
    txn = txn_begin(db);
    assert_ok(akv_txn_scan(txn, NULL, &it));
    assert_ok(akv_iter_next(it));
    akv_iter_free(it);
    txn_put(txn, "x", "1");
    toy_put(db, "b", "2"); /* not yet returned */
    assert_ok(akv_txn_commit(txn, NULL));
    txn = txn_begin(db);
    assert_ok(akv_txn_scan(txn, NULL, &it));
    assert_ok(akv_iter_next(it));
    akv_iter_free(it);
    toy_put(db, "a", "2");
    assert_status(AKV_CONFLICT, akv_txn_commit(txn, NULL));
    assert_ok(akv_close(db));
}

static void test_txn_iterator_may_outlive_it_and_is_counted(void **state)
{
    akv      *db = toy_new(NULL);
    akv_txn  *txn;
    akv_iter *it;

    (void)state;
    toy_put(db, "a", "1");
    txn = txn_begin(db);
    txn_put(txn, "b", "1");
    assert_ok(akv_txn_scan(txn, NULL, &it));
    assert_status(AKV_BUSY, akv_close(db));
    assert_error_has("1 iterator, 1 transaction");
    akv_txn_abort(txn);
    assert_ok(akv_iter_next(it));
    assert_ok(akv_iter_next(it));
    assert_slice(akv_iter_key(it), "b");
    assert_status(AKV_BUSY, akv_close(db));
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_txn_own_writes_change_under_its_iterator(void **state)
{
    akv      *db  = toy_new(NULL);
    akv_txn  *txn = txn_begin(db);
    akv_iter *it;

    (void)state;
    txn_put(txn, "a", "short");
    txn_put(txn, "c", "c");
    assert_ok(akv_txn_scan(txn, NULL, &it));
    assert_ok(akv_iter_next(it));
    txn_put(txn, "a", "a value that is a good deal longer than the one before it");
    txn_put(txn, "b", "between");
    assert_slice(akv_iter_value(it), "short");
    for (akv_status status = AKV_OK; status == AKV_OK;) {
        status = akv_iter_next(it);
        assert_true(status == AKV_END || akv_iter_key(it).len == 1);
    }
    assert_ok(akv_iter_prev(it));
    assert_slice(akv_iter_key(it), "c");
    akv_iter_free(it);
    akv_txn_abort(txn);
    assert_ok(akv_close(db));
}

static void test_txn_misuse(void **state)
{
    akv             *db   = toy_new(NULL);
    akv_txn         *txn  = txn_begin(db);
    akv_read_options read = AKV_READ_OPTIONS_INIT;
    akv_snapshot    *snapshot;
    akv_buffer       value = AKV_BUFFER_INIT;

    (void)state;
    assert_ok(akv_snapshot_new(db, &snapshot));
    read.snapshot = snapshot;
    assert_status(AKV_MISUSE, akv_txn_get(txn, akv_str("a"), &read, &value));
    assert_error_has("its own snapshot");
    akv_snapshot_free(snapshot);
    assert_status(AKV_MISUSE, akv_txn_get(txn, akv_str("a"), NULL, NULL));
    assert_status(AKV_MISUSE, akv_txn_put(txn, akv_bytes(NULL, 1), akv_str(""), NULL));
    akv_txn_abort(txn);
    assert_ok(akv_close(db));
}

static void test_txn_every_allocation_may_fail(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    uint64_t         nth = 0;
    akv_status       status;

    (void)state;
    do {
        akv_txn   *txn   = NULL;
        akv_iter  *it    = NULL;
        akv_buffer value = AKV_BUFFER_INIT;
        akv       *db;

        opt.allocator = akvt_failing_allocator(0);
        db            = toy_new(&opt);
        toy_put(db, "a", "1");
        toy_put(db, "b", "1");
        akvt_failing_allocator(++nth);
        status = akv_txn_begin(db, &txn);
        if (status == AKV_OK)
            status = akv_txn_put(txn, akv_str("b"), akv_str("2"), NULL);
        if (status == AKV_OK)
            status = akv_txn_get(txn, akv_str("a"), NULL, &value);
        if (status == AKV_OK)
            status = akv_txn_scan(txn, NULL, &it);
        while (status == AKV_OK)
            status = akv_iter_next(it);
        akv_iter_free(it);
        if (status == AKV_END) {
            status = akv_txn_commit(txn, NULL);
            txn    = NULL;
        }
        akvt_failing_allocator(0);
        akv_txn_abort(txn);
        akv_buffer_free(&value);
        assert_true(status == AKV_OK || status == AKV_NOMEM);
        assert_string_equal(toy_text(db, "b"), status == AKV_OK ? "2" : "1");
        assert_ok(akv_close(db));
    } while (status != AKV_OK);
    assert_true(nth > 5);
}

/* ---------------------------------------------------------------- at random */

/* A transaction's iterator against a store that holds what it should see. */
static void txn_random_round(akvt_random *r)
{
    akv      *db = toy_new(NULL), *model = toy_new(NULL);
    char      key[2] = "", value[16];
    akv_iter *it, *want;
    akv_txn  *txn;

    for (int i = 0; i < 12; i++) {
        key[0] = (char)('a' + akvt_below(r, 20));
        toy_put(db, key, "store");
        toy_put(model, key, "store");
    }
    txn = txn_begin(db);
    for (int i = 0; i < 12; i++) {
        key[0] = (char)('a' + akvt_below(r, 20));
        if (akvt_below(r, 2)) {
            snprintf(value, sizeof value, "own%d", i);
            txn_put(txn, key, value);
            toy_put(model, key, value);
        } else {
            assert_ok(akv_txn_delete(txn, akv_str(key), NULL));
            assert_ok(akv_delete(model, akv_str(key), NULL));
        }
    }
    assert_ok(akv_txn_scan(txn, NULL, &it));
    assert_ok(akv_scan(model, NULL, &want));
    for (int i = 0; i < 60; i++) {
        akv_status a, b;

        key[0] = (char)('a' + akvt_below(r, 20));
        switch (akvt_below(r, 6)) {
        case 0: a = akv_iter_next(it), b = akv_iter_next(want); break;
        case 1: a = akv_iter_prev(it), b = akv_iter_prev(want); break;
        case 2: a = akv_iter_seek(it, akv_str(key)), b = akv_iter_seek(want, akv_str(key)); break;
        case 3:
            a = akv_iter_seek_for_prev(it, akv_str(key));
            b = akv_iter_seek_for_prev(want, akv_str(key));
            break;
        case 4: a = akv_iter_first(it), b = akv_iter_first(want); break;
        default: a = akv_iter_last(it), b = akv_iter_last(want); break;
        }
        assert_int_equal(a, b);
        assert_int_equal(akv_iter_key(it).len, akv_iter_key(want).len);
        if (a != AKV_OK)
            continue;
        assert_memory_equal(akv_iter_key(it).data, akv_iter_key(want).data, 1);
        assert_int_equal(akv_iter_value(it).len, akv_iter_value(want).len);
        assert_memory_equal(akv_iter_value(it).data, akv_iter_value(want).data,
                            akv_iter_value(want).len);
    }
    akv_iter_free(it);
    akv_iter_free(want);
    assert_ok(akv_txn_commit(txn, NULL));
    assert_ok(akv_close(db));
    assert_ok(akv_close(model));
}

static void test_txn_scan_at_random_is_as_if_it_had_been_written(void **state)
{
    akvt_random r = akvt_random_new(2);

    (void)state;
    for (unsigned i = 0; i < 200 * akvt_scale(); i++)
        txn_random_round(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_txn_sees_its_snapshot_and_its_own_writes),
        cmocka_unit_test(test_txn_commit_writes_all_at_once),
        cmocka_unit_test(test_txn_commit_loses_if_what_it_read_has_changed),
        cmocka_unit_test(test_txn_conditions_are_judged_by_what_it_sees),
        cmocka_unit_test(test_txn_scan_merges_both_ways),
        cmocka_unit_test(test_txn_scan_counts_as_reading),
        cmocka_unit_test(test_txn_iterator_may_outlive_it_and_is_counted),
        cmocka_unit_test(test_txn_own_writes_change_under_its_iterator),
        cmocka_unit_test(test_txn_misuse),
        cmocka_unit_test(test_txn_every_allocation_may_fail),
        cmocka_unit_test(test_txn_scan_at_random_is_as_if_it_had_been_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
