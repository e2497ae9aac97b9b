/* SPDX-License-Identifier: MIT
 *
 * wal.h: the write-ahead log (format.h): files of records, each the operations
 * of one atomic write; appending to one and reading one back.
 *
 * A log file is made at its full size, by allocation or from one that is no
 * longer needed, and overwritten from its beginning, so that syncing it need
 * not write sizes. Records carry the log's number: what an earlier life of the
 * file left behind does not count.
 */
#ifndef AKVI_LSM_WAL_H
#define AKVI_LSM_WAL_H

#include "engines/lsm/entry.h"

typedef struct lsm_wal lsm_wal;

/* Make log `number` at `path`. `recycle`: an old log of ours, renamed to `path`
 * instead of making a file; NULL: make one. `size` bytes are reserved. The name is
 * durable when this returns. */
AKVI_MUST_USE akv_status akvi_lsm_wal_create(const akv_allocator *allocator, akv_env *env,
                                             const char *path, uint64_t number, const char *recycle,
                                             uint64_t size, lsm_wal **wal_out);
/* Append one record: the parts one after the other, in one write. A failure
 * leaves the log as if it had not been called, AKV_POISONED when it can't. One
 * thread at a time. */
AKVI_MUST_USE akv_status akvi_lsm_wal_append(lsm_wal *wal, const akv_slice *parts, size_t n);
/* What was appended before the call is on the device. Beside an append. */
AKVI_MUST_USE akv_status akvi_lsm_wal_sync(lsm_wal *wal);
uint64_t                 akvi_lsm_wal_size(const lsm_wal *wal); /* bytes appended */
/* Frees it whatever it answers. Takes NULL. */
akv_status akvi_lsm_wal_close(lsm_wal *wal);

typedef enum lsm_recovery {
    LSM_RECOVERY_TAIL    = 0, /* stop at the first bad record if nothing whole follows it */
    LSM_RECOVERY_STRICT  = 1, /* refuse any fault */
    LSM_RECOVERY_SALVAGE = 2  /* leave out what is bad and go on */
} lsm_recovery;

typedef struct lsm_wal_report {
    uint64_t records, bytes; /* whole ones */
    uint64_t end;            /* where the last whole one ends */
    uint64_t dropped;        /* bytes left out */
    bool     torn;           /* it ends in a record that is not whole */
} lsm_wal_report;

/* Call back with each whole record of log `number`, borrowed. Damage in the
 * middle is AKV_CORRUPT naming file and offset, unless salvaged. */
AKVI_MUST_USE akv_status akvi_lsm_wal_read(const akv_allocator *allocator, akv_env *env,
                                           const char *path, uint64_t number, lsm_recovery mode,
                                           akv_status (*each)(void *user, akv_slice record,
                                                              uint64_t offset),
                                           void *user, lsm_wal_report *report_out);

/* ------------------------------------------------- records: atomic writes */

/* Add an entry to a record that is being made; an empty buffer begins one. The
 * first entry's sequence number is set by akvi_lsm_record_number, those of the
 * others follow it. */
AKVI_MUST_USE akv_status akvi_lsm_record_add(akv_buffer *record, const lsm_entry *entry);
void                     akvi_lsm_record_number(akv_buffer *record, uint64_t first_seq);

typedef struct lsm_record_reader {
    akv_slice left;
    uint64_t  seq;
    uint32_t  n; /* entries left */
} lsm_record_reader;

/* Check a record's head. AKV_CORRUPT tells what is wrong, without a place. */
AKVI_MUST_USE akv_status akvi_lsm_record_begin(akv_slice record, lsm_record_reader *reader_out);
/* AKV_OK, AKV_END, AKV_CORRUPT. Borrowed from the record. */
AKVI_MUST_USE akv_status akvi_lsm_record_next(lsm_record_reader *r, lsm_entry *entry_out);

#endif
