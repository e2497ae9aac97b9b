/* SPDX-License-Identifier: MIT
 *
 * registry.c: the engines that this build holds. The only file that names them
 * all; the build defines AKVI_ENGINE_NAME for each that it was asked for.
 */
#include "common/front/front.h"

#ifdef AKVI_ENGINE_FUSED
extern const akv_engine akvi_fused;
#endif
#ifdef AKVI_ENGINE_LSM
extern const akv_engine akvi_lsm;
#endif
#ifdef AKVI_ENGINE_MEMORY
extern const akv_engine akvi_memory;
#endif

const akv_engine *const akvi_builtin_engines[] = {
#ifdef AKVI_ENGINE_FUSED
    &akvi_fused,
#endif
#ifdef AKVI_ENGINE_LSM
    &akvi_lsm,
#endif
#ifdef AKVI_ENGINE_MEMORY
    &akvi_memory,
#endif
    NULL,
};
