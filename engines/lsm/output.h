/* SPDX-License-Identifier: MIT
 *
 * output.h: tables being written by a flush or a compaction.
 *
 * Entries and then ranges go in; tables come out, cut at the wanted size but
 * never between entries of one key. Ranges are cut with them: a table has of
 * each range what lies behind the last key of the table before, up to its own
 * last key, so that tables of one level share no key.
 */
#ifndef AKVI_LSM_OUTPUT_H
#define AKVI_LSM_OUTPUT_H

#include "common/base/arena.h"
#include "engines/lsm/gc.h"

typedef struct lsm_output {
    lsm_db  *db;
    unsigned level;
    uint64_t limit; /* bytes a table; 0: all into one */
    /* the table in work */
    lsm_table_options options;
    akv_file         *file;
    char             *path;
    lsm_builder      *builder;
    uint64_t          number;
    akv_buffer        first, last; /* its first and last key, when has_first */
    bool              has_first;
    akv_buffer        lower; /* ranges: where this table begins; the key behind the last one's */
    bool              has_lower;
    uint64_t          counted; /* of its bytes, told to the rate */
    /* ranges that all tables share, borrowed */
    akv_buffer ranges; /* of lsm_entry */
    /* finished */
    akv_buffer metas; /* of lsm_table_meta */
    akvi_arena arena; /* their keys */
    uint64_t   bytes;
} lsm_output;

void akvi_lsm_output_init(lsm_output *o, lsm_db *db, unsigned level, uint64_t limit);
/* A range that stays; all of them come before the first entry. */
AKVI_MUST_USE akv_status akvi_lsm_output_range(lsm_output *o, const lsm_entry *range);
AKVI_MUST_USE akv_status akvi_lsm_output_add(lsm_output *o, const lsm_entry *entry);
/* Finish the last table and sync the folder. */
AKVI_MUST_USE akv_status akvi_lsm_output_finish(lsm_output *o);
/* Free it; with `remove` the files it wrote go too, since nothing names them. */
void akvi_lsm_output_free(lsm_output *o, bool remove);

static inline const lsm_table_meta *lsm_output_metas(const lsm_output *o, size_t *n_out)
{
    *n_out = o->metas.len / sizeof(lsm_table_meta);
    return o->metas.data;
}

#endif
