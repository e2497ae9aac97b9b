/* SPDX-License-Identifier: MIT
 *
 * test_memory.c: the memory engine, driven by its table. What every engine
 * promises is in the conformance suite; here is what is this engine's own:
 * that old values go when nobody can see them, that iterators stand while the
 * tree moves, the history of changes, and the image.
 */
#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/stats.h"
#include "common/codec/crc.h"
#include "common/env/fault.h"
#include "common/env/file.h"
#include "engines/memory/format.h"
#include "engines/memory/store.h"
#include "tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const akv_read_options  read_now   = AKV_READ_OPTIONS_INIT;
static const akv_write_options write_opts = AKV_WRITE_OPTIONS_INIT;
static const akv_job_options   job_opts   = AKV_JOB_OPTIONS_INIT;

/* ----------------------------------------------------------------- helpers */

static akv_status append_merge(void *user, akv_slice key, const akv_slice *existing,
                               akv_slice operand, akv_buffer *result_out)
{
    (void)user;
    (void)key;
    if (akvi_equal(operand.data, operand.len, "fail", 4))
        return AKV_FAIL(AKV_MISUSE, "the operator says no");
    if (existing && akvi_buffer_set(result_out, existing->data, existing->len) != AKV_OK)
        return AKV_NOMEM;
    return akv_buffer_append(result_out, operand.data, operand.len);
}

static const akv_merge_operator appender = {"append", append_merge, NULL};

typedef struct opening {
    const char          *path;
    uint32_t             flags;
    const akv_allocator *allocator;
    akv_env             *env;
    uint64_t             budget;
    uint64_t             change_log;
} opening;

static akv_status try_open(opening o, memory_store **out)
{
    static const akv_logger quiet   = {NULL, NULL, AKV_LOG_ERROR};
    akv_memory_options      options = AKV_MEMORY_OPTIONS_INIT;
    uint64_t                caps    = akvi_memory.caps;
    void                   *impl    = NULL;
    akv_open_args           args    = {.size           = sizeof args,
                                       .path           = o.path,
                                       .flags          = o.flags,
                                       .sync           = AKV_SYNC_PERIODIC,
                                       .sync_period_ms = 100,
                                       .memory_budget  = o.budget,
                                       .allocator      = o.allocator,
                                       .env            = o.env ? o.env : akv_env_posix(),
                                       .merge          = &appender,
                                       .engine_options = &options,
                                       .logger         = &quiet};
    akv_status              st;

    if (o.change_log != 0)
        options.change_log = o.change_log;
    st   = akvi_memory.open(&args, &impl, &caps);
    *out = impl;
    return st;
}

static memory_store *open_it(opening o)
{
    memory_store *s;

    assert_ok(try_open(o, &s));
    return s;
}

static memory_store *open_volatile(void)
{
    return open_it((opening){.path = NULL});
}

static void close_it(memory_store *s)
{
    assert_ok(akvi_memory.close(s));
}

static akv_status write_ops(memory_store *s, const akv_op *ops, size_t n, akv_write_result *r)
{
    akv_write_result ignored;

    r  = r ? r : &ignored;
    *r = (akv_write_result){.conflict_index = 0};
    return akvi_memory.write(s, ops, n, &write_opts, r);
}

static akv_op op_of(akv_op_kind kind, const char *key, const char *value)
{
    return (akv_op){.kind = kind, .key = akv_str(key), .value = akv_str(value)};
}

static void put(memory_store *s, const char *key, const char *value)
{
    akv_op op = op_of(AKV_OP_PUT, key, value);

    assert_ok(write_ops(s, &op, 1, NULL));
}

static void put_until(memory_store *s, const char *key, const char *value, uint64_t expiry_ms)
{
    akv_op op = op_of(AKV_OP_PUT, key, value);

    op.expiry_ms = expiry_ms;
    assert_ok(write_ops(s, &op, 1, NULL));
}

static void del(memory_store *s, const char *key)
{
    akv_op op = op_of(AKV_OP_DELETE, key, NULL);

    assert_ok(write_ops(s, &op, 1, NULL));
}

/* NULL: absent. */
static void expect_in(memory_store *s, const akv_read_options *opt, const char *key,
                      const char *value)
{
    akv_value v = AKV_VALUE_INIT;

    assert_status(value ? AKV_OK : AKV_ABSENT, akvi_memory.get(s, akv_str(key), opt, &v));
    assert_status(value ? AKV_OK : AKV_ABSENT, akvi_memory.exists(s, akv_str(key), opt));
    if (!value)
        return;
    assert_slice(akv_bytes(v.data, v.len), value);
    akvi_memory.release(s, &v);
}

static void expect(memory_store *s, const char *key, const char *value)
{
    expect_in(s, &read_now, key, value);
}

static uint64_t count(memory_store *s, const akv_read_options *opt)
{
    uint64_t n = 0;

    assert_ok(akvi_memory.count(s, opt, &n));
    return n;
}

static void check(memory_store *s)
{
    assert_ok(akvi_memory.verify(s, &job_opts));
}

static uint64_t stat_of(memory_store *s, const char *name)
{
    akv_stats      *stats;
    const akv_stat *stat;
    uint64_t        u64;

    assert_ok(akvi_stats_new(NULL, &stats));
    akvi_memory.stats(s, stats);
    stat = akv_stats_find(stats, name);
    assert_non_null(stat);
    u64 = stat->u64;
    akv_stats_free(stats);
    return u64;
}

static void *iter_over(memory_store *s, const akv_range *range, const akv_read_options *opt)
{
    static const akv_range all = {.has_upper = false};
    void                  *it;

    assert_ok(akvi_memory.iter_new(s, range ? range : &all, opt ? opt : &read_now, &it));
    return it;
}

/* Move, and expect to be on `key`; NULL: at the end. */
static void moves_to(void *it, akv_move move, const char *target, const char *key)
{
    akv_entry e = {.key = {NULL, 0}};

    assert_status(key ? AKV_OK : AKV_END, akvi_memory.iter_move(it, move, akv_str(target), &e));
    if (key)
        assert_slice(e.key, key);
}

/* All keys and values, "a=1 b=2 ", forward and, in check of that, backward. */
static void expect_all(memory_store *s, const akv_read_options *opt, const char *want)
{
    akv_slice  none = {NULL, 0};
    akv_buffer text = AKV_BUFFER_INIT;
    void      *it   = iter_over(s, NULL, opt);
    akv_move   move = AKV_MOVE_FIRST;
    size_t     n = 0, back = 0;
    akv_entry  e;

    for (; akvi_memory.iter_move(it, move, none, &e) == AKV_OK; move = AKV_MOVE_NEXT, n++) {
        assert_ok(akvi_buffer_printf(&text, "%.*s=%.*s ", (int)e.key.len, (const char *)e.key.data,
                                     (int)e.value.len, (const char *)e.value.data));
    }
    move = AKV_MOVE_LAST;
    for (; akvi_memory.iter_move(it, move, none, &e) == AKV_OK; move = AKV_MOVE_PREV)
        back++;
    assert_int_equal(back, n);
    assert_slice(akvi_buffer_slice(&text), want);
    akv_buffer_free(&text);
    akvi_memory.iter_free(it);
}

static akv_env *memory_env(void)
{
    akv_env *env;

    assert_ok(akv_env_memory_new(NULL, &env));
    return env;
}

/* ----------------------------------------------------------- keys and values */

static void test_memory_gets_what_was_put(void **state)
{
    memory_store *s  = open_volatile();
    akv_op        op = op_of(AKV_OP_PUT, "k", "v");
    akv_value     v  = AKV_VALUE_INIT;

    (void)state;
    expect(s, "a", NULL);
    put(s, "a", "1");
    put(s, "", "the empty key");
    put(s, "empty", "");
    expect(s, "a", "1");
    expect(s, "", "the empty key");
    expect(s, "empty", "");
    del(s, "a");
    del(s, "never there");
    expect(s, "a", NULL);
    op.encoding = AKV_ENCODING_MSGPACK;
    assert_ok(write_ops(s, &op, 1, NULL));
    assert_ok(akvi_memory.get(s, op.key, &read_now, &v));
    assert_int_equal(v.encoding, AKV_ENCODING_MSGPACK);
    assert_int_equal(v.expiry_ms, 0);
    akvi_memory.release(s, &v);
    assert_int_equal(count(s, &read_now), 3);
    check(s);
    close_it(s);
}

static void test_memory_value_stays_until_released(void **state)
{
    memory_store *s = open_volatile();
    akv_value     v = AKV_VALUE_INIT;

    (void)state;
    put(s, "a", "first");
    assert_ok(akvi_memory.get(s, akv_str("a"), &read_now, &v));
    put(s, "a", "second");
    del(s, "a");
    assert_int_equal(stat_of(s, "versions"), 0);
    assert_slice(akv_bytes(v.data, v.len), "first");
    akvi_memory.release(s, &v);
    close_it(s);
}

static void test_memory_get_allocates_nothing(void **state)
{
    memory_store *s = open_it((opening){.allocator = akvt_failing_allocator(0)});
    akv_value     v = AKV_VALUE_INIT;
    int64_t       out;

    (void)state;
    put(s, "a", "1");
    out = akvt_allocator_out();
    assert_ok(akvi_memory.get(s, akv_str("a"), &read_now, &v));
    assert_int_equal(akvt_allocator_out(), out);
    akvi_memory.release(s, &v);
    close_it(s);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_memory_get_many_answers_as_get(void **state)
{
    enum { N = 500 };
    memory_store *s = open_volatile();
    char          texts[N][8];
    akv_slice     keys[N];
    akv_value     values[N];
    akv_status    statuses[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "%03d", (i * 77) % N);
        keys[i]   = akv_str(texts[i]);
        values[i] = (akv_value)AKV_VALUE_INIT;
        if (i % 3 != 0)
            put(s, texts[i], texts[i]);
    }
    assert_ok(akvi_memory.get_many(s, N, keys, &read_now, values, statuses));
    for (int i = 0; i < N; i++) {
        assert_int_equal(statuses[i], i % 3 != 0 ? AKV_OK : AKV_ABSENT);
        if (statuses[i] == AKV_OK) {
            assert_slice(akv_bytes(values[i].data, values[i].len), texts[i]);
            akvi_memory.release(s, &values[i]);
        }
    }
    close_it(s);
}

static void test_memory_versions_are_sequence_numbers(void **state)
{
    memory_store    *s     = open_volatile();
    akv_op           ops[] = {op_of(AKV_OP_PUT, "a", "1"), op_of(AKV_OP_PUT, "b", "2")};
    akv_write_result r;
    akv_value        v = AKV_VALUE_INIT;

    (void)state;
    assert_ok(write_ops(s, ops, 2, &r));
    assert_int_equal(akvi_get_be64(r.version.bytes), 0);
    assert_int_equal(akvi_get_be64(r.version.bytes + 8), 2);
    assert_int_equal(r.durability, AKV_REACHED_NOTHING);
    assert_ok(akvi_memory.get(s, akv_str("b"), &read_now, &v));
    assert_memory_equal(&v.version, &r.version, sizeof v.version);
    akvi_memory.release(s, &v);
    close_it(s);
}

static void test_memory_approximate_size_follows_the_range(void **state)
{
    memory_store *s = open_volatile();
    char          key[16];
    uint64_t      all, half, none;
    akv_range     range = {.has_upper = false};

    (void)state;
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%06d", i);
        put(s, key, "0123456789");
    }
    assert_ok(akvi_memory.approximate_size(s, &range, &read_now, &all));
    assert_int_equal(all, 2000 * 16);
    range = (akv_range){.upper = akv_str("001000"), .has_upper = true};
    assert_ok(akvi_memory.approximate_size(s, &range, &read_now, &half));
    assert_in_range(half, all / 3, all * 2 / 3);
    range = (akv_range){.lower = akv_str("5"), .upper = akv_str("4"), .has_upper = true};
    assert_ok(akvi_memory.approximate_size(s, &range, &read_now, &none));
    assert_int_equal(none, 0);
    close_it(s);
}

/* ------------------------------------------------------ conditions and batches */

static void test_memory_conditions_decide(void **state)
{
    static const struct {
        const char   *key;
        const char   *expected;
        akv_condition condition;
        bool          holds;
    } cases[] = {
        {"there", NULL, AKV_IF_ABSENT, false}, {"gone", NULL, AKV_IF_ABSENT, true},
        {"old", NULL, AKV_IF_ABSENT, true},    {"there", NULL, AKV_IF_PRESENT, true},
        {"gone", NULL, AKV_IF_PRESENT, false}, {"old", NULL, AKV_IF_PRESENT, false},
        {"there", "1", AKV_IF_VALUE, true},    {"there", "2", AKV_IF_VALUE, false},
        {"there", "", AKV_IF_VALUE, false},    {"gone", "", AKV_IF_VALUE, false},
        {"old", "3", AKV_IF_VALUE, false},
    };
    memory_store *s = open_volatile();

    (void)state;
    put(s, "there", "1");
    put_until(s, "old", "3", 1);
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        akv_op ops[2] = {op_of(AKV_OP_PUT, "mark", "x"), op_of(AKV_OP_CHECK, cases[i].key, NULL)};
        akv_write_result r;

        ops[1].condition = cases[i].condition;
        ops[1].expected  = akv_str(cases[i].expected);
        assert_status(cases[i].holds ? AKV_OK : AKV_CONFLICT, write_ops(s, ops, 2, &r));
        assert_int_equal(r.conflict_index, cases[i].holds ? 0 : 1);
        expect(s, "mark", cases[i].holds ? "x" : NULL);
        del(s, "mark");
    }
    close_it(s);
}

static void test_memory_version_condition_fails_after_any_change(void **state)
{
    memory_store    *s  = open_volatile();
    akv_op           op = op_of(AKV_OP_PUT, "k", "1");
    akv_write_result r;

    (void)state;
    assert_ok(write_ops(s, &op, 1, &r));
    op.condition = AKV_IF_VERSION;
    op.version   = r.version;
    assert_ok(write_ops(s, &op, 1, &r)); /* the same value, but a new version */
    assert_status(AKV_CONFLICT, write_ops(s, &op, 1, NULL));
    op.version = r.version;
    op.kind    = AKV_OP_EXPIRE;
    op.value   = akv_str(NULL);
    assert_ok(write_ops(s, &op, 1, &r));
    assert_status(AKV_CONFLICT, write_ops(s, &op, 1, NULL));
    op.version = r.version;
    op.kind    = AKV_OP_DELETE;
    assert_ok(write_ops(s, &op, 1, NULL));
    assert_status(AKV_CONFLICT, write_ops(s, &op, 1, NULL));
    expect(s, "k", NULL);
    close_it(s);
}

static void test_memory_batch_operations_see_earlier_ones(void **state)
{
    memory_store *s     = open_volatile();
    akv_op        ops[] = {
               op_of(AKV_OP_PUT, "a", "1"),     op_of(AKV_OP_MERGE, "a", "2"),
               op_of(AKV_OP_PUT, "b", "x"),     op_of(AKV_OP_DELETE, "b", NULL),
               op_of(AKV_OP_PUT, "c", "y"),     op_of(AKV_OP_DELETE_RANGE, "b", "d"),
               op_of(AKV_OP_MERGE, "c", "new"), op_of(AKV_OP_PUT, "e", "z"),
               op_of(AKV_OP_EXPIRE, "e", NULL), op_of(AKV_OP_PUT, "old", "again"),
    };

    (void)state;
    put(s, "old", "1");
    ops[9].condition = AKV_IF_VALUE; /* judged before the batch */
    ops[9].expected  = akv_str("1");
    ops[0].condition = AKV_IF_ABSENT;
    assert_ok(write_ops(s, ops, AKVI_ARRAY_N(ops), NULL));
    expect_all(s, NULL, "a=12 c=new e=z old=again ");
    assert_int_equal(stat_of(s, "versions"), 4);
    check(s);
    close_it(s);
}

static void test_memory_failed_batch_leaves_everything_as_it_was(void **state)
{
    memory_store *s     = open_volatile();
    akv_op        ops[] = {
               op_of(AKV_OP_PUT, "a", "new"),   op_of(AKV_OP_PUT, "fresh", "1"),
               op_of(AKV_OP_DELETE, "b", NULL), op_of(AKV_OP_DELETE_RANGE, "a", NULL),
               op_of(AKV_OP_PUT, "c", "2"),     op_of(AKV_OP_MERGE, "c", "fail"),
    };
    uint64_t seq;

    (void)state;
    put(s, "a", "1");
    put(s, "b", "2");
    put_until(s, "t", "3", UINT64_MAX);
    seq = stat_of(s, "sequence");
    assert_status(AKV_MISUSE, write_ops(s, ops, 6, NULL));
    expect_all(s, NULL, "a=1 b=2 t=3 ");
    ops[5] = op_of(AKV_OP_EXPIRE, "nowhere", NULL);
    assert_status(AKV_ABSENT, write_ops(s, ops, 6, NULL));
    expect_all(s, NULL, "a=1 b=2 t=3 ");
    assert_int_equal(stat_of(s, "sequence"), seq);
    assert_int_equal(stat_of(s, "versions"), 3);
    assert_int_equal(count(s, &read_now), 3);
    check(s);
    close_it(s);
}

static void test_memory_delete_range_is_half_open(void **state)
{
    memory_store *s  = open_volatile();
    akv_op        op = op_of(AKV_OP_DELETE_RANGE, "b", "d");

    (void)state;
    for (const char *k = "abcde"; *k; k++)
        put(s, (char[]){*k, '\0'}, "1");
    assert_ok(write_ops(s, &op, 1, NULL));
    expect_all(s, NULL, "a=1 d=1 e=1 ");
    op = op_of(AKV_OP_DELETE_RANGE, "e", "b"); /* empty */
    assert_ok(write_ops(s, &op, 1, NULL));
    expect_all(s, NULL, "a=1 d=1 e=1 ");
    op = op_of(AKV_OP_DELETE_RANGE, "d", NULL); /* to the end */
    assert_ok(write_ops(s, &op, 1, NULL));
    expect_all(s, NULL, "a=1 ");
    check(s);
    close_it(s);
}

static void test_memory_merge_keeps_what_is_not_set(void **state)
{
    memory_store *s  = open_volatile();
    akv_op        op = op_of(AKV_OP_PUT, "k", "a");
    akv_value     v  = AKV_VALUE_INIT;

    (void)state;
    op.encoding  = AKV_ENCODING_JSON;
    op.expiry_ms = UINT64_MAX;
    assert_ok(write_ops(s, &op, 1, NULL));
    op = op_of(AKV_OP_MERGE, "k", "b");
    assert_ok(write_ops(s, &op, 1, NULL));
    assert_ok(akvi_memory.get(s, akv_str("k"), &read_now, &v));
    assert_slice(akv_bytes(v.data, v.len), "ab");
    assert_int_equal(v.encoding, AKV_ENCODING_JSON);
    assert_true(v.expiry_ms == UINT64_MAX);
    akvi_memory.release(s, &v);
    put_until(s, "k", "gone", 1);
    op = op_of(AKV_OP_MERGE, "k", "fresh"); /* what has expired is not there */
    assert_ok(write_ops(s, &op, 1, NULL));
    expect(s, "k", "fresh");
    close_it(s);
}

/* --------------------------------------------------------------------- expiry */

static void test_memory_key_is_gone_at_its_expiry(void **state)
{
    akv_env         *env  = memory_env();
    memory_store    *s    = open_it((opening){.env = env});
    uint64_t         now  = env->ops->unix_ms(env);
    akv_read_options past = AKV_READ_OPTIONS_INIT;
    akv_snapshot     snap;
    void            *it;

    (void)state;
    put_until(s, "a", "1", now + 60000);
    put_until(s, "b", "2", now + 120000);
    put(s, "c", "3");
    assert_ok(akvi_memory.snapshot_new(s, &snap.impl));
    past.snapshot = &snap;
    it            = iter_over(s, NULL, NULL);
    assert_int_equal(count(s, &read_now), 3);
    akv_env_memory_advance(env, 60000);
    moves_to(it, AKV_MOVE_FIRST, NULL, "b");
    expect(s, "a", NULL);
    expect_in(s, &past, "a", NULL);
    expect_all(s, NULL, "b=2 c=3 ");
    assert_int_equal(count(s, &past), 2);
    assert_int_equal(stat_of(s, "expiring_keys"), 2);
    assert_int_equal(count(s, &read_now), 2); /* clears it away */
    assert_int_equal(stat_of(s, "expiring_keys"), 1);
    akv_env_memory_advance(env, 60000);
    moves_to(it, AKV_MOVE_NEXT, NULL, "c");
    moves_to(it, AKV_MOVE_PREV, NULL, NULL);
    akvi_memory.iter_free(it);
    akvi_memory.snapshot_free(s, snap.impl);
    assert_ok(akvi_memory.work(s));
    assert_status(AKV_END, akvi_memory.work(s));
    assert_int_equal(stat_of(s, "versions"), 1);
    check(s);
    close_it(s);
    akv_env_memory_free(env);
}

static void test_memory_expire_and_persist_move_the_expiry(void **state)
{
    akv_env      *env = memory_env();
    memory_store *s   = open_it((opening){.env = env});
    akv_op        op  = op_of(AKV_OP_EXPIRE, "k", NULL);

    (void)state;
    assert_status(AKV_ABSENT, write_ops(s, &op, 1, NULL));
    put(s, "k", "a value shared by three versions");
    op.expiry_ms = env->ops->unix_ms(env) + 60000;
    assert_ok(write_ops(s, &op, 1, NULL));
    op.expiry_ms += 60000;
    assert_ok(write_ops(s, &op, 1, NULL));
    akv_env_memory_advance(env, 60000);
    expect(s, "k", "a value shared by three versions");
    op.expiry_ms = 0; /* persist */
    assert_ok(write_ops(s, &op, 1, NULL));
    akv_env_memory_advance(env, 60000);
    expect(s, "k", "a value shared by three versions");
    op.expiry_ms = 1;
    assert_ok(write_ops(s, &op, 1, NULL));
    expect(s, "k", NULL);
    assert_status(AKV_ABSENT, write_ops(s, &op, 1, NULL));
    close_it(s);
    akv_env_memory_free(env);
}

static void test_memory_writes_clear_expired_keys_away(void **state)
{
    akv_env      *env = memory_env();
    memory_store *s   = open_it((opening){.env = env});
    akvt_random   r   = akvt_random_new(3);
    uint64_t      now = env->ops->unix_ms(env);
    char          key[16];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "%d", i);
        put_until(s, key, "v", now + 1000000 + akvt_below(&r, 1000000));
        if (i % 5 == 0)
            del(s, key);
        check(s);
        if (i > 20)
            i += 20;
    }
    akv_env_memory_advance(env, 2000000);
    for (int i = 0; i < 20; i++)
        put(s, "x", "y");
    assert_int_equal(stat_of(s, "versions"), 1);
    check(s);
    close_it(s);
    akv_env_memory_free(env);
}

/* ------------------------------------------------------- snapshots, iterators */

static void test_memory_snapshots_see_the_past(void **state)
{
    memory_store    *s = open_volatile();
    akv_snapshot     snaps[4];
    akv_read_options at[4];
    akv_op           range = op_of(AKV_OP_DELETE_RANGE, "", NULL);

    (void)state;
    for (int i = 0; i < 4; i++) {
        at[i]          = (akv_read_options)AKV_READ_OPTIONS_INIT;
        at[i].snapshot = &snaps[i];
    }
    put(s, "a", "1");
    assert_ok(akvi_memory.snapshot_new(s, &snaps[0].impl));
    put(s, "a", "2");
    put(s, "b", "1");
    assert_ok(akvi_memory.snapshot_new(s, &snaps[1].impl));
    put(s, "a", "3"); /* seen by none */
    assert_ok(write_ops(s, &range, 1, NULL));
    assert_ok(akvi_memory.snapshot_new(s, &snaps[2].impl));
    put(s, "b", "2");
    assert_ok(akvi_memory.snapshot_new(s, &snaps[3].impl));
    put(s, "c", "1");

    assert_int_equal(stat_of(s, "versions"), 5);
    expect_all(s, &at[0], "a=1 ");
    expect_all(s, &at[1], "a=2 b=1 ");
    expect_all(s, &at[2], "");
    expect_all(s, &at[3], "b=2 ");
    assert_int_equal(count(s, &at[1]), 2);
    assert_int_equal(count(s, &at[2]), 0);
    expect_in(s, &at[1], "a", "2");
    expect_in(s, &at[0], "b", NULL);
    check(s);
    assert_int_equal(stat_of(s, "engine_snapshots"), 4);

    akvi_memory.snapshot_free(s, snaps[0].impl);
    assert_int_equal(stat_of(s, "versions"), 4);
    expect_all(s, &at[1], "a=2 b=1 ");
    akvi_memory.snapshot_free(s, snaps[1].impl);
    assert_int_equal(stat_of(s, "versions"), 2);
    assert_int_equal(s->main->keys.n, 2);
    akvi_memory.snapshot_free(s, snaps[3].impl);
    akvi_memory.snapshot_free(s, snaps[2].impl);
    expect_all(s, NULL, "b=2 c=1 ");
    check(s);
    close_it(s);
}

static void test_memory_overwriting_for_ever_needs_no_more_memory(void **state)
{
    const akv_allocator *counting = akvt_failing_allocator(0);
    memory_store        *s        = open_it((opening){.allocator = counting});
    akv_snapshot         old;
    int64_t              out;

    (void)state;
    put(s, "k", "0");
    assert_ok(akvi_memory.snapshot_new(s, &old.impl));
    put(s, "k", "1");
    out = akvt_allocator_out();
    for (int i = 0; i < 1000; i++) {
        void *brief = iter_over(s, NULL, NULL);

        put(s, "k", "2");
        put(s, "gone", "3");
        del(s, "gone");
        akvi_memory.iter_free(brief);
    }
    assert_int_equal(akvt_allocator_out(), out);
    akvi_memory.snapshot_free(s, old.impl);
    assert_int_equal(stat_of(s, "versions"), 1);
    close_it(s);
    assert_int_equal(akvt_allocator_out(), 0);
}

static void test_memory_iterator_keeps_to_its_bounds(void **state)
{
    memory_store *s     = open_volatile();
    akv_range     range = {.lower = akv_str("b"), .upper = akv_str("f"), .has_upper = true};
    void         *it    = iter_over(s, &range, NULL);
    akv_entry     e;

    (void)state;
    moves_to(it, AKV_MOVE_FIRST, NULL, NULL); /* of the empty store */
    akvi_memory.iter_free(it);
    for (const char *k = "abdefg"; *k; k++)
        put(s, (char[]){*k, '\0'}, "1");
    it = iter_over(s, &range, NULL);
    moves_to(it, AKV_MOVE_FIRST, NULL, "b");
    moves_to(it, AKV_MOVE_PREV, NULL, NULL);
    moves_to(it, AKV_MOVE_LAST, NULL, "e");
    moves_to(it, AKV_MOVE_NEXT, NULL, NULL);
    moves_to(it, AKV_MOVE_SEEK, "a", "b");
    moves_to(it, AKV_MOVE_SEEK, "c", "d");
    moves_to(it, AKV_MOVE_SEEK, "d", "d");
    moves_to(it, AKV_MOVE_PREV, NULL, "b");
    moves_to(it, AKV_MOVE_NEXT, NULL, "d");
    moves_to(it, AKV_MOVE_SEEK, "f", NULL);
    moves_to(it, AKV_MOVE_SEEK_FOR_PREV, "c", "b");
    moves_to(it, AKV_MOVE_NEXT, NULL, "d");
    moves_to(it, AKV_MOVE_SEEK_FOR_PREV, "d", "d");
    moves_to(it, AKV_MOVE_SEEK_FOR_PREV, "zz", "e");
    moves_to(it, AKV_MOVE_SEEK_FOR_PREV, "f", "e");
    moves_to(it, AKV_MOVE_SEEK_FOR_PREV, "a", NULL);
    akvi_memory.iter_free(it);
    range.keys_only = true;
    it              = iter_over(s, &range, NULL);
    assert_ok(akvi_memory.iter_move(it, AKV_MOVE_FIRST, akv_str(NULL), &e));
    assert_int_equal(e.value.len, 0);
    akvi_memory.iter_free(it);
    close_it(s);
}

/* Walk at random while the tree below is torn down and built up again. */
static void test_memory_iterator_stands_while_the_tree_moves(void **state)
{
    enum { N = 2000 };
    memory_store *s  = open_volatile();
    akvt_random   r  = akvt_random_new(5);
    int           at = -1; /* the iterator is on 2 * at */
    char          key[16];
    void         *it;

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "%05d", 2 * i);
        put(s, key, "1");
    }
    it = iter_over(s, NULL, NULL);
    for (int step = 0; step < 6000; step++) {
        uint64_t dice = akvt_below(&r, 100);
        int      to   = at;
        akv_move move = dice < 55 ? AKV_MOVE_NEXT : AKV_MOVE_PREV;
        akv_op   op   = op_of(AKV_OP_DELETE, key, NULL);

        if (at < 0 || dice >= 97) {
            to   = (int)akvt_below(&r, N);
            move = AKV_MOVE_SEEK;
        } else {
            to += move == AKV_MOVE_NEXT ? 1 : -1;
        }
        snprintf(key, sizeof key, "%05d", 2 * to);
        moves_to(it, move, key, to >= 0 && to < N ? key : NULL);
        at = to >= 0 && to < N ? to : -1;
        if (step % 50 < 20)
            continue;
        snprintf(key, sizeof key, "%05d", (int)akvt_below(&r, 2 * N));
        op.kind = akvt_below(&r, 2) ? AKV_OP_PUT : AKV_OP_DELETE;
        assert_ok(write_ops(s, &op, 1, NULL));
    }
    akvi_memory.iter_free(it);
    assert_int_equal(stat_of(s, "versions"), count(s, &read_now));
    check(s);
    close_it(s);
}

static void test_memory_iterator_outlives_its_snapshot(void **state)
{
    memory_store    *s  = open_volatile();
    akv_read_options at = AKV_READ_OPTIONS_INIT;
    akv_snapshot     snap;
    void            *it;

    (void)state;
    put(s, "a", "1");
    assert_ok(akvi_memory.snapshot_new(s, &snap.impl));
    put(s, "b", "2");
    at.snapshot = &snap;
    it          = iter_over(s, NULL, &at);
    akvi_memory.snapshot_free(s, snap.impl);
    del(s, "a");
    moves_to(it, AKV_MOVE_FIRST, NULL, "a");
    moves_to(it, AKV_MOVE_NEXT, NULL, NULL);
    assert_int_equal(stat_of(s, "engine_iterators"), 1);
    akvi_memory.iter_free(it);
    assert_int_equal(stat_of(s, "versions"), 1);
    close_it(s);
}

/* ----------------------------------------------------------------- key spaces */

static int list_names(void *user, const char *name)
{
    strcat(user, name);
    strcat(user, " ");
    return strcmp(name, "stop") == 0;
}

static void *space_of(memory_store *s, const char *name)
{
    void *space;

    assert_ok(akvi_memory.keyspace_open(s, name, AKV_KEYSPACE_CREATE, &space));
    return space;
}

static void test_memory_key_spaces_are_apart(void **state)
{
    memory_store    *s = open_volatile();
    akv_keyspace     x = {space_of(s, "x")}, y = {space_of(s, "y")};
    akv_read_options in_x      = AKV_READ_OPTIONS_INIT;
    akv_op           ops[]     = {op_of(AKV_OP_PUT, "k", "in x"), op_of(AKV_OP_PUT, "k", "in y"),
                                  op_of(AKV_OP_PUT, "k", "none"), op_of(AKV_OP_DELETE, "k", NULL)};
    char             names[64] = "";
    void            *again;

    (void)state;
    in_x.keyspace   = &x;
    ops[0].keyspace = &x;
    ops[1].keyspace = ops[3].keyspace = &y;
    assert_ok(write_ops(s, ops, 4, NULL));
    expect_in(s, &in_x, "k", "in x");
    expect(s, "k", "none");
    assert_int_equal(count(s, &in_x), 1);
    assert_int_equal(stat_of(s, "keys"), 2);
    akvi_memory.keyspace_close(s, space_of(s, "stop"));
    assert_ok(akvi_memory.keyspace_list(s, list_names, names));
    assert_string_equal(names, "stop ");
    assert_ok(akvi_memory.keyspace_drop(s, "stop"));
    names[0] = '\0';
    assert_ok(akvi_memory.keyspace_list(s, list_names, names));
    assert_string_equal(names, "x y ");
    assert_status(AKV_BUSY, akvi_memory.keyspace_drop(s, "x"));
    assert_status(AKV_ABSENT, akvi_memory.keyspace_open(s, "stop", 0, &again));
    assert_status(AKV_ABSENT, akvi_memory.keyspace_drop(s, "stop"));
    assert_ok(akvi_memory.keyspace_open(s, "x", 0, &again));
    assert_ptr_equal(again, x.impl);
    akvi_memory.keyspace_close(s, again);
    akvi_memory.keyspace_close(s, x.impl);
    akvi_memory.keyspace_close(s, y.impl);
    assert_ok(akvi_memory.keyspace_drop(s, "x"));
    check(s);
    assert_int_equal(stat_of(s, "versions"), 1);
    assert_int_equal(s->spaces.n, 1);
    close_it(s);
}

static void test_memory_dropped_space_stays_for_those_who_see_it(void **state)
{
    memory_store    *s  = open_volatile();
    akv_keyspace     x  = {space_of(s, "x")};
    akv_read_options at = AKV_READ_OPTIONS_INIT;
    akv_op           op = op_of(AKV_OP_PUT, "k", "v");
    akv_snapshot     snap;
    void            *it;

    (void)state;
    op.keyspace = at.keyspace = &x;
    assert_ok(write_ops(s, &op, 1, NULL));
    assert_ok(akvi_memory.snapshot_new(s, &snap.impl));
    it = iter_over(s, NULL, &at);
    akvi_memory.keyspace_close(s, x.impl);
    assert_ok(akvi_memory.keyspace_drop(s, "x"));
    assert_status(AKV_ABSENT, akvi_memory.keyspace_open(s, "x", 0, &x.impl));
    x.impl      = space_of(s, "x");
    at.snapshot = &snap;
    expect_in(s, &at, "k", "v");
    at.snapshot = NULL;
    expect_in(s, &at, "k", NULL);
    akvi_memory.keyspace_close(s, x.impl);
    assert_ok(akvi_memory.keyspace_drop(s, "x"));
    akvi_memory.snapshot_free(s, snap.impl);
    moves_to(it, AKV_MOVE_FIRST, NULL, "k");
    akvi_memory.iter_free(it);
    assert_int_equal(s->spaces.n, 0);
    assert_int_equal(stat_of(s, "versions"), 0);
    close_it(s);
}

/* -------------------------------------------------------------------- streams */

static void test_memory_streams_read_and_write_in_pieces(void **state)
{
    memory_store    *s  = open_volatile();
    akv_op           op = op_of(AKV_OP_PUT, "k", NULL);
    akv_write_result r  = {.conflict_index = 0};
    char             buf[8];
    uint64_t         len;
    size_t           got;
    void            *in, *out;

    (void)state;
    assert_status(AKV_ABSENT, akvi_memory.stream_open(s, op.key, &read_now, &in, &len));
    assert_ok(akvi_memory.stream_create(s, &op, true, &write_opts, &out));
    assert_ok(akvi_memory.stream_write(out, "hello", 5));
    expect(s, "k", NULL);
    assert_ok(akvi_memory.stream_commit(out, &r));
    assert_int_equal(r.version.bytes[15], 1);
    assert_ok(akvi_memory.stream_create(s, &op, true, &write_opts, &out));
    assert_ok(akvi_memory.stream_write(out, ", world", 7));
    assert_status(AKV_TOO_BIG, akvi_memory.stream_write(out, "x", SIZE_MAX));
    assert_ok(akvi_memory.stream_open(s, op.key, &read_now, &in, &len));
    assert_int_equal(len, 5);
    assert_ok(akvi_memory.stream_commit(out, &r));
    expect(s, "k", "hello, world");
    assert_ok(akvi_memory.stream_read(in, 3, buf, sizeof buf, &got)); /* as it was when opened */
    assert_slice(akv_bytes(buf, got), "lo");
    assert_status(AKV_END, akvi_memory.stream_read(in, 5, buf, sizeof buf, &got));
    akvi_memory.stream_close(in);
    assert_ok(akvi_memory.stream_create(s, &op, false, &write_opts, &out));
    assert_ok(akvi_memory.stream_write(out, "lost", 4));
    akvi_memory.stream_abort(out);
    expect(s, "k", "hello, world");
    close_it(s);
}

/* ---------------------------------------------------------------- change feed */

static void expect_change(void *feed, akv_change_kind kind, const char *key, const char *value,
                          bool commit)
{
    akv_change c;

    assert_ok(akvi_memory.changes_next(feed, 0, &c));
    assert_int_equal(c.kind, kind);
    assert_slice(c.key, key);
    assert_slice(kind == AKV_CHANGE_DELETE_RANGE ? c.upper : c.value, value);
    assert_int_equal(c.commit, commit);
}

static void test_memory_feed_tells_changes_in_order(void **state)
{
    memory_store *s     = open_volatile();
    akv_op        ops[] = {op_of(AKV_OP_PUT, "a", "1"), op_of(AKV_OP_MERGE, "a", "2"),
                           op_of(AKV_OP_DELETE, "not", NULL), op_of(AKV_OP_DELETE, "a", NULL)};
    akv_buffer    token = AKV_BUFFER_INIT;
    akv_change    c;
    void         *feed, *second;

    (void)state;
    put(s, "before", "0");
    assert_ok(akvi_memory.changes_open(s, akv_bytes(NULL, 0), &feed));
    assert_status(AKV_END, akvi_memory.changes_next(feed, 0, &c));
    assert_ok(write_ops(s, ops, 4, NULL));
    expect_change(feed, AKV_CHANGE_PUT, "a", "1", false);
    assert_ok(akvi_memory.changes_token(feed, &token));
    expect_change(feed, AKV_CHANGE_PUT, "a", "12", false);
    expect_change(feed, AKV_CHANGE_DELETE, "a", "", true);
    put(s, "b", "3");
    ops[0] = op_of(AKV_OP_DELETE_RANGE, "a", "c");
    ops[1] = op_of(AKV_OP_PUT, "b", "4");
    assert_status(AKV_MISUSE, write_ops(s, (akv_op[]){op_of(AKV_OP_MERGE, "a", "fail")}, 1, NULL));
    assert_ok(write_ops(s, ops, 2, NULL));
    akvi_memory.keyspace_close(s, space_of(s, "x"));
    assert_ok(akvi_memory.keyspace_drop(s, "x"));
    expect_change(feed, AKV_CHANGE_PUT, "b", "3", true);
    expect_change(feed, AKV_CHANGE_DELETE_RANGE, "a", "c", false);
    expect_change(feed, AKV_CHANGE_PUT, "b", "4", true);
    assert_ok(akvi_memory.changes_next(feed, 0, &c));
    assert_int_equal(c.kind, AKV_CHANGE_DROP);
    assert_string_equal(c.keyspace, "x");
    assert_status(AKV_END, akvi_memory.changes_next(feed, 0, &c));

    assert_ok(akvi_memory.changes_open(s, akvi_buffer_slice(&token), &second));
    expect_change(second, AKV_CHANGE_PUT, "a", "12", false);
    akvi_memory.changes_close(second);
    assert_status(AKV_MISUSE, akvi_memory.changes_open(s, akv_str("short"), &second));
    ((uint8_t *)token.data)[0] ^= 1;
    assert_status(AKV_ABSENT, akvi_memory.changes_open(s, akvi_buffer_slice(&token), &second));
    akvi_memory.changes_close(feed);
    akv_buffer_free(&token);
    close_it(s);
}

static void test_memory_feed_that_falls_behind_is_told(void **state)
{
    memory_store *s     = open_it((opening){.change_log = 2000});
    akv_buffer    token = AKV_BUFFER_INIT;
    akv_change    c;
    void         *slow, *quick, *late;

    (void)state;
    assert_ok(akvi_memory.changes_open(s, akv_bytes(NULL, 0), &slow));
    assert_ok(akvi_memory.changes_open(s, akv_bytes(NULL, 0), &quick));
    put(s, "first", "1");
    assert_ok(akvi_memory.changes_next(slow, 0, &c));
    assert_ok(akvi_memory.changes_token(slow, &token));
    for (int i = 0; i < 100; i++) {
        put(s, "k", "some value");
        assert_ok(akvi_memory.changes_next(quick, 0, &c));
    }
    assert_in_range(stat_of(s, "change_log_bytes"), 1, 2000);
    assert_slice(c.value, "some value");
    assert_status(AKV_ABSENT, akvi_memory.changes_next(slow, 1000, &c));
    assert_status(AKV_ABSENT, akvi_memory.changes_open(s, akvi_buffer_slice(&token), &late));
    assert_ok(akvi_memory.changes_next(quick, 0, &c));
    assert_status(AKV_END, akvi_memory.changes_next(quick, 0, &c));
    assert_ok(akvi_memory.changes_token(quick, &token));
    put(s, "a value larger than all history", (char[2100]){[0 ... 2098] = 'x'});
    assert_status(AKV_ABSENT, akvi_memory.changes_next(quick, 0, &c));
    akvi_memory.changes_close(slow);
    akvi_memory.changes_close(quick);
    akv_buffer_free(&token);
    close_it(s);
}

static void *put_soon(void *store)
{
    struct timespec nap = {0, 20000000};

    nanosleep(&nap, NULL);
    put(store, "late", "1");
    return NULL;
}

static void test_memory_feed_wakes_when_a_change_comes(void **state)
{
    memory_store *s = open_volatile();
    akv_change    c;
    pthread_t     thread;
    void         *feed;

    (void)state;
    assert_ok(akvi_memory.changes_open(s, akv_bytes(NULL, 0), &feed));
    assert_status(AKV_END, akvi_memory.changes_next(feed, 5, &c));
    assert_int_equal(pthread_create(&thread, NULL, put_soon, s), 0);
    assert_ok(akvi_memory.changes_next(feed, 60000, &c));
    assert_slice(c.key, "late");
    pthread_join(thread, NULL);
    akvi_memory.changes_close(feed);
    close_it(s);
}

static void test_memory_without_change_log_has_no_feeds(void **state)
{
    akv_memory_options options = AKV_MEMORY_OPTIONS_INIT;
    uint64_t           caps    = akvi_memory.caps;
    akv_open_args args = {.size = sizeof args, .env = akv_env_posix(), .engine_options = &options};
    void         *impl;

    (void)state;
    options.change_log = 0;
    assert_ok(akvi_memory.open(&args, &impl, &caps));
    assert_true(caps == (akvi_memory.caps & ~AKV_CAP_CHANGES));
    close_it(impl);
}

/* ---------------------------------------------------------------------- image */

#define IMAGE "store.mem"

/* A store with some of everything that an image holds. */
static void fill(memory_store *s)
{
    akv_keyspace x = {space_of(s, "x")}, y = {space_of(s, "y")};
    akv_op       ops[] = {op_of(AKV_OP_PUT, "", "empty key"), op_of(AKV_OP_PUT, "a", ""),
                          op_of(AKV_OP_PUT, "b", "two"), op_of(AKV_OP_PUT, "b", "in x")};

    ops[1].encoding  = AKV_ENCODING_OPAQUE;
    ops[2].expiry_ms = UINT64_MAX;
    ops[3].keyspace  = &x;
    assert_ok(write_ops(s, ops, 4, NULL));
    put(s, "deleted", "1");
    del(s, "deleted");
    akvi_memory.keyspace_close(s, x.impl);
    akvi_memory.keyspace_close(s, y.impl);
}

static void expect_filled(memory_store *s)
{
    char             names[64] = "";
    akv_value        v         = AKV_VALUE_INIT;
    akv_read_options in_x      = AKV_READ_OPTIONS_INIT;
    akv_keyspace     x;

    expect_all(s, NULL, "=empty key a= b=two ");
    assert_ok(akvi_memory.get(s, akv_str("a"), &read_now, &v));
    assert_int_equal(v.encoding, AKV_ENCODING_OPAQUE);
    assert_int_equal(akvi_get_be64(v.version.bytes + 8), 2);
    akvi_memory.release(s, &v);
    assert_ok(akvi_memory.get(s, akv_str("b"), &read_now, &v));
    assert_true(v.expiry_ms == UINT64_MAX);
    akvi_memory.release(s, &v);
    assert_ok(akvi_memory.keyspace_list(s, list_names, names));
    assert_string_equal(names, "x y ");
    assert_ok(akvi_memory.keyspace_open(s, "x", 0, &x.impl));
    in_x.keyspace = &x;
    expect_all(s, &in_x, "b=in x ");
    akvi_memory.keyspace_close(s, x.impl);
    check(s);
}

static void test_memory_image_keeps_everything(void **state)
{
    const char   *path  = akvt_path(akvt_folder(), IMAGE);
    memory_store *s     = open_it((opening){.path = path, .flags = AKV_OPEN_CREATE});
    akv_buffer    token = AKV_BUFFER_INIT;
    akv_change    c;
    uint64_t      seq;
    void         *feed;

    (void)state;
    fill(s);
    seq = stat_of(s, "sequence");
    assert_ok(akvi_memory.changes_open(s, akv_bytes(NULL, 0), &feed));
    assert_ok(akvi_memory.changes_token(feed, &token));
    akvi_memory.changes_close(feed);
    close_it(s);

    s = open_it((opening){.path = path});
    expect_filled(s);
    assert_int_equal(stat_of(s, "sequence"), seq);
    assert_ok(akvi_memory.changes_open(s, akvi_buffer_slice(&token), &feed));
    put(s, "more", "1");
    assert_ok(akvi_memory.changes_next(feed, 0, &c));
    assert_slice(c.key, "more");
    akvi_memory.changes_close(feed);
    assert_ok(akvi_memory.sync(s));
    del(s, "more");
    assert_ok(akvi_memory.changes_open(s, akvi_buffer_slice(&token), &feed));
    akvi_memory.changes_close(feed);
    close_it(s);

    s = open_it((opening){.path = path});
    expect_filled(s);
    assert_status(AKV_ABSENT, akvi_memory.changes_open(s, akvi_buffer_slice(&token), &feed));
    close_it(s);
    akv_buffer_free(&token);
}

static void test_memory_image_is_written_when_something_changed(void **state)
{
    const char   *folder = akvt_folder(), *path = akvt_path(folder, IMAGE);
    memory_store *s   = open_it((opening){.path = path, .flags = AKV_OPEN_CREATE});
    akv_env      *env = akv_env_posix();
    akv_file_info before, after;

    (void)state;
    put(s, "a", "1");
    assert_ok(akvi_memory.sync(s));
    assert_ok(env->ops->info(env, path, &before));
    assert_ok(akvi_memory.sync(s));
    close_it(s);
    assert_ok(env->ops->info(env, path, &after));
    assert_int_equal(after.inode, before.inode);
    s = open_it((opening){.path = path, .flags = AKV_OPEN_READ_ONLY});
    expect(s, "a", "1");
    close_it(s);
    assert_ok(env->ops->info(env, path, &after));
    assert_int_equal(after.inode, before.inode);
    s = open_it((opening){.path = path});
    del(s, "a");
    close_it(s);
    assert_ok(env->ops->info(env, path, &after));
    assert_int_not_equal(after.size, before.size);
}

static void test_memory_open_flags_decide_what_may_be_there(void **state)
{
    const char   *path = akvt_path(akvt_folder(), IMAGE);
    memory_store *s, *second;

    (void)state;
    assert_status(AKV_IO, try_open((opening){.path = path}, &s));
    assert_int_equal(akvi_pending_error()->os_errno, ENOENT);
    assert_status(AKV_IO, try_open((opening){.path = path, .flags = AKV_OPEN_READ_ONLY}, &s));
    s = open_it((opening){.path = path, .flags = AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE});
    put(s, "a", "1");
    assert_ok(akvi_memory.sync(s));
    assert_status(AKV_LOCKED, try_open((opening){.path = path}, &second));
    second = open_it((opening){.path = path, .flags = AKV_OPEN_READ_ONLY});
    expect(second, "a", "1");
    close_it(second);
    close_it(s);
    assert_status(
        AKV_IO,
        try_open((opening){.path = path, .flags = AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE}, &s));
    assert_int_equal(akvi_pending_error()->os_errno, EEXIST);
    s = open_it((opening){.path = path, .flags = AKV_OPEN_TRUNCATE});
    expect_all(s, NULL, "");
    close_it(s);
    s = open_it((opening){.path = path});
    expect_all(s, NULL, "");
    close_it(s);
}

/* Open damaged bytes as they are: no such image may pass, or do worse. */
static akv_status open_bytes(akv_env *env, const uint8_t *data, size_t len, uint32_t flags)
{
    memory_store *s = NULL;
    akv_status    st;

    assert_ok(akvi_write_file(env, IMAGE, data, len));
    st = try_open((opening){.path = IMAGE, .flags = flags, .env = env}, &s);
    if (s)
        close_it(s);
    return st;
}

static uint8_t *image_bytes(akv_env *env, size_t *len_out)
{
    memory_store *s     = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_CREATE, .env = env});
    akv_buffer    bytes = AKV_BUFFER_INIT;

    fill(s);
    close_it(s);
    assert_ok(akvi_read_file(env, IMAGE, UINT64_MAX, &bytes));
    *len_out = bytes.len;
    return bytes.data;
}

static void test_memory_damaged_image_is_refused(void **state)
{
    akv_env *env = memory_env();
    size_t   len;
    uint8_t *data = image_bytes(env, &len);

    (void)state;
    assert_int_equal(open_bytes(env, data, len, 0), AKV_OK);
    for (size_t cut = 0; cut < len; cut++) {
        assert_status(AKV_CORRUPT, open_bytes(env, data, cut, AKV_OPEN_READ_ONLY));
        assert_string_equal(akvi_pending_error()->file, IMAGE);
    }
    for (size_t at = 0; at < len; at++) {
        data[at] ^= 0x40;
        assert_status(AKV_CORRUPT, open_bytes(env, data, len, AKV_OPEN_READ_ONLY));
        assert_true(akvi_pending_error()->offset <= at);
        data[at] ^= 0x40;
    }
    assert_status(AKV_CORRUPT, open_bytes(env, data, len - 1, 0));
    data = realloc(data, len + 1);
    assert_non_null(data);
    data[len] = 0;
    assert_status(AKV_CORRUPT, open_bytes(env, data, len + 1, 0));
    free(data);
    akv_env_memory_free(env);
}

static void test_memory_image_of_the_future_is_refused(void **state)
{
    akv_env *env = memory_env();
    uint8_t  head[MEMORY_HEADER_LEN];

    (void)state;
    for (unsigned at = 8; at <= 12; at += 4) {
        akvi_memory_header_put(head, 1, 1);
        head[at] |= 2;
        akvi_put_le32(head + 40, akvi_crc32c(0, head, 40));
        assert_status(AKV_VERSION, open_bytes(env, head, sizeof head, 0));
    }
    akvi_memory_header_put(head, 1, UINT64_MAX);
    assert_status(AKV_CORRUPT, open_bytes(env, head, sizeof head, 0));
    akv_env_memory_free(env);
}

static void count_faults(void *user, const akv_error *fault)
{
    assert_int_equal(fault->code, AKV_CORRUPT);
    ++*(unsigned *)user;
}

static void test_memory_salvage_keeps_what_is_whole(void **state)
{
    akv_env        *env    = memory_env();
    unsigned        faults = 0;
    akv_job_options job    = AKV_JOB_OPTIONS_INIT;
    size_t          len;
    uint8_t        *data = image_bytes(env, &len), *copy = malloc(len);
    memory_store   *s;

    (void)state;
    assert_non_null(copy);
    job.fault = count_faults;
    job.user  = &faults;
    for (size_t at = MEMORY_MAGIC_LEN; at < len; at++) { /* whatever byte goes, two keys stay */
        uint64_t keys;

        memcpy(copy, data, len);
        copy[at] = (uint8_t)~copy[at];
        assert_ok(akvi_write_file(env, IMAGE, copy, len));
        s    = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_SALVAGE, .env = env});
        keys = stat_of(s, "keys");
        assert_in_range(keys, 2, 4);
        close_it(s);
        assert_status(AKV_CORRUPT, try_open((opening){.path = IMAGE, .env = env}, &s));
        s = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_SALVAGE, .env = env});
        put(s, "new", "1"); /* so there is something to write, and what is lost is lost */
        assert_ok(akvi_memory.sync(s));
        check(s);
        close_it(s);
        s = open_it((opening){.path = IMAGE, .env = env});
        assert_int_equal(stat_of(s, "keys"), keys + 1);
        close_it(s);
    }
    for (size_t cut = MEMORY_HEADER_LEN; cut < len; cut++) { /* pairs stay up to the cut */
        assert_ok(akvi_write_file(env, IMAGE, data, cut));
        s = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_SALVAGE, .env = env});
        assert_int_equal(stat_of(s, "keys"),
                         (cut >= 93) + (cut >= 134) + (cut >= 178) + (cut >= 264));
        close_it(s);
    }
    data[MEMORY_HEADER_LEN + MEMORY_RECORD_LEN] ^= 1; /* the first value */
    data[len - 1] ^= 1;
    assert_ok(akvi_write_file(env, IMAGE, data, len));
    assert_ok(akvi_memory.repair(env, IMAGE, &job));
    assert_int_equal(faults, 2);
    s = open_it((opening){.path = IMAGE, .env = env});
    expect_all(s, NULL, "a= b=two ");
    close_it(s);
    assert_ok(akvi_memory.repair(env, IMAGE, &job));
    assert_int_equal(faults, 2);
    free(copy);
    free(data);
    akv_env_memory_free(env);
}

static void test_memory_verify_tells_every_fault(void **state)
{
    akv_env        *env    = memory_env();
    unsigned        faults = 0;
    akv_job_options job    = AKV_JOB_OPTIONS_INIT;
    size_t          len;
    uint8_t        *data = image_bytes(env, &len);
    memory_store   *s    = open_it((opening){.path = IMAGE, .env = env});

    (void)state;
    job.fault = count_faults;
    job.user  = &faults;
    assert_ok(akvi_memory.verify(s, &job));
    data[MEMORY_HEADER_LEN + MEMORY_RECORD_LEN] ^= 1;
    data[len - 1] ^= 1;
    assert_ok(akvi_write_file(env, IMAGE, data, len));
    assert_status(AKV_CORRUPT, akvi_memory.verify(s, &job));
    assert_int_equal(faults, 2);
    put(s, "mend", "1"); /* the next image is new from end to end */
    assert_ok(akvi_memory.sync(s));
    assert_ok(akvi_memory.verify(s, &job));
    close_it(s);
    free(data);
    akv_env_memory_free(env);
}

static void test_memory_checkpoint_is_a_store(void **state)
{
    const char     *folder = akvt_folder();
    const char     *path = akvt_path(folder, IMAGE), *copy = akvt_path(folder, "copy.mem");
    memory_store   *s   = open_it((opening){.path = path, .flags = AKV_OPEN_CREATE});
    akv_job_options job = AKV_JOB_OPTIONS_INIT;
    akv_cancel     *cancel;

    (void)state;
    fill(s);
    assert_ok(akv_cancel_new(&cancel));
    akv_cancel_trigger(cancel);
    job.cancel = cancel;
    assert_status(AKV_CANCELLED, akvi_memory.checkpoint(s, copy, &job));
    assert_status(AKV_ABSENT, akvi_path_exists(akv_env_posix(), copy));
    assert_ok(akvi_memory.checkpoint(s, copy, &job_opts));
    assert_status(AKV_IO, akvi_memory.checkpoint(s, copy, &job_opts));
    del(s, "a");
    close_it(s);
    s = open_it((opening){.path = copy});
    expect_filled(s);
    close_it(s);
    s = open_volatile();
    fill(s);
    assert_ok(akvi_memory.checkpoint(s, akvt_path(folder, "third.mem"), &job_opts));
    close_it(s);
    s = open_it((opening){.path = akvt_path(folder, "third.mem")});
    expect_filled(s);
    close_it(s);
    akv_cancel_free(cancel);
}

static void test_memory_detect_and_destroy_know_their_own(void **state)
{
    akv_env      *env = memory_env();
    memory_store *s   = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_CREATE, .env = env});

    (void)state;
    assert_ok(akvi_memory.detect(env, IMAGE));
    assert_status(AKV_ABSENT, akvi_memory.detect(env, "nothing"));
    assert_status(AKV_LOCKED, akvi_memory.destroy(env, IMAGE));
    close_it(s);
    assert_ok(akvi_memory.destroy(env, IMAGE));
    assert_status(AKV_ABSENT, akvi_path_exists(env, IMAGE));
    assert_status(AKV_ABSENT, akvi_path_exists(env, IMAGE ".lock"));
    assert_status(AKV_IO, akvi_memory.destroy(env, IMAGE));
    assert_ok(akvi_write_file(env, "other", "something else", 14));
    assert_status(AKV_ABSENT, akvi_memory.detect(env, "other"));
    assert_status(AKV_MISUSE, akvi_memory.destroy(env, "other"));
    assert_ok(akvi_path_exists(env, "other"));
    akv_env_memory_free(env);
}

static void test_memory_failed_save_keeps_the_old_image(void **state)
{
    akv_env      *base = memory_env(), *env;
    memory_store *s;

    (void)state;
    assert_ok(akvi_fault_new(base, NULL, &env));
    s = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_CREATE, .env = env});
    put(s, "a", "1");
    assert_ok(akvi_memory.sync(s));
    for (uint64_t nth = 1;; nth++) {
        akvi_fault_plan plan = {AKVI_FAULT_WRITE | AKVI_FAULT_SYNC | AKVI_FAULT_RENAME, nth, 1,
                                ENOSPC, AKVI_FAULT_FAIL};
        memory_store   *old;
        akv_status      st;

        put(s, "b", "2");
        akvi_fault_plan_set(env, &plan);
        st = akvi_memory.sync(s);
        akvi_fault_plan_set(env, &(akvi_fault_plan){.nth = 0});
        if (st == AKV_OK)
            break;
        assert_int_equal(st, AKV_NOSPACE);
        old = open_it((opening){.path = IMAGE, .flags = AKV_OPEN_READ_ONLY, .env = env});
        expect(old, "a", "1");
        close_it(old);
        assert_in_range(nth, 1, 20);
    }
    close_it(s);
    s = open_it((opening){.path = IMAGE, .env = env});
    expect_all(s, NULL, "a=1 b=2 ");
    close_it(s);
    akvi_fault_free(env);
    akv_env_memory_free(base);
}

/* ------------------------------------------------------------ memory runs out */

static void script(memory_store *s)
{
    akv_slice        none  = {NULL, 0};
    akv_op           ops[] = {op_of(AKV_OP_PUT, "a", "1"),     op_of(AKV_OP_PUT, "b", "2"),
                              op_of(AKV_OP_MERGE, "b", "3"),   op_of(AKV_OP_DELETE, "a", NULL),
                              op_of(AKV_OP_EXPIRE, "b", NULL), op_of(AKV_OP_PUT, "c", "4")};
    akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_write_result r;
    akv_snapshot     snap = {NULL};
    void            *it = NULL, *feed = NULL, *out = NULL;
    akv_keyspace     x = {NULL};
    akv_entry        e;
    uint64_t         before = count(s, &read_now), n;
    akv_status       st;

    ops[1].expiry_ms = UINT64_MAX;
    st               = write_ops(s, ops, 6, &r);
    assert_true(st == AKV_OK || st == AKV_NOMEM);
    assert_int_equal(count(s, &read_now), st == AKV_OK ? before + 2 : before);
    (void)akvi_memory.changes_open(s, none, &feed);
    (void)akvi_memory.snapshot_new(s, &snap.impl);
    opt.snapshot = snap.impl ? &snap : NULL;
    if (akvi_memory.keyspace_open(s, "x", AKV_KEYSPACE_CREATE, &x.impl) == AKV_OK) {
        ops[0].keyspace = &x;
        (void)write_ops(s, ops, 1, &r);
        akvi_memory.keyspace_close(s, x.impl);
    }
    ops[3].key = akv_str("c");
    (void)write_ops(s, ops + 3, 1, &r);
    (void)akvi_memory.count(s, &opt, &n);
    if (akvi_memory.iter_new(s, &(akv_range){.has_upper = false}, &opt, &it) == AKV_OK) {
        (void)akvi_memory.iter_move(it, AKV_MOVE_LAST, none, &e);
        akvi_memory.iter_free(it);
    }
    ops[5].value = none;
    if (akvi_memory.stream_create(s, &ops[5], true, &write_opts, &out) == AKV_OK) {
        (void)akvi_memory.stream_write(out, "more", 4);
        (void)akvi_memory.stream_commit(out, &r);
    }
    if (x.impl)
        (void)akvi_memory.keyspace_drop(s, "x");
    if (snap.impl)
        akvi_memory.snapshot_free(s, snap.impl);
    if (feed)
        akvi_memory.changes_close(feed);
    (void)akvi_memory.sync(s);
    check(s);
}

static void test_memory_survives_every_allocation_that_fails(void **state)
{
    akv_env *env  = memory_env();
    bool     more = true;

    (void)state;
    for (uint64_t nth = 1; more; nth++) {
        const akv_allocator *failing = akvt_failing_allocator(nth);
        uint32_t             flags   = AKV_OPEN_CREATE | (nth % 2 ? AKV_OPEN_TRUNCATE : 0);
        opening              o = {.path = IMAGE, .flags = flags, .env = env, .allocator = failing};
        memory_store        *s;
        akv_status           st = try_open(o, &s);

        if (st == AKV_OK) {
            if (!(flags & AKV_OPEN_TRUNCATE))
                assert_ok(write_ops(s, (akv_op[]){op_of(AKV_OP_DELETE_RANGE, "", NULL)}, 1, NULL));
            script(s);
            st = akvi_memory.close(s);
        }
        assert_true(st == AKV_OK || st == AKV_NOMEM);
        assert_int_equal(akvt_allocator_out(), 0);
        more = nth < 100; /* the script needs about 40 */
    }
    akv_env_memory_free(env);
}

/* -------------------------------------------------------------------- threads */

typedef struct shared {
    memory_store    *store;
    _Atomic bool     stop;
    _Atomic uint64_t reads;
} shared;

/* Keys 0..31 always have one value in common: writers change all in one batch. */
static void *writer_thread(void *user)
{
    shared     *sh = user;
    akvt_random r  = akvt_random_new((uintptr_t)&r);
    akv_op      ops[32];
    char        keys[32][16], value[16];

    for (int round = 0; round < 300; round++) {
        snprintf(value, sizeof value, "%u", (unsigned)akvt_below(&r, 1000));
        for (int i = 0; i < 32; i++) {
            snprintf(keys[i], sizeof keys[i], "%02d", i);
            ops[i] = op_of(AKV_OP_PUT, keys[i], value);
        }
        assert_ok(write_ops(sh->store, ops, 32, NULL));
        snprintf(keys[0], sizeof keys[0], "x%02d", round % 100);
        ops[0] = op_of(round % 3 ? AKV_OP_PUT : AKV_OP_DELETE, keys[0], "x");
        assert_ok(write_ops(sh->store, ops, 1, NULL));
    }
    return NULL;
}

static void read_round(memory_store *s, const akv_read_options *opt)
{
    akv_range range     = {.upper = akv_str("x"), .has_upper = true};
    void     *it        = iter_over(s, &range, opt);
    akv_move  move      = AKV_MOVE_FIRST;
    char      value[16] = "";
    size_t    n         = 0;
    akv_entry e;

    for (; akvi_memory.iter_move(it, move, akv_str(NULL), &e) == AKV_OK; n++) {
        if (n == 0)
            memcpy(value, e.value.data, e.value.len);
        assert_slice(akv_bytes(e.value.data, e.value.len), value);
        move = AKV_MOVE_NEXT;
    }
    assert_int_equal(n, 32);
    akvi_memory.iter_free(it);
}

static void *reader_thread(void *user)
{
    shared *sh = user;

    while (!atomic_load(&sh->stop)) {
        akv_read_options at = AKV_READ_OPTIONS_INIT;
        akv_value        v  = AKV_VALUE_INIT;
        akv_snapshot     snap;

        assert_ok(akvi_memory.snapshot_new(sh->store, &snap.impl));
        at.snapshot = &snap;
        assert_ok(akvi_memory.get(sh->store, akv_str("07"), &read_now, &v));
        read_round(sh->store, &at);
        read_round(sh->store, NULL);
        akvi_memory.snapshot_free(sh->store, snap.impl);
        akvi_memory.release(sh->store, &v);
        (void)akvi_memory.exists(sh->store, akv_str("x50"), &read_now);
        atomic_fetch_add(&sh->reads, 1);
    }
    return NULL;
}

static void *follow_thread(void *user)
{
    shared    *sh = user;
    akv_change c;
    void      *feed;
    size_t     n = 0;

    assert_ok(akvi_memory.changes_open(sh->store, akv_bytes(NULL, 0), &feed));
    while (!atomic_load(&sh->stop)) {
        if (akvi_memory.changes_next(feed, 1, &c) != AKV_OK)
            continue;
        n++;
        if (c.commit) {
            assert_true(n == 1 || n == 32);
            n = 0;
        }
    }
    akvi_memory.changes_close(feed);
    return NULL;
}

static void test_memory_threads_see_whole_batches(void **state)
{
    shared    sh = {.store = open_volatile()};
    pthread_t writers[2], others[3];

    (void)state;
    akvt_random_new(0); /* the seed is told before threads race to tell it */
    for (int i = 0; i < 32; i++)
        put(sh.store, (char[]){(char)('0' + i / 10), (char)('0' + i % 10), '\0'}, "0");
    for (int i = 0; i < 3; i++)
        pthread_create(&others[i], NULL, i < 2 ? reader_thread : follow_thread, &sh);
    for (int i = 0; i < 2; i++)
        pthread_create(&writers[i], NULL, writer_thread, &sh);
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    while (atomic_load(&sh.reads) < 5)
        sched_yield();
    atomic_store(&sh.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(others[i], NULL);
    check(sh.store);
    assert_int_equal(stat_of(sh.store, "versions"), count(sh.store, &read_now));
    close_it(sh.store);
}

/* ---------------------------------------------------------------- at random */

enum { MODEL_KEYS = 60, MODEL_SNAPS = 4 };

typedef struct model {
    unsigned value[MODEL_KEYS]; /* 0: absent */
} model;

static void model_compare(memory_store *s, const akv_read_options *opt, const model *m)
{
    void     *it   = iter_over(s, NULL, opt);
    akv_move  move = AKV_MOVE_FIRST;
    char      key[16], value[16];
    akv_entry e;

    for (int i = 0; i < MODEL_KEYS; i++) {
        snprintf(key, sizeof key, "key%02d", i);
        snprintf(value, sizeof value, "%u", m->value[i]);
        expect_in(s, opt, key, m->value[i] ? value : NULL);
        if (!m->value[i])
            continue;
        assert_ok(akvi_memory.iter_move(it, move, akv_str(NULL), &e));
        assert_slice(e.key, key);
        assert_slice(akv_bytes(e.value.data, e.value.len), value);
        move = AKV_MOVE_NEXT;
    }
    assert_status(AKV_END, akvi_memory.iter_move(it, move, akv_str(NULL), &e));
    akvi_memory.iter_free(it);
}

/* One random batch, to the model too if it is one that succeeds. */
static void model_write(memory_store *s, model *m, akvt_random *r)
{
    akv_op ops[6];
    char   keys[6][16], values[6][16];
    size_t n    = 1 + akvt_below(r, 6);
    model  next = *m;
    bool   ok   = true;

    for (size_t i = 0; i < n; i++) {
        int      k = (int)akvt_below(r, MODEL_KEYS), to = k + 1 + (int)akvt_below(r, 8);
        unsigned v    = 1 + (unsigned)akvt_below(r, 1000000);
        unsigned dice = (unsigned)akvt_below(r, 100);

        snprintf(keys[i], sizeof keys[i], "key%02d", k);
        snprintf(values[i], sizeof values[i], "%u", v);
        ops[i] = op_of(AKV_OP_PUT, keys[i], values[i]);
        if (dice < 60) {
            next.value[k] = v;
        } else if (dice < 90) {
            ops[i]        = op_of(AKV_OP_DELETE, keys[i], NULL);
            next.value[k] = 0;
        } else if (dice < 94) {
            snprintf(values[i], sizeof values[i], "key%02d", to);
            ops[i] = op_of(AKV_OP_DELETE_RANGE, keys[i], values[i]);
            for (int j = k; j < to && j < MODEL_KEYS; j++)
                next.value[j] = 0;
        } else {
            ops[i] = op_of(AKV_OP_EXPIRE, keys[i], NULL);
            ok     = ok && next.value[k] != 0;
        }
    }
    assert_status(ok ? AKV_OK : AKV_ABSENT, write_ops(s, ops, n, NULL));
    if (ok)
        *m = next;
}

static void test_memory_agrees_with_a_model(void **state)
{
    const akv_allocator *counting = akvt_failing_allocator(0);
    akv_env             *env      = memory_env();
    opening       o = {.path = IMAGE, .flags = AKV_OPEN_CREATE, .env = env, .allocator = counting};
    memory_store *s = open_it(o);
    akvt_random   r = akvt_random_new(11);
    model         now                = {{0}}, then[MODEL_SNAPS];
    akv_snapshot  snaps[MODEL_SNAPS] = {{NULL}};
    akv_read_options at              = AKV_READ_OPTIONS_INIT;

    (void)state;
    for (unsigned step = 0; step < 4000 * akvt_scale(); step++) {
        size_t i = akvt_below(&r, MODEL_SNAPS);

        model_write(s, &now, &r);
        if (akvt_below(&r, 10) == 0) {
            if (snaps[i].impl) {
                at.snapshot = &snaps[i];
                model_compare(s, &at, &then[i]);
                akvi_memory.snapshot_free(s, snaps[i].impl);
                snaps[i].impl = NULL;
            } else {
                assert_ok(akvi_memory.snapshot_new(s, &snaps[i].impl));
                then[i] = now;
            }
        }
        if (step % 200 == 0) {
            model_compare(s, &read_now, &now);
            check(s);
        }
        if (step % 1000 == 999) {
            for (i = 0; i < MODEL_SNAPS; i++) {
                if (snaps[i].impl)
                    akvi_memory.snapshot_free(s, snaps[i].impl);
                snaps[i].impl = NULL;
            }
            assert_int_equal(stat_of(s, "versions"), count(s, &read_now));
            close_it(s);
            assert_int_equal(akvt_allocator_out(), 0);
            s = open_it(o);
        }
    }
    model_compare(s, &read_now, &now);
    for (size_t i = 0; i < MODEL_SNAPS; i++) {
        if (snaps[i].impl)
            akvi_memory.snapshot_free(s, snaps[i].impl);
    }
    close_it(s);
    akv_env_memory_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_gets_what_was_put),
        cmocka_unit_test(test_memory_value_stays_until_released),
        cmocka_unit_test(test_memory_get_allocates_nothing),
        cmocka_unit_test(test_memory_get_many_answers_as_get),
        cmocka_unit_test(test_memory_versions_are_sequence_numbers),
        cmocka_unit_test(test_memory_approximate_size_follows_the_range),
        cmocka_unit_test(test_memory_conditions_decide),
        cmocka_unit_test(test_memory_version_condition_fails_after_any_change),
        cmocka_unit_test(test_memory_batch_operations_see_earlier_ones),
        cmocka_unit_test(test_memory_failed_batch_leaves_everything_as_it_was),
        cmocka_unit_test(test_memory_delete_range_is_half_open),
        cmocka_unit_test(test_memory_merge_keeps_what_is_not_set),
        cmocka_unit_test(test_memory_key_is_gone_at_its_expiry),
        cmocka_unit_test(test_memory_expire_and_persist_move_the_expiry),
        cmocka_unit_test(test_memory_writes_clear_expired_keys_away),
        cmocka_unit_test(test_memory_snapshots_see_the_past),
        cmocka_unit_test(test_memory_overwriting_for_ever_needs_no_more_memory),
        cmocka_unit_test(test_memory_iterator_keeps_to_its_bounds),
        cmocka_unit_test(test_memory_iterator_stands_while_the_tree_moves),
        cmocka_unit_test(test_memory_iterator_outlives_its_snapshot),
        cmocka_unit_test(test_memory_key_spaces_are_apart),
        cmocka_unit_test(test_memory_dropped_space_stays_for_those_who_see_it),
        cmocka_unit_test(test_memory_streams_read_and_write_in_pieces),
        cmocka_unit_test(test_memory_feed_tells_changes_in_order),
        cmocka_unit_test(test_memory_feed_that_falls_behind_is_told),
        cmocka_unit_test(test_memory_feed_wakes_when_a_change_comes),
        cmocka_unit_test(test_memory_without_change_log_has_no_feeds),
        cmocka_unit_test(test_memory_image_keeps_everything),
        cmocka_unit_test(test_memory_image_is_written_when_something_changed),
        cmocka_unit_test(test_memory_open_flags_decide_what_may_be_there),
        cmocka_unit_test(test_memory_damaged_image_is_refused),
        cmocka_unit_test(test_memory_image_of_the_future_is_refused),
        cmocka_unit_test(test_memory_salvage_keeps_what_is_whole),
        cmocka_unit_test(test_memory_verify_tells_every_fault),
        cmocka_unit_test(test_memory_checkpoint_is_a_store),
        cmocka_unit_test(test_memory_detect_and_destroy_know_their_own),
        cmocka_unit_test(test_memory_failed_save_keeps_the_old_image),
        cmocka_unit_test(test_memory_survives_every_allocation_that_fails),
        cmocka_unit_test(test_memory_threads_see_whole_batches),
        cmocka_unit_test(test_memory_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
