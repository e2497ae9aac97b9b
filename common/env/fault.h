/* SPDX-License-Identifier: MIT
 *
 * fault.h: an env over another that fails on demand and loses power.
 *
 * Failures: the n-th call of the chosen kinds fails, once or from then on.
 * Power loss: the env remembers, for every file and folder, what was synced
 * and what was not. akvi_fault_power_loss puts the base env into a state that
 * a real machine could be found in; unsynced.h says which those are. After it
 * every open file answers AKV_IO until closed; open them anew.
 *
 * All of a store's files must be changed through the one fault env, by paths
 * that no symbolic link makes ambiguous. Any thread.
 */
#ifndef AKVI_ENV_FAULT_H
#define AKVI_ENV_FAULT_H

#include "common/base/fail.h"

#include <anykv/env.h>

enum {
    AKVI_FAULT_OPEN   = 1u << 0,
    AKVI_FAULT_READ   = 1u << 1,
    AKVI_FAULT_WRITE  = 1u << 2, /* write_at, append, truncate, allocate */
    AKVI_FAULT_SYNC   = 1u << 3, /* of files and folders */
    AKVI_FAULT_RENAME = 1u << 4, /* and link, remove, make_folder */
    AKVI_FAULT_MAP    = 1u << 5,
    AKVI_FAULT_LOCK   = 1u << 6,
    AKVI_FAULT_INFO   = 1u << 7, /* and list */
    AKVI_FAULT_ALL    = (1u << 8) - 1
};

typedef enum akvi_fault_how {
    AKVI_FAULT_FAIL  = 0, /* with `err`, nothing done */
    AKVI_FAULT_SHORT = 1, /* a write lands in part, then fails with `err`; a read comes in pieces */
    AKVI_FAULT_CRASH = 2  /* power is lost just before the call: this and all later calls fail */
} akvi_fault_how;

typedef struct akvi_fault_plan {
    uint32_t       kinds; /* AKVI_FAULT_* that count */
    uint64_t       nth;   /* the first call that fails, from 1; 0: none */
    uint64_t       times; /* how many fail; 0: all from there on */
    int            err;   /* EIO, ENOSPC, ... */
    akvi_fault_how how;
} akvi_fault_plan;

AKVI_MUST_USE akv_status akvi_fault_new(akv_env *base, const akv_allocator *allocator,
                                        akv_env **env_out);
void                     akvi_fault_free(akv_env *env); /* all its files closed; takes NULL */
/* Set the plan and begin to count at 0. */
void akvi_fault_plan_set(akv_env *env, const akvi_fault_plan *plan);
/* Calls counted since, and how many of them were made to fail. */
uint64_t akvi_fault_calls(akv_env *env);
uint64_t akvi_fault_hits(akv_env *env);
/* Lose power now; `seed` chooses among the legal outcomes, 0 drops all that
 * was not synced, UINT64_MAX keeps all. Clears the plan. */
AKVI_MUST_USE akv_status akvi_fault_power_loss(akv_env *env, uint64_t seed);

/* The same faults at the system calls of the POSIX env: every read and write
 * is interrupted (EINTR) and cut short while it is on. For tests. */
void akvi_posix_set_short_io(bool on);

#endif
