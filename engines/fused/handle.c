/* SPDX-License-Identifier: MIT
 *
 * handle.c: from a handle of the shared interface to the native reader. A file
 * of its own, so that programs without handles link no front layer.
 */
#include "common/base/handle.h"
#include "engines/fused/engine.h"

const akv_fused *akv_fused_of(akv *db)
{
    const fused_store *store = akvi_handle_impl(db, &akvi_fused);

    return store ? atomic_load_explicit(&store->reader, memory_order_acquire) : NULL;
}
