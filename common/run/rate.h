/* SPDX-License-Identifier: MIT
 *
 * rate.h: a bound on bytes a second that background threads share.
 */
#ifndef AKVI_RUN_RATE_H
#define AKVI_RUN_RATE_H

#include <anykv/env.h>
#include <stdatomic.h>

typedef struct akvi_rate {
    uint64_t         limit;   /* bytes a second; 0: none */
    _Atomic uint64_t free_ns; /* when all that was taken so far is paid for */
} akvi_rate;

/* Sleep until `bytes` more may be moved. Any thread. */
void akvi_rate_take(akvi_rate *rate, akv_env *env, uint64_t bytes);

#endif
