/* SPDX-License-Identifier: MIT
 *
 * test_mutex.c: locks, conditions, and the order that debug builds assert.
 */
#include "tests/testing.h"

#include "common/base/clock.h"
#include "common/base/mutex.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static akvi_mutex  mutex_low  = AKVI_MUTEX_INIT(AKVI_RANK_STORE);
static akvi_mutex  mutex_high = AKVI_MUTEX_INIT(AKVI_RANK_POOL);
static akvi_rwlock mutex_rw;

static void test_locks_are_taken_by_rising_rank(void **state)
{
    (void)state;
    akvi_mutex_lock(&mutex_low);
    akvi_mutex_lock(&mutex_high);
    akvi_mutex_assert_held(&mutex_low);
    akvi_mutex_assert_held(&mutex_high);
    akvi_mutex_unlock(&mutex_low); /* given back in any order */
    akvi_mutex_unlock(&mutex_high);
    akvi_held_assert_none();
    akvi_rwlock_init(&mutex_rw, AKVI_RANK_STORE);
    akvi_rwlock_read(&mutex_rw);
    akvi_rwlock_assert_held(&mutex_rw);
    akvi_rwlock_unlock(&mutex_rw);
    akvi_rwlock_write(&mutex_rw);
    akvi_mutex_lock(&mutex_high);
    akvi_mutex_unlock(&mutex_high);
    akvi_rwlock_unlock(&mutex_rw);
    akvi_rwlock_destroy(&mutex_rw);
}

#ifndef NDEBUG
static void mutex_against_the_order(void)
{
    akvi_mutex_lock(&mutex_high);
    akvi_mutex_lock(&mutex_low);
}

static void mutex_twice(void)
{
    akvi_mutex_lock(&mutex_low);
    akvi_mutex_lock(&mutex_low);
}

static void mutex_read_twice(void)
{
    akvi_rwlock_init(&mutex_rw, AKVI_RANK_STORE);
    akvi_rwlock_read(&mutex_rw);
    akvi_rwlock_read(&mutex_rw);
}

static void mutex_give_what_is_not_held(void)
{
    akvi_mutex_unlock(&mutex_low);
}

static void mutex_assert_what_is_not_held(void)
{
    akvi_mutex_lock(&mutex_high);
    akvi_mutex_assert_held(&mutex_low);
}

static void mutex_call_back_with_a_lock(void)
{
    akvi_mutex_lock(&mutex_high);
    akvi_held_assert_none();
}

/* Whether `act` ends its process by abort. */
static bool mutex_aborts(void (*act)(void))
{
    const struct rlimit no_core = {0, 0};
    pid_t               child   = fork();
    int                 status  = 0;

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        act();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
#endif

static void test_debug_build_stops_at_a_lock_out_of_order(void **state)
{
    (void)state;
#ifdef NDEBUG
    skip();
#else
    assert_true(mutex_aborts(mutex_against_the_order));
    assert_true(mutex_aborts(mutex_twice));
    assert_true(mutex_aborts(mutex_read_twice));
    assert_true(mutex_aborts(mutex_give_what_is_not_held));
    assert_true(mutex_aborts(mutex_assert_what_is_not_held));
    assert_true(mutex_aborts(mutex_call_back_with_a_lock));
#endif
}

/* ----------------------------------------------------------------- threads */

typedef struct mutex_shared {
    akvi_mutex  mu;
    akvi_rwlock rw;
    akvi_cond   turn;
    unsigned    count, whose;
    uint64_t    a, b; /* equal whenever rw is not held for writing */
    bool        torn;
} mutex_shared;

static void *mutex_ping(void *user)
{
    mutex_shared *s = user;

    for (int i = 0; i < 200; i++) {
        akvi_mutex_lock(&s->mu);
        while (s->whose != 1)
            akvi_cond_wait(&s->turn, &s->mu);
        s->whose = 0;
        s->count++;
        akvi_cond_broadcast(&s->turn);
        akvi_mutex_unlock(&s->mu);
    }
    return NULL;
}

static void test_threads_take_turns_by_condition(void **state)
{
    mutex_shared s = {0};
    pthread_t    thread;

    (void)state;
    akvi_mutex_init(&s.mu, AKVI_RANK_LEAF);
    akvi_cond_init(&s.turn);
    assert_int_equal(pthread_create(&thread, NULL, mutex_ping, &s), 0);
    for (int i = 0; i < 200; i++) {
        akvi_mutex_lock(&s.mu);
        while (s.whose != 0)
            akvi_cond_wait(&s.turn, &s.mu);
        s.whose = 1;
        akvi_cond_signal(&s.turn);
        akvi_mutex_unlock(&s.mu);
    }
    pthread_join(thread, NULL);
    assert_int_equal(s.count, 200);
    akvi_cond_destroy(&s.turn);
    akvi_mutex_destroy(&s.mu);
}

static void test_timed_wait_ends_at_its_deadline(void **state)
{
    mutex_shared s     = {0};
    uint64_t     until = akvi_monotonic_ns() + 20000000;

    (void)state;
    akvi_mutex_init(&s.mu, AKVI_RANK_LEAF);
    akvi_cond_init(&s.turn);
    akvi_mutex_lock(&s.mu);
    while (akvi_cond_wait_until(&s.turn, &s.mu, until))
        ;
    assert_true(akvi_monotonic_ns() >= until);
    assert_false(akvi_cond_wait_until(&s.turn, &s.mu, 0)); /* long past */
    akvi_mutex_assert_held(&s.mu);
    akvi_mutex_unlock(&s.mu);
    akvi_cond_destroy(&s.turn);
    akvi_mutex_destroy(&s.mu);
}

static void *mutex_reader(void *user)
{
    mutex_shared *s    = user;
    bool          torn = false;

    for (int i = 0; i < 1000; i++) {
        akvi_rwlock_read(&s->rw);
        torn |= s->a != s->b;
        akvi_rwlock_unlock(&s->rw);
    }
    return torn ? user : NULL;
}

static void test_writers_are_alone(void **state)
{
    mutex_shared s = {0};
    pthread_t    threads[3];

    (void)state;
    akvi_rwlock_init(&s.rw, AKVI_RANK_LEAF);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mutex_reader, &s), 0);
    for (int i = 0; i < 1000; i++) {
        akvi_rwlock_write(&s.rw);
        s.a++;
        s.b++;
        akvi_rwlock_unlock(&s.rw);
    }
    for (int i = 0; i < 3; i++) {
        void *torn;

        pthread_join(threads[i], &torn);
        assert_null(torn);
    }
    akvi_rwlock_destroy(&s.rw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locks_are_taken_by_rising_rank),
        cmocka_unit_test(test_debug_build_stops_at_a_lock_out_of_order),
        cmocka_unit_test(test_threads_take_turns_by_condition),
        cmocka_unit_test(test_timed_wait_ends_at_its_deadline),
        cmocka_unit_test(test_writers_are_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
