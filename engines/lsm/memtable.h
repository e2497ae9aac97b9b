/* SPDX-License-Identifier: MIT
 *
 * memtable.h: the newest entries, in memory, in order.
 *
 * One thread adds at a time; any number read meanwhile, without a lock. What is
 * in stays until the last reference goes, so its bytes may be handed out to
 * whoever holds one.
 */
#ifndef AKVI_LSM_MEMTABLE_H
#define AKVI_LSM_MEMTABLE_H

#include "engines/lsm/entry.h"

typedef struct lsm_memtable lsm_memtable;

AKVI_MUST_USE akv_status akvi_lsm_memtable_new(const akv_allocator *allocator,
                                               lsm_memtable       **memtable_out);
/* The maker holds the first reference. */
void akvi_lsm_memtable_ref(lsm_memtable *m);
void akvi_lsm_memtable_unref(lsm_memtable *m); /* takes NULL */

/* Make room for `n` entries of `bytes` key and value bytes in all, so that the
 * adds of those that follow can't fail. */
AKVI_MUST_USE akv_status akvi_lsm_memtable_reserve(lsm_memtable *m, size_t n, size_t bytes);
/* Copies the bytes. Sequence numbers rise. */
void akvi_lsm_memtable_add(lsm_memtable *m, const lsm_entry *entry);

/* The entry of `key` with the highest sequence number <= seq: AKV_OK or
 * AKV_ABSENT; ranges take no part. Borrowed for as long as a reference. */
akv_status akvi_lsm_memtable_get(const lsm_memtable *m, akv_slice key, uint64_t seq,
                                 lsm_entry *entry_out);
/* The highest sequence number <= seq of a DELETE_RANGE that holds key, or 0. */
uint64_t akvi_lsm_memtable_covered(const lsm_memtable *m, akv_slice key, uint64_t seq);
/* The ranges, in no order; *n_out of them. Stable while a reference is held. */
const lsm_entry *akvi_lsm_memtable_ranges(const lsm_memtable *m, size_t *n_out);

/* Over the entries but ranges; needs a reference, and keeps one. It sees what
 * is added after as well: readers leave out what is above their number. */
AKVI_MUST_USE akv_status akvi_lsm_memtable_cursor(lsm_memtable *m, lsm_cursor **cursor_out);

uint64_t akvi_lsm_memtable_entries(const lsm_memtable *m); /* with ranges */
size_t   akvi_lsm_memtable_bytes(const lsm_memtable *m);   /* memory held */

#endif
