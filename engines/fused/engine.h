/* SPDX-License-Identifier: MIT
 *
 * engine.h: what a handle of the shared interface holds for this engine.
 */
#ifndef AKVI_FUSED_ENGINE_H
#define AKVI_FUSED_ENGINE_H

#include "common/base/mutex.h"
#include "engines/fused/reader.h"
#include "engines/fused/writer.h"

#include <stdatomic.h>

/* Either a reader from the start, or a writer that becomes a reader when it is
 * finished, or neither after an abort. */
typedef struct fused_store {
    /* set once, then only read */
    _Atomic(akv_fused *) reader;
    /* fixed after open */
    const akv_allocator *allocator;
    akv_env             *env;
    char                *path;
    akv_fused_options    options;
    /* guarded by mu */
    akvi_mutex               mu;
    akv_fused_writer *writer AKVI_GUARDED_BY(mu);
    bool ending              AKVI_GUARDED_BY(mu); /* akv_finish has the writer to itself */
    bool                     exclusive;           /* there must be no file when it is finished */
} fused_store;

extern const akv_engine akvi_fused;

#endif
