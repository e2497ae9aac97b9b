/* SPDX-License-Identifier: MIT
 *
 * section.h: the hash section of a .fsdb file (format.h): its descriptor, and
 * where its parts lie.
 */
#ifndef AKVI_FUSED_SECTION_H
#define AKVI_FUSED_SECTION_H

#include "engines/fused/format.h"
#include "engines/fused/table.h"

typedef struct fused_section {
    uint64_t offset; /* the index's end */
    uint64_t length; /* to the file's end */
    uint64_t seed;
    uint32_t groups, reach;
    uint32_t contents_crc, table_crc;
} fused_section;

/* What follows from offset, groups and the number of keys. */
typedef struct fused_section_parts {
    uint64_t table, samples, trailer; /* offsets in the file */
    uint64_t end;
    unsigned sample_size;
} fused_section_parts;

void akvi_fused_section_parts(uint64_t offset, uint64_t groups, uint32_t keys,
                              fused_section_parts *parts_out);
/* `header`: the file's. */
void akvi_fused_section_write(const fused_section *s, const uint8_t header[FUSED_HEADER],
                              uint8_t out[FUSED_DESCRIPTOR]);
/* Whether `in` has the magic, and the checksum of itself and this header. */
bool akvi_fused_section_sound(const uint8_t *in, const uint8_t header[FUSED_HEADER]);
/* Whether `in` is a descriptor that fits this header and a file of `size` bytes. */
bool akvi_fused_section_read(const uint8_t *in, const uint8_t header[FUSED_HEADER], uint64_t size,
                             fused_section *s_out);

static inline bool fused_section_magic(const uint8_t *descriptor)
{
    return memcmp(descriptor + FUSED_DESCRIPTOR - 8, FUSED_SECTION_MAGIC, 8) == 0;
}

#endif
