/* SPDX-License-Identifier: MIT
 *
 * builder.c: writing a table, front to back (format.h, "a table").
 *
 * Data blocks leave through a buffer as they fill. What is told about them at
 * the end is gathered: the index blocks, some 20 bytes a data block, and the
 * hashes of the filter, 8 bytes a key. A separator, the key that the index has
 * for a block, is chosen when the next block's first key is known.
 */
#include "common/base/arena.h"
#include "engines/lsm/table_file.h"

#include <assert.h>
#include <stdlib.h>

#define BUILDER_BUFFER      (256u << 10)
#define BUILDER_INDEX_BLOCK 1024u
#define BUILDER_BLOCK_LEAST 64u
#define BUILDER_BLOCK_MOST  (64u << 20)
#define BUILDER_RESTART     16u /* when the options leave it open */
#define BUILDER_BLOCK       4096u

struct lsm_builder {
    const akv_allocator *allocator;
    akv_file            *file;
    const char          *path;
    lsm_properties       p;
    akv_status           failed; /* what every call answers from then on */
    akv_buffer           out;    /* not yet written */
    uint64_t             written;
    lsm_block_builder    data, index, top;
    akv_buffer           last;         /* the last key of the data block that ended last */
    lsm_extent           ended;        /* that block, which the index lacks yet; size 0: none */
    uint64_t             last_seq;     /* of the entry that was added last */
    uint64_t             index_seq;    /* of the last entry of `index` */
    akv_buffer           index_blocks; /* finished, each with room for its seal */
    akv_buffer           hashes;       /* uint64_t */
    akv_buffer           packed;       /* a block, compressed */
    akv_buffer           smallest, largest;
    akv_buffer           ranges; /* lsm_entry */
    akvi_arena           range_keys;
};

static void builder_options(lsm_table_options *opt)
{
    if (opt->block_size == 0)
        opt->block_size = BUILDER_BLOCK;
    if (opt->block_size < BUILDER_BLOCK_LEAST)
        opt->block_size = BUILDER_BLOCK_LEAST;
    if (opt->block_size > BUILDER_BLOCK_MOST)
        opt->block_size = BUILDER_BLOCK_MOST;
    if (opt->restart_interval == 0)
        opt->restart_interval = BUILDER_RESTART;
    if (opt->restart_interval > UINT8_MAX)
        opt->restart_interval = UINT8_MAX;
}

akv_status akvi_lsm_builder_new(const akv_allocator *allocator, akv_file *file, const char *path,
                                const lsm_table_options *opt, lsm_builder **builder_out)
{
    lsm_builder *b = akvi_zalloc(allocator, sizeof *b);

    *builder_out = NULL;
    if (!b)
        return AKV_NOMEM;
    b->allocator           = allocator;
    b->file                = file;
    b->path                = path;
    b->p.options           = *opt;
    b->p.info.smallest_seq = UINT64_MAX;
    builder_options(&b->p.options);
    b->out.allocator = b->last.allocator = b->index_blocks.allocator = allocator;
    b->hashes.allocator = b->packed.allocator = b->ranges.allocator = allocator;
    b->smallest.allocator = b->largest.allocator = allocator;
    akvi_arena_init(&b->range_keys, allocator);
    akvi_lsm_block_init(&b->data, allocator, b->p.options.restart_interval);
    akvi_lsm_block_init(&b->index, allocator, 1);
    akvi_lsm_block_init(&b->top, allocator, 1);
    *builder_out = b;
    return AKV_OK;
}

void akvi_lsm_builder_free(lsm_builder *b)
{
    if (!b)
        return;
    akv_buffer_free(&b->out);
    akv_buffer_free(&b->last);
    akv_buffer_free(&b->index_blocks);
    akv_buffer_free(&b->hashes);
    akv_buffer_free(&b->packed);
    akv_buffer_free(&b->smallest);
    akv_buffer_free(&b->largest);
    akv_buffer_free(&b->ranges);
    akvi_arena_free(&b->range_keys);
    akvi_lsm_block_free(&b->data);
    akvi_lsm_block_free(&b->index);
    akvi_lsm_block_free(&b->top);
    akvi_free(b->allocator, b, sizeof *b);
}

uint64_t akvi_lsm_builder_size(const lsm_builder *b)
{
    return b->written + b->out.len + (b->data.n ? akvi_lsm_block_size(&b->data, 0) : 0);
}

/* ------------------------------------------------------------------ writing */

static uint64_t builder_at(const lsm_builder *b)
{
    return b->written + b->out.len;
}

static akv_status builder_flush(lsm_builder *b)
{
    akv_status rc = b->out.len ? b->file->ops->append(b->file, b->out.data, b->out.len) : AKV_OK;

    if (rc == AKV_OK) {
        b->written += b->out.len;
        akvi_buffer_clear(&b->out);
    }
    return rc;
}

static akv_status builder_write(lsm_builder *b, const void *data, size_t len)
{
    akv_status rc = AKV_OK;
    void      *to;

    if (len > BUILDER_BUFFER - b->out.len)
        rc = builder_flush(b);
    if (rc != AKV_OK)
        return rc;
    if (len >= BUILDER_BUFFER) {
        rc = b->file->ops->append(b->file, data, len);
        b->written += rc == AKV_OK ? len : 0;
        return rc;
    }
    if (b->out.cap == 0 && akvi_buffer_reserve(&b->out, BUILDER_BUFFER) != AKV_OK)
        return AKV_NOMEM;
    to = akvi_buffer_extend(&b->out, len);
    if (!to)
        return AKV_NOMEM;
    memcpy(to, data, len);
    return AKV_OK;
}

/* Write a block as it is; `block` has room for a seal behind len. */
static akv_status builder_write_block(lsm_builder *b, uint8_t *block, size_t len, uint32_t codec,
                                      lsm_extent *extent_out)
{
    uint64_t off = builder_at(b);

    if (len >= LSM_BLOCK_MOST - LSM_BLOCK_SEAL)
        return AKV_FAIL_AT(AKV_TOO_BIG, b->path, off, "a block of %zu bytes: the most is 4 GiB",
                           len);
    akvi_lsm_seal(block, len, codec, off);
    *extent_out = (lsm_extent){off, (uint32_t)(len + LSM_BLOCK_SEAL)};
    return builder_write(b, block, len + LSM_BLOCK_SEAL);
}

/* Compress a block into b->packed, where that gains an eighth. */
static akv_status builder_pack(lsm_builder *b, akv_slice block, bool *packed_out)
{
    size_t     bound = akvi_compress_bound(b->p.options.compression, block.len), len;
    akv_status rc;

    *packed_out = false;
    akvi_buffer_clear(&b->packed);
    if (akvi_buffer_reserve(&b->packed, bound + LSM_BLOCK_RAW + LSM_BLOCK_SEAL) != AKV_OK)
        return AKV_NOMEM;
    rc = akvi_compress(b->p.options.compression, b->p.options.compression_level, block.data,
                       block.len, b->packed.data, bound, &len);
    if (rc != AKV_OK)
        return rc;
    if (len > block.len - block.len / 8 || block.len / LSM_BLOCK_GAIN > len)
        return AKV_OK;
    akvi_put_le32((uint8_t *)b->packed.data + len, (uint32_t)block.len);
    b->packed.len = len + LSM_BLOCK_RAW;
    *packed_out   = true;
    return AKV_OK;
}

/* Finish a block builder's block and write it. */
static akv_status builder_put_block(lsm_builder *b, lsm_block_builder *from, bool pack,
                                    lsm_extent *extent_out)
{
    uint32_t   codec = b->p.options.compression;
    akv_slice  block;
    akv_status rc = akvi_lsm_block_finish(from, &block);

    if (rc == AKV_OK && pack && codec != AKVI_CODEC_NONE)
        rc = builder_pack(b, block, &pack);
    else
        pack = false;
    if (rc == AKV_OK && pack)
        rc = builder_write_block(b, b->packed.data, b->packed.len, codec, extent_out);
    else if (rc == AKV_OK && akvi_buffer_reserve(&from->values, LSM_BLOCK_SEAL) != AKV_OK)
        rc = AKV_NOMEM;
    else if (rc == AKV_OK)
        rc = builder_write_block(b, from->values.data, from->values.len, AKVI_CODEC_NONE,
                                 extent_out);
    akvi_lsm_block_clear(from);
    /* One huge value is no reason to keep as much for the small ones after it. */
    if (from->values.cap > 4 * (size_t)b->p.options.block_size + BUILDER_BUFFER)
        akv_buffer_free(&from->values);
    if (b->packed.cap > 4 * (size_t)b->p.options.block_size + BUILDER_BUFFER)
        akv_buffer_free(&b->packed);
    return rc;
}

/* -------------------------------------------------------------------- index */

static akv_status builder_add_index(lsm_block_builder *to, akv_slice key, uint64_t seq,
                                    const uint8_t *value, size_t len)
{
    lsm_entry e    = {.key = key, .value = akv_bytes(value, len), .seq = seq, .kind = LSM_PUT};
    akv_slice last = akvi_lsm_block_last_key(to);

    return akvi_lsm_block_add(to, &e, akvi_lsm_shared(last.data, last.len, key.data, key.len));
}

/* End an index block. Offsets in the top index count from the index's beginning
 * until it is written. */
static akv_status builder_end_index(lsm_builder *b)
{
    uint8_t    value[LSM_TOP_VALUE], *to;
    akv_slice  block;
    akv_status rc = akvi_lsm_block_finish(&b->index, &block);

    if (rc != AKV_OK)
        return rc;
    akvi_put_le64(value, b->index_blocks.len);
    akvi_put_le32(value + 8, (uint32_t)(block.len + LSM_BLOCK_SEAL));
    akvi_put_le32(value + 12, (uint32_t)(b->p.data_blocks - b->index.n));
    to = akvi_buffer_extend(&b->index_blocks, block.len + LSM_BLOCK_SEAL);
    if (!to)
        return AKV_NOMEM;
    memcpy(to, block.data, block.len);
    b->p.index_blocks++;
    rc = builder_add_index(&b->top, akvi_lsm_block_last_key(&b->index), b->index_seq, value,
                           sizeof value);
    akvi_lsm_block_clear(&b->index);
    return rc;
}

/* Put the data block that ended into the index. The separator is at or after its
 * last entry, and before the one that follows: as short as that allows, and as
 * of sequence number 0, unless both are of one key. */
static akv_status builder_index(lsm_builder *b, const lsm_entry *next)
{
    akv_slice  key = akvi_buffer_slice(&b->last);
    uint64_t   seq = 0;
    uint8_t    value[LSM_INDEX_VALUE];
    akv_status rc = AKV_OK;

    if (b->ended.size == 0)
        return AKV_OK;
    if (next) {
        size_t same = akvi_lsm_shared(key.data, key.len, next->key.data, next->key.len);

        if (same == key.len && same == next->key.len)
            seq = b->last_seq;
        else if (same < key.len && same + 1 < key.len && same + 1 < next->key.len)
            key = akv_bytes(next->key.data, same + 1);
    }
    if (b->index.n &&
        akvi_lsm_block_size(&b->index, key.len + LSM_INDEX_VALUE) > BUILDER_INDEX_BLOCK)
        rc = builder_end_index(b);
    if (rc != AKV_OK)
        return rc;
    akvi_put_le64(value, b->ended.off);
    akvi_put_le32(value + 8, b->ended.size);
    b->ended.size = 0;
    b->index_seq  = seq;
    b->p.data_blocks++;
    return builder_add_index(&b->index, key, seq, value, sizeof value);
}

/* ------------------------------------------------------------------ entries */

static akv_status builder_end_data(lsm_builder *b)
{
    akv_slice  last = akvi_lsm_block_last_key(&b->data);
    akv_status rc   = akvi_buffer_set(&b->last, last.data, last.len);

    return rc == AKV_OK ? builder_put_block(b, &b->data, true, &b->ended) : rc;
}

static akv_status builder_add_hash(lsm_builder *b, uint64_t hash)
{
    uint64_t *to = akvi_buffer_extend(&b->hashes, sizeof *to);

    if (!to)
        return AKV_NOMEM;
    *to = hash;
    return AKV_OK;
}

/* `shared` with the key before, which was not the same. */
static akv_status builder_add_filter(lsm_builder *b, akv_slice key, size_t shared)
{
    size_t     prefix = b->p.options.prefix_filter;
    akv_status rc     = AKV_OK;

    if (b->p.options.filter_bits == 0)
        return AKV_OK;
    if (prefix && key.len >= prefix && (shared < prefix || b->p.info.entries == 0))
        rc = builder_add_hash(b, akvi_lsm_filter_hash_prefix(key.data, prefix));
    return rc == AKV_OK ? builder_add_hash(b, akvi_lsm_filter_hash(key)) : rc;
}

static void builder_count(lsm_builder *b, const lsm_entry *e)
{
    lsm_table_info *info = &b->p.info;

    info->raw_bytes += e->key.len + e->value.len;
    info->smallest_seq = e->seq < info->smallest_seq ? e->seq : info->smallest_seq;
    info->largest_seq  = e->seq > info->largest_seq ? e->seq : info->largest_seq;
}

static akv_status builder_check(const lsm_builder *b, const lsm_entry *e)
{
    if (e->key.len > LSM_MAX_KEY || e->value.len > LSM_MAX_VALUE)
        return AKV_FAIL_AT(AKV_TOO_BIG, b->path, AKV_NO_OFFSET,
                           "an entry of %zu key and %zu value bytes is over the limit", e->key.len,
                           e->value.len);
    return AKV_OK;
}

/* What the entry's key shares with the one before. AKV_CORRUPT: out of order. */
static akv_status builder_order(const lsm_builder *b, const lsm_entry *e, size_t *shared_out,
                                bool *same_out)
{
    akv_slice last = b->data.n ? akvi_lsm_block_last_key(&b->data) : akvi_buffer_slice(&b->last);
    size_t    n    = akvi_lsm_shared(last.data, last.len, e->key.data, e->key.len);
    bool      ok   = b->p.info.entries == 0;

    *shared_out = n;
    *same_out   = !ok && n == last.len && n == e->key.len;
    if (*same_out)
        ok = e->seq < b->last_seq;
    else if (n < last.len)
        ok = ok || (n < e->key.len &&
                    ((const uint8_t *)last.data)[n] < ((const uint8_t *)e->key.data)[n]);
    else
        ok = ok || n < e->key.len;
    if (!ok)
        return AKV_FAIL_AT(
            AKV_CORRUPT, b->path, AKV_NO_OFFSET,
            "entries for a table are out of order: what they were read from is damaged");
    return AKV_OK;
}

static akv_status builder_add(lsm_builder *b, const lsm_entry *e)
{
    size_t     shared, unshared, block = b->p.options.block_size;
    bool       same;
    akv_status rc = builder_check(b, e);

    if (rc == AKV_OK)
        rc = builder_order(b, e, &shared, &same);
    if (rc != AKV_OK)
        return rc;
    unshared = b->data.n % b->data.interval ? e->key.len - shared : e->key.len;
    if (b->data.n && akvi_lsm_block_size(&b->data, unshared + e->value.len) > block)
        rc = builder_end_data(b);
    if (rc == AKV_OK && b->ended.size)
        rc = builder_index(b, e);
    if (rc == AKV_OK && b->p.info.entries == 0)
        rc = akvi_buffer_set(&b->smallest, e->key.data, e->key.len);
    if (rc == AKV_OK && !same)
        rc = builder_add_filter(b, e->key, shared);
    if (rc == AKV_OK)
        rc = akvi_lsm_block_add(&b->data, e, shared);
    if (rc != AKV_OK)
        return rc;
    b->last_seq = e->seq;
    b->p.info.entries++;
    b->p.info.deletes += e->kind == LSM_DELETE;
    builder_count(b, e);
    return AKV_OK;
}

akv_status akvi_lsm_builder_add(lsm_builder *b, const lsm_entry *entry)
{
    if (b->failed == AKV_OK)
        b->failed = builder_add(b, entry);
    return b->failed;
}

akv_status akvi_lsm_builder_add_range(lsm_builder *b, const lsm_entry *range)
{
    lsm_entry *to;
    void      *key, *end;
    akv_status rc = b->failed == AKV_OK ? builder_check(b, range) : b->failed;

    if (rc != AKV_OK)
        return rc;
    key = akvi_arena_copy(&b->range_keys, range->key.data, range->key.len);
    end = akvi_arena_copy(&b->range_keys, range->value.data, range->value.len);
    to  = key && end ? akvi_buffer_extend(&b->ranges, sizeof *to) : NULL;
    if (!to)
        return b->failed = AKV_NOMEM;
    *to       = *range;
    to->key   = akv_bytes(key, range->key.len);
    to->value = akv_bytes(end, range->value.len);
    b->p.info.ranges++;
    builder_count(b, range);
    return AKV_OK;
}

/* ------------------------------------------------------------------- finish */

static int builder_compare_ranges(const void *a, const void *b)
{
    const lsm_entry *x = a, *y = b;

    return lsm_order(x->key, x->seq, y->key, y->seq);
}

/* Ranges reach as far as entries do: smallest and largest count them in. */
static akv_status builder_bounds(lsm_builder *b)
{
    lsm_table_info  *info   = &b->p.info;
    const lsm_entry *ranges = b->ranges.data;
    size_t           n      = b->ranges.len / sizeof *ranges;
    akv_slice        last   = akvi_buffer_slice(&b->last);
    akv_status       rc     = akvi_buffer_set(&b->largest, last.data, last.len);

    if (rc != AKV_OK)
        return rc;
    info->smallest = info->entries ? akvi_buffer_slice(&b->smallest) : n ? ranges[0].key : last;
    info->largest  = akvi_buffer_slice(&b->largest);
    for (size_t i = 0; i < n; i++) {
        akv_slice key = ranges[i].key, end = ranges[i].value;

        if (akvi_compare(key.data, key.len, info->smallest.data, info->smallest.len) < 0)
            info->smallest = key;
        if (end.len == 0)
            info->unbounded = true;
        else if (akvi_compare(end.data, end.len, info->largest.data, info->largest.len) > 0)
            info->largest = end;
    }
    return AKV_OK;
}

static akv_status builder_put_ranges(lsm_builder *b, lsm_extent *extent_out)
{
    lsm_entry *ranges = b->ranges.data;
    size_t     n      = b->ranges.len / sizeof *ranges;
    akv_status rc     = AKV_OK;

    if (n == 0)
        return AKV_OK;
    qsort(ranges, n, sizeof *ranges, builder_compare_ranges);
    for (size_t i = 0; rc == AKV_OK && i < n; i++) {
        akv_slice last = akvi_lsm_block_last_key(&b->data), key = ranges[i].key;

        rc = akvi_lsm_block_add(&b->data, &ranges[i],
                                akvi_lsm_shared(last.data, last.len, key.data, key.len));
    }
    return rc == AKV_OK ? builder_put_block(b, &b->data, false, extent_out) : rc;
}

static akv_status builder_put_filter(lsm_builder *b, lsm_extent *extent_out)
{
    static const uint8_t zeroes[LSM_FILTER_LINE];
    uint32_t             probes;
    size_t               n     = b->hashes.len / sizeof(uint64_t);
    uint64_t             lines = akvi_lsm_filter_lines(n, b->p.options.filter_bits, &probes);
    size_t               len   = (size_t)lines * LSM_FILTER_LINE, past;
    uint8_t             *filter;
    akv_status           rc;

    if (n == 0)
        return AKV_OK;
    /* On a line of its own in the file, and so in a mapping of it. */
    past = (size_t)(builder_at(b) % LSM_FILTER_LINE);
    rc   = past ? builder_write(b, zeroes, LSM_FILTER_LINE - past) : AKV_OK;
    if (rc != AKV_OK)
        return rc;
    filter = akvi_zalloc(b->allocator, len + LSM_FILTER_TAIL + LSM_BLOCK_SEAL);
    if (!filter)
        return AKV_NOMEM;
    akvi_lsm_filter_fill(filter, lines, probes, b->hashes.data, n);
    akvi_put_le64(filter + len, lines);
    akvi_put_le32(filter + len + 8, probes);
    rc = builder_write_block(b, filter, len + LSM_FILTER_TAIL, AKVI_CODEC_NONE, extent_out);
    akvi_free(b->allocator, filter, len + LSM_FILTER_TAIL + LSM_BLOCK_SEAL);
    return rc;
}

/* Seal the index blocks in their place, and let the top index say so. */
static akv_status builder_put_index(lsm_builder *b, lsm_extent *extent_out)
{
    uint8_t   *value, *blocks;
    uint64_t   begin = builder_at(b);
    akv_status rc    = builder_index(b, NULL);

    if (rc == AKV_OK && b->index.n)
        rc = builder_end_index(b);
    if (rc != AKV_OK || b->top.n == 0)
        return rc;
    value          = b->top.values.data;
    blocks         = b->index_blocks.data;
    b->p.index_off = begin;
    for (uint32_t i = 0; i < b->top.n; i++, value += LSM_TOP_VALUE) {
        uint64_t off  = akvi_get_le64(value);
        size_t   size = akvi_get_le32(value + 8);

        akvi_lsm_seal(blocks + off, size - LSM_BLOCK_SEAL, AKVI_CODEC_NONE, begin + off);
        akvi_put_le64(value, begin + off);
    }
    rc = builder_write(b, blocks, b->index_blocks.len);
    return rc == AKV_OK ? builder_put_block(b, &b->top, false, extent_out) : rc;
}

static akv_status builder_put_properties(lsm_builder *b, lsm_extent *extent_out)
{
    akv_buffer bytes = {NULL, 0, 0, b->allocator};
    akv_status rc    = akvi_lsm_properties_put(&b->p, &bytes);

    if (rc == AKV_OK)
        rc = akvi_buffer_reserve(&bytes, LSM_BLOCK_SEAL);
    if (rc == AKV_OK)
        rc = builder_write_block(b, bytes.data, bytes.len, AKVI_CODEC_NONE, extent_out);
    akv_buffer_free(&bytes);
    return rc;
}

static akv_status builder_finish(lsm_builder *b)
{
    lsm_footer footer = {0};
    uint8_t    bytes[LSM_TABLE_FOOTER];
    akv_status rc = b->data.n ? builder_end_data(b) : AKV_OK;

    if (rc == AKV_OK)
        rc = builder_put_ranges(b, &footer.ranges);
    if (rc == AKV_OK)
        rc = builder_bounds(b);
    if (rc == AKV_OK)
        rc = builder_put_filter(b, &footer.filter);
    if (rc == AKV_OK)
        rc = builder_put_index(b, &footer.top);
    if (b->p.info.entries + b->p.info.ranges == 0)
        b->p.info.smallest_seq = 0;
    if (rc == AKV_OK)
        rc = builder_put_properties(b, &footer.properties);
    if (rc != AKV_OK)
        return rc;
    footer.size = builder_at(b) + LSM_TABLE_FOOTER;
    akvi_lsm_footer_put(bytes, &footer);
    rc = builder_write(b, bytes, sizeof bytes);
    return rc == AKV_OK ? builder_flush(b) : rc;
}

akv_status akvi_lsm_builder_finish(lsm_builder *b, lsm_table_info *info_out)
{
    if (b->failed != AKV_OK)
        return b->failed;
    b->failed = builder_finish(b);
    if (b->failed != AKV_OK)
        return b->failed;
    b->failed      = AKV_MISUSE; /* it is done */
    *info_out      = b->p.info;
    info_out->size = b->written;
    return AKV_OK;
}
