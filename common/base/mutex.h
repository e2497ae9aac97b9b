/* SPDX-License-Identifier: MIT
 *
 * mutex.h: pthread locks that know their place in the lock order.
 *
 * Without NDEBUG each thread lists the locks it holds, and an assertion stops
 * at the first that is taken out of order, taken twice, or given back without
 * being held. With NDEBUG what is left is the pthread call.
 *
 * Locks are not recursive. Waiting readers let a waiting writer go first where
 * the system can do that.
 */
#ifndef AKVI_BASE_MUTEX_H
#define AKVI_BASE_MUTEX_H

#include "common/base/lock_order.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Checked by clang -Wthread-safety where they stand on functions; on fields
 * they say to readers which lock guards what. */
#ifdef __clang__
#define AKVI_TAG(x) __attribute__((x))
#else
#define AKVI_TAG(x)
#endif
#define AKVI_GUARDED_BY(lock)
#define AKVI_REQUIRES(lock) AKVI_TAG(requires_capability(lock))

typedef struct AKVI_TAG(capability("mutex")) akvi_mutex {
    pthread_mutex_t os;
    akvi_lock_rank  rank;
} akvi_mutex;

typedef struct AKVI_TAG(capability("mutex")) akvi_rwlock {
    pthread_rwlock_t os;
    akvi_lock_rank   rank;
} akvi_rwlock;

typedef struct akvi_cond {
    pthread_cond_t os;
} akvi_cond;

/* For locks that last as long as the process. */
#define AKVI_MUTEX_INIT(rank)             \
    {                                     \
        PTHREAD_MUTEX_INITIALIZER, (rank) \
    }

void akvi_mutex_init(akvi_mutex *m, akvi_lock_rank rank);
void akvi_mutex_destroy(akvi_mutex *m);
void akvi_rwlock_init(akvi_rwlock *l, akvi_lock_rank rank);
void akvi_rwlock_destroy(akvi_rwlock *l);
void akvi_cond_init(akvi_cond *c);
void akvi_cond_destroy(akvi_cond *c);

/* The thread's list. Taking asserts the order, giving that it was held. */
#ifdef NDEBUG
static inline void akvi_held_take(const void *lock, akvi_lock_rank rank)
{
    (void)lock;
    (void)rank;
}
static inline void akvi_held_give(const void *lock)
{
    (void)lock;
}
static inline void akvi_held_assert(const void *lock)
{
    (void)lock;
}
static inline void akvi_held_assert_none(void)
{
}
#else
void akvi_held_take(const void *lock, akvi_lock_rank rank);
void akvi_held_give(const void *lock);
void akvi_held_assert(const void *lock);
/* Before the user is called back. */
void akvi_held_assert_none(void);
#endif

static inline void akvi_lock_ok(int rc)
{
    assert(rc == 0);
    (void)rc;
}

static inline void akvi_mutex_lock(akvi_mutex *m) AKVI_TAG(acquire_capability(*m))
    AKVI_TAG(no_thread_safety_analysis)
{
    akvi_held_take(m, m->rank);
    akvi_lock_ok(pthread_mutex_lock(&m->os));
}

static inline void akvi_mutex_unlock(akvi_mutex *m) AKVI_TAG(release_capability(*m))
    AKVI_TAG(no_thread_safety_analysis)
{
    akvi_held_give(m);
    akvi_lock_ok(pthread_mutex_unlock(&m->os));
}

static inline void akvi_mutex_assert_held(const akvi_mutex *m) AKVI_TAG(assert_capability(*m))
{
    akvi_held_assert(m);
}

static inline void akvi_rwlock_read(akvi_rwlock *l) AKVI_TAG(acquire_shared_capability(*l))
    AKVI_TAG(no_thread_safety_analysis)
{
    akvi_held_take(l, l->rank);
    akvi_lock_ok(pthread_rwlock_rdlock(&l->os));
}

static inline void akvi_rwlock_write(akvi_rwlock *l) AKVI_TAG(acquire_capability(*l))
    AKVI_TAG(no_thread_safety_analysis)
{
    akvi_held_take(l, l->rank);
    akvi_lock_ok(pthread_rwlock_wrlock(&l->os));
}

/* Ends a read or a write. */
static inline void akvi_rwlock_unlock(akvi_rwlock *l) AKVI_TAG(release_generic_capability(*l))
    AKVI_TAG(no_thread_safety_analysis)
{
    akvi_held_give(l);
    akvi_lock_ok(pthread_rwlock_unlock(&l->os));
}

/* Held for reading or for writing. */
static inline void akvi_rwlock_assert_held(const akvi_rwlock *l) AKVI_TAG(assert_capability(*l))
{
    akvi_held_assert(l);
}

/* Waits may end without a signal: test the condition again. */
static inline void akvi_cond_wait(akvi_cond *c, akvi_mutex *m) AKVI_REQUIRES(*m)
{
    akvi_held_assert(m);
    akvi_lock_ok(pthread_cond_wait(&c->os, &m->os));
}

/* Until signalled or akvi_monotonic_ns() reaches deadline_ns; false then. */
bool akvi_cond_wait_until(akvi_cond *c, akvi_mutex *m, uint64_t deadline_ns) AKVI_REQUIRES(*m);

static inline void akvi_cond_signal(akvi_cond *c)
{
    akvi_lock_ok(pthread_cond_signal(&c->os));
}

static inline void akvi_cond_broadcast(akvi_cond *c)
{
    akvi_lock_ok(pthread_cond_broadcast(&c->os));
}

#endif
