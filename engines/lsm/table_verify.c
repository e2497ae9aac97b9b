/* SPDX-License-Identifier: MIT
 *
 * table_verify.c: reading all of a table and holding it against what it says of
 * itself. Blocks are read as they lie in the file, past the cache.
 */
#include "engines/lsm/table_file.h"

#include <inttypes.h>

typedef struct table_verify {
    lsm_table      *t;
    akv_job        *job;
    lsm_ahead       ahead;
    lsm_filter_held filter; /* lines NULL: none, or it can't be read */
    lsm_walk        walk;
    akv_buffer      last;      /* key of the entry before */
    akv_buffer      separator; /* of the block before */
    uint64_t        last_seq, separator_seq;
    lsm_table_info  seen;
    uint64_t        blocks, bytes;
    bool            damaged; /* counts can't be held against the properties */
} table_verify;

static const lsm_read verify_read = {.verify = true};

/* A fault that has been recorded is told, and what can still be read goes on. */
static akv_status verify_fault(table_verify *v, akv_status rc)
{
    if (rc != AKV_CORRUPT && rc != AKV_VERSION)
        return rc;
    v->damaged = true;
    (void)akv_job_fault(v->job);
    return AKV_OK;
}

/* ------------------------------------------------------------------ entries */

/* Whether the entry is after the one before, and after the separator there. */
static bool verify_order(const table_verify *v, akv_slice key, uint64_t seq)
{
    if (v->seen.entries == 0)
        return true;
    return lsm_order(akvi_buffer_slice(&v->last), v->last_seq, key, seq) < 0 &&
           (v->blocks == 0 ||
            lsm_order(akvi_buffer_slice(&v->separator), v->separator_seq, key, seq) < 0);
}

static const char *verify_entry(const table_verify *v, const lsm_spot *spot, akv_slice key)
{
    uint32_t  prefix = v->t->properties.options.prefix_filter;
    akv_slice value;

    if (!verify_order(v, key, spot->item.seq))
        return "entries are out of order";
    if (key.len > LSM_MAX_KEY || spot->item.seq > LSM_SEQ_MAX ||
        !akvi_lsm_spot_value(&v->walk.view, spot, &value))
        return "an entry makes no sense";
    if (!akvi_lsm_view_run_holds(&v->walk.view, spot))
        return "heads lead astray";
    if (!v->filter.filter.lines)
        return NULL;
    if (!akvi_lsm_filter_may_have(&v->filter.filter, akvi_lsm_filter_hash(key)) ||
        (prefix && key.len >= prefix &&
         !akvi_lsm_filter_may_have(&v->filter.filter,
                                   akvi_lsm_filter_hash_prefix(key.data, prefix))))
        return "the filter lacks a key";
    return NULL;
}

static akv_status verify_entries(table_verify *v, lsm_extent extent)
{
    lsm_table_info *seen = &v->seen;
    akv_status      rc   = akvi_lsm_walk_restart(&v->walk, 0);

    for (; rc == AKV_OK; rc = akvi_lsm_walk_next(&v->walk)) {
        const lsm_item *item = &v->walk.spot.item;
        akv_slice       key  = akvi_buffer_slice(&v->walk.key);
        const char     *what = verify_entry(v, &v->walk.spot, key);

        if (what)
            return akvi_lsm_table_unsound(v->t, extent, what);
        seen->entries++;
        seen->deletes += item->kind == LSM_DELETE;
        seen->raw_bytes += key.len + item->value_len;
        v->last_seq = item->seq;
        rc          = akvi_buffer_set(&v->last, key.data, key.len);
        if (rc != AKV_OK)
            return rc;
    }
    if (rc == AKV_CORRUPT)
        return akvi_lsm_table_unsound(v->t, extent, "a block makes no sense");
    return rc == AKV_END ? AKV_OK : rc;
}

/* ------------------------------------------------------------------- blocks */

static akv_status verify_block(table_verify *v, const lsm_where *where)
{
    lsm_held   held;
    akv_status rc =
        akvi_lsm_table_block(v->t, where->extent, where->ordinal, &verify_read, &v->ahead, &held);

    if (rc != AKV_OK)
        return rc;
    if (akvi_lsm_view_init(&v->walk.view, held.data, held.len, LSM_KINDS_DATA))
        rc = verify_entries(v, where->extent);
    else
        rc = akvi_lsm_table_unsound(v->t, where->extent, "a block makes no sense");
    akvi_lsm_block_unref(held.block);
    return rc;
}

/* Whether an entry of an index is where those who look for it go. */
static bool verify_index_spot(const lsm_view *v, const lsm_spot *spot, uint32_t value_len)
{
    return spot->value == (uint64_t)spot->index * value_len && spot->item.value_len == value_len &&
           akvi_lsm_view_run_holds(v, spot);
}

/* The data block of one index entry, which must end before the entry's key does. */
static akv_status verify_index_entry(table_verify *v, const lsm_index *index, const lsm_walk *walk)
{
    lsm_where  where = {.entry = walk->spot.index};
    akv_slice  key   = akvi_buffer_slice(&walk->key);
    uint64_t   seq   = walk->spot.item.seq;
    akv_status rc    = akvi_lsm_table_where(v->t, index, &where);

    if (rc == AKV_OK && !verify_index_spot(&walk->view, &walk->spot, LSM_INDEX_VALUE))
        rc = akvi_lsm_table_unsound(v->t, v->t->footer.top, "an index block makes no sense");
    if (rc == AKV_OK && where.ordinal != v->blocks)
        rc = akvi_lsm_table_unsound(v->t, where.extent, "the index skips blocks");
    if (rc == AKV_OK)
        rc = verify_block(v, &where);
    if (rc == AKV_OK && lsm_order(akvi_buffer_slice(&v->last), v->last_seq, key, seq) > 0)
        rc = akvi_lsm_table_unsound(v->t, where.extent, "a block has keys behind its separator");
    rc = verify_fault(v, rc);
    v->blocks++;
    v->bytes += where.extent.size;
    v->separator_seq = seq;
    if (rc == AKV_OK)
        rc = akvi_buffer_set(&v->separator, key.data, key.len);
    return rc == AKV_OK ? akv_job_step(v->job, where.extent.size, where.extent.size) : rc;
}

/* The index block of one entry of the top index, whose last separator is the
 * entry's key. */
static akv_status verify_index(table_verify *v, const lsm_walk *top)
{
    lsm_walk   walk  = {.key.allocator = v->t->allocator};
    lsm_ahead  ahead = {.next_size = 0};
    lsm_index  index;
    akv_status rc = akvi_lsm_table_load_index(v->t, top->spot.index, &verify_read, &ahead, &index);

    if (rc != AKV_OK)
        goto done;
    walk.view = index.view;
    for (rc = akvi_lsm_walk_restart(&walk, 0); rc == AKV_OK; rc = akvi_lsm_walk_next(&walk)) {
        rc = verify_index_entry(v, &index, &walk);
        if (rc != AKV_OK)
            break;
    }
    akvi_lsm_block_unref(index.block);
    if (rc != AKV_END && rc != AKV_CORRUPT)
        goto done;
    if (rc == AKV_CORRUPT || !verify_index_spot(&v->t->top, &top->spot, LSM_TOP_VALUE) ||
        lsm_order(akvi_buffer_slice(&top->key), top->spot.item.seq,
                  akvi_buffer_slice(&v->separator), v->separator_seq) != 0)
        rc = akvi_lsm_table_unsound(v->t, v->t->footer.top, "an index block makes no sense");
done:
    akvi_lsm_block_unref(ahead.block);
    akv_buffer_free(&walk.key);
    return rc == AKV_END ? AKV_OK : rc;
}

static akv_status verify_indexes(table_verify *v)
{
    lsm_walk   top = {.view = v->t->top, .key.allocator = v->t->allocator};
    akv_status rc;

    if (v->t->properties.index_blocks == 0)
        return AKV_OK;
    for (rc = akvi_lsm_walk_restart(&top, 0); rc == AKV_OK; rc = akvi_lsm_walk_next(&top)) {
        rc = verify_fault(v, verify_index(v, &top));
        if (rc != AKV_OK)
            break;
    }
    akv_buffer_free(&top.key);
    if (rc == AKV_CORRUPT)
        rc = verify_fault(
            v, akvi_lsm_table_unsound(v->t, v->t->footer.top, "the top index makes no sense"));
    return rc == AKV_END ? AKV_OK : rc;
}

/* A block that was read when the table was opened. */
static akv_status verify_again(table_verify *v, lsm_extent extent)
{
    lsm_held   held;
    akv_status rc;

    if (extent.size == 0)
        return AKV_OK;
    rc = akvi_lsm_table_block(v->t, extent, LSM_NO_ORDINAL, &verify_read, &v->ahead, &held);
    if (rc == AKV_OK)
        akvi_lsm_block_unref(held.block);
    return verify_fault(v, rc);
}

static akv_status verify_counts(const table_verify *v)
{
    const lsm_table_info *says = &v->t->properties.info, *seen = &v->seen;
    uint64_t              ranges = 0;

    for (size_t i = 0; i < v->t->ranges_n; i++)
        ranges += v->t->ranges[i].key.len + v->t->ranges[i].value.len;
    if (v->damaged ||
        (seen->entries == says->entries && seen->deletes == says->deletes &&
         seen->raw_bytes + ranges == says->raw_bytes && v->blocks == v->t->properties.data_blocks))
        return AKV_OK;
    return akvi_lsm_table_unsound(v->t, v->t->footer.properties,
                                  "the table holds other counts than its properties tell");
}

akv_status akvi_lsm_table_verify(lsm_table *t, akv_job *job)
{
    table_verify v  = {.t = t, .job = job};
    akv_status   rc = AKV_OK;

    v.walk.key.allocator = v.last.allocator = v.separator.allocator = t->allocator;
    if (t->footer.filter.size)
        rc = verify_fault(&v, akvi_lsm_table_load_filter(t, &verify_read, &v.ahead, &v.filter));
    if (rc == AKV_OK)
        rc = verify_indexes(&v);
    if (rc == AKV_OK)
        rc = verify_again(&v, t->footer.top);
    if (rc == AKV_OK)
        rc = verify_again(&v, t->footer.ranges);
    if (rc == AKV_OK)
        rc = verify_again(&v, t->footer.properties);
    if (rc == AKV_OK)
        rc = verify_fault(&v, verify_counts(&v));
    if (rc == AKV_OK)
        rc = akv_job_step(job, t->size - v.bytes, t->size - v.bytes);
    akvi_lsm_block_unref(v.filter.block);
    akvi_lsm_block_unref(v.ahead.block);
    akv_buffer_free(&v.walk.key);
    akv_buffer_free(&v.last);
    akv_buffer_free(&v.separator);
    return rc != AKV_OK ? rc : v.damaged ? AKV_CORRUPT : AKV_OK;
}
