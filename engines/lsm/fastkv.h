/* SPDX-License-Identifier: MIT
 *
 * fastkv.h: reading a folder of FastKV's, to import it: its write-ahead log, its
 * manifest and its version-1 SSTables. Nothing there is changed.
 *
 * All integers are big-endian, checksums are CRC-32 as zlib's.
 *
 *   manifest.dat        "FASTKVMAN", u8 version 1, u32 count; each: u8 level, u64
 *                       id, u16 length and path, u32 length and smallest key, the
 *                       same of the largest, u64 keys, u64 size
 *   wal/wal_*.log       records: u32 length of all of it, u64 sequence number, f64
 *                       seconds, u8 0 put or 1 delete, u32 key length, u32 value
 *                       length, key, value, u32 checksum of all but the length
 *   sstables/sstable_ID_Ln.dat, bulk_ID_L1.dat
 *                       "FASTKVSST", u8 version 1, u64 keys, u32 length and
 *                       smallest key, the same of the largest, u8 has filter, u32
 *                       length and filter, u8 hashes, u32 blocks; the blocks; u32
 *                       offset of each. A block: u32 its size, entry heads of 22
 *                       bytes (u32 key offset, u16 key length, u32 value offset,
 *                       u32 value length, u64 sequence number; offsets count from
 *                       the block), all keys, all values. Its number of entries is
 *                       told by the first key's offset alone.
 *
 * Sequence numbers there begin anew at each opening, so they say nothing: what
 * counts is the order of the log's segments by name, and of records in them; of
 * tables, the level and then the id.
 */
#ifndef AKVI_LSM_FASTKV_H
#define AKVI_LSM_FASTKV_H

#include "engines/lsm/entry.h"

#include <anykv/env.h>

typedef struct lsm_fastkv_report {
    uint64_t tables, table_entries;
    uint64_t logs, log_records;
    uint64_t faults; /* told to the job: what they stand for was left out */
} lsm_fastkv_report;

/* Call back with every put and delete, older ones first, so that of those with
 * one key the last counts; slices are borrowed, `seq` rises from 1. Values that
 * are JSON are tagged so, others are raw. Faults go to the job with file and
 * offset, and the rest is read nevertheless. AKV_ABSENT: nothing of FastKV's is
 * in the folder. What the callback answers other than AKV_OK ends it. */
AKVI_MUST_USE akv_status akvi_lsm_fastkv_read(const akv_allocator *allocator, akv_env *env,
                                              const char *folder, akv_job *job,
                                              akv_status (*each)(void            *user,
                                                                 const lsm_entry *entry),
                                              void *user, lsm_fastkv_report *report_out);

#endif
