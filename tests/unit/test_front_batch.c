/* SPDX-License-Identifier: MIT
 *
 * Batches and single writes: what is copied, when conditions are judged, what
 * comes back.
 */
#include "tests/unit/toy.h"

#include <stdio.h>

static void test_batch_copies_what_it_is_given(void **state)
{
    akv              *db    = toy_new(NULL);
    akv_write_options opt   = AKV_WRITE_OPTIONS_INIT;
    char              key[] = "key", value[] = "value", expected[] = "old";
    akv_batch        *batch;

    (void)state;
    toy_put(db, "key", "old");
    assert_ok(akv_batch_new(db, &batch));
    opt.condition = AKV_IF_VALUE;
    opt.expected  = akv_str(expected);
    assert_ok(akv_batch_put(batch, akv_str(key), akv_str(value), &opt));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    memset(expected, 'x', 3);
    assert_ok(akv_write(db, batch, NULL));
    assert_string_equal(toy_text(db, "key"), "value");
    assert_null(toy_text(db, "xxx"));
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

static void test_batch_is_all_or_none_and_names_what_lost(void **state)
{
    akv              *db     = toy_new(NULL);
    akv_write_options absent = AKV_WRITE_OPTIONS_INIT;
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result;
    akv_batch        *batch;

    (void)state;
    toy_put(db, "b", "1");
    absent.condition = AKV_IF_ABSENT;
    opt.result_out   = &result;
    assert_ok(akv_batch_new(db, &batch));
    assert_ok(akv_batch_put(batch, akv_str("a"), akv_str("2"), NULL));
    assert_ok(akv_batch_check(batch, akv_str("c"), &absent));
    assert_ok(akv_batch_put(batch, akv_str("b"), akv_str("2"), &absent));
    assert_status(AKV_CONFLICT, akv_write(db, batch, &opt));
    assert_int_equal(result.conflict_index, 2);
    assert_null(toy_text(db, "a"));
    assert_ok(akv_delete(db, akv_str("b"), NULL));
    assert_ok(akv_write(db, batch, &opt)); /* it still holds them */
    assert_string_equal(toy_text(db, "a"), "2");
    assert_string_equal(toy_text(db, "b"), "2");
    assert_int_equal(result.conflict_index, 0);
    assert_true(result.version.bytes[0] > 0);
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

static void test_batch_clear_keeps_nothing(void **state)
{
    akv       *db = toy_new(NULL);
    akv_batch *batch;

    (void)state;
    assert_ok(akv_batch_new(db, &batch));
    assert_int_equal(akv_batch_count(batch), 0);
    for (int i = 0; i < 100; i++)
        assert_ok(akv_batch_put(batch, akv_str("a"), akv_str("1"), NULL));
    assert_ok(akv_batch_delete(batch, akv_str("a"), NULL));
    assert_int_equal(akv_batch_count(batch), 101);
    assert_true(akv_batch_bytes(batch) > 101 * sizeof(akv_op));
    akv_batch_clear(batch);
    assert_int_equal(akv_batch_count(batch), 0);
    toy_seen.writes = 0;
    assert_ok(akv_write(db, batch, NULL));
    assert_int_equal(toy_seen.writes, 0);
    assert_ok(akv_batch_put(batch, akv_str(""), akv_str(""), NULL));
    assert_ok(akv_write(db, batch, NULL));
    assert_string_equal(toy_text(db, ""), "");
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

static void test_batch_operations_take_only_their_own_options(void **state)
{
    akv              *db    = toy_new(NULL);
    akv_write_options opt   = AKV_WRITE_OPTIONS_INIT;
    akv_write_options write = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result;
    akv_batch        *batch;

    (void)state;
    assert_ok(akv_batch_new(db, &batch));
    opt.sync = AKV_SYNC_ALWAYS;
    assert_status(AKV_MISUSE, akv_batch_put(batch, akv_str("a"), akv_str("b"), &opt));
    assert_error_has("sync");
    opt             = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    opt.deadline_ns = UINT64_MAX;
    assert_status(AKV_MISUSE, akv_batch_put(batch, akv_str("a"), akv_str("b"), &opt));
    opt            = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    opt.result_out = &result;
    assert_status(AKV_MISUSE, akv_batch_delete(batch, akv_str("a"), &opt));
    assert_status(AKV_MISUSE, akv_batch_check(batch, akv_str("a"), NULL));
    assert_error_has("condition");
    write.condition = AKV_IF_ABSENT;
    assert_status(AKV_MISUSE, akv_write(db, batch, &write));
    assert_error_has("condition");
    assert_int_equal(akv_batch_count(batch), 0);
    /* what is emulated is no single step */
    assert_status(AKV_UNSUPPORTED, akv_batch_delete_range(batch, akv_str("a"), akv_str("b"), NULL));
    assert_error_has("emulation");
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

static void test_batch_every_allocation_may_fail(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;
    akv_batch       *batch;
    uint64_t         nth = 0;
    bool             done;

    (void)state;
    toy_register();
    do {
        size_t     held = 0;
        akv_status status;

        opt.allocator = akvt_failing_allocator(0);
        db            = toy_new(&opt);
        akvt_failing_allocator(++nth);
        done = (status = akv_batch_new(db, &batch)) == AKV_OK;
        for (int i = 0; done && i < 500; i++) {
            char key[16];

            snprintf(key, sizeof key, "key%d", i);
            status = akv_batch_put(batch, akv_str(key), akv_str("some value"), NULL);
            done   = status == AKV_OK;
            held += done;
        }
        assert_int_equal(status, done ? AKV_OK : AKV_NOMEM);
        assert_int_equal(akv_batch_count(batch), held);
        akvt_failing_allocator(0);
        akv_batch_free(batch);
        assert_ok(akv_close(db));
    } while (!done);
    assert_true(nth > 5);
}

static void test_write_conditions_on_one_key(void **state)
{
    akv              *db  = toy_new(NULL);
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result;
    akv_value         value;

    (void)state;
    opt.result_out = &result;
    opt.condition  = AKV_IF_PRESENT;
    assert_status(AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_status(AKV_CONFLICT, akv_delete(db, akv_str("a"), &opt));
    opt.condition = AKV_IF_ABSENT;
    assert_ok(akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_status(AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_ok(akv_get(db, akv_str("a"), NULL, &value));
    opt.condition = AKV_IF_VERSION;
    opt.version   = value.version;
    akv_value_release(&value);
    assert_ok(akv_put(db, akv_str("a"), akv_str("2"), &opt));
    assert_memory_not_equal(&result.version, &opt.version, sizeof result.version);
    assert_status(AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("3"), &opt));
    opt.condition = AKV_IF_VALUE;
    opt.expected  = akv_str("2");
    assert_ok(akv_delete(db, akv_str("a"), &opt));
    assert_null(toy_text(db, "a"));
    assert_ok(akv_close(db));
}

static void test_write_result_is_empty_on_failure(void **state)
{
    akv              *db  = toy_new(NULL);
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result, none;

    (void)state;
    memset(&none, 0, sizeof none);
    memset(&result, 0xee, sizeof result);
    opt.result_out = &result;
    assert_status(AKV_MISUSE, akv_put(db, akv_bytes(NULL, 1), akv_str("1"), &opt));
    assert_memory_equal(&result, &none, sizeof none);
    memset(&result, 0xee, sizeof result);
    opt.sync = 99;
    assert_status(AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_memory_equal(&result, &none, sizeof none);
    assert_ok(akv_close(db));
}

static void test_write_ttl_becomes_an_expiry(void **state)
{
    akv_open_options  opt = AKV_OPEN_OPTIONS_INIT;
    akv_write_options ttl = AKV_WRITE_OPTIONS_INIT;
    akv_value         value;
    akv_env          *env;
    uint64_t          now;
    akv              *db;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    opt.env    = env;
    db         = toy_new(&opt);
    ttl.ttl_ms = 10000;
    now        = env->ops->unix_ms(env);
    assert_ok(akv_put(db, akv_str("a"), akv_str("1"), &ttl));
    assert_ok(akv_get(db, akv_str("a"), NULL, &value));
    assert_in_range(value.expiry_ms, now + 10000, now + 10000 + 5000);
    akv_value_release(&value);
    ttl.ttl_ms = UINT64_MAX; /* longer than time */
    assert_ok(akv_put(db, akv_str("b"), akv_str("1"), &ttl));
    assert_ok(akv_get(db, akv_str("b"), NULL, &value));
    assert_true(value.expiry_ms == UINT64_MAX);
    akv_value_release(&value);
    assert_ok(akv_expire(db, akv_str("b"), 5000, NULL));
    assert_ok(akv_persist(db, akv_str("a"), NULL));
    assert_status(AKV_ABSENT, akv_expire(db, akv_str("c"), 5000, NULL));
    assert_status(AKV_MISUSE, akv_expire(db, akv_str("a"), 1, &ttl));
    akv_env_memory_advance(env, 20000);
    assert_null(toy_text(db, "b"));
    assert_string_equal(toy_text(db, "a"), "1");
    assert_ok(akv_close(db));
    akv_env_memory_free(env);
}

static void test_write_keeps_the_encoding(void **state)
{
    akv              *db  = toy_new(NULL);
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_value         value;

    (void)state;
    opt.encoding = AKV_ENCODING_MSGPACK;
    assert_ok(akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_ok(akv_get(db, akv_str("a"), NULL, &value));
    assert_int_equal(value.encoding, AKV_ENCODING_MSGPACK);
    akv_value_release(&value);
    assert_null(value.data);
    akv_value_release(&value); /* an empty one is fine */
    assert_ok(akv_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_copies_what_it_is_given),
        cmocka_unit_test(test_batch_is_all_or_none_and_names_what_lost),
        cmocka_unit_test(test_batch_clear_keeps_nothing),
        cmocka_unit_test(test_batch_operations_take_only_their_own_options),
        cmocka_unit_test(test_batch_every_allocation_may_fail),
        cmocka_unit_test(test_write_conditions_on_one_key),
        cmocka_unit_test(test_write_result_is_empty_on_failure),
        cmocka_unit_test(test_write_ttl_becomes_an_expiry),
        cmocka_unit_test(test_write_keeps_the_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
