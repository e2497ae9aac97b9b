/* SPDX-License-Identifier: MIT
 *
 * walk.c: iterators. Each is a view of its own, so what it sees stays where it
 * is (store.h, invariant 4): it gathers a run of entries under one hold of the
 * lock, more each time up to WALK_RUN, and hands them out without it.
 */
#include "engines/memory/store.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

#define WALK_RUN   64u
#define WALK_FIRST 4u   /* a seek is often followed by few moves or none */
#define WALK_AHEAD 8u   /* entries that are being loaded while one is looked at: */
#define WALK_HEAD  128u /* so many bytes at first, */
#define WALK_MOST  512u /* and so many in all */

typedef struct memory_iter {
    memory_store     *store;
    memory_space     *space;
    akv_range         range;
    memory_view       view;
    akvi_btree_cursor next;    /* where the run goes on; on none: not at all */
    bool              forward; /* the way the run goes */
    uint32_t          want;    /* so many next time */
    uint32_t          n, at;   /* of the run */
    memory_version   *run[WALK_RUN];
} memory_iter;

akv_status akvi_memory_iter_new(void *impl, const akv_range *range, const akv_read_options *opt,
                                void **iter_out)
{
    memory_store *s  = impl;
    memory_iter  *it = akvi_alloc(s->allocator, sizeof *it);

    if (!it)
        return AKV_NOMEM;
    it->store     = s;
    it->space     = memory_space_of(s, opt->keyspace);
    it->range     = *range;
    it->next.leaf = NULL;
    it->forward   = true;
    it->want      = WALK_FIRST;
    it->n = it->at = 0;
    akvi_memory_view_add(s, &it->view, akv_snapshot_impl(opt->snapshot), it->space);
    *iter_out = it;
    return AKV_OK;
}

void akvi_memory_iter_free(void *iter)
{
    memory_iter *it = iter;

    akvi_memory_view_drop(it->store, &it->view, it->space);
    akvi_free(it->store->allocator, it, sizeof *it);
}

/* ------------------------------------------------------------------ places */

/* The first item at or, with `strict`, after the key. */
static void walk_from(memory_iter *it, akv_slice key, bool strict)
{
    if (akvi_btree_lower_bound(&it->space->keys, key, &it->next) && strict)
        akvi_btree_next(&it->next);
    it->forward = true;
}

/* The last item before or, unless `strict`, at the key. */
static void walk_until(memory_iter *it, akv_slice key, bool strict)
{
    const akvi_btree *keys = &it->space->keys;

    it->forward = false;
    if (akvi_btree_lower_bound(keys, key, &it->next) && !strict)
        return;
    if (it->next.leaf)
        akvi_btree_prev(&it->next);
    else
        akvi_btree_last(keys, &it->next);
}

static bool walk_within(const memory_iter *it, akv_slice key)
{
    const akv_range *r = &it->range;

    if (it->forward)
        return !r->has_upper || akvi_compare(key.data, key.len, r->upper.data, r->upper.len) < 0;
    return akvi_compare(key.data, key.len, r->lower.data, r->lower.len) >= 0;
}

static void walk_place(memory_iter *it, akv_move move, akv_slice key)
{
    const akv_range *r     = &it->range;
    akv_slice        lower = r->lower;

    switch (move) {
    case AKV_MOVE_SEEK:
        if (akvi_compare(key.data, key.len, lower.data, lower.len) > 0)
            lower = key;
        walk_from(it, lower, false);
        return;
    case AKV_MOVE_SEEK_FOR_PREV:
        if (!r->has_upper || akvi_compare(key.data, key.len, r->upper.data, r->upper.len) < 0) {
            walk_until(it, key, false);
            return;
        }
        break;
    case AKV_MOVE_LAST: break;
    default: walk_from(it, lower, false); return;
    }
    if (r->has_upper) {
        walk_until(it, r->upper, true);
    } else {
        it->forward = false;
        akvi_btree_last(&it->space->keys, &it->next);
    }
}

/* -------------------------------------------------------------------- runs */

/* The item so many places ahead in this leaf or the next, NULL when further.
 * Places before a leaf's first wrap, and wrap back when the other's are added. */
static const memory_version *walk_peek(const akvi_btree_cursor *c, bool forward, uint32_t ahead)
{
    const akvi_btree_leaf *leaf = c->leaf, *next = forward ? leaf->next : leaf->prev;
    uint32_t               at = forward ? c->at + ahead : c->at - ahead;

    if (at >= leaf->n && next) {
        at   = forward ? at - leaf->n : at + next->n;
        leaf = next;
    }
    return at < leaf->n ? (const memory_version *)leaf->items[at] : NULL;
}

/* Begin to load what will be looked at soon: the next leaf, the heads of
 * versions, and then, from those that have come, the rest of their values. */
AKVI_INLINE void walk_ahead(const memory_iter *it, const akvi_btree_cursor *c)
{
    const akvi_btree_leaf *next = it->forward ? c->leaf->next : c->leaf->prev;
    const memory_version  *far  = walk_peek(c, it->forward, WALK_AHEAD);
    const memory_version  *near = walk_peek(c, it->forward, WALK_AHEAD / 2);

    if (next && c->at == (it->forward ? 0 : c->leaf->n - 1)) {
        akvi_prefetch(next, 0, offsetof(akvi_btree_leaf, heads));
        akvi_prefetch(next->items, 0, sizeof next->items);
    }
    if (far)
        akvi_prefetch(far, 0, WALK_HEAD);
    if (near && !it->range.keys_only) {
        size_t len = sizeof *near + near->key.len + near->len;

        akvi_prefetch(near, WALK_HEAD, len < WALK_MOST ? len : WALK_MOST);
    }
}

/* Gather a run from it->next on. */
static void walk_gather(memory_iter *it)
{
    akvi_btree_cursor c = it->next;

    it->n = it->at = 0;
    while (c.leaf && it->n < it->want) {
        memory_version *v = (memory_version *)c.leaf->items[c.at];

        walk_ahead(it, &c);
        if (!walk_within(it, v->key)) {
            c.leaf = NULL;
            break;
        }
        v = memory_visible(v, it->view.seq);
        if (v)
            it->run[it->n++] = v;
        if (it->forward)
            akvi_btree_next(&c);
        else
            akvi_btree_prev(&c);
    }
    it->next = c;
    it->want = it->want < WALK_RUN / 4 ? it->want * 4 : WALK_RUN;
}

/* The run is used up: gather the next. False at the end. */
static bool walk_on(memory_iter *it)
{
    bool on;

    akvi_rwlock_read(&it->store->lock);
    on = it->next.leaf != NULL;
    if (on && it->next.stamp != it->space->keys.stamp) {
        if (it->forward)
            walk_from(it, it->run[it->n - 1]->key, true);
        else
            walk_until(it, it->run[it->n - 1]->key, true);
    }
    if (on)
        walk_gather(it);
    akvi_rwlock_unlock(&it->store->lock);
    return on && it->n > 0;
}

static void walk_start(memory_iter *it, akv_move move, akv_slice key)
{
    akvi_rwlock_read(&it->store->lock);
    it->want = WALK_FIRST;
    walk_place(it, move, key);
    walk_gather(it);
    akvi_rwlock_unlock(&it->store->lock);
}

/* Turn round at the run's first entry, the way back having been used up. */
static void walk_turn(memory_iter *it)
{
    akv_slice key = it->run[0]->key;

    akvi_rwlock_read(&it->store->lock);
    it->want = WALK_FIRST;
    if (it->forward)
        walk_until(it, key, true);
    else
        walk_from(it, key, true);
    walk_gather(it);
    akvi_rwlock_unlock(&it->store->lock);
}

/* The entry at it->at or, past expired ones, further along the run's way. */
static akv_status walk_give(memory_iter *it, akv_entry *entry_out)
{
    for (;; it->at++) {
        const memory_version *v;

        if (it->at >= it->n && !walk_on(it))
            return AKV_END;
        v = it->run[it->at];
        if (memory_expired(it->store, v))
            continue;
        entry_out->key   = v->key;
        entry_out->value = (akv_value)AKV_VALUE_INIT;
        memory_fill(v, &entry_out->value);
        if (it->range.keys_only) {
            entry_out->value.data = NULL;
            entry_out->value.len  = 0;
        }
        return AKV_OK;
    }
}

akv_status akvi_memory_iter_move(void *iter, akv_move move, akv_slice key, akv_entry *entry_out)
{
    memory_iter *it = iter;

    if (move != AKV_MOVE_NEXT && move != AKV_MOVE_PREV) {
        walk_start(it, move, key);
    } else if ((move == AKV_MOVE_NEXT) == it->forward) {
        it->at++;
    } else {
        do { /* back over the run */
            if (it->at == 0) {
                walk_turn(it);
                return walk_give(it, entry_out);
            }
            it->at--;
        } while (memory_expired(it->store, it->run[it->at]));
    }
    return walk_give(it, entry_out);
}
