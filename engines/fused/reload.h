/* SPDX-License-Identifier: MIT
 *
 * reload.h: a reader whose file may be replaced under it, as this engine's
 * files share it.
 */
#ifndef AKVI_FUSED_RELOAD_H
#define AKVI_FUSED_RELOAD_H

#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "engines/fused/reader.h"

/* Files that may be in use at once: the current one, and old ones still pinned. */
#define RELOAD_FILES 256u

/* A counter on a cache line of its own: one thread's, as long as there are
 * slots for all. */
typedef struct reload_cell {
    _Atomic uint64_t n;
    uint8_t          line[64 - sizeof(uint64_t)];
} reload_cell;

/* One opened file, and how many of its pins were given back. */
typedef struct fused_generation {
    akv_fused          *fused;
    akv_fused_reloader *owner;
    uint64_t            number;
    unsigned            place;
    _Atomic int64_t     left; /* once it is old: pins out, less those it does not know of yet */
    reload_cell         given[AKVI_SLOTS];
} fused_generation;

struct akv_fused_reloader {
    reload_cell                 taken[AKVI_SLOTS];
    _Atomic(fused_generation *) files[RELOAD_FILES];
    _Atomic uint64_t            number; /* of the current generation */
    _Atomic unsigned            watches;
    /* fixed after open */
    const akv_allocator *allocator;
    akv_env             *env;
    char                *path;
    akv_fused_options    options;
    /* guarded by mu: one reload at a time */
    akvi_mutex                mu;
    fused_generation *current AKVI_GUARDED_BY(mu);
    akv_file_info seen        AKVI_GUARDED_BY(mu); /* what the current file was when opened */
    bool settled              AKVI_GUARDED_BY(mu); /* and that `seen` is sure to be its state */
};

#endif
