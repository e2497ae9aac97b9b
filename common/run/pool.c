/* SPDX-License-Identifier: MIT
 *
 * pool.c: see pool.h.
 *
 * Threads take no signals, so that the program's handlers run on its own. A
 * job may submit jobs, but must not drain or free its pool.
 */
#include "common/run/pool.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/mutex.h"

#include <signal.h>
#include <stdio.h>

#define POOL_NAME_MAX 16 /* what Linux keeps, with its NUL */

/* ----------------------------------------------------------------- threads */

static akv_status pool_start_thread(pthread_t *thread_out, void *(*run)(void *), void *user)
{
    sigset_t all, before;
    int      err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(thread_out, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0)
        return AKV_FAIL_ERRNO(err, NULL, AKV_NO_OFFSET, "can't start a thread");
    return AKV_OK;
}

static void pool_name_thread(const char *name)
{
#if defined(__linux__)
    pthread_setname_np(pthread_self(), name);
#elif defined(__APPLE__)
    pthread_setname_np(name);
#else
    (void)name;
#endif
}

/* -------------------------------------------------------------------- pool */

typedef struct pool_job pool_job;
struct pool_job {
    pool_job *next;
    void (*run)(void *user);
    void *user;
};

struct akvi_pool {
    /* fixed after new */
    const akv_allocator *allocator;
    unsigned             threads_n; /* that run; allocated are threads_cap */
    unsigned             threads_cap;
    pthread_t           *threads;
    char                 name[POOL_NAME_MAX];
    /* guarded by mu */
    akvi_mutex       mu;
    akvi_cond        ready; /* a job waits, or stopping */
    akvi_cond        idle;  /* no job waits or runs */
    pool_job *first  AKVI_GUARDED_BY(mu);
    pool_job **last  AKVI_GUARDED_BY(mu); /* where the next one is linked */
    unsigned running AKVI_GUARDED_BY(mu);
    bool stopping    AKVI_GUARDED_BY(mu);
};

/* Call a job or tick as a call of its own: what it records is neither hidden
 * by what was recorded here before nor left behind. */
static void pool_call(void (*run)(void *user), void *user)
{
    akvi_call_state call;

    akvi_call_save(&call);
    akvi_call_begin();
    run(user);
    akvi_call_restore(&call);
}

/* Run the job at the queue's head; gives the lock up meanwhile. */
static void pool_run_first(akvi_pool *pool) AKVI_REQUIRES(pool->mu)
{
    pool_job *job = pool->first;

    pool->first = job->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->running++;
    akvi_mutex_unlock(&pool->mu);
    pool_call(job->run, job->user);
    akvi_free(pool->allocator, job, sizeof *job);
    akvi_mutex_lock(&pool->mu);
    pool->running--;
    if (pool->running == 0 && !pool->first)
        akvi_cond_broadcast(&pool->idle);
}

static void *pool_thread(void *user)
{
    akvi_pool *pool = user;

    pool_name_thread(pool->name);
    akvi_mutex_lock(&pool->mu);
    for (;;) {
        if (pool->first)
            pool_run_first(pool);
        else if (pool->stopping)
            break;
        else
            akvi_cond_wait(&pool->ready, &pool->mu);
    }
    akvi_mutex_unlock(&pool->mu);
    return NULL;
}

akv_status akvi_pool_new(const akv_allocator *allocator, unsigned threads, const char *name,
                         akvi_pool **pool_out)
{
    akvi_pool *pool = akvi_zalloc(allocator, sizeof *pool);
    akv_status rc   = AKV_OK;

    *pool_out = NULL;
    if (!pool)
        return AKV_NOMEM;
    pool->allocator = allocator;
    pool->last      = &pool->first;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    akvi_mutex_init(&pool->mu, AKVI_RANK_POOL);
    akvi_cond_init(&pool->ready);
    akvi_cond_init(&pool->idle);
    pool->threads = akvi_alloc_n(allocator, threads, sizeof *pool->threads);
    if (pool->threads)
        pool->threads_cap = threads;
    else
        rc = AKV_NOMEM;
    while (rc == AKV_OK && pool->threads_n < threads) {
        rc = pool_start_thread(&pool->threads[pool->threads_n], pool_thread, pool);
        pool->threads_n += rc == AKV_OK;
    }
    if (rc == AKV_OK)
        *pool_out = pool;
    else
        akvi_pool_free(pool);
    return rc;
}

akv_status akvi_pool_submit(akvi_pool *pool, void (*job)(void *user), void *user)
{
    pool_job *j = akvi_alloc(pool->allocator, sizeof *j);

    if (!j)
        return AKV_NOMEM;
    *j = (pool_job){NULL, job, user};
    akvi_mutex_lock(&pool->mu);
    *pool->last = j;
    pool->last  = &j->next;
    akvi_cond_signal(&pool->ready);
    akvi_mutex_unlock(&pool->mu);
    return AKV_OK;
}

akv_status akvi_pool_work(akvi_pool *pool)
{
    akv_status rc = AKV_END;

    akvi_mutex_lock(&pool->mu);
    if (pool->first) {
        pool_run_first(pool);
        rc = AKV_OK;
    }
    akvi_mutex_unlock(&pool->mu);
    return rc;
}

void akvi_pool_drain(akvi_pool *pool)
{
    akvi_mutex_lock(&pool->mu);
    while (pool->first || pool->running > 0) {
        if (pool->first && pool->threads_n == 0)
            pool_run_first(pool);
        else
            akvi_cond_wait(&pool->idle, &pool->mu);
    }
    akvi_mutex_unlock(&pool->mu);
}

void akvi_pool_free(akvi_pool *pool)
{
    if (!pool)
        return;
    akvi_pool_drain(pool);
    akvi_mutex_lock(&pool->mu);
    pool->stopping = true;
    akvi_cond_broadcast(&pool->ready);
    akvi_mutex_unlock(&pool->mu);
    for (unsigned i = 0; i < pool->threads_n; i++)
        pthread_join(pool->threads[i], NULL);
    akvi_cond_destroy(&pool->idle);
    akvi_cond_destroy(&pool->ready);
    akvi_mutex_destroy(&pool->mu);
    akvi_free(pool->allocator, pool->threads, pool->threads_cap * sizeof *pool->threads);
    akvi_free(pool->allocator, pool, sizeof *pool);
}

/* ------------------------------------------------------------------- timer */

struct akvi_timer {
    /* fixed after start */
    const akv_allocator *allocator;
    uint64_t             period_ns;
    void (*tick)(void *user);
    void     *user;
    pthread_t thread;
    /* guarded by mu */
    akvi_mutex    mu;
    akvi_cond     stop_asked;
    bool stopping AKVI_GUARDED_BY(mu);
};

/* Ticks that a slow one overran are left out. */
static uint64_t pool_next_tick(const akvi_timer *timer, uint64_t last)
{
    uint64_t now = akvi_monotonic_ns();
    uint64_t due = last > UINT64_MAX - timer->period_ns ? UINT64_MAX : last + timer->period_ns;

    return due > now ? due : now;
}

static void *pool_timer_thread(void *user)
{
    akvi_timer *timer = user;
    uint64_t    due   = pool_next_tick(timer, akvi_monotonic_ns());

    pool_name_thread("akv-timer");
    akvi_mutex_lock(&timer->mu);
    while (!timer->stopping) {
        if (akvi_monotonic_ns() < due) {
            (void)akvi_cond_wait_until(&timer->stop_asked, &timer->mu, due);
            continue;
        }
        akvi_mutex_unlock(&timer->mu);
        pool_call(timer->tick, timer->user);
        due = pool_next_tick(timer, due);
        akvi_mutex_lock(&timer->mu);
    }
    akvi_mutex_unlock(&timer->mu);
    return NULL;
}

static void pool_timer_free(akvi_timer *timer)
{
    akvi_cond_destroy(&timer->stop_asked);
    akvi_mutex_destroy(&timer->mu);
    akvi_free(timer->allocator, timer, sizeof *timer);
}

akv_status akvi_timer_start(const akv_allocator *allocator, uint64_t period_ms,
                            void (*tick)(void *user), void *user, akvi_timer **timer_out)
{
    akvi_timer *timer = akvi_zalloc(allocator, sizeof *timer);
    akv_status  rc;

    *timer_out = NULL;
    if (!timer)
        return AKV_NOMEM;
    timer->allocator = allocator;
    timer->period_ns = period_ms > UINT64_MAX / 1000000u ? UINT64_MAX : period_ms * 1000000u;
    timer->tick      = tick;
    timer->user      = user;
    akvi_mutex_init(&timer->mu, AKVI_RANK_TIMER);
    akvi_cond_init(&timer->stop_asked);
    rc = pool_start_thread(&timer->thread, pool_timer_thread, timer);
    if (rc == AKV_OK)
        *timer_out = timer;
    else
        pool_timer_free(timer);
    return rc;
}

void akvi_timer_stop(akvi_timer *timer)
{
    if (!timer)
        return;
    akvi_mutex_lock(&timer->mu);
    timer->stopping = true;
    akvi_cond_signal(&timer->stop_asked);
    akvi_mutex_unlock(&timer->mu);
    pthread_join(timer->thread, NULL);
    pool_timer_free(timer);
}
