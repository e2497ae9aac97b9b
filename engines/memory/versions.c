/* SPDX-License-Identifier: MIT
 *
 * versions.c: how versions of values come, stay as long as they are needed, and
 * go; and the views that they are needed by. See store.h for the invariants.
 */
#include "engines/memory/store.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

/* ---------------------------------------------------------------- versions */

static memory_version *versions_alloc(memory_store *s, size_t own)
{
    memory_version *v = akvi_alloc(s->allocator, sizeof *v + own);

    if (v) {
        *v = (memory_version){.end = MEMORY_LIVE};
        atomic_init(&v->refs, 1);
    }
    return v;
}

memory_version *akvi_memory_version_new(memory_store *s, akv_slice key, akv_slice value)
{
    memory_version *v = versions_alloc(s, key.len + value.len);

    if (!v)
        return NULL;
    v->key = akv_bytes(v->bytes, key.len);
    v->len = (uint32_t)value.len;
    if (key.len > 0)
        memcpy(v->bytes, key.data, key.len);
    if (value.len > 0)
        memcpy(v->bytes + key.len, value.data, value.len);
    return v;
}

memory_version *akvi_memory_version_alike(memory_store *s, memory_version *base)
{
    memory_version *v = versions_alloc(s, 0);

    if (!v)
        return NULL;
    v->base     = base->base ? base->base : base;
    v->key      = v->base->key;
    v->len      = v->base->len;
    v->encoding = base->encoding;
    memory_ref(v->base);
    return v;
}

void akvi_memory_unref(memory_store *s, memory_version *v)
{
    while (v && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1) {
        memory_version *base = v->base;

        akvi_free(s->allocator, v, sizeof *v + (base ? 0 : v->key.len + v->len));
        v = base;
    }
}

/* ------------------------------------------------------------------ chains */

akv_status akvi_memory_push(memory_version *v, memory_space *space)
{
    akvi_btree_cursor place;

    v->space = space;
    v->older = (memory_version *)akvi_btree_find_place(&space->keys, v->key, &place);
    if (!v->older)
        return akvi_btree_insert(&space->keys, &v->key, &place);
    v->older->newer = v;
    akvi_btree_set(&place, &v->key);
    return AKV_OK;
}

void akvi_memory_unlink(memory_version *v)
{
    akvi_btree_cursor place;

    if (v->older)
        v->older->newer = v->newer;
    if (v->newer) {
        v->newer->older = v->older;
    } else if (v->older) {
        akvi_btree_find_place(&v->space->keys, v->key, &place);
        akvi_btree_set(&place, &v->older->key);
    } else {
        akvi_btree_remove(&v->space->keys, v->key);
    }
}

/* -------------------------------------------------------------------- heap */

akv_status akvi_memory_heap_reserve(memory_store *s, size_t more)
{
    memory_heap     *h    = &s->expiring;
    size_t           need = h->n + more, cap = h->cap ? h->cap * (size_t)2 : 16;
    memory_version **at;

    if (need <= h->cap)
        return AKV_OK;
    cap = cap < need ? need : cap;
    if (cap >= UINT32_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "a memory store holds at most 2^32 - 2 keys that expire");
    at = akvi_resize(s->allocator, h->at, h->cap * sizeof(void *), cap * sizeof(void *));
    if (!at)
        return AKV_NOMEM;
    h->at  = at;
    h->cap = (uint32_t)cap;
    return AKV_OK;
}

static void versions_heap_set(memory_heap *h, uint32_t at, memory_version *v)
{
    h->at[at]  = v;
    v->heap_at = at + 1;
}

/* Put v at `at` or where it belongs above or below. */
static void versions_heap_place(memory_heap *h, size_t at, memory_version *v)
{
    for (; at > 0 && h->at[(at - 1) / 2]->expiry_ms > v->expiry_ms; at = (at - 1) / 2)
        versions_heap_set(h, (uint32_t)at, h->at[(at - 1) / 2]);
    for (size_t child; (child = 2 * at + 1) < h->n; at = child) {
        child += child + 1 < h->n && h->at[child + 1]->expiry_ms < h->at[child]->expiry_ms;
        if (h->at[child]->expiry_ms >= v->expiry_ms)
            break;
        versions_heap_set(h, (uint32_t)at, h->at[child]);
    }
    versions_heap_set(h, (uint32_t)at, v);
}

static void versions_heap_remove(memory_store *s, memory_version *v)
{
    memory_heap    *h    = &s->expiring;
    memory_version *last = h->at[--h->n];

    if (last != v)
        versions_heap_place(h, v->heap_at - 1, last);
    v->heap_at = 0;
}

void akvi_memory_heap_free(memory_store *s)
{
    akvi_free(s->allocator, s->expiring.at, s->expiring.cap * sizeof(void *));
    s->expiring = (memory_heap){NULL, 0, 0};
}

/* ----------------------------------------------------------- begin and end */

void akvi_memory_begin(memory_store *s, memory_version *v)
{
    v->space->live++;
    v->space->bytes += v->key.len + v->len;
    s->versions++;
    s->version_bytes += v->base ? 0 : v->len;
    if (v->expiry_ms != 0) {
        s->expiring.n++;
        versions_heap_place(&s->expiring, s->expiring.n - 1, v);
    }
}

/* Take an ended version that no view sees out of its chain. */
static void versions_drop(memory_store *s, memory_version *v)
{
    akvi_memory_unlink(v);
    s->versions--;
    s->version_bytes -= v->base ? 0 : v->len;
    akvi_memory_unref(s, v);
}

/* The oldest view that is not before `begin`. */
static memory_view *versions_first_view(const memory_store *s, uint64_t begin)
{
    memory_view *view = s->newest;

    if (!view || view->seq < begin)
        return NULL;
    if (s->oldest->seq >= begin)
        return s->oldest;
    while (view->older->seq >= begin)
        view = view->older;
    return view;
}

/* Hang an ended version on a view that may see it, else let go of it. */
static void versions_settle(memory_store *s, memory_version *v, memory_view *view)
{
    if (view && view->seq < v->end) {
        v->link     = view->ended;
        view->ended = v;
    } else {
        versions_drop(s, v);
    }
}

void akvi_memory_retire(memory_store *s, memory_version *v)
{
    v->space->live--;
    v->space->bytes -= v->key.len + v->len;
    if (v->heap_at != 0)
        versions_heap_remove(s, v);
    versions_settle(s, v, versions_first_view(s, v->begin));
}

uint32_t akvi_memory_purge(memory_store *s, uint64_t now_ms, uint32_t most)
{
    uint32_t n = 0;

    for (; n < most && s->expiring.n > 0 && s->expiring.at[0]->expiry_ms <= now_ms; n++) {
        memory_version *v = s->expiring.at[0];

        v->end = s->seq + 1; /* views of now may still stand on it */
        akvi_memory_retire(s, v);
    }
    if (s->expiring.n == 0)
        akvi_memory_heap_free(s);
    return n;
}

/* ------------------------------------------------------------------- views */

void akvi_memory_view_add(memory_store *s, memory_view *view, const memory_view *at,
                          memory_space *walked)
{
    memory_view *older;

    akvi_rwlock_read(&s->lock);
    akvi_mutex_lock(&s->views_mu);
    older         = s->newest;
    view->seq     = at ? at->seq : s->seq;
    view->born_ns = s->env->ops->monotonic_ns(s->env);
    view->ended   = NULL;
    while (older && older->seq > view->seq)
        older = older->older;
    view->older                                       = older;
    view->newer                                       = older ? older->newer : s->oldest;
    *(older ? &older->newer : &s->oldest)             = view;
    *(view->newer ? &view->newer->older : &s->newest) = view;
    view->is_iterator                                 = walked != NULL;
    s->iterators += view->is_iterator;
    s->snapshots += !view->is_iterator;
    if (walked)
        walked->walks++;
    akvi_mutex_unlock(&s->views_mu);
    akvi_rwlock_unlock(&s->lock);
}

static void versions_unlink_view(memory_store *s, memory_view *view, memory_space *walked)
{
    *(view->older ? &view->older->newer : &s->oldest) = view->newer;
    *(view->newer ? &view->newer->older : &s->newest) = view->older;
    s->iterators -= view->is_iterator;
    s->snapshots -= !view->is_iterator;
    if (walked)
        walked->walks--;
}

void akvi_memory_view_drop(memory_store *s, memory_view *view, memory_space *walked)
{
    memory_version *v, *next;
    bool            quick;

    akvi_rwlock_read(&s->lock);
    quick = !view->ended && !(walked && walked->dropped);
    if (quick) {
        akvi_mutex_lock(&s->views_mu);
        versions_unlink_view(s, view, walked);
        akvi_mutex_unlock(&s->views_mu);
    }
    akvi_rwlock_unlock(&s->lock);
    if (quick)
        return;
    akvi_rwlock_write(&s->lock);
    versions_unlink_view(s, view, walked);
    for (v = view->ended; v; v = next) {
        next = v->link;
        versions_settle(s, v, view->newer);
    }
    akvi_memory_spaces_settle(s);
    akvi_rwlock_unlock(&s->lock);
}

akv_status akvi_memory_snapshot_new(void *impl, void **snapshot_out)
{
    memory_store *s    = impl;
    memory_view  *view = akvi_alloc(s->allocator, sizeof *view);

    if (!view)
        return AKV_NOMEM;
    akvi_memory_view_add(s, view, NULL, NULL);
    *snapshot_out = view;
    return AKV_OK;
}

void akvi_memory_snapshot_free(void *impl, void *snapshot)
{
    memory_store *s = impl;

    akvi_memory_view_drop(s, snapshot, NULL);
    akvi_free(s->allocator, snapshot, sizeof(memory_view));
}
