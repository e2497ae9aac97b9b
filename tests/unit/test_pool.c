/* SPDX-License-Identifier: MIT
 *
 * test_pool.c: the thread pool and the timer.
 */
#include "tests/testing.h"

#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/run/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

typedef struct pool_log {
    char            text[64];
    _Atomic int64_t count;
    akvi_pool      *pool;
} pool_log;

typedef struct pool_letter {
    pool_log *log;
    char      letter;
} pool_letter;

static void pool_write(void *user)
{
    pool_letter *l = user;

    l->log->text[strlen(l->log->text)] = l->letter;
}

static void test_pool_without_threads_runs_jobs_here_in_order(void **state)
{
    pool_log    log     = {0};
    pool_letter jobs[3] = {{&log, 'a'}, {&log, 'b'}, {&log, 'c'}};
    akvi_pool  *pool;

    (void)state;
    assert_ok(akvi_pool_new(NULL, 0, "test", &pool));
    assert_status(AKV_END, akvi_pool_work(pool));
    for (int i = 0; i < 3; i++)
        assert_ok(akvi_pool_submit(pool, pool_write, &jobs[i]));
    assert_string_equal(log.text, "");
    assert_ok(akvi_pool_work(pool));
    assert_string_equal(log.text, "a");
    akvi_pool_drain(pool);
    assert_string_equal(log.text, "abc");
    assert_status(AKV_END, akvi_pool_work(pool));
    assert_ok(akvi_pool_submit(pool, pool_write, &jobs[0]));
    akvi_pool_free(pool);
    assert_string_equal(log.text, "abca");
    akvi_pool_free(NULL);
}

static void test_pool_of_one_thread_keeps_the_order(void **state)
{
    pool_log    log = {0};
    pool_letter jobs[20];
    akvi_pool  *pool;

    (void)state;
    assert_ok(akvi_pool_new(NULL, 1, "a name longer than the system takes", &pool));
    for (int i = 0; i < 20; i++) {
        jobs[i] = (pool_letter){&log, (char)('a' + i)};
        assert_ok(akvi_pool_submit(pool, pool_write, &jobs[i]));
    }
    akvi_pool_drain(pool);
    assert_string_equal(log.text, "abcdefghijklmnopqrst");
    akvi_pool_free(pool);
}

static void pool_count(void *user)
{
    atomic_fetch_add(&((pool_log *)user)->count, 1);
}

static void pool_submit_more(void *user)
{
    pool_log *log = user;

    for (int i = 0; i < 3; i++) {
        if (akvi_pool_submit(log->pool, pool_count, log) != AKV_OK)
            atomic_fetch_sub(&log->count, 1000000);
    }
}

static void *pool_submitter(void *user)
{
    for (int i = 0; i < 200; i++)
        pool_submit_more(user);
    return NULL;
}

static void test_pool_runs_every_job_once_from_many_threads(void **state)
{
    pool_log  log = {0};
    pthread_t threads[4];

    (void)state;
    assert_ok(akvi_pool_new(NULL, 3, "test", &log.pool));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pool_submitter, &log), 0);
    for (int i = 0; i < 100; i++)
        assert_in_range(akvi_pool_work(log.pool), AKV_OK, AKV_END); /* here as well */
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    akvi_pool_drain(log.pool);
    assert_int_equal(log.count, 4 * 200 * 3);
    akvi_pool_free(log.pool);
}

static void test_pool_drain_waits_for_jobs_of_jobs(void **state)
{
    pool_log log = {0};

    (void)state;
    for (unsigned threads = 0; threads < 3; threads++) {
        log.count = 0;
        assert_ok(akvi_pool_new(NULL, threads, "test", &log.pool));
        for (int i = 0; i < 10; i++)
            assert_ok(akvi_pool_submit(log.pool, pool_submit_more, &log));
        akvi_pool_drain(log.pool);
        assert_int_equal(log.count, 30);
        akvi_pool_free(log.pool);
    }
}

static void pool_fail(void *user)
{
    akv_error *seen = user;

    AKV_FAIL(AKV_IO, "in a job");
    *seen = *akvi_pending_error();
}

static void test_pool_jobs_record_failures_of_their_own(void **state)
{
    akv_error  seen = {0};
    akvi_pool *pool;

    (void)state;
    assert_ok(akvi_pool_new(NULL, 0, "test", &pool));
    akvi_call_begin();
    AKV_FAIL(AKV_BUSY, "the caller's");
    assert_int_equal(akvi_pool_submit(pool, pool_fail, &seen), AKV_OK);
    assert_int_equal(akvi_pool_work(pool), AKV_OK);
    assert_string_equal(seen.text, "in a job");
    assert_string_equal(akvi_pending_error()->text, "the caller's");
    akvi_pool_free(pool);
}

static void test_pool_survives_every_failed_allocation(void **state)
{
    bool failed = true;

    (void)state;
    for (uint64_t nth = 1; failed; nth++) {
        pool_log   log  = {0};
        akvi_pool *pool = NULL;
        akv_status rc   = akvi_pool_new(akvt_failing_allocator(nth), 2, "test", &pool);
        int64_t    want = 0;

        failed = rc != AKV_OK;
        if (failed) {
            assert_int_equal(rc, AKV_NOMEM);
            assert_null(pool);
        }
        for (int i = 0; i < 3 && pool; i++) {
            rc = akvi_pool_submit(pool, pool_count, &log);
            want += rc == AKV_OK;
            failed |= rc != AKV_OK;
        }
        akvi_pool_free(pool);
        assert_int_equal(log.count, want);
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

/* ------------------------------------------------------------------- timer */

static void test_timer_ticks_until_stopped(void **state)
{
    pool_log    log = {0};
    akvi_timer *timer;
    int64_t     count;

    (void)state;
    assert_ok(akvi_timer_start(akvt_failing_allocator(0), 1, pool_count, &log, &timer));
    while (atomic_load(&log.count) < 3)
        sched_yield();
    akvi_timer_stop(timer);
    count = log.count;
    sched_yield();
    assert_int_equal(log.count, count);
    assert_int_equal(akvt_allocator_out(), 0);
    akvi_timer_stop(NULL);
}

static void test_timer_stop_is_prompt(void **state)
{
    pool_log    log   = {0};
    uint64_t    begin = akvi_monotonic_ns();
    akvi_timer *timer;

    (void)state;
    assert_ok(akvi_timer_start(NULL, 3600000, pool_count, &log, &timer));
    akvi_timer_stop(timer);
    assert_ok(akvi_timer_start(NULL, UINT64_MAX, pool_count, &log, &timer));
    akvi_timer_stop(timer);
    assert_int_equal(log.count, 0);
    assert_true(akvi_monotonic_ns() - begin < UINT64_C(60000000000));
}

static void test_timer_without_memory_does_not_start(void **state)
{
    pool_log    log   = {0};
    akvi_timer *timer = (akvi_timer *)&log;

    (void)state;
    assert_status(AKV_NOMEM,
                  akvi_timer_start(akvt_failing_allocator(1), 1, pool_count, &log, &timer));
    assert_null(timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_without_threads_runs_jobs_here_in_order),
        cmocka_unit_test(test_pool_of_one_thread_keeps_the_order),
        cmocka_unit_test(test_pool_runs_every_job_once_from_many_threads),
        cmocka_unit_test(test_pool_drain_waits_for_jobs_of_jobs),
        cmocka_unit_test(test_pool_jobs_record_failures_of_their_own),
        cmocka_unit_test(test_pool_survives_every_failed_allocation),
        cmocka_unit_test(test_timer_ticks_until_stopped),
        cmocka_unit_test(test_timer_stop_is_prompt),
        cmocka_unit_test(test_timer_without_memory_does_not_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
