/* SPDX-License-Identifier: MIT
 *
 * spill.h: what of a build does not fit its memory, in files without a name:
 * the data section so far, and the index entries so far as sorted runs.
 *
 * A failed call leaves everything as it was, so it can be tried again.
 */
#ifndef AKVI_FUSED_SPILL_H
#define AKVI_FUSED_SPILL_H

#include "engines/fused/runs.h"
#include "engines/fused/sort.h"

typedef struct fused_spill {
    akv_env             *env;
    const akv_allocator *allocator;
    char                *path;        /* whose temporaries the files are */
    akv_file            *objects;     /* the data section; NULL while nothing is in it */
    uint64_t             objects_len; /* bytes in it */
    akv_file            *entries;
    uint64_t             entries_len;
    akv_buffer           runs; /* of fused_run, the oldest first */
} fused_spill;

AKVI_MUST_USE akv_status akvi_fused_spill_init(fused_spill *s, const akv_allocator *allocator,
                                               akv_env *env, const char *path);
void                     akvi_fused_spill_free(fused_spill *s);

static inline bool fused_spill_used(const fused_spill *s)
{
    return s->objects_len > 0 || s->entries_len > 0;
}

static inline uint32_t fused_spill_runs_n(const fused_spill *s)
{
    return (uint32_t)(s->runs.len / sizeof(fused_run));
}

static inline const fused_run *fused_spill_runs(const fused_spill *s)
{
    return s->runs.data;
}

/* Put n objects, as stored, at the end of the data section. */
AKVI_MUST_USE akv_status akvi_fused_spill_objects(fused_spill *s, const uint8_t *const *stored,
                                                  size_t n);
/* Put one there that is not in memory as stored. */
AKVI_MUST_USE akv_status akvi_fused_spill_object(fused_spill *s, akv_slice object);
/* Whether the object that begins at `at` in the data section has these bytes;
 * its length is known to be the same. */
AKVI_MUST_USE akv_status akvi_fused_spill_equals(const fused_spill *s, uint64_t at,
                                                 akv_slice object, bool *equal_out);
/* Write entries that stand in order, each key once, as a run. */
AKVI_MUST_USE akv_status akvi_fused_spill_run(fused_spill *s, const uint8_t *const *entries,
                                              size_t n);
/* Merge neighbours until there are `width` runs at most; their bytes are
 * stepped over in the job. */
AKVI_MUST_USE akv_status akvi_fused_spill_reduce(fused_spill *s, uint32_t width, uint64_t memory,
                                                 akv_job *job);

#endif
