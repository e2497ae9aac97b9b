/* SPDX-License-Identifier: MIT
 *
 * metrics.h: counters and latency histograms that cost a hot path next to
 * nothing.
 *
 * Each running thread owns one of AKVI_SLOTS_OWN slots, so it counts with a
 * plain load and store on a cache line of its own; threads beyond that share
 * the last slot and add atomically. Readers sum over the slots: exact once
 * writers are quiet, and never torn.
 *
 * A histogram has 16 linear buckets in each power of two (values below 16 are
 * exact), so a percentile is at most 1/16 above the truth.
 */
#ifndef AKVI_BASE_METRICS_H
#define AKVI_BASE_METRICS_H

#include <anykv/anykv.h>

#include <stdatomic.h>

#define AKVI_SLOTS_OWN 63u
#define AKVI_SLOTS     (AKVI_SLOTS_OWN + 1u)

/* This thread's slot, 0..AKVI_SLOTS_OWN; the last is shared. Slots of threads
 * that ended are used again. -1 until akvi_slot_take has run. */
extern _Thread_local int akvi_slot_tls __attribute__((tls_model("initial-exec")));
int                      akvi_slot_take(void);

static inline unsigned akvi_slot(void)
{
    int slot = akvi_slot_tls;

    return (unsigned)(__builtin_expect(slot >= 0, 1) ? slot : akvi_slot_take());
}

/* Add to a cell of the slot that akvi_slot gave. Wraps, so it may go down. */
static inline void akvi_slot_add(_Atomic uint64_t *cell, unsigned slot, uint64_t n)
{
    if (__builtin_expect(slot < AKVI_SLOTS_OWN, 1))
        atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                              memory_order_relaxed);
    else
        atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

#define AKVI_HISTOGRAM_BUCKETS 976u /* 16 exact + 60 octaves of 16 */

/* May be recorded into by many threads. Zero-filled is empty. */
typedef struct akvi_histogram {
    _Atomic uint64_t count, sum, min_plus_1, max; /* min_plus_1: 0 when empty */
    _Atomic uint64_t buckets[AKVI_HISTOGRAM_BUCKETS];
} akvi_histogram;

void akvi_histogram_record(akvi_histogram *h, uint64_t value);
void akvi_histogram_add(akvi_histogram *into, const akvi_histogram *from);
void akvi_histogram_summary(const akvi_histogram *h, akv_histogram_summary *out);
/* The largest value of the bucket that holds the q-th part, 0 < q <= 1; 0 when empty. */
uint64_t akvi_histogram_quantile(const akvi_histogram *h, double q);

#endif
