/* SPDX-License-Identifier: MIT
 *
 * lsm.h: the lsm engine: a log-structured merge tree, for stores that are
 * written much and may be larger than memory.
 *
 * A write goes to the end of a log and into a sorted table in memory, the
 * memtable; a full memtable becomes a file, an SSTable, on level 0; background
 * work merges the files of a level into the next, each about ten times as large
 * as the one above. A read looks into the memtables, then into at most one file
 * of each level, and filters spare it most of those. (O'Neil et al., "The
 * Log-Structured Merge-Tree", 1996.)
 *
 * A store is a folder; its files are described in engines/lsm/format.h. One
 * process writes; others may read beside it (AKV_OPEN_READ_ONLY): they see what
 * was written when they opened, and akv_lsm_catch_up shows them what came after.
 * The folder may be moved while it is closed.
 *
 * Threads that it starts: `threads` of akv_open_options for flushes and
 * compactions ("akv-lsm"; by default 2), and with AKV_SYNC_PERIODIC a timer.
 * With none, writes do that work themselves when they must, and akv_work does
 * it before; AKV_SYNC_PERIODIC is then kept by the first write or akv_work after
 * the period, so call akv_work when there is nothing to write.
 *
 * Durability: as anykv.h says. The log is written before akv_put returns, and
 * synced as the store's or the write's word asks. A failed sync poisons the
 * store for writing; a full disk does not. On ext2 to ext4, XFS and tmpfs small
 * records are stored into the log through a mapping of room that was written
 * before, which spares a system call and survives the process as a write does;
 * as with any mapping, a device that fails under it, or another process that
 * cuts the file, raises SIGBUS.
 *
 * FROM FASTKV. Its stores are read by akv_lsm_import_fastkv. What its calls are here:
 *
 *   durability NONE        sync=never       AKV_SYNC_NEVER
 *   durability BACKGROUND  sync=periodic    AKV_SYNC_PERIODIC, with a bound: sync_period
 *   durability SYNC        sync=always      AKV_SYNC_ALWAYS
 *   put, get, delete       akv_put, akv_get_copy, akv_delete
 *   batch_put              akv_batch_put and akv_write: atomic here
 *   scan(prefix, limit)    akv_scan with prefix and limit of akv_scan_options
 *   bulk_load              akv_lsm_bulk_begin, akv_lsm_bulk_put, akv_lsm_bulk_finish
 *   flush, compact         akv_lsm_flush, akv_compact
 *   values                 the encoding with each: raw, JSON, MessagePack, opaque
 *
 * and the fields of its stats, among those of akv_stats_get:
 *
 *   memtable_size          memtable_bytes, of all memtables
 *   memtable_keys          memtable_entries, likewise
 *   immutable_memtables    memtables less 1
 *   total_sstables         the sum of level0_tables to level6_tables
 *   L0_files, L1_files...  level0_tables, level1_tables...; left out where there are none
 *   total_keys             table_entries and memtable_entries, with old versions and
 *                          tombstones; akv_count counts exactly
 *   seq_num                sequence
 *
 * Limits: keys of 0 to 65,535 bytes, values of 0 to 1 GiB, a batch of 1 GiB.
 */
#ifndef ANYKV_LSM_H
#define ANYKV_LSM_H

#include <anykv/anykv.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AKV_LSM_MAX_KEY   UINT64_C(65535)
#define AKV_LSM_MAX_VALUE (UINT64_C(1) << 30)

/* ----------------------------------------------------------------- options */

typedef enum akv_lsm_recovery {
    /* Read each log to its last whole record. What lies behind a bad one is
     * what power took, unless it was surely on the device: then AKV_CORRUPT. */
    AKV_LSM_RECOVER_TAIL = 0,
    /* Any fault is AKV_CORRUPT. */
    AKV_LSM_RECOVER_STRICT = 1,
    /* Leave out what is bad and keep all that is not. */
    AKV_LSM_RECOVER_SALVAGE = 2
} akv_lsm_recovery;

/* Why writes are held back. */
typedef enum akv_lsm_stall_cause {
    AKV_LSM_STALL_MEMTABLES = 0, /* full memtables wait to be flushed */
    AKV_LSM_STALL_LEVEL0    = 1, /* level 0 has too many files */
    AKV_LSM_STALL_DEBT      = 2  /* compaction is too far behind */
} akv_lsm_stall_cause;

/* NULL means AKV_LSM_OPTIONS_INIT. Sizes are in bytes. */
typedef struct akv_lsm_options {
    akv_engine_options head;
    uint64_t           write_buffer; /* a memtable becomes a file at this size; default 64 MiB */
    uint64_t block_cache;      /* uncompressed blocks, index and filters kept; default 64 MiB */
    uint64_t table_size;       /* files that compaction writes, about; default 64 MiB */
    uint64_t level_base;       /* the first level below level 0; default 256 MiB */
    uint64_t block_size;       /* of data before compression, about; default 4 KiB */
    uint64_t rate_limit;       /* of flushes and compactions, bytes a second; 0: none */
    uint32_t write_buffers;    /* memtables at most, with those being flushed; default 4 */
    uint32_t level_ratio;      /* of a level's size to the one above; default 10 */
    uint32_t level0_compact;   /* files on level 0 that start a compaction; default 4 */
    uint32_t level0_slowdown;  /* that slow writes down; default 20 */
    uint32_t level0_stop;      /* that stop them; default 36 */
    uint32_t restart_interval; /* keys between two stored whole, to 255; default 16 */
    uint32_t filter_bits;      /* a key; 0: no filters; default 10 (1 % false positives) */
    uint32_t prefix_filter;    /* bytes of keys whose scans by prefix filters serve; default 0 */
    uint32_t recovery;         /* akv_lsm_recovery; default TAIL */
    bool     mapped;           /* read tables through mappings; default off */
    uint8_t  reserved[3];
    /* Of each level from 0, the last for all below: none, snappy, zlib, lz4,
     * zstd, and perhaps a level of it, "none,none,lz4,zstd:5". Default
     * "none,none,snappy". */
    const char *compression;
    /* Told when writes begin to be delayed or stopped, and when that ends, on
     * the writing thread; must not use the store. May be NULL. */
    void (*stall)(void *user, akv_lsm_stall_cause cause, bool begins, bool stopped);
    void *stall_user;
} akv_lsm_options;
#define AKV_LSM_OPTIONS_INIT                                                               \
    {                                                                                      \
        {sizeof(akv_lsm_options), "lsm"}, UINT64_C(64) << 20, UINT64_C(64) << 20,          \
            UINT64_C(64) << 20, UINT64_C(256) << 20, 4096, 0, 4, 10, 4, 20, 36, 16, 10, 0, \
            AKV_LSM_RECOVER_TAIL, false, {0}, "none,none,snappy", NULL, NULL               \
    }

/* ------------------------------------------------------------ native calls */

typedef struct akv_lsm akv_lsm;

/* The store inside a handle that akv_open made, borrowed until akv_close; NULL
 * when it is another engine's. */
AKV_API akv_lsm *akv_lsm_of(akv *db);

/* Write all memtables to level 0 and wait for it: afterwards no log is needed. */
AKV_API akv_status akv_lsm_flush(akv_lsm *lsm);

/* Merge what lies in [lower, upper) down to the last level; an empty upper
 * means to the end. akv_compact does it for all keys. */
AKV_API akv_status akv_lsm_compact_range(akv_lsm *lsm, akv_slice lower, akv_slice upper,
                                         const akv_job_options *opt);

/* In a reader beside another process's writer: see what was written since.
 * Iterators and snapshots keep what they see. */
AKV_API akv_status akv_lsm_catch_up(akv_lsm *lsm);

/* ------------------------------------------------------------ loading much
 *
 * Many records at once, in any order, without the log: sorted in memory and
 * through files of the store's folder, then made part of the store in one step,
 * as tables of the lowest level that has room for them. Of records with one key
 * the last counts. It takes one memtable (write_buffer) of memory more, and on
 * the device at most twice the load's size while it runs.
 *
 *     akv_lsm_bulk *load;
 *
 *     rc = akv_lsm_bulk_begin(akv_lsm_of(db), &load);
 *     while (rc == AKV_OK && next(&key, &value))
 *         rc = akv_lsm_bulk_put(load, key, value, 0, AKV_ENCODING_RAW);
 *     if (rc == AKV_OK)
 *         rc = akv_lsm_bulk_finish(load, NULL);
 *     if (rc != AKV_OK)
 *         akv_lsm_bulk_abort(load);
 *
 * Nothing of a load is seen before its finish, then all of it, as one write that
 * is newer than all before it; a crash leaves all or nothing. Other threads read
 * and write meanwhile; finish holds writes back while it flushes the memtable.
 * One thread at a time uses a load; several may be under way. Each must be
 * finished or aborted before akv_close. */

typedef struct akv_lsm_bulk akv_lsm_bulk;

AKV_API akv_status akv_lsm_bulk_begin(akv_lsm *lsm, akv_lsm_bulk **bulk_out);
/* Key and value are copied. `expiry_ms`: Unix time, 0 for never; `encoding`: of
 * akv_encoding. After a failure the load is as it was before the call. */
AKV_API akv_status akv_lsm_bulk_put(akv_lsm_bulk *bulk, akv_slice key, akv_slice value,
                                    uint64_t expiry_ms, uint32_t encoding);
AKV_API akv_status akv_lsm_bulk_delete(akv_lsm_bulk *bulk, akv_slice key);
/* Durable when it answers AKV_OK, and the load is freed. After a failure nothing
 * of it is in the store, and it may be finished again or aborted. */
AKV_API akv_status akv_lsm_bulk_finish(akv_lsm_bulk *bulk, const akv_job_options *opt);
AKV_API void       akv_lsm_bulk_abort(akv_lsm_bulk *bulk); /* takes NULL */

/* What an import found; entries and records count deletes too. */
typedef struct akv_lsm_imported {
    uint64_t tables, table_entries;
    uint64_t logs, log_records;
    uint64_t faults;
} akv_lsm_imported;

/* Load a folder of FastKV's: its version-1 tables and its log, in one step, as a
 * load of the calls above. Nothing there is changed. Values that are JSON get
 * the encoding JSON, others stay raw. What is damaged is told to opt->fault with
 * file and offset, and the rest is imported. AKV_UNSUPPORTED: the folder is none
 * of FastKV's. `imported_out` may be NULL. */
AKV_API akv_status akv_lsm_import_fastkv(akv_lsm *lsm, const char *folder,
                                         const akv_job_options *opt,
                                         akv_lsm_imported      *imported_out);

/* --------------------------------------------------------------- looking in */

typedef enum akv_lsm_dump_kind {
    AKV_LSM_DUMP_FILE       = 0, /* a file begins: number, bytes */
    AKV_LSM_DUMP_RECORD     = 1, /* of a log: sequence (the first entry's), entries, bytes */
    AKV_LSM_DUMP_ENTRY      = 2, /* of a record or a table: op, sequence, expiry_ms, encoding,
                                    key, value; of a range value is its end, empty for none */
    AKV_LSM_DUMP_EDIT       = 3, /* of a manifest: number (logs below it are in tables),
                                    next_file, sequence (the last in tables); 0: unchanged */
    AKV_LSM_DUMP_ADDED      = 4, /* a table in an edit: level, and as PROPERTIES */
    AKV_LSM_DUMP_REMOVED    = 5, /* number, level */
    AKV_LSM_DUMP_PROPERTIES = 6  /* of a table: number, bytes, entries, deletes, ranges,
                                    smallest_sequence, sequence (the largest), key and value
                                    (the smallest and the largest key), unbounded */
} akv_lsm_dump_kind;

/* What one kind does not tell is 0. All of it is borrowed for the call. */
typedef struct akv_lsm_dump_item {
    size_t      size; /* sizeof(akv_lsm_dump_item) */
    uint32_t    kind; /* akv_lsm_dump_kind */
    uint32_t    op;   /* 1 put, 2 delete, 3 delete of a range */
    const char *file;
    uint64_t    offset; /* of record or edit; AKV_NO_OFFSET: not told */
    uint64_t    number, bytes, entries, deletes, ranges;
    uint64_t    sequence, smallest_sequence, next_file, expiry_ms;
    uint32_t    level, encoding;
    akv_slice   key, value;
    bool        unbounded; /* a range in the table has no end */
} akv_lsm_dump_item;

/* Tell all that a store's files hold, or one file: logs, tables, manifests, found
 * by their names. Nothing is locked or changed; beside a writer, files may go
 * meanwhile. Damage goes to opt->fault, what can be read goes on, and the answer
 * is AKV_CORRUPT. A callback that answers other than 0 ends it (AKV_CANCELLED);
 * it must not use the library. `env` and `opt` may be NULL. */
AKV_API akv_status akv_lsm_dump(const char *path, akv_env *env, const akv_job_options *opt,
                                int (*each)(void *user, const akv_lsm_dump_item *item), void *user);

#ifdef __cplusplus
}
#endif
#endif
