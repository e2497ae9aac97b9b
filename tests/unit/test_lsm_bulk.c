/* SPDX-License-Identifier: MIT
 *
 * Loading an lsm store at once: sorted or not, beside writers and snapshots, and
 * all or nothing whatever fails.
 */
#include "tests/testing.h"

#include "common/env/fault.h"

#include <anykv/lsm.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BULK_SMALL                                                                         \
    "write_buffer=64KiB,table_size=64KiB,level_base=128KiB,level_ratio=4,block_size=1KiB," \
    "block_cache=256KiB"
#define BULK_KEYS 20000u

static const char *bulk_path(void)
{
    static unsigned n;
    char            name[32];

    snprintf(name, sizeof name, "bulk%u", n++);
    return akvt_path(akvt_folder(), name);
}

static akv *bulk_open(const char *path)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db  = NULL;

    opt.flags = AKV_OPEN_CREATE;
    opt.text  = BULK_SMALL;
    assert_ok(akv_open("lsm", path, &opt, &db));
    return db;
}

static akv_slice bulk_key(uint64_t i, char buf[24])
{
    snprintf(buf, 24, "key%08llu", (unsigned long long)i);
    return akv_str(buf);
}

static akv_slice bulk_value(uint64_t i, const char *round, char buf[128])
{
    memset(buf, 'x', 100);
    snprintf(buf, 100, "%s:%llu", round, (unsigned long long)i);
    return akv_bytes(buf, 100);
}

static void bulk_put(akv_lsm_bulk *load, uint64_t i, const char *round)
{
    char key[24], value[128];

    assert_ok(akv_lsm_bulk_put(load, bulk_key(i, key), bulk_value(i, round, value), 0, 0));
}

static void bulk_write(akv *db, uint64_t i, const char *round)
{
    char key[24], value[128];

    assert_ok(akv_put(db, bulk_key(i, key), bulk_value(i, round, value), NULL));
}

/* `round` NULL: it is not there. */
static void bulk_expect(akv *db, uint64_t i, const char *round, const akv_read_options *opt)
{
    char       key[24], value[128];
    akv_buffer got = AKV_BUFFER_INIT;

    if (round) {
        assert_ok(akv_get_copy(db, bulk_key(i, key), opt, &got));
        assert_int_equal(got.len, 100);
        assert_memory_equal(got.data, bulk_value(i, round, value).data, 100);
    } else {
        assert_status(AKV_ABSENT, akv_get_copy(db, bulk_key(i, key), opt, &got));
    }
    akv_buffer_free(&got);
}

static uint64_t bulk_stat(akv *db, const char *name)
{
    akv_stats      *stats = NULL;
    const akv_stat *stat;
    uint64_t        value;

    assert_ok(akv_stats_get(db, &stats));
    stat  = akv_stats_find(stats, name);
    value = stat ? stat->u64 : 0;
    akv_stats_free(stats);
    return value;
}

static void test_lsm_bulk_the_last_of_unsorted_duplicates_counts(void **state)
{
    const char   *path = bulk_path();
    akv          *db   = bulk_open(path);
    akv_lsm_bulk *load;
    akv_iter     *it;
    uint64_t      n = 0;

    (void)state;
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    for (uint64_t i = 0; i < BULK_KEYS; i++)
        bulk_put(load, i * 7919 % BULK_KEYS, "first");
    for (uint64_t i = 0; i < BULK_KEYS; i += 3)
        bulk_put(load, i, "second");
    bulk_expect(db, 0, NULL, NULL);
    assert_ok(akv_lsm_bulk_finish(load, NULL));
    assert_true(bulk_stat(db, "level6_tables") > 1);
    assert_int_equal(bulk_stat(db, "level0_tables"), 0);
    assert_int_equal(bulk_stat(db, "table_entries"), BULK_KEYS);
    assert_int_equal(bulk_stat(db, "wal_bytes"), 0);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < BULK_KEYS; i++)
            bulk_expect(db, i, i % 3 ? "first" : "second", NULL);
        assert_ok(akv_verify(db, NULL));
        assert_ok(akv_close(db));
        db = bulk_open(path);
    }
    assert_ok(akv_scan(db, NULL, &it));
    while (akv_iter_next(it) == AKV_OK)
        n++;
    akv_iter_free(it);
    assert_int_equal(n, BULK_KEYS);
    assert_ok(akv_close(db));
}

static void test_lsm_bulk_is_one_write_between_others(void **state)
{
    const char      *path = bulk_path();
    akv             *db   = bulk_open(path);
    akv_read_options opt  = AKV_READ_OPTIONS_INIT;
    akv_lsm_bulk    *load;
    akv_snapshot    *snapshot;
    char             key[24];

    (void)state;
    for (uint64_t i = 0; i < 2000; i++)
        bulk_write(db, i, "before");
    assert_ok(akv_lsm_flush(akv_lsm_of(db)));
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    for (uint64_t i = 500; i < 1500; i++)
        bulk_put(load, i, "load");
    for (uint64_t i = 1500; i < 1600; i++)
        assert_ok(akv_lsm_bulk_delete(load, bulk_key(i, key)));
    bulk_write(db, 700, "meanwhile"); /* before the load, which is as of its finish */
    assert_ok(akv_snapshot_new(db, &snapshot));
    assert_ok(akv_lsm_bulk_finish(load, NULL));
    bulk_write(db, 800, "after");
    opt.snapshot = snapshot;
    for (uint64_t i = 0; i < 2000; i++) {
        bulk_expect(db, i, i == 700 ? "meanwhile" : "before", &opt);
        bulk_expect(db, i,
                    i == 800               ? "after"
                    : i < 500 || i >= 1600 ? "before"
                    : i < 1500             ? "load"
                                           : NULL,
                    NULL);
    }
    assert_ok(akv_compact(db, NULL));
    bulk_expect(db, 700, "meanwhile", &opt);
    bulk_expect(db, 700, "load", NULL);
    bulk_expect(db, 1550, "before", &opt);
    bulk_expect(db, 1550, NULL, NULL);
    akv_snapshot_free(snapshot);
    assert_ok(akv_close(db));
    db = bulk_open(path);
    bulk_expect(db, 700, "load", NULL);
    bulk_expect(db, 800, "after", NULL);
    bulk_expect(db, 1550, NULL, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_bulk_where_nothing_overlaps_goes_below(void **state)
{
    akv          *db = bulk_open(bulk_path());
    akv_lsm_bulk *load;

    (void)state;
    for (uint64_t i = 1000; i < 2000; i++)
        bulk_write(db, i, "there");
    assert_ok(akv_compact(db, NULL));
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    for (uint64_t i = 2000; i < 3000; i++)
        bulk_put(load, i, "behind");
    assert_ok(akv_lsm_bulk_finish(load, NULL));
    assert_int_equal(bulk_stat(db, "level0_tables"), 0);
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    bulk_put(load, 1500, "among");
    bulk_put(load, 2500, "among");
    assert_ok(akv_lsm_bulk_finish(load, NULL));
    bulk_expect(db, 1500, "among", NULL);
    bulk_expect(db, 1501, "there", NULL);
    bulk_expect(db, 2500, "among", NULL);
    bulk_expect(db, 2501, "behind", NULL);
    assert_ok(akv_compact(db, NULL));
    bulk_expect(db, 2500, "among", NULL);
    assert_ok(akv_close(db));
}

static int bulk_count_tables(void *user, const char *name)
{
    unsigned *n = user;

    *n += strstr(name, ".sst") != NULL;
    return 0;
}

static void test_lsm_bulk_aborted_leaves_nothing(void **state)
{
    const char   *path = bulk_path();
    akv          *db   = bulk_open(path);
    akv_env      *env  = akv_env_posix();
    static char   large[AKV_LSM_MAX_KEY + 1];
    akv_lsm_bulk *load;
    unsigned      n = 0;

    (void)state;
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    for (uint64_t i = 0; i < 3000; i++)
        bulk_put(load, i, "never");
    assert_ok(env->ops->list(env, path, bulk_count_tables, &n));
    assert_true(n > 0);
    akv_lsm_bulk_abort(load);
    akv_lsm_bulk_abort(NULL);
    n = 0;
    assert_ok(env->ops->list(env, path, bulk_count_tables, &n));
    assert_int_equal(n, 0);
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    assert_ok(akv_lsm_bulk_finish(load, NULL)); /* an empty one */
    assert_ok(akv_lsm_bulk_begin(akv_lsm_of(db), &load));
    assert_status(AKV_TOO_BIG,
                  akv_lsm_bulk_put(load, akv_bytes(large, sizeof large), akv_str(""), 0, 0));
    akv_lsm_bulk_abort(load);
    assert_ok(akv_close(db));
}

/* ------------------------------------------------------------------- failures */

typedef struct bulk_case {
    akv_env *memory, *fault;
    unsigned written; /* plain writes acknowledged */
    bool     tried, loaded;
} bulk_case;

static akv_status bulk_case_open(bulk_case *c, akv **db_out)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;

    opt.flags = AKV_OPEN_CREATE;
    opt.env   = c->fault;
    opt.sync  = AKV_SYNC_ALWAYS;
    opt.text  = BULK_SMALL ",threads=0";
    return akv_open("lsm", "/store", &opt, db_out);
}

/* Some keys are put, then all are loaded over them, then others are put. */
static void bulk_history(bulk_case *c)
{
    akv_lsm_bulk *load = NULL;
    akv          *db;
    char          key[24], value[128];
    akv_status    st;

    if (bulk_case_open(c, &db) != AKV_OK)
        return;
    while (c->written < 20 && akv_put(db, bulk_key(c->written, key),
                                      bulk_value(c->written, "put", value), NULL) == AKV_OK)
        c->written++;
    st = akv_lsm_bulk_begin(akv_lsm_of(db), &load);
    for (uint64_t i = 0; i < 1500 && st == AKV_OK; i++)
        st = akv_lsm_bulk_put(load, bulk_key(i * 701 % 1500, key),
                              bulk_value(i * 701 % 1500, "load", value), 0, 0);
    c->tried = st == AKV_OK;
    if (st == AKV_OK)
        st = akv_lsm_bulk_finish(load, NULL);
    c->loaded = st == AKV_OK;
    if (st != AKV_OK)
        akv_lsm_bulk_abort(load);
    while (c->written < 40 && akv_put(db, bulk_key(2000 + c->written, key),
                                      bulk_value(c->written, "put", value), NULL) == AKV_OK)
        c->written++;
    (void)akv_close(db);
}

static void bulk_check(bulk_case *c, uint64_t nth)
{
    akv_buffer got    = AKV_BUFFER_INIT;
    bool       loaded = c->loaded;
    akv       *db     = NULL;
    char       key[24], value[128];

    if (bulk_case_open(c, &db) != AKV_OK)
        fail_msg("call %llu: the store does not open: %s", (unsigned long long)nth,
                 akv_last_error()->text);
    if (!loaded && akv_get_copy(db, bulk_key(1499, key), NULL, &got) == AKV_OK)
        loaded = true;
    if (loaded && !c->tried)
        fail_msg("call %llu: a load is there that was not finished", (unsigned long long)nth);
    for (uint64_t i = 0; loaded && i < 1500; i++)
        bulk_expect(db, i, "load", NULL);
    for (uint64_t i = 0; !loaded && i < 20 && i < c->written; i++)
        bulk_expect(db, i, "put", NULL);
    for (uint64_t i = 20; !loaded && i < 1500; i += 7)
        bulk_expect(db, i, NULL, NULL);
    for (uint64_t i = 20; i < c->written; i++) {
        if (akv_get_copy(db, bulk_key(2000 + i, key), NULL, &got) != AKV_OK ||
            memcmp(got.data, bulk_value(i, "put", value).data, 100) != 0)
            fail_msg("call %llu: write %llu after the load is lost", (unsigned long long)nth,
                     (unsigned long long)i);
    }
    assert_ok(akv_verify(db, NULL));
    assert_ok(akv_close(db));
    akv_buffer_free(&got);
}

static uint64_t bulk_fail(uint32_t kinds, uint64_t nth, akvi_fault_how how, uint64_t seed)
{
    akvi_fault_plan plan = {.kinds = kinds, .nth = nth, .times = 1, .err = EIO, .how = how};
    akvi_fault_plan none = {.kinds = 0};
    bulk_case       c    = {.written = 0};
    uint64_t        calls;

    assert_ok(akv_env_memory_new(NULL, &c.memory));
    assert_ok(akvi_fault_new(c.memory, NULL, &c.fault));
    akvi_fault_plan_set(c.fault, &plan);
    bulk_history(&c);
    calls = akvi_fault_calls(c.fault);
    akvi_fault_plan_set(c.fault, &none);
    if (how == AKVI_FAULT_CRASH)
        assert_ok(akvi_fault_power_loss(c.fault, seed));
    bulk_check(&c, nth);
    akvi_fault_free(c.fault);
    akv_env_memory_free(c.memory);
    return calls;
}

static void test_lsm_bulk_is_all_or_nothing_when_power_is_lost(void **state)
{
    const uint32_t kinds = AKVI_FAULT_WRITE | AKVI_FAULT_SYNC | AKVI_FAULT_RENAME;
    uint64_t       calls = bulk_fail(kinds, 0, AKVI_FAULT_FAIL, 0);
    akvt_random    r     = akvt_random_new(1);

    (void)state;
    for (uint64_t nth = 1; nth <= calls; nth += 1 + akvt_next(&r) % (12 / akvt_scale() + 1))
        bulk_fail(kinds, nth, AKVI_FAULT_CRASH,
                  nth % 3 == 0   ? 0
                  : nth % 3 == 1 ? UINT64_MAX
                                 : akvt_next(&r) | 1);
}

static void test_lsm_bulk_is_all_or_nothing_when_a_call_fails(void **state)
{
    uint64_t    calls = bulk_fail(AKVI_FAULT_ALL, 0, AKVI_FAULT_FAIL, 0);
    akvt_random r     = akvt_random_new(2);

    (void)state;
    for (uint64_t nth = 1; nth <= calls; nth += 1 + akvt_next(&r) % (20 / akvt_scale() + 1))
        bulk_fail(AKVI_FAULT_ALL, nth, AKVI_FAULT_FAIL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_bulk_the_last_of_unsorted_duplicates_counts),
        cmocka_unit_test(test_lsm_bulk_is_one_write_between_others),
        cmocka_unit_test(test_lsm_bulk_where_nothing_overlaps_goes_below),
        cmocka_unit_test(test_lsm_bulk_aborted_leaves_nothing),
        cmocka_unit_test(test_lsm_bulk_is_all_or_nothing_when_power_is_lost),
        cmocka_unit_test(test_lsm_bulk_is_all_or_nothing_when_a_call_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
