/* SPDX-License-Identifier: MIT
 *
 * table.h: SSTables (format.h): immutable files of entries in order; making one
 * and reading one.
 */
#ifndef AKVI_LSM_TABLE_H
#define AKVI_LSM_TABLE_H

#include "common/codec/compress.h"
#include "engines/lsm/cache.h"
#include "engines/lsm/entry.h"

/* ------------------------------------------------------------------ making */

typedef struct lsm_table_options {
    uint32_t block_size;       /* of data blocks before compression, about; bytes */
    uint32_t restart_interval; /* entries between whole keys */
    uint32_t filter_bits;      /* a key; 0: no filter */
    uint32_t prefix_filter;    /* bytes of each key that go into the filter as well; 0: none */
    uint32_t compression;      /* akvi_codec */
    int32_t  compression_level;
    uint64_t created_ms; /* Unix time, noted in the properties */
} lsm_table_options;

/* What a finished table is, as the manifest knows it. Keys are the builder's
 * until it is freed. */
typedef struct lsm_table_info {
    uint64_t  size;
    uint64_t  entries, deletes, ranges;
    uint64_t  raw_bytes;         /* of keys and values */
    akv_slice smallest, largest; /* keys; ranges' bounds count. largest is inclusive unless: */
    bool      unbounded;         /* a range goes to the end of all keys */
    uint64_t  smallest_seq, largest_seq;
} lsm_table_info;

typedef struct lsm_builder lsm_builder;

/* Write into `file`, new and empty, by appends through a buffer of its own. The
 * builder borrows all it is given. */
AKVI_MUST_USE akv_status akvi_lsm_builder_new(const akv_allocator *allocator, akv_file *file,
                                              const char *path, const lsm_table_options *opt,
                                              lsm_builder **builder_out);
/* In order, without ranges. */
AKVI_MUST_USE akv_status akvi_lsm_builder_add(lsm_builder *b, const lsm_entry *entry);
/* A DELETE_RANGE, at any time, in any order. */
AKVI_MUST_USE akv_status akvi_lsm_builder_add_range(lsm_builder *b, const lsm_entry *range);
/* Bytes of the file so far, with what is still buffered. */
uint64_t akvi_lsm_builder_size(const lsm_builder *b);
/* Write index, filter, properties and footer. Does not sync. */
AKVI_MUST_USE akv_status akvi_lsm_builder_finish(lsm_builder *b, lsm_table_info *info_out);
void                     akvi_lsm_builder_free(lsm_builder *b); /* takes NULL */

/* ----------------------------------------------------------------- reading */

typedef struct lsm_table lsm_table;

typedef struct lsm_read {
    bool verify;     /* check a block's checksum also when it is mapped and was checked before */
    bool fill_cache; /* else blocks that had to be read don't stay */
    bool sequential; /* cursor: read ahead */
} lsm_read;

/* Opens footer, properties and index; checks them. The table owns `file`
 * afterwards, also on failure. `mapped`: read through a mapping where the env
 * can, so that uncompressed blocks need no copy and no place in the cache. */
AKVI_MUST_USE akv_status akvi_lsm_table_open(const akv_allocator *allocator, akv_file *file,
                                             const char *path, uint64_t number, bool mapped,
                                             lsm_cache *cache, lsm_table **table_out);
void akvi_lsm_table_close(lsm_table *t); /* takes NULL; its blocks may still be out */

/* Any thread. The hash of a key for the filters of all tables: compute it once. */
uint64_t akvi_lsm_filter_hash(akv_slice key);
/* The entry of `key` with the highest sequence number <= seq: AKV_OK, AKV_ABSENT,
 * or a failure naming file and offset. Ranges take no part. The bytes are
 * borrowed while *block_out, which the caller gives back, is held. */
akv_status akvi_lsm_table_get(lsm_table *t, akv_slice key, uint64_t hash, uint64_t seq,
                              const lsm_read *read, lsm_entry *entry_out, lsm_block **block_out);
/* Ask for the memory or pages that a get of this key will touch: for get_many. */
void akvi_lsm_table_prefetch(lsm_table *t, akv_slice key, uint64_t hash);
/* False: no key of the table begins with `prefix`. */
bool akvi_lsm_table_may_have_prefix(lsm_table *t, akv_slice prefix);
/* Its ranges; loaded when opened. */
const lsm_entry         *akvi_lsm_table_ranges(const lsm_table *t, size_t *n_out);
AKVI_MUST_USE akv_status akvi_lsm_table_cursor(lsm_table *t, const lsm_read *read,
                                               lsm_cursor **cursor_out);
/* About how many bytes of the file lie before `key`. */
uint64_t akvi_lsm_table_offset_of(lsm_table *t, akv_slice key);
/* Every block's checksum, order, counts; faults go to the job (akv_job_fault). */
AKVI_MUST_USE akv_status akvi_lsm_table_verify(lsm_table *t, akv_job *job);
/* Every entry of the blocks that can be read, in order, ranges apart; damage is
 * passed over. */
AKVI_MUST_USE akv_status akvi_lsm_table_salvage(
    lsm_table *t, akv_status (*each)(void *user, const lsm_entry *entry), void *user);
/* As the properties say; for repair and dump. Slices last as the table does. */
void akvi_lsm_table_info(const lsm_table *t, lsm_table_info *info_out);

#endif
