/* SPDX-License-Identifier: MIT
 *
 * table_file.c: footer, properties and seals; see table_file.h.
 */
#include "engines/lsm/table_file.h"

#include <inttypes.h>

/* ------------------------------------------------------------------ footer */

static uint8_t *footer_put_extent(uint8_t *at, const lsm_extent *extent)
{
    akvi_put_le64(at, extent->off);
    akvi_put_le32(at + 8, extent->size);
    return at + 12;
}

void akvi_lsm_footer_put(uint8_t *at, const lsm_footer *footer)
{
    uint8_t *begin = at;

    akvi_put_le64(at, LSM_TABLE_MAGIC);
    akvi_put_le32(at + 8, LSM_TABLE_VERSION);
    akvi_put_le32(at + 12, LSM_TABLE_INCOMPATIBLE);
    akvi_put_le32(at + 16, LSM_TABLE_COMPATIBLE);
    akvi_put_le32(at + 20, 0);
    akvi_put_le64(at + 24, footer->size);
    at = footer_put_extent(at + 32, &footer->top);
    at = footer_put_extent(at, &footer->filter);
    at = footer_put_extent(at, &footer->ranges);
    at = footer_put_extent(at, &footer->properties);
    akvi_put_le32(at, akvi_crc32c(0, begin, (size_t)(at - begin)));
}

static bool footer_get_extent(const uint8_t *at, uint64_t end, lsm_extent *extent)
{
    extent->off  = akvi_get_le64(at);
    extent->size = akvi_get_le32(at + 8);
    return akvi_range_ok(extent->off, extent->size, end) &&
           (extent->size == 0 || extent->size > LSM_BLOCK_SEAL);
}

akv_status akvi_lsm_footer_get(const uint8_t *at, const char *path, uint64_t size, lsm_footer *f)
{
    uint64_t off = size - LSM_TABLE_FOOTER;
    uint32_t version, unknown;

    if (akvi_get_le64(at) != LSM_TABLE_MAGIC)
        return AKV_FAIL_AT(AKV_CORRUPT, path, off, "no footer: not a table, or cut");
    if (akvi_get_le32(at + 80) != akvi_crc32c(0, at, 80))
        return AKV_FAIL_AT(AKV_CORRUPT, path, off, "footer's checksum is wrong: damaged");
    version = akvi_get_le32(at + 8);
    unknown = akvi_get_le32(at + 12) & ~LSM_TABLE_INCOMPATIBLE;
    if (version != LSM_TABLE_VERSION || unknown)
        return AKV_FAIL_AT(AKV_VERSION, path, off,
                           "table of version %" PRIu32 " with features %#" PRIx32
                           " that this build can't read: use a newer one",
                           version, unknown);
    f->size = akvi_get_le64(at + 24);
    if (f->size != size)
        return AKV_FAIL_AT(AKV_CORRUPT, path, off,
                           "file has %" PRIu64 " bytes, its footer says %" PRIu64, size, f->size);
    if (akvi_get_le32(at + 20) || !footer_get_extent(at + 32, off, &f->top) ||
        !footer_get_extent(at + 44, off, &f->filter) ||
        !footer_get_extent(at + 56, off, &f->ranges) ||
        !footer_get_extent(at + 68, off, &f->properties) || f->properties.size == 0)
        return AKV_FAIL_AT(AKV_CORRUPT, path, off, "footer makes no sense: damaged");
    return AKV_OK;
}

/* -------------------------------------------------------------- properties */

/* Numbers in files, never used for another thing. */
enum {
    PROPERTY_COMPARATOR = 1,
    PROPERTY_ENTRIES,
    PROPERTY_DELETES,
    PROPERTY_RANGES,
    PROPERTY_RAW_BYTES,
    PROPERTY_SMALLEST,
    PROPERTY_LARGEST,
    PROPERTY_UNBOUNDED,
    PROPERTY_SMALLEST_SEQ,
    PROPERTY_LARGEST_SEQ,
    PROPERTY_DATA_BLOCKS,
    PROPERTY_INDEX_BLOCKS,
    PROPERTY_INDEX_OFF,
    PROPERTY_BLOCK_SIZE,
    PROPERTY_RESTART_INTERVAL,
    PROPERTY_FILTER_BITS,
    PROPERTY_PREFIX_FILTER,
    PROPERTY_COMPRESSION,
    PROPERTY_COMPRESSION_LEVEL, /* zigzag */
    PROPERTY_CREATED_MS
};
#define PROPERTY_ORDER "memcmp"

static akv_status property_put(akv_buffer *out, uint64_t tag, const void *data, size_t len)
{
    uint8_t *at = akvi_buffer_extend(out, 2 * AKVI_VARINT_MAX + len);
    size_t   n;

    if (!at)
        return AKV_NOMEM;
    n = akvi_put_varint(at, tag);
    n += akvi_put_varint(at + n, len);
    if (len)
        memcpy(at + n, data, len);
    out->len -= 2 * AKVI_VARINT_MAX - n;
    return AKV_OK;
}

static akv_status property_put_number(akv_buffer *out, uint64_t tag, uint64_t number)
{
    uint8_t varint[AKVI_VARINT_MAX];

    return number ? property_put(out, tag, varint, akvi_put_varint(varint, number)) : AKV_OK;
}

static uint64_t *property_number(lsm_properties *p, uint64_t tag)
{
    switch (tag) {
    case PROPERTY_ENTRIES: return &p->info.entries;
    case PROPERTY_DELETES: return &p->info.deletes;
    case PROPERTY_RANGES: return &p->info.ranges;
    case PROPERTY_RAW_BYTES: return &p->info.raw_bytes;
    case PROPERTY_SMALLEST_SEQ: return &p->info.smallest_seq;
    case PROPERTY_LARGEST_SEQ: return &p->info.largest_seq;
    case PROPERTY_DATA_BLOCKS: return &p->data_blocks;
    case PROPERTY_INDEX_BLOCKS: return &p->index_blocks;
    case PROPERTY_INDEX_OFF: return &p->index_off;
    case PROPERTY_CREATED_MS: return &p->options.created_ms;
    default: return NULL;
    }
}

static uint32_t *property_option(lsm_properties *p, uint64_t tag)
{
    switch (tag) {
    case PROPERTY_BLOCK_SIZE: return &p->options.block_size;
    case PROPERTY_RESTART_INTERVAL: return &p->options.restart_interval;
    case PROPERTY_FILTER_BITS: return &p->options.filter_bits;
    case PROPERTY_PREFIX_FILTER: return &p->options.prefix_filter;
    case PROPERTY_COMPRESSION: return &p->options.compression;
    default: return NULL;
    }
}

akv_status akvi_lsm_properties_put(const lsm_properties *p, akv_buffer *out)
{
    lsm_properties copy = *p;
    akv_status     rc =
        property_put(out, PROPERTY_COMPARATOR, PROPERTY_ORDER, sizeof PROPERTY_ORDER - 1);

    for (uint64_t tag = PROPERTY_ENTRIES; rc == AKV_OK && tag <= PROPERTY_CREATED_MS; tag++) {
        const uint64_t *number = property_number(&copy, tag);
        const uint32_t *option = property_option(&copy, tag);

        if (number || option)
            rc = property_put_number(out, tag, number ? *number : *option);
        else if (tag == PROPERTY_UNBOUNDED)
            rc = property_put_number(out, tag, p->info.unbounded);
        else if (tag == PROPERTY_COMPRESSION_LEVEL)
            rc = property_put_number(out, tag, akvi_zigzag(p->options.compression_level));
        else if (tag == PROPERTY_SMALLEST)
            rc = property_put(out, tag, p->info.smallest.data, p->info.smallest.len);
        else
            rc = property_put(out, tag, p->info.largest.data, p->info.largest.len);
    }
    return rc;
}

static bool property_get(lsm_properties *p, uint64_t tag, akv_slice bytes)
{
    uint64_t *number = property_number(p, tag), value = 0;
    uint32_t *option = property_option(p, tag);

    if (tag == PROPERTY_COMPARATOR)
        return akvi_equal(bytes.data, bytes.len, PROPERTY_ORDER, sizeof PROPERTY_ORDER - 1);
    if (tag == PROPERTY_SMALLEST || tag == PROPERTY_LARGEST) {
        *(tag == PROPERTY_SMALLEST ? &p->info.smallest : &p->info.largest) = bytes;
        return bytes.len <= LSM_MAX_KEY;
    }
    if (tag == 0 || tag > PROPERTY_CREATED_MS)
        return true; /* of a later version, which did without a feature bit */
    if (akvi_get_varint(bytes.data, bytes.len, &value) != bytes.len || bytes.len == 0)
        return false;
    if (number)
        *number = value;
    else if (option)
        *option = (uint32_t)value;
    else if (tag == PROPERTY_UNBOUNDED)
        p->info.unbounded = value != 0;
    else
        p->options.compression_level = (int32_t)akvi_unzigzag(value);
    return !option || value <= UINT32_MAX;
}

bool akvi_lsm_properties_get(akv_slice bytes, lsm_properties *p)
{
    const uint8_t *at   = bytes.data;
    size_t         left = bytes.len;

    *p = (lsm_properties){.info = {.smallest = akv_bytes(at, 0), .largest = akv_bytes(at, 0)}};
    while (left > 0) {
        uint64_t tag, len;
        size_t   n = akvi_get_varint(at, left, &tag);
        size_t   m = n ? akvi_get_varint(at + n, left - n, &len) : 0;

        if (m == 0 || len > left - n - m)
            return false;
        at += n + m;
        left -= n + m;
        if (!property_get(p, tag, akv_bytes(at, (size_t)len)))
            return false;
        at += len;
        left -= (size_t)len;
    }
    return true;
}

/* ------------------------------------------------------------------- seals */

static uint32_t seal_checksum(const uint8_t *block, size_t len, uint64_t off)
{
    uint8_t place[8];

    akvi_put_le64(place, off);
    return akvi_crc32c(akvi_crc32c(0, block, len), place, sizeof place);
}

void akvi_lsm_seal(uint8_t *block, size_t len, uint32_t codec, uint64_t off)
{
    block[len] = (uint8_t)codec;
    akvi_put_le32(block + len + 1, seal_checksum(block, len + 1, off));
}

bool akvi_lsm_seal_holds(const uint8_t *block, size_t size, uint64_t off)
{
    return akvi_get_le32(block + size - 4) == seal_checksum(block, size - 4, off);
}
