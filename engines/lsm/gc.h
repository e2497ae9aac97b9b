/* SPDX-License-Identifier: MIT
 *
 * gc.h: what a merge of tables may leave out: entries that no reader can see
 * any more.
 *
 * Snapshots cut the sequence numbers into stripes. Of the entries of one key in
 * one stripe only the newest can be seen. In the oldest stripe, below every
 * snapshot, a tombstone goes too once nothing lies below it, and whatever a
 * DELETE_RANGE holds goes.
 */
#ifndef AKVI_LSM_GC_H
#define AKVI_LSM_GC_H

#include "engines/lsm/db.h"

typedef struct lsm_gc {
    const akv_allocator *allocator;
    uint64_t            *snapshots; /* ascending */
    size_t               n;
    uint64_t             now_ms;
    lsm_spans            spans; /* of ranges in the oldest stripe */
    /* Levels below the merge's output, to see whether they hold a key; NULL:
     * not known, nothing is the last of its key. */
    const lsm_version *below;
    unsigned           output;
    size_t             at[LSM_LEVELS];
    /* the key before */
    akv_buffer key;
    bool       has_key;
    size_t     stripe;
    uint64_t   dropped;
} lsm_gc;

/* The snapshots of now. */
AKVI_MUST_USE akv_status akvi_lsm_gc_init(lsm_gc *gc, lsm_db *db, const lsm_version *below,
                                          unsigned output);
void                     akvi_lsm_gc_free(lsm_gc *gc);
/* All ranges of the merge, then akvi_lsm_gc_begin. */
AKVI_MUST_USE akv_status akvi_lsm_gc_ranges(lsm_gc *gc, const lsm_entry *ranges, size_t n);
AKVI_MUST_USE akv_status akvi_lsm_gc_begin(lsm_gc *gc);
/* Whether an entry stays; called for each, in order. What has expired becomes a
 * tombstone. */
AKVI_MUST_USE akv_status akvi_lsm_gc_look(lsm_gc *gc, lsm_entry *entry, bool *keep_out);
/* Whether a range may go: it is in the oldest stripe, and nothing is below. */
bool akvi_lsm_gc_range_done(lsm_gc *gc, const lsm_entry *range);

#endif
