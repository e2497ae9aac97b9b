/* SPDX-License-Identifier: MIT
 *
 * epoch.h: telling one life of a store from another.
 */
#ifndef AKVI_RUN_EPOCH_H
#define AKVI_RUN_EPOCH_H

#include <anykv/env.h>

/* A number that no other call has answered, as good as: from the clocks, where
 * this process's code lies, and how often it has asked. */
uint64_t akvi_epoch(akv_env *env);

#endif
