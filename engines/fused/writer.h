/* SPDX-License-Identifier: MIT
 *
 * writer.h: a .fsdb file in the making, as this engine's files share it: the
 * calls of <anykv/fused.h> without their keeping of the error record.
 *
 * Always true of a writer:
 *  1. objects and entries are held as the bytes of the file: an object's place
 *     there is known from the start, since objects stand in order of adding
 *     from byte 40 on, and so is the entry of a key that leads to it;
 *  2. the objects that are in memory are the last ones; those before are
 *     spilled, and so are the entries that were added before those in memory;
 *  3. an entry with offset 0, where no object is, takes its key back;
 *  4. what a build writes depends on the calls alone, not on what was spilled.
 */
#ifndef AKVI_FUSED_WRITER_H
#define AKVI_FUSED_WRITER_H

#include "common/base/arena.h"
#include "engines/fused/spill.h"

#include <anykv/fused.h>

/* Objects by content, for those added through add_deduped. */
typedef struct fused_dedupe {
    uint64_t *slots; /* high half: of the hash; low half: id + 1; 0: empty */
    uint64_t  cap;   /* a power of two up to 2^32, or 0 */
    uint64_t  n;
} fused_dedupe;

struct akv_fused_writer {
    const akv_allocator *allocator;
    akv_env             *env;
    bool                 plain;      /* no hash section */
    bool                 sorted;     /* the entries in memory are, without repeats */
    uint64_t             buffer;     /* bytes of memory to use */
    uint64_t             held;       /* of it, by the objects and entries in memory */
    akvi_arena           arena;      /* has those */
    akv_buffer           offsets;    /* of uint64_t: where each object is in the file */
    akv_buffer           stored;     /* of const uint8_t *: the objects in memory */
    akv_buffer           entries;    /* of const uint8_t *: index entries in memory */
    uint64_t             end;        /* where the next object goes in the file */
    uint64_t             index_size; /* bytes of the entries in memory */
    uint64_t             keys;       /* added and not known to be repeats */
    fused_dedupe         dedupe;
    fused_spill          spill;
};

static inline size_t fused_writer_objects(const akv_fused_writer *w)
{
    return w->offsets.len / sizeof(uint64_t);
}

static inline size_t fused_writer_stored_n(const akv_fused_writer *w)
{
    return w->stored.len / sizeof(const uint8_t *);
}

static inline const uint8_t *const *fused_writer_stored(const akv_fused_writer *w)
{
    return w->stored.data;
}

static inline size_t fused_writer_entries_n(const akv_fused_writer *w)
{
    return w->entries.len / sizeof(const uint8_t *);
}

static inline const uint8_t **fused_writer_entries(const akv_fused_writer *w)
{
    return w->entries.data;
}

/* Check a caller's options, and fill `own`, which has the defaults. */
AKVI_MUST_USE akv_status akvi_fused_writer_options(const akv_fused_writer_options *opt,
                                                   akv_fused_writer_options       *own);
/* `opt` is full size and checked. `target`: where the file is to be built, if
 * that is known; what is spilled lies beside it if `opt` names no folder. */
AKVI_MUST_USE akv_status akvi_fused_writer_new(const akv_fused_writer_options *opt,
                                               const char *target, akv_fused_writer **writer_out);
AKVI_MUST_USE akv_status akvi_fused_add_object(akv_fused_writer *w, akv_slice object, bool dedupe,
                                               uint32_t *id_out);
AKVI_MUST_USE akv_status akvi_fused_add_key(akv_fused_writer *w, akv_slice key, uint32_t id);
AKVI_MUST_USE akv_status akvi_fused_remove_key(akv_fused_writer *w, akv_slice key);
/* Sort the entries in memory, each key once. */
AKVI_MUST_USE akv_status akvi_fused_writer_sort(akv_fused_writer *w);
/* Spill all that is in memory. */
AKVI_MUST_USE akv_status akvi_fused_writer_spill(akv_fused_writer *w);
/* Bytes of memory held. */
size_t akvi_fused_writer_bytes(const akv_fused_writer *w);

/* build.c. `exclusive`: fail with EEXIST rather than replace a file at `path`.
 * The job may have done something before; its total is set here. */
AKVI_MUST_USE akv_status akvi_fused_build(akv_fused_writer *w, const char *path, bool exclusive,
                                          akv_job *job);

#endif
