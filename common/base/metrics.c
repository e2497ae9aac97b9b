/* SPDX-License-Identifier: MIT
 *
 * metrics.c: see metrics.h.
 *
 * Slots are bits of one word. A thread takes a bit with acquire and its exit
 * gives it back with release, so the next owner of a slot sees what the one
 * before counted there.
 */
#include "common/base/metrics.h"

#include <pthread.h>

_Thread_local int akvi_slot_tls = -1;

static _Atomic uint64_t metrics_taken; /* bit i: slot i has an owner */
static pthread_key_t    metrics_key;   /* slot + 1, for the destructor */
static bool             metrics_has_key;
static pthread_once_t   metrics_once = PTHREAD_ONCE_INIT;

static void metrics_give(unsigned slot)
{
    atomic_fetch_and_explicit(&metrics_taken, ~(UINT64_C(1) << slot), memory_order_release);
}

/* Other destructors of the thread may count after this one: in the shared slot. */
static void metrics_thread_exit(void *value)
{
    akvi_slot_tls = (int)AKVI_SLOTS_OWN;
    metrics_give((unsigned)((uintptr_t)value - 1));
}

static void metrics_make_key(void)
{
    metrics_has_key = pthread_key_create(&metrics_key, metrics_thread_exit) == 0;
}

/* The least free slot, or AKVI_SLOTS_OWN. */
static unsigned metrics_find(void)
{
    uint64_t taken = atomic_load_explicit(&metrics_taken, memory_order_relaxed);
    unsigned slot;

    do {
        for (slot = 0; slot < AKVI_SLOTS_OWN && (taken >> slot & 1); slot++)
            ;
        if (slot == AKVI_SLOTS_OWN)
            return slot;
    } while (!atomic_compare_exchange_weak_explicit(&metrics_taken, &taken,
                                                    taken | UINT64_C(1) << slot,
                                                    memory_order_acquire, memory_order_relaxed));
    return slot;
}

int akvi_slot_take(void)
{
    unsigned slot = AKVI_SLOTS_OWN;

    pthread_once(&metrics_once, metrics_make_key);
    if (metrics_has_key)
        slot = metrics_find();
    if (slot < AKVI_SLOTS_OWN &&
        pthread_setspecific(metrics_key, (void *)((uintptr_t)slot + 1)) != 0) {
        metrics_give(slot);
        slot = AKVI_SLOTS_OWN;
    }
    akvi_slot_tls = (int)slot;
    return akvi_slot_tls;
}

/* --------------------------------------------------------------- histogram */

static unsigned metrics_bucket(uint64_t value)
{
    unsigned octave;

    if (value < 16)
        return (unsigned)value;
    octave = 63 - (unsigned)__builtin_clzll(value); /* 4..63 */
    return (octave - 3) * 16 + (unsigned)(value >> (octave - 4) & 15);
}

/* The largest value that falls into a bucket. */
static uint64_t metrics_bucket_top(unsigned bucket)
{
    unsigned shift;

    if (bucket < 32)
        return bucket;
    shift = bucket / 16 - 1;
    return (((uint64_t)(bucket % 16) + 17) << shift) - 1;
}

static void metrics_raise(_Atomic uint64_t *cell, uint64_t value)
{
    uint64_t now = atomic_load_explicit(cell, memory_order_relaxed);

    while (now < value && !atomic_compare_exchange_weak_explicit(
                              cell, &now, value, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* 0 stands for none yet. */
static void metrics_lower(_Atomic uint64_t *cell, uint64_t value)
{
    uint64_t now = atomic_load_explicit(cell, memory_order_relaxed);

    while ((now == 0 || now > value) &&
           !atomic_compare_exchange_weak_explicit(cell, &now, value, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

void akvi_histogram_record(akvi_histogram *h, uint64_t value)
{
    if (value == UINT64_MAX)
        value--; /* so that min_plus_1 can tell */
    atomic_fetch_add_explicit(&h->buckets[metrics_bucket(value)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
    metrics_raise(&h->max, value);
    metrics_lower(&h->min_plus_1, value + 1);
}

void akvi_histogram_add(akvi_histogram *into, const akvi_histogram *from)
{
    uint64_t min_plus_1 = atomic_load_explicit(&from->min_plus_1, memory_order_relaxed);

    for (unsigned i = 0; i < AKVI_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = atomic_load_explicit(&from->buckets[i], memory_order_relaxed);

        if (n != 0)
            atomic_fetch_add_explicit(&into->buckets[i], n, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&into->count,
                              atomic_load_explicit(&from->count, memory_order_relaxed),
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&into->sum, atomic_load_explicit(&from->sum, memory_order_relaxed),
                              memory_order_relaxed);
    metrics_raise(&into->max, atomic_load_explicit(&from->max, memory_order_relaxed));
    if (min_plus_1 != 0)
        metrics_lower(&into->min_plus_1, min_plus_1);
}

uint64_t akvi_histogram_quantile(const akvi_histogram *h, double q)
{
    uint64_t count = 0, seen = 0, rank, top;
    uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
    unsigned i   = 0;

    /* Not h->count, which may be ahead of or behind the buckets. */
    for (; i < AKVI_HISTOGRAM_BUCKETS; i++)
        count += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
    if (count == 0)
        return 0;
    rank = (uint64_t)(q * (double)count);
    if ((double)rank < q * (double)count || rank == 0)
        rank++;
    if (rank > count)
        rank = count;
    for (i = 0; i < AKVI_HISTOGRAM_BUCKETS - 1; i++) {
        seen += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        if (seen >= rank)
            break;
    }
    top = metrics_bucket_top(i);
    return top < max ? top : max;
}

void akvi_histogram_summary(const akvi_histogram *h, akv_histogram_summary *out)
{
    uint64_t min_plus_1 = atomic_load_explicit(&h->min_plus_1, memory_order_relaxed);

    out->count = atomic_load_explicit(&h->count, memory_order_relaxed);
    out->sum   = atomic_load_explicit(&h->sum, memory_order_relaxed);
    out->min   = min_plus_1 ? min_plus_1 - 1 : 0;
    out->max   = atomic_load_explicit(&h->max, memory_order_relaxed);
    out->p50   = akvi_histogram_quantile(h, 0.5);
    out->p90   = akvi_histogram_quantile(h, 0.9);
    out->p99   = akvi_histogram_quantile(h, 0.99);
    out->p999  = akvi_histogram_quantile(h, 0.999);
}
