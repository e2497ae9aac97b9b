/* SPDX-License-Identifier: MIT
 *
 * ranges.c: DELETE_RANGEs, which may overlap, as spans that don't.
 */
#include "engines/lsm/db.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"

#include <stdlib.h>

void akvi_lsm_spans_init(lsm_spans *s, const akv_allocator *allocator)
{
    *s = (lsm_spans){.allocator = allocator, .ranges = {NULL, 0, 0, allocator}};
}

void akvi_lsm_spans_free(lsm_spans *s)
{
    akv_buffer_free(&s->ranges);
    akvi_free(s->allocator, s->spans, s->cap * sizeof *s->spans);
}

akv_status akvi_lsm_spans_add(lsm_spans *s, const lsm_entry *ranges, size_t n, uint64_t seq)
{
    akv_status st = AKV_OK;

    for (size_t i = 0; i < n && st == AKV_OK; i++)
        if (ranges[i].seq <= seq)
            st = akv_buffer_append(&s->ranges, &ranges[i], sizeof ranges[i]);
    return st;
}

static int ranges_compare(const void *a, const void *b)
{
    const lsm_entry *x = a, *y = b;

    return lsm_order(x->key, x->seq, y->key, y->seq);
}

static int ranges_compare_bound(const void *a, const void *b)
{
    const akv_slice *x = a, *y = b;

    return akvi_compare(x->data, x->len, y->data, y->len);
}

/* Each bound of a range, once and in order. */
static size_t ranges_bounds(const lsm_entry *ranges, size_t n, akv_slice *bounds)
{
    size_t all = 0, kept = 0;

    for (size_t i = 0; i < n; i++) {
        bounds[all++] = ranges[i].key;
        if (ranges[i].value.len > 0)
            bounds[all++] = ranges[i].value;
    }
    qsort(bounds, all, sizeof *bounds, ranges_compare_bound);
    for (size_t i = 0; i < all; i++)
        if (kept == 0 || ranges_compare_bound(&bounds[kept - 1], &bounds[i]) != 0)
            bounds[kept++] = bounds[i];
    return kept;
}

static bool ranges_ends_by(const lsm_entry *r, akv_slice at)
{
    return r->value.len > 0 && ranges_compare_bound(&r->value, &at) <= 0;
}

/* Between neighbouring bounds the same ranges hold: sweep over them with those
 * that have begun and not ended. */
static void ranges_sweep(lsm_spans *s, const lsm_entry *ranges, size_t n, const akv_slice *bounds,
                         size_t bounds_n, size_t *open)
{
    size_t begun = 0, open_n = 0;

    for (size_t b = 0; b < bounds_n; b++) {
        uint64_t seq  = 0;
        size_t   kept = 0;

        while (begun < n && ranges_compare_bound(&ranges[begun].key, &bounds[b]) <= 0)
            open[open_n++] = begun++;
        for (size_t i = 0; i < open_n; i++) {
            const lsm_entry *r = &ranges[open[i]];

            if (ranges_ends_by(r, bounds[b]))
                continue;
            open[kept++] = open[i];
            if (r->seq > seq)
                seq = r->seq;
        }
        open_n = kept;
        if (seq == 0)
            continue;
        s->spans[s->n++] =
            (lsm_span){bounds[b], b + 1 < bounds_n ? bounds[b + 1] : akv_bytes(NULL, 0), seq};
    }
}

akv_status akvi_lsm_spans_make(lsm_spans *s)
{
    lsm_entry *ranges = s->ranges.data;
    size_t     n      = s->ranges.len / sizeof *ranges, bounds_n;
    akv_slice *bounds;
    size_t    *open;

    if (n == 0)
        return AKV_OK;
    bounds = akvi_alloc_n(s->allocator, n, 2 * sizeof *bounds);
    open   = akvi_alloc_n(s->allocator, n, sizeof *open);
    if (bounds && open) {
        qsort(ranges, n, sizeof *ranges, ranges_compare);
        bounds_n = ranges_bounds(ranges, n, bounds);
        s->spans = akvi_alloc_n(s->allocator, bounds_n, sizeof *s->spans);
        if (s->spans) {
            s->cap = bounds_n;
            ranges_sweep(s, ranges, n, bounds, bounds_n, open);
        }
    }
    akvi_free(s->allocator, bounds, n * 2 * sizeof *bounds);
    akvi_free(s->allocator, open, n * sizeof *open);
    return s->spans ? AKV_OK : AKV_NOMEM;
}

const lsm_span *akvi_lsm_spans_find(const lsm_spans *s, akv_slice key)
{
    size_t          low = 0, n = s->n;
    const lsm_span *span;

    while (n > 0) { /* the first that begins after key */
        size_t half = n / 2;

        if (ranges_compare_bound(&s->spans[low + half].lower, &key) <= 0) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    if (low == 0)
        return NULL;
    span = &s->spans[low - 1];
    return span->upper.len == 0 || ranges_compare_bound(&key, &span->upper) < 0 ? span : NULL;
}
