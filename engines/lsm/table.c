/* SPDX-License-Identifier: MIT
 *
 * table.c: opening a table and getting from it.
 *
 * An open table holds its top index, properties and ranges. Index blocks and
 * the filter are read when they are first needed, and then stay with the table:
 * in its mapping, or in the cache's memory while half of that is free of what
 * is held like this. Who reads one at the same time as another keeps the one that
 * was set first.
 *
 * A table lives by references (`pin`): its own, until it is closed, and one for
 * every block handed out that lies in the mapping.
 */
#include "engines/lsm/table_file.h"

#include <inttypes.h>
#include <stdatomic.h>

#define TABLE_STACK_READ 8192u /* compressed blocks up to here are read onto the stack */
#define TABLE_PREFETCH   12u   /* lines at the end of a block: entries, heads, tail */

/* ------------------------------------------------------------------- blocks */

akv_status akvi_lsm_table_unsound(const lsm_table *t, lsm_extent extent, const char *what)
{
    return AKV_FAIL_AT(AKV_CORRUPT, t->path, extent.off,
                       "%s: damaged; restore the file, or repair the store", what);
}

static akv_status table_seal(const lsm_table *t, const uint8_t *raw, lsm_extent extent)
{
    if (akvi_lsm_seal_holds(raw, extent.size, extent.off))
        return AKV_OK;
    return akvi_lsm_table_unsound(t, extent, "a block's checksum is wrong");
}

/* Decompress a block, sealed and checked, into one from the cache's memory, where
 * blocks always have room for a seal behind them. */
static akv_status table_unpack(lsm_table *t, const uint8_t *raw, lsm_extent extent,
                               lsm_block **block_out)
{
    size_t     len   = extent.size - LSM_BLOCK_SEAL, was;
    uint32_t   codec = raw[len];
    lsm_block *block;
    uint8_t   *bytes;
    akv_status rc;

    if (codec != AKVI_CODEC_NONE) {
        if (len <= LSM_BLOCK_RAW)
            return akvi_lsm_table_unsound(t, extent, "a compressed block is too short");
        len -= LSM_BLOCK_RAW;
        was = akvi_get_le32(raw + len);
        if (was / LSM_BLOCK_GAIN > len || was > LSM_MAX_VALUE + (LSM_MAX_VALUE >> 2))
            return akvi_lsm_table_unsound(t, extent, "a compressed block's size makes no sense");
    } else {
        was = len;
    }
    block = akvi_lsm_block_new(t->cache, was + LSM_BLOCK_SEAL, &bytes);
    if (!block)
        return AKV_NOMEM;
    memset(bytes + was, 0, LSM_BLOCK_SEAL);
    rc = AKV_OK;
    if (codec == AKVI_CODEC_NONE)
        memcpy(bytes, raw, len);
    else
        rc = akvi_decompress(codec, raw, len, bytes, was);
    if (rc == AKV_CORRUPT)
        rc = akvi_lsm_table_unsound(t, extent, "a block can't be decompressed");
    if (rc != AKV_OK) {
        akvi_lsm_block_unref(block);
        return rc;
    }
    *block_out = block;
    return AKV_OK;
}

/* Read a block of an unmapped file. */
static akv_status table_fetch(lsm_table *t, lsm_extent extent, lsm_block **block_out)
{
    uint8_t    stack[TABLE_STACK_READ], *bytes = stack;
    lsm_block *block = NULL;
    bool       direct =
        t->properties.options.compression == AKVI_CODEC_NONE || extent.size > sizeof stack;
    akv_status rc;

    if (direct)
        block = akvi_lsm_block_new(t->cache, extent.size, &bytes);
    if (direct && !block)
        return AKV_NOMEM;
    rc = akvi_read_full(t->file, t->path, bytes, extent.size, extent.off);
    if (rc == AKV_OK)
        rc = table_seal(t, bytes, extent);
    if (rc == AKV_OK && direct && bytes[extent.size - LSM_BLOCK_SEAL] == AKVI_CODEC_NONE) {
        *block_out = block;
        return AKV_OK;
    }
    if (rc == AKV_OK)
        rc = table_unpack(t, bytes, extent, block_out);
    akvi_lsm_block_unref(block);
    return rc;
}

#define TABLE_AHEAD_LEAST (32u << 10)
#define TABLE_AHEAD_MOST  (256u << 10)
#define TABLE_AHEAD_MAP   (1u << 20)

/* Have a block in `ahead`, reading from it on. NULL in *raw_out: it is not worth it. */
static akv_status table_read_ahead(lsm_table *t, lsm_extent extent, lsm_ahead *ahead,
                                   const uint8_t **raw_out)
{
    uint64_t   left = t->size - extent.off, len = ahead->next_size;
    uint8_t   *bytes;
    akv_status rc;

    *raw_out = NULL;
    if (ahead->block && extent.off >= ahead->off &&
        akvi_range_ok(extent.off - ahead->off, extent.size, ahead->block->len)) {
        *raw_out = ahead->block->data + (extent.off - ahead->off);
        return AKV_OK;
    }
    if (len < TABLE_AHEAD_LEAST)
        len = TABLE_AHEAD_LEAST;
    len = len < left ? len : left;
    if (extent.size > len)
        return AKV_OK;
    akvi_lsm_block_unref(ahead->block);
    ahead->block = akvi_lsm_block_new(t->cache, (size_t)len, &bytes);
    if (!ahead->block) { /* block by block will do */
        akv_engine_recovered();
        return AKV_OK;
    }
    ahead->off       = extent.off;
    ahead->next_size = len < TABLE_AHEAD_MOST ? (uint32_t)len * 2 : TABLE_AHEAD_MOST;
    rc               = akvi_read_full(t->file, t->path, bytes, (size_t)len, extent.off);
    if (rc == AKV_OK) {
        *raw_out = bytes;
        return AKV_OK;
    }
    akvi_lsm_block_unref(ahead->block);
    ahead->block = NULL;
    return rc;
}

static void table_advise_ahead(lsm_table *t, lsm_extent extent, lsm_ahead *ahead)
{
    uint64_t end = extent.off + extent.size;

    if (end + TABLE_AHEAD_MAP / 2 <= ahead->advised && end + TABLE_AHEAD_MAP > ahead->advised)
        return;
    ahead->advised = end + TABLE_AHEAD_MAP < t->size ? end + TABLE_AHEAD_MAP : t->size;
    akvi_file_advise(t->file, t->map + extent.off, (size_t)(ahead->advised - extent.off),
                     AKV_ADVICE_WILL_NEED);
}

/* A block that lies in the mapping and needs no unpacking. */
static akv_status table_mapped(lsm_table *t, const uint8_t *raw, lsm_extent extent,
                               uint32_t ordinal, const lsm_read *read, lsm_held *held)
{
    _Atomic uint64_t *word = &t->checked[ordinal / 64];
    uint64_t          bit  = UINT64_C(1) << ordinal % 64;

    if (read->verify || ordinal == LSM_NO_ORDINAL ||
        !(atomic_load_explicit(word, memory_order_relaxed) & bit)) {
        akv_status rc = table_seal(t, raw, extent);

        if (rc != AKV_OK)
            return rc;
        if (ordinal != LSM_NO_ORDINAL)
            atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
    }
    akvi_lsm_block_ref(&t->pin);
    *held = (lsm_held){raw, extent.size - LSM_BLOCK_SEAL, &t->pin};
    return AKV_OK;
}

static lsm_held table_hold(lsm_block *block)
{
    return (lsm_held){block->data, block->len - LSM_BLOCK_SEAL, block};
}

akv_status akvi_lsm_table_block(lsm_table *t, lsm_extent extent, uint32_t ordinal,
                                const lsm_read *read, lsm_ahead *ahead, lsm_held *held)
{
    const uint8_t *raw = t->map ? t->map + extent.off : NULL;
    lsm_block     *block;
    akv_status     rc;

    if (raw && ahead)
        table_advise_ahead(t, extent, ahead);
    if (raw && raw[extent.size - LSM_BLOCK_SEAL] == AKVI_CODEC_NONE)
        return table_mapped(t, raw, extent, ordinal, read, held);
    block = ahead && read->verify ? NULL : akvi_lsm_cache_find(t->cache, t->number, extent.off);
    if (block) {
        *held = table_hold(block);
        return AKV_OK;
    }
    if (!raw && ahead) {
        rc = table_read_ahead(t, extent, ahead, &raw);
        if (rc != AKV_OK)
            return rc;
    }
    rc = raw ? table_seal(t, raw, extent) : AKV_OK;
    if (rc != AKV_OK)
        return rc;
    if (ahead && raw && raw[extent.size - LSM_BLOCK_SEAL] == AKVI_CODEC_NONE) {
        akvi_lsm_block_ref(ahead->block);
        *held = (lsm_held){raw, extent.size - LSM_BLOCK_SEAL, ahead->block};
        return AKV_OK;
    }
    rc = raw ? table_unpack(t, raw, extent, &block) : table_fetch(t, extent, &block);
    if (rc != AKV_OK)
        return rc;
    if (read->fill_cache)
        block = akvi_lsm_cache_insert(t->cache, block, t->number, extent.off);
    *held = table_hold(block);
    return AKV_OK;
}

/* -------------------------------------------------------------------- index */

/* Whether the table may hold on to `len` bytes more of the cache's memory. */
static bool table_may_hold(const lsm_table *t, const lsm_block *block)
{
    lsm_cache_stats stats;

    if (block == &t->pin)
        return true;
    akvi_lsm_cache_stats_get(t->cache, &stats);
    return stats.pinned + block->len <= stats.capacity / 2;
}

/* A handle on data or index blocks, from an index. */
static bool table_extent(const lsm_table *t, const uint8_t *value, lsm_extent *extent_out)
{
    extent_out->off  = akvi_get_le64(value);
    extent_out->size = akvi_get_le32(value + 8);
    return extent_out->size > LSM_BLOCK_SEAL &&
           akvi_range_ok(extent_out->off, extent_out->size, t->size);
}

/* Entry `i` of an index block, whose values all have `len` bytes. */
static const uint8_t *table_index_value(const lsm_view *v, uint32_t i, uint32_t len)
{
    return v->values_len / len > i ? v->data + (size_t)i * len : NULL;
}

akv_status akvi_lsm_table_load_index(lsm_table *t, uint32_t top, const lsm_read *read,
                                     lsm_ahead *ahead, lsm_index *index)
{
    const uint8_t *value = table_index_value(&t->top, top, LSM_TOP_VALUE);
    lsm_extent     extent;
    lsm_held       held;
    akv_status     rc;

    if (!value || !table_extent(t, value, &extent))
        return akvi_lsm_table_unsound(t, t->footer.top, "the top index makes no sense");
    rc = akvi_lsm_table_block(t, extent, LSM_NO_ORDINAL, read, ahead, &held);
    if (rc != AKV_OK)
        return rc;
    if (!akvi_lsm_view_init(&index->view, held.data, held.len, LSM_KINDS_INDEX) ||
        index->view.interval != 1 ||
        (uint64_t)akvi_get_le32(value + 12) + index->view.entries_n > t->properties.data_blocks) {
        akvi_lsm_block_unref(held.block);
        return akvi_lsm_table_unsound(t, extent, "an index block makes no sense");
    }
    index->first = akvi_get_le32(value + 12);
    index->block = held.block;
    return AKV_OK;
}

akv_status akvi_lsm_table_index(lsm_table *t, uint32_t top, const lsm_read *read, lsm_index *local,
                                const lsm_index **index_out)
{
    lsm_index *have = atomic_load_explicit(&t->index[top], memory_order_acquire), *mine;
    akv_status rc;

    local->block = NULL;
    *index_out   = have;
    if (have)
        return AKV_OK;
    *index_out = local;
    rc         = akvi_lsm_table_load_index(t, top, read, NULL, local);
    if (rc != AKV_OK || !table_may_hold(t, local->block))
        return rc;
    mine = akvi_alloc(t->allocator, sizeof *mine);
    if (!mine) {
        akvi_lsm_block_unref(local->block);
        local->block = NULL;
        return AKV_NOMEM;
    }
    *mine = *local;
    if (atomic_compare_exchange_strong(&t->index[top], &have, mine)) {
        local->block = NULL;
        *index_out   = mine;
    } else {
        akvi_free(t->allocator, mine, sizeof *mine);
    }
    return AKV_OK;
}

static bool table_where(const lsm_table *t, const lsm_index *index, lsm_where *where)
{
    const uint8_t *value = table_index_value(&index->view, where->entry, LSM_INDEX_VALUE);

    where->ordinal = index->first + where->entry;
    return value && table_extent(t, value, &where->extent) &&
           where->extent.off + where->extent.size <= t->properties.index_off;
}

akv_status akvi_lsm_table_where(lsm_table *t, const lsm_index *index, lsm_where *where)
{
    if (table_where(t, index, where))
        return AKV_OK;
    return akvi_lsm_table_unsound(t, t->footer.top, "an index block makes no sense");
}

akv_status akvi_lsm_table_find(lsm_table *t, akv_slice key, uint64_t seq, const lsm_read *read,
                               lsm_where *where)
{
    const lsm_index *index;
    lsm_index        local;
    akv_status       rc;

    if (t->properties.index_blocks == 0 || !akvi_lsm_view_find(&t->top, key, seq, &where->top))
        return AKV_ABSENT;
    rc = akvi_lsm_table_index(t, where->top, read, &local, &index);
    if (rc != AKV_OK)
        return rc;
    /* The block ends with the separator by which it was found. */
    rc = akvi_lsm_view_find(&index->view, key, seq, &where->entry)
             ? akvi_lsm_table_where(t, index, where)
             : akvi_lsm_table_unsound(t, t->footer.top, "an index block lacks its last key");
    akvi_lsm_block_unref(local.block);
    return rc;
}

/* ------------------------------------------------------------------- filter */

akv_status akvi_lsm_table_load_filter(lsm_table *t, const lsm_read *read, lsm_ahead *ahead,
                                      lsm_filter_held *f)
{
    lsm_held       held;
    const uint8_t *tail;
    size_t         past;
    akv_status rc = akvi_lsm_table_block(t, t->footer.filter, LSM_NO_ORDINAL, read, ahead, &held);

    if (rc != AKV_OK)
        return rc;
    tail = held.data + held.len - LSM_FILTER_TAIL;
    past = held.len < LSM_FILTER_TAIL;
    if (!past) {
        f->filter = (lsm_filter){held.data, akvi_get_le64(tail), akvi_get_le32(tail + 8)};
        past      = f->filter.lines_n == 0 || f->filter.lines_n > LSM_FILTER_LINES_MOST ||
               f->filter.lines_n * LSM_FILTER_LINE != held.len - LSM_FILTER_TAIL ||
               f->filter.probes == 0 || f->filter.probes > LSM_FILTER_MOST ||
               akvi_get_le32(tail + 12);
    }
    f->block = held.block;
    if (!past)
        return AKV_OK;
    akvi_lsm_block_unref(held.block);
    *f = (lsm_filter_held){.block = NULL};
    return akvi_lsm_table_unsound(t, t->footer.filter, "the filter makes no sense");
}

akv_status akvi_lsm_table_filter(lsm_table *t, const lsm_read *read, lsm_filter_held *local,
                                 const lsm_filter_held **filter_out)
{
    lsm_filter_held *have = atomic_load_explicit(&t->filter, memory_order_acquire), *mine;
    akv_status       rc;

    local->block = NULL;
    *filter_out  = have;
    if (have || t->footer.filter.size == 0)
        return AKV_OK;
    *filter_out = local;
    rc          = akvi_lsm_table_load_filter(t, read, NULL, local);
    if (rc != AKV_OK || !table_may_hold(t, local->block))
        return rc;
    mine = akvi_alloc(t->allocator, sizeof *mine);
    if (!mine) {
        akvi_lsm_block_unref(local->block);
        local->block = NULL;
        return AKV_NOMEM;
    }
    *mine = *local;
    if (atomic_compare_exchange_strong(&t->filter, &have, mine)) {
        local->block = NULL;
        *filter_out  = mine;
    } else {
        akvi_free(t->allocator, mine, sizeof *mine);
    }
    return AKV_OK;
}

/* Whether a filter that is there says no: then AKV_ABSENT. */
static akv_status table_filter_asks(lsm_table *t, uint64_t hash, const lsm_read *read)
{
    lsm_filter_held        local;
    const lsm_filter_held *f;
    akv_status             rc = akvi_lsm_table_filter(t, read, &local, &f);

    if (rc != AKV_OK || !f)
        return rc;
    rc = akvi_lsm_filter_may_have(&f->filter, hash) ? AKV_OK : AKV_ABSENT;
    akvi_lsm_block_unref(local.block);
    return rc;
}

/* --------------------------------------------------------------------- open */

static size_t table_checked_size(const lsm_table *t)
{
    return (size_t)(t->properties.data_blocks / 64 + 1) * sizeof *t->checked;
}

static size_t table_index_size(const lsm_table *t)
{
    return (size_t)(t->properties.index_blocks + 1) * sizeof *t->index;
}

/* The last reference has gone. */
static void table_release(lsm_block *pin)
{
    lsm_table           *t = (lsm_table *)((char *)pin - offsetof(lsm_table, pin));
    const akv_allocator *a = t->allocator;

    if (t->map)
        akvi_file_unmap(t->file, t->map, (size_t)t->size);
    akvi_file_drop(t->file);
    akv_buffer_free(&t->properties_bytes);
    akv_buffer_free(&t->ranges_bytes);
    akv_buffer_free(&t->top_bytes);
    akvi_arena_free(&t->range_keys);
    akvi_free(a, t->ranges, t->ranges_n * sizeof *t->ranges);
    akvi_free(a, t->checked, table_checked_size(t));
    akvi_free(a, t->index, table_index_size(t));
    akvi_strfree(a, t->path);
    akvi_free(a, t, sizeof *t);
}

void akvi_lsm_table_close(lsm_table *t)
{
    lsm_filter_held *filter;

    if (!t)
        return;
    for (uint64_t i = 0; t->index && i < t->properties.index_blocks; i++) {
        lsm_index *index = atomic_load(&t->index[i]);

        if (index) {
            akvi_lsm_block_unref(index->block);
            akvi_free(t->allocator, index, sizeof *index);
        }
    }
    filter = atomic_load(&t->filter);
    if (filter) {
        akvi_lsm_block_unref(filter->block);
        akvi_free(t->allocator, filter, sizeof *filter);
    }
    akvi_lsm_block_unref(&t->pin);
}

static akv_status table_open_footer(lsm_table *t)
{
    uint8_t       bytes[LSM_TABLE_FOOTER];
    akv_file_info info;
    akv_status    rc = t->file->ops->info(t->file, &info);

    if (rc != AKV_OK)
        return rc;
    t->size = info.size;
    if (t->size < LSM_TABLE_FOOTER)
        return AKV_FAIL_AT(AKV_CORRUPT, t->path, 0, "no footer: not a table, or cut");
    rc = akvi_read_full(t->file, t->path, bytes, sizeof bytes, t->size - LSM_TABLE_FOOTER);
    return rc == AKV_OK ? akvi_lsm_footer_get(bytes, t->path, t->size, &t->footer) : rc;
}

/* A block into memory of the table's own. */
static akv_status table_open_block(lsm_table *t, lsm_extent extent, akv_buffer *bytes)
{
    akv_status rc = akvi_buffer_resize(bytes, extent.size);

    if (rc == AKV_OK)
        rc = akvi_read_full(t->file, t->path, bytes->data, bytes->len, extent.off);
    if (rc == AKV_OK)
        rc = table_seal(t, bytes->data, extent);
    if (rc == AKV_OK && ((uint8_t *)bytes->data)[extent.size - LSM_BLOCK_SEAL] != AKVI_CODEC_NONE)
        rc = akvi_lsm_table_unsound(t, extent, "a block is compressed that never is");
    if (rc == AKV_OK)
        bytes->len -= LSM_BLOCK_SEAL;
    return rc;
}

static akv_status table_open_properties(lsm_table *t)
{
    lsm_properties *p  = &t->properties;
    akv_status      rc = table_open_block(t, t->footer.properties, &t->properties_bytes);

    if (rc != AKV_OK)
        return rc;
    if (!akvi_lsm_properties_get(akvi_buffer_slice(&t->properties_bytes), p) ||
        p->data_blocks > t->size / (LSM_BLOCK_TAIL + LSM_BLOCK_SEAL) ||
        p->index_blocks > p->data_blocks || p->index_off > t->size ||
        (p->info.ranges == 0) != (t->footer.ranges.size == 0) ||
        (p->info.entries == 0) != (t->footer.top.size == 0) ||
        (p->info.entries == 0) != (p->data_blocks == 0)) {
        *p = (lsm_properties){0};
        return akvi_lsm_table_unsound(t, t->footer.properties, "the properties make no sense");
    }
    p->info.size = t->size;
    return AKV_OK;
}

static akv_status table_open_top(lsm_table *t)
{
    akv_status rc;

    if (t->footer.top.size == 0)
        return AKV_OK;
    rc = table_open_block(t, t->footer.top, &t->top_bytes);
    if (rc == AKV_OK &&
        (!akvi_lsm_view_init(&t->top, t->top_bytes.data, t->top_bytes.len, LSM_KINDS_INDEX) ||
         t->top.interval != 1 || t->top.entries_n != t->properties.index_blocks))
        rc = akvi_lsm_table_unsound(t, t->footer.top, "the top index makes no sense");
    return rc;
}

static akv_status table_open_range(lsm_table *t, const lsm_walk *walk, lsm_entry *range)
{
    void *key = akvi_arena_copy(&t->range_keys, walk->key.data, walk->key.len);

    if (!key)
        return AKV_NOMEM;
    *range = (lsm_entry){
        .key = akv_bytes(key, walk->key.len), .seq = walk->spot.item.seq, .kind = LSM_DELETE_RANGE};
    return akvi_lsm_spot_value(&walk->view, &walk->spot, &range->value)
               ? AKV_OK
               : akvi_lsm_table_unsound(t, t->footer.ranges, "the ranges make no sense");
}

static akv_status table_open_ranges(lsm_table *t)
{
    lsm_walk   walk = {.key.allocator = t->allocator};
    akv_status rc   = AKV_OK;

    if (t->footer.ranges.size)
        rc = table_open_block(t, t->footer.ranges, &t->ranges_bytes);
    if (rc != AKV_OK || t->footer.ranges.size == 0)
        return rc;
    if (!akvi_lsm_view_init(&walk.view, t->ranges_bytes.data, t->ranges_bytes.len,
                            LSM_KINDS_RANGE) ||
        walk.view.entries_n != t->properties.info.ranges)
        return akvi_lsm_table_unsound(t, t->footer.ranges, "the ranges make no sense");
    t->ranges = akvi_alloc_n(t->allocator, walk.view.entries_n, sizeof *t->ranges);
    if (!t->ranges)
        return AKV_NOMEM;
    t->ranges_n = walk.view.entries_n;
    for (rc = akvi_lsm_walk_restart(&walk, 0); rc == AKV_OK; rc = akvi_lsm_walk_next(&walk)) {
        rc = table_open_range(t, &walk, &t->ranges[walk.spot.index]);
        if (rc != AKV_OK)
            break;
    }
    akv_buffer_free(&walk.key);
    if (rc == AKV_CORRUPT)
        return akvi_lsm_table_unsound(t, t->footer.ranges, "the ranges make no sense");
    return rc == AKV_END ? AKV_OK : rc;
}

static akv_status table_open_memory(lsm_table *t, bool mapped)
{
    const void *map = NULL;
    akv_status  rc  = AKV_OK;

    t->checked = akvi_zalloc(t->allocator, table_checked_size(t));
    t->index   = akvi_zalloc(t->allocator, table_index_size(t));
    if (!t->checked || !t->index)
        return AKV_NOMEM;
    if (mapped && t->file->ops->map && t->size <= SIZE_MAX)
        rc = akvi_file_map(t->file, (size_t)t->size, &map);
    t->map = map;
    return rc;
}

akv_status akvi_lsm_table_open(const akv_allocator *allocator, akv_file *file, const char *path,
                               uint64_t number, bool mapped, lsm_cache *cache,
                               lsm_table **table_out)
{
    lsm_table *t = akvi_zalloc(allocator, sizeof *t);
    akv_status rc;

    *table_out = NULL;
    if (!t) {
        akvi_file_drop(file);
        return AKV_NOMEM;
    }
    t->allocator   = allocator;
    t->cache       = cache;
    t->file        = file;
    t->number      = number;
    t->pin.release = table_release;
    atomic_init(&t->pin.refs, 1);
    t->properties_bytes.allocator = t->ranges_bytes.allocator = t->top_bytes.allocator = allocator;
    akvi_arena_init(&t->range_keys, allocator);
    t->path = akvi_strdup(allocator, path);
    rc      = t->path ? table_open_footer(t) : AKV_NOMEM;
    if (rc == AKV_OK)
        rc = table_open_properties(t);
    if (rc == AKV_OK)
        rc = table_open_top(t);
    if (rc == AKV_OK)
        rc = table_open_ranges(t);
    if (rc == AKV_OK)
        rc = table_open_memory(t, mapped);
    if (rc == AKV_OK)
        *table_out = t;
    else
        akvi_lsm_table_close(t);
    return rc;
}

void akvi_lsm_table_info(const lsm_table *t, lsm_table_info *info_out)
{
    *info_out = t->properties.info;
}

const lsm_entry *akvi_lsm_table_ranges(const lsm_table *t, size_t *n_out)
{
    *n_out = t->ranges_n;
    return t->ranges;
}

/* ---------------------------------------------------------------------- get */

static void table_prefetch_block(const uint8_t *data, size_t len)
{
    const uint8_t *at = data + len;

    for (unsigned i = 0; i < TABLE_PREFETCH && len >= 64; i++, len -= 64)
        __builtin_prefetch(at -= 64);
}

static akv_status table_entry(const lsm_table *t, lsm_extent extent, const lsm_view *v,
                              const lsm_spot *spot, lsm_entry *entry)
{
    if (!akvi_lsm_spot_value(v, spot, &entry->value))
        return akvi_lsm_table_unsound(t, extent, "a block makes no sense");
    entry->seq       = spot->item.seq;
    entry->expiry_ms = spot->item.expiry_ms;
    entry->kind      = spot->item.kind;
    entry->encoding  = spot->item.encoding;
    return AKV_OK;
}

akv_status akvi_lsm_table_get(lsm_table *t, akv_slice key, uint64_t hash, uint64_t seq,
                              const lsm_read *read, lsm_entry *entry_out, lsm_block **block_out)
{
    lsm_where  where;
    lsm_held   held;
    lsm_view   v;
    lsm_spot   spot;
    akv_status rc = table_filter_asks(t, hash, read);

    *block_out = NULL;
    if (rc == AKV_OK)
        rc = akvi_lsm_table_find(t, key, seq, read, &where);
    if (rc != AKV_OK)
        return rc;
    if (t->map)
        table_prefetch_block(t->map + where.extent.off, where.extent.size);
    rc = akvi_lsm_table_block(t, where.extent, where.ordinal, read, NULL, &held);
    if (rc != AKV_OK)
        return rc;
    if (!t->map)
        table_prefetch_block(held.data, held.len);
    rc = AKV_ABSENT;
    if (!akvi_lsm_view_init(&v, held.data, held.len, LSM_KINDS_DATA)) {
        rc = akvi_lsm_table_unsound(t, where.extent, "a block makes no sense");
        goto done;
    }
    switch (akvi_lsm_view_seek(&v, key, seq, &spot)) {
    case LSM_SPOT_BAD:
        rc = akvi_lsm_table_unsound(t, where.extent, "a block makes no sense");
        break;
    case LSM_SPOT_NONE: break;
    case LSM_SPOT_OK:
        if (spot.same)
            rc = table_entry(t, where.extent, &v, &spot, entry_out);
        break;
    }
done:
    if (rc == AKV_OK) {
        entry_out->key = key;
        *block_out     = held.block;
    } else {
        akvi_lsm_block_unref(held.block);
    }
    return rc;
}

void akvi_lsm_table_prefetch(lsm_table *t, akv_slice key, uint64_t hash)
{
    const lsm_filter_held *f = atomic_load_explicit(&t->filter, memory_order_acquire);
    const lsm_index       *index;
    lsm_where              where;

    if (!t->map || t->properties.index_blocks == 0 ||
        (f && !akvi_lsm_filter_may_have(&f->filter, hash)) ||
        !akvi_lsm_view_find(&t->top, key, LSM_SEQ_MAX, &where.top))
        return;
    index = atomic_load_explicit(&t->index[where.top], memory_order_acquire);
    if (index && akvi_lsm_view_find(&index->view, key, LSM_SEQ_MAX, &where.entry) &&
        table_where(t, index, &where))
        table_prefetch_block(t->map + where.extent.off, where.extent.size);
}

bool akvi_lsm_table_may_have_prefix(lsm_table *t, akv_slice prefix)
{
    static const lsm_read  read = {.fill_cache = true};
    uint32_t               n    = t->properties.options.prefix_filter;
    akv_slice              most = t->properties.info.largest;
    lsm_filter_held        local;
    const lsm_filter_held *f;
    bool                   may;

    if (t->properties.info.entries == 0)
        return false;
    most.len = most.len < prefix.len ? most.len : prefix.len;
    if (akvi_compare(prefix.data, prefix.len, most.data, most.len) > 0)
        return false;
    if (n == 0 || prefix.len < n || akvi_lsm_table_filter(t, &read, &local, &f) != AKV_OK || !f)
        return true;
    may = akvi_lsm_filter_may_have(&f->filter, akvi_lsm_filter_hash_prefix(prefix.data, n));
    akvi_lsm_block_unref(local.block);
    return may;
}

uint64_t akvi_lsm_table_offset_of(lsm_table *t, akv_slice key)
{
    static const lsm_read read = {.fill_cache = true};
    lsm_where             where;

    return akvi_lsm_table_find(t, key, LSM_SEQ_MAX, &read, &where) == AKV_OK
               ? where.extent.off
               : t->properties.index_off;
}
