/* SPDX-License-Identifier: MIT
 *
 * epoch.c: see epoch.h.
 */
#include "common/run/epoch.h"

#include "common/map/hash.h"

#include <stdatomic.h>

uint64_t akvi_epoch(akv_env *env)
{
    static _Atomic uint64_t asked;
    uint8_t                 seed[24];

    akvi_put_le64(seed, env->ops->unix_ms(env));
    akvi_put_le64(seed + 8, env->ops->monotonic_ns(env));
    akvi_put_le64(seed + 16, atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed));
    return akvi_hash(seed, sizeof seed, (uintptr_t)&asked);
}
