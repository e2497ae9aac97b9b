/* SPDX-License-Identifier: MIT
 *
 * What an lsm store promises across flushes, compactions and reopening; what a
 * single handle owes is the conformance suite's.
 */
#include "tests/testing.h"

#include <anykv/lsm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL                                                                              \
    "write_buffer=64KiB,table_size=64KiB,level_base=128KiB,level_ratio=4,block_size=1KiB," \
    "block_cache=256KiB"

static const char *store_path(void)
{
    static unsigned n;
    char            name[32];

    snprintf(name, sizeof name, "store%u", n++);
    return akvt_path(akvt_folder(), name);
}

static akv *store_open(const char *path, uint32_t flags, const char *text)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db  = NULL;

    opt.flags = flags;
    opt.text  = text;
    assert_ok(akv_open("lsm", path, &opt, &db));
    return db;
}

static akv_slice store_key(uint64_t i, char buf[24])
{
    snprintf(buf, 24, "key%08llu", (unsigned long long)i);
    return akv_str(buf);
}

/* Values say which key and round they are of, and how long they are. */
static akv_slice store_value(uint64_t i, uint64_t round, char *buf, size_t cap)
{
    int n = snprintf(buf, cap, "%llu:%llu:", (unsigned long long)i, (unsigned long long)round);

    memset(buf + n, 'a' + (int)(round % 26), 100);
    return akv_bytes(buf, (size_t)n + 100);
}

static void store_put(akv *db, uint64_t i, uint64_t round)
{
    char key[24], value[200];

    assert_ok(akv_put(db, store_key(i, key), store_value(i, round, value, sizeof value), NULL));
}

static void store_expect(akv *db, uint64_t i, int64_t round, const akv_read_options *opt)
{
    char       key[24], want[200];
    akv_buffer got = AKV_BUFFER_INIT;
    akv_slice  value;

    if (round < 0) {
        assert_status(AKV_ABSENT, akv_get_copy(db, store_key(i, key), opt, &got));
    } else {
        value = store_value(i, (uint64_t)round, want, sizeof want);
        assert_ok(akv_get_copy(db, store_key(i, key), opt, &got));
        assert_int_equal(got.len, value.len);
        assert_memory_equal(got.data, value.data, value.len);
    }
    akv_buffer_free(&got);
}

static uint64_t store_stat(akv *db, const char *name)
{
    akv_stats      *stats = NULL;
    const akv_stat *stat;
    uint64_t        value = UINT64_MAX;

    assert_ok(akv_stats_get(db, &stats));
    for (size_t i = 0; (stat = akv_stats_at(stats, i)); i++)
        if (strcmp(stat->name, name) == 0)
            value = stat->u64;
    akv_stats_free(stats);
    if (value == UINT64_MAX)
        fail_msg("no figure called %s", name);
    return value;
}

static void test_lsm_reads_all_it_was_given_across_flush_compaction_and_reopen(void **state)
{
    const char *path = store_path();
    akv        *db   = store_open(path, AKV_OPEN_CREATE, SMALL);

    (void)state;
    for (uint64_t round = 0; round < 5; round++)
        for (uint64_t i = 0; i < 3000; i++)
            store_put(db, i * 7919 % 3000, round);
    for (uint64_t i = 0; i < 3000; i++)
        store_expect(db, i, 4, NULL);
    assert_ok(akv_compact(db, NULL));
    for (uint64_t i = 0; i < 3000; i++)
        store_expect(db, i, 4, NULL);
    assert_true(store_stat(db, "compactions") > 0);
    assert_int_equal(store_stat(db, "table_entries"), 3000);
    assert_ok(akv_verify(db, NULL));
    assert_ok(akv_close(db));
    db = store_open(path, 0, SMALL);
    for (uint64_t i = 0; i < 3000; i++)
        store_expect(db, i, 4, NULL);
    store_expect(db, 3000, -1, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_a_deleted_key_stays_deleted_when_older_copies_lie_below(void **state)
{
    const char *path = store_path();
    akv        *db   = store_open(path, AKV_OPEN_CREATE, SMALL);
    char        key[24];

    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        store_put(db, i, 0);
    assert_ok(akv_compact(db, NULL));
    for (uint64_t i = 0; i < 100; i += 2)
        assert_ok(akv_delete(db, store_key(i, key), NULL));
    for (int step = 0; step < 3; step++) {
        for (uint64_t i = 0; i < 100; i++)
            store_expect(db, i, i % 2 ? 0 : -1, NULL);
        if (step == 0)
            assert_ok(akv_lsm_flush(akv_lsm_of(db)));
        else if (step == 1)
            assert_ok(akv_compact(db, NULL));
    }
    assert_int_equal(store_stat(db, "table_tombstones"), 0);
    assert_ok(akv_close(db));
    db = store_open(path, 0, SMALL);
    for (uint64_t i = 0; i < 100; i++)
        store_expect(db, i, i % 2 ? 0 : -1, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_a_memtable_of_only_tombstones_flushes(void **state)
{
    akv *db = store_open(store_path(), AKV_OPEN_CREATE, SMALL);
    char key[24];

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_ok(akv_delete(db, store_key(i, key), NULL));
    assert_ok(akv_lsm_flush(akv_lsm_of(db)));
    store_expect(db, 3, -1, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_a_snapshot_sees_its_moment_through_compactions(void **state)
{
    akv             *db   = store_open(store_path(), AKV_OPEN_CREATE, SMALL);
    akv_read_options read = AKV_READ_OPTIONS_INIT;
    akv_snapshot    *snapshot;
    char             key[24];

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        store_put(db, i, 0);
    assert_ok(akv_snapshot_new(db, &snapshot));
    read.snapshot = snapshot;
    for (uint64_t i = 0; i < 1000; i++) {
        if (i % 3 == 0)
            assert_ok(akv_delete(db, store_key(i, key), NULL));
        else
            store_put(db, i, 1);
    }
    assert_ok(akv_delete_range(db, akv_str("key00000500"), akv_str("key00000700"), NULL));
    assert_ok(akv_compact(db, NULL));
    for (uint64_t i = 0; i < 1000; i++) {
        store_expect(db, i, 0, &read);
        store_expect(db, i, (i >= 500 && i < 700) || i % 3 == 0 ? -1 : 1, NULL);
    }
    akv_snapshot_free(snapshot);
    for (uint64_t i = 0; i < 1000; i += 10)
        store_put(db, i, 2);
    assert_ok(akv_compact(db, NULL));
    for (uint64_t i = 0; i < 1000; i++)
        store_expect(db, i, i % 10 == 0 ? 2 : (i >= 500 && i < 700) || i % 3 == 0 ? -1 : 1, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_what_a_killed_process_wrote_is_there(void **state)
{
    const char *path = store_path(), *copy = store_path();
    akv        *db = store_open(path, AKV_OPEN_CREATE, "write_buffer=1MiB");
    char        command[600];

    (void)state;
    for (uint64_t i = 0; i < 500; i++)
        store_put(db, i, 0);
    /* The folder as it is now is what a kill would leave. */
    snprintf(command, sizeof command, "cp -r '%s' '%s' && rm '%s/LOCK'", path, copy, copy);
    assert_int_equal(system(command), 0);
    assert_ok(akv_close(db));
    db = store_open(copy, 0, NULL);
    for (uint64_t i = 0; i < 500; i++)
        store_expect(db, i, 0, NULL);
    store_put(db, 3, 1);
    store_expect(db, 3, 1, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_reopened_overwrites_win_over_what_was_there_before(void **state)
{
    const char *path = store_path();
    akv        *db;

    (void)state;
    for (uint64_t round = 0; round < 6; round++) {
        db = store_open(path, AKV_OPEN_CREATE, SMALL);
        for (uint64_t i = 0; i < 50; i++)
            store_expect(db, i, (int64_t)round - 1, NULL);
        for (uint64_t i = 0; i < 50; i++)
            store_put(db, i, round);
        if (round % 2)
            assert_ok(akv_compact(db, NULL));
        assert_ok(akv_close(db));
    }
}

static void test_lsm_a_moved_folder_opens(void **state)
{
    const char *path = store_path(), *moved = store_path();
    akv        *db = store_open(path, AKV_OPEN_CREATE, SMALL);

    (void)state;
    for (uint64_t i = 0; i < 2000; i++)
        store_put(db, i, 0);
    assert_ok(akv_close(db));
    assert_int_equal(rename(path, moved), 0);
    db = store_open(moved, 0, SMALL);
    for (uint64_t i = 0; i < 2000; i++)
        store_expect(db, i, 0, NULL);
    assert_ok(akv_close(db));
}

static void test_lsm_a_second_writer_is_refused_by_pid(void **state)
{
    const char      *path = store_path();
    akv_open_options opt  = AKV_OPEN_OPTIONS_INIT;
    akv             *db = store_open(path, AKV_OPEN_CREATE, NULL), *second = NULL;

    (void)state;
    assert_status(AKV_LOCKED, akv_open("lsm", path, &opt, &second));
    assert_ok(akv_close(db));
}

static void test_lsm_a_reader_sees_what_was_written_before_it_opened(void **state)
{
    const char *path = store_path();
    akv        *db   = store_open(path, AKV_OPEN_CREATE, SMALL), *reader;

    (void)state;
    for (uint64_t i = 0; i < 3000; i++)
        store_put(db, i, 0);
    reader = store_open(path, AKV_OPEN_READ_ONLY, SMALL);
    for (uint64_t i = 0; i < 3000; i++)
        store_expect(reader, i, 0, NULL);
    assert_status(AKV_UNSUPPORTED, akv_put(reader, akv_str("a"), akv_str("b"), NULL));
    for (uint64_t i = 0; i < 3000; i++)
        store_put(db, i, 1);
    assert_ok(akv_compact(db, NULL));
    for (uint64_t i = 0; i < 3000; i++)
        store_expect(reader, i, 0, NULL);
    assert_ok(akv_close(reader));
    assert_ok(akv_close(db));
}

static void test_lsm_a_checkpoint_is_a_store_of_its_own(void **state)
{
    const char *path = store_path(), *copy = store_path();
    akv        *db = store_open(path, AKV_OPEN_CREATE, SMALL), *other;

    (void)state;
    for (uint64_t i = 0; i < 2000; i++)
        store_put(db, i, 0);
    assert_ok(akv_checkpoint(db, copy, NULL));
    for (uint64_t i = 0; i < 2000; i++)
        store_put(db, i, 1);
    assert_ok(akv_compact(db, NULL));
    other = store_open(copy, 0, SMALL);
    for (uint64_t i = 0; i < 2000; i++) {
        store_expect(other, i, 0, NULL);
        store_expect(db, i, 1, NULL);
    }
    store_put(other, 5, 9);
    assert_ok(akv_close(other));
    assert_ok(akv_close(db));
}

/* Every scan of a random store, both ways, against a table of what is in it. */
static void test_lsm_scans_agree_with_a_table(void **state)
{
    enum { KEYS = 400 };
    static int64_t model[KEYS];
    akvt_random    r  = akvt_random_new(1);
    akv           *db = store_open(store_path(), AKV_OPEN_CREATE, SMALL ",threads=0");
    char           key[24], other[24];

    (void)state;
    memset(model, -1, sizeof model);
    for (int step = 0; step < 6000; step++) {
        uint64_t i = akvt_next(&r) % KEYS, n = akvt_next(&r) % 40;

        if (akvt_next(&r) % 10 < 6) {
            store_put(db, i, (uint64_t)step);
            model[i] = step;
        } else if (akvt_next(&r) % 10 < 8) {
            assert_ok(akv_delete(db, store_key(i, key), NULL));
            model[i] = -1;
        } else {
            assert_ok(akv_delete_range(db, store_key(i, key), store_key(i + n, other), NULL));
            for (uint64_t k = i; k < i + n && k < KEYS; k++)
                model[k] = -1;
        }
        if (step % 500 == 499)
            assert_ok(akv_lsm_flush(akv_lsm_of(db)));
        if (step % 1000 == 999) {
            akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
            akv_iter        *it;
            uint64_t         at = 0;

            assert_ok(akv_scan(db, &opt, &it));
            while (akv_iter_next(it) == AKV_OK) {
                while (at < KEYS && model[at] < 0)
                    at++;
                assert_slice(akv_iter_key(it), (const char *)store_key(at, key).data);
                at++;
            }
            while (at < KEYS && model[at] < 0)
                at++;
            assert_int_equal(at, KEYS);
            while (akv_iter_prev(it) == AKV_OK) {
                while (at > 0 && model[at - 1] < 0)
                    at--;
                at--;
                assert_slice(akv_iter_key(it), (const char *)store_key(at, key).data);
            }
            while (at > 0 && model[at - 1] < 0)
                at--;
            assert_int_equal(at, 0);
            akv_iter_free(it);
            for (uint64_t k = 0; k < KEYS; k++)
                store_expect(db, k, model[k], NULL);
        }
    }
    assert_ok(akv_compact(db, NULL));
    for (uint64_t k = 0; k < KEYS; k++)
        store_expect(db, k, model[k], NULL);
    assert_ok(akv_close(db));
}

/* Merging the last level with itself drops tombstones: tables between those that
 * have some must stay apart from what comes out. */
static void test_lsm_tables_without_tombstones_are_read_after_their_level_is_merged(void **state)
{
    akv          *db = store_open(store_path(), AKV_OPEN_CREATE, SMALL ",compression=none");
    akv_snapshot *snapshot;
    char          key[24];

    (void)state;
    for (uint64_t i = 0; i < 6000; i++)
        store_put(db, i, 0);
    assert_ok(akv_compact(db, NULL));
    assert_ok(akv_snapshot_new(db, &snapshot));
    for (uint64_t i = 0; i < 20; i++) {
        assert_ok(akv_delete(db, store_key(i, key), NULL));
        assert_ok(akv_delete(db, store_key(5990 - i, key), NULL));
    }
    assert_ok(akv_compact(db, NULL));
    assert_true(store_stat(db, "table_tombstones") > 0);
    akv_snapshot_free(snapshot);
    assert_ok(akv_compact(db, NULL));
    assert_int_equal(store_stat(db, "table_tombstones"), 0);
    for (uint64_t i = 0; i < 6000; i++)
        store_expect(db, i, i < 20 || (i > 5970 && i <= 5990) ? -1 : 0, NULL);
    assert_ok(akv_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_reads_all_it_was_given_across_flush_compaction_and_reopen),
        cmocka_unit_test(test_lsm_a_deleted_key_stays_deleted_when_older_copies_lie_below),
        cmocka_unit_test(test_lsm_a_memtable_of_only_tombstones_flushes),
        cmocka_unit_test(test_lsm_a_snapshot_sees_its_moment_through_compactions),
        cmocka_unit_test(test_lsm_what_a_killed_process_wrote_is_there),
        cmocka_unit_test(test_lsm_reopened_overwrites_win_over_what_was_there_before),
        cmocka_unit_test(test_lsm_a_moved_folder_opens),
        cmocka_unit_test(test_lsm_a_second_writer_is_refused_by_pid),
        cmocka_unit_test(test_lsm_a_reader_sees_what_was_written_before_it_opened),
        cmocka_unit_test(test_lsm_a_checkpoint_is_a_store_of_its_own),
        cmocka_unit_test(test_lsm_scans_agree_with_a_table),
        cmocka_unit_test(test_lsm_tables_without_tombstones_are_read_after_their_level_is_merged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
