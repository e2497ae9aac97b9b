/* SPDX-License-Identifier: MIT
 *
 * wal.h: the write-ahead log (format.h): files of records, each the operations
 * of one atomic write; appending to one and reading one back. The manifest is
 * such a log too.
 *
 * A log file is made with room for its full size, or from one that is no longer
 * needed, and overwritten from its beginning, so that syncing it need not write
 * sizes. Checksums depend on the log's number: what an earlier life of the file
 * left behind does not count.
 *
 * WHERE A LOG ENDS, AND WHAT IS DAMAGE. Behind each record stand zeroes, the end
 * mark, which the next record overwrites. A log that ends there is clean. Each
 * record also tells up to which offset the log was synced when it was written.
 * When something bad is met, at offset B, the rest of the file is searched for
 * what is whole, and the highest offset S told there is taken.
 *
 *  - S > B: what is bad had been synced. No loss of power explains it: this is
 *    damage, AKV_CORRUPT.
 *  - S <= B: nothing from B on was known to be synced. A loss of power may tear
 *    it, keep later pieces and drop earlier ones, so whole records behind a hole
 *    are no sign of damage. The log ends at B, a prefix of what was appended,
 *    and the report says what was left out.
 *
 * So a fault in what was synced is found as soon as one record was written
 * after the sync, or the log was closed with all of it synced. Of a log that is
 * never synced no more can be said than where it ends.
 *
 * OF SEVERAL LOGS, read in the order of their numbers, all up to the first gap
 * count: where a log's first sequence number does not follow the last that was
 * read, stop. When logs are synced in order (no sync of one before all of the
 * one before it is synced), a gap before a log whose report says synced > 0 is
 * damage; else it is what a loss of power left.
 */
#ifndef AKVI_LSM_WAL_H
#define AKVI_LSM_WAL_H

#include "engines/lsm/entry.h"

#include <anykv/env.h>

typedef struct lsm_wal lsm_wal;

typedef enum lsm_log_content { LSM_LOG_WAL = 0, LSM_LOG_MANIFEST = 1 } lsm_log_content;

/* Make log `number` at `path`. `recycle`: an old log of ours, renamed to `path`
 * instead of making a file; NULL: make one. `size` bytes are reserved. The name
 * and the log's head are durable when this returns. */
AKVI_MUST_USE akv_status akvi_lsm_log_create(const akv_allocator *allocator, akv_env *env,
                                             const char *path, lsm_log_content content,
                                             uint64_t number, const char *recycle, uint64_t size,
                                             lsm_wal **wal_out);
AKVI_MUST_USE static inline akv_status akvi_lsm_wal_create(const akv_allocator *allocator,
                                                           akv_env *env, const char *path,
                                                           uint64_t number, const char *recycle,
                                                           uint64_t size, lsm_wal **wal_out)
{
    return akvi_lsm_log_create(allocator, env, path, LSM_LOG_WAL, number, recycle, size, wal_out);
}

/* Append one record: the parts one after the other, in one write. A failure
 * leaves the log as if it had not been called, AKV_POISONED when it can't:
 * nothing can be appended then. AKV_TOO_BIG: the log would pass 4 GiB. One
 * thread at a time. */
AKVI_MUST_USE akv_status akvi_lsm_wal_append(lsm_wal *wal, const akv_slice *parts, size_t n);
/* What was appended before the call is on the device. Beside an append; one
 * sync at a time. After a failure nobody knows what is: don't go on with it. */
AKVI_MUST_USE akv_status akvi_lsm_wal_sync(lsm_wal *wal);
uint64_t                 akvi_lsm_wal_size(const lsm_wal *wal); /* bytes appended */
/* Syncs nothing; when all was synced before, marks it so. Frees it whatever it
 * answers. Takes NULL. */
akv_status akvi_lsm_wal_close(lsm_wal *wal);

typedef enum lsm_recovery {
    LSM_RECOVERY_TAIL    = 0, /* stop at the first bad record unless it is damage */
    LSM_RECOVERY_STRICT  = 1, /* refuse whatever does not end clean */
    LSM_RECOVERY_SALVAGE = 2  /* leave out what is bad and go on */
} lsm_recovery;

typedef struct lsm_wal_report {
    uint64_t records, bytes; /* whole ones, and their contents */
    uint64_t end;            /* where the last whole one ends */
    uint64_t dropped;        /* bytes left out, as far as can be told */
    uint64_t synced;         /* up to here it had been synced; 0: not known */
    bool     torn;           /* it does not end clean */
} lsm_wal_report;

/* Call back with each whole record of log `number`, borrowed, and the offset
 * where it begins, until the callback answers other than AKV_OK. Damage is
 * AKV_CORRUPT naming file and offset, unless salvaged; features not known here
 * are AKV_VERSION. The report is filled whatever the answer. Log `number` may be
 * growing meanwhile. */
AKVI_MUST_USE akv_status akvi_lsm_log_read(const akv_allocator *allocator, akv_env *env,
                                           const char *path, lsm_log_content content,
                                           uint64_t number, lsm_recovery mode,
                                           akv_status (*each)(void *user, akv_slice record,
                                                              uint64_t offset),
                                           void *user, lsm_wal_report *report_out);
AKVI_MUST_USE static inline akv_status akvi_lsm_wal_read(
    const akv_allocator *allocator, akv_env *env, const char *path, uint64_t number,
    lsm_recovery mode, akv_status (*each)(void *user, akv_slice record, uint64_t offset),
    void *user, lsm_wal_report *report_out)
{
    return akvi_lsm_log_read(allocator, env, path, LSM_LOG_WAL, number, mode, each, user,
                             report_out);
}

/* ------------------------------------------------- records: atomic writes */

/* Add an entry to a record that is being made; an empty buffer begins one. The
 * first entry's sequence number is set by akvi_lsm_record_number, those of the
 * others follow it. */
AKVI_MUST_USE akv_status akvi_lsm_record_add(akv_buffer *record, const lsm_entry *entry);
/* The same without the value's bytes, which are to follow as the next part: so
 * that a large value need not be copied. */
AKVI_MUST_USE akv_status akvi_lsm_record_add_head(akv_buffer *record, const lsm_entry *entry);
void                     akvi_lsm_record_number(akv_buffer *record, uint64_t first_seq);

typedef struct lsm_record_reader {
    akv_slice left;
    uint64_t  seq;
    uint32_t  n; /* entries left */
} lsm_record_reader;

/* Check a record's head. AKV_CORRUPT tells what is wrong, without a place. */
AKVI_MUST_USE akv_status akvi_lsm_record_begin(akv_slice record, lsm_record_reader *reader_out);
/* AKV_OK, AKV_END, AKV_CORRUPT, AKV_VERSION (a kind not known here). Borrowed from the record. */
AKVI_MUST_USE akv_status akvi_lsm_record_next(lsm_record_reader *r, lsm_entry *entry_out);

#endif
