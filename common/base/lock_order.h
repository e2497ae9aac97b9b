/* SPDX-License-Identifier: MIT
 *
 * lock_order.h: the order in which the locks of this process are taken.
 *
 * A thread takes locks by rising rank only, so no two threads can wait for
 * each other. It follows that a thread never holds two locks of one rank, nor
 * one lock twice, also not for reading. Debug builds assert it (mutex.h).
 *
 * The order follows the layers from above: the front layer's locks may be held
 * while an engine is called, an engine's while the env is called. Loggers and
 * the callbacks of jobs run with none of these held, since they may call back.
 *
 * A new lock gets a rank here. Numbers are spaced to leave room; only their
 * order means something.
 */
#ifndef AKVI_BASE_LOCK_ORDER_H
#define AKVI_BASE_LOCK_ORDER_H

typedef enum akvi_lock_rank {
    /* front layer */
    AKVI_RANK_ENGINES = 100, /* the process's list of engines */
    AKVI_RANK_HANDLES = 110, /* the process's list of open handles */
    AKVI_RANK_SCRUB   = 120, /* a handle's background verify: start and stop */
    AKVI_RANK_HANDLE  = 130, /* a handle's live objects */
    AKVI_RANK_PIN     = 140, /* a handle's lists of what pins space */

    /* engines */
    AKVI_RANK_BUILD       = 200, /* a store under construction */
    AKVI_RANK_MAINTAIN    = 210, /* one compaction, checkpoint or repair at a time */
    AKVI_RANK_WRITE       = 220, /* the order of writers */
    AKVI_RANK_STORE       = 230, /* a store's tables */
    AKVI_RANK_STORE_PART  = 240, /* one key space, shard or segment of it */
    AKVI_RANK_CHANGES     = 250, /* a change feed's history and its waiters */
    AKVI_RANK_STORE_CACHE = 260, /* caches and free lists */

    /* common services */
    AKVI_RANK_POOL  = 300, /* a pool's queue; jobs run without it */
    AKVI_RANK_TIMER = 310, /* a timer's stop flag; ticks run without it */

    /* files: a wrapping env before the one it wraps */
    AKVI_RANK_ENV_FAULT  = 400, /* injected faults: plan and unsynced writes */
    AKVI_RANK_ENV_MEMORY = 410, /* the in-memory tree and its files */
    AKVI_RANK_ENV_POSIX  = 415, /* one open file: its end, lock and mappings */
    AKVI_RANK_FILE_LOCKS = 420, /* the process's registry of file locks */

    /* held while calling nothing of ours */
    AKVI_RANK_LOG  = 500, /* log targets of our own */
    AKVI_RANK_LEAF = 510  /* what has no place above */
} akvi_lock_rank;

#endif
