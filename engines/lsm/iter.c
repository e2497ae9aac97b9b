/* SPDX-License-Identifier: MIT
 *
 * iter.c: scans: what a reader as of some sequence number sees, in order.
 *
 * Forward, the merged cursor stands on the entry that is shown. Backward, the
 * entries of a key come oldest first, so the one to show is only known when the
 * cursor has left the key: it is kept in a copy. `place` is the key that the
 * caller is on; it is all that is needed to turn round, and to go on after a
 * failure.
 */
#include "engines/lsm/db.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"

#define ITER_SKIPS 16u /* entries stepped over one by one before we seek */

typedef enum iter_state {
    ITER_LOST,     /* the cursor is anywhere: find `place` again */
    ITER_FORWARD,  /* it is on the entry shown */
    ITER_BACKWARD, /* it is before the key shown, which is in the copy */
} iter_state;

typedef struct lsm_iter {
    lsm_db     *db;
    lsm_view   *view;
    uint64_t    seq;
    akv_range   range;
    lsm_cursor *cursor;
    lsm_spans   spans;
    iter_state  state;
    akv_buffer  place;
    akv_buffer  value;  /* backward: of the key shown; forward: a key that is skipped */
    akv_buffer  spare;  /* room for the next place */
    lsm_entry   copy;   /* backward: what is shown; its bytes are in place and value */
    bool        at_end; /* backward: the cursor has come to the end */
} lsm_iter;

/* ------------------------------------------------------------------ making */

static bool iter_file_in_range(const lsm_iter *it, const lsm_file *f)
{
    const lsm_table_meta *m = &f->meta;
    const akv_range      *r = &it->range;

    if (r->has_upper &&
        akvi_compare(m->smallest.data, m->smallest.len, r->upper.data, r->upper.len) >= 0)
        return false;
    return m->unbounded ||
           akvi_compare(m->largest.data, m->largest.len, r->lower.data, r->lower.len) >= 0;
}

/* The files of a level below 0 that the range touches: [*first, *first + n). */
static size_t iter_level(const lsm_iter *it, const lsm_level *level, size_t *first)
{
    size_t n = 0;

    *first = akvi_lsm_level_find(level, it->range.lower);
    while (*first + n < level->n && iter_file_in_range(it, level->files[*first + n]))
        n++;
    return n;
}

static akv_status iter_children(lsm_iter *it, const lsm_read *read, lsm_cursor **children,
                                size_t *n)
{
    const lsm_version *v  = it->view->version;
    akv_status         st = AKV_OK;

    for (unsigned i = 0; i < it->view->n && st == AKV_OK; i++) {
        if (akvi_lsm_memtable_entries(it->view->mem[i].memtable) == 0 && i > 0)
            continue;
        st = akvi_lsm_memtable_cursor(it->view->mem[i].memtable, &children[*n]);
        *n += st == AKV_OK;
    }
    for (size_t i = 0; i < v->levels[0].n && st == AKV_OK; i++) {
        if (!iter_file_in_range(it, v->levels[0].files[i]))
            continue;
        st = akvi_lsm_table_cursor(v->levels[0].files[i]->table, read, &children[*n]);
        *n += st == AKV_OK;
    }
    for (unsigned l = 1; l < LSM_LEVELS && st == AKV_OK; l++) {
        const lsm_level *level = &v->levels[l];
        size_t           first, files = level->n > 0 ? iter_level(it, level, &first) : 0;

        if (files == 0)
            continue;
        st = files == 1 ? akvi_lsm_table_cursor(level->files[first]->table, read, &children[*n])
                        : akvi_lsm_level_cursor(it->db->allocator, level->files + first, files,
                                                read, &children[*n]);
        *n += st == AKV_OK;
    }
    return st;
}

static akv_status iter_cursor(lsm_iter *it, const lsm_read *read)
{
    size_t       cap = it->view->n + it->view->version->levels[0].n + LSM_LEVELS, n = 0;
    lsm_cursor **children = akvi_alloc_n(it->db->allocator, cap, sizeof(lsm_cursor *));
    akv_status   st;

    if (!children)
        return AKV_NOMEM;
    st = iter_children(it, read, children, &n);
    if (st == AKV_OK)
        st = akvi_lsm_merge_cursor(it->db->allocator, children, n, &it->cursor);
    else
        while (n-- > 0)
            lsm_cursor_free(children[n]);
    akvi_free(it->db->allocator, children, cap * sizeof(lsm_cursor *));
    return st;
}

static akv_status iter_spans(lsm_iter *it)
{
    const lsm_version *v  = it->view->version;
    akv_status         st = AKV_OK;
    size_t             n;
    const lsm_entry   *ranges;

    for (unsigned i = 0; i < it->view->n && st == AKV_OK; i++) {
        ranges = akvi_lsm_memtable_ranges(it->view->mem[i].memtable, &n);
        st     = akvi_lsm_spans_add(&it->spans, ranges, n, it->seq);
    }
    for (unsigned l = 0; l < LSM_LEVELS && v->ranges; l++)
        for (size_t i = 0; i < v->levels[l].n && st == AKV_OK; i++) {
            ranges = akvi_lsm_table_ranges(v->levels[l].files[i]->table, &n);
            st     = akvi_lsm_spans_add(&it->spans, ranges, n, it->seq);
        }
    return st == AKV_OK ? akvi_lsm_spans_make(&it->spans) : st;
}

akv_status akvi_lsm_iter_new(void *impl, const akv_range *range, const akv_read_options *opt,
                             void **iter_out)
{
    lsm_db             *db       = impl;
    const lsm_snapshot *snapshot = akv_snapshot_impl(opt->snapshot);
    lsm_read            read     = {.verify     = (opt->flags & AKV_READ_VERIFY) != 0,
                                    .fill_cache = (opt->flags & AKV_READ_NO_FILL_CACHE) == 0,
                                    .sequential = true};
    lsm_iter           *it       = akvi_zalloc(db->allocator, sizeof *it);
    akv_status          st;

    if (!it)
        return AKV_NOMEM;
    it->db              = db;
    it->range           = *range;
    it->place.allocator = it->value.allocator = it->spare.allocator = db->allocator;
    akvi_lsm_spans_init(&it->spans, db->allocator);
    if (snapshot && snapshot->view) {
        it->view = snapshot->view;
        atomic_fetch_add_explicit(&it->view->refs, 1, memory_order_relaxed);
    } else {
        it->view = akvi_lsm_view_ref(db);
    }
    it->seq = snapshot ? snapshot->seq : atomic_load_explicit(&db->last_seq, memory_order_acquire);
    st      = iter_cursor(it, &read);
    if (st == AKV_OK)
        st = iter_spans(it);
    if (st == AKV_OK)
        *iter_out = it;
    else
        akvi_lsm_iter_free(it);
    return st;
}

void akvi_lsm_iter_free(void *iter)
{
    lsm_iter *it = iter;
    lsm_db   *db = it->db;

    lsm_cursor_free(it->cursor);
    akvi_lsm_spans_free(&it->spans);
    akvi_lsm_view_unref(it->view);
    akv_buffer_free(&it->place);
    akv_buffer_free(&it->value);
    akv_buffer_free(&it->spare);
    akvi_free(db->allocator, it, sizeof *it);
}

/* ------------------------------------------------------------------- moving */

static bool iter_is_hidden(const lsm_iter *it, const lsm_entry *e)
{
    if (it->spans.n > 0) {
        const lsm_span *span = akvi_lsm_spans_find(&it->spans, e->key);

        if (span && span->seq > e->seq)
            return true;
    }
    return e->kind != LSM_PUT || (e->expiry_ms != 0 && e->expiry_ms <= lsm_unix_ms(it->db));
}

static bool iter_past_upper(const lsm_iter *it, akv_slice key)
{
    return it->range.has_upper &&
           akvi_compare(key.data, key.len, it->range.upper.data, it->range.upper.len) >= 0;
}

/* From where the cursor is, forward to the first entry that may be shown; those
 * of the key in `skip` don't count. */
static akv_status iter_forward(lsm_iter *it, akv_status st, const akv_buffer *skip)
{
    lsm_cursor *c     = it->cursor;
    unsigned    skips = 0;

    while (st == AKV_OK) {
        const lsm_entry *e    = &c->entry;
        bool             same = skip && akvi_equal(e->key.data, e->key.len, skip->data, skip->len);

        if (!same && iter_past_upper(it, e->key))
            return AKV_END;
        if (same || e->seq > it->seq) {
            if (same && ++skips > ITER_SKIPS)
                st = lsm_cursor_seek(c, akvi_buffer_slice(skip), 0);
            else
                st = lsm_cursor_move(c, LSM_NEXT);
            continue;
        }
        skips = 0;
        if (!iter_is_hidden(it, e))
            return AKV_OK;
        skip = &it->value;
        st   = akvi_buffer_set(&it->value, e->key.data, e->key.len);
        if (st == AKV_OK)
            st = lsm_cursor_move(c, LSM_NEXT);
    }
    return st;
}

/* Keep what the cursor is on: it is what there is of its key as of now. */
static akv_status iter_keep(lsm_iter *it, const lsm_entry *e)
{
    akv_status st = AKV_OK;

    it->copy = *e;
    if (!it->range.keys_only && e->kind == LSM_PUT)
        st = akvi_buffer_set(&it->value, e->value.data, e->value.len);
    else
        akvi_buffer_clear(&it->value);
    return st;
}

/* From where the cursor is, backward to the first key that has something to
 * show, which goes to `key`; the cursor leaves that key. */
static akv_status iter_backward(lsm_iter *it, akv_status st, akv_buffer *key)
{
    lsm_cursor *c = it->cursor;

    while (st == AKV_OK) {
        bool found = false;

        if (akvi_compare(c->entry.key.data, c->entry.key.len, it->range.lower.data,
                         it->range.lower.len) < 0)
            return AKV_END;
        st = akvi_buffer_set(key, c->entry.key.data, c->entry.key.len);
        while (st == AKV_OK &&
               akvi_equal(c->entry.key.data, c->entry.key.len, key->data, key->len)) {
            if (c->entry.seq <= it->seq) {
                found = true;
                st    = iter_keep(it, &c->entry);
            }
            if (st == AKV_OK)
                st = lsm_cursor_move(c, LSM_PREV);
        }
        if (st < 0)
            return st;
        it->at_end     = st == AKV_END;
        it->copy.key   = akvi_buffer_slice(key);
        it->copy.value = akvi_buffer_slice(&it->value);
        if (found && !iter_is_hidden(it, &it->copy))
            return AKV_OK;
    }
    return st;
}

static akv_status iter_seek(lsm_iter *it, lsm_move move, akv_slice key, uint64_t seq)
{
    return it->cursor->ops->move(it->cursor, move, key, seq);
}

static akv_status iter_go_forward(lsm_iter *it, akv_move move, akv_slice key)
{
    akv_slice  lower = it->range.lower;
    akv_status st;

    if (move == AKV_MOVE_NEXT && it->state == ITER_FORWARD) {
        st = akvi_buffer_set(&it->place, it->cursor->entry.key.data, it->cursor->entry.key.len);
        if (st != AKV_OK)
            return st;
        it->state = ITER_LOST;
        return iter_forward(it, lsm_cursor_move(it->cursor, LSM_NEXT), &it->place);
    }
    it->state = ITER_LOST;
    if (move == AKV_MOVE_NEXT)
        return iter_forward(it, iter_seek(it, LSM_SEEK, akvi_buffer_slice(&it->place), 0), NULL);
    if (move == AKV_MOVE_FIRST || akvi_compare(key.data, key.len, lower.data, lower.len) < 0)
        key = lower;
    return iter_forward(it, iter_seek(it, LSM_SEEK, key, UINT64_MAX), NULL);
}

static akv_status iter_go_backward(lsm_iter *it, akv_move move, akv_slice key)
{
    iter_state was   = it->state;
    akv_buffer found = {NULL, 0, 0, it->db->allocator};
    akv_status st;

    if (move == AKV_MOVE_PREV && was == ITER_FORWARD &&
        akvi_buffer_set(&it->place, it->cursor->entry.key.data, it->cursor->entry.key.len) !=
            AKV_OK)
        return AKV_NOMEM;
    it->state = ITER_LOST;
    if (move == AKV_MOVE_PREV && was == ITER_BACKWARD)
        st = it->at_end ? AKV_END : AKV_OK;
    else if (move == AKV_MOVE_PREV)
        st = iter_seek(it, LSM_SEEK_FOR_PREV, akvi_buffer_slice(&it->place), UINT64_MAX);
    else if (move == AKV_MOVE_SEEK_FOR_PREV && !iter_past_upper(it, key))
        st = iter_seek(it, LSM_SEEK_FOR_PREV, key, 0);
    else if (it->range.has_upper)
        st = iter_seek(it, LSM_SEEK_FOR_PREV, it->range.upper, UINT64_MAX);
    else
        st = lsm_cursor_move(it->cursor, LSM_LAST);
    found.data = it->spare.data;
    found.cap  = it->spare.cap;
    st         = iter_backward(it, st, &found);
    if (st == AKV_OK) {
        it->spare = it->place;
        it->place = found;
    } else {
        it->spare = found;
    }
    return st;
}

akv_status akvi_lsm_iter_move(void *iter, akv_move move, akv_slice key, akv_entry *entry_out)
{
    lsm_iter *it = iter;
    bool back    = move == AKV_MOVE_LAST || move == AKV_MOVE_PREV || move == AKV_MOVE_SEEK_FOR_PREV;
    akv_status       st = back ? iter_go_backward(it, move, key) : iter_go_forward(it, move, key);
    const lsm_entry *e  = back ? &it->copy : &it->cursor->entry;

    if (st != AKV_OK)
        return st;
    it->state                  = back ? ITER_BACKWARD : ITER_FORWARD;
    entry_out->key             = e->key;
    entry_out->value.data      = it->range.keys_only ? NULL : e->value.data;
    entry_out->value.len       = it->range.keys_only ? 0 : e->value.len;
    entry_out->value.version   = akvi_lsm_tag(it->db, e->seq);
    entry_out->value.expiry_ms = e->expiry_ms;
    entry_out->value.encoding  = e->encoding;
    return AKV_OK;
}
