/* SPDX-License-Identifier: MIT
 *
 * mutex.c: see mutex.h.
 */
#include "common/base/mutex.h"

#include "common/base/clock.h"

#include <errno.h>

/* ------------------------------------------------------ what a thread holds */

#ifndef NDEBUG
#define MUTEX_HELD_MAX 16

typedef struct mutex_held {
    const void    *lock;
    akvi_lock_rank rank;
} mutex_held;

static _Thread_local mutex_held mutex_list[MUTEX_HELD_MAX];
static _Thread_local unsigned   mutex_list_n;

void akvi_held_take(const void *lock, akvi_lock_rank rank)
{
    for (unsigned i = 0; i < mutex_list_n; i++)
        assert(mutex_list[i].rank < rank && "taken against lock_order.h");
    assert(mutex_list_n < MUTEX_HELD_MAX);
    mutex_list[mutex_list_n++] = (mutex_held){lock, rank};
}

void akvi_held_give(const void *lock)
{
    unsigned i = 0;

    while (i < mutex_list_n && mutex_list[i].lock != lock)
        i++;
    assert(i < mutex_list_n && "given back without being held");
    mutex_list[i] = mutex_list[--mutex_list_n];
}

void akvi_held_assert(const void *lock)
{
    unsigned i = 0;

    while (i < mutex_list_n && mutex_list[i].lock != lock)
        i++;
    assert(i < mutex_list_n && "this lock must be held here");
}

void akvi_held_assert_none(void)
{
    assert(mutex_list_n == 0 && "no lock may be held here");
}
#endif

/* ------------------------------------------------------------------- locks */

void akvi_mutex_init(akvi_mutex *m, akvi_lock_rank rank)
{
    pthread_mutexattr_t attr;

    akvi_lock_ok(pthread_mutexattr_init(&attr));
#ifndef NDEBUG
    akvi_lock_ok(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
#endif
    akvi_lock_ok(pthread_mutex_init(&m->os, &attr));
    pthread_mutexattr_destroy(&attr);
    m->rank = rank;
}

void akvi_mutex_destroy(akvi_mutex *m)
{
    akvi_lock_ok(pthread_mutex_destroy(&m->os));
}

void akvi_rwlock_init(akvi_rwlock *l, akvi_lock_rank rank)
{
    pthread_rwlockattr_t attr;

    akvi_lock_ok(pthread_rwlockattr_init(&attr));
#ifdef __GLIBC__ /* elsewhere this is how they are */
    akvi_lock_ok(
        pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
#endif
    akvi_lock_ok(pthread_rwlock_init(&l->os, &attr));
    pthread_rwlockattr_destroy(&attr);
    l->rank = rank;
}

void akvi_rwlock_destroy(akvi_rwlock *l)
{
    akvi_lock_ok(pthread_rwlock_destroy(&l->os));
}

/* -------------------------------------------------------------- conditions */

void akvi_cond_init(akvi_cond *c)
{
    pthread_condattr_t attr;

    akvi_lock_ok(pthread_condattr_init(&attr));
#ifndef __APPLE__ /* which has relative waits instead */
    akvi_lock_ok(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
#endif
    akvi_lock_ok(pthread_cond_init(&c->os, &attr));
    pthread_condattr_destroy(&attr);
}

void akvi_cond_destroy(akvi_cond *c)
{
    akvi_lock_ok(pthread_cond_destroy(&c->os));
}

static struct timespec mutex_timespec(uint64_t ns)
{
    struct timespec t;

    t.tv_sec  = (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    return t;
}

bool akvi_cond_wait_until(akvi_cond *c, akvi_mutex *m, uint64_t deadline_ns)
{
    struct timespec until;
    int             rc;

    akvi_held_assert(m);
#ifdef __APPLE__
    uint64_t now = akvi_monotonic_ns();

    if (now >= deadline_ns)
        return false;
    until = mutex_timespec(deadline_ns - now);
    rc    = pthread_cond_timedwait_relative_np(&c->os, &m->os, &until);
#else
    until = mutex_timespec(deadline_ns);
    rc    = pthread_cond_timedwait(&c->os, &m->os, &until);
#endif
    assert(rc == 0 || rc == ETIMEDOUT);
    return rc != ETIMEDOUT;
}
