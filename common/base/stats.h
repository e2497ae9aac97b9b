/* SPDX-License-Identifier: MIT
 *
 * stats.h: making a list of figures, to which the front layer and the engine
 * add by the akv_stats_add_ calls of engine.h.
 */
#ifndef AKVI_BASE_STATS_H
#define AKVI_BASE_STATS_H

#include "common/base/fail.h"

AKVI_MUST_USE akv_status akvi_stats_new(const akv_allocator *allocator, akv_stats **stats_out);
/* AKV_OK, or the first failure of an add, which has recorded it. */
AKVI_MUST_USE akv_status akvi_stats_status(const akv_stats *stats);

#endif
