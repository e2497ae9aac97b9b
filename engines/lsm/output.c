/* SPDX-License-Identifier: MIT
 *
 * output.c: writing tables (output.h).
 */
#include "engines/lsm/output.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/env/file.h"

#define OUTPUT_STEP (UINT64_C(256) << 10) /* bytes between two looks at the rate */

void akvi_lsm_output_init(lsm_output *o, lsm_db *db, unsigned level, uint64_t limit)
{
    *o = (lsm_output){.db     = db,
                      .level  = level,
                      .limit  = limit,
                      .first  = {NULL, 0, 0, db->allocator},
                      .last   = {NULL, 0, 0, db->allocator},
                      .lower  = {NULL, 0, 0, db->allocator},
                      .ranges = {NULL, 0, 0, db->allocator},
                      .metas  = {NULL, 0, 0, db->allocator}};
    akvi_arena_init(&o->arena, db->allocator);
}

akv_status akvi_lsm_output_range(lsm_output *o, const lsm_entry *range)
{
    return akv_buffer_append(&o->ranges, range, sizeof *range);
}

static akv_status output_begin(lsm_output *o)
{
    lsm_db    *db = o->db;
    akv_status st;

    o->options            = db->tables[o->level];
    o->options.created_ms = lsm_unix_ms(db);
    o->number             = akvi_lsm_new_file_number(db);
    o->counted            = 0;
    o->has_first          = false;
    o->path               = akvi_lsm_path(db, LSM_FILE_TABLE, o->number);
    if (!o->path)
        return AKV_NOMEM;
    st = db->env->ops->open(db->env, o->path, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_EXCLUDE,
                            &o->file);
    if (st != AKV_OK)
        return st;
    return akvi_lsm_builder_new(db->allocator, o->file, o->path, &o->options, &o->builder);
}

/* Of a range what lies in the table; false when nothing does. `cut`: the table
 * ends with its last key, and others follow. */
static bool output_clip(const lsm_output *o, bool cut, akv_slice after_last, lsm_entry *r)
{
    akv_slice lower = akvi_buffer_slice(&o->lower);

    if (o->has_lower && akvi_compare(r->key.data, r->key.len, lower.data, lower.len) < 0)
        r->key = lower;
    if (cut && (r->value.len == 0 ||
                akvi_compare(r->value.data, r->value.len, after_last.data, after_last.len) > 0))
        r->value = after_last;
    return r->value.len == 0 ||
           akvi_compare(r->key.data, r->key.len, r->value.data, r->value.len) < 0;
}

/* The table's ranges, and how far they make it reach. */
static akv_status output_ranges(lsm_output *o, bool cut, lsm_table_meta *meta)
{
    const lsm_entry *ranges = o->ranges.data;
    size_t           n      = o->ranges.len / sizeof *ranges;
    akv_slice        after, last = akvi_buffer_slice(&o->last);
    bool             has_bounds = o->has_first;
    uint8_t         *bytes;
    akv_status       st = AKV_OK;

    if (n == 0)
        return AKV_OK;
    bytes = akvi_arena_alloc(&o->arena, last.len + 1);
    if (!bytes)
        return AKV_NOMEM;
    if (last.len > 0)
        memcpy(bytes, last.data, last.len);
    bytes[last.len] = 0;
    after           = akv_bytes(bytes, last.len + 1);
    for (size_t i = 0; i < n && st == AKV_OK; i++) {
        lsm_entry r = ranges[i];

        if (!output_clip(o, cut, after, &r))
            continue;
        st = akvi_lsm_builder_add_range(o->builder, &r);
        if (!has_bounds ||
            akvi_compare(r.key.data, r.key.len, meta->smallest.data, meta->smallest.len) < 0)
            meta->smallest = r.key;
        if (!has_bounds)
            meta->largest = r.key;
        has_bounds = true;
        meta->unbounded |= r.value.len == 0;
        if (!cut && r.value.len > 0 &&
            akvi_compare(r.value.data, r.value.len, meta->largest.data, meta->largest.len) > 0)
            meta->largest = r.value;
    }
    return st;
}

/* What follows begins behind the last key. */
static akv_status output_lower(lsm_output *o)
{
    akv_status st = akvi_buffer_set(&o->lower, o->last.data, o->last.len);

    o->has_lower = true;
    return st == AKV_OK ? akvi_buffer_byte(&o->lower, 0) : st;
}

static akv_status output_keep(lsm_output *o, lsm_table_meta *meta)
{
    void *smallest = akvi_arena_copy(&o->arena, meta->smallest.data, meta->smallest.len);
    void *largest  = akvi_arena_copy(&o->arena, meta->largest.data, meta->largest.len);

    if (!smallest || !largest)
        return AKV_NOMEM;
    meta->smallest.data = smallest;
    meta->largest.data  = largest;
    return akv_buffer_append(&o->metas, meta, sizeof *meta);
}

static void output_close(lsm_output *o)
{
    akvi_lsm_builder_free(o->builder);
    akvi_file_drop(o->file);
    akvi_strfree(o->db->allocator, o->path);
    o->builder = NULL;
    o->file    = NULL;
    o->path    = NULL;
}

/* Finish the table in work. `cut`: others follow. */
static akv_status output_end(lsm_output *o, bool cut)
{
    lsm_table_meta meta = {.number = o->number, .level = (uint8_t)o->level};
    lsm_table_info info = {0};
    akv_status     st;

    if (o->has_first) {
        meta.smallest = akvi_buffer_slice(&o->first);
        meta.largest  = akvi_buffer_slice(&o->last);
    }
    st = output_ranges(o, cut, &meta);
    if (st == AKV_OK)
        st = akvi_lsm_builder_finish(o->builder, &info);
    if (st == AKV_OK)
        st = o->file->ops->sync(o->file, true);
    if (st != AKV_OK)
        return st;
    meta.size         = info.size;
    meta.entries      = info.entries;
    meta.deletes      = info.deletes;
    meta.ranges       = info.ranges;
    meta.raw_bytes    = info.raw_bytes;
    meta.smallest_seq = info.smallest_seq;
    meta.largest_seq  = info.largest_seq;
    st                = output_keep(o, &meta);
    /* Not before: the table's own ranges may begin at the old one. */
    if (st == AKV_OK && cut)
        st = output_lower(o);
    akvi_rate_take(&o->db->rate, o->db->env, info.size - o->counted);
    o->bytes += info.size;
    output_close(o);
    return st;
}

akv_status akvi_lsm_output_add(lsm_output *o, const lsm_entry *e)
{
    akv_status st = AKV_OK;
    bool       fresh;
    uint64_t   size;

    fresh = !o->builder || !akvi_equal(o->last.data, o->last.len, e->key.data, e->key.len);
    if (o->builder && fresh) {
        size = akvi_lsm_builder_size(o->builder);
        if (o->limit > 0 && size >= o->limit)
            st = output_end(o, true);
        else if (size - o->counted >= OUTPUT_STEP) {
            akvi_rate_take(&o->db->rate, o->db->env, size - o->counted);
            o->counted = size;
        }
    }
    if (st == AKV_OK && !o->builder) {
        st = output_begin(o);
        if (st == AKV_OK)
            st = akvi_buffer_set(&o->first, e->key.data, e->key.len);
        o->has_first = true;
    }
    if (st == AKV_OK)
        st = akvi_lsm_builder_add(o->builder, e);
    if (st == AKV_OK && fresh)
        st = akvi_buffer_set(&o->last, e->key.data, e->key.len);
    return st;
}

akv_status akvi_lsm_output_finish(lsm_output *o)
{
    akv_status st = AKV_OK;

    if (!o->builder && o->ranges.len > 0)
        st = output_begin(o);
    if (st == AKV_OK && o->builder)
        st = output_end(o, false);
    akvi_buffer_clear(&o->ranges);
    o->has_first = o->has_lower = false;
    if (st == AKV_OK && o->metas.len > 0)
        st = o->db->env->ops->sync_folder(o->db->env, o->db->folder);
    return st;
}

static void output_remove(lsm_output *o)
{
    size_t                n;
    const lsm_table_meta *metas = lsm_output_metas(o, &n);

    if (o->path && o->db->env->ops->remove(o->db->env, o->path) != AKV_OK)
        akv_engine_recovered(); /* the next opening does it */
    for (size_t i = 0; i < n; i++) {
        char *path = akvi_lsm_path(o->db, LSM_FILE_TABLE, metas[i].number);

        if (!path || o->db->env->ops->remove(o->db->env, path) != AKV_OK)
            akv_engine_recovered();
        akvi_strfree(o->db->allocator, path);
    }
}

void akvi_lsm_output_free(lsm_output *o, bool remove)
{
    if (remove) {
        akvi_call_state state;

        akvi_call_save(&state); /* why we remove is worth more than that we can't */
        akvi_lsm_builder_free(o->builder);
        o->builder = NULL;
        akvi_file_drop(o->file);
        o->file = NULL;
        output_remove(o);
        akvi_call_restore(&state);
    }
    output_close(o);
    akv_buffer_free(&o->first);
    akv_buffer_free(&o->last);
    akv_buffer_free(&o->lower);
    akv_buffer_free(&o->ranges);
    akv_buffer_free(&o->metas);
    akvi_arena_free(&o->arena);
}
