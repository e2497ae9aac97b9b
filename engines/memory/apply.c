/* SPDX-License-Identifier: MIT
 *
 * apply.c: writing. A write is staged operation by operation, under the lock,
 * in a way that can be taken back; whatever may fail does so there. Then it is
 * committed, which can't fail: what was ended is let go, the change feed is
 * told, and the sequence number moves on.
 */
#include "engines/memory/store.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"

#define APPLY_FEW   4u  /* operations that need no memory to be staged */
#define APPLY_PURGE 16u /* expired versions that a write clears away */

/* What one operation has done so far. */
typedef struct apply_stage {
    memory_version *added;  /* PUT, MERGE and EXPIRE */
    bool            pushed; /* it is the newest of its key */
    memory_version *ended;  /* a list by `link` */
} apply_stage;

typedef struct apply_write {
    memory_store *store;
    const akv_op *ops;
    size_t        n;
    apply_stage  *stages;
    uint64_t      now_ms;
} apply_write;

static uint64_t apply_seq(const apply_write *w, size_t i)
{
    return w->store->seq + 1 + i;
}

/* ----------------------------------------------------------- before the lock */

static akv_status apply_prepare(apply_write *w, size_t i)
{
    const akv_op   *op = &w->ops[i];
    memory_version *v;

    if (op->kind != AKV_OP_PUT)
        return AKV_OK;
    v = akvi_memory_version_new(w->store, op->key, op->value);
    if (!v)
        return AKV_NOMEM;
    v->expiry_ms       = op->expiry_ms;
    v->encoding        = op->encoding;
    w->stages[i].added = v;
    return AKV_OK;
}

/* -------------------------------------------------------------- conditions */

/* The live version of an operation's key, unless it has expired. */
static memory_version *apply_current(const apply_write *w, const akv_op *op)
{
    const memory_space *space = memory_space_of(w->store, op->keyspace);
    memory_version     *v =
        memory_visible((memory_version *)akvi_btree_find(&space->keys, op->key), MEMORY_NOW);

    return v && (v->expiry_ms == 0 || v->expiry_ms > w->now_ms) ? v : NULL;
}

static bool apply_holds(const apply_write *w, const akv_op *op)
{
    const memory_version *v;
    akv_version_tag       tag;

    if (op->condition == AKV_IF_ANY)
        return true;
    v = apply_current(w, op);
    switch (op->condition) {
    case AKV_IF_ABSENT: return !v;
    case AKV_IF_PRESENT: return v;
    case AKV_IF_VALUE:
        return v && akvi_equal(memory_value(v).data, v->len, op->expected.data, op->expected.len);
    default:
        if (!v)
            return false;
        tag = memory_tag(v->begin);
        return memcmp(tag.bytes, op->version.bytes, sizeof tag.bytes) == 0;
    }
}

/* ----------------------------------------------------------------- staging */

/* End the live version of a key, if it has one. */
static void apply_end(apply_stage *stage, memory_version *newest, uint64_t seq)
{
    if (!newest || newest->end != MEMORY_LIVE)
        return;
    newest->end  = seq;
    newest->link = stage->ended;
    stage->ended = newest;
}

/* Make the stage's version the newest of its key. */
static akv_status apply_push(apply_write *w, size_t i)
{
    apply_stage *stage = &w->stages[i];
    akv_status   st = akvi_memory_push(stage->added, memory_space_of(w->store, w->ops[i].keyspace));

    if (st != AKV_OK)
        return st;
    stage->added->begin = apply_seq(w, i);
    stage->pushed       = true;
    apply_end(stage, stage->added->older, stage->added->begin);
    return AKV_OK;
}

static akv_status apply_merge(apply_write *w, size_t i, const memory_version *current)
{
    memory_store *s        = w->store;
    const akv_op *op       = &w->ops[i];
    akv_buffer    result   = {NULL, 0, 0, s->allocator};
    akv_slice     existing = current ? memory_value(current) : akv_bytes(NULL, 0);
    akv_status    st =
        s->merge->merge(s->merge->user, op->key, current ? &existing : NULL, op->value, &result);

    if (st == AKV_OK && result.len > AKV_MEMORY_MAX_VALUE)
        st = AKV_FAIL(AKV_TOO_BIG, "the merge operator made a value of %zu bytes, over 1 GiB",
                      result.len);
    if (st == AKV_OK) {
        w->stages[i].added = akvi_memory_version_new(s, op->key, akvi_buffer_slice(&result));
        st                 = w->stages[i].added ? AKV_OK : AKV_NOMEM;
    }
    akv_buffer_free(&result);
    if (st != AKV_OK)
        return st;
    /* what the caller did not set stays as it was */
    w->stages[i].added->expiry_ms = op->expiry_ms || !current ? op->expiry_ms : current->expiry_ms;
    w->stages[i].added->encoding  = op->encoding || !current ? op->encoding : current->encoding;
    return apply_push(w, i);
}

static akv_status apply_expire(apply_write *w, size_t i, memory_version *current)
{
    memory_version *v;

    if (!current)
        return AKV_ABSENT;
    v = akvi_memory_version_alike(w->store, current);
    if (!v)
        return AKV_NOMEM;
    v->expiry_ms       = w->ops[i].expiry_ms;
    w->stages[i].added = v;
    return apply_push(w, i);
}

static void apply_delete_range(apply_write *w, size_t i)
{
    const akv_op     *op = &w->ops[i];
    akvi_btree_cursor c;

    akvi_btree_lower_bound(&memory_space_of(w->store, op->keyspace)->keys, op->key, &c);
    for (; c.leaf; akvi_btree_next(&c)) {
        memory_version *newest = (memory_version *)akvi_btree_at(&c);

        if (op->value.len > 0 &&
            akvi_compare(newest->key.data, newest->key.len, op->value.data, op->value.len) >= 0)
            return;
        apply_end(&w->stages[i], newest, apply_seq(w, i));
    }
}

static akv_status apply_stage_op(apply_write *w, size_t i)
{
    const akv_op *op = &w->ops[i];
    akv_slice    *newest;

    switch (op->kind) {
    case AKV_OP_PUT: return apply_push(w, i);
    case AKV_OP_MERGE: return apply_merge(w, i, apply_current(w, op));
    case AKV_OP_EXPIRE: return apply_expire(w, i, apply_current(w, op));
    case AKV_OP_DELETE:
        newest = akvi_btree_find(&memory_space_of(w->store, op->keyspace)->keys, op->key);
        apply_end(&w->stages[i], (memory_version *)newest, apply_seq(w, i));
        return AKV_OK;
    case AKV_OP_DELETE_RANGE: apply_delete_range(w, i); return AKV_OK;
    default: return AKV_OK; /* CHECK */
    }
}

/* Take back what an operation has done; later ones were taken back before. */
static void apply_undo(apply_write *w, size_t i)
{
    apply_stage *stage = &w->stages[i];

    if (stage->pushed)
        akvi_memory_unlink(stage->added);
    for (memory_version *v = stage->ended; v; v = v->link)
        v->end = MEMORY_LIVE;
}

/* ------------------------------------------------------------------ commit */

static void apply_commit_op(apply_write *w, size_t i, akv_write_result *result_out)
{
    static const akv_change_kind kinds[] = {
        [AKV_OP_DELETE] = AKV_CHANGE_DELETE, [AKV_OP_DELETE_RANGE] = AKV_CHANGE_DELETE_RANGE};
    memory_store *s     = w->store;
    apply_stage  *stage = &w->stages[i];
    const akv_op *op    = &w->ops[i];
    memory_space *space = memory_space_of(s, op->keyspace);
    uint64_t      seq   = apply_seq(w, i);

    akvi_mutex_assert_held(&s->feed.mu);
    if (stage->added) {
        akvi_memory_begin(s, stage->added);
        result_out->version = memory_tag(seq);
        akvi_memory_feed_add(s, AKV_CHANGE_PUT, space, op->key, akv_bytes(NULL, 0), stage->added,
                             seq);
    } else if (stage->ended) {
        akvi_memory_feed_add(s, kinds[op->kind], space, op->key,
                             op->kind == AKV_OP_DELETE_RANGE ? op->value : akv_bytes(NULL, 0), NULL,
                             seq);
    }
    for (memory_version *v = stage->ended, *next; v; v = next) {
        next = v->link;
        akvi_memory_retire(s, v);
    }
    s->changes += stage->added || op->kind == AKV_OP_DELETE || op->kind == AKV_OP_DELETE_RANGE;
}

/* Judge, stage, commit. With the lock held for writing. */
static akv_status apply_locked(apply_write *w, akv_write_result *result_out)
{
    memory_store *s        = w->store;
    size_t        expiring = 0;
    akv_status    st;
    size_t        i;

    akvi_memory_purge(s, w->now_ms, APPLY_PURGE);
    for (i = 0; i < w->n; i++) {
        if (!apply_holds(w, &w->ops[i])) {
            result_out->conflict_index = i;
            return AKV_CONFLICT;
        }
        expiring += w->ops[i].expiry_ms != 0 || w->ops[i].kind == AKV_OP_MERGE;
    }
    st = akvi_memory_heap_reserve(s, expiring);
    for (i = 0; i < w->n && st == AKV_OK; i++)
        st = apply_stage_op(w, i);
    if (st != AKV_OK) {
        while (i-- > 0)
            apply_undo(w, i);
        return st;
    }
    akvi_mutex_lock(&s->feed.mu);
    for (i = 0; i < w->n; i++)
        apply_commit_op(w, i, result_out);
    akvi_memory_feed_commit(s);
    akvi_mutex_unlock(&s->feed.mu);
    s->seq += w->n;
    return AKV_OK;
}

akv_status akvi_memory_write(void *impl, const akv_op *ops, size_t n, const akv_write_options *opt,
                             akv_write_result *result_out)
{
    memory_store *s = impl;
    apply_stage   few[APPLY_FEW];
    apply_write   w  = {s, ops, n, few, memory_unix_ms(s)};
    akv_status    st = AKV_OK;

    (void)opt; /* nothing here waits, and nothing lasts longer for being synced */
    if (n > APPLY_FEW && !(w.stages = akvi_alloc_n(s->allocator, n, sizeof *w.stages)))
        return AKV_NOMEM;
    memset(w.stages, 0, n * sizeof *w.stages);
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = apply_prepare(&w, i);
    if (st == AKV_OK) {
        akvi_rwlock_write(&s->lock);
        st = apply_locked(&w, result_out);
        akvi_rwlock_unlock(&s->lock);
    }
    for (size_t i = 0; i < n && st != AKV_OK; i++)
        akvi_memory_unref(s, w.stages[i].added);
    if (w.stages != few)
        akvi_free(s->allocator, w.stages, n * sizeof *w.stages);
    return st;
}
