/* SPDX-License-Identifier: MIT
 *
 * lock_registry.h: which files this process has locked, and by which open.
 *
 * The system's locks tell processes apart; that two opens of one file within a
 * process are told apart too, and told who holds the file, is made sure here.
 * A file is known by device and inode, an open of it by the address of its
 * akv_file. Any thread.
 */
#ifndef AKVI_ENV_LOCK_REGISTRY_H
#define AKVI_ENV_LOCK_REGISTRY_H

#include "common/base/fail.h"

/* Lock a file for `owner`, or change the kind of the lock that it holds.
 * AKV_LOCKED, naming this process, when another open stands against it. */
AKVI_MUST_USE akv_status akvi_lock_take(uint64_t device, uint64_t inode, const void *owner,
                                        bool exclusive, const char *path);
/* Nothing happens when `owner` holds no lock on it. With `keep_shared` the lock
 * stays, as a shared one. */
void akvi_lock_release(uint64_t device, uint64_t inode, const void *owner, bool keep_shared);

#endif
