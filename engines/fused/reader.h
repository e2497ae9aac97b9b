/* SPDX-License-Identifier: MIT
 *
 * reader.h: an open .fsdb file, as this engine's files share it. The calls
 * here are those of <anykv/fused.h> without their keeping of the error record,
 * for use inside another call.
 *
 * Always true of an open reader:
 *  1. every entry of the index that it knows lies in the file;
 *  2. an offset to an object is checked whenever it is followed;
 *  3. numbers of keys (ordinals) run over different keys in order;
 *  4. nothing changes until it is closed, but that the index of addresses is
 *     made when it is first asked for.
 */
#ifndef AKVI_FUSED_READER_H
#define AKVI_FUSED_READER_H

#include "common/base/fail.h"
#include "engines/fused/format.h"
#include "engines/fused/table.h"

#include <anykv/fused.h>

/* Entries per block: of each block the place of its first entry is kept, and a
 * cursor finds the others. */
#define FUSED_BLOCK 16u

struct akv_fused {
    const uint8_t *data; /* the whole file */
    uint64_t       size;
    const uint8_t *index;
    uint64_t       keys; /* different ones */
    fused_table    table;
    /* Where entries are, from the index's start: of every FUSED_BLOCK-th one
     * or, if the index is not in order, of all of them, sorted. */
    uint64_t    *places;
    size_t       places_n;
    bool         ordered;
    bool         check_objects;
    bool         salvaged; /* the index is damaged: what follows the damage is left out */
    fused_header header;
    uint32_t     entries;    /* in the index, with repeats */
    uint64_t     index_size; /* bytes of those */
    /* components */
    const akv_allocator *allocator;
    akv_env             *env;
    akv_file            *file; /* NULL when it was read into memory */
    bool                 mapped;
    char                *path;
    akv_fused_options    options;

    struct fused_addresses *addresses; /* address.h */
};

/* `opt` is full size and checked. With `salvage`, damage is logged and what
 * can be read is served. */
AKVI_MUST_USE akv_status akvi_fused_open(const char *path, const akv_fused_options *opt,
                                         const akv_allocator *allocator, akv_env *env,
                                         const akv_logger *salvage, akv_fused **fused_out);
void                     akvi_fused_close(akv_fused *f);

AKVI_MUST_USE akv_status akvi_fused_get(const akv_fused *f, akv_slice key, bool check,
                                        akv_slice *object_out);
AKVI_MUST_USE akv_status akvi_fused_exists(const akv_fused *f, akv_slice key);
/* At most FUSED_BATCH keys; an object's CRC is checked with `check`. Returns
 * the first failure. */
#define FUSED_BATCH 64u
AKVI_MUST_USE akv_status akvi_fused_get_batch(const akv_fused *f, size_t n, const akv_slice *keys,
                                              bool check, akv_slice *objects_out,
                                              akv_status *statuses_out);
/* The key's entry, the last one of equals, or NULL. */
const uint8_t *akvi_fused_entry(const akv_fused *f, akv_slice key);
/* The object that an entry leads to. */
AKVI_MUST_USE akv_status akvi_fused_object(const akv_fused *f, const uint8_t *entry, bool check,
                                           akv_slice *object_out);
/* Whether an object's CRC is the one stored before it at `off`. */
AKVI_MUST_USE akv_status akvi_fused_check_object(const akv_fused *f, uint64_t off,
                                                 akv_slice object);

void akvi_fused_info(const akv_fused *f, akv_fused_info *info_out);

/* Fill a caller's struct, whose first field says how much of ours it knows.
 * False when that says nothing. */
bool akvi_fused_give(void *out, const void *from, size_t size);

/* cursor.c */
AKVI_MUST_USE akv_status akvi_fused_cursor_move(akv_fused_cursor *c, akv_move move, akv_slice key,
                                                bool check);
void akvi_fused_cursor_range(const akv_fused *f, akv_slice lower, const akv_slice *upper,
                             akv_fused_cursor *c);
/* The places of the entries of a block, counted from 0; returns how many. */
unsigned akvi_fused_block(const akv_fused *f, uint64_t block, uint64_t places_out[FUSED_BLOCK]);

/* verify.c */
AKVI_MUST_USE akv_status akvi_fused_verify(const akv_fused *f, const akv_job_options *opt,
                                           akv_fused_report *report_out);

#define AKVI_FUSED_OPTIONS_N 4u
extern const akv_option akvi_fused_options[AKVI_FUSED_OPTIONS_N];

#endif
