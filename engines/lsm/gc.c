/* SPDX-License-Identifier: MIT
 *
 * gc.c: judging entries one by one (gc.h).
 */
#include "engines/lsm/gc.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"

akv_status akvi_lsm_gc_init(lsm_gc *gc, lsm_db *db, const lsm_version *below, unsigned output)
{
    size_t n = 0;

    *gc = (lsm_gc){.allocator = db->allocator,
                   .now_ms    = lsm_unix_ms(db),
                   .below     = below,
                   .output    = output,
                   .key       = {NULL, 0, 0, db->allocator}};
    akvi_lsm_spans_init(&gc->spans, db->allocator);
    akvi_mutex_lock(&db->mu);
    for (const lsm_snapshot *s = db->snapshots.newer; s != &db->snapshots; s = s->newer)
        n++;
    gc->snapshots = akvi_alloc_n(db->allocator, n, sizeof *gc->snapshots);
    for (const lsm_snapshot *s = db->snapshots.newer; gc->snapshots && s != &db->snapshots;
         s                     = s->newer)
        gc->snapshots[gc->n++] = s->seq;
    akvi_mutex_unlock(&db->mu);
    return gc->snapshots ? AKV_OK : AKV_NOMEM;
}

void akvi_lsm_gc_free(lsm_gc *gc)
{
    akvi_lsm_spans_free(&gc->spans);
    akvi_free(gc->allocator, gc->snapshots, gc->n * sizeof *gc->snapshots);
    akv_buffer_free(&gc->key);
}

/* How many snapshots do not see `seq`. */
static size_t gc_stripe(const lsm_gc *gc, uint64_t seq)
{
    size_t low = 0, n = gc->n;

    while (n > 0) {
        size_t half = n / 2;

        if (gc->snapshots[low + half] < seq) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

akv_status akvi_lsm_gc_ranges(lsm_gc *gc, const lsm_entry *ranges, size_t n)
{
    return akvi_lsm_spans_add(&gc->spans, ranges, n, gc->n > 0 ? gc->snapshots[0] : UINT64_MAX);
}

akv_status akvi_lsm_gc_begin(lsm_gc *gc)
{
    return akvi_lsm_spans_make(&gc->spans);
}

/* Whether no level below the output has a file that may hold the key. Keys come
 * in order, so each level's place only moves on. */
static bool gc_is_last(lsm_gc *gc, akv_slice key)
{
    if (!gc->below)
        return false;
    for (unsigned l = gc->output + 1; l < LSM_LEVELS; l++) {
        const lsm_level *level = &gc->below->levels[l];

        while (gc->at[l] < level->n) {
            const lsm_table_meta *m = &level->files[gc->at[l]]->meta;

            if (m->unbounded ||
                akvi_compare(m->largest.data, m->largest.len, key.data, key.len) >= 0)
                break;
            gc->at[l]++;
        }
        if (gc->at[l] < level->n && akvi_lsm_file_overlaps(level->files[gc->at[l]], key, key))
            return false;
    }
    return true;
}

static bool gc_is_covered(const lsm_gc *gc, const lsm_entry *e)
{
    const lsm_span *span = akvi_lsm_spans_find(&gc->spans, e->key);

    return span && span->seq > e->seq;
}

akv_status akvi_lsm_gc_look(lsm_gc *gc, lsm_entry *e, bool *keep_out)
{
    size_t stripe = gc->n > 0 ? gc_stripe(gc, e->seq) : 0;
    bool   same   = gc->has_key && akvi_equal(gc->key.data, gc->key.len, e->key.data, e->key.len);

    *keep_out = false;
    gc->dropped++;
    if (same && stripe == gc->stripe)
        return AKV_OK;
    gc->stripe = stripe;
    if (!same) {
        akv_status st = akvi_buffer_set(&gc->key, e->key.data, e->key.len);

        if (st != AKV_OK)
            return st;
        gc->has_key = true;
    }
    if (e->kind == LSM_PUT && lsm_is_gone(e, gc->now_ms)) {
        e->kind      = LSM_DELETE;
        e->value     = akv_bytes(NULL, 0);
        e->expiry_ms = 0;
        e->encoding  = 0;
    }
    if (stripe == 0 && gc->spans.n > 0 && gc_is_covered(gc, e))
        return AKV_OK;
    if (stripe == 0 && e->kind == LSM_DELETE && gc_is_last(gc, e->key))
        return AKV_OK;
    gc->dropped--;
    *keep_out = true;
    return AKV_OK;
}

bool akvi_lsm_gc_range_done(lsm_gc *gc, const lsm_entry *range)
{
    if (!gc->below || gc_stripe(gc, range->seq) > 0)
        return false;
    for (unsigned l = gc->output + 1; l < LSM_LEVELS; l++) {
        const lsm_level *level = &gc->below->levels[l];
        size_t           at    = akvi_lsm_level_find(level, range->key);

        if (at < level->n && (range->value.len == 0 ||
                              akvi_lsm_file_overlaps(level->files[at], range->key, range->value)))
            return false;
    }
    return true;
}
