/* SPDX-License-Identifier: MIT
 *
 * Handles from open to close and after: what keeps one open, what a closed or
 * forked one answers, counting, many threads at once, scrubbing, building.
 */
#include "tests/unit/toy.h"

#include "common/base/handle.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const akv_slice life_key = {"k", 1};

static const akv_stat *life_stat(akv *db, akv_stats **stats, const char *name)
{
    const akv_stat *stat;

    akv_stats_free(*stats);
    assert_ok(akv_stats_get(db, stats));
    stat = akv_stats_find(*stats, name);
    assert_non_null(stat);
    return stat;
}

static uint64_t life_count(akv *db, const char *name)
{
    akv_stats *stats = NULL;
    uint64_t   n     = life_stat(db, &stats, name)->u64;

    akv_stats_free(stats);
    return n;
}

/* -------------------------------------------------------------------- closing */

static void test_close_is_refused_while_anything_is_live(void **state)
{
    akv          *db = toy_new(NULL);
    akv_value     values[3], value;
    akv_slice     keys[3] = {life_key, life_key, {"x", 1}};
    akv_status    statuses[3];
    akv_iter     *its[2];
    akv_snapshot *snapshot;
    akv_batch    *batch;
    akv_stream   *stream;

    (void)state;
    toy_put(db, "k", "v");
    assert_ok(akv_get(db, life_key, NULL, &value));
    assert_status(AKV_BUSY, akv_close(db));
    assert_string_equal(akvi_pending_error()->text, "still in use: 1 value");
    assert_ok(akv_get_many(db, 3, keys, NULL, values, statuses));
    assert_ok(akv_scan(db, NULL, &its[0]));
    assert_ok(akv_scan(db, NULL, &its[1]));
    assert_ok(akv_snapshot_new(db, &snapshot));
    assert_ok(akv_batch_new(db, &batch));
    assert_ok(akv_stream_open(db, life_key, NULL, &stream));
    assert_status(AKV_BUSY, akv_close(db));
    assert_string_equal(akvi_pending_error()->text,
                        "still in use: 3 values, 2 iterators, 1 snapshot, 1 batch, 1 stream");
    assert_int_equal(life_count(db, "live_values"), 3);
    assert_int_equal(life_count(db, "live_iterators"), 2);
    akv_value_release(&value);
    akv_values_release(values, 3);
    akv_iter_free(its[0]);
    akv_snapshot_free(snapshot);
    akv_batch_free(batch);
    akv_stream_close(stream);
    assert_status(AKV_BUSY, akv_close(db));
    assert_string_equal(akvi_pending_error()->text, "still in use: 1 iterator");
    assert_string_equal(toy_text(db, "k"), "v"); /* still usable */
    akv_iter_free(its[1]);
    assert_ok(akv_close(db));
}

static void test_close_tells_the_engines_failure_and_closes(void **state)
{
    akv *db = toy_new(NULL);

    (void)state;
    toy_seen.fail_close = AKV_IO;
    assert_int_equal(akv_close(db), AKV_IO);
    toy_seen.fail_close = AKV_OK;
    assert_string_equal(akv_last_error()->engine, "toy");
    assert_int_equal(akv_close(db), AKV_MISUSE);
}

static void test_closed_handle_answers_misuse(void **state)
{
    akv      *db = toy_new(NULL);
    akv_value value;
    akv_iter *it;

    (void)state;
    assert_ok(akv_close(db));
    assert_int_equal(akv_get(db, life_key, NULL, &value), AKV_MISUSE);
    assert_string_equal(akv_last_error()->text, "akv_get: the handle was closed");
    assert_int_equal(akv_put(db, life_key, life_key, NULL), AKV_MISUSE);
    assert_int_equal(akv_scan(db, NULL, &it), AKV_MISUSE);
    assert_int_equal(akv_close(db), AKV_MISUSE);
    assert_int_equal(akv_capabilities(db), 0);
    assert_null(akvi_handle_impl(db, &toy_table));
}

static void test_closed_handles_are_not_used_again_at_once(void **state)
{
    akv *first = toy_new(NULL), *db;

    (void)state;
    assert_ok(akv_close(first));
    for (int i = 0; i < 1000; i++) {
        db = toy_new(NULL);
        assert_ptr_not_equal(db, first);
        assert_ok(akv_close(db));
    }
    assert_int_equal(akv_sync(first), AKV_MISUSE);
}

static void test_handle_gives_its_engines_part_to_that_engine_only(void **state)
{
    static akv_engine other;
    akv              *db = toy_new(NULL);

    (void)state;
    other      = toy_table;
    other.name = "elsewhere";
    assert_non_null(akvi_handle_impl(db, &toy_table));
    assert_null(akvi_handle_impl(db, &other));
    assert_null(akvi_handle_impl(NULL, &toy_table));
    assert_ok(akv_close(db));
}

/* ----------------------------------------------------------------------- fork */

static int life_child(akv *db, akv_iter *it, akv_value *value, akv_batch *batch)
{
    akv_value mine;
    akv      *own;

    if (akv_get(db, life_key, NULL, &mine) != AKV_MISUSE ||
        !strstr(akv_last_error()->text, "forked"))
        return 1;
    if (akv_iter_next(it) != AKV_MISUSE || akv_close(db) != AKV_MISUSE ||
        akv_batch_put(batch, life_key, life_key, NULL) != AKV_MISUSE)
        return 2;
    akv_value_release(value); /* these only let go */
    akv_iter_free(it);
    akv_batch_free(batch);
    /* a store of its own is fine */
    if (akv_open("toy", NULL, NULL, &own) != AKV_OK ||
        akv_put(own, life_key, life_key, NULL) != AKV_OK || akv_close(own) != AKV_OK)
        return 3;
    return 0;
}

static void test_forked_child_is_refused_and_the_parent_goes_on(void **state)
{
    akv       *db = toy_new(NULL);
    akv_value  value;
    akv_iter  *it;
    akv_batch *batch;
    pid_t      child;
    int        status;

    (void)state;
    toy_put(db, "k", "v");
    assert_ok(akv_get(db, life_key, NULL, &value));
    assert_ok(akv_scan(db, NULL, &it));
    assert_ok(akv_batch_new(db, &batch));
    fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(life_child(db, it, &value, batch));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_ok(akv_iter_next(it));
    assert_string_equal(toy_text(db, "k"), "v");
    akv_value_release(&value);
    akv_iter_free(it);
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

/* -------------------------------------------------------------------- counting */

static void test_stats_count_what_was_done(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;
    akv_stats       *stats = NULL;
    akv_iter        *it;
    akv_snapshot    *snapshot;

    (void)state;
    opt.latency_sample = 1;
    db                 = toy_new(&opt);
    toy_put(db, "a", "12345");
    toy_put(db, "b", "1");
    assert_ok(akv_delete(db, akv_str("b"), NULL));
    assert_string_equal(toy_text(db, "a"), "12345");
    assert_null(toy_text(db, "b"));
    assert_status(AKV_MISUSE, akv_put(db, akv_bytes(NULL, 1), life_key, NULL));
    assert_ok(akv_scan(db, NULL, &it));
    assert_ok(akv_iter_next(it));
    assert_status(AKV_END, akv_iter_next(it));
    akv_iter_free(it);
    assert_ok(akv_sync(db));
    assert_ok(akv_snapshot_new(db, &snapshot));
    assert_string_equal(life_stat(db, &stats, "engine")->text, "toy");
    assert_int_equal(akv_stats_find(stats, "gets")->u64, 2);
    assert_int_equal(akv_stats_find(stats, "get_hits")->u64, 1);
    assert_int_equal(akv_stats_find(stats, "get_misses")->u64, 1);
    assert_int_equal(akv_stats_find(stats, "read_bytes")->u64, 5 + 6);
    assert_int_equal(akv_stats_find(stats, "puts")->u64, 2);
    assert_int_equal(akv_stats_find(stats, "deletes")->u64, 1);
    assert_int_equal(akv_stats_find(stats, "writes")->u64, 3);
    assert_int_equal(akv_stats_find(stats, "write_bytes")->u64, 6 + 2 + 1);
    assert_int_equal(akv_stats_find(stats, "errors")->u64, 1);
    assert_int_equal(akv_stats_find(stats, "scans")->u64, 1);
    assert_int_equal(akv_stats_find(stats, "moves")->u64, 1);
    assert_int_equal(akv_stats_find(stats, "get_latency")->histogram.count, 2);
    assert_int_equal(akv_stats_find(stats, "write_latency")->histogram.count, 3);
    assert_int_equal(akv_stats_find(stats, "sync_latency")->histogram.count, 1);
    assert_int_equal(akv_stats_find(stats, "seek_latency")->histogram.count, 1);
    assert_int_equal(akv_stats_find(stats, "live_snapshots")->u64, 1);
    assert_true(akv_stats_find(stats, "memory_used")->u64 > 0);
    akv_snapshot_free(snapshot);
    assert_ok(akv_close(db));
    assert_non_null(akv_stats_find(stats, "gets")); /* a list outlives its handle */
    akv_stats_free(stats);
}

static void test_latency_is_taken_of_one_call_in_so_many(void **state)
{
    const uint32_t   samples[] = {0, 1, 10, 64};
    const uint64_t   want[]    = {0, 100, 10, 2};
    akv_open_options opt       = AKV_OPEN_OPTIONS_INIT;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        akv_stats *stats = NULL;
        akv       *db;

        opt.latency_sample = samples[i];
        db                 = toy_new(&opt);
        for (int n = 0; n < 100; n++)
            assert_null(toy_text(db, "absent"));
        assert_int_equal(life_stat(db, &stats, "get_latency")->histogram.count, want[i]);
        akv_stats_free(stats);
        assert_ok(akv_close(db));
    }
}

static void test_oldest_snapshot_has_an_age(void **state)
{
    akv          *db = toy_new(NULL);
    akv_snapshot *old, *new;

    (void)state;
    assert_int_equal(life_count(db, "oldest_snapshot"), 0);
    assert_ok(akv_snapshot_new(db, &old));
    usleep(30000);
    assert_ok(akv_snapshot_new(db, &new));
    assert_true(life_count(db, "oldest_snapshot") >= 20);
    akv_snapshot_free(old);
    assert_true(life_count(db, "oldest_snapshot") < 20);
    akv_snapshot_free(new);
    assert_ok(akv_close(db));
}

static void *life_make_iterator(void *user)
{
    akv_iter *it;

    return akv_scan(user, NULL, &it) == AKV_OK ? it : NULL;
}

static void life_assert_holder(akv *db, const char *name, const char *want)
{
    akv_stats *stats = NULL;

    assert_string_equal(life_stat(db, &stats, name)->text, want);
    akv_stats_free(stats);
}

/* The thread that holds the oldest, also when another one made a younger. */
static void test_what_pins_space_is_told_with_its_holder(void **state)
{
    akv          *db    = toy_new(NULL);
    akv_stats    *stats = NULL;
    akv_snapshot *snapshot;
    akv_iter     *own;
    void         *other;
    pthread_t     thread;
    char          me[40];

    (void)state;
    life_assert_holder(db, "oldest_snapshot_holder", "");
    life_assert_holder(db, "oldest_iterator_holder", "");
    assert_int_equal(life_count(db, "oldest_iterator"), 0);
    assert_int_equal(pthread_create(&thread, NULL, life_make_iterator, db), 0);
    assert_int_equal(pthread_join(thread, &other), 0);
    assert_non_null(other);
    usleep(30000);
    assert_true(life_count(db, "oldest_iterator") >= 20);
    assert_ok(akv_snapshot_new(db, &snapshot));
    snprintf(me, sizeof me, "%s", life_stat(db, &stats, "oldest_snapshot_holder")->text);
    akv_stats_free(stats);
    assert_int_equal(strncmp(me, "thread ", 7), 0);
    assert_ok(akv_scan(db, NULL, &own));
    stats = NULL;
    assert_string_not_equal(life_stat(db, &stats, "oldest_iterator_holder")->text, me);
    akv_stats_free(stats);
    akv_iter_free(other);
    life_assert_holder(db, "oldest_iterator_holder", me);
    assert_true(life_count(db, "oldest_iterator") < 20);
    akv_iter_free(own);
    akv_snapshot_free(snapshot);
    life_assert_holder(db, "oldest_iterator_holder", "");
    assert_ok(akv_close(db));
}

/* --------------------------------------------------------------------- threads */

#define LIFE_THREADS 8
#define LIFE_ROUNDS  400

static void *life_thread(void *user)
{
    akv      *db = user;
    akv_value value;
    akv_iter *it;

    for (int i = 0; i < LIFE_ROUNDS; i++) {
        char key[8];

        snprintf(key, sizeof key, "%d", i % 10);
        if (akv_put(db, akv_str(key), akv_str("v"), NULL) != AKV_OK ||
            akv_get(db, akv_str(key), NULL, &value) != AKV_OK)
            return user;
        akv_value_release(&value);
        if (akv_get(db, akv_bytes(NULL, 1), NULL, &value) != AKV_MISUSE ||
            akv_scan(db, NULL, &it) != AKV_OK)
            return user;
        if (akv_iter_next(it) != AKV_OK)
            return user;
        akv_iter_free(it);
        if (i % 100 == 0) {
            akv_stats *stats;
            akv       *own;

            if (akv_open("toy", NULL, NULL, &own) != AKV_OK || akv_close(own) != AKV_OK ||
                akv_stats_get(db, &stats) != AKV_OK)
                return user;
            akv_stats_free(stats);
        }
    }
    return NULL;
}

static void test_many_threads_on_one_handle_are_all_counted(void **state)
{
    akv      *db = toy_new(NULL);
    pthread_t threads[LIFE_THREADS];
    void     *failed;

    (void)state;
    for (int i = 0; i < LIFE_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, life_thread, db), 0);
    for (int i = 0; i < LIFE_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(life_count(db, "puts"), LIFE_THREADS * LIFE_ROUNDS);
    assert_int_equal(life_count(db, "get_hits"), LIFE_THREADS * LIFE_ROUNDS);
    assert_int_equal(life_count(db, "errors"), LIFE_THREADS * LIFE_ROUNDS);
    assert_int_equal(life_count(db, "live_values"), 0);
    assert_int_equal(life_count(db, "live_iterators"), 0);
    assert_ok(akv_close(db));
}

static void *life_release(void *user)
{
    akv_value_release(user);
    return NULL;
}

static void test_value_may_be_released_by_another_thread(void **state)
{
    akv      *db = toy_new(NULL);
    pthread_t thread;
    akv_value value;

    (void)state;
    toy_put(db, "k", "v");
    assert_ok(akv_get(db, life_key, NULL, &value));
    assert_int_equal(pthread_create(&thread, NULL, life_release, &value), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(life_count(db, "live_values"), 0);
    assert_ok(akv_close(db));
}

/* ----------------------------------------------------------------------- scrub */

static void test_scrub_verifies_again_and_again_until_stopped(void **state)
{
    akv            *db  = toy_new(NULL);
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;

    (void)state;
    toy_seen.verifies = 0;
    assert_ok(akv_scrub_start(db, 0, &opt));
    assert_status(AKV_BUSY, akv_scrub_start(db, 0, &opt));
    while (toy_seen.verifies < 3)
        usleep(1000);
    assert_ok(akv_scrub_stop(db));
    assert_ok(akv_scrub_stop(db));
    assert_true(life_count(db, "scrub_rounds") >= 2);
    /* a long period does not keep close waiting */
    assert_ok(akv_scrub_start(db, 3600, NULL));
    assert_ok(akv_close(db));
}

static int life_enough(void *user, uint64_t done, uint64_t total, const char *unit)
{
    (void)done;
    (void)total;
    (void)unit;
    return ++*(int *)user >= 2;
}

static int life_close_in_scrub(void *user, uint64_t done, uint64_t total, const char *unit)
{
    (void)done;
    (void)total;
    (void)unit;
    assert_int_equal(akv_close(user), AKV_BUSY);
    return 1;
}

static void test_scrub_without_threads_is_done_by_akv_work(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv_job_options  job = AKV_JOB_OPTIONS_INIT;
    akv             *db;

    (void)state;
    opt.threads = 0;
    db          = toy_new(&opt);
    assert_ok(akv_scrub_start(db, 0, NULL));
    usleep(20000);
    assert_int_equal(life_count(db, "scrub_rounds"), 0);
    assert_ok(akv_work(db));
    assert_ok(akv_work(db));
    assert_int_equal(life_count(db, "scrub_rounds"), 2);
    assert_ok(akv_scrub_stop(db));
    assert_status(AKV_END, akv_work(db));
    assert_ok(akv_scrub_start(db, 3600, NULL));
    assert_ok(akv_work(db));
    assert_status(AKV_END, akv_work(db));
    assert_int_equal(life_count(db, "scrub_rounds"), 3);
    assert_ok(akv_scrub_stop(db));
    job.progress = life_close_in_scrub;
    job.user     = db;
    assert_ok(akv_scrub_start(db, 0, &job));
    assert_ok(akv_work(db));
    assert_status(AKV_END, akv_work(db));
    assert_int_equal(life_count(db, "scrub_rounds"), 3);
    assert_ok(akv_close(db));
}

static void test_scrub_ends_when_its_caller_says_so(void **state)
{
    akv            *db    = toy_new(NULL);
    akv_job_options opt   = AKV_JOB_OPTIONS_INIT;
    int             calls = 0;

    (void)state;
    toy_seen.verifies = 0;
    opt.progress      = life_enough;
    opt.user          = &calls;
    assert_ok(akv_scrub_start(db, 0, &opt));
    while (toy_seen.verifies < 2)
        usleep(1000);
    usleep(20000);
    assert_ok(akv_scrub_stop(db));
    assert_int_equal(calls, 2);
    assert_ok(akv_close(db));
}

/* ------------------------------------------------------------------- building */

static akv_engine life_builder; /* takes puts until it is finished */

static akv *life_build(void)
{
    akv *db;

    if (!life_builder.name) {
        life_builder          = toy_table;
        life_builder.name     = "builder";
        life_builder.caps     = AKV_CAP_READ | AKV_CAP_ORDERED | AKV_CAP_SNAPSHOT | AKV_CAP_BUILD;
        life_builder.finish   = toy_finish;
        life_builder.abort    = toy_abort;
        life_builder.building = toy_building;
        assert_ok(akv_register(&life_builder));
    }
    assert_ok(akv_open("builder", NULL, NULL, &db));
    return db;
}

static void test_build_takes_puts_then_answers_reads(void **state)
{
    akv      *db = life_build();
    akv_value value;
    akv_iter *it;

    (void)state;
    assert_ok(akv_put(db, life_key, akv_str("v"), NULL));
    assert_status(AKV_UNSUPPORTED, akv_get(db, life_key, NULL, &value));
    assert_error_has("akv_finish");
    assert_status(AKV_UNSUPPORTED, akv_scan(db, NULL, &it));
    assert_ok(akv_put(db, akv_str("gone"), akv_str("v"), NULL));
    assert_ok(akv_delete(db, akv_str("gone"), NULL));
    assert_status(AKV_UNSUPPORTED, akv_delete_range(db, life_key, akv_str("z"), NULL));
    assert_int_equal(akv_capabilities(db) & AKV_CAP_READ, 0);
    assert_status(AKV_BUSY, akv_close(db));
    assert_error_has("unfinished build");
    assert_ok(akv_finish(db, NULL));
    assert_true(akv_capabilities(db) & AKV_CAP_READ);
    assert_true(akv_capabilities(db) & AKV_CAP_ORDERED);
    assert_int_equal(akv_capabilities(db) & AKV_CAP_BUILD, 0);
    assert_string_equal(toy_text(db, "k"), "v");
    assert_status(AKV_ABSENT, akv_exists(db, akv_str("gone"), NULL));
    assert_status(AKV_UNSUPPORTED, akv_put(db, life_key, akv_str("v"), NULL));
    assert_ok(akv_finish(db, NULL));
    assert_status(AKV_UNSUPPORTED, akv_abort(db));
    assert_ok(akv_close(db));
}

static void test_build_aborted_can_only_be_closed(void **state)
{
    akv      *db = life_build();
    akv_value value;

    (void)state;
    assert_ok(akv_put(db, life_key, akv_str("v"), NULL));
    assert_ok(akv_abort(db));
    assert_status(AKV_UNSUPPORTED, akv_get(db, life_key, NULL, &value));
    assert_status(AKV_UNSUPPORTED, akv_put(db, life_key, akv_str("v"), NULL));
    assert_ok(akv_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close_is_refused_while_anything_is_live),
        cmocka_unit_test(test_close_tells_the_engines_failure_and_closes),
        cmocka_unit_test(test_closed_handle_answers_misuse),
        cmocka_unit_test(test_closed_handles_are_not_used_again_at_once),
        cmocka_unit_test(test_handle_gives_its_engines_part_to_that_engine_only),
        cmocka_unit_test(test_forked_child_is_refused_and_the_parent_goes_on),
        cmocka_unit_test(test_stats_count_what_was_done),
        cmocka_unit_test(test_latency_is_taken_of_one_call_in_so_many),
        cmocka_unit_test(test_oldest_snapshot_has_an_age),
        cmocka_unit_test(test_what_pins_space_is_told_with_its_holder),
        cmocka_unit_test(test_many_threads_on_one_handle_are_all_counted),
        cmocka_unit_test(test_value_may_be_released_by_another_thread),
        cmocka_unit_test(test_scrub_verifies_again_and_again_until_stopped),
        cmocka_unit_test(test_scrub_without_threads_is_done_by_akv_work),
        cmocka_unit_test(test_scrub_ends_when_its_caller_says_so),
        cmocka_unit_test(test_build_takes_puts_then_answers_reads),
        cmocka_unit_test(test_build_aborted_can_only_be_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
