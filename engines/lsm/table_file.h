/* SPDX-License-Identifier: MIT
 *
 * table_file.h: what the parts of the table code share: footer, properties and
 * seals (format.h), and how an open table reads its blocks.
 */
#ifndef AKVI_LSM_TABLE_FILE_H
#define AKVI_LSM_TABLE_FILE_H

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "engines/lsm/block.h"
#include "engines/lsm/filter.h"
#include "engines/lsm/table.h"

/* ------------------------------------------------------- footer, properties */

/* Where a block is, with its seal; size 0: there is none. */
typedef struct lsm_extent {
    uint64_t off;
    uint32_t size;
} lsm_extent;

typedef struct lsm_footer {
    uint64_t   size; /* of the file */
    lsm_extent top, filter, ranges, properties;
} lsm_footer;

/* `at` has LSM_TABLE_FOOTER bytes. */
void akvi_lsm_footer_put(uint8_t *at, const lsm_footer *footer);
/* `size`: of the file. */
AKVI_MUST_USE akv_status akvi_lsm_footer_get(const uint8_t *at, const char *path, uint64_t size,
                                             lsm_footer *footer_out);

typedef struct lsm_properties {
    lsm_table_info    info; /* keys: the block's */
    lsm_table_options options;
    uint64_t          data_blocks, index_blocks, index_off;
} lsm_properties;

AKVI_MUST_USE akv_status akvi_lsm_properties_put(const lsm_properties *p, akv_buffer *out);
/* False: not sound. */
bool akvi_lsm_properties_get(akv_slice bytes, lsm_properties *p_out);

/* ----------------------------------------------------------------- sealing */

/* Fill the seal behind `len` bytes, with which the block at `off` in the file ends. */
void akvi_lsm_seal(uint8_t *block, size_t len, uint32_t codec, uint64_t off);
/* Whether the checksum of `size` bytes with the seal is right. */
bool akvi_lsm_seal_holds(const uint8_t *block, size_t size, uint64_t off);

/* ----------------------------------------------------------------- reading */

/* A block's bytes; `block` holds them. */
typedef struct lsm_held {
    const uint8_t *data;
    size_t         len;
    lsm_block     *block;
} lsm_held;

/* An index block. */
typedef struct lsm_index {
    lsm_view   view;
    uint32_t   first; /* ordinal of the first data block that it tells of */
    lsm_block *block;
} lsm_index;

typedef struct lsm_filter_held {
    lsm_filter filter;
    lsm_block *block;
} lsm_filter_held;

/* A stretch of the file that was read at once, for a cursor that goes on. */
typedef struct lsm_ahead {
    uint64_t   off;
    lsm_block *block;
    uint32_t   next_size;
    uint64_t   advised; /* of a mapping: up to where */
} lsm_ahead;

/* Where a data block is. */
typedef struct lsm_where {
    lsm_extent extent;
    uint32_t   top;     /* which index block tells it */
    uint32_t   entry;   /* and which of its entries */
    uint32_t   ordinal; /* among the data blocks */
} lsm_where;

struct lsm_table {
    const akv_allocator *allocator;
    lsm_cache           *cache;
    akv_file            *file;
    char                *path;
    uint64_t             number, size;
    const uint8_t       *map; /* the whole file, or NULL */
    /* References: the table itself, and all blocks that lie in the mapping. */
    lsm_block      pin;
    lsm_properties properties;
    lsm_footer     footer;
    akv_buffer     properties_bytes, ranges_bytes, top_bytes;
    lsm_view       top;
    /* Once set they stay. */
    _Atomic(lsm_index *)      *index; /* of each index block; NULL: not held */
    _Atomic(lsm_filter_held *) filter;
    _Atomic uint64_t          *checked; /* bit per data block: its checksum was right once */
    lsm_entry                 *ranges;
    size_t                     ranges_n;
    akvi_arena                 range_keys;
};

/* Any block. `ordinal`: of a data block, else LSM_NO_ORDINAL. `ahead` may be NULL;
 * with it, and read->verify, blocks come from the file and not from the cache. */
#define LSM_NO_ORDINAL UINT32_MAX
AKVI_MUST_USE akv_status akvi_lsm_table_block(lsm_table *t, lsm_extent extent, uint32_t ordinal,
                                              const lsm_read *read, lsm_ahead *ahead,
                                              lsm_held *held_out);
AKVI_MUST_USE akv_status akvi_lsm_table_load_index(lsm_table *t, uint32_t top, const lsm_read *read,
                                                   lsm_ahead *ahead, lsm_index *index_out);
AKVI_MUST_USE akv_status akvi_lsm_table_load_filter(lsm_table *t, const lsm_read *read,
                                                    lsm_ahead *ahead, lsm_filter_held *filter_out);
/* Index block `top`. *index_out is the table's or `local`, whose block the
 * caller gives back. */
AKVI_MUST_USE akv_status akvi_lsm_table_index(lsm_table *t, uint32_t top, const lsm_read *read,
                                              lsm_index *local, const lsm_index **index_out);
/* What entry `entry` of the index block says, given as where->top and entry. */
AKVI_MUST_USE akv_status akvi_lsm_table_where(lsm_table *t, const lsm_index *index,
                                              lsm_where *where);
/* The first data block that may have (key, seq) or what follows; AKV_ABSENT: none. */
AKVI_MUST_USE akv_status akvi_lsm_table_find(lsm_table *t, akv_slice key, uint64_t seq,
                                             const lsm_read *read, lsm_where *where_out);
/* The table's filter or NULL in *filter_out, with `local` as above. */
AKVI_MUST_USE akv_status akvi_lsm_table_filter(lsm_table *t, const lsm_read *read,
                                               lsm_filter_held        *local,
                                               const lsm_filter_held **filter_out);
/* The failure of a block that does not hold together. */
akv_status akvi_lsm_table_unsound(const lsm_table *t, lsm_extent extent, const char *what);

#endif
