/* SPDX-License-Identifier: MIT
 *
 * build.h: what the two halves of a build share: build.c, the file's contents,
 * and fill.c, its hash section.
 */
#ifndef AKVI_FUSED_BUILD_H
#define AKVI_FUSED_BUILD_H

#include "common/env/file.h"
#include "engines/fused/writer.h"

#define BUILD_CHUNK ((size_t)256 << 10)

typedef struct fused_build {
    akv_fused_writer *writer;
    akvi_writer      *file;
    akv_job          *job;
    uint8_t          *chunk; /* on its way to the file's end */
    size_t            used;
    uint32_t          crc;        /* of what went there */
    uint64_t          keys;       /* in the index, when it is written */
    uint64_t          index_size; /* its bytes */
} fused_build;

/* Append to the file, through the chunk; flush makes crc that of all. */
AKVI_MUST_USE akv_status akvi_fused_build_put(fused_build *b, const void *data, size_t len);
AKVI_MUST_USE akv_status akvi_fused_build_flush(fused_build *b);

/* The index, from memory or from the file in which it is written by now. */
typedef struct fused_index {
    const uint8_t *const *entries; /* NULL: by `in` */
    size_t                at, n;
    fused_in              in;
} fused_index;

AKVI_MUST_USE akv_status akvi_fused_index_begin(fused_build *b, fused_index *index);
/* Borrowed until the next call; AKV_END after the last. */
AKVI_MUST_USE akv_status akvi_fused_index_next(fused_index *index, const uint8_t **entry_out);
void                     akvi_fused_index_end(fused_index *index);

/* How many bytes of work the section is. */
uint64_t akvi_fused_section_work(const fused_build *b);
/* Append the section. `header` is that of the file; b->crc is then that of the
 * contents and the section. */
AKVI_MUST_USE akv_status akvi_fused_build_section(fused_build  *b,
                                                  const uint8_t header[FUSED_HEADER]);

#endif
