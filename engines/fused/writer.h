/* SPDX-License-Identifier: MIT
 *
 * writer.h: a .fsdb file in the making, as this engine's files share it: the
 * calls of <anykv/fused.h> without their keeping of the error record.
 */
#ifndef AKVI_FUSED_WRITER_H
#define AKVI_FUSED_WRITER_H

#include "common/base/fail.h"

#include <anykv/fused.h>

AKVI_MUST_USE akv_status akvi_fused_writer_new(const akv_allocator *allocator, akv_env *env,
                                               bool plain, akv_fused_writer **writer_out);
AKVI_MUST_USE akv_status akvi_fused_add_object(akv_fused_writer *w, akv_slice object, bool dedupe,
                                               uint32_t *id_out);
AKVI_MUST_USE akv_status akvi_fused_add_key(akv_fused_writer *w, akv_slice key, uint32_t id);
AKVI_MUST_USE akv_status akvi_fused_remove_key(akv_fused_writer *w, akv_slice key);
/* `exclusive`: fail with EEXIST rather than replace a file at `path`. */
AKVI_MUST_USE akv_status akvi_fused_build(akv_fused_writer *w, const char *path, bool exclusive,
                                          const akv_job_options *opt);
/* Bytes of memory held. */
size_t akvi_fused_writer_bytes(const akv_fused_writer *w);

#endif
