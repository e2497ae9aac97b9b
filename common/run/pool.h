/* SPDX-License-Identifier: MIT
 *
 * pool.h: a small pool of threads for background work.
 *
 * With 0 threads jobs wait until akvi_pool_work runs them on the caller's
 * thread. Jobs start in the order they were submitted.
 */
#ifndef AKVI_RUN_POOL_H
#define AKVI_RUN_POOL_H

#include "common/base/fail.h"

typedef struct akvi_pool akvi_pool;

AKVI_MUST_USE akv_status akvi_pool_new(const akv_allocator *allocator, unsigned threads,
                                       const char *name, akvi_pool **pool_out);
AKVI_MUST_USE akv_status akvi_pool_submit(akvi_pool *pool, void (*job)(void *user), void *user);
/* Run one waiting job here: AKV_OK, or AKV_END when none waits. */
AKVI_MUST_USE akv_status akvi_pool_work(akvi_pool *pool);
/* Until no job waits or runs; with 0 threads it runs them. */
void akvi_pool_drain(akvi_pool *pool);
/* Drains, then ends the threads. Takes NULL. */
void akvi_pool_free(akvi_pool *pool);

/* A thread that calls `tick` every period_ms until stopped: for timers. The
 * stop is prompt and waits for a running tick. */
typedef struct akvi_timer akvi_timer;
AKVI_MUST_USE akv_status  akvi_timer_start(const akv_allocator *allocator, uint64_t period_ms,
                                           void (*tick)(void *user), void          *user,
                                           akvi_timer **timer_out);
void                      akvi_timer_stop(akvi_timer *timer); /* takes NULL; frees it */

#endif
