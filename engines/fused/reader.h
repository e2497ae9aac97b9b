/* SPDX-License-Identifier: MIT
 *
 * reader.h: an open .fsdb file, as this engine's files share it. The calls
 * here are those of <anykv/fused.h> without their keeping of the error record,
 * for use inside another call.
 *
 * Always true of an open reader:
 *  1. the index as it knows it, index_size bytes, lies in the file; so does
 *     every entry, unless a hash section is used: then neither entries nor the
 *     section have been looked at, and a place is checked when it is followed;
 *  2. an offset to an object is checked whenever it is followed;
 *  3. numbers of keys (ordinals) run over different keys in order;
 *  4. nothing changes until it is closed, but that the index of addresses is
 *     made when it is first asked for.
 */
#ifndef AKVI_FUSED_READER_H
#define AKVI_FUSED_READER_H

#include "common/base/fail.h"
#include "engines/fused/format.h"
#include "engines/fused/section.h"
#include "engines/fused/table.h"

#include <anykv/fused.h>

struct akv_fused {
    const uint8_t *data; /* the whole file */
    uint64_t       size;
    const uint8_t *index;
    uint64_t       keys; /* different ones */
    fused_table    table;
    /* Where entries are, from the index's start: of every FUSED_BLOCK-th one
     * or, if the index is not in order, of all of them, sorted. */
    uint64_t         *places;
    size_t            places_n;
    const uint8_t    *samples; /* the section's, instead of places; NULL without */
    unsigned          sample_size;
    fused_section     section; /* as described; offset 0: nothing is known of it */
    akv_fused_section section_state;
    bool              ordered;
    bool              check_objects;
    bool              index_only; /* there is no table, so no key can be looked up */
    bool              salvaged;   /* the index is damaged: what follows the damage is left out */
    fused_header      header;
    uint32_t          entries;    /* in the index, with repeats */
    uint64_t          index_size; /* bytes of those */
    /* components */
    const akv_allocator *allocator;
    akv_env             *env;
    akv_file            *file; /* NULL unless it is mapped */
    bool                 mapped;
    bool                 borrowed; /* the bytes are the caller's */
    char                *path;
    akv_fused_options    options;

    struct fused_addresses *addresses; /* address.h */
};

/* `opt` is full size and checked. With `salvage`, damage is logged and what
 * can be read is served. */
AKVI_MUST_USE akv_status akvi_fused_open(const char *path, const akv_fused_options *opt,
                                         const akv_allocator *allocator, akv_env *env,
                                         const akv_logger *salvage, akv_fused **fused_out);
/* For walking over all entries: all bytes are checked by the file's CRC, a hash
 * section is left aside, and no table is made. */
AKVI_MUST_USE akv_status akvi_fused_open_index(const char *path, const akv_allocator *allocator,
                                               akv_env *env, akv_fused **fused_out);
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
/* The same, when it is known already that this is at `off`: nothing of the
 * entry is read, but for messages. */
AKVI_MUST_USE akv_status akvi_fused_object_at(const akv_fused *f, const uint8_t *entry,
                                              uint64_t off, bool check, akv_slice *object_out);
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
/* The place of a block's first entry. */
static inline uint64_t fused_block_place(const akv_fused *f, uint64_t block)
{
    if (f->samples)
        return f->sample_size == 8 ? akvi_get_be64(f->samples + block * 8)
                                   : akvi_get_be32(f->samples + block * 4);
    return f->places[f->ordered ? block : block * FUSED_BLOCK];
}

/* Whether an entry that lies in the index is at a place. */
static inline bool fused_entry_fits(const akv_fused *f, uint64_t place)
{
    return f->index_size >= FUSED_ENTRY_LEAST && place <= f->index_size - FUSED_ENTRY_LEAST &&
           fused_entry_len(f->index + place) <= f->index_size - place;
}

/* The places of the entries of a block, counted from 0; returns how many. One
 * that is not an entry's, as a damaged section can say, is FUSED_NO_PLACE. */
#define FUSED_NO_PLACE UINT64_MAX
unsigned akvi_fused_block(const akv_fused *f, uint64_t block, uint64_t places_out[FUSED_BLOCK]);

/* open.c: walk over the index and make places and, if asked, a table; or drop
 * them. With `salvage`, what follows damage is left out. */
AKVI_MUST_USE akv_status akvi_fused_walk(akv_fused *f, bool salvage);
void                     akvi_fused_unwalk(akv_fused *f);
/* The entry at a place is not in the index. */
AKVI_MUST_USE akv_status akvi_fused_bad_place(const akv_fused *f);

/* verify.c */
AKVI_MUST_USE akv_status akvi_fused_verify(const akv_fused *f, const akv_job_options *opt,
                                           akv_fused_report *report_out);

#define AKVI_FUSED_OPTIONS_N 7u
extern const akv_option akvi_fused_options[AKVI_FUSED_OPTIONS_N];

#endif
