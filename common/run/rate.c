/* SPDX-License-Identifier: MIT
 *
 * rate.c: each taker books a span of time after those already booked, and
 * sleeps until its own begins. Idle time is not saved up.
 */
#include "common/run/rate.h"

void akvi_rate_take(akvi_rate *rate, akv_env *env, uint64_t bytes)
{
    uint64_t now, begin, end;

    if (rate->limit == 0)
        return;
    now = env->ops->monotonic_ns(env);
    end = atomic_load_explicit(&rate->free_ns, memory_order_relaxed);
    do {
        begin = end > now ? end : now;
    } while (!atomic_compare_exchange_weak_explicit(
        &rate->free_ns, &end, begin + (uint64_t)((double)bytes * 1e9 / (double)rate->limit),
        memory_order_relaxed, memory_order_relaxed));
    if (begin > now)
        env->ops->sleep_ns(env, begin - now);
}
