/* SPDX-License-Identifier: MIT
 *
 * section.c: writing and checking the descriptor of a hash section.
 */
#include "engines/fused/section.h"

#include "common/codec/crc.h"

#define SECTION_LINE 64u

static uint64_t section_align(uint64_t at)
{
    return (at + SECTION_LINE - 1) / SECTION_LINE * SECTION_LINE;
}

void akvi_fused_section_parts(uint64_t offset, uint64_t groups, uint32_t keys,
                              fused_section_parts *parts_out)
{
    fused_section_parts p      = {.sample_size = offset > UINT32_MAX ? 8 : 4};
    uint64_t            blocks = ((uint64_t)keys + FUSED_BLOCK - 1) / FUSED_BLOCK;

    p.table    = section_align(offset + FUSED_DESCRIPTOR);
    p.samples  = p.table + groups * TABLE_GROUP;
    p.trailer  = p.samples + blocks * p.sample_size;
    p.end      = p.trailer + FUSED_DESCRIPTOR;
    *parts_out = p;
}

static uint32_t section_crc(const uint8_t *descriptor, const uint8_t *header)
{
    uint32_t crc = akvi_crc32(0, header, FUSED_AT_CRC);

    return akvi_crc32(crc, descriptor, FUSED_DESCRIPTOR_CRC);
}

void akvi_fused_section_write(const fused_section *s, const uint8_t header[FUSED_HEADER],
                              uint8_t out[FUSED_DESCRIPTOR])
{
    memset(out, 0, FUSED_DESCRIPTOR);
    akvi_put_be64(out, s->offset);
    akvi_put_be64(out + 8, s->length);
    akvi_put_be64(out + 16, s->seed);
    akvi_put_be32(out + 24, s->groups);
    akvi_put_be32(out + 28, s->reach);
    akvi_put_be32(out + 32, s->contents_crc);
    akvi_put_be32(out + 36, s->table_crc);
    akvi_put_be32(out + FUSED_DESCRIPTOR_CRC, section_crc(out, header));
    memcpy(out + FUSED_DESCRIPTOR - 8, FUSED_SECTION_MAGIC, 8);
}

/* Whether the numbers fit each other, the header and the file. */
static bool section_fits(const fused_section *s, const fused_header *h, uint64_t size)
{
    fused_section_parts parts;

    if (h->num_keys == 0 || s->offset > size || h->index_offset < FUSED_HEADER ||
        h->index_offset > s->offset ||
        h->num_keys > (s->offset - h->index_offset) / FUSED_ENTRY_LEAST)
        return false;
    if (s->reach == 0 || s->reach > s->groups || s->reach > FUSED_REACH_MOST ||
        (uint64_t)s->groups * TABLE_SLOTS_MOST < h->num_keys)
        return false;
    akvi_fused_section_parts(s->offset, s->groups, h->num_keys, &parts);
    return parts.end == size && s->length == size - s->offset;
}

bool akvi_fused_section_sound(const uint8_t *in, const uint8_t header[FUSED_HEADER])
{
    return fused_section_magic(in) &&
           akvi_get_be32(in + FUSED_DESCRIPTOR_CRC) == section_crc(in, header);
}

bool akvi_fused_section_read(const uint8_t *in, const uint8_t header[FUSED_HEADER], uint64_t size,
                             fused_section *s_out)
{
    fused_header h;

    if (!akvi_fused_section_sound(in, header))
        return false;
    s_out->offset       = akvi_get_be64(in);
    s_out->length       = akvi_get_be64(in + 8);
    s_out->seed         = akvi_get_be64(in + 16);
    s_out->groups       = akvi_get_be32(in + 24);
    s_out->reach        = akvi_get_be32(in + 28);
    s_out->contents_crc = akvi_get_be32(in + 32);
    s_out->table_crc    = akvi_get_be32(in + 36);
    fused_header_read(&h, header);
    return section_fits(s_out, &h, size);
}
