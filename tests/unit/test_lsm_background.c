/* SPDX-License-Identifier: MIT
 *
 * What becomes of an lsm store when its background work fails, and heals; and
 * what it leaves behind. The env refuses what a test wants it to, by name.
 */
#include "tests/testing.h"

#include <anykv/lsm.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BACK_SMALL \
    "write_buffer=64KiB,table_size=64KiB,level_base=128KiB,level_ratio=4,compression=none"

static struct back_env {
    akv_env           *env;
    const akv_env_ops *ops;
    akv_env_ops        mine;
    /* what is refused */
    _Atomic bool tables, links;
    _Atomic int  refused;
} back;

static bool back_ends(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);

    return n >= k && strcmp(path + n - k, end) == 0;
}

static akv_status back_refuse(const char *path, int err)
{
    back.refused++;
    return akv_engine_fail(AKV_NOSPACE, err, path, AKV_NO_OFFSET, "refused");
}

static akv_status back_open(akv_env *env, const char *path, uint32_t flags, akv_file **file_out)
{
    if (flags & AKV_FILE_CREATE && back.tables && back_ends(path, ".sst"))
        return back_refuse(path, ENOSPC);
    return back.ops->open(env, path, flags, file_out);
}

static akv_status back_link(akv_env *env, const char *from, const char *to)
{
    if (!back.links)
        return back.ops->link(env, from, to);
    back.refused++;
    return akv_engine_fail(AKV_UNSUPPORTED, 0, to, AKV_NO_OFFSET, "no links here");
}

static int back_begin(void **state)
{
    (void)state;
    memset(&back, 0, sizeof back);
    assert_ok(akv_env_memory_new(NULL, &back.env));
    back.ops       = back.env->ops;
    back.mine      = *back.ops;
    back.mine.open = back_open;
    back.mine.link = back_link;
    back.env->ops  = &back.mine;
    return 0;
}

static int back_end(void **state)
{
    (void)state;
    back.env->ops = back.ops;
    akv_env_memory_free(back.env);
    return 0;
}

static _Atomic int back_errors;

static void back_log(void *user, akv_log_level level, const char *engine, const char *text)
{
    (void)user;
    (void)engine;
    (void)text;
    back_errors += level == AKV_LOG_ERROR;
}

static const akv_logger back_logger = {.log = back_log};

static akv *back_store(const char *path, int threads, uint32_t sync)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db  = NULL;

    opt.flags          = AKV_OPEN_CREATE;
    opt.env            = back.env;
    opt.threads        = threads;
    opt.sync           = sync;
    opt.sync_period_ms = 20;
    opt.text           = BACK_SMALL;
    opt.logger         = &back_logger;
    assert_ok(akv_open("lsm", path, &opt, &db));
    return db;
}

static akv_status back_put(akv *db, unsigned i)
{
    char key[16], value[4000];

    memset(value, 'a' + (int)(i % 26), sizeof value);
    snprintf(key, sizeof key, "k%06u", i);
    akvi_call_begin();
    return akv_put(db, akv_str(key), akv_bytes(value, sizeof value), NULL);
}

static void back_expect(akv *db, unsigned i)
{
    char      key[16];
    akv_value value = AKV_VALUE_INIT;

    snprintf(key, sizeof key, "k%06u", i);
    assert_ok(akv_get(db, akv_str(key), NULL, &value));
    assert_int_equal(value.len, 4000);
    assert_int_equal(((const char *)value.data)[7], 'a' + (int)(i % 26));
    akv_value_release(&value);
}

static int back_count_logs(void *user, const char *name)
{
    *(int *)user += back_ends(name, ".wal");
    return 0;
}

static int back_logs(const char *path)
{
    int n = 0;

    assert_ok(back.env->ops->list(back.env, path, back_count_logs, &n));
    return n;
}

/* -------------------------------------------------------------------- tests */

static void test_flushes_that_fail_again_and_again_hold_on_to_all_that_was_put(void **state)
{
    akv *db = back_store("/s", 0, AKV_SYNC_NEVER);

    (void)state;
    back.tables = true;
    /* More often than a view has room for memtables. */
    for (unsigned i = 0; i < 28; i++) {
        assert_ok(back_put(db, i));
        assert_status(AKV_NOSPACE, akv_lsm_flush(akv_lsm_of(db)));
    }
    for (unsigned i = 0; i < 28; i++)
        back_expect(db, i);
    back.tables = false;
    assert_ok(akv_lsm_flush(akv_lsm_of(db)));
    assert_int_equal(back_logs("/s"), 2); /* the one in use, and one to be used again */
    assert_ok(akv_close(db));
    db = back_store("/s", 0, AKV_SYNC_NEVER);
    for (unsigned i = 0; i < 28; i++)
        back_expect(db, i);
    assert_ok(akv_close(db));
}

static void test_a_flush_that_fails_is_logged_once_and_heals(void **state)
{
    akv       *db = back_store("/s", 2, AKV_SYNC_NEVER);
    unsigned   i = 0, failed = 0;
    akv_status st;

    (void)state;
    back_errors = 0;
    back.tables = true;
    while (failed < 8 && i < 1000) {
        st = back_put(db, i);
        if (st == AKV_OK)
            i++;
        else
            failed += st == AKV_NOSPACE;
    }
    assert_int_equal(failed, 8);
    assert_int_equal(back_errors, 1);
    assert_true(back.refused < 100); /* tried again by writes only */
    for (unsigned k = 0; k < i; k++)
        back_expect(db, k);
    back.tables = false;
    for (unsigned k = 0; k < 50; k++)
        assert_ok(back_put(db, i + k));
    assert_ok(akv_lsm_flush(akv_lsm_of(db)));
    assert_ok(akv_close(db));
}

static void test_closing_while_flushes_fail_leaves_all_in_the_logs(void **state)
{
    for (int threads = 0; threads < 3; threads += 2) {
        akv *db = back_store("/s", threads, AKV_SYNC_NEVER);

        (void)state;
        back.tables = true;
        for (unsigned i = 0; i < 30; i++)
            assert_ok(back_put(db, i));
        assert_ok(akv_close(db));
        back.tables = false;
        db          = back_store("/s", threads, AKV_SYNC_NEVER);
        for (unsigned i = 0; i < 30; i++)
            back_expect(db, i);
        assert_ok(akv_close(db));
    }
}

static void test_a_checkpoint_copies_where_there_are_no_links(void **state)
{
    akv *db = back_store("/s", 0, AKV_SYNC_NEVER), *copy;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        assert_ok(back_put(db, i));
    back.links = true;
    assert_ok(akv_checkpoint(db, "/copy", NULL));
    assert_true(back.refused > 0);
    assert_ok(back_put(db, 100));
    copy = back_store("/copy", 0, AKV_SYNC_NEVER);
    for (unsigned i = 0; i < 100; i++)
        back_expect(copy, i);
    assert_ok(akv_verify(copy, NULL));
    assert_ok(akv_close(copy));
    assert_ok(akv_close(db));
}

static void test_periodic_without_threads_is_kept_by_writes_and_akv_work(void **state)
{
    struct timespec   nap    = {0, 30000000};
    akv              *db     = back_store("/s", 0, AKV_SYNC_PERIODIC);
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result = {0};

    (void)state;
    opt.result_out = &result;
    nanosleep(&nap, NULL);
    assert_ok(akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_int_equal(result.durability, AKV_REACHED_DEVICE);
    assert_ok(akv_put(db, akv_str("b"), akv_str("1"), NULL));
    nanosleep(&nap, NULL);
    assert_ok(akv_work(db));
    assert_status(AKV_END, akv_work(db));
    assert_ok(akv_close(db));
}

/* The last record of the oldest log goes; `synced` logs behind it say that it
 * had been on the device. */
static int back_first_log(void *user, const char *name)
{
    char *first = user;

    if (back_ends(name, ".wal") && (first[0] == '\0' || strcmp(name, first) < 0))
        snprintf(first, 32, "%s", name);
    return 0;
}

static void back_lose_end_of_first_log(const char *path)
{
    char        name[32] = "", full[64];
    static char bytes[256 << 10], zeroes[64];
    akv_file   *f;
    size_t      n, end;

    assert_ok(back.env->ops->list(back.env, path, back_first_log, name));
    snprintf(full, sizeof full, "%s/%s", path, name);
    assert_ok(back.env->ops->open(back.env, full, AKV_FILE_WRITE, &f));
    assert_ok(f->ops->read_at(f, bytes, sizeof bytes, 0, &n));
    for (end = n; end > 0 && bytes[end - 1] == 0; end--)
        continue;
    assert_true(end > 4000);
    assert_ok(f->ops->write_at(f, zeroes, sizeof zeroes, end - sizeof zeroes));
    assert_ok(f->ops->close(f));
}

static void back_gap(uint32_t sync, akv_status want)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db  = back_store("/s", 0, sync);

    back.tables = true; /* so that several logs are needed */
    for (unsigned i = 0; i < 40; i++)
        assert_ok(back_put(db, i));
    assert_ok(akv_close(db));
    back.tables = false;
    assert_true(back_logs("/s") > 2);
    back_lose_end_of_first_log("/s");
    opt.env = back.env;
    assert_status(want, akv_open("lsm", "/s", &opt, &db));
    if (want != AKV_OK) {
        assert_non_null(strstr(akv_last_error()->file, ".wal"));
        return;
    }
    back_expect(db, 0);
    assert_status(AKV_ABSENT, akv_exists(db, akv_str("k000039"), NULL));
    assert_ok(akv_close(db));
}

static void test_a_gap_before_a_log_that_was_synced_is_damage(void **state)
{
    (void)state;
    back_gap(AKV_SYNC_ALWAYS, AKV_CORRUPT);
}

static void test_a_gap_before_a_log_never_synced_is_what_power_took(void **state)
{
    (void)state;
    back_gap(AKV_SYNC_NEVER, AKV_OK);
}

int main(void)
{
#define BACK_TEST(name) cmocka_unit_test_setup_teardown(name, back_begin, back_end)
    const struct CMUnitTest tests[] = {
        BACK_TEST(test_flushes_that_fail_again_and_again_hold_on_to_all_that_was_put),
        BACK_TEST(test_a_flush_that_fails_is_logged_once_and_heals),
        BACK_TEST(test_closing_while_flushes_fail_leaves_all_in_the_logs),
        BACK_TEST(test_a_checkpoint_copies_where_there_are_no_links),
        BACK_TEST(test_periodic_without_threads_is_kept_by_writes_and_akv_work),
        BACK_TEST(test_a_gap_before_a_log_that_was_synced_is_damage),
        BACK_TEST(test_a_gap_before_a_log_never_synced_is_what_power_took),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
